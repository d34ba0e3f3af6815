//! Checks on a certificate before the real key signs it, and on what came of it (CA I1).
//!
//! Building is done with `der` and `x509-cert`; judging with `certs`, which has a parser of its own, so one mistake does
//! not hide itself. Before, every rule is looked at, under a placeholder where the signature will be: no key has to make one, for
//! no rule concerns its value. After, the second parser reads the whole, which is compared byte for byte with what was
//! judged, field by field with what was meant, and the signature is verified.

use std::collections::BTreeSet;

use certs::{Certificate, KeyAlgorithm, Version};
use der::Encode;

use crate::error::IssueError;
use crate::legacy::{Legacy, is_short};
use crate::profile::Profile;
use crate::server_name::ServerName;
use crate::signer::{Signer, is_strong};
use crate::template::{Template, assemble};

/// How strong a certificate has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Version 3, a strong signature and a strong key, under an authority that is as good.
    Production,
    /// In a test store: exactly as weak as this, under whatever authority there is.
    Test(Legacy),
}

impl Rules {
    pub(crate) fn legacy(self) -> Legacy {
        match self {
            Self::Production => Legacy::default(),
            Self::Test(legacy) => legacy,
        }
    }

    /// The version that certificates have under these rules.
    pub(crate) fn version(self) -> Version {
        if self.legacy().x509_v1 { Version::V1 } else { Version::V3 }
    }
}

/// A certificate that passed every check and waits for its signature. Only [`prepare`] makes one; issuing spends it.
#[derive(Debug)]
pub(crate) struct Linted<'a> {
    template: Template,
    issuer: Option<&'a Certificate>,
    tbs: Vec<u8>,
}

/// Builds the to-be-signed bytes and checks them, under a placeholder no key made in the signature's place.
pub(crate) fn prepare(
    template: Template,
    profile: Profile,
    rules: Rules,
    issuer: Option<&Certificate>,
) -> Result<Linted<'_>, IssueError> {
    let tbs = template.to_tbs()?;
    let placeholder = assemble(&tbs, &template.signature_algorithm, &[0; 64])?;
    judge(&placeholder, &tbs, &template, profile, rules, issuer)?;
    Ok(Linted { template, issuer, tbs })
}

impl Linted<'_> {
    /// Signs, reads the result back with the second parser, and compares it with what was meant.
    pub(crate) fn issue(self, signer: &dyn Signer) -> Result<Certificate, IssueError> {
        let algorithm = &self.template.signature_algorithm;
        if signer.algorithm() != *algorithm {
            return Err(complaint("it is to be signed with another algorithm than it says"));
        }
        let signature = signer.sign(&self.tbs)?;
        let der = assemble(&self.tbs, algorithm, &signature)?;
        let certificate = read_back(&der, &self.tbs, &self.template)?;
        let issuer_key =
            self.issuer.map_or(self.template.public_key.as_slice(), |issuer| issuer.public_key().spki_der());
        if !signer.verifies(issuer_key, certificate.tbs(), &signature) {
            return Err(complaint("the signature does not verify under the issuer's key"));
        }
        Ok(certificate)
    }
}

/// Signs a test twin, whose template is its original's and may hold anything: what comes out is compared byte for byte
/// with what was meant, before and after, and nothing else is asked of it.
pub(crate) fn sign_twin(
    template: &Template,
    signer: &dyn Signer,
    issuer_key: &[u8],
) -> Result<Certificate, IssueError> {
    let tbs = template.to_tbs()?;
    read_back(&assemble(&tbs, &template.signature_algorithm, &[0; 64])?, &tbs, template)?;
    let signature = signer.sign(&tbs)?;
    let certificate = read_back(&assemble(&tbs, &template.signature_algorithm, &signature)?, &tbs, template)?;
    if !signer.verifies(issuer_key, certificate.tbs(), &signature) {
        return Err(complaint("the signature does not verify under the issuer's key"));
    }
    Ok(certificate)
}

/// Reads with the second parser what was made, and compares it with what was meant.
fn read_back(der: &[u8], tbs: &[u8], template: &Template) -> Result<Certificate, IssueError> {
    let certificate = Certificate::parse(der)
        .map_err(|error| complaint(&format!("the second parser refuses it: {error}")))?;
    let mut complaints = Vec::new();
    compare(&certificate, tbs, template, &mut complaints);
    if complaints.is_empty() { Ok(certificate) } else { Err(IssueError::Lint { complaints }) }
}

fn complaint(text: &str) -> IssueError {
    IssueError::Lint { complaints: vec![text.to_owned()] }
}

