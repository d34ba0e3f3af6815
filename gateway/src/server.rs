//! The running gateway: listeners, one task per connection, reloads and the orderly end.

mod gateway;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use policies::Reason;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

pub use self::gateway::{Gateway, Stopping};
use crate::accept;
use crate::admin::{self, Admin, Settings};
use crate::audit::{Auditor, OnRepetition, Windows};
use crate::config::Config;
use crate::connection;
use crate::phone_syslog::{self, PhoneSyslog};
use crate::site::{ListenerKey, Site, SiteError};

/// Why the gateway did not start, or did not take a new configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The address for phones' syslog cannot be listened on.
    #[error("cannot listen on UDP {address} for phones' syslog")]
    PhoneSyslog {
        /// As configured.
        address: SocketAddr,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The TLS library does not take what the admin listener is to show.
    #[error("TLS for the admin listener cannot be set up")]
    AdminTls(#[source] io::Error),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// The configuration is sound but cannot be run.
    #[error(transparent)]
    Site(#[from] SiteError),
}

/// A started gateway.
#[derive(Debug)]
pub struct Server {
    gateway: Arc<Gateway>,
    listeners: HashMap<ListenerKey, Listening>,
    admin: Option<AdminListening>,
    phone_syslog: PhoneSyslog,
}

/// The listener for people and monitoring systems.
#[derive(Debug)]
struct AdminListening {
    /// As configured.
    address: SocketAddr,
    admin: Arc<Admin>,
    listening: Listening,
}

#[derive(Debug)]
struct Listening {
    /// The address really bound, with the port the system chose for port 0.
    bound: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Binds every listener and begins to serve.
    ///
    /// # Errors
    /// An address that is taken, or a configuration that cannot be run; nothing stays bound then.
    pub fn start(config: &Config, auditor: Auditor) -> Result<Self, ServerError> {
        let site = Site::new(config, None)?;
        let mut bound = Vec::new();
        for key in ListenerKey::all(&config.listeners) {
            bound.push((key, bind(key.address)?));
        }
        let admin = prepare_admin(config, None)?;
        let mut phone_syslog = PhoneSyslog::default();
        let prepared = prepare_phone_syslog(config, &phone_syslog)?;
        let gateway = Gateway::new(site, auditor);
        gateway.repetition.configure(on_repetition(config));
        phone_syslog.take(config.phone_syslog.as_ref(), prepared, &gateway);
        let mut server = Self { gateway, listeners: HashMap::new(), admin: None, phone_syslog };
        server.take_admin(config, admin)?;
        for (key, listener) in bound {
            server.listen(key, listener);
        }
        Ok(server)
    }

    /// The addresses listened on, in no order.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.listeners.values().map(|listening| listening.bound)
    }

    /// The address of the admin listener, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.listening.bound)
    }

    /// The UDP address where phones' syslog is taken, if it is.
    pub fn phone_syslog_address(&self) -> Option<SocketAddr> {
        self.phone_syslog.bound()
    }

    /// What the connections share.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Puts a new configuration in force. Connections stay open; each is judged again at its next request.
    ///
    /// # Errors
    /// As [`Self::start`]; the old configuration then stays in force as it was.
    pub fn reload(&mut self, config: &Config) -> Result<(), ServerError> {
        let site = Site::new(config, Some(&self.gateway.site.load()))?;
        let mut fresh = Vec::new();
        for key in ListenerKey::all(&config.listeners) {
            if !self.listeners.contains_key(&key) {
                fresh.push((key, bind(key.address)?));
            }
        }
        let admin = prepare_admin(config, self.admin.as_ref())?;
        let phone_syslog = prepare_phone_syslog(config, &self.phone_syslog)?;
        self.take_admin(config, admin)?;
        self.phone_syslog.take(config.phone_syslog.as_ref(), phone_syslog, &self.gateway);
        self.gateway.site.store(Arc::new(site));
        self.gateway.repetition.configure(on_repetition(config));
        self.gateway.exceptions.log();
        for (key, listener) in fresh {
            self.listen(key, listener);
        }
        self.listeners.retain(|key, listening| {
            let keep = ListenerKey::all(&config.listeners).any(|wanted| wanted == *key);
            if !keep {
                listening.task.abort();
                info!(listener = %listening.bound, "no longer listening");
            }
            keep
        });
        Ok(())
    }

    /// Stops accepting, lets requests finish, and returns how many connections were still open at the limit.
    pub async fn stop(self, limit: Duration) -> usize {
        let gateway = Arc::clone(&self.gateway);
        let open = self.end(limit).await;
        gateway.record_repetition(Windows::All);
        open
    }

    async fn end(mut self, limit: Duration) -> usize {
        let deadline = Instant::now() + limit;
        self.gateway.exceptions.log();
        self.phone_syslog.stop();
        for listening in self.listeners.values() {
            listening.task.abort();
        }
        for (_, listening) in self.listeners.drain() {
            // Waited for, so that the socket is closed when this returns.
            let _ = listening.task.await;
        }
        self.gateway.stopping.send_replace(Stopping::Finishing);
        // Its health answers say that the end has begun until the last phone is served.
        let admin = self.admin.take();
        // Every connection holds a receiver until it ends.
        let finished = tokio::time::timeout_at(deadline, self.gateway.stopping.closed()).await;
        if let Some(admin) = admin {
            admin.listening.task.abort();
        }
        if finished.is_ok() {
            return 0;
        }
        let open = self.gateway.counters.open();
        warn!(open, "connections were still open at the shutdown limit");
        self.gateway.cutting_off.store(true, Ordering::Relaxed);
        self.gateway.stopping.send_replace(Stopping::CutOff);
        // They end at their next poll, and write their records.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.gateway.stopping.closed()).await;
        open
    }

    /// Puts the admin listener's new settings in force, on the socket it has or on a new one.
    fn take_admin(
        &mut self,
        config: &Config,
        prepared: Option<(Settings, Option<TcpListener>)>,
    ) -> Result<(), ServerError> {
        let (Some(wanted), Some((settings, fresh))) = (&config.admin, prepared) else {
            if let Some(old) = self.admin.take() {
                old.listening.task.abort();
                info!(listener = %old.listening.bound, "no longer listening for the admin");
            }
            return Ok(());
        };
        let Some(listener) = fresh else {
            if let Some(kept) = &self.admin {
                kept.admin.replace(settings);
            }
            return Ok(());
        };
        let bound = listener.local_addr().unwrap_or(wanted.address);
        let admin = match self.admin.take() {
            Some(old) => {
                old.listening.task.abort();
                old.admin.replace(settings);
                old.admin
            }
            None => Admin::new(Arc::clone(&self.gateway), settings)?,
        };
        info!(listener = %bound, "listening for the admin");
        let task = tokio::spawn(Arc::clone(&admin).serve(listener));
        self.admin =
            Some(AdminListening { address: wanted.address, admin, listening: Listening { bound, task } });
        Ok(())
    }

    fn listen(&mut self, key: ListenerKey, listener: TcpListener) {
        let bound = listener.local_addr().unwrap_or(key.address);
        info!(listener = %bound, "listening");
        let task = tokio::spawn(accept_all(Arc::clone(&self.gateway), listener, key, bound));
        self.listeners.insert(key, Listening { bound, task });
    }
}

