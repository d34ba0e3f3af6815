//! The running form of a configuration: for each listener, which virtual host serves which server name.
//!
//! A [`Site`] never changes; a reload puts a new one in its place. What must outlive a reload is handed over
//! from the old one: the ticket keys of hosts whose names, client authentication, anchors and TLS policy stayed
//! the same, and connections to unchanged backends.

use std::net::SocketAddr;
use std::sync::Arc;

use policies::TlsRules;
use tokio::sync::Semaphore;

use crate::backend::{Backend, BackendConfig, BackendTarget};
use crate::config::{Config, HostConfig, HostNames, Limits, ListenerConfig};
use crate::peer::Judge;
use crate::tls::client_verifier::ClientVerifier;
use crate::tls::credentials::Credentials;
#[cfg(feature = "legacy-tls")]
use crate::tls::legacy::LegacyTls;
use crate::tls::modern;
use crate::tls::tickets::Tickets;

/// Everything a connection needs to be served.
#[derive(Debug)]
pub struct Site {
    listeners: Vec<ListenerSite>,
    limits: Limits,
    places: Arc<Semaphore>,
    hosts: Vec<Arc<HostConfig>>,
}

/// Why a configuration cannot be run although it is sound: the TLS library does not take a host's settings.
#[derive(Debug, thiserror::Error)]
#[error("TLS for host `{host}` on {listener} cannot be set up")]
pub struct SiteError {
    /// The host's first name.
    pub host: String,
    /// The listener's address.
    pub listener: SocketAddr,
    /// What the TLS library says.
    #[source]
    pub source: EngineError,
}

/// What a TLS library does not take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// OpenSSL, for old phones.
    #[cfg(feature = "legacy-tls")]
    #[error("the engine for old phones")]
    Legacy(#[from] openssl::error::ErrorStack),
    /// rustls.
    #[error("the engine for TLS 1.2 and 1.3")]
    Modern(#[from] rustls::Error),
}

impl Site {
    /// Builds the site of a configuration, taking over from `previous` what may live on.
    ///
    /// # Errors
    /// A key, a TLS policy or a backend that cannot be used.
    pub fn new(config: &Config, previous: Option<&Self>) -> Result<Self, SiteError> {
        let backends: Vec<(Arc<HostConfig>, Backend)> = config
            .hosts
            .iter()
            .map(|host| {
                let kept = previous.and_then(|site| site.backend_like(&host.backend));
                (Arc::clone(host), kept.unwrap_or_else(|| Backend::new(&host.backend)))
            })
            .collect();
        let listeners = ListenerKey::all(&config.listeners)
            .zip(&config.listeners)
            .map(|(key, listener)| ListenerSite::new(key, &listener.tls, &config.names, &backends, previous))
            .collect::<Result<_, _>>()?;
        let places = match previous {
            Some(site) if site.limits.handshakes == config.limits.handshakes => Arc::clone(&site.places),
            _ => Arc::new(Semaphore::new(config.limits.handshakes)),
        };
        Ok(Self { listeners, limits: config.limits.clone(), places, hosts: config.hosts.clone() })
    }

    /// Has the modern engine tell the secrets of each connection to `log`: for one connection that is watched, never while
    /// phones are served (SEC-65). The legacy engine tells nobody.
    #[must_use]
    pub(crate) fn with_key_log(mut self, log: &Arc<dyn rustls::KeyLog>) -> Self {
        for host in self.listeners.iter_mut().flat_map(|listener| &mut listener.hosts) {
            // A site that was just built shares its hosts with nobody.
            if let Some(tls) = Arc::get_mut(host).and_then(|host| host.tls.as_mut()) {
                Arc::make_mut(tls).key_log = Arc::clone(log);
            }
        }
        self
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The places for handshakes at once.
    pub fn places(&self) -> &Semaphore {
        &self.places
    }

    /// The hosts as configured; each is served on every listener.
    pub fn hosts(&self) -> &[Arc<HostConfig>] {
        &self.hosts
    }

    /// The listener with this key.
    pub fn listener(&self, key: ListenerKey) -> Option<&ListenerSite> {
        self.listeners.iter().find(|listener| listener.key == key)
    }

    /// A backend that is already running with these settings: its open connections are kept. One over TLS is
    /// always made anew, because its files may have changed.
    fn backend_like(&self, wanted: &BackendConfig) -> Option<Backend> {
        let same = |has: &BackendConfig| {
            has.limits == wanted.limits
                && match (&has.target, &wanted.target) {
                    (BackendTarget::Directory(has), BackendTarget::Directory(wanted))
                    | (BackendTarget::Unix(has), BackendTarget::Unix(wanted)) => has == wanted,
                    (BackendTarget::Http(has), BackendTarget::Http(wanted)) => has == wanted,
                    (
                        BackendTarget::Directory(_)
                        | BackendTarget::Http(_)
                        | BackendTarget::Https { .. }
                        | BackendTarget::Unix(_),
                        _,
                    ) => false,
                }
        };
        let mut hosts = self.listeners.iter().flat_map(|listener| &listener.hosts);
        hosts.find(|host| same(&host.config.backend)).map(|host| host.backend.clone())
    }

    /// A host that means the same as before, on the same listener if it is still there: its sessions can go on.
    fn host_like(&self, key: ListenerKey, host: &HostConfig, rules: &TlsRules) -> Option<&VirtualHost> {
        let listener = self.listener(key).filter(|listener| *listener.rules == *rules)?;
        let same = |known: &&Arc<VirtualHost>| known.config.fingerprint == host.fingerprint;
        listener.hosts.iter().find(same).map(Arc::as_ref)
    }
}

/// Which listener of a configuration: its address, and its place among listeners of the same address, since
/// several may ask the system for a port with `:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerKey {
    /// As configured.
    pub address: SocketAddr,
    nth: usize,
}

impl ListenerKey {
    /// The keys of a configuration's listeners, in their order.
    pub fn all(listeners: &[ListenerConfig]) -> impl Iterator<Item = Self> + '_ {
        listeners.iter().enumerate().map(|(at, listener)| {
            let same = |earlier: &&ListenerConfig| earlier.address == listener.address;
            Self { address: listener.address, nth: listeners.iter().take(at).filter(same).count() }
        })
    }
}

