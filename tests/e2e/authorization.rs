//! What a device may ask for: its own profile and nobody else's, however the request is spelled.

use harness::{
    client::Outcome,
    gateway::{HOST, MAC, PROFILE, Scene},
    origin::Origin,
    pki::{Name, Template},
};
use policies::Reason;

use crate::verdict::{answered, forbidden};

/// A scene before an origin, with the shipped rules `own-profile`.
fn own_profile() -> (Scene, Origin) {
    let origin = Origin::start();
    let mut scene = Scene::before(origin.address());
    scene.config.host().rules = "own-profile".to_owned();
    (scene, origin)
}

#[test]
fn a_phone_gets_its_own_profile_in_every_shipped_shape_and_nobody_elses() {
    let (scene, origin) = own_profile();
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let own = [
        "/000e08abcdef.cfg",
        "/000E08ABCDEF.cfg",
        "/00:0e:08:ab:cd:ef.cfg",
        "/00-0E-08-AB-CD-EF.xml",
        "/000e.08ab.cdef.xml",
        "/CP-8841-3PCC000e08abcdef.cfg",
        "/CP-8841-3PCC_000e08abcdef.cfg",
        "/cisco/000e08abcdef.cfg",
        "/cisco/CP-8841-3PCC/000e08abcdef.xml",
        "/config?cisco000E08ABCDEF",
        "/config?mac=000e08abcdef",
        "/CP-8841-3PCC.cfg",
        "/CP-8841.cfg",
        "/8841-3PCC.xml",
        "/init/any/depth",
    ];
    for (at, target) in own.iter().enumerate() {
        answered(&gateway, &client, target, 200);
        assert_eq!(origin.wait_for(at + 1).target(), *target, "what is judged is what is forwarded");
    }
    let others = [
        "/000e08abcdf0.cfg",
        "/000e08abcdef.cfg?x",
        "/000e08abcdef.cfg/",
        "/x/000e08abcdef.cfg",
        "/000e08abcdef0.cfg",
        "/000e08abcdef.txt",
        "/CP-7841-3PCC.cfg",
        "/CP-7841-3PCC_000e08abcdef.cfg",
        "/cisco/CP-7841-3PCC/000e08abcdef.xml",
        "/config?cisco000E08ABCDF0",
        "/config?mac=000e08abcdf0",
        "/config?mac=000e08abcdef&mac=000e08abcdf0",
        "/config?mac=000e08abcdef&x=1",
        "/config",
        "/88012BA01234.cfg",
        "/",
    ];
    for target in others {
        forbidden(&gateway, &client, target, 403, Reason::NoRuleMatched);
    }
    assert_eq!(origin.received().len(), own.len(), "a refused request reaches no backend");
}

