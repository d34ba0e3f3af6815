//! `device issue --csv`: a whole list, keys made on all cores, in one pass that can be repeated (CA I5).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::device::{check, make_key, validity};
use super::{CommandError, Context, check_output};
use crate::authority::{Authority, DeviceRequest, Standing, SubjectKey};
use crate::cli::{DeviceIssueArgs, DeviceOptions};
use crate::device_list::{BadLine, DeviceList, ListedDevice, parse};
use crate::error::IssueError;
use crate::key::KeyError;
use crate::legacy::Legacy;
use crate::passphrase::Passphrase;
use crate::serial::hex;
use crate::store::{FileError, Side, write_replacing};

/// The first line of every report.
const HEADING: &str = "line,model,serial,mac,status,certificate,until,folder,error\n";

/// The most certificates signed in one transaction.
const BATCH: usize = 64;

/// What became of one line of the list.
#[derive(Debug, Clone)]
enum Outcome {
    Already { serial: String, until: String },
    Failed(String),
    Issued { serial: String, until: String },
}

/// A key, or why there is none, for the device of this index.
type Made = (usize, Result<SubjectKey, KeyError>);

pub(super) fn run(
    context: &Context<'_>,
    arguments: &DeviceIssueArgs,
    list: &Path,
) -> Result<(), CommandError> {
    let DeviceIssueArgs { jobs, report, options, .. } = arguments;
    let report = report.clone().unwrap_or_else(|| list.with_extension("report.csv"));
    check_output(&report, |earlier| earlier.starts_with(HEADING.as_bytes()))?;
    let bytes = std::fs::read(list).map_err(|source| FileError::new("read", list, source))?;
    let DeviceList { devices, mut bad } = parse(&bytes);
    let mut authority = context.open()?;
    let old = check(context, options, &authority)?;
    let mut outcomes = standings(context, &mut authority, &devices, options, old, &mut bad)?;
    if !bad.is_empty() {
        bad.sort_by_key(|one| one.line);
        return Err(bad_lines(list, &bad));
    }
    let mut authority = context.open_to_issue(Side::Client)?;
    let missing: Vec<usize> = outcomes
        .iter()
        .enumerate()
        .filter_map(|(index, outcome)| outcome.is_none().then_some(index))
        .collect();

    let jobs = jobs.map_or_else(|| thread::available_parallelism().map_or(1, NonZero::get), usize::from);
    let passphrase = context.leaf_passphrase(&options.protection, Some(&authority))?;
    let bar = progress(missing.len());
    let mut progress = Progress { report: Report::begin(&report, &devices, &outcomes, &authority)?, bar };
    let result = make_all(
        &mut authority,
        &devices,
        &missing,
        jobs,
        passphrase.as_ref(),
        options,
        old,
        &mut outcomes,
        &mut progress,
    );
    progress.bar.finish_and_clear();
    // Lines stood in the order they were done; now that all are, they get the list's order.
    write_replacing(&report, report_text(&devices, &outcomes, &authority).as_bytes(), 0o644)?;
    result?;
    summarise(context, &devices, &outcomes, &report)
}

/// Judges every line against the store before anything is made; `None` is to be issued.
fn standings(
    context: &Context<'_>,
    authority: &mut Authority,
    devices: &[ListedDevice],
    options: &DeviceOptions,
    old: Legacy,
    bad: &mut Vec<BadLine>,
) -> Result<Vec<Option<Outcome>>, CommandError> {
    for device in devices {
        for warning in device.identity.warnings() {
            context.printer.warning(format!("line {}: {warning}", device.line));
        }
    }
    let validity = validity(authority, options)?;
    let identities = devices.iter().map(|device| &device.identity);
    let standings = authority.device_twin_standings(identities, validity, options.force, old)?;
    let mut outcomes = Vec::with_capacity(devices.len());
    for (device, standing) in devices.iter().zip(standings) {
        outcomes.push(match standing {
            Standing::Free => None,
            Standing::Issued(record) => Some(Outcome::Already {
                serial: hex(&record.intent.serial),
                until: record.intent.validity.not_after.to_string(),
            }),
            Standing::Taken(error) => {
                let mut message = error.to_string();
                if matches!(*error, IssueError::AlreadyIssued { .. } | IssueError::Exists { .. }) {
                    message.push_str(" (`--force` replaces it)");
                }
                bad.push(BadLine { line: device.line, message });
                None
            }
        });
    }
    Ok(outcomes)
}

