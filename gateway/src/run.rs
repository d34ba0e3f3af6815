//! `provision-gateway run`: serve until told to stop, and read the configuration again when told to or when a
//! file changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use certs::Timestamp;
use policies::Diagnostic;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{error, info, warn};

use crate::audit::{
    AuditSink, Auditor, DatabaseError, DatabaseSink, FileSink, Sink, StdoutSink, SyslogSink, Windows,
};
use crate::commands::{Outcome, Streams};
use crate::config::certificates::Causes;
use crate::config::{AuditConfig, Config, SinkConfig, SinkKind};
use crate::reload::{LOOK_EVERY, Watch};
use crate::server::{Server, ServerError};
use crate::{cli, clock, descriptors, printer, processor, telemetry};

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
    /// The audit database cannot be opened.
    #[error("the audit database {database} cannot be used")]
    AuditDatabase {
        /// As configured, without a password.
        database: String,
        /// Why.
        #[source]
        source: DatabaseError,
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
    let ended = runtime.block_on(start(&arguments.config));
    // A file that hangs, on a network file system that is gone, must not hang the end as well.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
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
                RunError::Server(ServerError::PhoneSyslog { .. }) => Some(
                    "another program, such as rsyslog, may use the port, or it is below 1024 and needs root; try: ss -lunp",
                ),
                RunError::Audit { .. } => Some("the folder must exist and be writable for this user"),
                RunError::AuditDatabase {
                    source: DatabaseError::Foreign { .. } | DatabaseError::NotAnAuditDatabase,
                    ..
                } => Some("name a file of its own: the gateway makes it"),
                RunError::AuditDatabase { .. }
                | RunError::Config(_)
                | RunError::Server(ServerError::AdminTls(_) | ServerError::Random | ServerError::Site(_))
                | RunError::System(_) => None,
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
    let loaded = Loaded::read(path)?;
    run_loaded(path, loaded).await
}

/// The same; the program may start itself again first for the sake of faster signatures.
async fn start(path: &Path) -> Result<(), RunError> {
    let loaded = Loaded::read(path)?;
    processor::settle(&loaded.config);
    run_loaded(path, loaded).await
}

/// A configuration, and what came while its files were read.
struct Loaded {
    config: Config,
    at: SystemTime,
    /// Heard from the first moment on: unheard, the signal would end the process, and a hook that says "read your certificate again"
    /// may say so to a gateway that has only just been started.
    hang_up: Signal,
}

impl Loaded {
    fn read(path: &Path) -> Result<Self, RunError> {
        let hang_up = signal(SignalKind::hangup()).map_err(RunError::System)?;
        let at = clock::system();
        let config = Config::load(path, clock::now()).map_err(RunError::Config)?;
        Ok(Self { config, at, hang_up })
    }
}

async fn run_loaded(path: &Path, loaded: Loaded) -> Result<(), RunError> {
    let Loaded { config, at: loaded_at, hang_up } = loaded;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let open_files = descriptors::raise().unwrap_or_else(|error| {
        warn!(error = %error, "the limit of open files could not be raised");
        u64::MAX
    });
    if let Some((message, hint)) = descriptors::shortage(&config.limits, open_files) {
        warn!(hint, "{message}");
    }
    let auditor = auditor(&config).await?;
    let server = Server::start(&config, auditor)?;
    announce(&server, &config).map_err(RunError::System)?;
    serve(path, config, server, loaded_at, hang_up).await
}

/// Opens the sinks a configuration asks for.
///
/// # Errors
/// One cannot be opened.
pub async fn auditor(config: &Config) -> Result<Auditor, RunError> {
    let Some(audit) = config.audit.clone() else { return Ok(Auditor::disabled(clock::system)) };
    // A database server, or a file on a network file system, may take its time; and PostgreSQL's client blocks.
    let opened = tokio::task::spawn_blocking(move || open_sinks(&audit));
    opened.await.map_err(|panicked| RunError::System(io::Error::other(panicked)))?
}

fn open_sinks(audit: &AuditConfig) -> Result<Auditor, RunError> {
    let open = |sink: &SinkConfig| {
        let opened = open_sink(sink, &audit.gateway)?;
        Ok(Sink { name: sink.name(), sink: opened, queue: sink.queue, when_full: sink.when_full })
    };
    let sinks = audit.sinks.iter().map(open).collect::<Result<_, RunError>>()?;
    Auditor::start(sinks, clock::system).map_err(RunError::System)
}

fn open_sink(sink: &SinkConfig, gateway: &str) -> Result<Box<dyn AuditSink>, RunError> {
    Ok(match &sink.kind {
        SinkKind::Database { url, retention } => {
            let opened = DatabaseSink::open(url.clone(), gateway.to_owned(), *retention, clock::system);
            let database = url.to_string();
            Box::new(opened.map_err(|source| RunError::AuditDatabase { database, source })?)
        }
        SinkKind::File { path, rotation } => {
            let opened = match rotation {
                Some(rotation) => FileSink::rotating(path, *rotation, clock::system),
                None => FileSink::open(path),
            };
            Box::new(opened.map_err(|source| RunError::Audit { path: path.clone(), source })?)
        }
        SinkKind::Stdout => Box::new(StdoutSink),
        SinkKind::Syslog(config) => Box::new(SyslogSink::new(config.clone())),
    })
}

