//! Writes of a handshake, held back until somebody waits for them.
//!
//! A TLS 1.3 server ends the handshake with a session ticket that no client waits for: the phone has sent its request
//! right behind its own Finished. Sent at once it costs a system call, a segment, and a wake-up of the phone for
//! nothing. A [`Corked`] stream keeps it and sends it in front of the answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose writes wait until the next read has to wait, as in a handshake, and what is left at its end until the
/// next write.
#[derive(Debug)]
pub struct Corked<S> {
    stream: S,
    held: Vec<u8>,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Writes are kept; a read that has to wait sends them.
    Handshake,
    /// What is kept goes out with the next write, or when it is [released](Corked::poll_release).
    Next,
    /// Nothing is kept.
    Open,
}

/// So much is kept in a handshake, in octets: any flight of ours fits, and more is written through.
const MOST: usize = 64 * 1024;
/// As many slices as rustls writes at once, and what was kept.
const SLICES: usize = 65;

impl<S> Corked<S> {
    /// Keeps the writes of a handshake on `stream`.
    pub fn new(stream: S) -> Self {
        Self { stream, held: Vec::new(), mode: Mode::Handshake }
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The handshake is over, and nobody waits for what is kept.
    pub(crate) fn hold_for_the_next_write(&mut self) {
        self.mode = if self.held.is_empty() { Mode::Open } else { Mode::Next };
    }
}

impl<S: AsyncWrite + Unpin> Corked<S> {
    /// Sends what is kept, and keeps nothing any more.
    ///
    /// # Errors
    /// The stream's.
    pub(crate) async fn open(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_open(context)).await
    }

    /// [`open`](Self::open), and the stream below.
    pub(crate) async fn into_inner(mut self) -> S {
        // An error shows again at whatever is done with the stream next.
        let _ = self.open().await;
        self.stream
    }