fn judge(
    der: &[u8],
    tbs: &[u8],
    template: &Template,
    profile: Profile,
    rules: Rules,
    issuer: Option<&Certificate>,
) -> Result<Certificate, IssueError> {
    let certificate = Certificate::parse(der)
        .map_err(|error| complaint(&format!("the second parser refuses it: {error}")))?;
    let mut complaints = Vec::new();
    compare(&certificate, tbs, template, &mut complaints);
    for (ok, what) in [
        (template.signature_algorithm.to_der()?.len() < 32, "the signature algorithm is no simple one"),
        (!certificate.subject().is_empty(), "the subject is empty"),
    ] {
        if !ok {
            complaints.push(what.to_owned());
        }
    }
    check_strength(&certificate, template, rules, &mut complaints);
    let names = names(&certificate, &mut complaints);
    if certificate.version() == Version::V3 {
        check_extensions(&certificate, profile, &names, &mut complaints);
    }
    check_issuer(&certificate, rules, issuer, &mut complaints);
    if complaints.is_empty() { Ok(certificate) } else { Err(IssueError::Lint { complaints }) }
}

/// Byte for byte what was intended (CA I1, B5, C1, R1, R2, R10).
fn compare(certificate: &Certificate, tbs: &[u8], template: &Template, complaints: &mut Vec<String>) {
    let extensions_match = certificate.extensions().len() == template.extensions.len()
        && certificate.extensions().iter().zip(&template.extensions).all(|(found, meant)| {
            found.oid.as_bytes() == meant.extn_id.as_bytes()
                && found.critical == meant.critical
                && *found.value == *meant.extn_value.as_bytes()
        });
    let distinct: BTreeSet<_> = template.extensions.iter().map(|extension| extension.extn_id).collect();
    for (ok, what) in [
        (certificate.tbs() == tbs, "the signed part changed"),
        (certificate.version() == template.version, "the version changed"),
        (certificate.serial().as_bytes() == template.serial, "the serial number changed"),
        (is_good_serial(&template.serial), "the serial number is not 9 to 19 octets, positive"),
        (certificate.issuer().der() == template.issuer, "the issuer's name changed"),
        (certificate.subject().der() == template.subject, "the subject changed"),
        (certificate.validity() == template.validity, "the dates changed"),
        (certificate.public_key().spki_der() == template.public_key, "the public key changed"),
        (extensions_match, "the extensions changed"),
        (distinct.len() == template.extensions.len(), "an extension occurs twice"),
    ] {
        if !ok {
            complaints.push(what.to_owned());
        }
    }
}

/// Strong in a production store; in a test store exactly as weak as was asked for, by mistake neither more nor less.
fn check_strength(
    certificate: &Certificate,
    template: &Template,
    rules: Rules,
    complaints: &mut Vec<String>,
) {
    let mut require = |ok: bool, what: &str| {
        if !ok {
            complaints.push(what.to_owned());
        }
    };
    let is_short = is_short(certificate.public_key().algorithm());
    require(certificate.version() == rules.version(), "the version is not the one that is due");
    match rules {
        Rules::Production => {
            require(is_strong(&template.signature_algorithm), "the signature algorithm is not a strong one");
            require(!is_short, "the RSA key has less than 2048 bits");
        }
        Rules::Test(legacy) => {
            let found = Legacy::found_in(certificate);
            let due = legacy.normal();
            require(
                (found.md5, found.sha1) == (due.md5, due.sha1),
                "the signature's hash is not the one asked for",
            );
            require(is_short == legacy.rsa_1024, "the length of the RSA key is not the one asked for");
        }
    }
}

fn is_good_serial(octets: &[u8]) -> bool {
    (9..=19).contains(&octets.len()) && octets.first().is_some_and(|first| (1..0x80).contains(first))
}

/// The name rules run on what the certificate says, wherever it came from (CA B4, D5).
fn names(certificate: &Certificate, complaints: &mut Vec<String>) -> Vec<String> {
    let mut names = Vec::new();
    let Some(alternatives) = certificate.subject_alternative_names() else {
        return names;
    };
    for name in alternatives.names() {
        let text = if let certs::GeneralName::Dns(host) = name {
            if let Err(error) = ServerName::host(host) {
                complaints.push(error.to_string());
            }
            host.to_string()
        } else if let Some(address) = name.ip_address() {
            address.to_string()
        } else {
            complaints.push(format!("the name {name} is neither host nor address"));
            continue;
        };
        if names.contains(&text) {
            complaints.push(format!("the name {text} occurs twice"));
        }
        names.push(text);
    }
    names
}

