//! How long answers take from a million records: the pages, over HTTP, and the commands.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use gateway::audit::database::BatchId;
use harness::{binary, process, year};

use super::*;

const RECORDS: u64 = 1_000_000;
const PHONES: u64 = 10_000;
/// What the issue promises of a phone's story, and what a person waits for a page of a whole fleet without wondering.
const STORY: Duration = Duration::from_millis(200);
const PAGE: Duration = Duration::from_secs(1);

/// The median and the longest of several.
fn timed(times: usize, mut ask: impl FnMut(usize)) -> (Duration, Duration) {
    let mut all: Vec<Duration> = (0..times)
        .map(|number| {
            let began = Instant::now();
            ask(number);
            began.elapsed()
        })
        .collect();
    all.sort_unstable();
    (all[times / 2], all[times - 1])
}

/// `cargo test --release -p provision-tests --test e2e over_a_million -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, of a release build"]
fn pages_and_commands_over_a_million_records_answer_soon() {
    let scene = scene();
    let mut writer = database(&scene);
    let began = Instant::now();
    for (number, lines) in (1..).zip(year::batches(RECORDS, PHONES)) {
        writer.append(BatchId { gateway: "year", process: "p", number }, lines.as_bytes()).unwrap();
    }
    drop(writer);
    let mut report = format!("a million records of {PHONES} phones written in {:.1?}\n", began.elapsed());
    let gateway = scene.start();
    let admin = gateway.admin.unwrap();
    let mut late = Vec::new();
    let mut note = |what: &str, limit: Duration, (median, longest): (Duration, Duration)| {
        writeln!(report, "{what:<44} {median:>9.1?} median, {longest:>9.1?} at most").unwrap();
        if median > limit {
            late.push(what.to_owned());
        }
    };
    let phone = |number: usize| format!("000e08{:06x}", number * 397 % 10_000);
    for path in [
        "/?since=24h",
        "/?since=30d",
        "/records",
        "/records?reason=expired",
        "/records?outcome=refused",
        "/records?peer=10.0.0.0%2F8",
        "/records?peer=10.0.3.17%2F32",
        "/search?q=0004d2",
        "/search?q=FCH0000123",
        "/reasons/expired",
        "/expiring?within=365d",
        "/changes",
        "/live",
    ] {
        note(path, PAGE, timed(5, |_| assert!(matches!(admin::get(admin, path).status, 200 | 303))));
    }
    note(
        "/device/MAC",
        STORY,
        timed(20, |number| {
            assert_eq!(admin::get(admin, &format!("/device/{}", phone(number))).status, 200);
        }),
    );
    let file = scene.folder.join("audit.db").display().to_string();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary::gateway());
        process::run(command.arg("audit").args(arguments).args(["--database", &file]), b"").success()
    };
    note(
        "audit device MAC",
        STORY,
        timed(20, |number| assert!(!run(&["device", &phone(number)]).is_empty())),
    );
    for arguments in [
        &["--peer", "10.0.3.17"][..],
        &["--peer", "10.0.0.0/8"],
        &["--reason", "expired"],
        &["--since", "2026-06-01", "--until", "2026-06-01"],
        &["--ja4", "t13d0310h0_0123456789ab_cdef01234567"],
        &["summary"],
        &["summary", "--by", "issuer", "--since", "2026-03-01", "--until", "2026-03-31"],
        &["expiring", "--within", "365d"],
    ] {
        note(&format!("audit {}", arguments.join(" ")), PAGE, timed(5, |_| drop(run(arguments))));
    }
    println!("{report}");
    assert_eq!(late, Vec::<String>::new());
}
