use super::*;
use crate::testing;

fn facts<'r>(method: &'r str, target: &'r str) -> RequestFacts<'r> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    RequestFacts { method, path, query, user_agent: None }
}

fn rules(text: &str) -> RequestRules {
    RequestRules::parse("rules.toml", text).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn mistakes(text: &str) -> Vec<String> {
    let found = RequestRules::parse("rules.toml", text).unwrap_err();
    found
        .iter()
        .map(|d| d.hint.as_ref().map_or_else(|| d.to_string(), |hint| format!("{d} | {hint}")))
        .collect()
}

fn reason(rules: &RequestRules, principal: &Principal, facts: &RequestFacts<'_>) -> Option<Reason> {
    rules.authorize(principal, facts).err().map(|denial| denial.reason)
}

#[test]
fn every_shipped_set_can_be_read() {
    for name in RequestRules::shipped_names() {
        let rules = RequestRules::shipped(name).unwrap();
        assert_eq!(&**rules.name(), name);
        assert_eq!(rules.mode(), Mode::Enforce);
    }
    assert_eq!(RequestRules::shipped("no-such-set"), None);
}

#[test]
fn the_first_rule_that_matches_decides() {
    let text = "
        [[rule]]
        name = \"no secrets\"
        deny = [\"GET\"]
        path = [\"/secret/{*}\"]
        [[rule]]
        name = \"the rest\"
        allow = [\"GET\"]
        path = [\"/{*}\"]
        [[rule]]
        name = \"too late\"
        deny = [\"GET\"]
        path = [\"/open\"]
    ";
    let rules = rules(text);
    let device = testing::guide_device();
    let denial = rules.authorize(&device, &facts("GET", "/secret/x")).unwrap_err();
    assert_eq!((denial.reason, denial.rule.as_deref()), (Reason::DeniedByRule, Some("no secrets")));
    let permit = rules.authorize(&device, &facts("GET", "/open")).unwrap();
    assert_eq!((&*permit.rule, permit.waived), ("the rest", None));
}

#[test]
fn a_request_that_no_rule_covers_is_denied() {
    let rules = RequestRules::shipped("own-profile").unwrap();
    let device = testing::guide_device();
    assert_eq!(reason(&rules, &device, &facts("GET", "/000e08abcdef.cfg")), None);
    for (method, target) in [
        ("GET", "/000e08abcdee.cfg"),
        ("POST", "/000e08abcdef.cfg"),
        ("get", "/000e08abcdef.cfg"),
        ("GET", "/"),
    ] {
        let found = rules.authorize(&device, &facts(method, target)).unwrap_err();
        assert_eq!((found.reason, found.rule), (Reason::NoRuleMatched, None), "{method} {target}");
    }
}

#[test]
fn sec_22_a_generic_certificate_gets_its_named_paths_only() {
    let rules = RequestRules::shipped("own-profile").unwrap();
    let generic = testing::generic();
    assert_eq!(reason(&rules, &generic, &facts("GET", "/init/first.xml")), None);
    assert_eq!(reason(&rules, &generic, &facts("GET", "/000e08abcdef.cfg")), Some(Reason::NoRuleMatched));
    assert_eq!(reason(&rules, &generic, &facts("GET", "/CP-8841-3PCC.cfg")), Some(Reason::NoRuleMatched));
    let any = RequestRules::shipped("any-device").unwrap();
    assert_eq!(reason(&any, &generic, &facts("GET", "/init/first.xml")), Some(Reason::NoRuleMatched));
}

#[test]
fn any_device_means_any_path_for_devices_alone() {
    let rules = RequestRules::shipped("any-device").unwrap();
    let request = facts("POST", "/cgi-bin/reflect.pl?x=1");
    assert_eq!(reason(&rules, &testing::guide_device(), &request), None);
    for principal in [Principal::Anonymous, testing::generic(), testing::operator()] {
        assert_eq!(reason(&rules, &principal, &request), Some(Reason::NoRuleMatched), "{principal}");
    }
}

#[test]
fn roles_are_admitted_only_where_a_rule_names_them() {
    let text = "
        [[rule]]
        name = \"health\"
        allow = [\"GET\"]
        path = [\"/health\"]
        for = [\"anonymous\", \"operator\"]
    ";
    let rules = rules(text);
    let request = facts("GET", "/health");
    assert_eq!(reason(&rules, &Principal::Anonymous, &request), None);
    assert_eq!(reason(&rules, &testing::operator(), &request), None);
    assert_eq!(reason(&rules, &testing::guide_device(), &request), Some(Reason::NoRuleMatched));
}

#[test]
fn observe_mode_waives_and_records_every_rule_denial() {
    let text = "
        mode = \"observe\"
        user-agent = \"must-agree\"
        [[rule]]
        name = \"own\"
        allow = [\"GET\"]
        path = [\"/{mac}.cfg\"]
        [[rule]]
        name = \"never\"
        deny = [\"GET\"]
        path = [\"/secret\"]
    ";
    let rules = rules(text);
    let device = testing::guide_device();
    for (target, user_agent, rule, waived) in [
        ("/000e08abcdef.cfg", Some("cisco/CP-8841-3PCC (88012BA01234)"), "own", None),
        ("/000e08abcdef.cfg", None, "own", Some(Reason::UserAgentMismatch)),
        ("/000e08abcdee.cfg", None, "no rule", Some(Reason::NoRuleMatched)),
        ("/secret", None, "never", Some(Reason::DeniedByRule)),
    ] {
        let permit = rules.authorize(&device, &RequestFacts { user_agent, ..facts("GET", target) }).unwrap();
        assert_eq!((&*permit.rule, permit.waived.map(|denial| denial.reason)), (rule, waived), "{target}");
    }
}

#[test]
fn sec_22_observe_mode_never_stands_in_for_an_identity() {
    let text = "
        mode = \"observe\"
        [[rule]]
        name = \"first contact\"
        allow = [\"GET\"]
        path = [\"/init/{*}\"]
        for = [\"generic\", \"anonymous\"]
    ";
    let rules = rules(text);
    for principal in [Principal::Anonymous, testing::generic()] {
        assert_eq!(reason(&rules, &principal, &facts("GET", "/init/x")), None, "{principal}");
        let profile = facts("GET", "/000e08abcdef.cfg");
        assert_eq!(reason(&rules, &principal, &profile), Some(Reason::NoRuleMatched), "{principal}");
    }
    for principal in [testing::guide_device(), testing::operator()] {
        let permit = rules.authorize(&principal, &facts("GET", "/000e08abcdef.cfg")).unwrap();
        assert_eq!(permit.waived.map(|denial| denial.reason), Some(Reason::NoRuleMatched), "{principal}");
    }
}

#[test]
fn the_user_agent_can_be_required_to_agree_but_never_grants() {
    let with = |rule: &str| {
        rules(&format!(
            "user-agent = \"{rule}\"\n[[rule]]\nname = \"own\"\nallow = [\"GET\"]\npath = [\"/{{mac}}.cfg\"]\n"
        ))
    };
    let device = testing::guide_device();
    let ask = |rule: &str, user_agent: Option<&str>| {
        reason(&with(rule), &device, &RequestFacts { user_agent, ..facts("GET", "/000e08abcdef.cfg") })
    };
    let own = Some("cisco/CP-8841-3PCC (88012BA01234)");
    let other = Some("cisco/CP-8841-3PCC (88012BA01235)");
    let mismatch = Some(Reason::UserAgentMismatch);
    assert_eq!(ask("ignored", other), None);
    assert_eq!(ask("must-not-contradict", own), None);
    assert_eq!(ask("must-not-contradict", None), None);
    assert_eq!(ask("must-not-contradict", other), mismatch);
    assert_eq!(ask("must-agree", own), None);
    assert_eq!(ask("must-agree", None), mismatch);
    assert_eq!(ask("must-agree", other), mismatch);
    let elsewhere = RequestFacts { user_agent: own, ..facts("GET", "/88012BA01234.cfg") };
    assert_eq!(reason(&with("must-agree"), &device, &elsewhere), Some(Reason::NoRuleMatched));
}

#[test]
fn reports_every_mistake_of_a_rule_file() {
    let text = r#"mode = "watch"
[[rule]]
name = "a"
alow = ["GET"]
path = ["/{mca}.cfg", "x"]
[[rule]]
name = "a"
allow = ["get", "GET", "GET"]
deny = ["GET"]
path = []
[[rule]]
allow = ["get", "GET", "GET"]
path = ["/{mac}"]
for = ["generic", "phone"]
[[rule]]
name = "b"
allow = ["GET"]
path = ["/{mac}"]
for = ["generic"]
"#;
    assert_eq!(
        mistakes(text),
        [
            "rules.toml:1:8: `mode`: unknown word \"watch\" | one of: enforce, observe",
            "rules.toml:2:1: `rule[0]`: the rule has neither `allow` nor `deny` | add allow = [\"GET\", \"HEAD\"], say",
            "rules.toml:4:1: `rule[0].alow`: unknown key | did you mean `allow`?",
            "rules.toml:5:9: `rule[0].path[0]`: unknown part `{mca}` | did you mean `{mac}`?",
            "rules.toml:5:23: `rule[0].path[1]`: a path begins with `/`",
            "rules.toml:7:8: `rule[1].name`: another rule is called \"a\" already",
            "rules.toml:9:8: `rule[1].deny`: a rule either allows or denies | write two rules; the first that matches decides",
            "rules.toml:10:8: `rule[1].path`: the list is empty",
            "rules.toml:11:1: `rule[2].name`: missing: a string is needed here",
            "rules.toml:12:10: `rule[2].allow[0]`: unknown method \"get\" | did you mean \"GET\"?",
            "rules.toml:12:24: `rule[2].allow[2]`: \"GET\" is listed twice",
            "rules.toml:14:19: `rule[2].for[1]`: unknown word \"phone\" | one of: anonymous, device, generic, operator",
            "rules.toml:18:9: `rule[3].path[0]`: \"/{mac}\" never matches: only a device has values for its parts | add \"device\" to `for`, or write the path without {mac}, {serial}, {product} and {psn}",
        ]
    );
}

#[test]
fn refuses_a_file_without_rules() {
    assert_eq!(
        mistakes("mode = \"observe\"\n"),
        [
            "rules.toml:1:1: no [[rule]]: every request would be denied | add a rule, or name a shipped set: any-device, own-profile"
        ]
    );
    assert_eq!(mistakes("rule = []\n"), ["rules.toml:1:8: `rule`: the list is empty"]);
}
