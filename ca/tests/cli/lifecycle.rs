//! Certificates from their issue to their end: found by selectors, renewed, rekeyed, revoked, given back, exported.

use std::os::unix::fs::PermissionsExt;

use crate::stores::{On, on_both_stores};
use crate::support::{Workplace, openssl_is_here};

on_both_stores! {
    a_selector_finds_by_every_key_and_every_spelling,
    a3_renewing_keeps_names_and_key_and_changes_serial_and_dates,
    a3_rekeying_and_reissuing_change_what_they_say_and_nothing_else,
    b7_a_compromised_key_is_not_renewed_but_replaced,
    g5_g6_many_are_revoked_at_once_and_a_hold_alone_is_lifted,
    what_ends_soon_is_listed_until_it_has_a_successor,
    a_renewal_that_was_interrupted_goes_on_and_renews_nobody_twice,
}

/// Authorities, six phones of two models, and a server.
fn fleet(on: On) -> Workplace {
    let here = Workplace::on(on, &[]);
    let mut list = "model,serial,mac\n".to_owned();
    for number in 0..6 {
        let model = if number < 4 { "CP-8841-3PCC" } else { "CP-7841-3PCC" };
        list.push_str(&format!("{model},FCH{number:04},000e08{number:06x}\n"));
    }
    here.write("devices.csv", list);
    here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    here.run(&["server", "issue", "prov.example.com", "--key", "p256"]).done();
    here
}

fn listed(here: &Workplace, selector: &[&str]) -> Vec<serde_json::Value> {
    let out = here.run(&[&["list", "--json"], selector].concat()).done();
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    value["certificates"].as_array().unwrap().clone()
}

fn count(here: &Workplace, selector: &[&str]) -> usize {
    listed(here, selector).len()
}

fn certificate(here: &Workplace, path: &str) -> certs::Certificate {
    certs::Certificate::parse_pem(here.read(path)).unwrap()
}

const PHONE: &str = "provision-ca/devices/000e08000000";

fn a_selector_finds_by_every_key_and_every_spelling(on: On) {
    let here = fleet(on);
    let phone = &listed(&here, &["mac=000e08000000"])[0];
    let serial = phone["serial"].as_str().unwrap().to_owned();
    let colons: Vec<String> =
        serial.as_bytes().chunks(2).map(|two| String::from_utf8_lossy(two).to_lowercase()).collect();
    let colons = format!("serial={}", colons.join(":"));
    let print = certificate(&here, &format!("{PHONE}/cert.pem")).fingerprint().to_string();
    let print = format!("fingerprint={print}");
    for (selector, expected) in [
        (&["model=CP-88*"][..], 4),
        (&["model=cp-88*"], 4),
        (&["model!=CP-88*", "kind=device"], 2),
        (&["model=CP-88*,CP-78*"], 6),
        (&["mac=00:0E:08:00:00:00"], 1),
        (&["mac=00-0e-08-*"], 6),
        (&["mac=*0003"], 1),
        (&["serial=FCH0003"], 1),
        (&["serial=fch0003"], 1),
        (&["serial=FCH*"], 6),
        (&[colons.as_str()], 1),
        (&[print.as_str()], 1),
        (&["kind=server"], 1),
        (&["name=prov.*"], 1),
        (&["name=*.example.com"], 1),
        (&["kind=authority"], 2),
        (&["issuer=client-root", "kind=device"], 6),
        (&["expires<366d"], 1),
        (&["expires>10y", "kind=device"], 6),
        (&["issued<1h", "kind=device"], 6),
        (&["issued>1h"], 0),
        (&["status=valid", "kind=device"], 6),
        (&["status=revoked"], 0),
        (&["latest=yes", "kind=device"], 6),
        (&["model=CP-88* status=valid expires>1y mac=000e08*"], 4),
        (&["FCH0001"], 1),
        (&["00:0e:08:00:00:02"], 1),
        (&["model=%"], 0),
        (&["model=CP_8841-3PCC"], 0),
        (&["name=\"' OR 1=1 --\""], 0),
    ] {
        assert_eq!(count(&here, selector), expected, "{selector:?}");
    }
    let shown = here.run(&["show", &print["fingerprint=".len()..]]).done();
    assert!(shown.contains("000e08000000"), "{shown}");
}

