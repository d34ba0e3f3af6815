//! What a client sends under names that are ours, or that end at this hop, does not arrive.

use super::*;

/// Names of every family and preset, in the spelling of their documents.
const FORGERIES: [&str; 31] = [
    "SSL-Client-Verify",
    "SSL-Client-S-DN",
    "SSL-Client-S-DN-CN-1",
    "SSL-Client-I-DN-S",
    "SSL-Client-SAN-DNS-0",
    "SSL-Client-Anything-New",
    "SSL-Protocol",
    "SSL-Cipher",
    "SSL-Session-ID",
    "X-SSL-Client-Verify",
    "X-SSL-Client-CN",
    "Device-Kind",
    "Device-Product",
    "Device-Serial",
    "Device-MAC",
    "Device-Other",
    "macaddress",
    "Client-Cert",
    "Client-Cert-Chain",
    "X-Forwarded-Client-Cert",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Real-IP",
    "X-Request-Id",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "Proxy",
];

#[test]
fn sec_01_every_managed_name_is_deleted_whatever_presets_a_host_has() {
    let principal = Principal::Anonymous;
    for name in FORGERIES {
        let sent = [(name, "forged"), ("X-Mine", "kept")];
        for config in [HeaderConfig::default(), everything()] {
            let headers = outbound(&config, &facts(None, &principal), &sent);
            assert!(headers.values().all(|value| value != "forged"), "{name}");
            assert_field(&headers, "x-mine", "kept");
        }
    }
}

#[test]
fn sec_01_fields_that_only_look_alike_pass() {
    let principal = Principal::Anonymous;
    let names = [
        "SSLClientVerify",
        "X-Device",
        "Devices",
        "Client-Certificate",
        "X-Client",
        "MACaddresses",
        "X-Forward",
        "Accept",
        "Cookie",
        "Content-Type",
        "Date",
        "From",
        "Pragma",
        "Sec-Fetch-Mode",
        "X-Requested-With",
        "If-None-Match",
        "Range",
    ];
    for name in names {
        let headers = outbound(&everything(), &facts(None, &principal), &[(name, "kept")]);
        assert_field(&headers, &name.to_ascii_lowercase(), "kept");
    }
}

/// Every spelling of `name` with its words put together by `signs`.
fn spellings(name: &str, signs: &[&str]) -> Vec<String> {
    let mut spellings = vec![String::new()];
    for (at, word) in name.split('-').enumerate() {
        let signs = if at == 0 { &[""][..] } else { signs };
        spellings = spellings
            .iter()
            .flat_map(|start| signs.iter().map(move |sign| format!("{start}{sign}{word}")))
            .collect();
    }
    spellings
}

#[test]
fn sec_02_all_spellings_of_a_managed_name_are_deleted() {
    for name in FORGERIES {
        for spelling in spellings(name, &["-", "_", "."]) {
            assert!(is_managed(&spelling), "{spelling}");
            assert!(is_managed(&spelling.to_ascii_uppercase()), "{spelling}");
        }
    }
    let token_signs: Vec<String> = "!#$%&'*+-.^_`|~".chars().map(String::from).collect();
    let token_signs: Vec<&str> = token_signs.iter().map(String::as_str).collect();
    for spelling in spellings("SSL-Client-S-DN", &token_signs) {
        let name = HeaderName::try_from(&spelling).unwrap();
        assert!(is_managed(name.as_str()), "{spelling}");
    }
}

proptest! {
    #[test]
    fn sec_02_no_spelling_survives(
        at in 0..FORGERIES.len(),
        signs in proptest::collection::vec("[-_.!#$%&'*+^`|~]", 5),
        cases in proptest::collection::vec(any::<bool>(), 32),
    ) {
        let mut signs = signs.iter();
        let spelled: String = FORGERIES[at].chars().zip(cases.iter().cycle()).map(|(sign, upper)| match sign {
            '-' => signs.next().unwrap().clone(),
            letter if *upper => letter.to_ascii_uppercase().to_string(),
            letter => letter.to_ascii_lowercase().to_string(),
        }).collect();
        let headers = outbound(&everything(), &facts(None, &Principal::Anonymous), &[(&spelled, "forged")]);
        prop_assert!(headers.values().all(|value| value != "forged"), "{}", spelled);
    }

    #[test]
    fn sec_02_folding_decides_and_nothing_else(name in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}") {
        let folded: String = name
            .chars()
            .map(|sign| if sign.is_ascii_alphanumeric() { sign.to_ascii_lowercase() } else { '_' })
            .collect();
        prop_assert_eq!(is_managed(&name), is_managed(&folded));
    }
}

#[test]
fn sec_02_a_name_that_folds_to_one_that_frames_or_addresses_goes_nowhere() {
    let issued = Pki::new().device().issue();
    let chain = Pki::new().verified(&issued);
    let passes = |name: &str| {
        let sent = [(name, "sent")];
        let headers = outbound(&everything(), &facts(Some(&chain), &testing::guide_device()), &sent);
        headers.get(name).is_some_and(|value| value == "sent")
    };
    for name in [
        "Transfer_Encoding",
        "transfer.encoding",
        "Transfer-Encoding_",
        "Content_Length",
        "Content_Type",
        "Host_",
        "_Host",
        "Connection.",
        "Keep_Alive",
        "TE_",
        "Trailer!",
        "Upgrade~",
        "Authorization_",
        "User_Agent",
        "Proxy_Authorization",
        "Proxy_Whatever",
        "_Proxy-Whatever",
        "___",
    ] {
        assert!(!passes(name), "{name}");
    }
    for name in [
        "Content-Type",
        "Authorization",
        "User-Agent",
        "Cookie",
        "X_Custom",
        "Hostess",
        "Content-Lengths",
        "Proximity",
    ] {
        assert!(passes(name), "{name}");
    }
}

