//! Why a run could not be made. What the run found is no error.

use std::io;
use std::path::{Path, PathBuf};

use harness::authority::AuthorityError;

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    /// The certificate authority did not do what it was told.
    #[error("{}", with_cause(.0))]
    Authority(#[from] AuthorityError),
    /// The gateway did not do what it was told.
    #[error("the gateway {what}{}{log}", if log.is_empty() { "" } else { "; it says:\n" })]
    Gateway {
        /// What it did not do.
        what: &'static str,
        /// The end of its log.
        log: String,
    },
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// A file or socket.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The old phones' TLS library.
    #[error("the old phones' TLS cannot be set up: {0}")]
    OldTls(#[from] openssl::error::ErrorStack),
    /// A certificate or key file.
    #[error("{}: {source}", .path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The run took longer than it may.
    #[error("waited {seconds} seconds in vain for {what}")]
    TimedOut {
        /// What for.
        what: &'static str,
        /// How long.
        seconds: u64,
    },
    /// The phones' TLS library.
    #[error("the phones' TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl FleetError {
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
}

/// What the program prints is one line: the cause stands in it.
fn with_cause(error: &AuthorityError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
