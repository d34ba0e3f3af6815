//! curl and `openssl s_client` as devices: both TLS versions, both kinds of key, with and without a server name, resumed;
//! and the alerts they report.

use harness::{
    curl::Curl,
    expect::{Peer, all_present, now},
    gateway::{Gateway, HOST, PROFILE, Scene, phone_template},
    openssl::SClient,
    pki::{Authority, Key, KeyKind, Template},
};
use policies::Reason;

fn scene_with(server: KeyKind) -> Scene {
    let scene = Scene::new();
    let certificate = Template::server(&[HOST]);
    scene.server_authority.issue_for(Key::new(server), &certificate).write(&scene.folder, "server");
    scene
}

fn last(gateway: &Gateway) -> harness::audit::Record {
    gateway.audit.next()
}

#[test]
fn curl_is_served_over_both_versions_with_both_keys_with_and_without_a_name() {
    if !all_present("curl_is_served_over_both_versions_with_both_keys_with_and_without_a_name", &[Peer::Curl])
    {
        return;
    }
    for server in [KeyKind::Rsa2048, KeyKind::P256] {
        let scene = scene_with(server);
        let gateway = scene.start();
        for device in [KeyKind::Rsa2048, KeyKind::P256] {
            let phone = scene.client_authority.issue_for(Key::new(device), &phone_template());
            for (version, arguments) in [
                ("TLSv1.2", ["--tlsv1.2", "--tls-max", "1.2"]),
                ("TLSv1.3", ["--tlsv1.3", "--tls-max", "1.3"]),
            ] {
                let curl = || {
                    Curl::new(gateway.address(), &scene.server_authority).presenting(&phone).with(&arguments)
                };
                let got = curl().get_one(PROFILE);
                assert_eq!(got.status, 200, "{got:?}");
                let record = last(&gateway);
                assert_eq!((record.text("tls.version"), record.text("hello.sni")), (version, HOST));
                let got = curl().without_server_name().get_one(PROFILE);
                assert_eq!(got.status, 200, "{got:?}");
                assert!(last(&gateway).at("hello.sni").is_none());
            }
        }
    }
}

#[test]
fn curl_that_names_http_1_0_alone_in_its_hello_is_served() {
    if !all_present("curl_that_names_http_1_0_alone_in_its_hello_is_served", &[Peer::Curl]) {
        return;
    }
    let scene = Scene::new();
    let gateway = scene.start();
    let curl = || Curl::new(gateway.address(), &scene.server_authority).presenting(&scene.phone());
    for arguments in [["--http1.0"], ["--http1.1"], ["--no-alpn"]] {
        let got = curl().with(&arguments).get_one(PROFILE);
        assert_eq!(got.status, 200, "{arguments:?}: {got:?}");
        assert_eq!(last(&gateway).number("status"), Some(200));
    }
}

#[test]
fn curl_keeps_its_connection_and_is_judged_each_time() {
    if !all_present("curl_keeps_its_connection_and_is_judged_each_time", &[Peer::Curl]) {
        return;
    }
    let scene = Scene::new();
    let gateway = scene.start();
    let curl = Curl::new(gateway.address(), &scene.server_authority).presenting(&scene.phone());
    let got = curl.get(&[PROFILE, "/000e08abcdf0.cfg", PROFILE]);
    assert_eq!(got.iter().map(|got| got.status).collect::<Vec<_>>(), [200, 403, 200]);
    let records = [(); 3].map(|()| last(&gateway));
    assert!(records.iter().all(|record| record.text("connection") == records[0].text("connection")));
}

#[test]
fn openssl_is_served_over_both_versions_with_both_keys_with_and_without_a_name() {
    if !all_present(
        "openssl_is_served_over_both_versions_with_both_keys_with_and_without_a_name",
        &[Peer::Openssl],
    ) {
        return;
    }
    for server in [KeyKind::Rsa2048, KeyKind::P256] {
        let scene = scene_with(server);
        let gateway = scene.start();
        for device in [KeyKind::Rsa2048, KeyKind::P256] {
            let phone = scene.client_authority.issue_for(Key::new(device), &phone_template());
            for (version, argument) in [("TLSv1.2", "-tls1_2"), ("TLSv1.3", "-tls1_3")] {
                let client = || {
                    SClient::new(gateway.address(), &scene.server_authority)
                        .presenting(&phone)
                        .with(&[argument])
                };
                let got = client().get(PROFILE);
                assert!(got.out.contains("HTTP/1.1 200"), "{got:?}");
                assert_eq!(last(&gateway).text("tls.version"), version);
                let got = client().without_server_name().get(PROFILE);
                assert!(got.out.contains("HTTP/1.1 200"), "{got:?}");
                assert!(last(&gateway).at("hello.sni").is_none());
            }
        }
    }
}

