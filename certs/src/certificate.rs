//! Certificates, read once, their facts kept beside their DER.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::chain::names::NameConstraints;
use crate::chain::policies::PolicyFacts;
use crate::der::{self, Element, Reader, tag};
use crate::envelope::Envelope;
use crate::error::ParseError;
use crate::extension::{
    AuthorityKeyIdentifier, BasicConstraints, DistributionPoint, ExtendedKeyUsage, Extension, KeyUsage,
    parse_subject_key_identifier,
};
use crate::fingerprint::Fingerprint;
use crate::general_name::SubjectAltNames;
use crate::key::PublicKey;
use crate::name::DistinguishedName;
use crate::oid::{self, Oid};
use crate::pem;
use crate::serial::Serial;
use crate::signature::{self, SignatureAlgorithm};
use crate::validity::{Timestamp, Validity};

/// The version of a certificate (RFC 5280 §4.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// Without extensions.
    V1,
    /// With unique identifiers, without extensions.
    V2,
    /// With extensions.
    V3,
}

impl Version {
    /// 1, 2 or 3.
    pub fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// One parsed certificate (RFC 5280 §4.1) over its DER. Cloning is cheap; `==` compares the DER.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Box<[u8]>,
    tbs: Range<usize>,
    signature: Range<usize>,
    signature_algorithm: SignatureAlgorithm,
    version: Version,
    serial: Serial,
    subject: DistinguishedName,
    issuer: DistinguishedName,
    validity: Validity,
    public_key: PublicKey,
    fingerprint: Fingerprint,
    extensions: Box<[Extension]>,
    facts: Facts,
    self_issued: bool,
    entity: OnceLock<Fingerprint>,
}

/// The extensions that are understood.
#[derive(Default)]
struct Facts {
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<ExtendedKeyUsage>,
    subject_alternative_names: Option<SubjectAltNames>,
    subject_key_identifier: Option<Box<[u8]>>,
    authority_key_identifier: Option<AuthorityKeyIdentifier>,
    distribution_points: Option<Box<[DistributionPoint]>>,
    name_constraints: Option<NameConstraints>,
    policies: PolicyFacts,
    unknown_critical: Option<Oid>,
}

impl Certificate {
    /// Most bytes of a certificate (SEC-54, CA.md I9).
    pub const MAX_SIZE: usize = 64 * 1024;

    /// Reads one DER encoded certificate.
    ///
    /// # Errors
    /// Anything that is not strictly DER, trailing bytes, repeated extensions, malformed known extensions, or more
    /// than [`MAX_SIZE`](Self::MAX_SIZE) bytes.
    pub fn parse(der: &[u8]) -> Result<Self, ParseError> {
        const WHAT: &str = "certificate";
        if der.len() > Self::MAX_SIZE {
            return Err(ParseError::TooLarge { what: WHAT, size: der.len(), limit: Self::MAX_SIZE });
        }
        let broken = ParseError::der(WHAT);
        let envelope = Envelope::read(der, WHAT)?;
        let mut tbs = envelope.tbs.reader();
        let version = read_version(&mut tbs)?;
        let serial = Serial::from_bytes(Serial::read(&mut tbs).map_err(broken)?);
        let inner_algorithm = tbs.expect(tag::SEQUENCE, "a signature algorithm").map_err(broken)?;
        if inner_algorithm.encoded != envelope.algorithm.encoded {
            return Err(ParseError::AlgorithmMismatch { what: WHAT });
        }
        let issuer = DistinguishedName::read(&mut tbs).map_err(broken)?;
        let validity = read_validity(&mut tbs).map_err(broken)?;
        let subject = DistinguishedName::read(&mut tbs).map_err(broken)?;
        let spki = tbs.expect(tag::SEQUENCE, "a public key").map_err(broken)?;
        let public_key = PublicKey::from_element(&spki).map_err(broken)?;
        let extensions = read_tail(&mut tbs, version)?;
        if let Some(oid) = Extension::duplicate(&extensions) {
            return Err(ParseError::DuplicateExtension { oid });
        }
        let facts = Facts::read(&extensions)?;
        let self_issued = subject.equals(&issuer);
        Ok(Self(Arc::new(Inner {
            tbs: envelope.tbs.range(),
            signature: envelope.signature.value_range_at_end(),
            signature_algorithm: SignatureAlgorithm::from_element(&envelope.algorithm).map_err(broken)?,
            version,
            serial,
            subject,
            issuer,
            validity,
            public_key,
            fingerprint: Fingerprint::of(der),
            extensions,
            facts,
            self_issued,
            entity: OnceLock::new(),
            der: der.into(),
        })))
    }

