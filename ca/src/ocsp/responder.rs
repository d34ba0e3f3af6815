//! Answering: who signs, what the inventory says, and the answer's bytes.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use certs::{Certificate, Timestamp};
use der::asn1::{Any, BitString, GeneralizedTime, Null, OctetString};
use der::{Decode, Encode};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::message::{
    BASIC, BasicResponse, CertStatus, OcspResponse, ResponderId, ResponseBytes, ResponseData, ResponseStatus,
    RevokedInfo, SingleResponse,
};
use super::request::{Asked, Malformed, Request};
use crate::crl;
use crate::error::IssueError;
use crate::signer::Signer;
use crate::store::{AuthorityId, Revocation};

/// How long an answer counts, in seconds, unless the responder's certificate ends before.
const LIFE: i64 = 4 * 3600;

/// What the inventory says of a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Issued, and not revoked.
    Good,
    /// Issued, and revoked.
    Revoked(Revocation),
    /// Never issued.
    Unknown,
}

/// Where the answers come from.
pub(crate) trait Inventory {
    /// What became of the certificate with these content octets of a serial number.
    fn status(&self, authority: AuthorityId, serial: &[u8]) -> Result<Status, IssueError>;
}

/// Who answers for one authority.
#[derive(Clone)]
pub(crate) struct Responder {
    authority: AuthorityId,
    issuer_name: Vec<u8>,
    issuer_key: Vec<u8>,
    certificate: Certificate,
    key_hash: Vec<u8>,
    signer: Arc<dyn Signer>,
}

impl Responder {
    /// The responder with this certificate, which `issuer` issued, and its key.
    pub(crate) fn new(
        authority: AuthorityId,
        issuer: &Certificate,
        certificate: Certificate,
        signer: Arc<dyn Signer>,
    ) -> der::Result<Self> {
        let key_hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &key_bits(&certificate)?).as_ref().to_vec();
        Ok(Self {
            authority,
            issuer_name: issuer.subject().der().to_vec(),
            issuer_key: key_bits(issuer)?,
            certificate,
            key_hash,
            signer,
        })
    }

    pub(crate) fn authority(&self) -> AuthorityId {
        self.authority
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    fn knows(&self, asked: &Asked) -> bool {
        asked.is_of(&self.issuer_name, &self.issuer_key)
    }
}

/// The bits of a certificate's key, which issuers are named by.
fn key_bits(certificate: &Certificate) -> der::Result<Vec<u8>> {
    let spki = SubjectPublicKeyInfoRef::from_der(certificate.public_key().spki_der())?;
    Ok(spki.subject_public_key.raw_bytes().to_vec())
}

/// Those of all authorities.
#[derive(Default)]
pub(crate) struct Responders(Vec<Responder>);

/// An answer, and how long it may be kept.
pub(crate) struct Answered {
    /// The DER `OCSPResponse`.
    pub(crate) der: Vec<u8>,
    /// From when until when it counts; an error, or an answer to a nonce, is for one client alone.
    pub(crate) cacheable: Option<(Timestamp, Timestamp)>,
}

impl Responders {
    pub(crate) fn new(responders: Vec<Responder>) -> Self {
        Self(responders)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answers a request, whatever it is.
    pub(crate) fn answer(&self, bytes: &[u8], inventory: &dyn Inventory, now: Timestamp) -> Answered {
        match self.successful(bytes, inventory, now) {
            Ok(answered) => answered,
            Err(refusal) => {
                let response = OcspResponse { status: refusal.status(), bytes: None };
                Answered { der: response.to_der().unwrap_or_default(), cacheable: None }
            }
        }
    }

    fn successful(
        &self,
        bytes: &[u8],
        inventory: &dyn Inventory,
        now: Timestamp,
    ) -> Result<Answered, Refusal> {
        let request = Request::parse(bytes)?;
        let is_valid = |responder: &&Responder| responder.certificate.validity().contains(now);
        // One answer has one signer: what is asked of other authorities beside is unknown to it.
        let responder = request
            .asked
            .iter()
            .find_map(|asked| self.0.iter().filter(is_valid).find(|one| one.knows(asked)))
            .ok_or(Refusal::Unauthorized)?;
        let until = now.plus_seconds(LIFE).min(responder.certificate.validity().not_after);
        let has_nonce = request.nonce.is_some();
        let responses = request
            .asked
            .into_iter()
            .map(|asked| {
                let status = match responder.knows(&asked) {
                    true => inventory.status(responder.authority, &asked.serial)?,
                    false => Status::Unknown,
                };
                Ok(SingleResponse {
                    certificate: asked.id,
                    status: cert_status(status)?,
                    this_update: time(now)?,
                    next_update: time(until)?,
                })
            })
            .collect::<Result<_, Refusal>>()?;
        let data = ResponseData {
            responder: ResponderId::ByKey(OctetString::new(responder.key_hash.clone())?),
            produced_at: time(now)?,
            responses,
            extensions: request.nonce.map(|nonce| vec![nonce]),
        };
        let tbs = data.to_der()?;
        let algorithm = responder.signer.algorithm();
        let signature = responder.signer.sign(&tbs).map_err(|_key| Refusal::Internal)?;
        let basic = BasicResponse {
            tbs: Any::from_der(&tbs)?,
            algorithm,
            signature: BitString::from_bytes(&signature)?,
            certificates: vec![Any::from_der(responder.certificate.der())?],
        };
        let bytes = ResponseBytes { kind: BASIC, response: OctetString::new(basic.to_der()?)? };
        let response = OcspResponse { status: ResponseStatus::Successful, bytes: Some(bytes) };
        Ok(Answered { der: response.to_der()?, cacheable: (!has_nonce).then_some((now, until)) })
    }
}

/// Why nothing is said of any certificate.
enum Refusal {
    Internal,
    Malformed,
    Unauthorized,
}

impl Refusal {
    fn status(&self) -> ResponseStatus {
        match self {
            Self::Internal => ResponseStatus::InternalError,
            Self::Malformed => ResponseStatus::MalformedRequest,
            Self::Unauthorized => ResponseStatus::Unauthorized,
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(_malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<der::Error> for Refusal {
    fn from(_ours: der::Error) -> Self {
        Self::Internal
    }
}

impl From<IssueError> for Refusal {
    fn from(error: IssueError) -> Self {
        tracing::error!(error = %crate::printer::with_causes(&error), "the inventory gave no answer");
        Self::Internal
    }
}

fn cert_status(status: Status) -> der::Result<CertStatus> {
    Ok(match status {
        Status::Good => CertStatus::Good(Null),
        Status::Unknown => CertStatus::Unknown(Null),
        Status::Revoked(Revocation { at, reason }) => {
            CertStatus::Revoked(RevokedInfo { time: time(at)?, reason: crl::code(reason) })
        }
    })
}

fn time(timestamp: Timestamp) -> der::Result<GeneralizedTime> {
    let seconds =
        u64::try_from(timestamp.unix()).map_err(|_before_1970| der::Tag::GeneralizedTime.value_error())?;
    GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
