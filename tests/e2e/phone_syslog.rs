//! What phones say of themselves: from a real UDP sender to the device's story and page, and never a success.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use harness::{
    admin::{self, TOKEN},
    binary,
    expect::eventually,
    gateway::{AUDIT, Gateway, MAC, PRODUCT, PROFILE, Scene},
    process::{self, Process},
};

use crate::audit_burst::fill;
use crate::verdict::admitted;

const TABLE: &str = "[phone-syslog]\naddress = \"127.0.0.1:0\"\nnetworks = [\"127.0.0.0/30\"]";

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.folder.write_private("admin.token", TOKEN);
    scene.config.tables = vec![admin::table(), TABLE.to_owned()];
    scene.config.audit =
        format!("{AUDIT}\n\n[[audit.sink]]\nkind = \"database\"\nurl = \"sqlite:audit.db\"\n");
    scene
}

fn phones_syslog(gateway: &Gateway) -> SocketAddr {
    let output = gateway.process.output();
    let address = output.iter().find_map(|line| line.strip_prefix("phones' syslog on "));
    address.expect("a listener for phones' syslog").parse().unwrap()
}

fn sender() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

fn said(progress: &str) -> String {
    format!("<174>Nov 26 02:17:52 192.0.2.7 {PRODUCT} 00:0E:08:AB:CD:EF -- {progress}")
}

/// How many datagrams had this fate.
fn counted(gateway: &Gateway, fate: &str) -> u64 {
    let metrics = admin::get(gateway.admin.unwrap(), "/metrics").body;
    let sample = format!("provision_gateway_phone_syslog_messages_total{{outcome=\"{fate}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&sample)).expect(&sample).parse().unwrap()
}

fn story(scene: &Scene, arguments: &[&str]) -> String {
    let mut command = Command::new(binary::gateway());
    command.args(["audit", "device", MAC, "--config", "gateway.toml"]).args(arguments);
    command.current_dir(scene.folder.path());
    let out = process::run(&mut command, b"").out;
    if arguments.contains(&"--json") { out } else { out.split_whitespace().collect::<Vec<_>>().join(" ") }
}

#[test]
fn what_a_phone_says_is_on_its_page_and_in_its_story_and_is_no_success() {
    let scene = scene();
    let gateway = scene.start();
    let to = phones_syslog(&gateway);
    let sender = sender();
    // It says so, and was never here.
    for progress in [
        "Requesting resync https://prov.example.com:443/x.cfg",
        "Successful resync https://prov.example.com:443/x.cfg",
    ] {
        sender.send_to(said(progress).as_bytes(), to).unwrap();
    }
    let page = eventually("what it says", || {
        let page = admin::get(gateway.admin.unwrap(), &format!("/device/{MAC}"));
        (page.body.matches("The phone says: ").count() == 2).then_some(page)
    });
    assert_eq!(page.status, 200);
    assert!(page.body.contains("No phone has ever shown a certificate with this address"), "{}", page.body);
    let told = story(&scene, &[]);
    assert!(
        told.contains(
            "the phone says by syslog: it asks for the resync from https://prov.example.com:443/x.cfg"
        ),
        "{told}"
    );
    assert!(told.contains("Anybody can send that: it proves nothing."), "{told}");
    let json: serde_json::Value = serde_json::from_str(&story(&scene, &["--json"])).unwrap();
    assert_eq!(
        (&json["proven"], &json["last_success"], &json["records"]),
        (&false.into(), &serde_json::Value::Null, &0.into())
    );

    for _ in 0..2 {
        assert_eq!(gateway.audit.next().text("event"), "said");
    }
    // Then it is served, and says that it failed: what is known stays as it is.
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
    let before = eventually("its success", || {
        let json: serde_json::Value = serde_json::from_str(&story(&scene, &["--json"])).unwrap();
        (json["last_success"]["path"] == PROFILE && json["records"] == 2).then_some(json)
    });
    sender
        .send_to(said("Resync failed: corrupt file at https://u:s3cret@h/?token=s3cret").as_bytes(), to)
        .unwrap();
    let after = eventually("its failure", || {
        let json: serde_json::Value = serde_json::from_str(&story(&scene, &["--json"])).unwrap();
        json["events"]
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["steps"].to_string().contains("corrupt file"))
            .then_some(json)
    });
    for same in [
        "proven",
        "last_success",
        "last_refusal",
        "last_seen",
        "records",
        "certificate",
        "networks",
        "user_agent",
    ] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(counted(&gateway, "recorded"), 3);
    let log = String::from_utf8(gateway.audit.bytes()).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains(r#""event":"said""#)).count(), 3, "in every sink");
    assert!(!log.contains("s3cret"), "{log}");
    assert!(!admin::get(gateway.admin.unwrap(), &format!("/device/{MAC}")).body.contains("s3cret"));
}

#[test]
fn what_is_hostile_is_counted_and_neither_kept_nor_followed() {
    let mut scene = scene();
    scene.config.tables[1] = format!("{TABLE}\nmessages-per-address = 1");
    let mut gateway = scene.start();
    let to = phones_syslog(&gateway);
    let sender = sender();
    let long = format!("{} {}", said("Resync failed:"), "x".repeat(3000));
    for hostile in [
        &b""[..],
        b"\0",
        b"\xff\xfe<174>",
        b"<999999999999999999999>1 - - - - - -",
        b"SPA504G -- Requesting resync http://x/",
    ] {
        sender.send_to(hostile, to).unwrap();
    }
    sender.send_to(long.as_bytes(), to).unwrap();
    let foreign = UdpSocket::bind("127.0.0.9:0").unwrap();
    foreign.send_to(said("Resync failed: x").as_bytes(), to).unwrap();
    for _ in 0..50 {
        sender.send_to(said("Resync failed: \u{1b}[31m\u{202e}").as_bytes(), to).unwrap();
    }
    eventually("all of them", || {
        (counted(&gateway, "recorded") + counted(&gateway, "too_many") == 50).then_some(())
    });
    let (kept, lost) = (counted(&gateway, "recorded"), counted(&gateway, "too_many"));
    assert!((10..20).contains(&kept), "ten seconds' worth at once: {kept}, and {lost} were too many");
    assert_eq!(counted(&gateway, "not_understood"), 5);
    for _ in 0..kept {
        assert_eq!(gateway.audit.next().text("event"), "said");
    }
    assert_eq!((counted(&gateway, "too_long"), counted(&gateway, "foreign_network")), (1, 1));
    admitted(&gateway, &scene.client(&gateway, &scene.phone()));
    assert!(gateway.stop().success());
    let log = gateway.audit.bytes();
    assert!(!log.contains(&0x1b) && !String::from_utf8_lossy(&log).contains('\u{202e}'));
}

#[test]
fn while_a_sink_falls_behind_its_queue_is_left_to_what_phones_prove() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let mut scene = scene();
    symlink("/dev/full", scene.folder.join("disk.jsonl")).unwrap();
    let sink = "kind = \"file\"\nfile = \"disk.jsonl\"\nqueue = \"64KiB\"\nwhen-full = \"refuse\"";
    scene.config.audit = format!("{AUDIT}\n\n[[audit.sink]]\n{sink}\n");
    let gateway = scene.start();
    fill(&scene, &gateway);
    sender().send_to(said("Resync failed: x").as_bytes(), phones_syslog(&gateway)).unwrap();
    eventually("its loss", || (counted(&gateway, "no_room") == 1).then_some(()));
    assert_eq!(counted(&gateway, "recorded"), 0);
}

