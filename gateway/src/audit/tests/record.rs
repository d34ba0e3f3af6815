//! What stands in a record.

use super::*;

#[test]
fn a_request_record_has_every_member_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let auditor = Auditor::to_file(&path, MEBIBYTE, clock).unwrap();
    let facts = full_facts();
    let request = facts.connection.request(1);
    auditor.record(&AuditRecord {
        alert: Some("received close_notify"),
        method: Some("GET"),
        path: Some(b"/000e08abcdef.cfg?x=\"1\""),
        status: Some(502),
        bytes: Some(0),
        rule: Some("own profile"),
        decision: Some(Decision::Permit),
        reason: Some("backend_unreachable"),
        detail: Some("connection refused"),
        backend: Some("http://127.0.0.1:8080"),
        ..AuditRecord::new(&facts.fragment(), Event::Request(request), Duration::from_micros(1234))
    });
    auditor.close(LIMIT).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        lines(&text),
        [json!({
            "v": 1, "time": "2026-11-23T02:25:11.000042Z", "event": "request",
            "connection": facts.connection.to_string(), "request": request.to_string(),
            "peer": "[2001:db8::7]:40000", "listener": "0.0.0.0:8443", "host": "prov.example.com", "engine": "modern",
            "hello": {
                "versions": ["TLSv1.3", "0x7a7a"], "suites": ["TLS_AES_128_GCM_SHA256"],
                "sni": "prov.example.com", "format": "sslv2", "ja4": "t13d1516h2_8daaf6152771_02713d6af862",
                "extensions": [0, 10, 65_281], "groups": ["x25519"],
                "signature_algorithms": ["rsa_pss_rsae_sha256"], "alpn": ["http/1.1"],
                "ja3": "ada70206e40642a3e4461f35503241d5",
            },
            "tls": { "version": "TLSv1.3", "suite": "TLS_AES_128_GCM_SHA256", "resumed": true },
            "alert": "received close_notify",
            "certificate": {
                "subject": "SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC", "issuer": "CN=Client Root", "serial": "0ABC",
                "sha256": "ab".repeat(32), "key_sha256": "cd".repeat(32), "not_after": "2046-11-23T02:25:11Z", "depth": 2,
            },
            "exceptions": ["sha1", "expired"],
            "device": {
                "kind": "device", "product": "CP-8841-3PCC", "serial": "88012BA01234", "mac": "000e08abcdef",
                "profile": "cisco-small-business",
            },
            "method": "GET", "path": "/000e08abcdef.cfg?x=\"1\"", "status": 502, "bytes": 0,
            "rule": "own profile", "decision": "permit", "reason": "backend_unreachable", "detail": "connection refused",
            "duration_us": 1234, "backend": "http://127.0.0.1:8080",
        })]
    );
    assert!(
        text.starts_with(r#"{"v":1,"time":"2026-11-23T02:25:11.000042Z","event":"request","connection":""#)
    );
}

#[test]
fn the_first_record_of_a_connection_tells_the_whole_hello_and_the_others_what_a_phone_is_known_by() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let auditor = Auditor::to_file(&path, MEBIBYTE, clock).unwrap();
    let (facts, without_hello) = (full_facts(), bare_facts().fragment());
    let (id, fragment) = (facts.connection, facts.fragment());
    let mut forgotten = facts;
    forgotten.forget_the_written();
    let after = forgotten.fragment_after(&fragment);
    let shortened = fragment.shortened();
    let after_shortened = forgotten.fragment_after(&shortened);
    let closed = Event::Closed { requests: 2, ended: "done" };
    for (facts, event) in [
        (&fragment, Event::Request(id.request(1))),
        (&fragment, Event::Request(id.request(2))),
        (&after, Event::Request(id.request(3))),
        (&fragment, closed),
        (&fragment, Event::Connection),
        (&without_hello, closed),
        (&shortened, Event::Request(id.request(4))),
        (&shortened, Event::Request(id.request(1))),
        (&after_shortened, Event::Request(id.request(5))),
        (&without_hello.shortened(), closed),
    ] {
        auditor.record(&AuditRecord::new(facts, event, Duration::ZERO));
    }
    auditor.close(LIMIT).unwrap();
    let hellos: Vec<_> =
        lines(&fs::read_to_string(&path).unwrap()).into_iter().map(|line| line["hello"].clone()).collect();
    let short = json!({
        "versions": ["TLSv1.3", "0x7a7a"], "suites": ["TLS_AES_128_GCM_SHA256"], "sni": "prov.example.com",
        "format": "sslv2", "ja4": "t13d1516h2_8daaf6152771_02713d6af862",
    });
    assert_eq!(hellos[1], short);
    assert_eq!(hellos[2], short, "judged again after a pause");
    assert_eq!(hellos[3], short);
    assert_eq!(hellos[0], hellos[4]);
    assert_eq!(hellos[0]["groups"], json!(["x25519"]));
    assert_eq!(hellos[5], serde_json::Value::Null);
    assert_eq!(hellos[6], short);
    assert_eq!(hellos[7], short, "the rest is gone");
    assert_eq!(hellos[8], short, "judged again after it was shortened");
    assert_eq!(hellos[9], serde_json::Value::Null);
    assert!(shortened.members().len() < fragment.members().len());
}

#[test]
fn facts_that_are_not_known_are_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let auditor = Auditor::to_file(&path, MEBIBYTE, clock).unwrap();
    let facts = bare_facts();
    auditor.record(&AuditRecord {
        reason: Some("hello_timeout"),
        decision: Some(Decision::Deny),
        ..AuditRecord::new(&facts.fragment(), Event::Connection, Duration::from_secs(10))
    });
    auditor.close(LIMIT).unwrap();
    assert_eq!(
        lines(&fs::read_to_string(&path).unwrap()),
        [json!({
            "v": 1, "time": "2026-11-23T02:25:11.000042Z", "event": "connection", "connection": facts.connection.to_string(),
            "peer": "[2001:db8::7]:40000", "listener": "0.0.0.0:8443", "decision": "deny", "reason": "hello_timeout",
            "duration_us": 10_000_000,
        })]
    );
}
