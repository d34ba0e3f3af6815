//! Backends of every kind: what passes through untouched, and what happens when they fail.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    sync::mpsc,
    thread,
};

use harness::{
    client::Outcome,
    gateway::{HOST, PROFILE, Scene},
    http,
    origin::{Origin, Then, hold},
    pki::Template,
};
use policies::Reason;

use crate::verdict::{admitted, answered, forbidden};

/// A gateway before this origin answers with this status for this reason; before a sound one with 200.
fn fails(origin: &Origin, status: u16, reason: Reason) {
    let mut scene = Scene::before(origin.address());
    scene.config.limit("backend-response-timeout = \"300ms\"");
    let gateway = scene.start();
    let record = answered(&gateway, &scene.client(&gateway, &scene.phone()), PROFILE, status);
    assert_eq!(record.text("reason"), reason.as_str(), "{record:?}");
    assert_eq!(record.text("backend"), format!("http://{}", origin.address()));
    let sound = Origin::start();
    let scene = Scene::before(sound.address());
    let gateway = scene.start();
    answered(&gateway, &scene.client(&gateway, &scene.phone()), PROFILE, 200);
}

#[test]
fn a_backend_that_is_down_is_502_and_does_not_stop_the_start() {
    // A port that nobody listens on: it was ours a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scene = Scene::before(port);
    let gateway = scene.start();
    let record = answered(&gateway, &scene.client(&gateway, &scene.phone()), PROFILE, 502);
    assert_eq!(record.text("reason"), Reason::BackendUnreachable.as_str());
    let sound = Origin::start();
    let scene = Scene::before(sound.address());
    let gateway = scene.start();
    answered(&gateway, &scene.client(&gateway, &scene.phone()), PROFILE, 200);
}

/// Each request that fails is on record; the log tells of the outage, once.
#[test]
fn the_log_tells_when_a_backend_cannot_be_reached_and_when_it_can_again() {
    let mut scene = Scene::new();
    scene.config.host().backend = "unix:store.sock".to_owned();
    let mut gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    for _ in 0..3 {
        let record = answered(&gateway, &client, PROFILE, 502);
        assert_eq!(record.text("reason"), Reason::BackendUnreachable.as_str());
    }
    gateway.process.wait_for_log("the backend cannot be reached");
    let origin = UnixListener::bind(scene.folder.join("store.sock")).unwrap();
    let store = thread::spawn(move || {
        let (mut stream, _) = origin.accept().unwrap();
        http::read_head(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    answered(&gateway, &client, PROFILE, 200);
    store.join().unwrap();
    gateway.process.wait_for_log("the backend is reached again");
    let told: Vec<String> =
        gateway.process.log().into_iter().filter(|line| line.contains("gateway::backend")).collect();
    let [warning, end] = &told[..] else { panic!("{told:#?}") };
    for part in ["WARN", "backend=\"unix:", "store.sock\"", "No such file"] {
        assert!(warning.contains(part), "{part} in {warning}");
    }
    for part in ["INFO", "connections.failed=3"] {
        assert!(end.contains(part), "{part} in {end}");
    }
}

#[test]
fn a_backend_that_keeps_silent_is_504() {
    fails(&Origin::serving(|_, stream| hold(stream)), 504, Reason::BackendTimeout);
}

#[test]
fn a_backend_that_closes_without_an_answer_is_502() {
    fails(&Origin::answering(|_| Vec::new()), 502, Reason::BackendClosed);
}

#[test]
fn a_backend_that_speaks_no_http_is_502() {
    fails(
        &Origin::answering(|_| b"220 mail.example.com ESMTP\r\n".to_vec()),
        502,
        Reason::BackendInvalidResponse,
    );
}

/// SEC-66: an answer that can be read in two ways is none.
#[test]
fn a_backend_whose_answer_can_be_read_in_two_ways_is_502() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    fails(&Origin::answering(|_| answer.to_vec()), 502, Reason::BackendInvalidResponse);
}

/// The device sees a broken transfer, never a short file that looks whole.
#[test]
fn an_answer_that_ends_early_ends_the_connection() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf".to_vec()
    });
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    let outcome = scene.client(&gateway, &scene.phone()).get(PROFILE);
    assert!(matches!(outcome, Outcome::Broken(_) | Outcome::Closed), "{outcome:?}");
    let record = gateway.audit.next();
    assert_eq!(record.text("reason"), Reason::BackendClosed.as_str(), "{record:?}");
}

