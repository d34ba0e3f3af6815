//! `probe` against the gateway, Apache and servers of ill will: what it shows is what they have, and its verdict what they
//! say to the phone.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    process::Command,
    thread,
};

use harness::{
    apache::Apache,
    binary,
    expect::{Peer, all_present, now},
    gateway::{Gateway, HOST, PROFILE, Scene, phone_template},
    pki::{Authority, Credentials, DAY, Key, KeyKind, Template},
    process::{self, Finished},
    workdir::WorkDir,
};
use policies::{Reason, TlsRules};
use serde_json::Value;

fn probe(server: &str, arguments: &[&str]) -> Finished {
    process::run(Command::new(binary::gateway()).args(["probe", server]).args(arguments), b"")
}

fn probed(server: SocketAddr, arguments: &[&str]) -> (Option<i32>, Value) {
    let finished = probe(&server.to_string(), &[arguments, &["--json"]].concat());
    let report = serde_json::from_str(&finished.out).unwrap_or_else(|_| panic!("{finished:?}"));
    (finished.code, report)
}

/// A gateway with an RSA certificate for these names.
fn scene(tls: &str, names: &[&str]) -> Scene {
    let mut scene = Scene::new();
    let template = Template::server(names);
    scene.server_authority.issue_for(Key::new(KeyKind::Rsa2048), &template).write(&scene.folder, "server");
    scene.config.listeners[0].tls = tls.to_owned();
    scene
}

fn phone(scene: &Scene, template: &Template) -> Credentials {
    scene.client_authority.issue_for(Key::new(KeyKind::Rsa2048), template)
}

fn expired() -> Template {
    Template { not_before: now() - 99 * DAY, not_after: now() - DAY, ..phone_template() }
}

/// `--certificate` and `--key` of these credentials.
fn presenting(folder: &WorkDir, name: &str, credentials: &Credentials) -> Vec<String> {
    let (chain, key) = credentials.write(folder, name);
    vec!["--certificate".to_owned(), text(chain), "--key".to_owned(), text(key)]
}

fn text(path: std::path::PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}

fn with<'a>(presenting: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    presenting.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[test]
fn an_encrypted_key_is_opened_with_the_passphrase_of_a_file_or_a_variable() {
    if !all_present(
        "an_encrypted_key_is_opened_with_the_passphrase_of_a_file_or_a_variable",
        &[Peer::Openssl],
    ) {
        return;
    }
    let scene = scene("modern", &[HOST]);
    let gateway = scene.start();
    let mut arguments = presenting(&scene.folder, "phone", &phone(&scene, &phone_template()));
    let encrypted = scene.folder.join("encrypted.pem");
    let mut openssl = Peer::Openssl.command();
    openssl.args([
        "pkcs8",
        "-topk8",
        "-v2",
        "aes-256-cbc",
        "-passout",
        "pass:s3cret word",
        "-in",
        &arguments[3],
        "-out",
    ]);
    process::run(openssl.arg(&encrypted), b"").success();
    arguments[3] = text(encrypted);
    arguments.extend(["--path".to_owned(), PROFILE.to_owned(), "--server-name".to_owned(), HOST.to_owned()]);
    let server = gateway.address().to_string();
    let right = text(scene.folder.write_private("right", "s3cret word\r\nnot this\n"));
    let wrong = text(scene.folder.write_private("wrong", "secret word\n"));
    let opened = probe(&server, &with(&arguments, &["--passphrase-file", &right]));
    assert!(opened.code == Some(0) && opened.out.contains("200"), "{opened:?}");
    let mut named = Command::new(binary::gateway());
    named.args(["probe", &server]).args(&arguments).args(["--passphrase-env", "PROBE_TEST"]);
    let opened = process::run(named.env("PROBE_TEST", "s3cret word"), b"");
    assert_eq!(opened.code, Some(0), "{opened:?}");
    for (more, error, hint) in [
        (&[][..], "it is encrypted, and no passphrase is given", "--passphrase-file FILE"),
        (&["--passphrase-file", &wrong], "the passphrase does not open it", "only the first line"),
        (&["--passphrase-env", "PROBE_TEST"], "the environment variable PROBE_TEST is not set", ""),
    ] {
        let refused = probe(&server, &with(&arguments, more));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains(error) && refused.err.contains(hint), "{}", refused.err);
        assert!(!refused.err.contains("s3cret"), "{}", refused.err);
    }
}

