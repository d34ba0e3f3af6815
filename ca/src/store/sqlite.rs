//! The inventory in one SQLite file, written ahead and flushed to the disk with every transaction.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::StoreError;
use super::backend::{Backend, Exclusion, Row, Value};
use super::schema::STEPS;

/// How long a transaction waits for another process's.
const BUSY: Duration = Duration::from_secs(30);

/// Statements kept ready.
const STATEMENTS: usize = 64;

/// An open file.
#[derive(Debug)]
pub(super) struct Sqlite {
    pub(super) connection: Connection,
}

impl Sqlite {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // A partial index makes SQLite look at a bound value while it plans, and plan anew with every other value: that
        // cost more than the answer. With the guarantee of stable plans it plans a statement once.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(Self { connection })
    }

    fn format(&self) -> Result<i64, StoreError> {
        Ok(self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
    }
}

impl Backend for Sqlite {
    fn upgrade(&mut self) -> Result<i64, StoreError> {
        let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
        let found = self.format()?;
        if found == known {
            return Ok(found);
        }
        self.begin()?;
        let taken = self.format().and_then(|found| {
            // Read again: another process may have been quicker.
            if found > known {
                return Err(StoreError::TooNew { found, known });
            }
            for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
                self.connection.execute_batch(step)?;
            }
            self.connection.pragma_update(None, "user_version", known)?;
            Ok(found)
        });
        match taken {
            Ok(found) => self.commit().map(|()| found),
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    fn roll_back(&mut self) {
        // Some errors have ended the transaction already; then there is nothing to undo.
        let _ended = self.connection.execute_batch("ROLLBACK");
    }

    fn begin_reading(&mut self) -> Result<(), StoreError> {
        // The file is locked and unlocked once, and not with every question.
        Ok(self.connection.execute_batch("BEGIN DEFERRED")?)
    }

    fn end_reading(&mut self) {
        let _nothing_was_written = self.connection.execute_batch("COMMIT");
    }

    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, StoreError> {
        let changed = self.connection.prepare_cached(statement)?.execute(params_from_iter(values))?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    fn insert(&mut self, statement: &str, values: &[Value]) -> Result<i64, StoreError> {
        // With RETURNING, SQLite would keep a journal for the one statement beside the transaction's.
        Ok(self.connection.prepare_cached(statement)?.insert(params_from_iter(values))?)
    }

    fn query(
        &mut self,
        statement: &str,
        values: &[Value],
        each: &mut dyn FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut prepared = self.connection.prepare_cached(statement)?;
        let columns = prepared.column_count();
        let mut rows = prepared.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let read = (0..columns).map(|column| Ok(value(row.get_ref(column)?)));
            each(Row(read.collect::<Result<_, StoreError>>()?))?;
        }
        Ok(())
    }

    fn keep_out(&mut self) -> Result<Option<Box<dyn Exclusion>>, StoreError> {
        Ok(None)
    }

    fn check(&mut self) -> Result<Vec<String>, StoreError> {
        let mut complaints = Vec::new();
        for pragma in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
            self.query(pragma, &[], &mut |row| {
                let words: Vec<String> = row
                    .0
                    .iter()
                    .map(|value| match value {
                        Value::Text(text) => text.clone(),
                        Value::Integer(number) => number.to_string(),
                        Value::Bytes(_) | Value::Null => "-".to_owned(),
                    })
                    .collect();
                if words != ["ok"] {
                    complaints.push(format!("the database file: {}", words.join(" ")));
                }
                Ok(())
            })?;
        }
        Ok(complaints)
    }

    fn settle(self: Box<Self>) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "journal_mode", "DELETE")?;
        self.connection.close().map_err(|(_connection, error)| StoreError::Database(error))
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

fn value(read: ValueRef<'_>) -> Value {
    match read {
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Null => Value::Null,
        // No column of ours holds one; as text it is of the wrong kind for every reader of numbers.
        ValueRef::Real(number) => Value::Text(number.to_string()),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
    }
}