#[test]
fn openssl_resumes_over_both_versions() {
    if !all_present("openssl_resumes_over_both_versions", &[Peer::Openssl]) {
        return;
    }
    let scene = Scene::new();
    let gateway = scene.start();
    for version in ["-tls1_2", "-tls1_3"] {
        let phone = scene.phone();
        let client =
            || SClient::new(gateway.address(), &scene.server_authority).presenting(&phone).with(&[version]);
        let first = client();
        let session = first.file("session.pem");
        let got = first.with(&["-sess_out", &session]);
        assert!(got.get(PROFILE).out.contains("HTTP/1.1 200"));
        assert_eq!(last(&gateway).boolean("tls.resumed"), Some(false));
        let resumed = client().with(&["-sess_in", &session]).get(PROFILE);
        assert!(resumed.out.contains("HTTP/1.1 200") && resumed.out.contains("Reused, TLSv1"), "{resumed:?}");
        assert_eq!(last(&gateway).boolean("tls.resumed"), Some(true));
        drop(got);
    }
}

/// SEC-39: a session made at one host is offered to another on the same port, whose trust differs: a full handshake.
#[test]
fn a_session_of_one_host_is_not_resumed_at_another() {
    if !all_present("a_session_of_one_host_is_not_resumed_at_another", &[Peer::Openssl]) {
        return;
    }
    let mut scene = Scene::new();
    let certificate = Template::server(&[HOST, "two.example.com"]);
    scene.server_authority.issue(&certificate).write(&scene.folder, "server");
    let mut second = scene.config.host().clone();
    second.names = vec!["two.example.com".to_owned()];
    let other = Authority::root("Other Client Root");
    scene.folder.write("other-root.pem", other.pem());
    second.trust = vec![harness::gateway::Trust::new("other-root.pem", &["cisco-small-business"])];
    scene.config.hosts.push(second);
    let gateway = scene.start();
    for version in ["-tls1_2", "-tls1_3"] {
        let phone = scene.phone();
        let client =
            || SClient::new(gateway.address(), &scene.server_authority).presenting(&phone).with(&[version]);
        let first = client();
        let session = first.file("session.pem");
        let first = first.with(&["-sess_out", &session]);
        assert!(first.get(PROFILE).out.contains("HTTP/1.1 200"));
        last(&gateway);
        let elsewhere = client().with(&["-sess_in", &session, "-servername", "two.example.com"]).get(PROFILE);
        assert!(!elsewhere.out.contains("HTTP/1.1 200"), "{elsewhere:?}");
        assert_eq!(
            last(&gateway).text("reason"),
            Reason::UnknownIssuer.as_str(),
            "judged anew by the other host"
        );
    }
}

/// Each refusal is named on the device's side, too: the alert arrives.
#[test]
fn curl_and_openssl_report_the_alert_of_each_refusal() {
    if !all_present("curl_and_openssl_report_the_alert_of_each_refusal", &[Peer::Curl, Peer::Openssl]) {
        return;
    }
    let mut scene = Scene::new();
    scene.config.trust_line("crls = \"root.crl\"");
    scene.config.trust_line("deny = \"deny.txt\"");
    scene.folder.write("deny.txt", "mac 000e08abcdf0\n");
    let issue = |template: &Template| scene.client_authority.issue(template);
    let revoked = scene.phone();
    scene.folder.write("root.crl", scene.client_authority.crl(&[&revoked.serial]).pem());
    let denied = harness::pki::Name::phone("CP-8841-3PCC", "1", "000e08abcdf0");
    let servers_own =
        phone_template().with(harness::pki::Extension::extended_key_usage(&[harness::pki::SERVER_AUTH]));
    let cases = [
        ("certificate expired", issue(&Template { not_after: now() - 60, ..phone_template() })),
        ("certificate revoked", revoked.clone()),
        ("unknown ca", Authority::root("Foreign").issue(&phone_template())),
        ("unsupported certificate", issue(&servers_own)),
        ("access denied", scene.device(denied)),
        ("certificate unknown", scene.device(harness::pki::Name::common("phone"))),
    ];
    let gateway = scene.start();
    for (alert, credentials) in &cases {
        for (tls12, curl) in [(true, ["--tls-max", "1.2"]), (false, ["--tls-max", "1.3"])] {
            let version = if tls12 { "-tls1_2" } else { "-tls1_3" };
            let openssl = SClient::new(gateway.address(), &scene.server_authority).presenting(credentials);
            let got = openssl.with(&[version]).get(PROFILE);
            assert!(got.err.contains(&format!("alert {alert}")), "{alert} {version}: {got:?}");
            let got =
                Curl::new(gateway.address(), &scene.server_authority).presenting(credentials).with(&curl);
            let got = got.get_one(PROFILE);
            // curl has a word of its own for this one.
            let own_word = *alert == "certificate expired" && got.code == Some(60);
            assert!(own_word || got.message.contains(&format!("alert {alert}")), "{alert} {curl:?}: {got:?}");
        }
    }
    let silent = SClient::new(gateway.address(), &scene.server_authority).with(&["-tls1_3"]).get(PROFILE);
    assert!(silent.err.contains("alert certificate required"), "{silent:?}");
    // The twin of all: a phone with nothing wrong.
    let good =
        SClient::new(gateway.address(), &scene.server_authority).presenting(&scene.phone()).get(PROFILE);
    assert!(good.out.contains("HTTP/1.1 200"), "{good:?}");
}

