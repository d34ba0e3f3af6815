//! Requests that two programs could read in two ways (SEC-66). Each case holds a request for `/smuggled` where only a
//! confused reader sees one.

use harness::{
    client::Outcome,
    gateway::{HOST, PROFILE, Scene},
    origin::Origin,
};
use policies::Reason;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: prov.example.com\r\n\r\n";

/// Each is refused: 400, or the connection ends without an answer. Nothing of it reaches the backend.
#[test]
fn what_can_be_read_in_two_ways_reaches_no_backend() {
    let host = format!("Host: {HOST}\r\n");
    let smuggled = SMUGGLED.len();
    let cases: Vec<(&str, String)> = vec![
        (
            "two CL that differ",
            format!(
                "POST / HTTP/1.1\r\n{host}Content-Length: 0\r\nContent-Length: {smuggled}\r\n\r\n{SMUGGLED}"
            ),
        ),
        ("CL list", format!("POST / HTTP/1.1\r\n{host}Content-Length: 0, {smuggled}\r\n\r\n{SMUGGLED}")),
        ("CL with sign", format!("POST / HTTP/1.1\r\n{host}Content-Length: +{smuggled}\r\n\r\n{SMUGGLED}")),
        ("CL negative", format!("POST / HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\n{SMUGGLED}")),
        ("CL hexadecimal", format!("POST / HTTP/1.1\r\n{host}Content-Length: 0x10\r\n\r\n{SMUGGLED}")),
        (
            "CL beyond 64 bits",
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 99999999999999999999\r\n\r\n{SMUGGLED}"),
        ),
        ("CL empty", format!("POST / HTTP/1.1\r\n{host}Content-Length: \r\n\r\n{SMUGGLED}")),
        (
            "TE in HTTP/1.0",
            format!("POST / HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        ),
        (
            "TE unknown",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        ),
        (
            "TE identity",
            format!(
                "POST / HTTP/1.1\r\n{host}Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n{SMUGGLED}"
            ),
        ),
        (
            "TE twice",
            format!(
                "POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{SMUGGLED}"
            ),
        ),
        (
            "TE list",
            format!(
                "POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{SMUGGLED}"
            ),
        ),
        (
            "TE with vertical tab",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        ),
        (
            "space before colon",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        ),
        ("folded field", format!("GET / HTTP/1.1\r\n{host}X-A: b\r\n c\r\n\r\n")),
        (
            "folded TE",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        ),
        ("space before the first field", format!("GET / HTTP/1.1\r\n {host}\r\n")),
        ("empty field name", format!("GET / HTTP/1.1\r\n{host}: x\r\n\r\n")),
        ("NUL in a value", format!("GET / HTTP/1.1\r\n{host}X-A: a\0b\r\n\r\n")),
        ("bare CR in a value", format!("GET / HTTP/1.1\r\n{host}X-A: a\rX-B: b\r\n\r\n")),
        ("bare CR between lines", format!("GET / HTTP/1.1\r{host}\r\n\r\n")),
        (
            "chunk size with sign",
            format!(
                "POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n+4\r\nbody\r\n0\r\n\r\n{SMUGGLED}"
            ),
        ),
        (
            "chunk size beyond 64 bits",
            format!(
                "POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\nbody\r\n0\r\n\r\n{SMUGGLED}"
            ),
        ),
        (
            "chunk without end of line",
            format!(
                "POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n4\r\nbodyX0\r\n\r\n{SMUGGLED}"
            ),
        ),
        ("two Host", format!("GET / HTTP/1.1\r\n{host}Host: other.example.com\r\n\r\n")),
        ("no Host", "GET / HTTP/1.1\r\n\r\n".to_owned()),
        ("Host with user", "GET / HTTP/1.1\r\nHost: a@prov.example.com\r\n\r\n".to_owned()),
        ("Host against the target", format!("GET http://other.example.com/ HTTP/1.1\r\n{host}\r\n")),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("HTTP/0.9", "GET /\r\n\r\n".to_owned()),
        ("HTTP/3.0", format!("GET / HTTP/3.0\r\n{host}\r\n")),
        ("version in lower case", format!("GET / http/1.1\r\n{host}\r\n")),
        ("two spaces", format!("GET  / HTTP/1.1\r\n{host}\r\n")),
        ("tab", format!("GET\t/\tHTTP/1.1\r\n{host}\r\n")),
        ("CONNECT", "CONNECT prov.example.com:443 HTTP/1.1\r\nHost: prov.example.com:443\r\n\r\n".to_owned()),
        ("TRACE", format!("TRACE / HTTP/1.1\r\n{host}\r\n")),
        ("method with space-like bytes", format!("GE\u{a0}T / HTTP/1.1\r\n{host}\r\n")),
    ];
    let origin = Origin::start();
    let mut scene = Scene::before(origin.address());
    scene.config.limit("header-timeout = \"2s\"");
    scene.config.limit("body-size = \"1MiB\"");
    let gateway = scene.start();
    let phone = scene.phone();
    let mut wrong = Vec::new();
    for (name, bytes) in &cases {
        let client = scene.client(&gateway, &phone);
        let mut connection = client.connect().unwrap();
        let outcome = connection.send(bytes.as_bytes());
        let refused = match &outcome {
            Outcome::Answer(response) => (400..=431).contains(&response.status) || response.status == 501,
            Outcome::Closed | Outcome::Broken(_) => true,
            Outcome::Alert(_) => false,
        };
        // Nothing that follows on the connection may be taken for a request.
        let after = connection.read_to_end();
        let ended = matches!(after, Outcome::Closed | Outcome::Broken(_));
        if !refused || !ended {
            wrong.push(format!("{name}: {outcome:?}, then {after:?}"));
        }
        let record = gateway.audit.next();
        let reason = record.text("reason");
        let reasons = [
            Reason::BadRequest,
            Reason::BadHost,
            Reason::BadTarget,
            Reason::Misdirected,
            Reason::BodyTooLarge,
        ];
        if !reasons.iter().any(|known| known.as_str() == reason) {
            wrong.push(format!("{name}: recorded as {reason:?}, answer {outcome:?}"));
        }
    }
    let reached: Vec<_> = origin.received().iter().map(|received| received.head.first_line.clone()).collect();
    assert!(!reached.iter().any(|line| line.contains("smuggled")), "{reached:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(scene.client(&gateway, &phone).get(PROFILE).status(), 200);
}

/// RFC 9112 §6.3: with both, the chunks hold, the length goes no further, and nothing after them is read on this connection.
#[test]
fn a_length_beside_chunks_is_dropped_and_the_connection_ends_after_the_answer() {
    let origin = Origin::start();
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    let chunks = "Transfer-Encoding: chunked";
    let lengths = [4, SMUGGLED.len() + 5].map(|length| format!("Content-Length: {length}"));
    let fields =
        lengths.iter().flat_map(|length| [format!("{length}\r\n{chunks}"), format!("{chunks}\r\n{length}")]);
    for (at, fields) in fields.enumerate() {
        let head = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n\r\n");
        let bytes = format!("{head}4\r\nbody\r\n0\r\n\r\n{SMUGGLED}");
        let mut connection = scene.client(&gateway, &scene.phone()).connect().unwrap();
        assert_eq!(connection.send(bytes.as_bytes()).status(), 200);
        assert!(matches!(connection.read_to_end(), Outcome::Closed));
        let received = origin.wait_for(at + 1);
        assert_eq!((received.target(), received.body.bytes.as_slice()), ("/", b"body".as_slice()));
        assert_eq!(received.count("content-length") + received.count("transfer-encoding"), 1);
    }
    assert_eq!(origin.received().len(), 4);
}

/// The accepted twins: odd, and with one reading only.
#[test]
fn what_has_one_reading_only_is_served() {
    let host = format!("Host: {HOST}\r\n");
    let cases = [
        (
            "chunked",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
            "body",
        ),
        (
            "chunked in capitals",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: CHUNKED\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
            "body",
        ),
        (
            "chunk extension",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n4;a=b\r\nbody\r\n0\r\n\r\n"),
            "body",
        ),
        ("a length", format!("POST / HTTP/1.1\r\n{host}Content-Length: 4\r\n\r\nbody"), "body"),
        ("a length with zeros", format!("POST / HTTP/1.1\r\n{host}Content-Length: 0004\r\n\r\nbody"), "body"),
        ("no body", format!("GET / HTTP/1.1\r\n{host}\r\n"), ""),
        ("an empty line first", format!("\r\nGET / HTTP/1.1\r\n{host}\r\n"), ""),
        ("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n".to_owned(), ""),
    ];
    let origin = Origin::start();
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    for (at, (name, bytes, body)) in cases.iter().enumerate() {
        let outcome = scene.client(&gateway, &scene.phone()).send(bytes.as_bytes());
        assert!(
            matches!(&outcome, Outcome::Answer(response) if response.status == 200),
            "{name}: {outcome:?}"
        );
        assert_eq!(origin.wait_for(at + 1).body.bytes, body.as_bytes(), "{name}");
    }
}

/// A pipeline is two requests, each judged, each with its own record.
#[test]
fn a_pipelined_request_is_a_request_of_its_own() {
    let scene = Scene::new();
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut connection = client.connect().unwrap();
    let requests = [client.get_request(PROFILE, &[]), client.get_request("/000e08abcdf0.cfg", &[])].concat();
    assert_eq!(connection.send(&requests).status(), 200);
    assert_eq!(connection.read_answer(b"GET ").status(), 403);
    assert_eq!(gateway.audit.next().number("status"), Some(200));
    assert_eq!(gateway.audit.next().text("reason"), Reason::NoRuleMatched.as_str());
}

#[test]
fn an_expectation_nobody_knows_is_refused_and_the_known_one_is_met() {
    let origin = Origin::start();
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let request = |expect: &str| {
        format!("POST /x HTTP/1.1\r\nHost: {HOST}\r\nExpect: {expect}\r\nContent-Length: 4\r\n\r\nbody")
            .into_bytes()
    };
    assert_eq!(client.send(&request("coffee")).status(), 417);
    assert_eq!(gateway.audit.next().text("reason"), Reason::ExpectationFailed.as_str());
    assert_eq!(client.send(&request("100-continue")).status(), 200);
    assert_eq!(origin.wait_for(1).body.bytes, b"body");
}
