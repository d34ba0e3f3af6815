//! Apache 2.4 as the backend, with the lines the README gives; and Apache in the gateway's place, as the judge of what a
//! backend is told.

use std::collections::BTreeMap;

use harness::{
    apache::{Apache, script},
    client::Client,
    curl::Curl,
    expect::{Peer, all_present},
    gateway::{Gateway, HOST, MAC, PROFILE, Scene, phone_template, profile},
    pki::{Authority, Credentials, Digest, Extension, Key, KeyKind, Name, Template, attribute::*},
    process,
};

/// What the README tells an operator to include.
const GATEWAY_HEADERS: &str = include_str!("apache/gateway-headers.conf");

/// Apache behind a gateway, with the guide's script and a static profile store.
struct Behind {
    apache: Apache,
    scene: Scene,
    gateway: Gateway,
}

impl Behind {
    fn start(change: impl FnOnce(&mut Scene)) -> Self {
        let mut scene = Scene::new();
        install(&scene);
        let apache = Apache::start(&scene.folder, GATEWAY_HEADERS);
        scene.config.host().backend = format!("http://{}", apache.address());
        scene.config.host().rules = "rules.toml".to_owned();
        let rule = "[[rule]]\nname = \"all\"\nallow = [\"GET\", \"HEAD\", \"POST\"]\npath = [\"/{*}\"]\n";
        scene.folder.write("rules.toml", format!("{rule}for = [\"device\", \"operator\"]\n"));
        change(&mut scene);
        let gateway = scene.start();
        Self { apache, scene, gateway }
    }

    fn client(&self, credentials: &Credentials) -> Client {
        self.scene.client(&self.gateway, credentials)
    }
}

fn install(scene: &Scene) {
    script(&scene.folder, "reflect.pl", include_str!("apache/reflect.pl"));
    script(&scene.folder, "environment.pl", include_str!("apache/environment.pl"));
    script(&scene.folder, "echo.pl", include_str!("apache/echo.pl"));
    scene.folder.write(format!("htdocs{PROFILE}"), profile(MAC));
}

fn skipped(test: &str) -> bool {
    !all_present(test, &[Peer::Apache, Peer::Perl])
}

#[test]
fn the_readme_gives_these_very_lines() {
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(GATEWAY_HEADERS.trim_end()),
        "README.md and e2e/apache/gateway-headers.conf differ"
    );
}

#[test]
fn the_guides_script_answers_as_the_guide_says() {
    if skipped("the_guides_script_answers_as_the_guide_says") {
        return;
    }
    let behind = Behind::start(|_| ());
    let answer = behind.client(&behind.scene.phone()).get("/cgi-bin/reflect.pl").answer();
    let expected =
        "<flat-profile><GPP_D>OU=CP-8841-3PCC,\nL=88012BA01234,\nS=000e08abcdef\n</GPP_D></flat-profile>";
    assert_eq!((answer.status, answer.text().as_str()), (200, expected));
    // As the guide's profile rule writes it, with a question mark and nothing after it.
    assert_eq!(behind.client(&behind.scene.phone()).get("/cgi-bin/reflect.pl?").answer().text(), expected);
    // Forged fields change nothing of it.
    let lines =
        ["SSL-Client-I-DN-S: 000e08abcdf0", "SSL_CLIENT_I_DN_S: 000e08abcdf0", "ssl-client-i-dn-ou: x"];
    let forged = behind.client(&behind.scene.phone()).get_with("/cgi-bin/reflect.pl", &lines).answer();
    assert_eq!(forged.text(), expected);
}

#[test]
fn a_static_profile_store_serves_files_ranges_and_conditions() {
    if skipped("a_static_profile_store_serves_files_ranges_and_conditions") {
        return;
    }
    let behind = Behind::start(|scene| scene.config.host().rules = "own-profile".to_owned());
    let client = behind.client(&behind.scene.phone());
    let whole = client.get(PROFILE).answer();
    assert_eq!((whole.status, whole.text()), (200, profile(MAC)));
    let tag = whole.field("etag").unwrap().to_owned();
    assert_eq!(client.get_with(PROFILE, &[&format!("If-None-Match: {tag}")]).status(), 304);
    assert_eq!(client.get_with(PROFILE, &["Range: bytes=0-3"]).answer().text(), profile(MAC)[..4]);
    assert_eq!(client.get("/000e08abcdf0.cfg").status(), 403, "nobody else's, also where there is none");
    assert_eq!(client.get("/000e08abcdef.xml").status(), 404, "Apache's own answer passes");
}

