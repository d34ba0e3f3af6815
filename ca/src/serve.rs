//! `serve`: publishes revocation lists, the authorities' certificates and health over plain HTTP, and keeps the lists fresh.
//!
//! One thread, the [keeper](keeper), holds the store: it makes lists before half of their life is gone and when something was
//! revoked, by whichever process, and puts what is to be read into memory. The connections read from there alone; no
//! path that a client sends ever reaches the file system.

mod connection;
mod health;
mod keeper;
mod listener;
mod ocsp;
mod pages;
mod respond;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tracing::{info, warn};

use crate::authority::{Authority, ListDays};
use crate::clock::Clock;
use crate::error::IssueError;
use crate::ocsp::Responders;
use health::Health;
use keeper::Keeper;
use listener::Limits;
use pages::Pages;

/// Most connections at a time, unless said otherwise.
pub const CONNECTIONS: usize = 512;

/// Most connections of one address at a time, unless said otherwise.
pub const CONNECTIONS_PER_ADDRESS: usize = 64;

/// How long answers that were begun may take when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// How many OCSP answers are made at a time.
const SIGNING: usize = 4;

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// How long the lists count that are made; without it none is made, and no key is needed.
    pub publish: Option<ListDays>,
    /// Most connections at a time.
    pub connections: usize,
    /// Most of them from one address.
    pub connections_per_address: usize,
}

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] IssueError),
    /// The system gave no thread or no signal.
    #[error("the system refuses what a server needs")]
    System(#[source] io::Error),
}

/// What the connections read.
struct Shared {
    pages: ArcSwap<Pages>,
    health: ArcSwap<Health>,
    responders: ArcSwap<Responders>,
    /// Where OCSP answers come from; a connection to the store of their own.
    inventory: Mutex<Authority>,
    /// Answers are made by few at a time, each with a whole signature.
    signing: Semaphore,
    clock: Arc<dyn Clock>,
}

impl Shared {
    fn new(inventory: Authority, clock: Arc<dyn Clock>) -> Self {
        Self {
            pages: ArcSwap::default(),
            health: ArcSwap::default(),
            responders: ArcSwap::default(),
            inventory: Mutex::new(inventory),
            signing: Semaphore::new(SIGNING),
            clock,
        }
    }
}

/// Serves until the process is told to end (SIGTERM, SIGINT). `ready` is called once with the addresses listened on, when
/// everything is there to be fetched.
///
/// # Errors
/// [`ServeError`]; once it serves, trouble is logged and shown by `/health`.
pub fn serve(
    authority: Authority,
    clock: Arc<dyn Clock>,
    options: &ServeOptions,
    ready: impl FnOnce(&[SocketAddr]),
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(ServeError::System)?;
    let listeners = runtime.block_on(listener::bind(&options.listen))?;
    let addresses: Vec<SocketAddr> = listeners
        .iter()
        .map(tokio::net::TcpListener::local_addr)
        .collect::<Result<_, _>>()
        .map_err(ServeError::System)?;
    let inventory = Authority::open(authority.layout().root(), Arc::clone(&clock))?;
    let shared = Arc::new(Shared::new(inventory, clock));
    let keeper =
        Keeper::start(authority, Arc::clone(&shared), options.publish).map_err(ServeError::System)?;
    let served = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (stop, stopping) = watch::channel(false);
        let limits = Limits::new(options.connections, options.connections_per_address);
        let tasks: Vec<_> = listeners
            .into_iter()
            .map(|listener| {
                let (shared, limits) = (Arc::clone(&shared), Arc::clone(&limits));
                tokio::spawn(listener::run(listener, shared, limits, stopping.clone()))
            })
            .collect();
        ready(&addresses);
        info!(addresses = ?addresses, "serving");
        tokio::select! {
            _ = terminate.recv() => info!("told to end by SIGTERM"),
            _ = interrupt.recv() => info!("told to end by SIGINT"),
        }
        let _nobody_listens = stop.send(true);
        for task in tasks {
            let _stopped = task.await;
        }
        if !limits.drained(GRACE).await {
            warn!(open = limits.open(), "connections were cut off");
        }
        Ok(())
    });
    keeper.stop();
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.map_err(ServeError::System)
}
