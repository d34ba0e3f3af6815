//! The configuration file, read and checked.
//!
//! [`Config::load`] gives a whole configuration or every mistake in it, each with file and line. All files that it names are read
//! then, once; nothing past this module opens one of them again. There is no default permit: a listener without hosts, a host
//! without trust or rules, an unknown key or a file that cannot be read is a mistake. Paths begin at the file's folder.
//!
//! | table | key | what it says | when absent |
//! | --- | --- | --- | --- |
//! | `[[listener]]` | `address` | address and port | needed |
//! | | `tls` | a shipped TLS policy (`modern`) or a file | needed |
//! | `[[host]]` | `names` | exact names, `*.example.com`, `*` (any name, or none) | needed |
//! | | `certificate`, `private-key` | PEM files: the chain, its own certificate first, and the key | needed |
//! | | `private-key-passphrase-file` | the passphrase, on the first line | key not encrypted |
//! | | `[[host.further-certificate]]` | the same three keys again, for a key of another kind | one pair |
//! | | `client-auth` | `required` or `optional` | needed |
//! | | `ca-names` | authorities named in the handshake: `all`, `none`, or certificate files | `all` |
//! | | `rules` | a shipped rule set (`own-profile`, `any-device`) or a file | needed |
//! | | `backend` | `directory:PATH`, `http://HOST:PORT`, `https://HOST:PORT`, `unix:PATH` | needed |
//! | | `backend-ca` | who may have certified an `https://` backend | needed for one |
//! | | `backend-certificate`, `backend-private-key`, `backend-private-key-passphrase-file` | what an `https://` backend is shown | nothing |
//! | | `headers` | `guide`, `broadworks`, `rfc9440`, `xfcc`, `device` | none |
//! | | `issuer-fields` | whose `SSL-Client-I-DN-OU`, `-L`, `-S` are: `guide` (the phone's) or `mod_ssl` | `guide` |
//! | | `header-separator` | `-` or `_` | `-` |
//! | | `header-certificate` | whether `guide` and `xfcc` carry the certificate | `false` |
//! | `[[host.trust]]` | `anchors` | PEM file of authorities | needed |
//! | | `identity` | shipped identity profiles or files, in the order they are tried | needed |
//! | | `name` | what messages call the entry | the anchor file's name |
//! | | `intermediates` | certificates that phones leave out | none |
//! | | `ouis` | how MAC addresses must begin | anyhow |
//! | | `crls` | a file or a folder of CRLs | **no revocation is checked** |
//! | | `crl-unknown`, `crl-expired` | `deny` or `allow` | `deny` |
//! | | `deny` | a file of phones that are shut out | none |
//! | | `allow`, `until` | exceptions (`sha1`, `md5`, `rsa-1024`, `x509-v1`, `{ expired = "3y" }`) and their last day | none |
//! | | `require-eku` | whether a certificate must list clientAuth | `false` |
//! | `[audit]` | `file` | one JSON Lines file, the short form of a sink | nothing is recorded |
//! | | `queue`, `when-full` | bytes that may wait; `drop-and-count` or `refuse` | 8 MiB, `drop-and-count` |
//! | | `gateway` | what this gateway is called in a shared database and in syslog | the machine's name |
//! | | `repeated` | refusals that repeat themselves: `count` or `record` | `count` |
//! | `[[audit.sink]]` | `kind` | `file`, `syslog`, `stdout` or `database` | needed |
//! | | `queue`, `when-full` | as above | as above |
//! | of a file | `file`, `rotate-size`, `rotate-age`, `compress` | where it is, when it is rotated, whether old ones are compressed | not rotated |
//! | | `keep-files`, `keep`, `keep-size` | old files that stay: how many, how long, how many bytes | all |
//! | of a database | `url`, `password-file` | `sqlite:FILE` or `postgres://USER@HOST/NAME` | needed |
//! | | `keep`, `keep-size` | how long records stay, and how many bytes | all |
//! | of syslog | `to` | `udp:HOST:PORT`, `tcp:…`, `tls:…` or `unix:/dev/log` | needed |
//! | | `facility`, `app-name`, `format`, `structured-id` | what messages look like: `json`, `cee`, `structured` | `local0`, `json` |
//! | | `header` | how they begin: `rfc5424`, or `local` as `/dev/log` knows it | `local` for `unix:` only |
//! | | `max-message` | bytes of one UDP message | 2048 |
//! | | `ca`, `server-name`, `certificate`, `private-key`, `private-key-passphrase-file` | how a `tls:` receiver is known, and what it is shown | `ca` is needed |
//! | `[admin]` | `address` | where people and monitoring systems look: metrics, health | no such listener |
//! | | `token-file` | the token that opens it, in a file of mode 0600 | needed |
//! | | `names` | the names it may be asked for by | `localhost` and its address |
//! | | `certificate`, `private-key` | what it shows; needed off the loopback | plain HTTP |
//! | | `metrics` | `token` or `open` | `token` |
//! | | `database`, `database-password-file` | the audit database that the page is drawn from, `sqlite:FILE` or `postgres://USER@HOST/NAME` | the first database of `[audit]` |
//! | `[phone-syslog]` | `address` | the UDP address where phones' own syslog messages are taken | none are |
//! | | `networks` | where they may come from | needed |
//! | | `messages-per-address`, `messages` | how many a second, from one address and from all | 20, 2000 |
//! | `[limits]` | see [`Limits`] | | each has a default |

