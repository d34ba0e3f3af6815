//! How connections begin: what is offered, what is refused before any certificate, and with which alert.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use harness::{
    client::{Client, Outcome},
    expect::{DEADLINE, eventually},
    gateway::{Gateway, HOST, PROFILE, Scene, phone_template},
    hello::{Answer, Hello, exchange, record, split_over_records},
    pki::{Authority, Credentials, Key, KeyKind},
};
use policies::Reason;

use crate::verdict::{admitted, refused, told};

/// The hello is refused with this alert and reason; the hello changed back gets an answer that is no alert.
fn hello_refused(scene: &Scene, wrong: &Hello, alert: u8, reason: Reason) {
    let gateway = scene.start();
    assert_eq!(exchange(gateway.address(), &wrong.records(), false), Answer::Alert(alert));
    assert_eq!(gateway.audit.next().text("reason"), reason.as_str());
    told(reason, &format!("({alert})"));
    assert_eq!(exchange(gateway.address(), &Hello::tls12(HOST).records(), false), Answer::Record(22));
}

fn reason_after(gateway: &Gateway) -> String {
    gateway.audit.next().text("reason").to_owned()
}

#[test]
fn serves_tls_1_2_and_1_3_with_rsa_and_p256_on_both_sides() {
    for server in [KeyKind::P256, KeyKind::Rsa2048] {
        let scene = Scene::new();
        let template = harness::pki::Template::server(&[HOST]);
        scene.server_authority.issue_for(Key::new(server), &template).write(&scene.folder, "server");
        let gateway = scene.start();
        for device in [KeyKind::P256, KeyKind::Rsa2048, KeyKind::Ed25519] {
            let phone = scene.client_authority.issue_for(Key::new(device), &phone_template());
            let client = scene.client(&gateway, &phone);
            assert_eq!(admitted(&gateway, &client.clone().tls12()).text("tls.version"), "TLSv1.2");
            assert_eq!(admitted(&gateway, &client.tls13()).text("tls.version"), "TLSv1.3");
        }
    }
}

#[test]
fn refuses_a_client_without_a_certificate() {
    let scene = Scene::new();
    let gateway = scene.start();
    for versions in [Client::tls12, Client::tls13] {
        let record = refused(&gateway, &versions(scene.stranger(&gateway)), Reason::NoCertificate);
        assert!(record.at("certificate").is_none(), "absent facts are absent");
        admitted(&gateway, &versions(scene.client(&gateway, &scene.phone())));
    }
}

#[test]
fn refuses_a_certificate_whose_key_the_client_does_not_hold() {
    let scene = Scene::new();
    let gateway = scene.start();
    let phone = scene.phone();
    let stolen = Credentials { key: Key::new(KeyKind::P256).pkcs8(), ..phone.clone() };
    for versions in [Client::tls12, Client::tls13] {
        refused(&gateway, &versions(scene.client(&gateway, &stolen)), Reason::BadHandshakeSignature);
        admitted(&gateway, &versions(scene.client(&gateway, &phone)));
    }
}

#[test]
fn refuses_versions_below_the_policy() {
    let wrong = Hello { version: 0x0301, ..Hello::tls12(HOST) };
    hello_refused(&Scene::new(), &wrong, 70, Reason::VersionNotSupported);
}

#[test]
fn refuses_a_fallback_that_was_not_needed() {
    let mut wrong = Hello::tls12(HOST);
    wrong.suites.push(0x5600);
    hello_refused(&Scene::new(), &wrong, 86, Reason::InappropriateFallback);
}

#[test]
fn refuses_suites_the_policy_does_not_have() {
    // The guide's list, but for the EXPORT suites.
    let suites = vec![0x0039, 0x0035, 0x0033, 0x002f, 0x0005, 0x0004];
    let wrong = Hello { suites, ..Hello::tls12(HOST) };
    let scene = Scene::new();
    hello_refused(&scene, &wrong, 40, Reason::NoSharedSuite);
}

