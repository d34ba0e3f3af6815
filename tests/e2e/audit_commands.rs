//! Why was this phone refused: the `audit` commands, asked of the database that a real gateway fills.

use std::process::Command;

use harness::{
    binary,
    expect::{Peer, all_present, eventually, now},
    gateway::{AUDIT, Gateway, HOST, MAC, PRODUCT, PROFILE, SERIAL, Scene, phone_template},
    pki::{Authority, Template},
    postgres::Postgres,
    process::{self, Finished, Process},
};
use policies::Reason;
use serde_json::Value;

use crate::verdict::{admitted, forbidden, refused};

/// Another phone's profile.
const OTHER: &str = "/000e08abcdf0.cfg";

fn ask(scene: &Scene, arguments: &[&str]) -> Finished {
    let mut command = Command::new(binary::gateway());
    command.arg("audit").args(arguments).current_dir(scene.folder.path());
    process::run(&mut command, b"")
}

/// The answer, which must be one, as words with single spaces between them.
fn told(scene: &Scene, arguments: &[&str]) -> String {
    let finished = ask(scene, arguments);
    assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
    finished.out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn json(scene: &Scene, arguments: &[&str]) -> Value {
    let out = ask(scene, arguments).success();
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// A gateway that keeps its records in a database too.
fn start(scene: &mut Scene, url: &str) -> Gateway {
    scene.config.audit = format!("{AUDIT}\n\n[[audit.sink]]\nkind = \"database\"\nurl = {url:?}\n");
    scene.start()
}

/// Waits until the database has every record of the file.
fn wait_for_all(scene: &Scene, gateway: &Gateway, of: &[&str]) {
    eventually("every record in the database", || {
        let expected = gateway.audit.bytes().iter().filter(|byte| **byte == b'\n').count();
        let found = ask(scene, &[of, &["--json", "--limit", "1000"]].concat()).out.lines().count();
        (found == expected).then_some(())
    });
}

fn on_both(test: impl Fn(&mut Scene, &str, &[&str])) {
    let mut scene = Scene::new();
    test(&mut scene, "sqlite:audit.db", &["--config", "gateway.toml"]);
    test(&mut Scene::new(), "sqlite:other.db", &["--database", "other.db"]);
    if all_present("PostgreSQL", &[Peer::Postgres]) {
        let server = Postgres::start();
        test(&mut Scene::new(), &server.url(), &["--config", "gateway.toml"]);
    }
}

#[test]
fn a_devices_story_is_told_from_what_the_gateway_saw() {
    on_both(|scene, url, of| {
        let gateway = start(scene, url);
        let phone = scene.phone();
        admitted(&gateway, &scene.client(&gateway, &phone));
        forbidden(&gateway, &scene.client(&gateway, &phone), OTHER, 403, Reason::NoRuleMatched);
        let foreign = Authority::root("Foreign Root").issue(&phone_template());
        refused(&gateway, &scene.client(&gateway, &foreign), Reason::UnknownIssuer);
        wait_for_all(scene, &gateway, of);
        let story = told(scene, &[&["device", "00:0E:08:AB:CD:EF"], of].concat());
        for part in [
            &format!("This is a {PRODUCT}, serial number {SERIAL}, MAC address 00:0e:08:ab:cd:ef."),
            "It has proven that with its certificate.",
            &format!("Issuer CN=Test Client Root, serial number {}", phone.serial_text()),
            "Proven: the gateway verified its chain, and the phone showed that it has the key.",
            &format!("GET {PROFILE} was answered with 200"),
            "GET /000e08abcdf0.cfg was refused with 403: no_rule_matched",
            Reason::NoRuleMatched.remedy(),
            "somebody showed a certificate that names this MAC address; the connection was refused: unknown_issuer",
            "Its issuer is CN=Foreign Root",
            "That it was this phone is only claimed.",
            Reason::UnknownIssuer.meaning(),
            "A certificate from CN=Foreign Root",
        ] {
            assert!(story.contains(part), "{part:?} is missing: {story}");
        }
        let of_refusal = story.find("unknown_issuer (").unwrap();
        assert!(of_refusal < story.find("no_rule_matched (").unwrap(), "newest first: {story}");
        let report = json(scene, &[&["device", MAC, "--json"], of].concat());
        assert_eq!((&report["proven"], &report["product"]), (&true.into(), &PRODUCT.into()));
        assert_eq!(report["certificate"]["sha256"], phone.fingerprint());
        assert_eq!(
            (&report["last_success"]["path"], &report["last_success"]["host"]),
            (&PROFILE.into(), &HOST.into())
        );
        assert_eq!(report["last_refusal"]["reason"], "unknown_issuer");
        assert_eq!(report["events"][0]["known_by"], "certificate");
    });
}

/// What the phone's page shows leads to the reason.
#[test]
fn the_id_on_a_refusal_page_finds_the_record_and_its_remedy() {
    on_both(|scene, url, of| {
        let gateway = start(scene, url);
        let phone = scene.phone();
        let record = forbidden(&gateway, &scene.client(&gateway, &phone), OTHER, 403, Reason::NoRuleMatched);
        let id = record.text("request");
        wait_for_all(scene, &gateway, of);
        let answer = told(scene, &[&["--request", &id.to_uppercase()], of].concat());
        assert!(
            answer.contains("GET /000e08abcdf0.cfg 403") && answer.contains(Reason::NoRuleMatched.remedy()),
            "{answer}"
        );
        let found = json(scene, &[&["--request", id, "--json"], of].concat());
        assert_eq!(found, record.0, "the record itself");
        let refused_on = |network: &str| {
            ask(scene, &[&["--peer", network, "--reason", "no_rule_matched", "--json"], of].concat())
                .out
                .lines()
                .count()
        };
        assert_eq!((refused_on("127.0.0.0/8"), refused_on("192.0.2.0/24")), (1, 0));
    });
}

#[test]
fn counts_and_expiries_are_those_of_the_phones_that_called() {
    on_both(|scene, url, of| {
        let gateway = start(scene, url);
        let soon =
            scene.client_authority.issue(&Template { not_after: now() + 100 * 86_400, ..phone_template() });
        admitted(&gateway, &scene.client(&gateway, &soon));
        admitted(&gateway, &scene.client(&gateway, &soon));
        wait_for_all(scene, &gateway, of);
        let report = json(scene, &[&["summary", "--by", "product", "--json"], of].concat());
        let requests =
            report["counts"].as_array().unwrap().iter().find(|count| count["of"] == "request").unwrap();
        assert_eq!(
            (&requests["value"], &requests["outcome"], &requests["count"]),
            (&PRODUCT.into(), &"served".into(), &2.into())
        );
        let report = json(scene, &[&["expiring", "--json"], of].concat());
        assert_eq!(report["devices"][0]["mac"], MAC);
        assert_eq!(
            (&report["totals"][0]["devices"], &report["totals"][0]["claimed"]),
            (&1.into(), &0.into())
        );
        assert!(told(scene, &[&["expiring"], of].concat()).contains("in 3 months"));
        let none = json(scene, &[&["expiring", "--within", "30d", "--json"], of].concat());
        assert_eq!(none["devices"].as_array().unwrap().len(), 0, "the twin: not that soon");
    });
}

#[test]
fn records_are_followed_as_they_come_and_ctrl_c_ends_it_well() {
    on_both(|scene, url, of| {
        let gateway = start(scene, url);
        let phone = scene.phone();
        admitted(&gateway, &scene.client(&gateway, &phone));
        wait_for_all(scene, &gateway, of);
        let mut command = Command::new(binary::gateway());
        command.args(["audit", "follow", "--outcome", "refused"]).args(of).current_dir(scene.folder.path());
        let mut follow = Process::start(&mut command);
        let lines = |follow: &Process| follow.output().len();
        eventually("the titles", || (lines(&follow) == 1).then_some(()));
        forbidden(&gateway, &scene.client(&gateway, &phone), OTHER, 403, Reason::NoRuleMatched);
        admitted(&gateway, &scene.client(&gateway, &phone));
        let foreign = Authority::root("Foreign Root").issue(&phone_template());
        refused(&gateway, &scene.client(&gateway, &foreign), Reason::UnknownIssuer);
        eventually("both refusals", || (lines(&follow) >= 3).then_some(()));
        follow.signal("INT");
        assert!(follow.wait().success(), "{:?}", follow.log());
        let output = follow.output();
        assert_eq!(output.len(), 3, "{output:?}");
        assert!(output[1].contains("no_rule_matched") && output[2].contains("unknown_issuer"), "{output:?}");
    });
}

#[test]
fn a_configuration_without_a_database_says_what_to_add() {
    let scene = Scene::new();
    scene.start();
    let finished = ask(&scene, &["device", MAC, "--config", "gateway.toml"]);
    assert_eq!(finished.code, Some(1));
    for part in [
        "keeps its records in no database",
        "[[audit.sink]]",
        "kind = \"database\"",
        "url = \"sqlite:audit.db\"",
    ] {
        assert!(finished.err.contains(part), "{part:?} is missing: {finished:?}");
    }
}
