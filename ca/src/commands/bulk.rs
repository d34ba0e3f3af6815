//! `device issue --csv`: a whole list, of any length, keys made on all cores, in one pass that can be repeated (CA I5).
//!
//! The list is read twice. First every line is judged, against the others and against the inventory, and nothing is made unless
//! all can be used. Then certificates are issued in the list's order: threads make keys ahead of their use, or check the
//! requests of the list, while the authority signs a batch. Of a line nothing is kept but 28 octets, to find it again.

mod bad;
mod keys;
mod report;

use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use certs::Validity;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::device::{Sealing, check, validity};
use super::{CommandError, Context, check_output};
use crate::authority::{Authority, DeviceRequest, Standing, SubjectKey};
use crate::cli::{DeviceIssueArgs, DeviceOptions};
use crate::device_list::{DeviceReader, Duplicates, ListedDevice};
use crate::error::IssueError;
use crate::key_policy::KeyBlocklist;
use crate::legacy::Legacy;
use crate::serial::hex;
use crate::store::Side;

use bad::BadLines;
use keys::{Factory, Ready};
pub(super) use report::cell;
use report::{HEADING, Outcome, Report};

/// The most certificates of a batch, for which the store is locked once.
const BATCH: usize = 2048;

/// The first, while nobody knows how long the issuer's key takes.
const FIRST: usize = 256;

/// The fewest, unless there are no more.
const SMALL: usize = 64;

/// How long others wait for the store at most, about: slow keys have smaller batches.
const TURN: Duration = Duration::from_secs(2);

/// Lines that are judged at a time, and how many times as many are read ahead.
const CHUNK: usize = 512;
const CHUNKS: usize = 2;

/// How long a key waits for others to be used in one transaction with it.
const LINGER: Duration = Duration::from_secs(1);

/// Mistakes and warnings that are printed one by one; the rest is counted.
const MOST: usize = 1000;

/// What is the same for every line.
struct Work<'a> {
    options: &'a DeviceOptions,
    old: Legacy,
    blocklist: &'a KeyBlocklist,
    jobs: NonZero<usize>,
    /// Lines of the next batch.
    batch: AtomicUsize,
}

impl Work<'_> {
    /// Chooses the size of the next batch by the time that one took.
    fn pace(&self, size: usize, took: Duration) {
        let each = took.as_secs_f64() / f64::from(u32::try_from(size.max(1)).unwrap_or(u32::MAX));
        let affordable = Duration::from_secs_f64(TURN.as_secs_f64() / each.max(1e-6)).as_secs();
        let next = usize::try_from(affordable).unwrap_or(BATCH).clamp(SMALL, BATCH);
        self.batch.store(next, Ordering::Relaxed);
    }
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
    let jobs = jobs.and_then(|jobs| NonZero::new(usize::from(jobs)));
    let jobs = jobs.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZero::<usize>::MIN);
    let work = Work { options, old, blocklist: &blocklist, jobs, batch: AtomicUsize::new(FIRST) };
    let judged = judge(context, &mut authority, &work, list)?;

    let mut authority = context.open_to_issue(Side::Client)?;
    authority.use_threads(jobs);
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
    let mut bad = BadLines::default();
    let mut duplicates = Duplicates::default();
    let mut warnings = 0;
    let mut lines = DeviceReader::open(list)?;
    let (sender, chunks) = sync_channel::<Vec<_>>(CHUNKS);
    thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                let chunk: Vec<_> = lines.by_ref().take(CHUNK).collect();
                if chunk.is_empty() || sender.send(chunk).is_err() {
                    return;
                }
            }
        });
        for chunk in chunks {
            bad.begin_chunk();
            let mut devices = Vec::with_capacity(chunk.len());
            for line in chunk {
                match line {
                    Err(line) => bad.add(line.line, || line.message),
                    Ok(device) => {
                        for warning in device.identity.warnings() {
                            warnings += 1;
                            if warnings <= MOST {
                                context.printer.warning(format!("line {}: {warning}", device.line));
                            }
                        }
                        duplicates.add(&device);
                        judged.lines += 1;
                        devices.push(device);
                    }
                }
            }
            let identities = devices.iter().map(|device| &device.identity);
            let standings =
                authority.device_twin_standings(identities, validity, work.options.force, work.old)?;
            for (device, standing) in devices.into_iter().zip(standings) {
                match standing {
                    Standing::Free if device.request.is_some() => judged.requests += 1,
                    Standing::Free => judged.keys += 1,
                    Standing::Issued(_) => {}
                    Standing::Taken(error) => bad.add(device.line, || taken(&error)),
                }
            }
        }
        Ok::<(), CommandError>(())
    })?;
    if warnings > MOST {
        context.printer.warning(format!("and {} more of the like", warnings - MOST));
    }
    bad.add_repeated(duplicates.find());
    match bad.told(list) {
        None => Ok(judged),
        Some(refusal) => Err(refusal),
    }
}

fn taken(error: &IssueError) -> String {
    let mut message = error.to_string();
    if matches!(error, IssueError::AlreadyIssued { .. } | IssueError::Exists { .. }) {
        message.push_str(" (`--force` replaces it)");
    }
    message
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
    // A request is compared with what is there by the authority itself; a key is not made for nothing.
    let mut identities = chunk.iter().filter(|ready| ready.request.is_none()).peekable();
    let standings = if identities.peek().is_some() {
        let identities = identities.map(|ready| &ready.device.identity);
        authority.device_twin_standings(identities, validity, options.force, work.old)?
    } else {
        Vec::new()
    };
    let mut standings = standings.into_iter();
    let mut batch = Batch::default();
    for Ready { device, request } in chunk {
        let key = match request.map_or_else(|| Err(standings.next()), Ok) {
            Ok(request) => request,
            Err(Some(Standing::Issued(record))) => {
                let outcome = Outcome::Already {
                    serial: hex(&record.intent.serial),
                    until: record.intent.validity.not_after.to_string(),
                };
                batch.lines.push((device, Some(outcome)));
                continue;
            }
            Err(Some(Standing::Taken(error))) => Err(error.to_string()),
            Err(Some(Standing::Free) | None) => {
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
        let requests: Vec<_> = fresh
            .zip(self.keys)
            .map(|((device, _), key)| DeviceRequest {
                identity: device.identity.clone(),
                mac_attribute: options.mac_attribute,
                key,
                validity: Some(validity),
                replace: options.force,
            })
            .collect();
        let (size, begun) = (requests.len(), Instant::now());
        let mut issued = authority.issue_device_twins(requests, work.old)?.into_iter();
        work.pace(size, begun.elapsed());
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
