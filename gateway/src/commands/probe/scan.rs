//! Short connections that get no further than the server's first flight: which versions, which suites, what it shows.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use policies::{CipherSuite, TlsVersion};

use super::hello::{Extensions, Offer, SSL3};
use crate::wire::decoder::What;
use crate::wire::message::{CertificateRequest, ServerHello, ServerKeyExchange};
use crate::wire::names;
use crate::wire::{Decoder, Message, Side};

/// A server to be asked.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// What is sent as server name, if anything.
    pub(super) server_name: Option<String>,
    /// For each connection and each wait.
    pub(super) timeout: Duration,
}

/// What a server says to a hello, in the clear.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) hello: ServerHello,
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) request: Option<CertificateRequest>,
    pub(super) exchange: Option<ServerKeyExchange>,
}

/// Why there is no flight.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Refused {
    Alert(u8),
    Closed,
    NoConnection(String),
    NotTls,
    Silent,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Alert(number) => write!(out, "alert {}", names::alert(*number)),
            Self::Closed => out.write_str("the server closes the connection without an alert"),
            Self::NoConnection(why) => write!(out, "no connection: {why}"),
            Self::NotTls => out.write_str("what the server answers is no TLS"),
            Self::Silent => out.write_str("the server does not answer in time"),
        }
    }
}

/// How much of the server's flight is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Until {
    Hello,
    /// The whole flight before TLS 1.3; at TLS 1.3 all but the hello is encrypted.
    Done,
}

/// The largest flight that is read.
const MOST_BYTES: usize = 512 * 1024;

impl Target {
    /// Connects.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// When a whole handshake with its request is over, begun now: a server that sends byte by byte does not keep the probe
    /// for ever.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + 4 * self.timeout
    }

    /// Says one hello and reads the answer.
    pub(super) fn ask(&self, offer: &Offer<'_>, until: Until) -> Result<Flight, Refused> {
        let no_connection = |error: std::io::Error| Refused::NoConnection(error.to_string());
        let hello = offer.record().map_err(|_| Refused::NoConnection("no random numbers".to_owned()))?;
        let mut stream = self.connect().map_err(no_connection)?;
        stream.write_all(&hello).map_err(|_| Refused::Closed)?;
        let flight = read_flight(&mut stream, until, Instant::now() + self.timeout);
        // A word of farewell, so that the server need not wait for its time limit (RFC 8446 §6.1: user_canceled).
        let _ = stream.write_all(&[21, 3, 1, 0, 2, 1, 90]);
        flight
    }
}

fn read_flight(stream: &mut TcpStream, until: Until, deadline: Instant) -> Result<Flight, Refused> {
    let mut decoder = Decoder::new(Arc::default());
    let mut flight: Option<Flight> = None;
    let mut buffer = vec![0; 16 * 1024];
    let mut total = 0_usize;
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) => return flight.ok_or(Refused::Closed),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                return flight.ok_or(Refused::Silent);
            }
            Err(_) => return flight.ok_or(Refused::Closed),
        };
        total += read;
        for item in decoder.feed(Side::Server, buffer.get(..read).unwrap_or_default()) {
            match item.what {
                What::Alert { level: 1, description: 112 } => {} // unrecognized_name as a mere warning
                What::Alert { description, .. } => return Err(Refused::Alert(description)),
                What::NotTls(_) => return Err(Refused::NotTls),
                What::Handshake { message, .. } => {
                    if note(&mut flight, message, until) {
                        return flight.ok_or(Refused::NotTls);
                    }
                }
                What::ApplicationData(_)
                | What::ChangeCipherSpec
                | What::CutShort(_)
                | What::Sealed { .. }
                | What::SealedFinished(_) => {}
            }
        }
        if total > MOST_BYTES || Instant::now() > deadline {
            return flight.ok_or(Refused::Silent);
        }
    }
}

/// Keeps what a message says; whether it was the last that is waited for.
fn note(flight: &mut Option<Flight>, message: Message, until: Until) -> bool {
    match (message, flight.as_mut()) {
        (Message::ServerHello(hello), None) => {
            let done = until == Until::Hello || hello.version == TlsVersion::TLS1_3;
            *flight = Some(Flight { hello, chain: Vec::new(), request: None, exchange: None });
            done
        }
        (Message::Certificate(chain), Some(flight)) => {
            flight.chain = chain;
            false
        }
        (Message::CertificateRequest(request), Some(flight)) => {
            flight.request = Some(request);
            false
        }
        (Message::ServerKeyExchange(exchange), Some(flight)) => {
            flight.exchange = Some(exchange);
            false
        }
        (Message::ServerHelloDone, Some(_)) => true,
        _ => false,
    }
}

/// The versions that are asked for.
pub(super) const VERSIONS: [TlsVersion; 5] =
    [SSL3, TlsVersion::TLS1_0, TlsVersion::TLS1_1, TlsVersion::TLS1_2, TlsVersion::TLS1_3];

