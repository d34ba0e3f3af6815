//! One authority on two hosts: the inventory on a PostgreSQL server, a folder on each (CA A2, I7).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::Workplace;

/// A server of its own, reached over a socket in its folder; it ends when this is dropped.
struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl Server {
    /// `None` where there is no PostgreSQL; with `REQUIRE_PEERS=1` there must be.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn start(test: &str) -> Option<Self> {
        let Some(programs) = programs() else {
            let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
            assert!(!required, "{test} needs postgres, and REQUIRE_PEERS=1 is set");
            eprintln!("skipped: {test} needs postgres");
            return None;
        };
        // The socket's path must be short; the server refuses to run as root, so its user must reach the folder.
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let server = Self { folder, programs };
        server.run("initdb", &["-U", "ca", "--auth=trust", "--no-sync", "-E", "UTF8"]);
        let options = format!("-c listen_addresses= -c fsync=off -k {}", server.folder.path().display());
        let log = server.folder.path().join("log").display().to_string();
        server.run("pg_ctl", &["start", "-w", "-s", "-o", &options, "-l", &log]);
        Some(server)
    }

    fn url(&self) -> String {
        format!("postgres://ca@{}/postgres", self.folder.path().display().to_string().replace('/', "%2F"))
    }

    fn run(&self, name: &str, arguments: &[&str]) {
        assert!(self.command(name, arguments).status().unwrap().success(), "{name}");
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let name = self.programs.join(name);
        let owner = std::fs::metadata("/proc/self").map(|found| std::os::unix::fs::MetadataExt::uid(&found));
        let mut command = if owner.is_ok_and(|owner| owner == 0) {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(name);
            command
        } else {
            Command::new(name)
        };
        command.args(arguments).arg("-D").arg(self.folder.path().join("data"));
        command.env("LC_ALL", "C").current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.command("pg_ctl", &["stop", "-s", "-m", "immediate"]).status();
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

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        std::fs::copy(from, to).unwrap();
    }
}

/// Two hosts: `provision-ca` and `other`.
fn hosts(server: &Server) -> Workplace {
    let here = Workplace::with_authorities(&["--database", &server.url()]);
    std::fs::create_dir(here.path("other")).unwrap();
    for part in ["authorities", "trust", "database.url"] {
        copy(&here.path(&format!("provision-ca/{part}")), &here.path(&format!("other/{part}")));
    }
    here
}

fn list(prefix: u8, count: usize) -> String {
    let mut text = "model,serial,mac\n".to_owned();
    for number in 0..count {
        text.push_str(&format!("CP-8841-3PCC,FCH{prefix}{number:04},000e{prefix:02x}{number:06x}\n"));
    }
    text
}

#[test]
fn every_verb_does_the_same_on_postgresql() {
    let Some(server) = Server::start("every_verb_does_the_same_on_postgresql") else { return };
    let here = hosts(&server);
    assert!(!here.path("provision-ca/ca.sqlite").exists());
    let mode = here.path("provision-ca/database.url").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    here.write("devices.csv", list(8, 6));
    here.run(&["device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    let again =
        here.run(&["--store", "other", "device", "issue", "--csv", "devices.csv", "--key", "p256"]).done();
    assert!(again.contains("issued  0\nalready 6"), "the other host knows of it: {again}");
    for (selector, count) in [
        ("model=cp-88*", 6),
        ("mac=000e08*", 6),
        ("serial=FCH80003", 1),
        ("serial=fch8*", 6),
        ("expires>10y", 8),
        ("issuer=client-root", 7),
        ("name!=000e08000001", 7),
        ("latest=yes kind=device status=valid", 6),
        ("reason!=superseded", 8),
        ("FCH80002", 1),
    ] {
        let found = here.run(&["list", selector]).done().lines().count() - 1;
        assert_eq!(found, count, "{selector}");
    }
    here.run(&["renew", "000e08000000"]).done();
    here.run(&["rekey", "000e08000001", "--key", "p256"]).done();
    here.run(&["--store", "other", "revoke", "000e08000002", "--reason", "certificateHold"]).done();
    here.run(&["revoke", "000e08000003", "--reason", "superseded"]).done();
    here.run(&["revoke", "000e08000003", "--reason", "keyCompromise"]).done();
    here.run(&["unhold", "000e08000002"]).done();
    here.run(&["crl", "publish"]).done();
    let first = here.read("provision-ca/trust/crls/client-root.crl");
    here.run(&["--store", "other", "crl", "publish"]).done();
    let number = |text: &str| {
        certs::RevocationList::parse(text.as_bytes()).unwrap().number().unwrap().as_bytes().to_vec()
    };
    let second = here.read("other/trust/crls/client-root.crl");
    assert!(number(&second) > number(&first), "numbers rise across hosts (G2)");
    assert_eq!(here.run(&["list", "status=revoked"]).done().lines().count() - 1, 3);
    here.run(&["audit", "verify"]).done();
    here.run(&["--store", "other", "audit", "verify"]).done();
    here.run(&["store", "check"]).done();
    // The copy is a store on its own, with everything in a file.
    here.run(&["backup", "copy"]).done();
    let everything = here.run(&["list", "--json"]).done();
    assert_eq!(here.run(&["--store", "copy", "list", "--json"]).done(), everything);
    here.run(&["--store", "copy", "audit", "verify"]).done();
    // Another authority does not move in.
    let taken = here
        .run(&["--store", "third", "init", "--no-passphrase", "--key", "p256", "--database", &server.url()])
        .refused();
    assert!(taken.contains("another certificate authority"), "{taken}");
}

#[test]
fn a2_i7_two_hosts_at_once_never_collide() {
    let Some(server) = Server::start("a2_i7_two_hosts_at_once_never_collide") else { return };
    let here = hosts(&server);
    here.write("one.csv", list(1, 120));
    here.write("two.csv", list(2, 120));
    // The same devices on both, too: one host issues each, the other says that it is there.
    here.write("both.csv", list(3, 80));
    let issue = |store: &str, csv: &str, report: &str| {
        let mut command = here.command(&[
            "--store", store, "device", "issue", "--csv", csv, "--key", "p256", "--report", report,
        ]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running = vec![
        issue("provision-ca", "one.csv", "1"),
        issue("other", "two.csv", "2"),
        issue("provision-ca", "both.csv", "3"),
        issue("other", "both.csv", "4"),
    ];
    for store in ["provision-ca", "other", "provision-ca"] {
        here.run(&["--store", store, "crl", "publish"]).done();
    }
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(here.run(&["list", "kind=device", "status=valid"]).done().lines().count() - 1, 320);
    let issued: usize = ["3", "4"].iter().map(|report| here.read(report).matches(",issued,").count()).sum();
    assert_eq!(issued, 80, "each device once");
    let mut revoking = Vec::new();
    for (store, selector) in
        [("provision-ca", "mac=000e01*"), ("other", "mac=000e02*"), ("provision-ca", "mac=000e02*")]
    {
        let mut command = here.command(&["--store", store, "revoke", selector]);
        revoking.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }
    for mut child in revoking {
        child.wait().unwrap();
    }
    assert_eq!(here.run(&["list", "status=revoked"]).done().lines().count() - 1, 240);
    here.run(&["audit", "verify"]).done();
}
