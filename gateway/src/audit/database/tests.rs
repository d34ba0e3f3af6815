use std::path::Path;
use std::time::{Duration, Instant};

use super::testing::{Server, on_both};
use super::*;
use crate::audit::entry::{Outcome, Subject};
use crate::audit::moment::Moment;
use crate::audit::query::{By, Filter};

mod order;
mod size;

/// Lines of records, a second apart from `start` seconds after 1970 on.
pub(crate) fn lines(start: i64, records: &[&str]) -> String {
    let mut text = String::new();
    for (second, members) in (start..).zip(records) {
        let time = certs::Timestamp::from_unix(second).to_string().replace('Z', ".000001Z");
        text.push_str(&format!("{{\"v\":1,\"time\":\"{time}\",{members}}}\n"));
    }
    text
}

pub(crate) fn batch(number: i64) -> BatchId<'static> {
    BatchId { gateway: "one", process: "p", number }
}

fn count(database: &mut AuditDatabase) -> usize {
    database.records(&Filter::default(), 1_000_000).unwrap().len()
}

const REFUSED: &str = r#""event":"connection","decision":"deny","reason":"hello_timeout""#;

#[test]
fn a_record_comes_back_byte_for_byte() {
    on_both(|database| {
        let hostile = r#""event":"request","path":"/\u0000\\N\t\n'\";--$1?1\u202eé","decision":"permit","new":{"deep":[1]}"#;
        let text = lines(1_795_400_000, &[hostile, REFUSED]);
        let appended = database.append(batch(1), text.as_bytes()).unwrap();
        assert_eq!(appended, Appended { records: 2, unreadable: 0 });
        let records = database.records(&Filter::default(), 10).unwrap();
        let back: Vec<&str> = records.iter().rev().map(|record| record.line.as_str()).collect();
        assert_eq!(back, text.lines().collect::<Vec<_>>());
        assert_eq!(records[0].gateway, "one");
        assert_eq!(records[1].entry().unwrap().path.unwrap(), "/\0\\N\t\n'\";--$1?1\u{202e}é");
    });
}

#[test]
fn a_line_that_is_no_record_is_counted_and_holds_nothing_up() {
    on_both(|database| {
        let text = format!("{}nonsense\n\u{fffd}{{}}\n", lines(1_795_400_000, &[REFUSED]));
        let appended = database.append(batch(1), text.as_bytes()).unwrap();
        assert_eq!(appended, Appended { records: 1, unreadable: 2 });
    });
}

#[test]
fn a_batch_that_is_tried_again_is_written_once() {
    on_both(|database| {
        let text = lines(1_795_400_000, &[REFUSED; 3]);
        for _ in 0..2 {
            database.append(batch(1), text.as_bytes()).unwrap();
        }
        assert_eq!(count(database), 3);
        database.append(BatchId { gateway: "two", ..batch(1) }, text.as_bytes()).unwrap();
        database.append(BatchId { process: "q", ..batch(1) }, text.as_bytes()).unwrap();
        database.append(batch(2), text.as_bytes()).unwrap();
        assert_eq!(count(database), 12, "another gateway, another start and another batch are others");
        let all = database.summary(By::All, Subject::Connection, None).unwrap();
        assert_eq!((all[0].outcome, all[0].count), (Outcome::Refused, 12));
    });
}

#[test]
fn old_records_go_a_few_at_a_time_and_their_counts_stay() {
    on_both(|database| {
        let now = Moment::from_micros(1_795_400_100_000_000);
        database.append(batch(1), lines(1_795_400_000, &[REFUSED; 100]).as_bytes()).unwrap();
        let retention = Retention { keep: Some(Duration::from_secs(50)), keep_size: None };
        assert_eq!(database.prune(retention, now, 30).unwrap(), 30);
        assert_eq!(database.prune(retention, now, 30).unwrap(), 20);
        assert_eq!(database.prune(retention, now, 30).unwrap(), 0);
        assert_eq!(count(database), 50);
        let all = database.summary(By::Reason, Subject::Connection, None).unwrap();
        assert_eq!((all[0].value.as_str(), all[0].count), ("hello_timeout", 100));
        let years_later = Moment::from_micros(now.micros() + 500 * 86_400 * 1_000_000);
        assert_eq!(database.prune(retention, years_later, 100).unwrap(), 50);
        assert_eq!(database.summary(By::Reason, Subject::Connection, None).unwrap(), []);
        let after = database.append(batch(2), lines(1_895_400_000, &[REFUSED]).as_bytes());
        assert_eq!(after.unwrap().records, 1);
        assert_eq!(database.newest().unwrap().number(), 101, "numbers are not used again");
    });
}

