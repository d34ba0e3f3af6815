use super::*;

/// What is replaced in the sound configuration, by what, and how the one mistake begins.
const MISTAKES: &[(&str, &str, &str)] = &[
    // Listeners.
    (
        "address = \"127.0.0.1:8443\"",
        "address = \"127.0.0.1\"",
        "2:11: `listener[0].address`: \"127.0.0.1\" is no address with a port",
    ),
    (
        "tls = \"modern\"",
        "tls = \"modrn\"",
        "3:7: `listener[0].tls`: there is no shipped TLS policy \"modrn\" and no such file | did you mean \"modern\"?",
    ),
    (
        "tls = \"modern\"",
        "tls = \"tls/own.toml\"",
        "3:7: `listener[0].tls`: TLS policy ~/tls/own.toml cannot be read: there is no such file",
    ),
    ("tls = \"modern\"\n", "", "1:1: `listener[0].tls`: missing"),
    (
        "[[listener]]\naddress = \"127.0.0.1:8443\"\ntls = \"modern\"\n",
        "",
        "1:1: there is no listener | [[listener]] with",
    ),
    (
        "[[host]]",
        "[[listener]]\naddress = \"127.0.0.1:8443\"\ntls = \"modern\"\n[[host]]",
        "6:11: `listener[1].address`: another listener has the address 127.0.0.1:8443 too",
    ),
    // Names.
    ("names = [\"prov.example.com\"]\n", "", "5:1: `host[0].names`: missing"),
    ("[\"prov.example.com\"]", "[]", "6:9: `host[0].names`: the list is empty"),
    (
        "[\"prov.example.com\"]",
        "[\"prov.example.com:443\"]",
        "6:10: `host[0].names[0]`: \"prov.example.com:443\" has a port",
    ),
    (
        "[\"prov.example.com\"]",
        "[\"prov.example.com\", \"PROV.example.com\"]",
        "6:30: `host[0].names[1]`: the name prov.example.com is taken by the host of line 5",
    ),
    // Certificates and keys.
    (
        "server/chain.pem",
        "server/none.pem",
        "7:15: `host[0].certificate`: certificate ~/server/none.pem cannot be read: there is no such file",
    ),
    (
        "server/chain.pem",
        "server",
        "7:15: `host[0].certificate`: certificate ~/server cannot be read: it is a folder",
    ),
    (
        "server/chain.pem",
        "server/key.pem",
        "7:15: `host[0].certificate`: certificate ~/server/key.pem: there is no certificate in it",
    ),
    (
        "server/key.pem",
        "server/chain.pem",
        "8:15: `host[0].private-key`: private key ~/server/chain.pem: there is not exactly one private key in it",
    ),
    // Client authentication, backend, headers, rules.
    ("client-auth = \"required\"\n", "", "5:1: `host[0].client-auth`: missing"),
    (
        "\"required\"",
        "\"require\"",
        "9:15: `host[0].client-auth`: unknown word \"require\" | did you mean \"required\"?",
    ),
    (
        "http://127.0.0.1:8080",
        "127.0.0.1:8080",
        "10:11: `host[0].backend`: \"127.0.0.1:8080\" is no backend | one of: directory:PATH",
    ),
    (
        "http://127.0.0.1:8080",
        "http://127.0.0.1:8080/prov",
        "10:11: `host[0].backend`: a backend has no path",
    ),
    (
        "http://127.0.0.1:8080",
        "http://me:pw@127.0.0.1",
        "10:11: `host[0].backend`: a backend has no user name or password",
    ),
    ("http://127.0.0.1:8080", "http:127.0.0.1", "10:11: `host[0].backend`: // is missing"),
    ("http://127.0.0.1:8080", "http://", "10:11: `host[0].backend`: this is no host with an optional port"),
    (
        "http://127.0.0.1:8080",
        "directory:profiles",
        "10:11: `host[0].backend`: folder ~/profiles is not there",
    ),
    (
        "http://127.0.0.1:8080",
        "directory:deny.txt",
        "10:11: `host[0].backend`: folder ~/deny.txt is a file, a folder is needed",
    ),
    ("http://127.0.0.1:8080", "unix:", "10:11: `host[0].backend`: the path is missing"),
    (
        "http://127.0.0.1:8080",
        "https://127.0.0.1:8080",
        "10:11: `host[0].backend`: an https:// backend needs `backend-ca`",
    ),
    (
        "headers = ",
        "backend-ca = \"trust/root.pem\"\nheaders = ",
        "11:14: `host[0].backend-ca`: only an https:// backend takes this key",
    ),
    (
        "[\"guide\"]",
        "[\"giude\"]",
        "11:12: `host[0].headers[0]`: unknown header preset \"giude\" | did you mean \"guide\"?",
    ),
    (
        "[\"guide\"]",
        "[\"device\"]\nissuer-fields = \"mod_ssl\"",
        "12:17: `host[0].issuer-fields`: only the `guide` headers have issuer fields",
    ),
    ("rules = \"own-profile\"\n", "", "5:1: `host[0].rules`: missing"),
    (
        "\"own-profile\"",
        "\"own-profil\"",
        "12:9: `host[0].rules`: there is no shipped rule set \"own-profil\" and no such file | did you mean \"own-profile\"?",
    ),
    ("rules = ", "ruels = ", "5:1: `host[0].rules`: missing"),
    // Trust.
    ("anchors = \"trust/root.pem\"\n", "", "14:1: `host[0].trust[0].anchors`: missing"),
    (
        "trust/root.pem",
        "trust/none.pem",
        "15:11: `host[0].trust[0].anchors`: anchor file ~/trust/none.pem cannot be read",
    ),
    ("identity = [\"cisco-small-business\"]\n", "", "14:1: `host[0].trust[0].identity`: missing"),
    ("[\"cisco-small-business\"]", "[]", "16:12: `host[0].trust[0].identity`: the list is empty"),
    (
        "[\"cisco-small-business\"]",
        "[\"cisco-small-busines\"]",
        "16:13: `host[0].trust[0].identity[0]`: there is no shipped identity profile \"cisco-small-busines\"",
    ),
    (
        "[\"cisco-small-business\"]",
        "[\"cisco-small-business\", \"operator\"]",
        "16:12: `host[0].trust[0].identity`: \"operator\" recognises every subject and must stand alone",
    ),
    (
        "[\"cisco-small-business\"]",
        "[\"cn-mac\", \"cn-mac\"]",
        "16:12: `host[0].trust[0].identity`: \"cn-mac\" is listed twice",
    ),
    ("\"trust/crls\"", "\"trust/crl\"", "17:8: `host[0].trust[0].crls`: CRL file ~/trust/crl cannot be read"),
    (
        "\"trust/crls\"",
        "\"trust/root.pem\"",
        "17:8: `host[0].trust[0].crls`: CRL file ~/trust/root.pem, line 1: a CERTIFICATE stands where a CRL should",
    ),
    (
        "\"trust/crls\"\n",
        "\"trust/crls\"\ncrl-unknown = \"ignore\"\n",
        "18:15: `host[0].trust[0].crl-unknown`: unknown word \"ignore\"",
    ),
    (
        "crls = \"trust/crls\"\n",
        "crl-expired = \"allow\"\n",
        "17:15: `host[0].trust[0].crl-expired`: without `crls` no revocation is checked",
    ),
    ("\"deny.txt\"", "\"deny\"", "18:8: `host[0].trust[0].deny`: deny file ~/deny cannot be read"),
    (
        "deny = ",
        "ouis = [\"000e0\"]\ndeny = ",
        "18:9: `host[0].trust[0].ouis[0]`: \"000e0\" is not the first half of a MAC address",
    ),
    ("deny = ", "ouis = []\ndeny = ", "18:8: `host[0].trust[0].ouis`: the list is empty"),
    (
        "deny = ",
        "allow = [\"sha-1\"]\ndeny = ",
        "18:10: `host[0].trust[0].allow[0]`: unknown exception \"sha-1\" | did you mean \"sha1\"?",
    ),
    (
        "deny = ",
        "allow = [\"expired\"]\ndeny = ",
        "18:10: `host[0].trust[0].allow[0]`: how long after its end",
    ),
    (
        "deny = ",
        "allow = [{ expired = \"3 years\" }]\ndeny = ",
        "18:22: `host[0].trust[0].allow[0].expired`: \"3 years\" is no duration",
    ),
    (
        "deny = ",
        "allow = [7]\ndeny = ",
        "18:10: `host[0].trust[0].allow[0]`: expected an exception, found a whole number",
    ),
    (
        "deny = ",
        "until = 2029-12-31\ndeny = ",
        "18:9: `host[0].trust[0].until`: there is no `allow` that could end",
    ),
    (
        "deny = ",
        "require-eku = \"yes\"\ndeny = ",
        "18:15: `host[0].trust[0].require-eku`: expected true or false",
    ),
    ("rules = ", "ca-names = \"some\"\nrules = ", "12:12: `host[0].ca-names`: unknown choice \"some\""),
    ("rules = ", "ca-names = []\nrules = ", "12:12: `host[0].ca-names`: the list is empty"),
    (
        "rules = ",
        "further-certificate = []\nrules = ",
        "12:23: `host[0].further-certificate`: the list is empty",
    ),
    (
        "rules = ",
        "ca-names = [\"trust/none.pem\"]\nrules = ",
        "12:13: `host[0].ca-names[0]`: certificate file ~/trust/none.pem cannot be read",
    ),
    // The rest.
    ("[audit]", "[limits]\nconnections = 0\n[audit]", "21:15: `limits.connections`: 0 is out of range"),
    ("file = \"audit.jsonl\"", "", "20:1: `audit.file`: missing"),
    (
        "\"audit.jsonl\"",
        "\"log/audit.jsonl\"",
        "21:8: `audit.file`: there is no folder ~/log for the audit file",
    ),
    ("\"audit.jsonl\"", "\"trust\"", "21:8: `audit.file`: ~/trust is a folder, a file is needed"),
    (
        "\"audit.jsonl\"",
        "\"audit.jsonl\"\nwhen-full = \"block\"",
        "22:13: `audit.when-full`: unknown word \"block\"",
    ),
    ("[audit]", "[other]\nport = 1\n[audit]", "20:2: `other`: unknown key"),
];

