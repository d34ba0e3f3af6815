//! One JSON line for every refused connection and every request.
//!
//! [`ConnectionFacts`] collects what is known of a connection; its [`fragment`](ConnectionFacts::fragment) is written once and
//! pasted into each of its [`AuditRecord`]s. [`Auditor::record`] never waits: it formats the line once, copies it into a bounded
//! queue and returns; each sink has a thread of its own that takes its records from there (a file has them within 200 ms). When the
//! queue of one is full, because the disk is, the records that do not fit are counted, and a record of the gap (`"event":"gap"`,
//! with `count` and `since`) follows as soon as the sink takes lines again. A sink that is to lose nothing (`when-full = "refuse"`)
//! makes the gateway refuse new connections and requests instead: [`Auditor::has_room`].
//!
//! | member | what it holds |
//! | --- | --- |
//! | `v` | version of the format, 1 |
//! | `time` | when the record was made: RFC 3339, UTC, microseconds |
//! | `event` | `connection` (refused, or ended before a request), `request`, `closed` (the end of a connection that had requests), `repeated` (refusals that were counted), `gap` (records that were lost), `said` (a phone's own syslog message) |
//! | `connection`, `request` | identifiers; the request's stands on refusal pages |
//! | `peer`, `listener` | addresses and ports |
//! | `host` | the first name of the virtual host |
//! | `engine` | `modern` or `legacy` |
//! | `hello` | what the client offered: `versions`, `suites`, `sni`, `format` (`sslv2`), `ja4`; in the first record of a connection also `extensions` (numbers), `groups`, `signature_algorithms`, `alpn`, `ja3` |
//! | `tls` | what was agreed: `version`, `suite`, `resumed` |
//! | `alert` | the TLS alert sent or received |
//! | `certificate` | the device's, also when refused: `subject`, `issuer`, `serial`, `sha256`, `key_sha256` (of its public key), `not_after`, `depth` (certificates presented) |
//! | `exceptions` | tolerances that were needed: `sha1`, `md5`, `rsa-1024`, `x509-v1`, `expired` |
//! | `device` | `kind`, `product`, `serial`, `mac`, `profile` |
//! | `method`, `path`, `status`, `bytes` | the request and its answer; secrets in a query are shown as `***` |
//! | `user_agent` | the request's field of that name, its first 256 bytes |
//! | `requests`, `ended` | of `closed`: how many, with their `bytes` together, and how it ended: `done` (either side closed), `idle`, `overdue`, `broken` (the network, or what came was no request), `cut_off` (the gateway stopped) |
//! | `count`, `first`, `last` | of `repeated`: how many, when; the other members are those of the first of them |
//! | `count`, `since` | of `gap`: how many, since when |
//! | `said` | of `said`: what the phone says, which proves nothing: `mac`, `product`, `task` (`resync`, `upgrade`), `progress` (`requesting`, `successful`, `failed`), `url`, `error` |
//! | `rule`, `decision`, `reason`, `detail` | what decided, `permit`, `deny` or `waived`, the reason code, our words |
//! | `duration_us` | microseconds |
//! | `backend` | who answered |
//!
//! A fact that is not known is absent. Every connection leaves one record of its end, `connection` or `closed`, or is counted in one
//! `repeated`. No header field but the User-Agent, no body and no key is ever written.

pub mod database;
pub mod entry;
mod facts;
mod identifier;
mod json;
pub mod moment;
pub mod query;
mod queue;
mod record;
mod repetition;
mod said;
pub mod sink;
mod target;
mod writer;

use std::{
    cell::RefCell,
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, SystemTime},
};

use self::queue::{Lane, Queue};
pub(crate) use self::target::without_secrets;
pub use self::{
    database::{AuditDatabase, DatabaseError, DatabaseUrl},
    facts::{CertificateFacts, ConnectionFacts, ConnectionFragment, DeviceFacts, HelloFacts, TlsFacts},
    identifier::{ConnectionId, ConnectionIds, RequestId},
    record::{AuditRecord, Decision, Event},
    repetition::{OnRepetition, Repetition, Windows},
    said::{EntrySaid, Progress, Said, Task},
    sink::{
        AuditSink, DatabaseSink, Destination, Facility, FileSink, Keep, Message, Rotation, StdoutSink,
        SyslogConfig, SyslogFormat, SyslogHeader, SyslogSink, SyslogTls, WhenFull,
    },
};

/// Takes audit records from the data path. Cheap to clone; never blocks.
#[derive(Debug, Clone)]
pub struct Auditor {
    queue: Option<Arc<Handle>>,
    clock: fn() -> SystemTime,
}

/// Ends the writers when the last auditor goes without [`Auditor::close`].
#[derive(Debug)]
struct Handle(Arc<Queue>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// One sink of an auditor, before it starts.
pub struct Sink {
    /// What messages and metrics call it.
    pub name: String,
    /// Where its records go.
    pub sink: Box<dyn AuditSink>,
    /// Bytes of lines that may wait for it.
    pub queue: usize,
    /// What happens when they are that many.
    pub when_full: WhenFull,
}

/// How a sink does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkStatus {
    /// What it is called.
    pub name: String,
    /// Bytes that wait for it or are being written.
    pub queued: usize,
    /// Bytes that may.
    pub limit: usize,
    /// Records it lost since the start.
    pub dropped: u64,
    /// Whether the last write failed.
    pub failing: bool,
}

