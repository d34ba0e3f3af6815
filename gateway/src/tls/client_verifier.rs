//! rustls asks here whether a client's chain is good. The answer is [`Judge`]'s; rustls only learns which alert
//! to send.
//!
//! rustls keeps neither a refused chain nor our reason, so both are left in a slot that surrounds the handshake
//! (`with_verdict`).

use std::cell::RefCell;
use std::sync::Arc;

use certs::{Certificate, Curve, Fingerprint, Hash, KeyAlgorithm, PublicKey, SignatureAlgorithm};
use policies::Reason;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerMisbehaved, SignatureScheme,
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

/// The key that verified the certificate of the client that was judged in this handshake.
pub(super) fn leaf_signer() -> Option<Fingerprint> {
    let judged = VERDICT.try_with(|slot| {
        let slot = slot.borrow();
        slot.as_ref()?.as_ref().ok()?.chain()?.leaf_signer()
    });
    judged.ok().flatten()
}

/// The verifier of one virtual host.
#[derive(Debug)]
pub struct ClientVerifier {
    judge: Arc<Judge>,
    ca_names: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
    allowed: Arc<[SignatureScheme]>,
    sha1_proofs: bool,
}

impl ClientVerifier {
    /// `ca_names` are the DER names for the CertificateRequest (SEC-53); of the `algorithms` that can verify a
    /// client's signature on the handshake, those of the `allowed` schemes are asked for and taken. SHA-1 comes from no
    /// policy but from the trust entries that allow it.
    pub fn new(
        judge: Arc<Judge>,
        ca_names: Vec<DistinguishedName>,
        algorithms: WebPkiSupportedAlgorithms,
        allowed: Arc<[SignatureScheme]>,
    ) -> Self {
        let sha1_proofs = judge.may_accept_sha1_proofs();
        Self { judge, ca_names, algorithms, allowed, sha1_proofs }
    }

    /// Whether the client that was judged in this handshake may sign it with SHA-1; noted if so.
    fn accepts_sha1_of_this_client(&self) -> bool {
        let accepted = VERDICT.try_with(|slot| match slot.borrow_mut().as_mut() {
            Some(Ok(peer)) => self.judge.accept_sha1_proof(peer, clock::now()),
            Some(Err(_)) | None => false,
        });
        accepted.unwrap_or(false)
    }

    /// Verifies the signature that proves the client's key.
    ///
    /// rustls's own verification reads the certificate again, and refuses what `certs` has just accepted: version 1,
    /// unique identifiers, keys that a trust entry tolerates. The key is all that is needed here.
    fn verify_proof(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // rustls leaves it to us whether a client signed with something it was not asked for.
        let asked_for = algorithm(signature.scheme).filter(|_| self.allowed.contains(&signature.scheme));
        let Some(algorithm) = asked_for else {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        };
        let key = key_of(certificate).ok_or(CertificateError::BadEncoding)?;
        algorithm
            .verify_once(&key, message, signature.signature())
            .map_err(|_| CertificateError::BadSignature)?;
        Ok(HandshakeSignatureValid::assertion())
    }
}

/// The key of the certificate that was judged in this handshake.
fn key_of(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    let judged = VERDICT.try_with(|slot| {
        let slot = slot.borrow();
        let leaf = slot.as_ref()?.as_ref().ok()?.chain()?.leaf();
        (leaf.der() == certificate.as_ref()).then(|| leaf.public_key().clone())
    });
    judged.ok().flatten().or_else(|| Some(Certificate::parse(certificate).ok()?.public_key().clone()))
}

/// The SHA-1 schemes of TLS 1.2, in a certificate's words.
pub(crate) fn sha1_algorithm(scheme: SignatureScheme) -> Option<SignatureAlgorithm> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls's list of schemes is open")]
    match scheme {
        SignatureScheme::RSA_PKCS1_SHA1 => Some(SignatureAlgorithm::RsaPkcs1(Hash::Sha1)),
        SignatureScheme::ECDSA_SHA1_Legacy => Some(SignatureAlgorithm::Ecdsa(Hash::Sha1)),
        _ => None,
    }
}

