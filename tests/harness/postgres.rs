//! A PostgreSQL server of its own for a test, reached over a socket in its folder, or over TLS.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{expect::Peer, pki::Credentials, port, process::run};

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    port: u16,
    /// Further settings of the server.
    settings: String,
}

/// Where a server without TLS says that its socket is.
const PORT: u16 = 5432;
/// Whom the server runs as where the test is root: nobody.
const NOBODY: u32 = 65534;

impl Postgres {
    /// Starts one.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start() -> Self {
        // The socket's path must be short.
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        // The server refuses to run as root, so its user must reach the folder.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let server = Self { folder, port: PORT, settings: "-c listen_addresses=".to_owned() };
        server.run("initdb", &["-U", "audit", "--auth=trust", "--no-sync", "-E", "UTF8"]);
        server.start_again();
        server
    }

    /// Starts one that is also reached at a port of 127.0.0.1, over TLS only, with this certificate.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start_tls(credentials: &Credentials) -> Self {
        let mut server = Self::start();
        server.stop();
        server.port = port::free().unwrap().port();
        let data = server.folder.path().join("data");
        let rules =
            "local all all trust\nhostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n";
        for (name, text) in [
            ("server.crt", credentials.chain_pem()),
            ("server.key", credentials.key_pem()),
            ("pg_hba.conf", rules.to_owned()),
        ] {
            let path = data.join(name);
            #[expect(clippy::disallowed_methods, reason = "a test's own file, before the server reads it")]
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            if rustix::process::geteuid().is_root() {
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        server.settings = "-c listen_addresses=localhost -c ssl=on".to_owned();
        server.start_again();
        server
    }

    /// Its address over TLS, for a server whose certificate the authorities in this file vouch for.
    pub fn tls_url(&self, ca: &str) -> String {
        format!("postgres://audit@localhost:{}/postgres?sslmode=verify-full&sslrootcert={ca}", self.port)
    }

    /// Its address for a configuration.
    pub fn url(&self) -> String {
        format!("postgres://audit@{}/postgres", self.folder.path().display().to_string().replace('/', "%2F"))
    }

    /// Stops it, as a crash would.
    ///
    /// # Panics
    /// It does not stop.
    pub fn stop(&self) {
        self.run("pg_ctl", &["stop", "-s", "-m", "immediate"]);
    }

    /// Starts it after [`Self::stop`].
    ///
    /// # Panics
    /// It does not come up.
    pub fn start_again(&self) {
        let Self { folder, port, settings } = self;
        let options = format!("{settings} -c port={port} -c fsync=off -k {}", folder.path().display());
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["start", "-w", "-s", "-o", &options, "-l", &log]);
    }

    /// The answer of its own client, `psql`, to a query: a line for each row.
    ///
    /// # Panics
    /// The query fails.
    pub fn ask(&self, query: &str) -> Vec<String> {
        let mut psql = Command::new(program("psql"));
        psql.arg("-h").arg(self.folder.path()).args([
            "-p",
            &self.port.to_string(),
            "-U",
            "audit",
            "-d",
            "postgres",
            "-A",
            "-t",
            "-q",
            "-c",
            query,
        ]);
        run(&mut psql, b"").success().lines().map(str::to_owned).collect()
    }

    fn run(&self, name: &str, arguments: &[&str]) {
        assert!(self.command(name, arguments).status().unwrap().success(), "{name}");
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let name = program(name);
        let mut command = match rustix::process::geteuid().is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command
                    .args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")])
                    .arg("--clear-groups")
                    .arg(name);
                command
            }
            false => Command::new(name),
        };
        command.args(arguments).arg("-D").arg(self.folder.path().join("data"));
        command.env("LC_ALL", "C").current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.command("pg_ctl", &["stop", "-s", "-m", "immediate"]).status();
    }
}

/// A program beside the server, wherever the link to it lies.
fn program(name: &str) -> PathBuf {
    let server = Peer::Postgres.path().and_then(|server| server.canonicalize().ok());
    server.and_then(|server| Some(server.parent()?.join(name))).unwrap_or_else(|| name.into())
}
