//! How many messages are taken: so many a second from one address, and so many from all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Seconds' worth of messages that may come at once: a phone tells of all its profiles within a moment, and after a power cut a
/// whole site behind one address does.
const BURST: u32 = 10;
/// Addresses that are told apart; those beyond share one allowance.
const MOST: usize = 16_384;
/// How often those are looked for that can be forgotten.
const SWEEP: Duration = Duration::from_secs(1);

/// Messages a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(u32);

impl Rate {
    /// At least one.
    #[must_use]
    pub const fn per_second(messages: u32) -> Self {
        Self(if messages == 0 { 1 } else { messages })
    }

    /// Messages a second.
    #[must_use]
    pub const fn messages(self) -> u32 {
        self.0
    }
}

/// When the next message may come: the generic cell rate algorithm (ITU-T I.371), which needs one time for each address.
#[derive(Debug, Clone, Copy)]
struct Due(Instant);

impl Due {
    /// Whether one more may come now; it then counts.
    fn takes(&mut self, rate: Rate, now: Instant) -> bool {
        let interval = Duration::from_secs(1) / rate.0;
        let due = self.0.max(now) + interval;
        let fits = due.saturating_duration_since(now) <= Duration::from_secs(1) * BURST;
        if fits {
            self.0 = due;
        }
        fits
    }
}

/// What was taken lately.
#[derive(Debug)]
pub(super) struct Allowance {
    addresses: HashMap<IpAddr, Due>,
    others: Due,
    all: Due,
    swept: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { addresses: HashMap::new(), others: Due(now), all: Due(now), swept: now }
    }

    /// Whether a message from this address may be taken now; it then counts.
    pub(super) fn takes(&mut self, from: IpAddr, each: Rate, all: Rate, now: Instant) -> bool {
        let from = site(from);
        if self.addresses.len() >= MOST && now.saturating_duration_since(self.swept) >= SWEEP {
            self.swept = now;
            // One whose time has come is as one that never sent anything.
            self.addresses.retain(|_, due| due.0 > now);
        }
        let has_room = self.addresses.len() < MOST;
        let due = match self.addresses.get_mut(&from) {
            Some(due) => due,
            None if has_room => self.addresses.entry(from).or_insert(Due(now)),
            None => &mut self.others,
        };
        // What one address sends in vain leaves the allowance of the others alone.
        due.takes(each, now) && self.all.takes(all, now)
    }
}

/// Whoever has one address of an IPv6 network has all of its /64.
fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(allowance: &mut Allowance, from: &str, now: Instant) -> bool {
        allowance.takes(from.parse().unwrap(), Rate::per_second(2), Rate::per_second(1000), now)
    }

    #[test]
    fn one_address_has_its_burst_and_then_its_rate_and_leaves_the_others_theirs() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        let taken = (0..50).filter(|_| takes(&mut allowance, "192.0.2.7", now)).count();
        assert_eq!(taken, 20);
        assert!(takes(&mut allowance, "192.0.2.8", now));
        let later = now + Duration::from_millis(1500);
        assert_eq!((0..50).filter(|_| takes(&mut allowance, "192.0.2.7", later)).count(), 3);
        assert_eq!((0..50).filter(|_| takes(&mut allowance, "192.0.2.7", later + SWEEP * 60)).count(), 20);
    }

    #[test]
    fn an_ipv6_network_is_one_sender() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        let from = |host: u16| format!("2001:db8::{host:x}");
        assert_eq!((1..50).filter(|host| takes(&mut allowance, &from(*host), now)).count(), 20);
        assert!(takes(&mut allowance, "2001:db8:0:1::1", now));
    }

    #[test]
    fn all_together_have_a_limit_and_memory_has_one() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        let (each, all) = (Rate::per_second(1), Rate::per_second(5000));
        let addresses = (0..60_000_u32).map(|number| IpAddr::from((0x0a00_0000 + number).to_be_bytes()));
        let taken = addresses.filter(|from| allowance.takes(*from, each, all, now)).count();
        assert!(allowance.addresses.len() <= MOST);
        assert_eq!(taken, MOST + 10, "those beyond the table share one allowance");
        let later = now + Duration::from_secs(60);
        assert!(allowance.takes("192.0.2.1".parse().unwrap(), each, all, later));
        assert_eq!(allowance.addresses.len(), 1, "the others are forgotten");
        let flood = (0..60_000_u32).map(|number| IpAddr::from((0x0b00_0000 + number).to_be_bytes()));
        let all = Rate::per_second(7);
        assert_eq!(
            flood.filter(|from| allowance.takes(*from, each, all, later)).count(),
            69,
            "and one before"
        );
    }
}
