//! `audit.log`, whose chain must hold from its first entry to its last.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use certs::Timestamp;
use serde_json::Value;

use super::damaged;
use crate::error::IssueError;
use crate::store::{Checkpoint, FileError, LogEntry, Salvaged};

/// What it says.
#[derive(Default)]
pub(super) struct Log {
    pub(super) entries: Vec<LogEntry>,
    pub(super) checkpoints: Vec<Checkpoint>,
}

impl Log {
    /// The number of its last entry.
    pub(super) fn last(&self) -> i64 {
        self.entries.last().map_or(0, |last| last.sequence)
    }

    /// Goes on with what was salvaged elsewhere, as far as the chain holds.
    pub(super) fn extend(&mut self, salvaged: Salvaged) {
        let Salvaged { entries, checkpoints } = salvaged;
        for entry in entries {
            let previous = self.entries.last().map_or([0; 32], |last| last.hash);
            if entry.sequence != self.last() + 1 || entry.previous != previous || !entry.is_whole() {
                break;
            }
            self.entries.push(entry);
        }
        let last = self.last();
        let signed = self.checkpoints.last().map_or(0, |one| one.sequence);
        let newer = |one: &Checkpoint| one.sequence > signed && one.sequence <= last;
        self.checkpoints.extend(checkpoints.into_iter().filter(newer));
    }
}

pub(super) fn log(path: &Path) -> Result<Log, IssueError> {
    let file = fs::File::open(path).map_err(|source| FileError::new("read", path, source))?;
    let mut log = Log::default();
    let mut previous = [0; 32];
    let mut lines = (1_u64..).zip(BufReader::new(file).split(b'\n')).peekable();
    while let Some((number, line)) = lines.next() {
        let line = line.map_err(|source| FileError::new("read", path, source))?;
        let bad = |why: &str| damaged(&format!("line {number} of audit.log {why}"));
        let Ok(value) = serde_json::from_slice::<Value>(&line) else {
            if lines.peek().is_none() {
                break; // half of a line, which a killed process left: the next command writes it whole
            }
            return Err(bad("is no JSON"));
        };
        let at = value["at"].as_str().and_then(Timestamp::parse_rfc3339).ok_or_else(|| bad("has no time"))?;
        let hash = value["hash"].as_str().and_then(digest).ok_or_else(|| bad("has no hash"))?;
        if let Some(sequence) = value["entry"].as_i64() {
            let event = value["event"].as_str().unwrap_or_default().to_owned();
            let detail = value["detail"].to_string();
            let entry = LogEntry { sequence, at, event, detail, previous, hash };
            if !entry.is_whole() || log.last() + 1 != sequence {
                return Err(bad("was changed, or lines before it are missing"));
            }
            previous = hash;
            log.entries.push(entry);
        } else if let Some(sequence) = value["checkpoint"].as_i64() {
            let authority = value["authority"].as_str().unwrap_or_default().to_owned();
            let signature =
                value["signature"].as_str().and_then(octets).ok_or_else(|| bad("has no signature"))?;
            log.checkpoints.push(Checkpoint { sequence, at, hash, authority, signature });
        }
    }
    Ok(log)
}

/// SHA-256 in hexadecimal digits.
pub(super) fn digest(text: &str) -> Option<[u8; 32]> {
    octets(text)?.try_into().ok()
}

fn octets(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
