//! What each command prints, as snapshots, and what it leaves on the disk.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Workplace, assert_snapshot, openssl_is_here};

const PHONE: [&str; 8] =
    ["device", "issue", "--model", "CP-8841-3PCC", "--serial", "88012BA01234", "--mac", "00:0E:08:AB:CD:EF"];

fn phone<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = PHONE.to_vec();
    arguments.extend(["--key", "p256"]);
    arguments.extend(more);
    arguments
}

#[test]
fn a_first_day_with_the_program() {
    let here = Workplace::new();
    let mut day = String::new();
    for arguments in [
        vec!["init", "--no-passphrase", "--name", "Example Telco", "--key", "p256"],
        vec!["server", "issue", "prov.example.com", "--san", "192.0.2.1", "--key", "p256"],
        phone(&[]),
        phone(&[]),
        vec!["device", "generic", "--key", "p256"],
        vec!["list"],
        vec!["show", "88012BA01234"],
        vec!["revoke", "00-0e-08-ab-cd-ef", "--reason", "keyCompromise"],
        vec!["revoke", "000e08abcdef", "--reason", "superseded"],
        vec!["crl", "publish", "--out", "client.crl"],
        vec!["list", "--status", "revoked"],
    ] {
        day.push_str(&format!(
            "$ provision-ca {}\n{}\n",
            arguments.join(" "),
            here.run(&arguments).snapshot()
        ));
    }
    assert_snapshot("first-day", &day);
}

#[test]
fn help_is_for_a_telephone_engineer() {
    let here = Workplace::new();
    for (name, arguments) in [
        ("help", vec!["--help"]),
        ("help-init", vec!["init", "--help"]),
        ("help-server-csr", vec!["server", "csr", "--help"]),
        ("help-server-issue", vec!["server", "issue", "--help"]),
        ("help-device-issue", vec!["device", "issue", "--help"]),
        ("help-revoke", vec!["revoke", "--help"]),
        ("help-crl-publish", vec!["crl", "publish", "--help"]),
        ("help-publication-set", vec!["publication", "set", "--help"]),
        ("help-authority-add", vec!["authority", "add", "--help"]),
        ("help-serve", vec!["serve", "--help"]),
        ("help-inspect", vec!["inspect", "--help"]),
        ("help-verify", vec!["verify", "--help"]),
        ("help-mirror", vec!["mirror", "--help"]),
    ] {
        assert_snapshot(name, &here.run(&arguments).snapshot());
    }
}

#[test]
fn refusals_name_the_reason_and_a_remedy() {
    let here = Workplace::with_authorities(&[]);
    here.run(&phone(&[])).done();
    let mut text = String::new();
    for arguments in [
        vec!["init", "--no-passphrase"],
        vec!["server", "issue", "*.example.com"],
        vec!["server", "issue", "10.0.0.1"],
        vec!["server", "issue", "prov.example.com", "--days", "20000"],
        vec!["device", "issue", "--model", "CP-8841-3PCC", "--serial", "1", "--mac", "01005e000001"],
        vec!["device", "issue", "--model", "CP-8841-3PCC", "--serial", "1", "--mac", "000e08abcdef"],
        vec![
            "device",
            "issue",
            "--model",
            "CP-8841-3PCC",
            "--serial",
            "88012BA01234",
            "--mac",
            "000e08abcde0",
        ],
        vec!["revoke", "nobody"],
        vec!["revoke", "client-root"],
        vec!["show", "000e08abcde0"],
        vec!["crl", "publish", "--authority", "nobody"],
        vec!["--store", "elsewhere", "list"],
        vec!["init", "--store", "other"],
        vec!["init", "--store", "other", "--passphrase-env", "NOT_SET"],
        vec!["verify", "missing.pem", "--trust", "provision-ca/trust/client-root.pem"],
        vec!["verify", "provision-ca/trust/client-root.pem", "--trust", "x", "--at", "tomorrow"],
    ] {
        text.push_str(&format!(
            "$ provision-ca {}\n{}\n",
            arguments.join(" "),
            here.run(&arguments).snapshot()
        ));
    }
    assert_snapshot("refusals", &text);
    assert!(!here.path("other").exists(), "a failed init leaves no folder");
    assert!(!here.path("elsewhere").exists());
}

