use std::fmt::Write as _;
use std::time::{Duration, Instant};

use certs::Timestamp;
use policies::{MacAddress, Reason};

use super::*;
use crate::audit::database::testing::on_both;
use crate::audit::database::tests::{batch, lines};
use crate::audit::database::{AuditDatabase, DatabaseUrl};
use crate::audit::entry::{EntryEvent, MacSource, Outcome, Subject};
use crate::audit::moment::Moment;

mod said;

/// Two minutes before the hour.
const START: i64 = 1_795_399_080 + 3600 - 1_795_399_080 % 3600;

fn mac() -> MacAddress {
    MacAddress::parse("000e08abcdef").unwrap()
}

fn at(second: i64) -> Moment {
    Moment::from_micros((START + second) * 1_000_000 + 1)
}

fn certificate(subject: &str, issuer: &str, sha256: &str, key: &str, not_after: &str) -> String {
    format!(
        r#""certificate":{{"subject":"{subject}","issuer":"{issuer}","serial":"0A","sha256":"{sha256}","key_sha256":"{key}","not_after":"{not_after}T00:00:00Z","depth":1}}"#
    )
}

fn phone(certificate: &str, rest: &str) -> String {
    format!(
        r#""peer":"192.0.2.7:4000","host":"prov","engine":"modern","tls":{{"version":"TLSv1.3","suite":"TLS_AES_128_GCM_SHA256","resumed":false}},"hello":{{"sni":"prov","ja4":"t13d_x"}},{certificate},"device":{{"kind":"device","product":"CP-8841","serial":"FCH1","mac":"000e08abcdef","profile":"p"}},{rest}"#
    )
}

