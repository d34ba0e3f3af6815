use std::fmt::Write as _;

use certs::Timestamp;
use maud::Markup;

use super::fleet::Fleet;
use super::*;
use crate::admin::archive::PATIENCE;
use crate::audit::database::testing::on_both;
use crate::audit::database::tests::{batch, lines};
use crate::audit::entry::Subject;
use crate::audit::query::{By, ExpiryCount, StoredRecord};

const START: i64 = 1_795_400_000;

fn now() -> Moment {
    Timestamp::from_unix(START + 60).into()
}

/// What a person reads: the markup without its tags.
fn words(markup: &Markup) -> String {
    let mut text = String::new();
    for part in markup.clone().into_string().split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn stored(members: &str) -> StoredRecord {
    let line = lines(START, &[members]).trim_end().to_owned();
    StoredRecord { id: RecordId::from_number(7), gateway: "one".to_owned(), line }
}

fn told(members: &str) -> String {
    words(&entry::item(&stored(members), entry::Naming::Linked, now()))
}

#[test]
fn a_record_is_told_in_a_sentence() {
    let phone =
        r#""peer":"192.0.2.7:4000","device":{"kind":"device","product":"CP-8841","mac":"000e08abcdef"}"#;
    for (members, sentence) in [
        (
            format!(r#""event":"request","method":"GET","path":"/x.cfg","status":200,"bytes":1234,"rule":"own profile","decision":"permit",{phone}"#),
            "served 2026-11-23 02:13:20 (60 s ago) 00:0e:08:ab:cd:ef CP-8841 from 192.0.2.7:4000GET /x.cfg was answered with 200, 1\u{202f}234 bytes, by the rule “own profile”.",
        ),
        (
            format!(r#""event":"request","method":"GET","path":"/x.cfg","status":403,"decision":"deny","reason":"no_rule_matched","detail":"why",{phone}"#),
            "GET /x.cfg was refused with 403: no_rule_matched. No request rule covers this device, method and path; without a rule nothing is allowed. (why)",
        ),
        (
            format!(r#""event":"request","method":"GET","path":"/x.cfg","status":200,"decision":"waived","reason":"no_rule_matched",{phone}"#),
            "was answered with 200. The rules would have refused it, and only observe: no_rule_matched.",
        ),
        (
            format!(r#""event":"request","method":"GET","path":"/x.cfg","status":504,"decision":"permit","reason":"backend_timeout",{phone}"#),
            "failed with 504: backend_timeout. The backend did not answer in time.",
        ),
        (
            r#""event":"connection","peer":"192.0.2.7:4","decision":"deny","reason":"hello_timeout","alert":"sent x""#.to_owned(),
            "refused 2026-11-23 02:13:20 (60 s ago) from 192.0.2.7:4The connection was refused: hello_timeout.",
        ),
        (r#""event":"connection","decision":"deny","reason":"hello_timeout","alert":"sent x""#.to_owned(), " TLS alert: sent x."),
        (
            format!(r#""event":"closed","requests":3,"bytes":5000,"exceptions":["sha1"],{phone}"#),
            "The connection ended after 3 requests and 5\u{202f}000 bytes. Exceptions that were needed: sha1.",
        ),
        (
            r#""event":"repeated","peer":"192.0.2.7:4","reason":"hello_timeout","count":41"#.to_owned(),
            "41 more like it were refused from this address and counted: hello_timeout.",
        ),
        (r#""event":"gap","reason":"queue_full","count":7"#.to_owned(), "7 records were lost here (queue_full)."),
        (r#""event":"connection","decision":"deny","reason":"of_tomorrow""#.to_owned(), "refused: of_tomorrow."),
    ] {
        let found = told(&members);
        assert!(found.contains(sentence), "{found}\n{sentence}");
    }
}

#[test]
fn what_is_only_claimed_is_said_to_be_so() {
    let certificate = r#""certificate":{"subject":"CN=000e08abcdef","issuer":"CN=x","serial":"1","sha256":"a","not_after":"2030-01-01T00:00:00Z"}"#;
    let refused =
        told(&format!(r#""event":"connection","decision":"deny","reason":"expired",{certificate}"#));
    assert!(refused.contains("00:0e:08:ab:cd:ef (claimed)") && refused.contains("Not proven"), "{refused}");
    let asked = told(
        r#""event":"request","path":"/000e08abcdef.cfg","device":{"kind":"anonymous"},"decision":"deny","reason":"no_rule_matched""#,
    );
    assert!(asked.contains("(claimed)") && asked.contains("anybody can ask"), "{asked}");
    let proven = told(&format!(
        r#""event":"request","decision":"permit",{certificate},"device":{{"kind":"device","mac":"000e08abcdef"}}"#
    ));
    assert!(!proven.contains("claimed") && !proven.contains("Not proven"), "{proven}");
}

#[test]
fn a_record_that_no_gateway_wrote_is_shown_as_it_is() {
    let record =
        StoredRecord { id: RecordId::from_number(1), gateway: String::new(), line: "<b>\u{0}".repeat(5000) };
    let shown = entry::item(&record, entry::Naming::Own, now()).into_string();
    assert!(shown.contains("cannot read") && shown.contains("&lt;b&gt;\\u{0}") && !shown.contains("<b>"));
    assert!(shown.len() < 40_000, "{}", shown.len());
}

#[test]
fn a_choice_of_records_survives_the_way_to_the_next_page() {
    let query = "reason=expired&outcome=refused&since=7d&host=prov%26x&peer=192.0.2.0%2F24&before=17";
    let asked = Asked::new("/records", Some(query), now());
    let choice = records::Choice::read(&asked).unwrap();
    let filter = choice.filter(now());
    assert_eq!((filter.reason, filter.outcome), (Some(Reason::Expired), Some(Outcome::Refused)));
    assert_eq!((filter.host.as_deref(), filter.before), (Some("prov&x"), Some(RecordId::from_number(17))));
    assert_eq!(filter.peer, "192.0.2.0/24".parse().ok());
    let record = stored(r#""event":"gap","count":1"#);
    let many = vec![record; usize::try_from(records::PAGE).unwrap() + 1];
    let shown = choice.show(&many, now()).into_string();
    let next = "/records?reason=expired&amp;outcome=refused&amp;since=7d&amp;host=prov%26x&amp;peer=192.0.2.0%2F24&amp;before=7";
    assert!(shown.contains(&format!("<a rel=\"next\" href=\"{next}\">")), "{shown}");
    assert_eq!(shown.matches("<li class=\"record").count(), 50);
    let last = choice.show(&many[..50], now()).into_string();
    assert!(!last.contains("rel=\"next\""), "the twin: nothing older");
    for wrong in ["reason=x", "outcome=x", "since=x", "peer=x", "before=x"] {
        let asked = Asked::new("/records", Some(wrong), now());
        assert!(matches!(records::Choice::read(&asked), Err(Refused::Value(_))), "{wrong}");
    }
}

#[test]
fn certificates_stand_in_the_month_they_end_in_and_beyond_at_the_edges() {
    let count = |year, month, issuer: &str, devices| ExpiryCount {
        month: (year, month),
        issuer: issuer.to_owned(),
        devices,
    };
    let mut counts = vec![
        count(1999, 1, "A", 1),
        count(2026, 11, "A", 20),
        count(2027, 1, "B", 300),
        count(9999, 12, "A", 4000),
    ];
    let drawn = expiry::chart(&counts, now()).into_string();
    for (label, value) in [("ended", 1), ("11/26", 20), ("01/27", 300), ("later", 4000)] {
        let row =
            drawn.split("<tr>").find(|row| row.contains(&format!("<th scope=\"row\">{label}</th>"))).unwrap();
        assert!(row.contains(&format!("<data value=\"{value}\">")), "{row}");
    }
    counts.extend((0..9).map(|issuer| count(2027, 2, &format!("Other {issuer}"), 1)));
    let drawn = expiry::chart(&counts, now());
    assert!(
        words(&drawn).contains("other issuers") && words(&drawn).contains("4\u{202f}330 phones"),
        "{}",
        words(&drawn)
    );
}

#[test]
fn whoever_follows_the_tail_misses_nothing_and_gets_nothing_twice() {
    on_both(|database| {
        let gap = r#""event":"gap","count":1"#;
        let refused = r#""event":"connection","decision":"deny","reason":"expired""#;
        database.append(batch(1), lines(START, &[gap; 40]).as_bytes()).unwrap();
        let ids = |markup: Markup| -> Vec<i64> {
            let text = markup.into_string();
            text.split("data-id=\"").skip(1).filter_map(|part| part.split('"').next()?.parse().ok()).collect()
        };
        let last = |markup: &Markup| -> RecordId {
            let text = markup.clone().into_string();
            let number = text.split("data-last=\"").nth(1).and_then(|part| part.split('"').next()).unwrap();
            RecordId::from_number(number.parse().unwrap())
        };
        let first = live::Tail::ask(database, None, None).unwrap().show(None, now());
        assert_eq!(ids(first.clone()), (11..=40).rev().collect::<Vec<_>>());
        let none = live::Tail::ask(database, None, Some(last(&first))).unwrap().fragment(now());
        assert_eq!((ids(none.clone()), last(&none)), (vec![], last(&first)));
        database.append(batch(2), lines(START, &[gap, refused, gap]).as_bytes()).unwrap();
        let next = live::Tail::ask(database, None, Some(last(&first))).unwrap().fragment(now());
        assert_eq!((ids(next.clone()), last(&next).number()), (vec![43, 42, 41], 43));
        let some =
            live::Tail::ask(database, Some(Outcome::Refused), Some(last(&first))).unwrap().fragment(now());
        assert_eq!((ids(some.clone()), last(&some).number()), (vec![42], 43));
        database.append(batch(3), lines(START, &[gap; 500]).as_bytes()).unwrap();
        let behind = live::Tail::ask(database, None, Some(last(&next))).unwrap().fragment(now());
        assert_eq!(
            ids(behind),
            (444..=543).rev().collect::<Vec<_>>(),
            "the newest, and no more than a screen holds"
        );
    });
}

#[test]
fn charts_and_tables_have_the_counts_of_the_database() {
    on_both(|database| {
        let refused = r#""event":"connection","decision":"deny","reason":"expired""#;
        let repeated = r#""event":"repeated","reason":"expired","count":41"#;
        let served = r#""event":"request","decision":"permit","rule":"own profile","tls":{"version":"TLSv1.3","suite":"S"}"#;
        let text = lines(START, &[refused, repeated, served, served]);
        database.append(batch(1), text.as_bytes()).unwrap();
        // Long ago, and so not in any period.
        database.append(batch(2), lines(START - 90 * 86_400, &[refused]).as_bytes()).unwrap();
        for period in Period::ALL {
            let shown = Fleet::ask(database, period, now()).unwrap().show(period, now()).into_string();
            let table = |id: &str| {
                shown
                    .split(&format!("id=\"{id}\""))
                    .nth(1)
                    .unwrap()
                    .split("</table>")
                    .next()
                    .unwrap()
                    .to_owned()
            };
            assert!(table("connections-table").contains("all</th><td class=\"n\"><data value=\"0\">0</data></td><td class=\"n\"><data value=\"42\">"), "{period:?}");
            assert!(
                table("requests-table").contains("all</th><td class=\"n\"><data value=\"2\">"),
                "{period:?}"
            );
            assert!(
                table("by-reason")
                    .contains(&format!("/records?reason=expired&amp;since={}", period.as_str()))
            );
            assert!(table("by-version").contains("TLSv1.3") && table("by-rule").contains("own profile"));
            assert!(shown.contains("Only connections that ended without a request"));
        }
    });
}

/// The figures of a million records of 50 000 phones: run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes: a measurement"]
fn pages_of_a_million_records_are_drawn_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::parse("sqlite:audit.db", folder.path()).unwrap();
    let mut database = AuditDatabase::open(&url).unwrap();
    let mut report = String::new();
    let began = Instant::now();
    let end = START + 500 * 5000;
    for number in 0..500_i64 {
        let mut text = String::new();
        for at in 0..2000_i64 {
            let phone = (number * 2000 + at * 7919) % 50_000;
            let issuer = phone % 5;
            let rest = match at % 10 {
                0 => r#""event":"closed","requests":9,"exceptions":["sha1"]"#.to_owned(),
                1 => r#""event":"request","path":"/x","decision":"deny","reason":"no_rule_matched","status":403"#.to_owned(),
                2 => format!(r#""event":"connection","decision":"deny","reason":"{}""#, Reason::ALL[usize::try_from(at * 7 % 50).unwrap()]),
                _ => format!(r#""event":"request","method":"GET","path":"/{phone}.cfg","user_agent":"Cisco/8841-11.3","decision":"permit","rule":"own profile","status":200,"padding":"{}""#, "x".repeat(600)),
            };
            let record = format!(
                r#""peer":"192.0.{}.7:4000","host":"prov","engine":"modern","tls":{{"version":"TLSv1.{}","suite":"TLS_AES_128_GCM_SHA256"}},"certificate":{{"subject":"SN=000e08{phone:06x}","issuer":"CN=Issuer {issuer}","serial":"0A","sha256":"{phone:064x}","key_sha256":"k","not_after":"20{}-{:02}-01T00:00:00Z"}},"device":{{"kind":"device","product":"CP-{}","serial":"FCH{phone}","mac":"000e08{phone:06x}"}},{rest}"#,
                phone % 200,
                phone % 4,
                27 + phone % 3,
                phone % 12 + 1,
                8800 + phone % 40,
            );
            text.push_str(&lines(START + number * 5000 + at * 5 / 2, &[&record]));
        }
        database.append(batch(number + 1), text.as_bytes()).unwrap();
    }
    writeln!(report, "a million records written in {:?}", began.elapsed()).unwrap();
    drop(database);
    let now: Moment = Timestamp::from_unix(end).into();
    let mac = MacAddress::parse("000e080004d2").unwrap();
    let mut database = AuditDatabase::open_to_read(&url).unwrap();
    let held: u64 =
        database.summary(By::All, Subject::Request, None).unwrap().iter().map(|tally| tally.count).sum();
    assert_eq!(held, 800_000);
    let mut timed =
        |what: &str, draw: &mut dyn FnMut(&mut AuditDatabase) -> Result<Markup, DatabaseError>| {
            let began = Instant::now();
            database.give_up_at(began + PATIENCE).unwrap();
            let drawn = draw(&mut database);
            let took = began.elapsed();
            let told = match drawn {
                Ok(markup) => format!("{} bytes", markup.into_string().len()),
                Err(_) => "given up, and the page says so".to_owned(),
            };
            writeln!(report, "{what}: {took:?}, {told}").unwrap();
            assert!(took < PATIENCE + Duration::from_secs(1), "{report}");
        };
    for period in Period::ALL {
        timed(&format!("/?since={}", period.as_str()), &mut |database| {
            Ok(Fleet::ask(database, period, now)?.show(period, now))
        });
    }
    timed("/device", &mut |database| Ok(device::Story::ask(database, mac, None)?.show(now)));
    let records = |query: &'static str| {
        move |database: &mut AuditDatabase| {
            let choice = records::Choice::read(&Asked::new("/records", Some(query), now)).unwrap();
            let found = database.records(&choice.filter(now), records::PAGE + 1)?;
            Ok(choice.show(&found, now))
        }
    };
    for query in [
        "",
        "reason=no_rule_matched&since=24h",
        "outcome=refused",
        "outcome=refused&since=24h",
        "reason=revoked&since=24h",
        "peer=192.0.7.0/24",
        // Of these there are none, and no index says so.
        "outcome=lost",
        "outcome=lost&since=24h",
        "host=nowhere",
    ] {
        timed(&format!("/records?{query}"), &mut records(query));
    }
    timed("/search?q=fch123", &mut |database| {
        Ok(search::Found::ask(database, &search::Wanted::read("fch123"))?.show(now))
    });
    timed("/reasons/expired", &mut |database| {
        Ok(reasons::chart(&reasons::counts(database, Reason::Expired, now)?, now))
    });
    let year = expiry::before("365d", now).unwrap();
    timed("/expiring", &mut |database| {
        Ok(expiry::list(&database.expiring(year, expiry::MOST)?, "365d", now))
    });
    timed("/changes", &mut |database| {
        let since = Period::Month.start(now);
        Ok(changes::show(&database.changes(since, changes::NETWORKS, changes::MOST)?, now))
    });
    timed("/live", &mut |database| Ok(live::Tail::ask(database, None, None)?.show(None, now)));
    println!("{report}");
}
