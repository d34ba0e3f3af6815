//! What easy-rsa made goes on here (CA G1).

use std::path::Path;
use std::process::Command;

use crate::support::{Said, Workplace, openssl_is_here};

#[test]
fn easy_rsa_goes_on_here() {
    let program = Path::new("/usr/share/easy-rsa/easyrsa");
    let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(
        program.exists() || !required,
        "easy_rsa_goes_on_here needs easy-rsa, and REQUIRE_PEERS=1 is set"
    );
    if !program.exists() || !openssl_is_here("easy_rsa_goes_on_here") {
        eprintln!("skipped: easy_rsa_goes_on_here needs easy-rsa");
        return;
    }
    let here = Workplace::with_authorities(&[]);
    std::fs::create_dir(here.path("easy")).unwrap();
    let easy = |arguments: &str| {
        let said: Said = Command::new(program)
            .current_dir(here.path("easy"))
            .env("EASYRSA_BATCH", "1")
            .env("EASYRSA_ALGO", "ec")
            .env("EASYRSA_CURVE", "prime256v1")
            .env("EASYRSA_PASSIN", "pass:easy secret")
            .env("EASYRSA_PASSOUT", "pass:easy secret")
            .args(arguments.split_whitespace())
            .output()
            .unwrap()
            .into();
        said.done();
    };
    easy("init-pki");
    easy("--req-cn=Easy build-ca");
    easy("build-client-full alice nopass");
    easy("build-client-full bob nopass");
    easy("build-server-full vpn.example.com nopass");
    easy("revoke bob superseded");
    easy("gen-crl");
    here.write("easy.txt", "easy secret\n");
    let said = here.run(&["import", "easy", "--side", "client", "--ca-passphrase-file", "easy.txt"]).done();
    assert!(said.contains("new, with its key") && said.contains("imported   3, 1 of them revoked"), "{said}");
    assert!(said.contains("refused    0"), "{said}");
    here.run(&["crl", "publish"]).done();
    let bob = here.files("easy/pki/revoked/certs_by_serial");
    let verify = [
        "verify",
        "-crl_check",
        "-CRLfile",
        "provision-ca/trust/crls/client-root-2.crl",
        "-CAfile",
        "easy/pki/ca.crt",
    ];
    let verdict = here.openssl(&[&verify[..], &[bob[0].as_str()]].concat());
    assert!(verdict.stderr.contains("certificate revoked"), "{}", verdict.stderr);
    here.openssl(&[&verify[..], &["easy/pki/issued/alice.crt"]].concat()).done();
    assert!(here.run(&["show", "vpn.example.com"]).done().contains("kind    server"));
    assert!(here.run(&["import", "easy"]).done().contains("already    3"));
    here.run(&["store", "check"]).done();
}
