//! Phones of the guide's table: TLS 1.0 to 1.2 with its suites, certificates of their time, driven by a TLS stack of
//! their time.

use harness::{
    audit::Record,
    expect::now,
    gateway::{Gateway, HOST, Scene, phone_template},
    old_stack::{self, EXPORT, Job, Outcome, TABLE, VERSIONS},
    pki::{Authority, Credentials, DAY, Digest, Key, KeyKind, Template},
};
use policies::Reason;

/// A gateway for old phones: an RSA server certificate, the policy `guide`, and anchors that sign as old ones did.
fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.client_authority = Authority::root_with(Key::old(2048), Template::authority("Old Client Root"));
    scene.folder.replace("client-root.pem", scene.client_authority.pem());
    let server = scene.server_authority.issue_for(Key::new(KeyKind::Rsa2048), &Template::server(&[HOST]));
    scene.folder.replace("server-chain.pem", server.chain_pem());
    scene.folder.replace("server-key.pem", server.key_pem());
    scene.config.listeners[0].tls = "guide".to_owned();
    scene
}

/// What all of an old fleet needs.
const ALLOW: &str = "allow = [\"sha1\", \"md5\", \"rsa-1024\", \"x509-v1\", { expired = \"30d\" }]";

/// The certificates of the matrix: what each is called, what the record says of it where it is allowed, and why it is
/// refused where it is not.
const CERTIFICATES: [(&str, &[&str], Option<Reason>); 5] = [
    ("sha256-2048", &[], None),
    ("sha1-1024", &["rsa-1024", "sha1"], Some(Reason::WeakSignature)),
    ("v1", &["x509-v1"], Some(Reason::UnsupportedVersion)),
    ("md5", &["md5"], Some(Reason::WeakSignature)),
    ("expired-in-grace", &["expired"], Some(Reason::Expired)),
];

fn certificate(scene: &Scene, name: &str) -> Credentials {
    let template = phone_template();
    let (key, template) = match name {
        "sha256-2048" => (Key::new(KeyKind::Rsa2048), template),
        "sha1-1024" => (Key::new(KeyKind::Rsa1024), Template { digest: Digest::Sha1, ..template }),
        "v1" => (Key::new(KeyKind::Rsa2048), Template { version_3: false, ..template }),
        "md5" => (Key::new(KeyKind::Rsa2048), Template { digest: Digest::Md5, ..template }),
        "expired-in-grace" => (
            Key::new(KeyKind::Rsa2048),
            Template { not_after: now() - 10 * DAY, not_before: now() - 99 * DAY, ..template },
        ),
        "expired-beyond" => (
            Key::new(KeyKind::Rsa2048),
            Template { not_after: now() - 40 * DAY, not_before: now() - 99 * DAY, ..template },
        ),
        other => panic!("no certificate {other}"),
    };
    scene.client_authority.issue_for(key, &template)
}

