//! One audit record, and its line.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

use crate::audit::{ConnectionFragment, RequestId, json::Object, target::without_secrets};

/// The version of the record format, the member `v`.
pub(super) const VERSION: u64 = 1;
/// What is written of a User-Agent: model and firmware stand at its beginning.
const LONGEST_USER_AGENT: usize = 256;

/// What happened on a connection: it was refused, or a request ended.
///
/// The record borrows everything; [`Auditor::record`](crate::audit::Auditor::record) writes it out before it returns.
#[derive(Debug, Clone)]
pub struct AuditRecord<'a> {
    /// What is known of the connection.
    pub facts: &'a ConnectionFragment,
    /// What ended.
    pub event: Event,
    /// The alert that was sent or received (`sent certificate_expired`, `received unknown_ca`).
    pub alert: Option<&'a str>,
    /// The request's method.
    pub method: Option<&'a str>,
    /// The request's target, path and query, as received. Values of query parameters that look like secrets are not written.
    pub path: Option<&'a [u8]>,
    /// The request's User-Agent field, as received.
    pub user_agent: Option<&'a [u8]>,
    /// The status that was answered.
    pub status: Option<u16>,
    /// Bytes of the response body that were sent.
    pub bytes: Option<u64>,
    /// The rule that decided.
    pub rule: Option<&'a str>,
    /// What was decided, where something was.
    pub decision: Option<Decision>,
    /// The stable reason code of a refusal or failure.
    pub reason: Option<&'a str>,
    /// Our explanation in words, for the operator only (SEC-63).
    pub detail: Option<&'a str>,
    /// From the connection's or the request's first byte to its last.
    pub duration: Duration,
    /// The backend that answered or failed.
    pub backend: Option<&'a str>,
}

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A connection ended without a request, mostly because it was refused.
    Connection,
    /// A request ended.
    Request(RequestId),
    /// A connection ended that had requests.
    Closed {
        /// How many.
        requests: u64,
        /// How it came to its end: `done`, `idle`, `broken`, `overdue` or `cut_off`.
        ended: &'static str,
    },
    /// Refusals that were not recorded one by one.
    Repeated {
        /// How many.
        count: u64,
        /// When the first of them was.
        first: SystemTime,
        /// When the last of them was.
        last: SystemTime,
    },
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Refused.
    Deny,
    /// Allowed by a rule.
    Permit,
    /// A rule would have refused, but the rule file only observes.
    Waived,
}

impl Decision {
    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Permit => "permit",
            Self::Waived => "waived",
        }
    }
}

impl<'a> AuditRecord<'a> {
    /// A record with nothing but the event, to be filled in.
    #[must_use]
    pub const fn new(facts: &'a ConnectionFragment, event: Event, duration: Duration) -> Self {
        Self {
            facts,
            event,
            alert: None,
            method: None,
            path: None,
            user_agent: None,
            status: None,
            bytes: None,
            rule: None,
            decision: None,
            reason: None,
            detail: None,
            duration,
            backend: None,
        }
    }

    /// Whether it is the first of its connection, which tells the whole hello: nearly half of a line otherwise, written
    /// again for each request.
    const fn is_first(&self) -> bool {
        match self.event {
            Event::Connection | Event::Repeated { .. } => true,
            Event::Request(request) => request.is_first(),
            Event::Closed { .. } => false,
        }
    }

    /// Appends the record's line, its line feed included.
    pub(super) fn write(&self, time: SystemTime, out: &mut Vec<u8>) {
        let Self {
            facts,
            event,
            alert,
            method,
            path,
            user_agent,
            status,
            bytes,
            rule,
            decision,
            reason,
            detail,
            duration,
            backend,
        } = self;
        let mut object = start(
            out,
            time,
            match event {
                Event::Connection => "connection",
                Event::Request(_) => "request",
                Event::Closed { .. } => "closed",
                Event::Repeated { .. } => "repeated",
            },
        );
        object.display("connection", facts.connection());
        if let Event::Request(request) = event {
            object.display("request", request);
        }
        if self.is_first() {
            object.members([facts.members()]);
        } else {
            object.members(facts.shorter_members());
        }
        if let Some(alert) = alert {
            object.text("alert", alert);
        }
        if let Some(method) = method {
            object.text("method", method);
        }
        if let Some(path) = path {
            object.bytes("path", &without_secrets(path));
        }
        if let Some(user_agent) = user_agent {
            object.bytes("user_agent", user_agent.get(..LONGEST_USER_AGENT).unwrap_or(user_agent));
        }
        if let Some(status) = status {
            object.number("status", u64::from(*status));
        }
        if let Some(bytes) = bytes {
            object.number("bytes", *bytes);
        }
        match event {
            Event::Connection | Event::Request(_) => {}
            Event::Closed { requests, ended } => {
                object.number("requests", *requests);
                object.text("ended", ended);
            }
            Event::Repeated { count, first, last } => {
                object.number("count", *count);
                object.display("first", Rfc3339(*first));
                object.display("last", Rfc3339(*last));
            }
        }
        if let Some(rule) = rule {
            object.text("rule", rule);
        }
        if let Some(decision) = decision {
            object.text("decision", decision.as_str());
        }
        if let Some(reason) = reason {
            object.text("reason", reason);
        }
        if let Some(detail) = detail {
            object.text("detail", detail);
        }
        if !matches!(event, Event::Repeated { .. }) {
            object.number("duration_us", u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        }
        if let Some(backend) = backend {
            object.text("backend", backend);
        }
        object.close();
        out.push(b'\n');
    }
}

/// Appends the record of a gap: so many records were lost since then, because the queue was full.
pub(super) fn write_gap(
    out: &mut Vec<u8>,
    time: SystemTime,
    since: SystemTime,
    count: u64,
    reason: &'static str,
) {
    let mut object = start(out, time, "gap");
    object.text("reason", reason);
    object.number("count", count);
    object.display("since", Rfc3339(since));
    object.close();
    out.push(b'\n');
}

fn start<'out>(out: &'out mut Vec<u8>, time: SystemTime, event: &'static str) -> Object<'out> {
    let mut object = Object::open(out);
    object.number("v", VERSION);
    object.display("time", Rfc3339(time));
    object.text("event", event);
    object
}

/// A time as `2026-11-23T02:25:11.000042Z`: UTC, microseconds.
pub(super) struct Rfc3339(pub(super) SystemTime);

impl std::fmt::Display for Rfc3339 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = OffsetDateTime::from(self.0);
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second, micro) = time.to_hms_micro();
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let fields = [
            (0, 4, u32::try_from(year).unwrap_or(0)),
            (5, 2, u32::from(u8::from(month))),
            (8, 2, u32::from(day)),
            (11, 2, u32::from(hour)),
            (14, 2, u32::from(minute)),
            (17, 2, u32::from(second)),
            (20, 6, micro),
        ];
        for (at, width, value) in fields {
            digits(&mut text[at..at + width], value);
        }
        formatter.write_str(std::str::from_utf8(&text).map_err(|_| std::fmt::Error)?)
    }
}

/// Fills `place` with the decimal digits of `value`, zeros first.
fn digits(place: &mut [u8], mut value: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}