/// One listener and the hosts it serves.
#[derive(Debug)]
pub struct ListenerSite {
    key: ListenerKey,
    rules: Arc<TlsRules>,
    names: HostNames,
    hosts: Vec<Arc<VirtualHost>>,
}

impl ListenerSite {
    fn new(
        key: ListenerKey,
        rules: &Arc<TlsRules>,
        names: &HostNames,
        backends: &[(Arc<HostConfig>, Backend)],
        previous: Option<&Site>,
    ) -> Result<Self, SiteError> {
        let mut hosts = Vec::with_capacity(backends.len());
        for (config, backend) in backends {
            let kept = previous.and_then(|previous| previous.host_like(key, config, rules));
            let host = VirtualHost::new(config, backend, rules, kept).map_err(|source| SiteError {
                host: config.first_name().to_string(),
                listener: key.address,
                source,
            })?;
            hosts.push(Arc::new(host));
        }
        Ok(Self { key, rules: Arc::clone(rules), names: names.clone(), hosts })
    }

    /// The TLS policy.
    pub fn rules(&self) -> &TlsRules {
        &self.rules
    }

    /// The host for a server name, or for a client that sent none (SEC-28, SEC-35).
    pub fn host(&self, name: Option<&str>) -> Option<&Arc<VirtualHost>> {
        self.hosts.get(self.names.select(name)?)
    }
}

/// One virtual host on one listener.
#[derive(Debug)]
pub struct VirtualHost {
    config: Arc<HostConfig>,
    credentials: Arc<Credentials>,
    judge: Arc<Judge>,
    tls: Option<Arc<rustls::ServerConfig>>,
    tickets: Arc<Tickets>,
    #[cfg(feature = "legacy-tls")]
    legacy: Option<LegacyTls>,
    backend: Backend,
}

impl VirtualHost {
    fn new(
        config: &Arc<HostConfig>,
        backend: &Backend,
        rules: &TlsRules,
        kept: Option<&Self>,
    ) -> Result<Self, EngineError> {
        let tickets = match kept {
            Some(kept) => Arc::clone(&kept.tickets),
            None => Tickets::new()?,
        };
        let allowed = modern::signature_schemes(rules);
        let pairs = config.credentials.iter().map(|pair| (pair.chain.as_slice(), &*pair.key));
        let credentials = Arc::new(Credentials::new(pairs, &allowed)?);
        let judge = Arc::new(Judge::new(
            Arc::clone(&config.verifier),
            Arc::clone(&config.admission),
            config.client_auth,
        ));
        let verifier = Arc::new(ClientVerifier::new(
            Arc::clone(&judge),
            config.ca_names.iter().map(|name| rustls::DistinguishedName::from(name.der().to_vec())).collect(),
            modern::provider(rules).signature_verification_algorithms,
            allowed,
        ));
        let tls = modern::server_config(rules, Arc::clone(&credentials), verifier, Arc::clone(&tickets))?;
        #[cfg(feature = "legacy-tls")]
        let legacy = match rules.needs_legacy_engine() {
            true => {
                let before = kept.and_then(|kept| kept.legacy.as_ref());
                Some(LegacyTls::new(rules, config, before)?)
            }
            false => None,
        };
        Ok(Self {
            config: Arc::clone(config),
            credentials,
            judge,
            tls: tls.map(Arc::new),
            tickets,
            #[cfg(feature = "legacy-tls")]
            legacy,
            backend: backend.clone(),
        })
    }

    /// Its checked configuration.
    pub fn config(&self) -> &Arc<HostConfig> {
        &self.config
    }

    /// Its certificates.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Who judges the chains presented to it.
    pub fn judge(&self) -> &Arc<Judge> {
        &self.judge
    }

    /// The modern engine's configuration; `None` where the TLS policy has nothing for it.
    pub fn modern(&self) -> Option<&Arc<rustls::ServerConfig>> {
        self.tls.as_ref()
    }

    /// The legacy engine's; `None` where the TLS policy does not need it.
    #[cfg(feature = "legacy-tls")]
    pub fn legacy(&self) -> Option<&LegacyTls> {
        self.legacy.as_ref()
    }

    /// The keys of its session tickets.
    pub fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// Where its requests go.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }
}
