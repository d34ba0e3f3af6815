//! The audit log, the check of the store, and the backup.

use std::os::unix::fs::PermissionsExt;

use crate::bulk::list;
use crate::stores::{On, on_both_stores};
use crate::support::Workplace;

on_both_stores! {
    i4_a_whole_log_is_said_to_be_whole,
    i4_every_kind_of_change_is_found,
    i4_a_log_written_anew_from_its_first_entry_is_told_by_the_copy_that_was_kept,
    a_half_written_line_of_the_log_is_written_anew,
    i8_a_check_finds_what_does_not_agree,
    a_backup_is_a_store_of_its_own,
}

/// A store with some history: nine devices, one of them revoked and one renewed, and lists.
fn store(on: On) -> Workplace {
    let here = Workplace::on(on, &[]);
    here.write("devices.csv", list(9));
    here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    here.run(&["revoke", "000e08000000"]).done();
    here.run(&["renew", "000e08000001"]).done();
    here.run(&["crl", "publish"]).done();
    here
}

fn complaint(here: &Workplace) -> String {
    here.run(&["audit", "verify"]).refused()
}

fn i4_a_whole_log_is_said_to_be_whole(on: On) {
    let here = store(on);
    let said = here.run(&["audit", "verify", "--json"]).done();
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value["unsigned"], 0, "{said}");
    assert!(value["signatures"].as_i64().unwrap() >= 3, "{said}");
    assert_eq!(value["complaints"].as_array().unwrap().len(), 0, "{said}");
    here.run(&["revoke", "000e08000002"]).done();
    let said = here.run(&["audit", "verify"]);
    assert!(said.stdout.contains("unsigned   1") && said.stderr.contains("audit sign"), "{}", said.stdout);
    here.run(&["audit", "sign"]).done();
    assert!(here.run(&["audit", "verify"]).done().contains("unsigned   0"));
    let log = here.read("provision-ca/audit.log");
    let entries = log.lines().filter(|line| line.starts_with("{\"entry\"")).count();
    let rows = here.number("SELECT count(*) FROM audit");
    assert_eq!(i64::try_from(entries).unwrap(), rows, "the file has what the database has");
}

fn i4_every_kind_of_change_is_found(on: On) {
    let here = store(on);
    let entries = here.number("SELECT max(sequence) FROM audit");
    here.save();
    // The judgement is the same on both; on a server a third of it shows that the rows come to it as they are.
    let every = if on == On::Sqlite { 1 } else { 3 };
    let changes = [
        ("UPDATE audit SET detail = replace(detail, 'unspecified', 'superseded') WHERE event = 'revoke'".to_owned(), "was changed"),
        ("UPDATE audit SET at = at - 1000 WHERE sequence = 3".to_owned(), "entry 3 (issue of"),
        ("DELETE FROM audit WHERE sequence = 5".to_owned(), "entry 5 is missing"),
        ("DELETE FROM audit WHERE sequence BETWEEN 4 AND 6".to_owned(), "entries 4 to 6 are missing"),
        (format!("DELETE FROM audit WHERE sequence > {}", entries - 2), "the log ends with entry"),
        (
            "UPDATE audit SET sequence = -1 WHERE sequence = 4; UPDATE audit SET sequence = 4 WHERE sequence = 5;
             UPDATE audit SET sequence = 5 WHERE sequence = -1"
                .to_owned(),
            "does not follow the one before",
        ),
        (
            format!("INSERT INTO audit SELECT {}, at, event, detail, previous, hash FROM audit WHERE sequence = 4", entries + 1),
            "does not follow the one before",
        ),
        ("UPDATE checkpoint SET signature = hash".to_owned(), "did not make it"),
        ("UPDATE checkpoint SET authority = 'nobody'".to_owned(), "there is no authority nobody"),
        ("DELETE FROM audit".to_owned(), "the log ends with entry 0"),
    ];
    for (statement, expected) in changes.into_iter().step_by(every) {
        here.change(&statement);
        let message = complaint(&here);
        assert!(message.contains(expected), "{statement}: {message}");
        here.restore();
        here.run(&["audit", "verify"]).done();
    }
    // The file alone, its hashes left as they are: `store rebuild` would not believe it, and neither is it passed over here.
    let log = here.read("provision-ca/audit.log");
    here.write("provision-ca/audit.log", log.replacen("unspecified", "superseded", 1));
    let message = complaint(&here);
    assert!(message.contains("was changed in provision-ca/audit.log"), "{message}");
    here.write("provision-ca/audit.log", log);
    here.run(&["audit", "verify"]).done();
}