fn on_repetition(config: &Config) -> OnRepetition {
    config.audit.as_ref().map(|audit| audit.on_repetition).unwrap_or_default()
}

async fn accept_all(gateway: Arc<Gateway>, listener: TcpListener, key: ListenerKey, bound: SocketAddr) {
    // Whether the next connection may wait for room in the audit queue, or another has just done so in vain.
    let mut patient = true;
    loop {
        let (stream, peer) = accept::next(&listener).await;
        if gateway.auditor().is_full() {
            let auditor = Auditor::clone(&gateway.auditor());
            let mut waiting = Waiting { gateway: &gateway, peer, bound, reason: Some(Reason::ShuttingDown) };
            patient = if patient { auditor.has_room().await } else { !auditor.is_full() };
            if !patient {
                drop(stream);
                waiting.reason = Some(Reason::AuditFull);
                continue;
            }
            waiting.reason = None;
        }
        patient = true;
        // One beyond the limits is on record, and its socket is closed.
        if let Ok(serving) = gateway.take(stream, peer, bound, key) {
            tokio::spawn(serving);
        }
    }
}

/// A connection that waits for room for its record. Should its listener be stopped meanwhile, or there be no room, it is refused,
/// on record.
struct Waiting<'a> {
    gateway: &'a Gateway,
    peer: SocketAddr,
    bound: SocketAddr,
    reason: Option<Reason>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(reason) = self.reason else { return };
        let peer = SocketAddr::new(self.peer.ip().to_canonical(), self.peer.port());
        connection::turn_away(self.gateway, self.gateway.ids.next(), peer, self.bound, reason);
    }
}

/// Everything about a wanted admin listener that can fail: its settings, and a socket unless it keeps the one it has.
fn prepare_admin(
    config: &Config,
    current: Option<&AdminListening>,
) -> Result<Option<(Settings, Option<TcpListener>)>, ServerError> {
    let Some(wanted) = &config.admin else { return Ok(None) };
    let settings = Settings::new(Arc::clone(wanted)).map_err(admin::tls_error)?;
    let keeps_socket = current.is_some_and(|current| current.address == wanted.address);
    let socket = if keeps_socket { None } else { Some(bind(wanted.address)?) };
    Ok(Some((settings, socket)))
}

fn prepare_phone_syslog(
    config: &Config,
    current: &PhoneSyslog,
) -> Result<phone_syslog::Prepared, ServerError> {
    let wanted = config.phone_syslog.as_deref();
    current.prepare(wanted).map_err(|source| ServerError::PhoneSyslog {
        address: wanted.map_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)), |wanted| wanted.address),
        source,
    })
}

/// Binds with a backlog for the morning after a power cut: a whole region calls within seconds.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    const BACKLOG: u32 = 4096;
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for old connections to leave TIME_WAIT.
        socket.set_reuseaddr(true)?;
        // A phone's request and our answer are small; waiting to fill a segment only delays them. Connections inherit it.
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| ServerError::Listen { address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_send_at_once_because_their_listener_does() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let phone = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = accept::next(&listener).await;
        assert!(accepted.nodelay().unwrap());
        assert!(!phone.nodelay().unwrap(), "the twin that inherited nothing");
    }
}
