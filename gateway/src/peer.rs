//! From a presented chain to a principal: verification and admission, the same for every engine, for a full
//! and a resumed handshake, and again for a kept connection after a reload, after a pause, and once a minute.

use std::sync::Arc;

use certs::{ChainError, ChainVerifier, Exception, Fingerprint, PresentedChain, Timestamp, VerifiedChain};
use policies::{Admission, Principal, Reason};

use crate::config::ClientAuth;

/// Who is at the other end of a connection, and the proof of it.
#[derive(Debug, Clone)]
pub struct Peer {
    chain: Option<VerifiedChain>,
    principal: Principal,
    /// The handshake was signed with SHA-1, which the trust entry allows.
    sha1_proof: bool,
}

impl Peer {
    /// A client that presented no certificate on a host where that is optional.
    fn anonymous() -> Self {
        Self { chain: None, principal: Principal::Anonymous, sha1_proof: false }
    }

    /// The verified chain; `None` for an anonymous client.
    pub fn chain(&self) -> Option<&VerifiedChain> {
        self.chain.as_ref()
    }

    /// Who the client is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether the client signed its handshake with SHA-1.
    pub fn is_proven_by_sha1(&self) -> bool {
        self.sha1_proof
    }

    /// What is to be kept of it where its certificates are not.
    pub fn proof(&self) -> Proof {
        let chain = self.chain.as_ref();
        Proof {
            leaf: chain.map(|chain| chain.leaf().fingerprint()),
            signer: chain.and_then(VerifiedChain::leaf_signer),
            sha1: self.sha1_proof,
        }
    }

    /// What had to be tolerated to let this client in, each once: in its chain, and in its signature on the handshake.
    pub fn exceptions(&self) -> impl Iterator<Item = Exception> + '_ {
        let of_chain = self.chain.as_ref().map(VerifiedChain::exceptions).unwrap_or_default();
        let of_proof = (self.sha1_proof && !of_chain.contains(&Exception::Sha1)).then_some(Exception::Sha1);
        of_chain.iter().copied().chain(of_proof)
    }
}

/// What a client has proven in its handshake. With it and the certificates, as the TLS session keeps them, the client of a kept
/// connection is judged again without a [`Peer`] having been kept.
#[derive(Debug, Clone, Copy)]
pub struct Proof {
    /// The client's own certificate; `None` for an anonymous client.
    leaf: Option<Fingerprint>,
    /// The key that verified it; `None` where it is itself an anchor.
    signer: Option<Fingerprint>,
    sha1: bool,
}

/// Why a presented chain was refused, with the chain so that the record can show it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The stable code.
    pub reason: Reason,
    /// One sentence for the operator.
    pub detail: String,
    /// What the client presented, as far as it could be parsed.
    pub presented: Option<PresentedChain>,
}

/// Judges the chains of one virtual host.
#[derive(Debug, Clone)]
pub struct Judge {
    verifier: Arc<ChainVerifier>,
    admission: Arc<Admission>,
    client_auth: ClientAuth,
}

impl Judge {
    /// Puts a host's verifier and its admission rules together.
    pub fn new(verifier: Arc<ChainVerifier>, admission: Arc<Admission>, client_auth: ClientAuth) -> Self {
        Self { verifier, admission, client_auth }
    }

    /// Whether a client may come without a certificate.
    pub fn client_auth(&self) -> ClientAuth {
        self.client_auth
    }

    /// Judges a client that presented no certificate.
    ///
    /// # Errors
    /// The host requires one. The TLS engine refuses such a client itself; this holds whatever an engine, or a
    /// session from before a change, lets through.
    pub fn judge_nothing(&self) -> Result<Peer, Refusal> {
        match self.client_auth {
            ClientAuth::Optional => Ok(Peer::anonymous()),
            ClientAuth::Required => Err(Refusal {
                reason: Reason::NoCertificate,
                detail: "the client presented no certificate".to_owned(),
                presented: None,
            }),
        }
    }

