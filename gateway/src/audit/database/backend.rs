//! What SQLite and PostgreSQL have in common: statements with numbered places, and values of four kinds.
//!
//! Statements are written once, in the SQL that both understand, with `?1`, `?2` … for the values.

use std::fmt;
use std::time::Instant;

use crate::audit::database::DatabaseError;

/// A value that goes into a statement or comes out of one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    /// The number; zero for NULL, which is what sums and extremes of nothing are.
    pub(crate) fn integer(&self) -> Result<i64, DatabaseError> {
        self.optional_integer().map(Option::unwrap_or_default)
    }

    pub(crate) fn optional_integer(&self) -> Result<Option<i64>, DatabaseError> {
        match self {
            Self::Null => Ok(None),
            Self::Integer(value) => Ok(Some(*value)),
            Self::Text(_) | Self::Bytes(_) => Err(DatabaseError::Unexpected("a text where a number belongs")),
        }
    }

    /// The text; empty for NULL.
    pub(crate) fn text(self) -> Result<String, DatabaseError> {
        self.optional_text().map(Option::unwrap_or_default)
    }

    pub(crate) fn optional_text(self) -> Result<Option<String>, DatabaseError> {
        match self {
            Self::Null => Ok(None),
            Self::Text(value) => Ok(Some(value)),
            Self::Integer(_) | Self::Bytes(_) => {
                Err(DatabaseError::Unexpected("a number where a text belongs"))
            }
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<&str> for Value {
    /// A NUL, which PostgreSQL cannot keep, becomes the replacement character.
    fn from(value: &str) -> Self {
        Self::Text(if value.contains('\0') { value.replace('\0', "\u{fffd}") } else { value.to_owned() })
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        value.as_str().into()
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Rows for one table.
#[derive(Debug)]
pub(crate) struct Insert {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static [&'static str],
    /// `ON CONFLICT …`, or nothing where no row can be there yet.
    pub(crate) on_conflict: &'static str,
}

/// One connection to a database.
pub(crate) trait Backend: fmt::Debug + Send {
    /// Makes the tables, or brings those of an earlier version up to date.
    fn upgrade(&mut self) -> Result<(), DatabaseError>;

    /// Begins a transaction in which no other gateway writes.
    fn begin(&mut self) -> Result<(), DatabaseError>;

    fn commit(&mut self) -> Result<(), DatabaseError>;

    /// Undoes what was done since [`begin`](Self::begin); when even that fails, the connection is given up.
    fn roll_back(&mut self);

    /// Runs a statement; how many rows it changed.
    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, DatabaseError>;

    /// Hands each row of the answer to `each`.
    fn query(
        &mut self,
        statement: &str,
        values: &[Value],
        each: &mut dyn FnMut(Vec<Value>) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError>;

    /// Adds many rows. Where the insert has a conflict clause, no two rows may have one key.
    fn insert(&mut self, insert: &Insert, rows: &[Vec<Value>]) -> Result<(), DatabaseError>;

    /// A column, written so that no index of it is used, where the database would not find out by itself which is better.
    fn unindexed(&self, column: &str) -> String;

    /// Gives up statements that are still running at this time, until another time is set.
    fn give_up_at(&mut self, time: Instant) -> Result<(), DatabaseError>;

    /// Bytes that the audit tables take.
    fn size(&mut self) -> Result<u64, DatabaseError>;

    /// Gives room that deleted records took back, a little of it.
    fn release(&mut self) -> Result<(), DatabaseError>;

    /// Whether what is open is not what stands under its name any more: the file was deleted, moved away or replaced.
    fn is_replaced(&self) -> bool;

    /// Connects again after an error that may have been the connection's.
    fn reconnect(&mut self) -> Result<(), DatabaseError>;
}

impl dyn Backend + '_ {
    /// The rows of an answer.
    pub(crate) fn rows(
        &mut self,
        statement: &str,
        values: &[Value],
    ) -> Result<Vec<Vec<Value>>, DatabaseError> {
        let mut rows = Vec::new();
        self.query(statement, values, &mut |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The only value of the first row.
    pub(crate) fn value(
        &mut self,
        statement: &str,
        values: &[Value],
    ) -> Result<Option<Value>, DatabaseError> {
        let mut first = None;
        self.query(statement, values, &mut |row| {
            if first.is_none() {
                first = row.into_iter().next();
            }
            Ok(())
        })?;
        Ok(first)
    }
}