#[test]
fn names_a_client_that_offers_export_suites_alone() {
    let wrong = Hello { suites: vec![0x0062, 0x0060, 0x0003], ..Hello::tls12(HOST) };
    let scene = Scene::new();
    let gateway = scene.start();
    assert_eq!(exchange(gateway.address(), &wrong.records(), false), Answer::Alert(71));
    let record = gateway.audit.next();
    assert_eq!(record.text("reason"), Reason::ExportOnly.as_str());
    let suites = record.at("hello.suites").unwrap().to_string();
    assert!(suites.contains("TLS_RSA_EXPORT_WITH_RC4_40_MD5"), "{suites}");
    let right = Hello { suites: vec![0x0062, 0x0060, 0x0003, 0xc02b], ..wrong };
    assert_eq!(exchange(gateway.address(), &right.records(), false), Answer::Record(22));
}

#[test]
fn refuses_groups_the_policy_does_not_have() {
    let wrong = Hello { groups: vec![0x0016, 0x001e], ..Hello::tls12(HOST) };
    hello_refused(&Scene::new(), &wrong, 40, Reason::NoSharedGroup);
}

#[test]
fn refuses_signature_algorithms_that_the_servers_key_cannot_make() {
    let wrong = Hello { signature_algorithms: vec![0x0201, 0x0203], ..Hello::tls12(HOST) };
    hello_refused(&Scene::new(), &wrong, 40, Reason::NoSharedSignatureAlgorithm);
}

#[test]
fn refuses_a_server_name_no_host_has() {
    let mut scene = Scene::new();
    scene.config.host().names = vec![HOST.to_owned()];
    hello_refused(&scene, &Hello::tls12("other.example.com"), 112, Reason::UnknownServerName);
    // SEC-35: without a name the answer is a refusal too, unless a host takes any.
    std::fs::remove_file(scene.folder.join("audit.jsonl")).unwrap();
    hello_refused(&scene, &Hello { server_name: None, ..Hello::tls12(HOST) }, 112, Reason::UnknownServerName);
}

#[test]
fn refuses_a_hello_that_cannot_be_read() {
    let scene = Scene::new();
    let gateway = scene.start();
    let good = Hello::tls12(HOST).message();
    let mut broken = good.clone();
    // The session id is longer than the rest.
    broken[38] = 0xff;
    assert_eq!(exchange(gateway.address(), &record(&broken), true), Answer::Alert(50));
    assert_eq!(reason_after(&gateway), Reason::HelloMalformed.as_str());
    assert_eq!(exchange(gateway.address(), &record(&good), false), Answer::Record(22));
}

/// After a good hello comes what no handshake has: application data in the clear.
#[test]
fn refuses_a_handshake_that_goes_on_as_none_does() {
    let scene = Scene::new();
    let gateway = scene.start();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(&Hello::tls12(HOST).records()).unwrap();
    stream.write_all(&[23, 3, 3, 0, 3, 1, 2, 3]).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.ends_with(&[21, 3, 3, 0, 2, 2, 10]), "unexpected_message");
    let record = gateway.audit.next();
    assert_eq!(
        (record.text("reason"), record.text("alert")),
        ("handshake_failed", "sent unexpected_message")
    );
    assert_eq!(record.text("reason"), Reason::HandshakeFailed.as_str());
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
}

/// SEC-34, SEC-55.
#[test]
fn refuses_a_hello_beyond_64_kib_and_takes_one_of_60() {
    let scene = Scene::new();
    let gateway = scene.start();
    let with = |padding| Hello { padding, ..Hello::tls12(HOST) }.records();
    assert_eq!(exchange(gateway.address(), &with(60_000), false), Answer::Record(22));
    gateway.audit.next_where("the end of the first hello", |record| record.text("event") == "connection");
    let mut large = with(60_000);
    // The message's length says 70 000: more is announced than is ever taken.
    large[6..9].copy_from_slice(&[0x01, 0x11, 0x70]);
    assert_eq!(exchange(gateway.address(), &large, false), Answer::Alert(22));
    assert_eq!(reason_after(&gateway), Reason::HelloTooLarge.as_str());
}

#[test]
fn tells_a_client_that_speaks_plain_http_so() {
    let scene = Scene::new();
    let gateway = scene.start();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: prov.example.com\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(reason_after(&gateway), Reason::NotTls.as_str());
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
}

