//! rustls-webpki and x509-parser accept everything we make (CA I10).

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, anchor_from_trusted_cert, aws_lc_rs as algorithms,
};
use x509_parser::prelude::FromDer;

use crate::support::Workplace;

fn der(here: &Workplace, path: &str) -> Vec<Vec<u8>> {
    pem::parse_many(here.read(path)).unwrap().into_iter().map(pem::Pem::into_contents).collect()
}

/// What webpki says of a chain for this purpose, with all revocation lists at hand.
fn judge(here: &Workplace, side: &str, folder: &str, purpose: KeyUsage) -> Result<(), webpki::Error> {
    let chain: Vec<CertificateDer<'_>> =
        der(here, &format!("{folder}/chain.pem")).into_iter().map(CertificateDer::from).collect();
    let root = CertificateDer::from(der(here, &format!("provision-ca/trust/{side}-root.pem")).remove(0));
    let lists: Vec<CertRevocationList<'_>> = here
        .files("provision-ca/trust/crls")
        .iter()
        .map(|file| OwnedCertRevocationList::from_der(&der(here, file)[0]).unwrap().into())
        .collect();
    let lists: Vec<_> = lists.iter().collect();
    let revocation =
        RevocationOptionsBuilder::new(&lists).unwrap().with_depth(RevocationCheckDepth::Chain).build();
    let leaf = EndEntityCert::try_from(&chain[0])?;
    let now = certs::RevocationList::parse(here.read("provision-ca/trust/crls/client-root.crl").as_bytes());
    let now = u64::try_from(now.unwrap().this_update().unix()).unwrap();
    leaf.verify_for_usage(
        &[algorithms::ECDSA_P256_SHA256, algorithms::RSA_PKCS1_2048_8192_SHA256],
        &[anchor_from_trusted_cert(&root)?],
        &chain[1..],
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(now + 1)),
        purpose,
        Some(revocation),
        None,
    )
    .map(|_path| ())
}

#[test]
fn i10_g1_webpki_accepts_every_chain_and_refuses_it_once_revoked() {
    for (shape, key) in [("flat", "p256"), ("issuing", "p256"), ("issuing", "rsa2048")] {
        let here = Workplace::with_authorities(&["--shape", shape, "--key", key]);
        here.run(&["server", "issue", "prov.example.com", "--key", key]).done();
        let phone = ["device", "issue", "--model", "CP-8841-3PCC", "--serial", "1", "--mac", "000e08abcdef"];
        here.run(&[&phone[..], &["--key", key]].concat()).done();
        here.run(&["device", "generic", "--key", key]).done();
        let (server, device, generic) = (
            "provision-ca/server/prov.example.com",
            "provision-ca/devices/000e08abcdef",
            "provision-ca/devices/ciscogeneric",
        );
        judge(&here, "server", server, KeyUsage::server_auth()).unwrap();
        judge(&here, "client", device, KeyUsage::client_auth()).unwrap();
        judge(&here, "client", generic, KeyUsage::client_auth()).unwrap();
        judge(&here, "server", device, KeyUsage::client_auth()).unwrap_err();
        judge(&here, "client", device, KeyUsage::server_auth()).unwrap_err();
        here.run(&["revoke", "000e08abcdef", "--publish"]).done();
        let revoked = judge(&here, "client", device, KeyUsage::client_auth());
        assert_eq!(revoked, Err(webpki::Error::CertRevoked));
        judge(&here, "client", generic, KeyUsage::client_auth()).unwrap();
    }
}

#[test]
fn i10_f1_x509_parser_reads_every_certificate_and_list_and_finds_the_right_extensions_critical() {
    let here = Workplace::with_authorities(&["--shape", "issuing"]);
    here.run(&["server", "issue", "prov.example.com", "--key", "p256"]).done();
    here.run(&["device", "generic", "--key", "p256"]).done();
    here.run(&["revoke", "ciscogeneric", "--publish"]).done();
    let (mut certificates, mut lists) = (0, 0);
    for file in here.files("provision-ca") {
        for der in if file.ends_with("cert.pem") { der(&here, &file) } else { Vec::new() } {
            let (rest, certificate) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
            assert!(rest.is_empty(), "{file}");
            for extension in certificate.extensions() {
                let critical = ["2.5.29.19", "2.5.29.15"].contains(&extension.oid.to_id_string().as_str());
                assert_eq!(extension.critical, critical, "{file}: {}", extension.oid);
                assert!(!extension.parsed_extension().unsupported(), "{file}: {}", extension.oid);
            }
            certificates += 1;
        }
        for der in if file.ends_with(".crl") { der(&here, &file) } else { Vec::new() } {
            let (rest, list) =
                x509_parser::revocation_list::CertificateRevocationList::from_der(&der).unwrap();
            assert!(rest.is_empty() && list.crl_number().is_some() && list.next_update().is_some(), "{file}");
            assert!(list.extensions().iter().all(|extension| !extension.critical), "{file}");
            lists += 1;
        }
    }
    assert_eq!((certificates, lists), (6, 4));
}
