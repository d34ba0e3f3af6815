//! One test for each reason why a certificate chain is refused, each with the twin that is let in.

use harness::{
    client::Client,
    expect::now,
    gateway::{Gateway, MAC, PRODUCT, SERIAL, Scene, phone_template},
    openssl::SClient,
    pki::{
        Authority, CLIENT_AUTH, Credentials, DAY, Digest, Extension, Key, KeyKind, Name, SERVER_AUTH,
        Template, attribute,
    },
};
use policies::Reason;

use crate::verdict::{admitted, judged, refused};

/// The phone's certificate with one thing changed, against the unchanged one.
fn one_change(reason: Reason, change: impl Fn(&mut Template)) {
    let scene = Scene::new();
    let mut template = phone_template();
    change(&mut template);
    judged(&scene, &scene.client_authority.issue(&template), reason, &scene.phone());
}

/// The phone's certificate under one intermediate or the other.
fn under(scene: &Scene, wrong: &Authority, reason: Reason, right: &Authority) {
    judged(scene, &wrong.issue(&phone_template()), reason, &right.issue(&phone_template()));
}

#[test]
fn refuses_a_leaf_that_expired_one_second_ago() {
    one_change(Reason::Expired, |leaf| leaf.not_after = now() - 1);
}

#[test]
fn refuses_a_leaf_that_is_valid_from_tomorrow() {
    one_change(Reason::NotYetValid, |leaf| leaf.not_before = now() + DAY);
}

#[test]
fn refuses_a_leaf_whose_signature_is_damaged() {
    one_change(Reason::BadSignature, |leaf| leaf.damaged = true);
}

#[test]
fn refuses_a_leaf_from_an_authority_of_another_name() {
    let scene = Scene::new();
    let foreign = Authority::root("Another Root").issue(&phone_template());
    judged(&scene, &foreign, Reason::UnknownIssuer, &scene.phone());
}

#[test]
fn refuses_a_leaf_from_an_authority_of_the_same_name_and_another_key() {
    let scene = Scene::new();
    let impostor = Authority::root("Test Client Root").issue(&phone_template());
    judged(&scene, &impostor, Reason::BadSignature, &scene.phone());
}

#[test]
fn refuses_a_leaf_whose_intermediate_was_not_sent_and_is_not_held() {
    let scene = Scene::new();
    let whole = scene.client_authority.intermediate("Test Issuing").issue(&phone_template());
    let alone = Credentials { chain: whole.chain[..1].to_vec(), ..whole.clone() };
    judged(&scene, &alone, Reason::UnknownIssuer, &whole);
}

#[test]
fn accepts_a_leaf_sent_alone_when_the_gateway_holds_its_intermediate() {
    let mut scene = Scene::new();
    let intermediate = scene.client_authority.intermediate("Test Issuing");
    scene.folder.write("issuing.pem", intermediate.pem());
    scene.config.trust_line("intermediates = \"issuing.pem\"");
    let whole = intermediate.issue(&phone_template());
    let alone = Credentials { chain: whole.chain[..1].to_vec(), ..whole };
    let gateway = scene.start();
    admitted(&gateway, &scene.client(&gateway, &alone));
}

#[test]
fn refuses_bytes_that_are_no_certificate() {
    let scene = Scene::new();
    let phone = scene.phone();
    let mut cut = phone.clone();
    cut.chain[0].truncate(100);
    judged(&scene, &cut, Reason::CertificateMalformed, &phone);
}

/// SEC-54.
#[test]
fn refuses_a_chain_of_eleven_certificates() {
    let scene = Scene::new();
    let phone = scene.phone();
    let with = |count: usize| {
        let more = std::iter::repeat_n(scene.client_authority.certificate().to_vec(), count - 1);
        Credentials { chain: phone.chain.iter().cloned().chain(more).collect(), ..phone.clone() }
    };
    judged(&scene, &with(11), Reason::ChainTooLarge, &with(10));
}

