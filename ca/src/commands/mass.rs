//! What the commands have in common that take a selector and do something to each certificate.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::bulk::cell;
use super::{CommandError, Context, check_output};
use crate::authority::{Authority, TouchedList};
use crate::cli::MassOptions;
use crate::selector::Selector;
use crate::serial::hex;
use crate::store::{CertificateRecord, FileError, Page, RecordId, write_replacing};

/// Certificates that are worked on in one transaction.
pub(super) const CHUNK: u32 = 500;

/// The first line of every report.
const HEADING: &str = "name,model,serial,certificate,status,new certificate,until,error\n";

/// The selector of the command line; a mistake in it is a misuse of the command.
pub(super) fn choose(authority: &Authority, arguments: &[String]) -> Result<Selector, CommandError> {
    Selector::parse_some(arguments, authority.now())
        .map_err(|error| CommandError::misuse(error.to_string(), Some(error.hint())))
}

/// The same for one that may be left out.
pub(super) fn choose_any(authority: &Authority, arguments: &[String]) -> Result<Selector, CommandError> {
    Selector::parse(arguments, authority.now())
        .map_err(|error| CommandError::misuse(error.to_string(), Some(error.hint())))
}

/// Says what a command would touch.
pub(super) fn foretell(
    context: &Context<'_>,
    authority: &Authority,
    verb: &str,
    selector: &Selector,
    lists: &[TouchedList],
) -> Result<(), CommandError> {
    let tally = authority.tally(selector, None)?;
    let count: u64 = tally.iter().map(|one| one.count).sum();
    let rows: Vec<Value> = tally
        .iter()
        .map(|one| json!({ "count": one.count, "kind": one.kind.as_str(), "model": one.product }))
        .collect();
    let mut value = json!({ "dry_run": true, "would": verb, "count": count, "of": rows });
    if !lists.is_empty() {
        value["lists"] = lists.iter().map(list_value).collect();
        value["new_octets"] = json!(lists.iter().map(|list| list.more_octets).sum::<u64>());
    }
    context.printer.result(&value, || {
        let mut text = format!("would {verb} {count} certificates\n");
        for one in &tally {
            let model = one.product.as_deref().unwrap_or("-");
            text.push_str(&format!("  {:>8}  {:<9} {model}\n", one.count, one.kind.as_str()));
        }
        for list in lists {
            text.push_str(&list_text(list));
        }
        text
    });
    Ok(())
}

fn list_value(list: &TouchedList) -> Value {
    json!({
        "authority": list.authority,
        "shard": list.shard.map(|shard| shard.0),
        "file": list.path.display().to_string(),
        "entries": list.entries,
        "octets": list.octets,
        "new_entries": list.more_entries,
        "new_octets": list.more_octets,
    })
}

fn list_text(list: &TouchedList) -> String {
    let title = match list.shard {
        None => list.authority.clone(),
        Some(shard) => format!("{}, shard {shard}", list.authority),
    };
    let TouchedList { entries, octets, more_entries, more_octets, .. } = list;
    format!("list {title}: {entries} + {more_entries} entries, {octets} + about {more_octets} octets\n")
}

/// The next certificates of a selector, until a row.
pub(super) struct Chunks<'a> {
    selector: &'a Selector,
    after: Option<RecordId>,
    until: Option<RecordId>,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(selector: &'a Selector, until: Option<RecordId>) -> Self {
        Self { selector, after: None, until }
    }

    pub(super) fn next(&mut self, authority: &Authority) -> Result<Vec<CertificateRecord>, CommandError> {
        let page = Page { after: self.after, until: self.until, limit: CHUNK };
        let records = authority.page(self.selector, page)?;
        self.after = records.last().map(|record| record.id).or(self.after);
        Ok(records)
    }
}

