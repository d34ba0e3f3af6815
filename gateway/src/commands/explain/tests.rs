use certs::{oid, testing::Pki};

use super::*;
use crate::config::tests::{Fixture, SOUND};

const OWN: &str = "https://prov.example.com/000e08abcdef.cfg";

struct Answer {
    outcome: Outcome,
    out: String,
    err: String,
}

/// Asks as the phone with `certificate`, which may change the command line.
fn ask(
    fixture: &Fixture,
    text: &str,
    certificate: Option<&certs::testing::Issued>,
    url: &str,
    change: impl FnOnce(&mut cli::Explain),
) -> Answer {
    fixture.write("gateway.toml", text);
    if let Some(issued) = certificate {
        fixture.write("phone.pem", issued.chain_pem());
    }
    let mut arguments = cli::Explain {
        config: fixture.path("gateway.toml"),
        certificate: certificate.map(|_| fixture.path("phone.pem")),
        url: url.to_owned(),
        method: "GET".to_owned(),
        user_agent: None,
        at: None,
        json: false,
    };
    change(&mut arguments);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = explain(&arguments, Pki::NOW, &mut Streams { out: &mut out, err: &mut err }).unwrap();
    Answer { outcome, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

#[test]
fn a_phones_own_profile_is_permitted_and_the_backends_view_is_shown() {
    let fixture = Fixture::new();
    let phone = fixture.pki.device().issue();
    let answer = ask(&fixture, SOUND, Some(&phone), OWN, |_| {});
    assert_eq!(answer.outcome, Outcome::Done, "{}{}", answer.out, answer.err);
    for expected in [
        "the phone asks for the server name prov.example.com",
        "presented 0: SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC",
        "anchor: CN=Test Client Root",
        "ssl-client-verify: SUCCESS",
        "ssl-client-i-dn-s: 000e08abcdef",
        "PERMITTED by rule \"own profile\"",
        "http://127.0.0.1:8080 GET /000e08abcdef.cfg",
    ] {
        assert!(answer.out.contains(expected), "{expected:?} is missing:\n{}", answer.out);
    }
}

#[test]
fn each_refusal_is_told_with_its_reason_and_what_the_phone_gets() {
    let fixture = Fixture::new();
    let pki = &fixture.pki;
    let phone = || pki.device();
    let denied = pki.device_with("CP-8841-3PCC", "88012BA01234", "000e08ffffff");
    let revoked = phone().issue();
    fixture.write("trust/crls/root.crl", pki.root().crl().revoke(revoked.certificate()).to_pem());
    let cases = [
        (phone().issue(), "https://prov.example.com/000e08aaaaaa.cfg", "no_rule_matched", "403 Forbidden"),
        (phone().issue(), "https://prov.example.com/../000e08abcdef.cfg", "bad_target", "400 Bad Request"),
        (
            phone().issue(),
            "https://other.example.com/000e08abcdef.cfg",
            "unknown_server_name",
            "TLS alert unrecognized_name",
        ),
        (
            phone().issue(),
            "https://192.0.2.7/000e08abcdef.cfg",
            "unknown_server_name",
            "TLS alert unrecognized_name",
        ),
        (phone().expired().issue(), OWN, "expired", "TLS alert certificate_expired"),
        (Pki::named("Other").device().issue(), OWN, "unknown_issuer", "TLS alert unknown_ca"),
        (revoked, OWN, "revoked", "TLS alert certificate_revoked"),
        (denied.issue(), OWN, "denied_by_list", "TLS alert"),
        (pki.leaf().attribute(oid::COMMON_NAME, "me").issue(), OWN, "identity_not_recognised", "TLS alert"),
    ];
    assert_eq!(
        ask(&fixture, SOUND, Some(&phone().issue()), OWN, |_| {}).outcome,
        Outcome::Done,
        "the twin of all"
    );
    for (issued, url, reason, phone_gets) in cases {
        let answer = ask(&fixture, SOUND, Some(&issued), url, |_| {});
        assert_eq!(answer.outcome, Outcome::Refused, "{reason} expected:\n{}", answer.out);
        assert!(answer.out.contains(&format!("REFUSED: {reason}\n")), "{reason} expected:\n{}", answer.out);
        assert!(answer.out.contains(phone_gets), "{phone_gets} expected:\n{}", answer.out);
    }
}

#[test]
fn a_certificate_that_cannot_be_read_is_refused_as_it_would_be_in_the_handshake() {
    let fixture = Fixture::new();
    let mut der = fixture.pki.device().issue().certificate().der().to_vec();
    fixture.write("good.der", &der);
    der.push(0);
    fixture.write("bad.der", &der);
    let present = |file: &str| {
        ask(&fixture, SOUND, None, OWN, |question| question.certificate = Some(fixture.path(file)))
    };
    assert_eq!(present("good.der").outcome, Outcome::Done);
    let answer = present("bad.der");
    assert!(answer.out.contains("REFUSED: certificate_malformed"), "{}", answer.out);
}

#[test]
fn without_a_certificate_it_depends_on_client_auth() {
    let fixture = Fixture::new();
    let answer = ask(&fixture, SOUND, None, OWN, |_| {});
    assert!(answer.out.contains("REFUSED: no_certificate"), "{}", answer.out);
    let optional = SOUND.replace("\"required\"", "\"optional\"").replace("\"own-profile\"", "\"rules.toml\"");
    fixture.write(
        "rules.toml",
        "[[rule]]\nname = \"start\"\nallow = [\"GET\"]\npath = [\"/start.cfg\"]\nfor = [\"anonymous\"]\n",
    );
    let answer = ask(&fixture, &optional, None, "https://prov.example.com/start.cfg", |_| {});
    assert_eq!(answer.outcome, Outcome::Done, "{}", answer.out);
    let answer = ask(&fixture, &optional, None, OWN, |_| {});
    assert!(answer.out.contains("REFUSED: no_rule_matched"), "{}", answer.out);
}

#[test]
fn what_is_judged_is_the_normalised_target() {
    let fixture = Fixture::new();
    let phone = fixture.pki.device().issue();
    let answer =
        ask(&fixture, SOUND, Some(&phone), "https://prov.example.com//%30%30%30e08abcdef.cfg", |_| {});
    assert_eq!(answer.outcome, Outcome::Done, "{}", answer.out);
    assert!(answer.out.contains("http://127.0.0.1:8080 GET /000e08abcdef.cfg"), "{}", answer.out);
}

#[test]
fn another_time_can_be_asked_for() {
    let fixture = Fixture::new();
    let phone = fixture.pki.device().issue();
    let text = SOUND.replace("crls = \"trust/crls\"\n", "");
    let at =
        |time: &str| ask(&fixture, &text, Some(&phone), OWN, |question| question.at = Some(time.to_owned()));
    assert_eq!(at("2027-11-22T00:00:00Z").outcome, Outcome::Done);
    assert!(at("2027-11-24T00:00:00Z").out.contains("REFUSED: expired"));
    assert!(at("tomorrow").err.starts_with("error: \"tomorrow\" is no time\nhint: "));
}

#[test]
fn the_answer_comes_as_json_too() {
    let fixture = Fixture::new();
    let phone = fixture.pki.device().issue();
    let answer = ask(&fixture, SOUND, Some(&phone), OWN, |question| question.json = true);
    let value: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(value["decision"], "permit");
    assert_eq!(value["rule"], "own profile");
    let answer = ask(&fixture, SOUND, None, OWN, |question| question.json = true);
    let value: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!((&value["decision"], &value["reason"]), (&"deny".into(), &"no_certificate".into()));
}

#[test]
fn a_question_that_makes_no_sense_is_an_error_with_a_hint() {
    let fixture = Fixture::new();
    let phone = fixture.pki.device().issue();
    for (url, expected) in [
        ("http://prov.example.com/", "is no https URL with a host"),
        ("/000e08abcdef.cfg", "is no https URL with a host"),
        ("https://me@prov.example.com/", "is no https URL with a host"),
    ] {
        let answer = ask(&fixture, SOUND, Some(&phone), url, |_| {});
        assert!(answer.err.starts_with("error: ") && answer.err.contains(expected), "{}", answer.err);
        assert!(answer.err.contains("\nhint: such as https://"), "{}", answer.err);
    }
    let answer = ask(&fixture, SOUND, Some(&phone), OWN, |question| {
        question.certificate = Some(fixture.path("deny.txt"))
    });
    assert!(answer.err.contains("holds no certificate"), "{}", answer.err);
    let answer =
        ask(&fixture, SOUND, Some(&phone), OWN, |question| question.certificate = Some(fixture.path("none")));
    assert!(answer.err.contains("cannot be read"), "{}", answer.err);
    let answer = ask(&fixture, &SOUND.replace("rules", "ruels"), Some(&phone), OWN, |_| {});
    assert!(answer.err.contains("gateway.toml:12:1"), "{}", answer.err);
}
