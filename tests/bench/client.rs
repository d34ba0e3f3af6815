//! The phones of the measurement: blocking clients in a few threads.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use certs::{Certificate, KeyAlgorithm};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::request::Request;

mod legacy;
mod modern;

/// What a device holds.
pub(crate) struct Credentials {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) roots: Arc<RootCertStore>,
    /// The one in `roots`.
    pub(crate) server_root: CertificateDer<'static>,
    pub(crate) profile: Request,
    pub(crate) large_profile: Request,
    pub(crate) report: Request,
}

/// What kind of phone calls, and with which version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phone {
    /// RSA key exchange and AES128-SHA, nothing else.
    Legacy(LegacyVersion),
    /// What rustls offers.
    Modern(Version),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LegacyVersion {
    Tls10,
    Tls12,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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

/// A connection that stays.
pub(crate) type Open = StreamOwned<ClientConnection, TcpStream>;

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
        })?;
        Ok(())
    }

    /// What kind of handshake it was, and the key in the certificate that the server showed.
    fn handshake(&self, tls: &Tls, thread: usize) -> io::Result<(HandshakeKind, KeyAlgorithm)> {
        let socket = self.connect()?;
        match &tls.engine {
            Engine::Legacy(tls) => tls.handshake(socket, &self.credentials.profile),
            Engine::Modern(tls) => tls.handshake(thread, socket, &self.credentials.profile),
        }
    }

    /// The key in the certificate that the server shows.
    pub(crate) fn shown(&self, tls: &Tls) -> io::Result<KeyAlgorithm> {
        self.handshake(tls, 0).map(|(_, shown)| shown)
    }

    /// Sends `count` requests over a few kept connections.
    pub(crate) fn kept(&self, request: &Request, count: usize) -> io::Result<()> {
        let tls = modern::Tls::new(&self.credentials, Version::Tls13, Resumption::Never)?;
        self.in_threads(count, |thread, share| {
            let mut stream = tls.connect(thread, self.connect()?)?;
            (0..share).try_for_each(|_| request.exchange(&mut stream))
        })?;
        Ok(())
    }

    /// Opens `count` connections, has one request answered on each, and leaves them open.
    pub(crate) fn open(&self, count: usize) -> io::Result<Vec<Open>> {
        let tls = modern::Tls::new(&self.credentials, Version::Tls13, Resumption::Never)?;
        let opened = self.in_threads(count, |thread, share| {
            let open = || {
                let mut stream = tls.connect(thread, self.connect()?)?;
                self.credentials.profile.exchange(&mut stream)?;
                Ok(stream)
            };
            (0..share).map(|_| open()).collect::<io::Result<Vec<_>>>()
        })?;
        Ok(opened.into_iter().flatten().collect())
    }

    /// Has one more request answered on each of these, and says on how many that failed.
    pub(crate) fn closed_meanwhile(&self, open: &mut [Open]) -> usize {
        let answered = open.iter_mut().map(|stream| self.credentials.profile.exchange(stream));
        answered.filter(Result::is_err).count()
    }

    /// Shares `count` operations among the threads; `work` gets its thread's number and its share.
    fn in_threads<T: Send>(
        &self,
        count: usize,
        work: impl Fn(usize, usize) -> io::Result<T> + Sync,
    ) -> io::Result<Vec<T>> {
        let work = &work;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|at| {
                    let share = count / THREADS + usize::from(at < count % THREADS);
                    scope.spawn(move || work(at, share))
                })
                .collect();
            threads.into_iter().map(|one| one.join().map_err(|_| io::Error::other("panicked"))?).collect()
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