#[test]
fn a_post_reaches_a_script_byte_for_byte() {
    if skipped("a_post_reaches_a_script_byte_for_byte") {
        return;
    }
    let behind = Behind::start(|_| ());
    let body: Vec<u8> = (0..=255_u8).cycle().take(100_000).collect();
    let head =
        format!("POST /cgi-bin/echo.pl HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = behind.client(&behind.scene.phone()).send(&[head.as_bytes(), &body].concat()).answer();
    assert!(answer.status == 200 && answer.body == [b"POST ".as_slice(), &body].concat());
}

/// The lines of the README believe the gateway alone.
#[test]
fn apache_believes_nobody_but_the_gateway() {
    if skipped("apache_believes_nobody_but_the_gateway")
        || !all_present("apache_believes_nobody_but_the_gateway", &[Peer::Curl])
    {
        return;
    }
    let behind = Behind::start(|_| ());
    let url = format!("http://{}/cgi-bin/reflect.pl", behind.apache.address());
    let ask = |from: &str| {
        let arguments =
            ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*", "--interface", from, &url];
        process::run(Peer::Curl.command().args(arguments), b"").success()
    };
    assert_eq!(ask("127.0.0.2"), "403");
    assert_eq!(ask("127.0.0.1"), "200");
}

#[test]
fn curl_gets_the_guides_answer_too() {
    if skipped("curl_gets_the_guides_answer_too")
        || !all_present("curl_gets_the_guides_answer_too", &[Peer::Curl])
    {
        return;
    }
    let behind = Behind::start(|_| ());
    let curl =
        Curl::new(behind.gateway.address(), &behind.scene.server_authority).presenting(&behind.scene.phone());
    let got = curl.get_one("/cgi-bin/reflect.pl");
    assert_eq!(got.status, 200);
    assert!(got.body.contains("S=000e08abcdef\n</GPP_D>"), "{}", got.body);
}

/// The variables a script sees, by name.
fn environment(client: &Client) -> BTreeMap<String, String> {
    let answer = client.get("/cgi-bin/environment.pl").answer();
    assert_eq!(answer.status, 200);
    let text = answer.text();
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Apache in the gateway's place: mod_ssl with `SSLVerifyClient require`, and the same scripts.
fn in_the_gateways_place(scene: &Scene) -> (Apache, Scene) {
    let own = Scene::new();
    install(&own);
    scene.phone();
    for (name, from) in [("server-chain.pem", "server-chain.pem"), ("client-root.pem", "client-root.pem")] {
        own.folder.write(name, std::fs::read(scene.folder.join(from)).unwrap());
    }
    own.folder.write_private("server-key.pem", std::fs::read(scene.folder.join("server-key.pem")).unwrap());
    let folder = own.folder.path().display();
    let lines = format!(
        "SSLEngine on\nSSLCertificateFile {folder}/server-chain.pem\nSSLCertificateKeyFile {folder}/server-key.pem\n\
         SSLCACertificateFile {folder}/client-root.pem\nSSLVerifyClient require\nSSLVerifyDepth 5\n\
         SSLOptions +StdEnvVars\nSSLSessionCache none\n\
         SSLCipherSuite ECDHE-ECDSA-AES128-GCM-SHA256\n"
    );
    (Apache::start(&own.folder, &lines), own)
}

/// What both must say alike.
fn is_compared(name: &str) -> bool {
    let families = [
        "SSL_CLIENT_S_DN",
        "SSL_CLIENT_I_DN",
        "SSL_CLIENT_M_",
        "SSL_CLIENT_V_",
        "SSL_CLIENT_A_",
        "SSL_CLIENT_SAN_",
    ];
    families.iter().any(|family| name.starts_with(family))
        || ["SSL_CLIENT_VERIFY", "SSL_PROTOCOL", "SSL_TLS_SNI", "SSL_CIPHER"].contains(&name)
}

/// What the gateway sent, under Apache's names: a CGI script sees every field as `HTTP_…`, in capitals.
fn sent(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let names = environment.iter().filter_map(|(name, value)| Some((name.strip_prefix("HTTP_")?, value)));
    // A field cannot begin or end with a space; the gateway writes one as an escape.
    names.map(|(name, value)| (name.to_owned(), value.replace("\\20", " "))).collect()
}

/// Variables as they are compared: the names in capitals, `\ ` at the end as the gateway writes it.
fn told(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let compared = environment.iter().filter(|(name, _)| is_compared(name));
    compared.map(|(name, value)| (name.to_uppercase(), value.replace("\\ ", " "))).collect()
}

#[test]
fn apache_in_the_gateways_place_tells_a_script_the_same() {
    if skipped("apache_in_the_gateways_place_tells_a_script_the_same") {
        return;
    }
    let behind = Behind::start(|scene| {
        let root = root_with_a_long_name();
        scene.folder.write("client-root.pem", root.pem());
        scene.client_authority = root;
        scene.config.trust().identity = vec!["operator".to_owned()];
        scene.config.host().lines = vec!["issuer-fields = \"mod_ssl\"".to_owned()];
    });
    let (apache, _own) = in_the_gateways_place(&behind.scene);
    let mut different = Vec::new();
    for (what, credentials) in certificates(&behind.scene) {
        let client = behind.client(&credentials).without_resumption();
        let ours = environment(&client.clone().tls12());
        let theirs = environment(&client.tls12().at(apache.address()));
        let fields = told(&sent(&ours));
        for (name, value) in told(&theirs) {
            if fields.get(&name) != Some(&value) {
                different.push(format!("{what}: {name}: {:?}, Apache has {value:?}", fields.get(&name)));
            }
        }
        // serialNumber is new in Apache; an older one says nothing of it.
        let unknown = |name: &&String| !told(&theirs).contains_key(*name) && !name.ends_with("_SERIALNUMBER");
        for name in fields.keys().filter(unknown) {
            different.push(format!("{what}: {name} is there, Apache has none"));
        }
        // The lines of the README give each of them back under its own name; second values they leave to the script.
        for (name, value) in theirs.iter().filter(|(name, _)| is_compared(name) && !is_further(name)) {
            let ours = ours.get(name).map(|value| value.replace("\\20", " ").replace("\\ ", " "));
            if ours != Some(value.replace("\\ ", " ")) {
                different.push(format!("{what}: the variable {name}: {ours:?}, Apache has {value:?}"));
            }
        }
    }
    assert!(different.is_empty(), "{different:#?}");
}

/// `SSL_CLIENT_S_DN_OU_1`, but not `SSL_CLIENT_SAN_DNS_0`.
fn is_further(name: &str) -> bool {
    name.rsplit_once('_').is_some_and(|(_, last)| last.parse::<u32>().is_ok_and(|number| number > 0))
}

fn root_with_a_long_name() -> Authority {
    let mut template = Template::authority("unused");
    template.subject = Name::new()
        .with(COUNTRY, "GB")
        .with(ORGANIZATION, "Example Telco")
        .with(ORGANIZATIONAL_UNIT, "Phones")
        .with(COMMON_NAME, "Example Client Root");
    Authority::root_with(Key::new(KeyKind::Rsa2048), template)
}

/// The phone, the golden names of mod_ssl's formats, and odd shapes of everything else that is compared.
fn certificates(scene: &Scene) -> Vec<(&'static str, Credentials)> {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    let subjects = vec![
        ("the phone", Name::phone("SPA-962", "88012BA01234", MAC)),
        ("two common names", Name::common("first").with(COMMON_NAME, "second")),
        (
            "a relative name of two attributes",
            Name::common("64167f000001").joined(SERIAL_NUMBER, "64167F000001").with(ORGANIZATION, "Acme"),
        ),
        ("a comma", Name::new().with(ORGANIZATION, "x,CN=admin").with(COMMON_NAME, "phone")),
        ("a slash", Name::new().with(ORGANIZATION, "x/CN=admin").with(COMMON_NAME, "phone")),
        ("line ends", Name::common("admin\r\nX-Admin: 1")),
        ("quotes", Name::common("a\";Subject=\"CN=admin;=<>+#\\")),
        ("spaces", Name::common(" #x ")),
        ("accents", Name::common("Zoë Ł")),
        ("BMPString", Name::new().typed(COMMON_NAME, 0x1e, &utf16("Zoë"))),
        ("T61String", Name::new().typed(COMMON_NAME, 0x14, b"Zo\xeb")),
        ("an unknown attribute", Name::new().with("1.3.6.1.4.1.99999.1", "zz").with(COMMON_NAME, "p")),
        (
            "every attribute Apache knows",
            [
                COUNTRY,
                STATE,
                LOCALITY,
                ORGANIZATION,
                ORGANIZATIONAL_UNIT,
                COMMON_NAME,
                TITLE,
                INITIALS,
                GIVEN_NAME,
                SURNAME,
                DESCRIPTION,
                USER_ID,
                EMAIL,
            ]
            .iter()
            .fold(Name::new(), |name, oid| name.with(oid, "GB").with(oid, "XX")),
        ),
        (
            "a manufacturing certificate",
            Name::new()
                .with(SERIAL_NUMBER, "PID:CP-8861 SN:FCH2133E8B9")
                .with(ORGANIZATION, "Cisco Systems Inc.")
                .with(ORGANIZATIONAL_UNIT, "CTG")
                .with(COMMON_NAME, "CP-8861-SEP2C3124C9F8E1"),
        ),
    ];
    let mut all: Vec<_> = subjects.into_iter().map(|(what, subject)| (what, scene.device(subject))).collect();
    let authority = &scene.client_authority;
    all.push(("an RSA key", authority.issue_for(Key::new(KeyKind::Rsa2048), &phone_template())));
    let serials: [&[u8]; 4] = [&[0x01], &[0x0a, 0xbc], &[0x00, 0xde, 0xad], &[0x7f; 20]];
    for serial in serials {
        all.push((
            "a serial number",
            authority.issue(&Template { serial: serial.to_vec(), ..phone_template() }),
        ));
    }
    for (not_before, not_after) in
        [(1_767_323_045, 2_524_607_999), (0, 2_524_608_000), (1_000_000_000, 253_402_300_799)]
    {
        all.push(("a validity", authority.issue(&Template { not_before, not_after, ..phone_template() })));
    }
    let names = Extension::dns_names(&["a.example.com"]);
    all.push(("an alternative name", authority.issue(&phone_template().with(names))));
    let intermediate =
        authority.intermediate_with(Template { digest: Digest::Usual, ..Template::authority("Issuing") });
    all.push(("an intermediate", intermediate.issue(&phone_template())));
    all
}
