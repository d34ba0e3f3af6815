//! `audit`: the records that a filter lets through, newest first.

use std::collections::BTreeSet;

use super::filter::filter;
use super::{Failure, Outcome, Streams, line};
use crate::audit::AuditDatabase;
use crate::audit::entry::MacSource;
use crate::audit::moment::Moment;
use crate::cli;
use crate::printer::{Field, Wrapped};
use crate::respond::phone;

/// Records that are fetched at one time.
const PAGE: u32 = 1000;
/// How many are shown where nothing is said.
const LIMIT: u32 = 100;

pub(super) fn list(
    arguments: &cli::Audit,
    database: &mut AuditDatabase,
    now: Moment,
    streams: &mut Streams<'_>,
) -> Result<Outcome, Failure> {
    let limit = arguments.limit.map_or(LIMIT, |limit| limit.get());
    let mut filter = filter(&arguments.filter, now);
    let mut left = limit;
    let mut claimed = false;
    let mut reasons = BTreeSet::new();
    loop {
        let wanted = left.min(PAGE);
        let records = database.records(&filter, wanted)?;
        if left == limit {
            match (records.is_empty(), arguments.json) {
                (true, _) => writeln!(streams.err, "note: no record is like that")?,
                (false, true) => {}
                (false, false) => writeln!(streams.out, "{}", line::TITLES)?,
            }
        }
        for record in &records {
            if arguments.json {
                writeln!(streams.out, "{}", record.line)?;
                continue;
            }
            writeln!(streams.out, "{}", line::text_of(record))?;
            if let Ok(entry) = record.entry() {
                claimed |= entry.mac().is_some_and(|(_, source)| source != MacSource::Device);
                reasons.extend(entry.known_reason());
            }
        }
        left -= wanted;
        filter.before = records.last().map(|record| record.id).or(filter.before);
        let is_last_page = u32::try_from(records.len()).is_ok_and(|found| found < wanted);
        if is_last_page || left == 0 {
            break;
        }
    }
    let more = left == 0 && !database.records(&filter, 1)?.is_empty();
    // Who asks for one request or connection wants to know why.
    let is_about_one = filter.request.is_some() || filter.connection.is_some();
    if is_about_one && !arguments.json {
        for reason in reasons {
            writeln!(streams.out, "\n{reason}")?;
            writeln!(streams.out, "{}", Wrapped { text: reason.meaning(), indent: 2 })?;
            let shows = phone::shows(reason).join(" ");
            let shows = Field { indent: 2, name: "What the phone shows: ", width: 22, value: &shows };
            writeln!(streams.out, "{shows}")?;
            let remedy = Field { indent: 2, name: "What to do: ", width: 22, value: reason.remedy() };
            writeln!(streams.out, "{remedy}")?;
        }
    }
    if claimed {
        writeln!(streams.err, "{}", line::CLAIMED)?;
    }
    if more {
        writeln!(streams.err, "note: the newest {limit} are shown; --limit shows more")?;
    }
    Ok(Outcome::Done)
}
