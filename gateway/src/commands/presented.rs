//! What a phone presents, from a file: read as it would be sent, and not judged here.

use std::io;
use std::path::{Path, PathBuf};

use certs::{ParseError, pem};

use crate::config::certificates;

/// Why a file gives nothing to present.
#[derive(Debug, thiserror::Error)]
pub(super) enum PresentedError {
    #[error("{} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} cannot be read", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is no PEM file of certificates", path.display())]
    Pem {
        path: PathBuf,
        #[source]
        source: ParseError,
    },
}

impl PresentedError {
    pub(super) const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Pem { .. } | Self::NoCertificate(_) => {
                Some("the phone's certificate first, then any intermediates, as it sends them")
            }
            Self::File { .. } => None,
        }
    }
}

/// The certificates of the file as a phone would send them: whether they are good is for the walk to say.
pub(super) fn presented(path: &Path) -> Result<Vec<Vec<u8>>, PresentedError> {
    let path = || path.to_owned();
    let bytes = std::fs::read(path()).map_err(|source| PresentedError::File { path: path(), source })?;
    if !certificates::looks_like_pem(&bytes) {
        // DER begins with the tag of a SEQUENCE.
        return if bytes.first() == Some(&0x30) {
            Ok(vec![bytes])
        } else {
            Err(PresentedError::NoCertificate(path()))
        };
    }
    let blocks = pem::blocks(&bytes).map_err(|source| PresentedError::Pem { path: path(), source })?;
    let of_certificates = blocks.into_iter().filter(|block| pem::is_certificate(&block.label));
    let found: Vec<_> = of_certificates.map(|block| block.contents).collect();
    if found.is_empty() { Err(PresentedError::NoCertificate(path())) } else { Ok(found) }
}
