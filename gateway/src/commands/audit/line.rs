//! One record in one line, for people.

use std::fmt;

use super::words;
use crate::audit::entry::{Entry, EntryEvent, MacSource, Outcome};
use crate::audit::query::StoredRecord;
use crate::printer::Printable;

/// The titles of the columns.
pub(super) const TITLES: &str =
    "time                  peer             device                     outcome  what happened";

/// What a question mark in a table stands for.
pub(super) const CLAIMED: &str = "note: ? after a MAC address: only claimed, by a certificate that was refused, a path or a syslog message; anybody can write one";

/// A record as one line of the table.
pub(super) struct Line<'a>(pub(super) &'a Entry);

/// A stored record as one line, whatever it holds.
pub(super) fn text_of(record: &StoredRecord) -> String {
    match record.entry() {
        Ok(entry) => Line(&entry).to_string(),
        Err(_) => format!("unreadable: {}", Printable(&record.line)),
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(entry) = self;
        let peer = match entry.peer_address() {
            Some(address) => address.to_canonical().to_string(),
            None => "-".to_owned(),
        };
        write!(
            formatter,
            "{}  {peer:<15}  {:<25}  {:<7}  {}",
            words::second(entry.time),
            Printable(&device(entry)).to_string(),
            entry.outcome().as_str(),
            Printable(&happened(entry)),
        )
    }
}

fn device(entry: &Entry) -> String {
    let known = entry.device.as_ref();
    match entry.mac() {
        Some((mac, MacSource::Device)) => match known.and_then(|device| device.product.as_deref()) {
            Some(product) => format!("{mac} {product}"),
            None => mac.to_string(),
        },
        Some((mac, MacSource::Certificate | MacSource::Path | MacSource::Syslog)) => format!("{mac}?"),
        None => known.map_or("-", |device| device.kind.as_str()).to_owned(),
    }
}

/// What happened, and why.
fn happened(entry: &Entry) -> String {
    let Entry {
        method,
        path,
        status,
        bytes,
        tls,
        alert,
        requests,
        reason,
        detail,
        count,
        exceptions,
        ended,
        ..
    } = entry;
    let mut text = match entry.event {
        EntryEvent::Connection => "connection".to_owned(),
        EntryEvent::Request => {
            format!("{} {}", method.as_deref().unwrap_or("request"), path.as_deref().unwrap_or_default())
        }
        EntryEvent::Closed => {
            let how = ended.as_ref().map(|ended| format!(" ({ended})")).unwrap_or_default();
            format!("closed after {}{how}", words::count(requests.unwrap_or(0), "request", "requests"))
        }
        EntryEvent::Repeated => format!(
            "{}{}",
            words::count(count.unwrap_or(1), "more connection like it", "more connections like it"),
            between(entry)
        ),
        EntryEvent::Gap => {
            let since = entry.since.map(|since| format!(" since {}", words::second(since)));
            let lost = words::count(count.unwrap_or(1), "record was lost", "records were lost");
            lost + &since.unwrap_or_default()
        }
        EntryEvent::Said => {
            format!("the phone says: {}", entry.said.as_ref().map(ToString::to_string).unwrap_or_default())
        }
    };
    if let Some(status) = status {
        text.push_str(&format!(" {status}"));
    }
    if let (EntryEvent::Request, Some(bytes)) = (entry.event, bytes) {
        text.push_str(&format!(", {}", words::count(*bytes, "byte", "bytes")));
    }
    if let Some(tls) = tls {
        let resumed = if tls.resumed { ", resumed" } else { "" };
        text.push_str(&format!(" ({}{resumed})", tls.version));
    }
    if let Some(reason) = reason {
        text.push_str(&format!(": {reason}"));
    }
    if let Some(detail) = detail {
        text.push_str(&format!(": {detail}"));
    }
    if let Some(alert) = alert {
        text.push_str(&format!(" [{alert}]"));
    }
    if !exceptions.is_empty() && entry.outcome() == Outcome::Served {
        text.push_str(&format!(" (by exception: {})", exceptions.join(", ")));
    }
    text
}

fn between(entry: &Entry) -> String {
    match (entry.first, entry.last) {
        (Some(first), Some(last)) => {
            format!(" between {} and {}", words::second(first), words::second(last))
        }
        (Some(_), None) | (None, Some(_) | None) => String::new(),
    }
}
