//! Several authorities side by side, and the change from one to the next (CA C1, C2, C6, G1).

use crate::stores::{On, on_both_stores};
use crate::support::{Said, Workplace, openssl_is_here};

on_both_stores! {
    a_root_follows_another_and_both_are_trusted_for_a_while,
    c2_c6_what_a_certificate_does_not_allow_is_refused_before_any_key_is_made,
    c5_an_authority_with_name_constraints_signs_no_other_name,
}

fn phone(here: &Workplace, mac: &str) {
    let arguments =
        ["device", "issue", "--model", "CP-8841-3PCC", "--key", "p256", "--serial", mac, "--mac", mac];
    here.run(&arguments).done();
}

/// OpenSSL's judgement of a phone, with both roots trusted and all lists at hand.
fn judge(here: &Workplace, mac: &str) -> Said {
    let all = |folder: &str, end: &str| -> String {
        let files = here.files(folder);
        files
            .iter()
            .filter(|file| file.ends_with(end) && file.contains("client-"))
            .map(|file| here.read(file))
            .collect()
    };
    here.write("trust.pem", all("provision-ca/trust", ".pem"));
    here.write("crls.pem", all("provision-ca/trust/crls", ".crl"));
    let chain = format!("provision-ca/devices/{mac}/chain.pem");
    let options =
        ["verify", "-x509_strict", "-crl_check_all", "-CRLfile", "crls.pem", "-CAfile", "trust.pem"];
    here.openssl(&[&options[..], &["-untrusted", &chain, &chain]].concat())
}

fn issuer_of(here: &Workplace, mac: &str) -> String {
    let text = here.read(&format!("provision-ca/devices/{mac}/cert.pem"));
    certs::Certificate::parse_pem(text).unwrap().issuer().to_rfc4514()
}

fn a_root_follows_another_and_both_are_trusted_for_a_while(on: On) {
    if !openssl_is_here("a_root_follows_another_and_both_are_trusted_for_a_while") {
        return;
    }
    let here = Workplace::on(on, &[]);
    phone(&here, "000e08abcd00");
    let said = here.run(&["authority", "add", "--side", "client", "--key", "p256"]).done();
    assert!(said.contains("client-root-2"), "{said}");
    phone(&here, "000e08abcd01");
    assert!(issuer_of(&here, "000e08abcd01").contains("Client Root CA,"), "the old one signs on");
    here.run(&["authority", "use", "client-root-2"]).done();
    phone(&here, "000e08abcd02");
    assert!(
        issuer_of(&here, "000e08abcd02").contains("Client Root CA 2,"),
        "{}",
        issuer_of(&here, "000e08abcd02")
    );
    for mac in ["000e08abcd00", "000e08abcd01", "000e08abcd02"] {
        judge(&here, mac).done();
    }
    // Each authority's list has its own, whoever signs now.
    here.run(&["revoke", "000e08abcd00"]).done();
    here.run(&["revoke", "000e08abcd02"]).done();
    here.run(&["crl", "publish"]).done();
    judge(&here, "000e08abcd01").done();
    for mac in ["000e08abcd00", "000e08abcd02"] {
        assert!(judge(&here, mac).stderr.contains("certificate revoked"), "{mac}");
    }
    let entries = |name: &str| {
        let text = here.read(&format!("provision-ca/trust/crls/{name}.crl"));
        certs::RevocationList::parse(text.as_bytes()).unwrap().len()
    };
    assert_eq!((entries("client-root"), entries("client-root-2")), (1, 1));
    here.run(&["crl", "publish", "--authority", "client-root", "--last"]).done();
    // Back again, as if nothing had been.
    here.run(&["authority", "use", "client-root"]).done();
    phone(&here, "000e08abcd03");
    assert!(issuer_of(&here, "000e08abcd03").contains("Client Root CA,"));
}

fn c2_c6_what_a_certificate_does_not_allow_is_refused_before_any_key_is_made(on: On) {
    let flat = Workplace::on(on, &[]);
    let add = ["authority", "add", "--side", "client", "--tier", "issuing", "--key", "p256"];
    let refused = flat.run(&add).refused();
    assert!(
        refused.contains("client-root cannot sign: its certificate allows no authority below it"),
        "{refused}"
    );
    assert!(!flat.path("provision-ca/authorities/client-issuing").exists());
    let here = Workplace::on(on, &["--shape", "issuing"]);
    here.run(&add).done();
    here.run(&["authority", "use", "client-issuing-2"]).done();
    phone(&here, "000e08abcd00");
    assert!(issuer_of(&here, "000e08abcd00").contains("Client Issuing CA 2,"));
    if openssl_is_here("c2_c6_what_a_certificate_does_not_allow_is_refused_before_any_key_is_made") {
        judge(&here, "000e08abcd00").done();
    }
    let refused = here.run(&["authority", "use", "client-root"]).refused();
    assert!(refused.contains("it is a root"), "{refused}");
    // With the root's key elsewhere nothing can be added below it.
    std::fs::remove_file(here.path("provision-ca/authorities/client-root/key.pem")).unwrap();
    let refused = here.run(&add).refused();
    assert!(refused.contains("no root's key is here"), "{refused}");
    let test = Workplace::on(on, &["--test"]);
    assert!(test.run(&["authority", "add", "--side", "client"]).refused().contains("a test store"));
}

