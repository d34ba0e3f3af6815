use certs::testing::{KeyKind, Pki};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;
use crate::client_hello::Format;

fn credentials(kinds: &[KeyKind], rules: &TlsRules) -> Credentials {
    let pki = Pki::new();
    let issued: Vec<_> = kinds.iter().map(|kind| pki.server("prov.example.com").key(*kind).issue()).collect();
    let pairs: Vec<_> = issued
        .iter()
        .map(|issued| {
            let key: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(issued.key_der().to_vec()).into();
            (std::slice::from_ref(&issued.certificate), key)
        })
        .collect();
    Credentials::new(pairs.iter().map(|(chain, key)| (*chain, key)), &modern::signature_schemes(rules))
        .unwrap()
}

/// What a TLS 1.2 client of today offers.
fn today() -> ClientHello {
    ClientHello {
        legacy_version: TlsVersion::TLS1_2,
        supported_versions: Vec::new(),
        suites: vec![CipherSuite(0xc02f), CipherSuite(0x002f), CipherSuite::RENEGOTIATION_SCSV],
        extensions: vec![10, 13],
        server_name: None,
        alpn: Vec::new(),
        groups: vec![policies::Group::X25519],
        point_formats: vec![0],
        signature_algorithms: Some(vec![SignatureScheme(0x0401), SignatureScheme(0x0804)]),
        format: Format::Tls,
    }
}

/// What a phone of the guide's table offers: its list over TLS 1.0 and nothing else.
fn table() -> ClientHello {
    let suites = [0x0039, 0x0035, 0x0033, 0x002f, 0x0005, 0x0004, 0x0062, 0x0060, 0x0003];
    ClientHello {
        legacy_version: TlsVersion::TLS1_0,
        suites: suites.map(CipherSuite).to_vec(),
        extensions: Vec::new(),
        groups: Vec::new(),
        point_formats: Vec::new(),
        signature_algorithms: None,
        ..today()
    }
}

fn chosen(hello: &ClientHello, policy: &str, kinds: &[KeyKind]) -> Result<&'static str, Reason> {
    let rules = TlsRules::shipped(policy).unwrap();
    let engine = choose(hello, &rules, &credentials(kinds, &rules));
    engine.map(|choice| choice.engine().as_str()).map_err(|refused| refused.reason)
}

const RSA: &[KeyKind] = &[KeyKind::Rsa2048];

#[test]
fn today_is_served_by_the_modern_engine_under_every_policy() {
    for policy in TlsRules::shipped_names() {
        assert_eq!(chosen(&today(), policy, RSA), Ok("modern"), "{policy}");
    }
}

#[cfg(feature = "legacy-tls")]
#[test]
fn whatever_rustls_cannot_serve_goes_to_the_legacy_engine_if_the_policy_has_it() {
    let without = |change: fn(&mut ClientHello)| {
        let mut hello = today();
        change(&mut hello);
        hello
    };
    for (what, hello, strict) in [
        ("the table", table(), Reason::VersionNotSupported),
        (
            "the table in SSLv2's framing",
            ClientHello { format: Format::Sslv2, ..table() },
            Reason::VersionNotSupported,
        ),
        ("no modern suite", without(|hello| hello.suites = vec![CipherSuite(0x002f)]), Reason::NoSharedSuite),
        (
            "no group of ours",
            without(|hello| hello.groups = vec![policies::Group(22)]),
            Reason::NoSharedGroup,
        ),
        (
            "no signature algorithms",
            without(|hello| hello.signature_algorithms = None),
            Reason::NoSharedSignatureAlgorithm,
        ),
        (
            "SHA-1 alone",
            without(|hello| hello.signature_algorithms = Some(vec![SignatureScheme::RSA_PKCS1_SHA1])),
            Reason::NoSharedSignatureAlgorithm,
        ),
    ] {
        assert_eq!(chosen(&hello, "guide", RSA), Ok("legacy"), "{what}");
        assert_eq!(chosen(&hello, "guide-no-rc4", RSA), Ok("legacy"), "{what}");
        assert_eq!(chosen(&hello, "modern", RSA), Err(strict), "{what}");
    }
}

#[test]
fn a_client_of_tls_1_3_is_judged_by_that_offer_alone() {
    let hello = ClientHello {
        supported_versions: vec![TlsVersion::TLS1_3, TlsVersion::TLS1_2],
        extensions: vec![10, 13, 43],
        ..today()
    };
    assert_eq!(chosen(&hello, "guide", RSA), Err(Reason::NoSharedSuite), "AES128-SHA is no suite of TLS 1.3");
    let with = ClientHello { suites: vec![CipherSuite(0x1301)], ..hello };
    assert_eq!(chosen(&with, "guide", RSA), Ok("modern"));
}

#[test]
fn rc4_and_export_are_refused_where_the_policy_has_no_rc4() {
    let only =
        |suites: &[u16]| ClientHello { suites: suites.iter().copied().map(CipherSuite).collect(), ..table() };
    for policy in ["guide", "guide-no-rc4"] {
        assert_eq!(chosen(&only(&[0x0003, 0x0060, 0x0062, 0x0064]), policy, RSA), Err(Reason::ExportOnly));
        assert_eq!(chosen(&only(&[0x000a]), policy, RSA), Err(Reason::NoSharedSuite));
    }
    assert_eq!(chosen(&only(&[0x0005, 0x0003]), "guide-no-rc4", RSA), Err(Reason::NoSharedSuite));
    let rules = TlsRules::shipped("guide").unwrap();
    let refused = choose(&only(&[0x0003]), &rules, &credentials(RSA, &rules)).unwrap_err();
    assert_eq!(refused.alert, AlertDescription::InsufficientSecurity);
}

