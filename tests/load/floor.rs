//! The asymmetric work of one full handshake alone, by the same crypto library: what no server with these keys can
//! go below.

use std::io;
use std::time::{Duration, Instant};

use certs::{Certificate, Hash, SignatureAlgorithm};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::kx_group::X25519;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;

use crate::client::Credentials;

/// One RSA 2048 signature, one X25519 key pair and agreement, and the verification of a leaf's certificate and of
/// its signature on the handshake. The median of `rounds`, by this thread's clock.
pub(crate) fn asymmetric_work(device: &Credentials, rounds: usize) -> io::Result<Duration> {
    let key = any_supported_type(&device.key).map_err(io::Error::other)?;
    let signer = key
        .choose_scheme(&[SignatureScheme::RSA_PSS_SHA256])
        .ok_or_else(|| io::Error::other("the device's key is not RSA"))?;
    let leaf = device.chain.first().ok_or_else(|| io::Error::other("no certificate"))?;
    let leaf = Certificate::parse(leaf).map_err(io::Error::other)?;
    let root = Certificate::parse(&device.client_root).map_err(io::Error::other)?;
    let message = [7; 130];
    let mut spent = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let began = Instant::now();
        let signature = signer.sign(&message).map_err(io::Error::other)?;
        let own = X25519.start().map_err(io::Error::other)?;
        let peer = own.pub_key().to_vec();
        own.complete(&peer).map_err(io::Error::other)?;
        leaf.signature_algorithm()
            .verify(root.public_key(), leaf.tbs(), leaf.signature())
            .map_err(io::Error::other)?;
        SignatureAlgorithm::RsaPss(Hash::Sha256)
            .verify(leaf.public_key(), &message, &signature)
            .map_err(io::Error::other)?;
        spent.push(began.elapsed());
    }
    spent.sort();
    spent.get(rounds / 2).copied().ok_or_else(|| io::Error::other("no rounds"))
}
