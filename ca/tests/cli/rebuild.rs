//! The inventory made anew from the certificates' files and the audit log (CA I8).

use std::os::unix::fs::PermissionsExt;

use crate::bulk::list;
use crate::stores::{On, on_both_stores, postgresql_is_here};
use crate::support::{Workplace, openssl_is_here};

on_both_stores! {
    i8_a_lost_inventory_is_made_anew_from_files_and_log,
    i8_shards_and_added_authorities_are_as_they_were,
    i8_a_damaged_inventory_moves_aside_and_files_may_be_gone,
    i8_a_log_that_is_short_or_changed_is_told_from_a_whole_one,
    b7_i8_a_key_belongs_to_its_owner_also_when_the_certificates_file_is_gone,
}

/// A store with some history: nine devices, a server, and every kind of end.
fn store(on: On) -> Workplace {
    let here = Workplace::on(on, &[]);
    here.write("devices.csv", list(9));
    here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    here.run(&["server", "issue", "prov.example.com", "--key", "p256"]).done();
    here.run(&["revoke", "000e08000000"]).done();
    here.run(&["renew", "000e08000001"]).done();
    here.run(&["revoke", "000e08000005", "--reason", "certificateHold"]).done();
    here.run(&["revoke", "000e08000006", "--reason", "certificateHold"]).done();
    here.run(&["unhold", "000e08000006"]).done();
    here.run(&["crl", "publish"]).done();
    here
}

/// Everything that is said of the inventory, without changing it.
fn everything(here: &Workplace) -> Vec<String> {
    let commands: [&[&str]; 4] = [
        &["list", "--json"],
        &["authority", "list", "--json"],
        &["publication", "show", "--json"],
        &["crl", "show", "--json"],
    ];
    commands.iter().map(|arguments| here.run(arguments).done()).collect()
}

/// The number and the serial numbers of a list that lies where others read it.
fn published(here: &Workplace, store: &str, name: &str) -> (Vec<u8>, Vec<String>) {
    let text = here.read(&format!("{store}/trust/crls/{name}.crl"));
    let der = pem::parse(text).unwrap().into_contents();
    let number = certs::RevocationList::parse(&der).unwrap().number().unwrap().as_bytes().to_vec();
    let (_, list) = x509_parser::parse_x509_crl(&der).unwrap();
    let mut entries: Vec<String> =
        list.iter_revoked_certificates().map(|entry| entry.raw_serial_as_string()).collect();
    entries.sort();
    (number, entries)
}

fn i8_a_lost_inventory_is_made_anew_from_files_and_log(on: On) {
    let here = store(on);
    let before = everything(&here);
    let (number, entries) = published(&here, "provision-ca", "client-root");
    here.lose();
    let said = here.run(&["store", "rebuild"]).done();
    assert!(said.contains("revoked      3"), "{said}");
    assert_eq!(everything(&here), before);
    here.run(&["store", "check"]).done();
    here.run(&["audit", "verify"]).done();
    here.run(&["crl", "publish"]).done();
    let (next, same) = published(&here, "provision-ca", "client-root");
    assert!(next > number, "numbers go on rising (G2)");
    assert_eq!(same, entries);
    // It goes on as if nothing had been.
    here.run(&["renew", "000e08000007"]).done();
    here.run(&["revoke", "000e08000008", "--reason", "keyCompromise"]).done();
    let refused = here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).refused();
    assert!(refused.contains("3 lines of devices.csv"), "what is revoked is not there already: {refused}");
    here.run(&["store", "check"]).done();
}