    /// Parses, verifies and admits what a client presented, leaf first.
    ///
    /// # Errors
    /// The [`Refusal`] with its reason.
    pub fn judge_der<'a>(
        &self,
        certificates: impl Iterator<Item = &'a [u8]> + Clone,
        now: Timestamp,
    ) -> Result<Peer, Refusal> {
        self.judge(&parsed(certificates)?, now)
    }

    /// Judges the chain of a resumed session as if it had just been presented (SEC-41). Only the leaf's signature is
    /// not verified again under the same issuer's key, `signer`: the chain was verified, and nobody could change it since, in a
    /// sealed ticket or in the session of a connection that is open.
    ///
    /// # Errors
    /// The [`Refusal`] with its reason.
    pub fn judge_resumed<'a>(
        &self,
        certificates: impl Iterator<Item = &'a [u8]> + Clone,
        signer: Option<Fingerprint>,
        now: Timestamp,
    ) -> Result<Peer, Refusal> {
        let Some(signer) = signer else { return self.judge_der(certificates, now) };
        let presented = parsed(certificates)?;
        let verified = self.verifier.verify_again(&presented, signer, now);
        self.admit(verified.map_err(|error| refused(&error, Some(&presented)))?)
    }

    /// Verifies and admits a chain.
    ///
    /// # Errors
    /// The [`Refusal`] with its reason.
    pub fn judge(&self, presented: &PresentedChain, now: Timestamp) -> Result<Peer, Refusal> {
        self.admit(self.verifier.verify(presented, now).map_err(|error| refused(&error, Some(presented)))?)
    }

    fn admit(&self, chain: VerifiedChain) -> Result<Peer, Refusal> {
        let principal = self.admission.admit(&chain).map_err(|denial| Refusal {
            reason: denial.reason,
            detail: denial.detail.to_string(),
            presented: Some(chain.presented().clone()),
        })?;
        Ok(Peer { chain: Some(chain), principal, sha1_proof: false })
    }

    /// Whether a client of any trust entry may sign a TLS 1.2 handshake with SHA-1, so that it is worth asking for.
    pub fn may_accept_sha1_proofs(&self) -> bool {
        self.verifier.entries().iter().any(|entry| entry.tolerances.sha1)
    }

    /// Whether this client may prove its key with a SHA-1 signature in a TLS 1.2 handshake: only below an anchor whose
    /// trust entry allows `sha1`. Noted in the peer, so that the record shows it.
    pub fn accept_sha1_proof(&self, peer: &mut Peer, now: Timestamp) -> bool {
        let accepted = self.allows_sha1(peer, now);
        peer.sha1_proof |= accepted;
        accepted
    }

    /// Judges again, moments later, a peer that this same judge let in: dates, revocation lists and what is tolerated,
    /// but not the signatures, whose bytes and keys are the same.
    ///
    /// # Errors
    /// The [`Refusal`] with its reason.
    pub fn recheck(&self, peer: &Peer, now: Timestamp) -> Result<(), Refusal> {
        let Some(chain) = &peer.chain else { return Ok(()) };
        self.verifier.recheck(chain, now).map_err(|error| refused(&error, Some(chain.presented())))?;
        self.recheck_proof(peer, now)
    }

    /// Judges as if it had just come a peer of which this or another judge has let in these same certificates, leaf first.
    ///
    /// # Errors
    /// The [`Refusal`] with its reason.
    pub fn judge_proven(
        &self,
        certificates: &[impl AsRef<[u8]>],
        proof: Proof,
        now: Timestamp,
    ) -> Result<Peer, Refusal> {
        let judged = match (certificates, proof.leaf) {
            ([], None) => return self.judge_nothing(),
            _ => self.judge_resumed(certificates.iter().map(AsRef::as_ref), proof.signer, now)?,
        };
        let peer = Peer { sha1_proof: proof.sha1, ..judged };
        if peer.proof().leaf != proof.leaf {
            return Err(Refusal {
                reason: Reason::HandshakeFailed,
                detail: "the TLS session has another certificate than the client presented".to_owned(),
                presented: peer.chain.as_ref().map(|chain| chain.presented().clone()),
            });
        }
        self.recheck_proof(&peer, now)?;
        Ok(peer)
    }

    fn recheck_proof(&self, peer: &Peer, now: Timestamp) -> Result<(), Refusal> {
        if !peer.sha1_proof || self.allows_sha1(peer, now) {
            return Ok(());
        }
        Err(Refusal {
            reason: Reason::WeakHandshakeSignature,
            detail:
                "the client signed the handshake with SHA-1, which its trust entry does not allow any more"
                    .to_owned(),
            presented: peer.chain.as_ref().map(|chain| chain.presented().clone()),
        })
    }

    fn allows_sha1(&self, peer: &Peer, now: Timestamp) -> bool {
        let entry = peer.chain.as_ref().and_then(|chain| self.verifier.entries().get(chain.entry()));
        entry.is_some_and(|entry| entry.tolerances.in_force(now).sha1)
    }
}

fn parsed<'a>(certificates: impl Iterator<Item = &'a [u8]> + Clone) -> Result<PresentedChain, Refusal> {
    PresentedChain::parse(certificates.clone()).map_err(|error| {
        // Whatever is wrong with the rest, the record shows the client's own certificate if that can be read.
        refused(&error, PresentedChain::parse(certificates.take(1)).ok().as_ref())
    })
}

