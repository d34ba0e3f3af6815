//! How a phone proves its key, on both engines, and what of that may be remembered: signatures too weak to trust, and
//! sessions that rest on them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use harness::{
    expect::{Peer, all_present},
    gateway::{MAC, PROFILE, Scene},
    openssl::SClient,
    pki::{Authority, Key, KeyKind, Name, Template, attribute},
};
use policies::Reason;

use crate::engines::{LEGACY, MODERN, client, guide, rsa_phone};

/// A SHA-1 signature on a TLS 1.2 handshake: taken below an anchor that allows it, on either engine, and recorded.
#[test]
fn a_sha1_proof_is_taken_only_where_the_trust_entry_allows_sha1() {
    if !all_present("a_sha1_proof_is_taken_only_where_the_trust_entry_allows_sha1", &[Peer::Openssl]) {
        return;
    }
    let mut allowing = guide(Scene::new());
    allowing.config.trust_line("allow = [\"sha1\"]");
    let strict = guide(Scene::new());
    strict.folder.replace("client-root.pem", allowing.client_authority.pem());
    let phone = rsa_phone(&allowing);
    let sha1 = ["-client_sigalgs", "RSA+SHA1"];
    let (with, without) = (allowing.start(), strict.start());
    for (offer, engine) in [(MODERN, "modern"), (LEGACY, "legacy")] {
        let answer = client(&with, &allowing, &phone, &offer).with(&sha1).get(PROFILE);
        assert!(answer.out.contains("200 OK"), "{engine}: {answer:?} {:?}", with.audit.records().last());
        let record = with.audit.next();
        assert_eq!(record.text("engine"), engine);
        assert_eq!(record.at("exceptions").unwrap().to_string(), "[\"sha1\"]", "{engine}");

        let answer = client(&without, &strict, &phone, &offer).with(&sha1).get(PROFILE);
        assert!(!answer.out.contains("200 OK"), "{engine}: {answer:?}");
        let record = without.audit.next();
        assert_eq!(record.text("engine"), engine);
        if engine == "legacy" {
            // The policy itself names SHA-1, for what the server signs, and so asks clients for it too.
            assert_eq!(record.text("reason"), Reason::WeakHandshakeSignature.as_str(), "{record:?}");
            assert_eq!(record.text("alert"), "sent handshake_failure");
            assert_eq!(record.text("certificate.sha256"), phone.fingerprint());
        }

        let answer = client(&without, &strict, &phone, &offer).get(PROFILE);
        assert!(answer.out.contains("200 OK"), "{engine}: the twin signs with SHA-256: {answer:?}");
        assert!(without.audit.next().at("exceptions").is_none());
    }
}

/// What let the client in is allowed anew each time: such a session is not resumed, and an open connection ends with it.
#[test]
fn a_sha1_proof_is_not_resumed_and_does_not_outlive_its_permission() {
    if !all_present("a_sha1_proof_is_not_resumed_and_does_not_outlive_its_permission", &[Peer::Openssl]) {
        return;
    }
    let mut scene = guide(Scene::new());
    scene.config.trust_line("allow = [\"sha1\"]");
    let gateway = scene.start();
    let phone = rsa_phone(&scene);
    for offer in [MODERN, LEGACY] {
        for (sigalgs, resumed) in [("RSA+SHA1", false), ("RSA+SHA256", true)] {
            let client = || client(&gateway, &scene, &phone, &offer).with(&["-client_sigalgs", sigalgs]);
            let first = client();
            let session = first.file("session.pem");
            let first = first.with(&["-sess_out", &session]);
            assert!(first.get(PROFILE).out.contains("200 OK"));
            gateway.audit.next();
            let kept = std::path::Path::new(&session).is_file();
            let again = client();
            let again = if kept { again.with(&["-sess_in", &session]) } else { again };
            assert!(again.get(PROFILE).out.contains("200 OK"), "{offer:?} {sigalgs}");
            let record = gateway.audit.next();
            assert_eq!(record.boolean("tls.resumed"), Some(resumed), "{offer:?} {sigalgs}");
            assert_eq!(record.at("exceptions").is_some(), !resumed, "{offer:?} {sigalgs}");
        }
    }
}

/// A phone that comes back with a session and is not welcome any more gets a full handshake, and its alert, the time after.
#[test]
fn a_refused_session_is_forgotten_and_the_next_refusal_has_its_alert() {
    if !all_present("a_refused_session_is_forgotten_and_the_next_refusal_has_its_alert", &[Peer::Openssl]) {
        return;
    }
    let tls13: &[&str] = &["-tls1_3"];
    for (offer, alert) in
        [(&MODERN[..], "access_denied"), (&LEGACY, "handshake_failure"), (tls13, "access_denied")]
    {
        let mut scene = guide(Scene::new());
        scene.config.trust_line("deny = \"deny.txt\"");
        scene.folder.write("deny.txt", "# nobody\n");
        let mut gateway = scene.start();
        let phone = rsa_phone(&scene);
        let first = client(&gateway, &scene, &phone, offer);
        let session = first.file("session.pem");
        let first = first.with(&["-sess_out", &session]);
        assert!(first.get(PROFILE).out.contains("200 OK"));
        gateway.audit.next();
        scene.folder.replace("deny.txt", format!("mac {MAC}\n"));
        gateway.reload();
        let again = || client(&gateway, &scene, &phone, offer).with(&["-sess_in", &session]).get(PROFILE);
        again();
        let record = gateway.audit.next();
        assert_eq!((record.text("reason"), record.boolean("tls.resumed")), ("denied_by_list", Some(true)));
        again();
        let record = gateway.audit.next();
        assert_eq!(record.text("reason"), "denied_by_list");
        assert!(record.at("tls").is_none(), "refused inside a full handshake: {record:?}");
        assert_eq!(record.text("alert"), format!("sent {alert}"));
    }
}

