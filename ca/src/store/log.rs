//! The audit log as a chain that shows every change (CA I4).

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use certs::Timestamp;

use super::StoreError;

/// One entry of the audit log, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number, from 1, without gaps.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: String,
    /// The facts, JSON.
    pub detail: String,
    /// The hash of the entry before; zeros before the first.
    pub previous: [u8; 32],
    /// Over all of these.
    pub hash: [u8; 32],
}

impl LogEntry {
    /// The hash that an entry with these contents has.
    pub(crate) fn hash_of(
        previous: &[u8; 32],
        sequence: i64,
        at: Timestamp,
        event: &str,
        detail: &str,
    ) -> [u8; 32] {
        let mut content = previous.to_vec();
        content.extend(sequence.to_be_bytes());
        content.extend(at.unix().to_be_bytes());
        content.extend(event.as_bytes());
        content.push(0);
        content.extend(detail.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &content).as_ref());
        hash
    }

    /// Whether its hash is the one of its contents.
    pub(crate) fn is_whole(&self) -> bool {
        Self::hash_of(&self.previous, self.sequence, self.at, &self.event, &self.detail) == self.hash
    }
}

/// An authority's signature over the log as far as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The newest entry.
    pub sequence: i64,
    /// When it was signed.
    pub at: Timestamp,
    /// That entry's hash.
    pub hash: [u8; 32],
    /// The name of the authority whose key signed.
    pub authority: String,
    /// The signature over number, time and hash of that entry.
    pub signature: Vec<u8>,
}

impl Checkpoint {
    /// What is signed. It begins as no certificate and no list does.
    pub(crate) fn message(sequence: i64, at: Timestamp, hash: &[u8; 32]) -> Vec<u8> {
        let mut message = b"provision-ca audit checkpoint 1\n".to_vec();
        message.extend(sequence.to_be_bytes());
        message.extend(at.unix().to_be_bytes());
        message.extend(hash);
        message
    }
}

/// Reading and sealing the audit log; entries are added with what they tell of.
pub trait AuditLog {
    /// The entries after this one, in order, at most `limit`.
    fn entries(&self, after: i64, limit: u32) -> Result<Vec<LogEntry>, StoreError>;

    /// All checkpoints, in order.
    fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError>;

    /// Number and hash of the newest entry.
    fn head(&self) -> Result<Option<(i64, [u8; 32])>, StoreError>;

    /// Keeps a checkpoint.
    fn add_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError>;

    /// What the database has to complain of about itself.
    fn complaints(&self) -> Result<Vec<String>, StoreError>;

    /// Writes the whole inventory, as it is at one moment, into a new SQLite file.
    fn copy_to(&self, path: &Path) -> Result<(), StoreError>;
}
