//! The records: one for every refused connection and every request, complete, escaped, and soon.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use harness::{
    expect::eventually,
    gateway::{HOST, MAC, PRODUCT, PROFILE, SERIAL, Scene, phone_template, profile},
    hello::Hello,
    pki::{Authority, Name, Template, attribute},
};
use policies::Reason;
use serde_json::Value;

use crate::verdict::{admitted, answered, forbidden, refused};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The names are stable: monitoring rests on them.
#[test]
fn a_served_request_has_every_fact_under_its_stable_name() {
    let scene = Scene::new();
    let gateway = scene.start();
    let phone = scene.phone();
    let record = admitted(&gateway, &scene.client(&gateway, &phone).tls13());
    let mut expected = [
        "v",
        "time",
        "event",
        "connection",
        "request",
        "peer",
        "listener",
        "host",
        "engine",
        "hello",
        "tls",
        "certificate",
        "device",
        "method",
        "path",
        "status",
        "bytes",
        "rule",
        "decision",
        "duration_us",
        "backend",
    ];
    expected.sort_unstable();
    assert_eq!(keys(&record.0), expected);
    let mut hello = keys(record.at("hello").unwrap());
    hello.sort_unstable();
    assert_eq!(
        hello,
        ["extensions", "groups", "ja3", "ja4", "signature_algorithms", "sni", "suites", "versions"]
    );
    assert_eq!(record.number("v"), Some(1));
    assert_eq!(record.text("listener"), gateway.address().to_string());
    assert!(record.text("peer").starts_with("127.0.0.1:"));
    assert_eq!(
        (record.text("host"), record.text("engine"), record.text("hello.sni")),
        (HOST, "modern", HOST)
    );
    assert_eq!((record.text("tls.version"), record.boolean("tls.resumed")), ("TLSv1.3", Some(false)));
    assert_eq!(record.text("tls.suite"), "TLS_AES_128_GCM_SHA256");
    assert_eq!(record.text("certificate.subject"), format!("SN={MAC},L={SERIAL},OU={PRODUCT}"));
    assert_eq!(record.text("certificate.issuer"), "CN=Test Client Root");
    assert_eq!(record.text("certificate.serial"), phone.serial_text());
    assert_eq!(record.text("certificate.sha256"), phone.fingerprint());
    assert_eq!(record.number("certificate.depth"), Some(1));
    assert_eq!(
        (record.text("method"), record.text("path"), record.number("status")),
        ("GET", PROFILE, Some(200))
    );
    assert_eq!(record.number("bytes"), u64::try_from(profile(MAC).len()).ok());
    assert_eq!((record.text("rule"), record.text("decision")), ("own profile", "permit"));
    assert!(record.text("backend").starts_with("directory:"));
    assert!(record.text("hello.ja4").starts_with("t13d"));
}

/// SEC-59.
#[test]
fn a_refused_certificate_is_recorded_whole() {
    let scene = Scene::new();
    let gateway = scene.start();
    let intermediate = Authority::root("Foreign Root").intermediate("Foreign Issuing");
    let foreign = intermediate.issue(&phone_template());
    let record = refused(&gateway, &scene.client(&gateway, &foreign), Reason::UnknownIssuer);
    assert_eq!(record.text("certificate.subject"), format!("SN={MAC},L={SERIAL},OU={PRODUCT}"));
    assert_eq!(record.text("certificate.issuer"), "CN=Foreign Issuing");
    assert_eq!(record.text("certificate.serial"), foreign.serial_text());
    assert_eq!(record.text("certificate.sha256"), foreign.fingerprint());
    assert_eq!(record.number("certificate.depth"), Some(2));
    assert!(record.text("certificate.not_after").ends_with('Z'));
    assert_eq!(record.text("alert"), "sent unknown_ca");
    assert!(!record.text("detail").is_empty());
    for absent in ["device", "status", "method", "request", "backend", "rule"] {
        assert!(record.at(absent).is_none(), "{absent}");
    }
}

