//! The one place that turns reasons into HTTP answers. A device learns a status and the request's id; the audit record has
//! the rest (SEC-63).

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use policies::Reason;

pub use self::body::{Body, BodyError};
pub use self::observed::{Ending, Observed};

mod body;
mod observed;
pub mod phone;

/// Whether the connection may serve another request after this answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Afterwards {
    /// `Connection: close` is sent.
    Close,
    /// As the device asked.
    Keep,
}

/// The answer to a request refused for `reason`.
#[must_use]
pub fn refusal(reason: Reason, request_id: &str, afterwards: Afterwards) -> Response<Body> {
    answer(status(reason), request_id, afterwards)
}

/// An answer of our own: its text names the status and the request's id, and nothing else.
#[must_use]
pub fn answer(status: StatusCode, request_id: &str, afterwards: Afterwards) -> Response<Body> {
    let phrase = status.canonical_reason().unwrap_or("Refused");
    let text = format!("{} {phrase}\nrequest {request_id}\n", status.as_str());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    if afterwards == Afterwards::Close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    *response.body_mut() = Body::full(Bytes::from(text));
    response
}

/// The status a device sees. Never a redirect: a phone would follow it, and takes any other 3xx for a failure.
#[must_use]
#[expect(clippy::wildcard_enum_match_arm, reason = "a new reason refuses until it is given a status here")]
pub fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::BadRequest | Reason::BadTarget | Reason::BadHost | Reason::ClientGone => {
            StatusCode::BAD_REQUEST
        }
        Reason::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
        Reason::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        Reason::HeaderTimeout | Reason::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
        Reason::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Reason::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::IdentityFieldsFailed => StatusCode::INTERNAL_SERVER_ERROR,
        Reason::BackendUnreachable
        | Reason::BackendInvalidResponse
        | Reason::BackendClosed
        | Reason::BackendTls => StatusCode::BAD_GATEWAY,
        Reason::BackendTimeout => StatusCode::GATEWAY_TIMEOUT,
        // A phone tries again later.
        Reason::AuditFull => StatusCode::SERVICE_UNAVAILABLE,
        // Whatever is wrong with a certificate, a device or its wish: the device is not let in, and learns no more.
        _ => StatusCode::FORBIDDEN,
    }
}

#[cfg(test)]
mod tests;
