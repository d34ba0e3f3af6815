//! What came of a phone's calls: the record of a run, from which all figures are taken.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Why a call did not bring the phone its files.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Failure {
    /// The gateway ended the connection with this TLS alert.
    Alert(String),
    /// The connection ended before the answer did.
    Closed,
    /// Nobody listens.
    ConnectionRefused,
    /// Any other failure of the network.
    Network(String),
    /// An answer that is not HTTP, or a redirection that leads nowhere.
    NotHttp(&'static str),
    /// The connection was reset.
    Reset,
    /// The run ended first.
    RunEnded,
    /// An HTTP status.
    Status(u16),
    /// No answer within the phone's patience.
    TimedOut,
    /// TLS failed on the phone's side.
    Tls(String),
    /// What came is another phone's profile.
    WrongProfile,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(name) => write!(formatter, "TLS alert {name}"),
            Self::Closed => formatter.write_str("connection closed early"),
            Self::ConnectionRefused => formatter.write_str("connection refused"),
            Self::Network(what) => write!(formatter, "network: {what}"),
            Self::NotHttp(what) => write!(formatter, "not HTTP: {what}"),
            Self::Reset => formatter.write_str("connection reset"),
            Self::RunEnded => formatter.write_str("still waiting at the end"),
            Self::Status(status) => write!(formatter, "status {status}"),
            Self::TimedOut => formatter.write_str("no answer in time"),
            Self::Tls(what) => write!(formatter, "TLS: {what}"),
            Self::WrongProfile => formatter.write_str("another phone's profile"),
        }
    }
}

/// Who called.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Caller {
    /// A phone of the fleet, by its number.
    Phone(usize),
    /// A certificate of an authority that only has the right name.
    Forger,
    /// A real certificate, asking for other phones' profiles.
    Scanner,
    /// One that sends next to nothing and stays.
    Slowloris,
    /// No certificate at all.
    Stranger,
}

/// One call: a connection, or as many as the phone needed for all its files.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    /// Since the beginning of the run.
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    /// For each connection, from wanting it until the handshake was done.
    pub(crate) waits: Vec<Duration>,
    /// For each file, from the request to the answer's last byte.
    pub(crate) services: Vec<Duration>,
    /// Every status that was answered.
    pub(crate) statuses: Vec<u16>,
    /// `None` when every file came.
    pub(crate) failure: Option<Failure>,
}

impl Call {
    pub(crate) fn is_served(&self) -> bool {
        self.failure.is_none()
    }

    pub(crate) fn phone(&self) -> Option<usize> {
        match self.caller {
            Caller::Phone(number) => Some(number),
            Caller::Forger | Caller::Scanner | Caller::Slowloris | Caller::Stranger => None,
        }
    }
}

/// All calls of a run.
#[derive(Debug)]
pub(crate) struct Log {
    began: Instant,
    calls: Mutex<Vec<Call>>,
}

impl Log {
    /// The run begins now.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), calls: Mutex::default() }
    }

    /// Since the beginning of the run.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn add(&self, call: Call) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// Every call that has ended so far, and those after the first `seen` alone if the caller has seen those.
    pub(crate) fn since(&self, seen: usize) -> Vec<Call> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(seen..).unwrap_or_default().to_vec()
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        self.since(0)
    }
}