#[cfg(feature = "legacy-tls")]
#[test]
fn the_suites_of_the_table_need_an_rsa_certificate() {
    assert_eq!(chosen(&table(), "guide", &[KeyKind::P256]), Err(Reason::NoSharedSuite));
    assert_eq!(chosen(&table(), "guide", &[KeyKind::P256, KeyKind::Rsa2048]), Ok("legacy"));
}

#[test]
fn a_needless_fallback_is_refused_at_every_older_version() {
    for version in [TlsVersion::TLS1_0, TlsVersion::TLS1_1, TlsVersion::TLS1_2] {
        let mut hello = ClientHello { legacy_version: version, ..table() };
        hello.suites.push(CipherSuite::FALLBACK_SCSV);
        assert_eq!(chosen(&hello, "guide", RSA), Err(Reason::InappropriateFallback), "{version}");
    }
    let mut newest = today();
    newest.supported_versions = vec![TlsVersion::TLS1_3];
    newest.extensions.push(43);
    newest.suites = vec![CipherSuite(0x1301), CipherSuite::FALLBACK_SCSV];
    assert_eq!(chosen(&newest, "guide", RSA), Ok("modern"), "nothing is newer");
}

#[cfg(feature = "legacy-tls")]
#[test]
fn a_suite_that_signs_needs_a_signature_that_the_client_takes() {
    let dhe = |schemes: Option<Vec<SignatureScheme>>| ClientHello {
        suites: vec![CipherSuite(0x0033)],
        signature_algorithms: schemes,
        ..today()
    };
    let md5 = Some(vec![SignatureScheme(0x0101)]);
    assert_eq!(chosen(&dhe(md5.clone()), "guide", RSA), Err(Reason::NoSharedSignatureAlgorithm));
    assert_eq!(chosen(&dhe(Some(vec![SignatureScheme(0x0401)])), "guide", RSA), Ok("legacy"));
    assert_eq!(chosen(&dhe(None), "guide", RSA), Ok("legacy"), "it means SHA-1");
    let without_dhe = ClientHello { suites: vec![CipherSuite(0x002f)], ..dhe(md5.clone()) };
    assert_eq!(
        chosen(&without_dhe, "guide", RSA),
        Err(Reason::NoSharedSignatureAlgorithm),
        "OpenSSL asks all the same"
    );
    let older = ClientHello { legacy_version: TlsVersion::TLS1_1, ..dhe(md5) };
    assert_eq!(chosen(&older, "guide", RSA), Ok("legacy"), "TLS 1.1 leaves no choice");
}

/// Without SHA-1 in the policy nobody signs for a client that names no algorithm, and where it encrypts nobody needs to.
#[cfg(feature = "legacy-tls")]
#[test]
fn the_one_suite_that_works_is_named_where_openssl_would_begin_with_another() {
    let strict = "versions = [\"TLSv1\", \"TLSv1.2\"]\n\
        suites = [\"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA\", \"TLS_DHE_RSA_WITH_AES_256_CBC_SHA\", \
        \"TLS_RSA_WITH_AES_128_CBC_SHA\"]\n\
        groups = [\"x25519\"]\nsignature-algorithms = [\"rsa_pkcs1_sha256\"]\n";
    let rules = TlsRules::parse("strict.toml", strict).unwrap();
    let credentials = credentials(RSA, &rules);
    let hello = |suites: &[u16], schemes: Option<Vec<SignatureScheme>>| ClientHello {
        suites: suites.iter().copied().map(CipherSuite).collect(),
        signature_algorithms: schemes,
        ..today()
    };
    let choose = |hello: &ClientHello| choose(hello, &rules, &credentials);
    let named = Some(vec![SignatureScheme(0x0401)]);
    assert_eq!(choose(&hello(&[0x0039, 0x002f], named)), Ok(Choice::Legacy { only: None }));
    let only = Some(CipherSuite(0x002f));
    assert_eq!(choose(&hello(&[0x0039, 0x002f], None)), Ok(Choice::Legacy { only }));
    assert_eq!(choose(&hello(&[0x002f], None)), Ok(Choice::Legacy { only: None }));
    let refused = |hello: ClientHello| choose(&hello).unwrap_err().reason;
    assert_eq!(refused(hello(&[0x0039], None)), Reason::NoSharedSignatureAlgorithm);
    let nameless = ClientHello { groups: Vec::new(), ..hello(&[0xc013], None) };
    assert_eq!(
        refused(nameless.clone()),
        Reason::NoSharedGroup,
        "OpenSSL has none for a client that names none"
    );
    let older =
        ClientHello { legacy_version: TlsVersion::TLS1_0, suites: vec![CipherSuite(0x0039)], ..nameless };
    assert_eq!(choose(&older), Ok(Choice::Legacy { only: None }), "TLS 1.0 leaves no choice");
}

#[test]
fn ssl_3_is_never_served() {
    let hello = ClientHello { legacy_version: TlsVersion::SSL3, ..table() };
    assert_eq!(chosen(&hello, "guide", RSA), Err(Reason::VersionNotSupported));
}
