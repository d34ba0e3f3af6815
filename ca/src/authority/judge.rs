//! Whether a certificate may be issued, judged by the inventory and the issuer (CA B7, C1, C4, I5).

use std::collections::HashSet;
use std::path::Path;

use certs::{Certificate, Fingerprint, Timestamp, Validity, Version};

use super::Authority;
use super::leaf::{Judged, LeafRequest, Standing};
use crate::device::DeviceIdentity;
use crate::error::IssueError;
use crate::legacy::Legacy;
use crate::serial::hex;
use crate::store::{AuthorityId, CertificateRecord, Kind, Query, RevocationReason, Side, State, Store};

/// Who asks for a certificate, and whether what is there may be replaced.
struct Applicant<'a> {
    kind: Kind,
    name: &'a str,
    product: Option<&'a str>,
    device_serial: Option<&'a str>,
    folder: &'a Path,
    replace: bool,
    /// How it is to be made, and whether it is to be over already; looked at in test stores alone.
    legacy: Legacy,
    not_after: Timestamp,
}

/// Many questions to the inventory, which are answered quicker while this is held.
pub(super) struct Reading<'a>(&'a dyn Store);

impl<'a> Reading<'a> {
    pub(super) fn begin(store: &'a dyn Store) -> Result<Self, IssueError> {
        store.begin_reading()?;
        Ok(Self(store))
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.end_reading();
    }
}

