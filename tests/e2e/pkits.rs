//! NIST's path validation suite over real handshakes: one gateway with its anchor, all its revocation lists, and
//! `identity = ["operator"]`. The folder that holds `certs`, `crls` and `pkcs12` is given by `PKITS_DATA`.

use std::path::{Path, PathBuf};

use harness::{
    client::{Client, Outcome},
    der,
    expect::{Peer, all_present, present},
    gateway::{Gateway, Scene, Trust},
    openssl,
    pki::{Credentials, Key, KeyKind, pem_blocks},
    pkits::{ANCHOR, CASES, Case, Expected, Kind},
};
use policies::{Reason, Stage};

/// `None` where the suite is not there; the test is skipped then, or fails with `REQUIRE_PEERS=1`.
fn suite(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("PKITS_DATA").map(PathBuf::from);
    let there = match &folder {
        Some(_) => all_present(test, &[Peer::Openssl]),
        None => present(test, &["PKITS_DATA, which tests/run fetches"]),
    };
    folder.filter(|_| there)
}

fn gateway_of(folder: &Path) -> (Scene, Gateway) {
    let mut scene = Scene::new();
    let anchor = std::fs::read(folder.join("certs").join(format!("{ANCHOR}.crt"))).unwrap();
    scene.folder.write("anchor.pem", der::pem("CERTIFICATE", &anchor));
    let mut trust = Trust::new("anchor.pem", &["operator"]);
    trust.lines.push(format!("crls = {:?}", folder.join("crls").display().to_string()));
    scene.config.host().trust = vec![trust];
    scene.config.host().rules = "rules.toml".to_owned();
    let rule = "[[rule]]\nname = \"all\"\nallow = [\"GET\"]\npath = [\"/{*}\"]\nfor = [\"operator\"]\n";
    scene.folder.write("rules.toml", rule);
    let gateway = scene.start();
    (scene, gateway)
}

/// What a case's client presents. Keys of a kind that no TLS client signs with are replaced: the chain is judged first.
fn credentials(folder: &Path, case: &Case) -> Credentials {
    let certificate = |name: &str| std::fs::read(folder.join("certs").join(format!("{name}.crt"))).unwrap();
    let chain = std::iter::once(&case.leaf).chain(case.intermediates).map(|name| certificate(name)).collect();
    let file = folder.join("pkcs12").join(format!("{}.p12", case.leaf));
    let file = file.display().to_string();
    let key =
        openssl::run(&["pkcs12", "-legacy", "-in", &file, "-passin", "pass:password", "-nodes", "-nocerts"]);
    let key = pem_blocks(&key.success()).remove(0).1;
    let usable = case.kind != Kind::Dsa;
    let key = if usable { key } else { Key::new(KeyKind::P256).pkcs8() };
    Credentials { chain, key, serial: Vec::new() }
}

/// None let in wrongly; of the cases whose leaf is no authority all but two judged right; and what is refused is
/// refused for what is wrong with the certificates, in TLS 1.2 and 1.3 alike.
#[test]
fn judges_pkits_over_handshakes_as_nist_does() {
    let Some(folder) = suite("judges_pkits_over_handshakes_as_nist_does") else { return };
    let (scene, gateway) = gateway_of(&folder);
    let (mut counted, mut right) = (0, 0);
    let (mut let_in_wrongly, mut wrong) = (Vec::new(), Vec::new());
    for case in CASES.iter().filter(|case| case.kind != Kind::LeafIsAuthority) {
        counted += 1;
        let presented = credentials(&folder, case);
        let mut as_nist = true;
        for version in [Client::tls12, Client::tls13] {
            let client = version(scene.client(&gateway, &presented)).without_resumption();
            let admitted =
                matches!(client.get("/CP-8841-3PCC.cfg"), Outcome::Answer(answer) if answer.status == 200);
            let record = gateway.audit.next();
            let told = format!(
                "{} {}: {} ({})",
                case.section,
                case.leaf,
                record.text("reason"),
                record.text("detail")
            );
            match (admitted, case.expected) {
                (true, Expected::Valid) => {}
                (true, Expected::Invalid) => let_in_wrongly.push(told),
                (false, expected) => {
                    let stage = Reason::from_code(record.text("reason")).map(Reason::stage);
                    if expected == Expected::Valid || stage != Some(Stage::Certificate) {
                        as_nist = false;
                        wrong.push(told);
                    }
                }
            }
        }
        right += usize::from(as_nist);
    }
    println!("PKITS over handshakes: {right} of {counted} right; otherwise: {wrong:#?}");
    assert!(let_in_wrongly.is_empty(), "{let_in_wrongly:#?}");
    // The two valid cases signed with DSA are no TLS client's.
    assert!(counted >= 107 && right + 2 >= counted, "{right} of {counted}: {wrong:#?}");
}

/// An authority's own certificate is no client's, whatever the suite says of its path.
#[test]
fn an_authoritys_certificate_is_refused_over_handshakes() {
    let Some(folder) = suite("an_authoritys_certificate_is_refused_over_handshakes") else { return };
    let (scene, gateway) = gateway_of(&folder);
    for case in CASES.iter().filter(|case| case.kind == Kind::LeafIsAuthority) {
        let client = scene.client(&gateway, &credentials(&folder, case));
        let outcome = client.get("/CP-8841-3PCC.cfg");
        assert!(!matches!(outcome, Outcome::Answer(_)), "{}: {outcome:?}", case.section);
        let record = gateway.audit.next();
        if case.expected == Expected::Valid {
            assert_eq!(record.text("reason"), Reason::LeafIsAuthority.as_str(), "{}", case.section);
        }
    }
}
