//! Certificate revocation lists (RFC 5280 §5).
//!
//! A list that is DER but that the product cannot rely on is loaded all the same and says why it is not usable, so
//! that it can be named to the operator. A million entries cost four to eight bytes each beside the DER.

mod entry;
mod index;
mod number;
mod scope;

use std::fmt;
use std::ops::Range;

use entry::Entry;
pub use entry::{RevocationReason, Revoked};
use index::SerialIndex;
pub use number::CrlNumber;
pub(crate) use scope::Scope;

use crate::der::{self, Element, Reader, tag};
use crate::envelope::Envelope;
use crate::error::ParseError;
use crate::extension::{AuthorityKeyIdentifier, DistributionPointName, Extension};
use crate::fingerprint::Fingerprint;
use crate::key::PublicKey;
use crate::name::DistinguishedName;
use crate::oid::{self, Oid};
use crate::pem;
use crate::serial::Serial;
use crate::signature::{SignatureAlgorithm, SignatureError};
use crate::validity::Timestamp;

/// A certificate revocation list over its DER.
pub struct RevocationList {
    der: Box<[u8]>,
    tbs: Range<usize>,
    signature: Range<usize>,
    signature_algorithm: SignatureAlgorithm,
    issuer: DistinguishedName,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    number: Option<CrlNumber>,
    authority_key_identifier: Option<AuthorityKeyIdentifier>,
    scope: Scope,
    entries: SerialIndex,
    unusable: Option<Unusable>,
    fingerprint: Fingerprint,
}

/// Why a list cannot be relied on, whoever signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// It covers attribute certificates.
    #[error("it covers attribute certificates only")]
    AttributeCertificates,
    /// It claims to hold only end entities and only authorities.
    #[error("its scope contradicts itself")]
    ContradictoryScope,
    /// It is a difference to another list (RFC 5280 §5.2.4).
    #[error("it is a delta list")]
    Delta,
    /// It covers certificates of several issuers (RFC 5280 §5.2.5).
    #[error("it is an indirect list")]
    Indirect,
    /// An extension is malformed.
    #[error("its extension {oid} is malformed")]
    MalformedExtension {
        /// The extension.
        oid: Oid,
    },
    /// It does not say when the next list comes (RFC 5280 §5.1.2.5).
    #[error("it has no nextUpdate")]
    NoNextUpdate,
    /// It has extensions but no number (RFC 5280 §5.2.3).
    #[error("it has no CRL number")]
    NoNumber,
    /// It covers only some reasons for revocation.
    #[error("it covers only some reasons for revocation")]
    SomeReasons,
    /// A critical extension, of the list or of an entry, that the product does not process.
    #[error("it has the unknown critical extension {oid}")]
    UnknownCriticalExtension {
        /// The extension.
        oid: Oid,
    },
}

impl RevocationList {
    /// Most bytes of a list: more than four million entries.
    pub const MAX_SIZE: usize = 256 * 1024 * 1024;

