//! Finding a path from a certificate to an anchor: a bounded depth-first search in which every step is a verified
//! signature.
//!
//! Candidates are found by name and ordered so that those which look right come first; each link is verified once,
//! however many paths share it.

use std::collections::HashMap;
use std::rc::Rc;

use super::ChainError;
use super::constraints::{Target, check_path};
use super::links::VerifiedLinks;
use super::revocation::Revocations;
use super::tolerances::MIN_RSA_BITS;
use super::work::{Exhausted, Work};
use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;
use crate::key::KeyAlgorithm;
use crate::signature::SignatureError;
use crate::trust_store::{Exception, TrustEntry};
use crate::validity::Timestamp;

/// Longest path, the anchor included.
const MAX_PATH: usize = 16;

/// What a search works with.
pub(super) struct Search<'a> {
    trust: &'a TrustEntry,
    target: Target,
    now: Timestamp,
    revocations: Option<&'a Revocations<'a>>,
    links: Option<&'a VerifiedLinks>,
    leaf_signer: Option<Fingerprint>,
    max_intermediates: usize,
    /// The target, other certificates, and then anchors.
    pool: Vec<&'a Certificate>,
    first_anchor: usize,
    /// Who has a name, by its canonical form.
    by_subject: HashMap<&'a [u8], Vec<usize>>,
    /// Who may have issued each certificate of the pool, the most likely first; found when first asked for.
    issuers: Vec<Option<Rc<[usize]>>>,
    work: &'a Work,
    /// Whether a path was given up because it is long.
    gave_up: bool,
    failure: Option<Failure>,
}

/// A valid path.
pub(super) struct Found<'a> {
    pub(super) path: Vec<&'a Certificate>,
    pub(super) exceptions: Vec<Exception>,
}

/// How far a path came, and what was wrong with it. The greatest is the most informative.
#[derive(Debug)]
struct Failure {
    reached_anchor: bool,
    depth: usize,
    issuer_known: bool,
    error: ChainError,
}

impl Failure {
    fn rank(&self) -> (bool, usize, bool) {
        (self.reached_anchor, self.depth, self.issuer_known)
    }
}

impl<'a> Search<'a> {
    /// A search for a path from `target` over what was presented and what the entry holds.
    pub(super) fn new(
        target: &'a Certificate,
        presented: &'a [Certificate],
        trust: &'a TrustEntry,
        kind: Target,
        now: Timestamp,
        work: &'a Work,
    ) -> Self {
        let anchors = trust.anchors.iter().map(|anchor| anchor.certificate());
        let is_anchor = |certificate: &Certificate| {
            trust.anchors.iter().any(|anchor| anchor.certificate() == certificate)
        };
        let others = presented.iter().chain(&trust.intermediates);
        let others = others.filter(|certificate| *certificate != target && !is_anchor(certificate));
        let mut pool: Vec<&Certificate> = std::iter::once(target).chain(others).collect();
        let first_anchor = pool.len();
        pool.extend(anchors);
        let mut by_subject: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (index, certificate) in pool.iter().enumerate().skip(1) {
            by_subject.entry(certificate.subject().canonical()).or_default().push(index);
        }
        Self {
            trust,
            target: kind,
            now,
            revocations: None,
            links: None,
            leaf_signer: None,
            max_intermediates: MAX_PATH,
            issuers: vec![None; pool.len()],
            pool,
            first_anchor,
            by_subject,
            work,
            gave_up: false,
            failure: None,
        }
    }

    /// Also asks whether certificates are revoked before a path counts as valid.
    pub(super) fn with_revocations(mut self, revocations: &'a Revocations<'a>) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Trusts signatures between authorities that were verified before.
    pub(super) fn with_links(mut self, links: &'a VerifiedLinks) -> Self {
        self.links = Some(links);
        self
    }

    /// Trusts the target's signature where the key of this fingerprint would verify it: it has done so before.
    pub(super) fn with_leaf_signer(mut self, signer: Option<Fingerprint>) -> Self {
        self.leaf_signer = signer;
        self
    }

    /// Gives up paths with more intermediates, those that are self-issued not counted.
    pub(super) fn with_max_intermediates(mut self, limit: usize) -> Self {
        self.max_intermediates = limit;
        self
    }

