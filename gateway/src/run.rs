//! `provision-gateway run`: serve until told to stop, and read the configuration again when told to or when a
//! file changed.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use policies::Diagnostic;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{error, info, warn};

use crate::audit::Auditor;
use crate::commands::{Outcome, Streams};
use crate::config::Config;
use crate::reload::{LOOK_EVERY, Watch};
use crate::server::{Server, ServerError};
use crate::{cli, clock, printer, telemetry};

/// Why `run` ended other than by a signal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The audit file cannot be opened.
    #[error("the audit file {} cannot be opened", .path.display())]
    Audit {
        /// As configured.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The configuration has mistakes.
    #[error("the configuration has {} mistakes", .0.len())]
    Config(Vec<Diagnostic>),
    /// The gateway could not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The system gave no runtime or signal handler.
    #[error("the system refused what a server needs")]
    System(#[source] io::Error),
}

/// The command: starts the log and the runtime, serves, and prints why it could not.
///
/// # Errors
/// Standard error is closed.
pub fn command(arguments: &cli::Run, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    telemetry::start();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer::error(streams.err, &RunError::System(error), None)?;
            return Ok(Outcome::Refused);
        }
    };
    match runtime.block_on(run(&arguments.config)) {
        Ok(()) => Ok(Outcome::Done),
        Err(RunError::Config(mistakes)) => {
            printer::diagnostics(streams.err, &mistakes)?;
            Ok(Outcome::Refused)
        }
        Err(error) => {
            let hint = match &error {
                RunError::Server(ServerError::Listen { .. }) => Some(
                    "another program may use the port, or it is below 1024 and needs root; try: ss -ltnp",
                ),
                RunError::Audit { .. } => Some("the folder must exist and be writable for this user"),
                RunError::Config(_) | RunError::Server(ServerError::Site(_)) | RunError::System(_) => None,
            };
            printer::error(streams.err, &error, hint)?;
            Ok(Outcome::Refused)
        }
    }
}

/// Loads the configuration and serves until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps the gateway from starting. Once it runs, nothing but a signal ends it.
pub async fn run(path: &Path) -> Result<(), RunError> {
    let config = Config::load(path, clock::now()).map_err(RunError::Config)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let auditor = auditor(&config)?;
    let server = Server::start(&config, auditor.clone())?;
    announce(&server).map_err(RunError::System)?;
    serve(path, config, server, auditor).await
}

/// Opens the auditor a configuration asks for.
///
/// # Errors
/// The file cannot be opened.
pub fn auditor(config: &Config) -> Result<Auditor, RunError> {
    match &config.audit {
        Some(audit) => Auditor::to_file(&audit.file, audit.queue, clock::system)
            .map_err(|source| RunError::Audit { path: audit.file.clone(), source }),
        None => Ok(Auditor::disabled(clock::system)),
    }
}

/// Tells whoever started us, on standard output, where we listen: service managers and tests wait for it.
fn announce(server: &Server) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut addresses: Vec<_> = server.addresses().collect();
    addresses.sort();
    for address in addresses {
        writeln!(out, "listening on {address}")?;
    }
    writeln!(out, "ready")?;
    out.flush()
}

async fn serve(
    path: &Path,
    mut config: Config,
    mut server: Server,
    auditor: Auditor,
) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::System)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(RunError::System)?;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch::new(&config.watched);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                auditor.reopen();
                watch = Watch::new(&config.watched);
                config = reload(path, config, &mut server, "SIGHUP").await;
            }
            _ = look.tick() => {
                // Off the runtime: a file on a network file system may take its time.
                let looked = tokio::task::spawn_blocking(move || {
                    let settled = watch.settled_change(Instant::now());
                    (watch, settled)
                });
                let Ok((watched, settled)) = looked.await else { break };
                watch = watched;
                if settled {
                    config = reload(path, config, &mut server, "a file changed").await;
                    if watch.is_of_others(&config.watched) {
                        watch = Watch::new(&config.watched);
                    }
                }
            }
        }
    }
    info!("stopping: no new connections, open requests may finish");
    let left = server.stop(config.limits.shutdown_timeout).await;
    let closing = tokio::task::spawn_blocking(move || auditor.close(std::time::Duration::from_secs(5)));
    if let Ok(Err(unwritten)) = closing.await {
        error!(error = %unwritten, "audit records were lost");
    }
    info!(left, "stopped");
    Ok(())
}

/// Puts the configuration file's present content in force, or keeps the old one and says why.
async fn reload(path: &Path, old: Config, server: &mut Server, cause: &'static str) -> Config {
    let owned = path.to_path_buf();
    let loaded = tokio::task::spawn_blocking(move || Config::load(&owned, clock::now())).await;
    let new = match loaded {
        Ok(Ok(new)) => new,
        Ok(Err(mistakes)) => {
            for mistake in &mistakes {
                error!("{mistake}");
            }
            error!(
                cause,
                mistakes = mistakes.len(),
                "configuration not reloaded: the old one stays in force"
            );
            return old;
        }
        Err(panicked) => {
            error!(cause, error = %panicked, "configuration not reloaded: the old one stays in force");
            return old;
        }
    };
    if let Err(refused) = server.reload(&new) {
        let why = std::error::Error::source(&refused).map(ToString::to_string).unwrap_or_default();
        error!(cause, error = %refused, why, "configuration not reloaded: the old one stays in force");
        return old;
    }
    for warning in &new.warnings {
        warn!("{warning}");
    }
    for shrunk in new.shrunk_since(&old) {
        warn!("{shrunk}");
    }
    info!(cause, hosts = new.hosts.len(), "configuration reloaded");
    new
}
