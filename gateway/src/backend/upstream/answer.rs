//! The body of a backend's answer, and what becomes of the connection after it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::Connection;
use crate::backend::pool::Pool;
use crate::respond::BodyError;

/// A backend's body, untouched. It moves the connection it comes from, and gives it back for the next request.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    connection: Option<Box<Connection>>,
    pool: Weak<Pool<Box<Connection>>>,
    idle: Duration,
    /// Whether something came since the connection's alarm was set.
    moved: bool,
}

impl UpstreamBody {
    pub(super) fn new(
        incoming: Incoming,
        connection: Option<Box<Connection>>,
        pool: Weak<Pool<Box<Connection>>>,
        idle: Duration,
    ) -> Self {
        let mut body = Self { incoming, connection, pool, idle, moved: true };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // Only the driver fills `incoming`, and it is polled here: no other wake-up is needed.
        let mut unwoken = Context::from_waker(Waker::noop());
        let mut driven = false;
        loop {
            match Pin::new(&mut self.incoming).poll_frame(&mut unwoken) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    self.moved = true;
                    if self.incoming.is_end_stream() {
                        self.finish();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                // Trailer fields are dropped (RFC 9110 §6.5.1): none can carry a managed name (SEC-68).
                Poll::Ready(Some(Ok(_trailers))) => {}
                Poll::Ready(Some(Err(error))) => {
                    self.connection = None;
                    return Poll::Ready(Some(Err(BodyError::Backend(Some(error)))));
                }
                Poll::Ready(None) => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Poll::Pending if driven => {
                    return self.poll_alarm(context).map(|()| Some(Err(BodyError::Timeout)));
                }
                Poll::Pending => {
                    let Some(connection) = &mut self.connection else {
                        return Poll::Ready(Some(Err(BodyError::Backend(None))));
                    };
                    if Pin::new(&mut connection.driver).poll(context).is_ready() {
                        self.connection = None; // what it read before it ended is still in `incoming`
                    } else {
                        driven = true;
                    }
                }
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    /// Keeps the connection for the next request, if the backend lets us and the request has gone out whole.
    fn finish(&mut self) {
        let (Some(mut connection), Some(pool)) = (self.connection.take(), self.pool.upgrade()) else {
            return;
        };
        let mut unwoken = Context::from_waker(Waker::noop());
        if Pin::new(&mut connection.driver).poll(&mut unwoken).is_pending() && connection.sender.is_ready() {
            pool.keep(connection);
        }
    }

    /// Ready when the backend has been waited for too long. Time in which the device took nothing does not count.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(()) };
        if std::mem::take(&mut self.moved) {
            connection.set_alarm(self.idle);
        }
        connection.alarm.as_mut().poll(context)
    }
}
