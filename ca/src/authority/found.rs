//! Founding a certificate authority: the two trees, their keys, and a first revocation list of each.

mod options;
mod resume;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use certs::{Certificate, Timestamp};
use serde_json::json;
use x509_cert::ext::Extension;

use super::Authority;
use super::keys::{AuthorityKey, Kept};
use super::publish::{CRL_DAYS, ROOT_CRL_DAYS};
pub use options::{FoundOptions, Shape};

use crate::clock::Clock;
use crate::crl::{self, CrlContent};
use crate::error::IssueError;
use crate::key::armour;
use crate::legacy::{Legacy, TEST_PREFIX, TEST_UNIT};
use crate::lint::{Rules, prepare};
use crate::passphrase::Passphrase;
use crate::profile::{Profile, validity_for};
use crate::random::{OperatingSystem, RandomSource};
use crate::serial::SerialNumber;
use crate::store::{
    AuditEvent, AuthorityId, AuthorityRecord, CrlRecord, FileError, Intent, Kind, Layout, PostgresUrl, Side,
    SqlStore, StoreLock, Tier, make_folder, remove_tree, set_mode, sync_folder, write_new, write_replacing,
};
use crate::subject::{AttributeType, NameError, SubjectName};
use crate::template::Template;

/// One authority, just made.
pub(super) struct Founded {
    pub(super) record: AuthorityRecord,
    pub(super) certificate: Certificate,
    pub(super) key: AuthorityKey,
    pub(super) intent: Intent,
}

/// Where a new authority stands: in which tree and tier, as which of its kind, below whom.
pub(super) struct Position<'a> {
    pub(super) side: Side,
    pub(super) tier: Tier,
    pub(super) id: AuthorityId,
    /// The first has no number in its name.
    pub(super) ordinal: u32,
    /// Who signs it; itself without.
    pub(super) issuer: Option<Above<'a>>,
    /// What names it may sign; any without.
    pub(super) constraints: Option<Extension>,
}

/// The authority above a new one.
#[derive(Clone, Copy)]
pub(super) struct Above<'a> {
    pub(super) id: AuthorityId,
    pub(super) certificate: &'a Certificate,
    pub(super) key: &'a AuthorityKey,
}

/// What a finished but not yet moved store is called below the folder; a killed `init` is picked up from it.
const READY: &str = ".initialised";

/// What a store in the making is called.
const MAKING: &str = ".initialising";

/// In this order: the database, which makes it a store, comes last.
const PARTS: [&str; 4] = ["authorities", "trust", "ca.sqlite", "database.url"];

