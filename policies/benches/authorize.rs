//! What one `authorize` costs, in instructions and allocations: `cargo bench -p provision-policies`.
//!
//! Counted by valgrind, so the figures are the same on a busy machine: the program runs itself under callgrind and
//! memcheck, once with no calls and once with many, and divides the difference. Without valgrind it says so.

#![allow(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::hint::black_box;
use std::process::{Command, Stdio};

use certs::DistinguishedName;
use policies::{IdentityProfile, Principal, RequestFacts, RequestRules};

const CALLS: u64 = 1000;

struct Case {
    name: &'static str,
    rules: &'static str,
    facts: RequestFacts<'static>,
}

const fn case(
    name: &'static str,
    rules: &'static str,
    path: &'static str,
    query: Option<&'static str>,
) -> Case {
    Case { name, rules, facts: RequestFacts { method: "GET", path, query, user_agent: None } }
}

const CASES: [Case; 5] = [
    case("any path", "any-device", "/000e08abcdef.cfg", None),
    case("own profile, first template", "own-profile", "/000e08abcdef.cfg", None),
    case("own profile, last template", "own-profile", "/config", Some("mac=00:0e:08:ab:cd:ef")),
    case("model file", "own-profile", "/8841-3PCC.xml", None),
    case("another's profile, denied", "own-profile", "/000e08abcdee.cfg", None),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [mark, case, calls] if mark == "--calls" => {
            let calls = calls.parse().expect("written below");
            run(&CASES[case.parse::<usize>().expect("written below")], calls);
        }
        // A test runner that asks for tests gets none.
        [first, ..] if first == "--list" => {}
        _ => report(),
    }
}

fn run(case: &Case, calls: u64) {
    let rules = RequestRules::shipped(case.rules).expect("a shipped set");
    let principal = device();
    for _ in 0..calls {
        drop(black_box(black_box(&rules).authorize(black_box(&principal), black_box(&case.facts))));
    }
}

/// The guide's device, from its subject: `OU=CP-8841-3PCC, L=88012BA01234, SN=000e08abcdef`.
fn device() -> Principal {
    let attribute = |kind: u8, value: &[u8]| {
        let value = wrap(0x0c, value);
        wrap(0x31, &wrap(0x30, &[&[0x06, 0x03, 0x55, 0x04, kind], value.as_slice()].concat()))
    };
    let (product, serial) = (attribute(11, b"CP-8841-3PCC"), attribute(7, b"88012BA01234"));
    let der = wrap(0x30, &[product, serial, attribute(4, b"000e08abcdef")].concat());
    let subject = DistinguishedName::parse(&der).expect("a name");
    let profile = IdentityProfile::shipped("cisco-small-business").expect("a shipped profile");
    profile.identify(&subject).expect("the guide's device")
}

fn wrap(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u8::try_from(contents.len()).expect("a short name");
    [&[tag, length], contents].concat()
}

fn report() {
    for (index, case) in CASES.iter().enumerate() {
        let instructions =
            per_call(index, &["--tool=callgrind", "--callgrind-out-file=/dev/null"], "Collected :");
        let allocations = per_call(index, &["--tool=memcheck"], "total heap usage:");
        match (instructions, allocations) {
            (Some(instructions), Some(allocations)) => {
                println!(
                    "authorize, {}: {instructions} instructions, {allocations} allocations per call",
                    case.name
                );
            }
            (_, _) => println!("authorize, {}: not counted, valgrind is missing", case.name),
        }
    }
}

/// The number that valgrind prints after `mark`, for one call.
fn per_call(case: usize, tool: &[&str], mark: &str) -> Option<u64> {
    let count = |calls: u64| {
        let child = Command::new("valgrind")
            .args(tool)
            .arg(std::env::current_exe().ok()?)
            .args(["--calls", &case.to_string(), &calls.to_string()])
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&child.stderr).into_owned();
        let after = text.split(mark).nth(1)?.split_whitespace().next()?.replace(',', "");
        after.parse::<u64>().ok()
    };
    Some(count(CALLS)?.saturating_sub(count(0)?) / CALLS)
}