/// A gateway as the TLS backend of another: it asks for a client certificate and has a CA of its own.
#[test]
fn an_https_backend_is_verified_and_sees_our_certificate() {
    let behind = Scene::new();
    let template = Template::server(&["localhost"]);
    behind.server_authority.issue(&template).write(&behind.folder, "server");
    let second = behind.start();
    let mut scene = Scene::new();
    scene.folder.write("backend-ca.pem", behind.server_authority.pem());
    behind.phone().write(&scene.folder, "ours");
    let host = scene.config.host();
    host.backend = format!("https://localhost:{}", second.address().port());
    host.rules = "any-device".to_owned();
    let ours = ["backend-certificate = \"ours-chain.pem\"", "backend-private-key = \"ours-key.pem\""];
    host.lines = ours.map(str::to_owned).to_vec();
    let with_ca = |scene: &mut Scene, file: &str| {
        scene.config.host().lines.truncate(2);
        scene.config.host().lines.push(format!("backend-ca = {file:?}"));
    };
    with_ca(&mut scene, "backend-ca.pem");
    let gateway = scene.start();
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
    assert_eq!(second.audit.next().number("status"), Some(200), "the device's request came through");
    drop(gateway);
    scene.folder.write("other-ca.pem", scene.client_authority.pem());
    with_ca(&mut scene, "other-ca.pem");
    let gateway = scene.start();
    gateway.audit.skip_to_end();
    let record = answered(&gateway, &scene.client(&gateway, &scene.phone()), PROFILE, 502);
    assert_eq!(record.text("reason"), Reason::BackendTls.as_str());
}

#[test]
fn a_unix_socket_is_a_backend() {
    let mut scene = Scene::new();
    let listener = UnixListener::bind(scene.folder.join("backend.sock")).unwrap();
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let head = http::read_head(&mut stream).unwrap().unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            let _ = sender.send(head);
        }
    });
    scene.config.host().backend = "unix:backend.sock".to_owned();
    let gateway = scene.start();
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
    let head = received.recv_timeout(harness::expect::DEADLINE).unwrap();
    assert_eq!(http::field(&head.fields, "host"), Some(HOST));
}

#[test]
fn bodies_and_their_encoding_pass_untouched_both_ways() {
    let body: Vec<u8> = (0..=255_u8).cycle().take(3_000_000).collect();
    let answer = body.clone();
    let origin = Origin::answering(move |_| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", answer.len());
        [head.as_bytes(), &answer].concat()
    });
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    for (at, method) in ["POST", "PUT"].iter().enumerate() {
        let head = format!(
            "{method} /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Encoding: x-ours\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let response = client.send(&[head.as_bytes(), &body].concat()).answer();
        assert_eq!(response.field("content-encoding"), Some("gzip"));
        assert!(response.body == body, "the answer's body is what the backend sent");
        let received = origin.wait_for(at + 1);
        assert_eq!(received.field("content-encoding"), Some("x-ours"));
        assert!(received.body.bytes == body, "the backend's body is what the device sent");
    }
    let record = gateway.audit.next();
    assert_eq!(record.number("bytes"), Some(3_000_000));
}

#[test]
fn a_chunked_body_arrives_whole() {
    let origin = Origin::start();
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    let request = format!(
        "POST /x HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    );
    assert_eq!(scene.client(&gateway, &scene.phone()).send(request.as_bytes()).status(), 200);
    assert_eq!(origin.wait_for(1).body.bytes, b"hello world");
}

/// The first part of an answer is with the device before the backend has said the second.
#[test]
fn answers_stream() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let origin = Origin::serving(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")?;
        let _ = released.lock().unwrap().recv_timeout(harness::expect::DEADLINE);
        stream.write_all(b"later")?;
        Ok(Then::Keep)
    });
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut connection = client.connect().unwrap();
    connection.write(&client.get_request(PROFILE, &[])).unwrap();
    let mut stream = connection.into_reader();
    let head = http::read_head(&mut stream).unwrap().unwrap();
    assert!(head.first_line.contains("200"));
    let mut part = [0; 5];
    stream.read_exact(&mut part).unwrap();
    assert_eq!(&part, b"first");
    release.send(()).unwrap();
    stream.read_exact(&mut part).unwrap();
    assert_eq!(&part, b"later");
}

#[test]
fn connections_to_a_backend_are_kept_and_shared_by_devices() {
    let origin = Origin::start();
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    for _ in 0..5 {
        answered(&gateway, &scene.client(&gateway, &scene.phone()), PROFILE, 200);
    }
    assert_eq!((origin.received().len(), origin.connections()), (5, 1));
}

