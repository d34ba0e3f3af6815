//! Identifiers of connections and requests, as they stand in records and on refusal pages.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// The bits below the seconds: room for 2^28 connections in each second the process lives.
const SECOND_SHIFT: u32 = 28;

/// One connection, unique across restarts: the second the process started, then a counter. Shown as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl ConnectionId {
    /// The request with this number on the connection; the first is 1.
    #[must_use]
    pub const fn request(self, number: u32) -> RequestId {
        RequestId { connection: self, number }
    }
}

/// One request: its connection and its number there. A device sees it on a refusal page and can read it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    connection: ConnectionId,
    number: u32,
}

impl RequestId {
    /// Whether it is the first request of its connection.
    #[must_use]
    pub const fn is_first(self) -> bool {
        self.number == 1
    }

    /// The connection the request came on.
    #[must_use]
    pub const fn connection(self) -> ConnectionId {
        self.connection
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.connection, self.number)
    }
}

/// Gives out connection identifiers.
#[derive(Debug)]
pub struct ConnectionIds(AtomicU64);

impl ConnectionIds {
    /// Identifiers of a process that started at `started`. Two gateways that start in the same second begin at different
    /// random places, so that their records can be told apart when they are collected.
    #[must_use]
    pub fn starting_at(started: SystemTime) -> Self {
        let seconds = started.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let random = RandomState::new().hash_one(seconds) & ((1 << (SECOND_SHIFT - 1)) - 1);
        Self(AtomicU64::new((seconds << SECOND_SHIFT) | random))
    }

    /// The next identifier.
    pub fn next(&self) -> ConnectionId {
        ConnectionId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn identifiers_of_a_later_start_never_meet_those_of_an_earlier_one() {
        let started = UNIX_EPOCH + Duration::from_secs(1_795_401_347);
        let first = ConnectionIds::starting_at(started);
        let second = ConnectionIds::starting_at(started + Duration::from_secs(1));
        assert_eq!(second.next().0 >> SECOND_SHIFT, 1_795_401_348);
        let early = (0..1000).map(|_| first.next()).max().expect("a thousand of them");
        assert!(early < second.next());
    }

    #[test]
    fn a_request_is_named_by_its_connection_and_number() {
        let connection = ConnectionId(0x6b_0f00_0000_0a01);
        assert_eq!(connection.request(3).to_string(), "006b0f0000000a01-3");
        assert_eq!(connection.request(3).connection(), connection);
    }
}
