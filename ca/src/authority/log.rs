//! The audit log: signed as far as it goes, copied into a file, and verified (CA I3, I4).
//!
//! Every entry holds the hash of the one before. When an authority's key is at hand, it signs the newest hash: from then on
//! nobody without that key changes, removes or reorders what came before unseen. The same entries and signatures go, one a line,
//! into `audit.log`, which can be copied elsewhere as it grows: what was cut off at the end of the database is missing from
//! there too late.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use certs::Timestamp;
use serde_json::{Value, json};

use super::Authority;
use crate::error::IssueError;
use crate::serial::hex;
use crate::signer::signature_of;
use crate::store::{AuthorityId, Checkpoint, FileError, LogEntry, StoreError};

/// Entries read at a time.
const PAGE: u32 = 1000;

/// The longest line of the file that is looked at, in octets.
const LONGEST: u64 = 1 << 20;

/// What was found in the audit log.
#[derive(Debug, Clone, Default)]
pub struct LogReport {
    /// Entries.
    pub entries: u64,
    /// Valid signatures.
    pub checkpoints: u64,
    /// Entries since the last of them.
    pub unsigned: u64,
    /// What is wrong; nothing when the log is whole.
    pub complaints: Vec<String>,
}

impl Authority {
    /// Signs the log as far as it goes, with the key of this authority.
    ///
    /// # Errors
    /// The key cannot be used, or the store not be written.
    pub fn sign_log(&mut self, id: AuthorityId) -> Result<Option<Checkpoint>, IssueError> {
        let _lock = self.lock()?;
        let checkpoint = self.checkpoint(id, self.clock.now())?;
        self.write_log()?;
        Ok(checkpoint)
    }

    /// The same while the lock is held. What is signed already is not signed again.
    pub(super) fn checkpoint(
        &mut self,
        id: AuthorityId,
        at: Timestamp,
    ) -> Result<Option<Checkpoint>, IssueError> {
        let Some((sequence, hash)) = self.store.head()? else { return Ok(None) };
        let signer = self.signer(id)?;
        let authority = self.issuers.iter().find(|issuer| issuer.id() == id);
        let authority = authority.map(|issuer| issuer.name().to_owned()).unwrap_or_default();
        let signature = signer.sign(&Checkpoint::message(sequence, at, &hash))?;
        let checkpoint = Checkpoint { sequence, at, hash, authority, signature };
        self.store.add_checkpoint(&checkpoint)?;
        Ok(Some(checkpoint))
    }

    /// Brings the file up to the database. A line that a killed process left unfinished is written anew.
    pub(super) fn write_log(&self) -> Result<(), IssueError> {
        let path = self.layout.audit_log();
        let failed = |source| IssueError::File(FileError::new("write", &path, source));
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let (mut last, signed) = last_lines(&mut file).map_err(failed)?;
        let checkpoints: Vec<Checkpoint> = match self.store.head()? {
            Some((head, _)) if head == last && signed == last => return Ok(()),
            Some(_) => self.store.checkpoints()?.into_iter().filter(|one| one.sequence > signed).collect(),
            None => return Ok(()),
        };
        let mut checkpoints = checkpoints.into_iter().peekable();
        let mut wrote = false;
        loop {
            let mut text = String::new();
            // One that signs what the file ends with already.
            while let Some(one) = checkpoints.next_if(|one| one.sequence <= last) {
                text.push_str(&checkpoint_line(&one));
            }
            let entries = self.store.entries(last, PAGE)?;
            for entry in &entries {
                text.push_str(&entry_line(entry));
                last = entry.sequence;
                while let Some(one) = checkpoints.next_if(|one| one.sequence <= last) {
                    text.push_str(&checkpoint_line(&one));
                }
            }
            if text.is_empty() {
                break;
            }
            file.write_all(text.as_bytes()).map_err(failed)?;
            wrote = true;
        }
        if wrote { file.sync_data().map_err(failed) } else { Ok(()) }
    }

