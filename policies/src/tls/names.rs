//! TLS numbers and the names the registries give them.

use std::borrow::Cow;
use std::fmt;

use super::registry::{GROUPS, SIGNATURE_SCHEMES, VERSIONS};
use super::suites::SUITES;
use crate::document::nearest;

/// A name that no registry has.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown {what} \"{}\"", name.escape_debug())]
pub struct UnknownName {
    /// What was named: "cipher suite", "group" …
    pub what: &'static str,
    /// The name as written.
    pub name: String,
    /// The known name nearest to it.
    pub nearest: Option<&'static str>,
}

/// Writes one number of a registry as its own type.
macro_rules! registered {
    ($(#[$doc:meta])* $type:ident, $what:literal, $table:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $type(pub u16);

        impl $type {
            /// The registered name; `GREASE` for the values of RFC 8701; else the number, as in `0x1234`.
            pub fn name(self) -> Cow<'static, str> {
                match self.known_name() {
                    Some(name) => Cow::Borrowed(name),
                    None if is_grease(self.0) => Cow::Borrowed("GREASE"),
                    None => Cow::Owned(format!("{:#06x}", self.0)),
                }
            }

            /// The registered name, if there is one.
            pub fn known_name(self) -> Option<&'static str> {
                let index = $table.binary_search_by_key(&self.0, |(number, _)| *number).ok()?;
                $table.get(index).map(|(_, name)| *name)
            }

            /// Finds the number by its registered name, in either letter case.
            pub fn from_name(name: &str) -> Result<Self, UnknownName> {
                let known = $table.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
                known.map(|(number, _)| Self(*number)).ok_or_else(|| UnknownName {
                    what: $what,
                    name: name.to_owned(),
                    nearest: nearest(name, $table.iter().map(|(_, known)| *known)),
                })
            }

            /// Whether it is one of the values that clients send to keep servers tolerant (RFC 8701).
            pub const fn is_grease(self) -> bool {
                is_grease(self.0)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.name())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({:#06x} {})"), self.0, self.name())
            }
        }
    };
}

registered! {
    /// A cipher suite by its number (RFC 8446 §B.4, RFC 5246 §A.5).
    CipherSuite, "cipher suite", SUITES
}
registered! {
    /// A key exchange group (RFC 8446 §4.2.7).
    Group, "group", GROUPS
}
registered! {
    /// A signature algorithm (RFC 8446 §4.2.3).
    SignatureScheme, "signature algorithm", SIGNATURE_SCHEMES
}
registered! {
    /// A protocol version, by its number on the wire; named as Apache's `SSL_PROTOCOL` names it (`TLSv1.2`).
    TlsVersion, "TLS version", VERSIONS
}

impl CipherSuite {
    /// Signals that a client retries with an older version (RFC 7507).
    pub const FALLBACK_SCSV: Self = Self(0x5600);
    /// Signals secure renegotiation (RFC 5746).
    pub const RENEGOTIATION_SCSV: Self = Self(0x00ff);

    /// Whether it is a signal and no suite.
    pub const fn is_signal(self) -> bool {
        matches!(self, Self::FALLBACK_SCSV | Self::RENEGOTIATION_SCSV)
    }

    /// Whether it was made weak for export from the United States: keys of 40 or 56 bits. 0x0062 is among them, the
    /// number that the phones' guide prints for 0x0064.
    pub fn is_export(self) -> bool {
        self.known_name().is_some_and(|name| name.contains("_EXPORT"))
    }

    /// Whether it belongs to TLS 1.3, whose suites serve no older version and which takes none of theirs.
    pub fn is_tls13(self) -> bool {
        matches!(self.0, 0x1301..=0x1307 | 0x00c6 | 0x00c7 | 0xc0b4 | 0xc0b5 | 0xc103..=0xc106)
    }

    /// Whether neither side shows a certificate; such a handshake carries no client certificate.
    pub fn is_anonymous(self) -> bool {
        self.known_name().is_some_and(|name| name.contains("_anon_"))
    }

    /// Whether the key exchange uses Diffie-Hellman numbers that the server chooses (DHE), whose size a policy sets.
    pub fn uses_dhe(self) -> bool {
        self.known_name().is_some_and(|name| name.starts_with("TLS_DHE_"))
    }

    /// Whether the modern engine serves it: TLS 1.3, or ECDHE with AES-GCM or ChaCha20 at TLS 1.2.
    pub const fn is_modern(self) -> bool {
        matches!(self.0, 0x1301..=0x1303 | 0xc02b | 0xc02c | 0xc02f | 0xc030 | 0xcca8 | 0xcca9)
    }

    /// Whether the legacy engine serves it: the six suites of the phones' table that still have one.
    pub const fn is_legacy(self) -> bool {
        matches!(self.0, 0x0004 | 0x0005 | 0x002f | 0x0033 | 0x0035 | 0x0039)
    }
}

