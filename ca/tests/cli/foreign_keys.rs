//! Authorities that come with keys of kinds that are not made here (CA C1, G1).

use crate::support::{Workplace, openssl_is_here};

fn openssl(here: &Workplace, arguments: &str) {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    here.openssl(&arguments).done();
}

/// An authority that OpenSSL made in `NAME.pem` and `NAME.key`, and a phone's certificate of it in `NAME-phone.pem`.
pub(crate) fn authority(here: &Workplace, name: &str, make_key: &str, number: u32) {
    here.write(
        "ca.cnf",
        "[req]\ndistinguished_name = name\n[name]\n[ca]\nbasicConstraints = critical,CA:TRUE\nsubjectKeyIdentifier = hash\n\
         keyUsage = critical,keyCertSign,cRLSign\n",
    );
    openssl(here, &format!("{make_key} -out {name}.key"));
    openssl(
        here,
        &format!(
            "req -x509 -new -key {name}.key -subj /CN={name} -days 9000 -config ca.cnf -extensions ca -out {name}.pem"
        ),
    );
    openssl(
        here,
        &format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout phone.key -out phone.csr \
             -subj /OU=CP-8841-3PCC/L=FCH{number}/SN=000e0800000{number}"
        ),
    );
    openssl(
        here,
        &format!(
            "x509 -req -in phone.csr -CA {name}.pem -CAkey {name}.key -set_serial {number} -days 500 -out {name}-phone.pem"
        ),
    );
}

#[test]
fn c1_g1_authorities_with_ed25519_and_p521_keys_go_on_signing_and_revoking() {
    if !openssl_is_here("c1_g1_authorities_with_ed25519_and_p521_keys_go_on_signing_and_revoking") {
        return;
    }
    let here = Workplace::with_authorities(&[]);
    let kinds = [
        ("ed", "genpkey -algorithm ED25519", "Ed25519"),
        ("p521", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521", "P-521"),
        ("sec1", "ecparam -genkey -noout -name secp521r1", "P-521"),
    ];
    for (number, (name, make_key, kind)) in (2..).zip(kinds) {
        authority(&here, name, make_key, number);
        let (file, key, phone) = (format!("{name}.pem"), format!("{name}.key"), format!("{name}-phone.pem"));
        let import = ["import", &file, &phone, "--side", "client", "--ca-key", &key];
        let said = here.run(&import);
        let warned = format!("its key is {kind}, whose signatures phones do not know");
        assert!(said.stderr.contains(&warned), "{}", said.stderr);
        assert!(said.stderr.contains("authority add --side client --key rsa2048"), "{}", said.stderr);
        said.done();
        let own = format!("client-root-{number}");
        let kept = here.read(&format!("provision-ca/authorities/{own}/key.pem"));
        assert!(kept.starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS #8, as all keys here");
        here.run(&["revoke", &format!("000e0800000{number}"), "--reason", "superseded"]).done();
        here.run(&["crl", "publish"]).done();
        let list = format!("provision-ca/trust/crls/{own}.crl");
        let judge = |certificate: &str| {
            let options = ["verify", "-x509_strict", "-crl_check", "-CRLfile", &list, "-CAfile", &file];
            here.openssl(&[&options[..], &[certificate]].concat())
        };
        // What OpenSSL itself issued has no key identifiers, so it is not judged strictly.
        let said = here.openssl(&["verify", "-crl_check", "-CRLfile", &list, "-CAfile", &file, &phone]);
        assert!(said.stderr.contains("certificate revoked"), "{}", said.stderr);
        here.run(&["authority", "use", &own]).done();
        let mac = format!("000e0900000{number}");
        let issue = ["device", "issue", "--model", "CP-8841-3PCC", "--key", "p256", "--serial", &mac];
        here.run(&[&issue[..], &["--mac", &mac]].concat()).done();
        judge(&format!("provision-ca/devices/{mac}/cert.pem")).done();
        here.run(&["ocsp", "issue", "--authority", &own]).done();
    }
    here.run(&["audit", "sign"]).done();
    here.run(&["audit", "verify"]).done();
    here.run(&["store", "check"]).done();
    // What cannot sign is still refused, with what can.
    openssl(&here, "genpkey -algorithm ED448 -out x.key");
    let told = here.run(&["import", "ed.pem", "--ca-key", "x.key"]).refused();
    assert!(told.contains("P-521 and Ed25519 are taken"), "{told}");
}

/// A certificate's name may be anything, and so may that of one that was imported.
#[test]
fn h1_no_name_leads_an_exported_file_out_of_its_folder() {
    if !openssl_is_here("h1_no_name_leads_an_exported_file_out_of_its_folder") {
        return;
    }
    let here = Workplace::with_authorities(&[]);
    authority(&here, "old", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", 2);
    std::fs::create_dir(here.path("phones")).unwrap();
    for (number, name) in ["../../outside", "/tmp/outside", "..", "a b;c"].iter().enumerate() {
        let subject = format!("/CN={}", name.replace('/', "\\/"));
        here.openssl(&["req", "-new", "-key", "phone.key", "-subj", &subject, "-out", "one.csr"]).done();
        openssl(
            &here,
            &format!(
                "x509 -req -in one.csr -CA old.pem -CAkey old.key -set_serial 0x5{number} -days 50 -out phones/{number}.pem"
            ),
        );
    }
    here.run(&["import", "old.pem", "phones", "--side", "client"]).done();
    let before = here.files("");
    std::fs::create_dir_all(here.path("deep/deeper")).unwrap();
    here.run(&[
        "export",
        "issuer=client-root-2",
        "kind=device",
        "--format",
        "der",
        "--out",
        "deep/deeper/out",
    ])
    .done();
    let written: Vec<String> = here
        .files("")
        .into_iter()
        .filter(|file| !before.contains(file) && !file.contains("sqlite-"))
        .collect();
    let names = [".-52.cer", "_.._outside-50.cer", "_tmp_outside-51.cer", "a_b_c-53.cer"];
    let names = names.map(|name| format!("deep/deeper/out/{}", name.trim_start_matches('.')));
    assert_eq!(written, names.to_vec(), "{written:?}");
    // What is known by its number alone has no file to give.
    std::fs::remove_dir_all(here.path("provision-ca/imported/client-root-2/53")).unwrap();
    here.lose();
    here.run(&["store", "rebuild"]).done();
    let told = here.run(&["export", "serial=53", "--out", "x.pem"]).refused();
    assert!(told.contains("is known by its number alone") && told.contains("hint: leave it out"), "{told}");
    assert!(!here.path("x.pem").exists());
}
