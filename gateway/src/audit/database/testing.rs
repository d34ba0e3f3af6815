//! Databases for tests: a file in a folder of its own, and a PostgreSQL server of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

use super::{AuditDatabase, DatabaseUrl};

/// A running PostgreSQL server, ended when this is dropped. It listens on a socket in its own folder only.
#[derive(Debug)]
pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
}

impl Server {
    /// Starts one; `None`, and a word on it, where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "PostgreSQL is missing; install postgresql");
            eprintln!("skipped: PostgreSQL is not installed");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        // The server refuses to run as root, so its user must reach the folder.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let server = Self { folder, programs };
        server.run("initdb", &["-U", "audit", "--auth=trust", "--no-sync", "-E", "UTF8", "-D"]);
        let options = format!("-c listen_addresses= -c fsync=off -k {}", server.folder.path().display());
        let log = server.folder.path().join("log");
        server.run("pg_ctl", &["start", "-w", "-s", "-o", &options, "-l", log.to_str().unwrap(), "-D"]);
        Some(server)
    }

    /// The one that other tests are using at the moment, or a fresh one: starting one takes a second.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    pub(crate) fn url(&self) -> DatabaseUrl {
        self.url_of("postgres")
    }

    /// The address of a new, empty database.
    pub(crate) fn fresh_url(&self) -> DatabaseUrl {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fresh{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut config = postgres::Config::new();
        config.host_path(self.folder.path()).user("audit").dbname("postgres");
        config.connect(postgres::NoTls).unwrap().batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        self.url_of(&name)
    }

    fn url_of(&self, name: &str) -> DatabaseUrl {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        DatabaseUrl::parse(&format!("postgres://audit@{folder}/{name}"), Path::new("/")).unwrap()
    }

    /// Stops the server, as a crash would; [`Self::again`] starts it.
    pub(crate) fn stop(&self) {
        self.run("pg_ctl", &["stop", "-s", "-m", "immediate", "-D"]);
    }

    pub(crate) fn again(&self) {
        let options = format!("-c listen_addresses= -c fsync=off -k {}", self.folder.path().display());
        let log = self.folder.path().join("log");
        self.run("pg_ctl", &["start", "-w", "-s", "-o", &options, "-l", log.to_str().unwrap(), "-D"]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        assert!(self.command(program, arguments).status().unwrap().success(), "{program}");
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let root = rustix::process::geteuid().is_root();
        let program = self.programs.join(program);
        let mut command = if root { Command::new("setpriv") } else { Command::new(&program) };
        if root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        }
        command.args(arguments).arg(self.folder.path().join("data"));
        command.env("LC_ALL", "C").current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.command("pg_ctl", &["stop", "-s", "-m", "immediate", "-D"]).status();
        // What the server's user made, only it or root may delete.
        let _ = self.command("rm", &["-rf"]).status();
    }
}

fn programs() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let folders = debian.map(|entry| entry.path().join("bin")).chain(std::env::split_paths(&paths));
    let found: Vec<_> = folders.filter(|folder| folder.join("initdb").exists()).collect();
    found.into_iter().next()
}

/// Runs a test against SQLite and, where it is installed, PostgreSQL.
pub(crate) fn on_both(test: impl Fn(&mut AuditDatabase)) {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::parse("sqlite:audit.db", folder.path()).unwrap();
    test(&mut AuditDatabase::open(&url).unwrap());
    if let Some(server) = Server::shared() {
        test(&mut AuditDatabase::open(&server.fresh_url()).unwrap());
    }
}
