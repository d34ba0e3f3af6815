use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::principal::Device;

fn device(product: &str, serial: &str, mac: Option<&str>) -> Principal {
    let some = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
    Principal::Device(Device {
        product: some(product),
        serial: some(serial),
        mac: mac.map(|text| MacAddress::parse(text).unwrap()),
        mac_attribute: None,
        profile: Arc::from("test"),
    })
}

fn guide() -> Principal {
    device("CP-8841-3PCC", "88012BA01234", Some("000e08abcdef"))
}

/// Whether `principal`, asking for `target`, matches.
fn asks(principal: &Principal, template: &str, target: &str) -> bool {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    Template::parse(template).unwrap().matches(&Values::of(principal), path, query)
}

#[test]
fn matches_every_part_of_the_device() {
    for (template, target) in [
        ("/{mac}.cfg", "/000e08abcdef.cfg"),
        ("/{serial}.xml", "/88012BA01234.xml"),
        ("/{product}.cfg", "/CP-8841-3PCC.cfg"),
        ("/{product}.cfg", "/CP-8841.cfg"),
        ("/{psn}.xml", "/8841-3PCC.xml"),
        ("/{psn}.xml", "/8841.xml"),
        ("/{product}{mac}.cfg", "/CP-8841-3PCC000e08abcdef.cfg"),
        ("/{product}{mac}.cfg", "/CP-8841000e08abcdef.cfg"),
        ("/{product}_{mac}.cfg", "/CP-8841-3PCC_000E08ABCDEF.cfg"),
        ("/cisco/{product}/{mac}.xml", "/cisco/CP-8841-3PCC/00:0e:08:ab:cd:ef.xml"),
        ("/init/{*}", "/init/"),
        ("/init/{*}", "/init/a/b.c"),
        ("/{*}", "/"),
        ("/", "/"),
    ] {
        assert!(asks(&guide(), template, target), "{template} {target}");
    }
}

#[test]
fn matches_no_other_devices_values() {
    for (template, target) in [
        ("/{mac}.cfg", "/000e08abcdee.cfg"),
        ("/{mac}.cfg", "/000e08abcdef.cfg.bak"),
        ("/{mac}.cfg", "/000e08abcdef0.cfg"),
        ("/{mac}.cfg", "/x/000e08abcdef.cfg"),
        ("/{mac}.cfg", "/88012BA01234.cfg"),
        ("/{serial}.xml", "/88012ba01234.xml"),
        ("/{product}.cfg", "/CP-8851-3PCC.cfg"),
        ("/{product}.cfg", "/CP-8841-3PCC-3PCC.cfg"),
        ("/{product}.cfg", "/CP-8841-3PC.cfg"),
        ("/{psn}.xml", "/CP-8841-3PCC.xml"),
        ("/init/{*}", "/init"),
        ("/init/{*}", "/initial"),
        ("/", "/x"),
    ] {
        assert!(!asks(&guide(), template, target), "{template} {target}");
    }
}

#[test]
fn a_product_without_suffix_matches_with_and_without() {
    let mic = device("CP-8861", "FCH2133E8B9", Some("2c3124c9f8e1"));
    for target in ["/CP-8861.cfg", "/CP-8861-3PCC.cfg"] {
        assert!(asks(&mic, "/{product}.cfg", target), "{target}");
    }
    let spa = device("SPA-962", "4MM00F903042", Some("000e08abcdef"));
    assert!(asks(&spa, "/{psn}.xml", "/SPA-962.xml"));
}

#[test]
fn follows_both_readings_of_a_product_to_the_end() {
    let odd = device("P-3PCC", "", None);
    assert!(asks(&odd, "/{product}-3PCC", "/P-3PCC"));
    assert!(asks(&odd, "/{product}-3PCC", "/P-3PCC-3PCC"));
    assert!(!asks(&odd, "/{product}-3PCC", "/P"));
    assert!(asks(&odd, "/{product}{product}{product}{product}", "/PP-3PCCPP-3PCC"));
}

#[test]
fn a_part_the_device_lacks_matches_nothing() {
    let snom = device("", "", Some("000413741767"));
    assert!(asks(&snom, "/{mac}.htm", "/000413741767.htm"));
    for template in ["/{serial}.htm", "/{product}.htm", "/{psn}.htm"] {
        assert!(!asks(&snom, template, "/.htm"), "{template}");
    }
    for principal in [Principal::Anonymous, crate::testing::generic(), crate::testing::operator()] {
        assert!(!asks(&principal, "/{mac}.htm", "/000413741767.htm"));
        assert!(asks(&principal, "/init/{*}", "/init/x"));
    }
}

