//! `audit follow`: new records as they come, until the reader has seen enough.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::filter::filter;
use super::{Failure, Outcome, Streams, line};
use crate::audit::moment::Moment;
use crate::audit::query::{Filter, RecordId, StoredRecord};
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
                for record in &records.found {
                    if json {
                        writeln!(streams.out, "{}", record.line)?;
                    } else {
                        writeln!(streams.out, "{}", line::text_of(record))?;
                    }
                    streams.out.flush()?;
                }
                last = records.last;
                if records.are_all { PERIOD } else { Duration::ZERO }
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

/// What came, and from where on to look the next time.
#[derive(Debug)]
struct Next {
    found: Vec<StoredRecord>,
    last: RecordId,
    are_all: bool,
}

fn next(
    database: &mut AuditDatabase,
    filter: &Filter,
    last: RecordId,
    failing: bool,
) -> Result<Next, DatabaseError> {
    if failing {
        database.reconnect()?;
    }
    // The numbers of another database begin anew.
    let last = if database.reconnect_if_replaced()? { RecordId::default() } else { last };
    // Asked first: what comes in between has a later place, and is found the next time.
    let newest = database.newest()?;
    let found = database.after(last, filter, MOST)?;
    let are_all = u32::try_from(found.len()).is_ok_and(|found| found < MOST);
    let last = found.last().map_or(last, |record| record.id);
    // What the filter did not let through is not looked through again, or each question would take longer than the one before.
    Ok(Next { found, last: if are_all { last.max(newest) } else { last }, are_all })
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

#[cfg(test)]
mod tests {
    use policies::Reason;

    use super::*;
    use crate::audit::DatabaseUrl;
    use crate::audit::database::testing::on_both;
    use crate::audit::database::tests::{batch, lines};

    const EXPIRED: &str = r#""event":"connection","decision":"deny","reason":"expired""#;
    const REVOKED: &str = r#""event":"connection","decision":"deny","reason":"revoked""#;

    #[test]
    fn what_the_filter_leaves_out_is_looked_through_once() {
        on_both(|database| {
            let filter = Filter { reason: Some(Reason::Expired), ..Filter::default() };
            database.append(batch(1), lines(1_795_400_000, &[REVOKED; 5]).as_bytes()).unwrap();
            let first = next(database, &filter, RecordId::default(), false).unwrap();
            assert!(first.found.is_empty() && first.are_all);
            assert_eq!(first.last, database.newest().unwrap());
            let more = lines(1_795_400_009, &[REVOKED, EXPIRED, REVOKED]);
            database.append(batch(2), more.as_bytes()).unwrap();
            let second = next(database, &filter, first.last, false).unwrap();
            assert_eq!((second.found.len(), second.last), (1, database.newest().unwrap()));
            assert!(next(database, &filter, second.last, false).unwrap().found.is_empty());
        });
    }

    #[test]
    fn a_database_in_the_place_of_another_is_followed_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::parse("sqlite:audit.db", folder.path()).unwrap();
        AuditDatabase::open(&url).unwrap().append(batch(1), lines(1, &[EXPIRED; 5]).as_bytes()).unwrap();
        let mut reader = AuditDatabase::open_to_read(&url).unwrap();
        let filter = Filter::default();
        let before = next(&mut reader, &filter, RecordId::default(), false).unwrap();
        assert_eq!(before.found.len(), 5);
        std::fs::remove_file(folder.path().join("audit.db")).unwrap();
        assert!(next(&mut reader, &filter, before.last, false).is_err());
        AuditDatabase::open(&url).unwrap().append(batch(1), lines(9, &[REVOKED]).as_bytes()).unwrap();
        assert_eq!(next(&mut reader, &filter, before.last, false).unwrap().found.len(), 1);
    }
}