/// Passes bytes between a client and the gateway, and writes another signature algorithm into the client's
/// CertificateVerify, which goes in the clear before TLS 1.3.
fn through_a_forger(to: SocketAddr, scheme: [u8; 2]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(to).unwrap();
        let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(std::net::Shutdown::Write);
        });
        let (mut client, mut server) = (client, server);
        let mut header = [0; 5];
        while client.read_exact(&mut header).is_ok() {
            let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
            client.read_exact(&mut body).unwrap();
            if header[0] == 22 && body[0] == 15 {
                body[4..6].copy_from_slice(&scheme);
            }
            if server.write_all(&[header.as_slice(), &body].concat()).is_err() {
                return;
            }
        }
        let _ = server.shutdown(std::net::Shutdown::Write);
    });
    address
}

#[test]
fn md5_alone_in_a_tls_1_2_proof_is_refused_whatever_is_allowed() {
    if !all_present("md5_alone_in_a_tls_1_2_proof_is_refused_whatever_is_allowed", &[Peer::Openssl]) {
        return;
    }
    let mut scene = guide(Scene::new());
    scene.config.trust_line("allow = [\"sha1\", \"md5\", \"rsa-1024\"]");
    let gateway = scene.start();
    let phone = rsa_phone(&scene);
    for offer in [MODERN, LEGACY] {
        for (scheme, reason) in [
            ([1, 1], Some(Reason::WeakHandshakeSignature)),
            // Named as SHA-384, it is a signature that does not verify; named as what it is, it does.
            ([5, 1], Some(Reason::BadHandshakeSignature)),
            ([4, 1], None),
        ] {
            let address = through_a_forger(gateway.address(), scheme);
            let client = SClient::new(address, &scene.server_authority)
                .presenting(&phone)
                .with(&offer)
                .with(&["-client_sigalgs", "RSA+SHA256"]);
            let answer = client.get(PROFILE);
            let record = gateway.audit.next();
            assert_eq!(
                record.at("reason").and_then(|reason| reason.as_str()),
                reason.map(Reason::as_str),
                "{record:?}"
            );
            assert_eq!(answer.out.contains("200 OK"), reason.is_none(), "{answer:?}");
        }
    }
}

/// On the modern engine, which does not ask for SHA-1 here, a client that keeps to the protocol never comes to it.
#[test]
fn a_sha1_proof_that_nobody_allowed_is_refused_by_name_on_both() {
    if !all_present("a_sha1_proof_that_nobody_allowed_is_refused_by_name_on_both", &[Peer::Openssl]) {
        return;
    }
    let mut scene = guide(Scene::new());
    scene.config.trust_line("allow = [\"md5\", \"rsa-1024\"]");
    let gateway = scene.start();
    let phone = rsa_phone(&scene);
    for offer in [MODERN, LEGACY] {
        for (scheme, reason) in [([2, 1], Some(Reason::WeakHandshakeSignature)), ([4, 1], None)] {
            let client = SClient::new(through_a_forger(gateway.address(), scheme), &scene.server_authority)
                .presenting(&phone)
                .with(&offer)
                .with(&["-client_sigalgs", "RSA+SHA256"]);
            let answer = client.get(PROFILE);
            let record = gateway.audit.next();
            let found = record.at("reason").and_then(|reason| reason.as_str());
            assert_eq!(found, reason.map(Reason::as_str), "{offer:?}: {record:?}");
            assert_eq!(answer.out.contains("200 OK"), reason.is_none(), "{offer:?}: {answer:?}");
        }
    }
}

/// SEC-45: a client cannot fill the store, or a ticket, with certificates that nobody needs.
#[test]
fn a_session_with_an_oversized_chain_is_not_kept() {
    if !all_present("a_session_with_an_oversized_chain_is_not_kept", &[Peer::Openssl]) {
        return;
    }
    let scene = guide(Scene::new());
    let gateway = scene.start();
    let long = "x".repeat(200);
    let stranger = || {
        let mut template = Template::authority("Stranger");
        template.subject =
            (0..8).fold(Name::common("Stranger"), |name, _| name.with(attribute::ORGANIZATIONAL_UNIT, &long));
        Authority::root_with(Key::new(KeyKind::P256), template).certificate().to_vec()
    };
    for (others, resumed) in [(0, true), (3, false)] {
        let mut phone = rsa_phone(&scene);
        phone.chain.extend((0..others).map(|_| stranger()));
        for offer in [MODERN, LEGACY] {
            let first = client(&gateway, &scene, &phone, &offer);
            let session = first.file("session.pem");
            let first = first.with(&["-sess_out", &session]);
            let answer = first.get(PROFILE);
            assert!(
                answer.out.contains("200 OK"),
                "{offer:?}, {others} more: {answer:?} {:?}",
                gateway.audit.records().last()
            );
            gateway.audit.next();
            let kept = std::path::Path::new(&session).is_file();
            let again = client(&gateway, &scene, &phone, &offer);
            let again = if kept { again.with(&["-sess_in", &session]) } else { again };
            assert!(again.get(PROFILE).out.contains("200 OK"), "{offer:?}");
            assert_eq!(
                gateway.audit.next().boolean("tls.resumed"),
                Some(resumed),
                "{offer:?}, {others} more"
            );
        }
    }
}
