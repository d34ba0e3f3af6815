//! Revocation lists in shards, with the clock in hand (CA F4, G1, G2, G3, G4).

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "both/stores.rs"]
mod stores;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use ca::{
    Authority, DeviceIdentity, DeviceRequest, FixedClock, FoundOptions, IssueError, KeyType, ListDays,
    MAX_SHARDS, MacAttribute, OperatingSystem, PostgresUrl, PublicationRequest, Published, RevocationReason,
    Shape, Side, SubjectKey,
};
use certs::{Certificate, RevocationList, Timestamp, Validity};

use crate::stores::{Inventory, On, on_both_stores};

on_both_stores! {
    f4_without_a_url_a_certificate_names_no_list,
    g1_a_revoked_certificate_is_on_exactly_the_shard_it_names_and_on_the_complete_list,
    the_number_of_shards_changes_and_old_certificates_keep_theirs,
    the_complete_list_goes_only_when_no_certificate_needs_it,
    g3_a_shard_keeps_an_entry_until_one_list_after_its_end_though_the_shard_is_closed,
    g2_the_numbers_of_each_shard_rise_across_restarts_and_restored_inventories,
    g4_a_list_is_due_when_half_of_its_life_is_gone,
    g4_the_last_lists_of_an_authority_that_retires_reach_its_end,
    what_cannot_be_published_so_is_refused_and_changes_nothing,
}

const DAY: i64 = 86_400;
const URL: &str = "http://pki.example.com";
const NAME: &str = "client-root";

struct Place {
    folder: tempfile::TempDir,
    inventory: Inventory,
}

impl Place {
    fn found(on: On) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), inventory: Inventory::new(on) };
        let options = FoundOptions {
            shape: Shape::Flat,
            key: KeyType::P256,
            database: place.inventory.url().map(|url| PostgresUrl::parse(&url, &place.root()).unwrap()),
            ..FoundOptions::default()
        };
        Authority::found(&place.root(), &options, None, Arc::new(FixedClock(day(0)))).unwrap();
        place
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("ca")
    }

    fn on_day(&self, number: i64) -> Authority {
        Authority::open(&self.root(), Arc::new(FixedClock(day(number)))).unwrap()
    }

    /// The URI and the serial numbers of every list of the client authority that lies where others read it.
    fn lists(&self) -> Vec<(Option<String>, RevocationList)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.root().join("trust/crls")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("client-") {
                let list = RevocationList::parse(&std::fs::read(path).unwrap()).unwrap();
                assert!(list.is_usable());
                found.push((uri_of(&list), list));
            }
        }
        found
    }

    /// The URIs of the lists a certificate is on; the complete one is `None`.
    fn on_lists(&self, certificate: &Certificate) -> Vec<Option<String>> {
        let mut uris: Vec<_> = self
            .lists()
            .into_iter()
            .filter(|(_, list)| list.contains(certificate.serial()).is_some())
            .map(|(uri, _)| uri)
            .collect();
        uris.sort();
        uris
    }
}

fn day(number: i64) -> Timestamp {
    Timestamp::parse_rfc3339("2026-06-01T12:00:00Z").unwrap().plus_seconds(number * DAY)
}

fn uri_of(list: &RevocationList) -> Option<String> {
    match list.distribution_point()? {
        certs::DistributionPointName::Full(names) => match &**names {
            [certs::GeneralName::Uri(uri)] => Some(uri.to_string()),
            other => panic!("{other:?}"),
        },
        other @ certs::DistributionPointName::RelativeToIssuer(_) => panic!("{other:?}"),
    }
}

/// The one URI a certificate names.
fn point_of(certificate: &Certificate) -> Option<String> {
    match certificate.crl_distribution_points() {
        [] => None,
        [point] => Some(point.uris().collect::<Vec<_>>().join(" ")),
        more => panic!("{more:?}"),
    }
}

fn request(shards: u32, complete_list: bool) -> PublicationRequest {
    PublicationRequest { url: URL.to_owned(), shards, ocsp: false, complete_list }
}

fn issue(authority: &mut Authority, number: u32, days: Option<i64>) -> Certificate {
    let mac = format!("000e08{number:06x}");
    let validity = days.map(|days| Validity {
        not_before: authority.now(),
        not_after: authority.now().plus_seconds(days * DAY),
    });
    let request = DeviceRequest {
        identity: DeviceIdentity::parse("CP-8841-3PCC", &mac, &mac).unwrap(),
        mac_attribute: MacAttribute::Surname,
        key: SubjectKey::generate(KeyType::P256, None, &OperatingSystem).unwrap(),
        validity,
        replace: false,
    };
    authority.issue_device(request).unwrap().certificate
}

