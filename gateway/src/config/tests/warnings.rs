use certs::{KeyUsage, oid};

use super::*;

/// The warnings about a server certificate.
fn of_server(fixture: &Fixture, certificate: certs::testing::CertificateBuilder) -> Vec<String> {
    let issued = certificate.issue();
    fixture.write("server/chain.pem", issued.chain_pem());
    fixture.write_key("server/key.pem", issued.key_pem());
    fixture.warnings(SOUND)
}

#[test]
fn a_server_certificate_that_phones_will_not_take_is_a_warning() {
    let fixture = Fixture::new();
    let sound = || fixture.server.server("prov.example.com");
    assert_eq!(of_server(&fixture, sound()), Vec::<String>::new());
    let day = 86_400;
    for (certificate, expected) in [
        (sound().not_after(Pki::NOW.plus_seconds(29 * day)), "expires in 29 days, 2026-12-22T00:00:00Z"),
        (sound().not_after(Pki::NOW.plus_seconds(-1)), "expired 2026-11-22T23:59:59Z | phones refuse it"),
        (sound().not_before(Pki::NOW.plus_seconds(1)), "not valid before 2026-11-23T00:00:01Z"),
        (sound().key_usage(KeyUsage::KEY_ENCIPHERMENT), "its key usage lacks digitalSignature"),
        (sound().purposes(&[oid::CLIENT_AUTH]), "its extended key usage lacks serverAuth"),
        (
            sound().is_authority(None).key_usage(KeyUsage::DIGITAL_SIGNATURE),
            "it is a certificate authority's own",
        ),
        (sound().dns_names(&["*.example.com"]), "it has a wildcard name"),
        (
            sound().dns_names(&["other.example.com"]),
            "it is not for prov.example.com; its names are: other.example.com",
        ),
    ] {
        let warnings = of_server(&fixture, certificate);
        assert_eq!(warnings.len(), 1, "{expected}: {warnings:?}");
        let expected = format!("7:15: `host[0].certificate`: certificate ~/server/chain.pem: {expected}");
        assert!(warnings[0].starts_with(&expected), "\n  found {}\nexpected {expected}", warnings[0]);
    }
    assert_eq!(of_server(&fixture, sound().not_after(Pki::NOW.plus_seconds(30 * day))), Vec::<String>::new());
}

#[test]
fn the_common_name_counts_where_there_are_no_alternative_names_up_to_its_slash() {
    let fixture = Fixture::new();
    let named =
        |name: &str| fixture.server.leaf().attribute(oid::COMMON_NAME, name).purposes(&[oid::SERVER_AUTH]);
    assert_eq!(of_server(&fixture, named("prov.example.com/mailto:admin@example.com")), Vec::<String>::new());
    assert_eq!(of_server(&fixture, named("pv.example.com/prov.example.com")).len(), 1);
}

#[test]
fn crls_that_will_refuse_phones_are_warnings() {
    let fixture = Fixture::new();
    let root = fixture.pki.root();
    assert_eq!(fixture.warnings(SOUND), Vec::<String>::new());
    fixture.write("trust/crls/root.crl", root.crl().expired().to_pem());
    let warnings = fixture.warnings(SOUND);
    assert!(
        warnings[0].contains("the CRL of CN=Test Client Root in ~/trust/crls/root.crl is out of date"),
        "{warnings:?}"
    );
    let tolerant = SOUND.replace("deny = ", "crl-expired = \"allow\"\ndeny = ");
    assert_eq!(fixture.warnings(&tolerant), Vec::<String>::new());

    fixture.write("trust/crls/root.crl", root.crl().signed_by(Pki::named("Other").root()).to_pem());
    let warnings = fixture.warnings(SOUND);
    assert!(warnings[0].contains("is not usable: its signature is not its issuer's"), "{warnings:?}");
    assert!(warnings[1].contains("there is no usable CRL of CN=Test Client Root"), "{warnings:?}");

    fixture.write("trust/crls/root.crl", Pki::named("Other").root().crl().to_der());
    let warnings = fixture.warnings(SOUND);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("there is no usable CRL of CN=Test Client Root"), "{warnings:?}");
    let tolerant = SOUND.replace("deny = ", "crl-unknown = \"allow\"\ndeny = ");
    assert_eq!(fixture.warnings(&tolerant), Vec::<String>::new());
}

#[test]
fn an_anchor_that_expired_is_a_warning_because_its_phones_are_still_accepted() {
    let fixture = Fixture::new();
    let old = certs::testing::Authority::root("Old Root").expired().authority();
    fixture.write("trust/root.pem", old.certificate().to_pem());
    let warnings = fixture.warnings(&SOUND.replace("crls = \"trust/crls\"\n", ""));
    assert!(
        warnings[0].starts_with("15:11: `host[0].trust[0].anchors`: anchor CN=Old Root expired"),
        "{warnings:?}"
    );
}

#[test]
fn what_is_tolerated_ends_with_its_last_day() {
    let fixture = Fixture::new();
    let allow = "allow = [\"sha1\", \"md5\", \"rsa-1024\", \"x509-v1\", { expired = \"3y\" }]\n";
    let until = |day: &str| SOUND.replace("deny = ", &format!("{allow}until = {day}\ndeny = "));
    let on = fixture.load(&until("2026-11-23")).expect("it is sound");
    assert_eq!(on.warnings, []);
    let tolerances = on.hosts[0].trust[0].tolerances;
    assert!(tolerances.sha1 && tolerances.md5 && tolerances.rsa_1024 && tolerances.x509_v1);
    assert_eq!(tolerances.expired, Some(3 * 365 * 86_400));
    assert_eq!(on.changes_at.map(|at| at.to_string()).as_deref(), Some("2026-11-24T00:00:00Z"));
    let after = fixture.load(&until("2026-11-22")).expect("it is sound");
    assert_eq!(after.hosts[0].trust[0].tolerances, certs::Tolerances::default());
    assert!(after.warnings[0].to_string().contains("ended with 2026-11-22"), "{:?}", after.warnings);
    assert_eq!(after.changes_at, None);
}

