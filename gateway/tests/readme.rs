//! The README says what the programs do: what can be compared is.

use gateway::{config::Limits, rewrite::Preset};
use policies::{DenyList, IdentityProfile, Reason, RequestRules, TlsRules};

const README: &str = include_str!("../../README.md");

#[test]
fn begins_with_the_two_commands() {
    let start = "```\ncargo run --release --bin provision-gateway -- quickstart\ntests/run\n```\n";
    assert!(README.starts_with(start));
}

#[test]
fn has_every_reason_code_with_its_meaning_and_remedy() {
    assert!(README.contains(&Reason::table()), "put this into README.md:\n{}", Reason::table());
}

#[test]
fn has_every_limit_with_its_default() {
    for (key, value) in Limits::default().entries() {
        let number = value == "off" || value.bytes().all(|byte| byte.is_ascii_digit());
        let default = if number { value } else { format!("\"{value}\"") };
        let rows = [format!("| `{key}` | `{default}` |"), format!("| `{key}` | {default} |")];
        assert!(rows.iter().any(|row| README.contains(row)), "{}", rows[0]);
    }
}

#[test]
fn names_every_shipped_policy_and_header_preset() {
    let presets = Preset::ALL.map(Preset::as_str).into_iter();
    let names = presets
        .chain(TlsRules::shipped_names())
        .chain(RequestRules::shipped_names())
        .chain(IdentityProfile::shipped_names());
    for name in names {
        assert!(README.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn gives_the_apache_lines_that_are_tested() {
    let lines = include_str!("../../tests/e2e/apache/gateway-headers.conf");
    assert!(README.contains(&format!("```apache\n{lines}```\n")));
}

#[test]
fn shows_policy_files_that_can_be_read() {
    let count = |wanted: fn(&str) -> bool, can_be_read: fn(&str) -> bool| {
        let found: Vec<_> = blocks().filter(|text| wanted(text)).collect();
        found.iter().for_each(|text| assert!(can_be_read(text), "{text}"));
        found.len()
    };
    let rules = |text: &str| RequestRules::parse("rules.toml", text).is_ok();
    assert_eq!(count(|text| text.contains("[[rule]]"), rules), 2);
    let identity = |text: &str| IdentityProfile::parse("own.toml", text).is_ok();
    assert_eq!(count(|text| text.contains("[recognise]"), identity), 1);
    let tls = |text: &str| TlsRules::parse("tls.toml", text).is_ok();
    assert_eq!(count(|text| text.starts_with("versions"), tls), 1);
    let deny = blocks().find(|text| text.contains("\nmac ")).unwrap();
    assert_eq!(DenyList::parse("deny.txt", &format!("{deny}\n")).unwrap().len(), 4);
}

/// The texts between fences; the file begins with one.
fn blocks() -> impl Iterator<Item = &'static str> {
    let parts = README.split("\n```").step_by(2);
    parts.filter_map(|part| part.split_once('\n').map(|(_language, text)| text))
}
