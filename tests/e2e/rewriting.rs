//! What a backend is told of the device, preset by preset.

use harness::{
    expect::now,
    gateway::{HOST, MAC, PRODUCT, PROFILE, SERIAL, Scene, phone_template},
    origin::{Origin, Received},
    pki::{Credentials, DAY, Extension, Name, Template, attribute::*},
};

/// One request under these presets and further lines, as the origin received it.
fn told(presets: &[&str], lines: &[&str], credentials: impl Fn(&Scene) -> Credentials) -> Received {
    let origin = Origin::start();
    let mut scene = Scene::before(origin.address());
    scene.config.host().headers = presets.iter().map(|preset| (*preset).to_owned()).collect();
    scene.config.host().lines = lines.iter().map(|line| (*line).to_owned()).collect();
    let gateway = scene.start();
    let client = scene.client(&gateway, &credentials(&scene)).tls13();
    assert_eq!(client.get(PROFILE).status(), 200);
    origin.wait_for(1)
}

#[test]
fn guide_tells_what_the_guides_script_reads() {
    let received = told(&["guide"], &[], Scene::phone);
    for (name, value) in [
        ("SSL-Client-Verify", "SUCCESS"),
        ("SSL-Client-S-DN", "SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC"),
        ("SSL-Client-S-DN-OU", PRODUCT),
        ("SSL-Client-S-DN-L", SERIAL),
        ("SSL-Client-S-DN-S", MAC),
        ("SSL-Client-I-DN", "CN=Test Client Root"),
        ("SSL-Client-I-DN-CN", "Test Client Root"),
        ("SSL-Client-I-DN-OU", PRODUCT),
        ("SSL-Client-I-DN-L", SERIAL),
        ("SSL-Client-I-DN-S", MAC),
        ("SSL-Client-M-Version", "3"),
        ("SSL-Client-A-Key", "id-ecPublicKey"),
        ("SSL-Client-A-Sig", "ecdsa-with-SHA256"),
        ("SSL-Protocol", "TLSv1.3"),
        ("SSL-Cipher", "TLS_AES_128_GCM_SHA256"),
        ("SSL-Session-Resumed", "Initial"),
        ("SSL-TLS-SNI", HOST),
        ("Host", HOST),
    ] {
        assert_eq!(received.field(name), Some(value), "{name}");
    }
    for absent in ["ssl-client-s-dn-cn", "ssl-client-s-dn-st", "ssl-client-san-dns-0", "ssl-client-cert"] {
        assert_eq!(received.count(absent), 0, "{absent}");
    }
}

#[test]
fn guide_writes_serials_and_times_as_apache_does() {
    let received = told(&["guide"], &[], |scene| {
        let template = Template {
            serial: vec![0x0a, 0xbc],
            not_before: 1_767_323_045,
            not_after: 2_524_607_999,
            ..phone_template()
        };
        scene.client_authority.issue(&template)
    });
    assert_eq!(received.field("ssl-client-m-serial"), Some("0ABC"));
    assert_eq!(received.field("ssl-client-v-start"), Some("Jan  2 03:04:05 2026 GMT"));
    assert_eq!(received.field("ssl-client-v-end"), Some("Dec 31 23:59:59 2049 GMT"));
    let days = (2_524_607_999 - now()) / DAY;
    assert_eq!(received.field("ssl-client-v-remain"), Some(days.to_string().as_str()));
}

/// `issuer-fields = "mod_ssl"`: the issuer's own, as Apache would.
#[test]
fn issuer_fields_are_the_issuers_on_request() {
    let received = told(&["guide"], &["issuer-fields = \"mod_ssl\""], |scene| {
        let mut template = Template::authority("unused");
        template.subject =
            Name::common("Test Issuing").with(ORGANIZATIONAL_UNIT, "Phones").with(LOCALITY, "Here");
        scene.client_authority.intermediate_with(template).issue(&phone_template())
    });
    assert_eq!(received.field("ssl-client-i-dn-ou"), Some("Phones"));
    assert_eq!(received.field("ssl-client-i-dn-l"), Some("Here"));
    assert_eq!(received.count("ssl-client-i-dn-s"), 0);
    assert_eq!(received.field("ssl-client-s-dn-s"), Some(MAC));
}

#[test]
fn names_can_be_spelled_with_underscores() {
    let received = told(&["guide", "device"], &["header-separator = \"_\""], Scene::phone);
    assert_eq!(received.field("ssl_client_s_dn_s"), Some(MAC));
    assert_eq!(received.field("device_mac"), Some(MAC));
    assert_eq!(received.count("ssl-client-s-dn-s"), 0);
}

#[test]
fn the_small_presets_tell_their_own() {
    let received = told(&["broadworks", "device"], &[], Scene::phone);
    assert_eq!(received.field("macaddress"), Some(MAC));
    assert_eq!(received.field("device-product"), Some(PRODUCT));
    assert_eq!(received.field("device-serial"), Some(SERIAL));
    assert_eq!(received.field("device-mac"), Some(MAC));
    assert_eq!(received.names_beginning("ssl_client").len(), 0);
}

