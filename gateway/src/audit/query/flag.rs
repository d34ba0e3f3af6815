//! What deserves a look about a device, and what only seems to.

use std::time::Duration;

use policies::user_agent_contradicts;

use super::{DeviceStatus, PresentedCertificate, Sighting, SightingKind};

/// Networks from which one device may come within a day before that is remarkable: at home, at work, and on the way.
const MANY_NETWORKS: usize = 4;
const DAY: Duration = Duration::from_secs(86_400);

/// Something about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flag<'a> {
    /// It proved itself with a certificate of another issuer than before.
    AnotherIssuer {
        /// The certificate before.
        from: &'a PresentedCertificate,
        /// The new one.
        to: &'a PresentedCertificate,
    },
    /// It came from many networks within a day.
    ManyNetworks(Vec<&'a Sighting>),
    /// It has a newer certificate of the same issuer, and left the old one behind: as it should be.
    Renewed {
        /// The certificate before.
        from: &'a PresentedCertificate,
        /// The new one.
        to: &'a PresentedCertificate,
    },
    /// Two certificates with different keys are in use by turns: two phones may have this identity.
    TwoKeys {
        /// The older certificate.
        from: &'a PresentedCertificate,
        /// The newer one.
        to: &'a PresentedCertificate,
    },
    /// Its User-Agent names another device.
    UserAgent(&'a Sighting),
}

impl Flag<'_> {
    /// Whether somebody should look; a renewal is told so that nobody wonders.
    #[must_use]
    pub const fn is_alarming(&self) -> bool {
        match self {
            Self::AnotherIssuer { .. }
            | Self::ManyNetworks(_)
            | Self::TwoKeys { .. }
            | Self::UserAgent(_) => true,
            Self::Renewed { .. } => false,
        }
    }
}

/// What there is to say of a device, by what it has proven; the alarming first. What refused certificates claim is left out:
/// anybody can make some.
#[must_use]
pub fn flags<'a>(
    device: &DeviceStatus,
    certificates: &'a [PresentedCertificate],
    sightings: &'a [Sighting],
) -> Vec<Flag<'a>> {
    let mut flags = Vec::new();
    let mut proven: Vec<_> = certificates.iter().filter(|certificate| certificate.proven).collect();
    proven.sort_by_key(|certificate| certificate.first_seen);
    for (from, to) in proven.iter().zip(proven.iter().skip(1)) {
        flags.extend(change(from, to));
    }
    let networks = at_once(sightings);
    if networks.len() >= MANY_NETWORKS {
        flags.push(Flag::ManyNetworks(networks));
    }
    let (product, serial) = (device.product.as_deref(), device.serial.as_deref());
    let agents = sightings.iter().filter(|one| one.kind == SightingKind::UserAgent);
    let others = agents.filter(|one| user_agent_contradicts(&one.value, product, serial, Some(device.mac)));
    flags.extend(others.map(Flag::UserAgent));
    flags.sort_by_key(|flag| !flag.is_alarming());
    flags
}

fn change<'a>(from: &'a PresentedCertificate, to: &'a PresentedCertificate) -> Option<Flag<'a>> {
    let is_same_key = from.key_sha256.is_some() && from.key_sha256 == to.key_sha256;
    let is_left_behind = from.last_seen <= to.first_seen;
    Some(if from.issuer != to.issuer {
        Flag::AnotherIssuer { from, to }
    } else if !is_same_key && !is_left_behind {
        Flag::TwoKeys { from, to }
    } else {
        Flag::Renewed { from, to }
    })
}

/// The networks of the day that ends with the last sighting of one.
fn at_once(sightings: &[Sighting]) -> Vec<&Sighting> {
    let networks = || sightings.iter().filter(|one| one.kind == SightingKind::Network);
    let Some(last) = networks().map(|one| one.last_seen).max() else { return Vec::new() };
    networks().filter(|one| one.last_seen >= last.before(DAY)).collect()
}

#[cfg(test)]
mod tests {
    use policies::MacAddress;

    use super::*;
    use crate::audit::entry::Moment;

    fn day(number: i64) -> Moment {
        Moment::from_micros(number * 86_400_000_000)
    }

