//! The other ECDSA signature: (r, n − s) verifies wherever (r, s) does, and anybody can write one for the other.

use crate::der::{Reader, encode, tag};

/// The orders of P-256, P-384 and P-521 (SEC 2 §2.4.2, §2.5.1, §2.6.1).
const ORDERS: [&[u8]; 3] = [
    b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\
      \xf3\xb9\xca\xc2\xfc\x63\x25\x51",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
      \xc7\x63\x4d\x81\xf4\x37\x2d\xdf\x58\x1a\x0d\xb2\x48\xb0\xa7\x7a\xec\xec\x19\x6a\xcc\xc5\x29\x73",
    b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
      \xff\xff\xff\xff\xff\xff\xff\xff\xff\xfa\x51\x86\x87\x83\xbf\x2f\x96\x6b\x7f\xcc\x01\x48\xf7\x09\
      \xa5\xd0\x3b\xb5\xc9\xb8\x89\x9c\x47\xae\xbb\x6f\xb7\x1e\x91\x38\x64\x09",
];

/// The twin of an ECDSA-Sig-Value (RFC 3279 §2.2.3); `None` for what is none.
///
/// The signer's curve is told from the longer of both numbers: one in 2^64 signatures, or fewer, is shorter than its
/// curve.
pub(crate) fn twin(signature: &[u8]) -> Option<Vec<u8>> {
    let mut outer = Reader::new(signature);
    let mut numbers = outer.sequence("a signature").ok()?;
    let (r, s) = (numbers.integer("r").ok()?.value, numbers.integer("s").ok()?.value);
    numbers.finish().and_then(|()| outer.finish()).ok()?;
    let (r, s) = (positive(r)?, positive(s)?);
    let order = ORDERS.into_iter().find(|order| r.len().max(s.len()) <= order.len())?;
    let other = difference(order, s)?;
    Some(encode(tag::SEQUENCE, &[integer(r), integer(&other)].concat()))
}

/// The bytes of a positive INTEGER without its sign.
fn positive(number: &[u8]) -> Option<&[u8]> {
    if number.first()? & 0x80 != 0 {
        return None;
    }
    let bytes = number.strip_prefix(&[0]).unwrap_or(number);
    if bytes.is_empty() { None } else { Some(bytes) }
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    encode(tag::INTEGER, crate::Serial::from_bytes(&[&[0], bytes].concat()).as_bytes())
}

/// `order - number`, as long as `order`; `None` when that is not positive.
fn difference(order: &[u8], number: &[u8]) -> Option<Vec<u8>> {
    let mut borrow = 0_u16;
    let padded = number.iter().rev().copied().chain(std::iter::repeat(0));
    let mut digits: Vec<u8> = order
        .iter()
        .rev()
        .zip(padded)
        .map(|(&upper, lower)| {
            let wanted = u16::from(lower) + borrow;
            borrow = u16::from(u16::from(upper) < wanted);
            let [_, digit] = (0x100 + u16::from(upper) - wanted).to_be_bytes();
            digit
        })
        .collect();
    digits.reverse();
    (borrow == 0 && digits.iter().any(|digit| *digit != 0)).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{KeyKind, TestKey};

    #[test]
    fn both_twins_verify_on_every_curve() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
            let key = TestKey::cached(kind, "twin");
            let algorithm = key.default_algorithm();
            let signature = key.sign(algorithm, b"message");
            let other = twin(&signature).unwrap();
            assert_ne!(other, signature);
            assert_eq!(algorithm.verify(key.public(), b"message", &other), Ok(()), "{kind:?}");
            assert_eq!(twin(&other), Some(signature), "{kind:?}");
        }
    }

    #[test]
    fn what_is_no_signature_has_no_twin() {
        let signature = |r: &[u8], s: &[u8]| encode(tag::SEQUENCE, &[encode(2, r), encode(2, s)].concat());
        assert!(twin(&signature(&[1], &[1])).is_some());
        let order = [&[0], ORDERS[0]].concat();
        for none in [
            signature(&[1], &[0]),
            signature(&[1], &[0xff]),
            signature(&[1], &order),
            signature(&[1], &[1; 67]),
            [signature(&[1], &[1]), vec![0]].concat(),
            Vec::new(),
        ] {
            assert_eq!(twin(&none), None, "{none:02x?}");
        }
    }
}
