//! The certificates, keys and client hellos of the bench, checked in: with new ones each count would be another, because how
//! long a signature takes depends on its numbers, and rustls puts the extensions of each hello in another order.
//!
//! They are published and good for nothing else. `cargo bench -p provision-gateway --bench steps -- --make-fixture` makes
//! new ones, after which the counts are to be recorded anew.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use certs::testing::{Authority, CertificateBuilder, Issued, KeyKind};
use certs::{Timestamp, oid, pem};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::{Error, hello};

/// The server's name.
pub(crate) const NAME: &str = "prov.example.com";
/// When the chains are judged; the whole connection asks the real clock, which is why they are good until 2100.
pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_795_392_000);
const BEGIN: Timestamp = Timestamp::from_unix(1_577_836_800);
const END: Timestamp = Timestamp::from_unix(4_102_444_800);

const ROOT: &str = include_str!("../fixture/root.pem");
const LISTS: &str = include_str!("../fixture/lists.pem");
const SERVER: &str = include_str!("../fixture/server.pem");
const SERVER_KEY: &str = include_str!("../fixture/server-key.pem");
const DEVICE: &str = include_str!("../fixture/device.pem");
const DEVICE_KEY: &str = include_str!("../fixture/device-key.pem");
const HELLOS: &str = include_str!("../fixture/hellos.pem");

/// Puts into a folder what a gateway reads.
pub(crate) fn write(folder: &Path) -> Result<(), Error> {
    let files =
        [("root.pem", ROOT), ("lists.pem", LISTS), ("server.pem", SERVER), ("server-key.pem", SERVER_KEY)];
    files.into_iter().try_for_each(|(name, text)| put(&folder.join(name), text))
}

/// Puts a file in place that only its owner reads.
pub(crate) fn put(path: &Path, text: &str) -> Result<(), Error> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// What the device presents, leaf first.
pub(crate) fn device_chain() -> Result<Vec<CertificateDer<'static>>, Error> {
    Ok(blocks(DEVICE)?.into_iter().map(CertificateDer::from).collect())
}

/// The device's key.
pub(crate) fn device_key() -> Result<PrivateKeyDer<'static>, Error> {
    let key = blocks(DEVICE_KEY)?.pop().ok_or("no key")?;
    Ok(PrivatePkcs8KeyDer::from(key).into())
}

/// The bytes with which a client begins, with a hybrid key share or without.
pub(crate) fn hello(hybrid: bool) -> Result<Vec<u8>, Error> {
    Ok(blocks(HELLOS)?.into_iter().nth(usize::from(hybrid)).ok_or("no hello")?)
}

/// Whom the device trusts.
pub(crate) fn roots() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for root in blocks(ROOT)? {
        roots.add(CertificateDer::from(root))?;
    }
    Ok(roots)
}

fn blocks(text: &str) -> Result<Vec<Vec<u8>>, Error> {
    Ok(pem::blocks(text.as_bytes())?.into_iter().map(|block| block.contents).collect())
}

/// Makes new ones in place of those that are checked in.
pub(crate) fn make(folder: &Path) -> Result<(), Error> {
    let root = dated(Authority::root("Bench Root").key(KeyKind::Rsa2048)).authority();
    let issuing = dated(root.intermediate("Bench Issuing CA").key(KeyKind::Rsa2048)).authority();
    let device = dated(issuing.leaf().key(KeyKind::Rsa2048).key_label("device"))
        .attribute(oid::ORGANIZATIONAL_UNIT, "CP-8841-3PCC")
        .attribute(oid::LOCALITY, "88012BA01234")
        .attribute(oid::SURNAME, "000e08abcdef")
        .issue();
    let server = dated(root.leaf().key(KeyKind::Rsa2048).key_label("server"))
        .attribute(oid::COMMON_NAME, NAME)
        .dns_names(&[NAME])
        .purposes(&[oid::SERVER_AUTH])
        .issue();
    let lists: String = [&root, &issuing]
        .map(|authority| authority.crl().this_update(BEGIN).next_update(Some(END)).to_pem())
        .concat();
    let hellos = [hello::make(false)?, hello::make(true)?].map(|bytes| pem::encode("CLIENT HELLO", &bytes));
    let key = Issued::key_pem;
    for (name, text) in [
        ("root.pem", root.certificate().to_pem()),
        ("lists.pem", lists),
        ("server.pem", server.chain_pem()),
        ("server-key.pem", key(&server)),
        ("device.pem", device.chain_pem()),
        ("device-key.pem", key(&device)),
        ("hellos.pem", hellos.concat()),
    ] {
        let notice = "Published with the source, for gateway/benches/steps only. Nothing may trust it.\n";
        put(&folder.join(name), &format!("{notice}{text}"))?;
    }
    Ok(())
}

fn dated(certificate: CertificateBuilder) -> CertificateBuilder {
    certificate.not_before(BEGIN).not_after(END)
}
