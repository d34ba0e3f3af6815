//! One request and its answer: the steps in their order, and the one record they leave however they end.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use policies::{Reason, Stage};
use tokio::time::Instant;

use super::session::{Fit, Judged, Session, Unfit};
use crate::audit::{AuditRecord, Auditor, ConnectionFragment, Decision, Event, RequestId};
use crate::authorize::authorize;
use crate::forward::forward;
use crate::metrics;
use crate::request::Inbound;
use crate::respond::{self, Afterwards, Body, Ending, Observed};
use crate::rewrite::rewrite;

/// Answers one request. Its record is written when the answer's last byte is out, or when it becomes clear that
/// this will not happen.
pub(super) async fn answer(
    session: Arc<Session>,
    request: Request<Incoming>,
) -> Result<Response<Observed<impl FnOnce(Ending, u64)>>, Infallible> {
    session.activity.request_began();
    let number = session.requests.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    let id = session.facts.connection.request(number);
    let name = RequestName::new(id);
    let mut record = RequestRecord {
        id,
        method: request.method().clone(),
        uri: request.uri().clone(),
        user_agent: request.headers().get(USER_AGENT).cloned(),
        began: Instant::now(),
        fragment: session.fragment(),
        verdict: Verdict::default(),
        status: None,
        ended: None,
        session,
    };
    let response = record.steps(request, &name).await;
    record.status = Some(response.status());
    Ok(response.map(|body| Observed::new(body, move |ending, bytes| record.finish(ending, bytes))))
}

/// What was decided of a request, as far as it got.
#[derive(Debug, Default)]
struct Verdict {
    rule: Option<Arc<str>>,
    decision: Option<Decision>,
    reason: Option<Reason>,
    detail: Option<String>,
    backend: Option<Arc<str>>,
}

impl Verdict {
    /// Why the request ended as it did, and our words for it. An answer that did not arrive whole is told rather than what a rule
    /// would have refused: it was no success.
    fn told(&self, ended: Option<Reason>) -> (Option<Reason>, Option<&str>) {
        let is_waived = self.decision == Some(Decision::Waived)
            && self.reason.is_some_and(|reason| reason.stage() == Stage::Authorisation);
        match ended {
            Some(ended) if is_waived => (Some(ended), None),
            Some(_) | None => (self.reason.or(ended), self.detail.as_deref()),
        }
    }
}

/// Writes the record of its request when it is dropped: after the answer's end, or when the client went away
/// before there was an answer and hyper dropped everything.
struct RequestRecord {
    session: Arc<Session>,
    id: RequestId,
    method: Method,
    uri: Uri,
    user_agent: Option<HeaderValue>,
    began: Instant,
    fragment: ConnectionFragment,
    verdict: Verdict,
    status: Option<StatusCode>,
    ended: Option<(Ending, u64)>,
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let gateway = &self.session.gateway;
        let gone = if gateway.is_cutting_off() { Reason::ShuttingDown } else { Reason::ClientGone };
        let ended = match self.ended {
            Some((Ending::Complete, _)) => None,
            // The body of an answer to HEAD is never asked for.
            Some((Ending::Abandoned, _)) if self.method == Method::HEAD => None,
            Some((Ending::Abandoned, _)) | None => Some(gone),
            Some((Ending::Failed(reason), _)) => Some(reason),
        };
        let path = match self.uri.path_and_query() {
            Some(target) => target.as_str(),
            None => self.uri.path(),
        };
        let (reason, detail) = self.verdict.told(ended);
        let Verdict { rule, decision, reason: _, detail: _, backend } = &self.verdict;
        gateway.auditor().record(&AuditRecord {
            method: Some(self.method.as_str()),
            path: Some(path.as_bytes()),
            user_agent: self.user_agent.as_ref().map(HeaderValue::as_bytes),
            status: self.status.map(|status| status.as_u16()),
            bytes: self.ended.map(|(_, bytes)| bytes),
            rule: rule.as_deref(),
            decision: *decision,
            reason: reason.map(Reason::as_str),
            detail,
            backend: backend.as_deref(),
            ..AuditRecord::new(&self.fragment, Event::Request(self.id), self.began.elapsed())
        });
        if self.id.is_first() {
            self.session.first_request_is_recorded();
        }
        let request = metrics::Request {
            host: self.session.host(),
            rule: rule.clone(),
            status: self.status.map(|status| status.as_u16()),
            reason,
        };
        let octets = self.ended.map_or(0, |(_, octets)| octets);
        self.session.octets.fetch_add(octets, Ordering::Relaxed);
        gateway.metrics().request(request, octets, self.began.elapsed());
        self.session.activity.request_ended();
    }
}

