//! `/reasons`: what each reason code means and what to do; `/reasons/expired` with how often it was.

use maud::{Markup, html};
use policies::{Reason, Stage};

use super::fleet;
use super::period::Period;
use crate::audit::entry::Subject;
use crate::audit::moment::Moment;
use crate::audit::query::{By, Point};
use crate::audit::{AuditDatabase, DatabaseError};
use crate::respond::phone;

/// Every reason, below its step.
pub(super) fn list() -> Markup {
    html! {
        p { "Why a connection or request was refused or failed. The code stands in records, metrics and on this page." }
        @for stage in Stage::ALL {
            section {
                h2 { (stage.as_str()) }
                dl { @for reason in Reason::ALL.iter().filter(|reason| reason.stage() == *stage) {
                    dt { (super::entry::reason_link(*reason)) } dd { (prose(reason.meaning())) }
                } }
            }
        }
    }
}

/// How often a reason was recorded in the last thirty days.
pub(super) fn counts(
    database: &mut AuditDatabase,
    reason: Reason,
    now: Moment,
) -> Result<Vec<Point>, DatabaseError> {
    let period = Period::Month;
    let mut points = Vec::new();
    for subject in [Subject::Connection, Subject::Request] {
        let end = Moment::from_micros(i64::MAX);
        let all = database.series(By::Reason, subject, period.start(now), end, period.step())?;
        points.extend(all.into_iter().filter(|point| point.value == reason.as_str()));
    }
    Ok(points)
}

/// One reason: what it means, what the phone shows, and what to do. That much is told without a database too.
pub(super) fn explanation(reason: Reason) -> Markup {
    html! {
        dl.facts {
            dt { "what it means" } dd { (prose(reason.meaning())) }
            dt { "what the phone shows" } dd { (prose(&phone::shows(reason).join(" "))) }
            dt { "what to do" } dd { (prose(reason.remedy())) }
            dt { "step" } dd { (reason.stage().as_str()) }
            dt { "look first at" } dd { "the " (reason.fault().as_str()) }
        }
        p {
            a href=(format!("/records?reason={reason}")) { "Its records" } " · "
            a href=(format!("/records?reason={reason}&since=24h")) { "those of the last 24 hours" }
        }
    }
}

/// A text of ours, in which code stands between backticks.
fn prose(text: &str) -> Markup {
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// Its chart.
pub(super) fn chart(points: &[Point], now: Moment) -> Markup {
    html! {
        section {
            h2 { "How often" }
            (fleet::columns("reason", "Connections and requests that ended so", points, Period::Month, now))
        }
    }
}
