//! `device issue --csv`: a whole list, of any length, keys made on all cores, in one pass that can be repeated (CA I5).
//!
//! The list is read twice. First every line is judged, against the others and against the inventory, and nothing is made unless
//! all can be used. Then certificates are issued in the list's order: threads make keys ahead of their use, or check the
//! requests of the list; this one signs, some hundred at a time in one transaction.

mod keys;
mod report;

use std::num::NonZero;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use certs::Validity;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::device::{Sealing, check, validity};
use super::{CommandError, Context, check_output};
use crate::authority::{Authority, DeviceRequest, Standing, SubjectKey};
use crate::cli::{DeviceIssueArgs, DeviceOptions};
use crate::device_list::{BadLine, DeviceReader, Duplicates, ListedDevice};
use crate::error::IssueError;
use crate::key_policy::KeyBlocklist;
use crate::legacy::Legacy;
use crate::serial::hex;
use crate::store::Side;

use keys::{Factory, Ready};
pub(super) use report::cell;
use report::{HEADING, Outcome, Report};

/// The most certificates signed in one transaction.
const BATCH: usize = 256;

/// How long a key waits for others to be used in one transaction with it.
const LINGER: Duration = Duration::from_secs(1);

/// Mistakes and warnings that are printed one by one; the rest is counted.
const MOST: usize = 1000;

/// What is the same for every line.
struct Work<'a> {
    options: &'a DeviceOptions,
    old: Legacy,
    blocklist: &'a KeyBlocklist,
    jobs: usize,
}

/// What the first reading found.
#[derive(Debug, Default)]
struct Judged {
    lines: u64,
    /// Lines for which a key must be made.
    keys: usize,
    /// Lines with a request.
    requests: usize,
}

pub(super) fn run(
    context: &Context<'_>,
    arguments: &DeviceIssueArgs,
    list: &Path,
) -> Result<(), CommandError> {
    let DeviceIssueArgs { jobs, report, options, key_blocklist, .. } = arguments;
    let report = report.clone().unwrap_or_else(|| list.with_extension("report.csv"));
    check_output(&report, |earlier| earlier.starts_with(HEADING.as_bytes()))?;
    let blocklist = KeyBlocklist::read(key_blocklist.as_deref())?;
    let mut authority = context.open()?;
    let old = check(context, options, &authority)?;
    let jobs = jobs.map_or_else(|| thread::available_parallelism().map_or(1, NonZero::get), usize::from);
    let work = Work { options, old, blocklist: &blocklist, jobs };
    let judged = judge(context, &mut authority, &work, list)?;

    let mut authority = context.open_to_issue(Side::Client)?;
    let sealing = Sealing::of(context, arguments, &authority)?;
    let bar = progress(judged.keys + judged.requests);
    let mut report = Report::begin(&report, authority.layout())?;
    let issued = issue_all(&mut authority, &work, &sealing, list, &judged, &mut report, &bar);
    bar.finish_and_clear();
    report.finish()?;
    issued?;
    summarise(context, &report)
}

