//! `audit summary`: how many connections and requests, by reason, product, issuer and so on.

use serde::Serialize;

use super::{Failure, Outcome, Streams, words, write_json};
use crate::audit::AuditDatabase;
use crate::audit::entry::Subject;
use crate::audit::moment::Moment;
use crate::audit::query::{By, Tally};
use crate::cli;
use crate::printer::Printable;

/// The answer for programs.
#[derive(Debug, Serialize)]
struct Report {
    by: &'static str,
    since: Option<String>,
    until: Option<String>,
    counts: Vec<Count>,
    lost_records: u64,
}

#[derive(Debug, Serialize)]
struct Count {
    value: String,
    of: &'static str,
    outcome: &'static str,
    count: u64,
    first_seen: String,
    last_seen: String,
}

pub(super) fn summary(
    question: &cli::AuditSummary,
    json: bool,
    database: &mut AuditDatabase,
    now: Moment,
    streams: &mut Streams<'_>,
) -> Result<Outcome, Failure> {
    let by = question.by;
    let since = question.since.map(|since| since.beginning(now));
    let until = question.until.map(|until| until.end(now));
    let mut counts: Vec<(Subject, Tally)> = Vec::new();
    for subject in [Subject::Connection, Subject::Request] {
        let tallies = database.summary_until(by, subject, since, until)?;
        counts.extend(tallies.into_iter().map(|tally| (subject, tally)));
    }
    counts.sort_by_key(|(_, one)| std::cmp::Reverse(one.count));
    let lost = database.summary_until(By::All, Subject::Gap, since, until)?;
    let lost_records = lost.iter().map(|tally| tally.count).fold(0, u64::saturating_add);
    let limit = usize::try_from(question.limit.get()).unwrap_or(usize::MAX);
    let left_out = counts.len().saturating_sub(limit);
    counts.truncate(limit);
    let shown_nothing = counts.is_empty();
    if json {
        let counts = counts.into_iter().map(|(subject, tally)| Count::new(subject, tally)).collect();
        let [since, until] = [since, until].map(|time| time.map(|time| time.to_string()));
        let report = Report { by: by.as_str(), since, until, counts, lost_records };
        write_json(streams.out, &report)?;
    } else if shown_nothing {
        writeln!(streams.err, "note: nothing is counted by {} in this time", by.as_str())?;
    } else {
        write(by, &counts, streams)?;
    }
    if by == By::Reason && !json && !shown_nothing {
        writeln!(streams.err, "note: what each means and what to do: provision-gateway reasons REASON")?;
    }
    if left_out > 0 {
        writeln!(streams.err, "note: {left_out} more are not shown; --limit shows more")?;
    }
    if lost_records > 0 {
        let lost = words::count(lost_records, "record was lost and is", "records were lost and are");
        writeln!(streams.err, "note: {lost} counted nowhere")?;
    }
    Ok(Outcome::Done)
}

impl Count {
    fn new(subject: Subject, tally: Tally) -> Self {
        let Tally { value, outcome, count, first_seen, last_seen } = tally;
        Self {
            value,
            of: subject.as_str(),
            outcome: outcome.as_str(),
            count,
            first_seen: first_seen.to_string(),
            last_seen: last_seen.to_string(),
        }
    }
}

fn write(by: By, counts: &[(Subject, Tally)], streams: &mut Streams<'_>) -> Result<(), Failure> {
    writeln!(
        streams.out,
        "{:>9}  {:<11}  {:<7}  {:<20}  {:<20}  {}",
        "count",
        "of",
        "outcome",
        "first seen",
        "last seen",
        by.as_str()
    )?;
    for (subject, tally) in counts {
        let Tally { value, outcome, count, first_seen, last_seen } = tally;
        writeln!(
            streams.out,
            "{count:>9}  {:<11}  {:<7}  {}  {}  {}",
            of(*subject),
            outcome.as_str(),
            words::second(*first_seen),
            words::second(*last_seen),
            Printable(value),
        )?;
    }
    Ok(())
}

const fn of(subject: Subject) -> &'static str {
    match subject {
        Subject::Connection => "connections",
        Subject::Request => "requests",
        Subject::Gap => "records",
        Subject::Said => "messages",
    }
}
