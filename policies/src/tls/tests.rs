use super::*;

const GOOD: &str = r#"
versions = ["TLSv1.3", "TLSv1.2"]
suites = ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
groups = ["x25519"]
signature-algorithms = ["rsa_pss_rsae_sha256"]
"#;

const OLD: &str = r#"
versions = ["TLSv1", "TLSv1.1", "TLSv1.2"]
suites = ["TLS_DHE_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_RC4_128_SHA"]
groups = ["secp256r1"]
signature-algorithms = ["rsa_pkcs1_sha1"]
dh-bits = 1024
"#;

fn mistakes(text: &str) -> Vec<String> {
    let found = TlsRules::parse("t.toml", text).unwrap_err();
    found
        .iter()
        .map(|d| d.hint.as_ref().map_or_else(|| d.to_string(), |hint| format!("{d} | {hint}")))
        .collect()
}

#[test]
fn modern_needs_no_legacy_engine_and_prefers_aes_128() {
    let modern = TlsRules::shipped("modern").unwrap();
    assert_eq!(&**modern.name(), "modern");
    assert_eq!(modern.versions(), [TlsVersion::TLS1_2, TlsVersion::TLS1_3]);
    assert_eq!(modern.suites().len(), 9);
    assert_eq!(modern.suites()[0].name(), "TLS_AES_128_GCM_SHA256");
    assert_eq!(modern.groups(), [Group::X25519, Group::SECP256R1, Group::SECP384R1]);
    assert!(!modern.needs_legacy_engine());
}

#[test]
fn guide_has_modern_first_and_then_the_six_suites_of_the_phones_table() {
    let (modern, guide) = (TlsRules::shipped("modern").unwrap(), TlsRules::shipped("guide").unwrap());
    assert_eq!(
        guide.versions(),
        [TlsVersion::TLS1_0, TlsVersion::TLS1_1, TlsVersion::TLS1_2, TlsVersion::TLS1_3]
    );
    let (first, table) = guide.suites().split_at(modern.suites().len());
    assert_eq!(first, modern.suites());
    assert_eq!(table, [0x0039, 0x0035, 0x0033, 0x002f, 0x0005, 0x0004].map(CipherSuite));
    assert_eq!(guide.groups(), modern.groups());
    assert_eq!(guide.dh_bits(), 2048);
    assert!(guide.needs_legacy_engine());

    let without = TlsRules::shipped("guide-no-rc4").unwrap();
    assert_eq!(without.suites(), &guide.suites()[..modern.suites().len() + 4]);
    assert_eq!(without.versions(), guide.versions());
    assert_eq!(without.signature_algorithms(), guide.signature_algorithms());
}

#[test]
fn a_tls_1_2_suite_without_tls_1_2_is_a_mistake() {
    let text = OLD
        .replace(", \"TLSv1.2\"", "")
        .replace("TLS_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_AES_128_GCM_SHA256");
    assert_eq!(
        mistakes(&text),
        [
            "t.toml:3:79: `suites[2]`: TLS_RSA_WITH_AES_128_GCM_SHA256 needs TLSv1.2, which `versions` does not list"
        ]
    );
}

#[test]
fn every_shipped_policy_can_be_read() {
    for name in TlsRules::shipped_names() {
        assert!(TlsRules::shipped(name).is_some(), "{name}");
    }
    assert_eq!(TlsRules::shipped("no-such-policy"), None);
}

#[test]
fn versions_are_sorted_and_suites_keep_their_order() {
    let rules = TlsRules::parse("dir/lab.toml", GOOD).unwrap();
    assert_eq!(&**rules.name(), "lab");
    assert_eq!(rules.versions(), [TlsVersion::TLS1_2, TlsVersion::TLS1_3]);
    assert_eq!(rules.suites(), [CipherSuite(0x1301), CipherSuite(0xc02f)]);
    assert_eq!(rules.dh_bits(), 2048);
}

#[test]
fn the_format_holds_what_old_phones_need() {
    let rules = TlsRules::parse("old.toml", OLD).unwrap();
    assert!(rules.needs_legacy_engine());
    assert_eq!(rules.versions()[0], TlsVersion::TLS1_0);
    assert_eq!(rules.dh_bits(), 1024);
    assert_eq!(rules.signature_algorithms(), [SignatureScheme(0x0201)]);
}

