//! The queue between the data path and the sinks.
//!
//! A record is formatted once and copied once, into the open chunk, under one short lock. When the chunk is full, or a writer comes
//! for it, it is sealed and shared: each sink's lane gets a reference. A lane is bounded in bytes; a chunk that finds no room in
//! it is counted as lost for that sink, or, where the sink is told to refuse, kept, and nothing new is served until there is room.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, time::timeout};

use crate::audit::sink::WhenFull;

/// The largest chunk; one is the least that is lost at a time.
const CHUNK: usize = 64 << 10;
/// How long a connection or request waits for room before it is refused.
const PATIENCE: Duration = Duration::from_secs(1);
/// Room in a chunk beyond its size, for the line that makes it full.
const LAST_LINE: usize = 8 << 10;
/// What a written chunk may keep of its memory to be used again.
const SPARE: usize = 2 * CHUNK;
/// How many written chunks are kept for that. Memory given back and got anew costs more than what is written into it: each
/// of its pages has to be zeroed and mapped again.
const SPARES: usize = 8;

/// The queue, shared between the data path and the writers.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Tells writers that there is work, and whoever closes that they are done.
    changed: Condvar,
    lanes: Box<[Lane]>,
    chunk: usize,
    /// Whether a sink that refuses has no room. Always false where there is none.
    full: AtomicBool,
    /// Tells those who wait that there is room again.
    room: Notify,
}

/// What does not change of one sink's queue, and what is read without the lock.
#[derive(Debug)]
pub(super) struct Lane {
    /// What messages and metrics call the sink.
    pub(super) name: String,
    pub(super) limit: usize,
    pub(super) when_full: WhenFull,
    pub(super) dropped: AtomicU64,
    pub(super) failing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    open: Vec<u8>,
    open_records: u64,
    open_since: Option<SystemTime>,
    spares: Vec<Vec<u8>>,
    lanes: Vec<LaneState>,
    /// Writers that sleep until there is something to do.
    idle_writers: usize,
    closing: bool,
}

#[derive(Debug, Default)]
struct LaneState {
    chunks: VecDeque<Arc<Chunk>>,
    /// Bytes that wait or are being written.
    queued: usize,
    lost: Option<Lost>,
    reopen: bool,
    /// What was left when the writer ended.
    finished: Option<Left>,
}

/// Records that a sink did not take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Those that were kept for it to the end, and count as lost from then on.
    pub(super) unwritten: u64,
    /// Those that were lost before, of which no gap could tell.
    pub(super) untold: u64,
}

impl Left {
    /// All that the sink does not know of.
    pub(super) const fn all(self) -> u64 {
        self.unwritten.saturating_add(self.untold)
    }
}

#[derive(Debug)]
struct Chunk {
    lines: Vec<u8>,
    records: u64,
}

/// Records that did not fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost {
    pub(super) since: SystemTime,
    pub(super) count: u64,
}

/// What a writer took.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) bytes: usize,
    pub(super) records: u64,
    pub(super) lost: Option<Lost>,
    pub(super) reopen: bool,
    pub(super) closing: bool,
}

impl Queue {
    pub(super) fn new(lanes: Vec<Lane>) -> Self {
        let smallest = lanes.iter().map(|lane| lane.limit).min().unwrap_or(CHUNK);
        let states = lanes.iter().map(|_| LaneState::default()).collect();
        Self {
            state: Mutex::new(State { lanes: states, ..State::default() }),
            changed: Condvar::new(),
            lanes: lanes.into(),
            chunk: CHUNK.min(smallest / 8),
            full: AtomicBool::new(false),
            room: Notify::new(),
        }
    }

    pub(super) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Takes one line.
    pub(super) fn push(&self, line: &[u8], time: SystemTime) {
        let mut state = self.lock();
        if state.closing {
            drop(state);
            return self.lanes.iter().for_each(|lane| lane.count_dropped(1));
        }
        if state.open.capacity() == 0 {
            state.open.reserve_exact(self.chunk + LAST_LINE);
        }
        state.open.extend_from_slice(line);
        state.open_records += 1;
        state.open_since.get_or_insert(time);
        let pressing = state.open.len() >= self.chunk && self.seal(&mut state);
        if self.lanes.iter().any(|lane| lane.when_full == WhenFull::Refuse) && self.is_short(&state, 4) {
            self.full.store(true, Ordering::Relaxed);
        }
        // Whoever is woken counts itself again before it sleeps.
        let wake = mem::take(&mut state.idle_writers) > 0 || pressing;
        drop(state);
        if wake {
            self.changed.notify_all();
        }
    }

