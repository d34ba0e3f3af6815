//! One authority on two hosts: the inventory on a PostgreSQL server, a folder on each (CA A2, I7).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use certs::testing::Pki;

use crate::serve::Server;
use crate::stores::{Credentials, On, Server as PostgresServer, postgresql_is_here};
use crate::support::Workplace;

pub(crate) fn copy(from: &Path, to: &Path) {
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

/// Two hosts: `provision-ca` and `other`.
fn hosts() -> Workplace {
    let here = Workplace::on(On::Postgresql, &[]);
    std::fs::create_dir(here.path("other")).unwrap();
    for part in ["authorities", "trust", "database.url"] {
        copy(&here.path(&format!("provision-ca/{part}")), &here.path(&format!("other/{part}")));
    }
    here
}

fn list(prefix: u8, count: usize) -> String {
    let mut text = "model,serial,mac\n".to_owned();
    for number in 0..count {
        text.push_str(&format!("CP-8841-3PCC,FCH{prefix}{number:04},000e{prefix:02x}{number:06x}\n"));
    }
    text
}

#[test]
fn every_verb_does_the_same_on_postgresql() {
    if !postgresql_is_here("every_verb_does_the_same_on_postgresql") {
        return;
    }
    let here = hosts();
    assert!(!here.path("provision-ca/ca.sqlite").exists());
    let mode = here.path("provision-ca/database.url").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    here.write("devices.csv", list(8, 6));
    here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    let again =
        here.run(&["--store", "other", "device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    assert!(again.contains("issued  0\nalready 6"), "the other host knows of it: {again}");
    for (selector, count) in [
        ("model=cp-88*", 6),
        ("mac=000e08*", 6),
        ("serial=FCH80003", 1),
        ("serial=fch8*", 6),
        ("expires>10y", 8),
        ("issuer=client-root", 7),
        ("name!=000e08000001", 7),
        ("latest=yes kind=device status=valid", 6),
        ("reason!=superseded", 8),
        ("FCH80002", 1),
    ] {
        let found = here.run(&["list", selector]).done().lines().count() - 1;
        assert_eq!(found, count, "{selector}");
    }
    here.run(&["renew", "000e08000000"]).done();
    here.run(&["rekey", "000e08000001", "--key", "p256"]).done();
    here.run(&["--store", "other", "revoke", "000e08000002", "--reason", "certificateHold"]).done();
    here.run(&["revoke", "000e08000003", "--reason", "superseded"]).done();
    here.run(&["revoke", "000e08000003", "--reason", "keyCompromise"]).done();
    here.run(&["unhold", "000e08000002"]).done();
    here.run(&["crl", "publish"]).done();
    let first = here.read("provision-ca/trust/crls/client-root.crl");
    here.run(&["--store", "other", "crl", "publish"]).done();
    let number = |text: &str| {
        certs::RevocationList::parse(text.as_bytes()).unwrap().number().unwrap().as_bytes().to_vec()
    };
    let second = here.read("other/trust/crls/client-root.crl");
    assert!(number(&second) > number(&first), "numbers rise across hosts (G2)");
    assert_eq!(here.run(&["list", "status=revoked"]).done().lines().count() - 1, 3);
    here.run(&["audit", "verify"]).done();
    here.run(&["--store", "other", "audit", "verify"]).done();
    here.run(&["store", "check"]).done();
    // The copy is a store on its own, with everything in a file.
    here.run(&["backup", "copy"]).done();
    let everything = here.run(&["list", "--json"]).done();
    assert_eq!(here.run(&["--store", "copy", "list", "--json"]).done(), everything);
    here.run(&["--store", "copy", "audit", "verify"]).done();
    // Another authority does not move in.
    let taken = here
        .run(&[
            "--store",
            "third",
            "init",
            "--no-passphrase",
            "--key",
            "p256",
            "--database",
            &here.database_url(),
        ])
        .refused();
    assert!(taken.contains("another certificate authority"), "{taken}");
}

#[test]
fn a2_i7_two_hosts_at_once_never_collide() {
    if !postgresql_is_here("a2_i7_two_hosts_at_once_never_collide") {
        return;
    }
    let here = hosts();
    here.write("one.csv", list(1, 120));
    here.write("two.csv", list(2, 120));
    // The same devices on both, too: one host issues each, the other says that it is there.
    here.write("both.csv", list(3, 80));
    let issue = |store: &str, csv: &str, report: &str| {
        let mut command = here.command(&[
            "--store", store, "device", "issue", "--csv", csv, "--key", "p256", "--report", report,
        ]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running = vec![
        issue("provision-ca", "one.csv", "1"),
        issue("other", "two.csv", "2"),
        issue("provision-ca", "both.csv", "3"),
        issue("other", "both.csv", "4"),
    ];
    for store in ["provision-ca", "other", "provision-ca"] {
        here.run(&["--store", store, "crl", "publish"]).done();
    }
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(here.run(&["list", "kind=device", "status=valid"]).done().lines().count() - 1, 320);
    let issued: usize = ["3", "4"].iter().map(|report| here.read(report).matches(",issued,").count()).sum();
    assert_eq!(issued, 80, "each device once");
    let mut revoking = Vec::new();
    for (store, selector) in
        [("provision-ca", "mac=000e01*"), ("other", "mac=000e02*"), ("provision-ca", "mac=000e02*")]
    {
        let mut command = here.command(&["--store", store, "revoke", selector]);
        revoking.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }
    for mut child in revoking {
        child.wait().unwrap();
    }
    assert_eq!(here.run(&["list", "status=revoked"]).done().lines().count() - 1, 240);
    here.run(&["audit", "verify"]).done();
}

#[test]
fn a3_i7_two_hosts_that_renew_and_rekey_the_same_phones_at_once_leave_one_certificate_each() {
    if !postgresql_is_here(
        "a3_i7_two_hosts_that_renew_and_rekey_the_same_phones_at_once_leave_one_certificate_each",
    ) {
        return;
    }
    let here = hosts();
    here.write("devices.csv", list(8, 60));
    here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    // A host renews what it has the files of; both have those of the fleet, as after a restored backup.
    copy(&here.path("provision-ca/devices"), &here.path("other/devices"));
    at_once(
        &here,
        &[
            ("provision-ca", &["renew", "mac=000e08*"]),
            ("other", &["rekey", "mac=000e08*", "--key", "p256"]),
            ("other", &["renew", "mac=000e08*"]),
        ],
    );
    assert_eq!(count(&here, &["mac=000e08*", "status=valid"]), 60, "one active certificate for each");
    assert_eq!(count(&here, &["mac=000e08*", "latest=yes", "status=valid"]), 60);
    assert!(count(&here, &["mac=000e08*", "status=revoked", "reason=superseded"]) >= 60);
    here.run(&["audit", "verify"]).done();
    here.run(&["--store", "other", "audit", "verify"]).done();
}

#[test]
fn g1_g2_i7_two_hosts_that_revoke_and_publish_shards_at_once_lose_no_entry_and_no_number() {
    if !postgresql_is_here(
        "g1_g2_i7_two_hosts_that_revoke_and_publish_shards_at_once_lose_no_entry_and_no_number",
    ) {
        return;
    }
    let here = hosts();
    let set = ["publication", "set", "http://pki.example.com", "--authority", "client-root", "--shards", "3"];
    here.run(&set).done();
    here.write("devices.csv", list(8, 60));
    here.run(&["--store", "other", "device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    let publish = ["crl", "publish", "--authority", "client-root"];
    at_once(
        &here,
        &[
            ("provision-ca", &["revoke", "mac=000e08*", "--reason", "keyCompromise"]),
            ("other", &["revoke", "mac=000e08*"]),
            ("provision-ca", &publish),
            ("other", &publish),
            ("other", &["authority", "add", "--side", "client", "--key", "p256"]),
            ("provision-ca", &["authority", "add", "--side", "client", "--key", "p256"]),
        ],
    );
    let numbers = |store: &str| -> Vec<(u64, u64)> {
        let said = here.run(&[&["--store", store], &publish[..], &["--json"]].concat()).done();
        let value: serde_json::Value = serde_json::from_str(&said).unwrap();
        let lists = value["lists"].as_array().unwrap();
        lists.iter().map(|one| (one["number"].as_u64().unwrap(), one["entries"].as_u64().unwrap())).collect()
    };
    let (first, second) = (numbers("provision-ca"), numbers("other"));
    assert_eq!(first.len(), 4);
    assert!(second.iter().zip(&first).all(|(next, last)| next.0 > last.0), "{second:?} after {first:?}");
    // All on the complete list, and each on exactly one shard.
    let entries: Vec<u64> = second.iter().map(|list| list.1).collect();
    assert_eq!((entries.iter().max().copied(), entries.iter().sum()), (Some(60), 120_u64), "{entries:?}");
    // Both authorities that were added are there, each with the key on the host that made it.
    let names = here.run(&["authority", "list"]).done();
    assert!(names.contains("client-root-2") && names.contains("client-root-3"), "{names}");
    let made = |store: &str, name: &str| here.path(&format!("{store}/authorities/{name}/key.pem")).exists();
    for name in ["client-root-2", "client-root-3"] {
        assert_ne!(made("provision-ca", name), made("other", name), "{name}");
    }
    here.run(&["audit", "verify"]).done();
}

#[test]
fn g4_g7_one_host_serves_what_another_revokes() {
    if !postgresql_is_here("g4_g7_one_host_serves_what_another_revokes") {
        return;
    }
    let here = hosts();
    let set = ["publication", "set", "http://pki.example.com", "--authority", "client-root", "--shards", "2"];
    here.run(&[&set[..], &["--ocsp"]].concat()).done();
    let server = Server::start(&here, &[]);
    here.write("devices.csv", list(8, 2));
    here.run(&["--store", "other", "device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    let text = here.read("other/devices/000e08000000/cert.pem");
    let phone = certs::Certificate::parse_pem(text).unwrap();
    let point = phone.crl_distribution_points()[0].uris().next().unwrap().to_owned();
    let path = point.strip_prefix("http://pki.example.com").unwrap();
    assert_eq!(server.get(path).status, 200);
    here.run(&["--store", "other", "revoke", "000e08000000"]).done();
    let answer = server.eventually(path, |answer| {
        certs::RevocationList::parse(&answer.body).is_ok_and(|list| !list.is_empty())
    });
    let list = certs::RevocationList::parse(&answer.body).unwrap();
    assert!(list.contains(phone.serial()).is_some());
}

#[test]
fn i7_a_host_that_hangs_is_named_and_not_waited_for_for_ever() {
    if !postgresql_is_here("i7_a_host_that_hangs_is_named_and_not_waited_for_for_ever") {
        return;
    }
    let here = hosts();
    let url = here.database_url();
    // A minute is usual; PostgreSQL's own option in the address says otherwise.
    here.write("other/database.url", format!("{url}?options=-c%20lock_timeout%3D300ms\n"));
    let mut hanging = postgres::Client::connect(&url, postgres::NoTls).unwrap();
    hanging.execute("SELECT pg_advisory_lock(427858669424)", &[]).unwrap();
    let process: i32 = hanging.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let told = here.run(&["--store", "other", "crl", "publish"]).refused();
    assert!(told.contains("the inventory is in use by another host: a connection from "), "{told}");
    assert!(told.contains(&format!("process {process} of the database server")), "{told}");
    assert!(told.contains("hint: wait for the other command to end"), "{told}");
    drop(hanging);
    here.run(&["--store", "other", "crl", "publish"]).done();
}

#[test]
fn a_server_over_tls_is_known_by_its_certificate_or_not_spoken_to() {
    let test = "a_server_over_tls_is_known_by_its_certificate_or_not_spoken_to";
    if !postgresql_is_here(test) {
        return;
    }
    let (pki, foreign) = (Pki::named("Database"), Pki::named("Impostor"));
    let issued = pki.server("localhost").issue();
    let credentials = Credentials { chain: issued.chain_pem(), key: issued.key_pem() };
    let Some(mut server) = PostgresServer::start_tls(&credentials) else { return };
    let port = server.port();
    let here = Workplace::new();
    here.write("db.pem", pki.root().certificate().to_pem());
    here.write("foreign.pem", foreign.root().certificate().to_pem());
    here.write("empty.pem", "nothing");
    let root = |file: &str| here.path(file).display().to_string();
    let url = |host: &str, file: &str| {
        format!("postgres://ca@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={}", root(file))
    };
    let init = |store: &str, url: &str| {
        here.run(&["--store", store, "init", "--no-passphrase", "--key", "p256", "--database", url])
    };
    for (url, reason) in [
        (url("localhost", "foreign.pem"), "invalid peer certificate: "),
        (url("127.0.0.1", "db.pem"), "not valid for name"),
        (url("localhost", "empty.pem"), "it holds no certificate"),
        (url("localhost", "missing.pem"), "cannot read "),
    ] {
        let refused = init("refused", &url).refused();
        assert!(refused.contains(reason), "{url}: {refused}");
        assert!(!here.path("refused/authorities").exists() && !here.path("refused/database.url").exists());
    }
    let open = init("open", &format!("postgres://ca@localhost:{port}/postgres?sslmode=require"));
    assert_eq!(open.code, Some(2), "{}", open.stderr);
    assert!(open.stderr.contains("sslmode=verify-full together with sslrootcert=FILE"), "{}", open.stderr);
    init("provision-ca", &url("localhost", "db.pem")).done();
    let generic = ["device", "generic", "--key", "p256"];
    here.run(&generic).done();
    here.run(&["store", "check"]).done();
    // The same server without TLS hears no word of it.
    server.restart("ssl=off");
    let refused = here.run(&["list"]).refused();
    assert!(refused.contains("server does not support TLS"), "{refused}");
    server.restart("ssl=on");
    here.run(&["list"]).done();
    // What serves goes on when the database server was restarted (G4).
    here.run(&["publication", "set", "http://pki.example.com", "--authority", "client-root", "--ocsp"])
        .done();
    here.run(&["ocsp", "issue", "--authority", "client-root"]).done();
    let serving = Server::start(&here, &[]);
    server.restart("ssl=on");
    here.run(&["revoke", "ciscogeneric"]).done();
    serving.eventually("/crl/client-root.crl", |answer| {
        certs::RevocationList::parse(&answer.body).is_ok_and(|list| !list.is_empty())
    });
}

/// Runs commands on several hosts at the same time; each must do what it is told or say why not, and none may fail.
fn at_once(here: &Workplace, commands: &[(&str, &[&str])]) {
    let running: Vec<_> = commands
        .iter()
        .map(|(store, arguments)| {
            let arguments = [&["--store", store][..], arguments].concat();
            let mut command = here.command(&arguments);
            (arguments.join(" "), command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        })
        .collect();
    for (arguments, child) in running {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // What another host did first is no more to be done.
        let was_done = ["no certificate matches", "failed"].iter().any(|word| said.contains(word));
        assert!(output.status.success() || was_done, "{arguments}: {said}");
        assert!(!said.contains("panicked"), "{arguments}: {said}");
    }
}

fn count(here: &Workplace, selector: &[&str]) -> usize {
    here.run(&[&["list"], selector].concat()).done().lines().count() - 1
}