#[test]
fn sec_03_a_connection_field_cannot_remove_what_we_set() {
    let issued = Pki::new().device().issue();
    let chain = Pki::new().verified(&issued);
    let principal = testing::guide_device();
    for nominated in
        ["SSL-Client-Verify", "ssl_client_verify, macaddress", "close, SSL.Client.Verify", "Device-MAC,Host"]
    {
        let sent = [("Connection", nominated), ("SSL-Client-Verify", "forged")];
        let headers = outbound(&everything(), &facts(Some(&chain), &principal), &sent);
        assert_field(&headers, "ssl-client-verify", "SUCCESS");
        assert_field(&headers, "macaddress", "000e08abcdef");
        assert_field(&headers, "device-mac", "000e08abcdef");
        assert_field(&headers, "host", "prov.example.com");
        assert!(!headers.contains_key("connection"));
    }
}

#[test]
fn fields_for_this_hop_end_here() {
    let sent = [
        ("Connection", "X-Hop, keep-alive"),
        ("Connection", "upgrade"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic eA=="),
        ("TE", "trailers"),
        ("Trailer", "X-T"),
        ("Upgrade", "websocket"),
        ("Expect", "100-continue"),
        ("X-Hop", "1"),
        ("X-Kept", "2"),
    ];
    let headers = outbound(&HeaderConfig::default(), &facts(None, &Principal::Anonymous), &sent);
    for (name, _) in &sent[..10] {
        assert!(!headers.contains_key(*name), "{name}");
    }
    assert_field(&headers, "x-kept", "2");
}

#[test]
fn sec_04_and_05_a_client_without_certificate_has_no_certificate_fields() {
    let headers = outbound(&everything(), &facts(None, &Principal::Anonymous), &[]);
    assert_field(&headers, "ssl-client-verify", "NONE");
    assert_field(&headers, "device-kind", "anonymous");
    let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    let told = |name: &&&str| {
        let about_the_client =
            ["ssl-client-", "device-", "client-cert", "x-forwarded-client-cert", "macaddress"];
        about_the_client.iter().any(|start| name.starts_with(start))
    };
    assert_eq!(names.iter().filter(told).collect::<Vec<_>>().len(), 2, "{names:?}");
}

#[test]
fn sec_04_what_a_device_does_not_have_is_absent_and_never_empty() {
    let pki = Pki::new();
    let issued = pki.leaf().attribute(oid::COMMON_NAME, "000e08abcdef").attribute(oid::LOCALITY, "").issue();
    let chain = pki.verified(&issued);
    let principal = testing::device(None, None, Some("000e08abcdef"));
    let sent =
        [("Device-Product", "forged"), ("SSL-Client-I-DN-OU", "forged"), ("SSL-Client-S-DN-L", "forged")];
    let headers = outbound(&everything(), &facts(Some(&chain), &principal), &sent);
    for name in
        ["device-product", "device-serial", "ssl-client-i-dn-ou", "ssl-client-i-dn-l", "ssl-client-s-dn-l"]
    {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert_field(&headers, "device-mac", "000e08abcdef");
    assert_field(&headers, "ssl-client-i-dn-s", "000e08abcdef");
    assert!(headers.values().all(|value| !value.is_empty() && value != "(null)"));
}

#[test]
fn sec_06_exactly_one_value_of_each_name_arrives() {
    let issued = Pki::new().device().issue();
    let chain = Pki::new().verified(&issued);
    let sent = [
        ("SSL-Client-S-DN-S", "64167f000001"),
        ("SSL-Client-S-DN-S", "64167f000002"),
        ("ssl_client_s_dn_s", "64167f000003, 64167f000004"),
        ("X-Forwarded-For", "198.51.100.1, 198.51.100.2"),
    ];
    let headers = outbound(&everything(), &facts(Some(&chain), &testing::guide_device()), &sent);
    assert_eq!(headers.keys_len(), headers.len(), "no name twice");
    assert_field(&headers, "ssl-client-s-dn-s", "000e08abcdef");
    assert_field(&headers, "x-forwarded-for", "192.0.2.1");
    assert!(!headers.contains_key("ssl_client_s_dn_s"));
}

#[test]
fn every_name_we_set_is_one_we_strip() {
    let pki = Pki::new();
    let issued = pki.intermediate().leaf().attribute(oid::COMMON_NAME, "x").dns_names(&["a.example"]).issue();
    let chain = pki.verified(&issued);
    for separator in [Separator::Dash, Separator::Underscore] {
        for issuer_fields in [IssuerFields::Guide, IssuerFields::ModSsl] {
            let config = HeaderConfig { separator, issuer_fields, ..everything() };
            let fields = PeerFields::new(&config, &facts(Some(&chain), &testing::guide_device())).unwrap();
            for name in fields.headers().keys() {
                assert!(is_managed(name.as_str()), "{name}");
            }
            assert!(fields.headers().len() >= 25);
        }
    }
    assert!(is_managed(X_REQUEST_ID.as_str()) && is_managed(forwarded::X_FORWARDED_HOST.as_str()));
}
