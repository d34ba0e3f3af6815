//! A request's body on its way to the backend: counted, bounded, and never waited for without end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use policies::Reason;
use tokio::time::{Instant, Sleep, sleep_until};

/// How large and how slow a request's body may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BodyLimits {
    /// The largest body, in bytes.
    pub bytes: u64,
    /// The slowest device, in bytes per second; only time spent waiting for the device counts.
    pub rate: u64,
    /// How long a device may take at first, whatever the rate.
    pub grace: Duration,
}

impl Default for BodyLimits {
    /// 1 MiB, 500 bytes per second after 10 seconds (Apache's `RequestReadTimeout body=20,MinRate=500` allows 20).
    fn default() -> Self {
        Self { bytes: 1 << 20, rate: 500, grace: Duration::from_secs(10) }
    }
}

impl BodyLimits {
    /// How long a device may have been waited for once it has sent `received` bytes.
    fn patience(&self, received: u64) -> Duration {
        match received.saturating_mul(1000).checked_div(self.rate) {
            Some(milliseconds) => self.grace.saturating_add(Duration::from_millis(milliseconds)),
            None => Duration::MAX,
        }
    }
}

/// Why a request's body ended early.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    /// The device closed the connection or broke the framing.
    #[error("the device did not finish its request")]
    Device(#[source] hyper::Error),
    /// More bytes came than allowed.
    #[error("the request's body is larger than {limit} bytes")]
    TooLarge {
        /// The largest body accepted, in bytes.
        limit: u64,
    },
    /// Bytes came slower than allowed.
    #[error("the request's body came too slowly: {received} bytes")]
    TooSlow {
        /// Bytes received until then.
        received: u64,
    },
}

impl RequestBodyError {
    /// The stable reason code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Device(error) if is_broken_framing(error) => Reason::BadRequest,
            Self::Device(_) => Reason::ClientGone,
            Self::TooLarge { .. } => Reason::BodyTooLarge,
            Self::TooSlow { .. } => Reason::BodyTooSlow,
        }
    }
}

/// Whether the device sent chunks that are none, rather than stopped sending: hyper says so by the kind of an I/O error,
/// and so does the TLS library for its own troubles.
fn is_broken_framing(error: &hyper::Error) -> bool {
    std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>()).is_some_and(
        |cause| {
            matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
                && !cause.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
        },
    )
}

/// A request's body within its limits. Trailer fields are dropped (RFC 9110 §6.5.1), so none can carry an identity (SEC-03).
#[derive(Debug)]
pub struct RequestBody<B = Incoming> {
    inner: Option<Metered<B>>,
}

#[derive(Debug)]
struct Metered<B> {
    body: B,
    limits: BodyLimits,
    received: u64,
    /// Time spent waiting for the device so far.
    waited: Duration,
    waiting: Option<Waiting>,
    progress: Arc<Progress>,
}

/// How far a body has come, for whoever waits for the backend meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    received: AtomicU64,
    waiting: AtomicBool,
}

impl Progress {
    /// Bytes received from the device.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether the device is being waited for.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<B: Body<Data = Bytes>> RequestBody<B> {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self { inner: None }
    }

    /// `body` within `limits`.
    #[must_use]
    pub fn new(body: B, limits: BodyLimits) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        let (waited, progress) = (Duration::ZERO, Arc::default());
        Self { inner: Some(Metered { body, limits, received: 0, waited, waiting: None, progress }) }
    }

    /// How far it has come; none where there is no body.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        self.inner.as_ref().map(|metered| Arc::clone(&metered.progress))
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        match &mut self.inner {
            Some(metered) => metered.poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(|metered| metered.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), |metered| metered.body.size_hint())
    }
}

impl<B> Metered<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                self.progress.waiting.store(true, Ordering::Relaxed);
                ready!(self.poll_patience(context));
                return Poll::Ready(Some(Err(RequestBodyError::TooSlow { received: self.received })));
            };
            if let Some(Waiting { since, .. }) = self.waiting.take() {
                self.waited = self.waited.saturating_add(since.elapsed());
                self.progress.waiting.store(false, Ordering::Relaxed);
            }
            return Poll::Ready(match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Some(self.count(data)),
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => Some(Err(RequestBodyError::Device(error))),
                None => None,
            });
        }
    }

    fn count(&mut self, data: Bytes) -> Result<Frame<Bytes>, RequestBodyError> {
        self.received = self.received.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        self.progress.received.store(self.received, Ordering::Relaxed);
        if self.received > self.limits.bytes {
            return Err(RequestBodyError::TooLarge { limit: self.limits.bytes });
        }
        Ok(Frame::data(data))
    }

    /// Ready when the device has been waited for too long.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (limits, received, waited) = (self.limits, self.received, self.waited);
        let waiting = self.waiting.get_or_insert_with(|| {
            let since = Instant::now();
            let deadline = since.checked_add(limits.patience(received).saturating_sub(waited));
            Waiting { since, alarm: deadline.map(|deadline| Box::pin(sleep_until(deadline))) }
        });
        match &mut waiting.alarm {
            Some(alarm) => alarm.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}
