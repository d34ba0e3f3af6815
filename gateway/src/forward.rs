//! The step that takes a request to its backend and brings the answer back, bodies untouched.

use std::io;

use http::Response;
use hyper::body::Incoming;
use policies::Reason;

use crate::backend::{Backend, Served, Service, UpstreamError};
use crate::request::{BodyLimits, RequestBody};
use crate::respond::{self, Afterwards, Body};
use crate::rewrite::{self, Outbound};

/// Sends `outbound` to `backend` and gives its answer, with hop-by-hop fields and managed names removed (SEC-68). A file
/// that is not there is an answer too: 404.
///
/// # Errors
///
/// The backend gave no answer, or the device did not finish its request.
pub async fn forward(
    outbound: Outbound<Incoming>,
    backend: &Backend,
    limits: &BodyLimits,
) -> Result<Response<Body>, ForwardError> {
    let (outbound, body) = outbound.split_body();
    let mut response = match &backend.service {
        Service::Directory(directory) => match directory.serve(outbound.file_request()).await? {
            Served::File(response) => response,
            Served::Status(status) => respond::answer(status, outbound.request_id(), Afterwards::Keep),
        },
        Service::Upstream(upstream) => {
            let body = RequestBody::new(body, *limits);
            let head = || outbound.request(upstream.host());
            upstream.send(body, head).await?.map(Body::upstream)
        }
    };
    rewrite::clean_response(&mut response);
    Ok(response)
}

/// Why there is no answer from a backend.
#[derive(Debug, thiserror::Error)]
#[error("the request got no answer from the backend")]
pub struct ForwardError {
    reason: Reason,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl ForwardError {
    /// The stable reason code.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// What happened, cause by cause, for the audit record.
    #[must_use]
    pub fn detail(&self) -> String {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let inner = error.to_string();
            // A transparent error says what its cause says.
            if !text.ends_with(&inner) {
                text.push_str(": ");
                text.push_str(&inner);
            }
            cause = error.source();
        }
        text
    }
}

impl From<UpstreamError> for ForwardError {
    fn from(error: UpstreamError) -> Self {
        Self { reason: error.reason(), source: error.into() }
    }
}

impl From<io::Error> for ForwardError {
    /// A folder or a file in it could not be read, or not in time.
    fn from(error: io::Error) -> Self {
        let late = error.kind() == io::ErrorKind::TimedOut;
        let reason = if late { Reason::BackendTimeout } else { Reason::BackendUnreachable };
        Self { reason, source: error.into() }
    }
}

#[cfg(test)]
mod tests;