fn refused(error: &ChainError, presented: Option<&PresentedChain>) -> Refusal {
    Refusal { reason: Reason::from(error), detail: error.to_string(), presented: presented.cloned() }
}

#[cfg(test)]
mod tests {
    use certs::testing::Pki;
    use certs::{Exception, Tolerances, TrustEntry};
    use policies::{AdmissionEntry, DenyList, IdentityProfile, ProfileSet};

    use super::*;

    fn judge(entry: TrustEntry) -> Judge {
        let profile = IdentityProfile::shipped("cisco-small-business").unwrap();
        let admission = AdmissionEntry {
            profiles: ProfileSet::new(vec![profile]).unwrap(),
            ouis: Vec::new(),
            deny: Arc::new(DenyList::empty()),
        };
        let verifier = Arc::new(ChainVerifier::new(vec![entry]).unwrap());
        Judge::new(verifier, Arc::new(Admission::new(vec![admission])), ClientAuth::Required)
    }

    #[test]
    fn a_sha1_proof_needs_its_permission_as_long_as_the_client_stays() {
        let pki = Pki::new();
        let presented = pki.device().issue().presented();
        let with = |tolerances| judge(TrustEntry { tolerances, ..pki.trust_entry() });
        let allowing = with(Tolerances { sha1: true, until: Some(Pki::NOW), ..Tolerances::default() });
        let strict = with(Tolerances { md5: true, ..Tolerances::default() });
        let (now, after) = (Pki::NOW, Pki::NOW.plus_seconds(1));

        let mut refused = strict.judge(&presented, now).unwrap();
        assert!(!strict.accept_sha1_proof(&mut refused, now));
        assert_eq!(refused.exceptions().count(), 0);

        let mut peer = allowing.judge(&presented, now).unwrap();
        let sound = peer.clone();
        assert!(allowing.accept_sha1_proof(&mut peer, now));
        assert_eq!(peer.exceptions().collect::<Vec<_>>(), [Exception::Sha1]);
        let reason = |result: Result<(), Refusal>| result.map_err(|refusal| refusal.reason);
        assert_eq!(reason(allowing.recheck(&peer, now)), Ok(()));
        assert_eq!(reason(allowing.recheck(&peer, after)), Err(Reason::WeakHandshakeSignature));
        assert_eq!(reason(allowing.recheck(&sound, after)), Ok(()), "the twin signed with more");

        let certificates: Vec<&[u8]> = presented.certificates().iter().map(certs::Certificate::der).collect();
        let woken = |judge: &Judge, peer: &Peer, now| judge.judge_proven(&certificates, peer.proof(), now);
        let again = woken(&allowing, &peer, now).unwrap();
        assert_eq!(again.exceptions().collect::<Vec<_>>(), [Exception::Sha1], "a reload forgets nothing");
        assert_eq!(reason(woken(&allowing, &peer, after).map(|_| ())), Err(Reason::WeakHandshakeSignature));
        assert_eq!(reason(woken(&allowing, &sound, after).map(|_| ())), Ok(()));
        assert_eq!(reason(woken(&strict, &peer, now).map(|_| ())), Err(Reason::WeakHandshakeSignature));
        assert_eq!(reason(woken(&strict, &sound, now).map(|_| ())), Ok(()));
    }

    #[test]
    fn a_proof_is_good_for_the_certificate_it_was_given_with() {
        let pki = Pki::new();
        let presented = pki.device().issue().presented();
        let other = pki.device().issue().presented();
        let judge = Judge { client_auth: ClientAuth::Optional, ..judge(pki.trust_entry()) };
        let (device, anonymous) =
            (judge.judge(&presented, Pki::NOW).unwrap(), judge.judge_nothing().unwrap());
        let der = |chain: &PresentedChain| -> Vec<Vec<u8>> {
            chain.certificates().iter().map(|certificate| certificate.der().to_vec()).collect()
        };
        let judged = |certificates: &[Vec<u8>], peer: &Peer| {
            let judged = judge.judge_proven(certificates, peer.proof(), Pki::NOW);
            judged.map(|peer| peer.principal().kind()).map_err(|refusal| refusal.reason)
        };
        assert_eq!(judged(&der(&presented), &device), Ok("device"));
        assert_eq!(judged(&[], &anonymous), Ok("anonymous"));
        assert_eq!(judged(&der(&other), &device), Err(Reason::HandshakeFailed));
        assert_eq!(judged(&der(&presented), &anonymous), Err(Reason::HandshakeFailed));
        assert!(judged(&[], &device).is_err(), "a device does not become anybody");
    }
}
