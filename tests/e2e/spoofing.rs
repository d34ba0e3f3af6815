//! What a client says of itself in a request never reaches a backend as identity (SEC-01 to SEC-13).

use harness::{
    gateway::{Gateway, HOST, MAC, PROFILE, Scene},
    origin::{Origin, Received},
};
use policies::Reason;

/// A phone's request with these lines, as the origin received it.
fn through(scene: &Scene, gateway: &Gateway, origin: &Origin, lines: &[&str]) -> Received {
    let before = origin.received().len();
    let client = scene.client(gateway, &scene.phone());
    assert_eq!(client.get_with(PROFILE, lines).status(), 200);
    origin.wait_for(before + 1)
}

fn all_presets() -> (Scene, Origin) {
    let origin = Origin::start();
    let mut scene = Scene::before(origin.address());
    let presets = ["guide", "broadworks", "rfc9440", "xfcc", "device"];
    scene.config.host().headers = presets.map(str::to_owned).to_vec();
    (scene, origin)
}

/// SEC-02: every character a header name may have is folded, not only the three that CGI and PHP fold.
#[test]
fn a_forged_name_in_any_spelling_is_replaced_or_gone() {
    let (scene, origin) = all_presets();
    let gateway = scene.start();
    let mut forged = Vec::new();
    let separators: Vec<char> = "-_.!#$%&'*+^`|~".chars().collect();
    for first in &separators {
        for second in &separators {
            forged.push(format!("SSL{first}Client{second}Verify: FORGED"));
            forged.push(format!("sSl{first}cLIENT{second}s{first}dN{second}S: FORGED"));
        }
    }
    for names in forged.chunks(60) {
        let lines: Vec<&str> = names.iter().map(String::as_str).collect();
        let received = through(&scene, &gateway, &origin, &lines);
        let raw = String::from_utf8_lossy(&received.head.raw).into_owned();
        assert!(!raw.contains("FORGED"), "{raw}");
        assert_eq!(received.field("ssl-client-verify"), Some("SUCCESS"));
        assert_eq!(received.field("ssl-client-s-dn-s"), Some(MAC));
        assert_eq!(received.names_beginning("ssl_client_verify"), ["ssl-client-verify"]);
    }
}

