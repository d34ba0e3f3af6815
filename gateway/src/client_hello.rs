//! Reads the ClientHello before any TLS engine does (`DESIGN.md`: one port, two engines).
//!
//! The bytes are kept and replayed to the engine that is chosen, so the engine sees exactly what the client
//! sent. The hello may be split over any number of TCP segments and TLS records (SEC-34); a message above
//! [`MAX_HELLO`] octets, or anything that is no ClientHello, ends the connection with a reason, never with a
//! default policy.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, timeout_at};

pub mod facts;
pub mod fingerprint;
pub mod message;

pub use message::{ClientHello, Format, HelloSyntaxError};

/// The largest hello that is read, in octets on the wire. A ticket with a three-certificate chain and a hybrid
/// key share is 4.2 KB.
pub const MAX_HELLO: usize = 64 * 1024;

/// Why no ClientHello was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// The client closed before its hello was whole.
    #[error("the client closed the connection after {received} bytes, before its hello was whole")]
    ClientGone {
        /// Octets received until then.
        received: usize,
    },
    /// Reading failed.
    #[error("reading the client hello failed")]
    Io(#[source] io::Error),
    /// The bytes are TLS but no sound ClientHello.
    #[error("the client hello is malformed")]
    Malformed(#[source] HelloSyntaxError),
    /// The first bytes are no TLS record; `http` when they look like an HTTP request.
    #[error("the client does not speak TLS on this port{}", if *http { " but plain HTTP" } else { "" })]
    NotTls {
        /// The bytes begin like an HTTP request.
        http: bool,
    },
    /// The deadline passed first.
    #[error("the client hello was not whole by the handshake deadline ({received} bytes received)")]
    Timeout {
        /// Octets received until then.
        received: usize,
    },
    /// More than [`MAX_HELLO`] octets and still not whole.
    #[error("the client hello is larger than {MAX_HELLO} bytes")]
    TooLarge,
}

/// A hello and the exact bytes it came in, with whatever the client sent behind it.
#[derive(Debug)]
pub struct Greeting {
    /// What the client offered.
    pub hello: ClientHello,
    /// Every octet read so far, to be replayed to the engine.
    pub bytes: Vec<u8>,
}

/// Reads one ClientHello.
///
/// # Errors
/// See [`HelloError`]; nothing has been written to the client.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S, deadline: Instant) -> Result<Greeting, HelloError> {
    let mut reader = HelloReader::default();
    loop {
        let received = reader.bytes.len();
        let read = timeout_at(deadline, stream.read_buf(&mut reader.bytes))
            .await
            .map_err(|_| HelloError::Timeout { received })?
            .map_err(HelloError::Io)?;
        if read == 0 {
            return Err(HelloError::ClientGone { received });
        }
        if let Some(hello) = reader.advance()? {
            return Ok(Greeting { hello, bytes: reader.bytes });
        }
        if reader.bytes.len() >= MAX_HELLO {
            return Err(HelloError::TooLarge);
        }
    }
}

/// Reassembles the hello from records as bytes arrive; each octet is looked at once.
#[derive(Debug)]
struct HelloReader {
    bytes: Vec<u8>,
    /// Where the next record begins in `bytes`.
    next_record: usize,
    /// The handshake message as far as it has come, its four-byte header included.
    message: Vec<u8>,
}

impl Default for HelloReader {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(2048), next_record: 0, message: Vec::new() }
    }
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

impl HelloReader {
    fn advance(&mut self) -> Result<Option<ClientHello>, HelloError> {
        if let Some(outcome) = self.sslv2() {
            return outcome;
        }
        loop {
            let Some(rest) = self.bytes.get(self.next_record..) else { return Ok(None) };
            let Some(first) = rest.first() else { return Ok(None) };
            if *first != HANDSHAKE {
                return Err(self.not_a_handshake());
            }
            let Some((header, body)) = rest.split_first_chunk::<5>() else { return Ok(None) };
            let [_, major, _, high, low] = *header;
            if major != 3 {
                return Err(self.not_a_handshake());
            }
            let length = usize::from(u16::from_be_bytes([high, low]));
            // RFC 8446 §5.1: handshake records are never empty and hold at most 2^14 octets.
            if length == 0 || length > 1 << 14 {
                return Err(HelloError::Malformed(HelloSyntaxError::Field("record length")));
            }
            let Some(fragment) = body.get(..length) else { return Ok(None) };
            self.message.extend_from_slice(fragment);
            self.next_record += 5 + length;
            if let Some(hello) = self.whole_message()? {
                return Ok(Some(hello));
            }
        }
    }

    fn whole_message(&self) -> Result<Option<ClientHello>, HelloError> {
        let Some(kind) = self.message.first() else { return Ok(None) };
        if *kind != CLIENT_HELLO {
            return Err(HelloError::Malformed(HelloSyntaxError::Field("msg_type")));
        }
        let Some((header, body)) = self.message.split_first_chunk::<4>() else { return Ok(None) };
        let [_, high, middle, low] = *header;
        let length = u32::from_be_bytes([0, high, middle, low]);
        let length = usize::try_from(length).map_err(|_| HelloError::TooLarge)?;
        if length > MAX_HELLO {
            return Err(HelloError::TooLarge);
        }
        let Some(hello) = body.get(..length) else { return Ok(None) };
        // A client has nothing to say after its hello until the server has spoken (RFC 8446 §5.1 forbids
        // messages that span a key change); more handshake bytes in the same record are an attack or a fault.
        if body.len() > length {
            return Err(HelloError::Malformed(HelloSyntaxError::TrailingBytes(body.len() - length)));
        }
        ClientHello::parse(hello).map(Some).map_err(HelloError::Malformed)
    }

    /// An SSLv2-format hello: two length octets with the top bit set, then message type 1.
    fn sslv2(&self) -> Option<Result<Option<ClientHello>, HelloError>> {
        let [high, low, kind, ..] = *self.bytes.as_slice() else {
            return match self.bytes.first() {
                Some(first) if first & 0x80 != 0 => Some(Ok(None)),
                _ => None,
            };
        };
        if high & 0x80 == 0 {
            return None;
        }
        if kind != CLIENT_HELLO {
            return Some(Err(HelloError::NotTls { http: false }));
        }
        let length = usize::from(u16::from_be_bytes([high & 0x7f, low]));
        let Some(body) = self.bytes.get(2..2 + length) else { return Some(Ok(None)) };
        Some(ClientHello::parse_sslv2(body).map(Some).map_err(HelloError::Malformed))
    }

    fn not_a_handshake(&self) -> HelloError {
        if self.next_record > 0 {
            return HelloError::Malformed(HelloSyntaxError::Field("record type"));
        }
        const METHODS: [&[u8]; 9] =
            [b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"DELETE", b"CONNECT", b"PATCH", b"TRACE"];
        let http = METHODS.iter().any(|method| {
            let seen = self.bytes.len().min(method.len());
            self.bytes.get(..seen) == method.get(..seen)
        });
        HelloError::NotTls { http }
    }
}

#[cfg(test)]
mod tests;
