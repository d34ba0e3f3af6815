//! One exchange with an HTTP backend.
//!
//! hyper's client connection is polled by the task that serves the device, not by a task of its own: a request costs no
//! wake-up of another task, and a request that is dropped takes its connection with it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until, timeout};

pub use self::answer::UpstreamBody;
use super::BackendLimits;
use super::connector::{ConnectError, Connector, Stream};
use super::pool::Pool;
use crate::request::{Progress, RequestBody, RequestBodyError};

mod answer;

/// Large enough for a profile of 8 KiB and its head to arrive in one read.
const READ_BYTES: usize = 16 * 1024;
/// The largest answer head, as Apache's own limit for one field times a few.
const HEAD_BYTES: usize = 64 * 1024;

/// An HTTP backend and the connections kept to it.
#[derive(Debug)]
pub(crate) struct Upstream {
    connector: Connector,
    limits: BackendLimits,
    pool: Arc<Pool<Connection>>,
}

/// A connection and the state machine that moves it.
#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<RequestBody>,
    driver: http1::Connection<TokioIo<Stream>, RequestBody>,
}

impl Upstream {
    pub(super) fn new(connector: Connector, limits: BackendLimits) -> Self {
        Self { connector, limits, pool: Pool::new(limits.kept_connections, limits.kept_for) }
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
        let repeatable = progress.is_none() && is_idempotent(request.method());
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
    fn kept(&self) -> Option<Connection> {
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

    async fn connect(&self) -> Result<Connection, UpstreamError> {
        let stream = timeout(self.limits.connect, self.connector.connect())
            .await
            .map_err(|_| UpstreamError::Timeout)?
            .map_err(UpstreamError::Connect)?;
        let (sender, driver) = http1::Builder::new()
            .read_buf_exact_size(Some(READ_BYTES))
            .max_header_size(HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(UpstreamError::Closed)?;
        Ok(Connection { sender, driver })
    }

    /// Sends `request` over `connection` and waits for the answer's head. A request that was not sent comes back.
    async fn exchange(
        &self,
        mut connection: Connection,
        request: Request<RequestBody>,
        progress: Option<&Progress>,
    ) -> Result<Response<UpstreamBody>, (UpstreamError, Option<Request<RequestBody>>)> {
        let mut deadline = pin!(sleep_until(Instant::now() + self.limits.response));
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
            while deadline.as_mut().poll(context).is_ready() {
                // A device that is still sending has its own limits; the backend's time starts when it is done.
                let Some(progress) = progress else { return Poll::Ready(None) };
                let received = progress.received();
                if !progress.is_waiting() && seen == Some(received) {
                    return Poll::Ready(None);
                }
                seen = Some(received);
                deadline.as_mut().reset(Instant::now() + self.limits.response);
            }
            Poll::Pending
        })
        .await;
        match answer {
            None => Err((UpstreamError::Timeout, None)),
            Some(Ok(answer)) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err((UpstreamError::SwitchedProtocols, None))
            }
            Some(Ok(answer)) => Ok(answer.map(|incoming| self.body(incoming, connection, closed))),
            Some(Err(mut failure)) => {
                let request = failure.take_message();
                Err((UpstreamError::from_hyper(failure.into_error()), request))
            }
        }
    }

    fn body(&self, incoming: Incoming, connection: Connection, closed: bool) -> UpstreamBody {
        let connection = (!closed).then_some(connection);
        UpstreamBody::new(incoming, connection, Arc::downgrade(&self.pool), self.limits.idle)
    }
}

fn with_body(head: Request<()>, body: RequestBody) -> Request<RequestBody> {
    head.map(|()| body)
}

/// RFC 9110 §9.2.2.
fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
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
}

impl UpstreamError {
    fn from_hyper(error: hyper::Error) -> Self {
        if error.is_user() {
            Self::Request(error)
        } else if error.is_parse() || error.is_parse_too_large() {
            Self::Invalid(error)
        } else {
            Self::Closed(error)
        }
    }

    /// What went wrong with the device's body, where that was the cause.
    pub(crate) fn request_body(&self) -> Option<&RequestBodyError> {
        let Self::Request(error) = self else { return None };
        std::error::Error::source(error)?.downcast_ref()
    }
}