    /// Looks for entries that were changed, removed, added, moved or cut off.
    ///
    /// Beside the store's own `audit.log`, a copy that was kept elsewhere can be given: whoever can write to the store can
    /// write to its file too.
    ///
    /// # Errors
    /// The store, or the copy, cannot be read.
    pub fn verify_log(&self, kept: Option<&Path>) -> Result<LogReport, IssueError> {
        let mut report = LogReport::default();
        let mut checkpoints = self.store.checkpoints()?.into_iter().peekable();
        let mut own = LogFile::open(&self.layout.audit_log())?;
        let mut other = kept.map(LogFile::open_existing).transpose()?;
        let (mut last, mut previous) = (0, [0; 32]);
        let mut signed = 0;
        loop {
            let entries = self.store.entries(last, PAGE)?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                report.entries += 1;
                let number = entry.sequence;
                if number != last + 1 {
                    report.complaints.push(missing(last + 1, number - 1));
                } else if entry.previous != previous {
                    report.complaints.push(format!("entry {number} does not follow the one before it: it, or that one, was put in its place"));
                }
                if !entry.is_whole() {
                    report
                        .complaints
                        .push(format!("entry {number} ({} of {}) was changed", entry.event, entry.at));
                }
                while let Some(one) = checkpoints.next_if(|one| one.sequence < number) {
                    report.complaints.push(format!("entry {}, which was signed, is missing", one.sequence));
                }
                while let Some(one) = checkpoints.next_if(|one| one.sequence == number) {
                    match self.judge_checkpoint(&one, &entry) {
                        Ok(()) => {
                            report.checkpoints += 1;
                            signed = number;
                        }
                        Err(why) => {
                            report.complaints.push(format!("the signature over entry {number}: {why}"))
                        }
                    }
                }
                for file in [Some(&mut own), other.as_mut()].into_iter().flatten() {
                    file.compare(&entry, &mut report.complaints)?;
                }
                (last, previous) = (number, entry.hash);
            }
        }
        for one in checkpoints {
            report.complaints.push(format!(
                "the log ends with entry {last}, and entry {} was signed on {}",
                one.sequence, one.at
            ));
        }
        for file in [Some(&mut own), other.as_mut()].into_iter().flatten() {
            file.end(last, &mut report.complaints)?;
        }
        report.unsigned = u64::try_from(last - signed).unwrap_or(0);
        Ok(report)
    }

    fn judge_checkpoint(&self, checkpoint: &Checkpoint, entry: &LogEntry) -> Result<(), String> {
        let Checkpoint { sequence, at, hash, authority, signature } = checkpoint;
        if *hash != entry.hash {
            return Err("the entry is not the one that was signed".to_owned());
        }
        let Some(issuer) = self.issuers.iter().find(|issuer| issuer.name() == authority) else {
            return Err(format!("there is no authority {authority}"));
        };
        let key = issuer.certificate().public_key();
        signature_of(key.algorithm())
            .ok_or_else(|| "the authority's key is of an unknown kind".to_owned())?
            .verify(key, &Checkpoint::message(*sequence, *at, hash), signature)
            .map_err(|_error| format!("{authority} did not make it"))
    }
}

fn missing(first: i64, last: i64) -> String {
    if first == last {
        format!("entry {first} is missing")
    } else {
        format!("entries {first} to {last} are missing")
    }
}

fn entry_line(entry: &LogEntry) -> String {
    // The facts are JSON already, and must stay as they are.
    let LogEntry { sequence, at, event, detail, previous: _, hash } = entry;
    format!(
        "{{\"entry\":{sequence},\"at\":\"{at}\",\"event\":{},\"detail\":{detail},\"hash\":\"{}\"}}\n",
        json!(event),
        hex(hash)
    )
}

fn checkpoint_line(checkpoint: &Checkpoint) -> String {
    let Checkpoint { sequence, at, hash, authority, signature } = checkpoint;
    let line = json!({
        "checkpoint": sequence,
        "at": at.to_string(),
        "hash": hex(hash),
        "authority": authority,
        "signature": hex(signature),
    });
    format!("{line}\n")
}

