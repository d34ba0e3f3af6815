//! One connection, from its first byte to its last request: the steps of the crate's table in their order.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use policies::{Principal, Reason};
use rustls::AlertDescription;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::accept::Accepted;
use crate::audit::{
    AuditRecord, CertificateFacts, ConnectionFacts, ConnectionId, Decision, DeviceFacts, Event,
};
use crate::client_hello::{self, Greeting, HelloError};
use crate::handshake::{self, HandshakeRefused, Leftover, Queue, Replayed, Stream, TlsFacts};
use crate::metrics::{Client, Handshake};
use crate::peer::{Peer, Refusal};
use crate::server::{Gateway, Stopping};
use crate::site::{ListenerKey, Site, VirtualHost};
use crate::tls::offer;

mod deadlines;
mod exchange;
mod http;
mod session;

/// Serves one connection to its end; whatever the end is, it is on record.
pub(crate) async fn serve(
    gateway: Arc<Gateway>,
    accepted: Accepted,
    key: ListenerKey,
    mut stopping: watch::Receiver<Stopping>,
) {
    let Accepted { stream, peer, listener, id, at, place } = accepted;
    let mut facts = Box::new(ConnectionFacts::new(id, peer, listener));
    // A connection lives for hours: what only the handshake needs is given back when it is over. So its state is boxed, and
    // what comes after is made outside of this task, whose room would hold all that was ever moved through it.
    let rest = {
        let established = tokio::select! {
            biased;
            established = Box::pin(establish(&gateway, stream, key, at, &mut facts)) => established,
            _ = stopping.wait_for(|now| *now > Stopping::Running) => Err(Refused {
                reason: Reason::ShuttingDown,
                detail: "the gateway is being stopped".to_owned(),
                alert: None,
                close: Closing::Nothing,
            }),
        };
        count(&gateway, &facts, &established, at.elapsed());
        rest(gateway, established, key, facts, at, stopping)
    };
    rest.await;
    drop(place);
}

/// What is left to do when the handshake is over.
fn rest(
    gateway: Arc<Gateway>,
    established: Result<Established, Refused>,
    key: ListenerKey,
    facts: Box<ConnectionFacts>,
    at: Instant,
    stopping: watch::Receiver<Stopping>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    match established {
        Ok(established) => match http::begin(gateway, established, key, facts, at, stopping) {
            Ok((served, stream)) => Box::pin(served.serve(stream)),
            Err(stream) => Box::pin(close(stream)),
        },
        Err(refused) => {
            let fragment = facts.fragment();
            if gateway.is_to_be_recorded(&facts, refused.reason, &fragment) {
                gateway.auditor().record(&AuditRecord {
                    alert: refused.alert.as_deref(),
                    decision: Some(Decision::Deny),
                    reason: Some(refused.reason.as_str()),
                    detail: Some(&refused.detail),
                    ..AuditRecord::new(&fragment, Event::Connection, at.elapsed())
                });
            }
            tracing::debug!(
                client.addr = %facts.peer,
                reason = refused.reason.as_str(),
                detail = refused.detail,
                "connection refused"
            );
            Box::pin(refused.close.close())
        }
    }
}

/// Counts the handshake for monitoring, and the client it let in.
fn count(gateway: &Gateway, facts: &ConnectionFacts, ended: &Result<Established, Refused>, took: Duration) {
    let tls = facts.tls.as_ref();
    let handshake = Handshake {
        engine: facts.engine,
        version: tls.map(|tls| tls.version.clone()),
        suite: tls.map(|tls| tls.suite.clone()),
        resumed: tls.is_some_and(|tls| tls.resumed),
        reason: ended.as_ref().err().map(|refused| refused.reason),
    };
    gateway.metrics().handshake(handshake, took);
    if let Ok(Established { peer, host, .. }) = ended {
        let config = host.config();
        let entry = peer.chain().and_then(|chain| config.trust.get(chain.entry()));
        gateway.metrics().client(Client {
            host: config.first_name().clone(),
            trust: entry.map(|entry| entry.name.clone()),
            kind: peer.principal().kind(),
        });
    }
}