#[test]
fn sec_67_a_value_that_is_no_plain_name_matches_nothing() {
    for serial in [".", "..", "a/b", "a%2Fb", "a b", "é", "a\0", "{mac}", "*", "a?b"] {
        let odd = device("", serial, None);
        assert!(!asks(&odd, "/{serial}", &format!("/{serial}")), "{serial:?}");
    }
    for serial in ["...", "a.b", "A-1_:", "0"] {
        let odd = device("", serial, None);
        assert!(asks(&odd, "/{serial}", &format!("/{serial}")), "{serial:?}");
    }
    for product in ["-3PCC", "CP-", "CP-..", "CP-.-3PCC"] {
        let odd = device(product, "", None);
        let short = product.strip_prefix("CP-").unwrap_or(product);
        assert!(!asks(&odd, "/{psn}", &format!("/{short}")), "{product:?}");
    }
}

#[test]
fn sec_20_a_template_covers_the_whole_path() {
    assert!(asks(&guide(), "/{mac}", "/000e08abcdef"));
    for target in
        ["/000e08abcdef/", "/000e08abcdefx", "/x/000e08abcdef", "/000e08abcdef\n", "000e08abcdef", ""]
    {
        assert!(!asks(&guide(), "/{mac}", target), "{target:?}");
    }
    // What a regular expression would read as more than itself is literal.
    assert!(asks(&guide(), "/a.(b)*$", "/a.(b)*$"));
    assert!(!asks(&guide(), "/a.(b)*$", "/axbb"));
}

#[test]
fn sec_25_text_of_a_certificate_is_never_a_template() {
    let odd = device("{mac}", "*", Some("000e08abcdef"));
    assert!(!asks(&odd, "/{product}.cfg", "/000e08abcdef.cfg"));
    assert!(!asks(&odd, "/{serial}", "/anything"));
}

#[test]
fn a_template_without_query_matches_only_a_request_without_one() {
    assert!(asks(&guide(), "/{mac}.cfg", "/000e08abcdef.cfg"));
    assert!(asks(&guide(), "/{mac}.cfg", "/000e08abcdef.cfg?"));
    assert!(!asks(&guide(), "/{mac}.cfg", "/000e08abcdef.cfg?x"));
    assert!(!asks(&guide(), "/{mac}.cfg", "/000e08abcdef.cfg?x=1"));
    assert!(!asks(&guide(), "/{*}", "/a?x=1"));
    assert!(asks(&guide(), "/{*}?{*}", "/a?x=1"));
}

#[test]
fn matches_a_whole_query() {
    assert!(asks(&guide(), "/config?cisco{mac}", "/config?cisco000E08ABCDEF"));
    assert!(!asks(&guide(), "/config?cisco{mac}", "/config?cisco000E08ABCDEE"));
    assert!(!asks(&guide(), "/config?cisco{mac}", "/config"));
    assert!(!asks(&guide(), "/config?cisco{mac}", "/config?cisco000E08ABCDEF&mac=000000000000"));
}

#[test]
fn matches_parameters_in_any_order_each_once_and_no_others() {
    let template = "/config?mac={mac}&model={psn}&v=1";
    for query in ["mac=000e08abcdef&model=8841&v=1", "v=1&model=8841-3PCC&mac=00:0e:08:ab:cd:ef"] {
        assert!(asks(&guide(), template, &format!("/config?{query}")), "{query}");
    }
    for query in [
        "",
        "mac=000e08abcdef",
        "mac=000e08abcdef&model=8841&v=2",
        "mac=000e08abcdee&model=8841&v=1",
        "mac=000e08abcdef&model=8841&v=1&v=1",
        "mac=000e08abcdef&model=8841&v=1&mac=000000000000",
        "mac=000e08abcdef&model=8841&v=1&x=1",
        "mac=000e08abcdef&model=8841&v=1&",
        "mac=000e08abcdef&model=8841&v",
        "MAC=000e08abcdef&model=8841&v=1",
    ] {
        assert!(!asks(&guide(), template, &format!("/config?{query}")), "{query}");
    }
    assert!(asks(&guide(), "/f?mac={mac}&s={*}", "/f?s=any=thing&mac=000e08abcdef"));
    assert!(!asks(&guide(), "/f?mac={mac}&s={*}", "/f?s=a&t=b&mac=000e08abcdef"));
}

/// CGI.pm splits at `;` as at `&`: to it, each of these names two MAC addresses.
#[test]
fn a_parameter_hides_no_other_behind_a_semicolon() {
    assert!(asks(&guide(), "/f?mac={mac}&s={*}", "/f?mac=000e08abcdef&s=x%3bmac"));
    for query in [
        "mac=000e08abcdef&s=x;mac=000000000000",
        "s=;mac=000000000000&mac=000e08abcdef",
        "mac=000e08abcdef&s=;",
        "mac=000e08abcdef;s=x",
        "mac=000e08abcdef&;s=x",
    ] {
        assert!(!asks(&guide(), "/f?mac={mac}&s={*}", &format!("/f?{query}")), "{query}");
    }
}

