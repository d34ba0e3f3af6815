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
const CERTIFICATES: [(&str, &[&str], Option<Reason>); 6] = [
    ("sha256-2048", &[], None),
    ("sha1-1024", &["rsa-1024", "sha1"], Some(Reason::WeakSignature)),
    ("v1", &["x509-v1"], Some(Reason::UnsupportedVersion)),
    ("md5", &["md5"], Some(Reason::WeakSignature)),
    ("expired-in-grace", &["expired"], Some(Reason::Expired)),
    ("expired-beyond", &[], Some(Reason::Expired)),
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
    let mut strict = scene();
    // All come from one address, and each refusal is looked at.
    for scene in [&mut lenient, &mut strict] {
        scene.config.audit.push_str("\nrepeated = \"record\"");
    }
    strict.folder.replace("client-root.pem", lenient.client_authority.pem());
    let (allowing, refusing) = (lenient.start(), strict.start());
    let mut rows = Vec::new();
    let (mut allowed, mut refused) = (Vec::new(), Vec::new());
    for (name, exceptions, reason) in &CERTIFICATES {
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

#[test]
fn a_session_is_resumed_by_its_identifier_and_judged_again() {
    if !old_stack::is_present("a_session_is_resumed_by_its_identifier_and_judged_again") {
        return;
    }
    let mut scene = scene();
    scene.config.trust_line("crls = \"root.crl\"");
    scene.folder.write("root.crl", scene.client_authority.crl(&[]).pem());
    let mut gateway = scene.start();
    let (phone, other) = (certificate(&scene, "sha256-2048"), certificate(&scene, "sha256-2048"));
    let (files, twin) =
        (old_stack::files(&scene.folder, "phone", &phone), old_stack::files(&scene.folder, "twin", &other));
    for (version, _) in VERSIONS {
        let job = || Job::new(gateway.address(), version, "AES128-SHA").presenting(&files);
        let outcomes = old_stack::run(&[job(), job().resuming(0), job().resuming(1)]);
        let resumed: Vec<_> =
            outcomes.iter().map(|outcome| served(outcome, &gateway).boolean("tls.resumed")).collect();
        assert_eq!(resumed, [Some(false), Some(true), Some(true)], "{version}");
        assert!(outcomes[0].session.as_ref().is_some_and(|id| id.len() == 64), "an identifier and no ticket");
        assert_eq!(outcomes[0].session, outcomes[2].session, "{version}");
    }

    // Revoked between the two connections of one session: the gateway reloads in the middle, and keeps the session.
    let (address, served_first) = (gateway.address(), |files: &(std::path::PathBuf, std::path::PathBuf)| {
        Job::new(gateway.address(), "tls1", "AES128-SHA").presenting(files)
    });
    let mut session = old_stack::Session::start();
    for files in [&files, &twin] {
        let outcome = session.run(&served_first(files));
        served(&outcome, &gateway);
    }
    scene.folder.replace("root.crl", scene.client_authority.crl(&[&phone.serial]).pem());
    gateway.reload();
    let again = |files, number| Job::new(address, "tls1", "AES128-SHA").presenting(files).resuming(number);
    let refused = session.run(&again(&files, 0));
    assert!(!refused.is_served(), "{refused:?}");
    let record = gateway.audit.next();
    assert_eq!(record.text("reason"), Reason::Revoked.as_str(), "{record:?}");
    assert_eq!(record.text("certificate.sha256"), phone.fingerprint());
    let outcome = session.run(&again(&twin, 1));
    assert_eq!(served(&outcome, &gateway).boolean("tls.resumed"), Some(true), "the twin's session lives on");
}

#[test]
fn a_resumed_chain_is_judged_whole() {
    if !old_stack::is_present("a_resumed_chain_is_judged_whole") {
        return;
    }
    let scene = scene();
    let gateway = scene.start();
    // Poly's shape: two authorities between the root and the phone, which sends them both.
    let policy =
        scene.client_authority.intermediate_for(Key::old(2048), Template::authority("Equipment Policy CA"));
    let issuing = policy.intermediate_for(Key::old(2048), Template::authority("Equipment Issuing CA 1"));
    let phone = issuing.issue_for(Key::new(KeyKind::Rsa2048), &phone_template());
    assert_eq!(phone.chain.len(), 3);
    let files = old_stack::files(&scene.folder, "phone", &phone);
    let job = || Job::new(gateway.address(), "tls1", "AES256-SHA").presenting(&files);
    let outcomes = old_stack::run(&[job(), job().resuming(0)]);
    for (outcome, resumed) in outcomes.iter().zip([false, true]) {
        let record = served(outcome, &gateway);
        assert_eq!(record.boolean("tls.resumed"), Some(resumed));
        assert_eq!(record.number("certificate.depth"), Some(3));
    }
}

#[test]
fn intermediates_that_a_phone_leaves_out_are_held_here() {
    if !old_stack::is_present("intermediates_that_a_phone_leaves_out_are_held_here") {
        return;
    }
    let mut scene = scene();
    let policy =
        scene.client_authority.intermediate_for(Key::old(2048), Template::authority("Equipment Policy CA"));
    let issuing = policy.intermediate_for(Key::old(2048), Template::authority("Equipment Issuing CA 1"));
    let mut phone = issuing.issue_for(Key::new(KeyKind::Rsa2048), &phone_template());
    phone.chain.truncate(1);
    let files = old_stack::files(&scene.folder, "phone", &phone);
    let without = scene.start();
    let outcome = old_stack::run(&[Job::new(without.address(), "tls1", "AES128-SHA").presenting(&files)]);
    assert_eq!(outcome[0].alert, Some(48), "unknown_ca: {outcome:?}");
    assert_eq!(without.audit.next().text("reason"), Reason::UnknownIssuer.as_str());
    scene.folder.write("held.pem", policy.pem() + &issuing.pem());
    scene.config.trust_line("intermediates = \"held.pem\"");
    scene.folder.replace("audit.jsonl", "");
    let with = scene.start();
    let outcome = old_stack::run(&[Job::new(with.address(), "tls1", "AES128-SHA").presenting(&files)]);
    assert_eq!(served(&outcome[0], &with).number("certificate.depth"), Some(1));
}

#[test]
fn anchors_of_old_kinds_and_two_of_one_name_are_told_apart() {
    if !old_stack::is_present("anchors_of_old_kinds_and_two_of_one_name_are_told_apart") {
        return;
    }
    let mut scene = scene();
    // One name, two keys; version 1, SHA-1, 1024 bits and expired, as roots of 2003 are.
    let old = |key| {
        let template = Template::authority("Maker Client Root");
        let template = Template {
            version_3: false,
            digest: Digest::Sha1,
            not_before: now() - 400 * DAY,
            not_after: now() - DAY,
            ..template
        };
        Authority::root_with(key, template)
    };
    let (first, second, stranger) = (old(Key::old(1024)), old(Key::old(1024)), old(Key::old(1024)));
    scene.folder.replace("client-root.pem", first.pem() + &second.pem());
    scene.config.trust_line("allow = [\"rsa-1024\"]");
    let gateway = scene.start();
    for authority in [&first, &second] {
        let files = old_stack::files(
            &scene.folder,
            "phone",
            &authority.issue_for(Key::new(KeyKind::Rsa1024), &phone_template()),
        );
        let outcome = old_stack::run(&[Job::new(gateway.address(), "tls1", "AES128-SHA").presenting(&files)]);
        assert_eq!(exceptions(&served(&outcome[0], &gateway)), ["rsa-1024"]);
    }
    let files = old_stack::files(
        &scene.folder,
        "forged",
        &stranger.issue_for(Key::new(KeyKind::Rsa1024), &phone_template()),
    );
    let outcome = old_stack::run(&[Job::new(gateway.address(), "tls1", "AES128-SHA").presenting(&files)]);
    assert!(outcome[0].alert.is_some(), "{outcome:?}");
    assert_eq!(gateway.audit.next().text("reason"), Reason::BadSignature.as_str());
}

#[test]
fn a_needless_fallback_is_refused_and_renegotiation_is_off() {
    if !old_stack::is_present("a_needless_fallback_is_refused_and_renegotiation_is_off") {
        return;
    }
    let scene = scene();
    let gateway = scene.start();
    let files = old_stack::files(&scene.folder, "phone", &certificate(&scene, "sha256-2048"));
    let job = |version| Job::new(gateway.address(), version, "AES128-SHA").presenting(&files);
    let outcomes = old_stack::run(&[job("tls1").fallen_back(), job("tls1"), job("tls1.2").renegotiating()]);
    assert_eq!(outcomes[0].alert, Some(86), "inappropriate_fallback: {:?}", outcomes[0]);
    assert_eq!(gateway.audit.next().text("reason"), Reason::InappropriateFallback.as_str());
    served(&outcomes[1], &gateway);
    served(&outcomes[2], &gateway);
    assert_eq!(outcomes[2].renegotiated, Some(false), "{:?}", outcomes[2]);
}

#[test]
fn no_certificate_and_a_foreign_key_are_refused_with_their_reasons() {
    if !old_stack::is_present("no_certificate_and_a_foreign_key_are_refused_with_their_reasons") {
        return;
    }
    let mut scene = scene();
    let gateway = scene.start();
    let phone = certificate(&scene, "sha256-2048");
    let files = old_stack::files(&scene.folder, "phone", &phone);
    let outcomes = old_stack::run(&[
        Job::new(gateway.address(), "tls1", "AES128-SHA"),
        Job::new(gateway.address(), "tls1", "AES128-SHA").presenting(&files).naming(HOST),
    ]);
    let record = gateway.audit.next();
    assert_eq!(record.text("reason"), Reason::NoCertificate.as_str(), "{record:?}");
    assert_eq!(outcomes[0].alert, Some(40), "{:?}", outcomes[0]);
    assert_eq!(served(&outcomes[1], &gateway).text("hello.sni"), HOST);

    scene.config.host().client_auth = "optional".to_owned();
    scene.config.host().rules = "rules.toml".to_owned();
    scene.folder.write(
        "rules.toml",
        "[[rule]]\nname = \"anyone\"\nallow = [\"GET\"]\nfor = [\"anonymous\"]\npath = [\"/{*}\"]\n",
    );
    scene.folder.replace("audit.jsonl", "");
    let open = scene.start();
    let outcomes = old_stack::run(&[
        Job::new(open.address(), "tls1", "AES128-SHA"),
        Job::new(open.address(), "tls1", "AES128-SHA").resuming(0),
    ]);
    for (outcome, resumed) in outcomes.iter().zip([false, true]) {
        let record = served(outcome, &open);
        assert_eq!(record.text("device.kind"), "anonymous");
        assert_eq!(record.boolean("tls.resumed"), Some(resumed));
    }
}