fn exceptions(record: &Record) -> Vec<String> {
    let listed = record.at("exceptions").and_then(|found| found.as_array().cloned()).unwrap_or_default();
    let mut names: Vec<String> = listed.iter().map(|one| one.as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[track_caller]
fn served(outcome: &Outcome, gateway: &Gateway) -> Record {
    assert!(outcome.is_served(), "{outcome:?}: {:?}", gateway.audit.records().last());
    gateway.audit.next()
}

#[test]
fn every_suite_of_the_table_with_every_version_and_every_certificate() {
    let test = "every_suite_of_the_table_with_every_version_and_every_certificate";
    if !old_stack::is_present(test) {
        return;
    }
    let mut lenient = scene();
    lenient.config.trust_line(ALLOW);
    let strict = scene();
    strict.folder.replace("client-root.pem", lenient.client_authority.pem());
    let (allowing, refusing) = (lenient.start(), strict.start());
    let mut rows = Vec::new();
    let (mut allowed, mut refused) = (Vec::new(), Vec::new());
    for (name, exceptions, reason) in
        CERTIFICATES.iter().chain(&[("expired-beyond", &[] as &[&str], Some(Reason::Expired))])
    {
        let files = old_stack::files(&lenient.folder, name, &certificate(&lenient, name));
        for (version, version_name) in VERSIONS {
            for (suite, _, suite_name) in TABLE {
                rows.push((name, exceptions, reason, version_name, suite, suite_name));
                allowed.push(Job::new(allowing.address(), version, suite).presenting(&files));
                refused.push(Job::new(refusing.address(), version, suite).presenting(&files));
            }
        }
    }
    assert_eq!(rows.len(), 6 * 3 * 6);
    let outcomes = old_stack::run(&allowed).into_iter().zip(old_stack::run(&refused));
    for (row, (allowed, refused)) in rows.iter().zip(outcomes) {
        let (name, wanted, reason, version, suite, suite_name) = row;
        let beyond = *name == &"expired-beyond";
        let of_engine = |record: &Record| {
            assert_eq!(record.text("engine"), "legacy", "{row:?}");
        };
        if beyond {
            assert_eq!(allowed.alert, Some(45), "{row:?}: {allowed:?}");
            let record = allowing.audit.next();
            of_engine(&record);
            assert_eq!(record.text("reason"), Reason::Expired.as_str(), "{row:?}");
            assert_eq!(record.text("alert"), "sent certificate_expired", "{row:?}");
        } else {
            let record = served(&allowed, &allowing);
            of_engine(&record);
            assert_eq!(exceptions(&record), **wanted, "{row:?}");
            assert_eq!(
                (record.text("tls.version"), record.text("tls.suite")),
                (*version, *suite_name),
                "{row:?}"
            );
            assert_eq!(record.text("device.mac"), harness::gateway::MAC, "{row:?}");
            assert_eq!(allowed.suite.as_deref(), Some(*suite), "{row:?}");
        }
        match reason {
            None => {
                served(&refused, &refusing);
            }
            Some(reason) => {
                let record = refusing.audit.next();
                of_engine(&record);
                assert_eq!(record.text("reason"), reason.as_str(), "{row:?}: {record:?}");
                assert!(record.at("certificate.sha256").is_some(), "{row:?}");
                let alert = if *reason == Reason::Expired { 45 } else { 43 };
                assert_eq!(refused.alert, Some(alert), "{row:?}: {refused:?}");
            }
        }
    }
}

#[test]
fn the_strongest_shared_suite_is_taken_and_export_alone_is_refused() {
    if !old_stack::is_present("the_strongest_shared_suite_is_taken_and_export_alone_is_refused") {
        return;
    }
    let scene = scene();
    let gateway = scene.start();
    let files = old_stack::files(&scene.folder, "phone", &certificate(&scene, "sha256-2048"));
    // In the phone's order RC4 stands first; in ours last.
    let whole = "RC4-MD5:RC4-SHA:EXP-RC4-MD5:AES128-SHA:DHE-RSA-AES128-SHA:AES256-SHA:DHE-RSA-AES256-SHA";
    let offer = |suites: &str| Job::new(gateway.address(), "tls1", suites).presenting(&files);
    let outcomes = old_stack::run(&[
        offer(whole),
        offer("RC4-MD5:EXP-RC4-MD5:AES128-SHA"),
        offer("EXP-RC4-MD5:RC4-MD5:RC4-SHA"),
        offer(EXPORT),
    ]);
    for (outcome, suite) in outcomes.iter().zip(["DHE-RSA-AES256-SHA", "AES128-SHA", "RC4-SHA"]) {
        served(outcome, &gateway);
        assert_eq!(outcome.suite.as_deref(), Some(suite));
    }
    let record = gateway.audit.next();
    assert_eq!(record.text("reason"), Reason::ExportOnly.as_str());
    assert_eq!(record.text("alert"), "sent insufficient_security");
    assert_eq!(outcomes[3].alert, Some(71), "{:?}", outcomes[3]);
    assert!(
        record.at("hello.suites").unwrap().to_string().contains("TLS_RSA_EXPORT_WITH_RC4_40_MD5"),
        "{record:?}"
    );
}

#[test]
fn an_sslv2_format_hello_is_served() {
    if !old_stack::is_present("an_sslv2_format_hello_is_served") {
        return;
    }
    let scene = scene();
    let gateway = scene.start();
    let files = old_stack::files(&scene.folder, "phone", &certificate(&scene, "sha256-2048"));
    let job =
        Job::new(gateway.address(), "any", "AES128-SHA:RC4-MD5:DES-CBC3-MD5:RC2-CBC-MD5").presenting(&files);
    let outcomes = old_stack::run(&[job]);
    assert!(outcomes[0].sslv2_hello, "the old stack did not frame its hello as SSLv2 does: {outcomes:?}");
    let record = served(&outcomes[0], &gateway);
    assert_eq!(record.text("engine"), "legacy");
    assert_eq!(record.text("tls.suite"), "TLS_RSA_WITH_AES_128_CBC_SHA");
    assert!(record.at("hello.sni").is_none());
}
