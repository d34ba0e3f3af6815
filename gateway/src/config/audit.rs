//! `[audit]`: where the records go.

mod syslog;

use std::path::{Path, PathBuf};
use std::time::Duration;

use policies::document::{Located, Place, Table};

use super::certificates;
use super::credentials::read_passphrase;
use super::files::Files;
use crate::audit::database::Retention;
use crate::audit::{DatabaseUrl, Keep, OnRepetition, Rotation, SyslogConfig, WhenFull};

/// Where audit records are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditConfig {
    /// What this gateway is called where several write into one database or syslog.
    pub gateway: String,
    /// What becomes of refusals that repeat themselves.
    pub on_repetition: OnRepetition,
    /// The sinks; never empty.
    pub sinks: Vec<SinkConfig>,
}

/// One place where records are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkConfig {
    /// What it is.
    pub kind: SinkKind,
    /// Bytes of records that wait for it at most.
    pub queue: usize,
    /// What happens when they are that many.
    pub when_full: WhenFull,
}

/// What a sink is.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkKind {
    /// An audit database.
    Database {
        /// Where it is.
        url: DatabaseUrl,
        /// How long records stay there.
        retention: Retention,
    },
    /// A JSON Lines file.
    File {
        /// Its path.
        path: PathBuf,
        /// Whether and when it is rotated here.
        rotation: Option<Rotation>,
    },
    /// Standard output.
    Stdout,
    /// Syslog.
    Syslog(SyslogConfig),
}

impl SinkConfig {
    /// Whether both write to one place.
    fn leads_to(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            // However it is spelled: `./audit.jsonl` is `audit.jsonl`.
            (SinkKind::File { path, .. }, SinkKind::File { path: other, .. }) => path == other,
            (
                SinkKind::Database { url: DatabaseUrl::Sqlite(path), .. },
                SinkKind::Database { url: DatabaseUrl::Sqlite(other), .. },
            ) => path == other,
            _ => self.name() == other.name(),
        }
    }

    /// The sink's name, for messages and metrics: its kind and where it leads.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.kind {
            SinkKind::Database { url, .. } => format!("database {url}"),
            SinkKind::File { path, .. } => format!("file {}", path.display()),
            SinkKind::Stdout => "stdout".to_owned(),
            SinkKind::Syslog(config) => format!("syslog {}", config.to),
        }
    }
}

impl AuditConfig {
    /// Whether standard output is kept for records.
    #[must_use]
    pub fn writes_to_stdout(&self) -> bool {
        self.sinks.iter().any(|sink| sink.kind == SinkKind::Stdout)
    }

    /// The first audit database, which the commands ask.
    #[must_use]
    pub fn database(&self) -> Option<&DatabaseUrl> {
        self.sinks.iter().find_map(|sink| match &sink.kind {
            SinkKind::Database { url, .. } => Some(url),
            SinkKind::File { .. } | SinkKind::Stdout | SinkKind::Syslog(_) => None,
        })
    }

