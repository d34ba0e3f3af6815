//! Refusals by reason, from the gateway's own records.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

/// The part of an audit file that begins at a certain moment.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    file: Option<PathBuf>,
    from: u64,
}

/// How often each reason stands in records.
pub(crate) type Reasons = BTreeMap<String, u64>;

impl Records {
    /// What will be written from now on; `None` where the file is not ours to read.
    pub(crate) fn from_now(file: Option<PathBuf>) -> Self {
        let length = |path| std::fs::metadata(path).map_or(0, |found| found.len());
        let from = file.as_ref().map_or(0, length);
        Self { file, from }
    }

    /// How often each reason was given, of the lines that are complete. Lines follow what they record within 200 ms.
    pub(crate) fn reasons(&self) -> Reasons {
        let mut reasons = Reasons::new();
        self.each(|record| {
            if let Some(reason) = record.get("reason").and_then(Value::as_str) {
                // One record tells of many refusals that repeated themselves.
                let repeated = record.get("event").and_then(Value::as_str) == Some("repeated");
                let count = record.get("count").and_then(Value::as_u64).filter(|_| repeated);
                *reasons.entry(reason.to_owned()).or_default() += count.unwrap_or(1);
            }
        });
        reasons
    }

    /// How many records there are of a phone, and with this reason. A refused handshake names the certificate alone.
    pub(crate) fn of_phone(&self, mac: &str, reason: &str) -> (usize, usize) {
        let (mut all, mut with_reason) = (0, 0);
        self.each(|record| {
            let subject = record.pointer("/certificate/subject").and_then(Value::as_str);
            if subject.is_some_and(|subject| subject.contains(mac)) {
                all += 1;
                with_reason += usize::from(record.get("reason").and_then(Value::as_str) == Some(reason));
            }
        });
        (all, with_reason)
    }

    fn each(&self, mut look: impl FnMut(&Value)) {
        let Some(path) = &self.file else { return };
        let Ok(mut file) = File::open(path) else { return };
        if file.seek(SeekFrom::Start(self.from)).is_err() {
            return;
        }
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        lines.filter_map(|line| serde_json::from_str(&line).ok()).for_each(|record| look(&record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fn only_what_was_written_since_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let line = |reason: &str| {
            format!("{{\"reason\":\"{reason}\",\"certificate\":{{\"subject\":\"SN=000e08000001,L=1\"}}}}\n")
        };
        std::fs::write(&path, line("expired")).unwrap();
        let records = Records::from_now(Some(path.clone()));
        let later = [line("expired"), line("revoked"), line("revoked"), "{\"reason\":\"half".to_owned()];
        std::fs::write(&path, line("expired") + &later.concat()).unwrap();
        let expected = [("expired".to_owned(), 1), ("revoked".to_owned(), 2)];
        assert_eq!(records.reasons(), Reasons::from(expected));
        assert_eq!(records.of_phone("000e08000001", "revoked"), (3, 2));
        assert_eq!(records.of_phone("000e08000002", "revoked"), (0, 0));
    }
}