/// SEC-01, SEC-04: whole families go, also the fields we have nothing to set for.
#[test]
fn every_managed_family_is_stripped_unconditionally() {
    let (scene, origin) = all_presets();
    let gateway = scene.start();
    let names = [
        "SSL-Client-SAN-DNS-0",
        "SSL-Client-Cert",
        "SSL-Client-Anything-Else",
        "X-SSL-Client-CN",
        "X_SSL_Client_Verify",
        "X-SSL-Client-Cert",
        "Device-MAC",
        "Device_Anything",
        "macaddress",
        "MacAddress",
        "Client-Cert",
        "Client_Cert_Chain",
        "X-Forwarded-Client-Cert",
        "x.forwarded.client.cert",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Anything",
        "X-Real-IP",
        "X_Real_Ip",
        "X-Request-Id",
        "SSL-Protocol",
        "SSL-Cipher",
        "SSL-TLS-SNI",
        "SSL-Session-Resumed",
    ];
    let lines: Vec<String> = names.iter().map(|name| format!("{name}: FORGED")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let received = through(&scene, &gateway, &origin, &lines);
    let raw = String::from_utf8_lossy(&received.head.raw).into_owned();
    assert!(!raw.contains("FORGED"), "{raw}");
    assert_eq!(received.count("ssl-client-san-dns-0"), 0, "what the device does not have is absent");
    assert_eq!(received.field("host"), Some(HOST));
    assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(received.field("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(received.field("x-forwarded-proto"), Some("https"));
}

/// SEC-03: injection comes after the removal of hop-by-hop fields, so no request can have ours removed.
#[test]
fn a_name_in_connection_removes_nothing_of_ours() {
    let (scene, origin) = all_presets();
    let gateway = scene.start();
    for nominated in
        ["SSL-Client-Verify", "ssl_client_verify", "SSL.Client.S-DN-S, Device-MAC", "X-Forwarded-For"]
    {
        let connection = format!("Connection: {nominated}");
        let received = through(&scene, &gateway, &origin, &[&connection, "X-Kept: yes"]);
        assert_eq!(received.field("ssl-client-verify"), Some("SUCCESS"), "{nominated}");
        assert_eq!(received.field("ssl-client-s-dn-s"), Some(MAC), "{nominated}");
        assert_eq!(received.field("device-mac"), Some(MAC), "{nominated}");
        assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"), "{nominated}");
        assert_eq!(received.field("x-kept"), Some("yes"));
        let kept = received.field("connection").unwrap_or_default().to_ascii_lowercase();
        assert!(!kept.contains("ssl") && !kept.contains("device"), "{kept}");
    }
    let received = through(
        &scene,
        &gateway,
        &origin,
        &["Connection: X-Mine", "X-Mine: 1", "Keep-Alive: 9", "TE: trailers"],
    );
    for gone in ["x-mine", "keep-alive", "te"] {
        assert_eq!(received.count(gone), 0, "{gone}");
    }
}

/// SEC-03: trailers of a request never reach a backend.
#[test]
fn a_forged_trailer_goes_nowhere() {
    let (scene, origin) = all_presets();
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let request = format!(
        "POST /report HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nTrailer: SSL-Client-S-DN-S\r\n\r\n\
         4\r\nbody\r\n0\r\nSSL-Client-S-DN-S: FORGED\r\nX-Any: FORGED\r\n\r\n"
    );
    assert_eq!(client.send(request.as_bytes()).status(), 200);
    let received = origin.wait_for(1);
    assert_eq!(received.body.bytes, b"body");
    assert!(received.body.trailers.is_empty(), "{:?}", received.body.trailers);
    assert_eq!(received.count("trailer"), 0);
    assert_eq!(received.field("ssl-client-s-dn-s"), Some(MAC));
}

/// SEC-06.
#[test]
fn many_copies_become_one_value() {
    let (scene, origin) = all_presets();
    let gateway = scene.start();
    let lines = [
        "SSL-Client-S-DN-S: a",
        "SSL-Client-S-DN-S: b, c",
        "ssl_client_s_dn_s: d",
        "Client-Cert: :AAAA:",
        "Client-Cert: x",
    ];
    let received = through(&scene, &gateway, &origin, &lines);
    assert_eq!(received.field("ssl-client-s-dn-s"), Some(MAC));
    assert_eq!(received.count("client-cert"), 1);
}

/// SEC-05, SEC-04: without a certificate nothing is derived from one, and nothing forged stays.
#[test]
fn an_anonymous_request_carries_no_identity() {
    let (mut scene, origin) = all_presets();
    scene.config.host().client_auth = "optional".to_owned();
    scene.config.host().rules = "rules.toml".to_owned();
    let rule = "[[rule]]\nname = \"any\"\nallow = [\"GET\"]\npath = [\"/{*}\"]\nfor = [\"anonymous\"]\n";
    scene.folder.write("rules.toml", rule);
    let gateway = scene.start();
    let lines = ["SSL-Client-S-DN-S: 000e08abcdef", "Device-MAC: 000e08abcdef", "macaddress: 000e08abcdef"];
    assert_eq!(scene.stranger(&gateway).get_with(PROFILE, &lines).status(), 200);
    let received = origin.wait_for(1);
    assert_eq!(received.names_beginning("ssl_client_"), ["ssl-client-verify"]);
    assert_eq!(received.field("ssl-client-verify"), Some("NONE"));
    let raw = String::from_utf8_lossy(&received.head.raw).to_lowercase();
    assert!(!raw.contains(MAC) || raw.matches(MAC).count() == 1, "only the path names the device: {raw}");
    for absent in ["macaddress", "client-cert", "client-cert-chain", "x-forwarded-client-cert", "device-mac"]
    {
        assert_eq!(received.count(absent), 0, "{absent}");
    }
}

/// SEC-09: a request that leaves no room for our fields fails; it is not forwarded without them.
#[test]
fn a_request_without_room_for_identity_fields_is_not_forwarded() {
    let (mut scene, origin) = all_presets();
    scene.config.limit("header-count = 1000");
    scene.config.limit("header-size = \"64KiB\"");
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let lines = |count: usize| (0..count).map(|at| format!("X-{at}: y")).collect::<Vec<_>>();
    let send = |count| {
        let lines = lines(count);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        client.get_with(PROFILE, &lines).status()
    };
    assert_eq!(send(600), 500);
    assert_eq!(gateway.audit.next().text("reason"), Reason::IdentityFieldsFailed.as_str());
    assert!(origin.received().is_empty());
    assert_eq!(send(60), 200);
    assert_eq!(origin.wait_for(1).field("ssl-client-verify"), Some("SUCCESS"));
}

/// SEC-68.
#[test]
fn a_backend_cannot_set_managed_names_toward_the_device() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSSL-Client-Verify: x\r\nssl_client_s_dn: x\r\nDevice-MAC: x\r\n\
          X-Forwarded-Client-Cert: x\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Mine: 1\r\nContent-Encoding: gzip\r\n\r\n"
            .to_vec()
    });
    let scene = Scene::before(origin.address());
    let gateway = scene.start();
    let answer = scene.client(&gateway, &scene.phone()).get(PROFILE).answer();
    for gone in ["ssl-client-verify", "ssl_client_s_dn", "device-mac", "x-forwarded-client-cert", "x-hop"] {
        assert_eq!(answer.field(gone), None, "{gone}");
    }
    assert_eq!((answer.field("x-mine"), answer.field("content-encoding")), (Some("1"), Some("gzip")));
}
