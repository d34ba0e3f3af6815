//! Published certificates of a phone maker, where the folder with them is present.

use std::path::{Path, PathBuf};

use super::*;
use crate::signature::{Hash, SignatureAlgorithm};
use crate::trust_store::{Exception, Purpose, TrustAnchor};
use crate::validity::Timestamp;

/// `PROVISION_SHARED`, or `shared` beside the workspace. Says what it skips.
fn vendor_certificate(test: &str, file: &str) -> Option<Certificate> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("PROVISION_SHARED").map_or(beside, PathBuf::from);
    let Ok(text) = std::fs::read(shared.join("vendor-certs").join(file)) else {
        println!("skipped: {test} needs vendor-certs/{file} in PROVISION_SHARED");
        return None;
    };
    Some(Certificate::parse_pem(text).unwrap())
}

#[test]
fn published_roots_and_intermediates_are_read() {
    // SEC-57
    for (file, subject, algorithm) in [
        ("crca2048.pem", "CN=Cisco Root CA 2048,O=Cisco Systems", Hash::Sha1),
        ("crcam1.pem", "CN=Cisco Root CA M1,O=Cisco", Hash::Sha1),
        ("crcam2.pem", "CN=Cisco Root CA M2,O=Cisco", Hash::Sha256),
        ("cmca.pem", "CN=Cisco Manufacturing CA,O=Cisco Systems", Hash::Sha1),
    ] {
        let Some(certificate) = vendor_certificate("published_roots_and_intermediates_are_read", file) else {
            return;
        };
        assert_eq!(certificate.subject().to_string(), subject);
        assert_eq!(certificate.signature_algorithm(), SignatureAlgorithm::RsaPkcs1(algorithm));
        assert_eq!(certificate.public_key().algorithm(), KeyAlgorithm::Rsa { bits: 2048 });
        assert!(certificate.basic_constraints().unwrap().ca);
        assert_eq!(certificate.unknown_critical_extension(), None);
    }
}

#[test]
fn a_published_intermediate_verifies_under_its_root_with_sha1_tolerated() {
    let test = "a_published_intermediate_verifies_under_its_root_with_sha1_tolerated";
    let Some((root, intermediate)) =
        vendor_certificate(test, "crca2048.pem").zip(vendor_certificate(test, "cmca.pem"))
    else {
        return;
    };
    let judge = |sha1, now: &str| {
        let mut entry = TrustEntry::new("maker", [TrustAnchor::new(root.clone())]);
        entry.tolerances.sha1 = sha1;
        // The intermediate stands in for a leaf, which is not published.
        entry.purpose = Purpose::Any;
        let chain = crate::testing::presented([&intermediate]);
        ChainVerifier::new(vec![entry]).unwrap().verify(&chain, Timestamp::parse_rfc3339(now).unwrap())
    };
    let signature = SignatureAlgorithm::RsaPkcs1(Hash::Sha1);
    assert_eq!(judge(true, "2026-11-23T00:00:00Z").unwrap().exceptions(), [Exception::Sha1]);
    assert_eq!(
        judge(false, "2026-11-23T00:00:00Z").unwrap_err(),
        ChainError::WeakSignature { depth: 0, signature }
    );
    assert!(matches!(judge(true, "2029-06-01T00:00:00Z").unwrap_err(), ChainError::Expired { depth: 0, .. }));
}
