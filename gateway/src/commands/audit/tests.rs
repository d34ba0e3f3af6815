use std::fs;
use std::path::Path;
use std::sync::mpsc;

use certs::Timestamp;
use clap::Parser as _;

use super::*;
use crate::audit::DatabaseUrl;
use crate::audit::database::testing::on_both;
use crate::audit::database::tests::{batch, lines};
use crate::audit::query::{Filter, RecordId};

mod said;

const MAC: &str = "000e08abcdef";

/// Seconds since 1970 of a time on a day of November 2026.
fn at(day: u32, time: &str) -> i64 {
    Timestamp::parse_rfc3339(&format!("2026-11-{day:02}T{time}Z")).unwrap().unix()
}

fn now() -> Moment {
    Timestamp::from_unix(at(23, "12:00:00")).into()
}

fn certificate(issuer: &str, serial: &str, sha256: &str, key: &str, not_after: &str) -> String {
    format!(
        r#""certificate":{{"subject":"SN={MAC},L=FCH1,OU=CP-8841-3PCC","issuer":"{issuer}","serial":"{serial}","sha256":"{sha256}","key_sha256":"{key}","not_after":"{not_after}T00:00:00Z","depth":1}}"#
    )
}

fn old() -> String {
    certificate("CN=Cisco Manufacturing CA,O=Cisco Systems", "0A", "aa", "k1", "2027-01-01")
}

fn renewed() -> String {
    certificate("CN=Cisco Manufacturing CA III,O=Cisco", "0B", "bb", "k2", "2036-01-01")
}

fn phone(certificate: &str, rest: &str) -> String {
    format!(
        r#""peer":"192.0.2.7:4000","host":"prov.example.com","engine":"modern","tls":{{"version":"TLSv1.3","suite":"TLS_AES_128_GCM_SHA256","resumed":false}},"hello":{{"sni":"prov","ja4":"t13d_x"}},{certificate},"device":{{"kind":"device","product":"CP-8841-3PCC","serial":"FCH1","mac":"{MAC}","profile":"p"}},{rest}"#
    )
}

fn got(connection: &str, number: u32, path: &str, rest: &str) -> String {
    format!(
        r#""event":"request","connection":"00000000000000{connection}","request":"00000000000000{connection}-{number}","method":"GET","path":"{path}","user_agent":"Cisco-CP-8841-3PCC/12.0.3 (FCH1)",{rest}"#
    )
}

const SERVED: &str =
    r#""status":200,"bytes":1234,"rule":"own profile","decision":"permit","duration_us":900"#;
const FORBIDDEN: &str = r#""status":403,"decision":"deny","reason":"no_rule_matched","detail":"no rule allows GET /logo.png","duration_us":10"#;