    fn certificate(issuer: &str, key: &str, first: i64, last: i64) -> PresentedCertificate {
        PresentedCertificate {
            sha256: format!("{key}{first}"),
            key_sha256: Some(key.to_owned()),
            issuer: issuer.to_owned(),
            serial: "0A".to_owned(),
            not_after: None,
            proven: true,
            first_seen: day(first),
            last_seen: day(last),
            count: 1,
        }
    }

    fn seen(kind: SightingKind, value: &str, last: i64) -> Sighting {
        Sighting { kind, value: value.to_owned(), first_seen: day(0), last_seen: day(last), count: 1 }
    }

    fn device() -> DeviceStatus {
        DeviceStatus {
            mac: MacAddress::parse("000e08abcdef").unwrap(),
            proven: true,
            product: Some("CP-8841-3PCC".to_owned()),
            serial: Some("88012BA01234".to_owned()),
            first_seen: day(0),
            last_seen: day(9),
            last_success: None,
            last_refusal: None,
            certificate: None,
            user_agent: None,
            peer: None,
            host: None,
            records: 1,
        }
    }

    fn of(certificates: &[PresentedCertificate]) -> Vec<&'static str> {
        let word = |flag: Flag<'_>| match flag {
            Flag::AnotherIssuer { .. } => "issuer",
            Flag::ManyNetworks(_) => "networks",
            Flag::Renewed { .. } => "renewed",
            Flag::TwoKeys { .. } => "keys",
            Flag::UserAgent(_) => "agent",
        };
        flags(&device(), certificates, &[]).into_iter().map(word).collect()
    }

    #[test]
    fn a_renewed_certificate_is_normal_also_with_a_new_key() {
        assert_eq!(of(&[certificate("CN=CA", "k1", 0, 5)]), [""; 0]);
        assert_eq!(of(&[certificate("CN=CA", "k1", 0, 5), certificate("CN=CA", "k1", 5, 9)]), ["renewed"]);
        assert_eq!(of(&[certificate("CN=CA", "k1", 0, 5), certificate("CN=CA", "k2", 5, 9)]), ["renewed"]);
        assert_eq!(of(&[certificate("CN=CA", "k1", 0, 7), certificate("CN=CA", "k1", 5, 9)]), ["renewed"]);
    }

    #[test]
    fn another_issuer_and_two_keys_by_turns_are_not() {
        assert_eq!(of(&[certificate("CN=CA", "k1", 0, 5), certificate("CN=Other", "k1", 5, 9)]), ["issuer"]);
        assert_eq!(of(&[certificate("CN=CA", "k1", 0, 8), certificate("CN=CA", "k2", 5, 9)]), ["keys"]);
        let mut forged = certificate("CN=Forger", "k9", 6, 9);
        forged.proven = false;
        assert_eq!(of(&[certificate("CN=CA", "k1", 0, 9), forged]), [""; 0], "what is claimed says nothing");
    }

    #[test]
    fn many_networks_within_a_day_are_flagged_and_many_in_a_year_are_not() {
        let network = |number: i64, last| seen(SightingKind::Network, &format!("192.0.{number}.0/24"), last);
        let at_once: Vec<_> = (0..4).map(|number| network(number, 9)).collect();
        assert!(matches!(&flags(&device(), &[], &at_once)[..], [Flag::ManyNetworks(all)] if all.len() == 4));
        let moved: Vec<_> = (0..9).map(|number| network(number, number * 2)).collect();
        assert_eq!(flags(&device(), &[], &moved), []);
    }

    #[test]
    fn a_user_agent_that_names_another_phone_is_flagged_and_its_own_is_not() {
        let agents = [
            seen(SightingKind::UserAgent, "cisco/CP-8841-3PCC (88012BA01234)", 9),
            seen(SightingKind::UserAgent, "curl/8", 9),
            seen(SightingKind::UserAgent, "cisco/CP-7841-3PCC (88012BA01234)", 8),
        ];
        assert_eq!(flags(&device(), &[], &agents), [Flag::UserAgent(&agents[2])]);
    }
}
