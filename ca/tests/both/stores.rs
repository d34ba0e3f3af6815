//! The two kinds of store that every test of the inventory runs on: a file, and a database on a PostgreSQL server.

#![allow(dead_code, reason = "each of the test programs uses a part of it")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use postgres::{Client, NoTls};

/// Makes of each function `fn name(on: On)` a test on either kind of store: `sqlite::name` and `postgresql::name`.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[test]
                fn $name() {
                    super::$name($crate::stores::On::Sqlite);
                }
            )*
        }
        mod postgresql {
            $(
                #[test]
                fn $name() {
                    if $crate::stores::postgresql_is_here(stringify!($name)) {
                        super::$name($crate::stores::On::Postgresql);
                    }
                }
            )*
        }
    };
}
pub(crate) use on_both_stores;

/// Where a test keeps its inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Sqlite,
    Postgresql,
}

/// The inventory of one store, past the program.
#[derive(Debug)]
pub(crate) struct Inventory {
    database: Option<Database>,
}

impl Inventory {
    pub(crate) fn new(on: On) -> Self {
        Self { database: (on == On::Postgresql).then(Database::new) }
    }

    /// The address for `--database`, where it is not a file.
    pub(crate) fn url(&self) -> Option<String> {
        self.database.as_ref().map(Database::url)
    }

    /// Runs statements in it; its store has this folder.
    pub(crate) fn change(&self, store: &Path, statements: &str) {
        match &self.database {
            Some(database) => database.client().batch_execute(statements).unwrap(),
            None => file(store).execute_batch(statements).unwrap(),
        }
    }

    /// The number a query answers with.
    pub(crate) fn number(&self, store: &Path, query: &str) -> i64 {
        match &self.database {
            Some(database) => database.client().query_one(query, &[]).unwrap().get(0),
            None => file(store).query_row(query, [], |row| row.get(0)).unwrap(),
        }
    }

    /// Keeps it as it is now.
    pub(crate) fn save(&self, store: &Path) {
        match &self.database {
            Some(database) => database.save(),
            None => {
                std::fs::copy(store.join("ca.sqlite"), store.with_extension("saved")).unwrap();
            }
        }
    }

    /// Lets it be again what was kept.
    pub(crate) fn restore(&self, store: &Path) {
        match &self.database {
            Some(database) => database.restore(),
            None => {
                for end in ["", "-wal", "-shm"] {
                    std::fs::remove_file(store.join(format!("ca.sqlite{end}"))).ok();
                }
                std::fs::copy(store.with_extension("saved"), store.join("ca.sqlite")).unwrap();
            }
        }
    }

    /// Loses it.
    pub(crate) fn lose(&self, store: &Path) {
        match &self.database {
            Some(database) => database.empty(),
            None => std::fs::remove_file(store.join("ca.sqlite")).unwrap(),
        }
    }
}

fn file(store: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(store.join("ca.sqlite")).unwrap()
}

/// An empty database of its own on the server that all tests of this program share; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        static NEXT: Mutex<u32> = Mutex::new(0);
        let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        let name = format!("test_{next}");
        drop(next);
        shared().unwrap().ask(&format!("CREATE DATABASE {name}"));
        Self { name }
    }

    /// Its address for `--database`.
    pub(crate) fn url(&self) -> String {
        shared().unwrap().url(&self.name)
    }

    /// A connection past the program.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap()
    }

    fn save(&self) {
        let name = &self.name;
        shared().unwrap().ask(&format!("CREATE DATABASE {name}_saved TEMPLATE {name}"));
    }

    fn restore(&self) {
        let name = &self.name;
        shared().unwrap().ask(&format!("DROP DATABASE {name} WITH (FORCE)"));
        shared().unwrap().ask(&format!("CREATE DATABASE {name} TEMPLATE {name}_saved"));
    }

    fn empty(&self) {
        let name = &self.name;
        shared().unwrap().ask(&format!("DROP DATABASE {name} WITH (FORCE)"));
        shared().unwrap().ask(&format!("CREATE DATABASE {name}"));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        for end in ["", "_saved"] {
            shared().unwrap().ask(&format!("DROP DATABASE IF EXISTS {}{end} WITH (FORCE)", self.name));
        }
    }
}

/// Whether PostgreSQL is here; with `REQUIRE_PEERS=1` it must be.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn postgresql_is_here(test: &str) -> bool {
    let here = programs().is_some();
    let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(here || !required, "{test} needs postgres, and REQUIRE_PEERS=1 is set");
    if !here {
        eprintln!("skipped: {test} needs postgres");
    }
    here
}

