//! How a traced connection ended: by the records that the gateway made of it, kept in memory.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use policies::Reason;
use serde::Serialize;
use serde_json::Value;

use crate::audit::AuditSink;

/// How much of the records of one connection is kept.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// Takes records into memory.
#[derive(Debug)]
pub(super) struct Memory(Arc<Mutex<Vec<u8>>>);

/// The records taken.
#[derive(Debug)]
pub(super) struct Records(Arc<Mutex<Vec<u8>>>);

/// A place for records, and its reader.
pub(super) fn memory() -> (Memory, Records) {
    let lines = Arc::default();
    (Memory(Arc::clone(&lines)), Records(lines))
}

impl AuditSink for Memory {
    fn append(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A connection of many requests has more records than anybody reads here.
        if kept.len() + lines.len() <= MOST_BYTES {
            kept.extend_from_slice(lines);
        }
        Ok(lines.len())
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Records {
    /// One by one.
    pub(super) fn lines(&self) -> Vec<Value> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
}

/// How it ended.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// The phone was let in, and no request of it was refused.
    pub(super) let_in: bool,
    /// Of the first refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Refusal>,
    /// What the gateway recorded, as in its audit file.
    pub(super) records: Vec<Value>,
}

/// Why it was refused.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) detail: String,
    pub(super) meaning: &'static str,
    pub(super) remedy: &'static str,
}

impl Outcome {
    pub(super) fn of(records: &[Value]) -> Self {
        let refusal = records.iter().find_map(|record| {
            let reason = Reason::from_code(text(record, "reason")?)?;
            Some(Refusal {
                reason: reason.as_str(),
                detail: text(record, "detail").unwrap_or_default().to_owned(),
                meaning: reason.meaning(),
                remedy: reason.remedy(),
            })
        });
        let denied = records.iter().any(|record| text(record, "decision") == Some("deny"));
        let let_in = !records.is_empty() && !denied && refusal.is_none();
        Self { let_in, refusal, records: records.to_vec() }
    }
}

/// A text of a record.
pub(super) fn text<'r>(record: &'r Value, name: &str) -> Option<&'r str> {
    record.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refused_request_is_a_refusal_and_its_permitted_twin_is_none() {
        let permitted = json!({"event": "request", "decision": "permit", "status": 200});
        let refused =
            json!({"event": "request", "decision": "deny", "reason": "no_rule_matched", "detail": "nothing"});
        let outcome = Outcome::of(&[permitted.clone(), refused]);
        assert!(!outcome.let_in);
        assert_eq!(outcome.refusal.unwrap().remedy, Reason::NoRuleMatched.remedy());
        assert!(Outcome::of(&[permitted]).let_in);
        assert!(!Outcome::of(&[]).let_in, "no record, no admission");
    }
}
