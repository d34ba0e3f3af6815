//! OCSP over HTTP: GET and POST (RFC 6960 appendix A, RFC 5019 §5 and §6).

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use certs::{Fingerprint, Timestamp};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::Shared;
use super::respond::{Answer, system_time, text};
use crate::ocsp::{Answered, MAX_SIZE};

/// How long a request's body may take.
const BODY: Duration = Duration::from_secs(15);

/// How long caches may keep an answer to GET, in seconds: a revocation is unknown there for that long.
const KEPT: i64 = 3600;

const REQUEST: &str = "application/ocsp-request";
const RESPONSE: &str = "application/ocsp-response";

pub(super) async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Answer {
    if shared.responders.load().is_empty() {
        return text(StatusCode::NOT_FOUND, "there is no OCSP responder here\n");
    }
    let method = request.method().clone();
    let asked = match method {
        Method::GET | Method::HEAD => match from_path(request.uri().path()) {
            Some(asked) => asked,
            None => return text(StatusCode::BAD_REQUEST, "the path is no OCSP request in base64\n"),
        },
        Method::POST if request.uri().path().trim_end_matches('/') == "/ocsp" => {
            if !is_request(&request) {
                return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the body must be {REQUEST}\n"));
            }
            match body(request).await {
                Ok(asked) => asked,
                Err(status) => return text(status, "the body is no OCSP request\n"),
            }
        }
        _ => {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "GET and POST are answered here\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            return answer;
        }
    };
    match signed(shared, asked).await {
        Some(answered) => response(answered, method != Method::POST, shared.clock.now()),
        None => text(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping\n"),
    }
}

/// Asks the inventory and signs, on a thread that may wait for the disk.
async fn signed(shared: &Arc<Shared>, asked: Bytes) -> Option<Answered> {
    let _turn = shared.signing.acquire().await.ok()?;
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        let responders = shared.responders.load();
        let mut inventory = shared.inventory.lock().unwrap_or_else(PoisonError::into_inner);
        // Where that fails the answer says that the client is to come again.
        let _was_lost = inventory.reconnect();
        responders.answer(&asked, &*inventory, shared.clock.now())
    })
    .await
    .ok()
}

/// The request behind `/ocsp/`: base64, in which some clients encode `/`, `+` and `=` once more and others do not.
fn from_path(path: &str) -> Option<Bytes> {
    let text = percent_decoded(path.strip_prefix("/ocsp/")?)?;
    if text.len() > MAX_SIZE {
        return None;
    }
    STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty()).map(Bytes::from)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            decoded.push(octet);
            continue;
        }
        let mut digit = || char::from(octets.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        decoded.push(u8::try_from(value).ok()?);
    }
    Some(decoded)
}

fn is_request(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(REQUEST)
}

async fn body(request: Request<Incoming>) -> Result<Bytes, StatusCode> {
    let collected = Limited::new(request.into_body(), MAX_SIZE).collect();
    match tokio::time::timeout(BODY, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        }
        Ok(Err(_broken)) => Err(StatusCode::BAD_REQUEST),
        Err(_elapsed) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

fn response(answered: Answered, may_be_kept: bool, now: Timestamp) -> Answer {
    let Answered { der, cacheable } = answered;
    let tag: String = Fingerprint::of(&der).to_string().chars().take(32).collect();
    let mut answer = Response::new(Full::new(Bytes::from(der)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(RESPONSE));
    let Some((since, until)) = cacheable.filter(|_| may_be_kept) else {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return answer;
    };
    let kept = until.unix().saturating_sub(now.unix()).clamp(0, KEPT);
    for (name, value) in [
        (CACHE_CONTROL, format!("max-age={kept}, public, no-transform, must-revalidate")),
        (ETAG, format!("\"{tag}\"")),
        (LAST_MODIFIED, httpdate::fmt_http_date(system_time(since))),
        (EXPIRES, httpdate::fmt_http_date(system_time(now.plus_seconds(kept)))),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_read_with_and_without_percent_signs_and_nothing_else_is() {
        assert_eq!(from_path("/ocsp/MAA="), Some(Bytes::from_static(&[0x30, 0])));
        assert_eq!(from_path("/ocsp/MAA%3d"), from_path("/ocsp/MAA%3D"));
        assert_eq!(from_path("/ocsp/%4dAA%3D"), from_path("/ocsp/MAA="));
        for path in ["/ocsp/", "/ocsp", "/ocsp/MAA", "/ocsp/MAA=%", "/ocsp/MAA%3", "/ocsp/MA A=", "/ocsp/%zz"]
        {
            assert_eq!(from_path(path), None, "{path}");
        }
    }
}