#[test]
fn refuses_a_leaf_signed_with_an_algorithm_nobody_knows() {
    one_change(Reason::UnsupportedAlgorithm, |leaf| leaf.digest = Digest::Unheard);
}

/// SEC-56.
#[test]
fn refuses_a_version_1_leaf_unless_the_trust_entry_allows_it() {
    let mut scene = Scene::new();
    let old = scene.client_authority.issue(&Template { version_3: false, ..phone_template() });
    judged(&scene, &old, Reason::UnsupportedVersion, &scene.phone());
    scene.config.trust_line("allow = [\"x509-v1\"]");
    std::fs::remove_file(scene.folder.join("audit.jsonl")).unwrap();
    let gateway = scene.start();
    for version in [Client::tls12, Client::tls13] {
        let record = admitted(&gateway, &version(scene.client(&gateway, &old)));
        assert_eq!(record.at("exceptions").unwrap(), &serde_json::json!(["x509-v1"]));
    }
}

#[test]
fn refuses_a_chain_whose_intermediate_is_no_authority() {
    let scene = Scene::new();
    let wrong = Template::authority("Test Issuing").with(Extension::basic_constraints(false, None));
    let wrong = scene.client_authority.intermediate_with(wrong);
    under(&scene, &wrong, Reason::NotAnAuthority, &scene.client_authority.intermediate("Test Issuing 2"));
}

#[test]
fn refuses_a_chain_whose_intermediate_may_not_sign_certificates() {
    let scene = Scene::new();
    let wrong =
        scene.client_authority.intermediate_with(Template::authority("One").with(Extension::key_usage(0x02)));
    let right =
        scene.client_authority.intermediate_with(Template::authority("Two").with(Extension::key_usage(0x04)));
    under(&scene, &wrong, Reason::KeyUsage, &right);
}

/// SEC-24.
#[test]
fn refuses_a_leaf_whose_key_is_only_for_encryption() {
    one_change(Reason::KeyUsage, |leaf| *leaf = leaf.clone().with(Extension::key_usage(0x20)));
}

/// SEC-24.
#[test]
fn refuses_a_leaf_that_is_only_for_servers() {
    one_change(Reason::ExtendedKeyUsage, |leaf| {
        *leaf = leaf.clone().with(Extension::extended_key_usage(&[SERVER_AUTH]));
    });
}

/// SEC-24.
#[test]
fn refuses_a_leaf_that_is_only_for_mail() {
    one_change(Reason::ExtendedKeyUsage, |leaf| {
        *leaf = leaf.clone().with(Extension::extended_key_usage(&["1.3.6.1.5.5.7.3.4"]));
    });
}

#[test]
fn accepts_a_leaf_without_extended_key_usage_unless_the_entry_requires_it() {
    let mut scene = Scene::new();
    let without = scene.client_authority.issue(&phone_template().without("2.5.29.37"));
    let both = [CLIENT_AUTH, SERVER_AUTH];
    let with = scene.client_authority.issue(&phone_template().with(Extension::extended_key_usage(&both)));
    let gateway = scene.start();
    admitted(&gateway, &scene.client(&gateway, &without));
    admitted(&gateway, &scene.client(&gateway, &with));
    drop(gateway);
    scene.config.trust_line("require-eku = true");
    std::fs::remove_file(scene.folder.join("audit.jsonl")).unwrap();
    judged(&scene, &without, Reason::ExtendedKeyUsage, &with);
}

#[test]
fn refuses_a_chain_longer_than_an_authority_in_it_allows() {
    let scene = Scene::new();
    let limited = |name: &str, length| {
        let template = Template::authority(name).with(Extension::basic_constraints(true, Some(length)));
        scene.client_authority.intermediate_with(template).intermediate("Below")
    };
    under(&scene, &limited("One", 0), Reason::PathLength, &limited("Two", 1));
}

#[test]
fn refuses_a_name_outside_what_the_authority_may_vouch_for() {
    let scene = Scene::new();
    let template = Template::authority("Limited").with(Extension::permitted_dns("example.com"));
    let limited = scene.client_authority.intermediate_with(template);
    let named = |name: &str| limited.issue(&phone_template().with(Extension::dns_names(&[name])));
    judged(&scene, &named("phone.example.org"), Reason::NameConstraints, &named("phone.example.com"));
}