#[test]
fn records_the_alert_of_a_client_that_does_not_trust_the_server() {
    let scene = Scene::new();
    let gateway = scene.start();
    let distrustful = Client::new(gateway.address(), &Authority::root("Another Root"), HOST);
    for versions in [Client::tls12, Client::tls13] {
        let outcome = versions(distrustful.clone().presenting(&scene.phone())).get(PROFILE);
        assert!(matches!(outcome, Outcome::Broken(_)), "{outcome:?}");
        let record = gateway.audit.next();
        assert_eq!(record.text("reason"), Reason::ClientAlert.as_str());
        assert_eq!(record.text("alert"), "received unknown_ca");
        admitted(&gateway, &versions(scene.client(&gateway, &scene.phone())));
    }
}

#[test]
fn records_a_client_that_goes_away() {
    let scene = Scene::new();
    let gateway = scene.start();
    drop(TcpStream::connect(gateway.address()).unwrap());
    assert_eq!(reason_after(&gateway), Reason::ClientGone.as_str());
    let hello = Hello::tls12(HOST).records();
    assert_eq!(exchange(gateway.address(), &hello[..hello.len() - 1], true), Answer::End);
    assert_eq!(reason_after(&gateway), Reason::ClientGone.as_str());
    // With the last byte it is a whole hello, and the handshake begins.
    assert_eq!(exchange(gateway.address(), &hello, false), Answer::Record(22));
    assert_eq!(reason_after(&gateway), Reason::ClientGone.as_str());
}

/// SEC-34: wherever the network cuts the hello, over segments and over records, the decision is the same.
#[test]
fn a_hello_cut_anywhere_decides_the_same() {
    let mut scene = Scene::new();
    scene.config.audit.push_str("\nrepeated = \"record\"");
    scene.config.host().names = vec![HOST.to_owned()];
    let gateway = scene.start();
    let phone = scene.phone();
    let whole = admitted(&gateway, &scene.client(&gateway, &phone).without_resumption());
    for cut in (1..=9).chain((10..240).step_by(7)) {
        let segments = scene.client(&gateway, &phone).without_resumption().changing_hello(move |hello| {
            let (first, second) = hello.split_at(cut.min(hello.len() - 1));
            vec![first.to_vec(), second.to_vec()]
        });
        let records = scene
            .client(&gateway, &phone)
            .without_resumption()
            .changing_hello(move |hello| vec![split_over_records(hello, cut.min(hello.len() - 6))]);
        for client in [segments, records] {
            let record = admitted(&gateway, &client);
            // rustls puts its extensions in another order each time, as clients should.
            for fact in ["host", "hello.versions", "hello.suites", "hello.sni", "hello.ja4", "tls", "device"]
            {
                assert_eq!(record.at(fact), whole.at(fact), "cut at {cut}");
            }
        }
        let other = Hello::tls12("other.example.com").records();
        let other = split_over_records(&other, cut.min(other.len() - 6));
        assert_eq!(exchange(gateway.address(), &other, false), Answer::Alert(112), "cut at {cut}");
        assert_eq!(reason_after(&gateway), Reason::UnknownServerName.as_str());
    }
}

/// Byte for byte is the slowest way there is.
#[test]
fn a_hello_byte_by_byte_is_a_hello() {
    let scene = Scene::new();
    let gateway = scene.start();
    let client = scene
        .client(&gateway, &scene.phone())
        .changing_hello(|hello| hello.iter().map(|byte| vec![*byte]).collect());
    admitted(&gateway, &client);
}

