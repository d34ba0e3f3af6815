//! The asymmetric work of one full handshake alone, by the same crypto library: what no server with these keys can
//! go below.

use std::io;
use std::time::{Duration, Instant};

use certs::{Certificate, Hash, SignatureAlgorithm};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::kx_group::X25519;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::Signer;

use crate::client::Credentials;

/// One RSA 2048 signature, one X25519 key pair and agreement, and the verification of a leaf's certificate and of
/// its signature on the handshake. The median of `rounds`, by this thread's clock.
pub(crate) fn asymmetric_work(device: &Credentials, rounds: usize) -> io::Result<Duration> {
    let leaf = device.chain.first().ok_or_else(|| io::Error::other("no certificate"))?;
    let work = Work::new(&device.key, leaf, &device.client_root)?;
    let mut spent = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let began = Instant::now();
        let signature = work.sign()?;
        work.agree()?;
        work.verify(&signature)?;
        spent.push(began.elapsed());
    }
    spent.sort();
    spent.get(rounds / 2).copied().ok_or_else(|| io::Error::other("no rounds"))
}

/// The parts of it. One RSA key stands for the server's and the device's.
pub(crate) struct Work {
    signer: Box<dyn Signer>,
    leaf: Certificate,
    root: Certificate,
}

const MESSAGE: [u8; 130] = [7; 130];

impl Work {
    pub(crate) fn new(
        key: &PrivateKeyDer<'_>,
        leaf: &CertificateDer<'_>,
        root: &CertificateDer<'_>,
    ) -> io::Result<Self> {
        let key = any_supported_type(key).map_err(io::Error::other)?;
        let signer = key
            .choose_scheme(&[SignatureScheme::RSA_PSS_SHA256])
            .ok_or_else(|| io::Error::other("the device's key is not RSA"))?;
        let parse =
            |certificate: &CertificateDer<'_>| Certificate::parse(certificate).map_err(io::Error::other);
        Ok(Self { signer, leaf: parse(leaf)?, root: parse(root)? })
    }

    pub(crate) fn sign(&self) -> io::Result<Vec<u8>> {
        self.signer.sign(&MESSAGE).map_err(io::Error::other)
    }

    pub(crate) fn agree(&self) -> io::Result<()> {
        let own = X25519.start().map_err(io::Error::other)?;
        let peer = own.pub_key().to_vec();
        own.complete(&peer).map(|_| ()).map_err(io::Error::other)
    }

    pub(crate) fn verify(&self, signature: &[u8]) -> io::Result<()> {
        self.leaf
            .signature_algorithm()
            .verify(self.root.public_key(), self.leaf.tbs(), self.leaf.signature())
            .map_err(io::Error::other)?;
        SignatureAlgorithm::RsaPss(Hash::Sha256)
            .verify(self.leaf.public_key(), &MESSAGE, signature)
            .map_err(io::Error::other)
    }
}
