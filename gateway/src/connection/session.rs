//! What the requests of one connection share: the client, the configuration it was judged by, and the judgement
//! itself, which is repeated after a reload, after a pause and once a minute.

use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policies::{Principal, Reason};

use super::deadlines::Activity;
use super::{Established, add_peer};
use crate::audit::{ConnectionFacts, ConnectionFragment};
use crate::clock;
use crate::handshake::{Stream, TlsFacts};
use crate::peer::{Peer, Proof, Refusal};
use crate::rewrite::{PeerFacts, PeerFields};
use crate::server::Gateway;
use crate::site::{ListenerKey, Site, VirtualHost};

/// One connection with an established client.
pub(super) struct Session {
    pub(super) gateway: Arc<Gateway>,
    pub(super) key: ListenerKey,
    pub(super) tls: TlsFacts,
    /// What was known of it before the client was; the rest is in the fragment.
    pub(super) facts: Box<ConnectionFacts>,
    pub(super) activity: Arc<Activity>,
    pub(super) requests: AtomicU32,
    /// Octets of the bodies that were answered.
    pub(super) octets: AtomicU64,
    /// Locked by this connection's own task only: its requests, one after the other, and between them its pauses.
    in_force: Mutex<InForce>,
}

/// What a request needs to know of its connection.
struct InForce {
    judged: Arc<Judged>,
    /// What every record tells of the connection. Until its first request is on record, with what only that record tells.
    fragment: ConnectionFragment,
    certificates: Certificates,
    /// What a backend is told of the client. Made again for the first request after a long pause: several KiB that an idle
    /// connection can do without.
    fields: Option<Arc<PeerFields>>,
}

/// What the client presented, for a new judgement.
enum Certificates {
    /// The connection idles: the TLS session alone has them.
    Parked,
    /// From the TLS session, the client's own first, as DER: read, a certificate takes thrice the room.
    Held(io::Result<Vec<Vec<u8>>>),
}

/// What is in force for the requests of a connection; replaced as a whole when it is judged again.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) site: Arc<Site>,
    pub(super) host: Arc<VirtualHost>,
    pub(super) principal: Principal,
    proof: Proof,
    /// When dates and revocation lists were looked at, in seconds since 1970.
    at: i64,
}

/// What a request is answered with.
pub(super) struct Fit {
    pub(super) judged: Arc<Judged>,
    pub(super) fields: Arc<PeerFields>,
    /// The connection as it was judged.
    pub(super) fragment: ConnectionFragment,
}

/// How long a kept connection goes without a new look at its dates and revocation lists, in seconds. A reload is
/// noticed at once; this is for a certificate, or a list, that expires while nothing else changes.
const RECHECK_AFTER: i64 = 60;

/// Why a request of an established client is refused after all.
pub(super) struct Unfit {
    pub(super) reason: Reason,
    pub(super) detail: String,
    /// The connection as it was judged.
    pub(super) fragment: ConnectionFragment,
}

impl Session {
    /// A connection whose client was just judged.
    ///
    /// # Errors
    /// The client cannot be vouched for to a backend: such a client's requests must not be forwarded at all (SEC-09).
    pub(super) fn new(
        gateway: Arc<Gateway>,
        key: ListenerKey,
        activity: Arc<Activity>,
        mut facts: Box<ConnectionFacts>,
        established: Established,
    ) -> Result<(Self, Stream), (Stream, Unfit)> {
        let Established { stream, tls, peer, host, site } = established;
        let fragment = facts.fragment();
        let fields = match peer_fields(&host, &peer, facts.peer.ip(), &tls) {
            Ok(fields) => Some(Arc::new(fields)),
            Err((reason, detail)) => return Err((stream, Unfit { reason, detail, fragment })),
        };
        facts.forget_the_written();
        let judged = Arc::new(Judged::new(site, host, &peer));
        let certificates = Certificates::Held(stream.presented());
        let in_force = Mutex::new(InForce { judged, fragment, certificates, fields });
        let (requests, octets) = (AtomicU32::new(0), AtomicU64::new(0));
        Ok((Self { gateway, key, tls, facts, activity, requests, octets, in_force }, stream))
    }

    /// Gives back what an idle connection does not need. Not while a request is under way.
    pub(super) fn park(&self) {
        let mut in_force = self.in_force();
        in_force.fields = None;
        in_force.certificates = Certificates::Parked;
    }

    /// Takes the certificates of the parked connection's TLS session: something has come that may be a request.
    pub(super) fn wake(&self, stream: &Stream) {
        self.in_force().certificates = Certificates::Held(stream.presented());
    }

    /// Gives back what only the record of the first request tells.
    pub(super) fn first_request_is_recorded(&self) {
        let mut in_force = self.in_force();
        in_force.fragment = in_force.fragment.shortened();
    }

