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
            // Every signature is whole bytes. Bits that are not are still DER (a damaged list must load as unusable), but
            // never a signature: none of them is kept, so none can be written in two ways of two fingerprints.
            let bits = fields.expect(tag::BIT_STRING, "a signature")?;
            let bytes: &[u8] = match bits.value {
                [0, bytes @ ..] => bytes,
                [unused @ 1..=7, .., last] if last.trailing_zeros() >= u32::from(*unused) => &[],
                _ => return bits.invalid("BIT STRING"),
            };
            fields.finish()?;
            Ok(Self { tbs, algorithm, signature: Signature { bytes, end: der.len() } })
        };
        read().map_err(ParseError::der(what))
    }
}

#[cfg(test)]
mod tests {
    use crate::der::{DerProblem, Reader, encode, tag};
    use crate::testing::{KeyKind, Pki, RequestBuilder};
    use crate::{Certificate, CertificationRequest, ParseError, RevocationList};

    type Parse = fn(&[u8]) -> Result<(), ParseError>;

    /// The same object with other contents of the signature's BIT STRING.
    fn with_bits(der: &[u8], change: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let mut fields = Reader::new(der).sequence("a signed object").unwrap();
        let (tbs, algorithm) = (fields.any().unwrap(), fields.any().unwrap());
        let bits = encode(tag::BIT_STRING, &change(fields.any().unwrap().value));
        encode(tag::SEQUENCE, &[tbs.encoded, algorithm.encoded, &bits].concat())
    }

    #[test]
    fn a_signature_has_whole_bytes_and_says_so() {
        let certificate = Pki::new().device().to_der();
        let list = Pki::new().root().crl().to_der();
        let request = RequestBuilder::new("x", KeyKind::P256).to_der();
        let kinds: [(&[u8], Parse); 3] = [
            (&certificate, |der| Certificate::parse(der).map(|_| ())),
            (&list, |der| RevocationList::parse(der).map(|_| ())),
            (&request, |der| CertificationRequest::parse(der).map(|_| ())),
        ];
        for (der, parse) in kinds {
            assert_eq!(parse(&with_bits(der, <[u8]>::to_vec)), Ok(()), "the accepted twin");
            let refused = |changed: &[u8]| match parse(changed) {
                Err(ParseError::Der { source, .. }) => {
                    assert_eq!(source.problem, DerProblem::Invalid("BIT STRING"));
                }
                other => panic!("{other:?}"),
            };
            refused(&with_bits(der, |_| Vec::new()));
            refused(&with_bits(der, |bits| [&[0x30], &bits[2..]].concat()));
            for unused in 1..=255 {
                refused(&with_bits(der, |bits| [&[unused], &bits[1..], &[0xff]].concat()));
            }
        }
    }

    /// NIST's suite has a list of this kind: it is DER, so it is read, and says nothing.
    #[test]
    fn a_signature_of_seven_bits_a_byte_is_read_and_never_verifies() {
        let odd = |bits: &[u8]| [&[1], &bits[1..], &[0]].concat();
        let certificate = Certificate::parse(&with_bits(&Pki::new().device().to_der(), odd)).unwrap();
        assert!(certificate.signature().is_empty());
        RevocationList::parse(&with_bits(&Pki::new().root().crl().to_der(), odd)).unwrap();
        let request = RequestBuilder::new("x", KeyKind::P256).to_der();
        let refused = CertificationRequest::parse(&with_bits(&request, odd)).unwrap_err();
        assert!(matches!(refused, ParseError::ProofOfPossession), "{refused:?}");
    }
}
