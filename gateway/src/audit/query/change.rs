//! What is new about a device, and whether it deserves a look.
//!
//! A phone that renews its factory certificate comes back with another key, another serial number and, at Cisco, another issuing
//! authority: that is normal, and called so. The same from an authority of somebody else, or from two certificates that are in use
//! side by side, is not.

use std::time::Duration;

use policies::MacAddress;
use policies::requests::user_agent::{Agreement, DeviceNames, compare};

use super::device::{address, columns, moment, sighting};
use super::{DeviceStatus, PresentedCertificate, Sighting, SightingKind};
use crate::audit::database::{AuditDatabase, DatabaseError, Value};
use crate::audit::moment::Moment;

/// A device with something new about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A MAC address turned up for the first time.
    FirstSeen {
        /// The address.
        mac: MacAddress,
        /// When.
        at: Moment,
    },
    /// It presented another certificate than before: a [renewal](Self::is_renewal), or something that deserves a look.
    Certificate {
        /// The address.
        mac: MacAddress,
        /// The one before.
        from: Box<PresentedCertificate>,
        /// The new one.
        to: Box<PresentedCertificate>,
    },
    /// It came from several networks.
    Networks {
        /// The address.
        mac: MacAddress,
        /// The networks, last used first.
        networks: Vec<Sighting>,
    },
    /// It sent a User-Agent that names another device than its certificate does.
    UserAgent {
        /// The address.
        mac: MacAddress,
        /// How the two disagree.
        agreement: Agreement,
        /// The User-Agent.
        user_agent: Sighting,
    },
}

const DAY: Duration = Duration::from_secs(86_400);
/// So many networks within a day are more than a phone in one place, or one that is carried home, comes from.
const NETWORKS: usize = 3;

/// How long an old certificate may still be seen after the new one: connections and TLS sessions outlive a renewal.
const LINGERS: Duration = Duration::from_secs(86_400);

/// How the names of factory authorities begin whose certificates replace one another. A renewed Cisco certificate comes from
/// `Cisco Manufacturing CA III`, whichever of them issued the first one.
const FACTORIES: &[&str] = &["CN=Cisco Manufacturing "];

impl Change {
    /// Whether the certificates have different keys; `None` when it is no change of certificate or a key was not recorded.
    #[must_use]
    pub fn is_another_key(&self) -> Option<bool> {
        let Self::Certificate { from, to, .. } = self else { return None };
        Some(from.key_sha256.as_ref()? != to.key_sha256.as_ref()?)
    }

    /// Whether the certificates have different issuers.
    #[must_use]
    pub fn is_another_issuer(&self) -> bool {
        matches!(self, Self::Certificate { from, to, .. } if from.issuer != to.issuer)
    }

    /// Whether the certificate before was still presented after the new one.
    #[must_use]
    pub fn is_either_in_use(&self) -> bool {
        matches!(self, Self::Certificate { from, to, .. } if from.last_seen > to.first_seen)
    }

    /// Whether it is a renewed certificate, which is normal: from the same issuer or another factory authority of the same maker,
    /// valid for longer than the one before, which is not used any more. A renewal mostly brings a new key.
    #[must_use]
    pub fn is_renewal(&self) -> bool {
        let Self::Certificate { from, to, .. } = self else { return false };
        let lasts_longer = from.not_after.zip(to.not_after).is_some_and(|(old, new)| new > old);
        let is_gone = from.last_seen <= to.first_seen.after(LINGERS);
        lasts_longer && is_gone && is_same_authority(&from.issuer, &to.issuer)
    }

    /// Whether it deserves a look: everything but a phone's first time and a renewed certificate.
    #[must_use]
    pub fn deserves_a_look(&self) -> bool {
        match self {
            Self::FirstSeen { .. } => false,
            Self::Certificate { .. } => !self.is_renewal(),
            Self::Networks { .. } | Self::UserAgent { .. } => true,
        }
    }

    /// Which device it is about.
    #[must_use]
    pub const fn mac(&self) -> MacAddress {
        match self {
            Self::FirstSeen { mac, .. }
            | Self::Certificate { mac, .. }
            | Self::Networks { mac, .. }
            | Self::UserAgent { mac, .. } => *mac,
        }
    }