    /// Sends what waits for the next write, as there may be none for a long time.
    pub(crate) fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.mode {
            Mode::Next => self.poll_open(context),
            Mode::Handshake | Mode::Open => Poll::Ready(Ok(())),
        }
    }

    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        self.mode = Mode::Open;
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..written);
        }
        // Given back at once: a connection lives for hours, its handshake for a moment.
        self.held = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Writes what is kept and the slices in one call; how much of the slices was taken.
    fn poll_write_behind(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        while !self.held.is_empty() {
            let mut all = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            let kept = IoSlice::new(&self.held);
            for (place, slice) in all.iter_mut().zip(std::iter::once(&kept).chain(slices)) {
                *place = *slice;
                count += 1;
            }
            let all = all.get(..count).unwrap_or_default();
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, all))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_kept = written.min(self.held.len());
            self.held.drain(..of_kept);
            if written > of_kept {
                self.held = Vec::new();
                self.mode = Mode::Open;
                return Poll::Ready(Ok(written - of_kept));
            }
        }
        self.held = Vec::new();
        self.mode = Mode::Open;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    /// Keeps the slices, or sends what is kept where that would be too much.
    fn poll_keep(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let size = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if self.held.len().saturating_add(size) > MOST {
            ready!(self.poll_send(context))?;
            return Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        }
        for slice in slices {
            self.held.extend_from_slice(slice);
        }
        Poll::Ready(Ok(size))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if read.is_pending()
            && self.mode == Mode::Handshake
            && let Poll::Ready(Err(error)) = self.poll_send(context)
        {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.mode {
            Mode::Handshake => self.poll_keep(context, &[IoSlice::new(bytes)]),
            Mode::Next => self.poll_write_behind(context, &[IoSlice::new(bytes)]),
            Mode::Open => Pin::new(&mut self.stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.mode {
            Mode::Handshake => self.poll_keep(context, slices),
            Mode::Next => self.poll_write_behind(context, slices),
            Mode::Open => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Leaves alone what is kept: that is what it is kept for.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// Whether a future is done when it is first asked.
    async fn now<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            Poll::Ready(match Pin::new(&mut future).poll(context) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            })
        })
        .await
    }

    async fn arrived(far: &mut tokio::io::DuplexStream) -> Vec<u8> {
        let mut buffer = [0; 256];
        let read = far.read(&mut buffer);
        let read = now(std::pin::pin!(read)).await;
        read.map_or_else(Vec::new, |read| buffer[..read.unwrap()].to_vec())
    }

    #[test]
    fn a_handshakes_writes_go_out_when_a_read_has_to_wait() {
        block_on(async {
            let (near, mut far) = duplex(1024);
            let mut corked = Corked::new(near);
            corked.write_all(b"server ").await.unwrap();
            corked.write_all(b"hello").await.unwrap();
            corked.flush().await.unwrap();
            assert_eq!(arrived(&mut far).await, b"");
            far.write_all(b"x").await.unwrap();
            assert_eq!(corked.read_u8().await.unwrap(), b'x');
            assert_eq!(arrived(&mut far).await, b"", "there was something to read");
            let read = corked.read_u8();
            assert!(now(std::pin::pin!(read)).await.is_none());
            assert_eq!(arrived(&mut far).await, b"server hello");
        });
    }

    #[test]
    fn what_nobody_waits_for_goes_out_in_front_of_the_next_write() {
        block_on(async {
            let (near, mut far) = duplex(1024);
            let mut corked = Corked::new(near);
            corked.write_all(b"ticket ").await.unwrap();
            corked.hold_for_the_next_write();
            corked.flush().await.unwrap();
            let read = corked.read_u8();
            assert!(now(std::pin::pin!(read)).await.is_none());
            assert_eq!(arrived(&mut far).await, b"");
            corked.write_all(b"answer").await.unwrap();
            assert_eq!(arrived(&mut far).await, b"ticket answer");
            corked.write_all(b"next").await.unwrap();
            assert_eq!(arrived(&mut far).await, b"next");
            assert_eq!(corked.held.capacity(), 0);
        });
    }

    #[test]
    fn what_nobody_waits_for_is_released_where_no_write_comes_and_by_the_end() {
        block_on(async {
            for shut in [false, true] {
                let (near, mut far) = duplex(1024);
                let mut corked = Corked::new(near);
                corked.write_all(b"ticket").await.unwrap();
                corked.hold_for_the_next_write();
                if shut {
                    corked.shutdown().await.unwrap();
                } else {
                    std::future::poll_fn(|context| corked.poll_release(context)).await.unwrap();
                }
                assert_eq!(arrived(&mut far).await, b"ticket");
            }
        });
    }

    #[test]
    fn a_narrow_stream_loses_and_doubles_nothing() {
        block_on(async {
            for width in [1, 2, 5, 7, 64] {
                let (near, mut far) = duplex(width);
                let mut corked = Corked::new(near);
                let far = async move {
                    let mut all = Vec::new();
                    far.read_to_end(&mut all).await.unwrap();
                    all
                };
                let near = async move {
                    corked.write_all(b"ticket ").await.unwrap();
                    corked.hold_for_the_next_write();
                    let mut rest: &[u8] = b"answer in two parts";
                    while !rest.is_empty() {
                        let (one, two) = rest.split_at(rest.len() / 2);
                        let slices = [IoSlice::new(one), IoSlice::new(two)];
                        let written = corked.write_vectored(&slices).await.unwrap();
                        rest = &rest[written..];
                    }
                    corked.shutdown().await.unwrap();
                };
                let ((), all) = tokio::join!(near, far);
                assert_eq!(all, b"ticket answer in two parts", "width {width}");
            }
        });
    }

    #[test]
    fn more_than_any_flight_is_written_through() {
        block_on(async {
            let (near, mut far) = duplex(MOST * 2);
            let mut corked = Corked::new(near);
            corked.write_all(&vec![1; MOST]).await.unwrap();
            corked.write_all(&[2; 3]).await.unwrap();
            drop(corked);
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            assert_eq!(all.len(), MOST + 3);
            assert!(all.ends_with(&[1, 2, 2, 2]));
        });
    }
}