/// Version and suite, as the report has them.
fn suites(report: &Value) -> BTreeSet<(String, String)> {
    let versions = report["versions"].as_array().unwrap().iter();
    let all = versions.flat_map(|version| {
        let suites = version["suites"].as_array().unwrap().iter();
        let name = version["version"].as_str().unwrap();
        suites.map(move |suite| (name.to_owned(), suite.as_str().unwrap().to_owned()))
    });
    all.collect()
}

/// The same, as sslscan has them.
fn of_sslscan(server: SocketAddr, presenting: &[String]) -> BTreeSet<(String, String)> {
    let mut command = Peer::Sslscan.command();
    command
        .args(["--no-colour", "--xml=-", "--iana-names", "--no-heartbleed", "--no-groups"])
        .arg(format!("--certs={}", presenting[1]))
        .arg(format!("--pk={}", presenting[3]))
        .arg(server.to_string());
    let out = process::run(&mut command, b"").success();
    let attribute = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let ciphers = out.lines().filter(|line| line.contains("<cipher ") && line.contains("sslversion"));
    let found = ciphers.filter_map(|line| {
        let number = attribute(line, "id")?;
        let number = u16::from_str_radix(number.trim_start_matches("0x"), 16).ok()?;
        let version = attribute(line, "sslversion")?.replace("TLSv1.0", "TLSv1");
        Some((version, policies::CipherSuite(number).name().into_owned()))
    });
    found.collect()
}

#[test]
fn finds_the_versions_and_suites_that_sslscan_finds() {
    if !all_present("finds_the_versions_and_suites_that_sslscan_finds", &[Peer::Sslscan, Peer::Apache]) {
        return;
    }
    for policy in ["guide", "modern"] {
        let scene = scene(policy, &[HOST]);
        let gateway = scene.start();
        let credentials = presenting(&scene.folder, "phone", &phone(&scene, &phone_template()));
        let (_, report) = probed(gateway.address(), &[]);
        let found = suites(&report);
        assert_eq!(found, of_sslscan(gateway.address(), &credentials), "{policy}");
        assert!(found.len() > 4, "{found:?}");
        let order = TlsRules::shipped(policy).unwrap();
        let order: Vec<_> = order.suites().iter().map(|suite| suite.name()).collect();
        for version in
            report["versions"].as_array().unwrap().iter().filter(|version| version["offered"] == true)
        {
            assert_eq!(version["order"], "server", "{version}");
            let places: Vec<_> = (version["suites"].as_array().unwrap().iter())
                .map(|suite| order.iter().position(|known| *suite == **known).unwrap())
                .collect();
            assert!(places.is_sorted(), "{version}");
        }
    }
    let scene = scene("modern", &[HOST]);
    let credentials = presenting(&scene.folder, "phone", &phone(&scene, &phone_template()));
    let apache = apache(&scene, "SSLProtocol all\nSSLCipherSuite HIGH:!aNULL:!PSK:!SRP:!ARIA:!CAMELLIA\n");
    let (_, report) = probed(apache.address(), &["--server-name", HOST]);
    let mut found = suites(&report);
    // CCM suites are in what is asked for here; sslscan asks for more kinds than any phone has.
    let mut said = of_sslscan(apache.address(), &credentials);
    let is_common = |(_, suite): &(String, String)| !suite.contains("CCM");
    found.retain(is_common);
    said.retain(is_common);
    assert_eq!(found, said);
    assert!(report["versions"].to_string().contains("\"order\":\"client\""), "{}", report["versions"]);
}