#[test]
fn an_unknown_name_is_a_mistake_with_the_nearest_one() {
    let text = GOOD.replace("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GMC_SHA256").replace("x25519", "x52519");
    assert_eq!(
        mistakes(&text),
        [
            "t.toml:3:11: `suites[0]`: unknown cipher suite \"TLS_AES_128_GMC_SHA256\" | did you mean \"TLS_AES_128_GCM_SHA256\"?",
            "t.toml:4:11: `groups[0]`: unknown group \"x52519\" | did you mean \"x25519\"?",
        ]
    );
}

#[test]
fn a_signature_algorithm_that_no_engine_has_is_a_mistake() {
    assert_eq!(
        mistakes(&GOOD.replace("\"rsa_pss_rsae_sha256\"", "\"rsa_pkcs1_md5\", \"rsa_pss_rsae_sha256\"")),
        ["t.toml:5:25: `signature-algorithms[0]`: rsa_pkcs1_md5 is served by no engine of this gateway"]
    );
}

#[test]
fn a_name_listed_twice_is_a_mistake() {
    assert_eq!(
        mistakes(&GOOD.replace("[\"x25519\"]", "[\"x25519\", \"X25519\"]")),
        ["t.toml:4:21: `groups[1]`: \"X25519\" is listed twice"]
    );
}

#[test]
fn ssl_is_never_served() {
    assert_eq!(
        mistakes(&OLD.replace("\"TLSv1\"", "\"SSLv3\"")),
        [
            "t.toml:2:13: `versions[0]`: SSLv3 is broken and never served | the oldest version possible is TLSv1"
        ]
    );
}

#[test]
fn an_unknown_suite_hides_no_other_mistake() {
    let text = OLD.replace("\"TLSv1\"", "\"SSLv3\"").replace("_RC4_128_SHA", "_RC4_129_SHA");
    let found = mistakes(&text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("SSLv3 is broken and never served"), "{found:?}");
    assert!(found[1].contains("did you mean \"TLS_RSA_WITH_RC4_128_SHA\"?"), "{found:?}");
}

#[test]
fn suites_that_can_serve_nobody_are_mistakes() {
    let with = |suite: &str| mistakes(&OLD.replace("TLS_RSA_WITH_RC4_128_SHA", suite));
    let at = "t.toml:3:79: `suites[2]`:";
    for (suite, why) in [
        ("TLS_RSA_EXPORT_WITH_RC4_40_MD5", "can be broken by anyone and is never served"),
        ("TLS_DH_anon_WITH_AES_128_CBC_SHA", "shows no certificate, so no device could be known"),
        ("TLS_FALLBACK_SCSV", "is a signal that clients send, not a cipher suite"),
        ("TLS_RSA_WITH_NULL_SHA", "is served by no engine of this gateway"),
        ("TLS_AES_128_GCM_SHA256", "needs TLSv1.3, which `versions` does not list"),
    ] {
        assert_eq!(with(suite), [format!("{at} {suite} {why}")]);
    }
}

#[test]
fn a_version_without_a_suite_is_a_mistake() {
    assert_eq!(
        mistakes(&GOOD.replace("\"TLS_AES_128_GCM_SHA256\", ", "")),
        ["t.toml:2:13: `versions[0]`: no suite of `suites` serves TLSv1.3"]
    );
    assert_eq!(
        mistakes(&GOOD.replace(", \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"", "")),
        ["t.toml:2:24: `versions[1]`: no suite of `suites` serves TLSv1.2"]
    );
}

#[test]
fn a_size_that_serves_no_suite_is_a_mistake() {
    assert_eq!(
        mistakes(&format!("{GOOD}dh-bits = 2048\n")),
        ["t.toml:6:11: `dh-bits`: no DHE suite is listed that it could serve"]
    );
    assert_eq!(
        mistakes(&OLD.replace("1024", "512")),
        ["t.toml:6:11: `dh-bits`: 512 is out of range: 1024 to 8192"]
    );
}
