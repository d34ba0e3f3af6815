//! The library as other programs use it, with the clock in hand.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "both/stores.rs"]
mod stores;

use std::path::PathBuf;
use std::sync::Arc;

use ca::{
    Authority, DeviceIdentity, DeviceRequest, FixedClock, FoundOptions, GenericRequest, IssueError, Issued,
    KeyType, ListDays, MacAttribute, OperatingSystem, PostgresUrl, Query, RevocationReason, ServerName,
    ServerRequest, Shape, Side, Standing, SubjectKey, validity_for,
};
use certs::{Certificate, RevocationList, Timestamp, Validity};

use crate::stores::{Inventory, On, on_both_stores};

on_both_stores! {
    a_whole_demonstration_in_code,
    an_expired_device_certificate_can_be_made_on_purpose,
    r7_e1_impossible_periods_are_refused,
    c4_a_leaf_may_end_with_its_issuer_and_not_a_second_later,
    c1_an_authority_that_expired_or_was_revoked_signs_nothing,
    c7_a_root_cannot_be_revoked_and_an_issuing_authority_can,
    e4_a_clock_that_fell_behind_stops_the_work,
    e4_a_clock_that_was_ahead_does_not_stop_the_work_for_ever,
    a3_a_renewal_has_another_serial_number,
    i5_one_mac_twice_in_a_batch_is_issued_once,
    g5_revoking_twice_keeps_the_first_date_and_only_compromise_is_worse,
    g2_numbers_only_rise,
    g3_an_expired_certificate_stays_on_one_more_list,
    g3_a_list_that_was_not_published_does_not_count_as_the_one_more,
    g2_the_number_never_falls_when_an_old_copy_of_the_inventory_is_restored,
    c6_with_an_issuing_tier_no_root_signs_a_leaf,
    e2_e3_a_certificate_begins_an_hour_ago_and_lasts_its_days_to_the_second,
    i3_what_cannot_be_logged_is_not_issued,
    lists_for_the_gateway_are_there_from_the_first_day,
    a_folder_in_the_way_is_never_overwritten_unsaid,
    what_a_killed_process_left_is_ended_by_the_next,
    f2_a_servers_rsa_key_enciphers_and_its_key_on_a_curve_only_signs,
}

const DAY: i64 = 86_400;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

struct Place {
    folder: tempfile::TempDir,
    inventory: Inventory,
}

impl Place {
    fn new(on: On) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), inventory: Inventory::new(on) }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("ca")
    }

    fn found(&self, shape: Shape, now: Timestamp) -> Authority {
        let options = FoundOptions {
            name: "Example Telco".to_owned(),
            shape,
            key: KeyType::P256,
            database: self.inventory.url().map(|url| PostgresUrl::parse(&url, &self.root()).unwrap()),
            ..FoundOptions::default()
        };
        Authority::found(&self.root(), &options, None, Arc::new(FixedClock(now))).unwrap()
    }

    /// The same store at another time.
    fn open(&self, now: Timestamp) -> Authority {
        Authority::open(&self.root(), Arc::new(FixedClock(now))).unwrap()
    }
}

fn key() -> SubjectKey {
    SubjectKey::generate(KeyType::P256, None, &OperatingSystem).unwrap()
}

fn device(mac: &str, validity: Option<Validity>) -> DeviceRequest {
    DeviceRequest {
        identity: DeviceIdentity::parse("CP-8841-3PCC", mac, mac).unwrap(),
        mac_attribute: MacAttribute::Surname,
        key: key(),
        validity,
        replace: false,
    }
}

fn server(name: &str, validity: Option<Validity>) -> ServerRequest {
    ServerRequest { names: vec![ServerName::host(name).unwrap()], key: key(), validity, replace: false }
}

fn now() -> Timestamp {
    at("2026-06-01T12:00:00Z")
}

