//! An old phone's TLS stack: OpenSSL 1.0.2 as the Python package `nassl` carries it. `tests/run` installs it and names
//! its Python in `PROVISION_OLD_STACK`.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use serde::{Deserialize, Serialize};

use crate::{expect, gateway::PROFILE, pki::Credentials, workdir::WorkDir};

/// The suites of the phones' guide by OpenSSL's names, in its order: with number, and with what IANA calls them.
pub const TABLE: [(&str, u16, &str); 6] = [
    ("DHE-RSA-AES256-SHA", 0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
    ("AES256-SHA", 0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
    ("DHE-RSA-AES128-SHA", 0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
    ("AES128-SHA", 0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    ("RC4-SHA", 0x0005, "TLS_RSA_WITH_RC4_128_SHA"),
    ("RC4-MD5", 0x0004, "TLS_RSA_WITH_RC4_128_MD5"),
];

/// The guide's three EXPORT suites, as OpenSSL 1.0.2 has them: it knows 0x0060 and 0x0064 by number only.
pub const EXPORT: &str = "EXP-RC4-MD5";

/// The TLS versions of old phones, as a job and as a record name them.
pub const VERSIONS: [(&str, &str); 3] = [("tls1", "TLSv1"), ("tls1.1", "TLSv1.1"), ("tls1.2", "TLSv1.2")];

/// One connection to be made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Job {
    port: u16,
    version: String,
    suites: String,
    request: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resume: Option<usize>,
    fallback: bool,
    renegotiate: bool,
}

/// What a connection came to.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Outcome {
    /// Everything that was answered.
    pub answer: Option<String>,
    /// The suite, by OpenSSL's name.
    pub suite: Option<String>,
    /// The version, as `TLSv1`.
    pub version: Option<String>,
    /// The session's identifier.
    pub session: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// The alert that came in the clear.
    pub alert: Option<u8>,
    /// Whether the hello was framed as SSLv2 does.
    pub sslv2_hello: bool,
    /// Whether renegotiating succeeded.
    pub renegotiated: Option<bool>,
    #[serde(flatten)]
    _others: BTreeMap<String, serde_json::Value>,
}

impl Outcome {
    /// Whether the profile came.
    pub fn is_served(&self) -> bool {
        self.answer
            .as_ref()
            .is_some_and(|answer| answer.contains(" 200 OK") && answer.contains("flat-profile"))
    }
}

impl Job {
    /// Asks for the guide's phone's profile, with one of these suites, as a client without certificate and server name.
    pub fn new(address: SocketAddr, version: &str, suites: &str) -> Self {
        Self {
            port: address.port(),
            version: version.to_owned(),
            suites: suites.to_owned(),
            request: format!("GET {PROFILE} HTTP/1.0\r\n\r\n"),
            ..Self::default()
        }
    }

    /// With a client certificate.
    #[must_use]
    pub fn presenting(mut self, files: &(PathBuf, PathBuf)) -> Self {
        self.chain = Some(files.0.clone());
        self.key = Some(files.1.clone());
        self
    }

    /// With a server name.
    #[must_use]
    pub fn naming(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// Resuming the session of the job with this number in its list.
    #[must_use]
    pub fn resuming(mut self, number: usize) -> Self {
        self.resume = Some(number);
        self
    }

    /// Saying that it fell back to this version.
    #[must_use]
    pub fn fallen_back(mut self) -> Self {
        self.fallback = true;
        self
    }

    /// Trying to renegotiate after the answer, on a connection that is kept.
    #[must_use]
    pub fn renegotiating(mut self) -> Self {
        self.renegotiate = true;
        self
    }
}

/// Whether the old stack is there. If not, says that `test` was skipped.
///
/// # Panics
/// It is missing and `REQUIRE_PEERS=1` is set.
pub fn is_present(test: &str) -> bool {
    let missing: &[&str] =
        if python().is_some() { &[] } else { &["nassl, whose Python PROVISION_OLD_STACK names"] };
    expect::present(test, missing)
}

/// Makes the connections one after the other.
///
/// # Panics
/// The stack itself fails.
pub fn run(jobs: &[Job]) -> Vec<Outcome> {
    let mut session = Session::start();
    jobs.iter().map(|job| session.run(job)).collect()
}

/// The stack as a process, which remembers its TLS sessions.
#[derive(Debug)]
pub struct Session {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Session {
    /// Starts it.
    ///
    /// # Panics
    /// It does not start.
    pub fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/old_stack.py");
        let mut command = Command::new(python().unwrap());
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// Makes one connection.
    ///
    /// # Panics
    /// The stack itself fails.
    pub fn run(&mut self, job: &Job) -> Outcome {
        let mut line = serde_json::to_string(job).unwrap();
        line.push('\n');
        self.child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        self.out.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "the old stack ended; what it wrote stands above");
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without input it ends; killed, it surely does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the files that [`Job::presenting`] takes.
pub fn files(folder: &WorkDir, name: &str, credentials: &Credentials) -> (PathBuf, PathBuf) {
    credentials.write(folder, name)
}

fn python() -> Option<PathBuf> {
    std::env::var_os("PROVISION_OLD_STACK").map(PathBuf::from).filter(|python| python.is_file())
}
