//! The handshake step: from a read hello to an encrypted stream and the chain the client presented.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use certs::PresentedChain;
use policies::{CipherSuite, Reason, TlsVersion};
use rustls::{
    AlertDescription, CertificateError, Error as TlsError, HandshakeKind, PeerIncompatible, PeerMisbehaved,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::clock;
use crate::peer::{Peer, Refusal};
use crate::site::VirtualHost;
use crate::tls::client_verifier::alert_for;
#[cfg(feature = "legacy-tls")]
use crate::tls::legacy;
use crate::tls::offer::Choice;
use crate::tls::tickets::Session;
use crate::tls::{Engine, modern};

mod cork;
mod stream;

pub use self::cork::Corked;
pub use self::stream::{Leftover, Replayed, Stream};

/// What was agreed in the handshake.
#[derive(Debug, Clone)]
pub struct TlsFacts {
    /// The engine that served it.
    pub engine: Engine,
    /// The protocol version.
    pub version: TlsVersion,
    /// The cipher suite.
    pub suite: CipherSuite,
    /// Whether the session was resumed.
    pub resumed: bool,
    /// The server name the client asked for, lower-cased.
    pub server_name: Option<Arc<str>>,
}

/// An encrypted stream whose client is not yet known.
#[derive(Debug)]
pub struct Secured {
    stream: Stream,
    facts: TlsFacts,
    verdict: Option<Peer>,
    /// The modern engine's session, if it was resumed.
    session: Option<Session>,
}

/// Why a handshake ended without a [`Secured`] stream.
#[derive(Debug)]
pub struct HandshakeRefused {
    /// The stable code.
    pub reason: Reason,
    /// One sentence for the operator.
    pub detail: String,
    /// The alert as records name it: `sent certificate_expired` or `received unknown_ca`.
    pub alert: Option<String>,
    /// What the client presented, where it got as far as that: the record shows it also when it was refused (SEC-59).
    pub presented: Option<PresentedChain>,
    /// The socket, on which the client may still be talking: to be drained once the refusal is recorded.
    pub stream: Option<Leftover>,
}

/// How long a handshake that waits for its client keeps its place among the handshakes at once. The costly
/// part, the signature, is done by then; a client that stalls holds nobody up for longer.
const PATIENCE: Duration = Duration::from_millis(250);

/// The places for handshakes at once, and how long a client may wait for one.
#[derive(Debug, Clone, Copy)]
pub struct Queue<'a> {
    /// Given out in the order they are asked for.
    pub places: &'a Semaphore,
    /// The longest wait.
    pub timeout: Duration,
}

/// Runs the handshake of a virtual host under the deadline.
///
/// A client waits for its turn in order. That wait is our lateness and not the client's: it has a limit of its own, and the
/// deadline moves by it.
///
/// # Errors
/// [`HandshakeRefused`]; the alert has been sent, and what the client still has to say is left to be drained.
pub async fn secure(
    stream: Replayed<TcpStream>,
    choice: Choice,
    server_name: Option<Arc<str>>,
    host: &VirtualHost,
    queue: Queue<'_>,
    mut deadline: Instant,
) -> Result<Secured, HandshakeRefused> {
    let mut place = queue.places.try_acquire().ok();
    if place.is_none() {
        let waits = Instant::now();
        place = match timeout_at(waits + queue.timeout, queue.places.acquire()).await {
            Ok(place) => place.ok(),
            Err(_) => return Err(no_turn(stream, queue.timeout).await),
        };
        deadline += waits.elapsed();
    }
    let handshake = async {
        match choice {
            #[cfg(feature = "legacy-tls")]
            Choice::Legacy { only } => with_legacy(stream, only, server_name, host).await,
            Choice::Modern => with_modern(stream, server_name, host).await,
        }
    };
    tokio::pin!(handshake);
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    loop {
        tokio::select! {
            biased;
            // The place is given back when this returns.
            done = &mut handshake => return done,
            () = &mut patience, if place.is_some() => place = None,
            () = tokio::time::sleep_until(deadline) => {
                return Err(HandshakeRefused {
                    reason: Reason::HandshakeTimeout,
                    detail: "the handshake was not complete by its deadline".to_owned(),
                    alert: None,
                    presented: None,
                    stream: None,
                });
            }
        }
    }
}

/// Turns away a client that waited in vain.
async fn no_turn(mut stream: Replayed<TcpStream>, waited: Duration) -> HandshakeRefused {
    // The engine has not begun, so the alert goes out in the clear (RFC 8446 §6).
    let alert = AlertDescription::InternalError;
    let told = stream.write_all(&alert_record(alert)).await.is_ok();
    HandshakeRefused {
        reason: Reason::TooManyHandshakes,
        detail: format!("the client waited {waited:?} for its turn among the handshakes"),
        alert: told.then(|| sent(alert)),
        presented: None,
        stream: Some(Leftover::Socket(Box::new(stream))),
    }
}

