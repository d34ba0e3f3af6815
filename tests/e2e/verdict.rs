//! The two ways a connection can go, with everything that must then be so.

use harness::{
    audit::Record,
    client::{Client, Outcome},
    gateway::{Gateway, PROFILE, Scene},
    pki::Credentials,
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
    assert_eq!(format!("sent {}", outcome.alert()), record.text("alert"), "{record:?}");
    record
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
