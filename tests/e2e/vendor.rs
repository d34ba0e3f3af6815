//! A phone maker's published authorities, where the folder with them is present: as anchors and intermediates, and as
//! twins that can issue.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use harness::{
    binary,
    expect::{Peer, all_present},
    gateway::{HOST, Scene, Trust, profile},
    openssl::SClient,
    pki::{Credentials, Key, KeyKind, Template, pem_blocks},
    process,
};
use policies::Reason;

/// `vendor-certs` in `PROVISION_SHARED`, or in `shared` beside the workspace. Says what it skips.
#[expect(clippy::print_stderr, reason = "the note of a skipped test is for the person who runs the tests")]
fn vendor(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("PROVISION_SHARED").map_or(beside, PathBuf::from).join("vendor-certs");
    let found = folder.join("cmca.pem").is_file();
    if !found {
        eprintln!("SKIPPED {test}: needs vendor-certs in PROVISION_SHARED");
    }
    found.then_some(folder)
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_makers_authorities_load_as_anchors_and_intermediates() {
    let Some(vendor) = vendor("the_makers_authorities_load_as_anchors_and_intermediates") else { return };
    let mut scene = Scene::new();
    let roots = ["crca2048.pem", "crcam1.pem", "crcam2.pem"].map(|file| read(vendor.join(file))).concat();
    scene.folder.write("maker-roots.pem", roots);
    scene.folder.write("maker-issuing.pem", read(vendor.join("cmca.pem")));
    let mut maker = Trust::new("maker-roots.pem", &["cisco-mic"]);
    maker.lines = vec!["intermediates = \"maker-issuing.pem\"".to_owned(), "allow = [\"sha1\"]".to_owned()];
    scene.config.host().trust.push(maker);
    let out = scene.run_command("check", &[]).success();
    for name in
        ["Cisco Root CA 2048", "Cisco Root CA M1", "Cisco Root CA M2", "Cisco Manufacturing CA", "sha1"]
    {
        assert!(out.contains(name), "{name}: {out}");
    }
}

/// `provision-ca mirror` makes the twin of the manufacturing authority and a phone below it; both engines let it in with
/// SHA-1 allowed for its anchor, and not without.
#[test]
fn a_twin_below_the_twin_of_the_manufacturing_authority_needs_sha1() {
    let test = "a_twin_below_the_twin_of_the_manufacturing_authority_needs_sha1";
    let Some(vendor) = vendor(test) else { return };
    if !all_present(test, &[Peer::Openssl]) {
        return;
    }
    let scene = |allow: bool| {
        let mut scene = Scene::new();
        let server = scene.server_authority.issue_for(Key::new(KeyKind::Rsa2048), &Template::server(&[HOST]));
        scene.folder.replace("server-chain.pem", server.chain_pem());
        scene.folder.replace("server-key.pem", server.key_pem());
        scene.config.listeners[0].tls = "guide".to_owned();
        scene.folder.write("profiles/2c3124c9f8e1.cfg", profile("2c3124c9f8e1"));
        scene.config.trust().identity = vec!["cisco-mic".to_owned()];
        if allow {
            scene.config.trust_line("allow = [\"sha1\"]");
        }
        scene
    };
    let (allowing, strict) = (scene(true), scene(false));
    let mut mirror = Command::new(binary::ca());
    mirror
        .current_dir(allowing.folder.path())
        .arg("mirror")
        .args(["cmca.pem", "crca2048.pem"].map(|file| vendor.join(file)))
        .args(["--device", "CP-8861,FCH2133E8B9,2C:31:24:C9:F8:E1", "--out", "twins"]);
    let said = process::run(&mut mirror, b"").success();
    assert!(said.contains("RSA 2048, exponent 3, another key"), "{said}");
    let twins = allowing.folder.join("twins");
    let chain: Vec<_> =
        pem_blocks(&read(twins.join("device/chain.pem"))).into_iter().map(|(_, der)| der).collect();
    let key = pem_blocks(&read(twins.join("device/key.pem"))).remove(0).1;
    let phone = Credentials { chain, key, serial: Vec::new() };
    // The anchor is the authority itself: the maker's root above it is trusted by nobody here.
    for scene in [&allowing, &strict] {
        scene.folder.replace("client-root.pem", read(twins.join("intermediate/cert.pem")));
    }
    let (with, without) = (allowing.start(), strict.start());
    let offers: [(&str, &[&str]); 3] = [
        ("modern", &["-tls1_3", "-cipher", "DEFAULT:@SECLEVEL=0"]),
        ("legacy", &["-tls1_2", "-cipher", "AES256-SHA:@SECLEVEL=0"]),
        ("legacy", &["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"]),
    ];
    for (engine, offer) in offers {
        let client = |gateway: &harness::gateway::Gateway, scene: &Scene| {
            SClient::new(gateway.address(), &scene.server_authority).presenting(&phone).with(offer)
        };
        let answer = client(&with, &allowing).get("/2c3124c9f8e1.cfg");
        assert!(answer.out.contains("200 OK"), "{offer:?}: {answer:?}");
        let record = with.audit.next();
        assert_eq!((record.text("engine"), record.text("device.mac")), (engine, "2c3124c9f8e1"));
        assert_eq!((record.text("device.product"), record.text("device.serial")), ("CP-8861", "FCH2133E8B9"));
        assert_eq!(record.at("exceptions").unwrap().to_string(), "[\"sha1\"]");

        let answer = client(&without, &strict).get("/2c3124c9f8e1.cfg");
        assert!(!answer.out.contains("200 OK"), "{offer:?}: {answer:?}");
        let record = without.audit.next();
        assert_eq!(record.text("reason"), Reason::WeakSignature.as_str(), "{record:?}");
        assert_eq!(record.text("certificate.issuer"), "CN=Cisco Manufacturing CA,O=Cisco Systems");
    }
}
