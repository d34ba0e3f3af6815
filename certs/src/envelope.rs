//! The outer shape that certificates, requests and CRLs share.

use std::ops::Range;

use crate::der::{Element, Reader, tag};
use crate::error::ParseError;

/// A signed part, an algorithm, a signature.
pub(crate) struct Envelope<'a> {
    pub(crate) tbs: Element<'a>,
    pub(crate) algorithm: Element<'a>,
    pub(crate) signature: Signature<'a>,
}

/// The bytes of a signature, which end the input.
pub(crate) struct Signature<'a> {
    pub(crate) bytes: &'a [u8],
    end: usize,
}

impl Signature<'_> {
    pub(crate) fn value_range_at_end(&self) -> Range<usize> {
        self.end - self.bytes.len()..self.end
    }
}

impl<'a> Envelope<'a> {
    pub(crate) fn read(der: &'a [u8], what: &'static str) -> Result<Self, ParseError> {
        let read = || {
            let mut outer = Reader::new(der);
            let mut fields = outer.sequence("a signed object")?;
            outer.finish()?;
            let tbs = fields.expect(tag::SEQUENCE, "the signed part")?;
            let algorithm = fields.expect(tag::SEQUENCE, "a signature algorithm")?;
            let bits = fields.expect(tag::BIT_STRING, "a signature")?;
            fields.finish()?;
            // Every signature is whole bytes. Bits that are not are kept with their count, and never verify.
            let bytes = bits.value.strip_prefix(&[0]).unwrap_or(bits.value);
            Ok(Self { tbs, algorithm, signature: Signature { bytes, end: der.len() } })
        };
        read().map_err(ParseError::der(what))
    }
}
