//! One JSON line for every refused connection and every request.
//!
//! [`ConnectionFacts`] collects what is known of a connection; its [`fragment`](ConnectionFacts::fragment) is written once and
//! pasted into each of its [`AuditRecord`]s. [`Auditor::record`] never waits: it formats the line, copies it into a bounded queue
//! and returns; a thread of its own appends the queue to the file within 200 ms. When the queue is full, because the disk is, the
//! records that do not fit are counted, and a record of the gap (`"event":"gap"`, with `count` and `since`) follows as soon as the
//! file takes lines again.
//!
//! | member | what it holds |
//! | --- | --- |
//! | `v` | version of the format, 1 |
//! | `time` | when the record was made: RFC 3339, UTC, microseconds |
//! | `event` | `connection` (refused or failed before a request), `request`, `gap` |
//! | `connection`, `request` | identifiers; the request's stands on refusal pages |
//! | `peer`, `listener` | addresses and ports |
//! | `host` | the first name of the virtual host |
//! | `engine` | `modern` or `legacy` |
//! | `hello` | what the client offered: `versions`, `suites`, `sni`, `format` (`sslv2`), `extensions` (numbers), `groups`, `signature_algorithms`, `alpn`, `ja3`, `ja4` |
//! | `tls` | what was agreed: `version`, `suite`, `resumed` |
//! | `alert` | the TLS alert sent or received |
//! | `certificate` | the device's, also when refused: `subject`, `issuer`, `serial`, `sha256`, `not_after`, `depth` (certificates presented) |
//! | `exceptions` | tolerances that were needed: `sha1`, `md5`, `rsa-1024`, `x509-v1`, `expired` |
//! | `device` | `kind`, `product`, `serial`, `mac`, `profile` |
//! | `method`, `path`, `status`, `bytes` | the request and its answer |
//! | `rule`, `decision`, `reason`, `detail` | what decided, `permit`, `deny` or `waived`, the reason code, our words |
//! | `duration_us` | microseconds |
//! | `backend` | who answered |
//!
//! A fact that is not known is absent.

pub mod database;
pub mod entry;
mod facts;
mod identifier;
mod json;
pub mod query;
mod record;
mod sink;
mod writer;

use std::{
    cell::RefCell,
    io,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use self::writer::Queue;
pub use self::{
    database::{AuditDatabase, DatabaseError, DatabaseUrl},
    facts::{CertificateFacts, ConnectionFacts, ConnectionFragment, DeviceFacts, HelloFacts, TlsFacts},
    identifier::{ConnectionId, ConnectionIds, RequestId},
    record::{AuditRecord, Decision, Event},
    sink::{AuditSink, FileSink},
};

/// Takes audit records from the data path. Cheap to clone; never blocks.
#[derive(Debug, Clone)]
pub struct Auditor {
    queue: Option<Arc<Handle>>,
    clock: fn() -> SystemTime,
}

/// Ends the writer when the last auditor goes without [`Auditor::close`].
#[derive(Debug)]
struct Handle(Arc<Queue>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Auditor {
    /// Opens the file and starts the writer. The queue holds at most `queue_bytes` of lines.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not be started.
    pub fn to_file(path: &Path, queue_bytes: usize, clock: fn() -> SystemTime) -> io::Result<Self> {
        Self::to_sink(FileSink::open(path)?, queue_bytes, clock)
    }

    /// Starts the writer on any sink.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn to_sink(
        mut sink: impl AuditSink,
        queue_bytes: usize,
        clock: fn() -> SystemTime,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(queue_bytes));
        let of_writer = Arc::clone(&queue);
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer::run(&of_writer, &mut sink, clock))?;
        Ok(Self { queue: Some(Arc::new(Handle(queue))), clock })
    }

    /// An auditor that keeps nothing, for a configuration without `[audit]`.
    #[must_use]
    pub const fn disabled(clock: fn() -> SystemTime) -> Self {
        Self { queue: None, clock }
    }

    /// Records what happened. Never waits for the file.
    pub fn record(&self, record: &AuditRecord<'_>) {
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let Some(handle) = &self.queue else { return };
        let time = (self.clock)();
        LINE.with_borrow_mut(|line| {
            line.clear();
            record.write(time, line);
            handle.0.push(line, time);
        });
    }

    /// Opens the file anew, after it was moved away for rotation.
    pub fn reopen(&self) {
        if let Some(handle) = &self.queue {
            handle.0.reopen();
        }
    }

    /// How many records were lost since the start, because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.as_ref().map_or(0, |handle| handle.0.dropped())
    }

    /// Whether the last write failed.
    #[must_use]
    pub fn failing(&self) -> bool {
        self.queue.as_ref().is_some_and(|handle| handle.0.failing())
    }

    /// Writes what is queued and ends the writer; waits for that, blocking, at most `limit`. Later records are lost and counted.
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
    /// The file did not take them.
    #[error("{0} audit records could not be written")]
    Lost(u64),
    /// The file is still taking them.
    #[error("the audit file did not take the last records within {0:?}")]
    TooSlow(Duration),
}

#[cfg(test)]
mod tests;