/// Apache in the gateway's place, `SSLVerifyClient require`.
fn apache(scene: &Scene, lines: &str) -> Apache {
    let folder = scene.folder.path().display();
    scene.folder.write(format!("htdocs{PROFILE}"), "<flat-profile/>");
    Apache::start(
        &scene.folder,
        &format!(
            "SSLEngine on\nSSLCertificateFile {folder}/server-chain.pem\nSSLCertificateKeyFile {folder}/server-key.pem\n\
             SSLCACertificateFile {folder}/client-root.pem\nSSLVerifyClient require\nSSLVerifyDepth 5\n{lines}"
        ),
    )
}

#[test]
fn apache_lets_one_phone_in_and_refuses_the_expired_twin_and_the_one_without_a_certificate() {
    let test = "apache_lets_one_phone_in_and_refuses_the_expired_twin_and_the_one_without_a_certificate";
    if !all_present(test, &[Peer::Apache]) {
        return;
    }
    let scene = scene("modern", &[HOST]);
    let apache = apache(&scene, "");
    let good = presenting(&scene.folder, "good", &phone(&scene, &phone_template()));
    let (code, report) = probed(apache.address(), &with(&good, &["--path", PROFILE, "--server-name", HOST]));
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["handshake"]["answer"]["status"], 200);
    assert_eq!(report["client_certificate"]["asked_for"], true);
    assert_eq!(report["client_certificate"]["issuer_is_named"], true);
    assert_eq!(report["client_certificate"]["authorities"], serde_json::json!(["CN=Test Client Root"]));
    let bad = presenting(&scene.folder, "bad", &phone(&scene, &expired()));
    for more in [&["--path", PROFILE][..], &[]] {
        let (code, report) = probed(apache.address(), &with(&bad, more));
        assert_eq!(code, Some(1), "{report:#}");
        let alert = report["handshake"]["alert"].as_str().unwrap();
        assert!(alert.starts_with("certificate_expired (45)"), "{alert}");
    }
    // Without a certificate nothing is refused that was asked for: the report says what the server says.
    let (code, report) = probed(apache.address(), &[]);
    assert_eq!(code, Some(0));
    let alert = report["handshake"]["alert"].as_str().unwrap();
    assert!(alert.starts_with("certificate_required (116)"), "{alert}");
}

#[test]
fn the_alert_of_a_refusal_comes_with_the_remedy_of_its_reason_and_the_twin_is_served() {
    let scene = scene("guide", &[HOST]);
    let gateway = scene.start();
    let good = presenting(&scene.folder, "good", &phone(&scene, &phone_template()));
    let bad = presenting(&scene.folder, "bad", &phone(&scene, &expired()));
    let server = gateway.address().to_string();
    // DNS does not lead here, so the family's own verdict would refuse: it is asked for below.
    for more in [&["--path", PROFILE][..], &[]] {
        let finished = probe(&server, &with(&bad, more));
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let flat = finished.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("REFUSED alert certificate_expired (45)"), "{flat}");
        assert!(flat.contains(&format!(
            "expired: {} {}",
            Reason::Expired.meaning(),
            Reason::Expired.remedy()
        )));
        let (code, report) = probed(gateway.address(), &with(&good, more));
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!(report["handshake"]["version"], "TLSv1.3");
        assert_eq!(report["resumption"]["resumed"], true);
    }
    let (code, report) = probed(gateway.address(), &with(&good, &["--path", "/000e08abcdf0.cfg"]));
    assert_eq!((code, &report["handshake"]["answer"]["status"]), (Some(1), &403.into()));
    let may_be = report["handshake"]["may_be"].to_string();
    assert!(may_be.contains("no_rule_matched"), "{may_be}");
}