fn i8_shards_and_added_authorities_are_as_they_were(on: On) {
    let here = store(on);
    let set = ["publication", "set", "http://pki.example.com", "--authority", "client-root"];
    here.run(&[&set[..], &["--shards", "3"]].concat()).done();
    here.write("more.csv", list(20).replace("000e08", "000e09").replace("FCH", "FCI"));
    here.run(&["device", "issue", "--csv", "more.csv", "--key", "p256"]).done();
    // Fewer shards, another address, and an authority that signs in the place of the first.
    here.run(&[&set[..], &["--shards", "2", "--ocsp"]].concat()).done();
    here.run(&[
        "publication",
        "set",
        "http://other.example.com",
        "--authority",
        "client-root",
        "--shards",
        "2",
    ])
    .done();
    here.run(&["authority", "add", "--side", "client", "--key", "p256"]).done();
    here.run(&["authority", "use", "client-root-2"]).done();
    here.run(&[
        "publication",
        "set",
        "http://pki.example.com",
        "--authority",
        "client-root-2",
        "--shards",
        "2",
    ])
    .done();
    here.write("last.csv", list(6).replace("000e08", "000e0a").replace("FCH", "FCJ"));
    here.run(&["device", "issue", "--csv", "last.csv", "--key", "p256"]).done();
    here.run(&["ocsp", "issue", "--authority", "client-root-2"]).done();
    here.run(&["revoke", "mac=000e09*", "--reason", "keyCompromise"]).done();
    here.run(&["revoke", "mac=000e0a*", "--reason", "superseded"]).done();
    here.run(&["crl", "publish"]).done();
    let lists = |here: &Workplace| -> Vec<(String, Vec<u8>, Vec<String>)> {
        let files = here.files("provision-ca/trust/crls");
        files
            .iter()
            .map(|file| file.rsplit('/').next().unwrap().trim_end_matches(".crl").to_owned())
            .map(|name| {
                let (number, entries) = published(here, "provision-ca", &name);
                (name, number, entries)
            })
            .collect()
    };
    let (before, lists_before) = (everything(&here), lists(&here));
    assert!(lists_before.len() >= 9, "{lists_before:?}");
    // The files of some went to the phones and are gone; the log knows what shard they are on.
    for mac in ["000e09000000", "000e09000001", "000e09000002", "000e0a000000"] {
        std::fs::remove_dir_all(here.path(&format!("provision-ca/devices/{mac}"))).unwrap();
    }
    here.lose();
    let said = here.run(&["store", "rebuild"]);
    assert!(said.stderr.contains("the files of 4 certificates"), "{}", said.stderr);
    said.done();
    let after = everything(&here);
    assert_eq!(after[1..], before[1..]);
    let rows = |text: &str| -> Vec<serde_json::Value> {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let wanted = ["kind", "name", "serial", "status", "product", "device_serial", "not_after", "issuer"];
        let certificates = value["certificates"].as_array().unwrap();
        certificates.iter().map(|one| wanted.iter().map(|key| one[*key].clone()).collect()).collect()
    };
    assert_eq!(rows(&after[0]), rows(&before[0]), "also of those whose files are gone");
    here.run(&["audit", "verify"]).done();
    here.run(&["store", "check"]).done();
    here.run(&["crl", "publish"]).done();
    for ((name, before, entries), (same, after, entries_after)) in lists_before.iter().zip(&lists(&here)) {
        assert_eq!(name, same);
        assert!(after > before, "{name}: numbers go on rising (G2)");
        assert_eq!(entries_after, entries, "{name}: each is on the list it was on (G1)");
    }
    // The second authority signs on, on its shards; and the key of a phone whose file is gone is still known (B7).
    here.run(&["device", "generic", "--key", "p256"]).done();
    let text = here.read("provision-ca/devices/ciscogeneric/cert.pem");
    let generic = certs::Certificate::parse_pem(text).unwrap();
    assert!(generic.issuer().to_rfc4514().contains("Client Root CA 2"), "{}", generic.issuer().to_rfc4514());
    assert!(generic.crl_distribution_points()[0].uris().next().unwrap().contains("/crl/client-root-2."));
}

