//! The admin listener: what monitoring reads from it, and who may.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;

use harness::{
    admin::{self, TOKEN, ask},
    expect::{Peer, all_present, eventually, now},
    gateway::{Gateway, HOST, PROFILE, Scene, phone_template},
    pki::{Credentials, Template},
    process,
};
use policies::Reason;

use crate::verdict::{admitted, answered, refused};

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.folder.write_private("admin.token", format!("{TOKEN}\n"));
    scene.config.tables.push(admin::table());
    scene
}

fn at(gateway: &Gateway) -> SocketAddr {
    gateway.admin.expect("an admin listener")
}

fn expired(scene: &Scene) -> Credentials {
    scene.client_authority.issue(&Template { not_after: now() - 60, ..phone_template() })
}

/// Samples by name and labels.
fn samples(gateway: &Gateway) -> BTreeMap<String, f64> {
    let answer = admin::get(at(gateway), "/metrics");
    assert_eq!(answer.status, 200);
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Those of a family whose labels have all these.
fn sum(samples: &BTreeMap<String, f64>, family: &str, labels: &[&str]) -> f64 {
    let of_family = samples.iter().filter(|(name, _)| name.split('{').next() == Some(family));
    of_family
        .filter(|(name, _)| labels.iter().all(|label| name.contains(label)))
        .map(|(_, value)| value)
        .sum()
}

#[test]
fn sec_64_metrics_count_what_the_records_say() {
    let scene = scene();
    let gateway = scene.start();
    let phone = scene.phone();
    for _ in 0..3 {
        admitted(&gateway, &scene.client(&gateway, &phone).tls13().without_resumption());
    }
    answered(
        &gateway,
        &scene.client(&gateway, &phone).tls12().without_resumption(),
        "/000e08abcdf0.cfg",
        403,
    );
    refused(&gateway, &scene.client(&gateway, &expired(&scene)), Reason::Expired);
    let samples = eventually("the counts", || {
        let samples = samples(&gateway);
        (sum(&samples, "provision_gateway_requests_total", &[]) >= 4.0).then_some(samples)
    });
    let count = |family, labels: &[&str]| sum(&samples, family, labels);
    let handshakes = "provision_gateway_handshakes_total";
    let accepted = [r#"engine="modern""#, r#"outcome="accepted""#, r#"reason="""#];
    assert_eq!(count(handshakes, &[&accepted[..], &[r#"version="TLSv1.3""#]].concat()), 3.0, "{samples:#?}");
    assert_eq!(count(handshakes, &[&accepted[..], &[r#"version="TLSv1.2""#]].concat()), 1.0);
    assert_eq!(count(handshakes, &[r#"outcome="refused""#, r#"reason="expired""#]), 1.0);
    assert_eq!(count(handshakes, &[]), 5.0);
    let clients = [r#"host="prov.example.com""#, r#"trust="client-root""#, r#"kind="device""#];
    assert_eq!(count("provision_gateway_clients_total", &clients), 4.0);
    let requests = "provision_gateway_requests_total";
    assert_eq!(count(requests, &[r#"rule="own profile""#, r#"status="200""#, r#"reason="""#]), 3.0);
    assert_eq!(count(requests, &[r#"status="403""#, r#"reason="no_rule_matched""#]), 1.0);
    assert_eq!(count("provision_gateway_request_duration_seconds_count", &[]), 4.0);
    assert_eq!(count("provision_gateway_handshake_duration_seconds_count", &[r#"resumed="false""#]), 4.0);
    assert!(count("provision_gateway_certificate_expiry_seconds", &[r#"host="prov.example.com""#]) > 0.0);
    assert!(count("process_resident_memory_bytes", &[]) > 1e6);
    let text = admin::get(at(&gateway), "/metrics").body;
    let sink = format!("{{sink=\"file {}\"}}", scene.folder.join("audit.jsonl").display());
    for (family, value) in [("queue_limit_bytes", "8388608"), ("records_lost_total", "0"), ("failing", "0")] {
        let sample = format!("provision_gateway_audit_sink_{family}{sink} {value}\n");
        assert!(text.contains(&sample), "{sample}{text}");
    }
    for one in [harness::gateway::MAC, "88012BA01234", PROFILE, "127.0.0.1"] {
        assert!(!text.contains(one), "{one} is of one device");
    }
}

/// What the HTTP library answers by itself is counted as well.
#[test]
fn requests_whose_head_is_refused_are_counted_with_their_reason() {
    let scene = scene();
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    admitted(&gateway, &client);
    assert_eq!(
        client.send(b"GET /000e08abcdef.cfg HTTP/1.1\r\nHost : prov.example.com\r\n\r\n").status(),
        400
    );
    let long =
        format!("GET /000e08abcdef.cfg HTTP/1.1\r\nHost: {HOST}\r\nX-Long: {}\r\n\r\n", "x".repeat(70_000));
    assert_eq!(client.send(long.as_bytes()).status(), 431);
    let requests = "provision_gateway_requests_total";
    let samples = eventually("the counts", || {
        let samples = samples(&gateway);
        (sum(&samples, requests, &[]) >= 3.0).then_some(samples)
    });
    let count = |family, labels: &[&str]| sum(&samples, family, labels);
    assert_eq!(
        count(requests, &[r#"rule="""#, r#"status="400""#, r#"reason="bad_request""#]),
        1.0,
        "{samples:#?}"
    );
    assert_eq!(count(requests, &[r#"rule="""#, r#"status="431""#, r#"reason="headers_too_large""#]), 1.0);
    assert_eq!(count(requests, &[r#"status="200""#, r#"reason="""#]), 1.0);
    assert_eq!(
        count("provision_gateway_request_duration_seconds_count", &[]),
        1.0,
        "whose time is not known"
    );
}

#[test]
fn promtool_has_nothing_to_say_of_the_metrics() {
    if !all_present("promtool_has_nothing_to_say_of_the_metrics", &[Peer::Promtool]) {
        return;
    }
    let mut scene = scene();
    scene.config.trust_line("allow = [{ expired = \"3y\" }]");
    scene.folder.write("empty.crl", scene.client_authority.crl(&[]).pem());
    scene.config.trust_line("crls = \"empty.crl\"");
    let gateway = scene.start();
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
    admitted(&gateway, &scene.client(&gateway, &expired(&scene)));
    answered(&gateway, &scene.client(&gateway, &scene.phone()), "/nothing", 403);
    let answer = admin::get(at(&gateway), "/metrics");
    assert_eq!(answer.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.body.contains("provision_gateway_exceptions_total{"), "{}", answer.body);
    assert!(answer.body.contains("provision_gateway_crl_next_update_seconds{"));
    let judged = process::run(Peer::Promtool.command().args(["check", "metrics"]), answer.body.as_bytes());
    assert_eq!((judged.code, judged.out.as_str(), judged.err.as_str()), (Some(0), "", ""));
    // The twin that it does complain of.
    let broken = answer.body.replace("_handshakes_total", "_handshakes");
    let judged = process::run(Peer::Promtool.command().args(["check", "metrics"]), broken.as_bytes());
    assert_ne!(judged.code, Some(0));
}

#[test]
fn openmetrics_is_given_to_who_asks_for_it() {
    let scene = scene();
    let gateway = scene.start();
    let token = format!("Authorization: Bearer {TOKEN}");
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let answer = ask(at(&gateway), "GET /metrics", &[&token, accept], "");
    assert!(answer.field("content-type").unwrap().starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(answer.body.ends_with("\n# EOF\n"));
    assert!(answer.body.contains("# TYPE provision_gateway_handshakes counter\n"));
}

#[test]
fn the_token_opens_and_nothing_else_does() {
    let scene = scene();
    let gateway = scene.start();
    let admin = at(&gateway);
    assert_eq!(admin::get(admin, "/metrics").status, 200);
    let none = ask(admin, "GET /metrics", &[], "");
    assert_eq!((none.status, none.field("www-authenticate")), (401, Some("Bearer realm=\"admin\"")));
    assert!(!none.body.contains("provision_gateway"));
    for wrong in [format!("Bearer {}", TOKEN.to_uppercase()), format!("Basic {TOKEN}"), "Bearer".to_owned()] {
        assert_eq!(
            ask(admin, "GET /metrics", &[&format!("Authorization: {wrong}")], "").status,
            401,
            "{wrong}"
        );
    }
    assert_eq!(ask(admin, &format!("GET /metrics?token={TOKEN}"), &[], "").status, 401, "never in a URL");
    assert_eq!(ask(admin, "GET /metrics", &[&format!("Cookie: provision_admin={TOKEN}")], "").status, 401);
    let token = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(ask(admin, "DELETE /metrics", &[&token], "").status, 405, "it changes nothing");
    assert_eq!(ask(admin, "GET /nothing", &[&token], "").status, 404);
}

#[test]
fn a_browser_signs_in_with_the_form_and_out_again() {
    let scene = scene();
    let gateway = scene.start();
    let admin = at(&gateway);
    let browser = "Accept: text/html,application/xhtml+xml";
    let first = ask(admin, "GET /", &[browser], "");
    assert_eq!((first.status, first.field("location")), (303, Some("/login")));
    let form = ask(admin, "GET /login", &[browser], "");
    assert!(form.status == 200 && form.body.contains("<form method=\"post\" action=\"/login\">"));
    assert!(form.field("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    let typed = "Content-Type: application/x-www-form-urlencoded";
    let wrong = ask(admin, "POST /login", &[typed], "token=wrong");
    assert_eq!((wrong.status, wrong.field("set-cookie")), (403, None));
    let right = ask(admin, "POST /login", &[typed], &format!("token={TOKEN}"));
    assert_eq!((right.status, right.field("location")), (303, Some("/")));
    let set = right.field("set-cookie").unwrap();
    assert!(set.contains("; HttpOnly; SameSite=Strict") && !set.contains(TOKEN), "{set}");
    let cookie = format!("Cookie: {}", set.split(';').next().unwrap());
    assert_eq!(ask(admin, "GET /metrics", &[&cookie], "").status, 200);
    let out = ask(admin, "POST /logout", &[&cookie], "");
    assert!(out.field("set-cookie").unwrap().contains("Max-Age=0"));
}

#[test]
fn after_ten_wrong_tokens_the_right_one_waits_too_and_a_cookie_does_not() {
    let scene = scene();
    let gateway = scene.start();
    let admin = at(&gateway);
    let right = ask(admin, "POST /login", &[], &format!("token={TOKEN}"));
    let cookie = format!("Cookie: {}", right.field("set-cookie").unwrap().split(';').next().unwrap());
    for _ in 0..10 {
        assert_eq!(ask(admin, "GET /metrics", &["Authorization: Bearer wrong"], "").status, 401);
    }
    let late = admin::get(admin, "/metrics");
    assert_eq!(late.status, 429);
    assert!(late.field("retry-after").unwrap().parse::<u64>().unwrap() <= 60);
    assert_eq!(ask(admin, "POST /login", &[], &format!("token={TOKEN}")).status, 429);
    assert_eq!(ask(admin, "GET /metrics", &[&cookie], "").status, 200);
}

#[test]
fn another_sites_name_gets_nothing() {
    let scene = scene();
    let gateway = scene.start();
    let admin = at(&gateway);
    let token = format!("Authorization: Bearer {TOKEN}");
    let port = admin.port();
    for (host, status) in [
        (format!("127.0.0.1:{port}"), 200),
        ("localhost".to_owned(), 200),
        ("LocalHost:1".to_owned(), 200),
        ("evil.example".to_owned(), 421),
        ("localhost.evil.example".to_owned(), 421),
        (String::new(), 421),
    ] {
        let answer = ask(admin, "GET /metrics", &[&token, &format!("Host: {host}")], "");
        assert_eq!(answer.status, status, "{host}");
    }
    let absolute = ask(admin, "GET http://evil.example/metrics", &[&token, "Host: localhost"], "");
    assert_eq!(absolute.status, 421);
    assert_eq!(ask(admin, "GET /health/live", &["Host: evil.example"], "").status, 200, "load balancers");
}

#[test]
fn health_says_ready_until_the_end_begins() {
    let scene = scene();
    let mut gateway = scene.start();
    let admin = at(&gateway);
    assert_eq!(ask(admin, "GET /health/live", &[], "").body, "live\n");
    assert_eq!(ask(admin, "GET /health/ready", &[], "").status, 200);
    let client = scene.client(&gateway, &scene.phone());
    let mut open = client.connect().unwrap();
    // A request that is not finished keeps the gateway from its end.
    open.write(b"GET /").unwrap();
    gateway.process.signal("TERM");
    let waiting = eventually("the end to begin", || {
        let answer = ask(admin, "GET /health/ready", &[], "");
        (answer.status == 503).then_some(answer)
    });
    assert!(waiting.body.contains("being stopped"), "{}", waiting.body);
    assert_eq!(ask(admin, "GET /health/live", &[], "").status, 200);
    drop(open);
    assert!(gateway.process.wait().success());
}

#[test]
fn a_reload_brings_another_token_and_takes_the_listener_away() {
    let mut scene = scene();
    let mut gateway = scene.start();
    let admin = at(&gateway);
    let right = ask(admin, "POST /login", &[], &format!("token={TOKEN}"));
    let cookie = format!("Cookie: {}", right.field("set-cookie").unwrap().split(';').next().unwrap());
    let other = TOKEN.to_uppercase();
    scene.folder.write_private("admin.token", &other);
    gateway.reload();
    assert_eq!(admin::get(admin, "/metrics").status, 401);
    assert_eq!(ask(admin, "GET /metrics", &[&cookie], "").status, 401, "cookies of the old token end");
    assert_eq!(ask(admin, "GET /metrics", &[&format!("Authorization: Bearer {other}")], "").status, 200);
    scene.config.tables.clear();
    scene.write_config();
    gateway.reload();
    eventually("the listener to go", || std::net::TcpStream::connect(admin).is_err().then_some(()));
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
}

#[test]
fn a_token_off_the_loopback_needs_tls_and_is_served_over_it() {
    if !all_present("a_token_off_the_loopback_needs_tls_and_is_served_over_it", &[Peer::Curl]) {
        return;
    }
    let mut scene = scene();
    let table = "[admin]\naddress = \"0.0.0.0:0\"\ntoken-file = \"admin.token\"\nmetrics = \"open\"\nnames = [\"prov.example.com\"]";
    scene.config.tables = vec![table.to_owned()];
    let checked = scene.run_command("check", &[]);
    assert_eq!(checked.code, Some(1));
    assert!(checked.err.contains("would cross the network"), "{}", checked.err);
    scene.config.tables =
        vec![format!("{table}\ncertificate = \"server-chain.pem\"\nprivate-key = \"server-key.pem\"")];
    let gateway = scene.start();
    let port = at(&gateway).port();
    let curl = harness::curl::Curl::new(([127, 0, 0, 1], port).into(), &scene.server_authority);
    let got = curl.get_one("/metrics");
    assert_eq!(got.status, 200, "{}", got.message);
    assert!(got.body.contains("provision_gateway_build_info"));
}

#[test]
fn a_token_file_that_others_can_read_or_that_is_short_stops_the_start() {
    let scene = scene();
    assert_eq!(scene.run_command("check", &[]).code, Some(0));
    scene.folder.write_private("admin.token", "short");
    let checked = scene.run_command("check", &[]);
    assert!(checked.err.contains("at least 32 are needed"), "{}", checked.err);
    scene.folder.write_private("admin.token", TOKEN);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(scene.folder.join("admin.token"), mode).unwrap();
    let checked = scene.run_command("check", &[]);
    assert_eq!(checked.code, Some(1));
    assert!(checked.err.contains("can be read or changed by other users"), "{}", checked.err);
    assert!(checked.err.contains("chmod 600"), "{}", checked.err);
}

#[test]
fn a_slow_or_endless_form_is_given_up() {
    let scene = scene();
    let gateway = scene.start();
    let long = format!("token={}", "x".repeat(5000));
    assert_eq!(ask(at(&gateway), "POST /login", &[], &long).status, 400);
    let mut stream = std::net::TcpStream::connect(at(&gateway)).unwrap();
    stream.write_all(b"\x16\x03\x01garbage").unwrap();
    assert_eq!(ask(at(&gateway), "GET /health/live", &[], "").status, 200);
}
