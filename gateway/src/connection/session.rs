//! What the requests of one connection share: the client, the configuration it was judged by, and the judgement
//! itself, which is repeated after a reload and once a minute.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
    pub(super) facts: ConnectionFacts,
    pub(super) activity: Arc<Activity>,
    pub(super) requests: AtomicU32,
    /// Octets of the bodies that were answered.
    pub(super) octets: AtomicU64,
    /// Locked by this connection's own requests only, one after the other.
    judged: Mutex<Arc<Judged>>,
}

/// What is in force for the requests of a connection; replaced as a whole after a reload.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) site: Arc<Site>,
    pub(super) host: Arc<VirtualHost>,
    pub(super) peer: Peer,
    pub(super) fields: Arc<PeerFields>,
    pub(super) fragment: ConnectionFragment,
    /// When the dates and revocation lists were last looked at, in seconds since 1970.
    checked: AtomicI64,
}

/// How long a kept connection goes without a new look at its dates and revocation lists, in seconds. A reload is
/// noticed at once; this is for a certificate, or a list, that expires while nothing else changes.
const RECHECK_AFTER: i64 = 60;

impl Session {
    /// A connection whose client was just judged.
    pub(super) fn new(
        gateway: Arc<Gateway>,
        key: ListenerKey,
        tls: TlsFacts,
        facts: ConnectionFacts,
        activity: Arc<Activity>,
        judged: Judged,
    ) -> Self {
        let judged = Mutex::new(Arc::new(judged));
        Self {
            gateway,
            key,
            tls,
            facts,
            activity,
            requests: AtomicU32::new(0),
            octets: AtomicU64::new(0),
            judged,
        }
    }

    /// The connection's facts as last judged.
    pub(super) fn fragment(&self) -> ConnectionFragment {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner).fragment.clone()
    }

    /// The first name of the host as last judged.
    pub(super) fn host(&self) -> Arc<str> {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.host.config().first_name().clone()
    }

    /// What is in force for this request. After a reload the client is verified and admitted anew under the new
    /// configuration, and refused where a new connection would be (SEC-29, SEC-50).
    pub(super) fn judged(&self) -> Result<Arc<Judged>, (Reason, String, ConnectionFragment)> {
        let mut current = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if self.gateway.is_in_force(&current.site) {
            let now = clock::now();
            if now.unix().saturating_sub(current.checked.load(Ordering::Relaxed)) >= RECHECK_AFTER {
                let again = current.host.judge().recheck(&current.peer, now);
                again.map_err(|refusal| (refusal.reason, refusal.detail, current.fragment.clone()))?;
                current.checked.store(now.unix(), Ordering::Relaxed);
            }
            return Ok(Arc::clone(&current));
        }
        let site = self.gateway.site_now();
        let (host, peer) = self
            .judge_again(&site, &current)
            .map_err(|(reason, detail)| (reason, detail, current.fragment.clone()))?;
        let mut facts = self.facts.clone();
        facts.host = Some(host.config().first_name().clone());
        add_peer(&mut facts, &peer);
        let fresh = Judged::new(site, host, peer, &facts, &self.tls)
            .map_err(|(reason, detail)| (reason, detail, facts.fragment()))?;
        *current = Arc::new(fresh);
        Ok(Arc::clone(&current))
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
    /// Puts the judgement together with what follows from it for every request: the backend's fields and the
    /// record's facts.
    ///
    /// # Errors
    /// The identity fields cannot be made: such a client's requests must not be forwarded at all (SEC-09).
    pub(super) fn new(
        site: Arc<Site>,
        host: Arc<VirtualHost>,
        peer: Peer,
        facts: &ConnectionFacts,
        tls: &TlsFacts,
    ) -> Result<Self, (Reason, String)> {
        let now = clock::now();
        let fields = PeerFields::new(
            &host.config().headers,
            &PeerFacts {
                chain: peer.chain(),
                principal: peer.principal(),
                version: tls.version,
                suite: tls.suite,
                resumed: tls.resumed,
                server_name: tls.server_name.as_deref(),
                client: facts.peer.ip(),
                now,
            },
        )
        .map_err(|error| (error.reason(), error.to_string()))?;
        let fields = Arc::new(fields);
        Ok(Self { site, host, peer, fields, fragment: facts.fragment(), checked: AtomicI64::new(now.unix()) })
    }
}