#[test]
fn a_policy_for_old_phones_is_sound_with_their_engine_and_a_mistake_without_it() {
    let fixture = Fixture::new();
    let policy = |versions: &str, suites: &str| {
        format!(
            "versions = [{versions}]\nsuites = [{suites}]\ngroups = [\"x25519\"]\n\
             signature-algorithms = [\"rsa_pkcs1_sha256\"]\n"
        )
    };
    let modern = "\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"";
    let text = SOUND.replace("\"modern\"", "\"own.toml\"");
    fixture.write("own.toml", policy("\"TLSv1.2\"", modern));
    assert_eq!(fixture.warnings(&text), Vec::<String>::new());
    let older = policy("\"TLSv1\", \"TLSv1.2\"", &format!("{modern}, \"TLS_RSA_WITH_AES_128_CBC_SHA\""));
    fixture.write("own.toml", older);
    for (policy, listed) in [
        ("own.toml", "TLSv1, TLS_RSA_WITH_AES_128_CBC_SHA"),
        ("guide", "TLSv1, TLSv1.1, TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
    ] {
        let loaded = fixture.load(&SOUND.replace("\"modern\"", &format!("\"{policy}\"")));
        if cfg!(feature = "legacy-tls") {
            assert!(loaded.is_ok(), "{loaded:?}");
        } else {
            let mistakes = loaded.unwrap_err();
            assert!(
                mistakes[0].to_string().contains(&format!("lists what is not served: {listed}")),
                "{mistakes:?}"
            );
        }
    }
}

/// A phone that encrypts to the server's key needs an RSA certificate that allows it.
#[cfg(feature = "legacy-tls")]
#[test]
fn a_certificate_that_cannot_serve_a_suite_of_the_policy_is_a_warning() {
    use certs::{KeyUsage, testing::KeyKind};

    let fixture = Fixture::new();
    let guide = SOUND.replace("\"modern\"", "\"guide\"");
    let of = |builder: certs::testing::CertificateBuilder| {
        let issued = builder.issue();
        fixture.write("server/chain.pem", issued.chain_pem());
        fixture.write_key("server/key.pem", issued.key_pem());
        fixture.warnings(&guide)
    };
    let server = || fixture.server.server("prov.example.com");
    let both = [KeyUsage::DIGITAL_SIGNATURE, KeyUsage::KEY_ENCIPHERMENT];
    assert_eq!(of(server().key(KeyKind::Rsa2048).key_usages(&both)), Vec::<String>::new());
    let warnings = of(server().key(KeyKind::Rsa2048).key_usage(KeyUsage::DIGITAL_SIGNATURE));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains(
            "because its key usage lacks keyEncipherment: TLS_RSA_WITH_AES_256_CBC_SHA, TLS_RSA_WITH_AES_128_CBC_SHA, \
             TLS_RSA_WITH_RC4_128_SHA, TLS_RSA_WITH_RC4_128_MD5"
        ),
        "{warnings:?}"
    );
    let warnings = of(server().key(KeyKind::P256));
    assert!(
        warnings[0].contains("because it has no key of their kind: TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
        "{warnings:?}"
    );
}

#[test]
fn without_audit_nothing_is_recorded_and_check_says_so() {
    let fixture = Fixture::new();
    let text = SOUND.split_once("[audit]").unwrap().0;
    let warnings = fixture.warnings(text);
    assert!(warnings[0].starts_with("1:1: nothing is recorded"), "{warnings:?}");
}

#[test]
fn sec_28_a_host_within_another_ones_wildcard_that_asks_otherwise_is_a_warning() {
    let fixture = Fixture::new();
    let host = SOUND.split_once("[[host]]").unwrap().1.split_once("[audit]").unwrap().0;
    let other =
        host.replace("[\"prov.example.com\"]", "[\"*.example.com\"]").replace("\"required\"", "\"optional\"");
    let of_names = |text: &str| {
        let warnings = fixture.warnings(text);
        warnings.into_iter().filter(|warning| warning.contains("client-auth")).collect::<Vec<_>>()
    };
    let text = SOUND.replace("[audit]", &format!("[[host]]{other}[audit]"));
    assert_eq!(
        of_names(&text),
        [
            "5:1: `host`: for prov.example.com client-auth is required, and optional for the other names that the host of line 20 covers"
        ]
    );
    assert_eq!(of_names(&text.replace("\"optional\"", "\"required\"")), Vec::<String>::new());
}

#[test]
fn a_denied_serial_number_of_an_authority_that_is_not_here_is_a_warning() {
    let fixture = Fixture::new();
    let root = fixture.pki.root().certificate().fingerprint();
    let other = fixture.server.root().certificate().fingerprint();
    fixture.write("deny.txt", format!("# stolen\ncert-serial {root} 0A\n"));
    assert_eq!(fixture.warnings(SOUND), Vec::<String>::new());
    fixture.write("deny.txt", format!("# stolen\ncert-serial {other} 0A\n"));
    let expected = "~/deny.txt:2: the issuer is none of this trust entry's anchors and intermediates | \
                    the line denies nothing below another certificate of that authority; add it to `intermediates`";
    assert_eq!(fixture.warnings(SOUND), [expected]);
}