    /// Everything that changed about one device, newest first, and the networks it came from on its last day, where they are more
    /// than a phone in one place, or one that is carried home, comes from.
    #[must_use]
    pub fn of_device_lately(
        device: &DeviceStatus,
        certificates: &[PresentedCertificate],
        sightings: &[Sighting],
    ) -> Vec<Self> {
        Self::of_device(device, certificates, sightings, device.last_seen.before(DAY), NETWORKS)
    }

    /// Everything that changed about one device, newest first; the networks, where it came from `networks` or more of them since
    /// then. Only what was proven counts: strangers' certificates change nothing.
    #[must_use]
    pub fn of_device(
        device: &DeviceStatus,
        certificates: &[PresentedCertificate],
        sightings: &[Sighting],
        since: Moment,
        networks: usize,
    ) -> Vec<Self> {
        let mut changes: Vec<(Moment, Self)> = changed(device.mac, certificates).collect();
        let recent = recent_networks(sightings, since);
        if let Some(last) = recent.first().filter(|_| recent.len() >= networks) {
            changes.push((last.last_seen, Self::Networks { mac: device.mac, networks: recent.clone() }));
        }
        let agents = sightings.iter().filter(|one| one.kind == SightingKind::UserAgent);
        for user_agent in agents {
            let change =
                contradiction(device.mac, device.product.as_deref(), device.serial.as_deref(), user_agent);
            changes.extend(change.map(|change| (user_agent.last_seen, change)));
        }
        changes.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        changes.into_iter().map(|(_, change)| change).collect()
    }
}

/// Each change of a proven certificate, the oldest first.
fn changed(
    mac: MacAddress,
    certificates: &[PresentedCertificate],
) -> impl Iterator<Item = (Moment, Change)> + use<> {
    let mut proven: Vec<_> = certificates.iter().filter(|certificate| certificate.proven).cloned().collect();
    proven.sort_by_key(|certificate| certificate.first_seen);
    let next: Vec<_> = proven.iter().skip(1).cloned().collect();
    proven.into_iter().zip(next).map(move |(from, to)| {
        (to.first_seen, Change::Certificate { mac, from: Box::new(from), to: Box::new(to) })
    })
}

fn recent_networks(sightings: &[Sighting], since: Moment) -> Vec<Sighting> {
    let recent = |one: &&Sighting| one.kind == SightingKind::Network && one.last_seen >= since;
    sightings.iter().filter(recent).cloned().collect()
}

fn contradiction(
    mac: MacAddress,
    product: Option<&str>,
    serial: Option<&str>,
    user_agent: &Sighting,
) -> Option<Change> {
    let agreement = compare(&user_agent.value, DeviceNames { product, serial, mac: Some(mac) });
    agreement.contradiction()?;
    Some(Change::UserAgent { mac, agreement, user_agent: user_agent.clone() })
}

fn is_same_authority(one: &str, other: &str) -> bool {
    // The name stands in the text as RFC 4514 writes it, whose first attribute is the last of the certificate.
    let factory = |issuer: &str| FACTORIES.iter().find(|name| issuer.starts_with(**name)).copied();
    one == other || factory(one).is_some_and(|name| factory(other) == Some(name))
}

/// User-Agents that are looked through for contradictions at one time.
const MOST_USER_AGENTS: i64 = 50_000;