/// The number of the last whole entry in the file, and of the last that is signed there; cuts off what is not whole.
fn last_lines(file: &mut File) -> std::io::Result<(i64, i64)> {
    let length = file.seek(SeekFrom::End(0))?;
    for reach in [1 << 16, 1 << 22, u64::MAX] {
        let start = length.saturating_sub(reach);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|octet| *octet == b'\n').map_or(0, |position| position + 1);
        if whole < tail.len() && (whole > 0 || start == 0) {
            file.set_len(start + u64::try_from(whole).unwrap_or(0))?;
        }
        let mut lines = tail[..whole].split(|octet| *octet == b'\n').map(serde_json::from_slice::<Value>);
        if start > 0 {
            lines.next(); // half of one, perhaps
        }
        let (mut entry, mut checkpoint) = (None, None);
        for line in lines.flatten() {
            entry = line["entry"].as_i64().or(entry);
            checkpoint = line["checkpoint"].as_i64().or(checkpoint);
        }
        if let Some(entry) = entry {
            // A signature further back is there; one over the last entry would be in sight.
            return Ok((entry, checkpoint.unwrap_or(entry - 1)));
        }
        if start == 0 {
            break;
        }
    }
    Ok((0, 0))
}

/// A file of entries, read along with the database.
struct LogFile {
    name: String,
    lines: Option<BufReader<File>>,
    /// The next entry: its number, its hash, and its whole line.
    next: Option<(i64, String, String)>,
    complained: bool,
}

impl LogFile {
    fn open_existing(path: &Path) -> Result<Self, IssueError> {
        let file = File::open(path).map_err(|source| FileError::new("read", path, source))?;
        Self::of(path, Some(file))
    }

    fn open(path: &Path) -> Result<Self, IssueError> {
        match File::open(path) {
            Ok(file) => Self::of(path, Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::of(path, None),
            Err(source) => Err(FileError::new("read", path, source).into()),
        }
    }

    fn of(path: &Path, file: Option<File>) -> Result<Self, IssueError> {
        let mut log = Self {
            name: path.display().to_string(),
            lines: file.map(BufReader::new),
            next: None,
            complained: false,
        };
        log.advance()?;
        Ok(log)
    }

    fn advance(&mut self) -> Result<(), IssueError> {
        self.next = None;
        let Some(lines) = &mut self.lines else { return Ok(()) };
        loop {
            let mut line = String::new();
            let read = lines
                .by_ref()
                .take(LONGEST)
                .read_line(&mut line)
                .map_err(|source| FileError::new("read", Path::new(&self.name), source))?;
            if read == 0 {
                return Ok(());
            }
            let value: Value = serde_json::from_str(&line)
                .map_err(|error| StoreError::Damaged { what: format!("a line of {}: {error}", self.name) })?;
            if let (Some(number), Some(hash)) = (value["entry"].as_i64(), value["hash"].as_str()) {
                self.next = Some((number, hash.to_owned(), line));
                return Ok(());
            }
        }
    }

    fn compare(&mut self, entry: &LogEntry, complaints: &mut Vec<String>) -> Result<(), IssueError> {
        let Some((number, hash, line)) = &self.next else { return Ok(()) };
        // One complaint for a file: after the first everything differs.
        let complaint = if *number != entry.sequence {
            format!("{} has entry {number} where the store has entry {}", self.name, entry.sequence)
        } else if *hash != hex(&entry.hash) {
            format!("entry {number} is another one in {}", self.name)
        } else if line.trim_end() != entry_line(entry).trim_end() {
            // Its hash was left as it was, and the rest was not.
            format!("entry {number} was changed in {}", self.name)
        } else {
            return self.advance();
        };
        if !std::mem::replace(&mut self.complained, true) {
            complaints.push(complaint);
        }
        while self.next.as_ref().is_some_and(|(number, ..)| *number <= entry.sequence) {
            self.advance()?;
        }
        Ok(())
    }

    fn end(&mut self, last: i64, complaints: &mut Vec<String>) -> Result<(), IssueError> {
        let mut until = match &self.next {
            Some((first, ..)) => *first,
            None => return Ok(()),
        };
        while let Some((number, ..)) = &self.next {
            until = *number;
            self.advance()?;
        }
        complaints.push(format!(
            "the store's log ends with entry {last}, and {} goes on to entry {until}",
            self.name
        ));
        Ok(())
    }
}
