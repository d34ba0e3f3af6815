//! The servers' certificates: which kinds of key they have, and which one a phone is to be shown.

use std::path::{Path, PathBuf};
use std::{fs, io, str};

use certs::{Curve, KeyAlgorithm};

use crate::client::Phone;

/// The certificates that every server has for the same name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerKey {
    /// An RSA 2048 and a P-256 one; which a phone gets, each server finds for itself.
    Both,
    P256,
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

    /// Whether phones that know RSA key exchange alone can be served.
    pub(crate) fn serves_legacy(self) -> bool {
        match self {
            Self::Both | Self::Rsa2048 => true,
            Self::P256 => false,
        }
    }

    /// Has `provision-ca` issue the certificates for `localhost` and takes them out of its store, where one replaces
    /// the other.
    pub(crate) fn issue(
        self,
        ca: impl Fn(&[&str]) -> io::Result<()>,
        store: &Path,
        folder: &Path,
    ) -> io::Result<Vec<Pair>> {
        let kinds: &[&str] = match self {
            Self::Both => &["rsa2048", "p256"],
            Self::P256 => &["p256"],
            Self::Rsa2048 => &["rsa2048"],
        };
        let issued = store.join("server/localhost");
        let take = |kind: &&'static str| {
            ca(&["server", "issue", "localhost", "--force", "--key", kind])?;
            let own = folder.join(kind);
            fs::create_dir(&own)?;
            let pair = Pair { kind, chain: own.join("chain.pem"), key: own.join("key.pem") };
            fs::copy(issued.join("chain.pem"), &pair.chain)?;
            fs::copy(issued.join("key.pem"), &pair.key)?;
            Ok(pair)
        };
        kinds.iter().map(take).collect()
    }
}

impl str::FromStr for ServerKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "both" => Ok(Self::Both),
            "p256" => Ok(Self::P256),
            "rsa2048" => Ok(Self::Rsa2048),
            other => Err(format!("--server-key is both, p256 or rsa2048, not {other}")),
        }
    }
}
