//! `audit`: why was this phone refused? Questions to the audit database, answered in text or JSON.
//!
//! | command | answers | module |
//! | --- | --- | --- |
//! | `audit` | which records there are | `list` |
//! | `audit follow` | which come now | `follow` |
//! | `audit summary` | how many, by what | `summary` |
//! | `audit device` | one device's story | `device` |
//! | `audit expiring` | which certificates end soon | `expiring` |
//!
//! Whatever a device sent is shown with its control characters escaped. Times are UTC.

mod device;
mod expiring;
mod filter;
mod follow;
mod line;
mod list;
mod source;
mod summary;
mod time_point;
mod words;

#[cfg(test)]
mod tests;

use std::io;

use certs::Timestamp;

pub use self::time_point::{NotATimePoint, TimePoint};
use super::{Outcome, Streams};
use crate::audit::moment::Moment;
use crate::audit::{AuditDatabase, DatabaseError};
use crate::{cli, printer};

/// Why an answer was not given whole.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the audit database cannot be asked")]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Writes an answer as JSON in which nothing of a device is left that a terminal would obey.
fn write_json(out: &mut dyn io::Write, answer: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(answer).map_err(io::Error::from)?;
    let mut safe = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        // They stand in strings only, and all of them are below U+10000, as JSON's escape needs them.
        if character != '\n' && printer::is_unsafe(character) {
            safe.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            safe.push(character);
        }
    }
    safe.push('\n');
    Ok(out.write_all(safe.as_bytes())?)
}

/// Asks the audit database as of `now`.
///
/// # Errors
/// When a stream is closed.
pub fn audit(arguments: &cli::Audit, now: Timestamp, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let misplaced = arguments.filter != cli::AuditFilter::default() || arguments.limit.is_some();
    if let Some(question) = arguments.question.as_ref().filter(|_| misplaced) {
        let word = match question {
            cli::AuditQuestion::Device(_) => "device",
            cli::AuditQuestion::Expiring(_) => "expiring",
            cli::AuditQuestion::Follow(_) => "follow",
            cli::AuditQuestion::Summary(_) => "summary",
        };
        writeln!(streams.err, "error: what narrows the question down stands behind the command")?;
        writeln!(streams.err, "hint: provision-gateway audit {word} --help says what it takes")?;
        return Ok(Outcome::Misuse);
    }
    let mut database = match source::open(arguments) {
        Ok(database) => database,
        Err(error) => {
            error.write(streams.err)?;
            let misuse = matches!(error, source::SourceError::Nowhere | source::SourceError::Address { .. });
            return Ok(if misuse { Outcome::Misuse } else { Outcome::Refused });
        }
    };
    answer(arguments, &mut database, now.into(), streams)
}

/// Answers from an open database.
fn answer(
    arguments: &cli::Audit,
    database: &mut AuditDatabase,
    now: Moment,
    streams: &mut Streams<'_>,
) -> io::Result<Outcome> {
    let json = arguments.json;
    let answered = match &arguments.question {
        None => list::list(arguments, database, now, streams),
        Some(cli::AuditQuestion::Device(question)) => device::device(question, json, database, now, streams),
        Some(cli::AuditQuestion::Expiring(question)) => {
            expiring::expiring(question, json, database, now, streams)
        }
        Some(cli::AuditQuestion::Follow(question)) => follow::follow(question, json, database, now, streams),
        Some(cli::AuditQuestion::Summary(question)) => {
            summary::summary(question, json, database, now, streams)
        }
    };
    match answered {
        Ok(outcome) => Ok(outcome),
        Err(Failure::Output(error)) => Err(error),
        Err(Failure::Database(error)) => {
            printer::error(streams.err, &Failure::Database(error), None)?;
            Ok(Outcome::Refused)
        }
    }
}