impl Authority {
    /// Founds an authority in the folder `root`, which may exist but holds no store yet.
    ///
    /// Without a passphrase the authorities' keys are stored in the clear. Killed at any moment and called again, it
    /// either begins anew or completes the store that was ready.
    pub fn found(
        root: &Path,
        options: &FoundOptions,
        passphrase: Option<&Passphrase>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, IssueError> {
        let layout = Layout::new(root);
        let now = clock.now();
        // What needs no folder is checked before there is one.
        if now < super::EARLIEST {
            return Err(IssueError::ClockBehind { now, last: super::EARLIEST });
        }
        for side in [Side::Server, Side::Client] {
            subject(options, side, Tier::Issuing, 1)?;
        }
        make_folder(root, 0o755)?;
        {
            // The lock's file stays, whatever happens: another process may be waiting at it.
            let _lock = StoreLock::acquire(&layout.lock())?;
            let made = build(&layout, options, passphrase, now);
            if made.is_err() {
                let _leftover = remove_tree(&root.join(MAKING));
            }
            made?;
        }
        let mut authority = Self::open(root, clock)?;
        authority.passphrase = passphrase.cloned();
        Ok(authority)
    }
}

fn build(
    layout: &Layout,
    options: &FoundOptions,
    passphrase: Option<&Passphrase>,
    now: Timestamp,
) -> Result<(), IssueError> {
    let root = layout.root();
    if root.join(READY).is_dir() {
        resume::check_same(root, options, passphrase)?;
    } else {
        if layout.database().exists() || layout.database_url().exists() {
            return Err(IssueError::AlreadyFounded { path: root.to_owned() });
        }
        for path in PARTS.iter().map(|part| root.join(part)) {
            if path.exists() {
                return Err(IssueError::InTheWay { path });
            }
        }
        let making = root.join(MAKING);
        remove_tree(&making)?;
        write_store(&Layout::new(&making), options, passphrase, now)?;
        rename(&making, &root.join(READY))?;
    }
    if let Some(url) = &options.database {
        move_to_server(&Layout::new(root.join(READY)), url)?;
    }
    for part in PARTS {
        let from = root.join(READY).join(part);
        if from.exists() {
            rename(&from, &root.join(part))?;
        }
    }
    sync_folder(root)?;
    Ok(remove_tree(&root.join(READY))?)
}

/// Moves the inventory of a finished store to a database server.
fn move_to_server(layout: &Layout, url: &PostgresUrl) -> Result<(), IssueError> {
    let file = layout.database();
    if file.exists() {
        SqlStore::move_to(&file, url)?;
        write_replacing(&layout.database_url(), format!("{}\n", url.text()).as_bytes(), 0o600)?;
        for name in ["ca.sqlite", "ca.sqlite-wal", "ca.sqlite-shm"] {
            let path = layout.root().join(name);
            if path.exists() {
                fs::remove_file(&path).map_err(|source| FileError::new("remove", &path, source))?;
            }
        }
    }
    Ok(sync_folder(layout.root())?)
}

fn rename(from: &Path, to: &Path) -> Result<(), IssueError> {
    Ok(fs::rename(from, to).map_err(|source| FileError::new("rename", from, source))?)
}

fn write_store(
    layout: &Layout,
    options: &FoundOptions,
    passphrase: Option<&Passphrase>,
    now: Timestamp,
) -> Result<(), IssueError> {
    let random = OperatingSystem;
    let mut founded: Vec<Founded> = Vec::new();
    for (number, side) in (1..).zip([Side::Server, Side::Client]) {
        let position = Position {
            side,
            tier: Tier::Root,
            id: AuthorityId(number),
            ordinal: 1,
            issuer: None,
            constraints: None,
        };
        let root = authority(options, passphrase, &position, now, &random)?;
        if options.shape == Shape::Issuing {
            let above = Above { id: root.record.id, certificate: &root.certificate, key: &root.key };
            let id = AuthorityId(number + 2);
            let position = Position {
                side,
                tier: Tier::Issuing,
                id,
                ordinal: 1,
                issuer: Some(above),
                constraints: None,
            };
            founded.push(authority(options, passphrase, &position, now, &random)?);
        }
        founded.push(root);
    }
    founded.sort_by_key(|one| one.record.id);

    make_folder(layout.root(), 0o755)?;
    make_folder(&layout.crls(), 0o755)?;
    make_folder(&layout.root().join("authorities"), 0o700)?;
    let mut crls = Vec::new();
    for one in &founded {
        let name = &one.record.name;
        let folder = layout.authority(name);
        make_folder(&folder, 0o700)?;
        match one.key.kept(passphrase, &random)? {
            Kept::Pem(text) => write_new(&folder.join("key.pem"), text.as_bytes(), 0o600)?,
            Kept::Uri(text) => write_new(&folder.join("key.uri"), text.as_bytes(), 0o600)?,
        }
        let pem = one.certificate.to_pem();
        write_new(&folder.join("cert.pem"), pem.as_bytes(), 0o600)?;
        if one.record.tier == Tier::Root {
            write_new(&layout.trust().join(format!("{name}.pem")), pem.as_bytes(), 0o644)?;
        }
        let above = one.record.tier == Tier::Root && options.shape == Shape::Issuing;
        let days = if above { ROOT_CRL_DAYS } else { CRL_DAYS };
        let mut next_update = now.plus_seconds(i64::from(days) * 86_400);
        if options.test.is_some() {
            next_update = next_update.min(one.certificate.validity().not_after);
        }
        let crl = CrlRecord {
            authority: one.record.id,
            shard: None,
            number: now.unix(),
            this_update: now,
            next_update,
        };
        let content = CrlContent {
            issuer: &one.certificate,
            number: crl.number,
            this_update: now,
            next_update,
            point: None,
            entries: &[],
        };
        let list = crl::sign(&content, &*one.key.signer()?)?;
        write_new(&layout.crl(name, None), armour("X509 CRL", &list).as_bytes(), 0o644)?;
        sync_folder(&folder)?;
        crls.push(crl);
    }
    sync_folder(&layout.crls())?;
    sync_folder(&layout.trust())?;

    let database = layout.database();
    write_new(&database, b"", 0o600)?;
    let mut store = SqlStore::sqlite(&database)?;
    let names: Vec<&str> = founded.iter().map(|one| one.record.name.as_str()).collect();
    let mut detail = json!({ "name": options.name, "shape": options.shape.as_str(), "key": options.key.as_str(), "authorities": names });
    if let Some(legacy) = options.test {
        detail["test"] = json!(true);
        detail["legacy"] = json!(legacy.to_string());
    }
    let audit = AuditEvent { at: now, event: "init", detail };
    let certificates: Vec<_> =
        founded.iter().map(|one| (one.intent.clone(), one.certificate.der().to_vec())).collect();
    let records: Vec<_> = founded.into_iter().map(|one| one.record).collect();
    store.found(&options.settings(), &records, &certificates, &crls, &audit)?;
    store.settle()?;
    set_mode(&database, 0o600)?;
    Ok(sync_folder(layout.root())?)
}

pub(super) fn authority(
    options: &FoundOptions,
    passphrase: Option<&Passphrase>,
    position: &Position<'_>,
    now: Timestamp,
    random: &dyn RandomSource,
) -> Result<Founded, IssueError> {
    let Position { side, tier, id, ordinal, issuer, ref constraints } = *position;
    let subject = subject(options, side, tier, ordinal)?;
    let path_length = u8::from(tier == Tier::Root && options.shape == Shape::Issuing);
    let profile = Profile::Authority { path_length };
    let rules = match (options.test, tier) {
        (None, _) => Rules::Production,
        (Some(legacy), Tier::Root) => Rules::Test(legacy),
        // Nobody takes a certificate of version 1 for an authority's, unless it is an anchor.
        (Some(legacy), Tier::Issuing) => Rules::Test(Legacy { x509_v1: false, ..legacy }),
    };
    let name = authority_name(side, tier, ordinal);
    let key = match &options.token {
        None => AuthorityKey::generate(options.key, options.test)?,
        Some(token) => AuthorityKey::generate_in(token, &name, options.key, passphrase, random)?,
    };
    let public_key = key.public_key_der()?;
    let serial = SerialNumber::generate(random)?;
    let issuer_certificate = issuer.map(|issuer| issuer.certificate);
    let signer = issuer.map_or(&key, |issuer| issuer.key).signer_for(rules.legacy())?;
    let mut validity = validity_for(now, options.days);
    if let Some(issuer) = issuer_certificate {
        validity.not_after = validity.not_after.min(issuer.validity().not_after);
    }
    let subject_der = subject.to_der();
    let extensions = if rules.legacy().x509_v1 {
        Vec::new()
    } else {
        let issuer_key = issuer_certificate.and_then(Certificate::subject_key_identifier);
        let mut extensions = profile.extensions(&public_key, issuer_key, &[])?;
        extensions.extend(constraints.clone());
        extensions
    };
    let template = Template {
        version: rules.version(),
        serial: serial.as_bytes().to_vec(),
        signature_algorithm: signer.algorithm(),
        issuer: issuer_certificate
            .map_or_else(|| subject_der.clone(), |issuer| issuer.subject().der().to_vec()),
        validity,
        subject: subject_der,
        public_key: public_key.clone(),
        extensions,
    };
    let certificate = prepare(template, profile, rules, issuer_certificate)?.issue(&*signer)?;
    let intent = Intent {
        authority: issuer.map_or(id, |issuer| issuer.id),
        serial: serial.as_bytes().to_vec(),
        kind: Kind::Authority,
        name: name.clone(),
        product: None,
        device_serial: None,
        public_key: *certs::Fingerprint::of(&public_key).as_bytes(),
        validity,
        at: now,
        folder: Path::new("authorities").join(&name),
        shard: None,
    };
    let record = AuthorityRecord { id, name, side, tier, certificate: certificate.der().to_vec() };
    Ok(Founded { record, certificate, key, intent })
}

/// How an authority is called in the store.
pub(super) fn authority_name(side: Side, tier: Tier, ordinal: u32) -> String {
    let name = format!("{}-{}", side.as_str(), tier.as_str());
    if ordinal == 1 { name } else { format!("{name}-{ordinal}") }
}

/// How an authority is called in certificates.
pub(super) fn subject(
    options: &FoundOptions,
    side: Side,
    tier: Tier,
    ordinal: u32,
) -> Result<SubjectName, NameError> {
    let title = match (side, tier) {
        (Side::Server, Tier::Root) => "Server Root",
        (Side::Server, Tier::Issuing) => "Server Issuing",
        (Side::Client, Tier::Root) => "Client Root",
        (Side::Client, Tier::Issuing) => "Client Issuing",
    };
    let name = &options.name;
    let title = if ordinal == 1 { format!("{title} CA") } else { format!("{title} CA {ordinal}") };
    let mut attributes = vec![(AttributeType::Organization, name.clone())];
    if options.test.is_some() {
        attributes.push((AttributeType::OrganizationalUnit, TEST_UNIT.to_owned()));
        attributes.push((AttributeType::CommonName, format!("{TEST_PREFIX}{name} {title}")));
    } else {
        attributes.push((AttributeType::CommonName, format!("{name} {title}")));
    }
    SubjectName::new(attributes)
}