#[test]
fn a_reload_brings_other_networks_another_port_and_none() {
    let mut scene = scene();
    let mut gateway = scene.start();
    let (to, sender) = (phones_syslog(&gateway), sender());
    let message = said("Resync failed: x");
    sender.send_to(message.as_bytes(), to).unwrap();
    eventually("the first", || (counted(&gateway, "recorded") == 1).then_some(()));
    scene.config.tables[1] = TABLE.replace("127.0.0.0/30", "192.0.2.0/24");
    scene.write_config();
    gateway.reload();
    sender.send_to(message.as_bytes(), to).unwrap();
    eventually("the second", || (counted(&gateway, "foreign_network") == 1).then_some(()));

    // A port that is taken leaves the old configuration in force, whole.
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    scene.config.tables[1] = TABLE.replace("127.0.0.1:0", &port.to_string());
    scene.write_config();
    gateway.reload();
    let log = gateway.process.log().join("\n");
    assert!(log.contains("for phones' syslog") && log.contains("the old one stays in force"), "{log}");
    sender.send_to(message.as_bytes(), to).unwrap();
    eventually("the third", || (counted(&gateway, "foreign_network") == 2).then_some(()));
    drop(taken);
    gateway.reload();
    sender.send_to(message.as_bytes(), port).unwrap();
    eventually("the fourth", || (counted(&gateway, "recorded") == 2).then_some(()));

    scene.config.tables.truncate(1);
    scene.write_config();
    gateway.reload();
    eventually("the port to be free", || UdpSocket::bind(port).is_ok().then_some(()));
}

#[test]
fn a_port_that_is_taken_stops_the_start_with_a_hint() {
    let mut scene = scene();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    scene.config.tables[1] = TABLE.replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    scene.write_config();
    let mut process = Process::start(
        Command::new(binary::gateway()).arg("run").arg("--config").arg(scene.folder.join("gateway.toml")),
    );
    assert_eq!(process.wait().code(), Some(1));
    let log = process.log().join("\n");
    assert!(
        log.contains("error: cannot listen on UDP 127.0.0.1:") && log.contains("for phones' syslog"),
        "{log}"
    );
    assert!(log.contains("hint: ") && log.contains("ss -lunp"), "{log}");
}
