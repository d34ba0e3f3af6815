//! Which lists a revocation would change, and by how much (CA G6).

use std::collections::BTreeMap;
use std::path::PathBuf;

use certs::RevocationList;

use super::Authority;
use crate::error::IssueError;
use crate::selector::Selector;
use crate::store::{AuthorityId, Page, RevocationReason, ShardNumber};

/// Rows looked at at a time.
const PAGE: u32 = 1000;

/// Octets of an entry with a serial number of ours: number and date, and the reason where one is said.
const ENTRY: u64 = 35;
const REASON: u64 = 14;

/// A list that a revocation would change.
#[derive(Debug, Clone)]
pub struct TouchedList {
    /// Whose.
    pub authority: String,
    /// Which of its shards; none for the complete list.
    pub shard: Option<ShardNumber>,
    /// Where it lies.
    pub path: PathBuf,
    /// Entries and octets that it has now; none before it is published.
    pub entries: u64,
    /// See there.
    pub octets: u64,
    /// Entries more.
    pub more_entries: u64,
    /// Octets more, about.
    pub more_octets: u64,
}

impl Authority {
    /// The lists that would change if everything were revoked that the selector means and is not yet.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn touched_lists(
        &self,
        selector: &Selector,
        reason: RevocationReason,
    ) -> Result<Vec<TouchedList>, IssueError> {
        let mut counts: BTreeMap<(i64, Option<ShardNumber>), u64> = BTreeMap::new();
        let mut after = None;
        loop {
            let records = self.page(selector, Page { after, until: None, limit: PAGE })?;
            let Some(last) = records.last() else { break };
            after = Some(last.id);
            for record in records.iter().filter(|record| record.revocation.is_none()) {
                *counts.entry((record.intent.authority.0, record.intent.shard)).or_default() += 1;
            }
        }
        let entry = if reason == RevocationReason::Unspecified { ENTRY } else { ENTRY + REASON };
        let more_on = |id: AuthorityId, shard: Option<ShardNumber>| -> u64 {
            let on_it = counts
                .iter()
                .filter(|((authority, other), _)| *authority == id.0 && (shard.is_none() || *other == shard));
            on_it.map(|(_, count)| count).sum()
        };
        let mut lists = Vec::new();
        for issuer in &self.issuers {
            for list in self.due_lists(issuer.id(), self.now())? {
                let more_entries = more_on(issuer.id(), list.shard);
                if more_entries == 0 {
                    continue;
                }
                let there =
                    std::fs::read(&list.path).ok().and_then(|bytes| RevocationList::parse(&bytes).ok());
                let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
                lists.push(TouchedList {
                    authority: list.name,
                    shard: list.shard,
                    path: list.path,
                    entries: there.as_ref().map_or(0, |list| count(list.len())),
                    octets: there.as_ref().map_or(0, |list| count(list.der().len())),
                    more_entries,
                    more_octets: more_entries.saturating_mul(entry),
                });
            }
        }
        Ok(lists)
    }
}
