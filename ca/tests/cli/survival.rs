//! Processes that are killed, and processes that run at once (CA I1, I7).

use std::collections::{HashMap, HashSet};
use std::process::Stdio;
use std::time::Duration;

use crate::bulk::list;
use crate::stores::{On, on_both_stores};
use crate::support::Workplace;

on_both_stores! {
    i1_g2_killed_as_often_as_one_likes_every_device_is_issued_once_and_the_store_is_whole,
}

/// Everything the store calls issued, by name, and the certificates on the disk agree with it.
fn assert_whole(here: &Workplace, count: usize) {
    let out = here.run(&["list", "--kind", "device", "--json"]).done();
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    let mut known = HashMap::new();
    for one in value["certificates"].as_array().unwrap() {
        let name = one["name"].as_str().unwrap().to_owned();
        assert!(
            known.insert(name, one["serial"].as_str().unwrap().to_owned()).is_none(),
            "issued twice: {one}"
        );
    }
    assert_eq!(known.len(), count);
    for (mac, serial) in &known {
        let folder = format!("provision-ca/devices/{mac}");
        let names: Vec<String> = here.files(&folder);
        assert_eq!(names.len(), 3, "{names:?}");
        let text = here.read(&format!("{folder}/cert.pem"));
        let certificate = certs::Certificate::parse_pem(&text).unwrap();
        assert_eq!(certificate.serial().to_string(), *serial);
        let key = ca::PrivateKey::from_pem(&here.read(&format!("{folder}/key.pem")), None).unwrap();
        assert_eq!(key.public_key_der(), certificate.public_key().spki_der());
    }
    assert_eq!(here.files("provision-ca/devices").len(), count * 3, "a certificate the store does not know");
    assert!(here.files("provision-ca/pending").is_empty());
}

#[test]
fn i1_killed_at_any_moment_and_run_again_every_device_is_issued_once() {
    let here = Workplace::with_authorities(&[]);
    here.write("devices.csv", list(250));
    let issue = ["device", "issue", "--csv", "devices.csv", "--key", "p256"];
    let mut killed = 0;
    for round in 0_u64..20 {
        let mut child = here.command(&issue).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not a wait for something to happen: the moment of the kill is what is tried.
        std::thread::sleep(Duration::from_millis(5 + round * 37 % 230));
        child.kill().unwrap();
        if !child.wait().unwrap().success() {
            killed += 1;
        }
    }
    assert!(killed > 0, "no run was still going when it was killed");
    here.run(&issue).done();
    assert_whole(&here, 250);
}

/// A moment between now and `most` from now, another one with every call.
pub(crate) fn moment(state: &mut u32, most: Duration) -> Duration {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    most * (*state % 1000) / 1000
}

/// Runs the program and kills it after so long; whether it was still going then.
pub(crate) fn run_and_kill(here: &Workplace, arguments: &[&str], after: Duration) -> bool {
    let mut child = here.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Not a wait for something to happen: the moment of the kill is what is tried.
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}

/// The number of the list that devices' verifiers read now.
fn list_number(here: &Workplace) -> u64 {
    let text = here.read("provision-ca/trust/crls/client-root.crl");
    let list = certs::RevocationList::parse(text.as_bytes()).unwrap();
    u64::from_str_radix(&list.number().unwrap().to_string(), 16).unwrap()
}

/// A few kills with every run of the tests, and `KILLS=200` or more to be sure: runs that had ended before they could be killed do
/// not count.
///
/// Each round has a list of its own, so that there is work to be killed in; at the end every device of them is asked for once
/// more. Between them lists are published, and that is killed too.
fn i1_g2_killed_as_often_as_one_likes_every_device_is_issued_once_and_the_store_is_whole(on: On) {
    let kills: u32 = std::env::var("KILLS").map_or(20, |kills| kills.parse().unwrap());
    let here = Workplace::on(on, &[]);
    let devices = 12;
    let mut state = 0x2545_f491_u32;
    let (mut rounds, mut killed) = (0, 0);
    let heading = "model,serial,mac\n";
    let mut everything = heading.to_owned();
    let mut number = list_number(&here);
    while killed < kills {
        let round = rounds;
        rounds += 1;
        assert!(rounds <= 10 * kills, "{killed} of {round} runs were still going when they were killed");
        let list: String = (0..devices)
            .map(|device| format!("CP-8841-3PCC,{round:04}-{device:04},000e{round:04x}{device:04x}\n"))
            .collect();
        everything.push_str(&list);
        here.write(&format!("{round}.csv"), heading.to_owned() + &list);
        let (list, report) = (format!("{round}.csv"), format!("{round}.report.csv"));
        let issue = ["device", "issue", "--csv", &list, "--key", "p256", "--report", &report];
        if run_and_kill(&here, &issue, moment(&mut state, Duration::from_millis(160))) {
            killed += 1;
        }
        if round % 4 == 3 {
            run_and_kill(&here, &["crl", "publish"], moment(&mut state, Duration::from_millis(60)));
            let now = list_number(&here);
            assert!(now >= number, "the list went from {number} back to {now}");
            number = now;
        }
    }
    here.write("everything.csv", everything);
    let said = here.run(&["device", "issue", "--csv", "everything.csv", "--key", "p256"]).done();
    assert!(said.contains("failed  0"), "{said}");
    assert_whole(&here, usize::try_from(rounds * devices).unwrap());
    here.run(&["crl", "publish"]).done();
    assert!(list_number(&here) > number, "the number of the list is used again");
    let said = here.run(&["store", "check"]).done();
    let certificates = rounds * devices + 2;
    assert!(said.contains(&format!("certificates {certificates}\n")), "{killed} killed: {said}");
    here.run(&["audit", "verify"]).done();
}

