//! The phones of the measurement: blocking rustls clients in a few threads.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::client::Resumption as ClientResumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

/// What a device holds.
pub(crate) struct Credentials {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) roots: Arc<RootCertStore>,
    /// Who signed the chain.
    pub(crate) client_root: CertificateDer<'static>,
    /// The path of its own profile.
    pub(crate) path: String,
}

#[derive(Clone, Copy)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

#[derive(Clone, Copy)]
pub(crate) enum Resumption {
    Always,
    Never,
}

/// TLS settings, and whether a handshake is to be a resumed one.
pub(crate) struct Tls {
    /// One for each thread: a TLS 1.3 ticket serves once, so two devices must not share a store.
    configs: Vec<Arc<ClientConfig>>,
    resumption: Resumption,
}

impl Tls {
    fn config(&self, thread: usize) -> io::Result<&Arc<ClientConfig>> {
        self.configs.get(thread).ok_or_else(|| io::Error::other("more threads than settings"))
    }
}

/// A device that talks to one server.
pub(crate) struct Client {
    credentials: Arc<Credentials>,
    address: SocketAddr,
}

/// Devices at once. More than the servers have cores, as in life: a server then finds several at each wake-up.
const THREADS: usize = 16;

impl Client {
    pub(crate) fn new(credentials: &Arc<Credentials>, address: SocketAddr) -> Self {
        Self { credentials: Arc::clone(credentials), address }
    }

    pub(crate) fn tls(&self, version: Version, resumption: Resumption) -> io::Result<Tls> {
        let version = match version {
            Version::Tls12 => &rustls::version::TLS12,
            Version::Tls13 => &rustls::version::TLS13,
        };
        let mut configs = Vec::with_capacity(THREADS);
        for _ in 0..THREADS {
            let mut config = ClientConfig::builder_with_protocol_versions(&[version])
                .with_root_certificates(Arc::clone(&self.credentials.roots))
                .with_client_auth_cert(self.credentials.chain.clone(), self.credentials.key.clone_key())
                .map_err(io::Error::other)?;
            if matches!(resumption, Resumption::Never) {
                config.resumption = ClientResumption::disabled();
            }
            configs.push(Arc::new(config));
        }
        let tls = Tls { configs, resumption };
        if matches!(resumption, Resumption::Always) {
            self.in_threads(THREADS, |thread, _| self.handshake(tls.config(thread)?, None))?;
        }
        Ok(tls)
    }

    /// Opens `count` connections, each for one request.
    pub(crate) fn handshakes(&self, tls: &Tls, count: usize) -> io::Result<()> {
        let wanted = match tls.resumption {
            Resumption::Always => HandshakeKind::Resumed,
            Resumption::Never => HandshakeKind::Full,
        };
        self.in_threads(count, |thread, share| {
            (0..share).try_for_each(|_| self.handshake(tls.config(thread)?, Some(wanted)))
        })
    }

    fn handshake(&self, config: &Arc<ClientConfig>, wanted: Option<HandshakeKind>) -> io::Result<()> {
        let mut stream = self.connect(config)?;
        get(&mut stream, &self.credentials.path)?;
        let kind = stream.conn.handshake_kind();
        // A TLS 1.3 server may ask for another key share; that is a full handshake all the same.
        if wanted.is_some() && kind != wanted {
            return Err(io::Error::other(format!("{}: expected {wanted:?}, got {kind:?}", self.address)));
        }
        stream.conn.send_close_notify();
        let _ = stream.flush();
        Ok(())
    }

    /// Sends `count` requests over a few kept connections.
    pub(crate) fn kept(&self, count: usize) -> io::Result<()> {
        let tls = self.tls(Version::Tls13, Resumption::Never)?;
        self.in_threads(count, |thread, share| {
            let mut stream = self.connect(tls.config(thread)?)?;
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

    fn connect(&self, config: &Arc<ClientConfig>) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        Ok(StreamOwned::new(connection, socket))
    }
}

fn get(stream: &mut StreamOwned<ClientConnection, TcpStream>, path: &str) -> io::Result<()> {
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