/// Reads the list for the first time: all that is wrong with it, and what is to be made.
fn judge(
    context: &Context<'_>,
    authority: &mut Authority,
    work: &Work<'_>,
    list: &Path,
) -> Result<Judged, CommandError> {
    let validity = validity(authority, work.options)?;
    let mut judged = Judged::default();
    let mut bad = Vec::new();
    let mut duplicates = Duplicates::default();
    let mut warnings = 0;
    let mut chunk: Vec<ListedDevice> = Vec::with_capacity(BATCH);
    let mut lines = DeviceReader::open(list)?;
    loop {
        let line = lines.next();
        let is_last = line.is_none();
        match line {
            Some(Ok(device)) => {
                for warning in device.identity.warnings() {
                    warnings += 1;
                    if warnings <= MOST {
                        context.printer.warning(format!("line {}: {warning}", device.line));
                    }
                }
                duplicates.add(&device);
                judged.lines += 1;
                chunk.push(device);
            }
            Some(Err(line)) => bad.push(line),
            None => {}
        }
        if chunk.len() < BATCH && !is_last {
            continue;
        }
        let identities = chunk.iter().map(|device| &device.identity);
        let standings =
            authority.device_twin_standings(identities, validity, work.options.force, work.old)?;
        for (device, standing) in chunk.drain(..).zip(standings) {
            match standing {
                Standing::Free if device.request.is_some() => judged.requests += 1,
                Standing::Free => judged.keys += 1,
                Standing::Issued(_) => {}
                Standing::Taken(error) => {
                    let mut message = error.to_string();
                    if matches!(*error, IssueError::AlreadyIssued { .. } | IssueError::Exists { .. }) {
                        message.push_str(" (`--force` replaces it)");
                    }
                    bad.push(BadLine { line: device.line, message });
                }
            }
        }
        if is_last {
            break;
        }
    }
    if warnings > MOST {
        context.printer.warning(format!("and {} more of the like", warnings - MOST));
    }
    let known: std::collections::HashSet<u64> = bad.iter().map(|one| one.line).collect();
    bad.extend(duplicates.find().into_iter().filter(|one| !known.contains(&one.line)));
    if bad.is_empty() {
        return Ok(judged);
    }
    bad.sort_by_key(|one| one.line);
    Err(bad_lines(list, &bad))
}

fn bad_lines(list: &Path, bad: &[BadLine]) -> CommandError {
    let mut message = match bad.len() {
        1 => format!("a line of {} cannot be used, nothing was issued", list.display()),
        count => format!("{count} lines of {} cannot be used, nothing was issued", list.display()),
    };
    for BadLine { line, message: why } in bad.iter().take(MOST) {
        message.push_str(&format!("\n  line {line}: {why}"));
    }
    if bad.len() > MOST {
        message.push_str(&format!("\n  and {} more", bad.len() - MOST));
    }
    CommandError::failed(message, Some("correct these lines and run the command again"))
}

/// Reads the list for the second time, and issues in its order. What goes wrong with one device is its line in the report; what
/// goes wrong with the store ends the work, and the lines after say so.
fn issue_all(
    authority: &mut Authority,
    work: &Work<'_>,
    sealing: &Sealing,
    list: &Path,
    judged: &Judged,
    report: &mut Report,
    bar: &ProgressBar,
) -> Result<(), CommandError> {
    let mut lines = DeviceReader::open(list)?;
    let worked = thread::scope(|scope| {
        let factory = Factory::start(scope, work, sealing, judged.keys);
        let chunks = keys::read_ahead(scope, work, &mut lines, judged.requests > 0);
        chunks.into_iter().try_for_each(|chunk| issue(authority, work, &factory, chunk, report, bar))
    });
    if worked.is_err() {
        for device in DeviceReader::open(list)?.flatten().skip(report.lines) {
            report.add(&device, &Outcome::NotReached)?;
        }
    }
    worked
}

fn issue(
    authority: &mut Authority,
    work: &Work<'_>,
    factory: &Factory<'_>,
    chunk: Vec<Ready>,
    report: &mut Report,
    bar: &ProgressBar,
) -> Result<(), CommandError> {
    let options = work.options;
    let validity = validity(authority, options)?;
    let identities = chunk.iter().map(|ready| &ready.device.identity);
    let standings = authority.device_twin_standings(identities, validity, options.force, work.old)?;
    let mut batch = Batch::default();
    for (Ready { device, request }, standing) in chunk.into_iter().zip(standings) {
        // A request is compared with what is there by the authority itself; a key is not made for nothing.
        let key = match (standing, request) {
            (Standing::Issued(record), None) => {
                let outcome = Outcome::Already {
                    serial: hex(&record.intent.serial),
                    until: record.intent.validity.not_after.to_string(),
                };
                batch.lines.push((device, Some(outcome)));
                continue;
            }
            (Standing::Taken(error), _) => Err(error.to_string()),
            (Standing::Free | Standing::Issued(_), Some(request)) => request,
            (Standing::Free, None) => {
                let key = match factory.key_by(batch.due()) {
                    Some(key) => key,
                    None => {
                        // The next key takes its time: what is ready is issued meanwhile.
                        std::mem::take(&mut batch).issue(authority, work, validity, report, bar)?;
                        factory.key()
                    }
                };
                key.map_err(|error| error.to_string())
            }
        };
        batch.add(device, key);
    }
    batch.issue(authority, work, validity, report, bar)
}