#[test]
fn each_mistake_is_named_with_its_line_and_nothing_else_is() {
    let fixture = Fixture::new();
    assert!(fixture.load(SOUND).is_ok(), "the twin of all of them");
    for (from, to, expected) in MISTAKES {
        assert!(SOUND.contains(from), "{from}");
        let text = SOUND.replacen(from, to, 1);
        if *to == "ruels = " {
            let found = fixture.mistakes(&text);
            assert!(
                found.iter().any(|one| one.message == "unknown key" && one.line == 12 && one.hint.is_some()),
                "{found:?}"
            );
            continue;
        }
        let found = fixture.only_mistake(&text);
        assert!(found.starts_with(expected), "\n  found {found}\nexpected {expected}");
    }
}

#[test]
fn a_listener_without_host_and_a_host_without_trust_are_mistakes() {
    let fixture = Fixture::new();
    let (before, rest) = SOUND.split_once("[[host]]").unwrap();
    let audit = rest.split_once("[audit]").unwrap().1;
    let found = fixture.only_mistake(&format!("{before}[audit]{audit}"));
    assert!(found.starts_with("1:1: the listeners have no host to serve"), "{found}");
    let (before, rest) = SOUND.split_once("[[host.trust]]").unwrap();
    let audit = rest.split_once("[audit]").unwrap().1;
    let found = fixture.only_mistake(&format!("{before}[audit]{audit}"));
    assert!(found.starts_with("5:1: `host[0]`: this host trusts nobody"), "{found}");
}

