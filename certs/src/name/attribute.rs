//! One attribute of a name, and the text of its value.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::der::{Element, tag};
use crate::oid::Oid;

/// An attribute type and value of a [`DistinguishedName`](crate::DistinguishedName).
#[derive(Clone)]
pub struct Attribute {
    name: Arc<[u8]>,
    encoded: Range<usize>,
    header: usize,
    tag: u8,
    oid: Oid,
    rdn: usize,
    multi_valued: bool,
}

/// Why the value of an attribute is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The bytes do not follow their string type, such as a UTF8String that is not UTF-8.
    #[error("invalid encoding of a string with tag 0x{tag:02x}")]
    InvalidEncoding {
        /// The DER tag.
        tag: u8,
    },
    /// The value is not of a string type.
    #[error("not a string but tag 0x{tag:02x}")]
    NotText {
        /// The DER tag.
        tag: u8,
    },
}

impl Attribute {
    pub(super) fn new(
        name: &Arc<[u8]>,
        oid: Oid,
        rdn: usize,
        encoded: Range<usize>,
        value: &Element<'_>,
    ) -> Self {
        let header = value.encoded.len() - value.value.len();
        Self { name: Arc::clone(name), encoded, header, tag: value.tag, oid, rdn, multi_valued: false }
    }

    pub(super) fn set_multi_valued(&mut self) {
        self.multi_valued = true;
    }

    /// The attribute type.
    pub fn oid(&self) -> &Oid {
        &self.oid
    }

    /// Which relative distinguished name it belongs to, from 0.
    pub fn rdn(&self) -> usize {
        self.rdn
    }

    /// Whether other attributes share its relative distinguished name.
    pub fn is_multi_valued(&self) -> bool {
        self.multi_valued
    }

    /// The DER tag of the value.
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// The contents of the value as encoded.
    pub fn bytes(&self) -> &[u8] {
        self.encoded().get(self.header..).unwrap_or_default()
    }

    /// The value with its tag and length.
    pub(super) fn encoded(&self) -> &[u8] {
        self.name.get(self.encoded.clone()).unwrap_or_default()
    }

    /// The value as text. Control characters and NUL are kept: whoever uses the text must refuse them.
    ///
    /// TeletexString is read as Latin-1, as everybody writes it.
    ///
    /// # Errors
    /// The value is not a string, or its bytes do not follow the string's type.
    pub fn text(&self) -> Result<Cow<'_, str>, ValueError> {
        let bytes = self.bytes();
        let tag = self.tag;
        let invalid = ValueError::InvalidEncoding { tag };
        match tag {
            tag::UTF8_STRING => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| invalid),
            tag::PRINTABLE_STRING | tag::IA5_STRING | tag::NUMERIC_STRING | tag::VISIBLE_STRING => {
                if bytes.is_ascii() {
                    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| invalid)
                } else {
                    Err(invalid)
                }
            }
            tag::TELETEX_STRING => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
            tag::BMP_STRING => {
                let (pairs, rest) = bytes.as_chunks::<2>();
                let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
                let text = units.map(|unit| char::from_u32(u32::from(unit))).collect::<Option<String>>();
                text.filter(|_| rest.is_empty()).map(Cow::Owned).ok_or(invalid)
            }
            tag::UNIVERSAL_STRING => {
                let (quads, rest) = bytes.as_chunks::<4>();
                let text = quads.iter().map(|quad| char::from_u32(u32::from_be_bytes(*quad)));
                let text = text.collect::<Option<String>>();
                text.filter(|_| rest.is_empty()).map(Cow::Owned).ok_or(invalid)
            }
            _ => Err(ValueError::NotText { tag }),
        }
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Ok(text) => write!(out, "{}={text:?}", self.oid),
            Err(_) => write!(out, "{}=#{:02x?}", self.oid, self.encoded()),
        }
    }
}

impl PartialEq for Attribute {
    fn eq(&self, other: &Self) -> bool {
        self.oid == other.oid && self.rdn == other.rdn && self.encoded() == other.encoded()
    }
}

impl Eq for Attribute {}
