//! Why a batch, or one thing in it, was refused.

use std::path::PathBuf;

use certs::{Fingerprint, Timestamp};

/// A batch, or one thing in it, is refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BatchError {
    /// A file is not the one that was signed.
    #[error("{} is not the file that the manifest names: its SHA-256 is another", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file name that leads elsewhere.
    #[error("the manifest names the file {name:?}, and only plain names in the same folder are taken")]
    FileName {
        /// The name.
        name: String,
    },
    /// Something else is where the folder would be.
    #[error("{} holds something else already", path.display())]
    InTheWay {
        /// The folder.
        path: PathBuf,
    },
    /// A key that belongs to somebody else, or to nobody.
    #[error("{why}")]
    Key {
        /// Whose it is.
        why: String,
    },
    /// A list that would count longer than its authority.
    #[error("the list would count until {next_update}, and the root ends {not_after}")]
    ListOutlives {
        /// The list's end.
        next_update: Timestamp,
        /// The root's.
        not_after: Timestamp,
    },
    /// The manifest makes no sense.
    #[error("{}: {why}", path.display())]
    Manifest {
        /// Its file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The name that an authority is to have in the store, or in its certificate.
    #[error("{why}")]
    Name {
        /// Why not.
        why: String,
    },
    /// The key is not the one whose fingerprint was told.
    #[error("the key in the file has the SHA-256 {found}, and {told} was told")]
    OtherSigner {
        /// Of the key in the file.
        found: Fingerprint,
        /// What was told.
        told: Fingerprint,
    },
    /// The certificate would outlive the root (CA C4).
    #[error("the certificate would end {not_after}, after the root, which ends {root}")]
    Outlives {
        /// Its end.
        not_after: Timestamp,
        /// The root's.
        root: Timestamp,
    },
    /// A file that is to hold the key of those who ask, and does not.
    #[error("this is not one public key: a file with one PEM block PUBLIC KEY is expected")]
    NoSignerKey,
    /// New dates that are no later than those there are.
    #[error("{name} has a certificate until {until} already, and a new one would end {not_after}")]
    NoLater {
        /// The authority.
        name: String,
        /// The end of the certificate it has.
        until: Timestamp,
        /// The end of the one that is asked for.
        not_after: Timestamp,
    },
    /// The answer is not signed by the root it names.
    #[error("the answer is not signed by {root}: it was changed, or made by somebody else")]
    NotTheRoots {
        /// The root's name in the store.
        root: String,
    },
    /// The root allows no such authority below it (CA C2).
    #[error("a path length of {wanted} is asked for, and the root allows {allowed}")]
    PathLength {
        /// What is asked for.
        wanted: u64,
        /// The most that the root allows below it.
        allowed: String,
    },
    /// It is not among the root's.
    #[error("it revokes certificate {serial}, which this root did not issue")]
    RevokesUnknown {
        /// The serial number.
        serial: String,
    },
    /// Nobody accepted the key that signed it.
    #[error("the batch is signed by nobody whose key was accepted here")]
    Signer,
    /// What is asked of a root has keys that wait in files.
    #[error("the store keeps its keys in a token, and those that wait for a root's answer are files")]
    TokenStore,
    /// The command that writes it was interrupted.
    #[error("{} is not finished: the command that makes it was interrupted", path.display())]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// It is for a root that is not in this store.
    #[error("it is for another root, {name}, whose certificate has the SHA-256 {root}")]
    UnknownRoot {
        /// Its name, as the manifest has it.
        name: String,
        /// Its fingerprint.
        root: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// What is wanted makes no sense.
    #[error("what is wanted cannot be understood: {why}")]
    Wanted {
        /// Why not.
        why: String,
    },
}

impl BatchError {
    /// What the operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Changed { .. } | Self::Unreadable { .. } => "copy the whole folder once more",
            Self::FileName { .. } | Self::Manifest { .. } | Self::Wanted { .. } => {
                "make the folder anew where it came from: provision-ca root request"
            }
            Self::InTheWay { .. } => "name a folder that is empty or not there yet",
            Self::Key { .. } => "each authority needs a key of its own: make the request anew",
            Self::ListOutlives { .. } | Self::Outlives { .. } => {
                "ask for fewer days: provision-ca root request … --days N, --crl-days N"
            }
            Self::Name { .. } => "make the request anew, with another name",
            Self::NoLater { .. } => {
                "ask for more days, as far as the root lasts; beyond it, add a new root: provision-ca authority add --side client (or server)"
            }
            Self::NoSignerKey => "it is batch-signer.pem in the store's folder of the host that asks",
            Self::OtherSigner { .. } => "ask for the fingerprint once more, and for the file",
            Self::NotTheRoots { .. } => {
                "have the folder brought again from the host that keeps the root's key"
            }
            Self::PathLength { .. } => "ask for an authority with nothing below it, or make another root",
            Self::RevokesUnknown { .. } => "look at it where the request came from: provision-ca show SERIAL",
            Self::Signer => {
                "compare the fingerprint by telephone, then: provision-ca root accept batch-signer.pem"
            }
            Self::TokenStore => {
                "ask from a store whose keys are files; or keep the root in the token too: provision-ca authority add --tier issuing"
            }
            Self::Unfinished { .. } => {
                "run the same command once more where it was made: `root request`, or `root sign-batch` at the root"
            }
            Self::UnknownRoot { .. } => "sign it in the store that has that root: `--store DIR`",
        }
    }
}