    /// Reads a PEM text that holds one certificate and no other block.
    ///
    /// # Errors
    /// Broken armour, another number or kind of blocks, or what [`parse`](Self::parse) refuses.
    pub fn parse_pem(text: impl AsRef<[u8]>) -> Result<Self, ParseError> {
        let labels = [pem::CERTIFICATE, "X509 CERTIFICATE"];
        Self::parse(&pem::single(text.as_ref(), &labels, pem::CERTIFICATE)?)
    }

    /// The DER encoding.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The DER in a `CERTIFICATE` block.
    pub fn to_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE, self.der())
    }

    /// The SHA-256 of the DER.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// The fingerprint that the same certificate has with the other ECDSA signature of the same key, (r, n − s) for
    /// (r, s), computed when asked. Anybody can write the one for the other and both verify, so who looks for a
    /// certificate by its fingerprint looks for both. `None` when it is not signed with ECDSA.
    pub fn twin_fingerprint(&self) -> Option<Fingerprint> {
        self.twin_der().map(|der| Fingerprint::of(&der))
    }

    pub(crate) fn twin_der(&self) -> Option<Vec<u8>> {
        if !matches!(self.signature_algorithm(), SignatureAlgorithm::Ecdsa(_)) {
            return None;
        }
        let other = signature::twin(self.signature())?;
        let mut fields = Reader::new(self.der()).sequence("a certificate").ok()?;
        let (tbs, algorithm) = (fields.any().ok()?, fields.any().ok()?);
        let bits = der::encode(tag::BIT_STRING, &[&[0], &other[..]].concat());
        Some(der::encode(tag::SEQUENCE, &[tbs.encoded, algorithm.encoded, &bits].concat()))
    }

    /// The part that is signed.
    pub fn tbs(&self) -> &[u8] {
        self.0.der.get(self.0.tbs.clone()).unwrap_or_default()
    }

    /// The signature's bytes.
    pub fn signature(&self) -> &[u8] {
        self.0.der.get(self.0.signature.clone()).unwrap_or_default()
    }

    /// How the issuer signed it.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.0.signature_algorithm
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// The serial number.
    pub fn serial(&self) -> &Serial {
        &self.0.serial
    }

    /// Whom it is about.
    pub fn subject(&self) -> &DistinguishedName {
        &self.0.subject
    }

    /// Who issued it.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }

    /// When it is valid.
    pub fn validity(&self) -> Validity {
        self.0.validity
    }

    /// The subject's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// Whether subject and issuer are the same name (RFC 5280 §6.1).
    pub fn is_self_issued(&self) -> bool {
        self.0.self_issued
    }

    /// The same for certificates that hold the same key and names, which a path need not hold twice
    /// (RFC 4158 §2.4.2).
    pub(crate) fn entity(&self) -> Fingerprint {
        *self.0.entity.get_or_init(|| {
            let names =
                self.extensions().iter().find(|extension| extension.oid == oid::SUBJECT_ALTERNATIVE_NAME);
            let subject = Fingerprint::of(self.subject().canonical());
            let names = Fingerprint::of(names.map(|extension| &*extension.value).unwrap_or_default());
            let key = Fingerprint::of(self.public_key().spki_der());
            Fingerprint::of(&[*subject.as_bytes(), *names.as_bytes(), *key.as_bytes()].concat())
        })
    }

    /// Every extension, known or not.
    pub fn extensions(&self) -> &[Extension] {
        &self.0.extensions
    }

    /// The basicConstraints extension.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.0.facts.basic_constraints
    }

    /// The keyUsage extension.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.facts.key_usage
    }

    /// The extKeyUsage extension.
    pub fn extended_key_usage(&self) -> Option<&ExtendedKeyUsage> {
        self.0.facts.extended_key_usage.as_ref()
    }

    /// The subjectAltName extension.
    pub fn subject_alternative_names(&self) -> Option<&SubjectAltNames> {
        self.0.facts.subject_alternative_names.as_ref()
    }

    /// The subjectKeyIdentifier extension.
    pub fn subject_key_identifier(&self) -> Option<&[u8]> {
        self.0.facts.subject_key_identifier.as_deref()
    }

    /// The authorityKeyIdentifier extension.
    pub fn authority_key_identifier(&self) -> Option<&AuthorityKeyIdentifier> {
        self.0.facts.authority_key_identifier.as_ref()
    }

    /// The cRLDistributionPoints extension; empty when absent.
    pub fn crl_distribution_points(&self) -> &[DistributionPoint] {
        self.0.facts.distribution_points.as_deref().unwrap_or_default()
    }

    pub(crate) fn name_constraints(&self) -> Option<&NameConstraints> {
        self.0.facts.name_constraints.as_ref()
    }

    pub(crate) fn policies(&self) -> &PolicyFacts {
        &self.0.facts.policies
    }

    /// A critical extension that the product does not process.
    pub fn unknown_critical_extension(&self) -> Option<Oid> {
        self.0.facts.unknown_critical
    }

    /// Whether both are the same certificate in memory, or the same DER.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.der == other.0.der
    }
}