/// An empty list is what a template leaves of a section that was to be filled in: reading on would serve nobody.
#[test]
fn sec_26_an_empty_list_of_hosts_listeners_or_trust_stops_the_start() {
    let fixture = Fixture::new();
    let (listener, rest) = SOUND.split_once("[[host]]").unwrap();
    let (host, trust) = rest.split_once("[[host.trust]]").unwrap();
    let (trust, audit) = trust.split_once("[audit]").unwrap();
    assert!(fixture.load(&format!("{listener}[[host]]{host}[[host.trust]]{trust}[audit]{audit}")).is_ok());
    for (text, expected) in [
        (format!("host = []\n{listener}[audit]{audit}"), "1:8: `host`: the list is empty"),
        (
            format!("listener = []\n[[host]]{host}[[host.trust]]{trust}[audit]{audit}"),
            "1:12: `listener`: the list is empty",
        ),
        (
            format!("{listener}[[host]]{host}trust = []\n[audit]{audit}"),
            "14:9: `host[0].trust`: the list is empty",
        ),
    ] {
        assert_eq!(fixture.only_mistake(&text), expected);
    }
}

#[test]
fn one_anchor_in_two_trust_entries_is_a_mistake_and_two_anchors_are_not() {
    let fixture = Fixture::new();
    let second = "[[host.trust]]\nanchors = \"trust/other.pem\"\nidentity = [\"operator\"]\n\n[audit]";
    let text = SOUND.replace("[audit]", second);
    fixture.write("trust/other.pem", Pki::named("Other").root().certificate().to_pem());
    assert!(fixture.load(&text).is_ok());
    fixture.write("trust/other.pem", fixture.pki.root().certificate().to_pem());
    let found = fixture.only_mistake(&text);
    let expected =
        "20:1: `host[0].trust[1]`: anchor CN=Test Client Root stands in the trust entry of line 14 too";
    assert!(found.starts_with(expected), "{found}");
}