impl TlsVersion {
    /// SSL 3.0: recorded when offered, never served.
    pub const SSL3: Self = Self(0x0300);
    /// TLS 1.0.
    pub const TLS1_0: Self = Self(0x0301);
    /// TLS 1.1.
    pub const TLS1_1: Self = Self(0x0302);
    /// TLS 1.2.
    pub const TLS1_2: Self = Self(0x0303);
    /// TLS 1.3.
    pub const TLS1_3: Self = Self(0x0304);

    /// Whether the modern engine serves it.
    pub const fn is_modern(self) -> bool {
        matches!(self, Self::TLS1_2 | Self::TLS1_3)
    }
}

impl Group {
    /// NIST P-256.
    pub const SECP256R1: Self = Self(23);
    /// NIST P-384.
    pub const SECP384R1: Self = Self(24);
    /// Curve25519.
    pub const X25519: Self = Self(29);
    /// ML-KEM-768 with X25519.
    pub const X25519_MLKEM768: Self = Self(0x11ec);
}

/// `0x0a0a`, `0x1a1a` … `0xfafa`.
const fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_so_that_a_search_finds_every_entry() {
        for table in [SUITES, GROUPS, SIGNATURE_SCHEMES, VERSIONS] {
            assert!(table.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }

    #[test]
    fn names_every_suite_of_the_phones_table() {
        for (number, name) in [
            (0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
            (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
            (0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
            (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
            (0x0005, "TLS_RSA_WITH_RC4_128_SHA"),
            (0x0004, "TLS_RSA_WITH_RC4_128_MD5"),
            (0x0064, "TLS_RSA_EXPORT1024_WITH_RC4_56_SHA"),
            (0x0062, "TLS_RSA_EXPORT1024_WITH_DES_CBC_SHA"),
            (0x0060, "TLS_RSA_EXPORT1024_WITH_RC4_56_MD5"),
            (0x0003, "TLS_RSA_EXPORT_WITH_RC4_40_MD5"),
            (0x5600, "TLS_FALLBACK_SCSV"),
            (0x1301, "TLS_AES_128_GCM_SHA256"),
        ] {
            assert_eq!(CipherSuite(number).name(), name);
            assert_eq!(CipherSuite::from_name(name), Ok(CipherSuite(number)));
        }
    }

    #[test]
    fn knows_export_suites_from_their_full_strength_twins() {
        for number in [0x0003, 0x0060, 0x0062, 0x0064, 0x0008, 0x0014] {
            assert!(CipherSuite(number).is_export(), "{number:#06x}");
        }
        for number in [0x0004, 0x0005, 0x0009, 0x002f, 0x1301, 0x5600, 0x1234] {
            assert!(!CipherSuite(number).is_export(), "{number:#06x}");
        }
    }

    #[test]
    fn recognises_grease_and_nothing_near_it() {
        for value in [0x0a0a, 0x1a1a, 0xfafa] {
            assert!(CipherSuite(value).is_grease());
            assert_eq!(Group(value).name(), "GREASE");
        }
        for value in [0x0a1a, 0x0b0b, 0x0a00, 0x1301] {
            assert!(!CipherSuite(value).is_grease(), "{value:#06x}");
        }
    }

    #[test]
    fn writes_the_number_of_what_no_registry_names() {
        assert_eq!(CipherSuite(0x1234).name(), "0x1234");
        assert_eq!(TlsVersion(0x7f1c).to_string(), "0x7f1c");
        assert_eq!(format!("{:?}", Group(29)), "Group(0x001d x25519)");
    }

    #[test]
    fn finds_names_in_either_case_and_hints_at_the_nearest() {
        assert_eq!(Group::from_name("X25519"), Ok(Group::X25519));
        assert_eq!(SignatureScheme::from_name("rsa_pss_rsae_sha256"), Ok(SignatureScheme(0x0804)));
        let error = CipherSuite::from_name("TLS13_AES_128_GCM_SHA256").unwrap_err();
        assert_eq!(error.nearest, Some("TLS_AES_128_GCM_SHA256"));
        assert_eq!(error.to_string(), "unknown cipher suite \"TLS13_AES_128_GCM_SHA256\"");
        assert_eq!(Group::from_name("secp256r2").unwrap_err().nearest, Some("secp256r1"));
    }

    #[test]
    fn tells_what_each_engine_serves() {
        let modern: Vec<_> = SUITES.iter().filter(|(n, _)| CipherSuite(*n).is_modern()).collect();
        let legacy: Vec<_> = SUITES.iter().filter(|(n, _)| CipherSuite(*n).is_legacy()).collect();
        assert_eq!((modern.len(), legacy.len()), (9, 6));
        assert!(SUITES.iter().all(|(n, _)| !(CipherSuite(*n).is_modern() && CipherSuite(*n).is_legacy())));
    }
}