impl Authority {
    /// How these devices stand now: the very checks that issuing makes, except those that need the devices' keys.
    ///
    /// What concerns the authority and not one device is an error: clock, authority, dates (CA C1, C4, E1, E4, R7).
    pub fn device_standings<'a>(
        &mut self,
        devices: impl IntoIterator<Item = &'a DeviceIdentity>,
        validity: Validity,
        replace: bool,
    ) -> Result<Vec<Standing>, IssueError> {
        self.device_twin_standings(devices, validity, replace, Legacy::default())
    }

    /// The same for certificates made as old units carry them.
    pub fn device_twin_standings<'a>(
        &mut self,
        devices: impl IntoIterator<Item = &'a DeviceIdentity>,
        validity: Validity,
        replace: bool,
        legacy: Legacy,
    ) -> Result<Vec<Standing>, IssueError> {
        if !legacy.is_none() {
            self.require_test(format!("`--legacy {legacy}`"))?;
        }
        let _lock = self.lock()?; // rows and folders change together
        let now = self.plausible_now()?;
        self.check_period(Side::Client, validity, now)?;
        let _reading = Reading::begin(&*self.store)?;
        devices
            .into_iter()
            .map(|device| self.device_standing(device, validity, replace, legacy, now))
            .collect()
    }

    fn device_standing(
        &self,
        identity: &DeviceIdentity,
        validity: Validity,
        replace: bool,
        legacy: Legacy,
        now: Timestamp,
    ) -> Result<Standing, IssueError> {
        let mac = identity.mac().to_string();
        let applicant = Applicant {
            kind: Kind::Device,
            name: &mac,
            product: Some(identity.product()),
            device_serial: Some(identity.serial()),
            folder: &self.layout.relative(&self.layout.device(&mac)),
            replace,
            legacy,
            not_after: validity.not_after,
        };
        match self.standing(&applicant, now) {
            Ok(None) => Ok(Standing::Free),
            Ok(Some(record)) => Ok(Standing::Issued(Box::new(record))),
            Err(
                error @ (IssueError::AlreadyIssued { .. }
                | IssueError::DeviceSerialTaken { .. }
                | IssueError::Exists { .. }),
            ) => Ok(Standing::Taken(Box::new(error))),
            Err(error) => Err(error),
        }
    }

    fn check_period(&self, side: Side, validity: Validity, now: Timestamp) -> Result<(), IssueError> {
        self.check_issuer(side, now)?;
        let issuer = self.issuer_for(side)?.certificate.validity();
        let Validity { not_before, not_after } = validity;
        if not_before >= not_after || not_before.unix() < 0 {
            return Err(IssueError::Validity { not_before, not_after });
        }
        if not_after > issuer.not_after {
            return Err(IssueError::OutlivesIssuer { not_after, issuer: issuer.not_after });
        }
        Ok(())
    }

    /// What the inventory and the folders say: the valid certificate of the same one, or nothing in the way.
    fn standing(
        &self,
        applicant: &Applicant<'_>,
        now: Timestamp,
    ) -> Result<Option<CertificateRecord>, IssueError> {
        let Applicant { kind, name, product, device_serial, folder, replace, legacy, not_after } = *applicant;
        if !replace {
            let earlier = self.store.find(&Query::Name(kind, name.to_owned()))?;
            if let Some(record) = earlier.into_iter().rfind(|record| record.is_active(now)) {
                let otherwise = || self.made_otherwise(&record, legacy, not_after < now);
                return match other_device(&record, product, device_serial).or_else(otherwise) {
                    None => Ok(Some(record)),
                    Some(difference) => Err(already(&record, difference)),
                };
            }
        }
        if let Some(serial) = device_serial
            && let Some(taken) = self.serial_owner(serial, product, name, now)?
        {
            return Err(taken);
        }
        let target = self.layout.root().join(folder);
        if target.exists() && !replace {
            return Err(IssueError::Exists { path: target });
        }
        Ok(None)
    }

    /// How the valid certificate of a test store was made otherwise than is asked for now.
    fn made_otherwise(
        &self,
        record: &CertificateRecord,
        wanted: Legacy,
        wanted_expired: bool,
    ) -> Option<String> {
        if !self.is_test() {
            return None;
        }
        if wanted_expired {
            return Some("it has not expired".to_owned());
        }
        let found = Legacy::found_in(&Certificate::parse(record.certificate.as_deref()?).ok()?);
        (found != wanted.normal()).then(|| match found.is_none() {
            true => "it has nothing old about it".to_owned(),
            false => format!("it was made with {found}"),
        })
    }

    /// A device serial number belongs to one device of a product at a time: the other one's claim, if there is one.
    fn serial_owner(
        &self,
        serial: &str,
        product: Option<&str>,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<IssueError>, IssueError> {
        let others = self.store.find(&Query::DeviceSerial(serial.to_owned()))?;
        let other = others.into_iter().find(|record| {
            record.is_active(now) && record.intent.name != name && record.intent.product.as_deref() == product
        });
        Ok(other.map(|record| IssueError::DeviceSerialTaken {
            serial: serial.to_owned(),
            mac: record.intent.name,
        }))
    }

    /// Whether the request may be granted, and whether it was already (CA B7, C1, C4, E1).
    pub(super) fn judge(&self, leaf: LeafRequest, now: Timestamp) -> Result<Judged, IssueError> {
        let validity = match leaf.validity {
            Some(validity) => validity,
            None => self.period_at(leaf.side, None, leaf.days, now)?,
        };
        let applicant = Applicant {
            kind: leaf.kind,
            name: &leaf.name,
            product: leaf.product.as_deref(),
            device_serial: leaf.device_serial.as_deref(),
            folder: &leaf.folder,
            replace: leaf.replace,
            legacy: leaf.legacy,
            not_after: validity.not_after,
        };
        if let Some(record) = self.standing(&applicant, now)? {
            return match difference(&record, &leaf) {
                None => Ok(Judged::There(Box::new(record))),
                Some(difference) => Err(already(&record, difference)),
            };
        }
        self.check_succession(&leaf)?;
        self.check_key_is_free(&leaf)?;
        self.check_period(leaf.side, validity, now)?;
        Ok(Judged::Issue(Box::new(leaf), validity))
    }

    /// One key, one owner; and a key that was compromised never comes back (CA B7).
    fn check_key_is_free(&self, leaf: &LeafRequest) -> Result<(), IssueError> {
        let key = *Fingerprint::of(&leaf.key.public_key).as_bytes();
        let known = self.store.find(&Query::PublicKey(key))?;
        // Of what was begun and given up no certificate ever left this program.
        for record in known.into_iter().filter(|record| record.state != State::Abandoned) {
            let compromised = record
                .revocation
                .is_some_and(|revocation| revocation.reason == RevocationReason::KeyCompromise);
            if compromised || record.intent.kind != leaf.kind || record.intent.name != leaf.name {
                let mut owner = format!("{} {}", record.intent.kind.as_str(), record.intent.name);
                if compromised {
                    owner.push_str(" (revoked for keyCompromise)");
                }
                return Err(IssueError::KeyTaken { owner });
            }
        }
        Ok(())
    }

    /// The authority is one, and may sign a leaf now (CA C1, C2).
    fn check_issuer(&self, side: Side, now: Timestamp) -> Result<(), IssueError> {
        self.check_may_sign(self.issuer_for(side)?.id(), now)
    }

    /// The same of any authority.
    pub(super) fn check_may_sign(&self, id: AuthorityId, now: Timestamp) -> Result<(), IssueError> {
        let Some(issuer) = self.issuers.iter().find(|issuer| issuer.id() == id) else {
            return Err(IssueError::NotFound { selector: format!("authority {}", id.0) });
        };
        self.check_is_own(issuer)?;
        let certificate = &issuer.certificate;
        let refuse =
            |why: &str| Err(IssueError::Authority { name: issuer.name().to_owned(), why: why.to_owned() });
        // The root of a test store may be of version 1, which says nothing of what it may do.
        let says_nothing = self.is_test() && certificate.version() == Version::V1;
        if !says_nothing && !certificate.basic_constraints().is_some_and(|constraints| constraints.ca) {
            return refuse("its certificate is no authority's");
        }
        if !says_nothing
            // One that was imported may say nothing of it, and may then (RFC 5280 §4.2.1.3).
            && certificate.key_usage().is_some_and(|usage| usage.names().all(|name| name != "keyCertSign"))
        {
            return refuse("its certificate does not allow signing certificates");
        }
        if !certificate.validity().contains(now) {
            return refuse("its certificate has expired or is not valid yet");
        }
        let own = self.store.find(&Query::Name(Kind::Authority, issuer.name().to_owned()))?;
        if own.iter().any(|record| record.revocation.is_some()) {
            return refuse("it is revoked");
        }
        Ok(())
    }
}

