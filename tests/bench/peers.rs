//! The servers of the measurement, each with its own configuration for the same work.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use harness::authority::{Authority, Kind};
use harness::port;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::bare::Bare;
use crate::client::{Credentials, Phone};
use crate::error::BenchError;
use crate::floor;
use crate::processor::Processor;
use crate::request::Request;
use crate::server::Server;
use crate::server_key::{Pair, ServerKey};

mod apache;
mod gateway;
mod haproxy;
mod nginx;
mod store;

pub(crate) use haproxy::NAME as HAPROXY;
pub(crate) use nginx::NAME as NGINX;
pub(crate) use store::Store;

/// The name in the servers' certificates and in every request.
pub(crate) const HOST: &str = "localhost";

/// What must be installed.
const PROGRAMS: [&str; 3] = [nginx::PROGRAM, haproxy::PROGRAM, apache::PROGRAM];

/// The phones' product.
pub(crate) const MODEL: &str = "CP-8841-3PCC";
const SERIAL: &str = "88012BA01234";
const MAC: &str = "000e08abcdef";

/// The gateway, its peers, the store they share and a device to call them.
pub(crate) struct Peers {
    // Dropped in this order: the store is the last to go.
    servers: Vec<Server>,
    processor: Processor,
    bare: Bare,
    credentials: Arc<Credentials>,
    authority: Authority,
    store: Store,
}

impl Peers {
    /// Makes authorities and certificates with `provision-ca` and starts everything below `folder`.
    pub(crate) fn start(folder: &Path, binaries: &Path, server_key: ServerKey) -> Result<Self, BenchError> {
        let missing: Vec<_> = PROGRAMS.into_iter().filter(|program| find(program).is_none()).collect();
        if !missing.is_empty() {
            return Err(BenchError::MissingPeers(missing));
        }
        let authority = Authority::open(binaries, &folder.join("pki"), HOST, "Bench", Kind::Modern)?;
        let pairs = server_key.issue(&authority, folder)?;
        authority.issue_devices(&format!("{MODEL},{SERIAL},{MAC}\n"), "rsa2048", Kind::Modern)?;
        authority.publish()?;
        let store = Store::start(folder, MODEL, MAC)?;
        let work = Work {
            folder,
            binaries,
            authority: &authority,
            pairs: &pairs,
            serves_legacy: server_key.serves_legacy(),
            store: store.address(),
        };
        let servers =
            vec![gateway::start(&work)?, nginx::start(&work)?, haproxy::start(&work)?, apache::start(&work)?];
        let credentials = credentials(&authority)?;
        let processor = servers.first().map_or_else(|| Processor::of(std::process::id()), Server::processor);
        let processor = processor.map_err(BenchError::io("the gateway's environment cannot be read"))?;
        let bare = Bare::start(&processor, &authority, MAC, store.address(), &credentials.profile)
            .map_err(BenchError::io("the bare server does not start"))?;
        Ok(Self { servers, processor, bare, credentials: Arc::new(credentials), authority, store })
    }

    /// The gateway first, then its peers.
    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The same, to be started again.
    pub(crate) fn servers_mut(&mut self) -> &mut [Server] {
        &mut self.servers
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.servers.iter().map(Server::name).collect()
    }

    /// What the gateway told its crypto library of the processor when it was started first.
    pub(crate) fn processor(&self) -> &Processor {
        &self.processor
    }

    /// The asymmetric work of a handshake with this device, told the same. See [`floor::asymmetric_work`].
    pub(crate) fn asymmetric_work(&self, rounds: usize) -> io::Result<Duration> {
        floor::asymmetric_work(&self.processor, &self.authority, MAC, rounds)
    }

    pub(crate) fn bare(&self) -> &Bare {
        &self.bare
    }

    pub(crate) fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

/// Where a program is. Servers lie beyond what ordinary users have in their path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Where a program is that [`Peers::start`] has looked for.
fn installed(program: &'static str) -> Result<PathBuf, BenchError> {
    find(program).ok_or_else(|| BenchError::MissingPeers(vec![program]))
}

fn credentials(authority: &Authority) -> Result<Credentials, BenchError> {
    let certificate = |path: PathBuf| CertificateDer::from_pem_file(&path).map_err(BenchError::pem(&path));
    let device = authority.device(MAC);
    let (chain, key) = (device.join("chain.pem"), device.join("key.pem"));
    let server_root = certificate(authority.server_root())?;
    let mut roots = RootCertStore::empty();
    roots.add(server_root.clone())?;
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&chain).map_err(BenchError::pem(&chain))?.collect();
    Ok(Credentials {
        chain: certificates.map_err(BenchError::pem(&chain))?,
        key: PrivateKeyDer::from_pem_file(&key).map_err(BenchError::pem(&key))?,
        roots: Arc::new(roots),
        server_root,
        profile: Request::profile(MAC),
        large_profile: Request::large_profile(MODEL, MAC),
        report: Request::report(MAC),
    })
}

/// What every server is set up for.
struct Work<'a> {
    folder: &'a Path,
    binaries: &'a Path,
    authority: &'a Authority,
    /// The certificates to show, all of them for the same name.
    pairs: &'a [Pair],
    /// Whether old phones are served too, at an address of their own: only there are their version and suite spoken.
    serves_legacy: bool,
    store: SocketAddr,
}

/// Where a server listens.
#[derive(Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) modern: SocketAddr,
    /// Of old phones, where they are served too.
    pub(crate) legacy: Option<SocketAddr>,
}

impl Work<'_> {
    fn addresses(&self) -> Result<Addresses, BenchError> {
        let free = || port::free().map_err(BenchError::io("no free port"));
        Ok(Addresses { modern: free()?, legacy: self.serves_legacy.then(free).transpose()? })
    }

    /// A folder of the server's own.
    fn folder_of(&self, name: &str) -> Result<PathBuf, BenchError> {
        let own = self.folder.join(name);
        fs::create_dir(&own).map_err(BenchError::io(own.display().to_string()))?;
        Ok(own)
    }

    /// The revocation lists of the client side in one file, as everyone but the gateway wants them.
    fn crls_in(&self, own: &Path) -> Result<PathBuf, BenchError> {
        let concatenated = || {
            let mut whole = Vec::new();
            for file in fs::read_dir(self.authority.crls())? {
                whole.extend(fs::read(file?.path())?);
            }
            io::Result::Ok(whole)
        };
        let file = own.join("crls.pem");
        put(&file, &concatenated().map_err(BenchError::io("the revocation lists cannot be read"))?)?;
        Ok(file)
    }
}

impl Addresses {
    pub(crate) fn of(&self, phone: Phone) -> Option<SocketAddr> {
        match phone {
            Phone::Legacy(_) => self.legacy,
            Phone::Modern(_) => Some(self.modern),
        }
    }
}

/// Writes a file of this measurement.
#[expect(
    clippy::disallowed_methods,
    reason = "files of this measurement alone, written before anyone reads them"
)]
fn put(path: &Path, bytes: &[u8]) -> Result<(), BenchError> {
    fs::write(path, bytes).map_err(BenchError::io(path.display().to_string()))
}

/// Lets every user into a folder: the workers of some servers are another's.
pub(crate) fn open_to_all(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}