fn i8_a_damaged_inventory_moves_aside_and_files_may_be_gone(on: On) {
    let here = store(on);
    match on {
        On::Sqlite => here.write("provision-ca/ca.sqlite", "this is no database"),
        On::Postgresql => here.change("ALTER TABLE certificate DROP COLUMN serial; DROP TABLE setting"),
    }
    here.run(&["list"]).refused();
    std::fs::remove_dir_all(here.path("provision-ca/devices/000e08000008")).unwrap();
    let said = here.run(&["store", "rebuild"]);
    let aside = if on == On::Sqlite { "ca.sqlite.before-" } else { "schema before_" };
    assert!(said.stderr.contains(aside) && said.stderr.contains("the files of 1"), "{}", said.stderr);
    said.done();
    here.run(&["store", "check"]).done();
    here.run(&["revoke", "name=000e08000008", "--reason", "cessationOfOperation"]).done();
    here.run(&["crl", "publish"]).done();
    assert_eq!(published(&here, "provision-ca", "client-root").1.len(), 4);
    if on == On::Sqlite {
        let mode = here.path("provision-ca/ca.sqlite").metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
    let left = here.files("provision-ca").into_iter().filter(|file| file.contains("rebuilding"));
    assert_eq!(left.count(), 0);
}

fn i8_a_log_that_is_short_or_changed_is_told_from_a_whole_one(on: On) {
    let here = store(on);
    let before = everything(&here);
    let log = here.read("provision-ca/audit.log");
    // The inventory still knows what the file does not.
    let cut: Vec<&str> = log.lines().take_while(|line| !line.contains("\"entry\":9,")).collect();
    here.write("provision-ca/audit.log", cut.join("\n") + "\n");
    let said = here.run(&["store", "rebuild"]);
    assert!(said.stderr.contains("entries of the log were not in audit.log"), "{}", said.stderr);
    said.done();
    assert_eq!(everything(&here), before);
    here.run(&["store", "check"]).done();
    // A log that was changed is not believed, and nothing is touched.
    let log = here.read("provision-ca/audit.log");
    here.write("provision-ca/audit.log", log.replacen("000e08000003", "000e08000004", 1));
    let refused = here.run(&["store", "rebuild"]).refused();
    assert!(refused.contains("was changed"), "{refused}");
    here.write("provision-ca/audit.log", log.replacen("{\"entry\":4,", "rubbish", 1));
    let refused = here.run(&["store", "rebuild"]).refused();
    assert!(refused.contains("is no JSON"), "{refused}");
    std::fs::remove_file(here.path("provision-ca/audit.log")).unwrap();
    let refused = here.run(&["store", "rebuild"]).refused();
    assert!(refused.contains("audit.log is missing"), "{refused}");
    assert_eq!(everything(&here), before);
    // Half of a line that a killed process left is nothing but that.
    here.write("provision-ca/audit.log", log.trim_end().strip_suffix("\"}").unwrap());
    here.run(&["store", "rebuild"]).done();
    assert_eq!(everything(&here), before);
}

/// A phone's own certificate, and one of another authority that was imported: both known by the log alone.
fn b7_i8_a_key_belongs_to_its_owner_also_when_the_certificates_file_is_gone(on: On) {
    if !openssl_is_here("b7_i8_a_key_belongs_to_its_owner_also_when_the_certificates_file_is_gone") {
        return;
    }
    let here = Workplace::on(on, &[]);
    let openssl = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        here.openssl(&arguments).done();
    };
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {new} -keyout root.key -out root.pem -subj /CN=Old -days 100"));
    for name in ["own", "imported", "other"] {
        let subject = "/OU=CP-8841-3PCC/L=FCH2/SN=000e08000002";
        openssl(&format!("req -new {new} -keyout {name}.key -out {name}.csr -subj {subject}"));
    }
    openssl(
        "x509 -req -in imported.csr -CA root.pem -CAkey root.key -out imported.pem -days 50 -set_serial 7",
    );
    let issue = |number: u32, request: &str, more: &[&str]| {
        let (serial, mac) = (format!("FCH{number}"), format!("000e0800000{number}"));
        let phone = ["device", "issue", "--model", "CP-8841-3PCC", "--csr", request];
        here.run(&[&phone[..], &["--serial", &serial, "--mac", &mac], more].concat())
    };
    issue(1, "own.csr", &[]).done();
    here.run(&["import", "root.pem", "--side", "client"]).done();
    here.run(&["import", "imported.pem"]).done();
    let refused = |request: &str| {
        let told = issue(3, request, &[]).refused();
        assert!(told.contains("the public key is that of device 000e0800000"), "{request}: {told}");
    };
    refused("own.csr");
    refused("imported.csr");
    std::fs::remove_dir_all(here.path("provision-ca/devices/000e08000001")).unwrap();
    std::fs::remove_dir_all(here.path("provision-ca/imported")).unwrap();
    here.lose();
    let said = here.run(&["store", "rebuild"]);
    assert!(said.stderr.contains("the files of 2 certificates"), "{}", said.stderr);
    refused("own.csr");
    refused("imported.csr");
    // Nor does a key come back that was compromised, to nobody.
    here.run(&["revoke", "000e08000001", "--reason", "keyCompromise"]).done();
    let told = issue(1, "own.csr", &["--force"]).refused();
    assert!(told.contains("revoked for keyCompromise"), "{told}");
    issue(3, "other.csr", &[]).done();
}

