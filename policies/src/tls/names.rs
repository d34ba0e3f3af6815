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

    /// Whether it takes the legacy engine: the six suites of the phones' table that a sound library still speaks, and
    /// other AES suites of the time between, for policies that operators write.
    pub const fn is_legacy(self) -> bool {
        let of_the_table = matches!(self.0, 0x0004 | 0x0005 | 0x002f | 0x0033 | 0x0035 | 0x0039);
        of_the_table || matches!(self.0, 0xc009 | 0xc00a | 0xc013 | 0xc014) || self.is_legacy_tls12()
    }

    /// AES-GCM without ECDHE, and AES-CBC with SHA-256 or SHA-384: TLS 1.2 alone has them.
    const fn is_legacy_tls12(self) -> bool {
        matches!(
            self.0,
            0x003c | 0x003d | 0x0067 | 0x006b | 0x009c..=0x009f | 0xc023 | 0xc024 | 0xc027 | 0xc028
        )
    }

    /// Whether an engine of ours can speak it at this version (RFC 5246 §A.5, RFC 8446 §B.4).
    pub fn serves(self, version: TlsVersion) -> bool {
        match version {
            TlsVersion::TLS1_3 => self.is_modern() && self.is_tls13(),
            TlsVersion::TLS1_2 => (self.is_modern() && !self.is_tls13()) || self.is_legacy(),
            TlsVersion::TLS1_0 | TlsVersion::TLS1_1 => self.is_legacy() && !self.is_legacy_tls12(),
            _ => false,
        }
    }

    /// Whether the client encrypts a secret with the key of our certificate, which then needs keyEncipherment
    /// (RFC 5246 §7.4.7.1, RFC 5280 §4.2.1.3).
    pub fn uses_rsa_key_exchange(self) -> bool {
        self.known_name().is_some_and(|name| name.starts_with("TLS_RSA_"))
    }

    /// Whether the key exchange takes one of the groups of a policy (RFC 8422, RFC 8446 §4.2.7).
    pub fn uses_ecdhe(self) -> bool {
        self.is_tls13() || self.known_name().is_some_and(|name| name.starts_with("TLS_ECDHE_"))
    }

    /// Whether it takes an ECDSA or EdDSA certificate; the other suites before TLS 1.3 take an RSA one.
    pub fn needs_ec_certificate(self) -> bool {
        self.known_name().is_some_and(|name| name.contains("_ECDSA_"))
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

impl SignatureScheme {
    /// RSA with SHA-1 (RFC 5246 §7.4.1.4.1): what a TLS 1.2 client means that names no algorithm.
    pub const RSA_PKCS1_SHA1: Self = Self(0x0201);
    /// ECDSA with SHA-1.
    pub const ECDSA_SHA1: Self = Self(0x0203);

    /// Whether an engine of ours signs or verifies a handshake with it.
    pub const fn is_served(self) -> bool {
        matches!(
            self.0,
            0x0201 | 0x0203 | 0x0401 | 0x0403 | 0x0501 | 0x0503 | 0x0601 | 0x0603 | 0x0804..=0x0807
        )
    }

    /// Whether it signs with SHA-1 or MD5.
    pub const fn is_weak(self) -> bool {
        matches!(self.0 >> 8, 1 | 2) && self.0 & 0xff <= 3
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
        assert_eq!((modern.len(), legacy.len()), (9, 22));
        assert!(SUITES.iter().all(|(n, _)| !(CipherSuite(*n).is_modern() && CipherSuite(*n).is_legacy())));
    }

    #[test]
    fn tells_which_versions_have_a_suite() {
        let versions = |number: u16| {
            VERSIONS
                .iter()
                .filter(|(version, _)| CipherSuite(number).serves(TlsVersion(*version)))
                .map(|(_, name)| *name)
                .collect::<Vec<_>>()
        };
        assert_eq!(versions(0x002f), ["TLSv1", "TLSv1.1", "TLSv1.2"]);
        assert_eq!(versions(0xc013), ["TLSv1", "TLSv1.1", "TLSv1.2"]);
        assert_eq!(versions(0x003c), ["TLSv1.2"]);
        assert_eq!(versions(0xc02f), ["TLSv1.2"]);
        assert_eq!(versions(0x1301), ["TLSv1.3"]);
        assert!(versions(0x0003).is_empty(), "export");
        assert!(versions(0x1304).is_empty(), "no engine has CCM");
    }

    #[test]
    fn tells_what_a_suite_asks_of_a_certificate() {
        let suite = |name| CipherSuite::from_name(name).unwrap();
        assert!(suite("TLS_RSA_WITH_RC4_128_MD5").uses_rsa_key_exchange());
        assert!(!suite("TLS_DHE_RSA_WITH_AES_128_CBC_SHA").uses_rsa_key_exchange());
        assert!(suite("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256").needs_ec_certificate());
        assert!(!suite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256").needs_ec_certificate());
        assert!(SignatureScheme::RSA_PKCS1_SHA1.is_weak() && SignatureScheme(0x0101).is_weak());
        assert!(!SignatureScheme(0x0401).is_weak() && !SignatureScheme(0x0804).is_weak());
    }
}
