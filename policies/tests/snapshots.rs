//! What every shipped policy says, as files. To take a change over: `UPDATE_SNAPSHOTS=1 cargo test -p provision-policies`,
//! then read the difference.

#![allow(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::path::Path;

use policies::{IdentityProfile, Reason, RequestRules, TlsRules, explain};

#[test]
fn shipped_request_rules_say_what_their_snapshots_say() {
    for name in RequestRules::shipped_names() {
        let rules = RequestRules::shipped(name).unwrap();
        compare(&format!("requests-{name}"), &explain::request_rules(&rules));
    }
}

#[test]
fn shipped_tls_policies_say_what_their_snapshots_say() {
    for name in TlsRules::shipped_names() {
        compare(&format!("tls-{name}"), &explain::tls_rules(&TlsRules::shipped(name).unwrap()));
    }
}

#[test]
fn shipped_identity_profiles_say_what_their_snapshots_say() {
    for name in IdentityProfile::shipped_names() {
        let profile = IdentityProfile::shipped(name).unwrap();
        compare(&format!("identity-{name}"), &explain::identity_profile(&profile));
    }
}

#[test]
fn reason_codes_are_those_of_the_snapshot() {
    let line =
        |reason: &Reason| format!("{} {} {}", reason.stage().as_str(), reason, reason.fault().as_str());
    compare("reasons", &Reason::ALL.iter().map(line).collect::<Vec<_>>());
}

#[test]
fn the_table_of_the_crate_doc_has_every_reason() {
    compare_file("src/reason/table.md", &format!("# Reason codes\n\n{}", Reason::table()));
}

fn compare(name: &str, lines: &[String]) {
    let found = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    compare_file(&format!("tests/snapshots/{name}.txt"), &found);
}

fn compare_file(path: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        #[expect(clippy::disallowed_methods, reason = "a developer's own file, looked at before it is kept")]
        std::fs::write(&path, found).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, kept, "{}", path.display());
}
