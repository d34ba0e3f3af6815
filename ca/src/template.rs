//! Certificates as bytes: the to-be-signed part is built whole before any key is touched (RFC 5280 §4.1).
//!
//! The issuer's name and the public key go in as the very DER they came in, never decoded and encoded again
//! (CA R1, R2, C1, B5); times are UTC by construction (R5, R6).

use std::time::Duration;

use certs::{Timestamp, Validity, Version};
use der::asn1::{Any, BitString, GeneralizedTime, Uint, UtcTime};
use der::{DateTime, Decode, Encode, Sequence};
use x509_cert::ext::Extension;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

/// Everything that goes into one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// 3 everywhere but in test stores and twins.
    pub(crate) version: Version,
    /// Content octets of the serial number, positive.
    pub(crate) serial: Vec<u8>,
    /// How it is to be signed.
    pub(crate) signature_algorithm: AlgorithmIdentifierOwned,
    /// The issuer's `Name`, DER.
    pub(crate) issuer: Vec<u8>,
    pub(crate) validity: Validity,
    /// The subject's `Name`, DER.
    pub(crate) subject: Vec<u8>,
    /// The `SubjectPublicKeyInfo`, DER.
    pub(crate) public_key: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
}

#[derive(Sequence)]
struct TbsCertificate {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    version: Option<u8>,
    serial: Uint,
    signature: AlgorithmIdentifierOwned,
    issuer: Any,
    validity: Period,
    subject: Any,
    public_key: Any,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Sequence)]
struct Period {
    not_before: Time,
    not_after: Time,
}

#[derive(Sequence)]
struct Signed {
    tbs: Any,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

impl Template {
    /// The DER `TBSCertificate`: the same template always gives the same bytes (CA I2).
    pub(crate) fn to_tbs(&self) -> der::Result<Vec<u8>> {
        TbsCertificate {
            version: match self.version {
                Version::V1 => None, // the default, which DER leaves out
                Version::V2 => Some(1),
                Version::V3 => Some(2),
            },
            serial: Uint::new(&self.serial)?,
            signature: self.signature_algorithm.clone(),
            issuer: Any::from_der(&self.issuer)?,
            validity: Period {
                not_before: time(self.validity.not_before)?,
                not_after: time(self.validity.not_after)?,
            },
            subject: Any::from_der(&self.subject)?,
            public_key: Any::from_der(&self.public_key)?,
            extensions: (!self.extensions.is_empty()).then(|| self.extensions.clone()),
        }
        .to_der()
    }
}

/// Puts a signature under a to-be-signed part: certificates, requests and revocation lists alike.
pub(crate) fn assemble(
    tbs: &[u8],
    algorithm: &AlgorithmIdentifierOwned,
    signature: &[u8],
) -> der::Result<Vec<u8>> {
    Signed {
        tbs: Any::from_der(tbs)?,
        algorithm: algorithm.clone(),
        signature: BitString::from_bytes(signature)?,
    }
    .to_der()
}

/// UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5; CA E1).
pub(crate) fn time(timestamp: Timestamp) -> der::Result<Time> {
    let seconds = u64::try_from(timestamp.unix()).map_err(|_before_1970| der::ErrorKind::DateTime)?;
    let moment = DateTime::from_unix_duration(Duration::from_secs(seconds))?;
    if moment.year() < 2050 {
        Ok(Time::UtcTime(UtcTime::from_date_time(moment)?))
    } else {
        Ok(Time::GeneralTime(GeneralizedTime::from_date_time(moment)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(rfc3339: &str) -> String {
        let der = time(Timestamp::parse_rfc3339(rfc3339).unwrap()).unwrap().to_der().unwrap();
        String::from_utf8(der[2..].to_vec()).unwrap()
    }

    #[test]
    fn e1_r5_r6_utc_time_until_2049_and_generalized_time_from_2050() {
        assert_eq!(encoded("1970-01-01T00:00:00Z"), "700101000000Z");
        assert_eq!(encoded("2049-12-31T23:59:59Z"), "491231235959Z");
        assert_eq!(encoded("2050-01-01T00:00:00Z"), "20500101000000Z");
        assert_eq!(encoded("9999-12-31T23:59:59Z"), "99991231235959Z");
        // The same instants, written with an offset that carries them over the boundary.
        assert_eq!(encoded("2050-01-01T13:59:59+14:00"), "491231235959Z");
        assert_eq!(encoded("2049-12-31T10:00:00-14:00"), "20500101000000Z");
    }

    #[test]
    fn e1_times_outside_1970_to_9999_are_errors_not_panics() {
        assert!(time(Timestamp::from_unix(-1)).is_err());
        assert!(time(Timestamp::from_unix(i64::MAX)).is_err());
        assert!(time(Timestamp::from_unix(253_402_300_800)).is_err());
    }
}
