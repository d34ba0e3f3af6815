//! One record as a syslog message, RFC 5424.

use std::fmt;

use serde_json::{Map, Value};

use crate::audit::entry::{Entry, EntryEvent, Outcome, words};
use crate::audit::json::plain;

words! {
    /// What kind of program speaks, RFC 5424 §6.2.1. Only those that fit a gateway.
    Facility {
        /// System daemons.
        Daemon "daemon"
        /// Security messages.
        Auth "auth"
        /// Security messages that not everybody may read.
        AuthPriv "authpriv"
        /// For local use.
        Local0 "local0"
        /// For local use.
        Local1 "local1"
        /// For local use.
        Local2 "local2"
        /// For local use.
        Local3 "local3"
        /// For local use.
        Local4 "local4"
        /// For local use.
        Local5 "local5"
        /// For local use.
        Local6 "local6"
        /// For local use.
        Local7 "local7"
    }
}

impl Facility {
    const fn code(self) -> u8 {
        match self {
            Self::Daemon => 3,
            Self::Auth => 4,
            Self::AuthPriv => 10,
            Self::Local0 => 16,
            Self::Local1 => 17,
            Self::Local2 => 18,
            Self::Local3 => 19,
            Self::Local4 => 20,
            Self::Local5 => 21,
            Self::Local6 => 22,
            Self::Local7 => 23,
        }
    }
}

words! {
    /// What stands in a message.
    SyslogFormat {
        /// The record's JSON.
        Json "json"
        /// The record's JSON after `@cee:`, by which rsyslog and others know it.
        Cee "cee"
        /// Structured data with the main facts, and our explanation as the text.
        Structured "structured"
    }
}

words! {
    /// How a message begins.
    SyslogHeader {
        /// As RFC 5424 says.
        Rfc5424 "rfc5424"
        /// As programs write to the local socket since ever: what `/dev/log` of rsyslog and of systemd's journal understands.
        Local "local"
    }
}

/// What messages look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// How they begin.
    pub header: SyslogHeader,
    /// Their facility.
    pub facility: Facility,
    /// What this program is called.
    pub app_name: String,
    /// What this machine is called.
    pub host_name: String,
    /// What stands in them.
    pub format: SyslogFormat,
    /// The name of the structured data: `NAME@NUMBER` with an enterprise number.
    pub structured_id: String,
}

impl Message {
    /// Appends the message of a record whose line is `line`, in at most `most` bytes as far as that can be done: members that say
    /// the least are left out first.
    pub(super) fn write(&self, entry: &Entry, line: &[u8], most: usize, out: &mut Vec<u8>) {
        let Self { header, facility, app_name, host_name, format, structured_id } = self;
        let priority = facility.code() * 8 + severity(entry);
        let (time, pid, event) = (entry.time, std::process::id(), entry.event.as_str());
        // Where there is no structured data, RFC 5424 wants a `-`.
        let none: &[u8] = match header {
            SyslogHeader::Rfc5424 => {
                plain(out, format_args!("<{priority}>1 {time} {host_name} {app_name} {pid} {event} "));
                b"- "
            }
            SyslogHeader::Local => {
                let (_, month, day, hour, minute, second) = time.timestamp().civil();
                let month =
                    usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&"Jan");
                let time = format!("{month} {day:2} {hour:02}:{minute:02}:{second:02}");
                plain(out, format_args!("<{priority}>{time} {app_name}[{pid}]: "));
                b""
            }
        };
        match format {
            SyslogFormat::Json => {
                out.extend_from_slice(none);
                json(line, most, out);
            }
            SyslogFormat::Cee => {
                out.extend_from_slice(none);
                out.extend_from_slice(b"@cee: ");
                json(line, most, out);
            }
            SyslogFormat::Structured => {
                // Structured data that is cut is none: its values become shorter until it fits.
                let start = out.len();
                for longest in [usize::MAX, 256, 64, 40] {
                    out.truncate(start);
                    structured(structured_id, entry, longest, out);
                    if out.len() <= most {
                        break;
                    }
                }
            }
        }
        out.truncate(most);
    }
}

/// RFC 3164 §4.1.2.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// RFC 5424 §6.2.1: a lost record is an error, a failure a warning; a refused phone is worth a note, and no fault of ours.
fn severity(entry: &Entry) -> u8 {
    match entry.outcome() {
        Outcome::Lost => 3,
        Outcome::Failed => 4,
        Outcome::Refused => 5,
        Outcome::Served | Outcome::Said => 6,
    }
}

/// What is left out of a record that is too long for a datagram, and in which order.
const EXPENDABLE: [&str; 7] = ["hello", "exceptions", "detail", "user_agent", "path", "certificate", "tls"];

