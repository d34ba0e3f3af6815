//! Certificate revocation lists, version 2: complete ones, and those of one distribution point (RFC 5280 §5; CA G2).

use std::collections::BTreeSet;

use certs::{Certificate, RevocationList, Timestamp, Version};
use der::asn1::{Any, Uint};
use der::{Decode, Encode, Enumerated, Sequence};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

use crate::key::KeyError;
use crate::profile::pointers::full_name;
use crate::profile::{authority_key_identifier, extension};
use crate::signer::Signer;
use crate::store::{Revocation, RevocationReason, RevokedEntry};
use crate::template::{assemble, time};

/// A list could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CrlError {
    /// The bytes could not be written.
    #[error("cannot encode the revocation list")]
    Encoding(#[from] der::Error),
    /// What was made is not what was meant.
    #[error("the revocation list failed its checks: {0}")]
    Lint(String),
    /// The list would end before it begins, or after its authority.
    #[error(
        "a revocation list from {this_update} to {next_update} is not possible, its authority ends {not_after}"
    )]
    Period {
        /// Its beginning.
        this_update: Timestamp,
        /// Its end.
        next_update: Timestamp,
        /// The authority's end.
        not_after: Timestamp,
    },
    /// The key refused.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl CrlError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Period { .. } => Some("choose other `--days`".to_owned()),
            Self::Encoding(_) | Self::Lint(_) | Self::Key(_) => None,
        }
    }
}

/// What goes into one list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CrlContent<'a> {
    pub(crate) issuer: &'a Certificate,
    pub(crate) number: i64,
    pub(crate) this_update: Timestamp,
    pub(crate) next_update: Timestamp,
    /// The URI whose certificates the list covers; all of the issuer's without.
    pub(crate) point: Option<&'a str>,
    pub(crate) entries: &'a [RevokedEntry],
}

