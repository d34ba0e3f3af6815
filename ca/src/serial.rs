//! Certificate serial numbers (RFC 5280 §4.1.2.2; CA A1).

use std::fmt;

use crate::random::{RandomError, RandomSource};

/// How many octets every serial number we make has.
const OCTETS: usize = 16;

/// A serial number of our own making: positive, 16 octets, 126 random bits.
///
/// Its top bit is clear, so the DER integer needs no padding octet; the next bit is set, so it never shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SerialNumber([u8; OCTETS]);

impl SerialNumber {
    /// Draws a fresh number. Never derived from the key, so renewing with the same key gives another (CA A3, R3).
    pub fn generate(random: &dyn RandomSource) -> Result<Self, RandomError> {
        let mut octets = [0_u8; OCTETS];
        random.fill(&mut octets)?;
        octets[0] = (octets[0] & 0x7f) | 0x40;
        Ok(Self(octets))
    }

    /// The big-endian content octets of the DER integer.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Upper-case hex, two digits an octet, as certificate serial numbers are printed.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::random::OperatingSystem;

    struct Broken;

    impl RandomSource for Broken {
        fn fill(&self, _bytes: &mut [u8]) -> Result<(), RandomError> {
            Err(RandomError)
        }
    }

    struct AllOnes;

    impl RandomSource for AllOnes {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
            bytes.fill(0xff);
            Ok(())
        }
    }

    #[test]
    fn a1_serials_are_positive_distinct_and_sixteen_octets() {
        let mut seen = HashSet::new();
        let mut leading = HashSet::new();
        for _ in 0..200_000 {
            let serial = SerialNumber::generate(&OperatingSystem).unwrap();
            assert_eq!(serial.as_bytes()[0] & 0x80, 0, "the top bit would make it negative");
            assert_ne!(serial.as_bytes()[0], 0);
            leading.insert(serial.as_bytes()[0]);
            assert!(seen.insert(serial), "repeated {serial}");
        }
        assert_eq!(leading.len(), 64, "every leading octet 40..7F occurs");
    }

    #[test]
    fn a1_the_largest_draw_is_still_positive() {
        assert_eq!(SerialNumber::generate(&AllOnes).unwrap().as_bytes()[0], 0x7f);
    }

    #[test]
    fn a4_a_failing_generator_gives_no_serial() {
        assert_eq!(SerialNumber::generate(&Broken), Err(RandomError));
    }
}
