//! `/`: the fleet at a glance.

use std::collections::BTreeMap;

use maud::{Markup, html};
use policies::Reason;

use super::chart::{Columns, Part, bar, total};
use super::entry::class;
use super::expiry;
use super::period::Period;
use super::text::{Told, number, recent};
use crate::audit::entry::{Outcome, Subject};
use crate::audit::moment::Moment;
use crate::audit::query::{By, ExpiryCount, Point, Tally};
use crate::audit::{AuditDatabase, DatabaseError};
use crate::server::Gateway;

/// Rows of a table that are shown; the rest is one row.
const MOST_ROWS: usize = 12;

/// What the database is asked for one page. Each question reads counts by the hour, or what is known of each phone; none reads
/// records, however many there are.
#[derive(Debug)]
pub(super) struct Fleet {
    connections: Vec<Point>,
    requests: Vec<Point>,
    tallies: Vec<(By, Vec<Tally>, Vec<Tally>)>,
    lost: u64,
    expiry: Vec<ExpiryCount>,
}

/// The tables, with what stands above each.
const TABLES: [(By, &str, &str); 7] = [
    (By::Reason, "Why it was refused, or failed", "reason"),
    (By::Version, "TLS versions", "version"),
    (By::Suite, "Cipher suites", "suite"),
    (By::Exception, "Exceptions in use", "exception"),
    (By::Product, "Products", "product"),
    (By::Issuer, "Issuers of certificates", "issuer"),
    (By::Rule, "Rules that decided", "rule"),
];

impl Fleet {
    pub(super) fn ask(
        database: &mut AuditDatabase,
        period: Period,
        now: Moment,
    ) -> Result<Self, DatabaseError> {
        let since = period.start(now);
        let mut series =
            |subject| database.series(By::All, subject, since, Moment::from_micros(i64::MAX), period.step());
        let (connections, requests) = (series(Subject::Connection)?, series(Subject::Request)?);
        let mut tallies = Vec::new();
        for (by, ..) in TABLES {
            let mut summary = |subject| database.summary(by, subject, Some(since));
            tallies.push((by, summary(Subject::Connection)?, summary(Subject::Request)?));
        }
        let lost = database.summary(By::All, Subject::Gap, Some(since))?;
        Ok(Self {
            connections,
            requests,
            tallies,
            lost: total(lost.iter().map(|tally| tally.count)),
            expiry: database.expiry_by_month()?,
        })
    }

    pub(super) fn show(&self, period: Period, now: Moment) -> Markup {
        let ended = |points: &[Point], outcome| {
            total(points.iter().filter(|point| point.outcome == outcome).map(|point| point.count))
        };
        let tile = |name: &str, points: &[Point], outcome| tile(name, class(outcome), ended(points, outcome));
        html! {
            (periods(period))
            ul.tiles #counts {
                (tile("requests served", &self.requests, Outcome::Served))
                (tile("requests refused", &self.requests, Outcome::Refused))
                (tile("requests failed", &self.requests, Outcome::Failed))
                (tile("connections refused", &self.connections, Outcome::Refused))
                (tile("connections failed", &self.connections, Outcome::Failed))
                @if self.lost > 0 { (self::tile("records lost", "lost", self.lost)) }
            }
            div.grid {
                section {
                    h2 { "Connections" }
                    (columns("connections", "Connections by how they ended", &self.connections, period, now))
                    @if ended(&self.connections, Outcome::Served) == 0 && ended(&self.requests, Outcome::Served) > 0 {
                        p.note { "Only connections that ended without a request stand in these records." }
                    }
                }
                section {
                    h2 { "Requests" }
                    (columns("requests", "Requests by how they ended", &self.requests, period, now))
                }
            }
            div.grid {
                @for ((by, connections, requests), (_, title, column)) in self.tallies.iter().zip(TABLES) {
                    section { h2 { (title) } (tally_table(*by, column, connections, requests, period, now)) }
                }
                section { h2 { "Certificates that end" } (expiry::chart(&self.expiry, now)) }
            }
        }
    }
}

/// How the gateway does at this moment.
pub(super) fn now(gateway: &Gateway) -> Markup {
    let site = gateway.site_now();
    let limits = site.limits();
    let running = limits.handshakes.saturating_sub(site.places().available_permits());
    let auditor = gateway.auditor();
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    html! {
        section aria-labelledby="now" {
            h2 #now { "Now" }
            ul.tiles {
                (tile("open connections", "plain", count(gateway.open_connections())))
                (tile("handshakes running", "plain", count(running)))
                li.tile.plain { strong { @if gateway.is_stopping() { "stopping" } @else { "serving" } } " " span { "this gateway" } }
                @if auditor.failing() { li.tile.failed { strong { "not written" } " " span { "audit records, at the moment" } } }
                @if auditor.dropped() > 0 { (tile("audit records lost since the start", "lost", auditor.dropped())) }
            }
        }
    }
}

