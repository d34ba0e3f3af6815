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
    /// Equal for names that are equal by RFC 5280 §7.1.
    canonical: Arc<[u8]>,
}

impl DistinguishedName {
    /// Most attributes of a name, more than any honest one.
    pub const MAX_ATTRIBUTES: usize = 64;
    /// Most attributes of one relative distinguished name, more than any honest one.
    pub const MAX_ATTRIBUTES_PER_RDN: usize = 8;

    /// Reads a DER encoded Name.
    ///
    /// # Errors
    /// [`ParseError::Der`] for anything else, trailing bytes, more than [`MAX_ATTRIBUTES`](Self::MAX_ATTRIBUTES), or
    /// more than [`MAX_ATTRIBUTES_PER_RDN`](Self::MAX_ATTRIBUTES_PER_RDN) together.
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
                if attributes.len() - first == Self::MAX_ATTRIBUTES_PER_RDN {
                    return value.invalid("relative distinguished name with very many attributes");
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
        let canonical = compare::canonical(split_rdns(&attributes)).into();
        Ok(Self { der, attributes: attributes.into(), rdns, canonical })
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
        split_rdns(&self.attributes)
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
        self.canonical == other.canonical
    }

    /// Whether the name lies in the subtree below `base` (RFC 5280 §4.2.1.10).
    pub fn is_within(&self, base: &Self) -> bool {
        self.canonical.starts_with(&base.canonical)
    }

