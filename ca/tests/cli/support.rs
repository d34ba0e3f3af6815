//! A folder, the program run in it, and OpenSSL beside it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::stores::{Inventory, On};

/// A folder of its own for one test, and a database where the inventory is kept in one.
pub(crate) struct Workplace {
    folder: tempfile::TempDir,
    inventory: Inventory,
}

/// What a process said, and how it ended.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// The output of one that did what was asked.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The message of one that refused.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        self.stderr
    }

    /// Everything, for a snapshot, with what changes from run to run filtered out.
    pub(crate) fn snapshot(&self) -> String {
        let code = self.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let mut text = format!("exit {code}\n");
        for (name, content) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !content.is_empty() {
                text.push_str(&format!("--- {name}\n{}", filter(content)));
            }
        }
        text
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self::empty(On::Sqlite)
    }

    /// Where `init` will make its inventory.
    pub(crate) fn empty(on: On) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), inventory: Inventory::new(on) }
    }

    pub(crate) fn with_authorities(more: &[&str]) -> Self {
        Self::on(On::Sqlite, more)
    }

    /// With authorities in the clear; P-256 unless said otherwise, to be quick.
    pub(crate) fn on(on: On, more: &[&str]) -> Self {
        let workplace = Self::empty(on);
        let mut arguments = vec!["init", "--no-passphrase", "--name", "Example Telco"];
        if !more.contains(&"--key") {
            arguments.extend(["--key", "p256"]);
        }
        arguments.extend(more);
        workplace.run(&arguments).done();
        workplace
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        std::fs::read_to_string(self.path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    #[expect(clippy::disallowed_methods, reason = "an input of the test, written before anyone reads it")]
    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(relative), content).unwrap();
    }

    /// The program, ready to run here, with an environment that is the same everywhere.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provision-ca"));
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .env_remove("PROVISION_CA_LOG")
            .env("COLUMNS", "100");
        if arguments.first() == Some(&"init")
            && let Some(url) = self.inventory.url()
        {
            command.args(["--database", &url]);
        }
        command.stdin(std::process::Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().unwrap().into()
    }

    /// The address of the database that holds the inventory.
    pub(crate) fn database_url(&self) -> String {
        self.inventory.url().unwrap()
    }

    /// Changes the inventory past the program.
    pub(crate) fn change(&self, statements: &str) {
        self.inventory.change(&self.path("provision-ca"), statements);
    }

    /// The number a query of the inventory answers with.
    pub(crate) fn number(&self, query: &str) -> i64 {
        self.inventory.number(&self.path("provision-ca"), query)
    }

    /// Keeps the inventory as it is now, for [`Self::restore`].
    pub(crate) fn save(&self) {
        self.inventory.save(&self.path("provision-ca"));
    }

    /// Loses the inventory.
    pub(crate) fn lose(&self) {
        self.inventory.lose(&self.path("provision-ca"));
    }

    pub(crate) fn restore(&self) {
        self.inventory.restore(&self.path("provision-ca"));
    }

    /// OpenSSL, run here.
    pub(crate) fn openssl(&self, arguments: &[&str]) -> Said {
        Command::new("openssl").current_dir(self.folder.path()).args(arguments).output().unwrap().into()
    }

    /// All files below a folder, as paths from the workplace, sorted.
    pub(crate) fn files(&self, relative: &str) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.path(relative), self.folder.path(), &mut found);
        found.sort();
        found
    }
}

fn collect(folder: &Path, base: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, base, found);
        } else {
            found.push(path.strip_prefix(base).unwrap().display().to_string());
        }
    }
}

/// Whether OpenSSL is here; with `REQUIRE_PEERS=1` it must be.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn openssl_is_here(test: &str) -> bool {
    let here = Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success());
    let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(here || !required, "{test} needs openssl, and REQUIRE_PEERS=1 is set");
    if !here {
        eprintln!("skipped: {test} needs openssl");
    }
    here
}

/// Compares with the file in `tests/snapshots`; `UPDATE_SNAPSHOTS=1` writes it.
#[track_caller]
pub(crate) fn assert_snapshot(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        #[expect(clippy::disallowed_methods, reason = "a developer's own file, looked at before it is kept")]
        std::fs::write(&path, found).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, kept, "{}", path.display());
}

/// Serial numbers, fingerprints and times become words.
fn filter(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-:".contains(character);
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, after) = rest.split_at(start);
        let end = after.find(|character| !is_part(character)).unwrap_or(after.len());
        let end = after[..end].trim_end_matches([':', '-']).len().max(1);
        let (token, tail) = after.split_at(end);
        out.push_str(before);
        out.push_str(word_for(token).unwrap_or(token));
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn word_for(token: &str) -> Option<&'static str> {
    let all = |kind: fn(&char) -> bool| token.chars().all(|character| kind(&character));
    let upper = all(|character| character.is_ascii_digit() || ('A'..='F').contains(character));
    let lower = all(|character| character.is_ascii_digit() || ('a'..='f').contains(character));
    let bytes = token.as_bytes();
    let dated = bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[0].is_ascii_digit();
    match token.len() {
        32 if upper => Some("[SERIAL]"),
        40 if upper => Some("[KEY ID]"),
        64 if lower => Some("[SHA-256]"),
        20 if dated && token.ends_with('Z') => Some("[TIME]"),
        10 if dated => Some("[DATE]"),
        _ => None,
    }
}
