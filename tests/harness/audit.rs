//! The gateway's records, as they stand in its file.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::Value;

use crate::expect::eventually;

/// An audit file that is being written.
#[derive(Debug)]
pub struct AuditLog {
    file: PathBuf,
    read: AtomicUsize,
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(pub Value);

impl AuditLog {
    /// The log in this file.
    pub fn new(file: PathBuf) -> Self {
        Self { file, read: AtomicUsize::new(0) }
    }

    /// The file's bytes up to the last complete line.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = fs::read(&self.file).unwrap_or_default();
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        bytes
    }

    /// Every record so far but the ends of connections that had requests, which come whenever they come.
    ///
    /// # Panics
    /// A line is not one JSON object.
    pub fn records(&self) -> Vec<Record> {
        let mut records = self.all_records();
        records.retain(|record| record.text("event") != "closed");
        records
    }

    /// Every record so far.
    ///
    /// # Panics
    /// A line is not one JSON object.
    pub fn all_records(&self) -> Vec<Record> {
        let bytes = self.bytes();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| Record(serde_json::from_slice(line).expect("every line is JSON"))).collect()
    }

    /// Waits for the next record that was not yet asked for.
    ///
    /// # Panics
    /// None comes before the deadline.
    pub fn next(&self) -> Record {
        self.next_where("the next audit record", |_| true)
    }

    /// Waits for the next record of which this holds; those before it are passed over.
    ///
    /// # Panics
    /// None comes before the deadline.
    pub fn next_where(&self, what: &str, wanted: impl Fn(&Record) -> bool) -> Record {
        eventually(what, || {
            let records = self.records();
            let from = self.read.load(Ordering::SeqCst);
            let at = records.iter().skip(from).position(&wanted)? + from;
            self.read.store(at + 1, Ordering::SeqCst);
            records.into_iter().nth(at)
        })
    }

    /// Passes over everything recorded so far.
    pub fn skip_to_end(&self) {
        self.read.store(self.records().len(), Ordering::SeqCst);
    }
}

impl Record {
    /// A member by its dotted path, as in `certificate.subject`.
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.0, |value, name| value.get(name))
    }

    /// A text member; empty if it is absent.
    pub fn text(&self, path: &str) -> &str {
        self.at(path).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number member.
    pub fn number(&self, path: &str) -> Option<u64> {
        self.at(path).and_then(Value::as_u64)
    }

    /// A member that is true or false.
    pub fn boolean(&self, path: &str) -> Option<bool> {
        self.at(path).and_then(Value::as_bool)
    }
}
