//! OpenSSL's names for what we know by number, as Apache prints them.

use std::borrow::Cow;

use certs::{Hash, KeyAlgorithm, SignatureAlgorithm};
use policies::{CipherSuite, TlsVersion};

/// `SSL_PROTOCOL`.
pub(super) fn version(version: TlsVersion) -> Cow<'static, str> {
    match version.0 {
        0x0304 => "TLSv1.3".into(),
        0x0303 => "TLSv1.2".into(),
        0x0302 => "TLSv1.1".into(),
        0x0301 => "TLSv1".into(),
        0x0300 => "SSLv3".into(),
        _ => version.name(),
    }
}

/// `SSL_CIPHER` and `SSL_CIPHER_USEKEYSIZE`.
pub(super) struct Suite {
    pub(super) name: Cow<'static, str>,
    pub(super) key_bits: Option<&'static str>,
}

pub(super) fn suite(suite: CipherSuite) -> Suite {
    match SUITES.iter().find(|(code, ..)| *code == suite.0) {
        Some((_, name, bits)) => Suite { name: (*name).into(), key_bits: Some(bits) },
        None => Suite { name: suite.name(), key_bits: None },
    }
}

/// What our two engines can agree on.
const SUITES: [(u16, &str, &str); 30] = [
    (0x1301, "TLS_AES_128_GCM_SHA256", "128"),
    (0x1302, "TLS_AES_256_GCM_SHA384", "256"),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256", "256"),
    (0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256", "128"),
    (0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384", "256"),
    (0xc02f, "ECDHE-RSA-AES128-GCM-SHA256", "128"),
    (0xc030, "ECDHE-RSA-AES256-GCM-SHA384", "256"),
    (0xcca8, "ECDHE-RSA-CHACHA20-POLY1305", "256"),
    (0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305", "256"),
    (0xccaa, "DHE-RSA-CHACHA20-POLY1305", "256"),
    (0xc009, "ECDHE-ECDSA-AES128-SHA", "128"),
    (0xc00a, "ECDHE-ECDSA-AES256-SHA", "256"),
    (0xc013, "ECDHE-RSA-AES128-SHA", "128"),
    (0xc014, "ECDHE-RSA-AES256-SHA", "256"),
    (0xc023, "ECDHE-ECDSA-AES128-SHA256", "128"),
    (0xc024, "ECDHE-ECDSA-AES256-SHA384", "256"),
    (0xc027, "ECDHE-RSA-AES128-SHA256", "128"),
    (0xc028, "ECDHE-RSA-AES256-SHA384", "256"),
    (0x009c, "AES128-GCM-SHA256", "128"),
    (0x009d, "AES256-GCM-SHA384", "256"),
    (0x009e, "DHE-RSA-AES128-GCM-SHA256", "128"),
    (0x009f, "DHE-RSA-AES256-GCM-SHA384", "256"),
    (0x002f, "AES128-SHA", "128"),
    (0x0033, "DHE-RSA-AES128-SHA", "128"),
    (0x0035, "AES256-SHA", "256"),
    (0x0039, "DHE-RSA-AES256-SHA", "256"),
    (0x003c, "AES128-SHA256", "128"),
    (0x003d, "AES256-SHA256", "256"),
    (0x0004, "RC4-MD5", "128"),
    (0x0005, "RC4-SHA", "128"),
];

/// `SSL_CLIENT_A_SIG`.
pub(super) const fn signature(algorithm: SignatureAlgorithm) -> &'static str {
    match algorithm {
        SignatureAlgorithm::Ecdsa(Hash::Md5) | SignatureAlgorithm::Other(_) => "UNKNOWN",
        SignatureAlgorithm::Ecdsa(Hash::Sha1) => "ecdsa-with-SHA1",
        SignatureAlgorithm::Ecdsa(Hash::Sha256) => "ecdsa-with-SHA256",
        SignatureAlgorithm::Ecdsa(Hash::Sha384) => "ecdsa-with-SHA384",
        SignatureAlgorithm::Ecdsa(Hash::Sha512) => "ecdsa-with-SHA512",
        SignatureAlgorithm::Ed25519 => "ED25519",
        SignatureAlgorithm::RsaPkcs1(Hash::Md5) => "md5WithRSAEncryption",
        SignatureAlgorithm::RsaPkcs1(Hash::Sha1) => "sha1WithRSAEncryption",
        SignatureAlgorithm::RsaPkcs1(Hash::Sha256) => "sha256WithRSAEncryption",
        SignatureAlgorithm::RsaPkcs1(Hash::Sha384) => "sha384WithRSAEncryption",
        SignatureAlgorithm::RsaPkcs1(Hash::Sha512) => "sha512WithRSAEncryption",
        SignatureAlgorithm::RsaPss(_) => "rsassaPss",
    }
}

/// `SSL_CLIENT_A_KEY`.
pub(super) const fn key(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::Ec { .. } => "id-ecPublicKey",
        KeyAlgorithm::Ed25519 => "ED25519",
        KeyAlgorithm::Other { .. } => "UNKNOWN",
        KeyAlgorithm::Rsa { .. } => "rsaEncryption",
    }
}