/// SEC-28, SEC-35: exact before wildcard before `*`, which also serves clients without a name.
#[test]
fn server_names_select_hosts_exactly_before_by_wildcard_before_any() {
    let mut scene = Scene::new();
    let names = ["*.example.com", HOST, "*"];
    let hosts: Vec<_> = names
        .iter()
        .map(|name| harness::gateway::Host { names: vec![(*name).to_owned()], ..scene.config.host().clone() })
        .collect();
    scene.config.hosts = hosts;
    let template = harness::pki::Template::server(&[HOST, "a.example.com", "b.a.example.com", "example.com"]);
    scene.server_authority.issue(&template).write(&scene.folder, "server");
    let gateway = scene.start();
    let phone = scene.phone();
    let host_of = |name: &str| {
        let client = Client::new(gateway.address(), &scene.server_authority, name).presenting(&phone);
        admitted(&gateway, &client).text("host").to_owned()
    };
    assert_eq!(host_of("a.example.com"), "*.example.com");
    assert_eq!(host_of(HOST), HOST);
    assert_eq!(host_of("PROV.EXAMPLE.COM"), HOST);
    assert_eq!(host_of("example.com"), "*");
    assert_eq!(host_of("b.a.example.com"), "*");
    let nameless = scene.client(&gateway, &phone).without_server_name();
    let outcome = nameless.asking_for("192.0.2.7").get(PROFILE);
    assert!(matches!(outcome, Outcome::Answer(_) | Outcome::Broken(_)), "{outcome:?}");
}

#[test]
fn an_optional_certificate_is_judged_when_it_is_sent_and_not_missed_when_it_is_not() {
    let mut scene = Scene::new();
    scene.config.host().client_auth = "optional".to_owned();
    scene.config.host().rules = "rules.toml".to_owned();
    scene.folder.write(
        "rules.toml",
        "[[rule]]\nname = \"public\"\nallow = [\"GET\"]\npath = [\"/public/{*}\"]\nfor = [\"anonymous\"]\n\
         [[rule]]\nname = \"own\"\nallow = [\"GET\"]\npath = [\"/{mac}.cfg\"]\n",
    );
    scene.folder.write("profiles/public/ca.pem", "ca");
    let gateway = scene.start();
    let record = crate::verdict::answered(&gateway, &scene.stranger(&gateway), "/public/ca.pem", 200);
    assert_eq!(record.text("device.kind"), "anonymous");
    let stranger = scene.stranger(&gateway);
    crate::verdict::forbidden(&gateway, &stranger, PROFILE, 403, Reason::NoRuleMatched);
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
    // SEC-30: a certificate that fails is never as good as none.
    let foreign = Authority::root("Another Root").issue(&phone_template());
    refused(&gateway, &scene.client(&gateway, &foreign), Reason::UnknownIssuer);
}

/// SEC-27: two hosts on one port keep their own trust.
#[test]
fn two_hosts_on_one_port_keep_their_own_anchors() {
    let mut scene = Scene::new();
    let other = Authority::root("Other Client Root");
    scene.folder.write("other-root.pem", other.pem());
    let template = harness::pki::Template::server(&[HOST, "two.example.com"]);
    scene.server_authority.issue(&template).write(&scene.folder, "server");
    let mut second = scene.config.host().clone();
    second.names = vec!["two.example.com".to_owned()];
    second.trust = vec![harness::gateway::Trust::new("other-root.pem", &["cisco-small-business"])];
    scene.config.host().names = vec![HOST.to_owned()];
    scene.config.hosts.push(second);
    let gateway = scene.start();
    let (ours, theirs) = (scene.phone(), other.issue(&phone_template()));
    let at = |name: &str, credentials: &Credentials| {
        Client::new(gateway.address(), &scene.server_authority, name).presenting(credentials)
    };
    admitted(&gateway, &at(HOST, &ours));
    admitted(&gateway, &at("two.example.com", &theirs));
    refused(&gateway, &at(HOST, &theirs), Reason::UnknownIssuer);
    refused(&gateway, &at("two.example.com", &ours), Reason::UnknownIssuer);
}

/// A refusal's alert arrives although the client had more to say: what it sent is drained before the close.
#[test]
fn an_alert_arrives_at_a_client_that_keeps_talking() {
    let mut scene = Scene::new();
    scene.config.audit.push_str("\nrepeated = \"record\"");
    let gateway = scene.start();
    let mut much = Hello { version: 0x0301, ..Hello::tls12(HOST) }.records();
    much.extend(vec![0; 200_000]);
    for _ in 0..20 {
        assert_eq!(exchange(gateway.address(), &much, false), Answer::Alert(70));
    }
    eventually("twenty records", || (gateway.audit.records().len() == 20).then_some(()));
}