#[test]
fn a_bad_selector_is_misuse_and_lists_the_keys() {
    let here = fleet(On::Sqlite);
    for (arguments, message) in [
        (&["list", "modle=CP-88*"][..], "the keys are model, mac, serial"),
        (&["revoke", "status=good"], "valid, expired, revoked, held or abandoned"),
        (&["renew", "expires<soon"], "a span as 90d"),
        (&["rekey", "model<5"], "only dates"),
        (&["export", "", "--out", "x"], "a selector is needed"),
        (&["expiring", "--within", "soon"], "a span as 90d"),
    ] {
        let said = here.run(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}");
        assert!(said.stderr.contains(message), "{}", said.stderr);
    }
    let nothing = here.run(&["renew", "model=SPA*"]).refused();
    assert!(nothing.contains("no certificate matches"), "{nothing}");
}

fn a3_renewing_keeps_names_and_key_and_changes_serial_and_dates(on: On) {
    let here = fleet(on);
    let before = certificate(&here, &format!("{PHONE}/cert.pem"));
    let key = here.read(&format!("{PHONE}/key.pem"));
    let said = here.run(&["renew", "000e08000000", "--days", "100"]);
    assert!(said.stderr.contains("crl publish"), "{}", said.stderr);
    said.done();
    let after = certificate(&here, &format!("{PHONE}/cert.pem"));
    assert_eq!(after.subject().der(), before.subject().der());
    assert_eq!(after.public_key().spki_der(), before.public_key().spki_der());
    assert_ne!(after.serial(), before.serial());
    assert!(after.validity().not_after < before.validity().not_after);
    assert_eq!(here.read(&format!("{PHONE}/key.pem")), key);
    // One active certificate for each MAC address.
    assert_eq!(count(&here, &["mac=000e08000000", "status=valid"]), 1);
    assert_eq!(count(&here, &["mac=000e08000000", "status=revoked", "reason=superseded"]), 1);
    assert_eq!(here.files("provision-ca/superseded").len(), 3);

    here.run(&["renew", "kind=server", "--keep-old"]).done();
    assert_eq!(count(&here, &["kind=server", "status=valid"]), 2, "it was said otherwise");
    let server = certificate(&here, "provision-ca/server/prov.example.com/cert.pem");
    let hosts: Vec<_> = server.subject_alternative_names().unwrap().dns_names().collect();
    assert_eq!(hosts, ["prov.example.com"]);
}

fn a3_rekeying_and_reissuing_change_what_they_say_and_nothing_else(on: On) {
    let here = fleet(on);
    let before = certificate(&here, &format!("{PHONE}/cert.pem"));
    here.run(&["reissue", "000e08000000"]).done();
    let reissued = certificate(&here, &format!("{PHONE}/cert.pem"));
    assert_eq!(reissued.public_key().spki_der(), before.public_key().spki_der());
    assert_eq!(reissued.validity().not_after, before.validity().not_after);
    assert_ne!(reissued.serial(), before.serial());
    let said =
        here.run(&["rekey", "model=CP-88*", "--key", "p256", "--report", "rekeyed.csv", "--json"]).done();
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value["rekeyed"], 4, "{said}");
    let rekeyed = certificate(&here, &format!("{PHONE}/cert.pem"));
    assert_ne!(rekeyed.public_key().spki_der(), before.public_key().spki_der());
    assert_eq!(rekeyed.subject().der(), before.subject().der());
    let key = ca::PrivateKey::from_pem(&here.read(&format!("{PHONE}/key.pem")), None).unwrap();
    assert_eq!(key.public_key_der(), rekeyed.public_key().spki_der());
    assert_eq!(here.read("rekeyed.csv").lines().count(), 5);
    assert_eq!(count(&here, &["model=CP-88*", "status=valid"]), 4);
    assert_eq!(count(&here, &["model=CP-88*", "latest=yes"]), 4);
}

