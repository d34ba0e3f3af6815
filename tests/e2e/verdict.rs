//! The two ways a connection can go, with everything that must then be so.

use std::{process::Command, sync::OnceLock};

use harness::{
    audit::Record,
    binary,
    client::{Client, Outcome},
    gateway::{Gateway, PROFILE, Scene},
    pki::Credentials,
    process,
};
use policies::Reason;

/// The device gets the phone's own profile, and the record says so.
#[track_caller]
pub(crate) fn admitted(gateway: &Gateway, client: &Client) -> Record {
    answered(gateway, client, PROFILE, 200)
}

/// The request is answered with this status; gives its record.
#[track_caller]
pub(crate) fn answered(gateway: &Gateway, client: &Client, target: &str, status: u16) -> Record {
    match client.get(target) {
        Outcome::Answer(response) => assert_eq!(response.status, status, "{target}: {}", response.text()),
        other @ (Outcome::Alert(_) | Outcome::Closed | Outcome::Broken(_)) => {
            panic!(
                "{target} should be answered with {status}, but: {other:?}; {:?}",
                gateway.audit.records().last()
            )
        }
    }
    let record = gateway.audit.next();
    assert_eq!(record.text("event"), "request", "{record:?}");
    assert_eq!(record.number("status"), Some(status.into()), "{record:?}");
    record
}

/// The request is refused with this status for exactly this reason; the device learns no more than the status (SEC-63).
#[track_caller]
pub(crate) fn forbidden(
    gateway: &Gateway,
    client: &Client,
    target: &str,
    status: u16,
    reason: Reason,
) -> Record {
    let record = answered(gateway, client, target, status);
    assert_eq!(record.text("reason"), reason.as_str(), "{record:?}");
    assert_eq!(record.text("decision"), "deny", "{record:?}");
    told(reason, &format!("answer {status} "));
    record
}

/// The connection is refused for exactly this reason; the alert reaches the client, and is the one in the record.
#[track_caller]
pub(crate) fn refused(gateway: &Gateway, client: &Client, reason: Reason) -> Record {
    let outcome = client.get(PROFILE);
    let record = gateway.audit.next();
    assert_eq!(record.text("event"), "connection", "{record:?}");
    assert_eq!(record.text("reason"), reason.as_str(), "{record:?}");
    assert_eq!(record.text("decision"), "deny", "{record:?}");
    let alert = outcome.alert();
    assert_eq!(format!("sent {alert}"), record.text("alert"), "{record:?}");
    told(reason, &format!("alert {alert} ("));
    record
}

/// What `provision-gateway reasons` says that a phone shows is what the phone of this test was shown.
#[track_caller]
pub(crate) fn told(reason: Reason, words: &str) {
    static PAGES: OnceLock<serde_json::Value> = OnceLock::new();
    let pages = PAGES.get_or_init(|| {
        let finished = process::run(Command::new(binary::gateway()).args(["reasons", "--json"]), b"");
        serde_json::from_str(&finished.out).unwrap()
    });
    let page = pages.as_array().unwrap().iter().find(|page| page["reason"] == reason.as_str()).unwrap();
    let shown = page["phone_shows"].as_str().unwrap();
    // Where the reason itself names no alert, the record does.
    assert!(shown.contains(words) || shown.contains("which the record names"), "{reason}: {words}: {shown}");
}

/// The chain is refused in TLS 1.2 and 1.3 alike, with this reason and the facts of the certificate (SEC-59); and the
/// twin that differs in one thing is let in.
#[track_caller]
pub(crate) fn judged(scene: &Scene, wrong: &Credentials, reason: Reason, right: &Credentials) {
    let gateway = scene.start();
    for versions in [Client::tls12, Client::tls13] {
        let record = refused(&gateway, &versions(scene.client(&gateway, wrong)), reason);
        if reason != Reason::CertificateMalformed {
            assert_eq!(record.text("certificate.sha256"), wrong.fingerprint(), "{record:?}");
            assert_eq!(record.text("certificate.serial"), wrong.serial_text(), "{record:?}");
        }
        admitted(&gateway, &versions(scene.client(&gateway, right)));
    }
}