/// A kept connection that the backend has closed meanwhile is no failure of the next request.
#[test]
fn a_kept_connection_that_went_away_is_replaced() {
    let origin = Origin::serving(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        Ok(Then::Close)
    });
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    for _ in 0..10 {
        answered(&gateway, &scene.client(&gateway, &scene.phone()), PROFILE, 200);
    }
}

#[test]
fn http_1_0_devices_are_answered_and_their_connection_closed() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_vec()
    });
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    let mut connection = scene.client(&gateway, &scene.phone()).connect().unwrap();
    let response =
        connection.send(format!("GET {PROFILE} HTTP/1.0\r\nHost: {HOST}\r\n\r\n").as_bytes()).answer();
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    assert_eq!(response.field("transfer-encoding"), None, "HTTP/1.0 knows no chunks");
    assert!(matches!(connection.read_to_end(), Outcome::Closed));
}

/// A redirect is the backend's to send; a phone follows it at once.
#[test]
fn statuses_of_the_backend_pass_as_they_are() {
    let origin = Origin::answering(|received| {
        let status = received.target().trim_start_matches('/').to_owned();
        format!("HTTP/1.1 {status} X\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    for status in [200, 204, 301, 302, 401, 404, 500, 503] {
        let record = answered(&gateway, &client, &format!("/{status}"), status);
        assert_eq!((record.text("decision"), record.text("reason")), ("permit", ""));
    }
}

#[test]
fn a_folder_answers_get_head_ranges_and_conditions_and_nothing_else() {
    let mut scene = Scene::new();
    scene.config.host().rules = "any-device".to_owned();
    scene.folder.write("profiles/sub/file.cfg", "0123456789");
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let whole = client.get("/sub/file.cfg").answer();
    assert_eq!((whole.status, whole.text().as_str()), (200, "0123456789"));
    let modified = whole.field("last-modified").unwrap().to_owned();
    let head =
        client.send(format!("HEAD /sub/file.cfg HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).answer();
    assert_eq!((head.status, head.field("content-length")), (200, Some("10")));
    let range = client.get_with("/sub/file.cfg", &["Range: bytes=2-4"]).answer();
    assert_eq!(
        (range.status, range.text().as_str(), range.field("content-range")),
        (206, "234", Some("bytes 2-4/10"))
    );
    let fresh = client.get_with("/sub/file.cfg", &[&format!("If-Modified-Since: {modified}")]).answer();
    assert_eq!(fresh.status, 304);
    for (target, status) in
        [("/sub", 404), ("/sub/", 404), ("/", 404), ("/none.cfg", 404), ("/sub/file.cfg/", 404)]
    {
        assert_eq!(client.get(target).status(), status, "{target}");
    }
    for method in ["POST", "PUT"] {
        let request = format!("{method} /sub/file.cfg HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.send(request.as_bytes()).status(), 405, "{method}");
    }
}

#[test]
fn there_is_no_way_out_of_the_folder() {
    let mut scene = Scene::new();
    scene.config.host().rules = "any-device".to_owned();
    std::os::unix::fs::symlink(scene.folder.join("server-key.pem"), scene.folder.join("profiles/link.cfg"))
        .unwrap();
    std::os::unix::fs::symlink(scene.folder.path(), scene.folder.join("profiles/up")).unwrap();
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    for target in [
        "/../server-key.pem",
        "/%2e%2e/server-key.pem",
        "/..%2fserver-key.pem",
        "/x/../../server-key.pem",
        "//server-key.pem",
        "/link.cfg",
        "/up/server-key.pem",
        "/.%00/server-key.pem",
    ] {
        let response = client.get(target).answer();
        assert!(matches!(response.status, 400 | 403 | 404), "{target}: {}", response.status);
        assert!(!response.text().contains("PRIVATE KEY"), "{target}");
    }
    admitted_after_skipping(&scene, &gateway);
}

fn admitted_after_skipping(scene: &Scene, gateway: &harness::gateway::Gateway) {
    gateway.audit.skip_to_end();
    assert_eq!(scene.client(gateway, &scene.phone()).get(PROFILE).status(), 200);
}

/// SEC-31, SEC-44: nothing of the TLS layer's own makes ways around the identity.
#[test]
fn a_forbidden_request_never_reaches_the_backend() {
    let origin = Origin::start();
    let mut scene = Scene::before(origin.address());
    scene.config.host().rules = "own-profile".to_owned();
    let gateway = scene.start();
    forbidden(&gateway, &scene.client(&gateway, &scene.phone()), "/x", 403, Reason::NoRuleMatched);
    assert_eq!(origin.connections(), 0);
}
