//! Lists of any length in a memory that does not grow with them (CA I5, I6).

use std::io::{BufWriter, Write};
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Said, Workplace};

/// The most that the program may take, in kB, for a million lines.
const MILLION: u64 = 200 * 1024;

/// The most for fifty thousand: what the program takes for one, the pages of its database, and some octets a line.
const FIFTY_THOUSAND: u64 = 48 * 1024;

/// Writes a list of so many devices, and what `more` adds at its end.
fn write_list(here: &Workplace, count: u32, more: &str) {
    let file = std::fs::File::create(here.path("devices.csv")).unwrap();
    let mut file = BufWriter::new(file);
    writeln!(file, "model,serial,mac").unwrap();
    for number in 0..count {
        writeln!(file, "CP-8841-3PCC,M{number},02{number:010x}").unwrap();
    }
    write!(file, "{more}").unwrap();
    file.flush().unwrap();
}

/// An inventory in which all of the list have their certificates: rows as issuing writes them, without the files.
fn fill_inventory(here: &Workplace, count: u32) {
    let database = rusqlite::Connection::open(here.path("provision-ca/ca.sqlite")).unwrap();
    database
        .execute(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
             INSERT INTO certificate (authority, serial, state, kind, name, product, device_serial, public_key, not_before,
                                      not_after, reserved_at, folder, certificate, fingerprint)
             SELECT a.id, randomblob(16), 'issued', 'device', printf('02%010x', i), 'CP-8841-3PCC', 'M' || i, randomblob(32),
                    1700000000, 2300000000, 1700000000, 'devices/' || i, zeroblob(900), randomblob(32)
             FROM n, (SELECT id FROM authority WHERE name = 'client-root') a",
            [count],
        )
        .unwrap();
}

/// Runs the program over the list; what it said, and the most memory that it had, in kB.
fn issue(here: &Workplace) -> (Said, u64) {
    let arguments = ["device", "issue", "--csv", "devices.csv", "--key", "p256", "--json"];
    let mut command = here.command(&arguments);
    // Into files: nobody reads while it runs, and what it says of a thousand lines fills a pipe.
    let [out, errors] = ["out", "errors"].map(|name| here.path(name));
    let [to, errors_to] = [&out, &errors].map(|path| Stdio::from(std::fs::File::create(path).unwrap()));
    let mut child = command.stdout(to).stderr(errors_to).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let size = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let size = size.and_then(|size| size.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(size.unwrap_or(0));
        // Not a wait for something to happen: how often the size is looked at.
        std::thread::sleep(Duration::from_millis(2));
    }
    let said = |path| std::fs::read_to_string(path).unwrap();
    let code = child.wait().unwrap().code();
    (Said { code, stdout: said(out), stderr: said(errors) }, peak)
}

/// The list of devices that all have their certificates, then the list with its last line wrong.
#[expect(clippy::print_stdout, reason = "the figure is there to be read")]
fn measure(count: u32, bound: u64) {
    let here = Workplace::with_authorities(&[]);
    write_list(&here, count, "");
    fill_inventory(&here, count);
    let (said, done) = issue(&here);
    let said: serde_json::Value = serde_json::from_str(&said.done()).unwrap();
    assert_eq!((&said["issued"], &said["already"]), (&0.into(), &count.into()));
    let report = std::fs::read_to_string(here.path("devices.report.csv")).unwrap();
    assert_eq!(report.lines().count(), usize::try_from(count).unwrap() + 1);
    drop(report);

    let here = Workplace::with_authorities(&[]);
    write_list(&here, count, "CP-8841-3PCC,M0,0a0000000000\n");
    let (said, judged) = issue(&here);
    let said = said.refused();
    assert!(
        said.contains(&format!("line {}: the serial number stands in line 2 already", count + 2)),
        "{said}"
    );

    println!("{count} lines: {done} kB with all certificates there, {judged} kB when the last line is wrong");
    assert!(done < bound && judged < bound, "{done} kB and {judged} kB of {bound}");
}

#[test]
fn i6_fifty_thousand_lines_take_no_more_memory_than_one_and_some_octets_a_line() {
    measure(50_000, FIFTY_THOUSAND);
}

/// `cargo test --release -p provision-ca --test cli -- --ignored --nocapture figure_a_million` prints it.
#[test]
#[ignore = "minutes, and two gigabytes of disk"]
fn figure_a_million_lines_take_less_than_200_megabytes() {
    measure(1_000_000, MILLION);
}

#[test]
fn i5_a_list_in_which_every_line_is_wrong_is_refused_as_quickly_as_it_is_read() {
    let here = Workplace::with_authorities(&[]);
    let again: String =
        (0..20_000).map(|number| format!("CP-8841-3PCC,M{number},02{number:010x}\n")).collect();
    write_list(&here, 20_000, &again);
    let (said, peak) = issue(&here);
    let said = said.refused();
    assert!(
        said.starts_with("error: 20000 lines of devices.csv cannot be used, nothing was issued"),
        "{said}"
    );
    assert!(said.contains("line 20002: the MAC address 020000000000 stands in line 2 already"), "{said}");
    assert!(said.contains("\n  and 19000 more\n"), "{said}");
    assert!(peak < FIFTY_THOUSAND, "{peak} kB");
}
