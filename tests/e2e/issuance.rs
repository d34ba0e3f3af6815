//! From `provision-ca init` to a phone with its own profile, in the README's order; and `openssl` as the judge of what the
//! authority makes.

use std::{path::Path, process::Command};

use harness::{
    binary,
    client::{Client, Outcome},
    curl::Curl,
    expect::{Peer, all_present},
    gateway::{HOST, MAC, PROFILE, Scene, profile},
    openssl,
    pki::Credentials,
    process::{self, Finished},
    workdir::WorkDir,
};
use policies::Reason;

use crate::verdict::{admitted, answered, refused};

/// `provision-ca` in a folder.
fn ca(folder: &WorkDir, arguments: &[&str]) -> Finished {
    process::run(Command::new(binary::ca()).current_dir(folder.path()).args(arguments), b"")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The credentials in a folder the authority wrote.
fn credentials(folder: &Path) -> Credentials {
    let chain = read(folder.join("chain.pem"));
    let chain = pem_blocks(&chain).into_iter().map(|(_, der)| der).collect();
    let (_, key) = pem_blocks(&read(folder.join("key.pem"))).remove(0);
    Credentials { chain, key, serial: Vec::new() }
}

fn pem_blocks(text: &str) -> Vec<(String, Vec<u8>)> {
    harness::pki::pem_blocks(text)
}

/// Both shapes, each kind of key: a store, a server certificate, two phones and a generic one.
fn issued(shape: &str, key: &str) -> WorkDir {
    let folder = WorkDir::new();
    ca(&folder, &["init", "--name", "Example Telco", "--shape", shape, "--key", key, "--no-passphrase"])
        .success();
    ca(&folder, &["server", "issue", HOST]).success();
    let device = [
        "device",
        "issue",
        "--model",
        "CP-8841-3PCC",
        "--serial",
        "88012BA01234",
        "--mac",
        "00:0E:08:AB:CD:EF",
    ];
    ca(&folder, &device).success();
    let other =
        ["device", "issue", "--model", "CP-8841-3PCC", "--serial", "88012BA01235", "--mac", "000e08abcdf0"];
    ca(&folder, &other).success();
    ca(&folder, &["device", "generic"]).success();
    ca(&folder, &["crl", "publish"]).success();
    folder
}

/// A scene on what the authority made.
fn scene_of(folder: &WorkDir) -> Scene {
    let mut scene = Scene::new();
    let store = folder.join("provision-ca");
    let path = |name: &str| store.join(name).display().to_string();
    let host = scene.config.host();
    host.certificate = path("server/prov.example.com/chain.pem");
    host.private_key = path("server/prov.example.com/key.pem");
    host.trust[0].anchors = path("trust/client-root.pem");
    host.trust[0].lines = vec![format!("crls = {:?}", path("trust/crls"))];
    scene
}

fn client_of(folder: &WorkDir, gateway: &harness::gateway::Gateway, device: &str) -> Client {
    let store = folder.join("provision-ca");
    let (_, root) = pem_blocks(&read(store.join("trust/server-root.pem"))).remove(0);
    Client::trusting(gateway.address(), root, HOST)
        .presenting(&credentials(&store.join("devices").join(device)))
}

#[test]
fn a_phone_gets_its_own_profile_with_what_the_authority_issued() {
    for (shape, key) in [("flat", "p256"), ("issuing", "p256"), ("issuing", "rsa2048")] {
        let folder = issued(shape, key);
        let scene = scene_of(&folder);
        let mut gateway = scene.start();
        let client = client_of(&folder, &gateway, MAC);
        let record = admitted(&gateway, &client);
        assert_eq!(record.text("device.product"), "CP-8841-3PCC");
        assert_eq!(client.get("/000e08abcdf0.cfg").status(), 403);
        assert_eq!(client_of(&folder, &gateway, "000e08abcdf0").get("/000e08abcdf0.cfg").status(), 200);
        // Revoked, the list published, and noticed.
        gateway.audit.skip_to_end();
        let before = gateway.reloads();
        ca(&folder, &["revoke", MAC, "--reason", "keyCompromise"]).success();
        ca(&folder, &["crl", "publish"]).success();
        gateway.wait_for_reload_after(before);
        let fresh = client_of(&folder, &gateway, MAC);
        harness::expect::eventually("the refusal", || {
            (!matches!(fresh.get(PROFILE), Outcome::Answer(_))).then_some(())
        });
        gateway.audit.skip_to_end();
        refused(&gateway, &fresh.without_resumption(), Reason::Revoked);
        assert_eq!(client_of(&folder, &gateway, "000e08abcdf0").get("/000e08abcdf0.cfg").status(), 200);
    }
}

#[test]
fn curl_takes_the_authoritys_files_as_they_are() {
    if !all_present("curl_takes_the_authoritys_files_as_they_are", &[Peer::Curl]) {
        return;
    }
    let folder = issued("issuing", "rsa2048");
    let scene = scene_of(&folder);
    let gateway = scene.start();
    let store = folder.join("provision-ca");
    let path = |name: &str| store.join(name).display().to_string();
    let device = format!("devices/{MAC}");
    let curl = Curl::trusting(gateway.address(), &read(store.join("trust/server-root.pem"))).with(&[
        "--cert",
        &path(&format!("{device}/chain.pem")),
        "--key",
        &path(&format!("{device}/key.pem")),
    ]);
    let got = curl.get_one(PROFILE);
    assert_eq!((got.status, got.body), (200, profile(MAC)));
}

/// `openssl verify -x509_strict` accepts everything the authority makes, and its CRLs.
#[test]
fn openssl_accepts_every_certificate_and_list() {
    if !all_present("openssl_accepts_every_certificate_and_list", &[Peer::Openssl]) {
        return;
    }
    for shape in ["flat", "issuing"] {
        let folder = issued(shape, "p256");
        let store = folder.join("provision-ca");
        let path = |name: &str| store.join(name).display().to_string();
        let mut leaves = 0;
        for (kind, root, purpose) in [
            ("server", "trust/server-root.pem", "sslserver"),
            ("devices", "trust/client-root.pem", "sslclient"),
        ] {
            for leaf in std::fs::read_dir(store.join(kind)).unwrap() {
                let leaf = leaf.unwrap().path();
                let (root, chain) = (path(root), leaf.join("chain.pem").display().to_string());
                let cert = leaf.join("cert.pem").display().to_string();
                let verified = openssl::run(&[
                    "verify",
                    "-x509_strict",
                    "-purpose",
                    purpose,
                    "-CAfile",
                    &root,
                    "-untrusted",
                    &chain,
                    &cert,
                ]);
                assert!(verified.success().contains("OK"), "{cert}");
                leaves += 1;
            }
        }
        assert_eq!(leaves, 4, "a server, two phones and a generic certificate");
        let phone = path(&format!("devices/{MAC}/cert.pem"));
        let name =
            openssl::run(&["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", &phone]).success();
        assert_eq!(name.trim(), "subject=SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC");
        let mut lists = 0;
        for list in std::fs::read_dir(store.join("trust/crls")).unwrap() {
            let list = list.unwrap().path().display().to_string();
            let text = openssl::run(&["crl", "-noout", "-text", "-in", &list]).success();
            assert!(text.contains("X509v3 CRL Number"), "{text}");
            lists += 1;
        }
        assert!(lists >= 1, "there is a list to publish");
    }
}

#[test]
fn openssl_accepts_the_request_for_an_outside_authority() {
    if !all_present("openssl_accepts_the_request_for_an_outside_authority", &[Peer::Openssl]) {
        return;
    }
    let folder = WorkDir::new();
    ca(&folder, &["server", "csr", HOST, "--out", "provserver.csr", "--key-out", "privkey.pem"]).success();
    let request = folder.join("provserver.csr").display().to_string();
    let verified = openssl::run(&["req", "-verify", "-noout", "-subject", "-in", &request]);
    assert!(verified.err.contains("OK") || verified.out.contains("OK"), "{verified:?}");
    assert!(verified.success().contains(HOST));
}

/// A whole list of phones, each with files of its own that a gateway takes.
#[test]
fn a_list_of_phones_is_issued_and_each_is_let_in() {
    let folder = WorkDir::new();
    ca(&folder, &["init", "--key", "p256", "--no-passphrase"]).success();
    ca(&folder, &["server", "issue", HOST]).success();
    let macs: Vec<_> = (0..20).map(|at| format!("000e08abcd{at:02x}")).collect();
    let lines: String =
        macs.iter().enumerate().map(|(at, mac)| format!("CP-8841-3PCC,S{at:04},{mac}\n")).collect();
    folder.write("devices.csv", lines);
    ca(&folder, &["device", "issue", "--csv", "devices.csv", "--jobs", "2"]).success();
    ca(&folder, &["crl", "publish"]).success();
    let mut scene = scene_of(&folder);
    scene.config.audit.push_str("\nrepeated = \"record\"");
    for mac in &macs {
        scene.folder.write(format!("profiles/{mac}.cfg"), profile(mac));
    }
    let gateway = scene.start();
    for mac in &macs {
        let client = client_of(&folder, &gateway, mac);
        assert_eq!(client.get(&format!("/{mac}.cfg")).answer().text(), profile(mac));
        assert_eq!(client.get(PROFILE).status(), 403);
    }
}

/// CA G1: each phone's certificate names one list of several; the gateway has them all, and no other.
#[test]
fn a_phone_is_refused_by_the_shard_its_certificate_names() {
    let folder = WorkDir::new();
    ca(&folder, &["init", "--key", "p256", "--no-passphrase"]).success();
    ca(&folder, &["server", "issue", HOST]).success();
    let set = ["publication", "set", "http://pki.example.com", "--authority", "client-root"];
    ca(&folder, &[&set[..], &["--shards", "8", "--shards-only"]].concat()).success();
    let macs: Vec<_> = (0..24).map(|at| format!("000e08abcd{at:02x}")).collect();
    let lines: String =
        macs.iter().enumerate().map(|(at, mac)| format!("CP-8841-3PCC,S{at:04},{mac}\n")).collect();
    folder.write("devices.csv", lines);
    ca(&folder, &["device", "issue", "--csv", "devices.csv", "--key", "p256"]).success();
    let (revoked, good) = macs.split_at(8);
    for mac in revoked {
        ca(&folder, &["revoke", mac, "--reason", "keyCompromise"]).success();
    }
    ca(&folder, &["crl", "publish", "--authority", "client-root"]).success();
    let crls = folder.join("provision-ca/trust/crls");
    let lists: Vec<_> = std::fs::read_dir(&crls)
        .unwrap()
        .map(|one| one.unwrap().file_name().into_string().unwrap())
        .collect();
    let shards = lists.iter().filter(|name| name.starts_with("client-root.")).count();
    assert_eq!(shards, 8, "no complete list: {lists:?}");
    let mut scene = scene_of(&folder);
    scene.config.audit.push_str("\nrepeated = \"record\"");
    for mac in &macs {
        scene.folder.write(format!("profiles/{mac}.cfg"), profile(mac));
    }
    let gateway = scene.start();
    for mac in good {
        answered(&gateway, &client_of(&folder, &gateway, mac), &format!("/{mac}.cfg"), 200);
    }
    for mac in revoked {
        refused(&gateway, &client_of(&folder, &gateway, mac), Reason::Revoked);
    }
    drop(gateway);
    // A shard that is missing is no shard without entries: its phones are refused, the others are served.
    let text = read(folder.join(format!("provision-ca/devices/{}/cert.pem", good[0])));
    let (_, der) = pem_blocks(&text).remove(0);
    let uri = |name: &str| der.windows(name.len()).any(|part| part == name.as_bytes());
    let own = lists.iter().find(|name| uri(name)).unwrap();
    std::fs::remove_file(crls.join(own)).unwrap();
    let gateway = scene.start();
    gateway.audit.skip_to_end();
    refused(&gateway, &client_of(&folder, &gateway, &good[0]), Reason::RevocationUnknown);
}