#[test]
fn the_key_of_an_added_authority_is_closed_as_the_others_are_and_a_killed_attempt_is_cleared_away() {
    let here = Workplace::empty(On::Sqlite);
    here.write("pw", "correct horse battery\n");
    let with = |arguments: &[&str]| here.run(&[arguments, &["--passphrase-file", "pw"]].concat());
    with(&["init", "--key", "p256"]).done();
    // As if killed before the inventory knew of it.
    std::fs::create_dir_all(here.path("provision-ca/authorities/client-root-2")).unwrap();
    here.write("provision-ca/authorities/client-root-2/key.pem", "rubbish");
    with(&["authority", "add", "--side", "client", "--key", "p256"]).done();
    assert!(here.read("provision-ca/authorities/client-root-2/key.pem").contains("ENCRYPTED"));
    // A file that others need is put back.
    std::fs::remove_file(here.path("provision-ca/trust/client-root-2.pem")).unwrap();
    with(&["crl", "publish"]).done();
    assert!(here.path("provision-ca/trust/client-root-2.pem").exists());
    assert!(here.path("provision-ca/trust/crls/client-root-2.crl").exists());
}

fn c5_an_authority_with_name_constraints_signs_no_other_name(on: On) {
    let here = Workplace::on(on, &[]);
    let add = ["authority", "add", "--side", "server", "--key", "p256", "--permit", "example.com"];
    here.run(&add).done();
    here.run(&["authority", "use", "server-root-2"]).done();
    let issue = |more: &[&str]| here.run(&[&["server", "issue", "--key", "p256"], more].concat());
    for (name, more) in [
        ("prov.example.org", &[][..]),
        ("example.com.evil.net", &[]),
        ("notexample.com", &[]),
        ("prov.example.com", &["--san", "192.0.2.7"]),
        ("prov.example.com", &["--san", "2001:db8::1"]),
        ("prov.example.com", &["--san", "prov.example.org"]),
    ] {
        let refused = issue(&[&[name], more].concat()).refused();
        assert!(refused.contains("its issuer may not name"), "{name} {more:?}: {refused}");
    }
    assert!(!here.path("provision-ca/server").exists(), "nothing was handed out");
    issue(&["prov.example.com", "--san", "alt.prov.example.com"]).done();
    let phone = ["device", "generic", "--key", "p256"];
    here.run(&phone).done();
    assert_eq!(here.run(&["authority", "add", "--side", "client", "--permit", "example.com"]).code, Some(2));
    if openssl_is_here("c5_an_authority_with_name_constraints_signs_no_other_name") {
        let (root, chain) =
            ("provision-ca/trust/server-root-2.pem", "provision-ca/server/prov.example.com/chain.pem");
        here.openssl(&["verify", "-x509_strict", "-CAfile", root, chain]).done();
        let text = here.openssl(&["x509", "-in", root, "-noout", "-text"]).done();
        assert!(
            text.contains("X509v3 Name Constraints: critical") && text.contains("DNS:example.com"),
            "{text}"
        );
    }
}

/// An inventory that was put back from a backup does not know what was added since; the key of it may have signed.
#[test]
fn i1_no_authoritys_key_is_deleted_because_the_inventory_does_not_know_it() {
    let here = Workplace::with_authorities(&[]);
    let add = ["authority", "add", "--side", "client", "--key", "p256"];
    here.save();
    here.run(&add).done();
    let key = here.read("provision-ca/authorities/client-root-2/key.pem");
    here.restore();
    here.run(&add).done();
    let now = here.read("provision-ca/authorities/client-root-2/key.pem");
    assert_ne!(now, key);
    let kept = here.files("provision-ca/superseded");
    assert!(kept.iter().any(|file| file.ends_with("/key.pem") && here.read(file) == key), "{kept:?}");
    here.run(&["store", "check"]).code.unwrap();
    here.run(&["crl", "publish"]).done();
}
