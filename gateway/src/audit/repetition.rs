//! Refusals that repeat themselves (SEC-61): the first are recorded one by one, the rest counted.
//!
//! What repeats is one reason from one address with one certificate, or none. In each minute the first ten such refusals are
//! recorded; those after them are counted, and their number follows in one record, `"event":"repeated"`. So a phone that is refused
//! with its own certificate is seen, also behind an address that thousands share, and a flood fills neither disk nor memory: an
//! address with very many certificates, and a time with very many addresses, are counted together. `repeated = "record"` in the
//! configuration turns the counting off.
//!
//! Only refused connections come here. Requests of devices are recorded one by one, always.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use policies::Reason;

use crate::audit::{AuditRecord, Auditor, ConnectionFragment, Decision, Event};

/// How many are recorded one by one.
const FIRST: u64 = 10;
/// In which time.
const WINDOW: Duration = Duration::from_secs(60);
/// Certificates of one address that are told apart: a whole region of phones may stand behind one.
const MOST_OF_ONE_ADDRESS: u32 = 4096;
/// All that is remembered; a few hundred bytes each, and a kilobyte for the facts of what is counted.
const MOST: usize = 16_384;

/// What becomes of refusals that repeat themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRepetition {
    /// The first are recorded and the rest counted.
    #[default]
    Count,
    /// Each is recorded.
    Record,
}

impl OnRepetition {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Count, Self::Record];

    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Record => "record",
        }
    }
}

/// What repeats. Where it is `None`, whatever it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    address: Option<IpAddr>,
    reason: Reason,
    /// SHA-256 of the certificate, in hex.
    certificate: Option<String>,
}

/// One kind of refusal in its window.
#[derive(Debug)]
struct Repeated {
    began: SystemTime,
    seen: u64,
    /// Counted and not recorded.
    count: u64,
    first: SystemTime,
    last: SystemTime,
    /// The facts of the first one that was only counted.
    facts: Option<ConnectionFragment>,
}

#[derive(Debug, Default)]
struct State {
    on_repetition: OnRepetition,
    kinds: HashMap<Key, Repeated>,
    certificates: HashMap<IpAddr, u32>,
}

/// Refusals of the last minute.
#[derive(Debug, Default)]
pub struct Repetition(Mutex<State>);

impl Repetition {
    /// Says what is to be done from now on.
    pub fn configure(&self, on_repetition: OnRepetition) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).on_repetition = on_repetition;
    }

    /// Whether a refusal is to be recorded; if not, it has been counted.
    pub fn is_to_be_recorded(
        &self,
        address: IpAddr,
        reason: Reason,
        certificate: Option<&str>,
        facts: &ConnectionFragment,
        now: SystemTime,
    ) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // While the gateway is full, a record more for each connection would fill it for good.
        if state.on_repetition == OnRepetition::Record && reason != Reason::AuditFull {
            return true;
        }
        let key = state.key(address, reason, certificate);
        let kind = state.kinds.entry(key).or_insert_with(|| Repeated {
            began: now,
            seen: 0,
            count: 0,
            first: now,
            last: now,
            facts: None,
        });
        kind.seen += 1;
        if kind.seen <= FIRST {
            return true;
        }
        if kind.count == 0 {
            kind.first = now;
            kind.facts = Some(facts.clone());
        }
        kind.count += 1;
        kind.last = now;
        false
    }

    /// Records how many were counted in the windows that have ended by `now`, or in all of them, at the end.
    pub fn record(&self, auditor: &Auditor, now: SystemTime, which: Windows) {
        let ended = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let has_ended = |kind: &Repeated| match which {
                Windows::All => true,
                // A clock that was set back ends them too.
                Windows::Ended => now.duration_since(kind.began).map_or(true, |age| age >= WINDOW),
            };
            let ended: Vec<_> = state.kinds.extract_if(|_, kind| has_ended(kind)).collect();
            for (key, _) in &ended {
                state.forget_certificate(key);
            }
            ended
        };
        for (Key { reason, .. }, Repeated { count, first, last, facts, .. }) in ended {
            let Some(facts) = facts else { continue };
            auditor.record(&AuditRecord {
                decision: Some(Decision::Deny),
                reason: Some(reason.as_str()),
                ..AuditRecord::new(&facts, Event::Repeated { count, first, last }, Duration::ZERO)
            });
        }
    }
}

/// Which windows are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// All of them.
    All,
    /// Those that have ended.
    Ended,
}

