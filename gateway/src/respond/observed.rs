//! A body that tells, once, how it ended and how many bytes went out: the audit record is written then.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use policies::Reason;

use super::Body;

/// How an answer's body ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// The device went away before the end.
    Abandoned,
    /// Every byte was handed to the connection.
    Complete,
    /// The backend failed in the middle.
    Failed(Reason),
}

/// `Body` with `F` called once with its ending and the bytes it had given; at the latest when it is dropped.
#[derive(Debug)]
pub struct Observed<F: FnOnce(Ending, u64)> {
    body: Body,
    bytes: u64,
    /// How many bytes the body has, where it says so. hyper asks no further once it has them.
    expected: Option<u64>,
    report: Option<F>,
}

impl<F: FnOnce(Ending, u64)> Observed<F> {
    /// Watches `body`.
    #[must_use]
    pub fn new(body: Body, report: F) -> Self {
        let expected = body.size_hint().exact();
        Self { body, bytes: 0, expected, report: Some(report) }
    }

    fn is_complete(&self) -> bool {
        self.body.is_end_stream() || self.expected == Some(self.bytes)
    }

    fn end(&mut self, ending: Ending) {
        if let Some(report) = self.report.take() {
            report(ending, self.bytes);
        }
    }
}

impl<F: FnOnce(Ending, u64) + Unpin> http_body::Body for Observed<F> {
    type Data = Bytes;
    type Error = super::BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, super::BodyError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.bytes = self.bytes.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
                if self.is_complete() {
                    self.end(Ending::Complete);
                }
            }
            Some(Err(error)) => {
                let reason = error.reason();
                self.end(Ending::Failed(reason));
            }
            None => self.end(Ending::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<F: FnOnce(Ending, u64)> Drop for Observed<F> {
    fn drop(&mut self) {
        let ending = if self.is_complete() { Ending::Complete } else { Ending::Abandoned };
        self.end(ending);
    }
}