/// SEC-44: a client that wants to renegotiate is not served.
#[test]
fn renegotiation_is_refused() {
    if !all_present("renegotiation_is_refused", &[Peer::Openssl]) {
        return;
    }
    let scene = Scene::new();
    let gateway = scene.start();
    let client = SClient::new(gateway.address(), &scene.server_authority).presenting(&scene.phone());
    let got = client.with(&["-tls1_2", "-legacy_renegotiation"]).say("R\n");
    assert!(!got.out.contains("HTTP/1.1 200"), "{got:?}");
    let twin = SClient::new(gateway.address(), &scene.server_authority).presenting(&scene.phone());
    assert!(twin.with(&["-tls1_2"]).get(PROFILE).out.contains("HTTP/1.1 200"));
}

/// SEC-58: a client whose first key share is of a group we do not have is asked for another, and served.
#[test]
fn a_client_that_guesses_the_wrong_group_is_asked_again() {
    if !all_present("a_client_that_guesses_the_wrong_group_is_asked_again", &[Peer::Openssl]) {
        return;
    }
    let scene = Scene::new();
    let gateway = scene.start();
    let with = |groups: &str| {
        let client = SClient::new(gateway.address(), &scene.server_authority).presenting(&scene.phone());
        client.with(&["-tls1_3", "-groups", groups]).get(PROFILE)
    };
    let asked_again = with("P-521:X25519");
    assert!(asked_again.out.contains("HTTP/1.1 200"), "{asked_again:?}");
    last(&gateway);
    let refused = with("P-521");
    assert!(!refused.out.contains("HTTP/1.1 200"), "{refused:?}");
    assert_eq!(last(&gateway).text("reason"), Reason::NoSharedGroup.as_str());
}

/// SEC-53: the authorities named to a client are the host's anchors, a chosen few, or none.
#[test]
fn the_authorities_named_to_a_client_are_as_configured() {
    if !all_present("the_authorities_named_to_a_client_are_as_configured", &[Peer::Openssl]) {
        return;
    }
    let asked = |line: Option<&str>| {
        let mut scene = Scene::new();
        scene.config.host().lines.extend(line.map(str::to_owned));
        let gateway = scene.start();
        let client = SClient::new(gateway.address(), &scene.server_authority).presenting(&scene.phone());
        let got = client.with(&["-tls1_2"]).get(PROFILE);
        assert!(got.out.contains("HTTP/1.1 200"), "{got:?}");
        got.out
    };
    let named = "Acceptable client certificate CA names\nCN = Test Client Root\n";
    assert!(asked(Some("ca-names = \"all\"")).contains(named));
    assert!(asked(Some("ca-names = \"none\"")).contains("No client certificate CA names sent"));
    asked(None);
}

#[test]
fn openssl_gets_the_certificate_of_the_kind_it_asks_for() {
    if !all_present("openssl_gets_the_certificate_of_the_kind_it_asks_for", &[Peer::Openssl]) {
        return;
    }
    let mut scene = Scene::new();
    let own = Key::new(KeyKind::Rsa2048);
    let rsa = scene.server_authority.issue_for(own, &Template::server(&[HOST]));
    let (chain, key) = rsa.write(&scene.folder, "rsa");
    scene.config.host().lines.push(format!(
        "[[host.further-certificate]]\ncertificate = {:?}\nprivate-key = {:?}",
        chain.display().to_string(),
        key.display().to_string()
    ));
    let gateway = scene.start();
    for (asked, shown) in [("ECDSA+SHA256", "ECDSA"), ("RSA-PSS+SHA256", "RSA-PSS")] {
        let address = gateway.address().to_string();
        let mut command = std::process::Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-servername", HOST, "-sigalgs", asked]);
        let out = harness::process::run(&mut command, b"").out;
        assert!(out.contains(&format!("Peer signature type: {shown}\n")), "{asked}: {out}");
    }
}