async fn with_modern(
    stream: Replayed<TcpStream>,
    server_name: Option<Arc<str>>,
    host: &VirtualHost,
) -> Result<Secured, HandshakeRefused> {
    let Some(tls) = host.modern() else {
        return Err(HandshakeRefused {
            reason: Reason::HandshakeFailed,
            detail: "this host has no engine for TLS 1.2 and 1.3".to_owned(),
            alert: None,
            presented: None,
            stream: Some(Leftover::Socket(Box::new(stream))),
        });
    };
    let handshaken = modern::handshake(Arc::clone(tls), stream).await;
    match handshaken.outcome {
        Ok(stream) => {
            let facts = facts(stream.get_ref().1, server_name);
            let stream = Stream::Modern(Box::new(stream));
            let verdict = handshaken.verdict.and_then(Result::ok);
            Ok(Secured { stream, facts, verdict, session: handshaken.session })
        }
        Err((error, stream)) => {
            let stream = Some(Leftover::Socket(Box::new(stream)));
            Err(HandshakeRefused { stream, ..refused(&error, handshaken.verdict) })
        }
    }
}

#[cfg(feature = "legacy-tls")]
async fn with_legacy(
    stream: Replayed<TcpStream>,
    only: Option<CipherSuite>,
    server_name: Option<Arc<str>>,
    host: &VirtualHost,
) -> Result<Secured, HandshakeRefused> {
    let failed = |reason, detail: String| HandshakeRefused {
        reason,
        detail,
        alert: None,
        presented: None,
        stream: None,
    };
    let Some(tls) = host.legacy() else {
        return Err(failed(Reason::HandshakeFailed, "this host has no engine for old phones".to_owned()));
    };
    let handshaken = legacy::handshake(tls, only, host.judge(), stream).await;
    let legacy::Handshaken { outcome, stream, verdict } =
        handshaken.map_err(|error| failed(Reason::HandshakeFailed, error.to_string()))?;
    let Err(legacy::Failure { reason, detail, alert }) = outcome else {
        let (version, suite) = legacy::agreed(stream.ssl());
        let resumed = stream.ssl().session_reused();
        let facts = TlsFacts { engine: Engine::Legacy, version, suite, resumed, server_name };
        let stream = Stream::Legacy(stream);
        return Ok(Secured { stream, facts, verdict: verdict.and_then(Result::ok), session: None });
    };
    let stream = Some(Leftover::Legacy(Box::new(stream)));
    match verdict {
        Some(Err(Refusal { reason, detail, presented })) => {
            Err(HandshakeRefused { reason, detail, alert, presented, stream })
        }
        Some(Ok(peer)) => {
            let presented = peer.chain().map(|chain| chain.presented().clone());
            Err(HandshakeRefused { reason, detail, alert, presented, stream })
        }
        None => Err(HandshakeRefused { reason, detail, alert, presented: None, stream }),
    }
}

impl Secured {
    /// What was agreed.
    pub fn facts(&self) -> &TlsFacts {
        &self.facts
    }

    /// Establishes who the client is: the peer judged inside this very handshake, looked at again, or for a
    /// resumed session the chain in its ticket, verified and admitted as if it had just been presented (SEC-41).
    ///
    /// # Errors
    /// The refusal, with the stream to close.
    pub fn identify(
        self,
        host: &VirtualHost,
    ) -> Result<(Stream, TlsFacts, Peer), (Stream, TlsFacts, Refusal)> {
        let Self { stream, facts, verdict, session } = self;
        let judge = host.judge();
        let now = clock::now();
        let judged = match verdict {
            Some(peer) => judge.recheck(&peer, now).map(|()| peer),
            None => stream.judge_session(judge, session.and_then(|session| session.leaf_signer()), now),
        };
        match judged {
            Ok(peer) => Ok((stream, facts, peer)),
            Err(refusal) => {
                // The next handshake is to be a full one, whose refusal comes with an alert.
                stream.forget_session();
                if let Some(session) = session {
                    host.tickets().refuse(session);
                }
                Err((stream, facts, refusal))
            }
        }
    }
}

fn facts(connection: &rustls::ServerConnection, server_name: Option<Arc<str>>) -> TlsFacts {
    TlsFacts {
        engine: Engine::Modern,
        version: TlsVersion(connection.protocol_version().map_or(0, u16::from)),
        suite: CipherSuite(connection.negotiated_cipher_suite().map_or(0, |suite| u16::from(suite.suite()))),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        server_name,
    }
}