/// Records a connection that found no place; its socket is already closed.
pub(crate) fn turn_away(
    gateway: &Gateway,
    id: ConnectionId,
    peer: SocketAddr,
    listener: SocketAddr,
    reason: Reason,
) {
    let refused =
        Handshake { engine: None, version: None, suite: None, resumed: false, reason: Some(reason) };
    gateway.metrics().handshake(refused, Duration::ZERO);
    let facts = ConnectionFacts::new(id, peer, listener);
    let fragment = facts.fragment();
    if gateway.is_to_be_recorded(&facts, reason, &fragment) {
        gateway.auditor().record(&AuditRecord {
            decision: Some(Decision::Deny),
            reason: Some(reason.as_str()),
            ..AuditRecord::new(&fragment, Event::Connection, Duration::ZERO)
        });
    }
}

/// A connection whose client is known.
struct Established {
    stream: Stream,
    tls: TlsFacts,
    peer: Peer,
    host: Arc<VirtualHost>,
    site: Arc<Site>,
}

/// A connection that ends here.
struct Refused {
    reason: Reason,
    detail: String,
    alert: Option<String>,
    close: Closing,
}

/// What is still to be said to a refused client. The record is written first: the drain may take seconds.
enum Closing {
    Nothing,
    Alert(TcpStream, AlertDescription),
    /// The TLS library has sent its alert; what the client still sends must not reset the connection before it arrives.
    Drain(Leftover),
    PlainHttp(TcpStream),
    Tls(Box<Stream>),
}

impl Closing {
    async fn close(self) {
        match self {
            Self::Nothing => {}
            Self::Alert(stream, alert) => handshake::refuse_with_alert(stream, alert).await,
            Self::Drain(stream) => stream.drain().await,
            Self::PlainHttp(stream) => handshake::refuse_plain_http(stream).await,
            Self::Tls(stream) => close(*stream).await,
        }
    }
}

/// Says goodbye on both layers and lets the last answer arrive before the socket goes; a client that does not
/// read is not waited for.
async fn close(mut stream: Stream) {
    // The close_notify goes out with it.
    if let Ok(Ok(())) = tokio::time::timeout(LONGEST_GOODBYE, stream.shutdown()).await {
        stream.drain().await;
    }
}

/// Answers the goodbye of a client that has closed its side.
async fn answer_its_end(stream: Stream) {
    let _ = tokio::time::timeout(LONGEST_GOODBYE, stream.answer_its_end()).await;
}

/// How long a client that does not read is waited for when all that is left is to say goodbye.
const LONGEST_GOODBYE: Duration = Duration::from_secs(2);

async fn establish(
    gateway: &Gateway,
    mut stream: TcpStream,
    key: ListenerKey,
    at: Instant,
    facts: &mut ConnectionFacts,
) -> Result<Established, Refused> {
    let site = gateway.site_now();
    // One deadline for both halves: a client cannot gain time by being slow twice.
    let deadline = at + site.limits().handshake_timeout;

    let Greeting { hello, bytes } = match client_hello::read(&mut stream, deadline).await {
        Ok(greeting) => greeting,
        Err(error) => return Err(no_hello(&error, stream)),
    };
    facts.hello = Some(Box::new(client_hello::facts::of(&hello)));

    let Some(listener) = site.listener(key) else {
        return Err(with_alert(
            stream,
            Reason::ListenerRemoved,
            "this listener was taken out of the configuration".to_owned(),
            AlertDescription::InternalError,
        ));
    };
    let server_name = hello.server_name.clone();
    let Some(host) = listener.host(server_name.as_deref()) else {
        let detail = match &server_name {
            Some(name) => format!("no host serves the name {name}"),
            None => "the client sends no server name, and no host has the name \"*\"".to_owned(),
        };
        return Err(with_alert(
            stream,
            Reason::UnknownServerName,
            detail,
            AlertDescription::UnrecognisedName,
        ));
    };
    facts.host = Some(host.config().first_name().clone());
    let choice = match offer::choose(&hello, listener.rules(), host.credentials()) {
        Ok(choice) => choice,
        Err(refused) => return Err(with_alert(stream, refused.reason, refused.detail, refused.alert)),
    };
    facts.engine = Some(choice.engine().as_str());

    let stream = Replayed::new(bytes, stream);
    let queue = Queue { places: site.places(), timeout: site.limits().handshake_queue_timeout };
    let secured = match handshake::secure(stream, choice, server_name, host, queue, deadline).await {
        Ok(secured) => secured,
        Err(HandshakeRefused { reason, detail, alert, presented, stream }) => {
            facts.certificate = presented.and_then(|presented| chain_facts(presented.certificates()));
            let close = stream.map_or(Closing::Nothing, Closing::Drain);
            return Err(Refused { reason, detail, alert, close });
        }
    };
    facts.tls = Some(crate::audit::TlsFacts {
        version: secured.facts().version.name(),
        suite: secured.facts().suite.name(),
        resumed: secured.facts().resumed,
    });
    match secured.identify(host) {
        Ok((stream, tls, peer)) => {
            add_peer(facts, &peer);
            count_exceptions(gateway, host, &peer);
            Ok(Established { stream, tls, peer, host: Arc::clone(host), site: Arc::clone(&site) })
        }
        Err((stream, _, refusal)) => {
            facts.certificate = certificate_facts(&refusal);
            Err(Refused {
                reason: refusal.reason,
                detail: refusal.detail,
                alert: None,
                close: Closing::Tls(Box::new(stream)),
            })
        }
    }
}

