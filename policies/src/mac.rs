//! MAC addresses, in every spelling phones and certificates use.

use std::fmt;
use std::str::FromStr;

/// The address of a network interface (EUI-48). `Display` writes 12 lower-case hex digits, as the phones' `$MA` does.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MacAddress([u8; 6]);

/// Why a text is no MAC address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MacError {
    /// Some character is neither a hex digit nor a `:`, `-` or `.` between two digits.
    #[error("a character that is neither a hex digit nor `:`, `-` or `.` between two digits")]
    Character,
    /// There are more or fewer than 12 digits.
    #[error("not 12 hex digits")]
    Length,
}

impl MacAddress {
    /// The address with these bytes.
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Reads 12 hex digits in either case, with one `:`, `-` or `.` or nothing between any two of them (SEC-21): all of
    /// `000e08abcdef`, `000E08ABCDEF`, `00:0e:08:ab:cd:ef`, `00-0E-08-AB-CD-EF` and `000e.08ab.cdef`.
    pub fn parse(text: &str) -> Result<Self, MacError> {
        let mut bytes = [0_u8; 6];
        let mut digits = 0_usize;
        let mut after_separator = true; // none may lead
        for byte in text.bytes() {
            if let Some(value) = hex_value(byte) {
                let slot = bytes.get_mut(digits / 2).ok_or(MacError::Length)?;
                *slot = *slot << 4 | value;
                digits += 1;
                after_separator = false;
            } else if is_separator(byte) && !after_separator {
                after_separator = true;
            } else {
                return Err(MacError::Character);
            }
        }
        match (digits, after_separator) {
            (12, false) => Ok(Self(bytes)),
            (12, true) => Err(MacError::Character),
            _ => Err(MacError::Length),
        }
    }

    /// If `text` begins with this address in any spelling, how many bytes that spelling takes.
    pub(crate) fn prefix_length(self, text: &[u8]) -> Option<usize> {
        let mut digits = 0_u8;
        let mut after_separator = true;
        for (index, byte) in text.iter().enumerate() {
            if let Some(value) = hex_value(*byte) {
                if value != self.digit(digits) {
                    return None;
                }
                digits += 1;
                after_separator = false;
                if digits == 12 {
                    return Some(index + 1);
                }
            } else if is_separator(*byte) && !after_separator {
                after_separator = true;
            } else {
                return None;
            }
        }
        None
    }

    /// The six bytes.
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// The first three bytes, which name the manufacturer.
    pub const fn oui(self) -> [u8; 3] {
        let [a, b, c, ..] = self.0;
        [a, b, c]
    }

    /// Whether it addresses a group of stations.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether every bit is zero.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }

    /// Whether every bit is one.
    pub fn is_broadcast(self) -> bool {
        self.0 == [0xff; 6]
    }

    /// Whether a single device can have it: neither zero nor a group address.
    pub fn is_device(self) -> bool {
        !self.is_zero() && !self.is_multicast()
    }

    /// With colons: `00:0e:08:ab:cd:ef`, as the phones' `$MAC`.
    pub fn colon(self) -> String {
        let [a, b, c, d, e, f] = self.0;
        format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }

    /// In upper case: `000E08ABCDEF`, as the phones' `$MAU`.
    pub fn upper(self) -> String {
        let [a, b, c, d, e, f] = self.0;
        format!("{a:02X}{b:02X}{c:02X}{d:02X}{e:02X}{f:02X}")
    }

    fn digit(self, index: u8) -> u8 {
        let byte = self.0.get(usize::from(index / 2)).copied().unwrap_or(0);
        if index.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacAddress({self})")
    }
}

impl FromStr for MacAddress {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        Self::parse(text)
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b':' | b'-' | b'.')
}

/// ASCII digits only: Unicode has others that look alike.
fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddress = MacAddress::new([0x00, 0x0e, 0x08, 0xab, 0xcd, 0xef]);

    #[test]
    fn sec_21_reads_every_spelling_of_one_address() {
        for text in [
            "000e08abcdef",
            "000E08ABCDEF",
            "000e08ABCDEF",
            "00:0e:08:ab:cd:ef",
            "00-0E-08-AB-CD-EF",
            "000e.08ab.cdef",
            "00.0e.08.ab.cd.ef",
            "000e08-abcdef",
            "0-0-0-e-0-8-a-b-c-d-e-f",
        ] {
            assert_eq!(MacAddress::parse(text), Ok(MAC), "{text}");
            assert_eq!(MAC.prefix_length(text.as_bytes()), Some(text.len()), "{text}");
            assert_eq!(MAC.prefix_length(format!("{text}.cfg").as_bytes()), Some(text.len()), "{text}");
        }
    }

    #[test]
    fn sec_21_refuses_what_is_not_twelve_hex_digits() {
        for (text, error) in [
            ("", MacError::Length),
            ("000e08abcde", MacError::Length),
            ("000e08abcdef0", MacError::Length),
            ("OOOE08ABCDEF", MacError::Character),
            ("000e08abcdeg", MacError::Character),
            ("000e08abcde\u{0661}", MacError::Character),
            ("\u{ff10}00e08abcdef", MacError::Character),
            ("00::0e:08:ab:cd:ef", MacError::Character),
            (":000e08abcdef", MacError::Character),
            ("000e08abcdef:", MacError::Character),
            ("00 0e 08 ab cd ef", MacError::Character),
            ("00_0e_08_ab_cd_ef", MacError::Character),
            (" 000e08abcdef", MacError::Character),
            ("000e08abcdef\0", MacError::Character),
        ] {
            assert_eq!(MacAddress::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn finds_no_prefix_in_another_address() {
        assert_eq!(MAC.prefix_length(b"000e08abcdee"), None);
        assert_eq!(MAC.prefix_length(b"000e08abcde"), None);
        assert_eq!(MAC.prefix_length(b".000e08abcdef"), None);
        assert_eq!(MAC.prefix_length(b"000e08abcdef0"), Some(12));
    }

    #[test]
    fn knows_addresses_that_no_device_has() {
        assert!(MAC.is_device());
        for text in ["000000000000", "ffffffffffff", "01005e000001", "3333ffabcdef"] {
            assert!(!MacAddress::parse(text).unwrap().is_device(), "{text}");
        }
        // Locally administered addresses are addresses of devices.
        assert!(MacAddress::parse("020e08abcdef").unwrap().is_device());
    }

    #[test]
    fn writes_the_spellings_of_the_phones_macros() {
        assert_eq!(MAC.to_string(), "000e08abcdef");
        assert_eq!(MAC.upper(), "000E08ABCDEF");
        assert_eq!(MAC.colon(), "00:0e:08:ab:cd:ef");
        assert_eq!(MAC.oui(), [0x00, 0x0e, 0x08]);
    }
}