fn bad_lines(list: &Path, bad: &[BadLine]) -> CommandError {
    let mut message = match bad.len() {
        1 => format!("a line of {} cannot be used, nothing was issued", list.display()),
        count => format!("{count} lines of {} cannot be used, nothing was issued", list.display()),
    };
    for BadLine { line, message: why } in bad {
        message.push_str(&format!("\n  line {line}: {why}"));
    }
    CommandError::failed(message, Some("correct these lines and run the command again"))
}

/// Makes keys on `jobs` threads, and issues in this one as they come.
#[expect(clippy::too_many_arguments, reason = "one call, each argument one thing")]
fn make_all(
    authority: &mut Authority,
    devices: &[ListedDevice],
    missing: &[usize],
    jobs: usize,
    passphrase: Option<&Passphrase>,
    options: &DeviceOptions,
    old: Legacy,
    outcomes: &mut [Option<Outcome>],
    progress: &mut Progress,
) -> Result<(), CommandError> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (sender, keys) = sync_channel::<Made>(BATCH);
        for _ in 0..jobs.min(missing.len()) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(index) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let key = make_key(options, old, passphrase);
                    if sender.send((*index, key)).is_err() {
                        return; // the issuing side gave up
                    }
                }
            });
        }
        drop(sender);
        while let Some(batch) = receive(&keys) {
            issue(authority, devices, batch, options, old, outcomes, progress)?;
        }
        Ok(())
    })
}

/// What is ready, at least one; `None` when all keys were made.
fn receive(keys: &Receiver<Made>) -> Option<Vec<Made>> {
    let mut batch = vec![keys.recv().ok()?];
    while batch.len() < BATCH {
        match keys.try_recv() {
            Ok(key) => batch.push(key),
            Err(_) => break,
        }
    }
    Some(batch)
}

fn issue(
    authority: &mut Authority,
    devices: &[ListedDevice],
    batch: Vec<Made>,
    options: &DeviceOptions,
    old: Legacy,
    outcomes: &mut [Option<Outcome>],
    progress: &mut Progress,
) -> Result<(), CommandError> {
    let done: Vec<usize> = batch.iter().map(|(index, _)| *index).collect();
    let validity = validity(authority, options)?;
    let mut requests = Vec::with_capacity(batch.len());
    let mut indices = Vec::with_capacity(batch.len());
    for (index, key) in batch {
        match key {
            Ok(key) => {
                indices.push(index);
                requests.push(DeviceRequest {
                    identity: devices[index].identity.clone(),
                    mac_attribute: options.mac_attribute,
                    key,
                    validity: Some(validity),
                    replace: options.force,
                });
            }
            Err(error) => outcomes[index] = Some(Outcome::Failed(error.to_string())),
        }
    }
    for (index, issued) in indices.into_iter().zip(authority.issue_device_twins(requests, old)?) {
        outcomes[index] = Some(match issued {
            Ok(issued) => {
                let serial = hex(issued.certificate.serial().as_bytes());
                let until = issued.certificate.validity().not_after.to_string();
                if issued.is_new {
                    Outcome::Issued { serial, until }
                } else {
                    Outcome::Already { serial, until }
                }
            }
            Err(error) => Outcome::Failed(error.to_string()),
        });
        progress.bar.inc(1);
    }
    progress.report.append(done.iter().map(|index| (&devices[*index], outcomes[*index].as_ref())), authority)
}

/// What shows how far the work is.
struct Progress {
    report: Report,
    bar: ProgressBar,
}

/// The report while the work goes on: a line per device as it is done, so that a killed run leaves what it did.
struct Report {
    path: PathBuf,
    file: File,
}

