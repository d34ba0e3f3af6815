//! The first step: a TCP connection is taken, counted and named, or turned away because there are too many.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policies::Reason;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tracing::warn;

use crate::audit::ConnectionId;

/// A connection that has a place among the open ones and gives it back when it ends.
#[derive(Debug)]
pub struct Accepted {
    /// The socket.
    pub stream: TcpStream,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The listener it came to.
    pub listener: SocketAddr,
    /// Its name in every record.
    pub id: ConnectionId,
    /// When it was taken.
    pub at: Instant,
    /// Its place among the open connections.
    pub place: Place,
}

/// Takes the next connection; errors of single connections and of an exhausted system are survived.
pub async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: trying again at once would spin and help nobody.
                warn!(error = %error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::ConnectionAborted
            | std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::ConnectionRefused
            | std::io::ErrorKind::Interrupted
    )
}

/// Counts the open connections, in all and per address.
#[derive(Debug, Default)]
pub struct Counters {
    all: AtomicUsize,
    per_address: Mutex<HashMap<IpAddr, usize>>,
}

impl Counters {
    /// Takes a place for a connection from `address`.
    ///
    /// The count per address, and its lock, cost nothing unless a limit is set: a whole site of phones may
    /// stand behind one address.
    ///
    /// # Errors
    /// Which of the two limits is reached.
    pub fn take(
        self: &Arc<Self>,
        address: IpAddr,
        in_all: usize,
        per_address: Option<usize>,
    ) -> Result<Place, Reason> {
        let before = self.all.fetch_add(1, Ordering::Relaxed);
        // The place is made first, so that it gives back what was taken whichever way this ends.
        let mut place = Place { counters: Arc::clone(self), counted_address: None };
        if before >= in_all {
            return Err(Reason::TooManyConnections);
        }
        if let Some(most) = per_address {
            let mut counts = self.per_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(address.to_canonical()).or_default();
            if *count >= most {
                return Err(Reason::TooManyConnectionsFromAddress);
            }
            *count += 1;
            place.counted_address = Some(address.to_canonical());
        }
        Ok(place)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

/// One connection's place; given back on drop.
#[derive(Debug)]
pub struct Place {
    counters: Arc<Counters>,
    counted_address: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counters.all.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.counted_address else { return };
        let mut counts = self.counters.per_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));

    #[test]
    fn refuses_one_connection_above_the_limit_and_takes_one_again_after_an_end() {
        let counters = Arc::new(Counters::default());
        let first = counters.take(PHONE, 2, None).unwrap();
        let _second = counters.take(PHONE, 2, None).unwrap();
        assert_eq!(counters.take(PHONE, 2, None).unwrap_err(), Reason::TooManyConnections);
        assert_eq!(counters.open(), 2);
        drop(first);
        assert!(counters.take(PHONE, 2, None).is_ok());
    }

    #[test]
    fn sec_55_refuses_one_connection_above_the_limit_of_one_address_only() {
        let counters = Arc::new(Counters::default());
        let first = counters.take(PHONE, 10, Some(1)).unwrap();
        assert_eq!(counters.take(PHONE, 10, Some(1)).unwrap_err(), Reason::TooManyConnectionsFromAddress);
        assert!(counters.take(OTHER, 10, Some(1)).is_ok());
        drop(first);
        assert!(counters.take(PHONE, 10, Some(1)).is_ok());
        assert!(counters.per_address.lock().unwrap().is_empty(), "nothing is kept of an address that left");
    }
}
