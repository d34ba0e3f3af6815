//! Writes the trace: for a person, or as lines of JSON.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use certs::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::outcome::{Outcome, Refusal, text};
use super::relay::{Chunk, Passed};
use crate::printer::{Field, Printable};
use crate::wire::decoder::What;
use crate::wire::{Decoder, Item, Side, describe};

/// Writes one connection's trace.
pub(super) struct Presenter<'a> {
    out: &'a mut dyn Write,
    json: bool,
    now: Timestamp,
    /// Records of application data of one side, not yet written: nobody reads a line for each.
    data: Option<Data>,
}

struct Data {
    from: Side,
    at: Duration,
    records: usize,
    bytes: usize,
}

/// Where the values of a message begin.
const INDENT: usize = 23;

impl<'a> Presenter<'a> {
    pub(super) fn new(out: &'a mut dyn Write, json: bool, now: Timestamp) -> Self {
        Self { out, json, now, data: None }
    }

    /// A connection begins.
    pub(super) fn begin(&mut self, number: u32, peer: SocketAddr) -> io::Result<()> {
        if self.json {
            return self.object(&json!({"event": "connection", "number": number, "peer": peer.to_string()}));
        }
        writeln!(self.out, "connection {number} from {peer}")?;
        self.out.flush()
    }

    /// Something went by.
    pub(super) fn chunk(&mut self, decoder: &mut Decoder, chunk: &Chunk, begun: Instant) -> io::Result<()> {
        let at = chunk.at.saturating_duration_since(begun);
        match &chunk.what {
            Passed::Bytes(bytes) => {
                for item in decoder.feed(chunk.from, bytes) {
                    self.item(&item, at)?;
                }
            }
            Passed::End | Passed::Reset => {
                if let Some(item) = decoder.end(chunk.from) {
                    self.item(&item, at)?;
                }
                let how = match chunk.what {
                    Passed::Reset => "breaks the connection off (TCP reset)",
                    Passed::Bytes(_) | Passed::End => "closes its direction",
                };
                self.write(chunk.from, at, how, None, &[])?;
            }
        }
        self.out.flush()
    }