fn a_whole_demonstration_in_code(on: On) {
    for shape in [Shape::Flat, Shape::Issuing] {
        let place = Place::new(on);
        let mut authority = place.found(shape, now());
        let host = authority.issue_server(server("localhost", None)).unwrap();
        let phone = authority.issue_device(device("000e08abcdef", None)).unwrap();
        let generic = authority
            .issue_generic(GenericRequest {
                mac_attribute: MacAttribute::Surname,
                key: key(),
                validity: None,
                replace: false,
            })
            .unwrap();
        for Issued { folder, certificate, is_new, superseded } in [&host, &phone, &generic] {
            assert!(*is_new && superseded.is_none());
            let chain = std::fs::read_to_string(folder.join("chain.pem")).unwrap();
            assert!(chain.starts_with(&certificate.to_pem()));
            assert!(folder.join("key.pem").is_file());
        }
        assert_eq!(phone.folder, place.root().join("devices/000e08abcdef"));
        assert_eq!(
            phone.certificate.subject().to_one_line(),
            "/OU=CP-8841-3PCC/L=000e08abcdef/SN=000e08abcdef"
        );
        assert_eq!(
            generic.certificate.subject().to_one_line(),
            "/OU=cisco.com/L=ciscogeneric/SN=ciscogeneric"
        );
        assert_eq!(phone.certificate.validity(), validity_for(now(), ca::DEVICE_DAYS));
        assert_eq!(host.certificate.validity(), validity_for(now(), ca::SERVER_DAYS));
    }
}

fn an_expired_device_certificate_can_be_made_on_purpose(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let validity = Validity { not_before: at("2020-01-01T00:00:00Z"), not_after: at("2020-12-31T23:59:59Z") };
    let issued = authority.issue_device(device("000e08abcdef", Some(validity))).unwrap();
    assert_eq!(issued.certificate.validity(), validity);
    // An expired one does not stand in the way of a valid one, only its folder does.
    let request = DeviceRequest { replace: true, ..device("000e08abcdef", None) };
    assert!(authority.issue_device(request).unwrap().superseded.is_some());
}

fn r7_e1_impossible_periods_are_refused(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let period = |from: &str, to: &str| Some(Validity { not_before: at(from), not_after: at(to) });
    for (from, to) in [
        ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("1969-12-31T23:59:59Z", "2026-01-01T00:00:00Z"),
    ] {
        let refused = authority.issue_device(device("000e08abcdef", period(from, to))).unwrap_err();
        assert!(matches!(refused, IssueError::Validity { .. }), "{from} {to}: {refused:?}");
    }
    authority
        .issue_device(device("000e08abcdef", period("2049-12-31T23:59:59Z", "2050-01-01T00:00:00Z")))
        .unwrap();
}

fn c4_a_leaf_may_end_with_its_issuer_and_not_a_second_later(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Issuing, now());
    let end = authority.issuer_for(Side::Client).unwrap().certificate().validity().not_after;
    let until = |not_after| Some(Validity { not_before: now(), not_after });
    let refused = authority.issue_device(device("000e08abcdef", until(end.plus_seconds(1)))).unwrap_err();
    assert!(matches!(refused, IssueError::OutlivesIssuer { .. }), "{refused:?}");
    assert!(!place.root().join("devices").exists(), "nothing was left behind");
    authority.issue_device(device("000e08abcdef", until(end))).unwrap();
}

fn c1_an_authority_that_expired_or_was_revoked_signs_nothing(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Issuing, now());
    let mut later = place.open(now().plus_seconds(11_000 * DAY));
    let in_the_past = Some(Validity { not_before: now(), not_after: now().plus_seconds(DAY) });
    let refused = later.issue_device(device("000e08abcdef", in_the_past)).unwrap_err();
    assert!(refused.to_string().contains("expired"), "{refused}");
    let issuing = authority.select("client-issuing").unwrap();
    authority.revoke(issuing[0].id, RevocationReason::CaCompromise).unwrap();
    let refused = authority.issue_device(device("000e08abcdef", None)).unwrap_err();
    assert!(refused.to_string().contains("client-issuing cannot sign: it is revoked"), "{refused}");
    authority.issue_server(server("prov.example.com", None)).unwrap();
}

fn c7_a_root_cannot_be_revoked_and_an_issuing_authority_can(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Issuing, now());
    let root = authority.select("client-root").unwrap();
    let refused = authority.revoke(root[0].id, RevocationReason::KeyCompromise).unwrap_err();
    assert!(matches!(refused, IssueError::RootRevocation { .. }));
    let issuing = authority.select("client-issuing").unwrap();
    authority.revoke(issuing[0].id, RevocationReason::KeyCompromise).unwrap();
    let published = authority.publish_crls(Some("client-root"), ListDays::default()).unwrap();
    assert_eq!(published[0].entries, 1);
}

