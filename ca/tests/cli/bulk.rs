//! Whole lists of devices (CA I5).

use crate::support::{Workplace, assert_snapshot};

/// A list of so many devices.
pub(crate) fn list(count: usize) -> String {
    let mut text = "model,serial,mac\n".to_owned();
    for number in 0..count {
        text.push_str(&format!("CP-8841-3PCC,FCH{number:04},000e08{number:06x}\n"));
    }
    text
}

#[test]
fn i5_the_same_list_twice_issues_nothing_twice() {
    let here = Workplace::with_authorities(&[]);
    here.write("devices.csv", list(20));
    let issue = ["device", "issue", "--csv", "devices.csv", "--key", "p256"];
    assert_snapshot("csv-first", &here.run(&issue).snapshot());
    let files = here.files("provision-ca/devices");
    assert_eq!(files.len(), 60);
    assert_snapshot("csv-again", &here.run(&issue).snapshot());
    assert_eq!(here.files("provision-ca/devices"), files);
    assert_eq!(here.run(&["list", "--kind", "device"]).done().lines().count(), 21);
    let report = here.read("devices.report.csv");
    assert_eq!(report.lines().count(), 21);
    assert!(
        report.lines().nth(1).unwrap().starts_with("2,CP-8841-3PCC,FCH0000,000e08000000,already,"),
        "{report}"
    );
}

#[test]
fn a_longer_list_issues_only_what_is_new() {
    let here = Workplace::with_authorities(&[]);
    here.write("devices.csv", list(3));
    here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    here.write("devices.csv", list(5));
    let said = here
        .run(&["device", "issue", "--csv", "devices.csv", "--key", "p256", "--jobs", "3", "--json"])
        .done();
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&value["issued"], &value["already"]), (&2.into(), &3.into()));
}

#[test]
fn i5_bad_lines_are_all_reported_and_nothing_is_issued() {
    let here = Workplace::with_authorities(&[]);
    let phone = ["device", "issue", "--model", "CP-8841-3PCC", "--serial", "TAKEN", "--mac", "000e08aaaaaa"];
    here.run(&[&phone[..], &["--key", "p256"]].concat()).done();
    here.write("bad.csv", "model,serial,mac\nCP-8841-3PCC,1,000e08abcdef\nCP-8841-3PCC,2,000e08abcdef\nCP-8841-3PCC,,000e08abcde0\nCP-8841-3PCC,4,ffffffffffff\n");
    assert_snapshot("csv-bad", &here.run(&["device", "issue", "--csv", "bad.csv"]).snapshot());
    here.write(
        "taken.csv",
        "CP-8841-3PCC,1,000e08abcdef\nCP-8841-3PCC,TAKEN,000e08abcde0\nCP-8841-3PCC,3,000e08aaaaaa\n",
    );
    assert_snapshot("csv-taken", &here.run(&["device", "issue", "--csv", "taken.csv"]).snapshot());
    assert_eq!(here.files("provision-ca/devices").len(), 3, "only the first phone's");
    assert!(!here.path("bad.report.csv").exists(), "a failed command leaves no new file");
}

#[test]
fn i5_every_bad_line_is_reported_in_one_round_and_before_any_key_is_made() {
    let here = Workplace::with_authorities(&[]);
    let phone = ["device", "issue", "--model", "CP-8841-3PCC", "--serial", "TAKEN", "--mac", "000e08aaaaaa"];
    here.run(&[&phone[..], &["--key", "p256"]].concat()).done();
    std::fs::create_dir_all(here.path("provision-ca/devices/000e08bbbbbb")).unwrap();
    here.write(
        "mixed.csv",
        "CP-8841-3PCC,1,000e08bbbbbb\nCP-8841-3PCC,2,ffffffffffff\nCP-8841-3PCC,TAKEN,000e08cccccc\nCP-8841-3PCC,,000e08dddddd\nCP-8841-3PCC,5,000e08eeeeee\n",
    );
    let message = here.run(&["device", "issue", "--csv", "mixed.csv", "--key", "p256"]).refused();
    let lines: Vec<_> = message.lines().filter_map(|line| line.strip_prefix("  line ")).collect();
    let numbers: Vec<_> = lines.iter().map(|line| &line[..1]).collect();
    assert_eq!(numbers, ["1", "2", "3", "4"], "{message}");
    assert!(lines[0].contains("exists already (`--force` replaces it)"), "{message}");
    assert_eq!(here.files("provision-ca/devices").len(), 3, "only the first phone's");
    assert!(!here.path("mixed.report.csv").exists());
    here.write("good.csv", "CP-8841-3PCC,1,000e08bbbbbb\n");
    here.run(&["device", "issue", "--csv", "good.csv", "--key", "p256", "--force"]).done();
}

#[test]
fn c4_i5_a_list_that_would_outlive_its_authority_is_refused_before_any_key_is_made() {
    let here = Workplace::with_authorities(&["--days", "1000"]);
    here.write("devices.csv", list(3));
    let issue =
        |days: &str| here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256", "--days", days]);
    let message = issue("1001").refused();
    assert!(message.contains("after its issuer"), "{message}");
    assert!(!here.path("devices.report.csv").exists());
    issue("999").done();
}

#[test]
fn i5_a_killed_run_leaves_a_report_of_what_it_did() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let here = Workplace::with_authorities(&[]);
    here.write("devices.csv", list(3));
    here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    // RSA-4096 keys take long enough for the first to be reported well before the last is made.
    let mut longer = list(60);
    longer.push_str("CP-8841-3PCC,END,000e08ffff00\n");
    here.write("devices.csv", longer);
    let issue = ["device", "issue", "--csv", "devices.csv", "--jobs", "1", "--key", "rsa4096"];
    let mut child = here.command(&issue).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let report = loop {
        let report = std::fs::File::open(here.path("devices.report.csv")).unwrap();
        let lines: Vec<String> = BufReader::new(report).lines().map_while(Result::ok).collect();
        if lines.iter().any(|line| line.contains(",issued,") && line.contains("000e08000003")) {
            break lines;
        }
        assert!(child.try_wait().unwrap().is_none(), "the run ended first: {lines:?}");
        std::thread::yield_now();
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(report[1].starts_with("2,CP-8841-3PCC,FCH0000,000e08000000,already,"), "{report:?}");
    assert!(report.len() < 62, "not all were done: {}", report.len());
}
