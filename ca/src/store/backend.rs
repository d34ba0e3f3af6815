//! What SQLite and PostgreSQL have in common: statements with numbered places, and values of four kinds.
//!
//! Statements are written once, in the SQL that both understand, with `?1`, `?2` … for the values.

use std::fmt;

use super::StoreError;

/// A value that goes into a statement or comes out of one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Bytes(Vec<u8>),
    Integer(i64),
    Null,
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl From<&Vec<u8>> for Value {
    fn from(value: &Vec<u8>) -> Self {
        Self::Bytes(value.clone())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(value: &[u8; N]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Self {
        value.as_ref().map_or(Self::Null, Self::from)
    }
}

/// The values of a statement, in the order of their numbers.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::backend::Value::from($value)),*] };
}
pub(crate) use values;

/// One row of an answer. What is not of the kind that belongs in a column is damage, and said so.
#[derive(Debug)]
pub(crate) struct Row(pub(super) Vec<Value>);

impl Row {
    /// The values, as they came.
    pub(crate) fn into_values(self) -> Vec<Value> {
        self.0
    }

    fn column(&self, column: usize) -> &Value {
        self.0.get(column).unwrap_or(&Value::Null)
    }

    pub(crate) fn integer(&self, column: usize) -> Result<i64, StoreError> {
        self.optional_integer(column)?.ok_or_else(|| damaged(column, "no number"))
    }

    pub(crate) fn optional_integer(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.column(column) {
            Value::Integer(value) => Ok(Some(*value)),
            Value::Null => Ok(None),
            Value::Bytes(_) | Value::Text(_) => Err(damaged(column, "no number")),
        }
    }

    pub(crate) fn text(&self, column: usize) -> Result<String, StoreError> {
        self.optional_text(column)?.ok_or_else(|| damaged(column, "no text"))
    }

    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        match self.column(column) {
            Value::Text(value) => Ok(Some(value.clone())),
            Value::Null => Ok(None),
            Value::Bytes(_) | Value::Integer(_) => Err(damaged(column, "no text")),
        }
    }

    pub(crate) fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        self.optional_bytes(column)?.ok_or_else(|| damaged(column, "no octets"))
    }

    pub(crate) fn optional_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        match self.column(column) {
            Value::Bytes(value) => Ok(Some(value.clone())),
            Value::Null => Ok(None),
            Value::Integer(_) | Value::Text(_) => Err(damaged(column, "no octets")),
        }
    }

    /// A digest.
    pub(crate) fn digest(&self, column: usize) -> Result<[u8; 32], StoreError> {
        self.bytes(column)?.try_into().map_err(|_length| damaged(column, "no SHA-256"))
    }

    /// A word of an enum.
    pub(crate) fn word<T>(&self, column: usize, parse: fn(&str) -> Option<T>) -> Result<T, StoreError> {
        let text = self.text(column)?;
        parse(&text).ok_or_else(|| StoreError::Damaged { what: format!("unknown word {text:?}") })
    }
}

fn damaged(column: usize, what: &str) -> StoreError {
    StoreError::Damaged { what: format!("column {column} of a row holds {what}") }
}

/// Keeps other hosts out of the store until it is dropped.
pub trait Exclusion: fmt::Debug + Send {}

/// One connection to a database.
pub(crate) trait Backend: fmt::Debug + Send {
    /// Makes the tables, or brings those of an earlier version up to date; the format found.
    fn upgrade(&mut self) -> Result<i64, StoreError>;

    /// Begins a transaction in which nobody else writes.
    fn begin(&mut self) -> Result<(), StoreError>;

    fn commit(&mut self) -> Result<(), StoreError>;

    /// Undoes what was done since [`begin`](Self::begin).
    fn roll_back(&mut self);

    /// Begins to ask many questions and to write nothing, where that makes the answers quicker.
    fn begin_reading(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Ends what [`begin_reading`](Self::begin_reading) began.
    fn end_reading(&mut self) {}

    /// Runs a statement; how many rows it changed.
    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, StoreError>;

    /// Runs an INSERT of one row into a table whose key is `id`; that key.
    fn insert(&mut self, statement: &str, values: &[Value]) -> Result<i64, StoreError>;

    /// Hands each row of the answer to `each`.
    fn query(
        &mut self,
        statement: &str,
        values: &[Value],
        each: &mut dyn FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Keeps other hosts out until what is given back is dropped; nothing where the database is a file beside the lock's.
    fn keep_out(&mut self) -> Result<Option<Box<dyn Exclusion>>, StoreError>;

    /// Whether the connection to the database is gone.
    fn is_lost(&self) -> bool {
        false
    }

    /// What the database has to complain of about itself.
    fn check(&mut self) -> Result<Vec<String>, StoreError>;

    /// Moves everything into the one file, where there is one, so that it alone is the database.
    fn settle(self: Box<Self>) -> Result<(), StoreError>;
}

impl dyn Backend + '_ {
    /// The first row of an answer.
    pub(crate) fn row(&mut self, statement: &str, values: &[Value]) -> Result<Option<Row>, StoreError> {
        let mut first = None;
        self.query(statement, values, &mut |row| {
            if first.is_none() {
                first = Some(row);
            }
            Ok(())
        })?;
        Ok(first)
    }

    /// What `read` makes of each row.
    pub(crate) fn rows<T>(
        &mut self,
        statement: &str,
        values: &[Value],
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        self.query(statement, values, &mut |row| {
            rows.push(read(&row)?);
            Ok(())
        })?;
        Ok(rows)
    }
}
