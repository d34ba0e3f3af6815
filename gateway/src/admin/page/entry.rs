//! One record, told in a sentence, with everything it holds folded away below it.

use maud::{Markup, html};
use policies::Reason;
use serde_json::Value;

use super::text::{Told, ToldAtLength, grouped, when};
use crate::audit::entry::{Entry, EntryEvent, MacSource, Outcome};
use crate::audit::moment::Moment;
use crate::audit::query::StoredRecord;

/// How much of the phone is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// On the phone's own page: not at all.
    Own,
    /// With a link to its page.
    Linked,
}

/// Records, newest first.
pub(super) fn list<'a>(
    records: impl IntoIterator<Item = &'a StoredRecord>,
    naming: Naming,
    now: Moment,
) -> Markup {
    html! {
        ol.records #records { @for record in records { (item(record, naming, now)) } }
    }
}

/// One record of a list.
pub(super) fn item(record: &StoredRecord, naming: Naming, now: Moment) -> Markup {
    let id = record.id.number();
    let Ok(entry) = record.entry() else {
        return html! {
            li.record data-id=(id) { p { "A record that this gateway cannot read." } (whole(&record.line)) }
        };
    };
    let class = class(entry.outcome());
    html! {
        li class=(format!("record {class}")) data-id=(id) {
            p.head { span class=(format!("mark {class}")) { (word(&entry)) } " " (when(entry.time, now)) (who(&entry, naming)) }
            p { (sentence(&entry)) }
            (evidence(&entry, naming))
            (whole(&record.line))
        }
    }
}

/// The class of an outcome's colour.
pub(super) const fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Served => "served",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
        Outcome::Lost => "lost",
        Outcome::Said => "said",
    }
}

fn word(entry: &Entry) -> &'static str {
    match entry.outcome() {
        Outcome::Served if entry.event == EntryEvent::Closed => "closed",
        Outcome::Served => "served",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
        Outcome::Lost => "lost",
        Outcome::Said => "says",
    }
}

fn who(entry: &Entry, naming: Naming) -> Markup {
    let device = entry.device.as_ref();
    html! {
        @if naming == Naming::Linked {
            @match (entry.mac(), device) {
                (Some((mac, source)), _) => {
                    " " a href=(format!("/device/{mac}")) { (mac.colon()) }
                    @if source != MacSource::Device { " (claimed)" }
                }
                (None, Some(device)) => { " " (Told(&device.kind)) }
                (None, None) => {}
            }
            @if let Some(product) = device.and_then(|device| device.product.as_deref()) { " " (Told(product)) }
        }
        @if let Some(peer) = &entry.peer { " from " (Told(peer)) }
    }
}

/// What happened, in a sentence or two.
fn sentence(entry: &Entry) -> Markup {
    let count = entry.count.unwrap_or(0);
    html! {
        @match entry.event {
            EntryEvent::Connection => {
                @if entry.reason.is_some() {
                    @if entry.outcome() == Outcome::Refused { "The connection was refused: " } @else { "The connection ended: " }
                    (because(entry))
                } @else { "The connection ended before a request." }
            }
            EntryEvent::Request => (request(entry)),
            EntryEvent::Closed => {
                "The connection ended after "
                @match entry.requests.unwrap_or(0) { 1 => "one request", count => { (grouped(count)) " requests" } }
                @if let Some(bytes) = entry.bytes { " and " (grouped(bytes)) " bytes" }
                "."
                @if let Some(how) = &entry.ended { " " (Told(how)) "." }
                @if entry.reason.is_some() { " " (because(entry)) }
            }
            EntryEvent::Repeated => { (grouped(count)) " more like it were refused from this address and counted: " (because(entry)) }
            EntryEvent::Gap => {
                (grouped(count)) " records were lost here"
                @if let Some(reason) = &entry.reason { " (" (Told(reason)) ")" }
                "."
            }
            EntryEvent::Said => {
                "The phone says: "
                @match &entry.said { Some(said) => (Told(&said.to_string())), None => "nothing" }
                "."
            }
        }
        @if let Some(alert) = &entry.alert { " TLS alert: " (Told(alert)) "." }
        @if !entry.exceptions.is_empty() { " Exceptions that were needed: " (Told(&entry.exceptions.join(", "))) "." }
    }
}

fn request(entry: &Entry) -> Markup {
    let method = entry.method.as_deref().unwrap_or("?");
    let path = entry.path.as_deref().unwrap_or("?");
    html! {
        code { (Told(method)) " " (Told(path)) }
        @match entry.outcome() {
            Outcome::Served => {
                " was answered"
                @if let Some(status) = entry.status { " with " (status) }
                @if let Some(bytes) = entry.bytes { ", " (grouped(bytes)) " bytes" }
                @if let Some(rule) = &entry.rule { ", by the rule “" (Told(rule)) "”" }
                "."
                @if entry.decision.as_deref() == Some("waived") { " The rules would have refused it, and only observe: " (because(entry)) }
            }
            Outcome::Refused => {
                " was refused"
                @if let Some(status) = entry.status { " with " (status) }
                @if let Some(rule) = &entry.rule { ", by the rule “" (Told(rule)) "”" }
                ": " (because(entry))
            }
            Outcome::Failed | Outcome::Lost | Outcome::Said => {
                " failed"
                @if let Some(status) = entry.status { " with " (status) }
                ": " (because(entry))
            }
        }
    }
}

/// The reason with a link to its explanation, and what the record says of it.
fn because(entry: &Entry) -> Markup {
    html! {
        @match (entry.known_reason(), &entry.reason) {
            (Some(reason), _) => { (reason_link(reason)) ". " (reason.meaning()) }
            (None, Some(reason)) => { (Told(reason)) "." }
            (None, None) => "no reason is recorded."
        }
        @if let Some(detail) = &entry.detail { " " span.detail { "(" (Told(detail)) ")" } }
    }
}

/// A link to a reason's explanation.
pub(super) fn reason_link(reason: Reason) -> Markup {
    html! { a href=(format!("/reasons/{reason}")) { code { (reason.as_str()) } } }
}

/// How it is known that a record belongs to a phone, where that is not by proof.
fn evidence(entry: &Entry, naming: Naming) -> Markup {
    let Some((_, source)) = entry.mac() else { return html! {} };
    let told = match source {
        MacSource::Device => return html! {},
        MacSource::Certificate => {
            "Not proven: the address stands in a certificate that was refused, and anybody can write such a certificate."
        }
        MacSource::Path => {
            "Not proven: the address stands in the path that was asked for, and anybody can ask."
        }
        MacSource::Syslog => {
            return html! { p.quiet { "Not proven: it is what a syslog message says, and anybody can send one." } };
        }
    };
    html! {
        p.claim {
            (told)
            @if naming == Naming::Own { @if let Some(certificate) = &entry.certificate {
                " It says: " (Told(&certificate.subject)) ", issued by " (Told(&certificate.issuer)) ", until " (Told(&certificate.not_after)) "."
            } }
        }
    }
}

fn whole(line: &str) -> Markup {
    let parsed = serde_json::from_str::<Value>(line);
    let spread = parsed.ok().and_then(|value| serde_json::to_string_pretty(&value).ok());
    html! {
        details { summary { "The whole record" } pre { code { (ToldAtLength(spread.as_deref().unwrap_or(line))) } } }
    }
}
