//! What a connection is made of: the socket with its hello replayed, and the encrypted stream of either engine.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use certs::{Fingerprint, Timestamp};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use super::{Corked, drain};
use crate::peer::{Judge, Peer, Refusal};
#[cfg(feature = "legacy-tls")]
use crate::tls::legacy;

/// The encrypted stream of a client, whichever engine serves it.
#[derive(Debug)]
pub enum Stream {
    /// OpenSSL's.
    #[cfg(feature = "legacy-tls")]
    Legacy(tokio_openssl::SslStream<Replayed<TcpStream>>),
    /// rustls's.
    Modern(Box<tokio_rustls::server::TlsStream<Corked<Replayed<TcpStream>>>>),
}

impl Stream {
    /// Judges the chain of the session as if it had just been presented (SEC-41); a resumed session keeps it whole.
    ///
    /// `signer` is the key that verified the leaf in the session's first handshake, where the session tells.
    pub(super) fn judge_session(
        &self,
        judge: &Judge,
        signer: Option<Fingerprint>,
        now: Timestamp,
    ) -> Result<Peer, Refusal> {
        match self {
            #[cfg(feature = "legacy-tls")]
            Self::Legacy(stream) => match legacy::presented(stream.ssl()) {
                Ok(chain) if chain.is_empty() => judge.judge_nothing(),
                Ok(chain) => judge.judge_der(chain.iter().map(Vec::as_slice), now),
                Err(error) => Err(Refusal {
                    reason: policies::Reason::HandshakeFailed,
                    detail: error.to_string(),
                    presented: None,
                }),
            },
            Self::Modern(stream) => match stream.get_ref().1.peer_certificates() {
                Some(chain) => judge.judge_resumed(chain.iter().map(AsRef::as_ref), signer, now),
                None => judge.judge_nothing(),
            },
        }
    }

    /// The certificates that the client has presented, its own first, as DER; empty where it has none.
    ///
    /// # Errors
    /// OpenSSL had no memory.
    pub(crate) fn presented(&self) -> io::Result<Vec<Vec<u8>>> {
        match self {
            #[cfg(feature = "legacy-tls")]
            Self::Legacy(stream) => Ok(legacy::presented(stream.ssl())?),
            Self::Modern(stream) => {
                let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
                Ok(certificates.iter().map(|certificate| certificate.to_vec()).collect())
            }
        }
    }

    /// Takes the session out of the legacy engine's store; the modern one keeps none.
    pub(super) fn forget_session(&self) {
        match self {
            #[cfg(feature = "legacy-tls")]
            Self::Legacy(stream) => legacy::forget_session(stream.ssl()),
            Self::Modern(_) => {}
        }
    }

    /// Waits until there is something to read below the encryption, or the end.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            #[cfg(feature = "legacy-tls")]
            Self::Legacy(stream) => stream.get_ref().get_ref().readable().await,
            Self::Modern(stream) => stream.get_ref().0.get_ref().get_ref().readable().await,
        }
    }

    /// Sends what waits for the next write; see [`Corked`].
    pub(crate) fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            #[cfg(feature = "legacy-tls")]
            Self::Legacy(_) => Poll::Ready(Ok(())),
            Self::Modern(stream) => stream.get_mut().0.poll_release(context),
        }
    }

    /// Tells the client that nothing more comes (RFC 8446 §6.1), and closes. For a client that has said so itself: what it
    /// sent has all been read, so that closing resets nothing and there is nothing to drain.
    pub(crate) async fn answer_its_end(self) {
        match self {
            #[cfg(feature = "legacy-tls")]
            Self::Legacy(mut stream) => {
                let _ = stream.shutdown().await;
            }
            Self::Modern(mut stream) => {
                stream.get_mut().1.send_close_notify();
                let _ = stream.flush().await;
            }
        }
    }

    /// After our own end: reads away what the client still sends, below the encryption. See [`drain`].
    pub async fn drain(self) {
        match self {
            #[cfg(feature = "legacy-tls")]
            Self::Legacy(mut stream) => drain(stream.get_mut()).await,
            Self::Modern(stream) => drain(stream.into_inner().0.into_inner().await).await,
        }
    }
}

/// What is left of a connection whose handshake failed: good for nothing but to be drained.
#[derive(Debug)]
pub enum Leftover {
    /// OpenSSL does not give its socket back.
    #[cfg(feature = "legacy-tls")]
    Legacy(Box<tokio_openssl::SslStream<Replayed<TcpStream>>>),
    /// The socket.
    Socket(Box<Replayed<TcpStream>>),
}

impl Leftover {
    /// Reads away what the client still sends, so that the alert before it arrives. See [`drain`].
    pub async fn drain(self) {
        match self {
            #[cfg(feature = "legacy-tls")]
            Self::Legacy(mut stream) => drain(stream.get_mut()).await,
            Self::Socket(stream) => drain(*stream).await,
        }
    }
}

/// Calls the same method of whichever stream it is.
macro_rules! of_engine {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self {
            #[cfg(feature = "legacy-tls")]
            Stream::Legacy($stream) => $call,
            Stream::Modern($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        of_engine!(self.get_mut(), stream => Pin::new(stream).poll_read(context, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        of_engine!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        of_engine!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        of_engine!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_engine!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_engine!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }
}

/// A stream that first gives back the bytes that were read ahead.
#[derive(Debug)]
pub struct Replayed<S> {
    ahead: Vec<u8>,
    at: usize,
    stream: S,
}

impl<S> Replayed<S> {
    /// Puts `ahead` in front of what `stream` gives.
    pub fn new(ahead: Vec<u8>, stream: S) -> Self {
        Self { ahead, at: 0, stream }
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.ahead.get(this.at..) {
            Some(rest) if !rest.is_empty() => {
                let (now, later) = rest.split_at(rest.len().min(into.remaining()));
                into.put_slice(now);
                this.at += now.len();
                if later.is_empty() {
                    // Given back at once: a connection lives for hours, its hello for a millisecond.
                    this.ahead = Vec::new();
                    this.at = 0;
                }
                Poll::Ready(Ok(()))
            }
            _ => Pin::new(&mut this.stream).poll_read(context, into),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
