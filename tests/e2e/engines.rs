//! Two engines on one port: what a peer sees of it, and that nothing behind them can tell them apart.

use std::{
    collections::BTreeSet,
    io::{Read, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Stdio,
    thread,
    time::Duration,
};

use harness::{
    audit::Record,
    expect::{DEADLINE, Peer, all_present, eventually},
    gateway::{Gateway, HOST, MAC, PROFILE, Scene, phone_template},
    hello::Hello,
    openssl::SClient,
    origin::Origin,
    pki::{Authority, Credentials, Digest, Key, KeyKind, Template},
    process,
};
use policies::{CipherSuite, Reason, TlsRules, TlsVersion};

/// What each engine serves at TLS 1.2, as `openssl s_client` offers it.
pub(crate) const MODERN: [&str; 3] = ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"];
pub(crate) const LEGACY: [&str; 3] = ["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"];

/// Serves `scene` under the policy `guide` with an RSA certificate.
pub(crate) fn guide(mut scene: Scene) -> Scene {
    let server = scene.server_authority.issue_for(Key::new(KeyKind::Rsa2048), &Template::server(&[HOST]));
    scene.folder.replace("server-chain.pem", server.chain_pem());
    scene.folder.replace("server-key.pem", server.key_pem());
    scene.config.listeners[0].tls = "guide".to_owned();
    scene
}

pub(crate) fn rsa_phone(scene: &Scene) -> Credentials {
    scene.client_authority.issue_for(Key::new(KeyKind::Rsa2048), &phone_template())
}

pub(crate) fn client(gateway: &Gateway, scene: &Scene, phone: &Credentials, offer: &[&str]) -> SClient {
    SClient::new(gateway.address(), &scene.server_authority).presenting(phone).with(offer)
}

#[test]
fn the_same_device_has_the_same_identity_rule_fields_and_facts_on_both() {
    let test = "the_same_device_has_the_same_identity_rule_fields_and_facts_on_both";
    if !all_present(test, &[Peer::Openssl]) {
        return;
    }
    let origin = Origin::start();
    let mut scene = guide(Scene::before(origin.address()));
    scene.config.host().rules = "own-profile".to_owned();
    scene.config.host().headers =
        ["guide", "broadworks", "rfc9440", "xfcc", "device"].map(str::to_owned).to_vec();
    let gateway = scene.start();
    let phone = scene
        .client_authority
        .intermediate("Test Issuing")
        .issue_for(Key::new(KeyKind::Rsa2048), &phone_template());

    let mut seen = Vec::new();
    for (offer, engine) in [(MODERN, "modern"), (LEGACY, "legacy")] {
        let client = client(&gateway, &scene, &phone, &offer);
        assert!(client.get(PROFILE).out.contains("200 OK"));
        let record = gateway.audit.next();
        assert_eq!(record.text("engine"), engine);
        assert!(client.get("/000e08abcdf0.cfg").out.contains("403 Forbidden"));
        let denied = gateway.audit.next();
        assert_eq!(denied.text("reason"), Reason::NoRuleMatched.as_str());
        let mut fields = origin.wait_for(seen.len() + 1).head.fields;
        // What must differ: the request itself and the suite.
        fields.retain(|(name, _)| {
            !["x-request-id", "ssl-cipher", "ssl-cipher-usekeysize", "ssl-cipher-algkeysize"]
                .contains(&name.as_str())
        });
        fields.sort();
        let facts = |record: &Record| {
            ["certificate", "device", "host", "rule", "decision", "reason", "status", "exceptions", "path"]
                .map(|name| record.at(name).cloned())
        };
        assert_eq!(record.text("device.mac"), MAC);
        seen.push((fields, facts(&record), facts(&denied)));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(
        seen[0].0.iter().any(|(name, value)| name == "ssl-client-s-dn-s" && value == MAC),
        "{:?}",
        seen[0].0
    );
}

/// A firmware image from a backend that trickles, to a phone that does not read for a while: the engine writes again from
/// a buffer that has grown and moved.
#[test]
fn a_large_answer_to_a_slow_phone_is_whole_on_both() {
    if !all_present("a_large_answer_to_a_slow_phone_is_whole_on_both", &[Peer::Openssl]) {
        return;
    }
    const SIZE: usize = 12 << 20;
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = backend.local_addr().unwrap();
    thread::spawn(move || {
        for stream in backend.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(head.as_bytes());
                let mut sent = 0;
                while sent < SIZE {
                    let piece = 1400.min(SIZE - sent);
                    if stream.write_all(&vec![b'f'; piece]).is_err() {
                        return;
                    }
                    sent += piece;
                    if sent < 5 << 20 {
                        // The backend's pace, not a wait: while the socket to the phone fills, pieces come one by one, and
                        // those that find it full join the buffer of the write that is to be repeated.
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
    });
    let scene = guide(Scene::before(address));
    let gateway = scene.start();
    let phone = rsa_phone(&scene);
    for offer in [MODERN, LEGACY] {
        let (chain, key) = phone.write(&scene.folder, "phone");
        let mut command = Peer::Openssl.command();
        command
            .args([
                "s_client",
                "-quiet",
                "-ign_eof",
                "-connect",
                &gateway.address().to_string(),
                "-servername",
                HOST,
            ])
            .args(offer)
            .arg("-cert")
            .arg(chain)
            .arg("-key")
            .arg(key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin
            .write_all(
                format!("GET /firmware.bin HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").as_bytes(),
            )
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut first = [0; 1];
        out.read_exact(&mut first).unwrap();
        // Its pipe is full and it stops reading; the backend goes on until every buffer on the way is full too.
        let used = || harness::cpu::of_tree(gateway.process.id()).unwrap();
        let (mut before, mut same) = (used(), 0);
        eventually("the gateway to do nothing while one looks forty times", || {
            let now = used();
            same = if now == before { same + 1 } else { 0 };
            before = now;
            (same == 40).then_some(())
        });
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).unwrap();
        let _ = child.wait();
        let body = rest.iter().filter(|byte| **byte == b'f').count();
        assert!(body >= SIZE, "{offer:?}: {body} of {SIZE}: {:?}", gateway.audit.records().last());
        let record = gateway.audit.next();
        assert_eq!(record.number("bytes"), u64::try_from(SIZE).ok(), "{record:?}");
    }
}

/// RFC 8422 §5.5: a client's EC key may be on another curve than the key exchange takes.
#[test]
fn a_clients_ec_key_is_taken_on_any_curve_on_both() {
    if !all_present("a_clients_ec_key_is_taken_on_any_curve_on_both", &[Peer::Openssl]) {
        return;
    }
    let mut scene = guide(Scene::new());
    scene.folder.write(
        "own.toml",
        "versions = [\"TLSv1.2\"]\n\
         suites = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\", \"TLS_RSA_WITH_AES_128_CBC_SHA\"]\n\
         groups = [\"x25519\"]\nsignature-algorithms = [\"rsa_pkcs1_sha256\", \"ecdsa_secp256r1_sha256\"]\n",
    );
    scene.config.listeners[0].tls = "own.toml".to_owned();
    let gateway = scene.start();
    let phone = scene.client_authority.issue_for(Key::new(KeyKind::P256), &phone_template());
    for offer in [MODERN, LEGACY] {
        let answer = client(&gateway, &scene, &phone, &offer).get(PROFILE);
        assert!(answer.out.contains("200 OK"), "{offer:?}: {answer:?} {:?}", gateway.audit.records().last());
    }
}

/// The first record of the answer: a ServerHello's version, random, suite and compression method.
fn server_hello(address: SocketAddr, hello: &Hello) -> (u16, [u8; 32], u16, u8) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(&hello.records()).unwrap();
    let mut start = [0; 5 + 4 + 2 + 32 + 1];
    stream.read_exact(&mut start).unwrap();
    assert_eq!((start[0], start[5]), (22, 2), "a ServerHello");
    let mut rest = vec![0; usize::from(start[43]) + 3];
    stream.read_exact(&mut rest).unwrap();
    let [.., high, low, compression] = rest[..] else { panic!("{rest:?}") };
    (
        u16::from_be_bytes([start[9], start[10]]),
        start[11..43].try_into().unwrap(),
        u16::from_be_bytes([high, low]),
        compression,
    )
}

/// RFC 8446 §4.1.3: a server that speaks TLS 1.3 says so in the random of every older handshake.
#[test]
fn the_sentinel_against_downgrades_is_right_on_both_and_nothing_is_compressed() {
    let scene = guide(Scene::new());
    let gateway = scene.start();
    let offer =
        |version: u16, suites: &[u16]| Hello { version, suites: suites.to_vec(), ..Hello::tls12(HOST) };
    for (version, suite, sentinel) in [
        (0x0303, 0xc02f, b"DOWNGRD\x01"),
        (0x0303, 0x002f, b"DOWNGRD\x01"),
        (0x0302, 0x002f, b"DOWNGRD\x00"),
        (0x0301, 0x0005, b"DOWNGRD\x00"),
    ] {
        let (got, random, taken, compression) = server_hello(gateway.address(), &offer(version, &[suite]));
        assert_eq!((got, taken, compression), (version, suite, 0));
        assert_eq!(&random[24..], sentinel, "{version:#06x} {suite:#06x}");
    }
    drop(gateway);

    // A policy that ends with TLS 1.2 has nothing to say about TLS 1.3.
    let mut scene = guide(Scene::new());
    scene.folder.write(
        "old.toml",
        "versions = [\"TLSv1\", \"TLSv1.1\", \"TLSv1.2\"]\nsuites = [\"TLS_RSA_WITH_AES_128_CBC_SHA\"]\n\
         groups = [\"x25519\"]\nsignature-algorithms = [\"rsa_pkcs1_sha256\"]\n",
    );
    scene.config.listeners[0].tls = "old.toml".to_owned();
    let gateway = scene.start();
    let (_, random, _, _) = server_hello(gateway.address(), &offer(0x0303, &[0x002f]));
    assert_ne!(&random[24..], b"DOWNGRD\x01");
    let (_, random, _, _) = server_hello(gateway.address(), &offer(0x0301, &[0x002f]));
    assert_eq!(&random[24..], b"DOWNGRD\x00");
}

/// A TLS 1.2 client with modern suites and no signature algorithms means SHA-1: the modern suite is still the best both
/// have, served by the other engine.
#[test]
fn the_best_shared_suite_is_taken_whichever_engine_serves_it() {
    let scene = guide(Scene::new());
    let gateway = scene.start();
    let suites = vec![0x0004, 0x002f, 0x0035, 0x0033, 0xc02f];
    let whole = Hello { suites, ..Hello::tls12(HOST) };
    let taken = |hello: &Hello| server_hello(gateway.address(), hello).2;
    assert_eq!(taken(&whole), 0xc02f);
    assert_eq!(taken(&Hello { signature_algorithms: Vec::new(), ..whole.clone() }), 0xc02f);
    assert_eq!(taken(&Hello { groups: vec![0x0016], ..whole.clone() }), 0x0035, "no common group");
    assert_eq!(taken(&Hello { version: 0x0301, ..whole }), 0x0035);
}

/// `sslscan` lists exactly what the policy has.
#[test]
fn sslscan_lists_exactly_the_policys_suites() {
    let test = "sslscan_lists_exactly_the_policys_suites";
    if !all_present(test, &[Peer::Sslscan]) {
        return;
    }
    for policy in ["guide", "guide-no-rc4", "modern"] {
        let mut scene = guide(Scene::new());
        scene.config.listeners[0].tls = policy.to_owned();
        // A certificate of either kind, so that no suite is missing for want of one.
        scene.server_authority.issue(&Template::server(&[HOST])).write(&scene.folder, "ec");
        scene.config.host().lines.push(
            "[[host.further-certificate]]\ncertificate = \"ec-chain.pem\"\nprivate-key = \"ec-key.pem\""
                .to_owned(),
        );
        let gateway = scene.start();
        let (chain, key) = rsa_phone(&scene).write(&scene.folder, "phone");
        let mut command = Peer::Sslscan.command();
        command
            .args(["--no-colour", "--xml=-", "--iana-names", "--no-heartbleed", "--no-groups"])
            .arg(format!("--certs={}", chain.display()))
            .arg(format!("--pk={}", key.display()))
            .arg(gateway.address().to_string());
        let out = process::run(&mut command, b"").success();
        let attribute = |line: &str, name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let found: BTreeSet<(String, u16)> = out
            .lines()
            .filter(|line| line.contains("<cipher ") && line.contains("sslversion"))
            .filter_map(|line| {
                let id = attribute(line, "id")?;
                Some((
                    attribute(line, "sslversion")?,
                    u16::from_str_radix(id.trim_start_matches("0x"), 16).ok()?,
                ))
            })
            .collect();
        let rules = TlsRules::shipped(policy).unwrap();
        let named = |version: TlsVersion| match version {
            TlsVersion::TLS1_0 => "TLSv1.0".to_owned(),
            other => other.name().into_owned(),
        };
        let of = |version: TlsVersion| {
            let suites =
                rules.suites().iter().copied().filter(move |suite: &CipherSuite| suite.serves(version));
            suites.map(move |suite| (named(version), suite.0))
        };
        let wanted: BTreeSet<(String, u16)> = rules.versions().iter().copied().flat_map(of).collect();
        assert_eq!(found, wanted, "{policy}:\n{out}");
    }
}

/// The names of authorities in the request for a certificate: all, none, or those of a list.
#[test]
fn the_authorities_named_to_phones_are_chosen_per_host_on_both() {
    if !all_present("the_authorities_named_to_phones_are_chosen_per_host_on_both", &[Peer::Openssl]) {
        return;
    }
    let choices: [(&str, &[&str]); 3] = [
        ("ca-names = \"all\"", &["CN = Test Client Root", "CN = Other Root"]),
        ("ca-names = \"none\"", &[]),
        ("ca-names = [\"other.pem\"]", &["CN = Other Root"]),
    ];
    for (choice, names) in choices {
        let mut scene = guide(Scene::new());
        let other = Authority::root_with(
            Key::old(1024),
            Template { digest: Digest::Sha1, ..Template::authority("Other Root") },
        );
        scene.folder.write("other.pem", other.pem());
        scene.folder.replace("client-root.pem", scene.client_authority.pem() + &other.pem());
        scene.config.host().lines.push(choice.to_owned());
        let gateway = scene.start();
        let phone = rsa_phone(&scene);
        for offer in [MODERN, LEGACY] {
            let out = client(&gateway, &scene, &phone, &offer).get(PROFILE).out;
            for name in ["CN = Test Client Root", "CN = Other Root"] {
                let named = out
                    .split_once("Acceptable client certificate CA names")
                    .is_some_and(|(_, rest)| rest.lines().take(4).any(|line| line == name));
                assert_eq!(named, names.contains(&name), "{choice}: {name}: {out}");
            }
        }
    }
}
