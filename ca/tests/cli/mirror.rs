//! `mirror`: test twins of real chains, of a phone maker's published certificates where they are present.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use certs::{Certificate, ChainError, ChainVerifier, Hash, PresentedChain, SignatureAlgorithm};
use certs::{Timestamp, Tolerances, TrustAnchor, TrustEntry};

use crate::support::{Workplace, openssl_is_here};

/// `PROVISION_SHARED`, or `shared` beside the workspace. Says what it skips.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn vendor(test: &str, files: &[&str]) -> Option<Vec<PathBuf>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("PROVISION_SHARED").map_or(beside, PathBuf::from);
    let paths: Vec<PathBuf> = files.iter().map(|file| shared.join("vendor-certs").join(file)).collect();
    if let Some(missing) = paths.iter().find(|path| !path.is_file()) {
        eprintln!("skipped: {test} needs {}", missing.display());
        return None;
    }
    Some(paths)
}

fn mirror(here: &Workplace, files: &[PathBuf], more: &[&str]) -> String {
    let mut arguments = vec!["mirror"];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    arguments.extend(more);
    here.run(&arguments).done()
}

const PHONE: [&str; 2] = ["--device", "CP-8861,FCH2133E8B9,2C:31:24:C9:F8:E1"];

fn now() -> Timestamp {
    ca::Clock::now(&ca::SystemClock)
}

fn certificate(here: &Workplace, path: &str) -> Certificate {
    Certificate::parse_pem(here.read(path)).unwrap()
}

