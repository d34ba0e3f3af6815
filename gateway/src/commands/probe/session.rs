//! Whole handshakes, with the phone's certificate where one is given: rustls for TLS 1.2 and 1.3, OpenSSL for what rustls does
//! not speak.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use policies::{CipherSuite, TlsVersion};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme, StreamOwned,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::http::{self, Answer};
use super::scan::Target;
use super::tap::{self, Heard, Tap};
use crate::config::credentials::PrivateKey;
use crate::tls::client_verifier;
use crate::wire::decoder::What;
use crate::wire::message::CertificateRequest;
use crate::wire::{Message, Secrets, Side};

/// What a phone presents.
#[derive(Debug)]
pub(super) struct Credentials {
    /// DER, its own certificate first.
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) key: PrivateKey,
}

/// What is wanted of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) credentials: Option<&'a Credentials>,
    pub(super) host: &'a str,
    pub(super) path: Option<&'a str>,
}

/// What a whole handshake came to.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The library that spoke.
    pub(super) library: &'static str,
    pub(super) version: Option<TlsVersion>,
    pub(super) suite: Option<CipherSuite>,
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) request: Option<CertificateRequest>,
    /// Why it failed.
    pub(super) failure: Option<Failure>,
    pub(super) answer: Option<Answer>,
    /// A ticket came.
    pub(super) ticket: bool,
    /// Whether a second connection resumed the session of the first; unknown where the first failed.
    pub(super) resumed: Option<bool>,
}

/// Why a connection came to nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Failure {
    /// The server's alert.
    pub(super) alert: Option<u8>,
    pub(super) text: String,
}

impl Failure {
    fn local(error: impl fmt::Display) -> Self {
        Self { alert: None, text: error.to_string() }
    }
}

/// How long the verdict on a certificate is waited for at TLS 1.3, where no answer is asked for: it comes after the client's
/// part is done.
const VERDICT_WITHIN: Duration = Duration::from_secs(1);

/// Connects twice with rustls: a full handshake with everything that is wished, and one that tries to resume it.
pub(super) fn modern(target: &Target, wish: &Wish<'_>) -> Result<Session, Unusable> {
    let secrets = Arc::<Secrets>::default();
    let config = Arc::new(client_config(wish.credentials, &secrets)?);
    let mut session = Session { library: "rustls", ..Session::default() };
    let (outcome, heard) = modern_connection(target, &config, wish);
    session.read(&heard, secrets);
    match outcome {
        Ok(done) => session.take(done),
        Err(failure) => session.failure = Some(failure),
    }
    if session.failure.is_none() {
        let (again, _) = modern_connection(target, &config, &Wish { path: None, ..*wish });
        session.resumed = again.ok().map(|done| done.resumed);
    }
    Ok(session)
}

/// A key or certificate that rustls cannot work with.
#[derive(Debug)]
pub(super) struct Unusable;

struct Done {
    version: Option<TlsVersion>,
    suite: Option<CipherSuite>,
    answer: Option<Answer>,
    resumed: bool,
    failure: Option<Failure>,
}

impl Session {
    fn take(&mut self, done: Done) {
        let Done { version, suite, answer, resumed: _, failure } = done;
        (self.version, self.suite, self.answer, self.failure) = (version, suite, answer, failure);
    }

    /// What the server showed, from the wire.
    fn read(&mut self, heard: &Mutex<Heard>, secrets: Arc<Secrets>) {
        for item in tap::items(heard, secrets) {
            let (Side::Server, What::Handshake { message, .. }) = (item.from, item.what) else { continue };
            if let Message::ServerHello(hello) = &message
                && !hello.retry
            {
                (self.version, self.suite) = (Some(hello.version), Some(hello.suite));
            } else if let Message::Certificate(chain) = message {
                self.chain = chain;
            } else if let Message::CertificateRequest(request) = message {
                self.request = Some(request);
            } else if matches!(message, Message::NewSessionTicket { .. }) {
                self.ticket = true;
            }
        }
    }
}