/// A file of the sound configuration, what it holds instead, and how the one mistake begins (SEC-26).
#[test]
fn sec_26_a_file_that_is_empty_or_broken_anywhere_stops_the_start() {
    let fixture = Fixture::new();
    let root = fixture.pki.root().certificate().to_pem();
    let crl = fixture.pki.root().crl().to_pem();
    let truncated = &root[..root.len() - 40];
    let cases: &[(&str, String, &str)] = &[
        (
            "trust/root.pem",
            String::new(),
            "15:11: `host[0].trust[0].anchors`: anchor file ~/trust/root.pem is empty",
        ),
        (
            "trust/root.pem",
            " \n".to_owned(),
            "15:11: `host[0].trust[0].anchors`: anchor file ~/trust/root.pem is empty",
        ),
        (
            "trust/root.pem",
            "nothing".to_owned(),
            "15:11: `host[0].trust[0].anchors`: anchor file ~/trust/root.pem: no certificate",
        ),
        (
            "trust/root.pem",
            truncated.to_owned(),
            "15:11: `host[0].trust[0].anchors`: anchor file ~/trust/root.pem, line ",
        ),
        (
            "trust/root.pem",
            format!("{root}{truncated}"),
            "15:11: `host[0].trust[0].anchors`: anchor file ~/trust/root.pem, line ",
        ),
        (
            "trust/root.pem",
            format!("{root}{}", root.replace("-----BEGIN", "----BEGIN").replace("-----END", "----END")),
            "15:11: `host[0].trust[0].anchors`: anchor file ~/trust/root.pem, line ",
        ),
        (
            "trust/crls/root.crl",
            String::new(),
            "17:8: `host[0].trust[0].crls`: CRL file ~/trust/crls/root.crl is empty",
        ),
        (
            "trust/crls/root.crl",
            "junk".to_owned(),
            "17:8: `host[0].trust[0].crls`: CRL file ~/trust/crls/root.crl: no CRL",
        ),
        (
            "trust/crls/root.crl",
            format!("{crl}{}", &crl[..crl.len() - 30]),
            "17:8: `host[0].trust[0].crls`: CRL file ~/trust/crls/root.crl, line ",
        ),
        ("deny.txt", "mac 000e08ffffff".to_owned(), "~/deny.txt:1: "),
        ("deny.txt", "mac 000e08ffffff\nmac 00\n".to_owned(), "~/deny.txt:2: "),
        (
            "server/chain.pem",
            String::new(),
            "7:15: `host[0].certificate`: certificate ~/server/chain.pem is empty",
        ),
        (
            "server/key.pem",
            String::new(),
            "8:15: `host[0].private-key`: private key ~/server/key.pem is empty",
        ),
    ];
    for (file, contents, expected) in cases {
        let sound = fs::read(fixture.path(file)).unwrap();
        fixture.write(file, contents);
        let found = fixture.only_mistake(SOUND);
        assert!(found.starts_with(expected), "\n  found {found}\nexpected {expected}");
        fixture.write(file, sound);
        assert!(fixture.load(SOUND).is_ok(), "the twin: {file} as it was");
    }
}

