//! HTTP on an established connection: hyper reads the requests, [`exchange`](super::exchange) answers them, and
//! the clocks of [`deadlines`](super::deadlines) end what takes too long.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use policies::Reason;
use tokio::sync::watch;
use tokio::time::Instant;

use super::deadlines::{Activity, Look, Patience, Watched, is_blank};
use super::exchange::answer;
use super::session::{Session, Unfit};
use super::{Established, answer_its_end, close};
use crate::audit::{AuditRecord, ConnectionFacts, ConnectionFragment, Decision, Event};
use crate::handshake::Stream;
use crate::metrics;
use crate::server::{Gateway, Stopping};
use crate::site::ListenerKey;

/// Makes ready to serve the requests of an established connection.
///
/// # Errors
/// The client cannot be vouched for to a backend; that is on record, and only the goodbye is left to be said.
pub(super) fn begin(
    gateway: Arc<Gateway>,
    established: Established,
    key: ListenerKey,
    facts: Box<ConnectionFacts>,
    at: Instant,
    stopping: watch::Receiver<Stopping>,
) -> Result<(Box<Served>, Stream), Stream> {
    let limits = established.site.limits();
    let (header_count, header_size) = (limits.header_count, limits.header_size);
    let patience =
        Patience { idle: limits.idle_timeout, header: limits.header_timeout, rate: limits.min_body_rate };
    let activity = Arc::new(Activity::new(Instant::now(), patience));
    let auditing = Arc::clone(&gateway);
    let session = Session::new(gateway, key, Arc::clone(&activity), facts, established);
    let (session, stream) = session.map_err(|(stream, Unfit { reason, detail, fragment })| {
        record(&auditing, &fragment, Event::Connection, None, Some((reason, &detail)), at);
        stream
    })?;
    let served = Box::new(Served {
        session: Arc::new(session),
        activity,
        header_count,
        header_size,
        stopping,
        until: Stopping::Finishing,
        at,
    });
    Ok((served, stream))
}

/// A connection whose requests are served.
pub(super) struct Served {
    session: Arc<Session>,
    activity: Arc<Activity>,
    header_count: usize,
    header_size: usize,
    stopping: watch::Receiver<Stopping>,
    /// What end of the gateway is waited for.
    until: Stopping,
    /// When the connection began.
    at: Instant,
}

/// How a stretch of activity ended.
enum Active {
    /// Nothing has come for a while. hyper and its buffers are gone; what is left is the encrypted stream.
    Idle(Stream),
    /// The same, but the beginning of the next request had come before the last one was answered.
    Begun(Stream, Bytes),
    /// The connection's end.
    Ended(Ended, Stream),
}

impl Served {
    /// Serves the connection's requests to its end.
    pub(super) async fn serve(mut self: Box<Self>, mut stream: Stream) {
        let mut ahead = Bytes::new();
        let ended = loop {
            // Boxed: a connection that is parked keeps none of it.
            stream = match Box::pin(self.active(stream, std::mem::take(&mut ahead))).await {
                Active::Idle(stream) => stream,
                Active::Begun(stream, begun) => {
                    ahead = begun;
                    stream
                }
                Active::Ended(ended, left) => {
                    stream = left;
                    break ended;
                }
            };
            if !ahead.is_empty() {
                continue;
            }
            self.session.park();
            if let Some(ended) = self.parked(&stream).await {
                break ended;
            }
            self.session.wake(&stream);
        };
        let says_goodbye = match &ended {
            Ended::Http(_) | Ended::Idle | Ended::Overdue(Reason::HeaderTimeout) => true,
            // One does not read, and for the other there is no time.
            Ended::Overdue(_) | Ended::CutOff => false,
        };
        record_end(&self.session, ended, self.at);
        if !says_goodbye {
            return;
        }
        let has_ended = self.activity.client_has_ended();
        drop(self);
        if has_ended {
            Box::pin(answer_its_end(stream)).await;
        } else {
            Box::pin(close(stream)).await;
        }
    }