#[test]
fn refuses_a_critical_extension_nobody_knows() {
    let scene = Scene::new();
    let with = |critical| {
        let extension = Extension::new("1.3.6.1.4.1.99999.8", critical, harness::der::null());
        scene.client_authority.issue(&phone_template().with(extension))
    };
    judged(&scene, &with(true), Reason::UnknownCriticalExtension, &with(false));
}

#[test]
fn refuses_a_leaf_without_the_policy_its_authority_requires() {
    let scene = Scene::new();
    let policies = || {
        let information = harness::der::sequence(&[harness::der::oid("1.3.6.1.4.1.99999.9")]);
        Extension::new("2.5.29.32", false, harness::der::sequence(&[information]))
    };
    let template = Template::authority("Strict").with(policies()).with(Extension::require_explicit_policy());
    let strict = scene.client_authority.intermediate_with(template);
    let without = strict.issue(&phone_template());
    let with = strict.issue(&phone_template().with(policies()));
    judged(&scene, &without, Reason::CertificatePolicy, &with);
}

/// SEC-24.
#[test]
fn refuses_an_authority_that_presents_its_own_certificate() {
    let scene = Scene::new();
    let named = |authority: bool| {
        let mut template = Template::authority("unused");
        template.subject = Name::phone(PRODUCT, SERIAL, MAC);
        if !authority {
            template =
                template.with(Extension::basic_constraints(false, None)).with(Extension::key_usage(0x80));
        } else {
            template = template.with(Extension::key_usage(0x80 | 0x04));
        }
        scene.client_authority.issue(&template)
    };
    judged(&scene, &named(true), Reason::LeafIsAuthority, &named(false));
}

/// SEC-56: old algorithms are off unless the trust entry names them, and then every record shows them.
#[test]
fn refuses_a_sha1_signature_unless_the_trust_entry_allows_it() {
    let mut scene = Scene::new();
    let old = Authority::root_with(Key::old(2048), Template::authority("Old Root"));
    scene.folder.write("client-root.pem", old.pem());
    let sha1 = old.issue(&Template { digest: Digest::Sha1, ..phone_template() });
    judged(&scene, &sha1, Reason::WeakSignature, &old.issue(&phone_template()));
    scene.config.trust_line("allow = [\"sha1\"]");
    std::fs::remove_file(scene.folder.join("audit.jsonl")).unwrap();
    let gateway = scene.start();
    let record = admitted(&gateway, &scene.client(&gateway, &sha1));
    assert_eq!(record.at("exceptions").unwrap(), &serde_json::json!(["sha1"]));
}

/// SEC-56. Our own client would not use such a key; `openssl` does when told to.
#[test]
fn refuses_a_1024_bit_key_unless_the_trust_entry_allows_it() {
    use harness::expect::{Peer, all_present};
    if !all_present("refuses_a_1024_bit_key_unless_the_trust_entry_allows_it", &[Peer::Openssl]) {
        return;
    }
    let mut scene = Scene::new();
    let with = |scene: &Scene, gateway: &Gateway, kind, version| {
        let phone = scene.client_authority.issue_for(Key::new(kind), &phone_template());
        SClient::new(gateway.address(), &scene.server_authority)
            .presenting(&phone)
            .with(&["-cipher", "DEFAULT@SECLEVEL=0", version])
            .get(harness::gateway::PROFILE)
    };
    let gateway = scene.start();
    for version in ["-tls1_2", "-tls1_3"] {
        let weak = with(&scene, &gateway, KeyKind::Rsa1024, version);
        let record = gateway.audit.next();
        assert_eq!(record.text("reason"), Reason::WeakKey.as_str(), "{record:?} {weak:?}");
        assert_eq!(record.text("alert"), "sent unsupported_certificate");
        assert!(weak.err.contains("alert unsupported certificate"), "{weak:?}");
        let strong = with(&scene, &gateway, KeyKind::Rsa2048, version);
        assert!(strong.out.contains("HTTP/1.1 200"), "{strong:?}");
        gateway.audit.next();
    }
    drop(gateway);
    scene.config.trust_line("allow = [\"rsa-1024\"]");
    let gateway = scene.start();
    gateway.audit.skip_to_end();
    for version in ["-tls1_2", "-tls1_3"] {
        let weak = with(&scene, &gateway, KeyKind::Rsa1024, version);
        assert!(weak.out.contains("HTTP/1.1 200"), "{weak:?}");
        assert_eq!(gateway.audit.next().at("exceptions").unwrap(), &serde_json::json!(["rsa-1024"]));
    }
}

