//! A gateway's configuration, read by the gateway's own code from a folder with the fixture.

use std::net::SocketAddr;
use std::sync::Arc;

use certs::PresentedChain;
use gateway::config::Config;
use gateway::peer::Peer;
use gateway::site::{ListenerKey, Site, VirtualHost};
use tempfile::TempDir;

use crate::{Error, fixture};

/// Everything that a deployment has on: the chain is verified with revocation lists, judged by rules, told to the backend
/// in the guide's fields, and recorded.
pub(crate) struct Scene {
    /// Removed when dropped.
    _folder: TempDir,
    pub(crate) config: Config,
}

impl Scene {
    /// One before this backend.
    pub(crate) fn before(backend: SocketAddr) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        fixture::write(folder.path())?;
        let text = format!(
            r#"
[[listener]]
address = "127.0.0.1:0"
tls = "modern"

[[host]]
names = ["{name}"]
certificate = "server.pem"
private-key = "server-key.pem"
client-auth = "required"
backend = "http://{backend}"
headers = ["guide"]
rules = "own-profile"

[[host.trust]]
anchors = "root.pem"
identity = ["cisco-small-business"]
crls = "lists.pem"

[audit]
file = "audit.jsonl"
"#,
            name = fixture::NAME
        );
        let path = folder.path().join("gateway.toml");
        fixture::put(&path, &text)?;
        let config = Config::load(&path, fixture::NOW).map_err(|mistakes| format!("{mistakes:?}"))?;
        Ok(Self { _folder: folder, config })
    }

    /// One whose backend is never asked.
    pub(crate) fn new() -> Result<Self, Error> {
        Self::before(SocketAddr::from(([127, 0, 0, 1], 8080)))
    }

    /// Its only host, as it is run.
    pub(crate) fn host(&self) -> Result<Arc<VirtualHost>, Error> {
        let site = Site::new(&self.config, None)?;
        let key = ListenerKey::all(&self.config.listeners).next().ok_or("no listener")?;
        let host = site.listener(key).and_then(|listener| listener.host(Some(fixture::NAME)));
        Ok(Arc::clone(host.ok_or("no host")?))
    }
}

/// The device's chain, as it stands after parsing.
pub(crate) fn presented() -> Result<PresentedChain, Error> {
    Ok(PresentedChain::parse(fixture::device_chain()?)?)
}

/// The device, let in by this host.
pub(crate) fn peer(host: &VirtualHost) -> Result<Peer, Error> {
    Ok(host.judge().judge(&presented()?, fixture::NOW).map_err(|refusal| refusal.detail)?)
}
