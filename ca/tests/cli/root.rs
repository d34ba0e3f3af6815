//! A root whose key is kept on another host: what it is asked, what it signs, and what comes back (CA C1, C2, C4, C5, G2).

use std::path::Path;

use crate::stores::{On, on_both_stores};
use crate::support::{Said, Workplace, openssl_is_here};

mod again;

on_both_stores! {
    c1_g2_an_offline_root_signs_what_is_carried_to_it_and_twice_is_once,
    c2_c4_c5_what_the_root_does_not_allow_is_refused_before_its_key_is_touched,
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        std::fs::copy(from, to).unwrap();
    }
}

/// Two hosts: `provision-ca` is online and has no root's key any more, `offline` has.
fn hosts(on: On, more: &[&str]) -> Workplace {
    let here = Workplace::empty(on);
    here.write("pw", "correct horse battery\n");
    let init =
        ["init", "--shape", "issuing", "--key", "p256", "--passphrase-file", "pw", "--name", "Example"];
    here.run(&[&init[..], more].concat()).done();
    here.run(&["backup", "offline"]).done();
    for root in ["client-root", "server-root"] {
        std::fs::remove_file(here.path(&format!("provision-ca/authorities/{root}/key.pem"))).unwrap();
    }
    here
}

fn online(here: &Workplace, arguments: &[&str]) -> Said {
    here.run(&[arguments, &["--passphrase-file", "pw"]].concat())
}

fn offline(here: &Workplace, arguments: &[&str]) -> Said {
    here.run(&[&["--store", "offline"], arguments, &["--passphrase-file", "pw"]].concat())
}

fn accept(here: &Workplace) {
    offline(here, &["root", "accept", "provision-ca/batch-signer.pem"]).done();
}