fn modern_connection(
    target: &Target,
    config: &Arc<ClientConfig>,
    wish: &Wish<'_>,
) -> (Result<Done, Failure>, Arc<Mutex<Heard>>) {
    let socket = match target.connect() {
        Ok(socket) => socket,
        Err(error) => return (Err(Failure::local(error)), Arc::default()),
    };
    let waits = socket.try_clone();
    let (tap, heard) = Tap::new(socket, target.deadline());
    let done = || {
        let name = match &target.server_name {
            Some(name) => ServerName::try_from(name.clone()).map_err(Failure::local)?,
            // An address is not sent as server name (RFC 6066 §3).
            None => ServerName::from(target.address.ip()),
        };
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(Failure::local)?;
        let mut stream = StreamOwned::new(connection, tap);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| of_rustls(&error))?;
        }
        let mut done = Done {
            version: stream.conn.protocol_version().map(|version| TlsVersion(u16::from(version))),
            suite: stream.conn.negotiated_cipher_suite().map(|suite| CipherSuite(u16::from(suite.suite()))),
            answer: None,
            resumed: stream.conn.handshake_kind() == Some(HandshakeKind::Resumed),
            failure: None,
        };
        match wish.path {
            Some(path) => match http::get(&mut stream, wish.host, path) {
                Ok(answer) => done.answer = answer,
                Err(error) => done.failure = Some(of_rustls(&error)),
            },
            None => {
                let waits = waits.map_err(Failure::local)?;
                waits.set_read_timeout(Some(VERDICT_WITHIN.min(target.timeout))).map_err(Failure::local)?;
                while done.version == Some(TlsVersion::TLS1_3)
                    && stream.conn.tls13_tickets_received() == 0
                    && done.failure.is_none()
                {
                    match stream.conn.complete_io(&mut stream.sock) {
                        Ok((0, _)) => break,
                        Ok(_) => {}
                        Err(error) if is_timeout(&error) => break,
                        Err(error) => done.failure = Some(of_rustls(&error)),
                    }
                }
            }
        }
        stream.conn.send_close_notify();
        let _ = stream.conn.complete_io(&mut stream.sock);
        Ok(done)
    };
    (done(), heard)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn of_rustls(error: &io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(alert)) => {
            Failure { alert: Some(u8::from(*alert)), text: "the server sent an alert".to_owned() }
        }
        Some(other) => Failure::local(other),
        None if is_timeout(error) => Failure::local("the server does not answer in time"),
        None => Failure::local(error),
    }
}

fn client_config(
    credentials: Option<&Credentials>,
    secrets: &Arc<Secrets>,
) -> Result<ClientConfig, Unusable> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| Unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Onlooker));
    let mut config = match credentials {
        Some(credentials) => {
            let key = any_supported_type(&credentials.key).map_err(|_| Unusable)?;
            let chain = credentials.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
            let presented = Arc::new(CertifiedKey::new(chain, key));
            builder.with_client_cert_resolver(Arc::new(Presents(presented)))
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(4);
    let secrets: Arc<dyn rustls::KeyLog> = Arc::<Secrets>::clone(secrets);
    config.key_log = secrets;
    Ok(config)
}

/// Presents its certificate whatever the server asks for, as a phone does that has but one.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl ResolvesClientCert for Presents {
    fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).is_some().then(|| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Judges no chain: the probe shows what the server has, and says apart what a phone would think of it. That the server
/// holds the key it shows is checked.
#[derive(Debug)]
struct Onlooker;

impl Onlooker {
    fn verify(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithm = client_verifier::algorithm(signature.scheme)
            .or_else(|| client_verifier::sha1_algorithm(signature.scheme))
            .ok_or(rustls::PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let certificate =
            certs::Certificate::parse(certificate).map_err(|_| rustls::CertificateError::BadEncoding)?;
        algorithm
            .verify(certificate.public_key(), message, signature.signature())
            .map_err(|_| rustls::CertificateError::BadSignature)?;
        Ok(HandshakeSignatureValid::assertion())
    }
}

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::verify(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Connects twice with OpenSSL, as [`modern`] with rustls: up to `highest`, with these suites or all that it has.
#[cfg(feature = "legacy-tls")]
pub(super) fn legacy(
    target: &Target,
    wish: &Wish<'_>,
    highest: TlsVersion,
    suites: Option<&[CipherSuite]>,
) -> Session {
    use crate::tls::legacy::client::{Broken, Client, broken};

    let failure = |Broken { alert, text }| Failure { alert, text };
    let mut session = Session { library: "OpenSSL", ..Session::default() };
    let presented =
        wish.credentials.map(|credentials| (credentials.chain.as_slice(), credentials.key.secret_der()));
    let client = match Client::new(highest, suites, presented) {
        Ok(client) => client,
        Err(error) => {
            session.failure = Some(Failure::local(error));
            return session;
        }
    };
    let socket = match target.connect() {
        Ok(socket) => socket,
        Err(error) => {
            session.failure = Some(Failure::local(error));
            return session;
        }
    };
    let (tap, heard) = Tap::new(socket, target.deadline());
    let name = target.server_name.as_deref();
    let connected = client.connect(tap, name, None);
    let mut kept = None;
    match connected {
        Ok(mut stream) => {
            if let Some(path) = wish.path {
                match http::get(&mut stream, wish.host, path) {
                    Ok(answer) => session.answer = answer,
                    Err(error) => {
                        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                        session.failure = Some(
                            inner.map_or_else(|| Failure::local(&error), |inner| failure(broken(inner))),
                        );
                    }
                }
            }
            let _ = stream.shutdown();
            kept = stream.ssl().session().map(ToOwned::to_owned);
            session.read(&heard, Arc::default());
        }
        Err(error) => {
            session.read(&heard, Arc::default());
            session.failure = Some(failure(error));
        }
    }
    if let (None, Some(kept)) = (&session.failure, kept)
        && let Ok(socket) = target.connect()
    {
        let again = client.connect(Tap::new(socket, target.deadline()).0, name, Some(&kept));
        session.resumed = again.ok().map(|mut stream| {
            let resumed = stream.ssl().session_reused();
            let _ = stream.shutdown();
            resumed
        });
    }
    session
}
