//! Test stores: certificates as old units carry them, marked, short-lived, and in no production store.

use crate::support::{Said, Workplace, openssl_is_here};

const PHONE: [&str; 8] =
    ["device", "issue", "--model", "SPA-962", "--serial", "88012BA01234", "--mac", "00:0E:08:AB:CD:EF"];
const CERTIFICATE: &str = "provision-ca/devices/000e08abcdef/cert.pem";
const CHAIN: &str = "provision-ca/devices/000e08abcdef/chain.pem";
const ROOT: &str = "provision-ca/trust/client-root.pem";

fn phone<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&PHONE[..], more].concat()
}

/// RSA authorities, so that they can sign weakly.
fn test_store(more: &[&str]) -> Workplace {
    let here = Workplace::new();
    here.run(&[&["init", "--no-passphrase", "--name", "Example Telco"], more].concat()).done();
    here
}

fn verify(here: &Workplace, more: &[&str]) -> Said {
    here.run(&[&["verify", CHAIN, "--trust", ROOT, "--purpose", "client"], more].concat())
}

fn inspect(here: &Workplace, file: &str) -> serde_json::Value {
    let said: serde_json::Value =
        serde_json::from_str(&here.run(&["inspect", "--json", file]).done()).unwrap();
    said["items"].get(0).or_else(|| said.get(0)).cloned().unwrap_or(said)
}

#[test]
fn a_production_store_refuses_each_word_and_a_test_store_takes_it() {
    let production = Workplace::with_authorities(&[]);
    let test = test_store(&["--test"]);
    for (word, fact, value) in [
        ("sha1", "signature", "RSA with SHA-1 (weak)"),
        ("md5", "signature", "RSA with MD5 (broken)"),
        ("rsa-1024", "key", "RSA 1024 (weak)"),
        ("x509-v1", "version", "1"),
    ] {
        let before = production.files("provision-ca");
        let refused = production.run(&phone(&["--legacy", word])).refused();
        assert!(
            refused.contains("is for test stores only, and provision-ca is a production store"),
            "{refused}"
        );
        assert!(refused.contains("hint: `provision-ca --store DIR init --test`"), "{refused}");
        assert_eq!(production.files("provision-ca"), before, "{word}: nothing is written");
        let inventory = production.run(&["list", "--status", "abandoned"]).done();
        assert_eq!(inventory.lines().count(), 1, "{inventory}");

        test.run(&phone(&["--legacy", word, "--force"])).done();
        assert_eq!(inspect(&test, CERTIFICATE)[fact], value, "{word}");
        let refused = verify(&test, &[]).refused();
        let reason = match word {
            "sha1" | "md5" => "(weak_signature)",
            "rsa-1024" => "(weak_key)",
            _ => "certificate 0 is of version 1 (unsupported_version)",
        };
        assert!(refused.contains(reason), "{word}: {refused}");
        let said = verify(&test, &["--allow", word]).done();
        assert!(said.contains(&format!("let pass: {word}")), "{said}");
    }
    for more in [vec!["--legacy", "sha1", "--csv", "list.csv"], vec!["--expired", "30d", "--csv", "list.csv"]]
    {
        production.write("list.csv", "SPA-962,1,000e08abcde0\n");
        let refused = production.run(&[&["device", "issue"], &more[..]].concat()).refused();
        assert!(refused.contains("is for test stores only"), "{refused}");
        assert!(!production.path("list.report.csv").exists());
    }
    let refused = production.run(&["device", "generic", "--legacy", "x509-v1"]).refused();
    assert!(refused.contains("`--legacy x509-v1` is for test stores only"), "{refused}");
    production.run(&phone(&["--key", "p256"])).done();
}

#[test]
fn all_words_at_once_make_one_certificate_with_md5() {
    let here = test_store(&["--test"]);
    let said = here.run(&phone(&["--legacy", "sha1,rsa-1024,x509-v1,md5"]));
    assert!(
        said.stderr.contains("warning: a certificate has one signature: md5 is taken"),
        "{}",
        said.stderr
    );
    said.done();
    let refused = verify(&here, &["--allow", "md5,rsa-1024"]).refused();
    assert!(refused.contains("version 1"), "{refused}");
    let said = verify(&here, &["--allow", "md5,rsa-1024", "--allow", "x509-v1"]).done();
    assert!(said.contains("let pass: md5, rsa-1024, x509-v1"), "{said}");
    let shown = here.run(&["show", "000e08abcdef"]).done();
    assert!(shown.contains("legacy  md5,rsa-1024,x509-v1: made as old phones carry it"), "{shown}");
    // The same again is the same one; something else is said to differ.
    let again = here.run(&phone(&["--legacy", "rsa-1024,x509-v1,md5"]));
    assert!(again.stderr.contains("has this certificate already"), "{}", again.stderr);
    let refused = here.run(&phone(&[])).refused();
    assert!(refused.contains("it was made with md5,rsa-1024,x509-v1"), "{refused}");
    assert!(refused.contains("`--force`"), "{refused}");
}

