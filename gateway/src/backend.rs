//! Where permitted requests go: a folder of profiles, or an HTTP server over TCP, TLS or a Unix socket.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;

pub use self::tls::{BackendTls, BackendTlsError};
pub use self::upstream::UpstreamBody;

#[cfg(test)]
pub(crate) use self::connector::ConnectError;
use self::connector::Connector;
pub(crate) use self::directory::{Directory, Served};
pub(crate) use self::upstream::{Upstream, UpstreamError};

mod connector;
mod directory;
mod outage;
mod pool;
mod tls;
mod upstream;

/// One `backend` of the configuration, checked.
#[derive(Clone, Debug)]
pub struct BackendConfig {
    /// Where it is.
    pub target: BackendTarget,
    /// How long it may take, and how many connections to it are kept.
    pub limits: BackendLimits,
}

/// Where a backend is.
#[derive(Clone, Debug)]
pub enum BackendTarget {
    /// `directory:PATH`: files below a folder.
    Directory(PathBuf),
    /// `http://HOST[:PORT]`.
    Http(Authority),
    /// `https://HOST[:PORT]`, verified against its own authorities.
    Https {
        /// Host and port; the certificate must be this host's.
        authority: Authority,
        /// Whom to trust, and who we are.
        tls: BackendTls,
    },
    /// `unix:PATH`: HTTP over a socket file.
    Unix(PathBuf),
}

/// How long a backend may take, and how many connections to it are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BackendLimits {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// From the whole request sent to the answer's first line.
    pub response: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// Unused connections kept for the next request; 0 keeps none.
    pub kept_connections: usize,
    /// How long an unused connection is kept. Apache closes after 5 seconds, so a little less.
    pub kept_for: Duration,
}

impl Default for BackendLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            kept_connections: 64,
            kept_for: Duration::from_secs(4),
        }
    }
}

/// A backend ready for requests; clones share its connections.
#[derive(Clone, Debug)]
pub struct Backend {
    name: Arc<str>,
    pub(crate) service: Service,
}

#[derive(Clone, Debug)]
pub(crate) enum Service {
    Directory(Arc<Directory>),
    Upstream(Arc<Upstream>),
}

impl Backend {
    /// Makes the backend that `config` describes; no connection is opened, so one that is down does not stop the start.
    #[must_use]
    pub fn new(config: &BackendConfig) -> Self {
        let name: Arc<str> = match &config.target {
            BackendTarget::Directory(folder) => format!("directory:{}", folder.display()),
            BackendTarget::Http(authority) => format!("http://{authority}"),
            BackendTarget::Https { authority, tls: _ } => format!("https://{authority}"),
            BackendTarget::Unix(path) => format!("unix:{}", path.display()),
        }
        .into();
        let connector = match &config.target {
            BackendTarget::Directory(folder) => {
                let directory = Directory::new(folder.clone(), config.limits.response);
                return Self { name, service: Service::Directory(Arc::new(directory)) };
            }
            BackendTarget::Http(authority) => Connector::tcp(authority),
            BackendTarget::Https { authority, tls } => Connector::tls(authority, tls),
            BackendTarget::Unix(path) => Connector::unix(path.clone()),
        };
        let upstream = Upstream::new(Arc::clone(&name), connector, config.limits);
        Self { name, service: Service::Upstream(Arc::new(upstream)) }
    }

    /// As the configuration writes it, for records.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }
}