/// Extensions agree with the profile, the key and each other (CA C3, D7, F1, F2).
fn check_extensions(
    certificate: &Certificate,
    profile: Profile,
    names: &[String],
    complaints: &mut Vec<String>,
) {
    let constraints = certificate.basic_constraints();
    let purposes: Vec<String> = certificate
        .extended_key_usage()
        .map(|usage| usage.purposes().iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    let usage: Vec<&str> = certificate.key_usage().map(|usage| usage.names().collect()).unwrap_or_default();
    let is_authority = constraints.is_some_and(|constraints| constraints.ca);
    let mut require = |ok: bool, what: &str| {
        if !ok {
            complaints.push(what.to_owned());
        }
    };
    require(certificate.subject_key_identifier().is_some(), "there is no subject key identifier");
    require(names_one_list(certificate), "it names more than one revocation list, or none that http fetches");
    match profile {
        Profile::Authority { path_length } => {
            let stated = constraints.and_then(|constraints| constraints.path_length);
            require(is_authority, "basicConstraints does not say CA");
            require(stated == Some(u32::from(path_length)), "the path length is not the profile's");
            require(usage == ["keyCertSign", "cRLSign"], "the key usage is not an authority's");
            require(purposes.is_empty() && names.is_empty(), "an authority has purposes or host names");
        }
        Profile::Device => {
            require(!is_authority, "a device would be an authority");
            require(usage == ["digitalSignature"], "the key usage is not a device's");
            require(purposes == ["1.3.6.1.5.5.7.3.2"], "the purpose is not client authentication alone");
            require(names.is_empty(), "a device has no host names");
        }
        Profile::Responder => {
            let is_checked =
                certificate.extensions().iter().all(|one| one.oid.to_string() != "1.3.6.1.5.5.7.48.1.5");
            require(!is_authority, "a responder would be an authority");
            require(usage == ["digitalSignature"], "the key usage is not a responder's");
            require(purposes == ["1.3.6.1.5.5.7.3.9"], "the purpose is not OCSP signing alone");
            require(names.is_empty(), "a responder has no host names");
            require(!is_checked, "a responder would have to be asked about itself");
        }
        Profile::Server => {
            let rsa = matches!(certificate.public_key().algorithm(), KeyAlgorithm::Rsa { .. });
            let expected: &[&str] =
                if rsa { &["digitalSignature", "keyEncipherment"] } else { &["digitalSignature"] };
            let common_name = certificate
                .subject()
                .values_of(&certs::oid::COMMON_NAME)
                .next()
                .and_then(|attribute| attribute.text().ok().map(|text| text.into_owned()));
            require(!is_authority, "a server would be an authority");
            require(usage == expected, "the key usage does not fit the server's key");
            require(purposes == ["1.3.6.1.5.5.7.3.1"], "the purpose is not server authentication alone");
            require(
                common_name.is_some_and(|name| names.contains(&name)),
                "the common name is not among the subject alternative names",
            );
        }
    }
}

/// One distribution point with one http URI, or none at all (CA F4).
fn names_one_list(certificate: &Certificate) -> bool {
    match certificate.crl_distribution_points() {
        [] => true,
        [point] => {
            let uris: Vec<_> = point.uris().collect();
            matches!(&uris[..], [uri] if uri.starts_with("http://"))
                && !point.only_some_reasons
                && point.crl_issuer.is_empty()
        }
        [_, _, ..] => false,
    }
}

/// The certificate fits under its issuer (CA C1, C4).
fn check_issuer(
    certificate: &Certificate,
    rules: Rules,
    issuer: Option<&Certificate>,
    complaints: &mut Vec<String>,
) {
    let mut require = |ok: bool, what: &str| {
        if !ok {
            complaints.push(what.to_owned());
        }
    };
    let validity = certificate.validity();
    require(validity.not_before < validity.not_after, "it ends before it begins");
    match issuer {
        None => {
            require(
                certificate.subject().der() == certificate.issuer().der(),
                "a root is not its own issuer",
            );
            require(certificate.authority_key_identifier().is_none(), "a root names another key");
        }
        Some(issuer) => {
            let names_key = certificate
                .authority_key_identifier()
                .and_then(|identifier| identifier.key_identifier.as_deref());
            require(
                certificate.issuer().der() == issuer.subject().der(),
                "the issuer's name is not the issuer's subject",
            );
            require(validity.not_after <= issuer.validity().not_after, "it outlives its issuer");
            let has_extensions = certificate.version() == Version::V3 && issuer.version() == Version::V3;
            require(
                names_key == issuer.subject_key_identifier().filter(|_| has_extensions)
                    && names_key.is_some() == has_extensions,
                "the authority key identifier is not the issuer's",
            );
            if let Some(name) = issuer.name_not_permitted(certificate) {
                require(false, &format!("its issuer may not name {name}")); // CA C5
            }
            if issuer.version() == Version::V1 && rules != Rules::Production {
                return; // the old root of a test store says nothing of what it may do
            }
            let constraints = issuer.basic_constraints();
            require(constraints.is_some_and(|one| one.ca), "its issuer is no authority");
            require(
                issuer.key_usage().is_none_or(|usage| usage.names().any(|name| name == "keyCertSign")),
                "its issuer may not sign certificates",
            );
            // An authority takes one place of the path its issuer allows, and allows fewer itself (RFC 5280 §4.2.1.9).
            if let Some(own) = certificate.basic_constraints().filter(|one| one.ca)
                && let Some(allowed) = constraints.and_then(|one| one.path_length)
            {
                require(
                    own.path_length.is_some_and(|own| own < allowed),
                    "its issuer allows no such authority below it",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