fn revoke(authority: &mut Authority, certificate: &Certificate) {
    let serial: String = certificate.serial().as_bytes().iter().map(|octet| format!("{octet:02X}")).collect();
    let id = authority.select(&serial).unwrap()[0].id;
    authority.revoke(id, RevocationReason::KeyCompromise).unwrap();
}

fn publish(authority: &mut Authority) -> Vec<Published> {
    authority.publish_crls(Some(NAME), ListDays::default()).unwrap()
}

fn f4_without_a_url_a_certificate_names_no_list(on: On) {
    let place = Place::found(on);
    let certificate = issue(&mut place.on_day(0), 1, None);
    assert_eq!(certificate.crl_distribution_points().len(), 0);
    assert!(!certificate.extensions().iter().any(|one| one.oid.to_string() == "1.3.6.1.5.5.7.1.1"));
}

fn g1_a_revoked_certificate_is_on_exactly_the_shard_it_names_and_on_the_complete_list(on: On) {
    let place = Place::found(on);
    let mut authority = place.on_day(0);
    let before = issue(&mut authority, 0, None);
    authority.set_publication(NAME, &request(8, true)).unwrap();
    let certificates: Vec<_> = (1..60).map(|number| issue(&mut authority, number, None)).collect();
    let points: BTreeSet<_> = certificates.iter().filter_map(point_of).collect();
    assert!(points.len() > 5, "59 certificates are spread over 8 shards: {points:?}");
    for certificate in certificates.iter().step_by(2).chain([&before]) {
        revoke(&mut authority, certificate);
    }
    let published = publish(&mut authority);
    assert_eq!(published.len(), 9);
    for (index, certificate) in certificates.iter().enumerate() {
        let point = point_of(certificate);
        assert!(point.as_ref().is_some_and(|uri| uri.starts_with("http://pki.example.com/crl/client-root.")));
        let expected = if index % 2 == 0 { vec![None, point] } else { vec![] };
        assert_eq!(place.on_lists(certificate), expected);
    }
    assert_eq!(place.on_lists(&before), [None], "one issued before names none");
    let numbers: BTreeSet<_> = published.iter().map(|list| list.path.clone()).collect();
    assert_eq!(numbers.len(), 9, "each in a file of its own");
}

fn the_number_of_shards_changes_and_old_certificates_keep_theirs(on: On) {
    let place = Place::found(on);
    let mut authority = place.on_day(0);
    authority.set_publication(NAME, &request(4, true)).unwrap();
    let old: Vec<_> = (1..30).map(|number| issue(&mut authority, number, None)).collect();
    authority.set_publication(NAME, &request(1, true)).unwrap();
    let fewer: BTreeSet<_> =
        (100..110).map(|number| point_of(&issue(&mut authority, number, None))).collect();
    assert_eq!(fewer.len(), 1);
    authority.set_publication(NAME, &request(16, true)).unwrap();
    let other = PublicationRequest { url: "http://lists.example.net/".to_owned(), ..request(2, true) };
    let settings = |authority: &Authority| {
        let all = authority.publications().unwrap();
        let one = all.into_iter().find(|one| one.authority == NAME).unwrap();
        let open = one.shards.iter().filter(|shard| shard.is_open).count();
        (open, one.shards.len())
    };
    assert_eq!(settings(&authority), (16, 16), "shards of the same address are used again");
    authority.set_publication(NAME, &other).unwrap();
    assert_eq!(settings(&authority), (2, 18));
    let moved = issue(&mut authority, 200, None);
    assert!(point_of(&moved).unwrap().starts_with("http://lists.example.net/crl/client-root.1"));
    for certificate in old.iter().chain([&moved]) {
        revoke(&mut authority, certificate);
    }
    publish(&mut authority);
    for certificate in old.iter().chain([&moved]) {
        assert_eq!(place.on_lists(certificate), [None, point_of(certificate)]);
    }
}