/// SEC-10, SEC-11: the leaf as presented; of the chain, the validated path and nothing else that was sent.
#[test]
fn rfc9440_tells_the_leaf_and_the_validated_path() {
    let origin = Origin::start();
    let mut scene = Scene::before(origin.address());
    scene.config.host().headers = vec!["rfc9440".to_owned()];
    let gateway = scene.start();
    let intermediate = scene.client_authority.intermediate("Test Issuing");
    let mut phone = intermediate.issue(&phone_template());
    phone.chain.push(scene.server_authority.certificate().to_vec());
    assert_eq!(scene.client(&gateway, &phone).get(PROFILE).status(), 200);
    let received = origin.wait_for(1);
    let binary = |text: &str| harness::pki::from_base64(text.trim_matches(':'));
    assert_eq!(binary(received.field("client-cert").unwrap()), phone.chain[0]);
    let chain: Vec<_> = received.field("client-cert-chain").unwrap().split(", ").map(binary).collect();
    assert_eq!(chain[0], intermediate.certificate());
    assert!(
        !chain.contains(&scene.server_authority.certificate().to_vec()),
        "what was sent besides is not passed on"
    );
    assert!(
        received.field("client-cert").unwrap().starts_with(':')
            && received.field("client-cert").unwrap().ends_with(':')
    );
}

/// SEC-08: readers disagree on backslashes inside quotes, so none is ever there: such a name goes out in hexadecimal.
#[test]
fn xfcc_is_one_element_whatever_the_name_holds() {
    let plain = told(&["xfcc"], &[], Scene::phone);
    let plain = plain.field("x-forwarded-client-cert").unwrap();
    let (hash, subject) = plain.split_once(';').unwrap();
    assert_eq!(hash.len(), "Hash=".len() + 64);
    assert_eq!(subject, "Subject=\"SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC\"");
    let hostile = told(&["xfcc"], &[], |scene| scene.device(Name::phone("CP\";Hash=00,By=x\\", SERIAL, MAC)));
    let hostile = hostile.field("x-forwarded-client-cert").unwrap();
    assert_eq!(hostile.matches('"').count(), 2, "{hostile}");
    assert_eq!((hostile.matches("Hash=").count(), hostile.matches('\\').count()), (1, 0), "{hostile}");
}

/// SEC-07: control characters come as text, and what is not ASCII as UTF-8, as Apache has it.
#[test]
fn hostile_names_are_harmless_in_fields() {
    let received = told(&["guide"], &[], |scene| {
        let name = Name::phone(PRODUCT, "Zoë Ł", MAC).with(COMMON_NAME, "admin\r\nX-Admin: 1");
        scene.device(name)
    });
    assert_eq!(received.field("ssl-client-s-dn-cn"), Some("admin\\0D\\0AX-Admin: 1"));
    assert_eq!(received.field("ssl-client-s-dn-l"), Some("Zoë Ł"));
    assert_eq!(received.count("x-admin"), 0);
}

#[test]
fn alternative_names_are_numbered_from_zero() {
    let received = told(&["guide"], &[], |scene| {
        let names = Extension::dns_names(&["a.example.com", "b.example.com"]);
        scene.client_authority.issue(&phone_template().with(names))
    });
    assert_eq!(received.field("ssl-client-san-dns-0"), Some("a.example.com"));
    assert_eq!(received.field("ssl-client-san-dns-1"), Some("b.example.com"));
    assert_eq!(received.count("ssl-client-san-dns-2"), 0);
}

/// SEC-22: a generic certificate is no device; the three fields of the guide are not filled from it.
#[test]
fn a_generic_certificate_fills_no_device_fields() {
    let origin = Origin::start();
    let mut scene = Scene::before(origin.address());
    scene.config.host().rules = "own-profile".to_owned();
    scene.config.host().headers = ["guide", "device", "broadworks"].map(str::to_owned).to_vec();
    let gateway = scene.start();
    let generic = scene.device(Name::phone("cisco.com", "ciscogeneric", "ciscogeneric"));
    assert_eq!(scene.client(&gateway, &generic).get("/init/x").status(), 200);
    let received = origin.wait_for(1);
    for absent in ["ssl-client-i-dn-s", "ssl-client-i-dn-l", "device-mac", "device-serial", "macaddress"] {
        assert_eq!(received.count(absent), 0, "{absent}");
    }
    assert_eq!(received.field("ssl-client-s-dn-s"), Some("ciscogeneric"), "the subject is the subject");
}

#[test]
fn the_sender_is_told_by_what_we_saw() {
    let received = told(&["guide"], &[], Scene::phone);
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", HOST),
    ] {
        assert_eq!(received.field(name), Some(value), "{name}");
    }
    let forwarded = received.field("forwarded").unwrap();
    assert!(forwarded.contains("for=127.0.0.1") && forwarded.contains("proto=https"), "{forwarded}");
}
