//! The audit log's tables, and copies of all tables.

use std::path::Path;

use certs::Timestamp;

use super::SqlStore;
use crate::store::backend::{Backend, Value, values};
use crate::store::sqlite::Sqlite;
use crate::store::{AuditEvent, AuditLog, Checkpoint, LogEntry, StoreError};

impl AuditLog for SqlStore {
    fn entries(&self, after: i64, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        entries(&mut **self.backend.borrow_mut(), after, limit)
    }

    fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        checkpoints(&mut **self.backend.borrow_mut())
    }

    fn head(&self) -> Result<Option<(i64, [u8; 32])>, StoreError> {
        let row = self
            .backend
            .borrow_mut()
            .row("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1", &[])?;
        row.map(|row| Ok((row.integer(0)?, row.digest(1)?))).transpose()
    }

    fn add_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let Checkpoint { sequence, at, hash, authority, signature } = checkpoint;
        self.write(|backend| {
            backend.execute(
                "INSERT INTO checkpoint (sequence, at, hash, authority, signature) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (sequence) DO NOTHING",
                values![*sequence, at.unix(), hash, authority, signature],
            )?;
            Ok(())
        })
    }

    fn complaints(&self) -> Result<Vec<String>, StoreError> {
        self.backend.borrow_mut().check()
    }

    fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let mut copy = Box::new(Sqlite::open(path)?);
        copy.upgrade()?;
        let tables = tables(&mut *copy)?;
        copy_tables(&tables, &mut **self.backend.borrow_mut(), &mut *copy)?;
        copy.settle()
    }
}

/// The end of the log, at which entries are added: many in one transaction without looking for it each time.
pub(in crate::store) struct LogEnd {
    sequence: i64,
    hash: [u8; 32],
}

impl LogEnd {
    /// Where the log ends now.
    pub(in crate::store) fn of(backend: &mut dyn Backend) -> Result<Self, StoreError> {
        let last = backend.row("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1", &[])?;
        last.map_or(Ok(Self { sequence: 0, hash: [0; 32] }), |row| {
            Ok(Self { sequence: row.integer(0)?, hash: row.digest(1)? })
        })
    }

    /// Each entry holds the hash of the one before, so that a change in the middle shows.
    pub(in crate::store) fn append(
        &mut self,
        backend: &mut dyn Backend,
        audit: &AuditEvent,
    ) -> Result<(), StoreError> {
        let sequence = self.sequence + 1;
        let detail = audit.detail.to_string();
        let hash = LogEntry::hash_of(&self.hash, sequence, audit.at, audit.event, &detail);
        backend.execute(
            "INSERT INTO audit (sequence, at, event, detail, previous, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            values![sequence, audit.at.unix(), audit.event, detail, &self.hash, &hash],
        )?;
        *self = Self { sequence, hash };
        Ok(())
    }
}

/// Adds one entry to the log.
pub(in crate::store) fn append_audit(
    backend: &mut dyn Backend,
    audit: &AuditEvent,
) -> Result<(), StoreError> {
    LogEnd::of(backend)?.append(backend, audit)
}

pub(super) fn entries(
    backend: &mut dyn Backend,
    after: i64,
    limit: u32,
) -> Result<Vec<LogEntry>, StoreError> {
    backend.rows(
        "SELECT sequence, at, event, detail, previous, hash FROM audit
         WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
        values![after, i64::from(limit)],
        |row| {
            Ok(LogEntry {
                sequence: row.integer(0)?,
                at: Timestamp::from_unix(row.integer(1)?),
                event: row.text(2)?,
                detail: row.text(3)?,
                previous: row.digest(4)?,
                hash: row.digest(5)?,
            })
        },
    )
}

pub(super) fn checkpoints(backend: &mut dyn Backend) -> Result<Vec<Checkpoint>, StoreError> {
    backend.rows(
        "SELECT sequence, at, hash, authority, signature FROM checkpoint ORDER BY sequence",
        &[],
        |row| {
            Ok(Checkpoint {
                sequence: row.integer(0)?,
                at: Timestamp::from_unix(row.integer(1)?),
                hash: row.digest(2)?,
                authority: row.text(3)?,
                signature: row.bytes(4)?,
            })
        },
    )
}

/// A table and its columns.
pub(super) struct Table {
    pub(super) name: String,
    columns: Vec<String>,
}

/// All tables of an SQLite database, those first that others refer to.
pub(super) fn tables(sqlite: &mut dyn Backend) -> Result<Vec<Table>, StoreError> {
    let names = sqlite.rows(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY rowid",
        &[],
        |row| row.text(0),
    )?;
    names
        .into_iter()
        .map(|name| {
            let columns =
                sqlite.rows("SELECT name FROM pragma_table_info(?1)", values![&name], |row| row.text(0))?;
            Ok(Table { name, columns })
        })
        .collect()
}

/// Copies every row, as they all are at one moment, in one transaction.
pub(super) fn copy_tables(
    tables: &[Table],
    from: &mut dyn Backend,
    into: &mut dyn Backend,
) -> Result<(), StoreError> {
    let mut copy = |from: &mut dyn Backend| {
        into.begin()?;
        match copy_rows(tables, from, into) {
            Ok(()) => into.commit(),
            Err(error) => {
                into.roll_back();
                Err(error)
            }
        }
    };
    from.begin()?; // nobody writes meanwhile
    let copied = copy(from);
    from.roll_back();
    copied
}

/// Copies every row within a transaction that the caller began.
pub(super) fn copy_rows(
    tables: &[Table],
    from: &mut dyn Backend,
    into: &mut dyn Backend,
) -> Result<(), StoreError> {
    tables.iter().try_for_each(|Table { name, columns }| {
        let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
        let columns = columns.join(", ");
        let insert = format!("INSERT INTO {name} ({columns}) VALUES ({})", places.join(", "));
        // What an empty database begins with is in the other one too.
        into.execute(&format!("DELETE FROM {name}"), &[])?;
        from.query(&format!("SELECT {columns} FROM {name}"), &[], &mut |row| {
            let values: Vec<Value> = row.into_values();
            into.execute(&insert, &values).map(drop)
        })
    })
}
