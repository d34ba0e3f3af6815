//! The clocks of one HTTP connection: how long it may idle, how long a head may take to arrive, and how long a
//! client may leave our answer unread. They run beneath hyper, on the plaintext stream, so that each expiry can
//! be told apart in the record.
//!
//! No timer is touched per request: the stream notes times in a few atomics of its own, and one sleeping timer
//! looks at them when it wakes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use policies::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::handshake::Stream;

/// The limits that apply between and around requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How long a connection may wait for its next request.
    pub(super) idle: Duration,
    /// How long a request's head may take from its first byte.
    pub(super) header: Duration,
    /// The slowest client, in bytes of our answer a second; only time spent waiting for it counts. Zero: any.
    pub(super) rate: u64,
}

/// What the connection is doing, and since when. Shared by the stream, the service and the timer of one
/// connection; nothing else sees it.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    phase: AtomicU8,
    /// Milliseconds after `began` when the phase was entered.
    since: AtomicU64,
    /// Milliseconds after `began` when a write first found the client not reading; zero when it reads.
    stalled: AtomicU64,
    /// Milliseconds spent waiting for the client to read since the request began, ended waits only.
    waited: AtomicU64,
    /// Octets the client has taken since the request began.
    taken: AtomicU64,
    /// Whether the client has said that it sends nothing more.
    ended: AtomicBool,
    patience: Patience,
}

/// How long a connection idles before it gives up its buffers, 16 KiB of them, and what is made again for the next request:
/// longer than a phone takes from one request to the next when it is at work, and so short that of a crowd that calls at once the
/// later ones find the memory of the earlier.
pub(super) const PARK_AFTER: Duration = Duration::from_millis(250);

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

/// What the timer finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing is overdue; look again then.
    Again(Instant),
    /// The connection idled to its end: no fault of anybody.
    Idle,
    /// Nothing has come since the last answer for [`PARK_AFTER`], and the answer is out whole.
    Park,
    /// Something took too long.
    Overdue(Reason),
}

impl Activity {
    /// A connection that waits for its first request from `began` on, no longer than for a request's head:
    /// whoever just finished a handshake has something to ask.
    pub(super) fn new(began: Instant, patience: Patience) -> Self {
        Self {
            began,
            phase: AtomicU8::new(HEAD),
            since: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            patience,
        }
    }

    /// A request's head is whole: from here the request's own limits hold.
    pub(super) fn request_began(&self) {
        self.waited.store(0, Ordering::Relaxed);
        self.taken.store(0, Ordering::Relaxed);
        self.phase.store(BUSY, Ordering::Relaxed);
    }

    /// The answer is out: the connection waits again.
    pub(super) fn request_ended(&self) {
        self.enter(IDLE);
    }

    /// Whether the client has closed its side.
    pub(super) fn client_has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether an answer is on its way, which takes along what waits for the next write.
    fn is_busy(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == BUSY
    }

    /// When to look for the first time.
    pub(super) fn first_look(&self, now: Instant) -> Instant {
        now + self.patience.header.min(self.patience.idle).min(PARK_AFTER)
    }

    /// When a connection that idles now has idled to its end.
    pub(super) fn idle_end(&self) -> Instant {
        self.began + Duration::from_millis(self.since.load(Ordering::Relaxed)) + self.patience.idle
    }

    /// Whether anything is overdue at `now`.
    pub(super) fn look(&self, now: Instant) -> Look {
        let stalled = self.stalled.load(Ordering::Relaxed);
        if stalled > 0 {
            let since = self.began + Duration::from_millis(stalled);
            let end = since + self.patience.idle.min(self.left_to_wait());
            return if now >= end { Look::Overdue(Reason::ClientGone) } else { Look::Again(end) };
        }
        let since = self.began + Duration::from_millis(self.since.load(Ordering::Relaxed));
        let (end, overdue) = match self.phase.load(Ordering::Relaxed) {
            IDLE => (since + self.patience.idle, Look::Idle),
            HEAD => (since + self.patience.header, Look::Overdue(Reason::HeaderTimeout)),
            _ => return Look::Again(self.first_look(now)),
        };
        if now >= end {
            return overdue;
        }
        if overdue == Look::Idle && now >= since + PARK_AFTER {
            return Look::Park;
        }
        // A head may begin while we sleep and be due before an idle connection would be, or a request end.
        Look::Again(end.min(self.first_look(now)))
    }

    /// How much longer the client may be waited for at one stretch, so that it does not fall below the rate: the
    /// header's time, and a second for each `rate` octets it has taken.
    fn left_to_wait(&self) -> Duration {
        let earned = match self.taken.load(Ordering::Relaxed).checked_div(self.patience.rate) {
            Some(seconds) => Duration::from_secs(seconds),
            None => return Duration::MAX,
        };
        let waited = Duration::from_millis(self.waited.load(Ordering::Relaxed));
        self.patience.header.saturating_add(earned).saturating_sub(waited)
    }

