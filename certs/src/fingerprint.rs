//! SHA-256 fingerprints.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;

use crate::hex;

/// The SHA-256 of a DER encoding. Displays as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Hashes these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, bytes);
        Self(hash.as_ref().try_into().expect("a SHA-256 hash has 32 bytes"))
    }

    /// The hash itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Fingerprint {
    /// A hash that was kept.
    fn from(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

/// A text that is not 64 hexadecimal digits, with or without `:` between bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 fingerprint has 64 hexadecimal digits")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: Vec<u32> = text
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16))
            .collect::<Option<_>>()
            .ok_or(FingerprintError)?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte * 16 + digit)).unwrap_or(0))
            .collect();
        if digits.len() != 64 {
            return Err(FingerprintError);
        }
        bytes.try_into().map(Self).map_err(|_| FingerprintError)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::lower(&self.0).fmt(out)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_there_and_back() {
        let hash = Fingerprint::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse(), Ok(hash));
        assert_eq!(text.to_uppercase().parse(), Ok(hash));
        assert_eq!("ba:78".parse::<Fingerprint>(), Err(FingerprintError));
    }
}