/// Maps the engine's errors to our reasons (SEC-62); the raw text stays in the detail.
fn refused(error: &io::Error, verdict: Option<Result<Peer, Refusal>>) -> HandshakeRefused {
    let presented = match verdict {
        Some(Err(Refusal { reason, detail, presented })) => {
            let alert = Some(sent(alert_for(reason)));
            return HandshakeRefused { reason, detail, alert, presented, stream: None };
        }
        Some(Ok(peer)) => peer.chain().map(|chain| chain.presented().clone()),
        None => None,
    };
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        let gone = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        );
        return HandshakeRefused {
            reason: if gone { Reason::ClientGone } else { Reason::HandshakeFailed },
            detail: if gone {
                "the client closed the connection during the handshake".to_owned()
            } else {
                error.to_string()
            },
            alert: None,
            presented,
            stream: None,
        };
    };
    let (reason, alert) = classify(cause);
    HandshakeRefused { reason, detail: cause.to_string(), alert, presented, stream: None }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls may add errors; what is not named has no reason of its own"
)]
fn classify(error: &TlsError) -> (Reason, Option<String>) {
    match error {
        TlsError::AlertReceived(alert) => (Reason::ClientAlert, Some(received(*alert))),
        TlsError::NoCertificatesPresented => {
            (Reason::NoCertificate, Some(sent(AlertDescription::CertificateRequired)))
        }
        // The chain itself was judged good, or its refusal would be the reason: this is the signature that proves the
        // key.
        TlsError::InvalidCertificate(inner @ CertificateError::BadSignature) => {
            (Reason::BadHandshakeSignature, Some(sent(AlertDescription::from(inner.clone()))))
        }
        TlsError::InvalidCertificate(inner) => {
            (Reason::HandshakeFailed, Some(sent(AlertDescription::from(inner.clone()))))
        }
        TlsError::PeerIncompatible(inner) => {
            let reason = match inner {
                PeerIncompatible::NoCipherSuitesInCommon => Reason::NoSharedSuite,
                PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NamedGroupsExtensionRequired => {
                    Reason::NoSharedGroup
                }
                PeerIncompatible::NoSignatureSchemesInCommon
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
                    Reason::NoSharedSignatureAlgorithm
                }
                _ => Reason::HandshakeFailed,
            };
            (reason, Some(sent(AlertDescription::HandshakeFailure)))
        }
        TlsError::NoApplicationProtocol => {
            (Reason::HandshakeFailed, Some(sent(AlertDescription::NoApplicationProtocol)))
        }
        TlsError::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme) => {
            (Reason::WeakHandshakeSignature, Some(sent(AlertDescription::IllegalParameter)))
        }
        TlsError::PeerMisbehaved(_) => {
            (Reason::HandshakeFailed, Some(sent(AlertDescription::IllegalParameter)))
        }
        TlsError::InappropriateMessage { .. } | TlsError::InappropriateHandshakeMessage { .. } => {
            (Reason::HandshakeFailed, Some(sent(AlertDescription::UnexpectedMessage)))
        }
        // rustls says the same of a record and of a Finished that are wrong, and sends different alerts.
        TlsError::DecryptError => (Reason::HandshakeFailed, None),
        TlsError::InvalidMessage(_) => (Reason::HandshakeFailed, Some(sent(AlertDescription::DecodeError))),
        _ => (Reason::HandshakeFailed, None),
    }
}

/// The record's words for an alert of the client's.
pub(crate) fn received(alert: AlertDescription) -> String {
    format!("received {}", alert_name(alert))
}

/// The record's words for an alert of ours.
pub(crate) fn sent(alert: AlertDescription) -> String {
    format!("sent {}", alert_name(alert))
}

/// The alert's name as RFC 8446 §6 writes it.
pub(crate) fn alert_name(alert: AlertDescription) -> String {
    if alert == AlertDescription::UnrecognisedName {
        return "unrecognized_name".to_owned();
    }
    let mut name = String::new();
    let debug = format!("{alert:?}");
    // rustls writes `UnknownCA` and `BadRecordMac`; the RFC `unknown_ca` and `bad_record_mac`.
    let mut previous_lower = false;
    for character in debug.chars() {
        if character.is_ascii_uppercase() && previous_lower {
            name.push('_');
        }
        previous_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
        name.push(character.to_ascii_lowercase());
    }
    name
}

/// Refuses a client before any engine was started: one plaintext alert record (RFC 8446 §6), then the drain.
pub async fn refuse_with_alert(mut stream: TcpStream, alert: AlertDescription) {
    if stream.write_all(&alert_record(alert)).await.is_ok() {
        drain(stream).await;
    }
}

fn alert_record(alert: AlertDescription) -> [u8; 7] {
    const FATAL: u8 = 2;
    [21, 3, 1, 0, 2, FATAL, u8::from(alert)]
}

/// Tells a client that sent plain HTTP what this port is, as Apache does.
pub async fn refuse_plain_http(mut stream: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 50\r\n\
        Connection: close\r\n\r\nThis port speaks HTTPS. Use https:// in the URL.\r\n";
    if stream.write_all(ANSWER).await.is_ok() {
        drain(stream).await;
    }
}

/// Closes our half and reads away what the client already sent, so that the alert or answer before it arrives:
/// closing a socket with unread bytes resets the connection, and a reset overtakes what we wrote.
pub async fn drain<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    const LONGEST: Duration = Duration::from_secs(2);
    const MOST: usize = 256 * 1024;
    let deadline = Instant::now() + LONGEST;
    if !matches!(timeout_at(deadline, stream.shutdown()).await, Ok(Ok(()))) {
        return;
    }
    let mut sink = [0; 4096];
    let mut drained = 0;
    while drained < MOST {
        match timeout_at(deadline, stream.read(&mut sink)).await {
            Ok(Ok(read)) if read > 0 => drained += read,
            _ => return,
        }
    }
}