#[test]
fn inspect_describes_the_published_certificates() {
    let test = "inspect_describes_the_published_certificates";
    let Some(files) = vendor(test, &["cmca.pem", "crca2048.pem", "crcam1.pem", "crcam2.pem"]) else { return };
    let here = Workplace::new();
    let describe = |file: &PathBuf| here.run(&["inspect", file.to_str().unwrap()]).done();
    let said = describe(&files[0]);
    for expected in [
        "RSA 2048, exponent 3 (strong)",
        "RSA with SHA-1 (weak)",
        "2029-05-14T20:25:42Z",
        "yes, at most 0 more below it",
        "TLS client",
        "Cisco Root CA 2048",
        "accepted where the trust entry excepts sha1",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(describe(&files[1]).contains("exponent 3"));
    assert!(describe(&files[2]).contains("exponent 3"));
    let ordinary = describe(&files[3]);
    assert!(!ordinary.contains("exponent") && ordinary.contains("modern       accepted"), "{ordinary}");
}

#[test]
fn a_phone_below_the_twin_of_cmca_is_admitted_with_sha1_allowed_and_refused_without() {
    let test = "a_phone_below_the_twin_of_cmca_is_admitted_with_sha1_allowed_and_refused_without";
    let Some(files) = vendor(test, &["cmca.pem", "crca2048.pem"]) else { return };
    for chain in [&files[..], &files[..1]] {
        let here = Workplace::new();
        let said = mirror(&here, chain, &[&PHONE[..], &["--out", "twins"]].concat());
        let root = if chain.len() == 2 { "root" } else { "stand-in-root" };
        assert_eq!(said.contains("stands for the issuer, which is not in the file"), chain.len() == 1);
        let phone = certificate(&here, "twins/device/cert.pem");
        let authority = certificate(&here, "twins/intermediate/cert.pem");
        assert_eq!(phone.signature_algorithm(), SignatureAlgorithm::RsaPkcs1(Hash::Sha1));
        assert!(phone.validity().not_after <= authority.validity().not_after);

        let presented = certs::pem::certificates(here.read("twins/device/chain.pem")).unwrap();
        let presented = PresentedChain::parse(presented.iter().map(|(one, _)| one.der())).unwrap();
        // Anchored at the twin of cmca itself, and at the root above it.
        for anchor in [authority, certificate(&here, &format!("twins/{root}/cert.pem"))] {
            let judge = |sha1| {
                let mut entry = TrustEntry::new("maker", [TrustAnchor::new(anchor.clone())]);
                entry.tolerances = Tolerances { sha1, ..Tolerances::default() };
                ChainVerifier::new(vec![entry]).unwrap().verify(&presented, now())
            };
            assert_eq!(judge(true).unwrap().leaf(), &phone);
            let signature = SignatureAlgorithm::RsaPkcs1(Hash::Sha1);
            assert_eq!(judge(false).unwrap_err(), ChainError::WeakSignature { depth: 0, signature });
        }
        let verify = ["verify", "twins/device/chain.pem", "--purpose", "client", "--trust"];
        let root = format!("twins/{root}/cert.pem");
        assert!(here.run(&[&verify[..], &[&root]].concat()).refused().contains("(weak_signature)"));
        let said = here.run(&[&verify[..], &[&root, "--allow", "sha1"]].concat()).done();
        assert!(said.contains("let pass: sha1"), "{said}");
        let identity = here.run(&["inspect", "twins/device/cert.pem"]).done();
        assert!(identity.contains("serial number FCH2133E8B9, MAC 2c3124c9f8e1"), "{identity}");
        assert!(identity.contains("test         yes"), "{identity}");
    }
}

#[test]
fn twins_of_the_published_certificates_are_theirs_byte_for_byte() {
    let test = "twins_of_the_published_certificates_are_theirs_byte_for_byte";
    let names = ["cmca.pem", "crca2048.pem", "crcam1.pem", "crcam2.pem"];
    let Some(files) = vendor(test, &names) else { return };
    let here = Workplace::new();
    for (index, file) in files.iter().enumerate() {
        let out = format!("twins-{index}");
        let more = ["--out", &out, "--keep-dates", "--json"];
        let said: serde_json::Value =
            serde_json::from_str(&mirror(&here, std::slice::from_ref(file), &more)).unwrap();
        let twin = said["twins"].as_array().unwrap().last().unwrap();
        let real = Certificate::parse_pem(std::fs::read(file).unwrap()).unwrap();
        let copy = certificate(&here, &format!("{out}/{}/cert.pem", twin["name"].as_str().unwrap()));
        assert_eq!(copy.subject().der(), real.subject().der());
        assert_eq!(copy.issuer().der(), real.issuer().der());
        assert_eq!(copy.validity(), real.validity());
        let oids = |one: &Certificate| one.extensions().iter().map(|each| each.oid).collect::<Vec<_>>();
        assert_eq!(oids(&copy)[..oids(&real).len()], oids(&real)[..]);
        let changed: Vec<&str> = twin["differences"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["field"].as_str().unwrap())
            .collect();
        let mut expected = vec!["serial number", "key", "subject key identifier (2.5.29.14)"];
        if real.authority_key_identifier().is_some() {
            expected.push("authority key identifier (2.5.29.35)");
        }
        expected.extend(["mark of a test twin (1.3.6.1.4.1.32473.90.1)", "signature"]);
        assert_eq!(changed, expected);
    }
}

#[test]
fn openssl_verifies_the_twins_without_a_security_level() {
    let test = "openssl_verifies_the_twins_without_a_security_level";
    let Some(files) = vendor(test, &["cmca.pem", "crca2048.pem"]) else { return };
    if !openssl_is_here(test) {
        return;
    }
    let here = Workplace::new();
    mirror(&here, &files, &[&PHONE[..], &["--out", "twins"]].concat());
    let judge = |level| {
        let chain = "twins/device/chain.pem";
        here.openssl(&[
            "verify",
            "-auth_level",
            level,
            "-purpose",
            "sslclient",
            "-CAfile",
            "twins/root/cert.pem",
            "-untrusted",
            chain,
            chain,
        ])
    };
    judge("0").done();
    assert_ne!(judge("2").code, Some(0));
    let text = here.openssl(&["x509", "-in", "twins/intermediate/cert.pem", "-noout", "-text"]).done();
    for expected in ["Exponent: 3", "sha1WithRSAEncryption", "S.u.b.C.A", "pathlen:0", "TEST TWIN"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    for name in ["root", "intermediate", "device"] {
        let public = |command: &[&str]| here.openssl(command).done();
        let (cert, key) = (format!("twins/{name}/cert.pem"), format!("twins/{name}/key.pem"));
        let of_certificate = public(&["x509", "-in", &cert, "-noout", "-pubkey"]);
        assert_eq!(of_certificate, public(&["pkey", "-in", &key, "-pubout"]), "{name}");
    }
}

/// A chain of our own, so that these tests need nobody's.
fn own_chain() -> Workplace {
    let here = Workplace::new();
    let init = ["--store", "real", "init", "--no-passphrase", "--key", "p256", "--shape", "issuing"];
    here.run(&init).done();
    let issue = ["--store", "real", "device", "issue", "--model", "CP-8841-3PCC", "--serial", "1"];
    here.run(&[&issue[..], &["--mac", "000e08abcdef", "--key", "p256"]].concat()).done();
    let chain = here.read("real/devices/000e08abcdef/chain.pem") + &here.read("real/trust/client-root.pem");
    here.write("chain.pem", chain);
    here
}

#[test]
fn twins_go_below_the_store_and_their_keys_are_their_owners_alone() {
    let here = own_chain();
    here.run(&["mirror", "chain.pem"]).done();
    assert_eq!(
        here.files("provision-ca"),
        [
            "provision-ca/mirror/chain/README.txt",
            "provision-ca/mirror/chain/chain.pem",
            "provision-ca/mirror/chain/intermediate/cert.pem",
            "provision-ca/mirror/chain/intermediate/key.pem",
            "provision-ca/mirror/chain/leaf/cert.pem",
            "provision-ca/mirror/chain/leaf/chain.pem",
            "provision-ca/mirror/chain/leaf/key.pem",
            "provision-ca/mirror/chain/root/cert.pem",
            "provision-ca/mirror/chain/root/key.pem",
        ]
    );
    let mode = |path: &str| std::fs::metadata(here.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("provision-ca/mirror/chain"), 0o700);
    assert_eq!(mode("provision-ca/mirror/chain/leaf/key.pem"), 0o600);
    assert!(here.read("provision-ca/mirror/chain/README.txt").starts_with("TEST TWINS - NOT FOR PRODUCTION"));
    let verify = ["verify", "provision-ca/mirror/chain/leaf/chain.pem", "--purpose", "client", "--trust"];
    here.run(&[&verify[..], &["provision-ca/mirror/chain/root/cert.pem"]].concat()).done();
    assert!(
        here.run(&[&verify[..], &["real/trust/client-root.pem"]].concat())
            .refused()
            .contains("bad_signature")
    );
    // A test store may be made around them afterwards.
    here.run(&["init", "--test", "--no-passphrase", "--key", "p256"]).done();
    here.run(&["mirror", "chain.pem", "--force"]).done();
    assert!(here.path("provision-ca/mirror/chain.1/leaf/key.pem").is_file());
}

#[test]
fn twins_overwrite_nothing_unsaid_and_stay_out_of_a_production_store() {
    let here = own_chain();
    let said = here.run(&["mirror", "chain.pem", "--out", "twins"]);
    assert!(said.stderr.contains("trust them in a laboratory only"), "{}", said.stderr);
    let first = here.read("twins/root/key.pem");
    let refused = here.run(&["mirror", "chain.pem", "--out", "twins"]).refused();
    assert!(refused.contains("twins exists already") && refused.contains("`--force`"), "{refused}");
    assert_eq!(here.read("twins/root/key.pem"), first);
    let said = here.run(&["mirror", "chain.pem", "--out", "twins", "--force"]);
    assert!(said.stderr.contains("what was in twins is now in twins.1"), "{}", said.stderr);
    assert_eq!(here.read("twins.1/root/key.pem"), first);
    assert_ne!(here.read("twins/root/key.pem"), first);

    let before = here.files("real");
    let refused = here.run(&["--store", "real", "mirror", "chain.pem"]).refused();
    assert!(refused.contains("real is a production store, and twins are for tests only"), "{refused}");
    assert!(refused.contains("hint: `--out DIR`"), "{refused}");
    assert_eq!(here.files("real"), before);
}

#[test]
fn a_refused_chain_leaves_no_file() {
    let here = own_chain();
    here.write("two.pem", here.read("chain.pem") + &here.read("real/trust/server-root.pem"));
    here.write("garbage.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    for (file, more, why) in [
        ("two.pem", vec![], "the certificates are not one chain"),
        ("garbage.pem", vec![], "garbage.pem"),
        ("missing.pem", vec![], "cannot read missing.pem"),
        ("chain.pem", vec!["--device", "CP-8861,1,01005e000001"], "multicast"),
    ] {
        let refused = here.run(&[&["mirror", file, "--out", "out/twins"], &more[..]].concat()).refused();
        assert!(refused.contains(why), "{refused}");
        assert!(!here.path("out").exists());
    }
    let misused = here.run(&["mirror", "chain.pem", "--out", "out/twins", "--device", "CP-8861"]);
    assert_eq!(misused.code, Some(2), "{}", misused.stderr);
    assert_eq!(here.run(&["mirror", "chain.pem", "--profile", "small-business"]).code, Some(2));
    assert!(!here.path("out").exists());
}