    fn in_force(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection's facts as last judged.
    pub(super) fn fragment(&self) -> ConnectionFragment {
        self.in_force().fragment.clone()
    }

    /// The first name of the host as last judged.
    pub(super) fn host(&self) -> Arc<str> {
        self.in_force().judged.host.config().first_name().clone()
    }

    /// What is in force for this request, and what a backend is told of the client.
    ///
    /// After a reload the client is verified and admitted anew under the new configuration, and refused where a new connection
    /// would be (SEC-29, SEC-50); so it is under the same one after a pause, and once a minute.
    pub(super) fn judged(&self) -> Result<Fit, Unfit> {
        let mut in_force = self.in_force();
        let InForce { judged, fragment, certificates, fields } = &mut *in_force;
        let is_in_force = self.gateway.is_in_force(&judged.site);
        if let Some(fields) = fields
            && is_in_force
            && clock::now().unix().saturating_sub(judged.at) < RECHECK_AFTER
        {
            return Ok(Fit {
                judged: Arc::clone(judged),
                fields: Arc::clone(fields),
                fragment: fragment.clone(),
            });
        }
        let unfit = |(reason, detail)| Unfit { reason, detail, fragment: fragment.clone() };
        let (site, host) = if is_in_force {
            (Arc::clone(&judged.site), Arc::clone(&judged.host))
        } else {
            let site = self.gateway.site_now();
            let host = self.host_in(&site).map_err(unfit)?;
            (site, host)
        };
        let peer = judge_again(&host, certificates, judged.proof).map_err(unfit)?;
        // What had to be tolerated may be more than before, and the path another one.
        let mut facts = self.facts.clone();
        facts.host = Some(host.config().first_name().clone());
        add_peer(&mut facts, &peer);
        let told = facts.fragment_after(fragment);
        let made = match peer_fields(&host, &peer, self.facts.peer.ip(), &self.tls) {
            Ok(made) => Arc::new(made),
            Err((reason, detail)) => return Err(Unfit { reason, detail, fragment: told }),
        };
        *judged = Arc::new(Judged::new(site, host, &peer));
        *fragment = told;
        *fields = Some(Arc::clone(&made));
        Ok(Fit { judged: Arc::clone(judged), fields: made, fragment: fragment.clone() })
    }

    /// The host of the connection under a new configuration, which may refuse what was agreed in the handshake.
    fn host_in(&self, site: &Site) -> Result<Arc<VirtualHost>, (Reason, String)> {
        let listener = site.listener(self.key).ok_or_else(|| {
            (Reason::ListenerRemoved, "this listener was taken out of the configuration".to_owned())
        })?;
        let host = listener.host(self.tls.server_name.as_deref()).ok_or_else(|| {
            (Reason::UnknownServerName, "this host was taken out of the configuration".to_owned())
        })?;
        let rules = listener.rules();
        if !rules.versions().contains(&self.tls.version) {
            let detail = format!("the TLS policy no longer has {}", self.tls.version.name());
            return Err((Reason::VersionNotSupported, detail));
        }
        if !rules.suites().contains(&self.tls.suite) {
            let detail = format!("the TLS policy no longer has {}", self.tls.suite.name());
            return Err((Reason::NoSharedSuite, detail));
        }
        Ok(Arc::clone(host))
    }
}

impl Judged {
    /// A judgement that was just made.
    fn new(site: Arc<Site>, host: Arc<VirtualHost>, peer: &Peer) -> Self {
        let (principal, proof) = (peer.principal().clone(), peer.proof());
        Self { site, host, principal, proof, at: clock::now().unix() }
    }
}

/// Judges the client as if it had just come.
fn judge_again(
    host: &VirtualHost,
    certificates: &Certificates,
    proof: Proof,
) -> Result<Peer, (Reason, String)> {
    let unread = |error: &dyn Display| {
        (Reason::HandshakeFailed, format!("the certificates of the TLS session cannot be read: {error}"))
    };
    let certificates = match certificates {
        Certificates::Held(Ok(certificates)) => certificates,
        Certificates::Held(Err(error)) => return Err(unread(error)),
        // Not while a request is under way.
        Certificates::Parked => return Err(unread(&"the connection idles")),
    };
    let judged = host.judge().judge_proven(certificates, proof, clock::now());
    judged.map_err(|Refusal { reason, detail, .. }| (reason, detail))
}

/// What a backend is told of the client at this address.
///
/// # Errors
/// The identity fields cannot be made.
fn peer_fields(
    host: &VirtualHost,
    peer: &Peer,
    client: IpAddr,
    tls: &TlsFacts,
) -> Result<PeerFields, (Reason, String)> {
    let facts = PeerFacts {
        chain: peer.chain(),
        principal: peer.principal(),
        version: tls.version,
        suite: tls.suite,
        resumed: tls.resumed,
        server_name: tls.server_name.as_deref(),
        client,
        now: clock::now(),
    };
    PeerFields::new(&host.config().headers, &facts).map_err(|error| (error.reason(), error.to_string()))
}
