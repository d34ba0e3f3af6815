//! The inventory made anew from the certificates' files and the audit log (CA I8).

mod imported;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certs::{Certificate, Fingerprint, Serial, Timestamp, Validity};
use serde_json::{Value, json};

use super::Authority;
use crate::clock::Clock;
use crate::error::IssueError;
use crate::serial::hex;
use crate::store::{
    AuthorityId, AuthorityRecord, Checkpoint, FileError, Intent, Kind, Layout, LogEntry, Rebuilding,
    Revocation, RevocationReason, ShardNumber, Side, SqlStore, StoreError, StoreLock, Tier, sync_folder,
    write_new,
};

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Rebuilt {
    /// Entries of the log.
    pub entries: u64,
    /// Certificates in the new inventory.
    pub certificates: u64,
    /// Those of them whose files are not in the store any more: they can be revoked, and neither shown nor renewed.
    pub without_file: u64,
    /// Revocations.
    pub revoked: u64,
    /// Where the inventory that was there is now.
    pub aside: Option<PathBuf>,
}

/// A certificate's file.
struct Found {
    certificate: Certificate,
    folder: PathBuf,
}

impl Authority {
    /// Makes the inventory of the store in `root` anew from `audit.log` and the certificates in the folders; the one that is
    /// there moves aside.
    ///
    /// # Errors
    /// The log is missing or not whole, or an authority's certificate is missing. Then nothing is changed.
    pub fn rebuild(root: &Path, clock: &Arc<dyn Clock>) -> Result<Rebuilt, IssueError> {
        let layout = Layout::new(root);
        if layout.database_url().exists() {
            return Err(damaged("its inventory is on a database server, which has backups of its own"));
        }
        if !layout.audit_log().is_file() {
            return Err(IssueError::NotInitialised { path: root.to_owned() });
        }
        let _lock = StoreLock::acquire(&layout.lock())?;
        let (entries, checkpoints) = read_log(&layout.audit_log())?;
        let found = find(root)?;
        let making = root.join("ca.sqlite.rebuilding");
        for end in ["", "-wal", "-shm"] {
            remove(&root.join(format!("ca.sqlite.rebuilding{end}")))?;
        }
        write_new(&making, b"", 0o600)?;
        let made = fill(&layout, &making, &entries, &checkpoints, &found, clock.now());
        if made.is_err() {
            let _leftover = remove(&making);
        }
        let mut rebuilt = made?;
        if layout.database().exists() {
            let aside = root.join(format!("ca.sqlite.before-{}", clock.now().unix()));
            for end in ["", "-wal", "-shm"] {
                let from = root.join(format!("ca.sqlite{end}"));
                if from.exists() {
                    let to = PathBuf::from(format!("{}{end}", aside.display()));
                    fs::rename(&from, to).map_err(|source| FileError::new("rename", &from, source))?;
                }
            }
            rebuilt.aside = Some(aside);
        }
        let database = layout.database();
        fs::rename(&making, &database).map_err(|source| FileError::new("rename", &making, source))?;
        sync_folder(root)?;
        Ok(rebuilt)
    }
}

fn damaged(what: &str) -> IssueError {
    StoreError::Damaged { what: what.to_owned() }.into()
}

fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The log, whose chain must hold from its first entry to its last.
fn read_log(path: &Path) -> Result<(Vec<LogEntry>, Vec<Checkpoint>), IssueError> {
    let file = fs::File::open(path).map_err(|source| FileError::new("read", path, source))?;
    let mut entries: Vec<LogEntry> = Vec::new();
    let mut checkpoints = Vec::new();
    let mut previous = [0; 32];
    for (number, line) in (1_u64..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|source| FileError::new("read", path, source))?;
        let bad = |why: &str| damaged(&format!("line {number} of audit.log {why}"));
        let value: Value = serde_json::from_str(&line).map_err(|_error| bad("is no JSON"))?;
        let at = value["at"].as_str().and_then(Timestamp::parse_rfc3339).ok_or_else(|| bad("has no time"))?;
        let hash = value["hash"].as_str().and_then(digest).ok_or_else(|| bad("has no hash"))?;
        if let Some(sequence) = value["entry"].as_i64() {
            let event = value["event"].as_str().unwrap_or_default().to_owned();
            let detail = value["detail"].to_string();
            let entry = LogEntry { sequence, at, event, detail, previous, hash };
            if !entry.is_whole() || entries.last().map_or(0, |last| last.sequence) + 1 != sequence {
                return Err(bad("was changed, or lines before it are missing"));
            }
            previous = hash;
            entries.push(entry);
        } else if let Some(sequence) = value["checkpoint"].as_i64() {
            let authority = value["authority"].as_str().unwrap_or_default().to_owned();
            let signature =
                value["signature"].as_str().and_then(octets).ok_or_else(|| bad("has no signature"))?;
            checkpoints.push(Checkpoint { sequence, at, hash, authority, signature });
        }
    }
    Ok((entries, checkpoints))
}

/// Every certificate in the folders, by its fingerprint.
fn find(root: &Path) -> Result<HashMap<Fingerprint, Found>, IssueError> {
    let mut found = HashMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|source| FileError::new("read", &folder, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| FileError::new("read", &folder, source))?;
            let path = entry.path();
            // Twins of `mirror` and requests are not of this authority.
            let is_ours = folder != root
                || !["mirror", "requests", "trust"].iter().any(|name| entry.file_name() == *name);
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_ours {
                folders.push(path);
            } else if entry.file_name() == "cert.pem"
                && let Ok(certificate) = fs::read_to_string(&path)
                    .map_err(drop)
                    .and_then(|text| Certificate::parse_pem(text).map_err(drop))
            {
                let relative = folder.strip_prefix(root).unwrap_or(&folder).to_owned();
                found.insert(certificate.fingerprint(), Found { certificate, folder: relative });
            }
        }
    }
    Ok(found)
}