impl AuditDatabase {
    /// What is new since a time: devices first seen, proven certificates that changed, devices that came from `networks` or more
    /// networks since then, and User-Agents that contradict the certificate. At most `most` of each kind, the newest first.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn changes(&mut self, since: Moment, networks: u32, most: u32) -> Result<Vec<Change>, DatabaseError> {
        let (from, limit) = (Value::from(since.micros()), Value::from(i64::from(most)));
        let first = "SELECT mac, first_seen FROM audit_device WHERE proven = 1 AND first_seen >= ?1 ORDER BY first_seen DESC LIMIT ?2";
        let mut changes = Vec::new();
        for row in self.backend().rows(first, &[from.clone(), limit.clone()])? {
            let [mac, at] = columns(row)?;
            changes.push(Change::FirstSeen { mac: address(mac)?, at: moment(&at)? });
        }
        let certificates = "SELECT n.mac FROM audit_certificate n WHERE n.proven = 1 AND n.first_seen >= ?1 AND EXISTS (SELECT 1 FROM \
            audit_certificate o WHERE o.mac = n.mac AND o.proven = 1 AND o.sha256 <> n.sha256 AND o.first_seen <= n.first_seen) \
            GROUP BY n.mac ORDER BY max(n.first_seen) DESC LIMIT ?2";
        for row in self.backend().rows(certificates, &[from.clone(), limit.clone()])? {
            let [mac] = columns(row)?;
            let mac = address(mac)?;
            let presented = self.certificates(mac)?;
            changes.extend(changed(mac, &presented).filter(|(at, _)| *at >= since).map(|(_, change)| change));
        }
        let many = "SELECT mac FROM audit_sighting WHERE kind = 'network' AND last_seen >= ?1 GROUP BY mac HAVING count(*) >= ?2 \
            ORDER BY max(last_seen) DESC LIMIT ?3";
        for row in self.backend().rows(many, &[from.clone(), i64::from(networks).into(), limit])? {
            let [mac] = columns(row)?;
            let mac = address(mac)?;
            let networks = recent_networks(&self.sightings(mac)?, since);
            changes.push(Change::Networks { mac, networks });
        }
        let agents = "SELECT s.mac, d.product, d.serial, s.kind, s.value, s.first_seen, s.last_seen, s.count FROM audit_sighting s \
            JOIN audit_device d ON d.mac = s.mac WHERE s.kind = 'user_agent' AND s.first_seen >= ?1 ORDER BY s.first_seen DESC LIMIT ?2";
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut contradictions = Vec::new();
        self.backend().query(agents, &[from, MOST_USER_AGENTS.into()], &mut |row| {
            if contradictions.len() < most {
                let [mac, product, serial, kind, value, first, last, count] = columns(row)?;
                let user_agent = sighting(vec![kind, value, first, last, count])?;
                let (product, serial) = (product.optional_text()?, serial.optional_text()?);
                let change = contradiction(address(mac)?, product.as_deref(), serial.as_deref(), &user_agent);
                contradictions.extend(change);
            }
            Ok(())
        })?;
        changes.extend(contradictions);
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use certs::Timestamp;

    fn certificate(issuer: &str, key: &str, ends: i64, seen: (i64, i64)) -> PresentedCertificate {
        PresentedCertificate {
            sha256: format!("{issuer}{ends}"),
            key_sha256: Some(key.to_owned()),
            issuer: issuer.to_owned(),
            serial: "01".to_owned(),
            not_after: Some(Timestamp::from_unix(ends)),
            proven: true,
            first_seen: Moment::from_micros(seen.0 * 1_000_000),
            last_seen: Moment::from_micros(seen.1 * 1_000_000),
            count: 1,
        }
    }

    fn change(from: PresentedCertificate, to: PresentedCertificate) -> Change {
        Change::Certificate {
            mac: MacAddress::parse("000e08abcdef").unwrap(),
            from: from.into(),
            to: to.into(),
        }
    }

    #[test]
    fn a_renewed_factory_certificate_is_normal_and_anything_else_deserves_a_look() {
        let old = || certificate("CN=Cisco Manufacturing CA,O=Cisco Systems", "a", 100, (0, 1000));
        let renewed = || certificate("CN=Cisco Manufacturing CA III,O=Cisco", "b", 900, (1000, 2000));
        let renewal = change(old(), renewed());
        assert!(renewal.is_renewal() && !renewal.deserves_a_look());
        assert_eq!((renewal.is_another_key(), renewal.is_another_issuer()), (Some(true), true));
        let foreign = certificate("CN=Somebody's CA", "b", 900, (1000, 2000));
        assert!(change(old(), foreign).deserves_a_look(), "another maker's authority");
        let shorter = PresentedCertificate { not_after: Some(Timestamp::from_unix(90)), ..renewed() };
        assert!(change(old(), shorter).deserves_a_look(), "a certificate that ends earlier");
        let lingering = PresentedCertificate { last_seen: Moment::from_micros(3_000_000_000), ..old() };
        assert!(!change(lingering, renewed()).deserves_a_look(), "an old connection that ends late");
        let used = PresentedCertificate { last_seen: Moment::from_micros(90_000_000_000), ..old() };
        assert!(change(used, renewed()).deserves_a_look(), "both in use");
        let own = || certificate("CN=Operator", "a", 100, (0, 1));
        assert!(change(own(), certificate("CN=Operator", "b", 200, (2, 3))).is_renewal());
    }
}