fn b7_a_compromised_key_is_not_renewed_but_replaced(on: On) {
    let here = fleet(on);
    here.run(&["revoke", "000e08000000", "--reason", "keyCompromise"]).done();
    let renewed = here.run(&["renew", "000e08000000"]);
    assert_eq!(renewed.code, Some(1));
    assert!(renewed.stdout.contains("it is revoked (keyCompromise)"), "{}", renewed.stdout);
    let reissued = here.run(&["reissue", "000e08000000"]);
    assert!(reissued.stdout.contains("revoked for keyCompromise"), "{}", reissued.stdout);
    here.run(&["rekey", "status=revoked", "reason=keyCompromise", "--key", "p256"]).done();
    assert_eq!(count(&here, &["mac=000e08000000", "status=valid"]), 1);
}

fn g5_g6_many_are_revoked_at_once_and_a_hold_alone_is_lifted(on: On) {
    let here = fleet(on);
    let dry = here.run(&["revoke", "model=CP-88*", "--reason", "certificateHold", "--dry-run"]).done();
    assert!(dry.contains("would revoke 4 certificates") && dry.contains("CP-8841-3PCC"), "{dry}");
    assert!(dry.contains("list client-root: 0 + 4 entries") && dry.contains("+ about 196 octets"), "{dry}");
    assert_eq!(count(&here, &["status=revoked"]), 0, "nothing was done");
    here.run(&["revoke", "model=CP-88*", "--reason", "certificateHold"]).done();
    here.run(&["revoke", "model=CP-78*", "--reason", "cessationOfOperation", "--publish"]).done();
    assert_eq!(count(&here, &["status=held"]), 4);
    assert_eq!(count(&here, &["status=revoked"]), 6);
    let again = here.run(&["revoke", "model=CP-88*"]).refused();
    assert!(again.contains("no certificate matches"), "{again}");
    let never = here.run(&["unhold", "model=CP-78*"]).refused();
    assert!(never.contains("nothing that matches"), "{never}");
    here.run(&["unhold", "mac=000e08*"]).done();
    assert_eq!(count(&here, &["status=held"]), 0);
    assert_eq!(count(&here, &["status=valid", "kind=device"]), 4);
    let valid = here.run(&["unhold", "000e08000000"]).refused();
    assert!(valid.contains("is not revoked"), "{valid}");
    let root = here.run(&["revoke", "kind=authority"]).refused();
    assert!(root.contains("nobody can revoke it"), "{root}");
}

fn what_ends_soon_is_listed_until_it_has_a_successor(on: On) {
    let here = fleet(on);
    let said = here.run(&["expiring"]);
    assert!(said.stderr.contains("nothing ends that soon"), "{}", said.stderr);
    let said = here.run(&["expiring", "--within", "2y", "--json"]).done();
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value["certificates"][0]["name"], "prov.example.com");
    here.run(&["renew", "expires<2y", "kind=server", "--days", "1000", "--keep-old"]).done();
    let said = here.run(&["expiring", "--within", "2y"]);
    assert!(said.stderr.contains("nothing ends that soon"), "{}", said.stderr);
}

