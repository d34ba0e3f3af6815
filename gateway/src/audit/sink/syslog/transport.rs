//! The ways of syslog messages.

use std::io::{self, BufWriter, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use tracing::warn;

use super::{Destination, SyslogTls};

/// A receiver that takes nothing for so long is given up, and tried again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages that go out together.
const BUFFER: usize = 64 << 10;

/// An open way to a receiver.
#[derive(Debug)]
pub(super) enum Transport {
    Datagram(UnixDatagram),
    /// A local socket of the other kind, as syslog-ng opens; a NUL ends each message there.
    Local(BufWriter<UnixStream>),
    Udp(UdpSocket),
    Tcp(BufWriter<TcpStream>),
    Tls(Box<BufWriter<StreamOwned<ClientConnection, TcpStream>>>),
}

impl Transport {
    pub(super) fn connect(to: &Destination) -> io::Result<Self> {
        match to {
            Destination::Local(path) => local(path),
            Destination::Udp(to, _) => {
                let mut last = io::Error::from(io::ErrorKind::NotFound);
                for address in to.to_socket_addrs()? {
                    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                    match UdpSocket::bind(any).and_then(|socket| socket.connect(address).map(|()| socket)) {
                        Ok(socket) => return Ok(Self::Udp(socket)),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Destination::Tcp(to) => Ok(Self::Tcp(BufWriter::with_capacity(BUFFER, tcp(to)?))),
            Destination::Tls(to, SyslogTls { name, config, identity: _ }) => {
                let connection = ClientConnection::new(Arc::clone(config), name.clone());
                let mut stream = StreamOwned::new(connection.map_err(io::Error::other)?, tcp(to)?);
                // Here, and not with the first message, so that a refusal loses none.
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
                Ok(Self::Tls(Box::new(BufWriter::with_capacity(BUFFER, stream))))
            }
        }
    }

    /// Sends one message; over a connection it may wait for [`flush`](Self::flush).
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Datagram(socket) => unless_too_long(socket.send(message), message.len()),
            Self::Udp(socket) => unless_too_long(socket.send(message), message.len()),
            Self::Local(stream) => stream.write_all(message).and_then(|()| stream.write_all(b"\0")),
            Self::Tcp(stream) => framed(stream, message),
            Self::Tls(stream) => framed(stream, message),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Datagram(_) | Self::Udp(_) => Ok(()),
            Self::Local(stream) => stream.flush(),
            Self::Tcp(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }

    /// Whether the receiver has ended the connection: nothing else is ever read from one.
    pub(super) fn is_closed(&mut self) -> bool {
        match self {
            Self::Datagram(_) | Self::Udp(_) | Self::Local(_) => false,
            Self::Tcp(stream) => has_ended(stream.get_ref()),
            Self::Tls(stream) => {
                let stream = stream.get_mut();
                // Session tickets and the like arrive here; they are taken in.
                while let Ok(1..) = stream.sock.peek_now() {
                    if !matches!(stream.conn.read_tls(&mut stream.sock), Ok(1..)) {
                        return true;
                    }
                    match stream.conn.process_new_packets() {
                        Ok(state) if !state.peer_has_closed() => {}
                        Ok(_) | Err(_) => return true,
                    }
                }
                has_ended(&stream.sock)
            }
        }
    }

    /// Says goodbye, so that the receiver knows that nothing was cut off.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.flush()?;
        if let Self::Tls(stream) = &mut self {
            let stream = stream.get_mut();
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        Ok(())
    }
}

/// A datagram that is too long for its way: no later try will help, and those behind it must go on.
fn unless_too_long(sent: io::Result<usize>, bytes: usize) -> io::Result<()> {
    match sent {
        Err(error) if error.raw_os_error() == Some(MESSAGE_TOO_LONG) => {
            warn!(bytes, "a syslog datagram is too long for the network or the local socket, and is lost");
            Ok(())
        }
        sent => sent.map(drop),
    }
}

/// EMSGSIZE on Linux.
const MESSAGE_TOO_LONG: i32 = 90;

/// RFC 6587 §3.4.1 and RFC 5425 §4.3: the length, a space, the message.
fn framed(to: &mut impl io::Write, message: &[u8]) -> io::Result<()> {
    write!(to, "{} ", message.len())?;
    to.write_all(message)
}

fn local(path: &Path) -> io::Result<Transport> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let refused = match socket.connect(path) {
        Ok(()) => return Ok(Transport::Datagram(socket)),
        Err(error) => error,
    };
    match UnixStream::connect(path) {
        Ok(stream) => {
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Transport::Local(BufWriter::with_capacity(BUFFER, stream)))
        }
        Err(_) => Err(refused),
    }
}

fn tcp(to: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in to.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

trait PeekNow {
    /// How many bytes could be read now; an error where there are none yet.
    fn peek_now(&self) -> io::Result<usize>;
}

impl PeekNow for TcpStream {
    fn peek_now(&self) -> io::Result<usize> {
        self.set_nonblocking(true)?;
        let peeked = self.peek(&mut [0]);
        self.set_nonblocking(false)?;
        peeked
    }
}

fn has_ended(stream: &TcpStream) -> bool {
    match stream.peek_now() {
        Ok(0) => true,
        Ok(_) => {
            // A receiver has nothing to say; what it says must not stay in the way of its end.
            let _ = (&mut &*stream).read(&mut [0; 256]);
            false
        }
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}
