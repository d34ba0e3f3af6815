use rusqlite::Connection;
use serde_json::json;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(1_800_000_000 + seconds)
}

fn audit(event: &'static str) -> AuditEvent {
    AuditEvent { at: at(0), event, detail: json!({ "event": event }) }
}

fn intent(serial: u8) -> Intent {
    Intent {
        authority: AuthorityId(1),
        serial: vec![serial; 16],
        kind: Kind::Device,
        name: "000e08abcdef".to_owned(),
        product: Some("CP-8841-3PCC".to_owned()),
        device_serial: Some("1".to_owned()),
        public_key: [serial; 32],
        validity: Validity { not_before: at(0), not_after: at(100) },
        at: at(0),
        folder: "devices/000e08abcdef".into(),
        shard: None,
    }
}

fn path(folder: &tempfile::TempDir) -> std::path::PathBuf {
    folder.path().join("ca.sqlite")
}

/// The tables, past the store.
fn tables(folder: &tempfile::TempDir) -> Connection {
    Connection::open(path(folder)).unwrap()
}

fn store(folder: &tempfile::TempDir) -> SqlStore {
    let mut store = SqlStore::sqlite(&path(folder)).unwrap();
    let authority = AuthorityRecord {
        id: AuthorityId(1),
        name: "client-root".to_owned(),
        side: Side::Client,
        tier: Tier::Root,
        certificate: vec![1],
    };
    store.found(&[("name", "x".to_owned())], &[authority], &[], &[], &audit("init")).unwrap();
    store
}

#[test]
fn a2_a_serial_number_is_taken_once_and_none_of_its_batch_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(&folder);
    store.reserve(&[intent(1)]).unwrap();
    assert!(matches!(store.reserve(&[intent(2), intent(1)]), Err(StoreError::SerialTaken)));
    assert_eq!(store.find(&Query::All).unwrap().len(), 1);
    store.reserve(&[intent(2)]).unwrap();
}

#[test]
fn i1_an_intent_is_finished_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(&folder);
    let ids = store.reserve(&[intent(1), intent(2)]).unwrap();
    let finished = |id| Finished { id, certificate: vec![1], audit: audit("issue"), supersedes: None };
    store.finish(&[finished(ids[0])]).unwrap();
    assert!(store.finish(&[finished(ids[0])]).is_err());
    store.abandon(&ids).unwrap();
    let states: Vec<_> = store.find(&Query::All).unwrap().iter().map(|record| record.state).collect();
    assert_eq!(states, [State::Issued, State::Abandoned]);
}

#[test]
fn i3_i4_the_audit_log_is_a_chain_and_is_written_with_what_it_tells_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(&folder);
    let ids = store.reserve(&[intent(1)]).unwrap();
    store
        .finish(&[Finished { id: ids[0], certificate: vec![1], audit: audit("issue"), supersedes: None }])
        .unwrap();
    let superseded = Revocation { at: at(1), reason: RevocationReason::Superseded };
    store.revoke(ids[0], superseded, &audit("revoke")).unwrap();
    let rows: Vec<(String, Vec<u8>, Vec<u8>)> = tables(&folder)
        .prepare("SELECT event, previous, hash FROM audit ORDER BY sequence")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let events: Vec<&str> = rows.iter().map(|(event, ..)| event.as_str()).collect();
    assert_eq!(events, ["init", "issue", "revoke"]);
    assert!(rows.windows(2).all(|pair| pair[0].2 == pair[1].1));
}

#[test]
fn a_store_of_a_newer_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(store(&folder));
    tables(&folder).pragma_update(None, "user_version", 99).unwrap();
    let again = SqlStore::sqlite(&path(&folder));
    assert!(matches!(again, Err(StoreError::TooNew { found: 99, .. })));
}

#[test]
fn writes_are_flushed_before_they_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let connection = Sqlite::open(&path(&folder)).unwrap().connection;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!((synchronous, journal.as_str()), (2, "wal"), "2 is FULL");
}