    /// Bytes that are equal for names that [`equals`](Self::equals) finds equal.
    pub(crate) fn canonical(&self) -> &[u8] {
        &self.canonical
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

fn split_rdns(attributes: &[Attribute]) -> impl DoubleEndedIterator<Item = &[Attribute]> {
    attributes.chunk_by(|left, right| left.rdn() == right.rdn())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oid;
    use crate::testing::{CertificateBuilder, Pki};

    fn name(subject: impl Fn(CertificateBuilder) -> CertificateBuilder) -> DistinguishedName {
        subject(Pki::new().leaf()).issue().certificate.subject().clone()
    }

    #[test]
    fn case_spaces_and_string_types_do_not_matter() {
        // RFC 5280 §7.1, SEC-17
        let plain =
            name(|leaf| leaf.attribute(oid::ORGANIZATION, "Acme Phones").attribute(oid::COMMON_NAME, "Zoë"));
        let same = name(|leaf| {
            leaf.printable_attribute(oid::ORGANIZATION, "  ACME   phones ")
                .bmp_attribute(oid::COMMON_NAME, "ZOË")
        });
        assert!(plain.equals(&same) && same.equals(&plain));
        assert_ne!(plain, same, "their DER differs");
        let latin = name(|leaf| {
            leaf.attribute(oid::ORGANIZATION, "Acme Phones").raw_attribute(oid::COMMON_NAME, 0x14, b"Zo\xeb")
        });
        assert!(plain.equals(&latin));
    }

    #[test]
    fn anything_else_matters() {
        let plain = name(|leaf| leaf.attribute(oid::ORGANIZATION, "Acme").attribute(oid::COMMON_NAME, "x"));
        for other in [
            name(|leaf| leaf.attribute(oid::COMMON_NAME, "x").attribute(oid::ORGANIZATION, "Acme")),
            name(|leaf| leaf.attribute(oid::ORGANIZATION, "Acme")),
            name(|leaf| leaf.attribute(oid::ORGANIZATION, "Acme").attribute(oid::COMMON_NAME, "y")),
            name(|leaf| leaf.attribute(oid::ORGANIZATION, "Acme").attribute(oid::SURNAME, "x")),
            name(|leaf| leaf.attribute(oid::ORGANIZATION, "A cme").attribute(oid::COMMON_NAME, "x")),
            name(|leaf| leaf.multi_valued(&[(oid::ORGANIZATION, "Acme"), (oid::COMMON_NAME, "x")])),
            name(|leaf| {
                leaf.attribute(oid::ORGANIZATION, "Acme").raw_attribute(oid::COMMON_NAME, 0x0c, &[0xff])
            }),
            name(|leaf| leaf),
        ] {
            assert!(!plain.equals(&other) && !other.equals(&plain), "{other}");
        }
    }

    #[test]
    fn the_order_within_a_multi_valued_name_does_not_matter() {
        let one = name(|leaf| leaf.multi_valued(&[(oid::ORGANIZATION, "b"), (oid::COMMON_NAME, "a")]));
        let other = name(|leaf| leaf.multi_valued(&[(oid::COMMON_NAME, "A"), (oid::ORGANIZATION, "B")]));
        assert!(one.equals(&other));
        let repeated = name(|leaf| leaf.multi_valued(&[(oid::COMMON_NAME, "a"), (oid::COMMON_NAME, "A")]));
        assert!(!repeated.equals(&one));
    }

    #[test]
    fn a_subtree_holds_whole_relative_names_from_the_top() {
        let base = name(|leaf| leaf.attribute(oid::ORGANIZATION, "Acme"));
        let within = |leaf: CertificateBuilder| leaf.attribute(oid::ORGANIZATION, "ACME ");
        assert!(name(within).is_within(&base) && base.is_within(&name(|leaf| leaf)));
        assert!(name(|leaf| within(leaf).attribute(oid::COMMON_NAME, "x")).is_within(&base));
        for outside in [
            name(|leaf| leaf),
            name(|leaf| leaf.attribute(oid::ORGANIZATION, "Acme Phones")),
            name(|leaf| leaf.attribute(oid::COMMON_NAME, "x").attribute(oid::ORGANIZATION, "Acme")),
            name(|leaf| leaf.multi_valued(&[(oid::ORGANIZATION, "Acme"), (oid::COMMON_NAME, "x")])),
        ] {
            assert!(!outside.is_within(&base), "{outside}");
        }
    }

    #[test]
    fn refuses_more_attributes_than_any_honest_name_has() {
        let named = |leaf: CertificateBuilder| crate::Certificate::parse(&leaf.to_der());
        let together = |count| named(Pki::new().leaf().multi_valued(&vec![(oid::COMMON_NAME, "x"); count]));
        assert!(together(8).is_ok());
        let refused = together(9).unwrap_err();
        let ParseError::Der { source, .. } = refused else { panic!("{refused:?}") };
        let expected = "relative distinguished name with very many attributes";
        assert_eq!(source.problem, der::DerProblem::Invalid(expected));
        let apart = |count| {
            let leaf = Pki::new().leaf();
            named((0..count).fold(leaf, |leaf, _| leaf.attribute(oid::COMMON_NAME, "x")))
        };
        assert!(apart(64).is_ok());
        let refused = apart(65).unwrap_err();
        let ParseError::Der { source, .. } = refused else { panic!("{refused:?}") };
        assert_eq!(source.problem, der::DerProblem::Invalid("name with very many attributes"));
    }

    #[test]
    fn attributes_know_their_place() {
        let name = name(|leaf| {
            leaf.multi_valued(&[(oid::COMMON_NAME, "a"), (oid::SERIAL_NUMBER, "b")])
                .attribute(oid::COMMON_NAME, "c")
        });
        let common_names: Vec<_> = name.values_of(&oid::COMMON_NAME).collect();
        assert_eq!(common_names.len(), 2);
        assert_eq!((common_names[0].rdn(), common_names[0].is_multi_valued()), (0, true));
        assert_eq!((common_names[1].rdn(), common_names[1].is_multi_valued()), (1, false));
        assert_eq!(common_names[1].text().unwrap(), "c");
        assert_eq!(common_names[1].bytes(), b"c");
        assert_eq!(name.rdns().map(<[Attribute]>::len).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn values_decode_by_their_string_type() {
        let text = |tag: u8, bytes: &[u8]| {
            let name = name(|leaf| leaf.raw_attribute(oid::COMMON_NAME, tag, bytes));
            let attribute = name.attributes().next().unwrap();
            attribute.text().map(std::borrow::Cow::into_owned)
        };
        assert_eq!(text(0x13, b"abc").as_deref(), Ok("abc"));
        assert_eq!(text(0x0c, "ë".as_bytes()).as_deref(), Ok("ë"));
        assert_eq!(text(0x1e, &[0x00, 0xeb]).as_deref(), Ok("ë"));
        assert_eq!(text(0x1c, &[0, 0, 0, 0xeb]).as_deref(), Ok("ë"));
        assert_eq!(text(0x14, &[0xeb]).as_deref(), Ok("ë"));
        assert_eq!(
            text(0x0c, b"a\0b").as_deref(),
            Ok("a\0b"),
            "NUL is kept for the caller to refuse (SEC-15)"
        );
        for (tag, bytes) in [
            (0x13, &[0xeb][..]),
            (0x16, &[0x80]),
            (0x0c, &[0xff]),
            (0x1e, &[0x00]),
            (0x1e, &[0xd8, 0x00]),
            (0x1c, &[0, 0, 0]),
            (0x1c, &[0, 0x11, 0, 0]),
        ] {
            assert_eq!(text(tag, bytes), Err(ValueError::InvalidEncoding { tag }), "{bytes:?}");
        }
        assert_eq!(text(0x04, b"abc"), Err(ValueError::NotText { tag: 0x04 }));
    }
}
