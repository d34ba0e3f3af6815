//! NIST's PKITS, presented to the gateway in handshakes: the suite's anchor, and every list of the suite in one folder.
//!
//! The suite ends on the last day of 2030; the gateway judges by the clock, so this test does too.

use std::collections::BTreeMap;

use harness::{
    audit::Record,
    client::{Client, Outcome},
    der,
    expect::{Peer, all_present, eventually},
    gateway::{Gateway, Scene, Trust},
    origin::Origin,
    pkits::{self, CASES, Case, Expected, Suite},
};
use policies::Reason;

const RULES: &str = r#"
[[rule]]
name  = "operators"
allow = ["GET"]
path  = ["/{*}"]
for   = ["operator"]
"#;

/// In TLS 1.2 and 1.3 alike: none is let in wrongly, all but two are judged as NIST does, and what is refused is refused
/// for what is wrong with it. The two are valid and signed with DSA.
#[test]
fn judges_pkits_over_handshakes_as_nist_does() {
    let test = "judges_pkits_over_handshakes_as_nist_does";
    let Some(suite) = Suite::find(test) else { return };
    if !all_present(test, &[Peer::Openssl]) {
        return;
    }
    let presented: Vec<_> = CASES.iter().map(|case| (case, suite.credentials(case))).collect();
    for version in [Client::tls12, Client::tls13] {
        let origin = Origin::start();
        let scene = scene(&suite, &origin);
        let gateway = scene.start();
        let outcomes: Vec<_> = presented
            .iter()
            .map(|(_, credentials)| version(scene.client(&gateway, credentials)).get("/"))
            .collect();
        let records = records_by_leaf(&gateway);
        let said: Vec<_> = presented
            .iter()
            .zip(outcomes)
            .map(|((case, credentials), outcome)| {
                (*case, said(case, outcome, &records[&credentials.fingerprint()]))
            })
            .collect();
        pkits::judge(&said);
        let let_in = said.iter().filter(|(_, said)| *said == Expected::Valid).count();
        assert_eq!(origin.received().len(), let_in, "the backend heard from those let in, and from no other");
    }
}

fn scene(suite: &Suite, origin: &Origin) -> Scene {
    let mut scene = Scene::before(origin.address());
    scene.folder.write("pkits.pem", der::pem("CERTIFICATE", &suite.anchor()));
    scene.folder.write("operators.toml", RULES);
    let crls = suite.crls();
    let host = scene.config.host();
    host.rules = "operators.toml".to_owned();
    host.trust = vec![Trust::new("pkits.pem", &["operator"])];
    for line in [&format!("crls = {crls:?}"), "crl-unknown = \"deny\"", "crl-expired = \"deny\""] {
        scene.config.trust_line(line);
    }
    scene
}

/// One record for each case, by the fingerprint of its leaf.
fn records_by_leaf(gateway: &Gateway) -> BTreeMap<String, Record> {
    let records = eventually("a record of every case", || {
        Some(gateway.audit.records()).filter(|records| records.len() >= CASES.len())
    });
    assert_eq!(records.len(), CASES.len(), "one record for each case");
    records.into_iter().map(|record| (record.text("certificate.sha256").to_owned(), record)).collect()
}

/// What the gateway said: to the client by its answer or its alert, and in the record alike.
fn said(case: &Case, outcome: Outcome, record: &Record) -> Expected {
    match outcome {
        Outcome::Answer(response) => {
            assert_eq!((response.status, response.text().as_str()), (200, "origin"), "{case:?}");
            assert_eq!(record.text("event"), "request", "{case:?} {record:?}");
            assert_eq!(record.text("device.kind"), "operator", "{case:?} {record:?}");
            Expected::Valid
        }
        Outcome::Alert(alert) => {
            assert_eq!(record.text("event"), "connection", "{case:?} {record:?}");
            assert_eq!(record.text("alert"), format!("sent {alert}"), "{case:?} {record:?}");
            let reason = Reason::ALL.iter().find(|reason| reason.as_str() == record.text("reason"));
            Expected::Invalid(*reason.unwrap_or_else(|| panic!("{case:?} has no reason: {record:?}")))
        }
        other @ (Outcome::Closed | Outcome::Broken(_)) => panic!("{case:?}: {other:?}; {record:?}"),
    }
}
