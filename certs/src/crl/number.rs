//! The number of a list.

use std::fmt;

use crate::der::Reader;
use crate::serial::Serial;

/// The number that grows with every list of an issuer (RFC 5280 §5.2.3). Displays in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CrlNumber([u8; 20]);

impl CrlNumber {
    /// At most 20 octets, not negative (RFC 5280 §5.2.3).
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        let number = reader.integer("a CRL number").ok()?;
        reader.finish().ok()?;
        let negative = number.value.first()? & 0x80 != 0;
        let significant = number.value.strip_prefix(&[0]).unwrap_or(number.value);
        let mut bytes = [0; 20];
        let start = bytes.len().checked_sub(significant.len()).filter(|_| !negative)?;
        bytes.get_mut(start..)?.copy_from_slice(significant);
        Some(Self(bytes))
    }

    /// The number in 20 bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for CrlNumber {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Serial::from_bytes(&[&[0], &self.0[..]].concat()).fmt(out)
    }
}

impl fmt::Debug for CrlNumber {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "CrlNumber({self})")
    }
}
