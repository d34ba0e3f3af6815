//! `trace`: the next connection, message by message, served for real on an address of its own.
//!
//! What is shown is what the wire carried: a relay stands between phone and gateway and copies each byte
//! (`relay`). Behind it the connection is served by the same code and configuration as ever, so the verdict is the real
//! one. The modern engine tells the secrets of this one connection, which stay in memory and open what is encrypted
//! (SEC-65); nothing is written to a file, the audit file neither.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::KeyLog;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use self::outcome::Outcome as Verdict;
use self::present::Presenter;
use self::relay::Chunk;
use super::{Outcome, Streams};
use crate::audit::Auditor;
use crate::config::Config;
use crate::server::{self, Gateway, ServerError};
use crate::site::{ListenerKey, Site};
use crate::wire::{Decoder, Secrets, Side};
use crate::{accept, cli, clock, printer};

mod outcome;
mod present;
mod relay;

/// Why nothing can be traced.
#[derive(Debug, thiserror::Error)]
enum TraceError {
    #[error("the configuration has no listener at {0}")]
    NoSuchListener(SocketAddr),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("the system refused what the trace needs")]
    System(#[from] io::Error),
}

impl TraceError {
    const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoSuchListener(_) => Some("--as takes the address of a listener as it is configured"),
            Self::Server(ServerError::Listen { .. }) => {
                Some("give another port than the gateway that runs; ports below 1024 need root")
            }
            Self::Server(
                ServerError::AdminTls(_)
                | ServerError::PhoneSyslog { .. }
                | ServerError::Random
                | ServerError::Site(_),
            )
            | Self::System(_) => None,
        }
    }
}

/// Serves and shows as many connections as were asked for. Done when each was let in.
///
/// # Errors
/// When a stream is closed.
pub fn trace(arguments: &cli::Trace, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let config = match Config::load(&arguments.config, clock::now()) {
        Ok(config) => config,
        Err(found) => {
            printer::diagnostics(streams.err, &found)?;
            return Ok(Outcome::Refused);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into(), streams),
    };
    let ended = runtime.block_on(async {
        let mut trace = match Trace::start(arguments, &config) {
            Ok(trace) => trace,
            Err(error) => return failed(&error, streams),
        };
        writeln!(
            streams.err,
            "listening on {}; each connection is served as on {}",
            trace.bound, trace.key.address
        )?;
        streams.err.flush()?;
        let mut all_let_in = true;
        for number in 1..=arguments.count.get() {
            match trace.one(number, arguments.json, streams).await? {
                Ok(let_in) => all_let_in &= let_in,
                Err(error) => return failed(&error, streams),
            }
        }
        Ok(if all_let_in { Outcome::Done } else { Outcome::Refused })
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

fn failed(error: &TraceError, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    printer::error(streams.err, error, error.hint())?;
    Ok(Outcome::Refused)
}

/// What is ready to be traced.
struct Trace {
    listener: TcpListener,
    bound: SocketAddr,
    gateway: Arc<Gateway>,
    key: ListenerKey,
    secrets: Arc<Secrets>,
}

/// How long what a phone sent waits for the gateway's answer before it is shown: by then the engine has the keys that open it.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);

/// How much of it waits at the most, in reads of 16 KiB: the flight that a gateway answers is far smaller, and an upload does
/// not fill the memory.
const MOST_WAITING: usize = 64;

/// How long a phone has to close its end after the gateway closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

impl Trace {
    fn start(arguments: &cli::Trace, config: &Config) -> Result<Self, TraceError> {
        let mut keys = ListenerKey::all(&config.listeners);
        let key = match arguments.stands_in_for {
            // A sound configuration has a listener.
            None => keys.next().ok_or(TraceError::NoSuchListener(arguments.listen))?,
            Some(address) => {
                keys.find(|key| key.address == address).ok_or(TraceError::NoSuchListener(address))?
            }
        };
        let secrets = Arc::<Secrets>::default();
        let key_log: Arc<dyn KeyLog> = Arc::<Secrets>::clone(&secrets);
        let site = Site::new(config, None).map_err(ServerError::from)?.with_key_log(&key_log);
        let listener = server::bind(arguments.listen)?;
        Ok(Self {
            bound: listener.local_addr()?,
            listener,
            gateway: Gateway::new(site, Auditor::disabled(clock::system)),
            key,
            secrets,
        })
    }

    /// Serves and shows the next connection; whether it was let in.
    async fn one(
        &mut self,
        number: u32,
        json: bool,
        streams: &mut Streams<'_>,
    ) -> io::Result<Result<bool, TraceError>> {
        let (phone, peer) = accept::next(&self.listener).await;
        let begun = Instant::now();
        self.secrets.clear();
        let mut presenter = Presenter::new(streams.out, json, clock::now());
        presenter.begin(number, peer)?;
        let (sink, records) = outcome::memory();
        let prepared = async {
            let auditor = Auditor::to_sink(sink, outcome::MOST_BYTES, clock::system)?;
            let (ours, theirs) = relay::pair().await?;
            Ok::<_, io::Error>((auditor, ours, theirs))
        };
        let (auditor, ours, theirs) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error.into())),
        };
        drop(self.gateway.replace_auditor(auditor.clone()));
        self.serve(theirs, peer);
        self.show(phone, ours, begun, &mut presenter).await?;
        // Waits for the last record; the writer is a thread.
        let closed = tokio::task::spawn_blocking(move || auditor.close(Duration::from_secs(5)));
        let _ = closed.await;
        let verdict = Verdict::of(&records.lines());
        presenter.end(&verdict)?;
        self.secrets.clear();
        Ok(Ok(verdict.let_in))
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        // Without a place it is refused on record, and its end is seen in the relay.
        if let Ok(serving) = self.gateway.take(stream, peer, self.bound, self.key) {
            tokio::spawn(serving);
        }
    }

    /// Copies both directions to their ends, and shows what they carry.
    async fn show(
        &self,
        phone: TcpStream,
        gateway: TcpStream,
        begun: Instant,
        presenter: &mut Presenter<'_>,
    ) -> io::Result<()> {
        let (chunks, mut arriving) = mpsc::channel(64);
        let relayed = tokio::spawn(relay::both(phone, gateway, chunks, CLOSE_WITHIN));
        let mut decoder = Decoder::new(Arc::clone(&self.secrets));
        let mut waiting: Vec<Chunk> = Vec::new();
        let mut show_at = begun;
        loop {
            let next = match waiting.is_empty() {
                true => Ok(arriving.recv().await),
                false => timeout_at(show_at, arriving.recv()).await,
            };
            let from = next.as_ref().ok().and_then(Option::as_ref).map(|chunk| chunk.from);
            if from != Some(Side::Client) || waiting.len() >= MOST_WAITING {
                for chunk in waiting.drain(..) {
                    presenter.chunk(&mut decoder, &chunk, begun)?;
                }
            }
            match next {
                Ok(Some(chunk)) if chunk.from == Side::Client => {
                    if waiting.is_empty() {
                        show_at = Instant::now() + ANSWER_WITHIN;
                    }
                    waiting.push(chunk);
                }
                Ok(Some(chunk)) => presenter.chunk(&mut decoder, &chunk, begun)?,
                Ok(None) => break,
                Err(_) => presenter.flush()?,
            }
        }
        // Both directions are at their end.
        let _ = relayed.await;
        Ok(())
    }
}
