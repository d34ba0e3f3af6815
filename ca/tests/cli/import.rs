//! What `openssl ca` made goes on here (CA G1, G2, G5, I1, I8).

use std::process::Stdio;
use std::time::Duration;

use crate::stores::{On, on_both_stores};
use crate::support::{Said, Workplace, openssl_is_here};

mod easy_rsa;
mod wrong;

on_both_stores! {
    g1_g2_g5_an_openssl_ca_goes_on_here_with_all_it_issued_and_revoked,
    g3_what_was_revoked_stays_so_with_no_index_line_and_no_file,
    authorities_come_without_their_keys_and_with_them_later,
}

/// The configuration of an `openssl ca`.
const CONFIG: &str = "
[ca]
default_ca = old
[old]
dir = old
database = $dir/index.txt
new_certs_dir = $dir/newcerts
certificate = $dir/cacert.pem
private_key = $dir/private/cakey.pem
serial = $dir/serial
crlnumber = $dir/crlnumber
default_md = sha256
default_days = 3650
default_crl_days = 30
policy = any
x509_extensions = phone
unique_subject = no
[any]
commonName = optional
organizationalUnitName = optional
localityName = optional
surname = optional
[phone]
basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
extendedKeyUsage = clientAuth
[server]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:prov.old.example
[authority]
basicConstraints = critical,CA:TRUE
subjectKeyIdentifier = hash
[req]
distinguished_name = name
[name]
";

/// The passphrase that OpenSSL encrypts the old key with, in its own default way.
const OLD: &str = "old.txt";

fn openssl(here: &Workplace, arguments: &str) {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    here.openssl(&arguments).done();
}

/// An `openssl ca` in the folder `old`, with this number as its next list's.
fn old_ca(here: &Workplace, next_list: &str) {
    std::fs::create_dir_all(here.path("old/newcerts")).unwrap();
    std::fs::create_dir_all(here.path("old/private")).unwrap();
    here.write("ca.cnf", CONFIG);
    here.write("old/index.txt", "");
    here.write("old/serial", "F0\n");
    here.write("old/crlnumber", format!("{next_list}\n"));
    here.write(OLD, "the old secret\n");
    openssl(
        here,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout old/private/cakey.pem -passout file:old.txt \
         -out old/cacert.pem -subj /O=Old/CN=Old -days 5000 -config ca.cnf -extensions authority",
    );
}

/// Lets the old authority issue; the number of the certificate is the next.
fn issue(here: &Workplace, subject: &str, extensions: &str) {
    openssl(
        here,
        &format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout one.key -out one.csr -subj {subject} -config ca.cnf"
        ),
    );
    openssl(
        here,
        &format!(
            "ca -config ca.cnf -batch -notext -in one.csr -out one.crt -passin file:old.txt -extensions {extensions}"
        ),
    );
}

fn phone(number: u32) -> String {
    format!("/OU=CP-8841-3PCC/L=FCH{number:04}/SN=000e08{number:06x}")
}

/// Phones F0 to F5, F1 revoked for keyCompromise and F2 held, and a server, F6.
fn filled(here: &Workplace, next_list: &str) {
    old_ca(here, next_list);
    for number in 0..6 {
        issue(here, &phone(number), "phone");
    }
    issue(here, "/CN=prov.old.example", "server");
    openssl(
        here,
        "ca -config ca.cnf -revoke old/newcerts/F1.pem -crl_reason keyCompromise -passin file:old.txt",
    );
    openssl(
        here,
        "ca -config ca.cnf -revoke old/newcerts/F2.pem -crl_reason certificateHold -passin file:old.txt",
    );
    openssl(here, "ca -config ca.cnf -gencrl -out old/crl.pem -passin file:old.txt");
}

/// A store whose keys have a passphrase of their own.
fn store(on: On) -> Workplace {
    let here = Workplace::empty(on);
    here.write("new.txt", "the new secret\n");
    here.run(&["init", "--key", "p256", "--passphrase-file", "new.txt"]).done();
    here
}

const IMPORT: [&str; 8] =
    ["import", "old", "--side", "client", "--ca-passphrase-file", OLD, "--passphrase-file", "new.txt"];

/// OpenSSL's judgement of a certificate by the newest list.
fn judge(here: &Workplace, certificate: &str) -> Said {
    here.openssl(&[
        "verify",
        "-crl_check",
        "-CRLfile",
        "provision-ca/trust/crls/client-root-2.crl",
        "-CAfile",
        "old/cacert.pem",
        certificate,
    ])
}

