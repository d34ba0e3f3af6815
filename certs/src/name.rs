//! Distinguished names: their attributes, their comparison and their text forms.

mod attribute;
mod compare;
mod text;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use attribute::{Attribute, ValueError};

use crate::der::{self, Element, Reader, tag};
use crate::error::ParseError;
use crate::oid::Oid;

/// A distinguished name (RFC 5280 §4.1.2.4) over its own DER.
///
/// `==` compares the DER byte for byte; [`equals`](Self::equals) compares as RFC 5280 §7.1 says. Displays as RFC 4514
/// text.
#[derive(Clone)]
pub struct DistinguishedName {
    der: Arc<[u8]>,
    attributes: Arc<[Attribute]>,
    rdns: usize,
}

impl DistinguishedName {
    /// Most attributes of a name: more than any honest one, few enough to compare quickly.
    pub const MAX_ATTRIBUTES: usize = 64;

    /// Reads a DER encoded Name.
    ///
    /// # Errors
    /// [`ParseError::Der`] for anything else, trailing bytes, or more than [`MAX_ATTRIBUTES`](Self::MAX_ATTRIBUTES).
    pub fn parse(der: &[u8]) -> Result<Self, ParseError> {
        let read = || {
            let mut reader = Reader::new(der);
            let name = Self::read(&mut reader)?;
            reader.finish().map(|()| name)
        };
        read().map_err(ParseError::der("distinguished name"))
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> der::Result<Self> {
        Self::from_rdn_sequence(&reader.expect(tag::SEQUENCE, "a distinguished name")?)
    }

    pub(crate) fn from_rdn_sequence(name: &Element<'_>) -> der::Result<Self> {
        let der: Arc<[u8]> = name.encoded.into();
        let mut attributes = Vec::with_capacity(8);
        let mut rdns = 0;
        let mut sequence = name.reader();
        while !sequence.is_empty() {
            let mut set = sequence.expect(tag::SET, "a relative distinguished name")?.reader();
            let first = attributes.len();
            while !set.is_empty() {
                let mut pair = set.sequence("an attribute")?;
                let oid = Oid::from_element(&pair.expect(tag::OBJECT_IDENTIFIER, "an attribute type")?)?;
                let value = pair.any()?;
                pair.finish()?;
                if attributes.len() == Self::MAX_ATTRIBUTES {
                    return value.invalid("name with very many attributes");
                }
                let start = value.offset - name.offset;
                attributes.push(Attribute::new(&der, oid, rdns, start..start + value.encoded.len(), &value));
            }
            match attributes.len() - first {
                0 => return sequence.fail(der::DerProblem::Invalid("empty relative distinguished name")),
                1 => {}
                _ => attributes.iter_mut().skip(first).for_each(Attribute::set_multi_valued),
            }
            rdns += 1;
        }
        Ok(Self { der, attributes: attributes.into(), rdns })
    }

    /// The DER encoding.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the name has no attribute at all.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// Every attribute, in the order of the certificate.
    pub fn attributes(&self) -> impl DoubleEndedIterator<Item = &Attribute> + ExactSizeIterator {
        self.attributes.iter()
    }

    /// The attributes of each relative distinguished name, in the order of the certificate.
    pub fn rdns(&self) -> impl DoubleEndedIterator<Item = &[Attribute]> {
        self.attributes.chunk_by(|left, right| left.rdn() == right.rdn())
    }

    /// How many relative distinguished names there are.
    pub fn rdn_count(&self) -> usize {
        self.rdns
    }

    /// Every attribute of one type, in the order of the certificate.
    pub fn values_of<'a>(&'a self, oid: &Oid) -> impl Iterator<Item = &'a Attribute> + use<'a> {
        let oid = *oid;
        self.attributes.iter().filter(move |attribute| *attribute.oid() == oid)
    }

    /// Compares as RFC 5280 §7.1: case, runs of spaces and the kind of string do not matter.
    pub fn equals(&self, other: &Self) -> bool {
        self.der == other.der || (self.rdns == other.rdns && self.is_within(other))
    }

    /// Whether the name lies in the subtree below `base` (RFC 5280 §4.2.1.10).
    pub fn is_within(&self, base: &Self) -> bool {
        self.rdns >= base.rdns
            && self.rdns().zip(base.rdns()).all(|(own, other)| compare::same_rdn(own, other))
    }

    /// The name with one more relative distinguished name, given as the DER of its SET.
    pub(crate) fn with_rdn(&self, set: &[u8]) -> Option<Self> {
        let mut sequence = Reader::new(&self.der).any().ok()?.value.to_vec();
        sequence.extend_from_slice(set);
        Self::parse(&der::encode(tag::SEQUENCE, &sequence)).ok()
    }

    /// As nginx writes it: RFC 2253 with every byte beyond ASCII escaped, last attribute first.
    pub fn to_rfc2253(&self) -> String {
        text::rfc2253(self, text::Beyond7Bit::Escaped)
    }

    /// As Apache writes it: RFC 2253 in UTF-8 (OpenSSL's `RFC2253,-esc_msb`), last attribute first.
    pub fn to_rfc2253_utf8(&self) -> String {
        text::rfc2253(self, text::Beyond7Bit::Kept)
    }

    /// RFC 4514 text for people, the same as [`to_rfc2253_utf8`](Self::to_rfc2253_utf8).
    pub fn to_rfc4514(&self) -> String {
        self.to_rfc2253_utf8()
    }

    /// As OpenSSL's `X509_NAME_oneline`: `/C=XX/CN=name`, in the order of the certificate.
    pub fn to_one_line(&self) -> String {
        text::one_line(self)
    }
}

impl PartialEq for DistinguishedName {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for DistinguishedName {}

impl Hash for DistinguishedName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.der.hash(state);
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.to_rfc4514())
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "DistinguishedName({self})")
    }
}