/// `--dry-run` counts what the same words without it would do, authorities too.
#[test]
fn g6_what_is_foretold_of_a_word_is_what_is_done() {
    let here = Workplace::with_authorities(&["--shape", "issuing"]);
    here.run(&["server", "issue", "prov.example.com", "--key", "p256"]).done();
    here.run(&["renew", "prov.example.com"]).done();
    let revoke = |word: &str, more: &[&str]| here.run(&[&["revoke", word], more].concat());
    for word in ["prov.example.com", "client-issuing"] {
        let foretold = revoke(word, &["--dry-run"]).done();
        assert!(foretold.starts_with("would revoke 1 certificates"), "{word}: {foretold}");
        let revoked = here.number("SELECT count(*) FROM revocation");
        revoke(word, &[]).done();
        assert_eq!(here.number("SELECT count(*) FROM revocation"), revoked + 1);
        assert!(revoke(word, &["--dry-run"]).done().starts_with("would revoke 0 certificates"));
    }
    let said = revoke("server-issuing", &["--report", "report.csv"]).done();
    assert!(said.contains("revoked   1"), "{said}");
    for more in [&["--dry-run"][..], &[]] {
        assert!(revoke("nobody", more).refused().contains("nothing in the store is known as"));
    }
}

#[test]
fn h1_exported_files_are_for_their_owner_and_never_overwritten() {
    let here = fleet(On::Sqlite);
    here.write("pw", "correct horse battery\n");
    here.run(&["export", "000e08000000", "--out", "phone.pem"]).done();
    assert_eq!(here.read("phone.pem"), here.read(&format!("{PHONE}/chain.pem")));
    let mode = |path: &str| here.path(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("phone.pem"), 0o600);
    let again = here.run(&["export", "000e08000000", "--out", "phone.pem"]).refused();
    assert!(again.contains("phone.pem"), "{again}");
    here.run(&["export", "model=CP-88*", "--format", "der", "--out", "certificates"]).done();
    assert_eq!(here.files("certificates").len(), 4);
    let p12 =
        ["export", "000e08000000", "--format", "p12", "--out", "phone.p12", "--p12-passphrase-file", "pw"];
    here.run(&p12).done();
    assert_eq!(mode("phone.p12"), 0o600);
    if openssl_is_here("h1_exported_files_are_for_their_owner_and_never_overwritten") {
        let shown = here.openssl(&["pkcs12", "-in", "phone.p12", "-passin", "file:pw", "-nodes"]).done();
        assert!(shown.contains("BEGIN PRIVATE KEY") && shown.contains("000e08000000"), "{shown}");
        assert_ne!(here.openssl(&["pkcs12", "-in", "phone.p12", "-passin", "pass:wrong"]).code, Some(0));
    }
    let printed = here.run(&["export", "prov.example.com", "--out", "-"]).done();
    assert!(printed.starts_with("-----BEGIN CERTIFICATE-----"), "{printed}");
    std::fs::remove_file(here.path(&format!("{PHONE}/key.pem"))).unwrap();
    let refused = here
        .run(&["export", "000e08000000", "--format", "p12", "--out", "b.p12", "--p12-passphrase-file", "pw"])
        .refused();
    assert!(refused.contains("is not here") && refused.contains("--format pem"), "{refused}");
    assert!(!here.path("b.p12").exists());
}

fn a_renewal_that_was_interrupted_goes_on_and_renews_nobody_twice(on: On) {
    use std::process::Stdio;

    let phones = if on == On::Sqlite { 300 } else { 120 };
    let here = Workplace::on(on, &[]);
    here.write("devices.csv", crate::bulk::list(phones));
    here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    let reissue = ["reissue", "model=CP-88*"];
    let mut kills = 0;
    for round in 0_u64..12 {
        let mut child = here.command(&reissue).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not a wait for something to happen: the moment of the kill is what is tried.
        std::thread::sleep(std::time::Duration::from_millis(40 + round * 23 % 130));
        child.kill().unwrap();
        if !child.wait().unwrap().success() {
            kills += 1;
        }
    }
    assert!(kills > 0);
    let left = count(&here, &["model=CP-88*", "latest=yes", "status=valid"]);
    assert_eq!(left, phones);
    let last = here.run(&reissue);
    if last.code != Some(0) {
        assert!(last.stderr.contains("no certificate matches"), "{}", last.stderr);
    }
    assert_eq!(count(&here, &["model=CP-88*", "status=valid"]), phones, "one active certificate for each");
}
