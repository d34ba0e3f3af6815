//! The facts of one certificate of a chain, for a person and for programs.

use certs::{Certificate, GeneralName, Timestamp};
use serde::Serialize;

/// What stands in it, or why it cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum CertificateFacts {
    /// It can be read.
    Sound(Box<Facts>),
    /// It cannot.
    Unreadable {
        /// Its bytes.
        size: usize,
        /// Why.
        error: String,
    },
}

/// What stands in a certificate.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Facts {
    /// Whom it is about (RFC 4514).
    pub subject: String,
    /// Who issued it (RFC 4514).
    pub issuer: String,
    /// Its serial number, hex.
    pub serial: String,
    /// The names of its subjectAltName.
    pub names: Vec<String>,
    /// The kind and size of its key.
    pub key: String,
    /// How its issuer signed it.
    pub signature: String,
    /// 1, 2 or 3.
    pub version: u8,
    /// First second of its validity.
    pub not_before: String,
    /// Last second of its validity.
    pub not_after: String,
    /// `valid`, `expired` or `not valid yet`.
    pub validity: &'static str,
    /// Whole days left, negative when it has expired.
    pub days_left: i64,
    /// SHA-256 of its DER.
    pub sha256: String,
    /// Its DER's bytes.
    pub size: usize,
}

/// More names than a person reads are counted.
const MOST_NAMES: usize = 32;

impl CertificateFacts {
    /// Reads a certificate as of `now`.
    #[must_use]
    pub fn of(der: &[u8], now: Timestamp) -> Self {
        match Certificate::parse(der) {
            Ok(certificate) => Self::Sound(Box::new(Facts::of(&certificate, now))),
            Err(error) => Self::Unreadable {
                size: der.len(),
                error: crate::config::certificates::Causes(&error).to_string(),
            },
        }
    }

    /// The facts in lines of name and value.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Sound(facts) => facts.lines(),
            Self::Unreadable { size, error } => vec![("unreadable", format!("{size} bytes: {error}"))],
        }
    }
}

impl Facts {
    fn of(certificate: &Certificate, now: Timestamp) -> Self {
        let validity = certificate.validity();
        let word = if now < validity.not_before {
            "not valid yet"
        } else if validity.contains(now) {
            "valid"
        } else {
            "expired"
        };
        let alternative = certificate.subject_alternative_names();
        let names: Vec<&GeneralName> = alternative.into_iter().flat_map(|names| names.names()).collect();
        let mut listed: Vec<String> = names.iter().take(MOST_NAMES).map(ToString::to_string).collect();
        if names.len() > MOST_NAMES {
            listed.push(format!("… {} more", names.len() - MOST_NAMES));
        }
        Self {
            subject: certificate.subject().to_rfc4514(),
            issuer: certificate.issuer().to_rfc4514(),
            serial: certificate.serial().to_string(),
            names: listed,
            key: certificate.public_key().algorithm().to_string(),
            signature: certificate.signature_algorithm().to_string(),
            version: certificate.version().number(),
            not_before: validity.not_before.to_string(),
            not_after: validity.not_after.to_string(),
            validity: word,
            days_left: validity.not_after.unix().saturating_sub(now.unix()).div_euclid(86_400),
            sha256: certificate.fingerprint().to_string(),
            size: certificate.der().len(),
        }
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let Self { subject, issuer, serial, names, key, signature, version, .. } = self;
        let Self { not_before, not_after, validity, days_left, sha256, size, .. } = self;
        let mut lines = vec![
            ("subject", subject.clone()),
            ("issuer", if issuer == subject { "itself".to_owned() } else { issuer.clone() }),
            ("serial", serial.clone()),
        ];
        if !names.is_empty() {
            lines.push(("names", names.join(", ")));
        }
        let left = match (*validity, *days_left) {
            ("valid", 1) => ", 1 day left".to_owned(),
            ("valid", days) => format!(", {days} days left"),
            (word, _) => format!(": {}", word.to_uppercase()),
        };
        lines.extend([
            ("valid", format!("{not_before} to {not_after}{left}")),
            ("key", format!("{key}, signed with {signature}, X.509 version {version}, {size} bytes")),
            ("SHA-256", sha256.clone()),
        ]);
        lines
    }
}