/// In the file within 200 ms, also while the refused client still holds its connection. The bound has room for a loaded
/// machine; what it excludes is waiting for the client.
#[test]
fn a_refusal_is_recorded_while_the_client_still_holds_the_connection() {
    let scene = Scene::new();
    let gateway = scene.start();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    let hello = Hello { version: 0x0301, ..Hello::tls12(HOST) };
    stream.write_all(&hello.records()).unwrap();
    stream.read_exact(&mut [0; 7]).unwrap();
    let start = Instant::now();
    assert_eq!(gateway.audit.next().text("reason"), Reason::VersionNotSupported.as_str());
    assert!(start.elapsed() < Duration::from_millis(1000), "{:?}", start.elapsed());
    let foreign = Authority::root("Another Root").issue(&phone_template());
    let mut connection = scene.client(&gateway, &foreign).tls13().connect().unwrap();
    let start = Instant::now();
    let _ = connection.write(b"GET ");
    assert_eq!(gateway.audit.next().text("reason"), Reason::UnknownIssuer.as_str());
    assert!(start.elapsed() < Duration::from_millis(1000), "{:?}", start.elapsed());
    drop((stream, connection));
}

/// SEC-60: whatever a certificate, a server name or a path holds, a record is one line of JSON and no terminal obeys it.
#[test]
fn hostile_text_is_escaped() {
    let scene = Scene::new();
    let gateway = scene.start();
    let hostile = "a\"b\\c\r\nX: 1\u{1b}[31m\u{7f}\u{202e}é";
    let subject = Name::common(hostile).typed(attribute::ORGANIZATION, 0x0c, b"\xff\xfe");
    let client = scene.client(&gateway, &scene.device(subject));
    refused(&gateway, &client, Reason::IdentityNotRecognised);
    let phone = scene.client(&gateway, &scene.phone());
    forbidden(&gateway, &phone, "/\"x\"'y'", 400, Reason::BadTarget);
    let hello = Hello { server_name: Some(b"\x1b[31m\"\n\xff".to_vec()), ..Hello::tls12(HOST) };
    let _ = harness::hello::exchange(gateway.address(), &hello.records(), true);
    eventually("four records", || (gateway.audit.all_records().len() == 4).then_some(()));
    let bytes = gateway.audit.bytes();
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 4, "one line each");
    let control = bytes.iter().find(|byte| (**byte < 0x20 && **byte != b'\n') || **byte == 0x7f);
    assert_eq!(control, None);
    assert!(std::str::from_utf8(&bytes).is_ok());
}

/// SEC-65, SEC-63: nothing secret is recorded, and the device learns a status and the request's id.
#[test]
fn neither_credentials_nor_explanations_go_where_they_should_not() {
    let scene = Scene::new();
    let mut gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let lines = ["Authorization: Basic c2VjcmV0OnNlY3JldA==", "Cookie: session=c2VjcmV0"];
    let answer = client.get_with("/000e08abcdf0.cfg?token=c2VjcmV0&x=1", &lines).answer();
    let record = gateway.audit.next();
    assert_eq!(record.text("path"), "/000e08abcdf0.cfg?token=***&x=1");
    assert_eq!(answer.status, 403);
    assert!(
        answer.text().contains(record.text("request")),
        "{} in {}",
        record.text("request"),
        answer.text()
    );
    for word in ["rule", "mac", "000e08", "own profile"] {
        assert!(!answer.text().to_lowercase().contains(word), "{}", answer.text());
    }
    gateway.stop();
    let log = gateway.process.log().join("\n") + &String::from_utf8_lossy(&gateway.audit.bytes());
    assert!(!log.contains("c2VjcmV0"), "{log}");
    assert!(!log.contains("Display_Name"), "no bodies either");
}

/// The file is appended to and may be taken away by a log rotation: after SIGHUP a new one is written.
#[test]
fn the_file_is_appended_to_and_opened_anew_on_sighup() {
    let scene = Scene::new();
    let mut gateway = scene.start();
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
    gateway.stop();
    let mut gateway = scene.start();
    admitted_again(&scene, &gateway, 2);
    std::fs::rename(scene.folder.join("audit.jsonl"), scene.folder.join("audit.jsonl.1")).unwrap();
    gateway.reload();
    admitted_again(&scene, &gateway, 1);
}