fn the_complete_list_goes_only_when_no_certificate_needs_it(on: On) {
    let place = Place::found(on);
    let mut authority = place.on_day(0);
    let unsharded = issue(&mut authority, 1, Some(10));
    authority.set_publication(NAME, &request(2, false)).unwrap();
    revoke(&mut authority, &unsharded);
    assert_eq!(publish(&mut authority).len(), 3, "a valid certificate names no shard");
    let mut later = place.on_day(11);
    assert_eq!(publish(&mut later).len(), 3, "its end was not on a list yet (G3)");
    assert_eq!(place.on_lists(&unsharded), [None]);
    assert_eq!(publish(&mut place.on_day(12)).len(), 2);
    assert!(place.lists().iter().all(|(uri, _)| uri.is_some()), "and its file is gone");
    // The operator's word brings it back, and all that is revoked with it.
    let mut back = place.on_day(13);
    back.set_publication(NAME, &request(2, true)).unwrap();
    assert_eq!(publish(&mut back).len(), 3);
}

fn g3_a_shard_keeps_an_entry_until_one_list_after_its_end_though_the_shard_is_closed(on: On) {
    let place = Place::found(on);
    let mut authority = place.on_day(0);
    authority.set_publication(NAME, &request(1, true)).unwrap();
    let certificate = issue(&mut authority, 1, Some(10));
    revoke(&mut authority, &certificate);
    authority.clear_publication(NAME).unwrap();
    let sharded = |number: i64| {
        let published = publish(&mut place.on_day(number));
        published.into_iter().find(|list| list.shard.is_some()).map(|list| list.entries)
    };
    for number in [1, 5, 9, 11] {
        assert_eq!(sharded(number), Some(1), "day {number}");
        assert_eq!(place.on_lists(&certificate), [None, point_of(&certificate)], "day {number}");
    }
    assert_eq!(sharded(12), None, "nothing is left that names it");
    assert!(place.on_lists(&certificate).is_empty());
}

fn g2_the_numbers_of_each_shard_rise_across_restarts_and_restored_inventories(on: On) {
    let place = Place::found(on);
    place.on_day(0).set_publication(NAME, &request(3, true)).unwrap();
    place.inventory.save(&place.root());
    let numbers = || {
        let mut lists = publish(&mut place.on_day(1));
        lists.sort_by_key(|list| list.shard);
        lists.iter().map(|list| list.number).collect::<Vec<_>>()
    };
    let mut last = numbers();
    for _ in 0..3 {
        let next = numbers();
        assert!(next.iter().zip(&last).all(|(next, last)| next > last), "{next:?} after {last:?}");
        last = next;
    }
    place.inventory.restore(&place.root());
    let next = numbers();
    assert!(next.iter().zip(&last).all(|(next, last)| next > last), "{next:?} after {last:?}");
}

fn g4_a_list_is_due_when_half_of_its_life_is_gone(on: On) {
    let place = Place::found(on);
    let mut authority = place.on_day(0);
    authority.set_publication(NAME, &request(1, true)).unwrap();
    let id = authority.issuer_for(Side::Client).unwrap().id();
    let states = |number: i64| {
        let authority = place.on_day(number);
        let lists = authority.due_lists(id, authority.now()).unwrap();
        lists.iter().map(|list| list.state(authority.now())).collect::<Vec<_>>()
    };
    assert_eq!(states(0), ["current", "missing"]);
    publish(&mut authority);
    assert_eq!(states(14), ["current", "current"]);
    assert_eq!(states(15), ["due", "due"]);
    assert_eq!(states(31), ["expired", "expired"]);
}

fn g4_the_last_lists_of_an_authority_that_retires_reach_its_end(on: On) {
    let place = Place::found(on);
    let mut authority = place.on_day(0);
    authority.set_publication(NAME, &request(2, true)).unwrap();
    let end = authority.issuer_for(Side::Client).unwrap().certificate().validity().not_after;
    let published = authority.publish_last_crls(NAME).unwrap();
    assert_eq!(published.len(), 3);
    assert!(published.iter().all(|list| list.next_update == end));
}

fn what_cannot_be_published_so_is_refused_and_changes_nothing(on: On) {
    let place = Place::found(on);
    let mut authority = place.on_day(0);
    for shards in [0, MAX_SHARDS + 1] {
        let refused = authority.set_publication(NAME, &request(shards, true)).unwrap_err();
        assert!(matches!(refused, IssueError::Publication(_)), "{refused:?}");
    }
    let https = PublicationRequest { url: "https://pki.example.com".to_owned(), ..request(1, true) };
    assert!(matches!(authority.set_publication(NAME, &https), Err(IssueError::Publication(_))));
    let nobody = authority.set_publication("nobody", &request(1, true)).unwrap_err();
    assert!(matches!(nobody, IssueError::NotFound { .. }));
    assert!(authority.publications().unwrap().iter().all(|one| one.publication.is_none()));
    authority.set_publication(NAME, &request(MAX_SHARDS, true)).unwrap();
}