fn list_number(here: &Workplace, path: &str) -> certs::CrlNumber {
    certs::RevocationList::parse(here.read(path).as_bytes()).unwrap().number().unwrap()
}

fn g1_g2_g5_an_openssl_ca_goes_on_here_with_all_it_issued_and_revoked(on: On) {
    if !openssl_is_here("g1_g2_g5_an_openssl_ca_goes_on_here_with_all_it_issued_and_revoked") {
        return;
    }
    let here = store(on);
    // A number far above the seconds since 1970, from which ours are counted.
    filled(&here, "0FFFFFFFFF00");
    let before = here.run(&["list"]).done();
    let foretold = here.run(&[&IMPORT[..], &["--dry-run"]].concat()).done();
    assert!(foretold.contains("imported   7, 2 of them revoked"), "{foretold}");
    assert_eq!(here.run(&["list"]).done(), before, "a dry run changes nothing");
    assert!(!here.path("provision-ca/authorities/client-root-2").exists());

    let said = here.run(&[&IMPORT[..], &["--report", "report.csv"]].concat()).done();
    assert!(said.contains("client-root-2: new, with its key") && said.contains("imported   7"), "{said}");
    let report = here.read("report.csv");
    assert!(report.contains("old/newcerts/F1.pem,1,F1,") && report.contains("(keyCompromise)"), "{report}");
    // The key is there under the store's own passphrase.
    let key = here.read("provision-ca/authorities/client-root-2/key.pem");
    let ours = ca::Passphrase::new("the new secret");
    assert!(ca::PrivateKey::from_pem(&key, Some(&ours)).is_ok());
    let again = here.run(&["import", "old", "--json"]).done();
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!((again["imported"].as_u64(), again["already"].as_u64()), (Some(0), Some(7)), "{again}");

    assert_eq!(here.run(&["list", "issuer=client-root-2", "kind=device"]).done().lines().count() - 1, 6);
    let shown = here.run(&["show", "00:0E:08:00:00:01"]).done();
    assert!(shown.contains("(keyCompromise)") && shown.contains("FCH0001"), "{shown}");
    assert!(here.run(&["show", "prov.old.example"]).done().contains("server"));
    assert_eq!(here.run(&["list", "status=held"]).done().lines().count() - 1, 1);

    // Who signed before signs on, and its lists are made as often as before.
    assert!(
        here.run(&["authority", "list"])
            .done()
            .lines()
            .any(|line| line.starts_with("client-root ") && line.ends_with("signs"))
    );
    here.run(&["revoke", "000e08000003", "--reason", "superseded"]).done();
    here.run(&["unhold", "000e08000002"]).done();
    here.run(&["crl", "publish", "--passphrase-file", "new.txt"]).done();
    let list = "provision-ca/trust/crls/client-root-2.crl";
    assert!(list_number(&here, list) > list_number(&here, "old/crl.pem"), "G2");
    for (serial, is_good) in [("F0", true), ("F1", false), ("F2", true), ("F3", false), ("F4", true)] {
        let verdict = judge(&here, &format!("old/newcerts/{serial}.pem"));
        assert_eq!(verdict.code == Some(0), is_good, "{serial}: {}", verdict.stderr);
        assert!(is_good || verdict.stderr.contains("certificate revoked"), "{}", verdict.stderr);
    }
    let text = here.openssl(&["crl", "-in", list, "-noout", "-text", "-CAfile", "old/cacert.pem"]);
    assert!(text.stderr.contains("verify OK") && text.stdout.contains("Key Compromise"), "{}", text.stdout);

    // It signs when it is told to, and what it issued has successors.
    let signs = ["authority", "use", "client-root-2"];
    here.run(&signs).done();
    let new = [
        "device",
        "issue",
        "--model",
        "CP-8841-3PCC",
        "--key",
        "p256",
        "--days",
        "365",
        "--passphrase-file",
        "new.txt",
    ];
    here.run(&[&new[..], &["--serial", "FCH9", "--mac", "000e08ffffff"]].concat()).done();
    judge(&here, "provision-ca/devices/000e08ffffff/cert.pem").done();
    here.run(&["rekey", "000e08000004", "--key", "p256", "--passphrase-file", "new.txt"]).done();
    judge(&here, "provision-ca/devices/000e08000004/cert.pem").done();
    let twice = here.run(&[&new[..], &["--serial", "FCH0005", "--mac", "000e08000005"]].concat()).done();
    assert!(twice.contains("F5"), "a phone that has a certificate gets no second: {twice}");
    here.run(&["crl", "publish", "--passphrase-file", "new.txt"]).done();
    assert!(judge(&here, "old/newcerts/F4.pem").stderr.contains("certificate revoked"));

    here.run(&["store", "check"]).done();
    here.run(&["audit", "verify"]).done();
    here.run(&["backup", "copy"]).done();
    here.run(&["--store", "copy", "store", "check"]).done();
    {
        let everything = here.run(&["list", "--json"]).done();
        let authorities = here.run(&["authority", "list"]).done();
        here.run(&["store", "rebuild"]).done();
        assert_eq!(here.run(&["list", "--json"]).done(), everything, "I8");
        assert_eq!(here.run(&["authority", "list"]).done(), authorities, "I8");
        here.run(&["store", "check"]).done();
        let before = list_number(&here, list);
        here.run(&["crl", "publish", "--passphrase-file", "new.txt"]).done();
        assert!(list_number(&here, list) > before, "G2: after a rebuild too");
        assert!(judge(&here, "old/newcerts/F1.pem").stderr.contains("certificate revoked"));
    }
}

