//! Why a measurement could not be made.

use std::io;
use std::path::{Path, PathBuf};

use harness::authority::AuthorityError;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The certificate authority did not do what it was told.
    #[error("the certificates cannot be made")]
    Authority(#[from] AuthorityError),
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// A file, a socket or a process.
    #[error("{what}")]
    Io {
        /// What was to be done.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Peers that are not installed.
    #[error("not installed: {}", .0.join(", "))]
    MissingPeers(Vec<&'static str>),
    /// No row has the words that were asked for.
    #[error("no row has the words `{0}`; `bench --help` lists them")]
    NoSuchRow(String),
    /// A certificate or key file.
    #[error("{}", .path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A server did not do what it was started for.
    #[error("{server} {what}{}{log}", if log.is_empty() { "" } else { "; it says:\n" })]
    Server {
        /// Which.
        server: &'static str,
        /// What it did not do.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// Settings of the phones' TLS.
    #[error("the phones' TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

impl BenchError {
    /// For `map_err`: what was to be done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::Io { what, source }
    }

    /// For `map_err`: the file.
    pub(crate) fn pem(path: &Path) -> impl FnOnce(rustls::pki_types::pem::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Pem { path, source }
    }

    /// What the person can do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::MissingPeers(_) => Some("as root: apt-get install nginx haproxy apache2"),
            Self::Authority(_) => Some("build first: cargo build --release --workspace"),
            Self::Interrupted
            | Self::Io { .. }
            | Self::NoSuchRow(_)
            | Self::Pem { .. }
            | Self::Server { .. }
            | Self::Tls(_) => None,
        }
    }
}