#[derive(Sequence)]
struct TbsCertList {
    version: u8,
    signature: AlgorithmIdentifierOwned,
    issuer: Any,
    this_update: Time,
    next_update: Time,
    #[asn1(optional = "true")]
    revoked: Option<Vec<Entry>>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

#[derive(Sequence)]
struct Entry {
    serial: Uint,
    at: Time,
    #[asn1(optional = "true")]
    extensions: Option<Vec<Extension>>,
}

/// `CRLReason` (RFC 5280 §5.3.1), without those that no list of ours says.
#[derive(Clone, Copy, Enumerated)]
#[repr(u8)]
pub(crate) enum Code {
    KeyCompromise = 1,
    CaCompromise = 2,
    AffiliationChanged = 3,
    Superseded = 4,
    CessationOfOperation = 5,
    CertificateHold = 6,
    PrivilegeWithdrawn = 9,
    AaCompromise = 10,
}

/// A version 2 list is written 1.
const V2: u8 = 1;

/// Signs a list and reads it back with the second parser.
pub(crate) fn sign(content: &CrlContent<'_>, signer: &dyn Signer) -> Result<Vec<u8>, CrlError> {
    let not_after = content.issuer.validity().not_after;
    if content.this_update >= content.next_update || content.this_update > not_after {
        let (this_update, next_update) = (content.this_update, content.next_update);
        return Err(CrlError::Period { this_update, next_update, not_after });
    }
    let algorithm = signer.algorithm();
    let tbs = to_tbs(content, &algorithm)?;
    let signature = signer.sign(&tbs)?;
    let der = assemble(&tbs, &algorithm, &signature)?;
    check(&der, content)?;
    if !signer.verifies(content.issuer.public_key().spki_der(), &tbs, &signature) {
        return Err(CrlError::Lint("the signature does not verify under the issuer's key".to_owned()));
    }
    Ok(der)
}

fn to_tbs(content: &CrlContent<'_>, algorithm: &AlgorithmIdentifierOwned) -> Result<Vec<u8>, CrlError> {
    // An authority of version 1, in a test store, has no extensions and so no identifier to name.
    let identifier = content.issuer.subject_key_identifier();
    if identifier.is_none() && content.issuer.version() == Version::V3 {
        return Err(CrlError::Lint("the issuer has no key identifier".to_owned()));
    }
    let mut extensions =
        identifier.map(authority_key_identifier).transpose()?.into_iter().collect::<Vec<_>>();
    let number = Uint::new(&content.number.to_be_bytes())?;
    extensions.push(extension(CRL_NUMBER, false, &number)?);
    if let Some(uri) = content.point {
        // Critical: who does not understand it must not take the list for complete (RFC 5280 §5.2.5).
        extensions.push(extension(ISSUING_DISTRIBUTION_POINT, true, &issuing_point(uri)?)?);
    }
    let distinct: BTreeSet<_> = content.entries.iter().map(|entry| &entry.serial).collect();
    if distinct.len() != content.entries.len() {
        return Err(CrlError::Lint("a serial number occurs twice".to_owned())); // CA R15
    }
    let entries = content.entries.iter().map(entry).collect::<der::Result<Vec<_>>>()?;
    let list = TbsCertList {
        version: V2,
        signature: algorithm.clone(),
        issuer: Any::from_der(content.issuer.subject().der())?,
        this_update: time(content.this_update)?,
        next_update: time(content.next_update)?,
        revoked: (!entries.is_empty()).then_some(entries), // absent, not empty: RFC 5280 §5.1.2.6
        extensions,
    };
    Ok(list.to_der()?)
}

/// `unspecified` is said by saying nothing (RFC 5280 §5.3.1); removeFromCRL has no place in a full list.
pub(crate) fn code(reason: RevocationReason) -> Option<Code> {
    match reason {
        RevocationReason::Unspecified => None,
        RevocationReason::KeyCompromise => Some(Code::KeyCompromise),
        RevocationReason::CaCompromise => Some(Code::CaCompromise),
        RevocationReason::AffiliationChanged => Some(Code::AffiliationChanged),
        RevocationReason::Superseded => Some(Code::Superseded),
        RevocationReason::CessationOfOperation => Some(Code::CessationOfOperation),
        RevocationReason::CertificateHold => Some(Code::CertificateHold),
        RevocationReason::PrivilegeWithdrawn => Some(Code::PrivilegeWithdrawn),
        RevocationReason::AaCompromise => Some(Code::AaCompromise),
    }
}

fn entry(entry: &RevokedEntry) -> der::Result<Entry> {
    let code = code(entry.revocation.reason);
    let extensions =
        code.map(|code| extension(REASON_CODE, false, &code).map(|one| vec![one])).transpose()?;
    Ok(Entry { serial: Uint::new(&entry.serial)?, at: time(entry.revocation.at)?, extensions })
}

/// A list for certificates of all kinds and all reasons that name this URI.
fn issuing_point(uri: &str) -> der::Result<IssuingDistributionPoint> {
    Ok(IssuingDistributionPoint {
        distribution_point: Some(full_name(uri)?),
        only_contains_user_certs: false,
        only_contains_ca_certs: false,
        only_some_reasons: None,
        indirect_crl: false,
        only_contains_attribute_certs: false,
    })
}

fn covers(list: &RevocationList, point: Option<&str>) -> bool {
    match (list.distribution_point(), point) {
        (None, None) => true,
        (Some(certs::DistributionPointName::Full(names)), Some(uri)) => {
            matches!(&**names, [certs::GeneralName::Uri(found)] if **found == *uri)
        }
        (None | Some(_), None | Some(_)) => false,
    }
}

fn check(der: &[u8], content: &CrlContent<'_>) -> Result<(), CrlError> {
    let list = RevocationList::parse(der).map_err(|error| CrlError::Lint(error.to_string()))?;
    let complaint = |text: &str| Err(CrlError::Lint(text.to_owned()));
    if list.issuer().der() != content.issuer.subject().der() {
        return complaint("the issuer's name changed");
    }
    let mut number = [0; 20];
    number[12..].copy_from_slice(&content.number.to_be_bytes());
    let names_key = list.authority_key_identifier().and_then(|one| one.key_identifier.as_deref());
    for (ok, what) in [
        (list.is_usable(), "a verifier could not use it"),
        (list.number().is_some_and(|found| *found.as_bytes() == number), "the number changed"),
        (list.this_update() == content.this_update, "its beginning changed"),
        (list.next_update() == Some(content.next_update), "its end changed"),
        (names_key == content.issuer.subject_key_identifier(), "it names another key"),
        (covers(&list, content.point), "it covers other certificates"),
        (list.len() == content.entries.len(), "entries are missing"),
    ] {
        if !ok {
            return complaint(what);
        }
    }
    for entry in content.entries {
        let Revocation { at, reason } = entry.revocation;
        let meant = (reason != RevocationReason::Unspecified).then(|| reason.as_str().to_ascii_lowercase());
        match list.contains(&certs::Serial::from_bytes(&entry.serial)) {
            None => return complaint("an entry is missing"),
            Some(found) if found.date != at => return complaint("the date of an entry changed"),
            Some(found) if found.reason.map(|one| one.as_str().to_ascii_lowercase()) != meant => {
                return complaint("the reason of an entry changed");
            }
            Some(_) => {}
        }
    }
    Ok(())
}

const CRL_NUMBER: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.20");
const ISSUING_DISTRIBUTION_POINT: der::asn1::ObjectIdentifier =
    der::asn1::ObjectIdentifier::new_unwrap("2.5.29.28");
const REASON_CODE: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.21");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyType, PrivateKey};
    use crate::lint::{Rules, prepare};
    use crate::profile::{Profile, validity_for};
    use crate::subject::{AttributeType, SubjectName};
    use crate::template::Template;

    const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

