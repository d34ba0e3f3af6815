//! Reading fields one after the other, each with the name that an error is to give it.

/// The bytes ended, or a length points outside them, in this field.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the field {0} is cut short or malformed")]
pub(super) struct Cut(pub(super) &'static str);

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], Cut> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Cut(field))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Cut> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Cut(field))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, Cut> {
        self.array(field).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, Cut> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(super) fn u24(&mut self, field: &'static str) -> Result<usize, Cut> {
        let [high, middle, low] = self.array(field)?;
        usize::try_from(u32::from_be_bytes([0, high, middle, low])).map_err(|_| Cut(field))
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, Cut> {
        self.array(field).map(u32::from_be_bytes)
    }

    pub(super) fn vector8(&mut self, field: &'static str) -> Result<&'a [u8], Cut> {
        let length = self.u8(field)?;
        self.take(usize::from(length), field)
    }

    pub(super) fn vector16(&mut self, field: &'static str) -> Result<&'a [u8], Cut> {
        let length = self.u16(field)?;
        self.take(usize::from(length), field)
    }

    pub(super) fn vector24(&mut self, field: &'static str) -> Result<&'a [u8], Cut> {
        let length = self.u24(field)?;
        self.take(length, field)
    }

    /// A list of two-byte numbers behind its length in two bytes.
    pub(super) fn numbers16(&mut self, field: &'static str) -> Result<Vec<u16>, Cut> {
        let list = self.vector16(field)?;
        if !list.len().is_multiple_of(2) {
            return Err(Cut(field));
        }
        Ok(list.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
    }
}
