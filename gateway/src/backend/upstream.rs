//! One exchange with an HTTP backend.
//!
//! hyper's client connection is polled by the task that serves the device, not by a task of its own: a request costs no
//! wake-up of another task, and a request that is dropped takes its connection with it.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use policies::Reason;
use tokio::time::{Instant, Sleep, sleep, timeout};

pub use self::answer::UpstreamBody;
use super::BackendLimits;
use super::connector::{ConnectError, Connector, Stream};
use super::outage::Outage;
use super::pool::Pool;
use crate::request::{Progress, RequestBody, RequestBodyError};

mod answer;

/// Read at once: enough for a profile of 8 KiB and its head. Also the largest head of an answer, as in HAProxy.
const READ_BYTES: usize = 16 * 1024;

/// An HTTP backend and the connections kept to it.
#[derive(Debug)]
pub(crate) struct Upstream {
    connector: Connector,
    limits: BackendLimits,
    pool: Arc<Pool<Box<Connection>>>,
    outage: Outage,
}

/// A connection and the state machine that moves it; boxed, so that it stays where it is from request to request.
#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<RequestBody>,
    driver: http1::Connection<TokioIo<Stream>, RequestBody>,
    /// One alarm for every wait: moving one to a later time takes no lock, setting a new one does.
    alarm: Pin<Box<Sleep>>,
}

impl Connection {
    /// Rings `after` from now.
    fn set_alarm(&mut self, after: Duration) {
        // Never now, which would ring again and again, and never past what the clock can hold.
        let after = after.clamp(Duration::from_millis(1), Duration::from_secs(30 * 365 * 86_400));
        self.alarm.as_mut().reset(Instant::now() + after);
    }
}

impl Upstream {
    pub(super) fn new(name: Arc<str>, connector: Connector, limits: BackendLimits) -> Self {
        let pool = Pool::new(limits.kept_connections, limits.kept_for);
        Self { connector, limits, pool, outage: Outage::new(name) }
    }

    /// The Host field for a request that has none.
    pub(crate) const fn host(&self) -> &HeaderValue {
        &self.connector.host
    }

    /// Sends one request. `head` makes the request's head, again when a kept connection turns out to be closed: the
    /// request is then repeated on a new one if nothing of it can have been acted on (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
    pub(crate) async fn send(
        &self,
        body: RequestBody,
        head: impl Fn() -> Request<()>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let progress = body.progress();
        let request = with_body(head(), body);
        let repeatable = progress.is_none() && request.method().is_idempotent();
        let request = match self.kept() {
            None => request,
            Some(connection) => match self.exchange(connection, request, progress.as_deref()).await {
                Err((UpstreamError::Closed(_), Some(unsent))) => unsent,
                Err((UpstreamError::Closed(_), None)) if repeatable => {
                    with_body(head(), RequestBody::empty())
                }
                other => return other.map_err(|(error, _)| error),
            },
        };
        let connection = self.connect().await?;
        self.exchange(connection, request, progress.as_deref()).await.map_err(|(error, _)| error)
    }

