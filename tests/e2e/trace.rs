//! `trace` before real peers: what it shows is what they say they sent and got, and its verdict is the gateway's.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
};

use harness::{
    binary,
    curl::Curl,
    expect::{DEADLINE, Peer, all_present, eventually, now},
    gateway::{HOST, PROFILE, Scene, phone_template},
    old_stack::{self, Job},
    openssl::SClient,
    pki::{Credentials, DAY, Key, KeyKind, Template},
    process::Process,
};
use policies::Reason;
use serde_json::Value;

/// A running `trace`.
struct Trace {
    process: Process,
    address: SocketAddr,
}

impl Trace {
    fn start(scene: &Scene, arguments: &[&str]) -> Self {
        scene.write_config();
        let mut command = Command::new(binary::gateway());
        command.args(["trace", "--listen", "127.0.0.1:0", "--config"]);
        let mut process = Process::start(command.arg(scene.folder.join("gateway.toml")).args(arguments));
        process.wait_for_log("listening on ");
        let line = process.log().into_iter().find(|line| line.starts_with("listening on ")).unwrap();
        let address = line["listening on ".len()..].split(';').next().unwrap().parse().unwrap();
        Self { process, address }
    }

    /// Its exit code and what it printed.
    fn end(mut self, last: &str) -> (Option<i32>, Vec<String>) {
        let code = self.process.wait().code();
        let out = eventually("the whole trace", || {
            let out = self.process.output();
            out.iter().any(|line| line.contains(last)).then_some(out)
        });
        (code, out)
    }

    /// The same of a trace in JSON.
    fn end_json(self) -> (Option<i32>, Vec<Value>) {
        let (code, out) = self.end("\"outcome\"");
        (code, out.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
    }
}

/// The handshake messages that `from` sent, by name.
fn messages(lines: &[Value], from: &str) -> Vec<String> {
    let of_side = lines.iter().filter(|line| line["event"] == "message" && line["from"] == from);
    let titles = of_side.map(|line| line["message"].as_str().unwrap());
    let names = titles.map(|title| title.split(',').next().unwrap().to_owned());
    names.filter(|name| !name.contains(' ') && name != "Alert" && name != "ChangeCipherSpec").collect()
}

/// The handshake messages that `openssl s_client -msg` says went in one direction.
fn of_openssl(out: &str, arrow: &str) -> Vec<String> {
    let lines = out.lines().filter(|line| line.starts_with(arrow) && line.contains(", Handshake ["));
    lines.map(|line| line.rsplit("], ").next().unwrap().to_owned()).collect()
}

fn expired() -> Template {
    Template { not_before: now() - 99 * DAY, not_after: now() - DAY, ..phone_template() }
}

fn rsa_scene(tls: &str) -> Scene {
    let mut scene = Scene::new();
    let template = Template::server(&[HOST]);
    scene.server_authority.issue_for(Key::new(KeyKind::Rsa2048), &template).write(&scene.folder, "server");
    scene.config.listeners[0].tls = tls.to_owned();
    scene
}

fn rsa_phone(scene: &Scene, template: &Template) -> Credentials {
    scene.client_authority.issue_for(Key::new(KeyKind::Rsa2048), template)
}

#[test]
fn shows_the_messages_that_openssl_says_it_sent_and_got() {
    if !all_present("shows_the_messages_that_openssl_says_it_sent_and_got", &[Peer::Openssl]) {
        return;
    }
    let scene = rsa_scene("guide");
    let phone = rsa_phone(&scene, &phone_template());
    for (version, arguments) in [
        ("TLSv1.3", vec!["-tls1_3"]),
        ("TLSv1.2", vec!["-tls1_2"]),
        ("TLSv1.2", vec!["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"]),
        ("TLSv1.2", vec!["-tls1_2", "-cipher", "DHE-RSA-AES256-SHA:@SECLEVEL=0"]),
        ("TLSv1.1", vec!["-tls1_1", "-cipher", "AES256-SHA:@SECLEVEL=0"]),
        ("TLSv1", vec!["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"]),
    ] {
        let trace = Trace::start(&scene, &["--json"]);
        let client = SClient::new(trace.address, &scene.server_authority).presenting(&phone);
        let got = client.with(&arguments).with(&["-msg"]).get(PROFILE);
        assert!(got.out.contains("200 OK"), "{got:?}");
        let (code, lines) = trace.end_json();
        assert_eq!(code, Some(0), "{lines:#?}");
        for (from, arrow) in [("phone", ">>>"), ("gateway", "<<<")] {
            let (shown, said) = (messages(&lines, from), of_openssl(&got.out, arrow));
            assert!(said.contains(&"Finished".to_owned()), "{arguments:?}: {said:?}");
            assert_eq!(shown, said, "{arguments:?} {from}");
        }
        let outcome = lines.last().unwrap();
        assert_eq!(outcome["let_in"], true);
        assert_eq!(outcome["records"][0]["tls"]["version"], version);
        let leaf = lines.iter().find(|line| {
            line["from"] == "phone"
                && line["message"].as_str().is_some_and(|title| title.starts_with("Certificate,"))
        });
        let facts = leaf.unwrap()["facts"].to_string();
        assert!(facts.contains(&phone.fingerprint()), "{facts}");
    }
}

#[test]
fn a_refusal_is_shown_with_its_alert_its_reason_and_its_remedy_and_its_twin_is_admitted() {
    if !all_present(
        "a_refusal_is_shown_with_its_alert_its_reason_and_its_remedy_and_its_twin_is_admitted",
        &[Peer::Curl],
    ) {
        return;
    }
    let scene = rsa_scene("modern");
    let trace = Trace::start(&scene, &["--count", "4"]);
    let curl = |template: &Template, version: &str| {
        let curl = Curl::new(trace.address, &scene.server_authority);
        let version = ["--tlsv1.2", "--tls-max", version];
        curl.presenting(&rsa_phone(&scene, template)).with(&version).get_one(PROFILE)
    };
    for version in ["1.3", "1.2"] {
        assert_eq!(curl(&expired(), version).status, 0);
        assert_eq!(curl(&phone_template(), version).status, 200);
    }
    let (code, out) = trace.end("connection 4");
    assert_eq!(code, Some(1), "one was refused");
    let text = out.join("\n");
    let parts: Vec<&str> = text.split("\nconnection ").collect();
    let [refused_13, admitted_13, refused_12, admitted_12] = *parts else { panic!("{text}") };
    let words: Vec<_> = Reason::Expired.remedy().split(' ').collect();
    for refused in [refused_13, refused_12] {
        for expected in
            ["Alert: certificate_expired (45)", "REFUSED: expired", ": EXPIRED", "sent certificate_expired"]
        {
            assert!(refused.contains(expected), "{expected}: {refused}");
        }
        let flat = refused.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&words.join(" ")), "{flat}");
    }
    for admitted in [admitted_13, admitted_12] {
        let expected = format!("request      GET {PROFILE}: 200, permit by rule \"own profile\"");
        assert!(admitted.contains("ADMITTED") && admitted.contains(&expected), "{admitted}");
        assert!(admitted.contains("* Finished, "), "{admitted}");
        assert!(!admitted.contains("encrypted handshake message") && !admitted.contains("cannot be opened"));
    }
    // Nothing of it is left in a file (SEC-65), and no record either.
    assert!(!scene.folder.join("audit.jsonl").exists());
}

