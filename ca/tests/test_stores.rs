//! Stores for tests: what they are made as, they stay, and no other store does what they do.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;
use std::sync::Arc;

use ca::{
    Authority, DeviceIdentity, DeviceRequest, FixedClock, FoundOptions, IssueError, KeyType, Legacy,
    MacAttribute, OperatingSystem, Query, SubjectKey, validity_for,
};
use certs::Timestamp;

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-06-01T12:00:00Z").unwrap()
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock(now()))
}

/// A production store.
fn found(root: &Path) -> Authority {
    let options = FoundOptions { key: KeyType::P256, ..FoundOptions::default() };
    Authority::found(root, &options, None, clock()).unwrap()
}

fn open(root: &Path) -> Authority {
    Authority::open(root, clock()).unwrap()
}

fn device() -> DeviceRequest {
    DeviceRequest {
        identity: DeviceIdentity::parse("CP-8841-3PCC", "1", "000e08abcdef").unwrap(),
        mac_attribute: MacAttribute::Surname,
        key: SubjectKey::generate(KeyType::P256, None, &OperatingSystem).unwrap(),
        validity: None,
        replace: false,
    }
}

/// A test store whose authorities are as old as this.
fn found_for_tests(root: &Path, legacy: Legacy) -> Authority {
    let options = FoundOptions { name: "Example Telco".to_owned(), ..FoundOptions::for_tests(legacy) };
    Authority::found(root, &options, None, clock()).unwrap()
}

#[test]
fn a_store_stays_what_it_was_made_as() {
    let place = tempfile::tempdir().unwrap();
    assert!(found_for_tests(&place.path().join("ca"), Legacy::default()).is_test());
    let mut authority = open(&place.path().join("ca"));
    assert!(authority.is_test());
    let sha1 = Legacy { sha1: true, ..Legacy::default() };
    let issued = authority.issue_device_twin(device(), sha1).unwrap();
    assert_eq!(issued.certificate.validity(), validity_for(now(), ca::TEST_DAYS));

    let place = tempfile::tempdir().unwrap();
    let mut production = found(&place.path().join("ca"));
    assert!(!production.is_test());
    let refused = production.issue_device_twin(device(), sha1).unwrap_err();
    assert!(matches!(refused, IssueError::TestStoreOnly { .. }), "{refused}");
    let short =
        DeviceRequest { key: SubjectKey::generate_short(None, &OperatingSystem).unwrap(), ..device() };
    let refused = production.issue_device(short).unwrap_err();
    assert!(matches!(refused, IssueError::TestStoreOnly { .. }), "{refused}");
    assert!(matches!(production.expired_period(1, None, 1), Err(IssueError::TestStoreOnly { .. })));
    assert!(production.find(&Query::All).unwrap().iter().all(|record| record.intent.name.contains("root")));
}

#[test]
fn a_production_store_that_is_called_a_test_store_is_not_opened() {
    let place = tempfile::tempdir().unwrap();
    drop(found(&place.path().join("ca")));
    let database = rusqlite::Connection::open(place.path().join("ca").join("ca.sqlite")).unwrap();
    let set = |value: &str| {
        database.execute("UPDATE setting SET value = ?1 WHERE name = 'test'", [value]).unwrap();
        Authority::open(&place.path().join("ca"), clock())
    };
    assert!(set("yes").unwrap_err().to_string().contains("an authority's name does not"));
    assert!(set("perhaps").unwrap_err().to_string().contains("does not say whether"));
    assert!(!set("no").unwrap().is_test());
}

#[test]
fn a_store_from_before_there_were_test_stores_is_production() {
    let place = tempfile::tempdir().unwrap();
    drop(found(&place.path().join("ca")));
    let database = rusqlite::Connection::open(place.path().join("ca").join("ca.sqlite")).unwrap();
    let before: i64 =
        database.query_row("SELECT max(number) FROM revocation_list", [], |row| row.get(0)).unwrap();
    // As the format of those days was.
    database
        .execute_batch(
            "DELETE FROM setting WHERE name IN ('test', 'legacy');
             DROP TABLE checkpoint;
             DROP INDEX certificate_fingerprint;
             DROP INDEX certificate_unprinted;
             DROP INDEX certificate_not_after;
             ALTER TABLE certificate DROP COLUMN fingerprint;
             DROP TABLE publication;
             DROP TABLE shard;
             CREATE TABLE crl (
                 authority   INTEGER NOT NULL REFERENCES authority (id),
                 number      INTEGER NOT NULL,
                 this_update INTEGER NOT NULL,
                 next_update INTEGER NOT NULL,
                 published   INTEGER NOT NULL DEFAULT 0,
                 PRIMARY KEY (authority, number)
             ) STRICT, WITHOUT ROWID;
             INSERT INTO crl SELECT authority, number, this_update, next_update, published FROM revocation_list;
             DROP TABLE revocation_list;
             DROP INDEX revocation_shard;
             DROP INDEX certificate_shard;
             ALTER TABLE revocation DROP COLUMN shard;
             ALTER TABLE certificate DROP COLUMN shard;
             PRAGMA user_version = 2;",
        )
        .unwrap();
    drop(database);
    let mut authority = open(&place.path().join("ca"));
    assert!(!authority.is_test());
    let lists = authority.publish_crls(None, ca::ListDays::default()).unwrap();
    assert!(lists.len() == 2 && lists.iter().all(|list| list.number > before), "G2: the numbers go on");
    authority.issue_device(device()).unwrap();
}