#[test]
fn an_old_phone_is_played_by_its_own_hello_and_suites() {
    let mut scene = scene("guide", &["localhost"]);
    scene.config.trust_line("allow = [\"rsa-1024\"]");
    let gateway = scene.start();
    let server = localhost(&gateway);
    let small = scene.client_authority.issue_for(Key::new(KeyKind::Rsa1024), &phone_template());
    for (name, credentials, code) in [
        ("good", phone(&scene, &phone_template()), 0),
        ("small", small, 0),
        ("bad", phone(&scene, &expired()), 1),
    ] {
        let presented = presenting(&scene.folder, name, &credentials);
        let more = ["--family", "spa", "--path", PROFILE, "--json"];
        let finished = probe(&server, &with(&presented, &more));
        assert_eq!(finished.code, Some(code), "{name}: {finished:?}");
        let report: Value = serde_json::from_str(&finished.out).unwrap();
        let handshake = &report["handshake"];
        assert_eq!((&handshake["library"], &handshake["version"]), (&"OpenSSL".into(), &"TLSv1".into()));
        if code == 0 {
            assert_eq!(handshake["answer"]["status"], 200, "{handshake}");
            assert_eq!(handshake["suite"], "TLS_DHE_RSA_WITH_AES_256_CBC_SHA");
            assert_eq!(report["resumption"]["resumed"], true);
        } else {
            let alert = handshake["alert"].as_str().unwrap();
            assert!(alert.starts_with("certificate_expired"), "{handshake}");
        }
        let family = &report["families"][0];
        assert_eq!((&family["family"], &family["mark"]), (&"spa".into(), &"if".into()), "{family}");
        assert!(family.to_string().contains("a prime of 2048 bits"), "{family}");
    }
    // A key that rustls does not take goes by way of OpenSSL, whichever family.
    let small = scene.client_authority.issue_for(Key::new(KeyKind::Rsa1024), &phone_template());
    let presented = presenting(&scene.folder, "again", &small);
    let finished = probe(&server, &with(&presented, &["--path", PROFILE]));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.out.contains("by OpenSSL"), "{}", finished.out);

    let modern = self::scene("modern", &["localhost"]);
    let gateway = modern.start();
    let finished = probe(&localhost(&gateway), &["--family", "spa"]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let flat = finished.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains("WOULD REFUSE") && flat.contains("is refused: alert protocol_version (70)"),
        "{flat}"
    );
}

fn localhost(gateway: &Gateway) -> String {
    format!("localhost:{}", gateway.address().port())
}

/// The points of a family's verdict, by what they are about.
fn marks(report: &Value, family: &str) -> Vec<(String, String)> {
    let families = report["families"].as_array().unwrap();
    let verdict = families.iter().find(|verdict| verdict["family"] == family).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let points = verdict["points"].as_array().unwrap().iter();
    points.map(|point| (text(&point["about"]), text(&point["mark"]))).collect()
}

#[test]
fn the_guides_rule_of_names_decides_for_ciscos_phones_alone() {
    for (certificate, name, dns, common_name) in [
        ("localhost", "localhost", "good", "good"),
        ("localhost/mailto:admin@telco.net", "localhost", "good", "good"),
        ("*.example.com", "localhost", "good", "bad"),
        (HOST, "localhost", "good", "bad"),
        // RFC 6761: this name never has an address.
        ("prov.invalid", "prov.invalid", "bad", "good"),
    ] {
        let mut template = Template::server(&[certificate]);
        // A name with a slash is none of DNS; the guide means the CN.
        template = template.without("2.5.29.17");
        let scene = scene("guide", &[HOST]);
        scene
            .server_authority
            .issue_for(Key::new(KeyKind::Rsa2048), &template)
            .write(&scene.folder, "server");
        let gateway = scene.start();
        let (code, report) = probed(gateway.address(), &["--server-name", name]);
        assert_eq!(code, Some(0), "{report:#}");
        for family in ["spa", "mpp"] {
            let marks = marks(&report, family);
            let found = |about: &str| marks.iter().find(|(known, _)| known == about).unwrap().1.clone();
            assert_eq!(
                (found("DNS").as_str(), found("name").as_str()),
                (dns, common_name),
                "{certificate} {family}"
            );
            assert_eq!(found("authority"), "if");
        }
        assert!(!marks(&report, "snom").iter().any(|(_, mark)| mark == "bad"), "nothing is known of it");
        let (code, _) = probed(gateway.address(), &["--server-name", name, "--family", "mpp"]);
        assert_eq!(code, Some(i32::from(dns == "bad" || common_name == "bad")), "{certificate}");
    }
}

