//! Connections that idle: what is given up meanwhile is made again, and judged again, for the next request.

use std::time::Duration;

use harness::{
    client::{Client, Connection, Outcome},
    expect::{Peer, all_present, eventually, now},
    gateway::{MAC, PROFILE, Scene, phone_template, profile},
    origin::Origin,
    pki::Template,
};
use policies::Reason;

use crate::engines::{self, LEGACY, MODERN};

/// Longer than a connection idles before it gives up what it can.
const PAUSE: Duration = Duration::from_millis(900);

/// After a pause only the encrypted stream is kept, and nobody notices.
#[test]
fn a_connection_that_idles_without_its_buffers_serves_the_next_request_and_ends_as_any_other() {
    let mut scene = Scene::new();
    scene.config.limit("idle-timeout = \"4s\"");
    let gateway = scene.start();
    for version in [Client::tls12, Client::tls13] {
        let client = version(scene.client(&gateway, &scene.phone()));
        let mut connection = client.connect().unwrap();
        let mut connections = Vec::new();
        for _ in 0..3 {
            assert_eq!(connection.send(&client.get_request(PROFILE, &[])).status(), 200);
            connections.push(gateway.audit.next().text("connection").to_owned());
            connection.idle(PAUSE);
        }
        connections.dedup();
        assert_eq!(connections.len(), 1, "all on one connection");
        assert!(matches!(connection.read_to_end(), Outcome::Closed));
    }
}

#[test]
fn after_a_pause_and_a_reload_the_backend_and_the_record_are_told_what_they_were_told_before() {
    let origin = Origin::start();
    let mut scene = Scene::before(origin.address());
    scene.config.host().headers = vec!["guide".to_owned(), "device".to_owned()];
    let mut gateway = scene.start();
    let client = Client::tls13(scene.client(&gateway, &scene.phone()));
    let mut connection = client.connect().unwrap();
    let mut told = Vec::new();
    for round in 1..=4 {
        assert_eq!(connection.send(&client.get_request(PROFILE, &[])).status(), 200);
        let received = origin.wait_for(round);
        let mut names = received.names_beginning("ssl_");
        names.extend(received.names_beginning("device_"));
        assert!(names.len() > 8, "{names:?}");
        let fields: Vec<_> =
            names.into_iter().map(|name| (received.field(&name).map(str::to_owned), name)).collect();
        let record = gateway.audit.next_where("a request", |record| record.text("event") == "request");
        let facts = ["hello", "tls", "certificate", "device", "host"]
            .map(|part| record.at(part).unwrap_or_else(|| panic!("{part} in {record:?}")).to_string());
        told.push((fields, facts));
        connection.idle(PAUSE);
        if round == 3 {
            gateway.reload();
        }
    }
    let [first, second, paused, reloaded] = &told[..] else { panic!("{told:?}") };
    assert_eq!(first.0, second.0, "what the backend is told, after a pause");
    assert_eq!((&first.1[1..], &second.1[1..]), (&second.1[1..], &paused.1[1..]), "after a pause");
    assert!(
        first.1[0].contains("groups") && !second.1[0].contains("groups"),
        "the first tells more of the hello"
    );
    assert_eq!(second, paused, "after a pause");
    assert_eq!(second, reloaded, "after a pause and a reload");
}

/// The dates are looked at once a minute, and after each pause.
#[test]
fn a_certificate_that_expires_while_its_connection_idles_is_refused_at_the_next_request() {
    let scene = Scene::new();
    let gateway = scene.start();
    for version in [Client::tls12, Client::tls13] {
        let end = now() + 3;
        let short = scene.client_authority.issue(&Template { not_after: end, ..phone_template() });
        let client = version(scene.client(&gateway, &short)).without_resumption();
        let twin = version(scene.client(&gateway, &scene.phone())).without_resumption();
        let (mut connection, mut twins) = (client.connect().unwrap(), twin.connect().unwrap());
        let request = client.get_request(PROFILE, &[]);
        let ask = |connection: &mut Connection| connection.send(&request).answer();
        assert_eq!((ask(&mut connection).status, ask(&mut twins).status), (200, 200));
        gateway.audit.skip_to_end();
        while now() <= end {
            connection.idle(PAUSE);
        }
        let answer = ask(&mut connection);
        assert_eq!((answer.status, answer.field("connection")), (403, Some("close")));
        let record = gateway.audit.next_where("the refusal", |record| record.number("status") == Some(403));
        assert_eq!((record.text("reason"), record.text("device.mac")), (Reason::Expired.as_str(), MAC));
        assert!(matches!(connection.read_to_end(), Outcome::Closed));
        assert_eq!(ask(&mut twins).status, 200, "its certificate is good for longer");
    }
}