    /// Serves requests until the connection ends, or idles for so long that its buffers are not worth their memory.
    async fn active(&mut self, stream: Stream, ahead: Bytes) -> Active {
        let Self { session, activity, header_count, header_size, stopping, until, at: _ } = self;
        let mut builder = http1::Builder::new();
        builder
            .max_headers(*header_count)
            .max_header_size(*header_size)
            // An unfinished head is only bounded by the buffer, which holds 400 KiB unless told otherwise.
            .max_buf_size((*header_size + 1024).max(16 * 1024))
            // Our own clocks tell an idle client from a slow one.
            .header_read_timeout(None)
            .auto_date_header(true);
        let of_requests = Arc::clone(session);
        // Boxed: an idle connection then holds no room for a request's state.
        let service = service_fn(move |request| Box::pin(answer(Arc::clone(&of_requests), request)));
        let watched = Watched::new(ahead, stream, Arc::clone(activity));
        let mut connection = builder.serve_connection(TokioIo::new(watched), service);

        let mut timer = pin!(tokio::time::sleep_until(activity.first_look(Instant::now())));
        let ended = loop {
            let polled = poll_fn(|context| {
                if let Poll::Ready(done) = connection.poll_without_shutdown(context) {
                    return Poll::Ready(Turn::Done(done));
                }
                timer.as_mut().poll(context).map(|()| Turn::Look)
            });
            let wanted = *until;
            let turn = tokio::select! {
                biased;
                turn = polled => turn,
                reached = stopping.wait_for(|now| *now >= wanted) => {
                    Turn::Stop(reached.map_or(Stopping::CutOff, |now| *now))
                }
            };
            match turn {
                Turn::Done(done) => break Some(Ended::Http(done)),
                Turn::Look => match activity.look(Instant::now()) {
                    Look::Again(at) => timer.as_mut().reset(at),
                    Look::Idle => break Some(Ended::Idle),
                    Look::Overdue(reason) => break Some(Ended::Overdue(reason)),
                    Look::Park => break None,
                },
                Turn::Stop(Stopping::CutOff) => break Some(Ended::CutOff),
                Turn::Stop(Stopping::Running | Stopping::Finishing) => {
                    *until = Stopping::CutOff;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        // Whatever request was under way is dropped here, and writes its record. Of a connection that idles, everything is written;
        // of what hyper has read and not used, all but empty lines begins a request.
        let parts = connection.into_parts();
        let stream = parts.io.into_inner().into_inner();
        match ended {
            Some(ended) => Active::Ended(ended, stream),
            None if is_blank(&parts.read_buf) => Active::Idle(stream),
            None => Active::Begun(stream, parts.read_buf),
        }
    }

    /// Waits for the next request of an idle connection without a buffer to read it into. `None` when something came.
    async fn parked(&mut self, stream: &Stream) -> Option<Ended> {
        let until = self.until;
        tokio::select! {
            biased;
            // An error shows when it is read.
            _ = stream.readable() => None,
            () = tokio::time::sleep_until(self.activity.idle_end()) => Some(Ended::Idle),
            reached = self.stopping.wait_for(|now| *now >= until) => {
                // With no request under way, there is nothing to finish.
                Some(if reached.is_ok_and(|now| *now < Stopping::CutOff) { Ended::Idle } else { Ended::CutOff })
            }
        }
    }
}

enum Turn {
    Done(hyper::Result<()>),
    Look,
    Stop(Stopping),
}

enum Ended {
    CutOff,
    Http(hyper::Result<()>),
    Idle,
    Overdue(Reason),
}

/// Records the end of the connection: with its totals where it had requests; otherwise that a head was refused or never came, or
/// that a sound handshake was not followed by a request.
fn record_end(session: &Session, ended: Ended, at: Instant) {
    let how = match &ended {
        Ended::CutOff => "cut_off",
        Ended::Http(Ok(())) => "done",
        Ended::Http(Err(_)) => "broken",
        Ended::Idle => "idle",
        Ended::Overdue(_) => "overdue",
    };
    // What hyper has answered by itself, where it has.
    let refused = match ended {
        Ended::Overdue(Reason::HeaderTimeout) => {
            Some((Reason::HeaderTimeout, "the request's head did not arrive in time".to_owned(), None))
        }
        Ended::Http(Err(error)) if error.is_parse_too_large() => {
            Some((Reason::HeadersTooLarge, error.to_string(), Some(431)))
        }
        Ended::Http(Err(error)) if error.is_parse() => {
            let text = match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            };
            Some((Reason::BadRequest, text, Some(400)))
        }
        Ended::Http(_) | Ended::Idle | Ended::Overdue(_) | Ended::CutOff => None,
    };
    if let Some((reason, _, status)) = refused {
        session.gateway.metrics().refused_head(metrics::Request {
            host: session.host(),
            rule: None,
            status,
            reason: Some(reason),
        });
    }
    let refused = refused.as_ref().map(|(reason, detail, _)| (*reason, detail.as_str()));
    let requests = u64::from(session.requests.load(Ordering::Relaxed));
    let octets = session.octets.load(Ordering::Relaxed);
    let (event, bytes) = match requests {
        0 => (Event::Connection, None),
        _ => (Event::Closed { requests, ended: how }, Some(octets)),
    };
    record(&session.gateway, &session.fragment(), event, bytes, refused, at);
}

/// A record of the connection itself; refused with a reason, or not.
fn record(
    gateway: &Gateway,
    fragment: &ConnectionFragment,
    event: Event,
    bytes: Option<u64>,
    refused: Option<(Reason, &str)>,
    at: Instant,
) {
    gateway.auditor().record(&AuditRecord {
        bytes,
        decision: Some(if refused.is_some() { Decision::Deny } else { Decision::Permit }),
        reason: refused.map(|(reason, _)| reason.as_str()),
        detail: refused.map(|(_, detail)| detail),
        ..AuditRecord::new(fragment, event, at.elapsed())
    });
}