#[test]
fn an_expired_server_is_refused_by_every_family_and_an_authority_of_the_firmware_is_named() {
    let scene = scene("guide", &["localhost"]);
    let cisco = Authority::root("Cisco Small Business CA");
    let mut template = Template::server(&["localhost"]);
    let server = |template: &Template| {
        cisco.issue_for(Key::new(KeyKind::Rsa2048), template).write(&scene.folder, "server");
        let gateway = scene.start();
        let (code, report) = probed(gateway.address(), &["--server-name", "localhost"]);
        assert_eq!(code, Some(0));
        report
    };
    let sound = server(&template);
    (template.not_before, template.not_after) = (now() - 99 * DAY, now() - DAY);
    let report = server(&template);
    for family in ["spa", "mpp", "ata", "poly", "yealink", "snom"] {
        let dates =
            |report: &Value| marks(report, family).into_iter().find(|(about, _)| about == "dates").unwrap().1;
        assert_eq!((dates(&report).as_str(), dates(&sound).as_str()), ("bad", "good"), "{family}");
    }
    assert!(sound["families"].to_string().contains("firmware holds authorities of Cisco Small Business"));
    assert!(sound["chains"][0][0]["validity"] == "valid" && report["chains"][0][0]["validity"] == "expired");
}

/// A server that does the same to each connection, until the test ends.
fn server(answer: impl Fn(&mut std::net::TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = std::sync::Arc::clone(&answer);
            thread::spawn(move || answer(&mut stream.unwrap()));
        }
    });
    address
}

#[test]
fn servers_of_ill_will_are_survived_and_said() {
    let plain = server(|stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    // A ServerHello that chooses what was not offered, then certificates without end.
    let endless = server(|stream| {
        let _ = stream.read(&mut [0; 4096]);
        let mut hello = vec![22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
        hello.extend([7; 32]);
        hello.extend([0, 0x12, 0x34, 0]);
        let _ = stream.write_all(&hello);
        while stream.write_all(&[22, 3, 3, 0, 4, 11, 0, 0, 0]).is_ok() {}
    });
    let silent = server(|stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let closing = server(|_| {});
    let records = server(|stream| {
        while stream.write_all(&[22, 3, 3, 0x40, 0]).and_then(|()| stream.write_all(&[0xb; 0x4000])).is_ok() {
        }
    });
    for (address, words) in [
        (plain, "is no TLS"),
        (endless, "alert protocol_version"),
        (silent, "does not answer in time"),
        (closing, "closes the connection without an alert"),
        (records, "no: "),
    ] {
        let finished = probe(&address.to_string(), &["--timeout", "300ms"]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.out.contains(words), "{words}: {}", finished.out);
        assert!(!finished.err.contains("panicked"), "{finished:?}");
    }
}

#[test]
fn what_cannot_be_asked_is_misuse_and_what_cannot_be_reached_a_failure() {
    let scene = Scene::new();
    let credentials = presenting(&scene.folder, "phone", &scene.phone());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (server, arguments, code, words) in [
        (free.as_str(), vec![], 1, "cannot be reached"),
        ("name.invalid:443", vec![], 1, "has no address"),
        ("https://prov.example.com", vec![], 2, "such as prov.example.com:443"),
        (&free, vec!["--server-name", "a b"], 2, "is no host name"),
        (&free, vec!["--path", "profile.cfg"], 2, "such as /000e08abcdef.cfg"),
        (&free, vec!["--timeout", "soon"], 2, "is no length of time"),
        (&free, vec!["--family", "pony"], 2, "invalid value"),
        (&free, vec!["--certificate", &credentials[1]], 2, "--key"),
        (&free, vec!["--certificate", &credentials[1], "--key", &credentials[1]], 1, "gives no key"),
        (&free, vec!["--certificate", &credentials[3], "--key", &credentials[3]], 1, "holds no certificate"),
    ] {
        let finished = probe(server, &arguments);
        assert_eq!(finished.code, Some(code), "{arguments:?}: {finished:?}");
        assert!(finished.err.contains(words), "{words}: {}", finished.err);
        assert_eq!(finished.out, "");
    }
}