fn already(record: &CertificateRecord, difference: String) -> IssueError {
    IssueError::AlreadyIssued {
        name: record.intent.name.clone(),
        serial: hex(&record.intent.serial),
        not_after: record.intent.validity.not_after,
        difference,
    }
}

/// How the certificate's device differs from the one asked for.
fn other_device(record: &CertificateRecord, product: Option<&str>, serial: Option<&str>) -> Option<String> {
    let (has_product, has_serial) =
        (record.intent.product.as_deref(), record.intent.device_serial.as_deref());
    (has_product != product || has_serial != serial).then(|| {
        let (product, serial) = (has_product.unwrap_or_default(), has_serial.unwrap_or_default());
        format!("it says model {product} and serial number {serial}")
    })
}

/// What the request wants that the valid certificate does not say.
fn difference(record: &CertificateRecord, leaf: &LeafRequest) -> Option<String> {
    if leaf.key.is_requested()
        && record.intent.public_key != *Fingerprint::of(&leaf.key.public_key).as_bytes()
    {
        return Some("it has another key than the request".to_owned());
    }
    if leaf.kind != Kind::Server {
        return None;
    }
    let certificate = Certificate::parse(record.certificate.as_deref()?).ok()?;
    let has: HashSet<String> = certificate
        .subject_alternative_names()
        .map(|names| {
            names
                .dns_names()
                .map(str::to_owned)
                .chain(names.ip_addresses().map(|ip| ip.to_string()))
                .collect()
        })
        .unwrap_or_default();
    let wants: HashSet<String> = leaf.names.iter().map(ToString::to_string).collect();
    (has != wants).then(|| "it has other names".to_owned())
}
