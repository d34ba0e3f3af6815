//! Whether a certificate may be issued, judged by the inventory and the issuer (CA B7, C1, C4, I5).

use std::collections::HashSet;

use certs::{Certificate, Fingerprint, Timestamp};

use super::Authority;
use super::leaf::{Judged, LeafRequest, Standing};
use crate::device::DeviceIdentity;
use crate::error::IssueError;
use crate::profile::validity_for;
use crate::serial::hex;
use crate::store::{CertificateRecord, Kind, Query, RevocationReason, Side};

impl Authority {
    /// Whether a certificate could be issued to this device now, judged by the inventory alone.
    pub fn device_standing(&self, identity: &DeviceIdentity, replace: bool) -> Result<Standing, IssueError> {
        let now = self.now();
        let mac = identity.mac().to_string();
        if !replace {
            let earlier = self.store.find(&Query::Name(Kind::Device, mac.clone()))?;
            if let Some(record) = earlier.into_iter().rfind(|record| record.is_active(now)) {
                let product = Some(identity.product().to_owned());
                let serial = Some(identity.serial().to_owned());
                return Ok(match other_device(&record, &product, &serial) {
                    None => Standing::Issued(Box::new(record)),
                    Some(difference) => Standing::Taken(Box::new(already(&record, difference))),
                });
            }
        }
        match self.serial_owner(identity.serial(), Some(identity.product()), &mac, now)? {
            Some(error) => Ok(Standing::Taken(Box::new(error))),
            None => Ok(Standing::Free),
        }
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
        let validity = leaf.validity.unwrap_or_else(|| validity_for(now, leaf.days));
        let earlier = self.store.find(&Query::Name(leaf.kind, leaf.name.clone()))?;
        if let Some(record) =
            earlier.into_iter().rfind(|record| record.is_active(now)).filter(|_| !leaf.replace)
        {
            return match difference(&record, &leaf) {
                None => Ok(Judged::There(Box::new(record))),
                Some(difference) => Err(already(&record, difference)),
            };
        }
        if let Some(serial) = &leaf.device_serial
            && let Some(taken) = self.serial_owner(serial, leaf.product.as_deref(), &leaf.name, now)?
        {
            return Err(taken);
        }
        self.check_key_is_free(&leaf)?;
        self.check_issuer(leaf.side, now)?;
        let issuer = self.issuer_for(leaf.side)?.certificate.validity();
        if validity.not_before >= validity.not_after || validity.not_before.unix() < 0 {
            return Err(IssueError::Validity {
                not_before: validity.not_before,
                not_after: validity.not_after,
            });
        }
        if validity.not_after > issuer.not_after {
            return Err(IssueError::OutlivesIssuer {
                not_after: validity.not_after,
                issuer: issuer.not_after,
            });
        }
        let target = self.layout.root().join(&leaf.folder);
        if target.exists() && !leaf.replace {
            return Err(IssueError::Exists { path: target });
        }
        Ok(Judged::Issue(Box::new(leaf), validity))
    }

    /// One key, one owner; and a key that was compromised never comes back (CA B7).
    fn check_key_is_free(&self, leaf: &LeafRequest) -> Result<(), IssueError> {
        let key = *Fingerprint::of(&leaf.key.public_key).as_bytes();
        for record in self.store.find(&Query::PublicKey(key))? {
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
        let issuer = self.issuer_for(side)?;
        let certificate = &issuer.certificate;
        let refuse =
            |why: &str| Err(IssueError::Authority { name: issuer.name().to_owned(), why: why.to_owned() });
        if !certificate.basic_constraints().is_some_and(|constraints| constraints.ca) {
            return refuse("its certificate is no authority's");
        }
        if !certificate.key_usage().is_some_and(|usage| usage.names().any(|name| name == "keyCertSign")) {
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
fn other_device(
    record: &CertificateRecord,
    product: &Option<String>,
    serial: &Option<String>,
) -> Option<String> {
    let (has_product, has_serial) = (&record.intent.product, &record.intent.device_serial);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    (has_product != product || has_serial != serial)
        .then(|| format!("it says model {} and serial number {}", text(has_product), text(has_serial)))
}

/// What the request wants that the valid certificate does not say.
fn difference(record: &CertificateRecord, leaf: &LeafRequest) -> Option<String> {
    if let Some(difference) = other_device(record, &leaf.product, &leaf.device_serial) {
        return Some(difference);
    }
    if leaf.key.private_pem.is_none()
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