fn e4_a_clock_that_fell_behind_stops_the_work(on: On) {
    let place = Place::new(on);
    place.found(Shape::Flat, now());
    let refused = place.open(now().plus_seconds(-61)).issue_device(device("000e08abcdef", None)).unwrap_err();
    assert!(matches!(refused, IssueError::ClockBehind { .. }), "{refused:?}");
    place.open(now().plus_seconds(-60)).issue_device(device("000e08abcdef", None)).unwrap();
    let other = Place::new(on);
    let options = FoundOptions { key: KeyType::P256, ..FoundOptions::default() };
    let clock = Arc::new(FixedClock(at("1970-01-02T00:00:00Z")));
    let refused = Authority::found(&other.root(), &options, None, clock).unwrap_err();
    assert!(matches!(refused, IssueError::ClockBehind { .. }), "{refused:?}");
    assert!(!other.root().exists());
}

fn e4_a_clock_that_was_ahead_does_not_stop_the_work_for_ever(on: On) {
    let place = Place::new(on);
    place.found(Shape::Flat, now());
    place.open(now().plus_seconds(400 * DAY)).issue_device(device("000e08abcdef", None)).unwrap();
    let mut authority = place.open(now());
    let refused = authority.issue_device(device("000e08abcde0", None)).unwrap_err();
    assert!(refused.hint().unwrap().contains("--clock-is-right"), "{refused:?}");
    authority.accept_clock().unwrap();
    authority.issue_device(device("000e08abcde0", None)).unwrap();
    // It is no licence for later: the log goes on from the time that was said to be right.
    let mut behind = place.open(now().plus_seconds(-61));
    assert!(matches!(behind.issue_device(device("000e08abcde1", None)), Err(IssueError::ClockBehind { .. })));
}

fn a3_a_renewal_has_another_serial_number(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let first = authority.issue_server(server("prov.example.com", None)).unwrap();
    let request = ServerRequest { replace: true, ..server("prov.example.com", None) };
    let second = authority.issue_server(request).unwrap();
    assert_ne!(first.certificate.serial(), second.certificate.serial());
}

fn i5_one_mac_twice_in_a_batch_is_issued_once(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let outcomes = authority
        .issue_devices(vec![
            device("000e08abcdef", None),
            device("000e08abcdef", None),
            device("000e08abcde0", None),
        ])
        .unwrap();
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert!(outcomes[1].as_ref().unwrap_err().to_string().contains("twice"));
    let identity = DeviceIdentity::parse("CP-8841-3PCC", "000e08abcdef", "000e08abcdef").unwrap();
    let mut standing = |replace| {
        authority.device_standings([&identity], validity_for(now(), 10), replace).unwrap().remove(0)
    };
    assert!(matches!(standing(false), Standing::Issued(_)));
    assert!(matches!(standing(true), Standing::Free));
}

fn g5_revoking_twice_keeps_the_first_date_and_only_compromise_is_worse(on: On) {
    let place = Place::new(on);
    place.found(Shape::Flat, now()).issue_device(device("000e08abcdef", None)).unwrap();
    let revoke = |seconds: i64, reason| {
        let mut authority = place.open(now().plus_seconds(seconds));
        let id = authority.select("000e08abcdef").unwrap()[0].id;
        authority.revoke(id, reason).unwrap()
    };
    let first = revoke(10, RevocationReason::Superseded);
    assert!(!first.already);
    let second = revoke(20, RevocationReason::CessationOfOperation);
    assert!(second.already);
    assert_eq!(second.revocation, first.revocation);
    let third = revoke(30, RevocationReason::KeyCompromise);
    assert_eq!(
        (third.revocation.at, third.revocation.reason),
        (first.revocation.at, RevocationReason::KeyCompromise)
    );
    assert_eq!(revoke(40, RevocationReason::Unspecified).revocation, third.revocation);
}

