//! OCSP, judged by `openssl ocsp` (CA G7).

use crate::serve::Server;
use crate::stores::{On, on_both_stores};
use crate::support::{Said, Workplace, openssl_is_here};

on_both_stores! {
    g7_openssl_learns_good_revoked_and_unknown_from_a_signer_it_accepts,
    g7_a_get_is_answered_like_a_post_and_may_be_kept,
}

const PHONES: [&str; 3] = ["000e08abcd00", "000e08abcd01", "000e08abcd02"];

/// A server that answers for phones of one kind of key, the first of which is revoked.
fn served(on: On, more: &[&str]) -> (Workplace, Server, &'static str) {
    let here = Workplace::on(on, more);
    let issuer = if more.contains(&"issuing") { "client-issuing" } else { "client-root" };
    let set = ["publication", "set", "http://pki.example.com", "--authority", issuer, "--ocsp"];
    here.run(&set).done();
    for mac in PHONES {
        let phone = ["device", "issue", "--model", "CP-8841-3PCC", "--key", "p256"];
        here.run(&[&phone[..], &["--serial", mac, "--mac", mac]].concat()).done();
    }
    here.run(&["revoke", PHONES[0], "--reason", "keyCompromise"]).done();
    let server = Server::start(&here, &[]);
    (here, server, issuer)
}

/// What `openssl ocsp` says of certificates, with its own judgement of the answer and its signer.
fn ask(here: &Workplace, server: &Server, issuer: &str, more: &[&str]) -> Said {
    let authority = format!("provision-ca/authorities/{issuer}/cert.pem");
    let url = format!("http://{}/ocsp", server.address);
    let options =
        ["ocsp", "-issuer", &authority, "-url", &url, "-CAfile", "provision-ca/trust/client-root.pem"];
    let chain = ["-verify_other", &authority];
    here.openssl(&[&options[..], &chain, more].concat())
}

fn g7_openssl_learns_good_revoked_and_unknown_from_a_signer_it_accepts(on: On) {
    if !openssl_is_here("g7_openssl_learns_good_revoked_and_unknown_from_a_signer_it_accepts") {
        return;
    }
    for more in [&["--key", "p256"][..], &["--shape", "issuing"], &["--key", "rsa2048"]] {
        let (here, server, issuer) = served(on, more);
        for hash in ["-sha1", "-sha256", "-sha384"] {
            let certificate = |mac: &str| format!("provision-ca/devices/{mac}/cert.pem");
            let (revoked, good) = (certificate(PHONES[0]), certificate(PHONES[1]));
            let said = ask(&here, &server, issuer, &[hash, "-cert", &good, "-cert", &revoked]);
            assert!(said.stderr.contains("Response verify OK"), "{}", said.stderr);
            let out = said.done();
            assert!(out.contains(&format!("{good}: good")), "{out}");
            assert!(out.contains(&format!("{revoked}: revoked")), "{out}");
            assert!(out.contains("Reason: keyCompromise"), "{out}");
            for serial in ["0x1", "0x41414141414141414141414141414141"] {
                let out = ask(&here, &server, issuer, &[hash, "-no_nonce", "-serial", serial]).done();
                assert!(out.contains(&format!("{serial}: unknown")), "{out}");
            }
        }
        let text = ask(
            &here,
            &server,
            issuer,
            &["-resp_text", "-cert", "provision-ca/devices/000e08abcd01/cert.pem"],
        );
        let text = text.done();
        assert!(text.contains("OCSP Nonce") && text.contains("Next Update"), "{text}");
        assert!(text.contains("OCSP No Check") && text.contains("OCSP Signing"), "{text}");
        let leaf = here.openssl(&[
            "x509",
            "-in",
            "provision-ca/devices/000e08abcd01/cert.pem",
            "-noout",
            "-ocsp_uri",
        ]);
        assert_eq!(leaf.done().trim(), "http://pki.example.com/ocsp");
        let names = format!("provision-ca/authorities/{issuer}/ocsp");
        let key = here.path(&format!("{names}/key.pem"));
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(key).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "H1");
        // What is revoked while it serves is said at once.
        here.run(&["revoke", PHONES[2]]).done();
        let later = format!("provision-ca/devices/{}/cert.pem", PHONES[2]);
        let out = ask(&here, &server, issuer, &["-cert", &later]).done();
        assert!(out.contains(": revoked"), "{out}");
    }
}