#[test]
fn records_above_the_size_go_oldest_first_and_the_file_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::parse("sqlite:audit.db", folder.path()).unwrap();
    let mut database = AuditDatabase::open(&url).unwrap();
    let long = format!(r#"{REFUSED},"detail":"{}""#, "x".repeat(2000));
    for number in 1..=20 {
        let text = lines(1_795_400_000 + number * 1000, &vec![long.as_str(); 100]);
        database.append(batch(number), text.as_bytes()).unwrap();
    }
    let now = Moment::from_micros(1_795_421_000_000_000);
    let full = database.backend().size().unwrap();
    let retention = Retention { keep: None, keep_size: Some(full / 2) };
    let mut calls = 0;
    while database.prune(retention, now, 100).unwrap() > 0 {
        calls += 1;
    }
    assert!((8..=13).contains(&calls), "{calls} of 20 batches");
    assert!(database.backend().size().unwrap() <= full / 2);
    let records = database.records(&Filter::default(), 10_000).unwrap();
    assert!(records.last().unwrap().id.number() > 800, "the newest are kept");
}

#[test]
fn a_file_of_a_later_gateway_or_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::parse("sqlite:audit.db", folder.path()).unwrap();
    assert!(matches!(AuditDatabase::open_to_read(&url), Err(DatabaseError::File { .. })));
    drop(AuditDatabase::open(&url).unwrap());
    assert!(AuditDatabase::open_to_read(&url).is_ok());
    let connection = rusqlite::Connection::open(folder.path().join("audit.db")).unwrap();
    connection.execute("UPDATE audit_setting SET value = 99 WHERE name = 'schema_version'", []).unwrap();
    let newer = AuditDatabase::open(&url).unwrap_err();
    assert!(matches!(newer, DatabaseError::Newer { found: 99, .. }), "{newer}");
    connection.execute("UPDATE audit_setting SET value = 0 WHERE name = 'schema_version'", []).unwrap();
    assert!(matches!(AuditDatabase::open_to_read(&url), Err(DatabaseError::Older { found: 0 })));
    let other = DatabaseUrl::parse("sqlite:other.db", folder.path()).unwrap();
    rusqlite::Connection::open(folder.path().join("other.db"))
        .unwrap()
        .execute_batch("CREATE TABLE x (y)")
        .unwrap();
    assert!(matches!(AuditDatabase::open_to_read(&other), Err(DatabaseError::NotAnAuditDatabase)));
    let before = std::fs::read(folder.path().join("other.db")).unwrap();
    let refused = AuditDatabase::open(&other).unwrap_err();
    assert!(matches!(&refused, DatabaseError::Foreign { table } if table == "x"), "{refused}");
    assert_eq!(std::fs::read(folder.path().join("other.db")).unwrap(), before, "nothing of it is changed");
    let text = DatabaseUrl::parse("sqlite:notes.txt", folder.path()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    std::fs::write(
        folder.path().join("notes.txt"),
        "no database, but longer than its header, which has 100 octets".repeat(9),
    )
    .unwrap();
    assert!(matches!(AuditDatabase::open(&text), Err(DatabaseError::NotAnAuditDatabase)));
    let there = DatabaseUrl::Sqlite(folder.path().to_owned());
    assert!(matches!(AuditDatabase::open_to_read(&there), Err(DatabaseError::File { .. })));
}

#[test]
fn who_only_asks_makes_no_tables_on_a_server() {
    let Some(server) = Server::shared() else { return };
    let url = server.fresh_url();
    for _ in 0..2 {
        assert!(matches!(AuditDatabase::open_to_read(&url), Err(DatabaseError::NotAnAuditDatabase)));
    }
    AuditDatabase::open(&url).unwrap();
    let mut reader = AuditDatabase::open_to_read(&url).unwrap();
    let text = lines(1_795_400_000, &[REFUSED]);
    assert!(reader.append(batch(1), text.as_bytes()).is_err(), "and may write nothing");
}

#[test]
fn the_file_is_not_for_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::parse("sqlite:audit.db", folder.path()).unwrap();
    let mut database = AuditDatabase::open(&url).unwrap();
    database.append(batch(1), lines(0, &[REFUSED]).as_bytes()).unwrap();
    for entry in folder.path().read_dir().unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{}", entry.path().display());
    }
}

#[test]
fn a_reader_sees_what_was_written_and_does_not_hold_the_writer_up() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::parse("sqlite:audit.db", folder.path()).unwrap();
    let mut writer = AuditDatabase::open(&url).unwrap();
    let mut reader = AuditDatabase::open_to_read(&url).unwrap();
    reader.backend().begin().unwrap();
    assert_eq!(count(&mut reader), 0);
    writer.append(batch(1), lines(1_795_400_000, &[REFUSED]).as_bytes()).unwrap();
    assert_eq!(count(&mut reader), 0, "its transaction sees the past");
    reader.backend().commit().unwrap();
    assert_eq!(count(&mut reader), 1);
    assert!(reader.append(batch(9), b"").is_err(), "it may only read");
}