impl State {
    /// The most exact key there is room for.
    fn key(&mut self, address: IpAddr, reason: Reason, certificate: Option<&str>) -> Key {
        // Whoever comes while the gateway is full is told from others by nothing: there may be a whole region of them.
        if reason == Reason::AuditFull {
            return Key { address: None, reason, certificate: None };
        }
        let certificate = certificate.map(str::to_owned);
        let exact = Key { address: Some(address), reason, certificate };
        if self.kinds.contains_key(&exact) {
            return exact;
        }
        if self.kinds.len() >= MOST {
            return Key { address: None, reason, certificate: None };
        }
        if exact.certificate.is_some() {
            let certificates = match self.certificates.entry(address) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(0),
            };
            if *certificates >= MOST_OF_ONE_ADDRESS {
                return Key { certificate: None, ..exact };
            }
            *certificates += 1;
        }
        exact
    }

    fn forget_certificate(&mut self, key: &Key) {
        let (Some(address), Some(_)) = (key.address, &key.certificate) else { return };
        if let Entry::Occupied(mut entry) = self.certificates.entry(address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use serde_json::Value;

    use super::*;
    use crate::audit::{ConnectionFacts, ConnectionIds};

    const PHONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_400_711 + second)
    }

    fn facts(address: IpAddr) -> ConnectionFragment {
        let ids = ConnectionIds::starting_at(at(0));
        ConnectionFacts::new(ids.next(), (address, 4000).into(), ([0, 0, 0, 0], 443).into()).fragment()
    }

    fn clock() -> SystemTime {
        at(0)
    }

    /// What `repetition` tells then.
    fn told(repetition: &Repetition, now: SystemTime, which: Windows) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let auditor = Auditor::to_file(&path, 16 << 20, clock).unwrap();
        repetition.record(&auditor, now, which);
        auditor.close(Duration::from_secs(10)).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn recorded(repetition: &Repetition, address: IpAddr, certificate: Option<&str>, second: u64) -> bool {
        let facts = facts(address);
        repetition.is_to_be_recorded(address, Reason::Expired, certificate, &facts, at(second))
    }

    #[test]
    fn sec_61_the_first_are_recorded_and_the_rest_counted_with_their_first_and_last() {
        let repetition = Repetition::default();
        let alone = (0..100).filter(|second| recorded(&repetition, PHONE, None, second / 2)).count();
        assert_eq!(alone, 10);
        assert!(told(&repetition, at(59), Windows::Ended).is_empty());
        let told_then = told(&repetition, at(60), Windows::Ended);
        assert_eq!(told_then.len(), 1);
        let record = &told_then[0];
        assert_eq!((&record["event"], &record["count"]), (&"repeated".into(), &90.into()));
        assert_eq!((&record["reason"], &record["decision"]), (&"expired".into(), &"deny".into()));
        assert_eq!(record["peer"], "192.0.2.7:4000");
        assert_eq!(record["first"], "2026-11-23T02:25:16.000000Z");
        assert_eq!(record["last"], "2026-11-23T02:26:00.000000Z");
        assert!(told(&repetition, at(600), Windows::All).is_empty(), "told once");
        assert!(recorded(&repetition, PHONE, None, 61), "a new window records again");
    }

    #[test]
    fn another_address_reason_or_certificate_is_no_repetition() {
        let repetition = Repetition::default();
        while recorded(&repetition, PHONE, Some("aa"), 0) {}
        assert!(recorded(&repetition, PHONE, Some("bb"), 0), "another phone behind the same address");
        assert!(recorded(&repetition, OTHER, Some("aa"), 0));
        let revoked = repetition.is_to_be_recorded(PHONE, Reason::Revoked, Some("aa"), &facts(PHONE), at(0));
        assert!(revoked);
        assert!(!recorded(&repetition, PHONE, Some("aa"), 0));
    }

    #[test]
    fn what_is_counted_at_the_end_is_told_at_the_end() {
        let repetition = Repetition::default();
        for _ in 0..15 {
            recorded(&repetition, PHONE, None, 0);
        }
        assert_eq!(told(&repetition, at(1), Windows::All)[0]["count"], 5);
    }

    #[test]
    fn a_flood_with_ever_new_certificates_or_addresses_stays_within_bounds_and_is_counted_whole() {
        let repetition = Repetition::default();
        let mut alone = 0;
        for number in 0..20_000_u32 {
            let certificate = format!("{number:064x}");
            alone += u64::from(recorded(&repetition, PHONE, Some(&certificate), 0));
        }
        assert_eq!(alone, 4096 + 10, "so many certificates, then the address");
        for number in 0..30_000_u32 {
            alone += u64::from(recorded(&repetition, IpAddr::V4(number.into()), None, 0));
        }
        assert!(alone < 16_384 + 200, "{alone}");
        assert!(repetition.0.lock().unwrap().kinds.len() <= MOST + 1);
        let told = told(&repetition, at(0), Windows::All);
        let counted: u64 = told.iter().map(|record| record["count"].as_u64().unwrap()).sum();
        assert_eq!(alone + counted, 50_000);
        assert!(told.len() < 5);
        let state = repetition.0.lock().unwrap();
        assert!(state.kinds.is_empty() && state.certificates.is_empty(), "and all is forgotten");
    }

    #[test]
    fn where_each_is_to_be_recorded_each_is() {
        let repetition = Repetition::default();
        repetition.configure(OnRepetition::Record);
        assert!((0..100).all(|_| recorded(&repetition, PHONE, None, 0)));
        assert!(told(&repetition, at(600), Windows::All).is_empty());
    }

    #[test]
    fn while_the_gateway_is_full_all_addresses_are_one() {
        let repetition = Repetition::default();
        let mut alone = 0;
        for number in 0..1000_u32 {
            let address = IpAddr::V4(number.into());
            let full = repetition.is_to_be_recorded(address, Reason::AuditFull, None, &facts(address), at(0));
            alone += u32::from(full);
        }
        assert_eq!(alone, 10);
    }
}