/// Both engines give the certificates back that their session holds.
#[test]
fn a_pause_is_the_same_for_a_phone_of_either_engine() {
    let test = "a_pause_is_the_same_for_a_phone_of_either_engine";
    if !all_present(test, &[Peer::Openssl]) {
        return;
    }
    let mut scene = engines::guide(Scene::new());
    scene.config.trust_line("deny = \"deny.txt\"");
    scene.folder.write("deny.txt", "# nobody\n");
    for (offer, engine) in [(MODERN, "modern"), (LEGACY, "legacy")] {
        scene.folder.replace("deny.txt", "# nobody\n");
        let mut gateway = scene.start();
        gateway.audit.skip_to_end();
        let client = engines::client(&gateway, &scene, &engines::rsa_phone(&scene), &offer);
        let mut connection = client.connect();
        for number in 1..=3 {
            assert!(connection.get(PROFILE, &profile(MAC)).starts_with("HTTP/1.1 200 OK"));
            let record = gateway.audit.next();
            assert_eq!((record.text("engine"), record.text("device.mac")), (engine, MAC), "{number}");
            connection.idle(PAUSE);
        }
        scene.folder.replace("deny.txt", format!("mac {MAC}\n"));
        gateway.reload();
        let refusal = connection.get(PROFILE, "request ");
        assert!(refusal.starts_with("HTTP/1.1 403 Forbidden"), "{refusal}");
        let record = gateway.audit.next_where("the refusal", |record| record.number("status") == Some(403));
        assert_eq!(record.text("reason"), Reason::DeniedByList.as_str());
    }
}

/// SEC-56: what is tolerated from now on, which it was not before, is in the records from now on.
#[test]
fn an_exception_that_a_pause_has_made_necessary_is_on_record() {
    let mut scene = Scene::new();
    scene.config.trust_line("allow = [{ expired = \"1y\" }]");
    let gateway = scene.start();
    let end = now() + 3;
    let short = scene.client_authority.issue(&Template { not_after: end, ..phone_template() });
    let client = scene.client(&gateway, &short);
    let mut connection = client.connect().unwrap();
    let request = client.get_request(PROFILE, &[]);
    assert_eq!(connection.send(&request).status(), 200);
    assert!(gateway.audit.next().at("exceptions").is_none());
    while now() <= end {
        connection.idle(PAUSE);
    }
    assert_eq!(connection.send(&request).status(), 200);
    assert_eq!(gateway.audit.next().at("exceptions").unwrap().to_string(), r#"["expired"]"#);
}

/// A phone may send its next request, or half of it, before it has the answer to the last (RFC 9112 §9.3.2).
#[test]
fn the_beginning_of_a_request_that_came_early_is_not_lost_in_a_pause() {
    let mut scene = Scene::new();
    scene.config.limit("header-timeout = \"3s\"");
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let request = client.get_request(PROFILE, &[]);
    for (early, rest) in [(20, true), (request.len() - 1, true), (20, false)] {
        let mut connection = client.connect().unwrap();
        let together = [&request, &request[..early]].concat();
        assert_eq!(connection.send(&together).status(), 200);
        assert_eq!(gateway.audit.next().number("status"), Some(200));
        connection.idle(PAUSE);
        if rest {
            assert_eq!(connection.send(&request[early..]).status(), 200, "{early}");
            assert_eq!(gateway.audit.next().number("status"), Some(200));
            connection.idle(PAUSE);
            assert_eq!(connection.send(&request).status(), 200, "and the one after it");
            gateway.audit.next();
        } else {
            assert!(!matches!(connection.read_answer(&request), Outcome::Broken(_)));
            let reason = Reason::HeaderTimeout.as_str();
            eventually("the end of a head that stays half", || {
                gateway.audit.all_records().into_iter().find(|record| record.text("reason") == reason)
            });
        }
    }
}