fn g2_numbers_only_rise(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let number = |authority: &mut Authority| {
        authority.publish_crls(Some("client-root"), ListDays::default()).unwrap()[0].number
    };
    let mut last = number(&mut authority);
    for _ in 0..3 {
        let next = number(&mut authority); // the clock stands still
        assert!(next > last);
        last = next;
    }
    assert!(number(&mut place.open(now().plus_seconds(5 * DAY))) > last);
}

fn g3_an_expired_certificate_stays_on_one_more_list(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let validity = Some(Validity { not_before: now(), not_after: now().plus_seconds(10 * DAY) });
    authority.issue_device(device("000e08abcdef", validity)).unwrap();
    let id = authority.select("000e08abcdef").unwrap()[0].id;
    authority.revoke(id, RevocationReason::KeyCompromise).unwrap();
    let entries = |days: i64| {
        place
            .open(now().plus_seconds(days * DAY))
            .publish_crls(Some("client-root"), ListDays::default())
            .unwrap()[0]
            .entries
    };
    assert_eq!(entries(5), 1);
    assert_eq!(entries(15), 1, "expired on day 10, and not on a list since");
    assert_eq!(entries(20), 0);
}

fn g3_a_list_that_was_not_published_does_not_count_as_the_one_more(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let validity = Some(Validity { not_before: now(), not_after: now().plus_seconds(10 * DAY) });
    authority.issue_device(device("000e08abcdef", validity)).unwrap();
    let id = authority.select("000e08abcdef").unwrap()[0].id;
    authority.revoke(id, RevocationReason::KeyCompromise).unwrap();
    let publish = |days: i64| {
        place.open(now().plus_seconds(days * DAY)).publish_crls(Some("client-root"), ListDays::default())
    };
    // On day 15 the file cannot be put in its place: nobody has seen that list.
    let list = place.root().join("trust/crls/client-root.crl");
    std::fs::remove_file(&list).unwrap();
    std::fs::create_dir(&list).unwrap();
    publish(15).unwrap_err();
    std::fs::remove_dir(&list).unwrap();
    assert_eq!(publish(20).unwrap()[0].entries, 1);
    assert_eq!(publish(25).unwrap()[0].entries, 0);
}

fn g2_the_number_never_falls_when_an_old_copy_of_the_inventory_is_restored(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    drop(authority);
    place.inventory.save(&place.root());
    authority = place.open(now());
    let publish = |authority: &mut Authority| {
        authority.publish_crls(Some("client-root"), ListDays::default()).unwrap()[0].number
    };
    let last = (0..5).map(|_| publish(&mut authority)).max().unwrap();
    drop(authority);
    place.inventory.restore(&place.root());
    let again = publish(&mut place.open(now()));
    assert!(again > last, "{again} after {last}");
}

fn c6_with_an_issuing_tier_no_root_signs_a_leaf(on: On) {
    for (shape, tier) in [(Shape::Issuing, "client-issuing"), (Shape::Flat, "client-root")] {
        let place = Place::new(on);
        let mut authority = place.found(shape, now());
        let issued = authority.issue_device(device("000e08abcdef", None)).unwrap();
        let issuer = authority.issuers().iter().find(|issuer| issuer.name() == tier).unwrap();
        assert_eq!(issued.certificate.issuer().der(), issuer.certificate().subject().der());
    }
}

fn e2_e3_a_certificate_begins_an_hour_ago_and_lasts_its_days_to_the_second(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let validity = Some(validity_for(now(), 10));
    let found = authority.issue_device(device("000e08abcdef", validity)).unwrap().certificate.validity();
    assert_eq!(found.not_before, now().plus_seconds(-3600));
    assert_eq!(found.not_after, found.not_before.plus_seconds(10 * DAY - 1));
}

