//! webpki judges the same chains. It is not the judge of the product: it knows neither version 1, nor grace, nor
//! tolerances, and does not look at a leaf's keyUsage.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::*;
use crate::oid;
use crate::testing::KeyKind;

fn webpki_accepts(pki: &Pki, issued: &Issued) -> bool {
    let der = |certificate: &Certificate| CertificateDer::from(certificate.der().to_vec());
    let (leaf, root) = (der(&issued.certificate), der(pki.root().certificate()));
    let intermediates: Vec<_> = issued.chain.iter().skip(1).map(der).collect();
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let now = UnixTime::since_unix_epoch(Duration::from_secs(Pki::NOW.unix().try_into().unwrap()));
    let Ok(leaf) = EndEntityCert::try_from(&leaf) else { return false };
    let usage = KeyUsage::client_auth();
    leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &intermediates, now, usage, None, None).is_ok()
}

#[test]
fn webpki_agrees_on_chains_of_every_key() {
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048] {
        let pki = Pki::with_key("Second", kind);
        let (direct, below) = (pki.device().issue(), pki.intermediate().leaf().key(kind).issue());
        for issued in [direct, below] {
            assert!(judge(&pki, &issued).is_ok() && webpki_accepts(&pki, &issued), "{kind:?}");
        }
    }
}

#[test]
fn webpki_agrees_on_what_is_wrong() {
    let (pki, foreign) = (Pki::new(), Pki::named("Foreign"));
    let constrained =
        pki.root().intermediate("CA").name_constraints(&[(0x82, b"a.example")], &[]).authority();
    let upper = pki.root().intermediate("Upper").is_authority(Some(0)).authority();
    for issued in [
        pki.device().expired().issue(),
        pki.device().not_before(Pki::NOW.plus_seconds(1)).issue(),
        pki.device().broken_signature().issue(),
        pki.device().purposes(&[oid::SERVER_AUTH]).issue(),
        pki.device().extension(oid::Oid::parse("1.2.3").unwrap(), true, &[5, 0]).issue(),
        pki.device().authority().leaf().issue(),
        foreign.device().issue(),
        constrained.leaf().dns_names(&["b.example"]).issue(),
        upper.intermediate("Lower").authority().leaf().issue(),
    ] {
        assert!(judge(&pki, &issued).is_err() && !webpki_accepts(&pki, &issued), "{:?}", issued.certificate);
    }
}
