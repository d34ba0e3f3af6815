//! The thread that empties one sink's lane of the queue.
//!
//! It lets records gather for a few milliseconds before it takes them, so that it is woken once for many. What the sink does not
//! take it keeps and tries again; what did not fit into the lane meanwhile shows up in the sink as a `gap`.

use std::{
    io,
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

use tracing::{info, warn};

use crate::audit::{
    AuditSink,
    queue::{Lane, Left, Lost, Queue, Taken, Wait},
    record::write_gap,
};
use crate::config::certificates::Causes;

/// How long to wait after a failed write.
const RETRY: Duration = Duration::from_millis(500);
/// How often a sink with something to look after does it.
const TICK: Duration = Duration::from_secs(1);
/// About how much is taken at a time.
const BATCH: usize = 1 << 20;

/// What the writer took from the queue and has not written yet.
#[derive(Debug, Default)]
struct Batch {
    lines: Vec<u8>,
    written: usize,
    /// Bytes of it that count in the queue.
    queued: usize,
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
        self.lines.shrink_to(BATCH);
        (self.written, self.queued, self.records, self.told_lost) = (0, 0, 0, 0);
    }

    /// Goes back to the start of the line that was cut, because the rest of it will stand in another file.
    fn rewind_to_line(&mut self) {
        let whole = self.lines[..self.written].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.written = whole;
    }

    /// What the sink will never know of if the rest is not written.
    fn left(&self) -> Left {
        if self.is_empty() {
            return Left::default();
        }
        let lines = self.lines[self.written..].iter().filter(|byte| **byte == b'\n').count();
        let unwritten = u64::try_from(lines).unwrap_or(u64::MAX).min(self.records);
        Left { unwritten, untold: self.told_lost }
    }
}

/// Takes batches from lane `at` of `queue` and appends them to `sink` until the queue is closed.
pub(super) fn run(queue: &Queue, at: usize, sink: &mut dyn AuditSink, clock: fn() -> SystemTime) {
    let lane = &queue.lanes()[at];
    let mut batch = Batch::default();
    let mut ticked = clock();
    let left = loop {
        let Taken { reopen, closing, .. } = take(queue, at, &mut batch, sink, clock);
        if reopen {
            batch.rewind_to_line();
            if let Err(error) = sink.reopen() {
                warn!(
                    sink = lane.name,
                    error = Causes(&error).to_string(),
                    "audit sink cannot be reopened, going on with the old one"
                );
            }
        }
        let failed = write(lane, sink, &mut batch).is_err();
        if !failed {
            queue.written(at, batch.queued);
            batch.queued = 0;
        }
        if closing && (failed || !queue.has_lines(at)) {
            break batch.left();
        }
        let now = clock();
        // A clock that was set back must not end this.
        if sink.has_ticks() && now.duration_since(ticked).map_or(true, |passed| passed >= TICK) {
            ticked = now;
            sink.tick();
        }
    };
    if let Err(error) = sink.finish() {
        warn!(
            sink = lane.name,
            error = Causes(&error).to_string(),
            "audit records may not be complete on disk"
        );
    }
    queue.finish(at, left);
}

/// Waits for work and moves it into `batch`. While an earlier batch is stuck it only waits for the time of the next try.
fn take(
    queue: &Queue,
    at: usize,
    batch: &mut Batch,
    sink: &dyn AuditSink,
    clock: fn() -> SystemTime,
) -> Taken {
    let tick = sink.has_ticks().then_some(TICK);
    let wait = if batch.is_empty() {
        batch.clear();
        Wait::ForWork { gather: sink.gather(), tick }
    } else {
        Wait::ForNextTry(RETRY)
    };
    let taken = queue.take(at, &mut batch.lines, BATCH, wait);
    batch.queued += taken.bytes;
    batch.records += taken.records;
    if let Some(Lost { since, count }) = taken.lost {
        let failing = queue.lanes()[at].failing.load(Ordering::Relaxed);
        let reason = if failing { "write_failed" } else { "queue_full" };
        write_gap(&mut batch.lines, clock(), since, count, reason);
        batch.told_lost = count;
    }
    taken
}

/// Writes the batch as far as the sink takes it.
fn write(lane: &Lane, sink: &mut dyn AuditSink, batch: &mut Batch) -> io::Result<()> {
    while !batch.is_empty() {
        match sink.append(&batch.lines[batch.written..]) {
            Ok(count) => {
                batch.written += count;
                if lane.failing.swap(false, Ordering::Relaxed) {
                    let lost = lane.dropped.load(Ordering::Relaxed);
                    info!(sink = lane.name, records.lost = lost, "audit records are written again");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                if !lane.failing.swap(true, Ordering::Relaxed) {
                    warn!(
                        sink = lane.name,
                        error = Causes(&error).to_string(),
                        "audit records cannot be written and are kept back"
                    );
                }
                return Err(error);
            }
        }
    }
    Ok(())
}
