//! Counts: by reason, product, issuer and so on, in all or hour by hour.
//!
//! Whole hours are read from the counts that are kept as records come in; only the part of an hour at the beginning of a period is
//! counted record by record. So a summary takes as long for a million records as for a thousand.

use std::collections::BTreeMap;

use crate::audit::database::{AuditDatabase, DatabaseError, Value, hour_of};
use crate::audit::entry::{Outcome, Subject, words};
use crate::audit::moment::Moment;

words! {
    /// What is counted by.
    By {
        /// Nothing: all together.
        All "all"
        /// The reason code.
        Reason "reason"
        /// The device's product.
        Product "product"
        /// Who issued the certificate, also that of a refused client.
        Issuer "issuer"
        /// The TLS version that was agreed.
        Version "version"
        /// The cipher suite that was agreed.
        Suite "suite"
        /// The exceptions that were needed.
        Exception "exception"
        /// The virtual host.
        Host "host"
        /// The TLS engine.
        Engine "engine"
        /// The request rule.
        Rule "rule"
    }
}

impl By {
    /// The column of a record that holds it.
    const fn column(self) -> &'static str {
        match self {
            Self::All => "''",
            Self::Reason => "reason",
            Self::Product => "product",
            Self::Issuer => "issuer",
            Self::Version => "tls_version",
            Self::Suite => "suite",
            Self::Exception => "exceptions",
            Self::Host => "host",
            Self::Engine => "engine",
            Self::Rule => "rule",
        }
    }
}

/// How often one value occurred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The value; empty for [`By::All`]. `(other)` stands for the rare ones of an hour that had very many.
    pub value: String,
    /// How those ended.
    pub outcome: Outcome,
    /// Connections, requests or lost records.
    pub count: u64,
    /// The first of them in the period.
    pub first_seen: Moment,
    /// The last of them.
    pub last_seen: Moment,
}

/// One bar of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// When its time begins.
    pub start: Moment,
    /// As in [`Tally`].
    pub value: String,
    /// How those ended.
    pub outcome: Outcome,
    /// How many.
    pub count: u64,
}

const HOUR: i64 = 3600;

