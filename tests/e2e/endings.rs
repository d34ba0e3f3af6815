//! However a request or connection ends, it leaves one record, and holds nothing open.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use harness::{
    client::Outcome,
    expect::eventually,
    gateway::{HOST, PROFILE, Scene},
    origin::{Origin, hold},
    pki::{Key, KeyKind, Template},
};

#[test]
fn a_request_given_up_before_its_answer_is_on_record() {
    let origin = Origin::serving(|_, stream| hold(stream));
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut impatient = client.connect().unwrap();
    impatient.write(&client.get_request(PROFILE, &[])).unwrap();
    origin.wait_for(1);
    drop(impatient);
    let record = gateway.audit.next_where("the request", |record| record.text("event") == "request");
    assert_eq!(record.text("reason"), "client_gone");
    assert_eq!(record.text("path"), PROFILE);
    assert_eq!(record.number("status"), None, "nothing was answered");
    assert_eq!(record.text("decision"), "permit", "and it may have reached the backend");
}

#[test]
fn a_request_cut_off_at_the_shutdown_limit_is_on_record() {
    let origin = Origin::serving(|_, stream| hold(stream));
    let mut scene = Scene::before(origin.address());
    scene.config.limit("shutdown-timeout = \"300ms\"");
    let mut gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut running = client.connect().unwrap();
    running.write(&client.get_request(PROFILE, &[])).unwrap();
    origin.wait_for(1);
    assert_eq!(gateway.stop().code(), Some(0));
    let record = gateway.audit.next_where("the request", |record| record.text("event") == "request");
    assert_eq!(record.text("reason"), "shutting_down");
}

#[test]
fn a_client_that_has_asked_nothing_does_not_hold_up_the_end() {
    let scene = Scene::new();
    let mut gateway = scene.start();
    let silent = TcpStream::connect(gateway.address()).unwrap();
    let mut half = TcpStream::connect(gateway.address()).unwrap();
    half.write_all(&[22, 3, 1]).unwrap();
    // Another client's whole request tells that both connections were taken.
    assert_eq!(scene.client(&gateway, &scene.phone()).get(PROFILE).status(), 200);
    let start = Instant::now();
    assert_eq!(gateway.stop().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let reasons: Vec<_> =
        gateway.audit.records().iter().map(|record| record.text("reason").to_owned()).collect();
    assert_eq!(reasons.iter().filter(|reason| *reason == "shutting_down").count(), 2, "{reasons:?}");
    drop(silent);
}

#[test]
fn a_client_that_stops_reading_is_let_go() {
    let large = vec![b'x'; 32 << 20];
    let origin = Origin::answering(move |_| {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", large.len()).into_bytes();
        answer.extend(&large);
        answer
    });
    let mut scene = Scene::before(origin.address());
    scene.config.limit("idle-timeout = \"500ms\"");
    let mut gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut deaf = client.connect().unwrap();
    deaf.write(&client.get_request(PROFILE, &[])).unwrap();
    let record = gateway.audit.next_where("the request", |record| record.text("event") == "request");
    assert_eq!(record.text("reason"), "client_gone");
    assert!(record.number("bytes").unwrap() < 32 << 20);
    let start = Instant::now();
    assert_eq!(gateway.stop().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "its connection was over: {:?}", start.elapsed());
    assert_eq!(gateway.audit.records().len(), 1, "one record for one request");

    // The twin reads, and gets all of it.
    let gateway = scene.start();
    let reader = scene.client(&gateway, &scene.phone());
    let mut reading = reader.connect().unwrap();
    let answer = reading.send(&reader.get_request(PROFILE, &[])).answer();
    assert_eq!((answer.status, answer.body.len()), (200, 32 << 20));
}

#[test]
fn a_hello_with_thousands_of_suites_makes_a_small_record() {
    let scene = Scene::new();
    let gateway = scene.start();
    let suites: Vec<u8> = (0..30_000_u16).flat_map(|_| [0x00, 0x62]).collect();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend(u16::try_from(suites.len()).unwrap().to_be_bytes());
    body.extend(&suites);
    body.extend([1, 0]);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut message = vec![1, length[1], length[2], length[3]];
    message.extend(body);
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    for part in message.chunks(16_000) {
        stream.write_all(&[22, 3, 1]).unwrap();
        stream.write_all(&u16::try_from(part.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(part).unwrap();
    }
    let mut alert = Vec::new();
    stream.read_to_end(&mut alert).unwrap();
    assert_eq!(alert.first(), Some(&21), "an alert");
    let record = eventually("the record", || gateway.audit.records().into_iter().next());
    assert_eq!(record.text("event"), "connection");
    assert!(gateway.audit.bytes().len() < 16 * 1024, "{} bytes", gateway.audit.bytes().len());
}

#[test]
fn the_signature_algorithms_of_a_tls_policy_are_enforced() {
    for (algorithms, served) in
        [("\"rsa_pss_rsae_sha512\"", false), ("\"ecdsa_secp256r1_sha256\", \"rsa_pss_rsae_sha256\"", true)]
    {
        let mut scene = Scene::new();
        scene.folder.write("own.toml", tls_policy(algorithms));
        scene.config.listeners[0].tls = "own.toml".to_owned();
        let gateway = scene.start();
        let outcome = scene.client(&gateway, &scene.phone()).get(PROFILE);
        if served {
            assert_eq!(outcome.status(), 200, "{algorithms}");
        } else {
            assert!(!matches!(outcome, Outcome::Answer(_)), "{algorithms}: {outcome:?}");
            let record = gateway.audit.next();
            assert_eq!(record.text("reason"), "no_shared_signature_algorithm", "{algorithms}");
        }
    }
}

#[test]
fn a_client_that_signs_as_it_was_not_asked_to_is_refused() {
    for (algorithms, served) in
        [("\"rsa_pss_rsae_sha256\"", false), ("\"rsa_pss_rsae_sha256\", \"ecdsa_secp256r1_sha256\"", true)]
    {
        let mut scene = Scene::new();
        scene.folder.write("own.toml", tls_policy(algorithms));
        scene.config.listeners[0].tls = "own.toml".to_owned();
        let server = scene.server_authority.issue_for(Key::new(KeyKind::Rsa2048), &Template::server(&[HOST]));
        let (chain, key) = server.write(&scene.folder, "rsa");
        scene.config.host().certificate = chain.display().to_string();
        scene.config.host().private_key = key.display().to_string();
        let gateway = scene.start();
        // The phone's key is on P-256, which the first policy does not ask for.
        let outcome = scene.client(&gateway, &scene.phone()).get(PROFILE);
        if served {
            assert_eq!(outcome.status(), 200, "{algorithms}");
        } else {
            assert!(!matches!(outcome, Outcome::Answer(_)), "{algorithms}: {outcome:?}");
            assert_eq!(gateway.audit.next().text("reason"), "weak_handshake_signature");
        }
    }
}

fn tls_policy(algorithms: &str) -> String {
    format!(
        "versions = [\"TLSv1.3\"]\nsuites = [\"TLS_AES_128_GCM_SHA256\"]\ngroups = [\"x25519\"]\n\
         signature-algorithms = [{algorithms}]\n"
    )
}