    fn authority() -> (Certificate, PrivateKey) {
        let key = PrivateKey::generate(KeyType::P256).unwrap();
        let name = SubjectName::new(vec![(AttributeType::CommonName, "root".to_owned())]).unwrap().to_der();
        let profile = Profile::Authority { path_length: 0 };
        let public_key = key.public_key_der();
        let template = Template {
            version: Version::V3,
            serial: vec![0x41; 16],
            signature_algorithm: key.signature_algorithm(),
            issuer: name.clone(),
            validity: validity_for(NOW, 100),
            subject: name,
            extensions: profile.extensions(&public_key, None, &[]).unwrap(),
            public_key,
        };
        (prepare(template, profile, Rules::Production, None).unwrap().issue(&key).unwrap(), key)
    }

    fn entry(serial: u8, reason: RevocationReason) -> RevokedEntry {
        RevokedEntry { serial: vec![serial; 16], revocation: Revocation { at: NOW, reason } }
    }

    fn made(entries: &[RevokedEntry], days: i64) -> Result<RevocationList, CrlError> {
        let (issuer, key) = authority();
        let next_update = NOW.plus_seconds(days * 86_400);
        let point = Some("http://pki.example.com/crl/root.1.crl");
        for point in [None, point] {
            let content =
                CrlContent { issuer: &issuer, number: 7, this_update: NOW, next_update, point, entries };
            let list = RevocationList::parse(&sign(&content, &key)?).unwrap();
            assert!(list.is_usable() && covers(&list, point), "G2: its scope is what was meant");
        }
        let content =
            CrlContent { issuer: &issuer, number: 7, this_update: NOW, next_update, point, entries };
        let list = RevocationList::parse(&sign(&content, &key)?).unwrap();
        let named = list.authority_key_identifier().and_then(|one| one.key_identifier.as_deref());
        assert_eq!(named, issuer.subject_key_identifier(), "R14: the list names the issuer's key");
        assert!(list.verify_signature(issuer.public_key()).is_ok());
        Ok(list)
    }

    #[test]
    fn g2_an_empty_list_is_usable() {
        let list = made(&[], 30).unwrap();
        assert!(list.is_usable() && list.is_empty());
        assert_eq!(list.next_update(), Some(NOW.plus_seconds(30 * 86_400)));
    }

    #[test]
    fn g2_every_reason_comes_back_and_unspecified_says_nothing() {
        use clap::ValueEnum;

        let reasons = RevocationReason::value_variants();
        let entries: Vec<_> = (1..).zip(reasons).map(|(serial, reason)| entry(serial, *reason)).collect();
        let list = made(&entries, 30).unwrap();
        for entry in &entries {
            let found = list.contains(&certs::Serial::from_bytes(&entry.serial)).unwrap();
            let said = found.reason.map_or("unspecified", certs::RevocationReason::as_str);
            assert!(said.eq_ignore_ascii_case(entry.revocation.reason.as_str()), "{said}");
        }
        assert_eq!(list.contains(&certs::Serial::from_bytes(&[0x70; 16])), None);
    }

    #[test]
    fn i1_a_list_that_is_not_what_was_meant_is_not_handed_out() {
        let (issuer, key) = authority();
        let next_update = NOW.plus_seconds(86_400);
        let entries = [entry(1, RevocationReason::Superseded)];
        let meant = CrlContent {
            issuer: &issuer,
            number: 7,
            this_update: NOW,
            next_update,
            point: Some("http://pki.example.com/crl/root.1.crl"),
            entries: &entries,
        };
        let der = sign(&meant, &key).unwrap();
        assert!(check(&der, &meant).is_ok());
        let later = NOW.plus_seconds(1);
        let other_reason = [entry(1, RevocationReason::KeyCompromise)];
        let mut other_date = entries.clone();
        other_date[0].revocation.at = later;
        for (other, complaint) in [
            (CrlContent { number: 8, ..meant }, "the number changed"),
            (CrlContent { this_update: later, ..meant }, "its beginning changed"),
            (CrlContent { next_update: later, ..meant }, "its end changed"),
            (CrlContent { point: None, ..meant }, "it covers other certificates"),
            (
                CrlContent { point: Some("http://pki.example.com/crl/root.2.crl"), ..meant },
                "it covers other certificates",
            ),
            (CrlContent { entries: &other_reason, ..meant }, "the reason of an entry changed"),
            (CrlContent { entries: &other_date, ..meant }, "the date of an entry changed"),
            (CrlContent { entries: &[], ..meant }, "entries are missing"),
        ] {
            let said = check(&der, &other).unwrap_err().to_string();
            assert!(said.ends_with(complaint), "{said}");
        }
    }

    #[test]
    fn r15_a_serial_number_twice_is_refused() {
        let twice = [entry(1, RevocationReason::Superseded), entry(1, RevocationReason::KeyCompromise)];
        assert!(matches!(made(&twice, 30), Err(CrlError::Lint(_))));
        assert!(made(&twice[..1], 30).is_ok());
    }

    #[test]
    fn a_list_that_ends_before_it_begins_is_refused() {
        assert!(matches!(made(&[], 0), Err(CrlError::Period { .. })));
        assert!(made(&[], 1).is_ok());
    }
}
