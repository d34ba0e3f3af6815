//! OpenSSL accepts everything we make (CA I10).

use crate::support::{Workplace, openssl_is_here};

const SHAPES: [&str; 2] = ["flat", "issuing"];
const KEYS: [&str; 4] = ["rsa2048", "rsa3072", "rsa4096", "p256"];

#[test]
fn i10_openssl_verifies_every_certificate_of_every_shape_and_key() {
    if !openssl_is_here("i10_openssl_verifies_every_certificate_of_every_shape_and_key") {
        return;
    }
    for shape in SHAPES {
        for key in KEYS {
            let here = Workplace::with_authorities(&["--shape", shape, "--key", key]);
            // Large leaf keys are slow to make and no different to judge.
            let leaf = if key == "p256" { "p256" } else { "rsa2048" };
            here.run(&["server", "issue", "prov.example.com", "--san", "2001:db8::1", "--key", leaf]).done();
            let phone =
                ["device", "issue", "--model", "CP-8841-3PCC", "--serial", "1", "--mac", "000e08abcdef"];
            here.run(&[&phone[..], &["--key", leaf]].concat()).done();
            here.run(&["device", "generic", "--key", leaf]).done();
            let judge = |side: &str, folder: &str, purpose: &str| {
                let (root, chain) =
                    (format!("provision-ca/trust/{side}-root.pem"), format!("{folder}/chain.pem"));
                let mut arguments =
                    vec!["verify", "-x509_strict", "-check_ss_sig", "-policy_check", "-purpose", purpose];
                arguments.extend(["-CAfile", &root, "-untrusted", &chain, &chain]);
                here.openssl(&arguments)
            };
            judge("server", "provision-ca/server/prov.example.com", "sslserver").done();
            judge("client", "provision-ca/devices/000e08abcdef", "sslclient").done();
            judge("client", "provision-ca/devices/ciscogeneric", "sslclient").done();
            // The twin: the other tree, and the other purpose.
            assert_ne!(judge("server", "provision-ca/devices/000e08abcdef", "sslclient").code, Some(0));
            assert_ne!(judge("client", "provision-ca/devices/000e08abcdef", "sslserver").code, Some(0));
        }
    }
}

#[test]
fn g1_openssl_sees_revoked_after_the_list_is_published_and_not_before() {
    if !openssl_is_here("g1_openssl_sees_revoked_after_the_list_is_published_and_not_before") {
        return;
    }
    for shape in SHAPES {
        let here = Workplace::with_authorities(&["--shape", shape]);
        for (serial, mac) in [("1", "000e08abcdef"), ("2", "000e08abcde0")] {
            let phone = ["device", "issue", "--model", "CP-8841-3PCC", "--key", "p256"];
            here.run(&[&phone[..], &["--serial", serial, "--mac", mac]].concat()).done();
        }
        let judge = |mac: &str| {
            let crls: String =
                here.files("provision-ca/trust/crls").iter().map(|file| here.read(file)).collect();
            here.write("crls.pem", crls);
            let chain = format!("provision-ca/devices/{mac}/chain.pem");
            here.openssl(&[
                "verify",
                "-x509_strict",
                "-crl_check_all",
                "-CRLfile",
                "crls.pem",
                "-CAfile",
                "provision-ca/trust/client-root.pem",
                "-untrusted",
                &chain,
                &chain,
            ])
        };
        judge("000e08abcdef").done();
        here.run(&["revoke", "000e08abcdef", "--reason", "cessationOfOperation"]).done();
        judge("000e08abcdef").done();
        here.run(&["crl", "publish"]).done();
        let verdict = judge("000e08abcdef");
        assert!(verdict.stderr.contains("certificate revoked"), "{}", verdict.stderr);
        judge("000e08abcde0").done();
    }
}

#[test]
fn g2_openssl_checks_every_list() {
    if !openssl_is_here("g2_openssl_checks_every_list") {
        return;
    }
    let here = Workplace::with_authorities(&["--shape", "issuing", "--key", "rsa2048"]);
    here.run(&["device", "generic", "--key", "p256"]).done();
    here.run(&["revoke", "ciscogeneric"]).done();
    here.run(&["crl", "publish"]).done();
    for name in ["server-root", "client-root", "server-issuing", "client-issuing"] {
        let (list, authority) = (
            format!("provision-ca/trust/crls/{name}.crl"),
            format!("provision-ca/authorities/{name}/cert.pem"),
        );
        let said = here.openssl(&["crl", "-in", &list, "-noout", "-text", "-CAfile", &authority]);
        assert!(said.stderr.contains("verify OK"), "{name}: {}", said.stderr);
        let entries = said.stdout.matches("Serial Number").count();
        assert_eq!(entries, usize::from(name == "client-issuing"));
        assert!(!said.stdout.contains("Reason Code"), "unspecified is said by saying nothing");
    }
}

#[test]
fn openssl_accepts_our_requests_and_finds_them_in_the_archive() {
    if !openssl_is_here("openssl_accepts_our_requests_and_finds_them_in_the_archive") {
        return;
    }
    let here = Workplace::new();
    for key in KEYS {
        let out = format!("{key}.csr");
        let key_out = format!("{key}.pem");
        here.run(&[
            "server",
            "csr",
            "prov.example.com",
            "--key",
            key,
            "--out",
            &out,
            "--key-out",
            &key_out,
            "--organization",
            "Example Telco",
            "--country",
            "DK",
            "--zip",
        ])
        .done();
        let said = here.openssl(&["req", "-verify", "-in", &out, "-noout", "-text"]);
        assert!(said.stderr.contains("verify OK"), "{}", said.stderr);
        assert!(
            said.stdout.contains("Subject: C = DK, O = Example Telco, CN = prov.example.com"),
            "{}",
            said.stdout
        );
        assert!(said.stdout.contains("DNS:prov.example.com"));
        let archive = std::fs::File::open(here.path(&format!("{key}.zip"))).unwrap();
        let mut archive = zip::ZipArchive::new(archive).unwrap();
        let mut inside = String::new();
        std::io::Read::read_to_string(&mut archive.by_name(&out).unwrap(), &mut inside).unwrap();
        assert_eq!(inside, here.read(&out));
        here.openssl(&["pkey", "-in", &key_out, "-noout"]).done();
    }
}

#[test]
fn openssl_opens_our_encrypted_keys_with_the_passphrase_alone() {
    if !openssl_is_here("openssl_opens_our_encrypted_keys_with_the_passphrase_alone") {
        return;
    }
    let here = Workplace::new();
    here.write("pw", "correct horse battery\n");
    here.run(&["init", "--passphrase-file", "pw"]).done();
    let key = "provision-ca/authorities/client-root/key.pem";
    here.openssl(&["pkey", "-in", key, "-passin", "file:pw", "-noout", "-check"]).done();
    assert_ne!(here.openssl(&["pkey", "-in", key, "-passin", "pass:wrong", "-noout"]).code, Some(0));
    // And the other way: what OpenSSL encrypted by default opens here.
    here.openssl(&["pkey", "-in", key, "-passin", "file:pw", "-out", "plain.pem"]).done();
    here.openssl(&["pkcs8", "-topk8", "-in", "plain.pem", "-passout", "file:pw", "-out", "theirs.pem"])
        .done();
    let said = here.run(&["inspect", "theirs.pem", "--passphrase-file", "pw"]).done();
    assert!(said.contains("RSA 2048"), "{said}");
}
