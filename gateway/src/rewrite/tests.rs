use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certs::testing::{Issued, Pki};
use certs::{VerifiedChain, oid};
use policies::{CipherSuite, Principal, RequestRules, TlsVersion, testing};
use proptest::prelude::*;

use super::*;
use crate::authorize::authorize;
use crate::request::BodyLimits;

mod stripped;

const ANYONE: &str = r#"
[[rule]]
name = "anything"
allow = ["GET", "HEAD", "POST", "PUT"]
path = ["/{*}"]
for = ["device", "generic", "operator", "anonymous"]
"#;

/// What reaches the backend of a request with these fields.
fn outbound(config: &HeaderConfig, facts: &PeerFacts<'_>, sent: &[(&str, &str)]) -> HeaderMap {
    let fields = Arc::new(PeerFields::new(config, facts).unwrap());
    let mut request = Request::builder().uri("/000e08abcdef.cfg");
    for (name, value) in sent {
        request = request.header(*name, *value);
    }
    if !sent.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", "prov.example.com");
    }
    let rules = RequestRules::parse("rules.toml", ANYONE).unwrap();
    let inbound = Inbound::new(request.body(()).unwrap(), &BodyLimits::default(), |_| true).unwrap();
    let permitted = authorize(inbound, facts.principal, &rules).unwrap();
    let outbound = rewrite(permitted, &fields, HeaderValue::from_static("r-1")).unwrap();
    outbound.request(&HeaderValue::from_static("backend")).into_parts().0.headers
}

fn facts<'a>(chain: Option<&'a VerifiedChain>, principal: &'a Principal) -> PeerFacts<'a> {
    PeerFacts {
        chain,
        principal,
        version: TlsVersion(0x0303),
        suite: CipherSuite(0xc02f),
        resumed: false,
        server_name: Some("prov.example.com"),
        client: IpAddr::from([192, 0, 2, 1]),
        now: Pki::NOW,
    }
}

fn preset(preset: Preset) -> HeaderConfig {
    HeaderConfig { presets: vec![preset], ..HeaderConfig::default() }
}

fn everything() -> HeaderConfig {
    HeaderConfig { presets: Preset::ALL.to_vec(), certificate: true, ..HeaderConfig::default() }
}

/// The fields of a device with this certificate, under `config`.
fn fields_of(config: &HeaderConfig, issued: &Issued) -> HeaderMap {
    let chain = Pki::new().verified(issued);
    outbound(config, &facts(Some(&chain), &testing::guide_device()), &[])
}

#[track_caller]
fn assert_field(headers: &HeaderMap, name: &str, value: &str) {
    let found: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    assert_eq!(found, [value], "{name}");
}