/// Changes the manifest of a request, and signs it as the online host would.
fn forge(here: &Workplace, folder: &str, change: impl FnOnce(&mut serde_json::Value)) {
    let path = format!("{folder}/manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_str(&here.read(&path)).unwrap();
    change(&mut manifest);
    here.write(&path, format!("{manifest:#}\n"));
    let signature = format!("{folder}/manifest.sig");
    let sign = ["dgst", "-sha256", "-sign", "provision-ca/batch-key.pem", "-passin", "file:pw"];
    here.openssl(&[&sign[..], &["-out", &signature, &path]].concat()).done();
}

fn c1_g2_an_offline_root_signs_what_is_carried_to_it_and_twice_is_once(on: On) {
    if !openssl_is_here("c1_g2_an_offline_root_signs_what_is_carried_to_it_and_twice_is_once") {
        return;
    }
    let here = hosts(on, &[]);
    here.openssl(&[
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "other.key",
        "-subj",
        "/O=Other/CN=Other Root",
        "-out",
        "other.csr",
    ])
    .done();
    online(&here, &["revoke", "client-issuing", "--reason", "superseded"]).done();
    let request = ["root", "request", "to-root", "--root", "client-root", "--issuing", "--key", "p256"];
    let more = ["--cross-sign", "other.csr", "--crl"];
    let asked = online(&here, &[&request[..], &more].concat()).done();
    assert!(asked.contains("issue client-issuing-2") && asked.contains("crl, 1 revoked"), "{asked}");
    // The manifest can be checked without this program.
    let verify = ["dgst", "-sha256", "-verify", "provision-ca/batch-signer.pem", "-signature"];
    here.openssl(&[&verify[..], &["to-root/manifest.sig", "to-root/manifest.json"]].concat()).done();

    // Nobody is believed before the root's operator accepted the key.
    let told = offline(&here, &["root", "sign-batch", "to-root", "from-root"]).refused();
    assert!(told.contains("nobody whose key was accepted") && told.contains("root accept"), "{told}");
    let signer = asked.lines().find_map(|line| line.strip_prefix("signer  ")).unwrap();
    let wrong = format!("{}{}", if signer.starts_with('0') { "1" } else { "0" }, &signer[1..]);
    let file = "provision-ca/batch-signer.pem";
    let told = offline(&here, &["root", "accept", file, "--fingerprint", &wrong]).refused();
    assert!(told.contains(&format!("and {wrong} was told")), "{told}");
    offline(&here, &["root", "accept", file, "--fingerprint", signer]).done();

    let foretold =
        here.run(&["--store", "offline", "root", "sign-batch", "to-root", "from-root", "--dry-run"]).done();
    for words in [
        "a certificate for the new authority client-issuing-2, CN=Example Client Issuing CA 2,O=Example",
        "a cross certificate for cross-1, CN=Other Root,O=Other",
        "the root's revocation list, until ",
        "superseded",
        "no authority below it, until ",
        "would be signed",
    ] {
        assert!(foretold.contains(words), "{words}: {foretold}");
    }
    assert!(!here.path("from-root").exists() && !here.path("offline/batches").exists());

    let signed = offline(&here, &["root", "sign-batch", "to-root", "from-root"]).done();
    assert_eq!(signed.matches("     signed: ").count(), 3, "{signed}");
    let names = ["1-client-issuing-2.pem", "2-cross-1.pem", "3-client-root.crl"];
    let first: Vec<String> = names.iter().map(|name| here.read(&format!("from-root/{name}"))).collect();
    for name in &names[..2] {
        let file = format!("from-root/{name}");
        here.openssl(&["verify", "-x509_strict", "-CAfile", "provision-ca/trust/client-root.pem", &file])
            .done();
    }
    // The same once more: the same answers, in the same folder and in another.
    let count = here.run(&["--store", "offline", "list", "--json"]).done();
    for out in ["from-root", "elsewhere"] {
        let again = offline(&here, &["root", "sign-batch", "to-root", out]).done();
        assert_eq!(again.matches("     signed before: ").count(), 3, "{again}");
        let same: Vec<String> = names.iter().map(|name| here.read(&format!("{out}/{name}"))).collect();
        assert_eq!(same, first);
    }
    assert_eq!(here.run(&["--store", "offline", "list", "--json"]).done(), count);
    std::fs::create_dir(here.path("full")).unwrap();
    here.write("full/other", "x");
    let told = offline(&here, &["root", "sign-batch", "to-root", "full"]).refused();
    assert!(told.contains("full holds something else already"), "{told}");
    here.run(&["--store", "offline", "store", "check"]).done();
    here.run(&["--store", "offline", "audit", "verify"]).done();

    // Back online: an answer that was changed, or is not the root's, is not taken.
    copy(&here.path("from-root"), &here.path("changed"));
    here.write("changed/2-cross-1.pem", &first[0]);
    let told = online(&here, &["authority", "add", "--from-batch", "changed"]).refused();
    assert!(told.contains("were not taken"), "{told}");
    forge(&here, "changed", |_manifest| {});
    let told = online(&here, &["authority", "add", "--from-batch", "changed"]).refused();
    assert!(told.contains("the answer is not signed by client-root"), "{told}");
    let taken = online(&here, &["authority", "add", "--from-batch", "from-root"]).done();
    assert!(
        taken.contains("issue client-issuing-2: already") && taken.contains("cross-sign cross-1: new"),
        "{taken}"
    );
    let again = online(&here, &["authority", "add", "--from-batch", "from-root"]).done();
    assert_eq!(again.matches(": already").count(), 3, "{again}");
    assert!(here.files("provision-ca/requests/root").is_empty(), "the key is in its place, and there alone");

    // The new authority signs, the root's list says what is revoked, and OpenSSL agrees.
    online(&here, &["authority", "use", "client-issuing-2"]).done();
    let phone = ["device", "issue", "--model", "CP-8841-3PCC", "--serial", "1", "--mac", "000e08abcdef"];
    // As long as a phone's certificate lasts where nothing else is said: the new authority lasts as long as its root.
    online(&here, &[&phone[..], &["--key", "p256"]].concat()).done();
    online(&here, &["crl", "publish"]).done();
    let crls: String = here.files("provision-ca/trust/crls").iter().map(|file| here.read(file)).collect();
    here.write("crls.pem", crls);
    let judge = |chain: &str| {
        let options = ["verify", "-x509_strict", "-crl_check_all", "-CRLfile", "crls.pem", "-CAfile"];
        let files = ["provision-ca/trust/client-root.pem", "-untrusted", chain, chain];
        here.openssl(&[&options[..], &files].concat())
    };
    judge("provision-ca/devices/000e08abcdef/chain.pem").done();
    let text =
        here.openssl(&["crl", "-in", "provision-ca/trust/crls/client-root.crl", "-noout", "-text"]).done();
    assert!(text.contains("Superseded"), "{text}");
    here.run(&["store", "check"]).done();
    here.run(&["audit", "verify"]).done();
    let everything = here.run(&["list", "--json"]).done();
    let authorities = here.run(&["authority", "list"]).done();
    here.run(&["store", "rebuild"]).done();
    assert_eq!(here.run(&["list", "--json"]).done(), everything, "I8");
    assert_eq!(here.run(&["authority", "list"]).done(), authorities, "I8");
    here.run(&["store", "check"]).done();
    let everything = here.run(&["--store", "offline", "list", "--json"]).done();
    here.run(&["--store", "offline", "store", "rebuild"]).done();
    assert_eq!(here.run(&["--store", "offline", "list", "--json"]).done(), everything, "I8");
    // A list that is older than the one that is there is not taken.
    online(&here, &["root", "request", "second", "--root", "client-root", "--crl"]).done();
    offline(&here, &["root", "sign-batch", "second", "second-answer"]).done();
    online(&here, &["authority", "add", "--from-batch", "second-answer"]).done();
    let told = online(&here, &["authority", "add", "--from-batch", "from-root"]).refused();
    assert!(told.contains("1 of 3 things were not taken"), "{told}");
    // And a key that is accepted no more signs nothing more.
    offline(&here, &["root", "forget", signer]).done();
    offline(&here, &["root", "sign-batch", "second", "third"]).refused();
}

fn c2_c4_c5_what_the_root_does_not_allow_is_refused_before_its_key_is_touched(on: On) {
    if !openssl_is_here("c2_c4_c5_what_the_root_does_not_allow_is_refused_before_its_key_is_touched") {
        return;
    }
    let here = hosts(on, &["--days", "400"]);
    let request = |folder: &str, more: &[&str]| {
        let arguments = [
            "root",
            "request",
            folder,
            "--root",
            "server-root",
            "--issuing",
            "--key",
            "p256",
            "--days",
            "300",
        ];
        online(&here, &[&arguments[..], more].concat()).done();
    };
    request("good", &["--crl", "--crl-days", "30"]);
    accept(&here);
    let sign = |folder: &str| offline(&here, &["root", "sign-batch", folder, &format!("{folder}-out")]);
    let cases: [(&str, serde_json::Value, &str); 13] = [
        ("days", 500.into(), "after the root, which ends"),
        ("days", 0.into(), "days are 1 to 36500, not 0"),
        ("days", "many".into(), "days are 1 to 36500, not"),
        ("path_length", 1.into(), "the root allows at most 0"),
        ("path_length", 700.into(), "the root allows less"),
        ("name", "server-root".into(), "another authority's name"),
        ("name", "../../etc".into(), "no name of an authority"),
        ("action", "renew".into(), "no certificate of this name and key"),
        ("action", "everything".into(), "is unknown"),
        ("file", "../pw".into(), "only plain names"),
        ("file", "missing.csr".into(), "cannot read"),
        ("sha256", "00".into(), "its SHA-256 is another"),
        ("permit", serde_json::json!(["*.example.com"]), "cannot be understood"),
    ];
    let rows = |kind: &str| here.run(&["--store", "offline", "list", kind, "--json"]).done();
    let before = rows("kind=authority");
    for (number, (field, value, expected)) in cases.into_iter().enumerate() {
        let folder = format!("bad-{number}");
        copy(&here.path("good"), &here.path(&folder));
        forge(&here, &folder, |manifest| manifest["items"][0][field] = value);
        let said = sign(&folder);
        assert!(said.stdout.contains(expected), "{field} {expected}: {}", said.stdout);
        // The rest of the batch is signed all the same.
        assert!(said.stdout.contains("     signed: 2-server-root.crl"), "{}", said.stdout);
        assert!(said.refused().contains("hint: 1: "), "{field}");
        assert_eq!(rows("kind=authority"), before, "{field}: nothing was signed");
        assert_eq!(here.files(&format!("{folder}-out")).len(), 3);
    }
    // What was changed after it was signed is refused as a whole.
    for (number, file) in ["manifest.json", "manifest.sig"].iter().enumerate() {
        let folder = format!("tampered-{number}");
        copy(&here.path("good"), &here.path(&folder));
        let mut octets = std::fs::read(here.path(&format!("{folder}/{file}"))).unwrap();
        let last = octets.len() - 3;
        octets[last] ^= 1;
        here.write(&format!("{folder}/{file}"), octets);
        let told = sign(&folder).refused();
        assert!(!here.path(&format!("{folder}-out")).exists(), "{file}: {told}");
    }
    // A request whose own signature does not hold, a weak key, and a revocation of somebody else's certificate.
    copy(&here.path("good"), &here.path("weak"));
    here.openssl(&[
        "req",
        "-new",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-keyout",
        "x.key",
        "-subj",
        "/CN=x",
        "-out",
        "weak/1-server-issuing-2.csr",
    ])
    .done();
    let weak = std::fs::read(here.path("weak/1-server-issuing-2.csr")).unwrap();
    forge(&here, "weak", |manifest| {
        manifest["items"][0]["sha256"] = certs::Fingerprint::of(&weak).to_string().into();
        manifest["items"][1]["revoked"] = serde_json::json!([{ "serial": "0102", "reason": "keyCompromise", "at": "2026-01-01T00:00:00Z" }]);
    });
    let said = sign("weak");
    assert!(said.stdout.contains("the request's key is refused"), "{}", said.stdout);
    assert!(said.stdout.contains("which this root did not issue"), "{}", said.stdout);
    assert!(said.refused().contains("2 of 2 things were refused"));
    // Constraints of the root's own hold, and no request changes them.
    let names =
        ["authority", "add", "--side", "server", "--key", "p256", "--days", "390", "--permit", "example.com"];
    offline(&here, &names).done();
    copy(&here.path("offline/authorities/server-root-2/cert.pem"), &here.path("root-2.pem"));
    here.run(&["import", "root-2.pem", "--side", "server"]).done();
    online(
        &here,
        &[
            "root",
            "request",
            "bound",
            "--root",
            "server-root-2",
            "--issuing",
            "--key",
            "p256",
            "--days",
            "300",
        ],
    )
    .done();
    copy(&here.path("bound"), &here.path("wider"));
    forge(&here, "wider", |manifest| {
        manifest["items"][0]["permit"] = serde_json::json!(["elsewhere.example"])
    });
    assert!(sign("wider").stdout.contains("the root's own name constraints hold"));
    sign("bound").done();
    let text = here.openssl(&["x509", "-in", "bound-out/1-server-issuing-3.pem", "-noout", "-text"]).done();
    assert!(text.contains("DNS:example.com"), "{text}");
    // The twin of all these.
    sign("good").done();
    here.run(&["--store", "offline", "store", "check"]).done();
}

#[test]
fn only_the_key_whose_fingerprint_was_told_is_accepted() {
    let here = Workplace::with_authorities(&["--shape", "issuing"]);
    here.run(&["root", "request", "one", "--root", "client-root", "--crl"]).done();
    let file = here.read("provision-ca/batch-signer.pem");
    let block = |text: &str| certs::pem::blocks(text.as_bytes()).unwrap().remove(0).contents;
    let told = certs::Fingerprint::of(&block(&file)).to_string();
    let thief = pem::encode(&pem::Pem::new("PUBLIC KEY", a_new_key()));
    let dressed = file.replace("PUBLIC KEY", "THE KEY");
    let accept = |text: &str| {
        here.write("signer.pem", text);
        here.run(&["root", "accept", "signer.pem", "--fingerprint", &told])
    };
    for text in
        [&thief, &format!("{dressed}{thief}"), &format!("{file}{thief}"), &format!("{thief}{file}"), &dressed]
    {
        let said = accept(text).refused();
        assert!(said.contains("hint: ") && !said.contains("panicked"), "{said}");
        assert_eq!(here.number("SELECT count(*) FROM setting WHERE name LIKE 'batch signer%'"), 0, "{text}");
    }
    accept(&file).done();
    here.run(&["root", "forget", &told]).done();
    assert!(here.run(&["root", "forget", &told]).refused().contains("was not accepted"));
}

/// The `SubjectPublicKeyInfo` of a new key.
fn a_new_key() -> Vec<u8> {
    ca::PrivateKey::generate(ca::KeyType::P256).unwrap().public_key_der()
}
