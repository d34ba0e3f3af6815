//! Stores for tests: what they are made as, they stay, and no other store does what they do.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "both/stores.rs"]
mod stores;

use std::path::PathBuf;
use std::sync::Arc;

use ca::{
    Authority, DeviceIdentity, DeviceRequest, FixedClock, FoundOptions, IssueError, KeyType, Legacy,
    MacAttribute, OperatingSystem, PostgresUrl, Query, SubjectKey, validity_for,
};
use certs::Timestamp;

use crate::stores::{Inventory, On, on_both_stores};

on_both_stores! {
    a_store_stays_what_it_was_made_as,
    a_production_store_that_is_called_a_test_store_is_not_opened,
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-06-01T12:00:00Z").unwrap()
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock(now()))
}

/// A folder for a store, and what its inventory is in.
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

    /// A production store.
    fn found(&self) -> Authority {
        self.found_as(FoundOptions { key: KeyType::P256, ..FoundOptions::default() })
    }

    /// A test store whose authorities are as old as this.
    fn found_for_tests(&self, legacy: Legacy) -> Authority {
        self.found_as(FoundOptions { name: "Example Telco".to_owned(), ..FoundOptions::for_tests(legacy) })
    }

    fn found_as(&self, options: FoundOptions) -> Authority {
        let database = self.inventory.url().map(|url| PostgresUrl::parse(&url, &self.root()).unwrap());
        Authority::found(&self.root(), &FoundOptions { database, ..options }, None, clock()).unwrap()
    }

    fn open(&self) -> Result<Authority, IssueError> {
        Authority::open(&self.root(), clock())
    }
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

fn a_store_stays_what_it_was_made_as(on: On) {
    let place = Place::new(on);
    assert!(place.found_for_tests(Legacy::default()).is_test());
    let mut authority = place.open().unwrap();
    assert!(authority.is_test());
    let sha1 = Legacy { sha1: true, ..Legacy::default() };
    let issued = authority.issue_device_twin(device(), sha1).unwrap();
    assert_eq!(issued.certificate.validity(), validity_for(now(), ca::TEST_DAYS));

    let place = Place::new(on);
    let mut production = place.found();
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

fn a_production_store_that_is_called_a_test_store_is_not_opened(on: On) {
    let place = Place::new(on);
    drop(place.found());
    let set = |value: &str| {
        let statement = format!("UPDATE setting SET value = '{value}' WHERE name = 'test'");
        place.inventory.change(&place.root(), &statement);
        place.open()
    };
    assert!(set("yes").unwrap_err().to_string().contains("an authority's name does not"));
    assert!(set("perhaps").unwrap_err().to_string().contains("does not say whether"));
    assert!(!set("no").unwrap().is_test());
}

#[test]
fn a_store_from_before_there_were_test_stores_is_production() {
    let place = Place::new(On::Sqlite);
    drop(place.found());
    let database = rusqlite::Connection::open(place.root().join("ca.sqlite")).unwrap();
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
    let mut authority = place.open().unwrap();
    assert!(!authority.is_test());
    let lists = authority.publish_crls(None, ca::ListDays::default()).unwrap();
    assert!(lists.len() == 2 && lists.iter().all(|list| list.number > before), "G2: the numbers go on");
    authority.issue_device(device()).unwrap();
}
