//! HTTP on an established connection: hyper reads the requests, the steps judge and forward them, and every
//! request leaves one record.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use policies::Reason;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

use super::deadlines::{Activity, Look, Patience, Watched};
use super::{Established, add_peer};
use crate::audit::{AuditRecord, ConnectionFacts, ConnectionFragment, Decision, Event, RequestId};
use crate::authorize::authorize;
use crate::clock;
use crate::forward::forward;
use crate::handshake::{self, Stream, TlsFacts};
use crate::peer::{Peer, Refusal};
use crate::request::Inbound;
use crate::respond::{self, Afterwards, Body, Ending, Observed};
use crate::rewrite::{PeerFacts, PeerFields, rewrite};
use crate::server::Gateway;
use crate::site::{ListenerKey, Site, VirtualHost};

/// What is in force for the requests of a connection; replaced as a whole after a reload.
#[derive(Debug)]
struct Judged {
    site: Arc<Site>,
    host: Arc<VirtualHost>,
    peer: Peer,
    fields: Arc<PeerFields>,
    fragment: ConnectionFragment,
    /// When the dates and revocation lists were last looked at, in seconds since 1970.
    checked: AtomicI64,
}

/// How long a kept connection goes without a new look at its dates and revocation lists, in seconds. A reload is
/// noticed at once; this is for a certificate, or a list, that expires while nothing else changes.
const RECHECK_AFTER: i64 = 60;

/// One connection with an established client.
struct Session {
    gateway: Arc<Gateway>,
    key: ListenerKey,
    tls: TlsFacts,
    facts: ConnectionFacts,
    activity: Arc<Activity>,
    requests: AtomicU32,
    /// Locked by this connection's own requests only, one after the other.
    judged: Mutex<Arc<Judged>>,
}