fn g7_a_get_is_answered_like_a_post_and_may_be_kept(on: On) {
    if !openssl_is_here("g7_a_get_is_answered_like_a_post_and_may_be_kept") {
        return;
    }
    let (here, server, issuer) = served(on, &[]);
    let authority = format!("provision-ca/authorities/{issuer}/cert.pem");
    let phone = "provision-ca/devices/000e08abcd01/cert.pem";
    let make = ["ocsp", "-issuer", &authority, "-cert", phone, "-no_nonce", "-reqout", "request.der"];
    here.openssl(&make).done();
    let request = std::fs::read(here.path("request.der")).unwrap();
    let text = pem::encode(&pem::Pem::new("X", &request[..]));
    let base64: String = text.lines().filter(|line| !line.contains("-----")).collect();
    let escaped = base64.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
    for path in [format!("/ocsp/{base64}"), format!("/ocsp/{escaped}")] {
        let answer = server.get(&path);
        assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/ocsp-response")));
        assert!(answer.field("cache-control").unwrap().starts_with("max-age=3600, public"));
        assert!(answer.field("etag").is_some() && answer.field("expires").is_some());
        here.write("response.der", &answer.body);
        let read = ["ocsp", "-respin", "response.der", "-issuer", &authority, "-cert", phone];
        let trust = ["-no_nonce", "-CAfile", "provision-ca/trust/client-root.pem"];
        let said = here.openssl(&[&read[..], &trust].concat());
        assert!(said.stderr.contains("Response verify OK"), "{}", said.stderr);
        assert!(said.done().contains(": good"));
    }
    let post = "POST /ocsp HTTP/1.1\r\nContent-Type: application/ocsp-request";
    let answer = server.send(post, &request);
    assert_eq!((answer.status, answer.field("cache-control")), (200, Some("no-store")));
    for (head, body, status) in [
        (post, vec![0x30; 20_000], 413),
        (post, Vec::new(), 200),
        (post, vec![0xff; 100], 200),
        ("POST /ocsp HTTP/1.1\r\nContent-Type: text/plain", request.clone(), 415),
        ("PUT /ocsp HTTP/1.1", request.clone(), 405),
        ("GET /ocsp HTTP/1.1", Vec::new(), 400),
        ("GET /ocsp/%%% HTTP/1.1", Vec::new(), 400),
        ("GET /ocsp/MAA= HTTP/1.1", Vec::new(), 200),
    ] {
        let answer = server.send(head, &body);
        assert_eq!(answer.status, status, "{head}");
        if status == 200 {
            assert_eq!(answer.body, [0x30, 3, 0x0a, 1, 1], "{head}: malformedRequest");
        }
    }
    server.eventually("/health", |answer| answer.status == 200);
}

#[test]
fn a_responder_is_made_by_hand_where_the_servers_key_is_elsewhere() {
    let here = Workplace::empty(On::Sqlite);
    here.write("pw", "correct horse battery\n");
    let with = |arguments: &[&str]| here.run(&[arguments, &["--passphrase-file", "pw"]].concat());
    with(&["init", "--key", "p256"]).done();
    here.run(&["publication", "set", "http://pki.example.com", "--authority", "client-root", "--ocsp"])
        .done();
    // Nobody made a responder: the server says so, and says nothing of any certificate.
    {
        let server = Server::start(&here, &["--no-publish"]);
        assert_eq!(server.get("/ocsp/MAA=").status, 404);
        let health = server.get("/health");
        assert_eq!(health.status, 503);
        let said = String::from_utf8(health.body).unwrap();
        assert!(said.contains("provision-ca ocsp issue --authority client-root"), "{said}");
    }
    with(&["ocsp", "issue", "--authority", "client-root"]).done();
    with(&["crl", "publish"]).done();
    let key = here.read("provision-ca/authorities/client-root/ocsp/key.pem");
    assert!(key.contains("ENCRYPTED"), "its key is closed as the authority's is");
    let first = here.read("provision-ca/authorities/client-root/ocsp/cert.pem");
    with(&["ocsp", "issue", "--authority", "client-root", "--days", "3"]).done();
    assert_ne!(here.read("provision-ca/authorities/client-root/ocsp/cert.pem"), first);
    assert!(here.run(&["list", "--kind", "responder"]).done().contains("client-root-ocsp"));
    assert!(!here.path("provision-ca/superseded").exists(), "what was replaced is of no use");
    let server = Server::start(&here, &["--no-publish", "--passphrase-file", "pw"]);
    let answer = server.get("/ocsp/MAA=");
    assert_eq!((answer.status, answer.body), (200, vec![0x30, 3, 0x0a, 1, 1]));
}