#[test]
fn misuse_ends_with_2() {
    let here = Workplace::with_authorities(&[]);
    for arguments in [
        vec!["server", "issue"],
        vec!["server", "issue", "a.example", "--csr", "x"],
        vec!["device", "issue", "--model", "x"],
        vec!["revoke", "x", "--reason", "removeFromCRL"],
        vec!["init", "--passphrase", "secret"],
        vec!["device", "issue", "--csv", "x", "--jobs", "0"],
    ] {
        assert_eq!(here.run(&arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn h1_keys_are_0600_in_0700_folders_and_trust_is_readable() {
    let here = Workplace::with_authorities(&["--shape", "issuing"]);
    here.run(&phone(&[])).done();
    here.run(&["server", "issue", "prov.example.com"]).done();
    let mode = |path: &str| here.path(path).metadata().unwrap().permissions().mode() & 0o777;
    for file in here.files("provision-ca") {
        let wanted = if file.starts_with("provision-ca/trust/") { 0o644 } else { 0o600 };
        assert_eq!(mode(&file), wanted, "{file}");
    }
    for folder in
        ["authorities", "authorities/client-root", "devices", "devices/000e08abcdef", "server", "pending"]
    {
        assert_eq!(mode(&format!("provision-ca/{folder}")), 0o700, "{folder}");
    }
    for folder in ["", "trust", "trust/crls"] {
        assert_eq!(mode(&format!("provision-ca/{folder}")), 0o755, "{folder}");
    }
}

#[test]
fn the_files_are_those_that_the_documentation_names() {
    let here = Workplace::with_authorities(&["--shape", "issuing"]);
    here.run(&phone(&[])).done();
    here.run(&["server", "issue", "prov.example.com"]).done();
    here.run(&["server", "csr", "outside.example.com", "--zip"]).done();
    assert_snapshot("files", &(here.files("provision-ca").join("\n") + "\n"));
    let chain = here.read("provision-ca/devices/000e08abcdef/chain.pem");
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "leaf and issuing authority, no root");
    assert!(chain.starts_with(&here.read("provision-ca/devices/000e08abcdef/cert.pem")));
}

#[test]
fn force_renews_visibly_and_keeps_the_old_files() {
    let here = Workplace::with_authorities(&[]);
    here.run(&phone(&[])).done();
    let before = here.read("provision-ca/devices/000e08abcdef/cert.pem");
    let said = here.run(&phone(&["--force"]));
    assert!(said.stderr.contains("are now in provision-ca/superseded/000e08abcdef-"), "{}", said.stderr);
    assert_ne!(here.read("provision-ca/devices/000e08abcdef/cert.pem"), before);
    let kept: Vec<_> = here
        .files("provision-ca/superseded")
        .into_iter()
        .filter(|file| file.ends_with("/cert.pem"))
        .collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(here.read(&kept[0]), before);
    assert_eq!(here.run(&["list", "--kind", "device"]).done().matches("valid").count(), 2);
}

#[test]
fn h2_the_passphrase_opens_the_keys_and_stays_out_of_everything() {
    let here = Workplace::new();
    here.write("pw", "correct horse battery\n");
    here.write("wrong", "wrong horse battery\n");
    let said = here.run(&["init", "--key", "p256", "--passphrase-file", "pw", "--json"]);
    assert!(!format!("{}{}", said.stdout, said.stderr).contains("correct horse"));
    said.done();
    assert!(
        here.read("provision-ca/authorities/client-root/key.pem")
            .starts_with("-----BEGIN ENCRYPTED PRIVATE KEY")
    );
    let wrong = here.run(&phone(&["--passphrase-file", "wrong"])).refused();
    assert!(wrong.contains("error: wrong passphrase"), "{wrong}");
    let none = here.run(&phone(&[])).refused();
    assert!(none.contains("no terminal"), "{none}");
    assert!(!here.path("provision-ca/devices").exists());
    here.write("leaf", "another horse battery\n");
    let protect = ["--encrypt-keys", "--key-passphrase-file", "leaf", "--passphrase-file", "pw"];
    here.run(&phone(&protect)).done();
    assert!(here.read("provision-ca/devices/000e08abcdef/key.pem").contains("ENCRYPTED"));
    let environment = here
        .command(&["crl", "publish", "--passphrase-env", "CA_SECRET"])
        .env("CA_SECRET", "correct horse battery")
        .output()
        .unwrap();
    assert!(environment.status.success());
    here.run(&["list"]).done();
    here.run(&["revoke", "000e08abcdef"]).done();
}

#[test]
fn h2_keys_that_leave_have_a_passphrase_of_their_own() {
    let here = Workplace::new();
    here.write("pw", "correct horse battery\n");
    here.write("leaf", "another horse battery\n");
    here.run(&["init", "--key", "p256", "--passphrase-file", "pw"]).done();
    let issue = |file: &str| {
        let protect = ["--passphrase-file", "pw", "--encrypt-keys", "--key-passphrase-file", file];
        here.run(&phone(&protect))
    };
    let request = |file: &str| {
        let request = ["server", "csr", "prov.example.com", "--key", "p256"];
        here.run(&[&request[..], &["--encrypt-keys", "--key-passphrase-file", file]].concat())
    };
    for refused in [issue("pw"), request("pw")] {
        let message = refused.refused();
        assert!(message.contains("this passphrase opens the authorities' keys"), "{message}");
    }
    assert!(here.files("provision-ca/devices").is_empty() && here.files("provision-ca/requests").is_empty());
    issue("leaf").done();
    request("leaf").done();
    let opens = |path: &str, passphrase: &str| {
        ca::PrivateKey::from_pem(&here.read(path), Some(&ca::Passphrase::new(passphrase))).is_ok()
    };
    for path in
        ["provision-ca/devices/000e08abcdef/key.pem", "provision-ca/requests/prov.example.com/privkey.pem"]
    {
        assert!(opens(path, "another horse battery") && !opens(path, "correct horse battery"), "{path}");
    }
    let misuse = here.run(&phone(&["--key-passphrase-file", "leaf"]));
    assert_eq!(misuse.code, Some(2), "a passphrase for nothing: {}", misuse.stderr);
    let prompt = here.run(&phone(&["--force", "--passphrase-file", "pw", "--encrypt-keys"])).refused();
    assert!(prompt.contains("no terminal"), "{prompt}");
}

#[test]
fn h3_a_key_of_another_authority_is_named() {
    let here = Workplace::with_authorities(&[]);
    std::fs::copy(
        here.path("provision-ca/authorities/server-root/key.pem"),
        here.path("provision-ca/authorities/client-root/key.pem"),
    )
    .unwrap();
    let message = here.run(&phone(&[])).refused();
    assert!(message.contains("does not belong to the certificate of client-root"), "{message}");
}

#[test]
fn h2_the_roots_keys_may_be_kept_elsewhere() {
    let here = Workplace::with_authorities(&["--shape", "issuing"]);
    let key = |name: &str| here.path(&format!("provision-ca/authorities/{name}/key.pem"));
    std::fs::create_dir(here.path("safe")).unwrap();
    for root in ["server-root", "client-root"] {
        std::fs::rename(key(root), here.path(&format!("safe/{root}"))).unwrap();
    }
    let list = |name: &str| {
        let path = here.path(&format!("provision-ca/trust/crls/{name}.crl"));
        certs::RevocationList::parse(&std::fs::read(path).unwrap()).unwrap()
    };
    let days = |name: &str| {
        let list = list(name);
        (list.next_update().unwrap().unix() - list.this_update().unix()) / 86_400
    };
    assert_eq!((days("client-root"), days("client-issuing")), (365, 30));
    here.run(&phone(&[])).done();
    here.run(&["server", "issue", "prov.example.com", "--key", "p256"]).done();
    let before = (list("client-root").fingerprint(), list("client-issuing").fingerprint());
    let said = here.run(&["revoke", "000e08abcdef", "--publish"]);
    for root in ["server-root", "client-root"] {
        assert!(said.stderr.contains(&format!("the key of {root} is not here")), "{}", said.stderr);
    }
    said.done();
    assert_eq!(list("client-root").fingerprint(), before.0);
    assert_ne!(list("client-issuing").fingerprint(), before.1);
    let named = here.run(&["crl", "publish", "--authority", "client-root"]).refused();
    assert!(named.contains("cannot read provision-ca/authorities/client-root/key.pem"), "{named}");
    // Where the key is, the root's list is made; the issuing authority's key is not needed for it.
    std::fs::rename(here.path("safe/client-root"), key("client-root")).unwrap();
    std::fs::remove_file(key("client-issuing")).unwrap();
    here.run(&["crl", "publish", "--authority", "client-root", "--root-days", "200"]).done();
    assert_eq!(days("client-root"), 200);
    let missing = here.run(&["crl", "publish"]).refused();
    assert!(missing.contains("client-issuing/key.pem"), "an issuing key is never passed over: {missing}");
}

#[test]
fn json_is_json_everywhere() {
    let here = Workplace::new();
    let device = "provision-ca/devices/000e08abcdef/cert.pem";
    for arguments in [
        vec!["init", "--no-passphrase", "--key", "p256"],
        vec!["server", "issue", "prov.example.com"],
        vec!["server", "csr", "prov.example.com"],
        phone(&[]),
        vec!["device", "generic"],
        vec!["list"],
        vec!["show", "000e08abcdef"],
        vec!["inspect", device],
        vec!["verify", device, "--trust", "provision-ca/trust/client-root.pem"],
        vec!["revoke", "000e08abcdef", "--publish"],
        vec!["crl", "publish"],
    ] {
        let mut with_json = arguments.clone();
        with_json.push("--json");
        let out = here.run(&with_json).done();
        let value: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}"));
        assert!(value.is_object());
    }
    let refused = here.run(&["verify", device, "--trust", "provision-ca/trust/server-root.pem", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!(value["reason"], "unknown_issuer");
    assert_eq!(refused.code, Some(1));
}

#[test]
fn inspect_explains_a_phone_and_finds_its_key() {
    let here = Workplace::with_authorities(&["--key", "rsa2048"]);
    here.run(&[&PHONE[..], &["--mac-attribute", "state"]].concat()).done();
    let folder = "provision-ca/devices/000e08abcdef";
    let said = here.run(&[
        "inspect",
        &format!("{folder}/cert.pem"),
        &format!("{folder}/key.pem"),
        "provision-ca/authorities/server-root/key.pem",
        "provision-ca/trust/crls/client-root.crl",
        "provision-ca/lock",
    ]);
    assert_snapshot(
        "inspect",
        &said
            .snapshot()
            .lines()
            .filter(|line| !line.contains("  number "))
            .fold(String::new(), |text, line| text + line + "\n"),
    );
}

#[test]
fn verify_prints_the_path_or_the_exact_reason() {
    let here = Workplace::with_authorities(&["--shape", "issuing"]);
    here.run(&phone(&[])).done();
    let (leaf, chain) =
        ("provision-ca/devices/000e08abcdef/cert.pem", "provision-ca/devices/000e08abcdef/chain.pem");
    let (client, server) = ("provision-ca/trust/client-root.pem", "provision-ca/trust/server-root.pem");
    let (root_list, list) =
        ("provision-ca/trust/crls/client-root.crl", "provision-ca/trust/crls/client-issuing.crl");
    let mut text = String::new();
    let mut say = |arguments: &[&str]| {
        text.push_str(&format!(
            "$ provision-ca {}\n{}\n",
            arguments.join(" "),
            here.run(arguments).snapshot()
        ));
    };
    say(&["verify", chain, "--trust", client, "--purpose", "client"]);
    say(&["verify", chain, "--trust", client, "--purpose", "server"]);
    say(&["verify", chain, "--trust", server]);
    say(&["verify", leaf, "--trust", client]);
    say(&[
        "verify",
        leaf,
        "--trust",
        client,
        "--intermediate",
        "provision-ca/authorities/client-issuing/cert.pem",
    ]);
    say(&["verify", chain, "--trust", client, "--crl", root_list, "--crl", list]);
    say(&["verify", chain, "--trust", client, "--crl", root_list]);
    say(&["verify", chain, "--trust", client, "--at", "2020-01-01T00:00:00Z"]);
    here.run(&["revoke", "000e08abcdef", "--reason", "keyCompromise", "--publish"]).done();
    say(&["verify", chain, "--trust", client, "--crl", root_list, "--crl", list]);
    assert_snapshot("verify", &text);
}

/// A certificate as old phones have it: X.509 version 1, signed with SHA-1.
fn old_certificate(here: &Workplace, name: &str, subject: &str, bits: &str) {
    let (key, file) = (format!("{name}.key"), format!("{name}.pem"));
    here.openssl(&["genrsa", "-out", &key, bits]).done();
    here.openssl(&["req", "-new", "-key", &key, "-subj", subject, "-out", "x.csr"]).done();
    let root = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=old root"];
    here.openssl(&[&root[..], &["-keyout", "ca.key", "-out", "ca.pem"]].concat()).done();
    let sign = ["x509", "-req", "-in", "x.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-sha1", "-days", "30"];
    here.openssl(&[&sign[..], &["-out", &file]].concat()).done();
}

#[test]
fn inspect_explains_what_old_phones_present() {
    if !openssl_is_here("inspect_explains_what_old_phones_present") {
        return;
    }
    let here = Workplace::new();
    let mic =
        "/serialNumber=PID:CP-8861 SN:FCH2133E8B9/O=Cisco Systems Inc./OU=CTG/CN=CP-8861-SEP2C3124C9F8E1";
    for (name, subject, bits, wanted) in [
        (
            "mic",
            mic,
            "1024",
            vec![
                "cisco-mic: product CP-8861, serial number FCH2133E8B9, MAC 2c3124c9f8e1",
                "RSA 1024 (weak)",
                "refused: RSA key of 1024 bits, signed with SHA-1, X.509 version 1",
                "accepted where the trust entry excepts rsa-1024, sha1, x509-v1",
            ],
        ),
        (
            "snom",
            "/CN=000413741767",
            "2048",
            vec!["cn-mac: MAC 000413741767", "accepted where the trust entry excepts sha1, x509-v1"],
        ),
        (
            "generic",
            "/OU=cisco.com/L=ciscogeneric/SN=ciscogeneric",
            "2048",
            vec!["cisco-small-business: generic, shared by many phones, no identity"],
        ),
    ] {
        old_certificate(&here, name, subject, bits);
        let file = format!("{name}.pem");
        let said = here.run(&["inspect", &file, &format!("{name}.key")]).done();
        assert!(said.contains(&format!("belongs to   {file}")), "{said}");
        for text in wanted {
            assert!(said.contains(text), "{text:?} is missing: {said}");
        }
    }
}

#[test]
fn an_output_replaces_an_earlier_one_and_nothing_else() {
    let here = Workplace::with_authorities(&[]);
    here.write("notes.txt", "not a list");
    let message = here.run(&["crl", "publish", "--out", "notes.txt"]).refused();
    assert!(message.contains("notes.txt exists already and is something else"), "{message}");
    here.write("devices.csv", "CP-8841-3PCC,1,000e08abcdef\n");
    here.run(&["device", "issue", "--csv", "devices.csv", "--report", "notes.txt"]).refused();
    assert_eq!(here.read("notes.txt"), "not a list");
    assert!(!here.path("provision-ca/devices").exists());
    for _ in 0..2 {
        here.run(&["crl", "publish", "--out", "client.crl", "--der"]).done();
        here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    }
    let message = here.run(&["crl", "publish", "--out", "nowhere/client.crl"]).refused();
    assert!(message.contains("there is no folder nowhere"), "{message}");
}
