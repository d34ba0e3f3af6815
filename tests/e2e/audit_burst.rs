//! Very many records at once, against the whole gateway, while its audit database is stuck for a time: none is lost where it is
//! told to refuse, and each that is lost is counted where it is told to drop.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::fs::symlink,
    path::Path,
    thread,
    time::Duration,
};

use harness::{
    client::{Client, Outcome},
    expect::eventually,
    gateway::{AUDIT, Gateway, PROFILE, Scene},
};
use policies::Reason;
use rusqlite::Connection;

/// Phones that call at once, each on one connection after the other.
const PHONES: u32 = 8;
const RECORDS: u32 = 100_000;
/// Requests on a connection.
const KEPT: u32 = 500;

/// What the phones saw: how many requests were answered, and on how many connections.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    served: u64,
    refused: u64,
    connections: u64,
}

/// Asks until so many requests were answered.
fn call(client: &Client, requests: u32) -> Seen {
    let request = client.get_request(PROFILE, &["User-Agent: Cisco/CP-8841-3PCC-11.3"]);
    let mut seen = Seen::default();
    while seen.served + seen.refused < u64::from(requests) {
        // Refused for want of room, it calls again.
        let Ok(mut connection) = client.connect() else { continue };
        for number in 0..KEPT {
            match connection.send(&request) {
                Outcome::Answer(answer) => {
                    seen.connections += u64::from(number == 0);
                    let is_served = answer.status == 200;
                    assert!(is_served || answer.status == 503, "{}", answer.status);
                    seen.served += u64::from(is_served);
                    seen.refused += u64::from(!is_served);
                    if !is_served {
                        break;
                    }
                }
                Outcome::Alert(_) | Outcome::Closed | Outcome::Broken(_) => break,
            }
        }
    }
    seen
}

fn scene(when_full: &str) -> Scene {
    let mut scene = Scene::new();
    let sink = "kind = \"database\"\nurl = \"sqlite:audit.db\"\nqueue = \"1MiB\"";
    scene.config.audit =
        format!("repeated = \"record\"\n[[audit.sink]]\n{sink}\nwhen-full = {when_full:?}\n");
    scene
}

/// The burst, with the database locked for two seconds of it; what the phones saw, and the database.
fn burst(scene: &Scene) -> (Seen, Connection) {
    let mut gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let seen = thread::scope(|scope| {
        let phones: Vec<_> = (0..PHONES).map(|_| scope.spawn(|| call(&client, RECORDS / PHONES))).collect();
        let stuck = Connection::open(scene.folder.join("audit.db")).unwrap();
        stuck.busy_timeout(Duration::from_secs(30)).unwrap();
        stuck.execute_batch("BEGIN IMMEDIATE").unwrap();
        thread::sleep(Duration::from_secs(2));
        stuck.execute_batch("ROLLBACK").unwrap();
        let seen = phones.into_iter().map(|phone| phone.join().unwrap());
        seen.fold(Seen::default(), |sum, one| Seen {
            served: sum.served + one.served,
            refused: sum.refused + one.refused,
            connections: sum.connections + one.connections,
        })
    });
    assert!(gateway.stop().success());
    assert!(!gateway.process.log().iter().any(|line| line.contains("audit records were lost")));
    (seen, Connection::open(scene.folder.join("audit.db")).unwrap())
}

fn count(database: &Connection, what: &str) -> u64 {
    let statement = format!("SELECT COALESCE(sum(weight), 0) FROM audit_record WHERE {what}");
    let found: i64 = database.query_row(&statement, [], |row| row.get(0)).unwrap();
    u64::try_from(found).unwrap()
}

/// `cargo test --release -p provision-tests --test e2e audit_burst -- --ignored --nocapture`
#[test]
#[ignore = "takes a minute in a debug build"]
fn a_hundred_thousand_records_at_once_are_all_kept_where_the_sink_refuses() {
    let scene = scene("refuse");
    let (seen, database) = burst(&scene);
    println!("{seen:?}");
    assert!(seen.served + seen.refused >= u64::from(RECORDS));
    assert_eq!(count(&database, "event = 'gap'"), 0, "none is lost");
    assert_eq!(count(&database, "event = 'request' AND status = 200"), seen.served);
    assert_eq!(
        count(&database, "event = 'request' AND status = 503 AND reason = 'audit_full'"),
        seen.refused
    );
    assert_eq!(count(&database, "event = 'closed'"), seen.connections);
}

/// The same command.
#[test]
#[ignore = "takes a minute in a debug build"]
fn of_a_hundred_thousand_records_at_once_each_is_kept_or_counted_where_the_sink_drops() {
    let scene = scene("drop-and-count");
    let (seen, database) = burst(&scene);
    let lost = count(&database, "event = 'gap'");
    println!("{seen:?}, {lost} records were lost and counted");
    assert_eq!((seen.refused, seen.served >= u64::from(RECORDS)), (0, true), "no phone is held up");
    let kept = count(&database, "event <> 'gap'");
    assert_eq!(kept + lost, seen.served + seen.connections);
    assert!(lost > 0, "the queue was too large for this to prove anything");
}

/// Connections that wait in the kernel for this listener to take them.
fn waiting(listener: SocketAddr) -> u64 {
    let wanted = format!("0100007F:{:04X}", listener.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let listening = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = listening
        .into_iter()
        .find(|line| line.get(1) == Some(&wanted.as_str()) && line.get(3) == Some(&"0A"));
    let queues = found.expect("the listener")[4].to_owned();
    u64::from_str_radix(queues.split(':').nth(1).unwrap(), 16).unwrap()
}

#[test]
fn a_connection_that_waits_for_room_when_the_gateway_stops_leaves_its_record() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let mut scene = Scene::new();
    symlink("/dev/full", scene.folder.join("disk.jsonl")).unwrap();
    let sink = "kind = \"file\"\nfile = \"disk.jsonl\"\nqueue = \"64KiB\"\nwhen-full = \"refuse\"";
    scene.config.audit = format!("{AUDIT}\n\n[[audit.sink]]\n{sink}\n");
    let mut gateway = scene.start();
    fill(&scene, &gateway);
    // The next one is let wait for a second at most.
    let phone = TcpStream::connect(gateway.address()).unwrap();
    let from = phone.local_addr().unwrap();
    eventually("the gateway to take it", || (waiting(gateway.address()) == 0).then_some(()));
    gateway.stop();
    let record = gateway.audit.next_where("its record", |record| record.text("peer") == from.to_string());
    assert_eq!((record.text("event"), record.text("decision")), ("connection", "deny"));
    let reasons = [Reason::ShuttingDown, Reason::AuditFull].map(Reason::as_str);
    assert!(reasons.contains(&record.text("reason")), "{record:?}");
}

/// Asks until the gateway says that there is no room for records.
pub(crate) fn fill(scene: &Scene, gateway: &Gateway) {
    let client = scene.client(gateway, &scene.phone());
    let mut connection = client.connect().unwrap();
    while connection.send(&client.get_request(PROFILE, &[])).status() == 200 {}
}
