//! What a certificate of another authority is called here: by its MAC address, its host name, or its subject.

use certs::{Certificate, Version, oid};
use policies::{IdentityProfile, Principal};

use crate::device::GENERIC_NAME;
use crate::server_name::ServerName;
use crate::store::Kind;

/// Longest name in the inventory, in characters.
const LONGEST: usize = 128;

/// How a certificate stands in the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) product: Option<String>,
    pub(crate) device_serial: Option<String>,
}

/// Tells phones by the shipped identity profiles.
#[derive(Debug)]
pub(crate) struct Recogniser {
    profiles: Vec<IdentityProfile>,
}

impl Recogniser {
    pub(crate) fn new() -> Self {
        let profiles = IdentityProfile::shipped_names()
            .filter_map(IdentityProfile::shipped)
            .filter(|profile| !profile.is_operator())
            .collect();
        Self { profiles }
    }

    pub(crate) fn know(&self, certificate: &Certificate) -> Known {
        let subject = certificate.subject();
        let known = |kind, name: String| Known { kind, name, product: None, device_serial: None };
        let whole = || printable(&subject.to_rfc4514());
        let lists = |purpose| certificate.extended_key_usage().is_some_and(|usage| usage.lists(purpose));
        if may_sign(certificate) {
            // A whole subject, with its `=`, is never the name of an authority of the store.
            return known(Kind::Authority, whole());
        }
        if lists(&oid::OCSP_SIGNING) {
            return known(Kind::Responder, whole());
        }
        if certificate.extended_key_usage().is_none() || lists(&oid::CLIENT_AUTH) {
            for profile in &self.profiles {
                match profile.identify(subject) {
                    Ok(Principal::Device(device)) => {
                        let Some(mac) = device.mac() else { continue };
                        return Known {
                            kind: Kind::Device,
                            name: mac.to_string(),
                            product: device.product().map(printable),
                            device_serial: device.serial().map(printable),
                        };
                    }
                    Ok(Principal::Generic(_)) => return known(Kind::Generic, GENERIC_NAME.to_owned()),
                    Ok(Principal::Anonymous | Principal::Operator(_)) | Err(_) => {}
                }
            }
        }
        let common_name = subject.values_of(&oid::COMMON_NAME).next().and_then(|one| one.text().ok());
        let host = certificate
            .subject_alternative_names()
            .and_then(|names| names.dns_names().next())
            .or(common_name.as_deref())
            .map(str::to_ascii_lowercase)
            .filter(|name| ServerName::host(name).is_ok() && name.contains('.'));
        let serves =
            lists(&oid::SERVER_AUTH) || (certificate.extended_key_usage().is_none() && host.is_some());
        let name = match (host, common_name) {
            (Some(host), _) if serves => host,
            (_, Some(name)) if !name.trim().is_empty() => printable(&name),
            (_, _) => whole(),
        };
        known(if serves { Kind::Server } else { Kind::Device }, name)
    }
}

/// Whether it is an authority's: it says so, or is the root of an authority so old that it could not.
pub(crate) fn may_sign(certificate: &Certificate) -> bool {
    match certificate.basic_constraints() {
        Some(constraints) => constraints.ca,
        None => certificate.version() == Version::V1 && certificate.is_self_issued(),
    }
}

/// What is known of a certificate that is not there, by the subject in an index.
pub(crate) fn known_by_subject(subject: &str) -> Known {
    let common_name = subject.rsplit_once("/CN=").map(|(_, name)| name.split('/').next().unwrap_or_default());
    let is_host = common_name.is_some_and(|name| name.contains('.') && ServerName::host(name).is_ok());
    let kind = if is_host { Kind::Server } else { Kind::Device };
    // With its `/` it is no host's and no phone's name: it would stand in the way of theirs, and cannot be looked into.
    let name = if subject.starts_with('/') { printable(subject) } else { printable(&format!("/{subject}")) };
    Known { kind, name, product: None, device_serial: None }
}

/// Text for a line of output: no control characters, which a terminal obeys, and no more than a line of it.
pub(crate) fn printable(text: &str) -> String {
    let clean = text.chars().map(|one| if one.is_control() { '\u{fffd}' } else { one });
    let mut short: String = clean.take(LONGEST + 1).collect();
    if short.chars().count() > LONGEST {
        short = short.chars().take(LONGEST - 1).chain(['…']).collect();
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_known_by_its_mac_address_and_others_by_their_names() {
        let pki = certs::testing::Pki::new();
        let recogniser = Recogniser::new();
        let phone = recogniser.know(&pki.device().issue().certificate);
        assert_eq!((phone.kind, phone.name.as_str()), (Kind::Device, "000e08abcdef"));
        assert_eq!(phone.product.as_deref(), Some("CP-8841-3PCC"));
        assert_eq!(phone.device_serial.as_deref(), Some("88012BA01234"));
        let root = recogniser.know(pki.root().certificate());
        assert_eq!(root.kind, Kind::Authority);
        assert!(root.name.contains('='), "{}", root.name);
    }

    #[test]
    fn a_subject_of_an_index_is_never_a_phones_name() {
        let host = known_by_subject("/C=DK/O=Example/CN=prov.example.com");
        assert_eq!((host.kind, host.name.as_str()), (Kind::Server, "/C=DK/O=Example/CN=prov.example.com"));
        let person = known_by_subject("/CN=Alice/emailAddress=alice@example.com");
        assert_eq!(person.kind, Kind::Device);
        assert_eq!(known_by_subject("000e08abcdef").name, "/000e08abcdef");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        assert_eq!(printable("a\x1b[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(printable(&"x".repeat(1000)).chars().count(), LONGEST);
    }
}
