//! The body of an answer: one type for all backends, so that nothing is boxed on the way.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use policies::Reason;
use tower_http::services::fs::ServeFileSystemResponseBody;

use crate::backend::UpstreamBody;

/// The body of an answer.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    File(ServeFileSystemResponseBody),
    Full(Bytes),
    Upstream(UpstreamBody),
}

impl Body {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// These bytes.
    #[must_use]
    pub const fn full(bytes: Bytes) -> Self {
        Self(Kind::Full(bytes))
    }

    pub(crate) const fn file(body: ServeFileSystemResponseBody) -> Self {
        Self(Kind::File(body))
    }

    pub(crate) const fn upstream(body: UpstreamBody) -> Self {
        Self(Kind::Upstream(body))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match &self.0 {
            Kind::Empty => "Body(empty)",
            Kind::File(_) => "Body(file)",
            Kind::Full(_) => "Body(full)",
            Kind::Upstream(_) => "Body(upstream)",
        })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::File(body) => Pin::new(body).poll_frame(context).map_err(BodyError::File),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Kind::Upstream(body) => body.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::File(body) => body.is_end_stream(),
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::File(body) => body.size_hint(),
            Kind::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Kind::Upstream(body) => body.size_hint(),
        }
    }
}

/// Why an answer stopped after its status had gone out.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The backend closed the connection or broke the framing.
    #[error("the backend did not finish its answer")]
    Backend(#[source] Option<hyper::Error>),
    /// A file could not be read to its end.
    #[error("the file could not be read")]
    File(#[source] io::Error),
    /// The backend sent nothing for too long.
    #[error("the backend sent nothing for too long")]
    Timeout,
}

impl BodyError {
    /// The stable reason code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Backend(_) | Self::File(_) => Reason::BackendClosed,
            Self::Timeout => Reason::BackendTimeout,
        }
    }
}