fn count_exceptions(gateway: &Gateway, host: &VirtualHost, peer: &Peer) {
    let entry = peer.chain().and_then(|chain| host.config().trust.get(chain.entry()));
    if let Some(entry) = entry {
        gateway.exceptions().count(host.config().first_name(), &entry.name, peer.exceptions());
    }
}

fn with_alert(stream: TcpStream, reason: Reason, detail: String, alert: AlertDescription) -> Refused {
    Refused { reason, detail, alert: Some(handshake::sent(alert)), close: Closing::Alert(stream, alert) }
}

fn no_hello(error: &HelloError, stream: TcpStream) -> Refused {
    let detail = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    match error {
        HelloError::ClientGone { .. } | HelloError::Io(_) => {
            Refused { reason: Reason::ClientGone, detail, alert: None, close: Closing::Nothing }
        }
        HelloError::Malformed(_) => {
            with_alert(stream, Reason::HelloMalformed, detail, AlertDescription::DecodeError)
        }
        HelloError::NotTls { http: true } => {
            Refused { reason: Reason::NotTls, detail, alert: None, close: Closing::PlainHttp(stream) }
        }
        HelloError::NotTls { http: false } => {
            Refused { reason: Reason::NotTls, detail, alert: None, close: Closing::Nothing }
        }
        HelloError::Timeout { .. } => {
            Refused { reason: Reason::HelloTimeout, detail, alert: None, close: Closing::Nothing }
        }
        HelloError::TooLarge => {
            with_alert(stream, Reason::HelloTooLarge, detail, AlertDescription::RecordOverflow)
        }
    }
}

fn certificate_facts(refusal: &Refusal) -> Option<Box<CertificateFacts>> {
    refusal.presented.as_ref().and_then(|presented| chain_facts(presented.certificates()))
}

fn chain_facts(presented: &[certs::Certificate]) -> Option<Box<CertificateFacts>> {
    let leaf = presented.first()?;
    Some(Box::new(CertificateFacts {
        subject: leaf.subject().to_rfc2253_utf8(),
        issuer: leaf.issuer().to_rfc2253_utf8(),
        serial: leaf.serial().to_string(),
        sha256: leaf.fingerprint().to_string(),
        key_sha256: certs::Fingerprint::of(leaf.public_key().spki_der()).to_string(),
        not_after: leaf.validity().not_after.to_string(),
        depth: presented.len(),
    }))
}

/// Writes who the client is into the facts; also after it was judged again.
fn add_peer(facts: &mut ConnectionFacts, peer: &Peer) {
    facts.certificate = peer.chain().and_then(|chain| chain_facts(chain.presented().certificates()));
    facts.exceptions = peer.exceptions().map(|one| one.as_str()).collect();
    let (product, serial, mac, profile) = match peer.principal() {
        Principal::Anonymous => (None, None, None, None),
        Principal::Device(device) => (
            device.product().map(Into::into),
            device.serial().map(Into::into),
            device.mac().map(|mac| mac.to_string()),
            Some(device.profile().clone()),
        ),
        Principal::Generic(generic) => (None, None, None, Some(generic.profile().clone())),
        Principal::Operator(operator) => (None, None, None, Some(operator.profile().clone())),
    };
    let kind = peer.principal().kind();
    facts.device = Some(Box::new(DeviceFacts { kind, product, serial, mac, profile }));
}
