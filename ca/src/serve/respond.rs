//! Requests and their answers (RFC 9110): one path, one page; conditional requests; nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use certs::Timestamp;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tracing::debug;

use super::pages::Page;
use super::{Shared, ocsp};

/// How long caches may keep a list though the next one may come any time, in seconds.
const KEPT_LIST: i64 = 3600;

/// How long they may keep a certificate.
const KEPT_CERTIFICATE: i64 = 86_400;

const TEXT: &str = "text/plain; charset=utf-8";

pub(super) type Answer = Response<Full<Bytes>>;

/// Answers one request. A client's mistake is its own affair: it gets a status and is logged at debug level.
pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let is_ocsp = path == "/ocsp" || path.starts_with("/ocsp/");
    let mut answer = if is_ocsp { ocsp::answer(&shared, request).await } else { found(&shared, &request) };
    if method == Method::HEAD {
        // The length stays the one that GET would give.
        let length = HeaderValue::from(hyper::body::Body::size_hint(answer.body()).lower());
        answer.headers_mut().entry(CONTENT_LENGTH).or_insert(length);
        *answer.body_mut() = Full::default();
    }
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    debug!(%method, path, status = answer.status().as_u16(), "answered");
    Ok(answer)
}

fn found(shared: &Shared, request: &Request<Incoming>) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let now = shared.clock.now();
    match request.uri().path() {
        "/" => {
            let pages = shared.pages.load();
            let paths: String = pages.paths().chain(["/health"]).map(|path| format!("{path}\n")).collect();
            text(StatusCode::OK, paths)
        }
        "/health" => health(shared, now),
        path => match shared.pages.load().get(path) {
            Some(page) => content(page, request.headers(), now),
            None => text(StatusCode::NOT_FOUND, "there is nothing here\n"),
        },
    }
}

fn health(shared: &Shared, now: Timestamp) -> Answer {
    let health = shared.health.load();
    let status = if health.is_good(now) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut answer = text(status, format!("{:#}\n", health.to_json(now)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn content(page: &Page, asked: &HeaderMap, now: Timestamp) -> Answer {
    let is_known = is_known(page, asked);
    let mut answer = Response::new(if is_known { Full::default() } else { Full::new(page.body.clone()) });
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.media_type));
    let kept = match page.until {
        None => KEPT_CERTIFICATE,
        Some(until) => until.unix().saturating_sub(now.unix()).clamp(0, KEPT_LIST),
    };
    let texts = [
        (ETAG, page.tag.clone()),
        (LAST_MODIFIED, httpdate::fmt_http_date(system_time(page.modified))),
        (CACHE_CONTROL, format!("public, max-age={kept}")),
    ];
    for (name, value) in texts {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    answer
}

/// Whether the client has this very page already (RFC 9110 §13.2.2): a tag outweighs a date.
fn is_known(page: &Page, asked: &HeaderMap) -> bool {
    if asked.contains_key(IF_NONE_MATCH) {
        return asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == page.tag)
        });
    }
    asked
        .get(IF_MODIFIED_SINCE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| httpdate::parse_http_date(value).ok())
        .is_some_and(|since| system_time(page.modified) <= since)
}

pub(super) fn system_time(timestamp: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(timestamp.unix()).unwrap_or(0))
}

pub(super) fn text(status: StatusCode, content: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(content.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    answer
}