mod admin;
mod audit;
mod backend;
pub(crate) mod certificates;
pub(crate) mod credentials;
mod database;
mod files;
mod host;
mod limits;
mod listener;
mod name;
mod phone_syslog;
mod revocation;
mod suites;
mod trust;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use certs::Timestamp;
use policies::document::{Diagnostic, Document, Place, Table};

use self::files::Files;
pub use self::{
    admin::{AdminConfig, MetricsAccess, Token},
    audit::{AuditConfig, SinkConfig, SinkKind},
    credentials::{PrivateKey, ServerCredentials},
    host::{ClientAuth, HostConfig},
    limits::Limits,
    listener::ListenerConfig,
    name::{HostName, HostNameError, HostNames},
    phone_syslog::PhoneSyslogConfig,
    revocation::LoadedList,
    trust::TrustConfig,
};

/// A checked configuration. Pure data: making one opens no socket.
#[derive(Debug)]
pub struct Config {
    /// Where phones connect; never empty.
    pub listeners: Vec<ListenerConfig>,
    /// Whom they find there; never empty. Every host is served on every listener.
    pub hosts: Vec<Arc<HostConfig>>,
    /// Which host a server name selects, by its place in `hosts`.
    pub names: HostNames,
    /// What anything may cost.
    pub limits: Limits,
    /// Where records go; `None` when nothing is recorded.
    pub audit: Option<AuditConfig>,
    /// Where people and monitoring systems look; `None` when there is no such listener.
    pub admin: Option<Arc<AdminConfig>>,
    /// Where phones' own syslog messages are taken; `None` when none are.
    pub phone_syslog: Option<Arc<PhoneSyslogConfig>>,
    /// The configuration file.
    pub source: PathBuf,
    /// The files and folders whose change asks for a reload: certificates, keys, CRLs, deny lists.
    pub watched: Vec<PathBuf>,
    /// Whether it and its files can be read again: none is a pipe.
    pub can_be_read_again: bool,
    /// When the configuration comes to mean something else by itself, because an `until` passes: it is to be loaded again then.
    pub changes_at: Option<Timestamp>,
    /// What works and deserves a look.
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// Reads and checks a configuration with all its files, as of `now`.
    ///
    /// # Errors
    /// Every mistake, in the order of the file.
    pub fn load(source: &Path, now: Timestamp) -> Result<Self, Vec<Diagnostic>> {
        Self::parse(source, &Self::read(source)?, now)
    }

