use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::authority::{FoundOptions, PublicationRequest};
use crate::clock::Clock;
use crate::key::KeyType;

const DAY: i64 = 86_400;
const BEGUN: i64 = 1_800_000_000;

/// A clock that is set by hand.
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

/// A server's rounds, for an authority that lasts so long and whose certificates name its responder.
struct Served {
    _folder: tempfile::TempDir,
    clock: Arc<Hands>,
    rounds: Rounds,
}

impl Served {
    fn new(days: u32, publish: Option<ListDays>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("ca");
        let clock = Arc::new(Hands(AtomicI64::new(BEGUN)));
        let options = FoundOptions { key: KeyType::P256, days, ..FoundOptions::default() };
        let mut authority = Authority::found(&root, &options, None, clock.clone()).unwrap();
        let url = "http://pki.example.com".to_owned();
        let request = PublicationRequest { url, shards: 1, ocsp: true, complete_list: true };
        authority.set_publication("client-root", &request).unwrap();
        let inventory = Authority::open(&root, clock.clone()).unwrap();
        let shared = Arc::new(Shared::new(inventory, clock.clone()));
        let rounds = Rounds::new(authority, shared, publish);
        Self { _folder: folder, clock, rounds }
    }

    /// What the server does when it is so many seconds later than at the beginning; what troubles it.
    fn after(&mut self, seconds: i64) -> Vec<String> {
        self.clock.0.store(BEGUN + seconds, Ordering::SeqCst);
        let mut trouble = Vec::new();
        self.rounds.look(&mut trouble).unwrap();
        trouble
    }

    /// The certificate that answers are signed with now.
    fn signs(&self) -> Option<certs::Certificate> {
        self.rounds.responders.first().map(|one| one.certificate().clone())
    }

    fn made(&self) -> usize {
        let all = self.rounds.authority.find(&crate::store::Query::All).unwrap();
        all.iter().filter(|one| one.intent.kind == crate::store::Kind::Responder).count()
    }
}

#[test]
fn g7_a_responder_renews_itself_when_half_of_its_life_is_gone() {
    let mut served = Served::new(3650, Some(ListDays::default()));
    assert!(served.after(0).is_empty());
    let first = served.signs().unwrap();
    let half = 7 * DAY - 3601; // its life begins an hour before, and ends a second before its days do
    assert!(served.after(half - 1).is_empty());
    assert_eq!(served.signs().unwrap(), first);
    assert!(served.after(half).is_empty());
    let second = served.signs().unwrap();
    assert_ne!(second, first);
    assert_ne!(second.public_key(), first.public_key(), "with a new key");
    // Whenever it is asked, for half a year, a signature made now counts for another week, but for the round itself.
    for hour in (0..180 * 24).step_by(11) {
        assert!(served.after(half + hour * 3600).is_empty());
        let left = served.signs().unwrap().validity().not_after.unix() - served.clock.now().unix();
        assert!(left >= 7 * DAY, "{left} s at hour {hour}");
        let answering = served.rounds.shared.responders.load();
        assert!(!answering.is_empty());
    }
    assert!((24..=27).contains(&served.made()), "{} in half a year, one a week", served.made());
}

#[test]
fn g7_a_server_that_stood_still_past_the_end_makes_a_new_responder_at_once() {
    let mut served = Served::new(3650, Some(ListDays::default()));
    served.after(0);
    let first = served.signs().unwrap();
    assert!(served.after(40 * DAY).is_empty());
    let now = served.clock.now();
    assert!(!first.validity().contains(now) && served.signs().unwrap().validity().contains(now));
}

#[test]
fn g7_where_the_authoritys_key_is_elsewhere_the_operator_is_told_in_time() {
    let mut served = Served::new(3650, None);
    let trouble = served.after(0);
    assert!(trouble[0].contains("client-root has no OCSP responder: provision-ca ocsp issue"), "{trouble:?}");
    served.rounds.authority.issue_responder("client-root", 8).unwrap();
    assert!(served.after(0).is_empty());
    let first = served.signs().unwrap();
    assert!(served.after(6 * DAY - 3602).is_empty());
    let trouble = served.after(6 * DAY - 3601);
    assert!(
        trouble[0].contains("the OCSP responder of client-root ends 2027-01-23T06:59:59Z"),
        "{trouble:?}"
    );
    assert_eq!(served.signs().unwrap(), first, "it signs until then");
    // Another process made one: it is taken without a word.
    served.rounds.authority.issue_responder("client-root", 8).unwrap();
    assert!(served.after(6 * DAY).is_empty());
    assert_ne!(served.signs().unwrap(), first);
    // Nobody did anything: nothing is signed with what has ended.
    let trouble = served.after(20 * DAY);
    assert!(trouble[0].contains("has no OCSP responder"), "{trouble:?}");
    assert!(served.signs().is_none());
}

#[test]
fn g7_the_last_responder_of_an_authority_ends_with_it_and_is_not_made_again_and_again() {
    let mut served = Served::new(10, Some(ListDays::default()));
    for hour in 0..(10 * 24 - 2) {
        served.after(hour * 3600);
    }
    for second in (0..3600).step_by(30) {
        served.after(10 * DAY - 2 * 3600 + second);
        assert!(served.signs().is_some());
    }
    assert_eq!(served.made(), 1, "it lasts as long as its authority from the beginning");
}
