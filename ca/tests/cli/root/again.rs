//! The ceremony again: for new dates, and after any of its commands was killed at any moment (CA I1, G2).

use std::time::Duration;

use super::copy;
use crate::serve::Server;
use crate::stores::{On, on_both_stores};
use crate::support::{Workplace, openssl_is_here};
use crate::survival::{moment, run_and_kill};

on_both_stores! {
    a_batch_of_new_dates_alone_prolongs_an_authority_once,
    i1_g2_killed_at_any_moment_and_run_again_a_batch_is_whole_and_everything_is_signed_once,
}

/// Two hosts as [`super::hosts`] makes them, without passphrases, to be quick.
fn hosts_in_the_clear(on: On) -> Workplace {
    let here = Workplace::on(on, &["--shape", "issuing"]);
    here.run(&["backup", "offline"]).done();
    std::fs::remove_file(here.path("provision-ca/authorities/client-root/key.pem")).unwrap();
    here
}

/// Asks the root, has it sign, and takes its answer: what the last said.
fn ceremony(here: &Workplace, folder: &str, wanted: &[&str]) -> String {
    here.run(&[&["root", "request", folder, "--root", "client-root"][..], wanted].concat()).done();
    here.run(&["--store", "offline", "root", "accept", "provision-ca/batch-signer.pem"]).done();
    let answer = format!("{folder}-answer");
    here.run(&["--store", "offline", "root", "sign-batch", folder, &answer]).done();
    here.run(&["authority", "add", "--from-batch", &answer]).done()
}

/// A batch may ask for new dates and for nothing else; what the authority signed before stays valid under them.
fn a_batch_of_new_dates_alone_prolongs_an_authority_once(on: On) {
    if !openssl_is_here("a_batch_of_new_dates_alone_prolongs_an_authority_once") {
        return;
    }
    let here = hosts_in_the_clear(on);
    ceremony(&here, "short", &["--issuing", "--key", "p256", "--days", "100"]);
    here.run(&["authority", "use", "client-issuing-2"]).done();
    let phone = |number: u32, days: &str| {
        let (serial, mac) = (format!("FCH{number}"), format!("000e0800000{number}"));
        let issue = ["device", "issue", "--model", "CP-8841-3PCC", "--key", "p256", "--days", days];
        here.run(&[&issue[..], &["--serial", &serial, "--mac", &mac]].concat())
    };
    phone(1, "50").done();
    assert!(phone(2, "200").refused().contains("after its issuer"), "the twin of what comes");
    let renewed = "provision-ca/authorities/client-issuing-2/cert.pem";
    let before = here.read(renewed);
    // One store is enough for what is no matter of the inventory, and takes its seconds.
    let server = (on == On::Sqlite).then(|| Server::start(&here, &[]));
    let page = "/ca/client-issuing-2.pem";
    if let Some(server) = &server {
        assert_eq!(server.get(page).body, before.as_bytes());
    }

    // What a killed attempt began and never signed ends later still, and is no certificate: it refuses nobody.
    let inventory = rusqlite::Connection::open(here.path("offline/ca.sqlite")).unwrap();
    let begun = "INSERT INTO certificate (authority, serial, state, kind, name, public_key, not_before, not_after,
                                          reserved_at, folder)
                 SELECT authority, x'7f0000000000000000000001', 'abandoned', kind, name, public_key, not_before, 32503680000,
                        reserved_at, 'begun' FROM certificate WHERE name = 'client-issuing-2'";
    assert_eq!(inventory.execute(begun, []).unwrap(), 1);
    drop(inventory);
    assert_eq!(
        ceremony(&here, "longer", &["--renew", "client-issuing-2"]),
        "  1. renew client-issuing-2: renewed\n"
    );
    let again = |folder: &str| here.run(&["authority", "add", "--from-batch", folder]).done();
    let after = here.read(renewed);
    assert_ne!(after, before);
    // As if it had been killed before the file was written.
    here.write(renewed, &before);
    assert_eq!(again("longer-answer"), "  1. renew client-issuing-2: already\n");
    assert_eq!(here.read(renewed), after);
    if let Some(server) = server {
        server.eventually(page, |answer| answer.body == after.as_bytes());
    }
    phone(2, "200").done();
    let root = "provision-ca/trust/client-root.pem";
    for mac in ["000e08000001", "000e08000002"] {
        let phone = format!("provision-ca/devices/{mac}/cert.pem");
        here.openssl(&["verify", "-x509_strict", "-CAfile", root, "-untrusted", renewed, &phone]).done();
    }
    let until = |store: &str| {
        let said =
            here.run(&["--store", store, "list", "kind=authority", "name=client-issuing-2", "--json"]).done();
        let value: serde_json::Value = serde_json::from_str(&said).unwrap();
        let mut ends: Vec<String> = value["certificates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["not_after"].as_str().unwrap().to_owned())
            .collect();
        ends.sort();
        ends
    };
    assert_eq!(until("provision-ca").len(), 2, "both are known, so that both can be revoked");
    assert_eq!(until("provision-ca"), until("offline"));
    for store in ["provision-ca", "offline"] {
        here.run(&["--store", store, "store", "check"]).done();
        here.run(&["--store", store, "audit", "verify"]).done();
    }
    let everything = here.run(&["list", "--json"]).done();
    here.run(&["store", "rebuild"]).done();
    assert_eq!(here.run(&["list", "--json"]).done(), everything, "I8");

    // It lasts as long as its root now: there is nothing more to ask for, and the root signs nothing for nothing.
    for more in [&[][..], &["--days", "300"]] {
        let request = ["root", "request", "more", "--root", "client-root", "--renew", "client-issuing-2"];
        let told = here.run(&[&request[..], more].concat()).refused();
        assert!(
            told.contains("has a certificate until ") && told.contains("hint: ask for more days"),
            "{told}"
        );
        assert!(!here.path("more").exists());
    }
    copy(&here.path("longer"), &here.path("less"));
    let path = "less/manifest.json";
    here.write(path, here.read(path).replace("\"days\": null", "\"days\": 300"));
    here.openssl(&[
        "dgst",
        "-sha256",
        "-sign",
        "provision-ca/batch-key.pem",
        "-out",
        "less/manifest.sig",
        path,
    ])
    .done();
    let said = here.run(&["--store", "offline", "root", "sign-batch", "less", "less-answer"]);
    assert!(said.stdout.contains("refused: client-issuing-2 has a certificate until"), "{}", said.stdout);
    said.refused();
    assert_eq!(until("offline").len(), 2);
}