impl Auditor {
    /// Opens the file and starts the writer. The queue holds at most `queue_bytes` of lines.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not be started.
    pub fn to_file(path: &Path, queue_bytes: usize, clock: fn() -> SystemTime) -> io::Result<Self> {
        Self::to_sink(FileSink::open(path)?, queue_bytes, clock)
    }

    /// Starts the writer on any sink; what it does not take in time is dropped and counted.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn to_sink(sink: impl AuditSink, queue_bytes: usize, clock: fn() -> SystemTime) -> io::Result<Self> {
        let (name, when_full) = ("audit".to_owned(), WhenFull::DropAndCount);
        Self::start(vec![Sink { name, sink: Box::new(sink), queue: queue_bytes, when_full }], clock)
    }

    /// Starts one writer for each sink. A record is formatted once for all of them.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(sinks: Vec<Sink>, clock: fn() -> SystemTime) -> io::Result<Self> {
        let lanes = sinks.iter().map(|sink| Lane::new(sink.name.clone(), sink.queue, sink.when_full));
        let queue = Arc::new(Queue::new(lanes.collect()));
        // Made first: should a thread not start, those before it end.
        let handle = Handle(Arc::clone(&queue));
        for (at, Sink { mut sink, .. }) in sinks.into_iter().enumerate() {
            let of_writer = Arc::clone(&queue);
            thread::Builder::new()
                .name("audit".to_owned())
                .spawn(move || writer::run(&of_writer, at, &mut *sink, clock))?;
        }
        Ok(Self { queue: Some(Arc::new(handle)), clock })
    }

    /// An auditor that keeps nothing, for a configuration without `[audit]`.
    #[must_use]
    pub const fn disabled(clock: fn() -> SystemTime) -> Self {
        Self { queue: None, clock }
    }

    /// Whether nothing new may be served now: a sink with `when-full = "refuse"` has no room for the record.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.as_ref().is_some_and(|handle| handle.0.is_full())
    }

    /// Whether a sink falls behind so far that what is least needed is to be left out.
    #[must_use]
    pub fn is_half_full(&self) -> bool {
        self.queue.as_ref().is_some_and(|handle| handle.0.is_half_full())
    }

    /// Waits a second at most until there is room for new records; whether there is.
    pub async fn has_room(&self) -> bool {
        match &self.queue {
            Some(handle) if handle.0.is_full() => handle.0.wait_for_room().await,
            Some(_) | None => true,
        }
    }

    /// Records what happened. Never waits for the file.
    pub fn record(&self, record: &AuditRecord<'_>) {
        self.write(|time, line| record.write(time, line));
    }

    /// Hands over one line.
    fn write(&self, write: impl FnOnce(SystemTime, &mut Vec<u8>)) {
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let Some(handle) = &self.queue else { return };
        let time = (self.clock)();
        LINE.with_borrow_mut(|line| {
            line.clear();
            write(time, line);
            handle.0.push(line, time);
        });
    }

    /// Has every sink open its destination anew: a file was moved away for rotation.
    pub fn reopen(&self) {
        if let Some(handle) = &self.queue {
            handle.0.reopen();
        }
    }

    /// How each sink does.
    #[must_use]
    pub fn sinks(&self) -> Vec<SinkStatus> {
        let Some(handle) = &self.queue else { return Vec::new() };
        let status = |(at, lane): (usize, &Lane)| SinkStatus {
            name: lane.name.clone(),
            queued: handle.0.queued(at),
            limit: lane.limit,
            dropped: lane.dropped.load(Ordering::Relaxed),
            failing: lane.failing.load(Ordering::Relaxed),
        };
        handle.0.lanes().iter().enumerate().map(status).collect()
    }

    /// How many records the sinks lost since the start, together.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.sinks().iter().map(|sink| sink.dropped).sum()
    }

    /// Whether the last write to some sink failed.
    #[must_use]
    pub fn failing(&self) -> bool {
        self.sinks().iter().any(|sink| sink.failing)
    }

    /// Goes on where an auditor that was closed left off, sink by sink of the same name: what it lost counts here too, and a gap tells
    /// of what was never written.
    pub fn take_over(&self, closed: &Self) {
        let (Some(here), Some(there)) = (&self.queue, &closed.queue) else { return };
        for (at, lane) in there.0.lanes().iter().enumerate() {
            let Some(to) = here.0.lanes().iter().position(|here| here.name == lane.name) else { continue };
            here.0.lanes()[to].count_dropped(lane.dropped.load(Ordering::Relaxed));
            here.0.take_over(to, there.0.left(at), (self.clock)());
        }
    }

    /// Writes what is queued and ends the writers; waits for that, blocking, at most `limit`. Later records are lost and counted.
    ///
    /// # Errors
    /// [`Unwritten`] when records could not be written in time.
    pub fn close(&self, limit: Duration) -> Result<(), Unwritten> {
        let Some(handle) = &self.queue else { return Ok(()) };
        handle.0.close();
        match handle.0.wait_until_finished(limit) {
            Some(0) => Ok(()),
            Some(count) => Err(Unwritten::Lost(count)),
            None => Err(Unwritten::TooSlow(limit)),
        }
    }
}

/// Why an auditor could not be closed with everything written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwritten {
    /// A sink did not take them; counted for each sink.
    #[error("{0} audit records could not be written")]
    Lost(u64),
    /// A sink is still taking them.
    #[error("an audit sink did not take the last records within {0:?}")]
    TooSlow(Duration),
}

#[cfg(test)]
mod tests;