/// Two weeks of a phone: served day by day, its certificate renewed, its name taken by strangers.
fn fill(database: &mut AuditDatabase) {
    let mut text = String::new();
    let mut add = |second: i64, record: &str| text.push_str(&lines(second, &[record]));
    for day in 10..16 {
        let connection = format!("{day}");
        let sha1 = r#""exceptions":["sha1"],"#;
        add(
            at(day, "06:00:00"),
            &phone(&old(), &format!("{sha1}{}", got(&connection, 1, "/000e08abcdef.cfg", SERVED))),
        );
        add(
            at(day, "06:00:01"),
            &phone(&old(), &format!("{sha1}{}", got(&connection, 2, "/logo.png", FORBIDDEN))),
        );
        add(
            at(day, "06:01:00"),
            &phone(
                &old(),
                &format!(
                    r#"{sha1}"event":"closed","connection":"00000000000000{connection}","requests":2,"bytes":1234"#
                ),
            ),
        );
    }
    add(at(17, "06:00:00"), &phone(&renewed(), &got("17", 1, "/000e08abcdef.cfg", SERVED)));
    let forged = certificate("CN=Forger", "01", "ff", "k9", "2040-01-01");
    let refused = r#""decision":"deny","reason":"unknown_issuer","detail":"no anchor issued certificate 0","alert":"sent unknown_ca""#;
    for second in ["07:00:00", "07:00:30"] {
        add(
            at(18, second),
            &format!(
                r#""event":"connection","connection":"0000000000{}","peer":"203.0.113.5:1",{forged},{refused}"#,
                second.replace(':', "")
            ),
        );
    }
    add(
        at(19, "07:00:00"),
        &format!(
            r#""event":"request","connection":"00000000000000a1","peer":"203.0.113.6:1","method":"GET","path":"/{MAC}.cfg","device":{{"kind":"anonymous"}},{FORBIDDEN}"#
        ),
    );
    let hostile = r#""method":"GET","path":"/\u001b[31m\u202egfc.cfg"#;
    let hostile = got("20", 1, "/x", r#""status":404,"bytes":0,"decision":"permit""#)
        .replace(r#""method":"GET","path":"/x"#, hostile);
    add(
        at(20, "06:00:00"),
        &phone(
            &renewed(),
            &hostile.replace("Cisco-CP-8841-3PCC/12.0.3 (FCH1)", r"Cisco-CP-7841-3PCC/12.0.3\u0007 (FCH9)"),
        ),
    );
    let late = r#""decision":"deny","reason":"expired","detail":"certificate 0 expired 2020-01-01T00:00:00Z","alert":"sent certificate_expired""#;
    let other = certificate("CN=Old CA", "0C", "cc", "k3", "2020-01-01").replace(MAC, "000413aabbcc");
    add(
        at(21, "08:00:00"),
        &format!(
            r#""event":"connection","connection":"0000000000000021","peer":"[2001:db8::1]:1",{other},{late}"#
        ),
    );
    let counted =
        format!(r#""count":88,"first":"2026-11-21T08:00:30Z","last":"2026-11-21T08:00:59Z",{late}"#);
    add(
        at(21, "08:01:00"),
        &format!(
            r#""event":"repeated","connection":"0000000000000021","peer":"[2001:db8::1]:1",{other},{counted}"#
        ),
    );
    add(
        at(21, "09:00:00"),
        r#""event":"connection","connection":"0000000000000022","peer":"198.51.100.9:5","decision":"deny","reason":"hello_timeout""#,
    );
    add(
        at(21, "09:01:00"),
        r#""event":"repeated","peer":"198.51.100.9:0","reason":"hello_timeout","count":41,"first":"2026-11-21T09:00:00Z","last":"2026-11-21T09:00:59Z""#,
    );
    add(
        at(21, "10:00:00"),
        r#""event":"gap","reason":"queue_full","count":7,"since":"2026-11-21T09:59:00Z""#,
    );
    database.append(batch(1), text.as_bytes()).unwrap();
}

/// What the command says: how it ended, its answer, its notes.
fn ask(database: &mut AuditDatabase, words: &[&str]) -> (Outcome, String, String) {
    let words = ["provision-gateway", "audit", "--database", "x"].iter().chain(words);
    let crate::cli::Command::Audit(arguments) = cli::Cli::parse_from(words).command else { panic!("audit") };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = answer(&arguments, database, now(), &mut Streams { out: &mut out, err: &mut err }).unwrap();
    (outcome, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// Compares with a file; `UPDATE_SNAPSHOTS=1 cargo test -p provision-gateway commands::audit` takes a change over.
fn is_snapshot(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/audit/snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        #[expect(clippy::disallowed_methods, reason = "a file of the source, written by its keeper")]
        fs::write(&path, found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&path).unwrap_or_default(), "{name}");
}

#[test]
fn every_answer_is_that_of_its_snapshot_on_both_databases() {
    on_both(|database| {
        fill(database);
        for (name, words) in [
            ("records.txt", &["--since", "2026-11-15"][..]),
            ("request.txt", &["--request", "0000000000000015-2"]),
            ("device.txt", &["device", "00:0E:08:AB:CD:EF"]),
            ("device.json", &["device", MAC, "--json"]),
            ("claimed.txt", &["device", "0004.13aa.bbcc"]),
            ("expiring.txt", &["expiring", "--within", "20y"]),
            ("expiring.json", &["expiring", "--within", "20y", "--json"]),
            ("summary.txt", &["summary"]),
            ("summary-issuer.txt", &["summary", "--by", "issuer", "--since", "2026-11-15T06:00:01Z"]),
            ("summary.json", &["summary", "--by", "exception", "--json"]),
        ] {
            let (outcome, out, err) = ask(database, words);
            assert_eq!(outcome, Outcome::Done, "{name}: {err}");
            is_snapshot(name, &format!("{out}{err}"));
            assert!(
                !out.contains(['\u{1b}', '\u{7}', '\u{202e}']),
                "{name}: nothing of a device reaches the terminal raw"
            );
        }
    });
}

#[test]
fn each_filter_narrows_the_list_down() {
    on_both(|database| {
        fill(database);
        let mut count = |words: &[&str]| {
            let (outcome, out, _) = ask(database, &[words, &["--json"]].concat());
            assert_eq!(outcome, Outcome::Done);
            out.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count()
        };
        assert_eq!(count(&[]), 28);
        assert_eq!(count(&["--limit", "5"]), 5);
        assert_eq!(count(&["--mac", "00-0e-08-ab-cd-ef"]), 23);
        assert_eq!(count(&["--reason", "no-rule-matched"]), 7);
        assert_eq!(count(&["--outcome", "lost"]), 1);
        assert_eq!(count(&["--event", "closed"]), 6);
        assert_eq!(count(&["--host", "PROV.example.com"]), 20);
        assert_eq!(count(&["--peer", "203.0.113.0/24"]), 3);
        assert_eq!(count(&["--peer", "2001:db8::/32"]), 2);
        assert_eq!(count(&["--ja4", "t13d_x"]), 20);
        assert_eq!(count(&["--connection", "0000000000000010"]), 3);
        assert_eq!(count(&["--request", " 00000000000000A1-1 "]), 0);
        assert_eq!(count(&["--request", "0000000000000010-2"]), 1);
        assert_eq!(count(&["--since", "3d"]), 5);
        assert_eq!(count(&["--since", "2026-11-10", "--until", "2026-11-10"]), 3, "the day is in it");
        assert_eq!(count(&["--until", "2026-11-10T06:00:01Z"]), 1);
    });
}

#[test]
fn more_records_than_one_page_come_whole_and_in_order() {
    on_both(|database| {
        let record = r#""event":"connection","decision":"deny","reason":"hello_timeout""#;
        database.append(batch(1), lines(at(1, "00:00:00"), &vec![record; 2500]).as_bytes()).unwrap();
        let (_, out, err) = ask(database, &["--json", "--limit", "2400"]);
        let times: Vec<&str> = out.lines().map(|line| &line[15..34]).collect();
        assert_eq!(times.len(), 2400);
        assert!(times.windows(2).all(|pair| pair[0] > pair[1]), "newest first");
        assert_eq!(err, "note: the newest 2400 are shown; --limit shows more\n");
        let (_, out, err) = ask(database, &["--json", "--limit", "2500"]);
        assert_eq!((out.lines().count(), err.as_str()), (2500, ""));
    });
}

#[test]
fn a_question_without_an_answer_says_so() {
    on_both(|database| {
        let (outcome, out, err) = ask(database, &["--since", "1h"]);
        assert_eq!(
            (outcome, out.as_str(), err.as_str()),
            (Outcome::Done, "", "note: no record is like that\n")
        );
        let (outcome, _, err) = ask(database, &["device", MAC]);
        assert_eq!(outcome, Outcome::Refused);
        assert!(
            err.starts_with("error: no record names the MAC address 000e08abcdef\nhint: a phone is known"),
            "{err}"
        );
        let (outcome, out, _) = ask(database, &["expiring"]);
        assert_eq!((outcome, out.as_str()), (Outcome::Done, ""));
        assert!(ask(database, &["summary"]).2.contains("nothing is counted"));
    });
}

#[test]
fn a_device_that_only_a_path_names_is_told_as_a_claim() {
    on_both(|database| {
        let asked = format!(
            r#""event":"request","connection":"00000000000000a1","peer":"203.0.113.6:1","method":"GET","path":"/{MAC}.cfg","device":{{"kind":"anonymous"}},{FORBIDDEN}"#
        );
        database.append(batch(1), lines(at(19, "07:00:00"), &[&asked]).as_bytes()).unwrap();
        let (outcome, out, _) = ask(database, &["device", MAC]);
        assert_eq!(outcome, Outcome::Done);
        assert!(
            out.starts_with("No certificate with the MAC address 00:0e:08:ab:cd:ef was ever presented."),
            "{out}"
        );
        let told = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("Anybody can ask for a path: it proves nothing."), "{out}");
        assert!(!told.contains("Last success"), "{out}");
    });
}

#[test]
fn followed_records_come_in_order_and_once() {
    on_both(|database| {
        fill(database);
        let all = database.records(&Filter::default(), 100).unwrap();
        let (send, stop) = mpsc::channel();
        send.send(()).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut streams = Streams { out: &mut out, err: &mut err };
        follow::run(database, &Filter::default(), RecordId::default(), true, &stop, &mut streams).unwrap();
        let expected: Vec<&str> = all.iter().rev().map(|record| record.line.as_str()).collect();
        assert_eq!(String::from_utf8(out).unwrap().lines().collect::<Vec<_>>(), expected);
        let filter = Filter { reason: Some(policies::Reason::Expired), ..Filter::default() };
        let mut out = Vec::new();
        send.send(()).unwrap();
        let mut streams = Streams { out: &mut out, err: &mut err };
        follow::run(database, &filter, RecordId::default(), false, &stop, &mut streams).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.lines().count(), 3, "the titles and the two records: {out}");
        assert!(err.is_empty());
    });
}

/// Runs the whole command, as from the command line.
fn command(words: &[&str]) -> (Outcome, String, String) {
    let words = ["provision-gateway", "audit"].iter().chain(words);
    let crate::cli::Command::Audit(arguments) = cli::Cli::parse_from(words).command else { panic!("audit") };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut streams = Streams { out: &mut out, err: &mut err };
    let outcome = audit(&arguments, now().timestamp(), &mut streams).unwrap();
    (outcome, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn a_database_that_cannot_be_asked_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (outcome, _, err) = command(&[]);
    assert_eq!(outcome, Outcome::Misuse);
    assert!(
        err.contains("hint: say --config FILE with the gateway's configuration, or --database FILE"),
        "{err}"
    );

    let (outcome, _, err) = command(&["--database", &path("none.db")]);
    assert_eq!(outcome, Outcome::Refused);
    assert!(
        err.contains("none.db cannot be opened: No such file") && err.contains("hint: the gateway makes"),
        "{err}"
    );

    fs::OpenOptions::new().write(true).create(true).truncate(true).open(path("audit.jsonl")).unwrap();
    let (_, _, err) = command(&["--database", &path("audit.jsonl")]);
    assert!(err.contains("this is no audit database") && err.contains("hint: the audit file"), "{err}");
    let text = lines(0, &[r#""event":"gap","count":1"#]).repeat(50);
    std::io::Write::write_all(
        &mut fs::OpenOptions::new().append(true).open(path("audit.jsonl")).unwrap(),
        text.as_bytes(),
    )
    .unwrap();
    let (_, _, err) = command(&["--database", &path("audit.jsonl")]);
    assert!(err.contains("this is no audit database") && err.contains("hint: the audit file"), "{err}");

    let url = DatabaseUrl::parse("sqlite:audit.db", folder.path()).unwrap();
    fill(&mut AuditDatabase::open(&url).unwrap());
    for address in [path("audit.db"), format!("sqlite:{}", path("audit.db"))] {
        let (outcome, out, err) = command(&["--database", &address, "summary"]);
        assert_eq!((outcome, err.is_empty()), (Outcome::Done, false), "the lost records are told of: {err}");
        assert!(out.contains("hello_timeout"), "{out}");
    }

    let set = |version: i64| {
        let connection = rusqlite::Connection::open(folder.path().join("audit.db")).unwrap();
        let set = "UPDATE audit_setting SET value = ?1 WHERE name = 'schema_version'";
        connection.execute(set, [version]).unwrap();
    };
    set(99);
    assert!(command(&["--database", &path("audit.db")]).2.contains("update the gateway"));
    set(0);
    assert!(command(&["--database", &path("audit.db")]).2.contains("the gateway brings it up to date"));

    for wrong in ["mysql://x/y", "sqlite:", "postgres://x/y?sslmode=require"] {
        let (outcome, _, err) = command(&["--database", wrong]);
        assert_eq!(outcome, Outcome::Misuse, "{err}");
        assert!(err.contains("is no database address: "), "{err}");
    }
}

#[test]
fn the_first_database_of_a_configuration_is_asked_whatever_else_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gateway.toml");
    let ask = |text: &str| {
        #[expect(clippy::disallowed_methods, reason = "nobody reads it meanwhile")]
        fs::write(&config, text).unwrap();
        command(&["summary", "--config", &config.display().to_string()])
    };
    let others = "[[host]]\ncertificate = \"none.pem\"\n[limits]\nnonsense = 1\n";
    let file = "[audit]\nfile = \"audit.jsonl\"\n";
    let database = "[[audit.sink]]\nkind = \"database\"\nurl = \"sqlite:audit.db\"\n";
    let (outcome, _, err) = ask(&format!("{others}{file}"));
    assert_eq!(outcome, Outcome::Refused);
    assert!(err.contains("gateway.toml keeps its records in no database\nhint: add these lines"), "{err}");
    assert!(
        err.ends_with("\n  [[audit.sink]]\n  kind = \"database\"\n  url = \"sqlite:audit.db\"\n"),
        "{err}"
    );
    let (_, _, err) = ask(&format!("{others}{file}{database}"));
    assert!(err.contains("audit.db cannot be opened"), "{err}");
    fill(&mut AuditDatabase::open(&DatabaseUrl::Sqlite(folder.path().join("audit.db"))).unwrap());
    let (outcome, out, _) = ask(&format!("{others}{file}{database}"));
    assert_eq!(outcome, Outcome::Done);
    assert!(out.contains("hello_timeout"), "{out}");
    let (outcome, _, err) = ask(&format!("{others}{file}{}", database.replace("url", "uri")));
    assert_eq!(outcome, Outcome::Refused);
    assert!(err.contains("audit.sink[0].uri`: unknown key"), "{err}");
    assert!(!err.contains("nonsense") && !err.contains("none.pem"), "{err}");
}

#[test]
fn a_filter_before_the_command_it_is_for_is_misuse() {
    let (outcome, _, err) = command(&["--since", "2h", "--database", "x", "follow"]);
    assert_eq!(outcome, Outcome::Misuse);
    assert!(err.contains("provision-gateway audit follow --help"), "{err}");
}

#[test]
fn mistyped_words_are_misuse_with_what_was_meant() {
    for (words, meant) in [
        (&["--reason", "expierd"][..], "did you mean expired?"),
        (&["--mac", "000e08"], "not 12 hex digits"),
        (&["--peer", "192.0.2.0/33"], "192.0.2.0/24"),
        (&["--since", "yesterday"], "how long ago (90m, 2h, 3d, 1w)"),
        (&["--request", "17"], "16 hex digits, a hyphen and a number"),
        (&["--connection", "17"], "16 hex digits"),
        (&["--outcome", "refsued"], "refused"),
        (&["summary", "--by", "colour"], "exception"),
        (&["expiring", "--within", "soon"], "such as 180d"),
        (&["device", "x"], "hex digit"),
        (&["--limit", "0"], "limit"),
        (&["--config", "a", "--database", "b"], "cannot be used with"),
    ] {
        let all = ["provision-gateway", "audit"].iter().chain(words);
        let error = cli::Cli::try_parse_from(all).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(meant), "{words:?}: {error}");
    }
}