#[test]
fn authorities_are_as_old_as_they_were_asked_to_be_and_marked() {
    for (words, shape) in [
        ("sha1", "flat"),
        ("md5,rsa-1024", "flat"),
        ("x509-v1", "flat"),
        ("sha1,rsa-1024,x509-v1", "flat"),
        ("sha1,rsa-1024,x509-v1", "issuing"),
    ] {
        let here = test_store(&["--legacy", words, "--shape", shape]);
        let root = inspect(&here, ROOT);
        let subject = root["subject"].to_string();
        assert!(subject.contains("TEST - NOT FOR PRODUCTION"), "{subject}");
        assert!(subject.contains("TEST Example Telco Client Root CA"), "{subject}");
        assert!(root["until"].as_str().unwrap().contains("(89 days left)"), "{root}");
        assert_eq!(root["version"], if words.contains("x509-v1") { "1" } else { "3" }, "{words}");
        assert!(root["test"].as_str().unwrap().starts_with("yes") && root["device"].is_null(), "{root}");
        let hash = if words.contains("md5") { "MD5" } else { "SHA-" };
        assert!(root["signature"].as_str().unwrap().contains(hash), "{root}");
        // An ordinary certificate below them, a list, and what strict rules say of both.
        here.run(&phone(&[])).done();
        here.run(&["server", "issue", "prov.example.com"]).done();
        here.run(&["crl", "publish"]).done();
        let mut allow = words.to_owned();
        if shape == "issuing" {
            allow.push_str(",sha1");
        }
        let crls: Vec<String> = here.files("provision-ca/trust/crls");
        let mut more = vec!["--allow", &allow];
        for crl in &crls {
            more.extend(["--crl", crl]);
        }
        verify(&here, &more).done();
        if words.contains("rsa-1024") {
            assert!(verify(&here, &[]).refused().contains("(weak_"));
        }
        let leaf = inspect(&here, CERTIFICATE);
        assert_eq!(
            (&leaf["version"], &leaf["signature"]),
            (&"3".into(), &"RSA with SHA-256 (strong)".into())
        );
        let listed = here.run(&["list"]).done();
        assert!(listed.contains("valid   device"), "{listed}");
        assert!(here.run(&["show", "88012BA01234"]).done().contains("status  valid"));
    }
}

#[test]
fn everything_in_a_test_store_ends_within_ninety_days_unless_told_otherwise() {
    let here = test_store(&["--test", "--key", "p256"]);
    here.run(&phone(&["--key", "p256"])).done();
    here.run(&["device", "generic", "--key", "p256"]).done();
    here.run(&["server", "issue", "prov.example.com", "--key", "p256"]).done();
    let root = inspect(&here, ROOT)["until"].clone();
    for file in [
        CERTIFICATE,
        "provision-ca/devices/ciscogeneric/cert.pem",
        "provision-ca/server/prov.example.com/cert.pem",
    ] {
        assert_eq!(inspect(&here, file)["until"], root, "no longer than its authority");
    }
    let refused = here.run(&phone(&["--key", "p256", "--force", "--days", "400"])).refused();
    assert!(refused.contains("after its issuer"), "{refused}");
    let long = test_store(&["--test", "--key", "p256", "--days", "1000"]);
    long.run(&phone(&["--key", "p256", "--days", "400"])).done();
    assert!(inspect(&long, CERTIFICATE)["until"].to_string().contains("(399 days left)"));
    long.run(&phone(&["--key", "p256", "--force"])).done();
    assert!(inspect(&long, CERTIFICATE)["until"].to_string().contains("(89 days left)"));
}

#[test]
fn an_expired_twin_is_over_since_as_many_days_as_asked() {
    let here = test_store(&["--test"]);
    let said = here.run(&phone(&["--expired", "30d", "--legacy", "sha1"]));
    said.done();
    assert!(inspect(&here, CERTIFICATE)["until"].to_string().contains("(expired 30 days ago)"));
    assert!(verify(&here, &["--allow", "sha1"]).refused().contains("(expired)"));
    assert!(verify(&here, &["--allow", "sha1", "--allow-expired", "29"]).refused().contains("(expired)"));
    verify(&here, &["--allow", "sha1", "--allow-expired", "31"]).done();
    assert!(here.run(&["list"]).done().contains("expired  device"));
    // A valid one is not taken for the expired one that is wanted.
    here.run(&phone(&["--force"])).done();
    let refused = here.run(&phone(&["--expired", "30"])).refused();
    assert!(refused.contains("it has not expired"), "{refused}");
    assert_eq!(here.run(&phone(&["--expired", "0d"])).code, Some(2));
}

