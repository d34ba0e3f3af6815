//! What the requests of one connection share: the client, the configuration it was judged by, and the judgement
//! itself, which is repeated after a reload and once a minute.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policies::Reason;

use super::add_peer;
use super::deadlines::Activity;
use crate::audit::{ConnectionFacts, ConnectionFragment};
use crate::clock;
use crate::handshake::TlsFacts;
use crate::peer::{Peer, Refusal};
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
    /// Locked by this connection's own requests only, one after the other.
    in_force: Mutex<InForce>,
}

/// What a request needs to know of its connection.
struct InForce {
    judged: Arc<Judged>,
    /// What a backend is told of the client. Made again for the first request after a long pause: several KiB that an idle
    /// connection can do without.
    fields: Option<Arc<PeerFields>>,
}

/// What is in force for the requests of a connection; replaced as a whole after a reload.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) site: Arc<Site>,
    pub(super) host: Arc<VirtualHost>,
    pub(super) peer: Peer,
    pub(super) fragment: ConnectionFragment,
    /// When the dates and revocation lists were last looked at, in seconds since 1970.
    checked: AtomicI64,
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
    pub(super) fn new(
        gateway: Arc<Gateway>,
        key: ListenerKey,
        tls: TlsFacts,
        mut facts: Box<ConnectionFacts>,
        activity: Arc<Activity>,
        judged: Judged,
        fields: PeerFields,
    ) -> Self {
        facts.forget_the_written();
        let in_force = InForce { judged: Arc::new(judged), fields: Some(Arc::new(fields)) };
        Self {
            gateway,
            key,
            tls,
            facts,
            activity,
            requests: AtomicU32::new(0),
            octets: AtomicU64::new(0),
            in_force: Mutex::new(in_force),
        }
    }

    /// Gives back what an idle connection does not need.
    pub(super) fn park(&self) {
        self.in_force().fields = None;
    }

    fn in_force(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection's facts as last judged.
    pub(super) fn fragment(&self) -> ConnectionFragment {
        self.in_force().judged.fragment.clone()
    }

    /// The first name of the host as last judged.
    pub(super) fn host(&self) -> Arc<str> {
        self.in_force().judged.host.config().first_name().clone()
    }

    /// What is in force for this request, and what a backend is told of the client. After a reload the client is verified and
    /// admitted anew under the new configuration, and refused where a new connection would be (SEC-29, SEC-50).
    pub(super) fn judged(&self) -> Result<(Arc<Judged>, Arc<PeerFields>), Unfit> {
        let mut in_force = self.in_force();
        let current = &in_force.judged;
        let unfit = |(reason, detail)| Unfit { reason, detail, fragment: current.fragment.clone() };
        if self.gateway.is_in_force(&current.site) {
            let now = clock::now();
            if now.unix().saturating_sub(current.checked.load(Ordering::Relaxed)) >= RECHECK_AFTER {
                let again = current.host.judge().recheck(&current.peer, now);
                again.map_err(|refusal| unfit((refusal.reason, refusal.detail)))?;
                current.checked.store(now.unix(), Ordering::Relaxed);
            }
            let fields = match &in_force.fields {
                Some(fields) => Arc::clone(fields),
                None => {
                    let fields = current.peer_fields(self.facts.peer.ip(), &self.tls).map_err(unfit)?;
                    Arc::clone(in_force.fields.insert(Arc::new(fields)))
                }
            };
            return Ok((Arc::clone(&in_force.judged), fields));
        }
        let site = self.gateway.site_now();
        let (host, peer) = self.judge_again(&site, current).map_err(unfit)?;
        let mut facts = self.facts.clone();
        facts.host = Some(host.config().first_name().clone());
        add_peer(&mut facts, &peer);
        let fragment = facts.fragment_after(&current.fragment);
        let fresh = Judged::new(site, host, peer, fragment);
        let fields = fresh.peer_fields(facts.peer.ip(), &self.tls);
        let fields = fields.map_err(|(reason, detail)| {
            let fragment = fresh.fragment.clone();
            Unfit { reason, detail, fragment }
        })?;
        let (judged, fields) = (Arc::new(fresh), Arc::new(fields));
        *in_force = InForce { judged: Arc::clone(&judged), fields: Some(Arc::clone(&fields)) };
        Ok((judged, fields))
    }

    fn judge_again(
        &self,
        site: &Site,
        before: &Judged,
    ) -> Result<(Arc<VirtualHost>, Peer), (Reason, String)> {
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
        let judged = host.judge().judge_again(&before.peer, clock::now());
        let peer = judged.map_err(|Refusal { reason, detail, .. }| (reason, detail))?;
        Ok((Arc::clone(host), peer))
    }
}

impl Judged {
    /// A judgement that was just made, and what every record tells of it.
    pub(super) fn new(
        site: Arc<Site>,
        host: Arc<VirtualHost>,
        peer: Peer,
        fragment: ConnectionFragment,
    ) -> Self {
        Self { site, host, peer, fragment, checked: AtomicI64::new(clock::now().unix()) }
    }

    /// What a backend is told of the client at this address.
    ///
    /// # Errors
    /// The identity fields cannot be made: such a client's requests must not be forwarded at all (SEC-09).
    pub(super) fn peer_fields(&self, client: IpAddr, tls: &TlsFacts) -> Result<PeerFields, (Reason, String)> {
        let facts = PeerFacts {
            chain: self.peer.chain(),
            principal: self.peer.principal(),
            version: tls.version,
            suite: tls.suite,
            resumed: tls.resumed,
            server_name: tls.server_name.as_deref(),
            client,
            now: clock::now(),
        };
        PeerFields::new(&self.host.config().headers, &facts)
            .map_err(|error| (error.reason(), error.to_string()))
    }
}