#[test]
fn accepts_an_expired_leaf_within_the_grace_of_its_trust_entry() {
    let mut scene = Scene::new();
    scene.config.trust_line("allow = [{ expired = \"1h\" }]");
    let expired =
        |ago| scene.client_authority.issue(&Template { not_after: now() - ago, ..phone_template() });
    let gateway = scene.start();
    let record = admitted(&gateway, &scene.client(&gateway, &expired(1800)));
    assert_eq!(record.at("exceptions").unwrap(), &serde_json::json!(["expired"]));
    refused(&gateway, &scene.client(&gateway, &expired(7200)), Reason::Expired);
}

/// SEC-23: an anchor vouches only for the profiles of its own entry.
#[test]
fn the_same_subject_under_another_anchor_is_judged_by_that_anchors_entry() {
    let mut scene = Scene::new();
    let other = Authority::root("Operator Root");
    scene.folder.write("operators.pem", other.pem());
    scene.config.host().trust.push(harness::gateway::Trust::new("operators.pem", &["operator"]));
    let gateway = scene.start();
    let record = admitted(&gateway, &scene.client(&gateway, &scene.phone()));
    assert_eq!(record.text("device.kind"), "device");
    let same = other.issue(&phone_template());
    let record = crate::verdict::forbidden(
        &gateway,
        &scene.client(&gateway, &same),
        harness::gateway::PROFILE,
        403,
        Reason::NoRuleMatched,
    );
    assert_eq!(record.text("device.kind"), "operator");
}

/// SEC-57: shapes that real authorities produce.
#[test]
fn accepts_the_odd_shapes_of_real_certificates() {
    let scene = Scene::new();
    let gateway = scene.start();
    let serials: [(&[u8], &str); 4] =
        [(&[0], "00"), (&[0x0a, 0xbc], "0ABC"), (&[0x00, 0xff], "FF"), (&[0xff], "-01")];
    for (serial, text) in serials {
        let phone = scene.client_authority.issue(&Template { serial: serial.to_vec(), ..phone_template() });
        let record = admitted(&gateway, &scene.client(&gateway, &phone));
        assert_eq!(record.text("certificate.serial"), text);
    }
    for not_after in [2_524_607_999, 2_524_608_000, 253_402_300_799] {
        let phone = scene.client_authority.issue(&Template { not_after, ..phone_template() });
        let record = admitted(&gateway, &scene.client(&gateway, &phone));
        assert!(record.text("certificate.not_after") >= "2049-12-31T23:59:59Z");
    }
    let bare = phone_template().without("2.5.29.37").without("2.5.29.15").without("2.5.29.19");
    admitted(&gateway, &scene.client(&gateway, &scene.client_authority.issue(&bare)));
    let bmp = Name::new()
        .typed(attribute::ORGANIZATIONAL_UNIT, 0x1e, &utf16(PRODUCT))
        .typed(attribute::LOCALITY, 0x13, SERIAL.as_bytes())
        .typed(attribute::SURNAME, 0x14, MAC.as_bytes());
    let record = admitted(&gateway, &scene.client(&gateway, &scene.device(bmp)));
    assert_eq!((record.text("device.product"), record.text("device.mac")), (PRODUCT, MAC));
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}
