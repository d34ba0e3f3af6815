//! No text makes a reader panic, and every mistake it reports has a place within the file.

use policies::document::{Diagnostic, parse_duration, parse_size};
use policies::{DenyList, IdentityProfile, MacAddress, RequestRules, TlsRules};
use proptest::prelude::*;

/// Lines that a policy file may have, right and wrong.
const LINES: &[&str] = &[
    "[[rule]]",
    "[rule]",
    "name = \"x\"",
    "name = 3",
    "allow = [\"GET\"]",
    "deny = [\"GET\", \"git\"]",
    "path = [\"/{mac}.cfg\", \"/{*}\"]",
    "path = \"/\"",
    "path = [\"/{{\", 7, {}]",
    "for = [\"generic\"]",
    "mode = \"observe\"",
    "user-agent = \"must-agree\"",
    "[recognise]",
    "present = [\"CN\"]",
    "[mac]",
    "attributes = [\"CN\", \"S\"]",
    "after = \"\"",
    "word = \"é\"",
    "principal = \"operator\"",
    "versions = [\"TLSv1.2\"]",
    "suites = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]",
    "groups = [\"x25519\"]",
    "signature-algorithms = [\"rsa_pss_rsae_sha256\", 1.5]",
    "dh-bits = 0x10_000",
    "\"ä.ö\".ü = 2029-12-31",
    "a = [",
    "",
    "# comment",
    "\u{feff}",
];

fn deny_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "mac [0-9a-fA-F:.-]{10,17}",
        "serial [A-Z0-9]{0,14}",
        "cert-serial [0-9a-f]{62,66} -?[0-9A-F:]{0,20}",
        "sha256 [0-9a-f:]{60,95}",
        "# .{0,20}",
        ".{0,40}",
    ]
}

fn check(text: &str, found: Result<(), Vec<Diagnostic>>) {
    for diagnostic in found.err().unwrap_or_default() {
        let lines = text.matches('\n').count() + 1;
        assert!(diagnostic.line <= lines, "{diagnostic} in {text:?}");
        assert!(!diagnostic.message.is_empty());
    }
}

fn read_as_everything(text: &str) {
    check(text, RequestRules::parse("t.toml", text).map(drop));
    check(text, TlsRules::parse("t.toml", text).map(drop));
    check(text, IdentityProfile::parse("t.toml", text).map(drop));
    check(text, DenyList::parse("deny.txt", text).map(drop));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "(.|\n){0,200}") {
        read_as_everything(&text);
    }

    #[test]
    fn any_lines_of_policy_files_are_read_without_panic(
        lines in proptest::collection::vec(proptest::sample::select(LINES), 0..16)
    ) {
        read_as_everything(&lines.join("\n"));
    }

    #[test]
    fn a_refused_file_says_why(lines in proptest::collection::vec(proptest::sample::select(LINES), 0..16)) {
        let text = lines.join("\n");
        for found in [
            RequestRules::parse("t.toml", &text).err(),
            TlsRules::parse("t.toml", &text).err(),
            IdentityProfile::parse("t.toml", &text).err(),
        ].into_iter().flatten() {
            prop_assert!(found.iter().any(Diagnostic::is_error), "{text}");
        }
    }

    #[test]
    fn any_deny_file_is_read_without_panic(lines in proptest::collection::vec(deny_line(), 0..8)) {
        let text = lines.join("\n");
        check(&text, DenyList::parse("deny.txt", &text).map(drop));
        check(&text, DenyList::parse("deny.txt", &format!("{text}\n")).map(drop));
    }

    #[test]
    fn any_spelling_of_a_mac_address_reads_as_the_same(bytes in any::<[u8; 6]>(), gaps in "[:.-]{11}", mask in any::<u16>()) {
        let mac = MacAddress::new(bytes);
        let mut text = String::new();
        for (index, digit) in mac.to_string().chars().enumerate() {
            if index > 0 && mask & (1 << index) != 0 {
                text.extend(gaps.chars().nth(index - 1));
            }
            text.push(if mask & 1 == 1 { digit.to_ascii_uppercase() } else { digit });
        }
        prop_assert_eq!(MacAddress::parse(&text), Ok(mac));
    }

    #[test]
    fn any_value_with_a_unit_is_read_without_panic(text in "[0-9a-zA-Z .]{0,24}") {
        let _ = parse_duration(&text);
        let _ = parse_size(&text);
    }
}