#[test]
fn refuses_a_template_that_says_nothing_clear() {
    let error = |text: &str| Template::parse(text).unwrap_err();
    assert_eq!(error(""), TemplateError::NotAbsolute);
    assert_eq!(error("{mac}.cfg"), TemplateError::NotAbsolute);
    assert_eq!(error("http://host/{mac}"), TemplateError::NotAbsolute);
    assert_eq!(error("/{mac"), TemplateError::Brace);
    assert_eq!(error("/mac}"), TemplateError::Brace);
    assert_eq!(error("/{{mac}}"), TemplateError::UnknownPart { name: "{mac".into(), nearest: Some("mac") });
    assert_eq!(error("/{Mac}"), TemplateError::UnknownPart { name: "Mac".into(), nearest: Some("mac") });
    assert_eq!(error("/{}"), TemplateError::UnknownPart { name: String::new(), nearest: None });
    assert_eq!(error("/{*}/x"), TemplateError::RestNotLast);
    assert_eq!(error("/{*}{mac}"), TemplateError::RestNotLast);
    assert_eq!(error("/a//b"), TemplateError::Segment);
    assert_eq!(error("//"), TemplateError::Segment);
    assert_eq!(error("/a/../b"), TemplateError::Segment);
    assert_eq!(error("/."), TemplateError::Segment);
    assert_eq!(error("/a b"), TemplateError::Character { character: ' ' });
    assert_eq!(error("/ä"), TemplateError::Character { character: 'ä' });
    assert_eq!(error("/a#b"), TemplateError::Character { character: '#' });
    for text in
        ["/a%c3b", "/a%2", "/%", "/a%é", "/a%41", "/a%2Fb", "/a%5Cb", "/a%25b", "/a%00b", "/a?%00", "/a?%zz"]
    {
        assert_eq!(error(text), TemplateError::Escape, "{text}");
    }
    assert_eq!(error("/a;b"), TemplateError::Character { character: ';' });
    assert_eq!(error("/a?b#c"), TemplateError::Character { character: '#' });
    assert_eq!(error("/a?"), TemplateError::EmptyQuery);
    assert_eq!(error("/a?x=1&y"), TemplateError::MixedQuery);
    assert_eq!(error("/a?x=1&"), TemplateError::MixedQuery);
    assert_eq!(error("/a?x=1;y=2"), TemplateError::Semicolon);
    assert_eq!(error("/a?x;y=2"), TemplateError::Semicolon);
    assert_eq!(error("/a?=1"), TemplateError::ParameterName);
    assert_eq!(error("/a?{mac}=1"), TemplateError::ParameterName);
    assert_eq!(error("/a?x=1&x=2"), TemplateError::RepeatedParameter { name: "x".into() });
    assert_eq!(error("/{psn}{psn}{psn}{psn}{psn}"), TemplateError::TooManyProducts { most: 4 });
    let many = (0..33).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
    assert_eq!(error(&format!("/a?{many}")), TemplateError::TooManyParameters { most: 32 });
}

#[test]
fn accepts_their_twins() {
    for text in [
        "/{mac}",
        "/{*}",
        "/a/b/",
        "/a%20b%C3",
        "/a?x=1&y=",
        "/a?x",
        "/a?%2f%41;?",
        "/a.b/..c",
        "/{psn}{psn}{psn}{psn}",
    ] {
        assert!(Template::parse(text).is_ok(), "{text}");
    }
}

proptest! {
    #[test]
    fn never_panics_on_any_template_or_path(template in ".{0,40}", path in ".{0,40}", query in ".{0,40}") {
        if let Ok(template) = Template::parse(&template) {
            template.matches(&Values::of(&guide()), &path, Some(&query));
        }
    }

    #[test]
    fn never_panics_on_text_that_looks_like_templates(
        template in "/(\\{(mac|serial|product|psn)\\}|[a-z.&=?%/-]){0,8}(\\{\\*\\})?",
        path in "/(000e08abcdef|CP-8841|-3PCC|88012BA01234|[a-z.&=-]){0,8}",
        query in proptest::option::of("(mac=|000e08abcdef|&|[a-z=]){0,8}"),
    ) {
        if let Ok(template) = Template::parse(&template) {
            template.matches(&Values::of(&guide()), &path, query.as_deref());
        }
    }

    #[test]
    fn a_template_filled_with_the_devices_values_matches(parts in proptest::collection::vec(0_usize..5, 1..8)) {
        let spelled = [("{mac}", "00-0e-08-AB-CD-EF"), ("{serial}", "88012BA01234"), ("{product}", "CP-8841"),
            ("{psn}", "8841-3PCC"), ("_", "_")];
        let template: String = parts.iter().map(|part| spelled[*part].0).collect();
        let path: String = parts.iter().map(|part| spelled[*part].1).collect();
        if let Ok(template) = Template::parse(&format!("/{template}")) {
            let path = format!("/{path}");
            prop_assert!(template.matches(&Values::of(&guide()), &path, None));
        }
    }
}