fn tile(name: &str, class: &str, count: u64) -> Markup {
    html! { li class=(format!("tile {class}")) { strong { (number(count)) } " " span { (name) } } }
}

fn periods(chosen: Period) -> Markup {
    html! {
        nav.periods aria-label="Period" {
            ul { @for period in Period::ALL {
                li { a href=(format!("/?since={}", period.as_str())) aria-current=[(period == chosen).then_some("true")] { (period.name()) } }
            } }
        }
    }
}

/// A chart over time by outcome.
pub(super) fn columns(
    id: &'static str,
    title: &str,
    points: &[Point],
    period: Period,
    now: Moment,
) -> Markup {
    let starts = period.starts(now);
    let step = i64::from(period.step()).saturating_mul(1_000_000);
    let ended = [Outcome::Served, Outcome::Refused, Outcome::Failed];
    let parts = ended.iter().map(|outcome| {
        let mut counts = vec![0_u64; starts.len()];
        for point in points.iter().filter(|point| point.outcome == *outcome) {
            let from = starts.first().map_or(0, |start| start.micros());
            let at = usize::try_from((point.start.micros() - from).div_euclid(step)).ok();
            if let Some(count) = at.and_then(|at| counts.get_mut(at)) {
                *count = count.saturating_add(point.count);
            }
        }
        Part { name: outcome.as_str().to_owned(), class: class(*outcome), counts }
    });
    let chart = Columns {
        id,
        title: format!("{title}, {}", period.name()),
        labels: starts.iter().map(|start| period.label(*start)).collect(),
        parts: parts.collect(),
    };
    chart.draw()
}

/// Values with how many connections and requests had them; most first.
fn tally_table(
    by: By,
    column: &str,
    connections: &[Tally],
    requests: &[Tally],
    period: Period,
    now: Moment,
) -> Markup {
    let mut rows = BTreeMap::<&str, (u64, u64, Moment)>::new();
    for (tallies, is_request) in [(connections, false), (requests, true)] {
        for tally in tallies {
            let row = rows.entry(&tally.value).or_insert((0, 0, tally.last_seen));
            let count = if is_request { &mut row.1 } else { &mut row.0 };
            *count = count.saturating_add(tally.count);
            row.2 = row.2.max(tally.last_seen);
        }
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(value, (connections, requests, _))| {
        (std::cmp::Reverse(connections.saturating_add(*requests)), *value)
    });
    let largest =
        rows.first().map_or(0, |(_, (connections, requests, _))| connections.saturating_add(*requests));
    let rest = rows.split_off(rows.len().min(MOST_ROWS));
    html! {
        @if rows.is_empty() { p { "None in this time." } } @else {
            table.fold id=(format!("by-{}", by.as_str())) {
                caption.quiet { "By " (column) ", " (period.name()) }
                thead { tr {
                    th scope="col" { (column) } th.n scope="col" { "connections" } th.n scope="col" { "requests" } th scope="col" { "last" }
                } }
                tbody {
                    @for (value, (connections, requests, last)) in &rows {
                        tr {
                            th scope="row" {
                                (value_cell(by, value))
                                (bar(connections.saturating_add(*requests), largest, if by == By::Reason { "refused" } else { "plain" }))
                            }
                            td.n data-label="connections" { (count_cell(by, value, *connections, period)) }
                            td.n data-label="requests" { (count_cell(by, value, *requests, period)) }
                            td data-label="last" { (recent(*last, now)) }
                        }
                    }
                    @if !rest.is_empty() {
                        tr {
                            th scope="row" { (rest.len()) " more" }
                            td.n data-label="connections" { (number(total(rest.iter().map(|(_, row)| row.0)))) }
                            td.n data-label="requests" { (number(total(rest.iter().map(|(_, row)| row.1)))) }
                            td {}
                        }
                    }
                }
            }
        }
    }
}

fn value_cell(by: By, value: &str) -> Markup {
    match Reason::from_code(value).filter(|_| by == By::Reason) {
        Some(reason) => super::entry::reason_link(reason),
        None => html! { (Told(value)) },
    }
}

/// A reason's count leads to its records.
fn count_cell(by: By, value: &str, count: u64, period: Period) -> Markup {
    match Reason::from_code(value).filter(|_| by == By::Reason && count > 0) {
        Some(reason) => {
            let address = format!("/records?reason={reason}&since={}", period.as_str());
            html! { a href=(address) { (number(count)) } }
        }
        None => number(count),
    }
}