fn admitted_again(scene: &Scene, gateway: &harness::gateway::Gateway, records: usize) {
    assert_eq!(scene.client(gateway, &scene.phone()).get(PROFILE).status(), 200);
    eventually("the record", || (gateway.audit.records().len() == records).then_some(()));
}

/// Connection and request identifiers tie records and answers together.
#[test]
fn every_request_has_an_identifier_of_its_own() {
    let origin = harness::origin::Origin::start();
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut connection = client.connect().unwrap();
    for at in 1..=3 {
        assert_eq!(connection.send(&client.get_request(PROFILE, &["X-Request-Id: FORGED"])).status(), 200);
        let received = origin.wait_for(at);
        let record = gateway.audit.next();
        assert_eq!(received.field("x-request-id"), Some(record.text("request")));
        assert!(record.text("request").starts_with(record.text("connection")));
    }
}

/// SEC-61: of a flood of refusals the first are recorded and the rest counted, and the log has none of them; another phone behind
/// the same address is seen all the same.
#[test]
fn a_flood_of_refusals_is_counted_and_not_logged() {
    let scene = Scene::new();
    let mut gateway = scene.start();
    let expired =
        scene.client_authority.issue(&Template { not_after: harness::expect::now() - 5, ..phone_template() });
    let client = scene.client(&gateway, &expired);
    for _ in 0..100 {
        let _ = client.get(PROFILE);
    }
    eventually("ten records", || (gateway.audit.records().len() == 10).then_some(()));
    assert!(gateway.process.log().len() < 20, "a refused device is no error: {:#?}", gateway.process.log());
    gateway.audit.skip_to_end();
    let other =
        scene.client_authority.issue(&Template { not_after: harness::expect::now() - 5, ..phone_template() });
    refused(&gateway, &scene.client(&gateway, &other), Reason::Expired);
    answered(&gateway, &scene.client(&gateway, &scene.phone()), PROFILE, 200);
    gateway.stop();
    let records = gateway.audit.records();
    let repeated: Vec<_> = records.iter().filter(|record| record.text("event") == "repeated").collect();
    assert_eq!(repeated.len(), 1, "{repeated:?}");
    assert_eq!(
        (repeated[0].text("reason"), repeated[0].number("count")),
        (Reason::Expired.as_str(), Some(90))
    );
    assert_eq!(repeated[0].text("certificate.sha256"), expired.fingerprint());
    assert!(repeated[0].text("first") < repeated[0].text("last"));
}

/// The end of a connection says what became of all its requests.
#[test]
fn a_connection_that_had_requests_ends_with_a_record_of_its_totals() {
    let scene = Scene::new();
    let mut gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut connection = client.connect().unwrap();
    let agent = format!("User-Agent: Cisco/CP-8841-3PCC-11.3 ({MAC}){}", "x".repeat(300));
    assert_eq!(connection.send(&client.get_request(PROFILE, &[&agent])).status(), 200);
    assert_eq!(connection.send(&client.get_request("/000e08abcdf0.cfg", &[])).status(), 403);
    let first = gateway.audit.next();
    assert!(first.text("user_agent").starts_with(&format!("Cisco/CP-8841-3PCC-11.3 ({MAC})xxx")));
    assert_eq!(first.text("user_agent").len(), 256, "bounded");
    assert_eq!(first.text("certificate.key_sha256").len(), 64);
    let second = gateway.audit.next();
    assert!(second.at("user_agent").is_none());
    drop(connection);
    let closed = eventually("the end", || {
        gateway.audit.all_records().into_iter().find(|record| record.text("event") == "closed")
    });
    assert_eq!((closed.number("requests"), closed.text("ended")), (Some(2), "done"));
    let bytes = first.number("bytes").unwrap() + second.number("bytes").unwrap();
    assert_eq!(closed.number("bytes"), Some(bytes));
    assert_eq!((closed.text("connection"), closed.text("device.mac")), (first.text("connection"), MAC));
    assert!(closed.number("duration_us") > first.number("duration_us"));
    gateway.stop();
    assert_eq!(gateway.audit.all_records().len(), 3);
}