/// What is issued in one transaction.
#[derive(Default)]
struct Batch {
    /// Lines of the list, with what became of them when that is known.
    lines: Vec<(ListedDevice, Option<Outcome>)>,
    /// The keys of the others, in their order.
    keys: Vec<SubjectKey>,
    /// When the first key was there.
    begun: Option<Instant>,
}

impl Batch {
    fn add(&mut self, device: ListedDevice, key: Result<SubjectKey, String>) {
        let outcome = match key {
            Ok(key) => {
                self.begun.get_or_insert_with(Instant::now);
                self.keys.push(key);
                None
            }
            Err(why) => Some(Outcome::Failed(why)),
        };
        self.lines.push((device, outcome));
    }

    /// When it is to be issued at the latest; at no time in particular while it is empty.
    fn due(&self) -> Option<Instant> {
        self.begun.map(|begun| begun + LINGER)
    }

    fn issue(
        self,
        authority: &mut Authority,
        work: &Work<'_>,
        validity: Validity,
        report: &mut Report,
        bar: &ProgressBar,
    ) -> Result<(), CommandError> {
        let options = work.options;
        let fresh = self.lines.iter().filter(|(_, outcome)| outcome.is_none());
        let requests = fresh
            .zip(self.keys)
            .map(|((device, _), key)| DeviceRequest {
                identity: device.identity.clone(),
                mac_attribute: options.mac_attribute,
                key,
                validity: Some(validity),
                replace: options.force,
            })
            .collect();
        let mut issued = authority.issue_device_twins(requests, work.old)?.into_iter();
        for (device, outcome) in self.lines {
            if matches!(outcome, Some(Outcome::Already { .. })) {
                report.add(&device, &outcome.unwrap_or(Outcome::NotReached))?;
                continue;
            }
            let outcome = outcome.unwrap_or_else(|| match issued.next() {
                None => Outcome::NotReached,
                Some(Err(error)) => Outcome::Failed(error.to_string()),
                Some(Ok(issued)) => {
                    let serial = hex(issued.certificate.serial().as_bytes());
                    let until = issued.certificate.validity().not_after.to_string();
                    if issued.is_new {
                        Outcome::Issued { serial, until }
                    } else {
                        Outcome::Already { serial, until }
                    }
                }
            });
            report.add(&device, &outcome)?;
            bar.inc(1);
        }
        report.flush()
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

fn summarise(context: &Context<'_>, report: &Report) -> Result<(), CommandError> {
    let Report { issued, already, failed, failures, path, .. } = report;
    let value = json!({
        "issued": issued,
        "already": already,
        "failed": failed,
        "report": path.display().to_string(),
    });
    context.printer.result(&value, || {
        format!("issued  {issued}\nalready {already}\nfailed  {failed}\nreport  {}\n", path.display())
    });
    if *failed == 0 {
        return Ok(());
    }
    let mut message = format!("{failed} certificates were not issued\n  {}", failures.join("\n  "));
    let more = failed.saturating_sub(u64::try_from(failures.len()).unwrap_or(u64::MAX));
    if more > 0 {
        message.push_str(&format!("\n  and {more} more, see the report"));
    }
    Err(CommandError::failed(
        message,
        Some("run the command again: it makes what is missing and nothing twice"),
    ))
}