fn g3_what_was_revoked_stays_so_with_no_index_line_and_no_file(on: On) {
    if !openssl_is_here("g3_what_was_revoked_stays_so_with_no_index_line_and_no_file") {
        return;
    }
    let here = store(on);
    filled(&here, "1000");
    std::fs::create_dir(here.path("away")).unwrap();
    for serial in ["F1", "F2"] {
        std::fs::rename(
            here.path(&format!("old/newcerts/{serial}.pem")),
            here.path(&format!("away/{serial}.pem")),
        )
        .unwrap();
    }
    // One is in the index and has no file, the other is on the list alone.
    let index = here.read("old/index.txt");
    here.write(
        "old/index.txt",
        index
            .lines()
            .filter(|line| !line.contains("\tF2\t"))
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    );
    let said = here.run(&IMPORT);
    assert!(said.stderr.contains("its revocation alone is kept"), "{}", said.stderr);
    said.done();
    here.run(&["crl", "publish", "--passphrase-file", "new.txt"]).done();
    for serial in ["F1", "F2"] {
        let verdict = judge(&here, &format!("away/{serial}.pem"));
        assert!(verdict.stderr.contains("certificate revoked"), "{serial}: {}", verdict.stderr);
    }
    // Found again, they become whole; what the old place revoked since is revoked here too.
    openssl(&here, "ca -config ca.cnf -revoke old/newcerts/F4.pem -passin file:old.txt");
    let said = here.run(&["import", "old", "--json"]).done();
    assert!(said.contains("\"revoked\": 1"), "{said}");
    let said = here.run(&["import", "away"]).done();
    assert!(said.contains("completed  2"), "{said}");
    let shown = here.run(&["show", "000e08000001"]).done();
    assert!(shown.contains("(keyCompromise)") && shown.contains("sha256"), "{shown}");
    here.run(&["store", "check"]).done();
    here.run(&["audit", "verify"]).done();
    {
        let everything = here.run(&["list", "--json"]).done();
        here.run(&["store", "rebuild"]).done();
        assert_eq!(here.run(&["list", "--json"]).done(), everything, "I8");
    }
}

