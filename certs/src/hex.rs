//! Octets in hexadecimal. Formatting them one by one takes ten times as long, and every connection shows a hundred.

use std::fmt;

/// Displays its octets as two digits each.
pub(crate) struct Hex<'a> {
    octets: &'a [u8],
    digits: &'static [u8; 16],
}

/// `0a1b`
pub(crate) const fn lower(octets: &[u8]) -> Hex<'_> {
    Hex { octets, digits: b"0123456789abcdef" }
}

/// `0A1B`
pub(crate) const fn upper(octets: &[u8]) -> Hex<'_> {
    Hex { octets, digits: b"0123456789ABCDEF" }
}

impl fmt::Display for Hex<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octets in self.octets.chunks(32) {
            let mut text = [0; 64];
            let (pairs, _) = text.as_chunks_mut::<2>();
            for (pair, octet) in pairs.iter_mut().zip(octets) {
                *pair = [self.digits[usize::from(octet >> 4)], self.digits[usize::from(octet & 0x0f)]];
            }
            let text = text.get(..2 * octets.len()).unwrap_or_default();
            out.write_str(std::str::from_utf8(text).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_formatting_would() {
        let all: Vec<u8> = (0..=255).collect();
        for octets in [&[][..], &[0], &[0x0a, 0xb1], &all[..31], &all[..32], &all[..33], &all] {
            let formatted: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
            assert_eq!(lower(octets).to_string(), formatted);
            assert_eq!(upper(octets).to_string(), formatted.to_uppercase());
        }
    }
}