impl Report {
    fn begin(
        path: &Path,
        devices: &[ListedDevice],
        outcomes: &[Option<Outcome>],
        authority: &Authority,
    ) -> Result<Self, CommandError> {
        write_replacing(path, HEADING.as_bytes(), 0o644)?;
        let file = OpenOptions::new().append(true).open(path);
        let file = file.map_err(|source| FileError::new("write", path, source))?;
        let mut report = Self { path: path.to_owned(), file };
        let settled = devices.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_some());
        report.append(settled.map(|(device, outcome)| (device, outcome.as_ref())), authority)?;
        Ok(report)
    }

    fn append<'a>(
        &mut self,
        lines: impl Iterator<Item = (&'a ListedDevice, Option<&'a Outcome>)>,
        authority: &Authority,
    ) -> Result<(), CommandError> {
        let text: String = lines.map(|(device, outcome)| report_line(device, outcome, authority)).collect();
        self.file
            .write_all(text.as_bytes())
            .map_err(|source| FileError::new("write", &self.path, source).into())
    }
}

/// A bar with rate and time left; hidden by itself when stderr is no terminal.
fn progress(length: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {per_sec}  {eta} left")
        .unwrap_or_else(|_invalid| ProgressStyle::default_bar());
    bar.set_style(style);
    bar
}

/// One line per device, in the list's order.
fn report_text(devices: &[ListedDevice], outcomes: &[Option<Outcome>], authority: &Authority) -> String {
    let mut text = HEADING.to_owned();
    for (device, outcome) in devices.iter().zip(outcomes) {
        text.push_str(&report_line(device, outcome.as_ref(), authority));
    }
    text
}

fn report_line(device: &ListedDevice, outcome: Option<&Outcome>, authority: &Authority) -> String {
    let mac = device.identity.mac().to_string();
    let folder = authority.layout().device(&mac).display().to_string();
    let (status, certificate, until, folder, error) = match outcome {
        None => ("not reached", "", "", "", ""),
        Some(Outcome::Already { serial, until }) => {
            ("already", serial.as_str(), until.as_str(), folder.as_str(), "")
        }
        Some(Outcome::Failed(error)) => ("failed", "", "", "", error.as_str()),
        Some(Outcome::Issued { serial, until }) => {
            ("issued", serial.as_str(), until.as_str(), folder.as_str(), "")
        }
    };
    let line = device.line.to_string();
    let identity = &device.identity;
    let cells =
        [&line, identity.product(), identity.serial(), &mac, status, certificate, until, folder, error];
    cells.map(cell).join(",") + "\n"
}

/// A cell that no spreadsheet takes for a formula (CA I6), quoted where it must be.
pub(super) fn cell(text: &str) -> String {
    let safe = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() };
    if safe.contains([',', '"', '\n', '\r']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

fn summarise(
    context: &Context<'_>,
    devices: &[ListedDevice],
    outcomes: &[Option<Outcome>],
    report: &Path,
) -> Result<(), CommandError> {
    let (mut issued, mut already) = (0_usize, 0_usize);
    let mut failures = Vec::new();
    for (device, outcome) in devices.iter().zip(outcomes) {
        match outcome {
            Some(Outcome::Issued { .. }) => issued += 1,
            Some(Outcome::Already { .. }) => already += 1,
            Some(Outcome::Failed(error)) => failures.push(format!("line {}: {error}", device.line)),
            None => failures.push(format!("line {}: not reached", device.line)),
        }
    }
    let value = json!({
        "issued": issued,
        "already": already,
        "failed": failures.len(),
        "report": report.display().to_string(),
    });
    context.printer.result(&value, || {
        format!(
            "issued  {issued}\nalready {already}\nfailed  {}\nreport  {}\n",
            failures.len(),
            report.display()
        )
    });
    if failures.is_empty() {
        return Ok(());
    }
    let message = format!("{} certificates were not issued\n  {}", failures.len(), failures.join("\n  "));
    Err(CommandError::failed(
        message,
        Some("run the command again: it makes what is missing and nothing twice"),
    ))
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn i6_no_cell_of_the_report_is_a_formula() {
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("@x"), "'@x");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("CP-8841-3PCC"), "CP-8841-3PCC");
    }
}