/// Tells whoever started us where we listen: service managers and tests wait for it. It stands on standard output, or on standard
/// error where standard output is kept for records.
fn announce(server: &Server, config: &Config) -> io::Result<()> {
    let for_records = config.audit.as_ref().is_some_and(AuditConfig::writes_to_stdout);
    let mut out: Box<dyn io::Write> = match for_records {
        true => Box::new(io::stderr().lock()),
        false => Box::new(io::stdout().lock()),
    };
    let mut addresses: Vec<_> = server.addresses().collect();
    addresses.sort();
    for address in addresses {
        writeln!(out, "listening on {address}")?;
    }
    if let Some(address) = server.admin_address() {
        writeln!(out, "admin on {address}")?;
    }
    if let Some(address) = server.phone_syslog_address() {
        writeln!(out, "phones' syslog on {address}")?;
    }
    writeln!(out, "ready")?;
    out.flush()
}

async fn serve(
    path: &Path,
    config: Config,
    server: Server,
    loaded_at: SystemTime,
    mut hang_up: Signal,
) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::System)?;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = Watch::new(&config.watched, loaded_at);
    let (path, changes_at) = (path.to_path_buf(), config.changes_at);
    let mut running = Running { path, config, server, watch: Some(watch), changes_at, retry_at: None };
    let mut cause = None;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                running.server.gateway().auditor().reopen();
                cause = Some("SIGHUP");
            }
            _ = look.tick() => running.server.gateway().record_repetition(Windows::Ended),
        }
        // Told to stop, nobody waits for a file on a network file system that is gone.
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = running.look(cause.take()) => {}
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

/// How long after a failed attempt it is made again, in seconds: the cause may have gone by itself, and a deny
/// list that was not read must not stay unread.
const TRY_AGAIN_AFTER: i64 = 60;

/// The gateway and the configuration in force.
struct Running {
    path: PathBuf,
    config: Config,
    server: Server,
    /// Away while its files are looked at.
    watch: Option<Watch>,
    /// When the configuration comes to mean something else by itself.
    changes_at: Option<Timestamp>,
    /// When to make a failed attempt again.
    retry_at: Option<Timestamp>,
}

impl Running {
    /// Looks whether there is a cause to read the configuration again, and does.
    async fn look(&mut self, told: Option<&'static str>) {
        if let Some(cause) = told {
            return self.reload(cause).await;
        }
        let watch = self.watch.take();
        // Off the runtime: a file on a network file system may take its time.
        let looked = tokio::task::spawn_blocking(move || {
            let mut watch = watch;
            let settled = watch.as_mut().is_some_and(|watch| watch.settled_change(Instant::now()));
            (watch, settled)
        });
        let settled = match looked.await {
            Ok((watch, settled)) => {
                self.watch = watch;
                settled
            }
            Err(_) => false,
        };
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= clock::now());
        if settled {
            self.reload("a file changed").await;
        } else if due(self.changes_at) {
            self.reload("an exception came to its end").await;
        } else if due(self.retry_at) {
            self.reload("the last attempt failed").await;
        }
    }

    /// Puts the configuration file's present content in force, or keeps the old one and says why.
    async fn reload(&mut self, cause: &'static str) {
        let loaded_at = clock::system();
        match self.try_reload(cause).await {
            Ok(()) => {
                self.changes_at = self.config.changes_at;
                self.retry_at = None;
                if self.watch.as_ref().is_none_or(|watch| watch.is_of_others(&self.config.watched)) {
                    self.watch = Some(Watch::new(&self.config.watched, loaded_at));
                }
                info!(cause, hosts = self.config.hosts.len(), "configuration reloaded");
            }
            Err(why) => {
                let later = clock::now().plus_seconds(TRY_AGAIN_AFTER);
                self.changes_at = self.changes_at.map(|at| at.max(later));
                self.retry_at = Some(later);
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
            false => Some(auditor(&new).await.map_err(|error| with_cause(&error))?),
        };
        self.server.reload(&new).map_err(|error| with_cause(&error))?;
        if let Some(auditor) = auditor {
            let gateway = Arc::clone(self.server.gateway());
            let old = gateway.replace_auditor(auditor);
            tokio::spawn(async move {
                let deadline = Instant::now() + Duration::from_secs(1);
                // Whoever took hold of it before the swap is still writing a record.
                while Arc::strong_count(&old) > 1 && Instant::now() < deadline {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                close(Auditor::clone(&old)).await;
                gateway.auditor().take_over(&old);
            });
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
    Causes(error).to_string()
}