/// The server of this test program.
fn shared() -> Option<&'static Server> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    SHARED.get_or_init(|| programs().map(|programs| Server::start(&programs, None))).as_ref()
}

/// A server of its own, reached over a socket in its folder. It ends with this, or with the test program, however that ends.
#[derive(Debug)]
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    /// Its keeper stops the server and removes the folder when this pipe is closed.
    keeper: Child,
    hold: Option<ChildStdin>,
    admin: Mutex<Option<AdminClient>>,
}

/// Hides what has no `Debug`.
struct AdminClient(Client);

impl std::fmt::Debug for AdminClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AdminClient")
    }
}

/// A certificate and its key, PEM, for a server that is reached over TLS.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// What starts the server, waits for the test to end, and clears everything away.
const KEEPER: &str = r#"
set -e
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
export LC_ALL=C
cd /
trap 'as "$programs/pg_ctl" stop -s -m immediate -D "$folder/data" >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
as "$programs/initdb" -U ca --auth=trust --no-sync -E UTF8 -D "$folder/data" >"$folder/log" 2>&1
if [ -e "$folder/server.key" ]; then
  for file in server.crt server.key pg_hba.conf; do
    as sh -c "umask 077; cat >'$folder/data/$file'" <"$folder/$file"
  done
fi
as "$programs/pg_ctl" start -w -s -D "$folder/data" -o "$options" -l "$folder/server.log" >>"$folder/log" 2>&1
echo ready
while read -r word; do
  as "$programs/pg_ctl" restart -w -s -m fast -D "$folder/data" -o "$options $word" -l "$folder/server.log" >>"$folder/log" 2>&1
  echo ready
done
"#;

impl Server {
    /// Starts one; with credentials it is reached at a port of 127.0.0.1 too, over TLS.
    fn start(programs: &Path, credentials: Option<&Credentials>) -> Self {
        // The socket's path must be short; the server refuses to run as root, so its user must reach the folder.
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap().keep();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        let socket = folder.display();
        let mut options = format!(
            "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 \
             -c autovacuum=off -c max_connections=200 -c shared_buffers=32MB -k {socket}"
        );
        let mut port = 5432;
        if let Some(Credentials { chain, key }) = credentials {
            port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let rules = "local all all trust\nhost all all 127.0.0.1/32 trust\n";
            for (name, text) in
                [("server.crt", chain.as_str()), ("server.key", key.as_str()), ("pg_hba.conf", rules)]
            {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a test's own file, before the server reads it"
                )]
                std::fs::write(folder.join(name), text).unwrap();
            }
            options.push_str(&format!(" -c listen_addresses=127.0.0.1 -c port={port} -c ssl=on"));
        } else {
            options.push_str(" -c listen_addresses=");
        }
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER]).env("programs", programs).env("folder", &folder).env("options", options);
        // Of a process group of its own, so that what interrupts the test from the keyboard lets it clear up.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut keeper = command.spawn().unwrap();
        let hold = keeper.stdin.take();
        let mut server = Self { folder, port, keeper, hold, admin: Mutex::new(None) };
        server.wait_until_ready();
        server
    }

    /// Starts one that is reached over TLS; where there is no PostgreSQL, nothing.
    pub(crate) fn start_tls(credentials: &Credentials) -> Option<Self> {
        Some(Self::start(&programs()?, Some(credentials)))
    }

    /// Starts it again with one more setting.
    pub(crate) fn restart(&mut self, setting: &str) {
        writeln!(self.hold.as_mut().unwrap(), "-c {setting}").unwrap();
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let mut line = String::new();
        BufReader::new(self.keeper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the server did not start: see {}", self.folder.display());
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn url(&self, database: &str) -> String {
        let socket = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://ca@{socket}:{}/{database}", self.port)
    }

    /// Has a statement run by one who may make databases.
    fn ask(&self, statement: &str) {
        let mut admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let AdminClient(client) =
            admin.get_or_insert_with(|| AdminClient(Client::connect(&self.url("postgres"), NoTls).unwrap()));
        client.batch_execute(statement).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.hold.take());
        let _cleared = self.keeper.wait();
    }
}

/// Where Debian, or anybody, keeps the server's programs.
fn programs() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join("pg_ctl"))
        .find_map(|program| Some(program.canonicalize().ok()?.parent()?.to_owned()))
        .filter(|folder| folder.join("initdb").exists())
}