fn fill(
    layout: &Layout,
    path: &Path,
    entries: &[LogEntry],
    checkpoints: &[Checkpoint],
    found: &HashMap<Fingerprint, Found>,
    now: Timestamp,
) -> Result<Rebuilt, IssueError> {
    let init = entries.iter().find(|entry| entry.event == "init").map(detail);
    let init = init.ok_or_else(|| damaged("the log does not tell of its founding"))?;
    let authorities = authorities(layout, &init, entries)?;
    let mut rebuilt = Rebuilt { entries: count(entries.len()), ..Rebuilt::default() };
    let mut making = Rebuilding::default();
    for (name, key) in [("name", "name"), ("shape", "shape"), ("key", "key"), ("legacy", "legacy")] {
        making.settings.push((name.to_owned(), init[key].as_str().unwrap_or_default().to_owned()));
    }
    let test = if init["test"].as_bool() == Some(true) { "yes" } else { "no" };
    making.settings.push(("test".to_owned(), test.to_owned()));
    making.settings.extend(imported::settings(entries));
    making.lists = imported::lists(entries, &authorities);
    let mut numbers: HashMap<(AuthorityId, Vec<u8>), usize> = HashMap::new();
    let at = entries.first().map_or(now, |entry| entry.at);
    for authority in &authorities {
        let certificate =
            Certificate::parse(&authority.certificate).map_err(|error| damaged(&error.to_string()))?;
        let issuer = issuer_of(&certificate, &authorities).unwrap_or(authority.id);
        let folder = Path::new("authorities").join(&authority.name);
        numbers.insert((issuer, certificate.serial().as_bytes().to_vec()), making.certificates.len());
        making.certificates.push((
            intent(&certificate, issuer, Kind::Authority, &authority.name, folder, at),
            Some(authority.certificate.clone()),
        ));
    }
    let mut rows: HashMap<(String, Vec<u8>), usize> = HashMap::new();
    let mut revocations: BTreeMap<usize, Revocation> = BTreeMap::new();
    for entry in entries {
        let facts = detail(entry);
        let name = facts["name"].as_str().unwrap_or_default().to_owned();
        let serial =
            facts["serial"].as_str().and_then(Serial::parse_hex).map(|serial| serial.as_bytes().to_vec());
        match (entry.event.as_str(), serial) {
            ("issue", Some(serial)) => {
                let (intent, der) = issued(&facts, &serial, entry.at, &authorities, found)?;
                rows.insert((name, serial), making.certificates.len());
                making.certificates.push((intent, der));
            }
            ("import", Some(serial)) => {
                let (intent, der, revocation) =
                    imported::certificate(&facts, &serial, entry.at, &authorities, found)?;
                // One that was known by its number alone was completed later; an authority's own is there already.
                let number = (intent.authority, serial.clone());
                let position = *numbers.entry(number).or_insert(making.certificates.len());
                match making.certificates.get_mut(position) {
                    None => making.certificates.push((intent, der)),
                    Some(known) if known.1.is_none() => *known = (intent, der),
                    Some(_) => {}
                }
                rows.insert((name, serial), position);
                if let Some(revocation) = revocation {
                    revocations.entry(position).or_insert(revocation);
                }
            }
            ("revoke", Some(serial)) => {
                let position = rows
                    .get(&(name, serial.clone()))
                    .copied()
                    .or_else(|| making.certificates.iter().position(|(intent, _)| intent.serial == serial));
                let reason = facts["reason"].as_str().and_then(RevocationReason::from_word);
                // What was revoked elsewhere was revoked then.
                let then = facts["revoked_at"].as_str().and_then(Timestamp::parse_rfc3339);
                let at = then.unwrap_or(entry.at);
                if let (Some(position), Some(reason)) = (position, reason) {
                    revocations
                        .entry(position)
                        .and_modify(|known| {
                            if reason == RevocationReason::KeyCompromise {
                                known.reason = reason;
                            }
                        })
                        .or_insert(Revocation { at, reason });
                }
            }
            ("unhold", Some(serial)) => {
                if let Some(position) = rows.get(&(name, serial)) {
                    revocations.remove(position);
                }
            }
            ("crl", _) => {
                let authority = facts["authority"].as_str().unwrap_or_default();
                let id = authorities.iter().find(|one| one.name == authority).map(|one| one.id);
                let next = facts["next_update"].as_str().and_then(Timestamp::parse_rfc3339);
                let shard =
                    facts["shard"].as_u64().and_then(|shard| u32::try_from(shard).ok()).map(ShardNumber);
                if let (Some(authority), Some(number), Some(next_update)) =
                    (id, facts["number"].as_i64(), next)
                {
                    making.lists.push(crate::store::CrlRecord {
                        authority,
                        shard,
                        number,
                        this_update: entry.at,
                        next_update,
                    });
                }
            }
            _ => {}
        }
    }
    rebuilt.without_file = count(making.certificates.iter().filter(|(_, der)| der.is_none()).count());
    rebuilt.certificates = count(making.certificates.len());
    rebuilt.revoked = count(revocations.len());
    making.authorities = authorities;
    making.revocations = revocations.into_iter().collect();
    making.entries = entries.to_vec();
    making.checkpoints = checkpoints.to_vec();
    let note = json!({ "certificates": rebuilt.certificates, "without_file": rebuilt.without_file });
    making.audit = Some(crate::store::AuditEvent { at: now, event: "rebuild", detail: note });
    let mut store = SqlStore::sqlite(path)?;
    store.rebuild(&making)?;
    store.settle()?;
    Ok(rebuilt)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn detail(entry: &LogEntry) -> Value {
    serde_json::from_str(&entry.detail).unwrap_or_default()
}

/// The authorities that were founded, and those that came later, with the numbers they had.
fn authorities(
    layout: &Layout,
    init: &Value,
    entries: &[LogEntry],
) -> Result<Vec<AuthorityRecord>, IssueError> {
    let names = init["authorities"].as_array().cloned().unwrap_or_default();
    let mut authorities = Vec::new();
    for (number, name) in (1..).zip(names) {
        authorities.push(imported::authority(
            layout,
            AuthorityId(number),
            name.as_str().unwrap_or_default(),
        )?);
    }
    imported::added(layout, entries, &mut authorities)?;
    Ok(authorities)
}

/// Whose key signed a certificate.
fn issuer_of(certificate: &Certificate, authorities: &[AuthorityRecord]) -> Option<AuthorityId> {
    authorities
        .iter()
        .find(|authority| {
            Certificate::parse(&authority.certificate).is_ok_and(|issuer| {
                let algorithm = certificate.signature_algorithm();
                algorithm.verify(issuer.public_key(), certificate.tbs(), certificate.signature()).is_ok()
            })
        })
        .map(|authority| authority.id)
}

/// A certificate the log tells of, with its file when that is still here.
fn issued(
    facts: &Value,
    serial: &[u8],
    at: Timestamp,
    authorities: &[AuthorityRecord],
    found: &HashMap<Fingerprint, Found>,
) -> Result<(Intent, Option<Vec<u8>>), IssueError> {
    let name = facts["name"].as_str().unwrap_or_default();
    let bad = |what: &str| damaged(&format!("the log says of certificate {} no {what}", hex(serial)));
    let kind = facts["kind"].as_str().and_then(Kind::from_word).ok_or_else(|| bad("kind"))?;
    let print = facts["sha256"].as_str().and_then(digest).ok_or_else(|| bad("fingerprint"))?;
    let folder = match kind {
        Kind::Device | Kind::Generic => Path::new("devices").join(name),
        Kind::Server => Path::new("server").join(name),
        Kind::Authority | Kind::Responder => Path::new("authorities").join(name),
    };
    let here = found.iter().find(|(known, _)| known.as_bytes() == &print).map(|(_, found)| found);
    if let Some(Found { certificate, folder: lies }) = here {
        let issuer = issuer_of(certificate, authorities).ok_or_else(|| bad("issuer that is here"))?;
        let folder = if lies.starts_with("superseded") { folder } else { lies.clone() };
        return Ok((intent(certificate, issuer, kind, name, folder, at), Some(certificate.der().to_vec())));
    }
    let side = if kind == Kind::Server { Side::Server } else { Side::Client };
    let issuer =
        authorities.iter().filter(|one| one.side == side).max_by_key(|one| one.tier == Tier::Issuing);
    let not_after =
        facts["not_after"].as_str().and_then(Timestamp::parse_rfc3339).ok_or_else(|| bad("end"))?;
    let intent = Intent {
        authority: issuer.map(|one| one.id).ok_or_else(|| bad("authority"))?,
        serial: serial.to_vec(),
        kind,
        name: name.to_owned(),
        product: None,
        device_serial: None,
        public_key: [0; 32],
        validity: Validity { not_before: at, not_after },
        at,
        folder,
        shard: None,
    };
    Ok((intent, None))
}

fn intent(
    certificate: &Certificate,
    authority: AuthorityId,
    kind: Kind,
    name: &str,
    folder: PathBuf,
    at: Timestamp,
) -> Intent {
    let value = |oid: &certs::Oid| {
        let mut values = certificate.subject().values_of(oid).filter(|_| kind == Kind::Device);
        values.next().and_then(|attribute| attribute.text().ok().map(|text| text.into_owned()))
    };
    // The name of a shard's list ends with its number: client-root.3.crl.
    let shard = certificate
        .crl_distribution_points()
        .iter()
        .flat_map(certs::DistributionPoint::uris)
        .find_map(|uri| uri.rsplit('/').next()?.strip_suffix(".crl")?.rsplit_once('.')?.1.parse().ok())
        .map(ShardNumber);
    Intent {
        authority,
        serial: certificate.serial().as_bytes().to_vec(),
        kind,
        name: name.to_owned(),
        product: value(&certs::oid::ORGANIZATIONAL_UNIT),
        device_serial: value(&certs::oid::LOCALITY),
        public_key: *Fingerprint::of(certificate.public_key().spki_der()).as_bytes(),
        validity: certificate.validity(),
        at,
        folder,
        shard,
    }
}

fn digest(text: &str) -> Option<[u8; 32]> {
    octets(text)?.try_into().ok()
}

fn octets(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
