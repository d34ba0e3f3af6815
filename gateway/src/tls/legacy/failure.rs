//! OpenSSL's failures in our words: a reason, a sentence and the alert (SEC-62).

use openssl::ssl::{Error, ErrorCode};

use super::State;
use super::{AlertDescription, Reason};
use crate::handshake::{received, sent};

/// Why a handshake failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The stable code.
    pub reason: Reason,
    /// What OpenSSL says.
    pub detail: String,
    /// The alert as records name it.
    pub alert: Option<String>,
}

/// Numbers of sslerr.h, OpenSSL 3.
mod number {
    pub(super) const BAD_SIGNATURE: i32 = 123;
    pub(super) const INAPPROPRIATE_FALLBACK: i32 = 373;
    pub(super) const NO_SHARED_CIPHER: i32 = 193;
    pub(super) const NO_SHARED_GROUPS: i32 = 410;
    pub(super) const NO_SHARED_SIGNATURE_ALGORITHMS: i32 = 376;
    pub(super) const NO_SUITABLE_SIGNATURE_ALGORITHM: i32 = 118;
    pub(super) const PEER_DID_NOT_RETURN_A_CERTIFICATE: i32 = 199;
    pub(super) const UNEXPECTED_EOF_WHILE_READING: i32 = 294;
    pub(super) const UNSUPPORTED_PROTOCOL: i32 = 258;
    pub(super) const WRONG_SIGNATURE_TYPE: i32 = 370;
}

/// What failed; a refused chain has its own reason, which is not looked for here.
pub(super) fn classify(error: &Error, state: &State) -> Failure {
    let alert = state.alert.map(|(ours, alert)| if ours { sent(alert) } else { received(alert) });
    // What failed in the cryptography may stand before what that means for the handshake.
    let is_of_tls = |error: &&openssl::error::Error| error.library() == Some("SSL routines");
    let errors = error.ssl_error().map(|stack| stack.errors()).unwrap_or_default();
    let first = errors.iter().find(is_of_tls).or_else(|| errors.first());
    let number = first.map(|first| first.reason_code());
    let text = first.and_then(|first| first.reason()).map_or_else(|| error.to_string(), str::to_owned);
    let from_client = matches!(state.alert, Some((false, alert)) if alert != AlertDescription::CloseNotify);
    let reason = match number {
        _ if state.weak_proof => Reason::WeakHandshakeSignature,
        _ if from_client => Reason::ClientAlert,
        // Of the client, once its chain was judged good: MD5 alone, or another hash that it was not asked for. Before
        // that OpenSSL means a signature of ours.
        Some(number::WRONG_SIGNATURE_TYPE) if matches!(state.verdict, Some(Ok(_))) => {
            Reason::WeakHandshakeSignature
        }
        Some(number::WRONG_SIGNATURE_TYPE) => Reason::NoSharedSignatureAlgorithm,
        Some(number::BAD_SIGNATURE) => Reason::BadHandshakeSignature,
        Some(number::PEER_DID_NOT_RETURN_A_CERTIFICATE) => Reason::NoCertificate,
        Some(number::NO_SHARED_CIPHER) => Reason::NoSharedSuite,
        Some(number::NO_SHARED_GROUPS) => Reason::NoSharedGroup,
        Some(number::NO_SHARED_SIGNATURE_ALGORITHMS | number::NO_SUITABLE_SIGNATURE_ALGORITHM) => {
            Reason::NoSharedSignatureAlgorithm
        }
        Some(number::UNSUPPORTED_PROTOCOL) => Reason::VersionNotSupported,
        Some(number::INAPPROPRIATE_FALLBACK) => Reason::InappropriateFallback,
        Some(number::UNEXPECTED_EOF_WHILE_READING) => Reason::ClientGone,
        Some(_) => Reason::HandshakeFailed,
        None if error.code() == ErrorCode::SYSCALL || error.code() == ErrorCode::ZERO_RETURN => {
            Reason::ClientGone
        }
        None => Reason::HandshakeFailed,
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "of the others OpenSSL's own words say enough")]
    let detail = match reason {
        Reason::ClientGone => "the client closed the connection during the handshake".to_owned(),
        Reason::WeakHandshakeSignature if state.weak_proof => {
            "the client signed the handshake with SHA-1, which its trust entry does not allow".to_owned()
        }
        Reason::WeakHandshakeSignature => {
            format!("the client signed the handshake with an algorithm it was not asked for ({text})")
        }
        _ => text,
    };
    Failure { reason, detail, alert }
}

/// The `X509_V_ERR_…` number for which OpenSSL sends this alert. Its table (`ssl_x509err2alert`) has no access_denied;
/// handshake_failure is the nearest there.
pub(super) fn number_of(alert: AlertDescription) -> i32 {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other alert goes with a certificate")]
    match alert {
        AlertDescription::CertificateExpired => 10,
        AlertDescription::CertificateRevoked => 23,
        AlertDescription::UnknownCA => 20,
        AlertDescription::UnsupportedCertificate => 26,
        AlertDescription::AccessDenied => 50,
        AlertDescription::DecryptError => 7,
        AlertDescription::InternalError => 1,
        // A number that the table lacks gives certificate_unknown.
        AlertDescription::CertificateUnknown => 34,
        _ => 28,
    }
}