#[test]
fn a_refused_request_is_a_refusal_too() {
    let scene = Scene::new();
    for (target, code, word) in
        [("/000e08abcdf0.cfg", 1, "REFUSED: no_rule_matched"), (PROFILE, 0, "ADMITTED")]
    {
        let trace = Trace::start(&scene, &[]);
        let client = harness::client::Client::new(trace.address, &scene.server_authority, HOST);
        let status = client.presenting(&scene.phone()).get(target).status();
        assert_eq!(status, if code == 0 { 200 } else { 403 });
        let (ended, out) = trace.end("identity");
        assert_eq!(ended, Some(code), "{out:#?}");
        assert!(out.iter().any(|line| line.starts_with(word)), "{out:#?}");
    }
}

#[test]
fn a_phone_of_the_guides_table_is_shown_and_judged_as_the_gateway_does() {
    if !old_stack::is_present("a_phone_of_the_guides_table_is_shown_and_judged_as_the_gateway_does") {
        return;
    }
    let scene = rsa_scene("guide");
    let whole = "DHE-RSA-AES256-SHA:AES256-SHA:DHE-RSA-AES128-SHA:AES128-SHA:RC4-SHA:RC4-MD5:EXP-RC4-MD5";
    for (name, template, code) in [("good", phone_template(), 0), ("expired", expired(), 1)] {
        let files = old_stack::files(&scene.folder, name, &rsa_phone(&scene, &template));
        let trace = Trace::start(&scene, &["--json"]);
        let job = Job::new(trace.address, "tls1", whole).presenting(&files);
        let outcome = old_stack::run(&[job]).remove(0);
        assert_eq!(outcome.is_served(), code == 0, "{outcome:?}");
        let (ended, lines) = trace.end_json();
        assert_eq!(ended, Some(code), "{lines:#?}");
        let hello = lines.iter().find(|line| line["event"] == "message").unwrap()["facts"].to_string();
        for expected in
            ["TLS_RSA_WITH_RC4_128_MD5", "TLS_RSA_EXPORT_WITH_RC4_40_MD5", "no signature_algorithms"]
        {
            assert!(hello.contains(expected), "{expected}: {hello}");
        }
        assert_eq!(
            messages(&lines, "gateway")[..4],
            ["ServerHello", "Certificate", "ServerKeyExchange", "CertificateRequest"]
        );
        let outcome = lines.last().unwrap();
        assert_eq!(outcome["records"][0]["engine"], "legacy");
        if code == 1 {
            assert_eq!(outcome["refusal"]["reason"], Reason::Expired.as_str());
            let alert = lines.iter().any(|line| line["message"] == "Alert: certificate_expired (45)");
            assert!(alert, "{lines:#?}");
        }
    }
}