    /// Writes what is held back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(Data { from, at, records, bytes }) = self.data.take() {
            let title = match records {
                1 => format!("application data, {}", describe::bytes(bytes)),
                records => format!("application data, {} in {records} records", describe::bytes(bytes)),
            };
            self.line(from, at, &title, Some(true), &[])?;
        }
        self.out.flush()
    }

    fn item(&mut self, item: &Item, at: Duration) -> io::Result<()> {
        if let What::ApplicationData(size) = item.what {
            match &mut self.data {
                Some(data) if data.from == item.from => {
                    data.records += 1;
                    data.bytes = data.bytes.saturating_add(size);
                    return Ok(());
                }
                _ => {}
            }
            self.flush()?;
            self.data = Some(Data { from: item.from, at, records: 1, bytes: size });
            return Ok(());
        }
        let lines = describe::lines(item, self.now);
        self.write(item.from, at, &describe::title(item), Some(item.encrypted), &lines)
    }

    fn write(
        &mut self,
        from: Side,
        at: Duration,
        title: &str,
        encrypted: Option<bool>,
        lines: &[describe::Line],
    ) -> io::Result<()> {
        self.flush()?;
        self.line(from, at, title, encrypted, lines)
    }

    fn line(
        &mut self,
        from: Side,
        at: Duration,
        title: &str,
        encrypted: Option<bool>,
        lines: &[describe::Line],
    ) -> io::Result<()> {
        let who = match from {
            Side::Client => "phone",
            Side::Server => "gateway",
        };
        if self.json {
            let facts: Vec<Value> =
                lines.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            return self.object(&json!({
                "event": "message",
                "at_us": u64::try_from(at.as_micros()).unwrap_or(u64::MAX),
                "from": who,
                "message": title,
                "encrypted": encrypted,
                "facts": facts,
            }));
        }
        let milliseconds = at.as_secs_f64() * 1000.0;
        let lock = if encrypted == Some(true) { "*" } else { " " };
        writeln!(self.out, "{milliseconds:>9.1} ms {who:>7}{lock} {}", Printable(title))?;
        for (name, value) in lines {
            writeln!(self.out, "{}", Field { indent: INDENT, name, width: 17, value })?;
        }
        Ok(())
    }

    /// How it ended.
    pub(super) fn end(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.flush()?;
        if self.json {
            let mut object = serde_json::to_value(outcome)?;
            if let Some(object) = object.as_object_mut() {
                object.insert("event".to_owned(), "outcome".into());
            }
            return self.object(&object);
        }
        writeln!(self.out, "               (* came encrypted)")?;
        writeln!(self.out)?;
        let first = outcome.records.first();
        let word = if outcome.let_in { "ADMITTED" } else { "REFUSED" };
        match &outcome.refusal {
            Some(Refusal { reason, detail, meaning, remedy }) => {
                writeln!(self.out, "{word}: {reason}")?;
                for (name, value) in [("found", detail.as_str()), ("meaning", meaning), ("remedy", remedy)] {
                    self.fact(name, value)?;
                }
            }
            None => writeln!(self.out, "{word}")?,
        }
        if let Some(record) = first {
            for (name, value) in facts(record) {
                self.fact(name, &value)?;
            }
        }
        for record in outcome.records.iter().filter(|record| text(record, "event") == Some("request")) {
            self.fact("request", &request(record))?;
        }
        writeln!(self.out)?;
        self.out.flush()
    }

    fn fact(&mut self, name: &str, value: &str) -> io::Result<()> {
        writeln!(self.out, "{}", Field { indent: 2, name, width: 13, value })
    }

    fn object(&mut self, value: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, value)?;
        writeln!(self.out)?;
        self.out.flush()
    }
}

/// What a record says of its connection.
fn facts(record: &Value) -> Vec<(&'static str, String)> {
    let at = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let mut facts = Vec::new();
    if let Some(alert) = at("/alert") {
        facts.push(("alert", alert.to_owned()));
    }
    if let Some(engine) = at("/engine") {
        let agreed =
            [at("/tls/version"), at("/tls/suite")].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let resumed = record.pointer("/tls/resumed") == Some(&Value::Bool(true));
        let resumed = if resumed { ", resumed" } else { "" };
        let engine = match engine {
            "legacy" => "OpenSSL, the engine for old phones",
            _ => "rustls, the engine for TLS 1.2 and 1.3",
        };
        let agreed = if agreed.is_empty() { agreed } else { format!(": {agreed}") };
        facts.push(("served by", format!("{engine}{agreed}{resumed}")));
    }
    if let Some(host) = at("/host") {
        facts.push(("host", host.to_owned()));
    }
    if let Some(subject) = at("/certificate/subject") {
        facts.push(("certificate", subject.to_owned()));
    }
    let exceptions = record.get("exceptions").and_then(Value::as_array).into_iter().flatten();
    let exceptions: Vec<&str> = exceptions.filter_map(Value::as_str).collect();
    if !exceptions.is_empty() {
        facts.push(("tolerated", exceptions.join(", ")));
    }
    let device = ["kind", "product", "serial", "mac"].map(|part| at(&format!("/device/{part}")));
    let device: Vec<&str> = device.into_iter().flatten().collect();
    if !device.is_empty() {
        facts.push(("identity", device.join(" ")));
    }
    facts
}

/// A request and its answer.
fn request(record: &Value) -> String {
    let status = record.get("status").map(ToString::to_string).unwrap_or_default();
    let word = |name| text(record, name).unwrap_or_default();
    let rule = match text(record, "rule") {
        Some(rule) => format!(" by rule \"{rule}\""),
        None => String::new(),
    };
    format!("{} {}: {status}, {}{rule}", word("method"), word("path"), word("decision"))
}
