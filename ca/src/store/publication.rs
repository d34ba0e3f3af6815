//! Where an authority's lists are published, and in how many shards.

use std::collections::BTreeMap;
use std::fmt;

use certs::Timestamp;

use super::{AuditEvent, AuthorityId, AuthorityRecord, CrlRecord, Intent, RevokedEntry, StoreError};

/// The number of a shard of an authority's revocation list. Numbers are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardNumber(pub(crate) u32);

impl fmt::Display for ShardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One shard: the list of those certificates that name its URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its number.
    pub number: ShardNumber,
    /// The http URI that stands in its certificates and in its list.
    pub uri: String,
    /// Whether new certificates are put on it. One that is not is published as long as a certificate names it.
    pub is_open: bool,
}

/// How an authority publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Under which http URL `provision-ca serve` is reached from outside; no slash at the end.
    pub url: String,
    /// Whether certificates name its OCSP responder.
    pub ocsp: bool,
    /// Whether there is a list of everything revoked beside the shards, though no certificate needs it.
    pub complete_list: bool,
}

/// What tells whether anything about revoked certificates has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RevocationMark {
    /// How many there are.
    pub count: i64,
    /// The sum of their times of revocation, in seconds.
    pub times: i64,
    /// How many of them for keyCompromise, to which reasons change.
    pub compromised: i64,
}

/// The marks of an authority's shards; `None` are the certificates that name none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationMarks(pub(crate) BTreeMap<Option<ShardNumber>, RevocationMark>);

impl RevocationMarks {
    /// The mark of what stands on this list: a shard's, or the complete one, which has everything.
    pub fn of(&self, shard: Option<ShardNumber>) -> RevocationMark {
        match shard {
            Some(_) => self.0.get(&shard).copied().unwrap_or_default(),
            None => self.0.values().fold(RevocationMark::default(), |sum, one| RevocationMark {
                count: sum.count.wrapping_add(one.count),
                times: sum.times.wrapping_add(one.times),
                compromised: sum.compromised.wrapping_add(one.compromised),
            }),
        }
    }
}

/// The part of the inventory that authorities and their revocation lists are made from. Every method that writes is one durable transaction.
pub trait PublicationStore {
    /// Adds an authority with its certificate.
    fn add_authority(
        &mut self,
        authority: &AuthorityRecord,
        intent: &Intent,
        certificate: &[u8],
        audit: &AuditEvent,
    ) -> Result<(), StoreError>;

    /// Sets a value kept beside the inventory.
    fn set_setting(&mut self, name: &str, value: &str, audit: &AuditEvent) -> Result<(), StoreError>;

    /// Removes such a value; whether it was there. Only then is anything written into the log.
    fn remove_setting(&mut self, name: &str, audit: &AuditEvent) -> Result<bool, StoreError>;

    /// How the authority publishes; `None` when its certificates say nothing of it.
    fn publication(&self, authority: AuthorityId) -> Result<Option<Publication>, StoreError>;

    /// All its shards, by number.
    fn shards(&self, authority: AuthorityId) -> Result<Vec<Shard>, StoreError>;

    /// Sets how the authority publishes. New certificates go on these shards alone: the others are closed, those that are
    /// unknown are new. Shards are never removed.
    fn set_publication(
        &mut self,
        authority: AuthorityId,
        publication: Option<&Publication>,
        open: &[Shard],
        audit: &AuditEvent,
    ) -> Result<(), StoreError>;

    /// The end of the last certificate of this shard, or of the last one that has none, if there is any.
    fn last_end(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// The entries that the next list must have: those not expired at `since` (CA G3). Without a shard, all of the authority.
    fn revoked(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
        since: Timestamp,
    ) -> Result<Vec<RevokedEntry>, StoreError>;

    /// What is revoked, in short.
    fn revocation_marks(&self, authority: AuthorityId) -> Result<RevocationMarks, StoreError>;

    /// The number of the last entry of the audit log: without a new one nothing has changed.
    fn audit_sequence(&self) -> Result<i64, StoreError>;

    /// The newest list of a shard, or the newest complete list, whether it was published or only begun.
    fn last_crl(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
    ) -> Result<Option<CrlRecord>, StoreError>;

    /// The same, of those that others could read.
    fn last_published_crl(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
    ) -> Result<Option<CrlRecord>, StoreError>;

    /// Records that a list lies where others read it.
    fn crl_published(&mut self, crl: &CrlRecord) -> Result<(), StoreError>;

    /// Takes the number of a list before it is signed; numbers only rise (CA G2).
    fn reserve_crl(&mut self, crl: &CrlRecord, audit: &AuditEvent) -> Result<(), StoreError>;
}