    /// A kept connection that the backend has not closed, as far as is known.
    fn kept(&self) -> Option<Box<Connection>> {
        while let Some(mut connection) = self.pool.take() {
            let mut context = Context::from_waker(Waker::noop());
            if Pin::new(&mut connection.driver).poll(&mut context).is_pending()
                && connection.sender.is_ready()
            {
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Box<Connection>, UpstreamError> {
        let connected = match timeout(self.limits.connect, self.connector.connect()).await {
            Ok(connected) => connected.map_err(UpstreamError::Connect),
            Err(_) => Err(UpstreamError::Timeout),
        };
        let stream = match connected {
            Ok(stream) => stream,
            Err(error) => {
                self.outage.failed(&error);
                return Err(error);
            }
        };
        self.outage.reached();
        let (sender, driver) = http1::Builder::new()
            .read_buf_exact_size(Some(READ_BYTES))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(UpstreamError::Closed)?;
        Ok(Box::new(Connection { sender, driver, alarm: Box::pin(sleep(self.limits.response)) }))
    }

    /// Sends `request` over `connection` and waits for the answer's head. A request that was not sent comes back.
    async fn exchange(
        &self,
        mut connection: Box<Connection>,
        request: Request<RequestBody>,
        progress: Option<&Progress>,
    ) -> Result<Response<UpstreamBody>, (UpstreamError, Option<Request<RequestBody>>)> {
        connection.set_alarm(self.limits.response);
        let mut answer = pin!(connection.sender.try_send_request(request));
        let mut seen = progress.map(Progress::received);
        let mut closed = false;
        let answer = std::future::poll_fn(|context| {
            if !closed {
                // What the driver found is told through `answer`.
                closed = Pin::new(&mut connection.driver).poll(context).is_ready();
            }
            // Only the driver, polled above, can complete the answer: no wake-up is needed.
            let mut unwoken = Context::from_waker(Waker::noop());
            if let Poll::Ready(answer) = answer.as_mut().poll(&mut unwoken) {
                return Poll::Ready(Some(answer));
            }
            while connection.alarm.as_mut().poll(context).is_ready() {
                // A device that is still sending has its own limits; the backend's time starts when it is done.
                let Some(progress) = progress else { return Poll::Ready(None) };
                let received = progress.received();
                if !progress.is_waiting() && seen == Some(received) {
                    return Poll::Ready(None);
                }
                seen = Some(received);
                connection.set_alarm(self.limits.response);
            }
            Poll::Pending
        })
        .await;
        match answer {
            None => Err((UpstreamError::Timeout, None)),
            Some(Ok(answer)) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err((UpstreamError::SwitchedProtocols, None))
            }
            Some(Ok(answer)) if !has_one_length(answer.headers()) => Err((UpstreamError::Framing, None)),
            Some(Ok(answer)) => Ok(answer.map(|incoming| self.body(incoming, connection, closed))),
            Some(Err(mut failure)) => {
                let request = failure.take_message();
                Err((UpstreamError::from_hyper(failure.into_error()), request))
            }
        }
    }

    fn body(&self, incoming: Incoming, connection: Box<Connection>, closed: bool) -> UpstreamBody {
        let connection = (!closed).then_some(connection);
        UpstreamBody::new(incoming, connection, Arc::downgrade(&self.pool), self.limits.idle)
    }
}

/// Whether `Content-Length` or `Transfer-Encoding: chunked` says how long an answer is, and not both: the length field
/// would go on to the device although the coding has decided (RFC 9112 §6.3). Another coding is one we cannot take off.
fn has_one_length(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => {
            coding.as_bytes().eq_ignore_ascii_case(b"chunked") && !headers.contains_key(CONTENT_LENGTH)
        }
        (Some(_), Some(_)) => false,
    }
}

fn with_body(head: Request<()>, body: RequestBody) -> Request<RequestBody> {
    head.map(|()| body)
}

/// Why a backend gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// The connection ended before the answer's head.
    #[error("the backend closed the connection")]
    Closed(#[source] hyper::Error),
    /// No connection could be opened.
    #[error(transparent)]
    Connect(ConnectError),
    /// The answer's length can be read in more than one way.
    #[error("the length of the backend's answer can be read in more than one way")]
    Framing,
    /// What came is no HTTP answer.
    #[error("the backend's answer is not HTTP")]
    Invalid(#[source] hyper::Error),
    /// The device's body failed, not the backend.
    #[error("the request did not arrive")]
    Request(#[source] hyper::Error),
    /// The backend answered 101 although no upgrade was asked for.
    #[error("the backend switched protocols unasked")]
    SwitchedProtocols,
    /// The backend took too long.
    #[error("the backend took too long")]
    Timeout,
    /// TLS failed after the handshake: in TLS 1.3 this is how a backend refuses our certificate.
    #[error("the backend ended the TLS connection")]
    Tls(#[source] hyper::Error),
}

/// Whether rustls is behind an error.
fn speaks_of_tls(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>())
}

impl UpstreamError {
    fn from_hyper(error: hyper::Error) -> Self {
        if error.is_user() {
            Self::Request(error)
        } else if error.is_parse() || error.is_parse_too_large() {
            Self::Invalid(error)
        } else if speaks_of_tls(&error) {
            Self::Tls(error)
        } else {
            Self::Closed(error)
        }
    }

    /// The stable reason code.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Closed(_) => Reason::BackendClosed,
            Self::Connect(ConnectError::Name | ConnectError::Tls(_)) | Self::Tls(_) => Reason::BackendTls,
            Self::Connect(ConnectError::Unreachable(_)) => Reason::BackendUnreachable,
            Self::Framing | Self::Invalid(_) | Self::SwitchedProtocols => Reason::BackendInvalidResponse,
            Self::Request(error) => std::error::Error::source(error)
                .and_then(|cause| cause.downcast_ref::<RequestBodyError>())
                .map_or(Reason::ClientGone, RequestBodyError::reason),
            Self::Timeout => Reason::BackendTimeout,
        }
    }
}

#[cfg(test)]
mod tests;
