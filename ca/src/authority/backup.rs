//! A copy of the whole store, as it is at one moment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::Authority;
use crate::error::IssueError;
use crate::store::{AuditEvent, FileError, SqlStore, Store, make_folder, remove_tree, sync_folder};

/// What belongs to a store beside its database.
const PARTS: [&str; 12] = [
    "authorities",
    "audit.log",
    "batch-key.pem",
    "batch-signer.pem",
    "batches",
    "devices",
    "imported",
    "mirror",
    "requests",
    "server",
    "superseded",
    "trust",
];

/// What was copied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Copied {
    /// Files.
    pub files: u64,
    /// Their octets together.
    pub octets: u64,
}

impl Authority {
    /// Copies the store into a folder that must not exist yet, while nobody writes: it can be used as a store at once.
    ///
    /// An inventory on a database server becomes an SQLite file in the copy.
    ///
    /// # Errors
    /// The folder exists, or something cannot be read or written; then there is no folder.
    pub fn back_up(&mut self, target: &Path) -> Result<Copied, IssueError> {
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        if target.exists() {
            return Err(IssueError::BackupThere { path: target.to_owned() });
        }
        let detail = json!({ "to": target.display().to_string() });
        self.store.note(&AuditEvent { at: now, event: "backup", detail })?;
        self.write_log()?;
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(".unfinished");
        let unfinished = target.with_file_name(name);
        remove_tree(&unfinished)?;
        let copied = self.copy(&unfinished);
        if copied.is_err() {
            let _leftover = remove_tree(&unfinished);
        }
        let copied = copied?;
        fs::rename(&unfinished, target).map_err(|source| FileError::new("rename", &unfinished, source))?;
        sync_folder(crate::store::folder_of(target))?;
        Ok(copied)
    }

    fn copy(&self, target: &Path) -> Result<Copied, IssueError> {
        make_folder(target, 0o700)?;
        let mut copied = Copied::default();
        for part in PARTS {
            copy_tree(&self.layout.root().join(part), &target.join(part), &mut copied)?;
        }
        let database = target.join("ca.sqlite");
        crate::store::write_new(&database, b"", 0o600)?;
        self.store.copy_to(&database)?;
        copied.files += 1;
        copied.octets += database.metadata().map_or(0, |found| found.len());
        // What cannot be read again is no backup.
        let copy = SqlStore::sqlite(&database)?;
        let complaints = crate::store::AuditLog::complaints(&copy)?;
        if let Some(complaint) = complaints.into_iter().next() {
            return Err(crate::store::StoreError::Damaged { what: complaint }.into());
        }
        if copy.authorities()?.len() != self.issuers.len() {
            return Err(
                crate::store::StoreError::Damaged { what: "the copy lacks authorities".to_owned() }.into()
            );
        }
        copy.settle()?;
        let folder = fs::File::open(target).map_err(|source| FileError::new("flush", target, source))?;
        rustix::fs::syncfs(&folder).map_err(|error| FileError::new("flush", target, error.into()))?;
        Ok(copied)
    }
}

/// Copies files with their permissions; what is neither file nor folder is left out, and nothing that is missing missed.
fn copy_tree(from: &Path, to: &Path, copied: &mut Copied) -> Result<(), IssueError> {
    let found = match fs::symlink_metadata(from) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(FileError::new("read", from, source).into()),
    };
    if found.is_dir() {
        make_folder(to, found.permissions().mode() & 0o7777)?;
        let entries = fs::read_dir(from).map_err(|source| FileError::new("read", from, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| FileError::new("read", from, source))?;
            copy_tree(&entry.path(), &to.join(entry.file_name()), copied)?;
        }
    } else if found.is_file() {
        copied.octets += fs::copy(from, to).map_err(|source| FileError::new("copy", from, source))?;
        copied.files += 1;
    }
    Ok(())
}
