//! The server's log, on standard error. What was issued, revoked and published is in the store's audit log.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// The environment variable that says what is logged, in the words of `tracing`: `warn`, `debug`.
pub(crate) const FILTER: &str = "PROVISION_CA_LOG";

/// Starts the log. `info` and above unless [`FILTER`] says otherwise; colours only for a terminal, and never where
/// `NO_COLOR` is set.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("info"));
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    // A log that was started before, as in tests, stays as it is.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && !no_color)
        .try_init();
}