/// A phone's life: served, refused a path, its certificate renewed, moved, expired; and some strangers.
fn story() -> String {
    let old = certificate("SN=000e08abcdef", "CN=Old CA", "aa", "k1", "2027-01-01");
    let new = certificate("SN=000e08abcdef", "CN=New CA", "bb", "k2", "2030-01-01");
    let served = r#""event":"request","connection":"c1","request":"c1-1","method":"GET","path":"/000e08abcdef.cfg","user_agent":"Cisco/CP-8841-11.3","status":200,"bytes":100,"rule":"own profile","decision":"permit","duration_us":900"#;
    let records = [
        phone(&old, served),
        phone(&old, r#""event":"request","connection":"c1","request":"c1-2","path":"/x.cfg","decision":"deny","reason":"no_rule_matched","status":403,"duration_us":10"#),
        phone(&old, r#""event":"closed","connection":"c1","requests":2,"bytes":100,"duration_us":5000"#),
        phone(&new, &served.replace("c1", "c2").replace("11.3", "12.0")).replace("192.0.2.7", "198.51.100.9"),
        phone(&new, r#""event":"closed","connection":"c2","requests":1,"exceptions":["sha1","expired"]"#)
            .replace("192.0.2.7", "198.51.100.9"),
        format!(r#""event":"connection","connection":"c3","peer":"192.0.2.8:1","hello":{{"ja4":"t12d_y"}},{old},"decision":"deny","reason":"expired","detail":"certificate 0 expired""#),
        r#""event":"connection","connection":"c4","peer":"[2001:db8::1]:9","decision":"deny","reason":"hello_timeout""#.to_owned(),
        r#""event":"repeated","peer":"[2001:db8::1]:0","reason":"hello_timeout","count":41,"first":"2026-11-23T02:00:00Z","last":"2026-11-23T02:00:09Z""#.to_owned(),
        r#""event":"gap","reason":"queue_full","count":7,"since":"2026-11-23T02:00:00Z""#.to_owned(),
    ];
    lines(START, &records.iter().map(String::as_str).collect::<Vec<_>>())
}

fn told(database: &mut AuditDatabase) {
    let appended = database.append(batch(100), story().as_bytes()).unwrap();
    assert_eq!((appended.records, appended.unreadable), (9, 0));
}

fn connections(database: &mut AuditDatabase, filter: &Filter) -> Vec<String> {
    let records = database.records(filter, 100).unwrap();
    records.iter().map(|record| record.entry().unwrap().connection.unwrap_or_default()).collect()
}

#[test]
fn records_are_found_by_what_they_are_about() {
    on_both(|database| {
        told(database);
        let mut found = |filter: Filter| connections(database, &filter);
        let all = Filter::default;
        assert_eq!(found(all()), ["", "", "c4", "c3", "c2", "c2", "c1", "c1", "c1"], "newest first");
        assert_eq!(found(Filter { mac: Some(mac()), ..all() }), ["c3", "c2", "c2", "c1", "c1", "c1"]);
        assert_eq!(found(Filter { reason: Some(Reason::Expired), ..all() }), ["c3"]);
        assert_eq!(found(Filter { since: Some(at(6)), until: Some(at(7)), ..all() }), ["c4"]);
        assert_eq!(
            found(Filter { host: Some("prov".to_owned()), since: Some(at(3)), ..all() }),
            ["c2", "c2"]
        );
        assert_eq!(found(Filter { ja4: Some("t12d_y".to_owned()), ..all() }), ["c3"]);
        assert_eq!(found(Filter { peer: "192.0.2.0/24".parse().ok(), ..all() }), ["c3", "c1", "c1", "c1"]);
        assert_eq!(found(Filter { peer: "2001:db8::/32".parse().ok(), ..all() }), ["", "c4"]);
        assert_eq!(found(Filter { request: Some("c1-2".to_owned()), ..all() }), ["c1"]);
        assert_eq!(found(Filter { connection: Some("c2".to_owned()), ..all() }), ["c2", "c2"]);
        assert_eq!(found(Filter { outcome: Some(Outcome::Lost), ..all() }), [""]);
        let closed = Filter { event: Some(EntryEvent::Closed), mac: Some(mac()), ..all() };
        assert_eq!(found(closed), ["c2", "c1"]);
    });
}

#[test]
fn records_come_in_pages_and_can_be_followed() {
    on_both(|database| {
        told(database);
        let first = database.records(&Filter::default(), 4).unwrap();
        let before = first.last().map(|record| record.id);
        let second = database.records(&Filter { before, ..Filter::default() }, 100).unwrap();
        assert_eq!((first.len(), second.len()), (4, 5));
        let newest = database.newest().unwrap();
        assert_eq!(first[0].id, newest);
        assert!(database.after(newest, &Filter::default(), 10).unwrap().is_empty());
        database.append(batch(2), lines(START + 60, &[r#""event":"gap","count":1"#]).as_bytes()).unwrap();
        let fresh = database.after(newest, &Filter::default(), 10).unwrap();
        assert_eq!(fresh.len(), 1);
        assert_eq!(RecordId::from_number(fresh[0].id.number()), fresh[0].id);
    });
}

#[test]
fn counts_are_by_value_and_outcome_and_know_the_first_and_the_last() {
    on_both(|database| {
        told(database);
        let mut summary = |by, subject| -> Vec<(String, &str, u64)> {
            let tallies = database.summary(by, subject, None).unwrap();
            tallies.into_iter().map(|tally| (tally.value, tally.outcome.as_str(), tally.count)).collect()
        };
        let line = |value: &str, outcome, count| (value.to_owned(), outcome, count);
        assert_eq!(
            summary(By::Reason, Subject::Connection),
            [line("hello_timeout", "refused", 42), line("expired", "refused", 1)]
        );
        assert_eq!(summary(By::All, Subject::Request), [line("", "served", 2), line("", "refused", 1)]);
        assert_eq!(summary(By::All, Subject::Gap), [line("", "lost", 7)]);
        assert_eq!(summary(By::Product, Subject::Connection), [line("CP-8841", "served", 2)]);
        assert_eq!(summary(By::Version, Subject::Connection), [line("TLSv1.3", "served", 2)]);
        assert_eq!(
            summary(By::Exception, Subject::Connection),
            [line("expired", "served", 1), line("sha1", "served", 1)]
        );
        assert_eq!(
            summary(By::Issuer, Subject::Connection),
            [line("CN=New CA", "served", 1), line("CN=Old CA", "served", 1), line("CN=Old CA", "refused", 1)]
        );
        let served = &database.summary(By::All, Subject::Request, None).unwrap()[0];
        assert_eq!((served.first_seen, served.last_seen), (at(0), at(3)));
    });
}

#[test]
fn a_period_that_begins_within_an_hour_is_counted_exactly() {
    on_both(|database| {
        told(database);
        // The same again, hours later.
        let later = story().replace(
            &Timestamp::from_unix(START).to_string()[..13],
            &Timestamp::from_unix(START + 7200).to_string()[..13],
        );
        database.append(batch(2), later.as_bytes()).unwrap();
        let mut count = |by, since| -> u64 {
            let tallies = database.summary(by, Subject::Connection, Some(since)).unwrap();
            tallies.iter().map(|tally| tally.count).sum()
        };
        assert_eq!(count(By::All, at(-1)), 90);
        assert_eq!(count(By::All, Moment::from(Timestamp::from_unix(START))), 90, "a whole hour");
        assert_eq!(count(By::All, at(3)), 89, "c1 was closed before");
        assert_eq!(count(By::Exception, at(3)), 4);
        assert_eq!(count(By::Exception, at(5)), 2);
        assert_eq!(count(By::All, at(3600)), 45);
        assert_eq!(count(By::All, at(7300)), 0);
    });
}

#[test]
fn a_period_that_ends_within_an_hour_is_counted_exactly() {
    on_both(|database| {
        told(database);
        let hour = |second: i64| Timestamp::from_unix(START + second).to_string()[..13].to_owned();
        database.append(batch(2), story().replace(&hour(0), &hour(7200)).as_bytes()).unwrap();
        let mut count = |since: Option<i64>, until: Option<i64>| -> u64 {
            let (since, until) = (since.map(at), until.map(at));
            let tallies = database.summary_until(By::All, Subject::Connection, since, until).unwrap();
            tallies.iter().map(|tally| tally.count).sum()
        };
        assert_eq!(count(None, None), 90);
        assert_eq!(count(None, Some(3600)), 45);
        assert_eq!(count(None, Some(5)), 2, "c1 and c2 were closed before, c3 refused then");
        assert_eq!(count(Some(3), Some(6)), 2, "within one hour");
        assert_eq!(count(Some(3), Some(7206)), 44 + 3, "over whole hours and pieces at both ends");
        assert_eq!(count(Some(3590), Some(3610)), 0, "over a full hour's end");
        assert_eq!(count(Some(5), Some(5)) + count(Some(9), Some(3)) + count(Some(7300), Some(3)), 0, "none");
    });
}

#[test]
fn a_chart_has_the_same_counts_in_hours_and_in_seconds() {
    on_both(|database| {
        told(database);
        let (since, until) = (at(-5000), at(5000));
        let hours = database.series(By::Reason, Subject::Connection, since, until, 3600).unwrap();
        assert_eq!(hours.len(), 2);
        assert!(hours.iter().all(|point| point.start == Moment::from(Timestamp::from_unix(START))));
        assert_eq!(
            hours.iter().map(|point| (point.value.as_str(), point.count)).collect::<Vec<_>>(),
            [("expired", 1), ("hello_timeout", 42)]
        );
        let seconds = database.series(By::Reason, Subject::Connection, since, until, 1).unwrap();
        assert_eq!(seconds.iter().map(|point| point.count).collect::<Vec<_>>(), [1, 1, 41]);
        assert_eq!(seconds[0].start, Moment::from(Timestamp::from_unix(START + 5)));
    });
}

#[test]
fn a_device_is_what_it_proved_and_a_stranger_with_its_name_changes_only_the_refusal() {
    on_both(|database| {
        assert_eq!(database.device(mac()).unwrap(), None);
        told(database);
        let device = database.device(mac()).unwrap().unwrap();
        assert!(device.proven);
        assert_eq!((device.product.as_deref(), device.serial.as_deref()), (Some("CP-8841"), Some("FCH1")));
        assert_eq!((device.first_seen, device.last_seen, device.records), (at(0), at(5), 6));
        assert_eq!(device.last_success, Some(at(3)));
        let refusal =
            Refusal { time: at(5), reason: Some("expired".to_owned()), source: MacSource::Certificate };
        assert_eq!(device.last_refusal, Some(refusal));
        assert_eq!(device.user_agent.as_deref(), Some("Cisco/CP-8841-12.0"));
        let current = device.certificate.unwrap();
        assert_eq!((current.sha256.as_str(), current.issuer.as_str()), ("bb", "CN=New CA"));
        assert_eq!(
            (current.first_seen, current.last_seen, current.count, current.proven),
            (at(3), at(4), 1, true)
        );
        let forged = certificate("CN=000e08abcdef", "CN=Forger", "ff", "k9", "2040-01-01");
        let forged = format!(
            r#""event":"connection","peer":"203.0.113.1:1",{forged},"decision":"deny","reason":"unknown_issuer""#
        );
        database.append(batch(2), lines(START + 90, &[&forged]).as_bytes()).unwrap();
        let device = database.device(mac()).unwrap().unwrap();
        assert_eq!(device.certificate.unwrap().sha256, "bb");
        assert_ne!(device.peer.as_deref(), Some("203.0.113.1"));
        assert_eq!(device.last_refusal.unwrap().source, MacSource::Certificate);
        let presented = database.certificates(mac()).unwrap();
        let presented: Vec<_> = presented.iter().map(|one| (one.sha256.as_str(), one.proven)).collect();
        assert_eq!(presented, [("ff", false), ("aa", true), ("bb", true)]);
    });
}

#[test]
fn a_device_that_was_only_ever_refused_is_known_by_what_its_certificate_claims() {
    on_both(|database| {
        let expired = certificate("SN=000e08abcdef", "CN=Old CA", "aa", "k1", "2020-01-01");
        let refused = format!(r#""event":"connection",{expired},"decision":"deny","reason":"expired""#);
        database.append(batch(1), lines(START, &[&refused]).as_bytes()).unwrap();
        let device = database.device(mac()).unwrap().unwrap();
        assert!(!device.proven && device.last_success.is_none());
        assert_eq!(device.certificate.unwrap().not_after, Timestamp::parse_rfc3339("2020-01-01T00:00:00Z"));
        assert_eq!(database.expiring(Timestamp::from_unix(START), 10).unwrap().len(), 1);
        assert!(database.expiry_by_month().unwrap().is_empty(), "which counts what is proven");
        told(database);
        assert!(database.device(mac()).unwrap().unwrap().proven);
    });
}

#[test]
fn devices_are_listed_searched_and_sorted_by_the_end_of_their_certificate() {
    on_both(|database| {
        let mut text = String::new();
        for number in 0..20 {
            let not_after = format!("2027-{:02}-15", number % 12 + 1);
            let certificate = certificate("x", "CN=CA", &format!("s{number}"), "k", &not_after);
            let served = phone(&certificate, r#""event":"request","decision":"permit""#);
            let served = served.replace("000e08abcdef", &format!("000e08abcd{number:02}"));
            text.push_str(&lines(START + number, &[&served]));
        }
        database.append(batch(1), text.as_bytes()).unwrap();
        let march = Timestamp::parse_rfc3339("2027-03-01T00:00:00Z").unwrap();
        let ends: Vec<String> =
            database.expiring(march, 100).unwrap().iter().map(|device| device.mac.to_string()).collect();
        assert_eq!(ends, ["000e08abcd00", "000e08abcd12", "000e08abcd01", "000e08abcd13"]);
        assert_eq!(database.expiring(march, 1).unwrap().len(), 1);
        let months = database.expiry_by_month().unwrap();
        assert_eq!(months.len(), 12);
        let january = ExpiryCount { month: (2027, 1), issuer: "CN=CA".to_owned(), devices: 2 };
        assert_eq!(months[0], january);
        let mut found = |search: &str| database.devices(Some(search), DevicesBy::LastSeen, 50).unwrap().len();
        assert_eq!(
            (found("00:0E:08:AB:CD:07"), found("CD1"), found("fch1"), found("cp-88")),
            (1, 10, 20, 20)
        );
        assert_eq!((found("%"), found("_"), found("nothing")), (0, 0, 0));
        let last = &database.devices(None, DevicesBy::LastSeen, 1).unwrap()[0];
        assert_eq!(last.mac.to_string(), "000e08abcd19");
        assert!(database.devices(None, DevicesBy::LastRefusal, 1).unwrap().is_empty());
    });
}

#[test]
fn another_key_and_issuer_and_another_network_are_changes() {
    on_both(|database| {
        told(database);
        let changes = database.changes(at(-10), 2, 10).unwrap();
        assert_eq!(changes.len(), 3, "{changes:#?}");
        assert_eq!(changes[0], Change::FirstSeen { mac: mac(), at: at(0) });
        assert!(
            matches!(&changes[1], Change::Certificate { from, to, .. } if from.sha256 == "aa" && to.sha256 == "bb")
        );
        assert_eq!(changes[1].is_another_key(), Some(true));
        assert!(changes[1].is_another_issuer());
        assert!(changes[1].is_either_in_use(), "the old one was presented again");
        let Change::Networks { networks, .. } = &changes[2] else { panic!("{changes:#?}") };
        let networks: Vec<_> = networks.iter().map(|one| one.value.as_str()).collect();
        assert_eq!(networks, ["198.51.100.0/24", "192.0.2.0/24"]);
        assert!(database.changes(at(3600), 2, 10).unwrap().is_empty());
        let agents = database.sightings(mac()).unwrap();
        let agents: Vec<_> = agents
            .iter()
            .filter(|one| one.kind == SightingKind::UserAgent)
            .map(|one| one.value.as_str())
            .collect();
        assert_eq!(agents, ["Cisco/CP-8841-12.0", "Cisco/CP-8841-11.3"]);
    });
}

#[test]
fn a_renewed_certificate_with_the_same_key_is_told_apart_from_another_key() {
    on_both(|database| {
        let one = phone(
            &certificate("x", "CN=CA", "aa", "k1", "2027-01-01"),
            r#""event":"request","decision":"permit""#,
        );
        let two = phone(
            &certificate("x", "CN=CA", "bb", "k1", "2029-01-01"),
            r#""event":"request","decision":"permit""#,
        );
        database.append(batch(1), lines(START, &[&one, &two]).as_bytes()).unwrap();
        let changes = database.changes(at(1), 9, 10).unwrap();
        assert_eq!(changes.len(), 1, "{changes:#?}");
        assert_eq!(changes[0].is_another_key(), Some(false));
        assert!(!changes[0].is_another_issuer() && !changes[0].is_either_in_use());
    });
}

#[test]
fn a_user_agent_that_names_another_device_than_the_certificate_is_a_change() {
    on_both(|database| {
        let certificate = certificate("x", "CN=CA", "aa", "k1", "2027-01-01");
        let says = |agent: &str| {
            phone(&certificate, &format!(r#""event":"request","decision":"permit","user_agent":"{agent}""#))
        };
        let records = [says("Cisco/CP-8841-11.3 (FCH1)"), says("curl/8"), says("Cisco/CP-7841-11.3 (FCH1)")];
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        database.append(batch(1), lines(START, &records).as_bytes()).unwrap();
        let changes = database.changes(at(1), 9, 10).unwrap();
        let [Change::UserAgent { agreement, user_agent, .. }] = changes.as_slice() else {
            panic!("{changes:#?}")
        };
        assert_eq!(user_agent.value, "Cisco/CP-7841-11.3 (FCH1)");
        assert!(agreement.contradiction().unwrap().contains("another product"));
        assert!(changes[0].deserves_a_look());
        let device = database.device(mac()).unwrap().unwrap();
        let sightings = database.sightings(mac()).unwrap();
        assert_eq!(Change::of_device(&device, &[], &sightings, at(0), 2), changes);
    });
}

/// The figures of a million records: run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "takes a minute: a measurement"]
fn a_million_records_answer_within_200_ms() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::parse("sqlite:audit.db", folder.path()).unwrap();
    let mut database = AuditDatabase::open(&url).unwrap();
    let began = Instant::now();
    for number in 0..500 {
        let mut text = String::new();
        for at in 0..2000_i64 {
            let device = (number * 2000 + at * 7919) % 50_000;
            let certificate = certificate("x", "CN=CA", &format!("{device:064x}"), "k", "2030-01-01");
            let rest = match at % 10 {
                0 => r#""event":"closed","connection":"0123456789abcdef","requests":9"#.to_owned(),
                1 => r#""event":"request","connection":"0123456789abcdef","decision":"deny","reason":"no_rule_matched""#.to_owned(),
                _ => format!(r#""event":"request","connection":"{:016x}","request":"x","method":"GET","path":"/000e08abcdef.cfg","user_agent":"Cisco/CP-8841-11.3","decision":"permit","padding":"{}""#, number * 2000 + at, "x".repeat(900)),
            };
            let record = phone(&certificate, &rest).replace("000e08abcdef", &format!("000e08{device:06x}"));
            text.push_str(&lines(START + number * 200 + at / 10, &[&record]));
        }
        database.append(batch(number + 1), text.as_bytes()).unwrap();
    }
    let mut report = String::new();
    writeln!(report, "a million records written in {:?}", began.elapsed()).unwrap();
    drop(database);
    let size = folder.path().join("audit.db").metadata().unwrap().len();
    writeln!(report, "{} MiB", size >> 20).unwrap();
    let mut database = AuditDatabase::open_to_read(&url).unwrap();
    let mac = MacAddress::parse("000e080004d2").unwrap();
    let mut timed = |what: &str, limit: u64, ask: &mut dyn FnMut(&mut AuditDatabase) -> usize| {
        let began = Instant::now();
        let found = ask(&mut database);
        let took = began.elapsed();
        writeln!(report, "{what}: {found} in {took:?}").unwrap();
        assert!(took < Duration::from_millis(limit), "{what}: {took:?}");
    };
    timed("device", 200, &mut |database| {
        database.device(mac).unwrap().unwrap();
        database.certificates(mac).unwrap();
        database.sightings(mac).unwrap();
        database.records(&Filter { mac: Some(mac), ..Filter::default() }, 100).unwrap().len()
    });
    timed("summary", 200, &mut |database| {
        database.summary(By::Reason, Subject::Request, Some(at(1234))).unwrap().len()
    });
    timed("series", 200, &mut |database| {
        database.series(By::Version, Subject::Connection, at(0), at(86_400 * 9), 3600).unwrap().len()
    });
    timed("expiring", 200, &mut |database| {
        database.expiring(Timestamp::from_unix(START + 86_400 * 9000), 100).unwrap().len()
    });
    timed("months", 500, &mut |database| database.expiry_by_month().unwrap().len());
    timed("reason", 200, &mut |database| {
        database
            .records(&Filter { reason: Some(Reason::NoRuleMatched), ..Filter::default() }, 100)
            .unwrap()
            .len()
    });
    timed("peer", 500, &mut |database| {
        database
            .records(&Filter { peer: "192.0.2.0/24".parse().ok(), ..Filter::default() }, 100)
            .unwrap()
            .len()
    });
    timed("search", 500, &mut |database| {
        database.devices(Some("4d2"), DevicesBy::LastSeen, 50).unwrap().len()
    });
    timed("changes", 1000, &mut |database| database.changes(at(0), 3, 50).unwrap().len());
    println!("{report}");
}
