//! Each limit, and that slow clients hold nobody else up.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use harness::{
    client::Outcome,
    expect::{DEADLINE, eventually},
    gateway::{Gateway, HOST, PROFILE, Scene},
    hello::Hello,
    origin::Origin,
};
use policies::Reason;

use crate::verdict::admitted;

/// Reads until the gateway closes; gives how long that took.
fn closed_after(stream: &mut TcpStream) -> Duration {
    let start = Instant::now();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    start.elapsed()
}

fn next_reason(gateway: &Gateway) -> String {
    gateway.audit.next().text("reason").to_owned()
}

#[test]
fn a_client_that_says_nothing_is_closed_after_the_handshake_timeout() {
    let mut scene = Scene::new();
    scene.config.limit("handshake-timeout = \"400ms\"");
    let gateway = scene.start();
    for sent in [&b""[..], b"\x16\x03\x01", &Hello::tls12(HOST).records()[..40]] {
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        stream.write_all(sent).unwrap();
        closed_after(&mut stream);
        assert_eq!(next_reason(&gateway), Reason::HelloTimeout.as_str());
    }
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
}

#[test]
fn a_client_that_stops_in_the_handshake_is_closed_after_the_handshake_timeout() {
    let mut scene = Scene::new();
    scene.config.limit("handshake-timeout = \"400ms\"");
    let gateway = scene.start();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.write_all(&Hello::tls12(HOST).records()).unwrap();
    closed_after(&mut stream);
    assert_eq!(next_reason(&gateway), Reason::HandshakeTimeout.as_str());
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
}

#[test]
fn a_header_that_does_not_come_is_given_up() {
    let mut scene = Scene::new();
    scene.config.limit("header-timeout = \"400ms\"");
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut connection = client.connect().unwrap();
    let whole = client.get_request(PROFILE, &[]);
    connection.write(&whole[..whole.len() - 2]).unwrap();
    match connection.read_answer(b"GET ") {
        Outcome::Answer(response) => assert_eq!(response.status, 408),
        Outcome::Closed => {}
        other @ (Outcome::Alert(_) | Outcome::Broken(_)) => panic!("{other:?}"),
    }
    assert_eq!(next_reason(&gateway), Reason::HeaderTimeout.as_str());
    assert_eq!(client.send(&whole).status(), 200);
}

/// This is no refusal: the device asks again when it wants to.
#[test]
fn an_idle_connection_is_closed_without_complaint() {
    let mut scene = Scene::new();
    scene.config.limit("idle-timeout = \"300ms\"");
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut connection = client.connect().unwrap();
    assert_eq!(connection.send(&client.get_request(PROFILE, &[])).status(), 200);
    assert!(matches!(connection.read_to_end(), Outcome::Closed));
    assert_eq!(gateway.audit.next().number("status"), Some(200));
    admitted(&gateway, &client);
    assert_eq!(gateway.audit.records().len(), 2, "an idle end is no refusal");
}