/// What a TLS signature scheme (RFC 8446 §4.2.3) is in a certificate's words; SHA-1 and MD5 are none.
pub(crate) fn algorithm(scheme: SignatureScheme) -> Option<SignatureAlgorithm> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls's list of schemes is open")]
    Some(match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => SignatureAlgorithm::Ecdsa(Hash::Sha256),
        SignatureScheme::ECDSA_NISTP384_SHA384 => SignatureAlgorithm::Ecdsa(Hash::Sha384),
        SignatureScheme::ECDSA_NISTP521_SHA512 => SignatureAlgorithm::Ecdsa(Hash::Sha512),
        SignatureScheme::ED25519 => SignatureAlgorithm::Ed25519,
        SignatureScheme::RSA_PKCS1_SHA256 => SignatureAlgorithm::RsaPkcs1(Hash::Sha256),
        SignatureScheme::RSA_PKCS1_SHA384 => SignatureAlgorithm::RsaPkcs1(Hash::Sha384),
        SignatureScheme::RSA_PKCS1_SHA512 => SignatureAlgorithm::RsaPkcs1(Hash::Sha512),
        SignatureScheme::RSA_PSS_SHA256 => SignatureAlgorithm::RsaPss(Hash::Sha256),
        SignatureScheme::RSA_PSS_SHA384 => SignatureAlgorithm::RsaPss(Hash::Sha384),
        SignatureScheme::RSA_PSS_SHA512 => SignatureAlgorithm::RsaPss(Hash::Sha512),
        _ => return None,
    })
}

/// The one curve that TLS 1.3 gives an ECDSA scheme.
fn curve(scheme: SignatureScheme) -> Option<Curve> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls's list of schemes is open")]
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => Some(Curve::P256),
        SignatureScheme::ECDSA_NISTP384_SHA384 => Some(Curve::P384),
        SignatureScheme::ECDSA_NISTP521_SHA512 => Some(Curve::P521),
        _ => None,
    }
}

fn is_on(key: &PublicKey, wanted: Curve) -> bool {
    match key.algorithm() {
        KeyAlgorithm::Ec { curve } => curve == wanted,
        KeyAlgorithm::Ed25519 | KeyAlgorithm::Other { .. } | KeyAlgorithm::Rsa { .. } => false,
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
        if let Some(algorithm) = sha1_algorithm(signature.scheme)
            && self.sha1_proofs
            && self.accepts_sha1_of_this_client()
        {
            let key = key_of(certificate).ok_or(CertificateError::BadEncoding)?;
            algorithm
                .verify(&key, message, signature.signature())
                .map_err(|_| CertificateError::BadSignature)?;
            tickets::give_none();
            return Ok(HandshakeSignatureValid::assertion());
        }
        self.verify_proof(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // RFC 8446 §4.2.3: PKCS #1 v1.5 is for certificates only, and each ECDSA scheme for one curve.
        let scheme = signature.scheme;
        if matches!(
            scheme,
            SignatureScheme::RSA_PKCS1_SHA256
                | SignatureScheme::RSA_PKCS1_SHA384
                | SignatureScheme::RSA_PKCS1_SHA512
        ) || curve(scheme).is_some_and(|curve| key_of(certificate).is_none_or(|key| !is_on(&key, curve)))
        {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        self.verify_proof(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.algorithms.supported_schemes();
        schemes.retain(|scheme| self.allowed.contains(scheme));
        if self.sha1_proofs {
            // Last: a client that can do better does.
            schemes.extend([SignatureScheme::RSA_PKCS1_SHA1, SignatureScheme::ECDSA_SHA1_Legacy]);
        }
        schemes
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
