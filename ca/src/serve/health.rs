//! Whether the lists are as they should be.

use certs::Timestamp;
use serde_json::{Value, json};

use crate::authority::DueList;

/// What the keeper found at its last round.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub(super) lists: Vec<DueList>,
    /// What went wrong, for the operator.
    pub(super) trouble: Vec<String>,
}

impl Health {
    /// Whether clients can rely on what they fetch: every list is there and counts.
    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        self.trouble.is_empty()
            && self.lists.iter().all(|list| !matches!(list.state(now), "expired" | "missing"))
    }

    pub(super) fn to_json(&self, now: Timestamp) -> Value {
        let lists: Vec<_> = self
            .lists
            .iter()
            .map(|list| {
                json!({
                    "authority": list.name,
                    "shard": list.shard.map(|shard| shard.0),
                    "state": list.state(now),
                    "next_update": list.published.as_ref().map(|one| one.next_update.to_string()),
                })
            })
            .collect();
        let status = if self.is_good(now) { "ok" } else { "degraded" };
        json!({ "status": status, "time": now.to_string(), "lists": lists, "trouble": self.trouble })
    }
}
