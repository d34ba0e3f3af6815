//! What phones say of themselves: an optional UDP listener for their syslog messages about resyncs and upgrades.
//!
//! The messages are records of a kind of their own, joined to the device's story by the MAC address they name. Nobody proves
//! anything with a datagram, so they are never counted as a success and change nothing that is known of a device. Whatever comes is
//! bounded: networks, octets, messages a second; and the second half of the audit queue is left to what phones prove.

mod allowance;
mod message;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use self::allowance::Allowance;
pub use self::allowance::Rate;
use crate::config::PhoneSyslogConfig;
use crate::server::Gateway;

/// What became of the datagrams, since the start.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Fate::ALL.len()]);

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is recorded.
    Recorded,
    /// It is no message about a resync or upgrade, or names no device.
    NotUnderstood,
    /// It came from none of the networks.
    ForeignNetwork,
    /// It has more octets than are read.
    TooLong,
    /// Its address, or all together, sent too many.
    TooMany,
    /// An audit queue is half full: the rest of it is for what phones prove.
    NoRoom,
}

impl Fate {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Recorded,
        Self::NotUnderstood,
        Self::ForeignNetwork,
        Self::TooLong,
        Self::TooMany,
        Self::NoRoom,
    ];

    /// The word in the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::NotUnderstood => "not_understood",
            Self::ForeignNetwork => "foreign_network",
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
            Self::NoRoom => "no_room",
        }
    }

    const fn place(self) -> usize {
        match self {
            Self::Recorded => 0,
            Self::NotUnderstood => 1,
            Self::ForeignNetwork => 2,
            Self::TooLong => 3,
            Self::TooMany => 4,
            Self::NoRoom => 5,
        }
    }
}

impl Counts {
    fn count(&self, fate: Fate) {
        if let Some(count) = self.0.get(fate.place()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many datagrams each became of.
    pub fn all(&self) -> impl Iterator<Item = (Fate, u64)> + '_ {
        Fate::ALL
            .into_iter()
            .map(|fate| (fate, self.0.get(fate.place()).map_or(0, |count| count.load(Ordering::Relaxed))))
    }
}

/// The listener, or none.
#[derive(Debug, Default)]
pub(crate) struct PhoneSyslog(Option<Listening>);

#[derive(Debug)]
struct Listening {
    /// As configured.
    address: SocketAddr,
    bound: SocketAddr,
    settings: Arc<ArcSwap<PhoneSyslogConfig>>,
    task: JoinHandle<()>,
}

/// A socket for a listener that is wanted and has none yet.
#[derive(Debug)]
pub(crate) struct Prepared(Option<UdpSocket>);

impl PhoneSyslog {
    /// Everything about a wanted listener that can fail: a socket, unless it keeps the one it has.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(crate) fn prepare(&self, wanted: Option<&PhoneSyslogConfig>) -> io::Result<Prepared> {
        let current = self.0.as_ref().map(|listening| listening.address);
        match wanted {
            Some(wanted) if current != Some(wanted.address) => {
                bind(wanted.address).map(|new| Prepared(Some(new)))
            }
            Some(_) | None => Ok(Prepared(None)),
        }
    }

    /// Puts new settings in force, on the socket there is or on the new one.
    pub(crate) fn take(
        &mut self,
        wanted: Option<&Arc<PhoneSyslogConfig>>,
        prepared: Prepared,
        gateway: &Arc<Gateway>,
    ) {
        let Some(wanted) = wanted else { return self.stop() };
        let Prepared(Some(socket)) = prepared else {
            if let Some(kept) = &self.0 {
                kept.settings.store(Arc::clone(wanted));
            }
            return;
        };
        self.stop();
        let bound = socket.local_addr().unwrap_or(wanted.address);
        info!(listener = %bound, "listening for phones' syslog");
        let settings = Arc::new(ArcSwap::new(Arc::clone(wanted)));
        let task = tokio::spawn(receive_all(socket, bound, Arc::clone(&settings), Arc::clone(gateway)));
        self.0 = Some(Listening { address: wanted.address, bound, settings, task });
    }

    /// Listens no longer.
    pub(crate) fn stop(&mut self) {
        if let Some(old) = self.0.take() {
            old.task.abort();
            info!(listener = %old.bound, "no longer listening for phones' syslog");
        }
    }

    /// The address really bound.
    pub(crate) fn bound(&self) -> Option<SocketAddr> {
        self.0.as_ref().map(|listening| listening.bound)
    }
}

/// Octets that may wait in the kernel: some thousand messages of a power cut's first moment. The system may allow fewer.
const BUFFER: usize = 1 << 20;

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    // A smaller buffer than was asked for loses messages sooner, and nothing else.
    let _ = SockRef::from(&socket).set_recv_buffer_size(BUFFER);
    UdpSocket::from_std(socket)
}

async fn receive_all(
    socket: UdpSocket,
    bound: SocketAddr,
    settings: Arc<ArcSwap<PhoneSyslogConfig>>,
    gateway: Arc<Gateway>,
) {
    // One octet more than is read tells a message that is too long.
    let mut buffer = [0; message::LONGEST + 1];
    let mut allowance = Allowance::new(Instant::now());
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, peer)) => {
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let datagram = buffer.get(..length).unwrap_or_default();
                let fate = take(datagram, peer, bound, &settings.load(), &mut allowance, &gateway);
                gateway.phone_syslog().count(fate);
            }
            Err(error) => {
                warn!(error = %error, "receiving phones' syslog failed");
                // Trying again at once would spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn take(
    datagram: &[u8],
    peer: SocketAddr,
    bound: SocketAddr,
    settings: &PhoneSyslogConfig,
    allowance: &mut Allowance,
    gateway: &Gateway,
) -> Fate {
    let PhoneSyslogConfig { address: _, networks, per_address, in_all } = settings;
    if !networks.iter().any(|network| network.contains(peer.ip())) {
        return Fate::ForeignNetwork;
    }
    if datagram.len() > message::LONGEST {
        return Fate::TooLong;
    }
    // First, because phones send much else by syslog, which is not to use up what they may send of this.
    let Some(said) = message::parse(datagram) else { return Fate::NotUnderstood };
    if !allowance.takes(peer.ip(), *per_address, *in_all, Instant::now()) {
        return Fate::TooMany;
    }
    let auditor = gateway.auditor();
    if auditor.is_half_full() {
        return Fate::NoRoom;
    }
    auditor.record_said(&said, peer, bound);
    Fate::Recorded
}