#[test]
fn lists_and_the_generic_certificate_are_made_as_old() {
    let here = test_store(&["--test"]);
    here.write("list.csv", "SPA-962,1,000e08abcdef\nSPA-962,2,000e08abcde0\n");
    let issue =
        ["device", "issue", "--csv", "list.csv", "--legacy", "sha1,rsa-1024", "--mac-attribute", "state"];
    assert!(here.run(&issue).done().contains("issued  2"));
    assert!(here.run(&issue).done().contains("already 2"));
    let one = inspect(&here, CERTIFICATE);
    assert_eq!(
        (&one["signature"], &one["key"]),
        (&"RSA with SHA-1 (weak)".into(), &"RSA 1024 (weak)".into())
    );
    assert!(one["subject"].to_string().contains("2.5.4.8"), "{one}");
    // Another age is another certificate: every line says so.
    let refused = here.run(&["device", "issue", "--csv", "list.csv"]).refused();
    assert!(refused.contains("line 1: ") && refused.contains("it was made with sha1,rsa-1024"), "{refused}");
    here.run(&["device", "generic", "--legacy", "md5"]).done();
    let generic = inspect(&here, "provision-ca/devices/ciscogeneric/cert.pem");
    assert_eq!(generic["signature"], "RSA with MD5 (broken)");
}

#[test]
fn keys_of_a_test_store_are_encrypted_with_a_passphrase_too() {
    let here = Workplace::new();
    here.write("pw", "correct horse battery\n");
    here.run(&["init", "--legacy", "rsa-1024", "--passphrase-file", "pw"]).done();
    here.run(&phone(&["--legacy", "sha1", "--passphrase-file", "pw"])).done();
    here.write("wrong", "battery staple horse\n");
    let refused = here.run(&phone(&["--force", "--passphrase-file", "wrong"])).refused();
    assert!(refused.contains("wrong passphrase"), "{refused}");
    let mut shared = phone(&["--force", "--passphrase-file", "pw", "--encrypt-keys"]);
    shared.extend(["--key-passphrase-file", "pw"]);
    assert_eq!(
        here.run(&shared).code,
        Some(1),
        "the authorities' passphrase does not go where phones' keys go"
    );
}

#[test]
fn what_cannot_be_combined_is_said() {
    let here = Workplace::new();
    for (arguments, why) in [
        (vec!["init", "--no-passphrase", "--legacy", "sha1", "--key", "p256"], "need RSA keys"),
        (vec!["init", "--no-passphrase", "--legacy", "rsa-1024", "--key", "rsa4096"], "leave `--key` out"),
        (
            vec!["init", "--no-passphrase", "--legacy", "sha2"],
            "possible values: sha1, md5, rsa-1024, x509-v1",
        ),
    ] {
        let said = here.run(&arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}");
        assert!(said.stderr.contains(why), "{}", said.stderr);
    }
    assert!(!here.path("provision-ca").exists());
    let here = test_store(&["--test", "--key", "p256"]);
    let refused = here.run(&phone(&["--key", "p256", "--legacy", "md5"])).refused();
    assert!(refused.contains("makes no signatures of the kind RSA with MD5"), "{refused}");
    assert!(refused.contains("hint: sha1 and md5 need authorities with RSA keys"), "{refused}");
    assert!(here.files("provision-ca/devices").is_empty());
}

#[test]
fn openssl_reads_what_a_test_store_made_and_verifies_it_without_a_security_level() {
    if !openssl_is_here("openssl_reads_what_a_test_store_made_and_verifies_it_without_a_security_level") {
        return;
    }
    for (root, leaf) in [("", "sha1"), ("sha1", "md5,rsa-1024"), ("md5,rsa-1024,x509-v1", "sha1,x509-v1")] {
        let init = if root.is_empty() { vec!["--test"] } else { vec!["--legacy", root] };
        let here = test_store(&init);
        here.run(&phone(&["--legacy", leaf])).done();
        let text = here.openssl(&["x509", "-in", CERTIFICATE, "-noout", "-text"]).done();
        let expected = if leaf.contains("md5") { "md5WithRSAEncryption" } else { "sha1WithRSAEncryption" };
        assert!(text.contains(expected), "{text}");
        assert_eq!(text.contains("Version: 1 (0x0)"), leaf.contains("x509-v1"), "{text}");
        assert_eq!(text.contains("(1024 bit)"), leaf.contains("rsa-1024"), "{text}");
        let judge = |level| {
            here.openssl(&[
                "verify",
                "-auth_level",
                level,
                "-purpose",
                "sslclient",
                "-CAfile",
                ROOT,
                CERTIFICATE,
            ])
        };
        judge("0").done();
        assert_ne!(judge("2").code, Some(0));
    }
}
