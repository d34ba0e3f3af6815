//! The phones of the measurement: blocking clients in a few threads.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use certs::{Certificate, KeyAlgorithm};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, RootCertStore};

mod legacy;
mod modern;

/// What a device holds.
pub(crate) struct Credentials {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) roots: Arc<RootCertStore>,
    /// The one in `roots`.
    pub(crate) server_root: CertificateDer<'static>,
    /// Who signed the chain.
    pub(crate) client_root: CertificateDer<'static>,
    /// The path of its own profile.
    pub(crate) path: String,
}

/// What kind of phone calls, and with which version.
#[derive(Clone, Copy)]
pub(crate) enum Phone {
    /// RSA key exchange and AES128-SHA, nothing else.
    Legacy(LegacyVersion),
    /// What rustls offers.
    Modern(Version),
}

#[derive(Clone, Copy)]
pub(crate) enum LegacyVersion {
    Tls10,
    Tls12,
}

#[derive(Clone, Copy)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resumption {
    Always,
    Never,
}

/// TLS settings, and what every handshake must come to.
pub(crate) struct Tls {
    engine: Engine,
    kind: HandshakeKind,
    /// The key in the certificate that the server is to show.
    shown: KeyAlgorithm,
}

enum Engine {
    Legacy(legacy::Tls),
    Modern(modern::Tls),
}

/// A device that talks to one server.
pub(crate) struct Client {
    credentials: Arc<Credentials>,
    address: SocketAddr,
}

/// Devices at once. More than the servers have cores, as in life: a server then finds several at each wake-up.
pub(crate) const THREADS: usize = 16;

impl Client {
    pub(crate) fn new(credentials: &Arc<Credentials>, address: SocketAddr) -> Self {
        Self { credentials: Arc::clone(credentials), address }
    }

    /// Settings for handshakes in which the server is to show a certificate with a key of the kind `shown`.
    pub(crate) fn tls(&self, phone: Phone, resumption: Resumption, shown: KeyAlgorithm) -> io::Result<Tls> {
        let engine = match phone {
            Phone::Legacy(version) => Engine::Legacy(legacy::Tls::new(&self.credentials, version)?),
            Phone::Modern(version) => {
                Engine::Modern(modern::Tls::new(&self.credentials, version, resumption)?)
            }
        };
        let kind = match resumption {
            Resumption::Always => HandshakeKind::Resumed,
            Resumption::Never => HandshakeKind::Full,
        };
        let tls = Tls { engine, kind, shown };
        if resumption == Resumption::Always {
            self.in_threads(THREADS, |thread, _| self.handshake(&tls, thread).map(|_| ()))?;
        }
        Ok(tls)
    }

    /// Opens `count` connections, each for one request.
    pub(crate) fn handshakes(&self, tls: &Tls, count: usize) -> io::Result<()> {
        self.in_threads(count, |thread, share| {
            (0..share).try_for_each(|_| match self.handshake(tls, thread)? {
                (kind, shown) if kind == tls.kind && shown == tls.shown => Ok(()),
                (kind, shown) => Err(io::Error::other(format!(
                    "{}: expected {:?} and a certificate with {}, got {kind:?} and {shown}",
                    self.address, tls.kind, tls.shown
                ))),
            })
        })
    }

    /// What kind of handshake it was, and the key in the certificate that the server showed.
    fn handshake(&self, tls: &Tls, thread: usize) -> io::Result<(HandshakeKind, KeyAlgorithm)> {
        let socket = self.connect()?;
        match &tls.engine {
            Engine::Legacy(tls) => tls.handshake(socket, &self.credentials.path),
            Engine::Modern(tls) => tls.handshake(thread, socket, &self.credentials.path),
        }
    }

    /// The key in the certificate that the server shows.
    pub(crate) fn shown(&self, tls: &Tls) -> io::Result<KeyAlgorithm> {
        self.handshake(tls, 0).map(|(_, shown)| shown)
    }

    /// Sends `count` requests over a few kept connections.
    pub(crate) fn kept(&self, count: usize) -> io::Result<()> {
        let tls = modern::Tls::new(&self.credentials, Version::Tls13, Resumption::Never)?;
        self.in_threads(count, |thread, share| {
            let mut stream = tls.connect(thread, self.connect()?)?;
            (0..share).try_for_each(|_| get(&mut stream, &self.credentials.path))
        })
    }

    /// Shares `count` operations among the threads; `work` gets its thread's number and its share.
    fn in_threads(
        &self,
        count: usize,
        work: impl Fn(usize, usize) -> io::Result<()> + Sync,
    ) -> io::Result<()> {
        let work = &work;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|at| {
                    let share = count / THREADS + usize::from(at < count % THREADS);
                    scope.spawn(move || work(at, share))
                })
                .collect();
            threads.into_iter().try_for_each(|one| one.join().map_err(|_| io::Error::other("panicked"))?)
        })
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }
}

fn key_of(certificate: &[u8]) -> io::Result<KeyAlgorithm> {
    let certificate = Certificate::parse(certificate).map_err(io::Error::other)?;
    Ok(certificate.public_key().algorithm())
}

fn get(stream: &mut (impl Read + Write), path: &str) -> io::Result<()> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Cisco-CP-8841-3PCC/11.0 (000e08abcdef)\r\n\
         Accept: */*\r\n\r\n"
    )?;
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        let rest = buffer.get_mut(filled..).unwrap_or_default();
        let read = stream.read(rest)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
        let seen = buffer.get(..filled).unwrap_or_default();
        let Some(head) = seen.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(seen.get(..head).unwrap_or_default()).to_ascii_lowercase();
        if !text.starts_with("http/1.1 200") {
            return Err(io::Error::other(text));
        }
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|value| value.trim().parse().ok())
            .ok_or_else(|| io::Error::other("no Content-Length"))?;
        if filled >= head + 4 + length {
            return Ok(());
        }
    }
}
