//! A PostgreSQL server of its own for a test, reached over a socket in its folder.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{expect::Peer, process::run};

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
}

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
        let server = Self { folder };
        server.run("initdb", &["-U", "audit", "--auth=trust", "--no-sync", "-E", "UTF8"]);
        server.start_again();
        server
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
        let options = format!("-c listen_addresses= -c fsync=off -k {}", self.folder.path().display());
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["start", "-w", "-s", "-o", &options, "-l", &log]);
    }

    /// The answer of its own client, `psql`, to a query: a line for each row.
    ///
    /// # Panics
    /// The query fails.
    pub fn ask(&self, query: &str) -> Vec<String> {
        let mut psql = Command::new(program("psql"));
        psql.arg("-h")
            .arg(self.folder.path())
            .args(["-U", "audit", "-d", "postgres", "-A", "-t", "-q", "-c", query]);
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
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(name);
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