impl RequestRecord {
    /// Notes how the answer's body ended; the record is written on the way out.
    fn finish(mut self, ending: Ending, bytes: u64) {
        self.ended = Some((ending, bytes));
    }

    /// The steps of one request: inbound, permitted, outbound, forwarded. Each is noted as it is taken, so that
    /// the record is right wherever they stop.
    async fn steps(&mut self, request: Request<Incoming>, name: &RequestName) -> Response<Body> {
        if self.session.gateway.auditor().is_full() {
            let auditor = Auditor::clone(&self.session.gateway.auditor());
            if !auditor.has_room().await {
                let detail = "the record of this request could not be kept".to_owned();
                return self.refuse(Reason::AuditFull, detail, name, Afterwards::Close);
            }
        }
        let Fit { judged, fields, fragment } = match self.session.judged() {
            Ok(fit) => fit,
            Err(Unfit { reason, detail, fragment }) => {
                self.fragment = fragment;
                return self.refuse(reason, detail, name, Afterwards::Close);
            }
        };
        self.fragment = fragment;
        let body_limits = judged.site.limits().body_limits();
        let inbound = match Inbound::new(request, &body_limits, |host| self.is_served(&judged, host)) {
            Ok(inbound) => inbound,
            Err(error) => return self.refuse(error.reason(), error.to_string(), name, Afterwards::Close),
        };
        let permitted = match authorize(inbound, &judged.principal, &judged.host.config().rules) {
            Ok(permitted) => permitted,
            Err(denial) => {
                self.verdict.rule = denial.rule;
                return self.refuse(denial.reason, denial.detail.to_string(), name, Afterwards::Keep);
            }
        };
        let permit = permitted.permit().clone();
        self.verdict.rule = Some(permit.rule);
        self.verdict.decision = Some(Decision::Permit);
        if let Some(waived) = permit.waived {
            self.verdict.decision = Some(Decision::Waived);
            self.verdict.reason = Some(waived.reason);
            self.verdict.detail = Some(waived.detail.to_string());
        }
        let outbound = match rewrite(permitted, &fields, name.value.clone()) {
            Ok(outbound) => outbound,
            Err(error) => return self.refuse(error.reason(), error.to_string(), name, Afterwards::Close),
        };
        let backend = judged.host.backend();
        self.verdict.backend = Some(Arc::clone(backend.name()));
        match forward(outbound, backend, &body_limits).await {
            Ok(response) => response,
            Err(error) => {
                self.verdict.reason = Some(error.reason());
                self.verdict.detail = Some(error.detail());
                respond::refusal(error.reason(), name.text(), Afterwards::Close)
            }
        }
    }

    /// SEC-33, SEC-36: only a name that selects another host is misdirected.
    fn is_served(&self, judged: &Judged, host: &str) -> bool {
        judged
            .site
            .listener(self.session.key)
            .and_then(|listener| listener.host(Some(host)))
            .is_none_or(|selected| Arc::ptr_eq(selected, &judged.host))
    }

    fn refuse(
        &mut self,
        reason: Reason,
        detail: String,
        name: &RequestName,
        afterwards: Afterwards,
    ) -> Response<Body> {
        self.verdict.decision = Some(Decision::Deny);
        self.verdict.reason = Some(reason);
        self.verdict.detail = Some(detail);
        respond::refusal(reason, name.text(), afterwards)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waived_request_whose_answer_broke_off_is_told_as_such() {
        let verdict = |decision| Verdict {
            decision: Some(decision),
            reason: Some(Reason::NoRuleMatched),
            detail: Some("no rule covers this request".to_owned()),
            ..Verdict::default()
        };
        let waived = verdict(Decision::Waived);
        let whole = (Some(Reason::NoRuleMatched), Some("no rule covers this request"));
        assert_eq!(waived.told(None), whole);
        assert_eq!(waived.told(Some(Reason::ClientGone)), (Some(Reason::ClientGone), None));
        let failed =
            Verdict { reason: Some(Reason::BackendTimeout), detail: None, ..verdict(Decision::Waived) };
        assert_eq!(failed.told(Some(Reason::ClientGone)), (Some(Reason::BackendTimeout), None));
        assert_eq!(
            verdict(Decision::Deny).told(Some(Reason::ClientGone)),
            whole,
            "it was refused all the same"
        );
        let permitted = Verdict { decision: Some(Decision::Permit), ..Verdict::default() };
        assert_eq!(permitted.told(Some(Reason::BackendClosed)), (Some(Reason::BackendClosed), None));
    }
}