#[test]
fn a_killed_init_is_completed_or_begun_anew() {
    for pause in [1_u64, 5, 10, 15, 20, 30, 40, 60, 80, 120] {
        let here = Workplace::new();
        let init = ["init", "--no-passphrase", "--shape", "issuing"];
        let mut child = here.command(&init).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        if !here.path("provision-ca/ca.sqlite").exists() {
            here.run(&init).done();
        }
        here.run(&["device", "generic", "--key", "p256"]).done();
        here.run(&["crl", "publish"]).done();
        assert!(
            !here.path("provision-ca/.initialised").exists() || here.path("provision-ca/ca.sqlite").exists()
        );
    }
}

#[test]
fn i7_a2_processes_issuing_revoking_and_publishing_at_once_do_not_collide() {
    let here = Workplace::with_authorities(&[]);
    here.write("a.csv", list(60));
    // The second list has the first half of the first, so both want the same devices.
    here.write("b.csv", list(30));
    here.run(&["server", "issue", "prov.example.com", "--key", "p256"]).done();
    let mut children: Vec<_> = [
        vec!["device", "issue", "--csv", "a.csv", "--key", "p256"],
        vec!["device", "issue", "--csv", "b.csv", "--key", "p256"],
        vec!["revoke", "prov.example.com"],
        vec!["crl", "publish"],
        vec!["crl", "publish"],
        vec!["device", "generic", "--key", "p256"],
        vec!["list"],
    ]
    .iter()
    .map(|arguments| here.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    .collect();
    for child in children.drain(..) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    here.run(&["revoke", "ciscogeneric"]).done();
    let out = here.run(&["list", "--json"]).done();
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    let serials: HashSet<_> =
        value["certificates"].as_array().unwrap().iter().map(|one| one["serial"].as_str().unwrap()).collect();
    assert_eq!(serials.len(), 2 + 1 + 60 + 1);
    // The generic certificate's folder is no device of the lists.
    std::fs::remove_dir_all(here.path("provision-ca/devices/ciscogeneric")).unwrap();
    assert_whole(&here, 60);
}

#[test]
fn i7_of_two_inits_at_once_one_makes_the_authorities_and_the_other_says_so() {
    for _round in 0..5 {
        let here = Workplace::new();
        let init = ["init", "--no-passphrase", "--key", "p256"];
        let children: Vec<_> = (0..2)
            .map(|_| here.command(&init).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
            .collect();
        let outputs: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        assert_eq!(outputs.iter().filter(|output| output.status.success()).count(), 1);
        for output in outputs.iter().filter(|output| !output.status.success()) {
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(message.contains("holds a certificate authority already"), "{message}");
            assert!(!message.contains("--force"), "init has no such option: {message}");
        }
        here.run(&["device", "generic", "--key", "p256"]).done();
    }
}

/// As if `init` had been killed after the store was made and before its database was moved into place.
fn unfinish(here: &Workplace) {
    std::fs::create_dir(here.path("provision-ca/.initialised")).unwrap();
    for part in ["trust", "ca.sqlite"] {
        std::fs::rename(
            here.path(&format!("provision-ca/{part}")),
            here.path(&format!("provision-ca/.initialised/{part}")),
        )
        .unwrap();
    }
}

#[test]
fn an_interrupted_init_is_completed_as_what_it_was_begun_as() {
    let here = Workplace::new();
    here.write("pw", "correct horse battery\n");
    here.write("other", "another horse battery\n");
    let init = |passphrase: &[&str], more: &[&str]| {
        here.run(&[&["init", "--key", "p256", "--name", "Example Telco"][..], passphrase, more].concat())
    };
    init(&["--passphrase-file", "pw"], &[]).done();
    unfinish(&here);
    let right = ["--passphrase-file", "pw"];
    for (passphrase, more, difference) in [
        (&right[..], &["--shape", "issuing"][..], "--shape \"flat\", not \"issuing\""),
        (&right[..], &["--days", "100"][..], "--days \"10950\", not \"100\""),
        (&["--passphrase-file", "other"][..], &[][..], "made with another passphrase"),
        (&["--no-passphrase"][..], &[][..], "made with a passphrase"),
    ] {
        let message = init(passphrase, more).refused();
        assert!(message.contains(difference), "{message}");
    }
    init(&right, &[]).done();
    here.run(&["device", "generic", "--key", "p256", "--passphrase-file", "pw"]).done();
    assert!(!here.path("provision-ca/.initialised").exists());
}