#[test]
fn only_the_methods_a_rule_names_are_allowed() {
    let (scene, origin) = own_profile();
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    for (method, status) in
        [("GET", 200), ("HEAD", 200), ("POST", 403), ("PUT", 403), ("DELETE", 403), ("get", 403)]
    {
        let request = format!("{method} {PROFILE} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.send(request.as_bytes()).status(), status, "{method}");
    }
    assert_eq!(origin.received().len(), 2);
}

/// SEC-67. Whatever the spelling, the backend sees what was judged, or nothing.
#[test]
fn a_path_is_normalised_once_and_forwarded_as_judged() {
    let (scene, origin) = own_profile();
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let table: &[(&str, Result<&str, Reason>)] = &[
        ("/%30%30%30e08abcdef.cfg", Ok("/000e08abcdef.cfg")),
        ("//000e08abcdef.cfg", Ok("/000e08abcdef.cfg")),
        ("/init//x", Ok("/init/x")),
        ("/./000e08abcdef.cfg", Err(Reason::BadTarget)),
        ("https://prov.example.com/000e08abcdef.cfg", Ok("/000e08abcdef.cfg")),
        ("/init/..%2f000e08abcdf0.cfg", Err(Reason::BadTarget)),
        ("/init/%2e%2e/000e08abcdf0.cfg", Err(Reason::BadTarget)),
        ("/init/../000e08abcdf0.cfg", Err(Reason::BadTarget)),
        ("/init/../../../000e08abcdf0.cfg", Err(Reason::BadTarget)),
        ("/init/%00", Err(Reason::BadTarget)),
        ("/init/%zz", Err(Reason::BadTarget)),
        ("/init/x\\..\\y", Err(Reason::BadTarget)),
        ("/init/%5c", Err(Reason::BadTarget)),
        ("/init/%252e%252e/000e08abcdf0.cfg", Err(Reason::BadTarget)),
        ("/000e08abcdf0.cfg;/../000e08abcdef.cfg", Err(Reason::BadTarget)),
        ("//000e08abcdf0.cfg", Err(Reason::NoRuleMatched)),
        ("/init/x;y", Err(Reason::BadTarget)),
        ("*", Err(Reason::BadTarget)),
    ];
    let mut found = Vec::new();
    let mut forwarded = 0;
    for (target, expected) in table {
        let outcome = client.get(target);
        let record = gateway.audit.next();
        let actual = match outcome {
            Outcome::Answer(response) if response.status == 200 => {
                forwarded += 1;
                Ok(origin.wait_for(forwarded).target().to_owned())
            }
            Outcome::Answer(_) | Outcome::Alert(_) | Outcome::Closed | Outcome::Broken(_) => {
                Err(record.text("reason").to_owned())
            }
        };
        let expected = expected.map(str::to_owned).map_err(|reason| reason.as_str().to_owned());
        if actual != expected {
            found.push(format!("{target}: {actual:?}, not {expected:?}"));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// SEC-33 and SEC-36: only a name that selects another host is misdirected.
#[test]
fn a_host_field_of_another_host_is_misdirected_and_any_other_name_is_not() {
    let mut scene = Scene::new();
    let mut second = scene.config.host().clone();
    second.names = vec!["two.example.com".to_owned()];
    scene.config.hosts.push(second);
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    for host in [
        HOST,
        "PROV.example.com",
        "prov.example.com:8443",
        "prov.example.com.",
        "192.0.2.1",
        "unknown.example.net",
    ] {
        answered(&gateway, &client.clone().asking_for(host), PROFILE, 200);
    }
    for host in ["two.example.com", "TWO.example.com.", "two.example.com:443"] {
        forbidden(&gateway, &client.clone().asking_for(host), PROFILE, 421, Reason::Misdirected);
    }
    let nameless = scene.client(&gateway, &scene.phone()).without_server_name();
    answered(&gateway, &nameless, PROFILE, 200);
    forbidden(&gateway, &nameless.asking_for("two.example.com"), PROFILE, 421, Reason::Misdirected);
}

#[test]
fn a_host_field_that_is_missing_repeated_or_none_is_refused() {
    let (scene, origin) = own_profile();
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let get =
        |fields: &str| client.send(format!("GET {PROFILE} HTTP/1.1\r\n{fields}\r\n").as_bytes()).status();
    let host = format!("Host: {HOST}\r\n");
    for fields in
        ["".to_owned(), format!("{host}{host}"), "Host: a b\r\n".to_owned(), "Host: x@y\r\n".to_owned()]
    {
        assert_eq!(get(&fields), 400, "{fields:?}");
        assert_eq!(gateway.audit.next().text("reason"), Reason::BadHost.as_str(), "{fields:?}");
    }
    assert_eq!(get(&host), 200);
    assert_eq!(origin.received().len(), 1);
}

/// SEC-33, on one kept connection.
#[test]
fn every_request_of_a_kept_connection_is_judged() {
    let (scene, origin) = own_profile();
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut connection = client.connect().unwrap();
    for (target, status) in [(PROFILE, 200), ("/000e08abcdf0.cfg", 403), (PROFILE, 200), ("/", 403)] {
        assert_eq!(connection.send(&client.get_request(target, &[])).status(), status);
    }
    assert_eq!(origin.received().len(), 2);
    let records = [(); 4].map(|()| gateway.audit.next());
    assert!(records.iter().all(|record| record.text("connection") == records[0].text("connection")));
}

#[test]
fn a_deny_rule_before_an_allow_rule_wins() {
    let (mut scene, _origin) = own_profile();
    scene.config.host().rules = "rules.toml".to_owned();
    scene.folder.write(
        "rules.toml",
        "[[rule]]\nname = \"never\"\ndeny = [\"GET\"]\npath = [\"/secret/{*}\"]\n\
         [[rule]]\nname = \"all\"\nallow = [\"GET\"]\npath = [\"/{*}\"]\n",
    );
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let record = forbidden(&gateway, &client, "/secret/x", 403, Reason::DeniedByRule);
    assert_eq!(record.text("rule"), "never");
    let record = answered(&gateway, &client, "/open/x", 200);
    assert_eq!((record.text("rule"), record.text("decision")), ("all", "permit"));
}

#[test]
fn observe_mode_waives_rules_and_nothing_else() {
    let (mut scene, _origin) = own_profile();
    scene.config.host().rules = "rules.toml".to_owned();
    scene.config.trust_line("deny = \"deny.txt\"");
    scene.folder.write("deny.txt", "mac 000e08abcdf0\n");
    let rule = "[[rule]]\nname = \"own\"\nallow = [\"GET\"]\npath = [\"/{mac}.cfg\"]\n";
    scene.folder.write("rules.toml", format!("mode = \"observe\"\n{rule}"));
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let record = answered(&gateway, &client, "/000e08abcdf0.cfg", 200);
    assert_eq!((record.text("decision"), record.text("reason")), ("waived", "no_rule_matched"));
    let record = answered(&gateway, &client, PROFILE, 200);
    assert_eq!((record.text("decision"), record.text("reason")), ("permit", ""));
    let denied = scene.device(Name::phone("CP-8841-3PCC", "88012BA01235", "000e08abcdf0"));
    crate::verdict::refused(&gateway, &scene.client(&gateway, &denied), Reason::DeniedByList);
    let expired = Template { not_after: harness::expect::now() - 60, ..harness::gateway::phone_template() };
    let expired = scene.client_authority.issue(&expired);
    crate::verdict::refused(&gateway, &scene.client(&gateway, &expired), Reason::Expired);
}

#[test]
fn a_user_agent_that_names_another_device_is_refused_where_it_must_agree() {
    let (mut scene, _origin) = own_profile();
    scene.config.host().rules = "rules.toml".to_owned();
    scene.folder.write(
        "rules.toml",
        "user-agent = \"must-agree\"\n[[rule]]\nname = \"own\"\nallow = [\"GET\"]\npath = [\"/{mac}.cfg\"]\n",
    );
    let gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let with = |user_agent: &str| client.get_with(PROFILE, &[&format!("User-Agent: {user_agent}")]).status();
    for own in ["cisco/CP-8841-3PCC (88012BA01234)", "Cisco-CP-8841-3PCC/11.0 (000e08abcdef)"] {
        assert_eq!(with(own), 200, "{own}");
    }
    for other in ["cisco/CP-8841-3PCC (88012BA01235)", "Cisco-CP-8841-3PCC/11.0 (000e08abcdf0)", "curl/8.0"] {
        gateway.audit.skip_to_end();
        assert_eq!(with(other), 403, "{other}");
        let record = gateway.audit.next_where("the refusal", |record| record.number("status") == Some(403));
        assert_eq!(record.text("reason"), Reason::UserAgentMismatch.as_str());
    }
}

/// SEC-25: what stands in a certificate is data; it is never read as a pattern.
#[test]
fn a_certificates_text_is_never_a_pattern() {
    let (scene, origin) = own_profile();
    let gateway = scene.start();
    for product in ["{*}", "..", ".*", "%2e%2e", "a/b", "{mac}"] {
        let phone = scene.device(Name::phone(product, "1", MAC));
        let client = scene.client(&gateway, &phone);
        for target in ["/anything.cfg", "/%7B*%7D.cfg", "/a/b.cfg", "/000e08abcdf0.cfg"] {
            let status = client.get(target).status();
            assert!(status == 403 || status == 400, "{product} {target}: {status}");
        }
    }
    assert!(origin.received().is_empty());
}