    /// Hands the open chunk to every lane; whether one is half full.
    fn seal(&self, state: &mut State) -> bool {
        let spare = state.spares.pop();
        let lines = mem::replace(&mut state.open, spare.unwrap_or_default());
        let records = mem::take(&mut state.open_records);
        let Some(since) = state.open_since.take() else { return false };
        let bytes = lines.len();
        let chunk = Arc::new(Chunk { lines, records });
        let mut pressing = false;
        for (lane, state) in self.lanes.iter().zip(&mut state.lanes) {
            let fits = state.queued + bytes <= lane.limit || lane.when_full == WhenFull::Refuse;
            if fits && state.finished.is_none() {
                let half = lane.limit / 2;
                pressing |= state.queued < half && state.queued + bytes >= half;
                state.queued += bytes;
                state.chunks.push_back(Arc::clone(&chunk));
            } else {
                lane.count_dropped(records);
                state.lost.get_or_insert(Lost { since, count: 0 }).count += records;
            }
        }
        pressing
    }

    /// Whether a sink that refuses has more queued than so many quarters of its limit.
    fn is_short(&self, state: &State, quarters: usize) -> bool {
        self.lanes.iter().zip(&state.lanes).any(|(lane, of_lane)| {
            lane.when_full == WhenFull::Refuse
                && of_lane.finished.is_none()
                && of_lane.queued + state.open.len() >= lane.limit / 4 * quarters
        })
    }

    /// Whether nothing new may be served now, for want of room for its record.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Whether a sink's queue is half full: what may be left out is, before anything else is.
    pub(super) fn is_half_full(&self) -> bool {
        let state = self.lock();
        let open = state.open.len();
        self.lanes.iter().zip(&state.lanes).any(|(lane, of_lane)| {
            of_lane.finished.is_none() && of_lane.queued.saturating_add(open) >= lane.limit / 2
        })
    }

    /// Waits for room, not for ever; whether there is some.
    pub(super) async fn wait_for_room(&self) -> bool {
        let room = async {
            loop {
                let notified = self.room.notified();
                if !self.is_full() {
                    return;
                }
                notified.await;
            }
        };
        timeout(PATIENCE, room).await.is_ok()
    }

    /// Waits for work for one lane's writer, lets it gather, and copies it into `lines`, about `most` bytes. With work `in_hand` it
    /// waits only for the time of the next try.
    pub(super) fn take(&self, at: usize, lines: &mut Vec<u8>, most: usize, wait: Wait) -> Taken {
        let mut state = self.lock();
        match wait {
            Wait::ForWork { gather, tick } => {
                state = self.wait_for_work(state, at, tick);
                let half = self.lanes[at].limit / 2;
                let gathering = |state: &mut State| {
                    let lane = &state.lanes[at];
                    !state.closing && !lane.reopen && lane.queued + state.open.len() < half
                };
                if state.has_lines(at) {
                    state = self.wait(state, gather, gathering);
                }
                if !state.open.is_empty() {
                    self.seal(&mut state);
                }
            }
            Wait::ForNextTry(retry) => {
                let waiting = |state: &mut State| !state.closing && !state.lanes[at].reopen;
                state = self.wait(state, retry, waiting);
            }
        }
        let closing = state.closing;
        let lane = &mut state.lanes[at];
        let mut taken =
            Taken { bytes: 0, records: 0, lost: None, reopen: mem::take(&mut lane.reopen), closing };
        if let Wait::ForWork { .. } = wait {
            let mut chunks = Vec::new();
            while taken.bytes < most
                && let Some(chunk) = lane.chunks.pop_front()
            {
                taken.bytes += chunk.lines.len();
                taken.records += chunk.records;
                chunks.push(chunk);
            }
            taken.lost = lane.lost.take();
            drop(state);
            for chunk in &chunks {
                lines.extend_from_slice(&chunk.lines);
            }
            self.keep_spares(chunks);
        }
        taken
    }

    /// Keeps the memory of chunks that no other lane waits to have.
    fn keep_spares(&self, chunks: Vec<Arc<Chunk>>) {
        let emptied = chunks.into_iter().filter_map(Arc::into_inner).map(|mut chunk| {
            chunk.lines.clear();
            chunk.lines
        });
        let emptied: Vec<_> = emptied.filter(|lines| lines.capacity() <= SPARE).take(SPARES).collect();
        if !emptied.is_empty() {
            let mut state = self.lock();
            let room = SPARES.saturating_sub(state.spares.len());
            state.spares.extend(emptied.into_iter().take(room));
        }
    }

