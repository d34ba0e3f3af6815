//! What the connections of a running gateway share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use policies::Reason;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::accept::{Accepted, Counters};
use crate::audit::{Auditor, ConnectionFacts, ConnectionFragment, ConnectionIds, Repetition, Windows};
use crate::clock;
use crate::connection;
use crate::exceptions::ExceptionCounts;
use crate::metrics::Metrics;
use crate::phone_syslog;
use crate::site::{ListenerKey, Site};

/// What every connection shares. Nothing in it is locked on the way of a request.
#[derive(Debug)]
pub struct Gateway {
    pub(super) site: ArcSwap<Site>,
    auditor: ArcSwap<Auditor>,
    pub(super) counters: Arc<Counters>,
    pub(super) ids: ConnectionIds,
    pub(super) exceptions: ExceptionCounts,
    pub(super) repetition: Repetition,
    metrics: Metrics,
    phone_syslog: phone_syslog::Counts,
    pub(super) stopping: watch::Sender<Stopping>,
    pub(super) cutting_off: AtomicBool,
}

impl Gateway {
    /// A gateway that listens nowhere yet.
    pub(crate) fn new(site: Site, auditor: Auditor) -> Arc<Self> {
        Arc::new(Self {
            site: ArcSwap::from_pointee(site),
            auditor: ArcSwap::from_pointee(auditor),
            counters: Arc::default(),
            ids: ConnectionIds::starting_at(clock::system()),
            exceptions: ExceptionCounts::default(),
            repetition: Repetition::default(),
            metrics: Metrics::default(),
            phone_syslog: phone_syslog::Counts::default(),
            stopping: watch::Sender::new(Stopping::Running),
            cutting_off: AtomicBool::new(false),
        })
    }

    /// Serves a connection that somebody else accepted, as if it had come to the listener `key`.
    ///
    /// # Errors
    /// The limits leave no place for it; the record has been made.
    pub(crate) fn take(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        bound: SocketAddr,
        key: ListenerKey,
    ) -> Result<impl Future<Output = ()> + Send + use<>, Reason> {
        let at = Instant::now();
        let id = self.ids.next();
        // A dual-stack listener sees IPv4 phones as ::ffff:192.0.2.1; people know them as 192.0.2.1.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let site = self.site.load();
        let limits = site.limits();
        match self.counters.take(peer.ip(), limits.connections, limits.connections_per_address) {
            Ok(place) => {
                let accepted = Accepted { stream, peer, listener: bound, id, at, place };
                // Subscribed here, not in the task: `stop` waits for every receiver there is.
                let stopping = self.stopping.subscribe();
                Ok(connection::serve(Arc::clone(self), accepted, key, stopping))
            }
            Err(reason) => {
                connection::turn_away(self, id, peer, bound, reason);
                Err(reason)
            }
        }
    }

    /// The site in force now.
    pub fn site_now(&self) -> Arc<Site> {
        self.site.load_full()
    }

    /// Whether this site is still the one in force; touches no shared counter, unlike [`Self::site_now`].
    pub fn is_in_force(&self, site: &Arc<Site>) -> bool {
        Arc::ptr_eq(&self.site.load(), site)
    }

    /// Where records go.
    pub fn auditor(&self) -> arc_swap::Guard<Arc<Auditor>> {
        self.auditor.load()
    }

    /// Sends records somewhere else from now on; gives the auditor that took them until now.
    pub fn replace_auditor(&self, auditor: Auditor) -> Arc<Auditor> {
        self.auditor.swap(Arc::new(auditor))
    }

    /// Whether the refusal of a connection is to be recorded; if not, it was counted among others like it (SEC-61). One of a
    /// device that was admitted always is.
    pub fn is_to_be_recorded(
        &self,
        facts: &ConnectionFacts,
        reason: Reason,
        fragment: &ConnectionFragment,
    ) -> bool {
        let certificate = facts.certificate.as_ref().map(|certificate| certificate.sha256.as_str());
        let (address, now) = (facts.peer.ip(), clock::system());
        facts.device.is_some()
            || self.repetition.is_to_be_recorded(address, reason, certificate, fragment, now)
    }

    /// Records the refusals that were counted.
    pub fn record_repetition(&self, which: Windows) {
        self.repetition.record(&self.auditor(), clock::system(), which);
    }

    /// Whether the end has begun: no new connections are taken.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow() > Stopping::Running
    }

    /// Whether requests are being cut off at the shutdown limit.
    pub fn is_cutting_off(&self) -> bool {
        self.cutting_off.load(Ordering::Relaxed)
    }

    /// How often trust entries had to make exceptions.
    pub fn exceptions(&self) -> &ExceptionCounts {
        &self.exceptions
    }

    /// What is counted for monitoring.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What became of phones' syslog messages.
    pub fn phone_syslog(&self) -> &phone_syslog::Counts {
        &self.phone_syslog
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.counters.open()
    }
}

/// How far the end of the gateway has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stopping {
    /// Not begun.
    Running,
    /// No new connections or requests; those under way may finish.
    Finishing,
    /// The limit is reached: whatever is still under way ends now.
    CutOff,
}