fn authorities_come_without_their_keys_and_with_them_later(on: On) {
    if !openssl_is_here("authorities_come_without_their_keys_and_with_them_later") {
        return;
    }
    let here = store(on);
    filled(&here, "1000");
    std::fs::create_dir(here.path("phones")).unwrap();
    openssl(&here, "x509 -in old/newcerts/F0.pem -outform DER -out phones/one.der");
    let bundle =
        [here.read("old/newcerts/F1.pem"), "some text\n".to_owned(), here.read("old/newcerts/F2.pem")];
    here.write("phones/two.pem", bundle.concat());
    here.write("phones/README", "not a certificate");
    let unknown = here.run(&["import", "phones"]).refused();
    assert!(unknown.contains("its issuer is not in the store: CN=Old,O=Old"), "{unknown}");
    assert!(unknown.contains("hint: import the issuer's certificate first"), "{unknown}");
    let foretold = here.run(&["import", "phones", "old/cacert.pem", "--side", "client", "--dry-run"]).done();
    assert!(
        foretold.contains("new, its key is elsewhere") && foretold.contains("imported   3"),
        "{foretold}"
    );
    let said =
        here.run(&["import", "phones", "old/cacert.pem", "--side", "client", "--crl", "old/crl.pem"]).done();
    assert!(said.contains("imported   3, 2 of them revoked"), "{said}");
    assert!(here.run(&["import", "phones", "old/cacert.pem"]).done().contains("already    3"));

    // It is listed and found, and signs, publishes and revokes nothing here.
    assert!(here.run(&["authority", "list"]).done().contains("its key is elsewhere"));
    assert!(
        here.run(&["expiring", "--within", "20y", "issuer=client-root-2"]).done().contains("000e08000000")
    );
    for command in [
        &["authority", "use", "client-root-2"][..],
        &["crl", "publish", "--authority", "client-root-2", "--passphrase-file", "new.txt"],
        &["publication", "set", "http://pki.example.com", "--authority", "client-root-2"],
    ] {
        let told = here.run(command).refused();
        assert!(told.contains("its certificate alone is in the store"), "{command:?}: {told}");
    }
    let told = here.run(&["revoke", "000e08000000"]).refused();
    assert!(told.contains("whose key is not in the store") && told.contains("deny file"), "{told}");
    here.run(&["crl", "publish", "--passphrase-file", "new.txt"]).done();
    assert!(!here.path("provision-ca/trust/crls/client-root-2.crl").exists());
    assert!(!here.path("provision-ca/trust/client-root-2.pem").exists());
    here.run(&["store", "check"]).done();

    // Its own lists tell what it has revoked since; one that it did not sign is not believed.
    openssl(
        &here,
        "ca -config ca.cnf -revoke old/newcerts/F0.pem -crl_reason superseded -passin file:old.txt",
    );
    openssl(&here, "ca -config ca.cnf -gencrl -out new.crl -passin file:old.txt");
    assert!(here.run(&["import", "--crl", "new.crl"]).done().contains("revoked    1"));
    assert!(here.run(&["show", "000e08000000"]).done().contains("(superseded)"));
    let foreign = here.run(&["import", "--crl", "provision-ca/trust/crls/client-root.crl"]).done();
    assert!(foreign.contains("revoked    0") || foreign.contains("imported   0"), "{foreign}");
    let stranger = Workplace::new();
    filled(&stranger, "1000");
    here.write("stranger.crl", stranger.read("old/crl.pem"));
    let told = here.run(&["import", "--crl", "stranger.crl"]).refused();
    assert!(told.contains("no authority of the store signed"), "{told}");

    // Then its key comes.
    let said =
        here.run(&["import", "old", "--ca-passphrase-file", OLD, "--passphrase-file", "new.txt"]).done();
    assert!(said.contains("client-root-2: its key has come"), "{said}");
    here.run(&["crl", "publish", "--passphrase-file", "new.txt"]).done();
    assert!(judge(&here, "old/newcerts/F0.pem").stderr.contains("certificate revoked"));
    here.run(&["authority", "use", "client-root-2"]).done();
    here.run(&["store", "check"]).done();
    here.run(&["audit", "verify"]).done();
}

#[test]
fn i1_killed_at_any_moment_and_run_again_everything_is_there_once() {
    if !openssl_is_here("i1_killed_at_any_moment_and_run_again_everything_is_there_once") {
        return;
    }
    let here = store(On::Sqlite);
    filled(&here, "1000");
    let mut killed = 0;
    for round in 0_u64..16 {
        let mut child = here.command(&IMPORT).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not a wait for something to happen: the moment of the kill is what is tried.
        std::thread::sleep(Duration::from_millis(3 + round * 61 % 900));
        child.kill().unwrap();
        if !child.wait().unwrap().success() {
            killed += 1;
        }
    }
    assert!(killed > 0, "no run was still going when it was killed");
    here.run(&IMPORT).done();
    assert_eq!(here.run(&["list", "issuer=client-root-2", "kind!=authority"]).done().lines().count() - 1, 7);
    assert_eq!(here.run(&["authority", "list"]).done().lines().count(), 3);
    here.run(&["store", "check"]).done();
    here.run(&["audit", "verify"]).done();
    assert!(here.files("provision-ca/pending").is_empty());
}
