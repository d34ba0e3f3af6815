//! Lists with requests, keys that are sealed, and keys that are blocked.

use crate::bulk::list;
use crate::support::{Workplace, openssl_is_here};

/// A list of so many devices, each with a request of its own.
fn with_requests(here: &Workplace, count: usize) {
    let mut text = "model,serial,mac,csr\n".to_owned();
    std::fs::create_dir_all(here.path("requests")).unwrap();
    for number in 0..count {
        here.openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            &format!("requests/{number}.key"),
            "-out",
            &format!("requests/{number}.csr"),
            "-subj",
            "/CN=phone",
        ])
        .done();
        text.push_str(&format!("CP-8841-3PCC,FCH{number:04},000e08{number:06x},requests/{number}.csr\n"));
    }
    here.write("devices.csv", text);
}

#[test]
fn b3_phones_that_made_their_keys_get_certificates_for_them_and_for_nothing_else() {
    if !openssl_is_here("b3_phones_that_made_their_keys_get_certificates_for_them_and_for_nothing_else") {
        return;
    }
    let here = Workplace::with_authorities(&[]);
    with_requests(&here, 5);
    here.run(&["device", "issue", "--csv", "devices.csv"]).done();
    for number in 0..5 {
        let folder = format!("provision-ca/devices/000e08{number:06x}");
        assert!(!here.path(&format!("{folder}/key.pem")).exists(), "the key is where it was made");
        let certificate = certs::Certificate::parse_pem(here.read(&format!("{folder}/cert.pem"))).unwrap();
        let request =
            here.openssl(&["req", "-in", &format!("requests/{number}.csr"), "-noout", "-pubkey"]).done();
        here.write("cert", certificate.to_pem());
        assert_eq!(here.openssl(&["x509", "-in", "cert", "-noout", "-pubkey"]).done(), request);
        assert!(certificate.subject().to_rfc4514().contains("CP-8841-3PCC"), "the list says who it is");
    }
    let again = here.run(&["device", "issue", "--csv", "devices.csv"]).done();
    assert!(again.contains("issued  0\nalready 5"), "{again}");
    // A request that is of no use is its line's failure; the others are issued.
    with_requests(&here, 7);
    here.write("requests/5.csr", "rubbish");
    let key = ca::PrivateKey::from_pem(&here.read("requests/6.key"), None).unwrap();
    here.write("blocked", format!("# stolen in 2027\n{}\n", certs::Fingerprint::of(&key.public_key_der())));
    here.write(
        "devices.csv",
        here.read("devices.csv")
            .lines()
            .filter(|line| !line.contains("FCH000") || line.contains("FCH0005") || line.contains("FCH0006"))
            .fold(String::new(), |text, line| text + line + "\n"),
    );
    let refused =
        here.run(&["device", "issue", "--csv", "devices.csv", "--key-blocklist", "blocked"]).refused();
    assert!(refused.contains("line 2:") && refused.contains("on the list of blocked keys"), "{refused}");
    let report = here.read("devices.report.csv");
    assert_eq!(report.matches(",failed,").count(), 2, "{report}");
    here.write("blocked", "12\n");
    let bad = here.run(&["device", "issue", "--csv", "devices.csv", "--key-blocklist", "blocked"]).refused();
    assert!(bad.contains("line 1 of blocked is no SHA-256"), "{bad}");
}

#[test]
fn b3_one_request_is_certified_and_what_else_it_asks_is_said() {
    if !openssl_is_here("b3_one_request_is_certified_and_what_else_it_asks_is_said") {
        return;
    }
    let here = Workplace::with_authorities(&[]);
    here.write("config", "[req]\ndistinguished_name=dn\nreq_extensions=v3\n[dn]\n[v3]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\nextendedKeyUsage=serverAuth,codeSigning\nsubjectAltName=DNS:bank.example\n");
    here.openssl(&[
        "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "csr", "-subj", "/CN=root",
        "-config", "config",
    ])
    .done();
    let phone = ["--model", "CP-8841-3PCC", "--serial", "1", "--mac", "000e08abcdef"];
    let said = here.run(&[&["device", "issue", "--csr", "csr"][..], &phone].concat());
    for asked in ["the subject CN=root", "basic constraints", "key usage", "extended key usage"] {
        assert!(said.stderr.contains(asked), "{}", said.stderr);
    }
    said.done();
    let certificate = here
        .openssl(&["x509", "-in", "provision-ca/devices/000e08abcdef/cert.pem", "-noout", "-text"])
        .done();
    assert!(
        certificate.contains("CA:FALSE") && certificate.contains("TLS Web Client Authentication"),
        "{certificate}"
    );
    for asked in ["bank.example", "Code Signing", "TLS Web Server", "Certificate Sign"] {
        assert!(!certificate.contains(asked), "{certificate}");
    }
}

#[test]
fn a_sealed_key_is_opened_by_its_recipient_alone() {
    let here = Workplace::with_authorities(&[]);
    here.write("devices.csv", list(3));
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256", "--seal-to", &recipient]).done();
    for number in 0..3 {
        let folder = format!("provision-ca/devices/000e08{number:06x}");
        assert!(!here.path(&format!("{folder}/key.pem")).exists());
        let sealed = std::fs::read(here.path(&format!("{folder}/key.pem.age"))).unwrap();
        let opened = age::decrypt(&identity, &sealed).unwrap();
        let key = ca::PrivateKey::from_pem(std::str::from_utf8(&opened).unwrap(), None).unwrap();
        let certificate = certs::Certificate::parse_pem(here.read(&format!("{folder}/cert.pem"))).unwrap();
        assert_eq!(key.public_key_der(), certificate.public_key().spki_der());
        assert!(age::decrypt(&age::x25519::Identity::generate(), &sealed).is_err());
    }
    // A successor with the same key hands the same letter on.
    here.run(&["renew", "000e08000000"]).done();
    assert!(here.path("provision-ca/devices/000e08000000/key.pem.age").exists());
    let wrong = here.run(&["device", "issue", "--csv", "devices.csv", "--seal-to", "age1nonsense"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("is no recipient"), "{}", wrong.stderr);
}

#[test]
fn json_lines_are_a_list_too() {
    let here = Workplace::with_authorities(&[]);
    here.write(
        "devices.jsonl",
        "{\"model\":\"CP-8841-3PCC\",\"serial\":\"1\",\"mac\":\"00:0e:08:00:00:01\"}\n{\"mac\":\"000e08000002\",\"serial\":\"2\",\"model\":\"CP-8841-3PCC\"}\n",
    );
    let said = here.run(&["device", "issue", "--list", "devices.jsonl", "--key", "p256"]).done();
    assert!(said.contains("issued  2"), "{said}");
    here.write(
        "devices.jsonl",
        "{\"model\":\"CP-8841-3PCC\",\"serial\":3,\"mac\":\"000e08000003\"}\nnonsense\n",
    );
    let refused = here.run(&["device", "issue", "--list", "devices.jsonl", "--key", "p256"]).refused();
    assert!(
        refused.contains("line 1: serial is no text") && refused.contains("line 2: is no JSON"),
        "{refused}"
    );
}
