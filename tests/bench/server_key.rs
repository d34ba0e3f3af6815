//! The servers' certificates: which kinds of key they have, and which one a phone is to be shown.

use std::fs;
use std::path::{Path, PathBuf};

use certs::{Curve, KeyAlgorithm};
use clap::ValueEnum;
use harness::authority::Authority;

use crate::client::Phone;
use crate::error::BenchError;

/// The certificates that every server has for the same name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ServerKey {
    /// One of each for the same name; which a phone gets, each server finds for itself
    Both,
    /// ECDSA on P-256; then no old phone can be served
    P256,
    /// RSA with 2048 bits: what the providers' certificates have
    Rsa2048,
}

/// A certificate with its chain, and its key.
pub(crate) struct Pair {
    /// What `provision-ca` calls the kind of key.
    pub(crate) kind: &'static str,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl ServerKey {
    /// The certificate that fits a phone. Where there is a choice, whoever can take an ECDSA signature should get one:
    /// it costs the server a fraction of an RSA one. A phone without ECDHE can only encrypt to an RSA key.
    pub(crate) fn shown_to(self, phone: Phone) -> KeyAlgorithm {
        match (self, phone) {
            (Self::P256, _) | (Self::Both, Phone::Modern(_)) => KeyAlgorithm::Ec { curve: Curve::P256 },
            (Self::Rsa2048, _) | (Self::Both, Phone::Legacy(_)) => KeyAlgorithm::Rsa { bits: 2048 },
        }
    }

    /// Whether it is what the bounds are for.
    pub(crate) fn is_bounded(self) -> bool {
        self == Self::Rsa2048
    }

    /// Whether phones that know RSA key exchange alone can be served.
    pub(crate) fn serves_legacy(self) -> bool {
        match self {
            Self::Both | Self::Rsa2048 => true,
            Self::P256 => false,
        }
    }

    /// Has `provision-ca` issue the certificates and takes them out of its store, where one replaces the other.
    pub(crate) fn issue(self, authority: &Authority, folder: &Path) -> Result<Vec<Pair>, BenchError> {
        let kinds: &[&str] = match self {
            Self::Both => &["rsa2048", "p256"],
            Self::P256 => &["p256"],
            Self::Rsa2048 => &["rsa2048"],
        };
        let issued = authority.server();
        let take = |kind: &&'static str| {
            authority.renew_server(Some(kind))?;
            let own = folder.join(kind);
            let pair = Pair { kind, chain: own.join("chain.pem"), key: own.join("key.pem") };
            let copy = || {
                fs::create_dir(&own)?;
                fs::copy(issued.join("chain.pem"), &pair.chain)?;
                fs::copy(issued.join("key.pem"), &pair.key)
            };
            copy().map_err(BenchError::io("the server's certificate cannot be copied"))?;
            Ok(pair)
        };
        kinds.iter().map(take).collect()
    }
}