impl AuditDatabase {
    /// Counts connections or requests since a time, or all that are known of; most frequent first.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn summary(
        &mut self,
        by: By,
        subject: Subject,
        since: Option<Moment>,
    ) -> Result<Vec<Tally>, DatabaseError> {
        self.summary_until(by, subject, since, None)
    }

    /// Counts connections or requests of a period, `until` not included; most frequent first.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn summary_until(
        &mut self,
        by: By,
        subject: Subject,
        since: Option<Moment>,
        until: Option<Moment>,
    ) -> Result<Vec<Tally>, DatabaseError> {
        let mut found = BTreeMap::<(String, Outcome), Tally>::new();
        // Whole hours are counted already; of the pieces of an hour at both ends each record is.
        let from = since.map_or(i64::MIN, |since| {
            let hour = hour_of(since);
            if since.micros() == hour * 1_000_000 { hour } else { hour + HOUR }
        });
        let to = until.map_or(i64::MAX, hour_of);
        let micros = |hour: i64| hour.saturating_mul(1_000_000);
        let pieces = match (since, until) {
            (Some(since), Some(until)) if from > to => [Some((since.micros(), until.micros())), None],
            _ => [
                since.map(|since| (since.micros(), micros(from))),
                until.map(|until| (micros(to), until.micros())),
            ],
        };
        let statement = "SELECT value, outcome, CAST(sum(count) AS BIGINT), min(first_seen), max(last_seen) FROM audit_tally \
            WHERE dimension = ?1 AND subject = ?2 AND hour >= ?3 AND hour < ?4 GROUP BY value, outcome";
        let values = [by.as_str().into(), subject.as_str().into(), from.into(), to.into()];
        for row in self.backend().rows(statement, &values)? {
            add(&mut found, By::All, row)?;
        }
        for (first, end) in pieces.into_iter().flatten().filter(|(first, end)| first < end) {
            let column = by.column();
            let statement = format!(
                "SELECT {column}, outcome, CAST(sum(weight) AS BIGINT), min(time), max(time) FROM audit_record \
                 WHERE time >= ?1 AND time < ?2 AND subject = ?3 AND {column} IS NOT NULL GROUP BY 1, outcome"
            );
            let values = [first.into(), end.into(), subject.as_str().into()];
            for row in self.backend().rows(&statement, &values)? {
                add(&mut found, by, row)?;
            }
        }
        let mut tallies: Vec<Tally> = found.into_values().collect();
        tallies.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        Ok(tallies)
    }

    /// Counts in pieces of `step` seconds from `since` to `until`, in the order of time; pieces with nothing in them are left out.
    /// Steps of whole hours are quick for any period; of shorter ones every record of the period is read.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn series(
        &mut self,
        by: By,
        subject: Subject,
        since: Moment,
        until: Moment,
        step: u32,
    ) -> Result<Vec<Point>, DatabaseError> {
        let step = i64::from(step.max(1));
        let (statement, values): (String, Vec<Value>) = if step % HOUR == 0 {
            let statement = "SELECT hour - hour % ?1, value, outcome, CAST(sum(count) AS BIGINT) FROM audit_tally \
                WHERE dimension = ?2 AND subject = ?3 AND hour >= ?4 AND hour < ?5 GROUP BY 1, value, outcome ORDER BY 1, 2, 3";
            let from = since.timestamp().unix();
            let values = vec![
                step.into(),
                by.as_str().into(),
                subject.as_str().into(),
                (from - from.rem_euclid(step)).into(),
                (until.timestamp().unix() + i64::from(until.micros().rem_euclid(1_000_000) > 0)).into(),
            ];
            (statement.to_owned(), values)
        } else {
            let column = by.column();
            let statement = format!(
                "SELECT (time - time % (?1 * 1000000)) / 1000000, {column}, outcome, CAST(sum(weight) AS BIGINT) FROM audit_record \
                 WHERE time >= ?2 AND time < ?3 AND subject = ?4 AND {column} IS NOT NULL \
                 GROUP BY 1, 2, outcome ORDER BY 1, 2, 3"
            );
            (
                statement,
                vec![step.into(), since.micros().into(), until.micros().into(), subject.as_str().into()],
            )
        };
        let mut points = Vec::new();
        for row in self.backend().rows(&statement, &values)? {
            let [start, value, outcome, count] = <[Value; 4]>::try_from(row)
                .map_err(|_| DatabaseError::Unexpected("rows of another width"))?;
            points.push(Point {
                start: Moment::from_micros(start.integer()?.saturating_mul(1_000_000)),
                value: value.text()?,
                outcome: read_outcome(outcome)?,
                count: u64::try_from(count.integer()?).unwrap_or(0),
            });
        }
        Ok(points)
    }
}

fn add(found: &mut BTreeMap<(String, Outcome), Tally>, by: By, row: Vec<Value>) -> Result<(), DatabaseError> {
    let [value, outcome, count, first, last] =
        <[Value; 5]>::try_from(row).map_err(|_| DatabaseError::Unexpected("rows of another width"))?;
    let (value, outcome) = (value.text()?, read_outcome(outcome)?);
    let count = u64::try_from(count.integer()?).unwrap_or(0);
    let (first_seen, last_seen) =
        (Moment::from_micros(first.integer()?), Moment::from_micros(last.integer()?));
    // The column holds all exceptions of a record; each counts by itself.
    let several = if by == By::Exception { ',' } else { '\0' };
    for value in value.split(several) {
        let tally = found.entry((value.to_owned(), outcome)).or_insert_with(|| Tally {
            value: value.to_owned(),
            outcome,
            count: 0,
            first_seen,
            last_seen,
        });
        tally.count = tally.count.saturating_add(count);
        tally.first_seen = tally.first_seen.min(first_seen);
        tally.last_seen = tally.last_seen.max(last_seen);
    }
    Ok(())
}

fn read_outcome(value: Value) -> Result<Outcome, DatabaseError> {
    Outcome::from_word(&value.text()?).ok_or(DatabaseError::Unexpected("an unknown outcome"))
}