    fn wait_for_work<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        at: usize,
        tick: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        while !state.has_work(at) {
            state.idle_writers += 1;
            let Some(tick) = tick else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (back, waited) =
                self.changed.wait_timeout(state, tick).unwrap_or_else(PoisonError::into_inner);
            state = back;
            if waited.timed_out() {
                break;
            }
        }
        state
    }

    fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        limit: Duration,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout_while(state, limit, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// So many bytes that a writer took are written.
    pub(super) fn written(&self, at: usize, bytes: usize) {
        let mut state = self.lock();
        let lane = &mut state.lanes[at];
        lane.queued = lane.queued.saturating_sub(bytes);
        self.look_for_room(&state);
    }

    fn look_for_room(&self, state: &State) {
        if self.is_full() && !self.is_short(state, 3) {
            self.full.store(false, Ordering::Relaxed);
            self.room.notify_waiters();
        }
    }

    /// Whether a lane has lines that no writer took.
    pub(super) fn has_lines(&self, at: usize) -> bool {
        self.lock().has_lines(at)
    }

    /// A lane's writer has ended and left so many records of what it took.
    pub(super) fn finish(&self, at: usize, left: Left) {
        let mut state = self.lock();
        if !state.open.is_empty() {
            self.seal(&mut state);
        }
        let lane = &mut state.lanes[at];
        let queued: u64 = lane.chunks.iter().map(|chunk| chunk.records).sum();
        lane.finished = Some(Left {
            unwritten: left.unwritten + queued,
            untold: left.untold + lane.lost.map_or(0, |lost| lost.count),
        });
        lane.chunks.clear();
        self.look_for_room(&state);
        drop(state);
        self.changed.notify_all();
    }

    /// Has every sink open its destination anew.
    pub(super) fn reopen(&self) {
        self.lock().lanes.iter_mut().for_each(|lane| lane.reopen = true);
        self.changed.notify_all();
    }

    /// Lets the writers finish what is queued and end.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Waits until the writers have ended, at most `limit`. The number of records they could not write, `None` when one is still at
    /// it.
    pub(super) fn wait_until_finished(&self, limit: Duration) -> Option<u64> {
        let unfinished = |state: &mut State| state.lanes.iter().any(|lane| lane.finished.is_none());
        let state = self.wait(self.lock(), limit, unfinished);
        state.lanes.iter().map(|lane| lane.finished.map(Left::all)).sum()
    }

    /// What a lane's writer left when it ended; nothing while it is still at it.
    pub(super) fn left(&self, at: usize) -> Left {
        self.lock().lanes[at].finished.unwrap_or_default()
    }

    /// Has a lane's sink told of records that another one of its name lost until now.
    pub(super) fn take_over(&self, at: usize, left: Left, now: SystemTime) {
        self.lanes[at].count_dropped(left.unwritten);
        if left.all() > 0 {
            let mut state = self.lock();
            state.lanes[at].lost.get_or_insert(Lost { since: now, count: 0 }).count += left.all();
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Bytes that wait for a sink, or are being written to it.
    pub(super) fn queued(&self, at: usize) -> usize {
        self.lock().lanes[at].queued
    }

    /// Nothing that holds the lock can panic half-way through a change, so a poisoned lock still guards a sound state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a writer waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    /// For lines, which then gather for a while; or for the time of its next tick.
    ForWork { gather: Duration, tick: Option<Duration> },
    /// For another try to write what it has.
    ForNextTry(Duration),
}

impl State {
    fn has_work(&self, at: usize) -> bool {
        self.has_lines(at) || self.lanes[at].reopen || self.closing
    }

    /// Whether there is something to write: lines, or the record of a gap.
    fn has_lines(&self, at: usize) -> bool {
        let lane = &self.lanes[at];
        !self.open.is_empty() || !lane.chunks.is_empty() || lane.lost.is_some()
    }
}

impl Lane {
    pub(super) fn new(name: String, limit: usize, when_full: WhenFull) -> Self {
        Self { name, limit, when_full, dropped: AtomicU64::new(0), failing: AtomicBool::new(false) }
    }

    pub(super) fn count_dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }
}