    /// Reads `[audit]` of a configuration alone, for who may read the records but not the keys; `None` where there is none.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load_audit(source: &Path) -> Result<Option<AuditConfig>, Vec<Diagnostic>> {
        let text = Self::read(source)?;
        let document = Document::parse(&source.display().to_string(), &text)?;
        let files = Files::beside(source, &document);
        let root = document.root();
        // Everything else is the gateway's own business, mistakes included.
        root.leave_others();
        let audit = root.optional_table("audit").and_then(|table| AuditConfig::read(&table, &files));
        root.finish();
        document.finish()?;
        Ok(audit)
    }

    fn read(source: &Path) -> Result<String, Vec<Diagnostic>> {
        let file = source.display().to_string();
        let whole = |message: String| vec![Diagnostic::of_file(file.clone(), message)];
        let (bytes, _) = files::read(source)
            .map_err(|error| whole(format!("cannot be read: {}", files::plain(&error))))?;
        String::from_utf8(bytes).map_err(|_| whole("is not UTF-8 text".to_owned()))
    }

    /// Checks the text of a configuration that stands at `source`.
    ///
    /// # Errors
    /// Every mistake, in the order of the file.
    pub fn parse(source: &Path, text: &str, now: Timestamp) -> Result<Self, Vec<Diagnostic>> {
        let document = Document::parse(&source.display().to_string(), text)?;
        let files = Files::beside(source, &document);
        let root = document.root();
        let limits = Limits::read(root.optional_table("limits"));
        let listeners = read_listeners(&root, &files);
        let (hosts, names) = read_hosts(&root, &files, &limits, &listeners, now);
        let audit = read_audit(&root, &files);
        let admin = root.optional_table("admin");
        let own_database = audit.as_ref().and_then(AuditConfig::database);
        let admin = admin.and_then(|table| AdminConfig::read(&table, &files, own_database));
        let phone_syslog = root.optional_table("phone-syslog");
        let of_audit = match &audit {
            Some(audit) => phone_syslog::Audit::Read(audit),
            None if root.has("audit") => phone_syslog::Audit::Mistaken,
            None => phone_syslog::Audit::Missing,
        };
        let phone_syslog = phone_syslog.and_then(|table| PhoneSyslogConfig::read(&table, &files, of_audit));
        root.finish();
        let can_be_read_again = files.can_be_read_again() && source.is_file();
        let watched = files.into_watched();
        let warnings = document.finish()?;
        Ok(Self {
            listeners,
            names,
            limits,
            audit,
            admin: admin.map(Arc::new),
            phone_syslog: phone_syslog.map(Arc::new),
            source: source.to_owned(),
            watched,
            can_be_read_again,
            changes_at: changes_at(&hosts, now),
            hosts: hosts.into_iter().map(Arc::new).collect(),
            warnings,
        })
    }

    /// The deny lists and CRLs that hold fewer entries than they did in `old`, or are not read any more: right after a device was
    /// let off or a file was renamed, and a sign of a list that was cut short or lost otherwise.
    pub fn shrunk_since<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = Shrunk<'a>> {
        let now: HashMap<ListName<'_>, usize> = self.list_sizes().collect();
        let mut seen = HashSet::new();
        let before = old.list_sizes().filter(move |(list, _)| seen.insert(*list));
        before.filter_map(move |(list, before)| {
            let now = now.get(&list).copied();
            (now.unwrap_or(0) < before).then_some(Shrunk { list, before, now })
        })
    }

    fn list_sizes(&self) -> impl Iterator<Item = (ListName<'_>, usize)> {
        self.hosts.iter().flat_map(|host| &host.trust).flat_map(|trust| {
            let deny = trust.deny.iter().map(|(file, count)| (ListName::Deny(file), *count));
            // A CRL is known by its issuer and file: a file may hold several.
            let crls = trust.lists.iter().flatten();
            let crls = crls
                .map(|loaded| (ListName::Crl(&loaded.file, loaded.list.issuer().der()), loaded.list.len()));
            deny.chain(crls)
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ListName<'a> {
    Crl(&'a Path, &'a [u8]),
    Deny(&'a Path),
}

/// A list that holds fewer entries than before, or is gone.
#[derive(Debug, Clone)]
pub struct Shrunk<'a> {
    list: ListName<'a>,
    before: usize,
    /// `None` when the list is not read any more.
    now: Option<usize>,
}

impl fmt::Display for Shrunk<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { list, before, now } = self;
        let (kind, file) = match list {
            ListName::Crl(file, _) => ("CRL", file),
            ListName::Deny(file) => ("deny list", file),
        };
        let file = file.display();
        match now {
            Some(now) => write!(formatter, "{kind} {file} shrank from {before} to {now} entries"),
            None => write!(formatter, "{kind} {file} is gone: its {before} entries count no more"),
        }
    }
}

