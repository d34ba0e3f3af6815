//! Waiting for a condition under a deadline, and saying what is missing.

use std::{
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How long anything may take that is expected to happen. A loaded machine may need seconds; a test that fails waits
/// this long once.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks `probe` until it answers, or until [`DEADLINE`].
///
/// # Panics
/// It never answered; the message says what was waited for.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "waited {DEADLINE:?} in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The time, in seconds since 1970.
pub fn now() -> i64 {
    i64::try_from(system_time().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the tests' one clock")]
fn system_time() -> SystemTime {
    SystemTime::now()
}

/// Another program that judges ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    /// Apache 2.4, Debian's `apache2`.
    Apache,
    /// `chromedriver`, of Debian's `chromium-driver`, which drives the browser.
    Chromedriver,
    /// Chromium, the browser.
    Chromium,
    /// `curl`.
    Curl,
    /// `openssl`, 3.0 or later.
    Openssl,
    /// PostgreSQL 13 or later; its programs are not on the path, [`crate::postgres`] finds them.
    Postgres,
    /// `promtool`, of Debian's `prometheus`, which judges metrics.
    Promtool,
    /// `perl`, which runs the guide's CGI script.
    Perl,
    /// rsyslog, Debian's `rsyslog` with `rsyslog-gnutls`.
    Rsyslog,
    /// `sslscan`, which lists what a server speaks.
    Sslscan,
}

impl Peer {
    /// Its name in messages and packages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apache => "apache2",
            Self::Chromedriver => "chromedriver",
            Self::Chromium => "chromium",
            Self::Curl => "curl",
            Self::Openssl => "openssl",
            Self::Perl => "perl",
            Self::Postgres => "postgres",
            Self::Rsyslog => "rsyslogd",
            Self::Promtool => "promtool",
            Self::Sslscan => "sslscan",
        }
    }

    /// Where it is, if it is there.
    pub fn path(self) -> Option<PathBuf> {
        // Some are not installed but unpacked, as tests/run does it.
        let unpacked = std::env::var_os("PROVISION_PEERS").unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(std::env::split_paths(&unpacked))
            .chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from))
            .chain(postgresql_folders())
            .map(|folder| folder.join(self.name()))
            .find(|file| file.is_file())
    }

    /// A command of it.
    ///
    /// # Panics
    /// It is not there: ask [`all_present`] first.
    pub fn command(self) -> Command {
        Command::new(self.path().unwrap_or_else(|| panic!("{} is not installed", self.name())))
    }
}

/// Debian keeps the server's programs of each version in a folder of its own.
fn postgresql_folders() -> impl Iterator<Item = PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin"))
}

/// Whether all these peers are there. If not, says that `test` was skipped; the test returns and passes.
///
/// # Panics
/// One is missing and `REQUIRE_PEERS=1` is set.
pub fn all_present(test: &str, peers: &[Peer]) -> bool {
    let missing: Vec<_> = peers.iter().filter(|peer| peer.path().is_none()).map(|peer| peer.name()).collect();
    present(test, &missing)
}

/// The same for anything else that may be missing.
///
/// # Panics
/// Something is missing and `REQUIRE_PEERS=1` is set.
#[expect(clippy::print_stderr, reason = "the note of a skipped test is for the person who runs the tests")]
pub fn present(test: &str, missing: &[&str]) -> bool {
    if missing.is_empty() {
        return true;
    }
    let required = std::env::var_os("REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "{test} needs {}, and REQUIRE_PEERS=1 is set", missing.join(", "));
    eprintln!("SKIPPED {test}: needs {}", missing.join(", "));
    false
}