#[test]
fn the_guide_preset_says_what_apache_says() {
    let issued = Pki::new().device().serial(&[0x0a, 0xbc]).issue();
    let config = HeaderConfig { issuer_fields: IssuerFields::ModSsl, ..preset(Preset::Guide) };
    let headers = fields_of(&config, &issued);
    for (name, value) in [
        ("ssl-client-verify", "SUCCESS"),
        ("ssl-client-m-version", "3"),
        ("ssl-client-m-serial", "0ABC"),
        ("ssl-client-s-dn", "SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC"),
        ("ssl-client-s-dn-ou", "CP-8841-3PCC"),
        ("ssl-client-s-dn-l", "88012BA01234"),
        ("ssl-client-s-dn-s", "000e08abcdef"),
        ("ssl-client-i-dn", "CN=Test Client Root"),
        ("ssl-client-i-dn-cn", "Test Client Root"),
        ("ssl-client-v-start", "Oct 24 00:00:00 2026 GMT"),
        ("ssl-client-v-end", "Nov 23 00:00:00 2027 GMT"),
        ("ssl-client-v-remain", "365"),
        ("ssl-client-a-sig", "ecdsa-with-SHA256"),
        ("ssl-client-a-key", "id-ecPublicKey"),
        ("ssl-protocol", "TLSv1.2"),
        ("ssl-cipher", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("ssl-cipher-usekeysize", "128"),
        ("ssl-session-resumed", "Initial"),
        ("ssl-tls-sni", "prov.example.com"),
    ] {
        assert_field(&headers, name, value);
    }
    for absent in ["ssl-client-i-dn-ou", "ssl-client-i-dn-s", "ssl-client-cert", "ssl-client-s-dn-l-0"] {
        assert!(!headers.contains_key(absent), "{absent}");
    }
}

#[test]
fn the_guides_issuer_fields_carry_the_device_and_nobody_elses_values() {
    let root = certs::testing::Authority::root("Issuer")
        .attribute(oid::ORGANIZATIONAL_UNIT, "Issuing unit")
        .authority();
    let issued = root.leaf().attribute(oid::ORGANIZATIONAL_UNIT, "CP-8841-3PCC").issue();
    let entry = certs::TrustEntry::new("other", [certs::TrustAnchor::new(root.certificate().clone())]);
    let verifier = certs::ChainVerifier::new(vec![entry]).unwrap();
    let chain = verifier.verify(&issued.presented(), Pki::NOW).unwrap();
    let device = testing::guide_device();
    let headers = outbound(&preset(Preset::Guide), &facts(Some(&chain), &device), &[]);
    assert_field(&headers, "ssl-client-i-dn-ou", "CP-8841-3PCC");
    assert_field(&headers, "ssl-client-i-dn-l", "88012BA01234");
    assert_field(&headers, "ssl-client-i-dn-s", "000e08abcdef");
    assert_field(&headers, "ssl-client-i-dn-cn", "Issuer");

    for other in [testing::generic(), testing::operator()] {
        let headers = outbound(&preset(Preset::Guide), &facts(Some(&chain), &other), &[]);
        assert!(!headers.contains_key("ssl-client-i-dn-ou"), "the issuer's unit is not a product");
        assert_field(&headers, "ssl-client-s-dn-ou", "CP-8841-3PCC");
    }
    let mod_ssl = HeaderConfig { issuer_fields: IssuerFields::ModSsl, ..preset(Preset::Guide) };
    let headers = outbound(&mod_ssl, &facts(Some(&chain), &device), &[]);
    assert_field(&headers, "ssl-client-i-dn-ou", "Issuing unit");
    assert!(!headers.contains_key("ssl-client-i-dn-s"));
}

#[test]
fn repeated_attributes_are_counted_as_apache_counts_them() {
    let pki = Pki::new();
    let issued =
        pki.leaf().attribute(oid::COMMON_NAME, "first").attribute(oid::COMMON_NAME, "second").issue();
    let headers = fields_of(&preset(Preset::Guide), &issued);
    assert_field(&headers, "ssl-client-s-dn", "CN=second,CN=first");
    assert_field(&headers, "ssl-client-s-dn-cn", "first");
    assert_field(&headers, "ssl-client-s-dn-cn-1", "second");
    assert!(!headers.contains_key("ssl-client-s-dn-cn-0"));
}

#[test]
fn underscores_on_request() {
    let issued = Pki::new().device().issue();
    let config = HeaderConfig {
        separator: Separator::Underscore,
        presets: vec![Preset::Guide, Preset::Device],
        ..HeaderConfig::default()
    };
    let headers = fields_of(&config, &issued);
    assert_field(&headers, "ssl_client_s_dn_ou", "CP-8841-3PCC");
    assert_field(&headers, "ssl_client_i_dn_s", "000e08abcdef");
    assert_field(&headers, "device_mac", "000e08abcdef");
    assert!(headers.keys().all(|name| !name.as_str().starts_with("ssl-")));
}

#[test]
fn sec_07_golden_names_arrive_as_apache_writes_them() {
    let pki = Pki::new();
    let leaf = || pki.leaf();
    let cases = [
        (
            leaf().attribute(oid::ORGANIZATION, "x,CN=admin").attribute(oid::COMMON_NAME, "phone"),
            r"CN=phone,O=x\,CN=admin",
            "phone",
        ),
        (
            leaf().attribute(oid::COMMON_NAME, "admin\r\nX-Admin: 1"),
            r"CN=admin\0D\0AX-Admin: 1",
            r"admin\0D\0AX-Admin: 1",
        ),
        (leaf().attribute(oid::COMMON_NAME, "admin\0.evil"), r"CN=admin\00.evil", r"admin\00.evil"),
        (
            leaf().attribute(oid::COMMON_NAME, "a\";Subject=\"CN=admin;=<>+#\\"),
            r#"CN=a\"\;Subject=\"CN=admin\;=\<\>\+#\\"#,
            r#"a";Subject="CN=admin;=<>+#\\"#,
        ),
        // On the wire a last space is no part of a field's value, so it goes as its escape.
        (leaf().attribute(oid::COMMON_NAME, " #x "), r"CN=\ #x\20", r"\20#x\20"),
        (leaf().attribute(oid::COMMON_NAME, "Zoë Ł"), "CN=Zoë Ł", "Zoë Ł"),
        (leaf().bmp_attribute(oid::COMMON_NAME, "Zoë"), "CN=Zoë", "Zoë"),
    ];
    for (builder, dn, cn) in cases {
        let headers = fields_of(&preset(Preset::Guide), &builder.issue());
        assert_field(&headers, "ssl-client-s-dn", dn);
        assert_field(&headers, "ssl-client-s-dn-cn", cn);
    }
}

/// `a";Subject="CN=admin\\`, as RFC 4514 §2.4 has it.
const HOSTILE_NAME: &str = "2.5.4.3=#0C1561223B5375626A6563743D22434E3D61646D696E5C";

#[test]
fn sec_08_an_xfcc_value_cannot_be_left_from_inside() {
    let pki = Pki::new();
    let plain = pki.device().issue();
    let headers = fields_of(&preset(Preset::Xfcc), &plain);
    let hash = plain.certificate().fingerprint();
    let expected = format!("Hash={hash};Subject=\"SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC\"");
    assert_field(&headers, "x-forwarded-client-cert", &expected);

    let hostile = pki
        .leaf()
        .attribute(oid::COMMON_NAME, "a\";Subject=\"CN=admin\\")
        .alternative_names(&[(0x82, b"ok.example"), (0x86, b"urn:x;DNS=admin"), (0x82, b"a,By=b")])
        .issue();
    let headers = fields_of(&preset(Preset::Xfcc), &hostile);
    let value = headers["x-forwarded-client-cert"].to_str().unwrap();
    let hash = hostile.certificate().fingerprint();
    assert_eq!(value, format!("Hash={hash};Subject=\"{HOSTILE_NAME}\";DNS=ok.example"));
}

#[test]
fn sec_09_fields_too_large_fail_and_are_not_cut() {
    let pki = Pki::new();
    let long = "x".repeat(1000);
    let with = |count: usize| {
        let builder = (0..count).fold(pki.leaf(), |leaf, _| leaf.attribute(oid::ORGANIZATIONAL_UNIT, &long));
        let chain = pki.verified(&builder.issue());
        PeerFields::new(&everything(), &facts(Some(&chain), &testing::guide_device())).map(drop)
    };
    assert_eq!(with(2), Ok(()));
    let error = with(20).unwrap_err();
    assert!(matches!(error, RewriteError::TooLarge { limit: PeerFields::MAX_SIZE, .. }), "{error}");
    assert_eq!(error.reason(), Reason::IdentityFieldsFailed);
}

#[test]
fn sec_09_a_request_that_leaves_no_room_fails() {
    let fields = Arc::new(PeerFields::new(&everything(), &facts(None, &Principal::Anonymous)).unwrap());
    let rules = RequestRules::parse("rules.toml", ANYONE).unwrap();
    let send = |count: usize| {
        let request = (0..count).fold(Request::builder().uri("/a").header("host", "h"), |request, at| {
            request.header(format!("x-{at}"), "1")
        });
        let inbound = Inbound::new(request.body(()).unwrap(), &BodyLimits::default(), |_| true).unwrap();
        let permitted = authorize(inbound, &Principal::Anonymous, &rules).unwrap();
        rewrite(permitted, &fields, HeaderValue::from_static("r")).map(drop)
    };
    assert_eq!(send(100), Ok(()));
    assert_eq!(send(MAX_FIELDS), Err(RewriteError::TooManyFields { count: MAX_FIELDS + 1 }));
}

#[test]
fn sec_10_and_11_client_cert_is_the_leaf_and_the_chain_is_the_verified_path() {
    let pki = Pki::new();
    let issued = pki.intermediate().leaf().attribute(oid::COMMON_NAME, "x").issue();
    let presented = [
        issued.chain_der(),
        vec![pki.root().certificate().der().to_vec(), issued.certificate().der().to_vec()],
    ];
    let presented = certs::PresentedChain::parse(presented.concat()).unwrap();
    let chain = pki.verifier().verify(&presented, Pki::NOW).unwrap();
    let sent = [("Client-Cert", ":Zm9yZ2Vk:"), ("Client-Cert-Chain", ":Zm9yZ2Vk:")];
    let headers = outbound(&preset(Preset::Rfc9440), &facts(Some(&chain), &Principal::Anonymous), &sent);
    let sequence = |der: &[u8]| format!(":{}:", STANDARD.encode(der));
    assert_field(&headers, "client-cert", &sequence(issued.certificate().der()));
    assert_field(&headers, "client-cert-chain", &sequence(pki.intermediate().certificate().der()));

    let direct = pki.device().issue();
    let headers = fields_of(&preset(Preset::Rfc9440), &direct);
    assert!(!headers.contains_key("client-cert-chain"), "nothing between leaf and anchor");
}

#[test]
fn sec_10_the_certificate_is_passed_on_in_one_line_when_asked_for() {
    let issued = Pki::new().device().issue();
    let config = HeaderConfig { certificate: true, ..preset(Preset::Guide) };
    let headers = fields_of(&config, &issued);
    let pem = issued.certificate().to_pem();
    assert_field(&headers, "ssl-client-cert", &pem.trim_end().replace('\n', " "));
}

#[test]
fn broadworks_and_device_presets_say_who_asks() {
    let issued = Pki::new().device().issue();
    let headers = fields_of(&preset(Preset::Broadworks), &issued);
    assert_field(&headers, "macaddress", "000e08abcdef");
    let headers = fields_of(&preset(Preset::Device), &issued);
    for (name, value) in [
        ("device-kind", "device"),
        ("device-product", "CP-8841-3PCC"),
        ("device-serial", "88012BA01234"),
        ("device-mac", "000e08abcdef"),
    ] {
        assert_field(&headers, name, value);
    }
}

#[test]
fn says_where_the_request_came_from() {
    let principal = Principal::Anonymous;
    let mut facts = facts(None, &principal);
    let headers = outbound(&HeaderConfig::default(), &facts, &[("Host", "Prov.example.com:8443")]);
    for (name, value) in [
        ("forwarded", "for=192.0.2.1;proto=https"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "Prov.example.com:8443"),
        ("x-real-ip", "192.0.2.1"),
        ("x-request-id", "r-1"),
        ("host", "Prov.example.com:8443"),
    ] {
        assert_field(&headers, name, value);
    }
    facts.client = "2001:db8::1".parse().unwrap();
    let headers = outbound(&HeaderConfig::default(), &facts, &[]);
    assert_field(&headers, "forwarded", "for=\"[2001:db8::1]\";proto=https");
    facts.client = "::ffff:192.0.2.1".parse().unwrap();
    let headers = outbound(&HeaderConfig::default(), &facts, &[]);
    assert_field(&headers, "x-forwarded-for", "192.0.2.1");
}

#[test]
fn sec_68_an_answer_cannot_carry_managed_names_to_the_device() {
    let mut response = Response::builder()
        .header("SSL-Client-Verify", "SUCCESS")
        .header("device_mac", "000e08abcdef")
        .header("Connection", "X-Hop")
        .header("X-Hop", "1")
        .header("Transfer-Encoding", "chunked")
        .header("Content-Length", "2")
        .header("Content-Type", "text/xml")
        .header("Set-Cookie", "a=1")
        .header("Set-Cookie", "b=2")
        .body(())
        .unwrap();
    clean_response(&mut response);
    let mut left: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["content-length", "content-type", "set-cookie"]);
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
}
