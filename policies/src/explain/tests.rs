use std::sync::Arc;

use certs::testing::Pki;

use super::*;
use crate::admission::{DenyList, ProfileSet};
use crate::identity::IdentityProfile;
use crate::testing;

fn facts<'r>(method: &'r str, path: &'r str) -> RequestFacts<'r> {
    RequestFacts { method, path, query: None, user_agent: None }
}

#[test]
fn a_permit_names_the_rule_and_the_template() {
    let rules = RequestRules::shipped("own-profile").unwrap();
    let found = request(&rules, &testing::guide_device(), &facts("GET", "/CP-8841.cfg"));
    assert_eq!(
        found.lines,
        [
            "request: GET /CP-8841.cfg",
            "principal: device product CP-8841-3PCC serial 88012BA01234 mac 000e08abcdef (identity profile cisco-small-business)",
            "rules: own-profile (2 in all, the first that matches decides)",
            "rule 1 \"own profile\" (line 4): does not match",
            "  /{mac}.cfg: does not match",
            "  /{mac}.xml: does not match",
            "  /{product}{mac}.cfg: does not match",
            "  /{product}_{mac}.cfg: does not match",
            "  /cisco/{mac}.cfg: does not match",
            "  /cisco/{product}/{mac}.xml: does not match",
            "  /config?cisco{mac}: does not match",
            "  /config?mac={mac}: does not match",
            "rule 2 \"model file\" (line 18): matches",
            "  /{product}.cfg: matches",
            "verdict: permitted by rule \"model file\"",
        ]
    );
    assert!(found.verdict.is_ok());
}

#[test]
fn a_denial_says_why_each_rule_does_not_match() {
    let rules = RequestRules::shipped("own-profile").unwrap();
    let found = request(&rules, &testing::generic(), &facts("GET", "/CP-8841.cfg"));
    assert_eq!(
        found.lines[3..],
        [
            "rule 1 \"own profile\" (line 4): does not match",
            "  it is for device; this is generic",
            "rule 2 \"model file\" (line 18): does not match",
            "  /{product}.cfg: the generic has no {product} that can stand in a path",
            "  /{psn}.xml: the generic has no {psn} that can stand in a path",
            "  /init/{*}: does not match",
            "verdict: denied, no_rule_matched: no rule covers this request",
        ]
    );
    let other = request(&rules, &testing::guide_device(), &facts("POST", "/config"));
    assert!(other.lines.contains(&"  it covers GET, HEAD; this is POST".to_owned()), "{:#?}", other.lines);
    let query = request(&rules, &testing::guide_device(), &facts("GET", "/config"));
    assert!(
        query.lines.contains(&"  /config?mac={mac}: the path matches, the query does not".to_owned()),
        "{:#?}",
        query.lines
    );
}

#[test]
fn hostile_text_is_escaped() {
    let rules = RequestRules::shipped("any-device").unwrap();
    let found = request(&rules, &Principal::Anonymous, &facts("GET", "/\u{1b}[31m\n"));
    assert_eq!(found.lines[0], "request: GET /\\u{1b}[31m\\n");
}

#[test]
fn admission_names_profile_and_deny_entry() {
    let pki = Pki::new();
    let chain = pki.verified(&pki.device().issue());
    let with = |deny: &str| {
        let profiles = ["cn-mac", "cisco-small-business"].map(|name| IdentityProfile::shipped(name).unwrap());
        let entry = AdmissionEntry {
            profiles: ProfileSet::new(profiles.to_vec()).unwrap(),
            ouis: vec![[0, 0x0e, 8]],
            deny: Arc::new(DenyList::parse("deny.txt", deny).unwrap()),
        };
        admission(&Admission::new(vec![entry]), &chain)
    };
    let device = "device product CP-8841-3PCC serial 88012BA01234 mac 000e08abcdef (identity profile cisco-small-business)";
    let admitted = with("mac 000e08abcdee\n");
    assert_eq!(
        admitted.lines[1..],
        [
            "identity profile cn-mac: the subject has another shape".to_owned(),
            format!("identity profile cisco-small-business: {device}"),
            "only MAC addresses that begin with: 000e08".to_owned(),
            "deny list: not among its 1 entries".to_owned(),
            format!("verdict: admitted as {device}"),
        ]
    );
    let denied = with("mac 000e08abcdef\n");
    assert_eq!(
        denied.lines[4..],
        ["deny list: names it, \"mac 000e08abcdef\"", "verdict: refused, denied_by_list: mac 000e08abcdef",]
    );
    assert!(denied.verdict.is_err());
}