    /// Reads one list, DER or a PEM text with one `X509 CRL` block.
    ///
    /// # Errors
    /// Bytes that are no CRL. One that is a CRL but cannot be relied on is read, and
    /// [`unusable_reason`](Self::unusable_reason) says why.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > Self::MAX_SIZE {
            return Err(ParseError::TooLarge { what: "CRL", size: bytes.len(), limit: Self::MAX_SIZE });
        }
        if bytes.first() != Some(&tag::SEQUENCE) && pem::looks_like_pem(bytes) {
            Self::parse_der(pem::single(bytes, &[pem::X509_CRL], pem::X509_CRL)?.into())
        } else {
            Self::parse_der(bytes.into())
        }
    }

    fn parse_der(der: Box<[u8]>) -> Result<Self, ParseError> {
        const WHAT: &str = "CRL";
        let broken = ParseError::der(WHAT);
        let envelope = Envelope::read(&der, WHAT)?;
        let mut tbs = envelope.tbs.reader();
        let version = match tbs.peek_tag() {
            Some(tag::INTEGER) => tbs.small_integer("a version").map_err(broken)?,
            _ => 0,
        };
        if version > 1 {
            return Err(ParseError::UnsupportedVersion { what: WHAT, version });
        }
        if tbs.expect(tag::SEQUENCE, "a signature algorithm").map_err(broken)?.encoded
            != envelope.algorithm.encoded
        {
            return Err(ParseError::AlgorithmMismatch { what: WHAT });
        }
        let issuer = DistinguishedName::read(&mut tbs).map_err(broken)?;
        let this_update = Timestamp::read(&mut tbs).map_err(broken)?;
        let next_update = match tbs.peek_tag() {
            Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => Some(Timestamp::read(&mut tbs).map_err(broken)?),
            _ => None,
        };
        let revoked = tbs.optional(tag::SEQUENCE).map_err(broken)?;
        let extensions = read_extensions(&mut tbs).map_err(broken)?;
        if version == 0 && !extensions.is_empty() {
            return Err(ParseError::ExtensionsInOldVersion { version: 1 });
        }
        if let Some(oid) = Extension::duplicate(&extensions) {
            return Err(ParseError::DuplicateExtension { oid });
        }
        let mut facts = Facts::read(&extensions);
        if version == 1 && facts.number.is_none() {
            facts.refuse(Unusable::NoNumber);
        }
        if next_update.is_none() {
            facts.refuse(Unusable::NoNextUpdate);
        }
        let mut entries = SerialIndex::default();
        if let Some(revoked) = &revoked {
            let extended = read_entries(revoked, &mut entries, &mut facts).map_err(broken)?;
            if version == 0 && extended {
                return Err(ParseError::ExtensionsInOldVersion { version: 1 });
            }
        }
        let signature_algorithm = SignatureAlgorithm::from_element(&envelope.algorithm).map_err(broken)?;
        let (tbs, signature) = (envelope.tbs.range(), envelope.signature.value_range_at_end());
        entries.build(&der);
        let Facts { number, authority_key_identifier, scope, unusable } = facts;
        Ok(Self {
            fingerprint: Fingerprint::of(&der),
            der,
            tbs,
            signature,
            signature_algorithm,
            issuer,
            this_update,
            next_update,
            number,
            authority_key_identifier,
            scope,
            entries,
            unusable,
        })
    }

    /// The DER encoding.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The SHA-256 of the DER.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Who issued it.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// Its number, when it has one.
    pub fn number(&self) -> Option<CrlNumber> {
        self.number
    }

    /// When it was issued.
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// By when the next one is issued; without it the list is unusable.
    pub fn next_update(&self) -> Option<Timestamp> {
        self.next_update
    }

    /// How it was signed.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Which key of the issuer signed it, when it says.
    pub fn authority_key_identifier(&self) -> Option<&AuthorityKeyIdentifier> {
        self.authority_key_identifier.as_ref()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is revoked, which is a valid state (SEC-48).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry of a serial number, in constant time.
    pub fn contains(&self, serial: &Serial) -> Option<Revoked> {
        let offset = self.entries.find(&self.der, serial.as_bytes())?;
        let mut fields = Reader::new(self.der.get(offset..)?).sequence("an entry").ok()?;
        Entry::read(&mut fields).ok().map(|entry| Revoked { date: entry.date, reason: entry.reason })
    }

    /// Every entry, in the list's order. A careless list may have one serial number twice.
    pub fn entries(&self) -> impl Iterator<Item = (Serial, Revoked)> {
        self.entries.offsets().filter_map(|offset| {
            let element = self.der.get(offset..)?;
            let serial = Serial::read(&mut Reader::new(element).sequence("an entry").ok()?).ok()?;
            let entry = Entry::read(&mut Reader::new(element).sequence("an entry").ok()?).ok()?;
            Some((Serial::from_bytes(serial), Revoked { date: entry.date, reason: entry.reason }))
        })
    }

    /// Whether the list can be relied on, if its issuer signed it and its time is right.
    pub fn is_usable(&self) -> bool {
        self.unusable.is_none()
    }

    /// Why the list cannot be relied on.
    pub fn unusable_reason(&self) -> Option<Unusable> {
        self.unusable
    }

    /// Whether this key signed the list.
    ///
    /// # Errors
    /// It did not, or with an algorithm that is not supported.
    pub fn verify_signature(&self, key: &PublicKey) -> Result<(), SignatureError> {
        let tbs = self.der.get(self.tbs.clone()).unwrap_or_default();
        let signature = self.der.get(self.signature.clone()).unwrap_or_default();
        self.signature_algorithm.verify(key, tbs, signature)
    }

    /// The distribution point whose certificates it covers; without one, all of its issuer (RFC 5280 §5.2.5).
    pub fn distribution_point(&self) -> Option<&DistributionPointName> {
        self.scope.point()
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// Says whether any entry has extensions.
fn read_entries(revoked: &Element<'_>, entries: &mut SerialIndex, facts: &mut Facts) -> der::Result<bool> {
    let mut extended = false;
    let mut reader = revoked.reader();
    while !reader.is_empty() {
        let element = reader.expect(tag::SEQUENCE, "an entry")?;
        let entry = Entry::read(&mut element.reader())?;
        if let Some(reason) = entry.unusable {
            facts.refuse(reason);
        }
        extended |= entry.has_extensions;
        if !entries.push(element.offset) {
            return element.invalid("offset of an entry");
        }
    }
    Ok(extended)
}

fn read_extensions(tbs: &mut Reader<'_>) -> der::Result<Box<[Extension]>> {
    let outer = tbs.optional(tag::context_constructed(0))?;
    tbs.finish()?;
    let Some(outer) = outer else { return Ok(Box::default()) };
    let mut reader = outer.reader();
    let list = reader.expect(tag::SEQUENCE, "a list of extensions")?;
    reader.finish()?;
    Extension::read_all(&list)
}

/// What the extensions of a list say.
#[derive(Default)]
struct Facts {
    number: Option<CrlNumber>,
    authority_key_identifier: Option<AuthorityKeyIdentifier>,
    scope: Scope,
    unusable: Option<Unusable>,
}

impl Facts {
    fn read(extensions: &[Extension]) -> Self {
        let mut facts = Self::default();
        for extension in extensions {
            facts.read_one(extension);
        }
        facts
    }

    fn read_one(&mut self, extension: &Extension) {
        let oid = extension.oid;
        let malformed = Unusable::MalformedExtension { oid };
        match oid {
            // RFC 5280 §5.2.3: never critical.
            oid::CRL_NUMBER => match CrlNumber::parse(&extension.value) {
                Some(number) if !extension.critical => self.number = Some(number),
                Some(_) | None => self.refuse(malformed),
            },
            oid::AUTHORITY_KEY_IDENTIFIER => match AuthorityKeyIdentifier::parse(&extension.value) {
                Ok(identifier) => self.authority_key_identifier = Some(identifier),
                Err(_) => self.refuse(malformed),
            },
            oid::ISSUING_DISTRIBUTION_POINT => match Scope::parse(&extension.value) {
                Ok((scope, unusable)) => {
                    self.scope = scope;
                    unusable.into_iter().for_each(|reason| self.refuse(reason));
                }
                Err(_) => self.refuse(malformed),
            },
            oid::DELTA_CRL_INDICATOR => self.refuse(Unusable::Delta),
            oid if extension.critical => self.refuse(Unusable::UnknownCriticalExtension { oid }),
            _ => {}
        }
    }

    /// Keeps the first reason.
    fn refuse(&mut self, reason: Unusable) {
        self.unusable.get_or_insert(reason);
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = out.debug_struct("RevocationList");
        text.field("issuer", &format_args!("{}", self.issuer)).field("this_update", &self.this_update);
        text.field("next_update", &self.next_update).field("entries", &self.len());
        text.field("unusable", &self.unusable).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