#[test]
fn a_crl_folder_without_a_crl_is_a_mistake_and_what_editors_leave_in_it_is_not_read() {
    let fixture = Fixture::new();
    for left_behind in [".root.crl.swp", "root.crl~", "root.crl.tmp"] {
        fixture.write(&format!("trust/crls/{left_behind}"), "not a CRL");
    }
    assert!(fixture.load(SOUND).is_ok());
    fs::remove_file(fixture.path("trust/crls/root.crl")).unwrap();
    let found = fixture.only_mistake(SOUND);
    assert!(found.starts_with("17:8: `host[0].trust[0].crls`: CRL folder ~/trust/crls is empty"), "{found}");
}

#[test]
fn a_deny_list_that_denies_nobody_says_so_in_a_comment() {
    let fixture = Fixture::new();
    fixture.write("deny.txt", "# nobody\n");
    let config = fixture.load(SOUND).expect("it is sound");
    assert_eq!(config.hosts[0].trust[0].deny.as_ref().map(|(_, count)| *count), Some(0));
    fixture.write("deny.txt", "");
    let found = fixture.only_mistake(SOUND);
    assert!(found.starts_with("18:8: `host[0].trust[0].deny`: deny file ~/deny.txt is empty"), "{found}");
}

#[test]
fn a_file_that_may_not_be_read_is_a_mistake() {
    let fixture = Fixture::new();
    fixture.set_mode("deny.txt", 0o000);
    if fs::read(fixture.path("deny.txt")).is_ok() {
        return; // root reads everything
    }
    let found = fixture.only_mistake(SOUND);
    assert!(
        found.starts_with(
            "18:8: `host[0].trust[0].deny`: deny file ~/deny.txt cannot be read: permission denied"
        ),
        "{found}"
    );
}

#[test]
fn mistakes_in_a_rule_file_of_ones_own_are_named_with_its_own_lines() {
    let fixture = Fixture::new();
    let text = SOUND.replace("\"own-profile\"", "\"rules.toml\"");
    fixture.write("rules.toml", "[[rule]]\nname = \"own\"\nallow = [\"GET\"]\npath = [\"/{mac}.cfg\"]\n");
    assert!(fixture.load(&text).is_ok());
    fixture.write("rules.toml", "[[rule]]\nname = \"own\"\nalow = [\"GET\"]\npath = [\"/{mac}.cfg\"]\n");
    let found = fixture.mistakes(&text);
    assert!(found.iter().any(|one| one.file.ends_with("rules.toml") && one.line == 3), "{found:?}");
}

#[test]
fn too_many_ca_names_for_one_handshake_are_a_mistake_and_many_are_a_warning() {
    let fixture = Fixture::new();
    let pem = |count: usize, width: usize| -> String {
        let name = |index: usize| Pki::named(&format!("{index:0width$}")).root().certificate().to_pem();
        (0..count).map(name).collect()
    };
    fixture.write("trust/root.pem", pem(30, 60));
    let text = SOUND.replace("crls = \"trust/crls\"\n", "");
    assert_eq!(fixture.warnings(&text), Vec::<String>::new());
    fixture.write("trust/root.pem", pem(60, 60));
    let warnings = fixture.warnings(&text);
    assert!(warnings[0].contains("the names of 60 authorities in each handshake take"), "{warnings:?}");
    assert_eq!(
        fixture.warnings(&text.replace("rules = ", "ca-names = \"none\"\nrules = ")),
        Vec::<String>::new()
    );
}