fn changes_at(hosts: &[HostConfig], now: Timestamp) -> Option<Timestamp> {
    let untils = hosts.iter().flat_map(|host| &host.trust).filter_map(|trust| trust.until);
    let ends = untils.map(|until| Timestamp::from_unix(until.unix_end()).plus_seconds(1));
    ends.filter(|end| *end > now).min()
}

fn read_listeners(root: &Table<'_, '_>, files: &Files<'_, '_>) -> Vec<ListenerConfig> {
    let tables = root.tables("listener");
    if tables.is_empty() && !root.has("listener") {
        let hint = "[[listener]] with `address` and `tls` says where phones connect";
        root.document().error_with_hint(root.place(), "there is no listener", hint);
    }
    let mut listeners: Vec<ListenerConfig> = Vec::new();
    for table in tables {
        let Some(listener) = ListenerConfig::read(&table, files) else {
            note_unread(root.document(), table.place());
            continue;
        };
        let port = listener.address.port();
        if port != 0 && listeners.iter().any(|other| other.address == listener.address) {
            let message = format!("another listener has the address {} too", listener.address);
            root.document().error(&table.place_of("address"), message);
        }
        listeners.push(listener);
    }
    listeners
}

fn read_hosts(
    root: &Table<'_, '_>,
    files: &Files<'_, '_>,
    limits: &Limits,
    listeners: &[ListenerConfig],
    now: Timestamp,
) -> (Vec<HostConfig>, HostNames) {
    let tables = root.tables("host");
    if tables.is_empty() && !root.has("host") {
        let hint =
            "[[host]] with `names`, `certificate`, `backend`, `rules` and [[host.trust]] says what is served";
        root.document().error_with_hint(root.place(), "the listeners have no host to serve", hint);
    }
    let mut hosts = Vec::new();
    let mut index = HostNames::default();
    let mut lines = Vec::new();
    for table in tables {
        let Some((host, names)) = HostConfig::read(&table, files, limits, now) else {
            note_unread(root.document(), table.place());
            continue;
        };
        for name in names {
            if let Some(other) = index.insert(&name.value, hosts.len()) {
                let line = lines.get(other).copied().unwrap_or_else(|| table.place().line);
                let message = format!("the name {} is taken by the host of line {line}", name.value);
                root.document().error(&name.place, message);
            }
        }
        lines.push(table.place().line);
        hosts.push(host);
    }
    warn_of_client_auth(root, &hosts, &lines, &index);
    suites::warn_of_unserved(root, listeners, hosts.iter().zip(lines.iter().copied()));
    (hosts, index)
}

/// A table that gave nothing noted why. Should one ever fail to, it must stop the start all the same: a host or listener that
/// is quietly left out serves nobody, or leaves its phones to another host's rules.
fn note_unread(document: &Document<'_>, place: &Place) {
    if !document.has_errors() {
        document.error(place, "this table cannot be used");
    }
}

/// A host that takes names out of another's wildcard and asks for certificates in another way may be meant so, or not (SEC-28).
fn warn_of_client_auth(root: &Table<'_, '_>, hosts: &[HostConfig], lines: &[usize], index: &HostNames) {
    for (host, line) in hosts.iter().zip(lines) {
        for name in &host.names {
            let Some(at) = index.covering(name) else { continue };
            let (Some(wider), Some(wider_line)) = (hosts.get(at), lines.get(at)) else { continue };
            if wider.client_auth != host.client_auth {
                let message = format!(
                    "for {name} client-auth is {}, and {} for the other names that the host of line {wider_line} covers",
                    host.client_auth.as_str(),
                    wider.client_auth.as_str()
                );
                let place = Place { line: *line, column: 1, key: "host".to_owned() };
                root.document().warning(&place, message, None);
            }
        }
    }
}

fn read_audit(root: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<AuditConfig> {
    let Some(table) = root.optional_table("audit") else {
        if !root.has("audit") {
            let hint = "[audit] with `file` keeps a record of every refused connection and every request";
            root.document().warning(root.place(), "nothing is recorded", Some(hint.to_owned()));
        }
        return None;
    };
    AuditConfig::read(&table, files)
}

#[cfg(test)]
pub(crate) mod tests;
