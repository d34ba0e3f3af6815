//! A small strict reader of DER (X.690 §10): definite minimal lengths, single-byte tags, nothing skipped unsaid.
//!
//! Readers borrow their input and count absolute offsets, so that errors name a place in the file.

use std::ops::Range;

/// Universal and context tags, as whole identifier octets.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const NUMERIC_STRING: u8 = 0x12;
    pub(crate) const PRINTABLE_STRING: u8 = 0x13;
    pub(crate) const TELETEX_STRING: u8 = 0x14;
    pub(crate) const IA5_STRING: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const VISIBLE_STRING: u8 = 0x1a;
    pub(crate) const UNIVERSAL_STRING: u8 = 0x1c;
    pub(crate) const BMP_STRING: u8 = 0x1e;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// `[number]` around a primitive value.
    pub(crate) const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// `[number]` around a constructed value.
    pub(crate) const fn context_constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// What is wrong with some DER, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {offset}")]
pub struct DerError {
    /// Bytes from the beginning of the input.
    pub offset: usize,
    /// What was found there.
    pub problem: DerProblem,
}

/// The ways in which bytes fail to be the DER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DerProblem {
    /// A value that its type does not allow, such as an INTEGER with needless leading zeros.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// A length written in more bytes than it needs, or without an end: BER, not DER.
    #[error("length that is not DER")]
    Length,
    /// More bytes than the structure has.
    #[error("trailing data")]
    Trailing,
    /// The input ends inside a value.
    #[error("truncated value")]
    Truncated,
    /// Another tag than the structure has in this place.
    #[error("unexpected tag 0x{found:02x}, expected {expected}")]
    UnexpectedTag {
        /// The tag that was read.
        found: u8,
        /// What should have stood there.
        expected: &'static str,
    },
}

pub(crate) type Result<T> = std::result::Result<T, DerError>;

/// One value: its tag, its contents, and its whole encoding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    /// The contents, without tag and length.
    pub(crate) value: &'a [u8],
    /// Tag, length and contents.
    pub(crate) encoded: &'a [u8],
    /// Offset of the encoding in the whole input.
    pub(crate) offset: usize,
}

impl<'a> Element<'a> {
    /// Reads the contents.
    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader { rest: self.value, offset: self.value_offset() }
    }

    pub(crate) fn value_offset(&self) -> usize {
        self.offset + self.encoded.len() - self.value.len()
    }

    /// Where the encoding lies in the whole input.
    pub(crate) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.encoded.len()
    }

    pub(crate) fn invalid<T>(&self, what: &'static str) -> Result<T> {
        Err(DerError { offset: self.offset, problem: DerProblem::Invalid(what) })
    }
}

