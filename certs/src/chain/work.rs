//! What judging one presented chain may cost.

use std::cell::{Cell, RefCell};

use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;
use crate::signature::SignatureError;

/// Most certificates that are tried as somebody's issuer.
const MAX_STEPS: u32 = 2_000;
/// Most signatures that are verified.
const MAX_SIGNATURES: usize = 64;

type Link = (Fingerprint, Fingerprint);

/// The steps and signatures of one call of the verifier, over all its trust entries, with every search for who signed
/// a list. A signature that was verified once is not verified again.
#[derive(Debug, Default)]
pub(super) struct Work {
    steps: Cell<u32>,
    /// A certificate, whose key it was to be signed by, and whether it is.
    signatures: RefCell<Vec<(Link, Result<(), SignatureError>)>>,
    exhausted: Cell<bool>,
}

/// No more work may be done.
#[derive(Debug)]
pub(super) struct Exhausted;

impl Work {
    pub(super) fn steps(&self) -> u32 {
        self.steps.get()
    }

    /// Whether something was left undone.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    pub(super) fn step(&self) -> Result<(), Exhausted> {
        if self.is_exhausted() || self.steps.get() >= MAX_STEPS {
            return self.exhaust();
        }
        self.steps.set(self.steps.get() + 1);
        Ok(())
    }

    /// Whether the issuer's key signed the certificate.
    pub(super) fn verify(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<Result<(), SignatureError>, Exhausted> {
        let link = (certificate.fingerprint(), issuer.fingerprint());
        let mut signatures = self.signatures.borrow_mut();
        if let Some((_, known)) = signatures.iter().find(|(known, _)| *known == link) {
            return Ok(*known);
        }
        if signatures.len() >= MAX_SIGNATURES {
            return self.exhaust();
        }
        let algorithm = certificate.signature_algorithm();
        let result = algorithm.verify(issuer.public_key(), certificate.tbs(), certificate.signature());
        signatures.push((link, result));
        Ok(result)
    }

    fn exhaust<T>(&self) -> Result<T, Exhausted> {
        self.exhausted.set(true);
        Err(Exhausted)
    }
}
