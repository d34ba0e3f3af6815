//! A socket that keeps what went through it, to be read once the TLS library has told its secrets.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::wire::{Decoder, Item, Secrets, Side};

/// What is kept of one connection; a handshake is far smaller.
const MOST_BYTES: usize = 1 << 20;

/// The socket.
#[derive(Debug)]
pub(super) struct Tap {
    stream: TcpStream,
    heard: Arc<Mutex<Heard>>,
    /// When it is over, however busy the server keeps it.
    deadline: Instant,
}

/// What went through a [`Tap`].
#[derive(Debug, Default)]
pub(super) struct Heard {
    parts: Vec<(Side, Vec<u8>)>,
    bytes: usize,
}

impl Tap {
    pub(super) fn new(stream: TcpStream, deadline: Instant) -> (Self, Arc<Mutex<Heard>>) {
        let heard = Arc::default();
        (Self { stream, heard: Arc::clone(&heard), deadline }, heard)
    }

    fn keep(&self, side: Side, bytes: &[u8]) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.bytes + bytes.len() <= MOST_BYTES {
            heard.bytes += bytes.len();
            heard.parts.push((side, bytes.to_vec()));
        }
    }
}

/// Reads what was heard, with the secrets of the connection.
pub(super) fn items(heard: &Mutex<Heard>, secrets: Arc<Secrets>) -> Vec<Item> {
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    let mut decoder = Decoder::new(secrets);
    heard.parts.iter().flat_map(|(side, bytes)| decoder.feed(*side, bytes)).collect()
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let read = self.stream.read(buffer)?;
        self.keep(Side::Server, buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(bytes)?;
        self.keep(Side::Client, bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
