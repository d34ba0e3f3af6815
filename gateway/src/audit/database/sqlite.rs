//! The audit database in one SQLite file, beside it the write-ahead log: readers and the writer do not wait for each other.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params_from_iter, types};

use super::DatabaseError;
use super::backend::{Backend, Insert, Value};
use super::schema::{self, Dialect};

const DIALECT: Dialect =
    Dialect { id: "INTEGER NOT NULL PRIMARY KEY", bytes: "BLOB", without_rowid: " WITHOUT ROWID" };
/// How long a transaction waits for another process's.
const BUSY: Duration = Duration::from_secs(10);
/// Steps of a statement, a few microseconds together, after which it looks whether its time is up.
const LOOK_EVERY: i32 = 1000;
/// Pages given back to the file system at one time: a MiB.
const RELEASE: u32 = 256;

/// An open file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    access: Access,
    connection: Connection,
    /// Which file it is: its device and number there.
    file: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Sqlite {
    /// Opens the file to write into, or makes it: for its owner and group only, since it tells who owns which phone.
    pub(crate) fn open(path: &Path) -> Result<Self, DatabaseError> {
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o640).open(path);
        made.map_err(|source| DatabaseError::File { path: path.to_owned(), source })?;
        Self::connect(path, Access::Write)
    }

    /// Opens a file that must be there, to ask.
    pub(crate) fn open_to_read(path: &Path) -> Result<Self, DatabaseError> {
        let found = path.metadata().and_then(|found| match found.is_dir() {
            true => Err(io::ErrorKind::IsADirectory.into()),
            false => Ok(()),
        });
        found.map_err(|source| DatabaseError::File { path: path.to_owned(), source })?;
        Self::connect(path, Access::Read)
    }

    fn connect(path: &Path, access: Access) -> Result<Self, DatabaseError> {
        let flags = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        if access == Access::Write {
            // Before anything is changed in it.
            refuse_another_programs(&connection)?;
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            // In WAL mode this is safe against a crash of the program; a power cut may cost the last seconds, never the file.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            // A large transaction must not leave a log of its size behind for ever.
            connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        }
        Ok(Self { path: path.to_owned(), access, connection, file: identity(path) })
    }
}

impl Backend for Sqlite {
    fn upgrade(&mut self) -> Result<(), DatabaseError> {
        if self.access == Access::Read {
            let tables = "SELECT count(*) FROM sqlite_master WHERE name = 'audit_setting'";
            if self.connection.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 {
                return Err(DatabaseError::NotAnAuditDatabase);
            }
            let found = self.connection.query_row(schema::VERSION, [], |row| row.get(0)).optional()?;
            let found = found.unwrap_or(0);
            return match schema::steps_after(found)?.next() {
                Some(_) => Err(DatabaseError::Older { found }),
                None => Ok(()),
            };
        }
        self.begin()?;
        let upgraded = (|| {
            self.connection.execute_batch(schema::SETTINGS)?;
            let found = self.connection.query_row(schema::VERSION, [], |row| row.get(0)).optional()?;
            for (version, step) in schema::steps_after(found.unwrap_or(0))? {
                self.connection.execute_batch(&DIALECT.spell(step))?;
                self.connection.execute(schema::SET_VERSION, [version])?;
            }
            Ok(())
        })();
        match upgraded {
            Ok(()) => self.commit(),
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    fn begin(&mut self) -> Result<(), DatabaseError> {
        let begin = if self.access == Access::Read { "BEGIN" } else { "BEGIN IMMEDIATE" };
        Ok(self.connection.execute_batch(begin)?)
    }

    fn commit(&mut self) -> Result<(), DatabaseError> {
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    fn roll_back(&mut self) {
        // Some errors have ended the transaction already; then there is nothing to undo.
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        let mut prepared = self.connection.prepare_cached(statement)?;
        let changed = prepared.execute(params_from_iter(values))?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    fn query(
        &mut self,
        statement: &str,
        values: &[Value],
        each: &mut dyn FnMut(Vec<Value>) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let mut prepared = self.connection.prepare_cached(statement)?;
        let columns = prepared.column_count();
        let mut rows = prepared.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let values: Result<Vec<Value>, DatabaseError> =
                (0..columns).map(|column| value(row.get_ref(column)?)).collect();
            each(values?)?;
        }
        Ok(())
    }

    fn insert(&mut self, insert: &Insert, rows: &[Vec<Value>]) -> Result<(), DatabaseError> {
        if rows.is_empty() {
            return Ok(());
        }
        let Insert { table, columns, on_conflict } = insert;
        let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
        let (columns, places) = (columns.join(", "), places.join(", "));
        let statement = format!("INSERT INTO {table} ({columns}) VALUES ({places}) {on_conflict}");
        let mut prepared = self.connection.prepare_cached(&statement)?;
        for row in rows {
            prepared.execute(params_from_iter(row))?;
        }
        Ok(())
    }

    fn unindexed(&self, column: &str) -> String {
        format!("+{column}")
    }

    fn give_up_at(&mut self, time: Instant) -> Result<(), DatabaseError> {
        Ok(self.connection.progress_handler(LOOK_EVERY, Some(move || Instant::now() >= time))?)
    }

    fn size(&mut self) -> Result<u64, DatabaseError> {
        let number = |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let used = number("page_count")?.saturating_sub(number("freelist_count")?);
        Ok(u64::try_from(used.saturating_mul(number("page_size")?)).unwrap_or(0))
    }

    fn release(&mut self) -> Result<(), DatabaseError> {
        Ok(self.connection.execute_batch(&format!("PRAGMA incremental_vacuum({RELEASE})"))?)
    }

    fn is_replaced(&self) -> bool {
        identity(&self.path) != self.file
    }

    fn reconnect(&mut self) -> Result<(), DatabaseError> {
        *self = match self.access {
            Access::Read => Self::open_to_read(&self.path)?,
            Access::Write => Self::open(&self.path)?,
        };
        Ok(())
    }
}

/// What tells a file from another that was put into its place.
fn identity(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// A file with tables but not ours: whoever names it by mistake is not to find ours among them.
fn refuse_another_programs(connection: &Connection) -> Result<(), DatabaseError> {
    let tables =
        "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name <> 'audit_setting', name LIMIT 1";
    let first = connection.query_row(tables, [], |row| row.get::<_, String>(0)).optional()?;
    match first {
        Some(table) if table != "audit_setting" => Err(DatabaseError::Foreign { table }),
        Some(_) | None => Ok(()),
    }
}

fn value(found: types::ValueRef<'_>) -> Result<Value, DatabaseError> {
    Ok(match found {
        types::ValueRef::Null => Value::Null,
        types::ValueRef::Integer(value) => Value::Integer(value),
        types::ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        types::ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        types::ValueRef::Real(_) => return Err(DatabaseError::Unexpected("a fraction")),
    })
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<types::ToSqlOutput<'_>> {
        Ok(types::ToSqlOutput::Borrowed(match self {
            Self::Null => types::ValueRef::Null,
            Self::Integer(value) => types::ValueRef::Integer(*value),
            Self::Text(text) => types::ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => types::ValueRef::Blob(bytes),
        }))
    }
}