/// What is left in any case: it fits into the shortest message there may be.
const ESSENTIAL: [&str; 11] = [
    "v",
    "time",
    "event",
    "connection",
    "request",
    "peer",
    "status",
    "count",
    "decision",
    "reason",
    "shortened",
];

fn json(line: &[u8], most: usize, out: &mut Vec<u8>) {
    let room = most.saturating_sub(out.len());
    if line.len() <= room {
        return out.extend_from_slice(line);
    }
    let Ok(Value::Object(mut members)) = serde_json::from_slice(line) else { return };
    members.insert("shortened".to_owned(), Value::Bool(true));
    let mut text = String::new();
    for name in EXPENDABLE {
        shorten(&mut members, name);
        text = Value::Object(members.clone()).to_string();
        if text.len() <= room {
            break;
        }
    }
    if text.len() > room {
        // Something else in it is long: a receiver can read nothing of a text that is cut.
        members.retain(|name, _| ESSENTIAL.contains(&name.as_str()));
        text = Value::Object(members).to_string();
    }
    out.extend_from_slice(text.as_bytes());
}

/// Takes a member out; of the hello the fingerprint stays, and of a certificate its hash.
fn shorten(members: &mut Map<String, Value>, name: &str) {
    let kept = match name {
        "hello" => "ja4",
        "certificate" => "sha256",
        _ => "",
    };
    match members.get_mut(name) {
        Some(Value::Object(inner)) => inner.retain(|member, _| member == kept),
        Some(_) => {
            members.remove(name);
        }
        None => {}
    }
}

/// Writes each value up to so many characters.
fn structured(id: &str, entry: &Entry, longest: usize, out: &mut Vec<u8>) {
    plain(out, format_args!("[{id}"));
    let mut parameter = |name: &str, value: Option<&dyn fmt::Display>| {
        let Some(value) = value else { return };
        let value = value.to_string();
        plain(out, format_args!(" {name}=\""));
        for character in value.chars().take(longest) {
            if matches!(character, '"' | '\\' | ']') {
                out.push(b'\\');
            }
            // The line was JSON, but what it quotes may hold control characters, which RFC 5424 §6.3.3 leaves to the receiver.
            let shown = if character.is_control() { '\u{fffd}' } else { character };
            plain(out, shown);
        }
        out.push(b'"');
    };
    fn text(text: &Option<String>) -> Option<&dyn fmt::Display> {
        text.as_ref().map(|text| -> &dyn fmt::Display { text })
    }
    fn number(number: &Option<u64>) -> Option<&dyn fmt::Display> {
        number.as_ref().map(|number| -> &dyn fmt::Display { number })
    }
    parameter("connection", text(&entry.connection));
    parameter("request", text(&entry.request));
    parameter("peer", text(&entry.peer));
    parameter("host", text(&entry.host));
    parameter("engine", text(&entry.engine));
    if let Some(tls) = &entry.tls {
        parameter("version", Some(&tls.version));
        parameter("suite", Some(&tls.suite));
    }
    if let Some(hello) = &entry.hello {
        parameter("sni", text(&hello.sni));
        parameter("ja4", text(&hello.ja4));
    }
    if let Some((mac, source)) = entry.mac() {
        parameter("mac", Some(&mac));
        parameter("macSource", Some(&source.as_str()));
    }
    if let Some(device) = &entry.device {
        parameter("kind", Some(&device.kind));
        parameter("product", text(&device.product));
        parameter("serial", text(&device.serial));
    }
    if let Some(certificate) = &entry.certificate {
        parameter("subject", Some(&certificate.subject));
        parameter("issuer", Some(&certificate.issuer));
        parameter("sha256", Some(&certificate.sha256));
        parameter("notAfter", Some(&certificate.not_after));
    }
    parameter("method", text(&entry.method));
    parameter("path", text(&entry.path));
    parameter("status", entry.status.as_ref().map(|status| -> &dyn fmt::Display { status }));
    parameter("rule", text(&entry.rule));
    parameter("decision", text(&entry.decision));
    parameter("reason", text(&entry.reason));
    parameter("count", number(&entry.count));
    parameter("bytes", number(&entry.bytes));
    parameter("durationUs", number(&entry.duration_us));
    plain(out, "] ");
    let what = match entry.event {
        EntryEvent::Connection => "connection ended without a request",
        EntryEvent::Request => "request",
        EntryEvent::Closed => "connection closed",
        EntryEvent::Repeated => "refusals repeated",
        EntryEvent::Gap => "audit records were lost",
        EntryEvent::Said => "what a phone says of itself",
    };
    let said = entry.said.as_ref().map(ToString::to_string);
    for character in entry
        .detail
        .as_deref()
        .or(said.as_deref())
        .unwrap_or(what)
        .chars()
        .filter(|character| !character.is_control())
        .take(longest)
    {
        plain(out, character);
    }
}
