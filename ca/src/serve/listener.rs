//! Taking connections: counted, in all and of one address.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, watch};
use tracing::{debug, warn};

use super::{ServeError, Shared, connection};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// How long to wait when the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens on every address, or on none.
pub(super) async fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ServeError> {
    addresses
        .iter()
        .map(|address| listen(*address).map_err(|source| ServeError::Listen { address: *address, source }))
        .collect()
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves the connections of one listener until told to stop.
pub(super) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => match limits.take(peer.ip()) {
                Some(place) => {
                    let shared = Arc::clone(&shared);
                    tokio::spawn(connection::serve(stream, peer, shared, place, stopping.clone()));
                }
                None => debug!(client.addr = %peer, "turned away: too many connections"),
            },
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                warn!(%error, "accepting a connection failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// How many connections are open, in all and of each address.
#[derive(Debug)]
pub(super) struct Limits {
    most: usize,
    most_per_address: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
    ended: Notify,
}

impl Limits {
    pub(super) fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_address, open: Mutex::default(), ended: Notify::new() })
    }

    /// A place for one more, if there is one.
    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&address).copied().unwrap_or(0);
        if own >= self.most_per_address || open.values().sum::<usize>() >= self.most {
            return None;
        }
        open.insert(address, own + 1);
        Some(Place { limits: Arc::clone(self), address })
    }

    pub(super) fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// Waits until all have ended; says whether they did in time.
    pub(super) async fn drained(&self, patience: Duration) -> bool {
        let all = async {
            loop {
                let ended = self.ended.notified();
                if self.open() == 0 {
                    return;
                }
                ended.await;
            }
        };
        tokio::time::timeout(patience, all).await.is_ok()
    }
}

/// One connection's place; given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    limits: Arc<Limits>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.address);
            }
        }
        drop(open);
        self.limits.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));

    #[test]
    fn one_above_either_limit_is_turned_away_until_another_ends() {
        let limits = Limits::new(3, 2);
        let places: Vec<_> = (0..2).map(|_| limits.take(ONE).unwrap()).collect();
        assert!(limits.take(ONE).is_none(), "the address has two");
        let other = limits.take(OTHER).unwrap();
        assert!(limits.take(OTHER).is_none(), "there are three");
        drop(places);
        assert!(limits.take(OTHER).is_some());
        drop(other);
        assert_eq!(limits.open(), 0, "nothing is kept of those that left");
    }
}