fn i3_what_cannot_be_logged_is_not_issued(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let (full, empty) = match on {
        On::Sqlite => (
            "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END",
            "DROP TRIGGER full",
        ),
        On::Postgresql => (
            "ALTER TABLE audit ADD CONSTRAINT disk_full CHECK (sequence < 2) NOT VALID",
            "ALTER TABLE audit DROP CONSTRAINT disk_full",
        ),
    };
    place.inventory.change(&place.root(), full);
    let refused = authority.issue_device(device("000e08abcdef", None)).unwrap_err();
    assert!(matches!(refused, IssueError::Store(_)), "{refused:?}");
    assert!(!place.root().join("devices").exists(), "nothing was handed out");
    let unlisted = |record: &ca::CertificateRecord| record.certificate.is_none();
    assert!(
        authority
            .find(&Query::Name(ca::Kind::Device, "000e08abcdef".to_owned()))
            .unwrap()
            .iter()
            .all(unlisted)
    );
    let list = std::fs::read(place.root().join("trust/crls/client-root.crl")).unwrap();
    authority.publish_crls(None, ListDays::default()).unwrap_err();
    assert_eq!(std::fs::read(place.root().join("trust/crls/client-root.crl")).unwrap(), list);
    place.inventory.change(&place.root(), empty);
    let issued = authority.issue_device(device("000e08abcdef", None)).unwrap();
    assert!(issued.is_new && issued.folder.join("chain.pem").is_file());
    // What was given up does not hide what was issued, by whichever name it is asked for.
    let found = authority.select("000e08abcdef").unwrap();
    assert!(found.iter().any(|record| record.state == ca::State::Issued));
}

fn lists_for_the_gateway_are_there_from_the_first_day(on: On) {
    for (shape, names) in
        [(Shape::Flat, vec!["client-root"]), (Shape::Issuing, vec!["client-root", "client-issuing"])]
    {
        let place = Place::new(on);
        let authority = place.found(shape, now());
        for name in names {
            let list =
                RevocationList::parse(&std::fs::read(authority.layout().crl(name, None)).unwrap()).unwrap();
            assert!(list.is_usable() && list.is_empty());
            let issuer = authority.issuers().iter().find(|issuer| issuer.name() == name).unwrap();
            assert!(list.verify_signature(issuer.certificate().public_key()).is_ok());
        }
    }
}

fn a_folder_in_the_way_is_never_overwritten_unsaid(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let folder = authority.layout().device("000e08abcdef");
    std::fs::create_dir_all(&folder).unwrap();
    let refused = authority.issue_device(device("000e08abcdef", None)).unwrap_err();
    assert!(matches!(refused, IssueError::Exists { .. }), "{refused:?}");
    std::fs::remove_dir(&folder).unwrap();
    authority.issue_device(device("000e08abcdef", None)).unwrap();
}

fn what_a_killed_process_left_is_ended_by_the_next(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let issued = authority.issue_device(device("000e08abcdef", None)).unwrap();
    let id = authority.find(&Query::All).unwrap().len();
    // As if killed after the row was written and before the folder was moved into place.
    let pending = place.root().join(format!("pending/{id}"));
    std::fs::rename(&issued.folder, &pending).unwrap();
    std::fs::File::create(pending.join("chain.pem")).unwrap();
    // And as if another was killed before its row was finished.
    std::fs::create_dir(place.root().join("pending/4711")).unwrap();
    std::fs::File::create(place.root().join("pending/.writing-x")).unwrap();
    let again = place.open(now()).issue_device(device("000e08abcdef", None)).unwrap();
    assert!(!again.is_new);
    assert_eq!(again.certificate, issued.certificate);
    let chain = std::fs::read_to_string(issued.folder.join("chain.pem")).unwrap();
    assert_eq!(Certificate::parse_pem(chain).unwrap(), issued.certificate);
    assert_eq!(std::fs::read_dir(place.root().join("pending")).unwrap().count(), 0);
}

fn f2_a_servers_rsa_key_enciphers_and_its_key_on_a_curve_only_signs(on: On) {
    let place = Place::new(on);
    let mut authority = place.found(Shape::Flat, now());
    let mut usage = |name: &str, key_type| {
        let key = SubjectKey::generate(key_type, None, &OperatingSystem).unwrap();
        let issued = authority.issue_server(ServerRequest { key, ..server(name, None) }).unwrap();
        issued.certificate.key_usage().unwrap().names().collect::<Vec<_>>()
    };
    // RSA key exchange, which is all that some old phones have, needs the second one.
    assert_eq!(usage("rsa.example.com", KeyType::Rsa2048), ["digitalSignature", "keyEncipherment"]);
    assert_eq!(usage("curve.example.com", KeyType::P256), ["digitalSignature"]);
}
