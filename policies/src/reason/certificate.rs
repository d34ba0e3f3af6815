//! Each error of chain verification and the reason it is recorded under (SEC-62).

use certs::ChainError;

use super::Reason;

impl From<&ChainError> for Reason {
    fn from(error: &ChainError) -> Self {
        match error {
            ChainError::BadSignature { .. } => Self::BadSignature,
            ChainError::CrlExpired { .. } => Self::CrlExpired,
            ChainError::Empty => Self::NoCertificate,
            ChainError::Expired { .. } => Self::Expired,
            ChainError::ExtendedKeyUsage { .. } => Self::ExtendedKeyUsage,
            // A chain verified under other anchors is, under these, one without an anchor.
            ChainError::ForeignChain | ChainError::UnknownIssuer { .. } => Self::UnknownIssuer,
            ChainError::InvalidPolicy { .. } => Self::CertificatePolicy,
            ChainError::KeyTooLarge { .. }
            | ChainError::TooLarge { .. }
            | ChainError::TooManyCertificates { .. }
            | ChainError::TooManyIntermediates { .. } => Self::ChainTooLarge,
            ChainError::KeyUsage { .. } => Self::KeyUsage,
            ChainError::LeafIsAuthority => Self::LeafIsAuthority,
            ChainError::Malformed { .. } | ChainError::NotConforming { .. } => Self::CertificateMalformed,
            ChainError::NameConstraints { .. } => Self::NameConstraints,
            ChainError::NotACertificateAuthority { .. } => Self::NotAnAuthority,
            ChainError::NotYetValid { .. } => Self::NotYetValid,
            ChainError::PathLength { .. } => Self::PathLength,
            ChainError::RevocationUnknown { .. } => Self::RevocationUnknown,
            ChainError::Revoked { .. } => Self::Revoked,
            ChainError::SearchExhausted { .. } => Self::PathSearchExhausted,
            ChainError::UnknownCriticalExtension { .. } => Self::UnknownCriticalExtension,
            ChainError::UnsupportedAlgorithm { .. } => Self::UnsupportedAlgorithm,
            ChainError::UnsupportedVersion { .. } => Self::UnsupportedVersion,
            ChainError::WeakKey { .. } => Self::WeakKey,
            ChainError::WeakSignature { .. } => Self::WeakSignature,
        }
    }
}

#[cfg(test)]
mod tests {
    use certs::Timestamp;

    use super::*;
    use crate::reason::Stage;

    #[test]
    fn sec_62_each_error_has_a_reason_of_its_stage() {
        let at = Timestamp::from_unix(0);
        for (error, reason) in [
            (ChainError::BadSignature { depth: 0 }, Reason::BadSignature),
            (ChainError::CrlExpired { depth: 0, next_update: at }, Reason::CrlExpired),
            (ChainError::Empty, Reason::NoCertificate),
            (ChainError::Expired { depth: 0, not_after: at }, Reason::Expired),
            (ChainError::ForeignChain, Reason::UnknownIssuer),
            (ChainError::InvalidPolicy { depth: 0 }, Reason::CertificatePolicy),
            (ChainError::KeyTooLarge { depth: 0, bits: 16384, limit: 8192 }, Reason::ChainTooLarge),
            (ChainError::LeafIsAuthority, Reason::LeafIsAuthority),
            (ChainError::NotACertificateAuthority { depth: 1 }, Reason::NotAnAuthority),
            (ChainError::NotYetValid { depth: 0, not_before: at }, Reason::NotYetValid),
            (ChainError::PathLength { depth: 1, limit: 0 }, Reason::PathLength),
            (ChainError::Revoked { depth: 0, date: at, reason: None }, Reason::Revoked),
            (ChainError::SearchExhausted { steps: 9 }, Reason::PathSearchExhausted),
            (ChainError::TooLarge { size: 70_000, limit: 65_536 }, Reason::ChainTooLarge),
            (ChainError::TooManyCertificates { limit: 10 }, Reason::ChainTooLarge),
        ] {
            assert_eq!(Reason::from(&error), reason, "{error}");
            assert_eq!(reason.stage(), Stage::Certificate, "{error}");
        }
    }
}
