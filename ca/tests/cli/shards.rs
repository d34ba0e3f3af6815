//! Sharded revocation lists, judged by OpenSSL and webpki (CA G1).

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, anchor_from_trusted_cert, aws_lc_rs as algorithms,
};

use crate::stores::{On, on_both_stores};
use crate::support::{Workplace, openssl_is_here};

on_both_stores! {
    g1_openssl_sees_revoked_with_the_certificates_own_shard_alone,
    g1_webpki_sees_revoked_with_the_own_shard_and_unknown_with_another,
    the_lists_are_shown_with_their_shards,
    g6_a_dry_run_names_the_shards_and_the_octets_that_they_grow_by,
}

const SHARDS: usize = 4;

/// Phones on every one of several shards, the first of them revoked, and nothing but shards published.
fn published(on: On) -> (Workplace, Vec<(String, String)>) {
    let here = Workplace::on(on, &[]);
    let set = ["publication", "set", "http://pki.example.com", "--authority", "client-root", "--shards", "4"];
    here.run(&[&set[..], &["--shards-only"]].concat()).done();
    let mut phones: Vec<(String, String)> = Vec::new();
    let of_shard = |phones: &[(String, String)], uri: &str| phones.iter().filter(|one| one.1 == uri).count();
    for number in 0..200 {
        let mac = format!("000e0800{number:04x}");
        let phone = ["device", "issue", "--model", "CP-8841-3PCC", "--key", "p256"];
        here.run(&[&phone[..], &["--serial", &mac, "--mac", &mac]].concat()).done();
        let text = here.read(&format!("provision-ca/devices/{mac}/cert.pem"));
        let certificate = certs::Certificate::parse_pem(text).unwrap();
        let [point] = certificate.crl_distribution_points() else { panic!("one point") };
        let uri = point.uris().next().unwrap().to_owned();
        phones.push((mac, uri));
        let mut uris: Vec<_> = phones.iter().map(|one| one.1.clone()).collect();
        uris.sort();
        uris.dedup();
        if uris.len() == SHARDS && uris.iter().all(|uri| of_shard(&phones, uri) > 1) {
            break;
        }
    }
    here.run(&["revoke", &phones[0].0, "--reason", "keyCompromise"]).done();
    here.run(&["crl", "publish"]).done();
    (here, phones)
}

fn g6_a_dry_run_names_the_shards_and_the_octets_that_they_grow_by(on: On) {
    let (here, phones) = published(on);
    let revoke = ["revoke", "kind=device", "status=valid", "--reason", "superseded"];
    let said = here.run(&[&revoke[..], &["--dry-run", "--json"]].concat()).done();
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    let foretold = value["lists"].as_array().unwrap().clone();
    assert_eq!(foretold.len(), SHARDS, "{said}");
    let more: u64 = foretold.iter().map(|list| list["new_entries"].as_u64().unwrap()).sum();
    assert_eq!(usize::try_from(more).unwrap(), phones.len() - 1);
    let text = here.run(&[&revoke[..], &["--dry-run"]].concat()).done();
    assert!(text.contains("list client-root, shard 1: "), "{text}");
    here.run(&revoke).done();
    here.run(&["crl", "publish"]).done();
    for list in foretold {
        let file = list["file"].as_str().unwrap();
        let read = certs::RevocationList::parse(here.read(file).as_bytes()).unwrap();
        let number = |key: &str| usize::try_from(list[key].as_u64().unwrap()).unwrap();
        assert_eq!(read.len(), number("entries") + number("new_entries"));
        // The length of a signature and of a length differ by a few octets.
        let about = number("octets") + number("new_octets");
        assert!(read.der().len().abs_diff(about) <= 12, "{} {about}", read.der().len());
    }
}

fn file_of(uri: &str) -> String {
    format!("provision-ca/trust/crls/{}", uri.rsplit('/').next().unwrap())
}