/// One version and what a server takes at it.
#[derive(Clone, Debug)]
pub(super) struct Spoken {
    pub(super) version: TlsVersion,
    /// The suites in the order in which the server takes them, or why it speaks not at all.
    pub(super) suites: Result<Vec<CipherSuite>, Refused>,
    /// Whether the order is the server's own; unknown where it takes one suite alone.
    pub(super) servers_order: Option<bool>,
}

/// Finds out all that a server takes at a version, by offering less and less.
pub(super) fn spoken(target: &Target, version: TlsVersion) -> Spoken {
    let mut left = candidates(version);
    let mut taken = Vec::new();
    let mut refused = Refused::Silent;
    while !left.is_empty() {
        let offer = Offer {
            version,
            suites: &left,
            server_name: target.server_name.as_deref(),
            extensions: Extensions::Usual,
        };
        match target.ask(&offer, Until::Hello) {
            Ok(flight) if flight.hello.version == version && left.contains(&flight.hello.suite) => {
                left.retain(|suite| *suite != flight.hello.suite);
                taken.push(flight.hello.suite);
            }
            // An answer in another version, or with a suite that was not offered, is no.
            Ok(_) => {
                refused = Refused::Alert(70);
                break;
            }
            Err(why) => {
                refused = why;
                break;
            }
        }
    }
    if taken.is_empty() {
        return Spoken { version, suites: Err(refused), servers_order: None };
    }
    let servers_order = match taken.as_slice() {
        [first, second, ..] => {
            let turned = [*second, *first];
            let offer = Offer {
                version,
                suites: &turned,
                server_name: target.server_name.as_deref(),
                extensions: Extensions::Usual,
            };
            // Whoever takes the first of each list has no order of its own.
            let candidates = candidates(version);
            let place = |suite: &CipherSuite| candidates.iter().position(|known| known == suite);
            match (target.ask(&offer, Until::Hello), place(first) < place(second)) {
                (Ok(flight), _) if flight.hello.suite == *first => Some(true),
                (Ok(_), true) => Some(false),
                (Ok(_), false) | (Err(_), _) => None,
            }
        }
        _ => None,
    };
    Spoken { version, suites: Ok(taken), servers_order }
}

/// The suites of the phones' guide by their number, with both numbers of the one that is printed wrongly.
pub(super) const TABLE: [CipherSuite; 10] = [
    CipherSuite(0x0039),
    CipherSuite(0x0035),
    CipherSuite(0x0033),
    CipherSuite(0x002f),
    CipherSuite(0x0005),
    CipherSuite(0x0004),
    CipherSuite(0x0062),
    CipherSuite(0x0064),
    CipherSuite(0x0060),
    CipherSuite(0x0003),
];

/// Every suite that a server may take from some client at this version; those with certificates alone.
fn candidates(version: TlsVersion) -> Vec<CipherSuite> {
    if version == TlsVersion::TLS1_3 {
        return (0x1301..=0x1305).map(CipherSuite).collect();
    }
    // The newest first: a server without an order of its own then shows its best.
    const TLS12: [u16; 32] = [
        0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc02b, 0xc02f, 0x009f, 0xccaa, 0x009e, 0xc0ad, 0xc0ac, 0xc09f,
        0xc09e, 0xc024, 0xc028, 0x006b, 0xc023, 0xc027, 0x0067, 0x009d, 0x009c, 0xc09d, 0xc09c, 0x003d,
        0x003c, 0xc0af, 0xc0ae, 0xc0a3, 0xc0a2, 0xc0a1, 0xc0a0, 0x003b,
    ];
    const OLDER: [u16; 35] = [
        0xc00a, 0xc014, 0x0039, 0xc009, 0xc013, 0x0033, 0x0035, 0x002f, 0x0088, 0x0045, 0x0084, 0x0041,
        0x009a, 0x0096, 0xc008, 0xc012, 0x0016, 0x000a, 0xc007, 0xc011, 0x0005, 0x0004, 0x0015, 0x0009,
        0x0007, 0x0062, 0x0064, 0x0061, 0x0060, 0x0014, 0x0008, 0x0006, 0x0003, 0x0002, 0x0001,
    ];
    let newer = if version == TlsVersion::TLS1_2 { &TLS12[..] } else { &[] };
    // RFC 8422 is of TLS 1.0 and later.
    let all = newer.iter().chain(&OLDER).copied().map(CipherSuite);
    all.filter(|suite| version != SSL3 || !suite.uses_ecdhe()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_of_the_guide_is_asked_for_at_every_old_version() {
        for version in [SSL3, TlsVersion::TLS1_0, TlsVersion::TLS1_1, TlsVersion::TLS1_2] {
            let candidates = candidates(version);
            assert!(TABLE.iter().all(|suite| candidates.contains(suite)), "{version}");
            assert!(candidates.iter().all(|suite| suite.known_name().is_some() && !suite.is_tls13()));
            let mut numbers: Vec<_> = candidates.iter().map(|suite| suite.0).collect();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), candidates.len(), "none twice");
        }
    }
}
