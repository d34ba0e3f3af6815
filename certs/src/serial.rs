//! Certificate serial numbers.

use std::fmt;

use crate::der::{self, Reader, tag};
use crate::hex;

/// A certificate's serial number (RFC 5280 §4.1.2.2), which CRLs name.
///
/// Displays as Apache's `SSL_CLIENT_M_SERIAL`: upper-case hexadecimal with an even number of digits, `-` before a
/// negative one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial(Box<[u8]>);

impl Serial {
    /// From the two's complement contents of the INTEGER, as DER has them. Leading bytes that change nothing are
    /// dropped, so equal numbers are equal serials.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let minimal = Self::minimal(bytes);
        Self(if minimal.is_empty() { Box::new([0]) } else { minimal.into() })
    }

    /// The contents without leading bytes that change nothing.
    pub(crate) fn minimal(bytes: &[u8]) -> &[u8] {
        let mut minimal = bytes;
        while let [first, rest @ ..] = minimal {
            let redundant = match (first, rest.first()) {
                (0x00, Some(next)) => next & 0x80 == 0,
                (0xff, Some(next)) => next & 0x80 != 0,
                (_, _) => false,
            };
            if !redundant {
                break;
            }
            minimal = rest;
        }
        minimal
    }

    /// Reads the serial number of a certificate or of an entry in a list. Vendors padded them with needless leading
    /// bytes (SEC-57), which no other INTEGER may have.
    pub(crate) fn read<'a>(reader: &mut Reader<'a>) -> der::Result<&'a [u8]> {
        let element = reader.expect(tag::INTEGER, "a serial number")?;
        if element.value.is_empty() {
            element.invalid("serial number")
        } else {
            Ok(Self::minimal(element.value))
        }
    }

    /// Reads the displayed form, in any case, with or without `:` between bytes. `None` for anything else.
    pub fn parse_hex(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let digits: Vec<u32> =
            digits.chars().filter(|c| *c != ':').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
        if digits.is_empty() {
            return None;
        }
        let padding = digits.len() % 2;
        let padded: Vec<u32> = std::iter::repeat_n(0, padding).chain(digits).collect();
        let mut magnitude = vec![0];
        for pair in padded.chunks_exact(2) {
            magnitude.push(u8::try_from(pair.iter().fold(0, |byte, digit| byte * 16 + digit)).ok()?);
        }
        Some(Self::from_bytes(&if negative { negated(&magnitude) } else { magnitude }))
    }

    /// The two's complement contents of the INTEGER: a serial whose first digit is 8 or more begins with a zero byte.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// RFC 5280 forbids negative serials; vendors made them all the same.
    pub fn is_negative(&self) -> bool {
        self.0.first().is_some_and(|first| first & 0x80 != 0)
    }
}

/// Two's complement negation in the same width.
fn negated(bytes: &[u8]) -> Vec<u8> {
    let mut carry = true;
    let mut negated: Vec<u8> = bytes
        .iter()
        .rev()
        .map(|byte| {
            let (sum, overflow) = (!byte).overflowing_add(u8::from(carry));
            carry = overflow;
            sum
        })
        .collect();
    negated.reverse();
    negated
}

impl fmt::Display for Serial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = if self.is_negative() {
            out.write_str("-")?;
            negated(&self.0)
        } else {
            self.0.to_vec()
        };
        let digits = match magnitude.split_first() {
            Some((0, rest)) if !rest.is_empty() => rest,
            _ => &magnitude,
        };
        hex::upper(digits).fmt(out)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Serial({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_printed_as_apache_prints_it() {
        for (bytes, text) in [
            (&[1][..], "01"),
            (&[0x0a, 0xbc], "0ABC"),
            (&[0x00, 0xde, 0xad, 0xbe, 0xef, 0x01], "DEADBEEF01"),
            (&[0xff], "-01"),
            (&[0x80], "-80"),
            (&[0x00], "00"),
        ] {
            assert_eq!(Serial::from_bytes(bytes).to_string(), text);
            assert_eq!(Serial::parse_hex(text), Some(Serial::from_bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn equal_numbers_are_equal() {
        assert_eq!(Serial::from_bytes(&[0, 0, 1]), Serial::from_bytes(&[1]));
        assert_eq!(Serial::parse_hex("de:ad"), Serial::parse_hex("00DEAD"));
        assert_eq!(Serial::parse_hex("1"), Serial::parse_hex("01"));
        assert_eq!(Serial::parse_hex(""), None);
        assert_eq!(Serial::parse_hex("0g"), None);
    }
}
