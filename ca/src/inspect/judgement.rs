//! What a strict policy and one for the guide's old phones would say of a certificate.

use certs::{Certificate, Curve, Hash, KeyAlgorithm, PublicKey, SignatureAlgorithm, Timestamp, Version};
use policies::TlsRules;

use crate::key::twin::USUAL_EXPONENT;
use crate::key_policy::exponent;

/// The weaknesses of one certificate, sorted by what can be excepted.
pub(super) struct Judgement {
    /// No exception lets it pass.
    fatal: Vec<String>,
    /// A gateway lets it pass where its trust entry lists this exception: what is wrong, and the exception's name.
    excepted: Vec<(String, &'static str)>,
    /// It cannot take part in the cipher suites of the guide.
    outside_guide: Vec<String>,
}

impl Judgement {
    pub(super) fn of(certificate: &Certificate, now: Timestamp) -> Self {
        let mut judgement = Self { fatal: Vec::new(), excepted: Vec::new(), outside_guide: Vec::new() };
        judgement.key(certificate.public_key());
        if !certificate.is_self_issued() {
            judgement.signature(certificate.signature_algorithm());
        }
        if certificate.version() != Version::V3 && !certificate.is_self_issued() {
            let number = certificate.version().number();
            judgement.excepted.push((format!("X.509 version {number}"), "x509-v1"));
        }
        let validity = certificate.validity();
        if now < validity.not_before {
            judgement.fatal.push(format!("not valid before {}", validity.not_before));
        }
        if now > validity.not_after {
            judgement.excepted.push((format!("expired {}", validity.not_after), "expired"));
        }
        judgement
    }

    fn key(&mut self, key: &PublicKey) {
        match key.algorithm() {
            KeyAlgorithm::Rsa { bits } if bits < 1024 => self.fatal.push(format!("RSA key of {bits} bits")),
            KeyAlgorithm::Rsa { bits } if bits < 2048 => {
                self.excepted.push((format!("RSA key of {bits} bits"), "rsa-1024"));
            }
            KeyAlgorithm::Rsa { bits } if bits > 8192 => self.fatal.push(format!("RSA key of {bits} bits")),
            KeyAlgorithm::Rsa { .. } => {}
            KeyAlgorithm::Ec { curve } => {
                if !modern_signs_with(curve) {
                    self.fatal.push(format!("key on {curve}"));
                }
                self.outside_guide.push("the guide's cipher suites know RSA keys only".to_owned());
            }
            KeyAlgorithm::Ed25519 => {
                self.outside_guide.push("the guide's cipher suites know RSA keys only".to_owned());
            }
            KeyAlgorithm::Other { oid } => self.fatal.push(format!("key of unknown kind {oid}")),
        }
    }

    fn signature(&mut self, algorithm: SignatureAlgorithm) {
        match algorithm {
            SignatureAlgorithm::RsaPkcs1(hash)
            | SignatureAlgorithm::RsaPss(hash)
            | SignatureAlgorithm::Ecdsa(hash) => match hash {
                Hash::Md5 => self.excepted.push(("signed with MD5".to_owned(), "md5")),
                Hash::Sha1 => self.excepted.push(("signed with SHA-1".to_owned(), "sha1")),
                Hash::Sha256 | Hash::Sha384 | Hash::Sha512 => {}
            },
            SignatureAlgorithm::Ed25519 => {}
            SignatureAlgorithm::Other(oid) => self.fatal.push(format!("signed with unknown algorithm {oid}")),
        }
    }

    /// The verdict of strict rules.
    pub(super) fn modern(&self) -> String {
        let faults: Vec<&str> = self
            .fatal
            .iter()
            .chain(self.excepted.iter().map(|(fault, _)| fault))
            .map(String::as_str)
            .collect();
        if faults.is_empty() { "accepted".to_owned() } else { format!("refused: {}", faults.join(", ")) }
    }

    /// The verdict of rules for the guide's phones.
    pub(super) fn guide(&self) -> String {
        let faults: Vec<&str> = self.fatal.iter().chain(&self.outside_guide).map(String::as_str).collect();
        if !faults.is_empty() {
            return format!("refused: {}", faults.join(", "));
        }
        let exceptions: Vec<&str> = self.excepted.iter().map(|(_, name)| *name).collect();
        if exceptions.is_empty() {
            "accepted".to_owned()
        } else {
            format!("accepted where the trust entry excepts {}", exceptions.join(", "))
        }
    }
}

/// Whether the shipped modern TLS policy lets a key on this curve sign the handshake.
fn modern_signs_with(curve: Curve) -> bool {
    let wanted = match curve {
        Curve::P256 => "ecdsa_secp256r1",
        Curve::P384 => "ecdsa_secp384r1",
        Curve::P521 => "ecdsa_secp521r1",
    };
    TlsRules::shipped("modern").is_some_and(|rules| {
        rules.signature_algorithms().iter().any(|scheme| scheme.name().starts_with(wanted))
    })
}

/// A key with its strength in a word.
pub(super) fn key_text(key: &PublicKey) -> String {
    let algorithm = key.algorithm();
    let strength = match algorithm {
        KeyAlgorithm::Rsa { bits } if bits < 1024 => "broken",
        KeyAlgorithm::Rsa { bits } if bits < 2048 => "weak",
        KeyAlgorithm::Rsa { .. } | KeyAlgorithm::Ec { .. } | KeyAlgorithm::Ed25519 => "strong",
        KeyAlgorithm::Other { .. } => "unknown",
    };
    match exponent(key).filter(|exponent| *exponent != USUAL_EXPONENT) {
        Some(exponent) => format!("{algorithm}, exponent {exponent} ({strength})"),
        None => format!("{algorithm} ({strength})"),
    }
}

/// A signature algorithm with its strength in a word.
pub(super) fn signature_text(algorithm: SignatureAlgorithm) -> String {
    let strength = match algorithm {
        SignatureAlgorithm::RsaPkcs1(hash)
        | SignatureAlgorithm::RsaPss(hash)
        | SignatureAlgorithm::Ecdsa(hash) => match hash {
            Hash::Md5 => "broken",
            Hash::Sha1 => "weak",
            Hash::Sha256 | Hash::Sha384 | Hash::Sha512 => "strong",
        },
        SignatureAlgorithm::Ed25519 => "strong",
        SignatureAlgorithm::Other(_) => "unknown",
    };
    format!("{algorithm} ({strength})")
}