#[test]
fn after_the_server_was_away_a_writer_connects_again() {
    let Some(server) = Server::start() else { return };
    let mut database = AuditDatabase::open(&server.url()).unwrap();
    let text = lines(1_795_400_000, &[REFUSED]);
    database.append(batch(1), text.as_bytes()).unwrap();
    server.stop();
    assert!(database.append(batch(2), text.as_bytes()).is_err());
    assert!(database.reconnect().is_err());
    server.again();
    database.reconnect().unwrap();
    database.append(batch(2), text.as_bytes()).unwrap();
    assert_eq!(count(&mut database), 2);
}

#[test]
fn several_gateways_write_into_one_server_and_numbers_follow_visibility() {
    let Some(server) = Server::shared() else { return };
    let url = server.fresh_url();
    drop(AuditDatabase::open(&url).unwrap());
    std::thread::scope(|scope| {
        for gateway in ["a", "b", "c"] {
            let url = url.clone();
            scope.spawn(move || {
                let mut database = AuditDatabase::open(&url).unwrap();
                for number in 1..=20 {
                    let id = BatchId { gateway, process: "p", number };
                    database.append(id, lines(1_795_400_000 + number, &[REFUSED; 10]).as_bytes()).unwrap();
                }
            });
        }
        let mut reader = AuditDatabase::open_to_read(&url).unwrap();
        let mut last = crate::audit::query::RecordId::default();
        let mut seen = 0;
        let end = Instant::now() + Duration::from_secs(30);
        while seen < 600 && Instant::now() < end {
            for record in reader.after(last, &Filter::default(), 100).unwrap() {
                assert_eq!(record.id.number(), last.number() + 1, "none was passed over");
                last = record.id;
                seen += 1;
            }
        }
        assert_eq!(seen, 600);
    });
}

#[test]
fn strangers_cannot_fill_the_counts_or_the_devices() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::parse("sqlite:audit.db", folder.path()).unwrap();
    let mut database = AuditDatabase::open(&url).unwrap();
    for number in 1..=3_i64 {
        let forged: Vec<String> = (0..7000)
            .map(|at| {
                format!(
                    r#""event":"connection","decision":"deny","reason":"unknown_issuer","certificate":{{"subject":"CN={:012x}","issuer":"CN=x{number}-{at}","serial":"1","sha256":"{at}","not_after":"2030-01-01T00:00:00Z"}}"#,
                    0x000e_0800_0000_u64 + number.unsigned_abs() * 10_000 + at
                )
            })
            .collect();
        let forged: Vec<&str> = forged.iter().map(String::as_str).collect();
        // All within one hour.
        let text: String = forged.iter().map(|members| lines(1_795_400_000, &[members])).collect();
        database.append(batch(number), text.as_bytes()).unwrap();
    }
    let issuers = database.summary(By::Issuer, Subject::Connection, None).unwrap();
    assert_eq!(issuers.len(), 251);
    assert_eq!(issuers[0].value, "(other)");
    assert_eq!(issuers.iter().map(|tally| tally.count).sum::<u64>(), 21_000, "every one is counted");
    let devices = database.backend().value("SELECT count(*) FROM audit_device", &[]).unwrap();
    assert_eq!(devices, Some(Value::Integer(20_000)));
    assert_eq!(database.count_of_records(), 21_000, "and recorded");
}

impl AuditDatabase {
    fn count_of_records(&mut self) -> i64 {
        self.backend().value("SELECT count(*) FROM audit_record", &[]).unwrap().unwrap().integer().unwrap()
    }
}

#[test]
fn a_phone_that_calls_itself_otherwise_each_time_keeps_no_more_than_a_few_names() {
    on_both(|database| {
        for number in 1..=100_u32 {
            let served = format!(
                r#""event":"request","peer":"192.0.2.7:4000","user_agent":"firmware {number}","device":{{"kind":"device","mac":"000e08abcdef"}},"decision":"permit","status":200"#
            );
            let text = lines(1_795_400_000 + i64::from(number), &[&served]);
            database.append(batch(number.into()), text.as_bytes()).unwrap();
        }
        let kept = database.sightings(policies::MacAddress::parse("000e08abcdef").unwrap()).unwrap();
        assert!((33..50).contains(&kept.len()), "{}", kept.len());
        assert!(kept.iter().any(|one| one.value == "firmware 100"));
    });
}

#[test]
fn a_relative_address_needs_no_folder_of_its_own() {
    assert_eq!(DatabaseUrl::parse("sqlite:a.db", Path::new("")).unwrap(), DatabaseUrl::Sqlite("a.db".into()));
}