#[test]
fn an_sslv2_format_hello_is_shown() {
    if !old_stack::is_present("an_sslv2_format_hello_is_shown") {
        return;
    }
    let scene = rsa_scene("guide");
    let files = old_stack::files(&scene.folder, "phone", &rsa_phone(&scene, &phone_template()));
    let trace = Trace::start(&scene, &[]);
    let suites = "AES128-SHA:RC4-MD5:DES-CBC3-MD5:RC2-CBC-MD5";
    let outcome = old_stack::run(&[Job::new(trace.address, "any", suites).presenting(&files)]).remove(0);
    assert!(outcome.sslv2_hello && outcome.is_served(), "{outcome:?}");
    let (code, out) = trace.end("ADMITTED");
    assert_eq!(code, Some(0));
    assert!(out.iter().any(|line| line.contains("as SSLv2 has it")), "{out:#?}");
}

#[test]
fn whatever_is_no_handshake_is_shown_and_refused_and_the_next_one_is_served() {
    let scene = Scene::new();
    let trace = Trace::start(&scene, &["--count", "5"]);
    let cases: [(&[u8], &str, &str); 4] = [
        (b"GET / HTTP/1.1\r\n\r\n", "not_tls", "that are no TLS"),
        (b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x00", "hello_too_large", "are no TLS"),
        (
            b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
            "hello_malformed",
            "malformed the client hello ends early",
        ),
        (b"\x16\x03\x01\x02\x00\x01", "client_gone", "in the middle of a message"),
    ];
    for (bytes, _, _) in &cases {
        let mut stream = TcpStream::connect(trace.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let client = harness::client::Client::new(trace.address, &scene.server_authority, HOST);
    assert_eq!(client.presenting(&scene.phone()).get(PROFILE).status(), 200);
    let (code, out) = trace.end("ADMITTED");
    assert_eq!(code, Some(1));
    let text = out.join("\n");
    let parts: Vec<&str> = text.split("\nconnection ").collect();
    for ((_, reason, shown), part) in cases.iter().zip(&parts) {
        let flat = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&format!("REFUSED: {reason}")), "{reason}: {part}");
        assert!(flat.contains(shown), "{shown}: {part}");
    }
    assert!(parts[4].contains("ADMITTED"), "{}", parts[4]);
}

#[test]
fn an_address_that_is_taken_and_a_listener_that_is_none_are_said() {
    let scene = Scene::new();
    let gateway = scene.start();
    let taken = gateway.address().to_string();
    let finished = scene.run_command("trace", &["--listen", &taken]);
    assert_eq!(finished.code, Some(1));
    assert!(finished.err.contains("cannot listen on") && finished.err.contains("hint: give another port"));
    let finished = scene.run_command("trace", &["--listen", "127.0.0.1:0", "--as", "192.0.2.1:443"]);
    assert_eq!(finished.code, Some(1));
    assert!(finished.err.contains("has no listener at 192.0.2.1:443"), "{finished:?}");
    let trace = Trace::start(&scene, &["--as", "127.0.0.1:0"]);
    let client = harness::client::Client::new(trace.address, &scene.server_authority, HOST);
    assert_eq!(client.presenting(&scene.phone()).get(PROFILE).status(), 200, "the twin");
    assert_eq!(trace.end("ADMITTED").0, Some(0));
}
