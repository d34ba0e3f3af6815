//! rustls asks here whether a client's chain is good. The answer is [`Judge`]'s; rustls only learns which alert
//! to send.
//!
//! rustls keeps neither a refused chain nor our reason, so both are left in a slot that surrounds the handshake
//! (`with_verdict`).

use std::cell::RefCell;
use std::sync::Arc;

use policies::Reason;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::tickets;
use crate::clock;
use crate::config::ClientAuth;
use crate::peer::{Judge, Peer, Refusal};

tokio::task_local! {
    static VERDICT: RefCell<Option<Result<Peer, Refusal>>>;
}

/// Runs a handshake and gives back, beside its outcome, what was judged in it: `None` when no certificate was
/// presented or the session was resumed.
pub(super) async fn with_verdict<F: Future>(handshake: F) -> (F::Output, Option<Result<Peer, Refusal>>) {
    VERDICT
        .scope(RefCell::new(None), async {
            let outcome = handshake.await;
            (outcome, VERDICT.with(RefCell::take))
        })
        .await
}

/// The verifier of one virtual host.
#[derive(Debug)]
pub struct ClientVerifier {
    judge: Arc<Judge>,
    ca_names: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    /// `ca_names` are the DER names for the CertificateRequest (SEC-53).
    pub fn new(
        judge: Arc<Judge>,
        ca_names: Vec<DistinguishedName>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { judge, ca_names, algorithms }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.judge.client_auth() == ClientAuth::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.ca_names
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        tickets::begin_anew();
        let certificates = std::iter::once(end_entity).chain(intermediates).map(AsRef::as_ref);
        let verdict = self.judge.judge_der(certificates, clock::now());
        let answer = match &verdict {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(refusal) => Err(Error::InvalidCertificate(alerting_error(refusal.reason))),
        };
        let _ = VERDICT.try_with(|slot| slot.replace(Some(verdict)));
        answer
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The rustls error whose alert says best, in RFC 8446 §6.2's words, what was wrong.
fn alerting_error(reason: Reason) -> CertificateError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "most reasons have no alert of their own")]
    match reason {
        Reason::Expired | Reason::NotYetValid => CertificateError::Expired,
        Reason::Revoked => CertificateError::Revoked,
        Reason::UnknownIssuer => CertificateError::UnknownIssuer,
        Reason::RevocationUnknown | Reason::CrlExpired => CertificateError::UnknownRevocationStatus,
        Reason::CertificateMalformed
        | Reason::ChainTooLarge
        | Reason::BadSignature
        | Reason::NulInName
        | Reason::InvalidEncoding
        | Reason::UnknownCriticalExtension => CertificateError::BadEncoding,
        Reason::ExtendedKeyUsage
        | Reason::KeyUsage
        | Reason::LeafIsAuthority
        | Reason::UnsupportedVersion
        | Reason::UnsupportedAlgorithm
        | Reason::WeakKey
        | Reason::WeakSignature => CertificateError::InvalidPurpose,
        Reason::DeniedByList | Reason::OuiNotAccepted => CertificateError::ApplicationVerificationFailure,
        other => CertificateError::Other(OtherError(Arc::new(Unacceptable(other)))),
    }
}

/// The alert that goes with a reason found in the certificate.
pub(crate) fn alert_for(reason: Reason) -> AlertDescription {
    AlertDescription::from(alerting_error(reason))
}

#[derive(Debug, thiserror::Error)]
#[error("{}", .0.as_str())]
struct Unacceptable(Reason);