    fn enter(&self, phase: u8) {
        self.since.store(self.elapsed(), Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }

    fn bytes_came(&self, bytes: &[u8]) {
        if !is_blank(bytes) && self.phase.load(Ordering::Relaxed) == IDLE {
            self.enter(HEAD);
        }
    }

    fn writing(&self, written: &Poll<io::Result<usize>>) {
        let stalled = self.stalled.load(Ordering::Relaxed);
        match written {
            Poll::Ready(written) => {
                let taken = written.as_ref().ok().and_then(|octets| u64::try_from(*octets).ok());
                self.taken.fetch_add(taken.unwrap_or(0), Ordering::Relaxed);
                if stalled > 0 {
                    self.waited.fetch_add(self.elapsed().saturating_sub(stalled), Ordering::Relaxed);
                    self.stalled.store(0, Ordering::Relaxed);
                }
            }
            Poll::Pending if stalled == 0 => self.stalled.store(self.elapsed().max(1), Ordering::Relaxed),
            Poll::Pending => {}
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Whether octets before a request are nothing: empty lines (RFC 9112 §2.2).
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// A stream that notes what passes through it.
#[derive(Debug)]
pub(super) struct Watched {
    ahead: Bytes,
    stream: Stream,
    activity: Arc<Activity>,
}

impl Watched {
    /// Watches a stream, of which `ahead` was read already and not used.
    pub(super) fn new(ahead: Bytes, stream: Stream, activity: Arc<Activity>) -> Self {
        Self { ahead, stream, activity }
    }

    /// The stream itself again.
    pub(super) fn into_inner(self) -> Stream {
        self.stream
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let now = self.ahead.len().min(into.remaining());
            let now = self.ahead.copy_to_bytes(now);
            self.activity.bytes_came(&now);
            into.put_slice(&now);
            return Poll::Ready(Ok(()));
        }
        let (before, room) = (into.filled().len(), into.remaining());
        let polled = Pin::new(&mut self.stream).poll_read(context, into);
        match into.filled().get(before..) {
            Some(bytes) if !bytes.is_empty() => self.activity.bytes_came(bytes),
            _ if matches!(polled, Poll::Ready(Ok(()))) && room > 0 => {
                self.activity.ended.store(true, Ordering::Relaxed);
            }
            _ if polled.is_pending() && !self.activity.is_busy() => {
                if let Poll::Ready(Err(error)) = self.stream.poll_release(context) {
                    return Poll::Ready(Err(error));
                }
            }
            _ => {}
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.activity.writing(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.activity.writing(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.activity.writing(&if polled.is_ready() { Poll::Ready(Ok(0)) } else { Poll::Pending });
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { idle: Duration::from_secs(75), header: Duration::from_secs(10), rate: 0 };

    fn after(activity: &Activity, milliseconds: u64) -> Look {
        activity.look(activity.began + Duration::from_millis(milliseconds))
    }

    #[test]
    fn an_idle_connection_ends_without_a_reason_and_a_slow_head_with_one() {
        let activity = Activity::new(Instant::now(), PATIENCE);
        assert!(matches!(after(&activity, 9_999), Look::Again(_)));
        assert_eq!(after(&activity, 10_000), Look::Overdue(Reason::HeaderTimeout));
        activity.request_began();
        activity.request_ended();
        assert!(matches!(after(&activity, 240), Look::Again(_)));
        assert_eq!(after(&activity, 300), Look::Park, "its buffers are worth more than it");
        assert_eq!(after(&activity, 74_999), Look::Park);
        assert_eq!(after(&activity, 75_100), Look::Idle);
        activity.bytes_came(b"\r\n");
        assert_eq!(after(&activity, 74_999), Look::Park, "an empty line is nothing");
        activity.bytes_came(b"GET");
        assert!(matches!(after(&activity, 9_000), Look::Again(_)));
        assert_eq!(after(&activity, 10_100), Look::Overdue(Reason::HeaderTimeout));
        activity.request_began();
        assert!(matches!(after(&activity, 500_000), Look::Again(_)), "a request has limits of its own");
        activity.request_ended();
        assert_eq!(after(&activity, 70_000), Look::Park);
    }

    #[test]
    fn a_client_that_stops_reading_is_given_up_after_the_idle_timeout() {
        let activity = Activity::new(Instant::now(), PATIENCE);
        activity.request_began();
        activity.writing(&Poll::Pending);
        assert!(matches!(after(&activity, 70_000), Look::Again(_)));
        assert_eq!(after(&activity, 76_000), Look::Overdue(Reason::ClientGone));
        activity.writing(&Poll::Ready(Ok(1)));
        assert!(matches!(after(&activity, 76_000), Look::Again(_)));
    }

    #[test]
    fn a_client_that_reads_below_the_rate_is_given_up_and_one_above_it_is_not() {
        let patience = Patience { rate: 500, ..PATIENCE };
        let activity = Activity::new(Instant::now(), patience);
        activity.request_began();
        // It took 5 000 octets in waits of 15 seconds together: 10 for the head's time, 10 for what it took.
        activity.taken.store(5_000, Ordering::Relaxed);
        activity.waited.store(15_000, Ordering::Relaxed);
        activity.stalled.store(1, Ordering::Relaxed);
        assert!(matches!(after(&activity, 4_900), Look::Again(_)));
        assert_eq!(after(&activity, 5_100), Look::Overdue(Reason::ClientGone));
        activity.taken.store(50_000, Ordering::Relaxed);
        assert!(matches!(after(&activity, 5_100), Look::Again(_)));
    }
}
