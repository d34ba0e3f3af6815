//! The places where records go: each has every record, whole, and none of them holds a phone up unless it is told to.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use harness::{
    client::Outcome,
    expect::{Peer, all_present, eventually},
    gateway::{AUDIT, Gateway, MAC, PROFILE, Scene, phone_template},
    pki::{Authority, Template},
    postgres::Postgres,
    rsyslog::Rsyslog,
};
use policies::Reason;
use serde_json::Value;

use crate::verdict::{admitted, refused};

fn sinks(tables: &[String]) -> String {
    let tables: Vec<String> = tables.iter().map(|table| format!("\n[[audit.sink]]\n{table}\n")).collect();
    format!("gateway = \"gw-1\"\n{AUDIT}\n{}", tables.concat())
}

/// A phone is served, and one with a foreign certificate refused.
fn one_of_each(scene: &Scene, gateway: &Gateway) {
    admitted(gateway, &scene.client(gateway, &scene.phone()));
    let foreign = Authority::root("Foreign Root").issue(&phone_template());
    refused(gateway, &scene.client(gateway, &foreign), Reason::UnknownIssuer);
}

fn lines(gateway: &Gateway) -> Vec<String> {
    String::from_utf8(gateway.audit.bytes()).unwrap().lines().map(str::to_owned).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn rsyslog_gets_every_record_over_udp_tcp_and_the_local_socket() {
    if !all_present("rsyslog", &[Peer::Rsyslog]) {
        return;
    }
    let mut scene = Scene::new();
    let servers = ["udp", "tcp", "unix", "unix-5424"].map(|name| Rsyslog::start(&scene.folder, name));
    let [udp, tcp, ..] = &servers;
    let at = scene.folder.path().display();
    scene.config.audit = sinks(&[
        format!("kind = \"syslog\"\nto = \"udp:127.0.0.1:{}\"\nmax-message = \"65000B\"", udp.udp_port()),
        format!("kind = \"syslog\"\nto = \"tcp:127.0.0.1:{}\"\nfacility = \"authpriv\"", tcp.tcp_port()),
        format!("kind = \"syslog\"\nto = \"unix:{at}/unix/log\""),
        format!(
            "kind = \"syslog\"\nto = \"unix:{at}/unix-5424/log-5424\"\nheader = \"rfc5424\"\nformat = \"structured\""
        ),
    ]);
    let mut gateway = scene.start();
    one_of_each(&scene, &gateway);
    gateway.stop();
    let expected = lines(&gateway);
    for (server, way) in servers.into_iter().zip(["udp", "tcp", "unix", "unix-5424"]) {
        let mut server = server;
        let received = server.wait_for(expected.len());
        assert_eq!(received.len(), expected.len(), "{way}");
        let mut severities: Vec<_> = received.iter().map(|message| message.severity.as_str()).collect();
        severities.sort_unstable();
        severities.dedup();
        assert_eq!(severities, ["info", "notice"], "{way}");
        for (message, line) in received.iter().zip(&expected) {
            let record = json(line);
            assert_eq!(message.app_name, "provision-gateway", "{way}");
            assert_eq!(message.facility, if way == "tcp" { "authpriv" } else { "local0" });
            if way != "unix" {
                assert_eq!(
                    (message.host_name.as_str(), message.message_id.as_str()),
                    ("gw-1", record["event"].as_str().unwrap())
                );
                assert_eq!(message.time, record["time"].as_str().unwrap(), "{way}");
            }
            if way == "unix-5424" {
                assert!(message.structured_data.contains(&format!("mac=\"{MAC}\"")), "{message:?}");
            } else {
                assert_eq!(message.message.trim_start(), line, "{way}");
            }
        }
    }
}

#[test]
fn rsyslog_gets_every_record_over_tls_and_an_impostor_gets_none() {
    if !all_present("rsyslog with TLS", &[Peer::Rsyslog]) {
        return;
    }
    let mut scene = Scene::new();
    let authority = Authority::root("Log Root");
    let server = authority.issue(&Template::server(&["logs.example.com"]));
    let mut sound = Rsyslog::start_tls(&scene.folder, "sound", &server, &scene.client_authority.pem());
    let foreign = Authority::root("Impostor").issue(&Template::server(&["logs.example.com"]));
    let impostor = Rsyslog::start_tls(&scene.folder, "impostor", &foreign, &scene.client_authority.pem());
    scene.folder.write("log-ca.pem", authority.pem());
    scene.phone().write(&scene.folder, "gateway-client");
    let to = |port: u16| {
        format!(
            "kind = \"syslog\"\nto = \"tls:127.0.0.1:{port}\"\nserver-name = \"logs.example.com\"\nca = \"log-ca.pem\"\n\
             certificate = \"gateway-client-chain.pem\"\nprivate-key = \"gateway-client-key.pem\""
        )
    };
    scene.config.audit = sinks(&[to(sound.tcp_port()), to(impostor.tcp_port())]);
    let mut gateway = scene.start();
    one_of_each(&scene, &gateway);
    gateway.process.wait_for_log("audit records cannot be written and are kept back");
    assert!(gateway.process.log().iter().any(|line| line.contains("UnknownIssuer")), "it says why");
    gateway.stop();
    let expected = lines(&gateway);
    let received = sound.wait_for(expected.len());
    let received: Vec<_> = received.iter().map(|message| message.message.trim_start().to_owned()).collect();
    assert_eq!(received, expected);
    assert_eq!(impostor.received(), []);
}

#[test]
fn records_are_in_sqlite_and_postgresql_as_in_the_file() {
    if !all_present("PostgreSQL", &[Peer::Postgres]) {
        return;
    }
    let mut scene = Scene::new();
    let postgres = Postgres::start();
    scene.config.audit = sinks(&[
        "kind = \"database\"\nurl = \"sqlite:audit.db\"\nkeep = \"90d\"".to_owned(),
        format!("kind = \"database\"\nurl = \"{}\"", postgres.url()),
    ]);
    let mut gateway = scene.start();
    one_of_each(&scene, &gateway);
    gateway.stop();
    let expected = lines(&gateway);
    let sqlite = rusqlite::Connection::open(scene.folder.join("audit.db")).unwrap();
    let mut statement = sqlite.prepare("SELECT line FROM audit_line ORDER BY id").unwrap();
    let kept: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(kept, expected);
    assert_eq!(postgres.ask("SELECT line FROM audit_line ORDER BY id"), expected);
    let columns =
        "SELECT gateway, mac, mac_source, outcome FROM audit_record WHERE event <> 'closed' ORDER BY id";
    assert_eq!(
        postgres.ask(columns),
        [format!("gw-1|{MAC}|device|served"), format!("gw-1|{MAC}|certificate|refused")]
    );
}

#[test]
fn while_the_database_is_down_phones_are_served_and_what_waited_is_written_later() {
    if !all_present("PostgreSQL", &[Peer::Postgres]) {
        return;
    }
    let mut scene = Scene::new();
    let postgres = Postgres::start();
    postgres.stop();
    scene.config.audit = sinks(&[format!("kind = \"database\"\nurl = \"{}\"", postgres.url())]);
    let mut gateway = scene.start();
    for _ in 0..3 {
        one_of_each(&scene, &gateway);
    }
    postgres.start_again();
    gateway.process.wait_for_log("audit records are written again");
    postgres.stop();
    one_of_each(&scene, &gateway);
    postgres.start_again();
    gateway.stop();
    assert_eq!(postgres.ask("SELECT line FROM audit_line ORDER BY id"), lines(&gateway));
}

#[test]
fn standard_output_has_records_and_nothing_else() {
    let mut scene = Scene::new();
    scene.config.audit = sinks(&["kind = \"stdout\"".to_owned()]);
    let mut gateway = scene.start();
    one_of_each(&scene, &gateway);
    gateway.stop();
    assert_eq!(gateway.process.output(), lines(&gateway));
}

#[test]
fn a_file_is_rotated_and_compressed_while_it_is_written() {
    let mut scene = Scene::new();
    let file = "kind = \"file\"\nfile = \"rotated.jsonl\"\nrotate-size = \"64KiB\"\nkeep-files = 100";
    scene.config.audit = sinks(&[file.to_owned()]);
    let mut gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut connection = client.connect().unwrap();
    for _ in 0..150 {
        assert_eq!(connection.send(&client.get_request(PROFILE, &[])).status(), 200);
    }
    drop(connection);
    gateway.stop();
    // What was not compressed before the end is after the next start.
    let expected = lines(&gateway);
    let _gateway = scene.start();
    let old = eventually("the old files compressed", || {
        let entries = fs::read_dir(scene.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_old =
            |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("rotated.jsonl.");
        let old: Vec<_> = entries.filter(is_old).collect();
        (old.len() >= 2 && old.iter().all(|path| path.extension().unwrap() == "gz")).then_some(old)
    });
    let mut text = String::new();
    for path in &old {
        GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    }
    text.push_str(&fs::read_to_string(scene.folder.join("rotated.jsonl")).unwrap());
    let (mut rotated, mut expected) = (text.lines().collect::<Vec<_>>(), expected);
    rotated.sort_unstable();
    expected.sort_unstable();
    assert_eq!(rotated, expected);
}

/// A disk that is full: phones are served, what was lost is counted, and the file says so once it takes lines again.
#[test]
fn a_full_disk_holds_no_phone_up_and_the_gap_is_recorded() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let mut scene = Scene::new();
    let disk = scene.folder.join("disk.jsonl");
    symlink("/dev/full", &disk).unwrap();
    scene.config.audit = sinks(&["kind = \"file\"\nfile = \"disk.jsonl\"\nqueue = \"64KiB\"".to_owned()]);
    let mut gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut connection = client.connect().unwrap();
    for _ in 0..200 {
        assert_eq!(connection.send(&client.get_request(PROFILE, &[])).status(), 200);
    }
    drop(connection);
    fs::remove_file(&disk).unwrap();
    gateway.reload();
    gateway.process.wait_for_log("audit records are written again");
    gateway.stop();
    let expected = lines(&gateway);
    let kept = fs::read_to_string(&disk).unwrap();
    let (gaps, records): (Vec<_>, Vec<_>) =
        kept.lines().map(json).partition(|record| record["event"] == "gap");
    let lost: u64 = gaps.iter().map(|gap| gap["count"].as_u64().unwrap()).sum();
    assert!(lost > 0, "{} kept", records.len());
    assert_eq!(
        records.len() + usize::try_from(lost).unwrap(),
        expected.len(),
        "each is in the file or counted"
    );
}

#[test]
fn where_a_sink_refuses_nothing_is_served_that_it_cannot_keep() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let mut scene = Scene::new();
    let disk = scene.folder.join("disk.jsonl");
    symlink("/dev/full", &disk).unwrap();
    let sink = "kind = \"file\"\nfile = \"disk.jsonl\"\nqueue = \"64KiB\"\nwhen-full = \"refuse\"";
    scene.config.audit = sinks(&[sink.to_owned()]);
    let mut gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut connection = client.connect().unwrap();
    let mut served = 0;
    let refusal = loop {
        let answer = connection.send(&client.get_request(PROFILE, &[])).answer();
        match answer.status {
            200 => served += 1,
            _ => break answer,
        }
        assert!(served < 200, "the queue holds 64 KiB");
    };
    assert_eq!(refusal.status, 503);
    assert_eq!(refusal.field("connection"), Some("close"));
    let record = gateway.audit.next_where("the refusal", |record| record.number("status") == Some(503));
    assert_eq!((record.text("reason"), record.text("decision")), (Reason::AuditFull.as_str(), "deny"));
    // A new connection is closed, with a record of its own in the sink that has room.
    assert!(!matches!(client.get(PROFILE), Outcome::Answer(_)));
    let record = gateway.audit.next_where("the connection", |record| record.text("event") == "connection");
    assert_eq!(record.text("reason"), Reason::AuditFull.as_str());
    // Room again: served again, and every record of what was served is there.
    fs::remove_file(&disk).unwrap();
    gateway.reload();
    gateway.process.wait_for_log("audit records are written again");
    let again =
        || matches!(client.get(PROFILE), Outcome::Answer(answer) if answer.status == 200).then_some(());
    eventually("the first phone served again", again);
    gateway.stop();
    let kept = fs::read_to_string(&disk).unwrap();
    let statuses = kept.lines().map(json).filter(|record| record["status"] == 200).count();
    assert_eq!(statuses, served + 1);
    assert!(!kept.contains("\"event\":\"gap\""));
    answered_by_all(&gateway, &kept);
}

/// Both sinks have the same requests.
fn answered_by_all(gateway: &Gateway, kept: &str) {
    let requests = |lines: &mut dyn Iterator<Item = String>| -> Vec<String> {
        lines.filter(|line| line.contains("\"event\":\"request\"")).collect()
    };
    assert_eq!(requests(&mut kept.lines().map(str::to_owned)), requests(&mut lines(gateway).into_iter()));
}