fn g1_openssl_sees_revoked_with_the_certificates_own_shard_alone(on: On) {
    if !openssl_is_here("g1_openssl_sees_revoked_with_the_certificates_own_shard_alone") {
        return;
    }
    let (here, phones) = published(on);
    assert!(!here.path("provision-ca/trust/crls/client-root.crl").exists(), "only shards are published");
    let judge = |mac: &str, list: &str| {
        let (root, chain) =
            ("provision-ca/trust/client-root.pem", format!("provision-ca/devices/{mac}/chain.pem"));
        here.openssl(&[
            "verify",
            "-x509_strict",
            "-crl_check",
            "-extended_crl",
            "-CRLfile",
            list,
            "-CAfile",
            root,
            &chain,
        ])
    };
    let (revoked, own) = &phones[0];
    let verdict = judge(revoked, &file_of(own));
    assert!(verdict.stderr.contains("certificate revoked"), "{}", verdict.stderr);
    let (_, other) = phones.iter().find(|one| one.1 != *own).unwrap();
    let verdict = judge(revoked, &file_of(other));
    assert!(
        !verdict.stderr.contains("certificate revoked") && verdict.code != Some(0),
        "another shard says nothing of it: {}",
        verdict.stderr
    );
    let (good, _) = phones.iter().skip(1).find(|one| one.1 == *own).unwrap();
    judge(good, &file_of(own)).done();
    let text = here.openssl(&["crl", "-in", &file_of(own), "-noout", "-text"]).done();
    assert!(text.contains("X509v3 Issuing Distribution Point: critical"), "{text}");
    assert!(text.contains(own.as_str()), "{text}");
}

fn g1_webpki_sees_revoked_with_the_own_shard_and_unknown_with_another(on: On) {
    let (here, phones) = published(on);
    let der = |path: &str| pem::parse(here.read(path)).unwrap().into_contents();
    let root = CertificateDer::from(der("provision-ca/trust/client-root.pem"));
    let judge = |mac: &str, uris: &[&str]| {
        let leaf = CertificateDer::from(der(&format!("provision-ca/devices/{mac}/cert.pem")));
        let lists: Vec<CertRevocationList<'_>> = uris
            .iter()
            .map(|uri| OwnedCertRevocationList::from_der(&der(&file_of(uri))).unwrap().into())
            .collect();
        let lists: Vec<_> = lists.iter().collect();
        let options = RevocationOptionsBuilder::new(&lists)
            .unwrap()
            .with_depth(RevocationCheckDepth::EndEntity)
            .build();
        let now =
            certs::RevocationList::parse(here.read(&file_of(uris[0])).as_bytes()).unwrap().this_update();
        let now = u64::try_from(now.unix() + 1).unwrap();
        EndEntityCert::try_from(&leaf)?
            .verify_for_usage(
                &[algorithms::ECDSA_P256_SHA256],
                &[anchor_from_trusted_cert(&root)?],
                &[],
                UnixTime::since_unix_epoch(std::time::Duration::from_secs(now)),
                KeyUsage::client_auth(),
                Some(options),
                None,
            )
            .map(|_path| ())
    };
    let (revoked, own) = &phones[0];
    let (_, other) = phones.iter().find(|one| one.1 != *own).unwrap();
    let (good, _) = phones.iter().skip(1).find(|one| one.1 == *own).unwrap();
    assert_eq!(judge(revoked, &[own]), Err(webpki::Error::CertRevoked));
    assert_eq!(judge(revoked, &[other]), Err(webpki::Error::UnknownRevocationStatus));
    assert_eq!(judge(revoked, &[other, own]), Err(webpki::Error::CertRevoked));
    judge(good, &[own]).unwrap();
}