    /// Reads `[audit]`.
    pub(super) fn read(table: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<Self> {
        let gateway = read_name(table, "gateway").unwrap_or_else(host_name);
        let words = OnRepetition::ALL.map(|choice| (choice.as_str(), choice));
        let on_repetition = table.optional_word("repeated", &words).map(|found| found.value);
        let mut sinks = Vec::new();
        let mut places = Vec::new();
        let further = table.tables("sink");
        // The short form: one file.
        if further.is_empty() || table.has("file") {
            places.push(table.place_of("file"));
            let (queue, when_full) = read_queue(table);
            sinks.push(read_path(table, files).map(|path| SinkConfig {
                kind: SinkKind::File { path, rotation: None },
                queue,
                when_full,
            }));
        }
        for sink in further {
            places.push(sink.place().clone());
            sinks.push(SinkConfig::read(&sink, files, &gateway));
        }
        let sinks: Vec<SinkConfig> = sinks.into_iter().collect::<Option<_>>()?;
        for (at, sink) in sinks.iter().enumerate() {
            if let Some(other) = sinks.iter().take(at).position(|other| other.leads_to(sink)) {
                let line = places.get(other).map_or(0, |place: &Place| place.line);
                let message = format!("the sink of line {line} writes to the same place");
                if let Some(place) = places.get(at) {
                    files.document().error(place, message);
                }
            }
        }
        Some(Self { gateway, on_repetition: on_repetition.unwrap_or_default(), sinks })
    }
}

/// Some ten thousand records: a second and more at the rate of a whole region calling at once.
const QUEUE: u64 = 8 << 20;

fn read_queue(table: &Table<'_, '_>) -> (usize, WhenFull) {
    let queue = table.optional_size("queue", 64 << 10..=1 << 30).map_or(QUEUE, |found| found.value);
    let words = WhenFull::ALL.map(|choice| (choice.as_str(), choice));
    let when_full =
        table.optional_word("when-full", &words).map_or(WhenFull::DropAndCount, |found| found.value);
    (usize::try_from(queue).unwrap_or(usize::MAX), when_full)
}

impl SinkConfig {
    fn read(table: &Table<'_, '_>, files: &Files<'_, '_>, gateway: &str) -> Option<Self> {
        #[derive(Clone, Copy)]
        enum Word {
            Database,
            File,
            Stdout,
            Syslog,
        }
        let words = [
            ("database", Word::Database),
            ("file", Word::File),
            ("stdout", Word::Stdout),
            ("syslog", Word::Syslog),
        ];
        let (queue, when_full) = read_queue(table);
        let Some(kind) = table.word("kind", &words) else {
            // What the other keys mean depends on the kind: nothing more can be said of them.
            table.entries();
            return None;
        };
        let kind = match kind.value {
            Word::Database => read_database(table, files)?,
            Word::File => {
                let rotation = read_rotation(table);
                SinkKind::File { path: read_path(table, files)?, rotation: rotation? }
            }
            Word::Stdout => SinkKind::Stdout,
            Word::Syslog => SinkKind::Syslog(syslog::read(table, files, gateway)?),
        };
        Some(Self { kind, queue, when_full })
    }
}

fn read_path(table: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<PathBuf> {
    let file = table.string("file")?;
    let path = files.resolve(&file.value);
    check_folder(&path, "audit file", &file.place, files);
    Some(path)
}

fn check_folder(path: &Path, what: &str, place: &Place, files: &Files<'_, '_>) {
    if path.is_dir() {
        files.document().error(place, format!("{} is a folder, a file is needed", path.display()));
        return;
    }
    let exists = path.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir());
    if !exists {
        let folder = path.parent().unwrap_or(path).display();
        files.document().error(place, format!("there is no folder {folder} for the {what}"));
    }
}

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// The rotation; `Some(None)` where there is none, `None` after a mistake.
#[expect(clippy::option_option, reason = "the outer one is the reader's: whether a mistake was noted")]
fn read_rotation(table: &Table<'_, '_>) -> Option<Option<Rotation>> {
    let size = table.optional_size("rotate-size", 64 << 10..=1 << 40).map(|found| found.value);
    let age = table.optional_duration("rotate-age", Duration::from_secs(60)..=YEAR).map(|found| found.value);
    let keep = Keep {
        files: table
            .optional_integer("keep-files", 1..=100_000)
            .and_then(|found| u32::try_from(found.value).ok()),
        age: table.optional_duration("keep", Duration::from_secs(60)..=YEAR * 100).map(|found| found.value),
        size: table.optional_size("keep-size", 1..=1 << 50).map(|found| found.value),
    };
    let compress = table.optional_boolean("compress").map(|found| found.value);
    if size.is_some() || age.is_some() {
        return Some(Some(Rotation { size, age, keep, compress: compress.unwrap_or(true) }));
    }
    if table.has("rotate-size") || table.has("rotate-age") {
        return None; // and that was noted
    }
    if let Some(key) = ["keep-files", "keep", "keep-size", "compress"].into_iter().find(|key| table.has(key))
    {
        let hint = "rotate-size = \"100MiB\" or rotate-age = \"1d\" rotates the file";
        let message = "is for rotated files, and nothing rotates this one";
        table.document().error_with_hint(&table.place_of(key), message, hint);
        return None;
    }
    Some(None)
}

fn read_database(table: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<SinkKind> {
    let retention = Retention {
        keep: table.optional_duration("keep", DAY..=YEAR * 100).map(|found| found.value),
        keep_size: table.optional_size("keep-size", 1 << 20..=1 << 50).map(|found| found.value),
    };
    let password = table.optional_string("password-file");
    let url = table.string("url")?;
    let url = read_url(&url, password.as_ref(), files)?;
    Some(SinkKind::Database { url, retention })
}

/// Reads the address of an audit database, with the files that belong to it.
pub(super) fn read_url(
    url: &Located<String>,
    password: Option<&Located<String>>,
    files: &Files<'_, '_>,
) -> Option<DatabaseUrl> {
    let parsed = match DatabaseUrl::parse(&url.value, &files.resolve("")) {
        Ok(parsed) => parsed,
        Err(error) => {
            files.document().error(&url.place, certificates::Causes(&error).to_string());
            return None;
        }
    };
    match parsed {
        DatabaseUrl::Sqlite(path) => {
            check_folder(&path, "audit database", &url.place, files);
            if let Some(password) = password {
                files.document().error(&password.place, "only a postgres:// database has a password");
            }
            Some(DatabaseUrl::Sqlite(path))
        }
        DatabaseUrl::Postgres(mut server) => {
            if let Some(file) = server.root_file() {
                let file = Located { value: file.display().to_string(), place: url.place.clone() };
                let anchors = certificates::read(files, "database CA file", &file)?;
                let roots = anchors.iter().map(|anchor| anchor.der().to_vec().into()).collect();
                server = Box::new(server.with_roots(roots));
            }
            if let Some(password) = password {
                server = Box::new(server.with_password(&read_passphrase(files, password)?));
            }
            Some(DatabaseUrl::Postgres(server))
        }
    }
}

/// A name that fits into the header of a syslog message (RFC 5424 §6: printable ASCII without spaces).
fn read_name(table: &Table<'_, '_>, key: &'static str) -> Option<String> {
    let name = table.optional_string(key)?;
    let fits = (1..=48).contains(&name.value.len()) && name.value.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        table.document().error(&name.place, "a name is 1 to 48 letters, digits and signs without spaces");
        return None;
    }
    Some(name.value)
}

/// What the system calls this machine, as far as it fits into a name.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = name.chars().filter(char::is_ascii_graphic).take(48).collect();
    if name.is_empty() { "gateway".to_owned() } else { name }
}