impl Facts {
    fn read(extensions: &[Extension]) -> Result<Self, ParseError> {
        let mut facts = Self::default();
        for extension in extensions {
            let value = &*extension.value;
            match extension.oid {
                oid::BASIC_CONSTRAINTS => {
                    facts.basic_constraints =
                        Some(known("basicConstraints", BasicConstraints::parse(value))?);
                }
                oid::KEY_USAGE => facts.key_usage = Some(known("keyUsage", KeyUsage::parse(value))?),
                oid::EXTENDED_KEY_USAGE => {
                    facts.extended_key_usage = Some(known("extKeyUsage", ExtendedKeyUsage::parse(value))?);
                }
                oid::SUBJECT_ALTERNATIVE_NAME => {
                    facts.subject_alternative_names =
                        Some(known("subjectAltName", SubjectAltNames::parse(value))?);
                }
                oid::SUBJECT_KEY_IDENTIFIER => {
                    facts.subject_key_identifier =
                        Some(known("subjectKeyIdentifier", parse_subject_key_identifier(value))?);
                }
                oid::AUTHORITY_KEY_IDENTIFIER => {
                    facts.authority_key_identifier =
                        Some(known("authorityKeyIdentifier", AuthorityKeyIdentifier::parse(value))?);
                }
                oid::CRL_DISTRIBUTION_POINTS => {
                    facts.distribution_points =
                        Some(known("cRLDistributionPoints", DistributionPoint::parse_all(value))?);
                }
                oid::NAME_CONSTRAINTS => {
                    facts.name_constraints = Some(known("nameConstraints", NameConstraints::parse(value))?);
                }
                _ if facts.policies.read(extension).map_err(ParseError::der("certificate policies"))? => {}
                oid => {
                    if extension.critical && facts.unknown_critical.is_none() {
                        facts.unknown_critical = Some(oid);
                    }
                }
            }
        }
        Ok(facts)
    }
}

fn known<T>(what: &'static str, result: der::Result<T>) -> Result<T, ParseError> {
    result.map_err(ParseError::der(what))
}

fn read_version(tbs: &mut Reader<'_>) -> Result<Version, ParseError> {
    let read = |tbs: &mut Reader<'_>| {
        let Some(outer) = tbs.optional(tag::context_constructed(0))? else { return Ok(None) };
        let mut reader = outer.reader();
        let number = reader.small_integer("a version")?;
        reader.finish().map(|()| Some(number))
    };
    match read(tbs).map_err(ParseError::der("certificate"))? {
        None => Ok(Version::V1),
        Some(1) => Ok(Version::V2),
        Some(2) => Ok(Version::V3),
        // An explicit 0 is the default, which DER leaves out.
        Some(version) => Err(ParseError::UnsupportedVersion { what: "certificate", version }),
    }
}

fn read_validity(tbs: &mut Reader<'_>) -> der::Result<Validity> {
    let mut times = tbs.sequence("a validity period")?;
    let not_before = Timestamp::read(&mut times)?;
    let not_after = Timestamp::read(&mut times)?;
    times.finish().map(|()| Validity { not_before, not_after })
}

/// Unique identifiers and extensions.
fn read_tail(tbs: &mut Reader<'_>, version: Version) -> Result<Box<[Extension]>, ParseError> {
    let broken = ParseError::der("certificate");
    let first_identifier = tbs.optional(tag::context(1)).map_err(broken)?;
    let second_identifier = tbs.optional(tag::context(2)).map_err(broken)?;
    if version == Version::V1
        && let Some(identifier) = first_identifier.or(second_identifier)
    {
        return identifier.invalid("unique identifier in a version 1 certificate").map_err(broken);
    }
    let outer = tbs.optional(tag::context_constructed(3)).map_err(broken)?;
    tbs.finish().map_err(broken)?;
    let Some(outer) = outer else { return Ok(Box::default()) };
    if version != Version::V3 {
        return Err(ParseError::ExtensionsInOldVersion { version: version.number() });
    }
    let read = |outer: &Element<'_>| {
        let mut reader = outer.reader();
        let list = reader.expect(tag::SEQUENCE, "a list of extensions")?;
        reader.finish()?;
        Extension::read_all(&list)
    };
    read(&outer).map_err(broken)
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl Eq for Certificate {}

impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.fingerprint.hash(state);
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = out.debug_struct("Certificate");
        text.field("subject", &format_args!("{}", self.subject()));
        text.field("issuer", &format_args!("{}", self.issuer()));
        text.field("serial", &format_args!("{}", self.serial())).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