fn the_lists_are_shown_with_their_shards(on: On) {
    let here = Workplace::on(on, &[]);
    let set = ["publication", "set", "http://pki.example.com/", "--shards", "2"];
    let said = here.run(&set).done();
    assert!(said.contains("http://pki.example.com\n  shards  2\n  ocsp    no\n"), "{said}");
    here.run(&["crl", "publish", "--authority", "client-root"]).done();
    let said: serde_json::Value = serde_json::from_str(&here.run(&["crl", "show", "--json"]).done()).unwrap();
    let states: Vec<_> = said["lists"]
        .as_array()
        .unwrap()
        .iter()
        .map(|list| {
            (list["authority"].as_str().unwrap(), list["shard"].as_u64(), list["state"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        states,
        [
            ("server-root", None, "current"),
            ("server-root", Some(1), "missing"),
            ("server-root", Some(2), "missing"),
            ("client-root", None, "current"),
            ("client-root", Some(1), "current"),
            ("client-root", Some(2), "current"),
        ]
    );
    let refused = here.run(&["publication", "set", "https://pki.example.com"]).refused();
    assert!(refused.contains("hint: give the address"), "{refused}");
    here.run(&["publication", "clear"]).done();
    assert!(here.run(&["publication", "show"]).done().contains("certificates name no revocation list"));
    let last = here.run(&["crl", "publish", "--authority", "client-root", "--last"]).done();
    assert!(last.contains("client-root\n"), "{last}");
}

/// The figure: `cargo test --release -p provision-ca --test cli -- --ignored --nocapture figure_` prints it.
#[test]
#[ignore = "a measurement of a minute or two, for an optimised build"]
fn figure_revoke_100_000_and_publish_16_shards() {
    use ca::{Finished, Intent, Kind, PublicationStore, SqlStore, Store};

    const COUNT: u32 = 100_000;
    let here = Workplace::with_authorities(&[]);
    let set =
        ["publication", "set", "http://pki.example.com", "--authority", "client-root", "--shards", "16"];
    here.run(&[&set[..], &["--shards-only"]].concat()).done();
    let phone = ["device", "issue", "--model", "CP-8841-3PCC", "--key", "p256"];
    here.run(&[&phone[..], &["--serial", "1", "--mac", "000e08abcdef"]].concat()).done();
    // The inventory of a fleet, without its files: rows as issuing writes them, each with a certificate of real size.
    let mut store = SqlStore::sqlite(&here.path("provision-ca/ca.sqlite")).unwrap();
    let model = store.find(&ca::Query::Name(Kind::Device, "000e08abcdef".to_owned())).unwrap().remove(0);
    let authority = model.intent.authority;
    let shards = store.shards(authority).unwrap();
    let certificate = model.certificate.unwrap();
    let numbers: Vec<u32> = (0..COUNT).collect();
    for batch in numbers.chunks(10_000) {
        let intents: Vec<Intent> = batch
            .iter()
            .map(|number| {
                let mut serial = vec![0x41; 16];
                serial[12..].copy_from_slice(&number.to_be_bytes());
                let mut public_key = [7; 32];
                public_key[..4].copy_from_slice(&number.to_be_bytes());
                let mac = format!("000f00{number:06x}");
                let shard = shards[usize::try_from(*number).unwrap() % shards.len()].number;
                Intent {
                    serial,
                    public_key,
                    folder: format!("devices/{mac}").into(),
                    device_serial: Some(mac.clone()),
                    name: mac,
                    product: Some("CP-7841".to_owned()),
                    shard: Some(shard),
                    ..model.intent.clone()
                }
            })
            .collect();
        let ids = store.reserve(&intents).unwrap();
        let finished: Vec<Finished> = ids
            .into_iter()
            .zip(&intents)
            .map(|(id, intent)| {
                // The serial number in the certificate is the row's, so that each has a fingerprint of its own.
                let mut certificate = certificate.clone();
                let place = certificate.windows(16).position(|part| part == model.intent.serial).unwrap();
                certificate[place..place + 16].copy_from_slice(&intent.serial);
                let detail = serde_json::json!({ "name": intent.name });
                let audit = ca::AuditEvent { at: intent.at, event: "issue", detail };
                Finished { id, certificate, audit, supersedes: None }
            })
            .collect();
        store.finish(&finished).unwrap();
    }
    drop(store);
    let begun = std::time::Instant::now();
    here.run(&["revoke", "model=CP-7841", "--reason", "keyCompromise"]).done();
    let revoked = begun.elapsed();
    let published = here.run(&["crl", "publish", "--authority", "client-root", "--json"]).done();
    let whole = begun.elapsed();
    let value: serde_json::Value = serde_json::from_str(&published).unwrap();
    let entries: Vec<u64> =
        value["lists"].as_array().unwrap().iter().map(|list| list["entries"].as_u64().unwrap()).collect();
    assert_eq!((entries.len(), entries.iter().sum::<u64>()), (16, u64::from(COUNT)));
    println!(
        "revoked {COUNT} in {:.1} s, published {} shards in {:.1} s, together {:.1} s",
        revoked.as_secs_f64(),
        entries.len(),
        (whole - revoked).as_secs_f64(),
        whole.as_secs_f64()
    );
}
