//! A device as a test wants it: any certificate, any TLS version, with a server name or none, and any bytes inside.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::{
    AlertDescription, ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SignatureAlgorithm,
    SignatureScheme, StreamOwned, SupportedProtocolVersion,
    client::{ResolvesClientCert, Resumption},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    sign::{CertifiedKey, Signer, SigningKey},
};

use crate::{
    expect::DEADLINE,
    http::{self, Response},
    pki::{Authority, Credentials},
};

/// A client. Its connections resume each other's sessions where they can.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    root: Vec<u8>,
    /// What stands in `Host`.
    host: String,
    /// What the server's certificate must name; sent as server name unless that is left out.
    name: String,
    sends_name: bool,
    versions: &'static [&'static SupportedProtocolVersion],
    credentials: Option<Credentials>,
    resumption: bool,
    hello: Option<HelloChange>,
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Turns the client hello's bytes into what is written, one write per part.
type HelloChange = Arc<dyn Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync>;

/// How a request ended, as the client sees it.
#[derive(Debug)]
pub enum Outcome {
    /// An answer.
    Answer(Response),
    /// The server's alert, by its RFC name.
    Alert(String),
    /// The connection ended without an answer and without an error.
    Closed,
    /// The connection broke.
    Broken(io::Error),
}

impl Outcome {
    /// The answer.
    ///
    /// # Panics
    /// There is none.
    pub fn answer(self) -> Response {
        match self {
            Self::Answer(response) => response,
            Self::Alert(_) | Self::Closed | Self::Broken(_) => panic!("no answer: {self:?}"),
        }
    }

    /// The answer's status.
    ///
    /// # Panics
    /// There is none.
    pub fn status(self) -> u16 {
        self.answer().status
    }

    /// The alert.
    ///
    /// # Panics
    /// There is none.
    pub fn alert(self) -> String {
        match self {
            Self::Alert(alert) => alert,
            Self::Answer(_) | Self::Closed | Self::Broken(_) => panic!("no alert: {self:?}"),
        }
    }
}

impl Client {
    /// A client of a server at this address whose certificate `root` issued, asking for `host`.
    pub fn new(address: SocketAddr, root: &Authority, host: &str) -> Self {
        Self::trusting(address, root.certificate().to_vec(), host)
    }

    /// The same with the root's certificate in DER.
    pub fn trusting(address: SocketAddr, root: Vec<u8>, host: &str) -> Self {
        Self {
            address,
            root,
            host: host.to_owned(),
            name: host.to_owned(),
            sends_name: true,
            versions: rustls::ALL_VERSIONS,
            credentials: None,
            resumption: true,
            hello: None,
            config: Arc::default(),
        }
    }

    /// Has it present these credentials, fitting or not.
    #[must_use]
    pub fn presenting(self, credentials: &Credentials) -> Self {
        Self { credentials: Some(credentials.clone()), config: Arc::default(), ..self }
    }

    /// Has it speak TLS 1.2 only.
    #[must_use]
    pub fn tls12(self) -> Self {
        Self { versions: TLS12, config: Arc::default(), ..self }
    }

    /// Has it speak TLS 1.3 only.
    #[must_use]
    pub fn tls13(self) -> Self {
        Self { versions: TLS13, config: Arc::default(), ..self }
    }

    /// Has it send no server name.
    #[must_use]
    pub fn without_server_name(self) -> Self {
        Self { sends_name: false, config: Arc::default(), ..self }
    }

    /// Has it send another server name than the host it asks for. Sessions are kept per server name, so a session is
    /// offered to the other name only by [`Client::at`] with the same name.
    #[must_use]
    pub fn naming(self, server_name: &str) -> Self {
        Self { name: server_name.to_owned(), ..self }
    }

    /// Has it write another host into its requests.
    #[must_use]
    pub fn asking_for(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }

    /// The same client, its sessions included, at another address.
    #[must_use]
    pub fn at(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    /// Has it never resume.
    #[must_use]
    pub fn without_resumption(self) -> Self {
        Self { resumption: false, config: Arc::default(), ..self }
    }

    /// Has it write its client hello as `change` makes it, part by part.
    #[must_use]
    pub fn changing_hello(self, change: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self { hello: Some(Arc::new(change)), ..self }
    }

    /// One GET on a connection of its own.
    pub fn get(&self, target: &str) -> Outcome {
        self.send(&self.get_request(target, &[]))
    }

    /// The same with further header lines.
    pub fn get_with(&self, target: &str, lines: &[&str]) -> Outcome {
        self.send(&self.get_request(target, lines))
    }

    /// The bytes of a GET that keeps its connection.
    pub fn get_request(&self, target: &str, lines: &[&str]) -> Vec<u8> {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", self.host).into_bytes()
    }

    /// Any bytes on a connection of its own, then the first answer.
    pub fn send(&self, bytes: &[u8]) -> Outcome {
        match self.connect() {
            Ok(mut connection) => connection.send(bytes),
            Err(error) => outcome_of(error),
        }
    }

    /// A connection whose handshake is complete as far as the client is concerned. In TLS 1.3 the server's refusal of
    /// the client's certificate comes later, with the first read.
    ///
    /// # Errors
    /// TCP's or TLS's; a server's alert is inside.
    ///
    /// # Panics
    /// The harness's own values are wrong.
    pub fn connect(&self) -> io::Result<Connection> {
        let mut tcp = TcpStream::connect(self.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(DEADLINE))?;
        tcp.set_write_timeout(Some(DEADLINE))?;
        let name = ServerName::try_from(self.name.clone()).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(self.config(), name).map_err(io::Error::other)?;
        if let Some(change) = &self.hello {
            let mut hello = Vec::new();
            while session.wants_write() {
                session.write_tls(&mut hello)?;
            }
            for part in change(&hello) {
                tcp.write_all(&part)?;
            }
        }
        let mut stream = StreamOwned::new(session, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Connection { stream })
    }

    fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(self.config.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from(self.root.clone())).unwrap();
            let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(self.versions)
                .unwrap()
                .with_root_certificates(roots);
            let mut config = match &self.credentials {
                Some(credentials) => builder.with_client_cert_resolver(Arc::new(Presents::new(credentials))),
                None => builder.with_no_client_auth(),
            };
            config.enable_sni = self.sends_name;
            if !self.resumption {
                config.resumption = Resumption::disabled();
            }
            Arc::new(config)
        }))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("address", &self.address)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// Presents its credentials whatever the server asks for.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl Presents {
    fn new(credentials: &Credentials) -> Self {
        let key = PrivateKeyDer::try_from(credentials.key.clone()).unwrap();
        let key = Arc::new(Unasked(aws_lc_rs::sign::any_supported_type(&key).unwrap()));
        let chain = credentials.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        Self(Arc::new(CertifiedKey::new(chain, key)))
    }
}

impl ResolvesClientCert for Presents {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A key that signs even where the server asked for none of its schemes: with its first one then.
#[derive(Debug)]
struct Unasked(Arc<dyn SigningKey>);

impl SigningKey for Unasked {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        const OWN: [SignatureScheme; 3] = [
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
        ];
        self.0.choose_scheme(offered).or_else(|| self.0.choose_scheme(&OWN))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Connection {
    /// Sends any bytes and reads the first answer.
    pub fn send(&mut self, bytes: &[u8]) -> Outcome {
        if let Err(error) = self.write(bytes) {
            // The alert that made the write fail may be waiting to be read.
            return match self.read_answer(bytes) {
                Outcome::Broken(_) | Outcome::Closed => outcome_of(error),
                read @ (Outcome::Answer(_) | Outcome::Alert(_)) => read,
            };
        }
        self.read_answer(bytes)
    }

    /// Sends any bytes.
    ///
    /// # Errors
    /// The stream's.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads the next answer; `request` tells by its method whether the answer has a body.
    pub fn read_answer(&mut self, request: &[u8]) -> Outcome {
        let method = if request.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
        match http::read_response(&mut self.stream, method) {
            Ok(Some(response)) => Outcome::Answer(response),
            Ok(None) => Outcome::Closed,
            Err(error) => outcome_of(error),
        }
    }

    /// Reads until the server ends the connection.
    pub fn read_to_end(&mut self) -> Outcome {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => Outcome::Closed,
            Err(error) => outcome_of(error),
        }
    }

    /// Lets time go by in which nothing comes and the connection stays open.
    ///
    /// # Panics
    /// Something comes, or it ends.
    pub fn idle(&self, time: Duration) {
        self.socket().set_read_timeout(Some(time)).unwrap();
        let silence = self.socket().peek(&mut [0]);
        let silence = silence.expect_err("nothing was to come, nor the end");
        assert_eq!(silence.kind(), io::ErrorKind::WouldBlock, "it was to stay open");
        self.socket().set_read_timeout(Some(DEADLINE)).unwrap();
    }

    /// The bytes inside, to be read as they come.
    pub fn into_reader(self) -> impl Read {
        self.stream
    }

    /// Whether an earlier session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The agreed version, as in `TLSv1_3`.
    pub fn version(&self) -> String {
        self.stream.conn.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default()
    }

    /// Ends our direction of the TCP connection.
    ///
    /// # Errors
    /// The socket's.
    pub fn end_writing(&mut self) -> io::Result<()> {
        self.stream.conn.send_close_notify();
        self.stream.flush()?;
        self.stream.sock.shutdown(Shutdown::Write)
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        &self.stream.sock
    }
}

fn outcome_of(error: io::Error) -> Outcome {
    let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::AlertReceived(alert)) = alert {
        return Outcome::Alert(alert_name(*alert));
    }
    Outcome::Broken(error)
}

/// The RFC's name of an alert, from the library's: `UnknownCA` is `unknown_ca`.
fn alert_name(alert: AlertDescription) -> String {
    let mut name = String::new();
    let mut after_lower = false;
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && after_lower {
            name.push('_');
        }
        after_lower = letter.is_ascii_lowercase();
        name.push(letter.to_ascii_lowercase());
    }
    name
}
