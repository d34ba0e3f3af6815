//! The queue between the data path and the file, and the thread that empties it.
//!
//! The queue is one buffer of finished lines, bounded in bytes. A record costs the data path its formatting, one short lock and one
//! copy; the writer is woken once for many records, since it lets them gather for a few milliseconds before it takes the whole
//! buffer and leaves an empty one. What does not fit is counted and shows up in the file as a `gap`.

use std::{
    io, mem,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tracing::{info, warn};

use crate::audit::{AuditSink, record::write_gap};

/// How long records gather before they are written. Well below the 200 ms within which a record is in the file.
const GATHER: Duration = Duration::from_millis(20);
/// How long to wait after a failed write.
const RETRY: Duration = Duration::from_millis(500);
/// What a buffer keeps of its memory once it has been written.
const KEPT: usize = 1 << 20;

/// The queue, shared between the data path and the writer.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Tells the writer that there is work, and whoever closes that the writer is done.
    changed: Condvar,
    limit: usize,
    dropped: AtomicU64,
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    records: u64,
    lost: Option<Lost>,
    reopen: bool,
    closing: bool,
    finished: Option<u64>,
}

/// Records that did not fit.
#[derive(Debug, Clone, Copy)]
struct Lost {
    since: SystemTime,
    count: u64,
}

impl Queue {
    /// A queue that holds at most `limit` bytes of lines.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            limit,
            dropped: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        }
    }

    /// Takes one line, or counts it as lost when there is no room.
    pub(super) fn push(&self, line: &[u8], time: SystemTime) {
        let mut state = self.lock();
        let before = state.lines.len();
        let after = before + line.len();
        let idle = before == 0 && state.lost.is_none();
        if after > self.limit || state.closing {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            match &mut state.lost {
                Some(lost) => lost.count += 1,
                none @ None => *none = Some(Lost { since: time, count: 1 }),
            }
        } else {
            state.lines.extend_from_slice(line);
            state.records += 1;
        }
        drop(state);
        let half = self.limit / 2;
        if idle || (before < half && after >= half) {
            self.changed.notify_all();
        }
    }

    /// Has the writer open its destination anew.
    pub(super) fn reopen(&self) {
        self.lock().reopen = true;
        self.changed.notify_all();
    }

    /// Lets the writer finish what is queued and end.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Waits until the writer has ended, at most `limit`. The number of records it could not write, `None` when it is still at it.
    pub(super) fn wait_until_finished(&self, limit: Duration) -> Option<u64> {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), limit, |state| state.finished.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.finished
    }

    /// How many records were lost since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether the last write failed.
    pub(super) fn failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Nothing that holds the lock can panic half-way through a change, so a poisoned lock still guards a sound state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn has_work(&self) -> bool {
        self.has_lines() || self.reopen || self.closing
    }

    /// Whether there is something to write: lines, or the record of a gap.
    const fn has_lines(&self) -> bool {
        !self.lines.is_empty() || self.lost.is_some()
    }
}

/// What the writer took from the queue and has not written yet.
#[derive(Debug, Default)]
struct Batch {
    lines: Vec<u8>,
    written: usize,
    records: u64,
    /// Lost records that the batch's last line tells of.
    told_lost: u64,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.written == self.lines.len()
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.lines.shrink_to(KEPT);
        self.written = 0;
        self.records = 0;
        self.told_lost = 0;
    }

    /// Goes back to the start of the line that was cut, because the rest of it will stand in another file.
    fn rewind_to_line(&mut self) {
        let whole = self.lines[..self.written].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.written = whole;
    }

    /// How many records the file will never know of if the rest is not written.
    fn records_left(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let lines = self.lines[self.written..].iter().filter(|byte| **byte == b'\n').count();
        u64::try_from(lines).unwrap_or(u64::MAX).min(self.records) + self.told_lost
    }
}

/// The writer thread: takes batches from `queue` and appends them to `sink` until the queue is closed.
pub(super) fn run(queue: &Queue, sink: &mut dyn AuditSink, clock: fn() -> SystemTime) {
    let mut batch = Batch::default();
    let left = loop {
        let Taken { reopen, closing } = take(queue, &mut batch, clock);
        if reopen {
            batch.rewind_to_line();
            if let Err(error) = sink.reopen() {
                warn!(
                    %error,
                    "audit file cannot be reopened, going on with the old one"
                );
            }
        }
        let failed = write(queue, sink, &mut batch).is_err();
        if closing && (failed || !queue.lock().has_lines()) {
            break batch.records_left();
        }
    };
    if let Err(error) = sink.finish() {
        warn!(%error, "audit file may not be complete on disk");
    }
    let mut state = queue.lock();
    state.finished = Some(left + state.records + state.lost.map_or(0, |lost| lost.count));
    drop(state);
    queue.changed.notify_all();
}

struct Taken {
    reopen: bool,
    closing: bool,
}

/// Waits for work and moves it into `batch`. While an earlier batch is stuck it only waits for the time of the next try.
fn take(queue: &Queue, batch: &mut Batch, clock: fn() -> SystemTime) -> Taken {
    let state = queue.lock();
    let mut state = if batch.is_empty() {
        let state = queue
            .changed
            .wait_while(state, |state| !state.has_work())
            .unwrap_or_else(PoisonError::into_inner);
        let half = queue.limit / 2;
        let gathering = |state: &mut State| !state.closing && !state.reopen && state.lines.len() < half;
        queue.changed.wait_timeout_while(state, GATHER, gathering)
    } else {
        queue.changed.wait_timeout_while(state, RETRY, |state| !state.closing && !state.reopen)
    }
    .unwrap_or_else(PoisonError::into_inner)
    .0;
    let taken = Taken { reopen: mem::take(&mut state.reopen), closing: state.closing };
    let mut lost = None;
    if batch.is_empty() {
        batch.clear();
        mem::swap(&mut batch.lines, &mut state.lines);
        batch.records = mem::take(&mut state.records);
        lost = state.lost.take();
    }
    drop(state);
    if let Some(Lost { since, count }) = lost {
        let reason = if queue.failing() { "write_failed" } else { "queue_full" };
        write_gap(&mut batch.lines, clock(), since, count, reason);
        batch.told_lost = count;
    }
    taken
}

/// Writes the batch as far as the sink takes it.
fn write(queue: &Queue, sink: &mut dyn AuditSink, batch: &mut Batch) -> io::Result<()> {
    while !batch.is_empty() {
        match sink.append(&batch.lines[batch.written..]) {
            Ok(count) => {
                batch.written += count;
                if queue.failing.swap(false, Ordering::Relaxed) {
                    info!(records.lost = queue.dropped(), "audit records are written again");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                if !queue.failing.swap(true, Ordering::Relaxed) {
                    warn!(
                        %error,
                        "audit records cannot be written and are kept back"
                    );
                }
                return Err(error);
            }
        }
    }
    Ok(())
}