/// Serves the requests of one connection to its end.
pub(super) async fn serve(
    gateway: Arc<Gateway>,
    established: Established,
    key: ListenerKey,
    facts: ConnectionFacts,
    at: Instant,
    mut stopping: watch::Receiver<bool>,
) {
    let Established { stream, tls, peer, host, site } = established;
    let limits = site.limits().clone();
    let judged = match judged(site, host, peer, &facts, &tls) {
        Ok(judged) => judged,
        Err((reason, detail)) => {
            record_connection(&gateway, &facts.fragment(), Some((reason, &detail)), at);
            close(stream).await;
            return;
        }
    };
    let patience = Patience { idle: limits.idle_timeout, header: limits.header_timeout };
    let activity = Arc::new(Activity::new(Instant::now(), patience));
    let session = Arc::new(Session {
        gateway,
        key,
        tls,
        facts,
        activity: Arc::clone(&activity),
        requests: AtomicU32::new(0),
        judged: Mutex::new(Arc::new(judged)),
    });

    let mut builder = http1::Builder::new();
    builder
        .max_headers(limits.header_count)
        .max_header_size(limits.header_size)
        // Our own clocks tell an idle client from a slow one.
        .header_read_timeout(None)
        .auto_date_header(true);
    let of_requests = Arc::clone(&session);
    // Boxed: an idle connection then holds no room for a request's state.
    let service = service_fn(move |request| Box::pin(answer(Arc::clone(&of_requests), request)));
    let mut connection =
        builder.serve_connection(TokioIo::new(Watched::new(stream, Arc::clone(&activity))), service);

    let mut timer = pin!(tokio::time::sleep(patience.header.min(patience.idle)));
    let mut leaving = false;
    let ended = loop {
        let polled = poll_fn(|context| {
            if let Poll::Ready(done) = connection.poll_without_shutdown(context) {
                return Poll::Ready(Turn::Done(done));
            }
            timer.as_mut().poll(context).map(|()| Turn::Look)
        });
        let turn = tokio::select! {
            biased;
            turn = polled => turn,
            _ = stopping.wait_for(|stopping| *stopping), if !leaving => Turn::Leave,
        };
        match turn {
            Turn::Done(done) => break Ended::Http(done),
            Turn::Leave => {
                leaving = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            Turn::Look => match activity.look(Instant::now()) {
                Look::Again(at) => timer.as_mut().reset(at),
                Look::Idle => break Ended::Idle,
                Look::Overdue(reason) => break Ended::Overdue(reason),
            },
        }
    };
    let stream = connection.into_parts().io.into_inner().into_inner();
    session.record_end(ended, at);
    close(stream).await;
}

enum Turn {
    Done(hyper::Result<()>),
    Leave,
    Look,
}

enum Ended {
    Http(hyper::Result<()>),
    Idle,
    Overdue(Reason),
}

/// Says goodbye on both layers and lets the last answer arrive before the socket goes.
async fn close(mut stream: Stream) {
    if stream.shutdown().await.is_ok() {
        let (stream, _) = stream.into_inner();
        handshake::drain(stream).await;
    }
}

fn judged(
    site: Arc<Site>,
    host: Arc<VirtualHost>,
    peer: Peer,
    facts: &ConnectionFacts,
    tls: &TlsFacts,
) -> Result<Judged, (Reason, String)> {
    let now = clock::now();
    let fields = PeerFields::new(
        &host.config().headers,
        &PeerFacts {
            chain: peer.chain(),
            principal: peer.principal(),
            version: tls.version,
            suite: tls.suite,
            resumed: tls.resumed,
            server_name: tls.server_name.as_deref(),
            client: facts.peer.ip(),
            now,
        },
    )
    .map_err(|error| (error.reason(), error.to_string()))?;
    let fields = Arc::new(fields);
    Ok(Judged { site, host, peer, fields, fragment: facts.fragment(), checked: AtomicI64::new(now.unix()) })
}

/// What one request came to, for its record and its answer.
struct Outcome {
    response: Response<Body>,
    rule: Option<Arc<str>>,
    decision: Option<Decision>,
    reason: Option<Reason>,
    detail: Option<String>,
    backend: Option<Arc<str>>,
}

async fn answer(
    session: Arc<Session>,
    request: Request<Incoming>,
) -> Result<Response<Observed<impl FnOnce(Ending, u64)>>, Infallible> {
    let began = Instant::now();
    session.activity.request_began();
    let number = session.requests.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    let id = session.facts.connection.request(number);
    let name = RequestName::new(id);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let (outcome, fragment) = session.judge_and_forward(request, &name).await;
    let Outcome { response, rule, decision, reason, detail, backend } = outcome;
    let status = response.status();
    let report = move |ending: Ending, bytes: u64| {
        let ended = match ending {
            Ending::Complete => None,
            // The body of an answer to HEAD is never asked for.
            Ending::Abandoned if method == Method::HEAD => None,
            Ending::Abandoned => Some(Reason::ClientGone),
            Ending::Failed(reason) => Some(reason),
        };
        let path =
            uri.path_and_query().map_or_else(|| uri.path().as_bytes(), |target| target.as_str().as_bytes());
        session.gateway.auditor().record(&AuditRecord {
            method: Some(method.as_str()),
            path: Some(path),
            status: Some(status.as_u16()),
            bytes: Some(bytes),
            rule: rule.as_deref(),
            decision,
            reason: reason.or(ended).map(Reason::as_str),
            detail: detail.as_deref(),
            backend: backend.as_deref(),
            ..AuditRecord::new(&fragment, Event::Request(id), began.elapsed())
        });
        session.activity.request_ended();
    };
    Ok(response.map(|body| Observed::new(body, report)))
}

impl Session {
    async fn judge_and_forward(
        &self,
        request: Request<Incoming>,
        id: &RequestName,
    ) -> (Outcome, ConnectionFragment) {
        let judged = match self.judged() {
            Ok(judged) => judged,
            Err((reason, detail, fragment)) => {
                return (Outcome::refused(reason, None, Some(detail), id, Afterwards::Close), fragment);
            }
        };
        let outcome = self.steps(&judged, request, id).await;
        (outcome, judged.fragment.clone())
    }

    /// The steps of one request: [`Inbound`], permitted, outbound, forwarded.
    async fn steps(&self, judged: &Judged, request: Request<Incoming>, id: &RequestName) -> Outcome {
        let limits = judged.site.limits();
        let is_served = |name: &str| {
            // SEC-33, SEC-36: only a name that selects another host is misdirected.
            judged
                .site
                .listener(self.key)
                .and_then(|listener| listener.host(Some(name)))
                .is_none_or(|selected| Arc::ptr_eq(selected, &judged.host))
        };
        let body_limits = limits.body_limits();
        let inbound = match Inbound::new(request, &body_limits, is_served) {
            Ok(inbound) => inbound,
            Err(error) => {
                return Outcome::refused(
                    error.reason(),
                    None,
                    Some(error.to_string()),
                    id,
                    Afterwards::Close,
                );
            }
        };
        let permitted = match authorize(inbound, judged.peer.principal(), &judged.host.config().rules) {
            Ok(permitted) => permitted,
            Err(denial) => {
                let detail = Some(denial.detail.to_string());
                return Outcome::refused(denial.reason, denial.rule, detail, id, Afterwards::Keep);
            }
        };
        let permit = permitted.permit().clone();
        let outbound = match rewrite(permitted, &judged.fields, id.value.clone()) {
            Ok(outbound) => outbound,
            Err(error) => {
                let detail = Some(error.to_string());
                return Outcome::refused(error.reason(), Some(permit.rule), detail, id, Afterwards::Close);
            }
        };
        let backend = judged.host.backend();
        let mut outcome = match forward(outbound, backend, &body_limits).await {
            Ok(response) => Outcome {
                response,
                rule: Some(permit.rule),
                decision: Some(Decision::Permit),
                reason: None,
                detail: None,
                backend: Some(Arc::clone(backend.name())),
            },
            Err(error) => {
                let afterwards = Afterwards::Close;
                let mut outcome =
                    Outcome::refused(error.reason(), Some(permit.rule), Some(error.detail()), id, afterwards);
                outcome.decision = Some(Decision::Permit);
                outcome.backend = Some(Arc::clone(backend.name()));
                outcome
            }
        };
        if let Some(waived) = permit.waived {
            outcome.decision = Some(Decision::Waived);
            outcome.reason = outcome.reason.or(Some(waived.reason));
            outcome.detail = outcome.detail.or_else(|| Some(waived.detail.to_string()));
        }
        outcome
    }

    /// What is in force for this request. After a reload the client is verified and admitted anew under the new
    /// configuration, and refused where a new connection would be (SEC-29, SEC-50).
    fn judged(&self) -> Result<Arc<Judged>, (Reason, String, ConnectionFragment)> {
        let mut current = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if self.gateway.is_in_force(&current.site) {
            let now = clock::now();
            if now.unix().saturating_sub(current.checked.load(Ordering::Relaxed)) >= RECHECK_AFTER {
                let again = current.host.judge().recheck(&current.peer, now);
                again.map_err(|refusal| (refusal.reason, refusal.detail, current.fragment.clone()))?;
                current.checked.store(now.unix(), Ordering::Relaxed);
            }
            return Ok(Arc::clone(&current));
        }
        let site = self.gateway.site_now();
        let (host, peer) = self
            .judge_again(&site, &current)
            .map_err(|(reason, detail)| (reason, detail, current.fragment.clone()))?;
        let mut facts = self.facts.clone();
        facts.host = Some(host.config().first_name().clone());
        add_peer(&mut facts, &peer);
        let fresh = judged(site, host, peer, &facts, &self.tls)
            .map_err(|(reason, detail)| (reason, detail, facts.fragment()))?;
        *current = Arc::new(fresh);
        Ok(Arc::clone(&current))
    }

    fn judge_again(
        &self,
        site: &Site,
        before: &Judged,
    ) -> Result<(Arc<VirtualHost>, Peer), (Reason, String)> {
        let listener = site.listener(self.key).ok_or_else(|| {
            (Reason::ShuttingDown, "this listener was taken out of the configuration".to_owned())
        })?;
        let host = listener.host(self.tls.server_name.as_deref()).ok_or_else(|| {
            (Reason::UnknownServerName, "this host was taken out of the configuration".to_owned())
        })?;
        let rules = listener.rules();
        if !rules.versions().contains(&self.tls.version) {
            let detail = format!("the TLS policy no longer has {}", self.tls.version.name());
            return Err((Reason::VersionNotSupported, detail));
        }
        if !rules.suites().contains(&self.tls.suite) {
            let detail = format!("the TLS policy no longer has {}", self.tls.suite.name());
            return Err((Reason::NoSharedSuite, detail));
        }
        let judged = match before.peer.chain() {
            Some(chain) => host.judge().judge(chain.presented(), clock::now()),
            None => host.judge().judge_nothing(),
        };
        let peer = judged.map_err(|Refusal { reason, detail, .. }| (reason, detail))?;
        Ok((Arc::clone(host), peer))
    }

    /// A connection on which a request was served has said all it had to say in that record, unless hyper refused
    /// the next head itself.
    fn record_end(&self, ended: Ended, at: Instant) {
        let fragment = self.judged.lock().unwrap_or_else(PoisonError::into_inner).fragment.clone();
        let refused = match ended {
            Ended::Overdue(Reason::HeaderTimeout) => {
                Some((Reason::HeaderTimeout, "the request's head did not arrive in time".to_owned()))
            }
            Ended::Overdue(reason) => Some((reason, "the client stopped reading our answer".to_owned())),
            Ended::Http(Err(error)) if error.is_parse_too_large() => {
                Some((Reason::HeadersTooLarge, error.to_string()))
            }
            Ended::Http(Err(error)) if error.is_parse() => {
                let text = std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
                Some((Reason::BadRequest, text))
            }
            Ended::Http(_) | Ended::Idle => None,
        };
        match refused {
            Some((reason, detail)) => {
                record_connection(&self.gateway, &fragment, Some((reason, &detail)), at);
            }
            None if self.requests.load(Ordering::Relaxed) == 0 => {
                record_connection(&self.gateway, &fragment, None, at);
            }
            None => {}
        }
    }
}

/// A request's id as a field value, made once for the backend and for our own answers.
struct RequestName {
    value: HeaderValue,
}

impl RequestName {
    fn new(id: RequestId) -> Self {
        let value = HeaderValue::from_maybe_shared(Bytes::from(id.to_string()));
        Self { value: value.unwrap_or(HeaderValue::from_static("-")) }
    }

    fn text(&self) -> &str {
        self.value.to_str().unwrap_or("-")
    }
}

impl Outcome {
    fn refused(
        reason: Reason,
        rule: Option<Arc<str>>,
        detail: Option<String>,
        id: &RequestName,
        afterwards: Afterwards,
    ) -> Self {
        Self {
            response: respond::refusal(reason, id.text(), afterwards),
            rule,
            decision: Some(Decision::Deny),
            reason: Some(reason),
            detail,
            backend: None,
        }
    }
}

/// A record of the connection itself: refused with a reason, or a sound handshake that no request followed.
fn record_connection(
    gateway: &Gateway,
    fragment: &ConnectionFragment,
    refused: Option<(Reason, &str)>,
    at: Instant,
) {
    gateway.auditor().record(&AuditRecord {
        decision: Some(if refused.is_some() { Decision::Deny } else { Decision::Permit }),
        reason: refused.map(|(reason, _)| reason.as_str()),
        detail: refused.map(|(_, detail)| detail),
        ..AuditRecord::new(fragment, Event::Connection, at.elapsed())
    });
}