/// What became of each certificate, said as it happens.
pub(super) struct Items {
    json: bool,
    values: Vec<Value>,
    file: Option<(PathBuf, File)>,
    /// How many there were of each status, in the order they first occurred.
    counts: Vec<(&'static str, u64)>,
    failed: u64,
}

/// What became of one certificate.
pub(super) struct Item<'a> {
    pub(super) record: &'a CertificateRecord,
    /// One word: `renewed`, `revoked`, `failed`.
    pub(super) status: &'static str,
    /// The new certificate's serial number.
    pub(super) successor: Option<String>,
    pub(super) until: Option<String>,
    pub(super) error: Option<String>,
}

impl Items {
    pub(super) fn begin(context: &Context<'_>, options: &MassOptions) -> Result<Self, CommandError> {
        let file = match &options.report {
            None => None,
            Some(path) => {
                check_output(path, |earlier| earlier.starts_with(HEADING.as_bytes()))?;
                write_replacing(path, HEADING.as_bytes(), 0o644)?;
                let file = OpenOptions::new().append(true).open(path);
                Some((path.clone(), file.map_err(|source| FileError::new("write", path, source))?))
            }
        };
        Ok(Self { json: context.cli.json, values: Vec::new(), file, counts: Vec::new(), failed: 0 })
    }

    pub(super) fn add(&mut self, context: &Context<'_>, item: &Item<'_>) -> Result<(), CommandError> {
        let Item { record, status, successor, until, error } = item;
        match self.counts.iter_mut().find(|(known, _)| known == status) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((status, 1)),
        }
        if error.is_some() {
            self.failed += 1;
        }
        let intent = &record.intent;
        let serial = hex(&intent.serial);
        if let Some((path, file)) = &mut self.file {
            let cells = [
                intent.name.as_str(),
                intent.product.as_deref().unwrap_or_default(),
                intent.device_serial.as_deref().unwrap_or_default(),
                &serial,
                status,
                successor.as_deref().unwrap_or_default(),
                until.as_deref().unwrap_or_default(),
                error.as_deref().unwrap_or_default(),
            ];
            let line = cells.map(cell).join(",") + "\n";
            file.write_all(line.as_bytes()).map_err(|source| FileError::new("write", path, source))?;
        }
        if self.json {
            let mut value = json!({ "name": intent.name, "serial": serial, "status": status });
            for (key, text) in [("successor", successor), ("until", until), ("error", error)] {
                if let Some(text) = text {
                    value[key] = json!(text);
                }
            }
            self.values.push(value);
        } else {
            let mut line = format!("{status}  {}  {serial}", intent.name);
            if let Some(successor) = successor {
                line.push_str(&format!(" -> {successor}"));
            }
            if let Some(until) = until {
                line.push_str(&format!(" until {until}"));
            }
            if let Some(error) = error {
                line.push_str(&format!(": {error}"));
            }
            context.printer.result(&Value::Null, || line);
        }
        Ok(())
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// The sum of it. Some that failed make the command fail.
    pub(super) fn end(self, context: &Context<'_>, more: &[(&str, Value)]) -> Result<(), CommandError> {
        let mut value = json!({ "certificates": self.values });
        for (status, count) in &self.counts {
            value[*status] = json!(count);
        }
        for (key, one) in more {
            value[*key] = one.clone();
        }
        context.printer.result(&value, || {
            self.counts.iter().map(|(status, count)| format!("{status:<9} {count}\n")).collect()
        });
        if self.failed == 0 {
            return Ok(());
        }
        Err(CommandError::failed(
            format!("{} certificates were left as they are", self.failed),
            Some("the lines that say `failed` say why; the same command does the rest again"),
        ))
    }
}

/// Nothing matches: said as a failure, since it is a slip more often than not.
pub(super) fn nothing(arguments: &[String]) -> CommandError {
    CommandError::failed(
        format!("no certificate matches {:?}", arguments.join(" ")),
        Some("`provision-ca list` with the same selector shows what there is"),
    )
}
