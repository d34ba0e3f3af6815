//! The inventory made anew from the certificates' files and the audit log (CA I8).
//!
//! The log tells which authorities there are, what was issued, revoked and published, and in which shards; the files have the
//! certificates themselves. What neither tells is not there afterwards: certificates that were begun and never finished,
//! and works in progress, which are begun again.

mod files;
mod read;
mod replay;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::Authority;
use crate::clock::Clock;
use crate::error::IssueError;
use crate::store::{
    AuditEvent, FileError, Layout, PostgresUrl, Rebuilding, Salvaged, ServerInventory, SqlStore, StoreError,
    StoreLock, folder_of, sync_folder, write_new,
};

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Rebuilt {
    /// Entries of the log.
    pub entries: u64,
    /// Those of them that the old inventory had and `audit.log` did not.
    pub beyond: u64,
    /// Certificates in the new inventory.
    pub certificates: u64,
    /// Those of them whose files are not in the store any more: they can be revoked, and neither shown nor renewed.
    pub without_file: u64,
    /// Those of them of which nothing tells the shard they are on, though the authority has shards.
    pub without_shard: u64,
    /// Revocations.
    pub revoked: u64,
    /// Events of the log that are not known here, each with how many there are.
    pub unknown: BTreeMap<String, u64>,
    /// Where the inventory that was there is now: a file, or a schema of the database.
    pub aside: Option<String>,
}

/// What the new inventory takes the place of.
enum Old {
    File(PathBuf),
    Server(Box<ServerInventory>),
}

impl Authority {
    /// Makes the inventory of the store in `root` anew from `audit.log` and the certificates in the folders; the one that is
    /// there moves aside. Certificates are also looked for in `more`, the folders of other hosts.
    ///
    /// # Errors
    /// The log is missing or not whole, or an authority's certificate is missing. Then nothing is changed.
    pub fn rebuild(root: &Path, more: &[PathBuf], clock: &Arc<dyn Clock>) -> Result<Rebuilt, IssueError> {
        let layout = Layout::new(root);
        if !layout.audit_log().is_file() {
            return Err(match layout.root().join("authorities").is_dir() {
                true => damaged(
                    "audit.log is missing, and without it nothing tells what was issued: put the copy there that was kept elsewhere",
                ),
                false => IssueError::NotInitialised { path: root.to_owned() },
            });
        }
        let lock = StoreLock::acquire(&layout.lock())?;
        let (mut old, other_hosts) = match database_url(&layout)? {
            None => (Old::File(layout.database()), None),
            Some(url) => {
                let mut server = ServerInventory::open(&url)?;
                let other_hosts = server.keep_out()?;
                (Old::Server(Box::new(server)), other_hosts)
            }
        };
        let _lock = lock.with(other_hosts);
        let mut log = read::log(&layout.audit_log())?;
        let (known, last) = (log.entries.len(), log.last());
        // What another host wrote last, or a copy of the file that was put back has not, the old inventory may still know.
        log.extend(match &mut old {
            Old::File(path) if path.is_file() => SqlStore::salvage(path, last),
            // Killed between moving the old one aside and putting the new one in its place.
            Old::File(path) => {
                set_aside(path)?.map_or_else(Salvaged::default, |path| SqlStore::salvage(&path, last))
            }
            Old::Server(server) => server.salvage(last),
        });
        let found = files::find(std::iter::once(root).chain(more.iter().map(PathBuf::as_path)))?;
        let now = clock.now();
        let (mut content, mut rebuilt) = replay::replay(&layout, &log, &found)?;
        rebuilt.beyond = count(log.entries.len() - known);
        let note = json!({ "certificates": rebuilt.certificates, "without_file": rebuilt.without_file });
        content.audit = Some(AuditEvent { at: now, event: "rebuild", detail: note });
        let making = root.join("ca.sqlite.rebuilding");
        clear(&making)?;
        let made = fill(&making, &content).and_then(|()| match &mut old {
            Old::File(database) => put_in_place(&making, database, now.unix()),
            Old::Server(server) => {
                let schema = server.replace(&making, &format!("before_{}", now.unix()))?;
                Ok(schema.map(|schema| format!("schema {schema} of the database")))
            }
        });
        clear(&making)?;
        rebuilt.aside = made?;
        sync_folder(root)?;
        Ok(rebuilt)
    }
}

fn damaged(what: &str) -> IssueError {
    StoreError::Damaged { what: what.to_owned() }.into()
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn database_url(layout: &Layout) -> Result<Option<PostgresUrl>, IssueError> {
    let path = layout.database_url();
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|source| FileError::new("read", &path, source))?;
    let url = PostgresUrl::parse(&text, layout.root());
    Ok(Some(url.map_err(|source| IssueError::DatabaseUrl { path, source })?))
}

fn fill(path: &Path, content: &Rebuilding) -> Result<(), IssueError> {
    write_new(path, b"", 0o600)?;
    let mut store = SqlStore::sqlite(path)?;
    store.rebuild(content)?;
    Ok(store.settle()?)
}

/// Moves the file that is there aside, and the new one to where it was.
fn put_in_place(making: &Path, database: &Path, now: i64) -> Result<Option<String>, IssueError> {
    let mut moved = None;
    if database.exists() {
        let names = (now..).map(|number| database.with_file_name(format!("ca.sqlite.before-{number}")));
        let aside = names.into_iter().find(|path| !path.exists()).unwrap_or_else(|| database.to_owned());
        for end in ["", "-wal", "-shm"] {
            let from = beside(database, end);
            if from.exists() {
                fs::rename(&from, beside(&aside, end))
                    .map_err(|source| FileError::new("rename", &from, source))?;
            }
        }
        moved = Some(aside.display().to_string());
    }
    fs::rename(making, database).map_err(|source| FileError::new("rename", making, source))?;
    Ok(moved)
}

/// The inventory that was moved aside last.
fn set_aside(database: &Path) -> Result<Option<PathBuf>, FileError> {
    let folder = folder_of(database);
    let mut last: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(folder).map_err(|source| FileError::new("read", folder, source))? {
        let path = entry.map_err(|source| FileError::new("read", folder, source))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix("ca.sqlite.before-").and_then(|number| number.parse().ok());
        if let Some(number) = number.filter(|number| last.as_ref().is_none_or(|(last, _)| last < number)) {
            last = Some((number, path.clone()));
        }
    }
    Ok(last.map(|(_, path)| path))
}

fn clear(making: &Path) -> Result<(), FileError> {
    for end in ["", "-wal", "-shm"] {
        let path = beside(making, end);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(FileError::new("remove", &path, error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}
