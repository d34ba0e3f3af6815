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