    /// The first valid path, or why the most promising one is not valid.
    pub(super) fn run(mut self) -> Result<Found<'a>, SearchFailure> {
        let mut path = Vec::with_capacity(4);
        path.push(0);
        if let Some(found) = self.extend(&mut path) {
            return Ok(found);
        }
        match self.failure {
            Some(failure) if failure.reached_anchor || !self.is_exhausted() => {
                let rank = (failure.reached_anchor, failure.depth, failure.issuer_known);
                Err(SearchFailure { rank, error: failure.error })
            }
            Some(_) | None => {
                let error = ChainError::SearchExhausted { steps: self.work.steps() };
                Err(SearchFailure { rank: (false, MAX_PATH, true), error })
            }
        }
    }

    fn extend(&mut self, path: &mut Vec<usize>) -> Option<Found<'a>> {
        let current = *path.last()?;
        let depth = path.len() - 1;
        let certificate = *self.pool.get(current)?;
        let mut issuer_known = false;
        for &candidate in &*self.issuers_of(current) {
            if self.is_loop(path, candidate) {
                continue;
            }
            issuer_known = true;
            self.gave_up |= path.len() >= MAX_PATH;
            if self.gave_up || self.work.step().is_err() {
                return None;
            }
            if let Err(error) = self.verify_link(current, candidate, depth) {
                self.note(Failure { reached_anchor: false, depth, issuer_known, error });
                continue;
            }
            path.push(candidate);
            if self.intermediates(path) > self.max_intermediates {
                let error = ChainError::TooManyIntermediates { limit: self.max_intermediates };
                self.note(Failure { reached_anchor: false, depth, issuer_known, error });
                path.pop();
                continue;
            }
            let found = if candidate >= self.first_anchor { self.judge(path) } else { self.extend(path) };
            path.pop();
            if found.is_some() {
                return found;
            }
        }
        if !issuer_known && self.failure.as_ref().is_none_or(|best| (false, depth, false) > best.rank()) {
            let error = ChainError::UnknownIssuer { depth, issuer: certificate.issuer().to_string() };
            self.note(Failure { reached_anchor: false, depth, issuer_known, error });
        }
        None
    }

    /// Everybody of the issuer's name: those that look right first, and of those the anchors, as the shortest path is
    /// the usual one.
    fn issuers_of(&mut self, index: usize) -> Rc<[usize]> {
        if let Some(Some(known)) = self.issuers.get(index) {
            return Rc::clone(known);
        }
        let Some(certificate) = self.pool.get(index) else { return Rc::default() };
        let mut issuers = self.by_subject.get(certificate.issuer().canonical()).cloned().unwrap_or_default();
        issuers.sort_by_cached_key(|&candidate| {
            let looks_right =
                self.pool.get(candidate).is_some_and(|issuer| self.looks_right(certificate, issuer));
            (!looks_right, candidate < self.first_anchor, candidate)
        });
        let issuers: Rc<[usize]> = issuers.into();
        if let Some(slot) = self.issuers.get_mut(index) {
            *slot = Some(Rc::clone(&issuers));
        }
        issuers
    }

    /// Key identifiers are hints (RFC 5280 §4.2.1.1), and so are the facts that a path is judged by later.
    fn looks_right(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let wanted = certificate
            .authority_key_identifier()
            .and_then(|identifier| identifier.key_identifier.as_deref());
        let same_key = wanted.zip(issuer.subject_key_identifier()).is_none_or(|(wanted, own)| wanted == own);
        same_key
            && issuer.validity().contains(self.now)
            && issuer.basic_constraints().is_none_or(|constraints| constraints.ca)
    }

    /// Whether the path already holds these names with this key (RFC 4158 §2.4.2).
    fn is_loop(&self, path: &[usize], candidate: usize) -> bool {
        let entity = |index: &usize| self.pool.get(*index).map(|certificate| certificate.entity());
        let own = entity(&candidate);
        candidate < self.first_anchor && path.iter().any(|index| entity(index) == own)
    }

    fn is_exhausted(&self) -> bool {
        self.gave_up || self.work.is_exhausted()
    }

    fn intermediates(&self, path: &[usize]) -> usize {
        let below_anchor = path.iter().skip(1).filter(|index| **index < self.first_anchor);
        below_anchor
            .filter_map(|index| self.pool.get(*index))
            .filter(|issuer| !issuer.is_self_issued())
            .count()
    }

    fn verify_link(&self, current: usize, candidate: usize, depth: usize) -> Result<(), ChainError> {
        let (Some(certificate), Some(issuer)) = (self.pool.get(current), self.pool.get(candidate)) else {
            return Err(ChainError::BadSignature { depth });
        };
        let key = issuer.public_key().algorithm();
        if let KeyAlgorithm::Rsa { bits } = key
            && bits < MIN_RSA_BITS
        {
            return Err(ChainError::WeakKey { depth: depth + 1, key });
        }
        // Hashes that are not tolerated are not worth the work: MD5 is verified slowly.
        if !self.trust.tolerances.in_force(self.now).accepts(certificate.signature_algorithm()) {
            return Err(ChainError::WeakSignature { depth, signature: certificate.signature_algorithm() });
        }
        if current > 0 && self.links.is_some_and(|links| links.contains(certificate, issuer)) {
            return Ok(());
        }
        if current == 0 && self.leaf_signer.is_some_and(|signer| signer == issuer.public_key().fingerprint())
        {
            return Ok(());
        }
        let exhausted = |Exhausted| ChainError::SearchExhausted { steps: self.work.steps() };
        let result = self.work.verify(certificate, issuer).map_err(exhausted)?;
        result.map_err(|error| match error {
            SignatureError::Bad => ChainError::BadSignature { depth },
            SignatureError::Unsupported => {
                ChainError::UnsupportedAlgorithm { depth, signature: certificate.signature_algorithm(), key }
            }
        })
    }

    fn judge(&mut self, path: &[usize]) -> Option<Found<'a>> {
        let path: Vec<&Certificate> =
            path.iter().filter_map(|index| self.pool.get(*index).copied()).collect();
        let result = check_path(&path, self.trust, self.target, self.now).and_then(|exceptions| {
            self.revocations
                .map_or(Ok(()), |revocations| revocations.check(&path, self.now))
                .map(|()| exceptions)
        });
        match result {
            Ok(exceptions) => Some(Found { path, exceptions: exceptions.into_vec() }),
            Err(error) => {
                self.note(Failure { reached_anchor: true, depth: 0, issuer_known: true, error });
                None
            }
        }
    }

    fn note(&mut self, failure: Failure) {
        if self.failure.as_ref().is_none_or(|best| failure.rank() > best.rank()) {
            self.failure = Some(failure);
        }
    }
}

/// Why no path was found, comparable over trust entries.
pub(super) struct SearchFailure {
    /// Whether an anchor was reached, how far the path came, and whether an issuer of that name is known.
    pub(super) rank: (bool, usize, bool),
    pub(super) error: ChainError,
}