fn i4_a_log_written_anew_from_its_first_entry_is_told_by_the_copy_that_was_kept(on: On) {
    let here = store(on);
    std::fs::copy(here.path("provision-ca/audit.log"), here.path("kept.log")).unwrap();
    here.run(&["audit", "verify", "--against", "kept.log"]).done();
    // Somebody removes the end of all three: entries, signatures, and the store's own file.
    here.change("DELETE FROM audit WHERE sequence > 6; DELETE FROM checkpoint WHERE sequence > 6");
    let log = here.read("provision-ca/audit.log");
    let cut: Vec<&str> = log.lines().take_while(|line| !line.contains("\"entry\":7,")).collect();
    here.write("provision-ca/audit.log", cut.join("\n") + "\n");
    here.run(&["audit", "verify"]).done();
    let message = here.run(&["audit", "verify", "--against", "kept.log"]).refused();
    assert!(message.contains("kept.log goes on to entry"), "{message}");
    let missing = here.run(&["audit", "verify", "--against", "nowhere.log"]).refused();
    assert!(missing.contains("cannot read nowhere.log"), "{missing}");
    here.write("kept.log", "rubbish\n");
    let rubbish = here.run(&["audit", "verify", "--against", "kept.log"]).refused();
    assert!(rubbish.contains("a line of kept.log"), "{rubbish}");
}

fn a_half_written_line_of_the_log_is_written_anew(on: On) {
    let here = store(on);
    let log = here.read("provision-ca/audit.log");
    here.write("provision-ca/audit.log", &log[..log.len() - 40]);
    here.run(&["revoke", "000e08000003"]).done();
    here.run(&["audit", "verify"]).done();
    assert!(here.read("provision-ca/audit.log").ends_with("}\n"));
}

fn i8_a_check_finds_what_does_not_agree(on: On) {
    let here = store(on);
    let said = here.run(&["store", "check"]).done();
    assert!(said.contains("certificates 12"), "{said}");
    let pem = here.read("provision-ca/devices/000e08000004/cert.pem");
    here.save();
    for (statement, expected) in [
        (
            "UPDATE certificate SET not_after = not_after + 1 WHERE name = '000e08000004'",
            "another dates than its row",
        ),
        ("UPDATE certificate SET certificate = serial WHERE name = '000e08000004'", "it cannot be read"),
        (
            "DELETE FROM certificate WHERE name = '000e08000004'",
            "the log tells of a certificate that the inventory does not have",
        ),
    ] {
        here.change(statement);
        let message = here.run(&["store", "check"]).refused();
        assert!(message.contains(expected), "{statement}: {message}");
        here.restore();
    }
    let other = Workplace::on(on, &[]);
    other.write("devices.csv", list(1));
    other.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    here.write(
        "provision-ca/devices/000e08000004/cert.pem",
        other.read("provision-ca/devices/000e08000000/cert.pem"),
    );
    let message = here.run(&["store", "check"]).refused();
    assert!(message.contains("000e08000004/cert.pem is not in the inventory"), "{message}");
    here.write("provision-ca/devices/000e08000004/cert.pem", pem);
    here.run(&["store", "check"]).done();
}

fn a_backup_is_a_store_of_its_own(on: On) {
    let here = store(on);
    let said = here.run(&["backup", "copy"]).done();
    assert!(said.contains("folder copy"), "{said}");
    let list = here.run(&["list"]).done();
    assert_eq!(here.run(&["--store", "copy", "list"]).done(), list);
    here.run(&["--store", "copy", "store", "check"]).done();
    let mode = |path: &str| here.path(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("copy/ca.sqlite"), 0o600);
    assert_eq!(mode("copy/authorities/client-root/key.pem"), 0o600);
    // It goes on by itself, and the first store does not notice.
    here.run(&["--store", "copy", "renew", "000e08000002"]).done();
    assert_eq!(here.run(&["list"]).done(), list);
    let again = here.run(&["backup", "copy"]).refused();
    assert!(
        again.contains("copy exists already") && again.contains("hint: name one that is not there"),
        "{again}"
    );
    assert!(!here.path("copy.unfinished").exists());
}

#[test]
fn a_plan_foretells_and_leaves_nothing() {
    let here = Workplace::new();
    let said = here
        .run(&[
            "plan",
            "--devices",
            "50000",
            "--key",
            "p256",
            "--issuer-key",
            "p256",
            "--revoked",
            "5%",
            "--shards",
            "16",
            "--json",
        ])
        .done();
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    let number = |key: &str| value[key].as_f64().unwrap();
    assert!(number("keys_per_second") > 10.0 && number("certificates_per_second") > 1.0, "{said}");
    assert!((2_500.0 - number("revoked")).abs() < 0.5, "{said}");
    // Serial number, date and reason take between 30 and 60 octets.
    let entry = number("list_octets") / 2_500.0;
    assert!((30.0..70.0).contains(&entry), "{said}");
    assert!(number("disk_octets") > 50_000.0 * 3_000.0, "{said}");
    assert_eq!(here.files("."), Vec::<String>::new());
    assert_eq!(here.run(&["plan", "--devices", "1", "--revoked", "101%"]).code, Some(2));
}
