//! `audit follow`: new records as they come, until the reader has seen enough.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::filter::filter;
use super::{Failure, Outcome, Streams, line};
use crate::audit::entry::Moment;
use crate::audit::query::{Filter, RecordId};
use crate::audit::{AuditDatabase, DatabaseError};
use crate::{cli, printer};

/// How often the database is asked: records come within 200 ms, and a question costs next to nothing.
const PERIOD: Duration = Duration::from_millis(250);
/// How often one that failed is asked.
const RETRY: Duration = Duration::from_secs(2);
/// Records of one question at most.
const MOST: u32 = 1000;

pub(super) fn follow(
    question: &cli::AuditFollow,
    json: bool,
    database: &mut AuditDatabase,
    now: Moment,
    streams: &mut Streams<'_>,
) -> Result<Outcome, Failure> {
    let filter = filter(&question.filter, now);
    let stop = stop_signal()?;
    // With a beginning, what there is since then comes first.
    let from = if filter.since.is_some() { RecordId::default() } else { database.newest()? };
    run(database, &filter, from, json, &stop, streams)?;
    Ok(Outcome::Done)
}

/// Prints records until `stop` says so.
pub(super) fn run(
    database: &mut AuditDatabase,
    filter: &Filter,
    mut last: RecordId,
    json: bool,
    stop: &Receiver<()>,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    if !json {
        writeln!(streams.out, "{}", line::TITLES)?;
        streams.out.flush()?;
    }
    let mut failing = false;
    loop {
        let wait = match next(database, filter, last, failing) {
            Ok(records) => {
                failing = false;
                for record in &records {
                    last = record.id;
                    if json {
                        writeln!(streams.out, "{}", record.line)?;
                    } else {
                        writeln!(streams.out, "{}", line::text_of(record))?;
                    }
                    streams.out.flush()?;
                }
                let full = u32::try_from(records.len()).is_ok_and(|found| found >= MOST);
                if full { Duration::ZERO } else { PERIOD }
            }
            Err(error) => {
                if !failing {
                    printer::error(
                        streams.err,
                        &Failure::Database(error),
                        Some("trying again until it can"),
                    )?;
                }
                failing = true;
                RETRY
            }
        };
        match stop.recv_timeout(wait) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn next(
    database: &mut AuditDatabase,
    filter: &Filter,
    last: RecordId,
    failing: bool,
) -> Result<Vec<crate::audit::query::StoredRecord>, DatabaseError> {
    if failing {
        database.reconnect()?;
    }
    database.after(last, filter, MOST)
}

/// Hears of SIGINT and SIGTERM, so that a line is never cut and the exit status says that all went well.
fn stop_signal() -> Result<Receiver<()>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (send, stop) = mpsc::channel();
    let mut terminate = {
        let _inside = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?
    };
    let mut interrupt = {
        let _inside = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?
    };
    // It ends with the process at the latest: nothing waits for it.
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        // Nobody listens any more when the reader has gone.
        let _ = send.send(());
    })?;
    Ok(stop)
}