#[test]
fn a_header_beyond_the_limits_is_refused_and_one_within_is_served() {
    let mut scene = Scene::new();
    scene.config.limit("header-size = \"4KiB\"");
    scene.config.limit("header-count = 20");
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let long = |bytes: usize| vec![format!("X-Long: {}", "x".repeat(bytes))];
    let many = |count: usize| (0..count).map(|at| format!("X-{at}: y")).collect();
    for (lines, status) in [(long(3000), 200), (long(6000), 431), (many(15), 200), (many(25), 431)] {
        let lines: Vec<String> = lines;
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(client.get_with(PROFILE, &lines).status(), status);
        let record = gateway.audit.next();
        let reason = if status == 431 { Reason::HeadersTooLarge.as_str() } else { "" };
        assert_eq!(record.text("reason"), reason, "{record:?}");
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_declared_or_not() {
    let origin = Origin::start();
    let mut scene = Scene::before(origin.address());
    scene.config.limit("body-size = \"10KiB\"");
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let declared = |bytes: usize| {
        let head = format!("POST /x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {bytes}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; bytes]].concat()
    };
    let chunked = |bytes: usize| {
        let head = format!("POST /x HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunks = format!("{:x}\r\n{}\r\n", 1024, "x".repeat(1024)).repeat(bytes / 1024);
        format!("{head}{chunks}0\r\n\r\n").into_bytes()
    };
    for request in [declared(10 * 1024), chunked(10 * 1024)] {
        assert_eq!(client.send(&request).status(), 200);
        assert_eq!(next_reason(&gateway), "");
    }
    for request in [declared(10 * 1024 + 1), chunked(11 * 1024)] {
        assert_eq!(client.send(&request).status(), 413);
        assert_eq!(next_reason(&gateway), Reason::BodyTooLarge.as_str());
    }
}

#[test]
fn a_body_below_the_least_rate_is_given_up() {
    let origin = Origin::start();
    let mut scene = Scene::before(origin.address());
    scene.config.limit("min-body-rate = 100000");
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let head = format!("POST /x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n\r\n");
    let mut connection = client.connect().unwrap();
    assert_eq!(connection.send(format!("{head}whole").as_bytes()).status(), 200);
    assert_eq!(next_reason(&gateway), "");
    let response = connection.send(format!("{head}hal").as_bytes()).answer();
    assert_eq!(response.status, 408);
    assert_eq!(next_reason(&gateway), Reason::BodyTooSlow.as_str());
}

#[test]
fn connections_beyond_the_limit_are_turned_away_until_one_ends() {
    for (limit, reason) in [
        ("connections = 1", Reason::TooManyConnections),
        ("connections-per-address = 1", Reason::TooManyConnectionsFromAddress),
    ] {
        let mut scene = Scene::new();
        scene.config.limit(limit);
        let gateway = scene.start();
        let client = scene.client(&gateway, &scene.phone());
        let mut first = client.connect().unwrap();
        assert_eq!(first.send(&client.get_request(PROFILE, &[])).status(), 200);
        gateway.audit.next();
        let outcome = client.get(PROFILE);
        assert!(matches!(outcome, Outcome::Closed | Outcome::Broken(_)), "{outcome:?}");
        assert_eq!(next_reason(&gateway), reason.as_str());
        drop(first);
        // The place is free as soon as the gateway has seen the end.
        eventually("a free place", || matches!(client.get(PROFILE), Outcome::Answer(_)).then_some(()));
    }
}

/// The place is held by a client that stalls in its handshake, for a quarter of a second.
#[test]
fn a_client_that_waits_too_long_for_its_turn_is_given_up() {
    for (timeout, refused) in [("100ms", true), ("10s", false)] {
        let mut scene = Scene::new();
        scene.config.limit("handshakes = 1");
        scene.config.limit(&format!("handshake-queue-timeout = \"{timeout}\""));
        let gateway = scene.start();
        let client = scene.client(&gateway, &scene.phone());
        let stalling = stalling(&gateway);
        let outcome = client.get(PROFILE);
        assert_eq!(matches!(outcome, Outcome::Answer(_)), !refused, "{outcome:?}");
        if refused {
            assert_eq!(next_reason(&gateway), Reason::TooManyHandshakes.as_str());
        }
        drop(stalling);
        eventually("a free place", || matches!(client.get(PROFILE), Outcome::Answer(_)).then_some(()));
    }
}

/// Six stalling clients before it hold the only place for a second and a half.
#[test]
fn waiting_for_a_turn_is_not_counted_against_the_client() {
    let mut scene = Scene::new();
    scene.config.limit("handshakes = 1");
    scene.config.limit("handshake-timeout = \"1200ms\"");
    let gateway = scene.start();
    let _first = stalling(&gateway);
    let _others: Vec<_> = (0..5).map(|_| greeting(&gateway)).collect();
    assert_eq!(scene.client(&gateway, &scene.phone()).get(PROFILE).status(), 200);
}

/// A client that has sent its hello.
fn greeting(gateway: &Gateway) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.write_all(&Hello::tls12(HOST).records()).unwrap();
    stream
}

/// A client whose handshake has begun and does not go on.
fn stalling(gateway: &Gateway) -> TcpStream {
    let mut stream = greeting(gateway);
    stream.read_exact(&mut [0]).unwrap();
    stream
}

/// Fifty clients that stall in every phase hold up nobody.
#[test]
fn slow_clients_do_not_hold_others_up() {
    let mut scene = Scene::new();
    scene.config.limit("handshakes = 2");
    let gateway = scene.start();
    let hello = Hello::tls12(HOST).records();
    let stalled: Vec<TcpStream> = (0..48)
        .map(|at| {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            stream.write_all(&hello[..hello.len() * (at % 3) / 2]).unwrap();
            stream
        })
        .collect();
    let client = scene.client(&gateway, &scene.phone());
    let mut slow = client.connect().unwrap();
    slow.write(b"GET / HT").unwrap();
    let start = Instant::now();
    admitted(&gateway, &client);
    assert!(start.elapsed() < Duration::from_secs(8), "took {:?}", start.elapsed());
    drop(stalled);
}