/// Each of the three commands of the ceremony is killed some times (`KILLS`), and then run to its end.
fn i1_g2_killed_at_any_moment_and_run_again_a_batch_is_whole_and_everything_is_signed_once(on: On) {
    let kills: u32 = std::env::var("KILLS").map_or(12, |kills| kills.parse().unwrap());
    let here = hosts_in_the_clear(on);
    ceremony(&here, "short", &["--issuing", "--key", "p256", "--days", "100"]);
    let request = ["root", "request", "to-root", "--root", "client-root", "--issuing", "--key", "p256"];
    let request = [&request[..], &["--renew", "client-issuing-2", "--crl"]].concat();
    let sign = ["--store", "offline", "root", "sign-batch", "to-root", "from-root"];
    let take = ["authority", "add", "--from-batch", "from-root"];
    let mut state = 0x9e37_79b9_u32;
    let mut kill = |arguments: &[&str], most| {
        for _ in 0..kills {
            run_and_kill(&here, arguments, moment(&mut state, Duration::from_millis(most)));
        }
    };

    // A request that was finished is not written over, so that it may be finished before it is run for the last time.
    kill(&request, 60);
    if !here.path("to-root/manifest.sig").exists() || here.path("to-root/.unfinished").exists() {
        here.run(&request).done();
    }
    let names = ["1-client-issuing-3.csr", "2-client-issuing-2.csr", "manifest.json", "manifest.sig"];
    assert_eq!(here.files("to-root"), names.map(|name| format!("to-root/{name}")));
    let waiting = here.files("provision-ca/requests/root");
    let mut waiting: Vec<&str> = waiting.iter().map(|file| file.rsplit_once('/').unwrap().1).collect();
    // Killed with the very last step before it, the mark is there still; the next request sees that it is over.
    waiting.retain(|name| *name != "begun");
    assert_eq!(waiting, ["key.pem", "request.csr"], "one key");
    let next = ["root", "request", "next", "--root", "client-root", "--issuing", "--key", "p256"];
    assert!(here.run(&next).done().contains("issue client-issuing-4"));

    // A folder that says so itself is told from one that was badly copied.
    copy(&here.path("to-root"), &here.path("half"));
    std::fs::remove_file(here.path("half/manifest.sig")).unwrap();
    let sign_half = ["--store", "offline", "root", "sign-batch", "half", "half-out"];
    assert!(here.run(&sign_half).refused().contains("cannot read half/manifest.sig"));
    here.write("half/.unfinished", "");
    let told = here.run(&sign_half).refused();
    assert!(
        told.contains("half is not finished") && told.contains("run the same command once more"),
        "{told}"
    );
    kill(&sign, 90);
    let said = here.run(&sign).done();
    assert_eq!(said.matches("signed").count(), 3, "{said}");
    let names = [
        "1-client-issuing-3.pem",
        "2-client-issuing-2.pem",
        "3-client-root.crl",
        "manifest.json",
        "manifest.sig",
    ];
    assert_eq!(here.files("from-root"), names.map(|name| format!("from-root/{name}")));
    let valid = here.run(&["--store", "offline", "list", "kind=authority", "status=valid"]).done();
    assert_eq!(
        valid.matches(" client-issuing").count(),
        4,
        "the two before, and each that was asked for once: {valid}"
    );
    let first = here.read("from-root/3-client-root.crl");
    here.run(&["--store", "offline", "store", "check"]).done();
    here.run(&["--store", "offline", "audit", "verify"]).done();

    kill(&take, 60);
    let said = here.run(&take).done();
    assert_eq!(said.lines().count(), 3, "{said}");
    let waiting = here.files("provision-ca/requests/root");
    assert_eq!(
        waiting.len(),
        2,
        "one copy of the key is enough, and that of the other request waits: {waiting:?}"
    );
    assert_eq!(here.read("provision-ca/trust/crls/client-root.crl"), first);
    assert_eq!(here.run(&["authority", "list"]).done().matches("client-issuing").count(), 3);
    here.run(&["store", "check"]).done();
    here.run(&["audit", "verify"]).done();
    here.run(&["authority", "use", "client-issuing-3"]).done();
    here.run(&["device", "generic", "--key", "p256"]).done();
    // The next list has a higher number than any that was begun.
    let number = |text: &str| {
        certs::RevocationList::parse(text.as_bytes()).unwrap().number().unwrap().as_bytes().to_vec()
    };
    here.run(&["root", "request", "again", "--root", "client-root", "--crl"]).done();
    here.run(&["--store", "offline", "root", "sign-batch", "again", "again-out"]).done();
    assert!(number(&here.read("again-out/1-client-root.crl")) > number(&first));
}