/// As if `store rebuild` had been killed after it moved the old inventory aside.
#[test]
fn i8_a_rebuild_that_was_killed_between_its_two_steps_loses_nothing() {
    let here = store(On::Sqlite);
    let before = everything(&here);
    let log = here.read("provision-ca/audit.log");
    let cut: Vec<&str> = log.lines().take_while(|line| !line.contains("\"entry\":9,")).collect();
    here.write("provision-ca/audit.log", cut.join("\n") + "\n");
    here.write("provision-ca/ca.sqlite.before-17", "an older one");
    for end in ["", "-wal", "-shm"] {
        let from = here.path(&format!("provision-ca/ca.sqlite{end}"));
        if from.exists() {
            std::fs::rename(from, here.path(&format!("provision-ca/ca.sqlite.before-1700000000{end}")))
                .unwrap();
        }
    }
    here.write("provision-ca/ca.sqlite.rebuilding", "half");
    here.run(&["store", "rebuild"]).done();
    assert_eq!(
        everything(&here),
        before,
        "what audit.log did not have yet is in the inventory that was set aside"
    );
    here.run(&["store", "check"]).done();
    here.run(&["audit", "verify"]).done();
}

#[test]
fn i8_hosts_that_share_an_inventory_have_it_made_anew_from_the_files_of_all() {
    if !postgresql_is_here("i8_hosts_that_share_an_inventory_have_it_made_anew_from_the_files_of_all") {
        return;
    }
    let here = store(On::Postgresql);
    std::fs::create_dir(here.path("other")).unwrap();
    for part in ["authorities", "trust", "database.url"] {
        crate::database::copy(
            &here.path(&format!("provision-ca/{part}")),
            &here.path(&format!("other/{part}")),
        );
    }
    here.write("more.csv", list(4).replace("000e08", "000e09").replace("FCH", "FCI"));
    here.run(&["--store", "other", "device", "issue", "--csv", "more.csv", "--key", "p256"]).done();
    let before = everything(&here);
    here.lose();
    // This host does not know what the other did last; the other knows all.
    here.run(&["--store", "other", "store", "rebuild", "--files", "provision-ca"]).done();
    assert_eq!(everything(&here), before);
    for store in ["provision-ca", "other"] {
        here.run(&["--store", store, "audit", "verify"]).done();
        here.run(&["--store", store, "store", "check"]).done();
        here.run(&["--store", store, "revoke", "status=valid", "kind=device"]).code.unwrap();
        here.run(&["--store", store, "crl", "publish"]).done();
    }
    // On a host that lags behind, the log that comes with its inventory shows what is missing.
    let log = here.read("provision-ca/audit.log");
    here.lose();
    here.write("other/audit.log", log.lines().take(12).collect::<Vec<_>>().join("\n") + "\n");
    here.run(&["--store", "other", "store", "rebuild", "--files", "provision-ca"]).done();
    let told = here.run(&["audit", "verify"]).refused();
    assert!(told.contains("audit.log"), "{told}");
}