/// Reads values one after another.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { rest: input, offset: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Fails unless everything was read.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { self.fail(DerProblem::Trailing) }
    }

    pub(crate) fn peek_tag(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next value, whatever its tag.
    pub(crate) fn any(&mut self) -> Result<Element<'a>> {
        let &[tag, first_length, ..] = self.rest else { return self.fail(DerProblem::Truncated) };
        if tag & 0x1f == 0x1f {
            return self.fail(DerProblem::Invalid("multi-byte tag"));
        }
        let (header, length) = if first_length < 0x80 {
            (2, usize::from(first_length))
        } else {
            self.long_length(usize::from(first_length & 0x7f))?
        };
        let Some(encoded) = header.checked_add(length).and_then(|end| self.rest.get(..end)) else {
            return self.fail(DerProblem::Truncated);
        };
        let Some(value) = encoded.get(header..) else { return self.fail(DerProblem::Truncated) };
        let element = Element { tag, value, encoded, offset: self.offset };
        self.offset += encoded.len();
        self.rest = self.rest.get(encoded.len()..).unwrap_or_default();
        Ok(element)
    }

    fn long_length(&self, count: usize) -> Result<(usize, usize)> {
        if count == 0 || count > 4 {
            return self.fail(DerProblem::Length);
        }
        let Some(bytes) = self.rest.get(2..2 + count) else { return self.fail(DerProblem::Truncated) };
        let length = bytes.iter().fold(0_usize, |length, &byte| (length << 8) | usize::from(byte));
        let minimal = length >= 0x80 && bytes.first().is_some_and(|&byte| byte != 0);
        if minimal { Ok((2 + count, length)) } else { self.fail(DerProblem::Length) }
    }

    /// The next value, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8, expected: &'static str) -> Result<Element<'a>> {
        match self.peek_tag() {
            Some(found) if found == tag => self.any(),
            Some(found) => self.fail(DerProblem::UnexpectedTag { found, expected }),
            None => self.fail(DerProblem::Truncated),
        }
    }

    /// The next value if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>> {
        if self.peek_tag() == Some(tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// Reads into the SEQUENCE that comes next.
    pub(crate) fn sequence(&mut self, expected: &'static str) -> Result<Self> {
        Ok(self.expect(tag::SEQUENCE, expected)?.reader())
    }

    /// The contents of an INTEGER or ENUMERATED in two's complement, minimal and not empty.
    pub(crate) fn integer(&mut self, expected: &'static str) -> Result<Element<'a>> {
        let element = self.expect(tag::INTEGER, expected)?;
        check_integer(&element)?;
        Ok(element)
    }

    /// A non-negative INTEGER; one too large for `u32` becomes `u32::MAX`.
    pub(crate) fn small_integer(&mut self, expected: &'static str) -> Result<u32> {
        let element = self.integer(expected)?;
        small_integer(&element)
    }

    pub(crate) fn boolean(element: &Element<'_>) -> Result<bool> {
        match element.value {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => element.invalid("BOOLEAN"),
        }
    }

    /// A BOOLEAN DEFAULT FALSE. An explicit FALSE is not DER, but so common in the field that it is read.
    pub(crate) fn default_false(&mut self) -> Result<bool> {
        self.optional(tag::BOOLEAN)?.map_or(Ok(false), |element| Self::boolean(&element))
    }

    /// The bytes of a BIT STRING that has a whole number of them.
    pub(crate) fn octet_aligned_bits(&mut self, expected: &'static str) -> Result<Element<'a>> {
        let element = self.expect(tag::BIT_STRING, expected)?;
        match element.value.split_first() {
            Some((0, value)) => Ok(Element { value, ..element }),
            _ => element.invalid("BIT STRING"),
        }
    }

    pub(crate) fn fail<T>(&self, problem: DerProblem) -> Result<T> {
        Err(DerError { offset: self.offset, problem })
    }
}

/// Writes one value.
pub(crate) fn encode(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let significant = length.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &length[first..]);
    let mut encoded = vec![tag];
    match significant {
        [] => encoded.push(0),
        [short] if *short < 0x80 => encoded.push(*short),
        long => {
            encoded.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            encoded.extend_from_slice(long);
        }
    }
    encoded.extend_from_slice(value);
    encoded
}

/// Fails unless the contents are a minimal two's complement number.
pub(crate) fn check_integer(element: &Element<'_>) -> Result<()> {
    match element.value {
        [] => element.invalid("INTEGER"),
        [0x00, second, ..] if second & 0x80 == 0 => element.invalid("INTEGER"),
        [0xff, second, ..] if second & 0x80 != 0 => element.invalid("INTEGER"),
        _ => Ok(()),
    }
}

/// As [`Reader::small_integer`], for an implicitly tagged value.
pub(crate) fn small_integer(element: &Element<'_>) -> Result<u32> {
    check_integer(element)?;
    if element.value.first().is_some_and(|first| first & 0x80 != 0) {
        return element.invalid("INTEGER");
    }
    let significant = element.value.strip_prefix(&[0]).unwrap_or(element.value);
    if significant.len() > 4 {
        return Ok(u32::MAX);
    }
    Ok(significant.iter().fold(0, |number, &byte| (number << 8) | u32::from(byte)))
}

/// The flags of a named BIT STRING, bit 0 in the highest bit. DER wants trailing zero bits removed (X.690 §11.2.2);
/// encoders forget it, so only non-zero padding is refused.
pub(crate) fn named_bits(element: &Element<'_>) -> Result<u16> {
    let Some((&unused, bits)) = element.value.split_first() else { return element.invalid("BIT STRING") };
    let padding_is_zero = match bits.last() {
        Some(last) => unused < 8 && last & !(0xff_u8 << unused) == 0,
        None => unused == 0,
    };
    if !padding_is_zero || bits.len() > 2 {
        return element.invalid("BIT STRING");
    }
    let first = bits.first().copied().unwrap_or(0);
    let second = bits.get(1).copied().unwrap_or(0);
    Ok(u16::from_be_bytes([first, second]))
}

/// The text of an IA5String, which is ASCII.
pub(crate) fn ia5<'a>(element: &Element<'a>) -> Result<&'a str> {
    match std::str::from_utf8(element.value) {
        Ok(text) if text.is_ascii() => Ok(text),
        Ok(_) | Err(_) => element.invalid("IA5String"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<u8>> {
        let mut reader = Reader::new(bytes);
        let element = reader.any()?;
        reader.finish()?;
        Ok(element.value.to_vec())
    }

    #[test]
    fn reads_short_and_long_lengths() {
        assert_eq!(read(&[0x04, 0x01, 0xaa]), Ok(vec![0xaa]));
        let mut long = vec![0x04, 0x81, 0x80];
        long.extend([0; 0x80]);
        assert_eq!(read(&long).map(|value| value.len()), Ok(0x80));
    }

    #[test]
    fn refuses_what_is_not_der() {
        let problem = |bytes: &[u8]| read(bytes).unwrap_err().problem;
        assert_eq!(problem(&[0x04, 0x81, 0x01, 0xaa]), DerProblem::Length, "a length that needs one byte");
        assert_eq!(problem(&[0x30, 0x80, 0x00, 0x00]), DerProblem::Length, "an indefinite length");
        assert_eq!(problem(&[0x04, 0x85, 1, 1, 1, 1, 1]), DerProblem::Length);
        assert_eq!(problem(&[0x04, 0x02, 0xaa]), DerProblem::Truncated);
        assert_eq!(problem(&[0x04]), DerProblem::Truncated);
        assert_eq!(problem(&[0x04, 0x00, 0x00]), DerProblem::Trailing);
        assert_eq!(problem(&[0x1f, 0x00]), DerProblem::Invalid("multi-byte tag"));
    }

    #[test]
    fn reads_integers_and_refuses_padded_ones() {
        let read = |bytes: &[u8]| Reader::new(bytes).small_integer("a number");
        assert_eq!(read(&[0x02, 0x01, 0x7f]), Ok(127));
        assert_eq!(read(&[0x02, 0x02, 0x00, 0x80]), Ok(128));
        assert_eq!(read(&[0x02, 0x06, 0x01, 0, 0, 0, 0, 0]), Ok(u32::MAX));
        for padded in
            [&[0x02, 0x02, 0x00, 0x7f][..], &[0x02, 0x02, 0xff, 0x80], &[0x02, 0x00], &[0x02, 0x01, 0x80]]
        {
            assert_eq!(read(padded).unwrap_err().problem, DerProblem::Invalid("INTEGER"));
        }
    }
}
