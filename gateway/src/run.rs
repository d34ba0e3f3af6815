//! `provision-gateway run`: serve until told to stop, and read the configuration again when told to or when a
//! file changed.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use certs::Timestamp;
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
    let server = Server::start(&config, auditor)?;
    announce(&server).map_err(RunError::System)?;
    serve(path, config, server).await
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

async fn serve(path: &Path, config: Config, server: Server) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::System)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(RunError::System)?;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch::new(&config.watched);
    let mut running = Running { path: path.to_path_buf(), changes_at: config.changes_at, config, server };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                running.server.gateway().auditor().reopen();
                watch = Watch::new(&running.config.watched);
                running.reload("SIGHUP").await;
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
                    running.reload("a file changed").await;
                } else if running.changes_at.is_some_and(|at| at <= clock::now()) {
                    running.reload("an exception came to its end").await;
                }
            }
        }
        if watch.is_of_others(&running.config.watched) {
            watch = Watch::new(&running.config.watched);
        }
    }
    info!("stopping: no new connections, open requests may finish");
    let auditor = Auditor::clone(&running.server.gateway().auditor());
    let left = running.server.stop(running.config.limits.shutdown_timeout).await;
    close(auditor).await;
    info!(left, "stopped");
    Ok(())
}

/// Writes what is left in the queue of an auditor that gets no more records.
async fn close(auditor: Auditor) {
    let closing = tokio::task::spawn_blocking(move || auditor.close(Duration::from_secs(5)));
    if let Ok(Err(unwritten)) = closing.await {
        error!(error = %unwritten, "audit records were lost");
    }
}

/// How long after a failed attempt a change that is due by itself is tried again, in seconds.
const TRY_AGAIN_AFTER: i64 = 60;

/// The gateway and the configuration in force.
struct Running {
    path: PathBuf,
    config: Config,
    server: Server,
    /// When the configuration comes to mean something else by itself.
    changes_at: Option<Timestamp>,
}

impl Running {
    /// Puts the configuration file's present content in force, or keeps the old one and says why.
    async fn reload(&mut self, cause: &'static str) {
        match self.try_reload(cause).await {
            Ok(()) => {
                self.changes_at = self.config.changes_at;
                info!(cause, hosts = self.config.hosts.len(), "configuration reloaded");
            }
            Err(why) => {
                let later = clock::now().plus_seconds(TRY_AGAIN_AFTER);
                self.changes_at = self.changes_at.map(|at| at.max(later));
                error!(cause, why, "configuration not reloaded: the old one stays in force");
            }
        }
    }

    async fn try_reload(&mut self, cause: &'static str) -> Result<(), String> {
        let path = self.path.clone();
        let loaded = tokio::task::spawn_blocking(move || Config::load(&path, clock::now()));
        let new = loaded.await.map_err(|panicked| panicked.to_string())?.map_err(|mistakes| {
            for mistake in &mistakes {
                error!(cause, "{mistake}");
            }
            format!("{} mistakes", mistakes.len())
        })?;
        let auditor = match new.audit == self.config.audit {
            true => None,
            false => Some(auditor(&new).map_err(|error| with_cause(&error))?),
        };
        self.server.reload(&new).map_err(|error| with_cause(&error))?;
        if let Some(auditor) = auditor {
            let old = self.server.gateway().replace_auditor(auditor);
            tokio::spawn(close(old));
        }
        for warning in &new.warnings {
            warn!("{warning}");
        }
        for shrunk in new.shrunk_since(&self.config) {
            warn!("{shrunk}");
        }
        self.config = new;
        Ok(())
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
