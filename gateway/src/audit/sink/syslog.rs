//! Syslog as a sink: RFC 5424 messages over UDP (RFC 5426), TCP (RFC 6587, octet counting), TLS (RFC 5425) or the local socket.
//!
//! UDP loses datagrams silently, and a broken TCP or TLS connection what was still on its way: syslog has no acknowledgements.
//! Where every record counts, a file or a database stands beside it.

mod message;
mod transport;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::ServerName;

pub use self::message::{Facility, Message, SyslogFormat, SyslogHeader};
use self::transport::Transport;
use super::AuditSink;
use crate::audit::entry::Entry;

/// Where messages go, and how they look.
#[derive(Debug, Clone, PartialEq)]
pub struct SyslogConfig {
    /// The server, or the local socket.
    pub to: Destination,
    /// What a message looks like.
    pub message: Message,
}

/// A syslog receiver.
#[derive(Debug, Clone, PartialEq)]
pub enum Destination {
    /// The local socket, `/dev/log`.
    Local(PathBuf),
    /// Host and port, by datagrams of at most so many bytes.
    Udp(String, usize),
    /// Host and port.
    Tcp(String),
    /// Host and port, encrypted.
    Tls(String, SyslogTls),
}

/// How a receiver is known over TLS.
#[derive(Debug, Clone)]
pub struct SyslogTls {
    /// The name its certificate must have.
    pub name: ServerName<'static>,
    /// The trusted authorities and, where the receiver wants one, our certificate.
    pub config: Arc<rustls::ClientConfig>,
    /// Tells two of them apart: a hash of the certificates.
    pub identity: [u8; 32],
}

impl PartialEq for SyslogTls {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.identity == other.identity
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(formatter, "unix:{}", path.display()),
            Self::Udp(to, _) => write!(formatter, "udp:{to}"),
            Self::Tcp(to) => write!(formatter, "tcp:{to}"),
            Self::Tls(to, _) => write!(formatter, "tls:{to}"),
        }
    }
}

/// Sends each record as one message.
#[derive(Debug)]
pub struct SyslogSink {
    to: Destination,
    message: Message,
    transport: Option<Transport>,
    text: Vec<u8>,
}

impl SyslogSink {
    /// A sink that connects with the first record, and again whenever the connection is lost.
    #[must_use]
    pub fn new(config: SyslogConfig) -> Self {
        let SyslogConfig { to, message } = config;
        Self { to, message, transport: None, text: Vec::new() }
    }

    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        // Nothing but records comes here; a line that is none must not stop those behind it.
        let Ok(entry) = Entry::parse(line) else { return Ok(()) };
        let most = match &self.to {
            Destination::Udp(_, most) => *most,
            Destination::Local(_) | Destination::Tcp(_) | Destination::Tls(..) => usize::MAX,
        };
        self.text.clear();
        self.message.write(&entry, line, most, &mut self.text);
        let transport = match &mut self.transport {
            Some(transport) => transport,
            missing @ None => missing.insert(Transport::connect(&self.to)?),
        };
        transport.send(&self.text)
    }
}

impl AuditSink for SyslogSink {
    fn append(&mut self, lines: &[u8]) -> io::Result<usize> {
        if let Some(transport) = &mut self.transport
            && transport.is_closed()
        {
            self.transport = None;
        }
        let mut sent = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if let Err(error) = self.send(line.strip_suffix(b"\n").unwrap_or(line)) {
                // What went into a connection's buffer may be lost with it and is sent again; a datagram is gone.
                let datagrams = matches!(self.transport, Some(Transport::Datagram(_) | Transport::Udp(_)));
                self.transport = None;
                return if datagrams && sent > 0 { Ok(sent) } else { Err(error) };
            }
            sent += line.len();
        }
        match self.transport.as_mut().map_or(Ok(()), Transport::flush) {
            Ok(()) => Ok(sent),
            Err(error) => {
                self.transport = None;
                Err(error)
            }
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.transport = None;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        match self.transport.take() {
            Some(transport) => transport.close(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
