//! The audit database: every record with the columns that questions are asked by, and what is known of each device.
//!
//! [`AuditDatabase`] takes batches of JSON lines from the writer's thread and answers the questions of
//! [`query`](crate::audit::query). It is SQLite in a file by default; several gateways share one on a PostgreSQL server, where each
//! writes under its own name. Both keep the same tables, described with their schema.
//!
//! It blocks: the data path never touches it, and asynchronous code asks it on a blocking thread.

mod backend;
mod batch;
mod postgres;
mod retention;
mod schema;
mod seen;
mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
mod url;

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use self::backend::Backend;
pub(super) use self::backend::Value;
use self::batch::{Admitted, Batch};
pub(super) use self::batch::{address_bytes, hour_of};
use self::postgres::Postgres;
pub use self::retention::Retention;
use self::sqlite::Sqlite;
pub use self::url::{DatabaseUrl, PostgresUrl, UrlError};

/// An open audit database.
#[derive(Debug)]
pub struct AuditDatabase {
    backend: Box<dyn Backend>,
    admitted: Admitted,
    /// The hour in which old counts and devices were last looked for.
    swept: Option<i64>,
}

/// Why the audit database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The file cannot be opened or made.
    #[error("the audit database {} cannot be opened", .path.display())]
    File {
        /// As configured.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It has tables already, and none of them is ours.
    #[error("this is the database of another program: it has a table \"{table}\"")]
    Foreign {
        /// One of them.
        table: String,
    },
    /// It was made by a later gateway.
    #[error(
        "the audit database has version {found}, and this gateway knows versions up to {known}: update the gateway"
    )]
    Newer {
        /// Its version.
        found: i64,
        /// The last one that is known here.
        known: i64,
    },
    /// There are no audit tables in it.
    #[error("this is no audit database: a gateway with a `database` sink makes one")]
    NotAnAuditDatabase,
    /// It was made by an earlier gateway, and is only being read.
    #[error(
        "the audit database has the old version {found}: the gateway brings it up to date when it starts"
    )]
    Older {
        /// Its version.
        found: i64,
    },
    /// PostgreSQL refused, or the connection to it failed.
    #[error("the audit database on PostgreSQL failed")]
    Postgres(#[from] ::postgres::Error),
    /// SQLite refused.
    #[error("the audit database file failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The connection failed in the middle of a copy.
    #[error("records could not be sent to the audit database")]
    Transfer(#[from] io::Error),
    /// It holds what no gateway writes.
    #[error("the audit database holds {0}")]
    Unexpected(&'static str),
}

/// One batch of records, so that a batch whose commit was not confirmed is not written twice.
#[derive(Debug, Clone, Copy)]
pub struct BatchId<'a> {
    /// The gateway's name.
    pub gateway: &'a str,
    /// This start of it, unlike any other.
    pub process: &'a str,
    /// Counts the batches of the process, from 1.
    pub number: i64,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Records that are in the database now.
    pub records: u64,
    /// Lines that are no records.
    pub unreadable: u64,
}

impl AuditDatabase {
    /// Opens a database to write, and makes its tables or brings them up to date.
    ///
    /// # Errors
    /// It cannot be reached or opened, a later gateway made it, or the file is another program's.
    pub fn open(url: &DatabaseUrl) -> Result<Self, DatabaseError> {
        let opened = match url {
            DatabaseUrl::Sqlite(path) => Sqlite::open(path).and_then(|file| Self::with(Box::new(file))),
            DatabaseUrl::Postgres(url) => Self::with(Box::new(Postgres::open(url)?)),
        };
        opened.map_err(or_no_database)
    }

    /// Opens a database that is there, to ask: for reading only.
    ///
    /// # Errors
    /// It cannot be reached or opened, or is none of this version.
    pub fn open_to_read(url: &DatabaseUrl) -> Result<Self, DatabaseError> {
        let opened = match url {
            DatabaseUrl::Sqlite(path) => {
                Sqlite::open_to_read(path).and_then(|file| Self::with(Box::new(file)))
            }
            DatabaseUrl::Postgres(url) => Self::with(Box::new(Postgres::open_to_read(url)?)),
        };
        opened.map_err(or_no_database)
    }

    fn with(mut backend: Box<dyn Backend>) -> Result<Self, DatabaseError> {
        backend.upgrade()?;
        Ok(Self { backend, admitted: Admitted::default(), swept: None })
    }

    /// Files away whole lines, in one transaction: all of them or, on error, none. The same batch again is taken once.
    ///
    /// # Errors
    /// The database cannot take them now; after [`reconnect`](Self::reconnect) the same batch may be tried again.
    pub fn append(&mut self, id: BatchId<'_>, lines: &[u8]) -> Result<Appended, DatabaseError> {
        let (batch, unreadable) = Batch::read(id.gateway, lines);
        let records = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        self.backend.begin()?;
        match batch.write(&mut *self.backend, id, &mut self.admitted).and_then(|()| self.backend.commit()) {
            Ok(()) => Ok(Appended { records, unreadable }),
            Err(error) => {
                self.backend.roll_back();
                Err(error)
            }
        }
    }

    /// Connects again where the connection was lost.
    ///
    /// # Errors
    /// The database still cannot be reached.
    pub fn reconnect(&mut self) -> Result<(), DatabaseError> {
        self.backend.reconnect()
    }

    /// Opens the file anew where it was deleted, moved away or replaced, since whatever is done with the old one is lost; whether it
    /// was.
    ///
    /// # Errors
    /// The one that stands there now, or none, cannot be opened.
    pub fn reconnect_if_replaced(&mut self) -> Result<bool, DatabaseError> {
        let is_replaced = self.backend.is_replaced();
        if is_replaced {
            self.backend.reconnect()?;
            self.backend.upgrade()?;
            self.admitted = Admitted::default();
        }
        Ok(is_replaced)
    }

    /// Gives up each question whose answer is not there at this time, until another time is set.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn give_up_at(&mut self, time: Instant) -> Result<(), DatabaseError> {
        self.backend.give_up_at(time)
    }

    /// Runs any statement: for tests of what takes too long.
    #[cfg(test)]
    pub(crate) fn run_for_tests(&mut self, statement: &str) -> Result<(), DatabaseError> {
        self.backend.query(statement, &[], &mut |_| Ok(()))
    }

    /// Brings the tables up to date once more.
    #[cfg(test)]
    pub(crate) fn upgrade_for_tests(&mut self) -> Result<(), DatabaseError> {
        self.backend.upgrade()
    }

    /// The database's answer to a statement; for [`query`](crate::audit::query), where statements are written.
    pub(super) fn backend(&mut self) -> &mut dyn Backend {
        &mut *self.backend
    }
}

/// Says so where the file is none of SQLite's.
fn or_no_database(error: DatabaseError) -> DatabaseError {
    let is_none = matches!(&error, DatabaseError::Sqlite(error)
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase));
    if is_none { DatabaseError::NotAnAuditDatabase } else { error }
}

#[cfg(test)]
pub(crate) mod tests;
