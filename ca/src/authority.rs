//! The certificate authority: the store, the authorities' keys, and the verbs that use them.

mod backup;
mod batch;
mod check;
mod facts;
mod found;
mod hierarchy;
mod import;
mod issue;
mod judge;
mod keys;
mod leaf;
mod log;
mod mass;
mod period;
mod place;
mod publication;
mod publish;
mod rebuild;
mod renew;
mod responder;
mod revoke;
mod touched;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certs::{Certificate, Timestamp};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::error::IssueError;
use crate::key;
use crate::legacy::{Legacy, TEST_UNIT};
use crate::passphrase::Passphrase;
use crate::random::{OperatingSystem, RandomSource};
use crate::selector::Selector;
use crate::signer::Signer;
use crate::store::{
    AuditEvent, AuthorityId, AuthorityRecord, CertificateRecord, FileError, Kind, Layout, PostgresUrl, Query,
    Side, SqlStore, State, Store, StoreError, StoreLock, Tier,
};

use keys::AuthorityKey;
pub(crate) use keys::StoreKind;

pub use backup::Copied;
pub use batch::{AnswerOutcome, BatchAnswer, BatchRequest, BatchRequested, NewIssuing, SignedBatch, Taken};
pub use check::StoreReport;
pub use found::{FoundOptions, Shape};
pub use hierarchy::AddAuthority;
pub use import::{Adopted, Adoption, Arrival, CertificateImport, ImportContent, ImportOutcome, LastList};
pub(crate) use import::{IssuerFound, check as check_import, is_signed_by};
pub use leaf::{
    DeviceRequest, GenericRequest, Issued, Renewal, RenewalRequest, ServerRequest, Standing, SubjectKey,
};
pub use log::LogReport;
pub use publication::{MAX_SHARDS, PublicationError, PublicationRequest, PublicationSetting};
pub use publish::{CRL_DAYS, DueList, ListDays, Published, ROOT_CRL_DAYS};
pub use rebuild::Rebuilt;
pub use responder::RESPONDER_DAYS;
pub use revoke::Revoked;
pub use touched::TouchedList;

/// Days a device's certificate lasts unless said otherwise: longer than any phone.
pub const DEVICE_DAYS: u32 = 7300;

/// Days a server's certificate lasts unless said otherwise, as the phones' maker gives them.
pub const SERVER_DAYS: u32 = 365;

/// No clock of a working machine shows an earlier time: 2025-01-01 (CA E4).
const EARLIEST: Timestamp = Timestamp::from_unix(1_735_689_600);

/// How far the clock may step back (NTP) without stopping the work, in seconds.
const CLOCK_SLACK: i64 = 60;

/// An opened store with its authorities.
///
/// Reading methods (`find`, `issuers`) need no passphrase; whatever signs asks for the keys, see
/// [`unlock`](Self::unlock). Every method that writes takes the store's lock for as long as it writes, and first
/// finishes or clears away what a killed process left behind.
pub struct Authority {
    layout: Layout,
    kind: StoreKind,
    store: Box<dyn Store>,
    issuers: Vec<Issuer>,
    /// Who signs on each side, where the operator said so.
    signers: Vec<(Side, String)>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn RandomSource>,
    passphrase: Option<Passphrase>,
    /// How many make certificates at once.
    threads: NonZero<usize>,
}

/// One authority with its certificate read and its key, once it was needed.
pub struct Issuer {
    record: AuthorityRecord,
    certificate: Certificate,
    key: Option<AuthorityKey>,
    /// Whether its key is elsewhere, and the store only knows of it.
    is_foreign: bool,
}

impl Issuer {
    /// `server-root`, `client-root`, `server-issuing` or `client-issuing`.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Which tree it belongs to.
    pub fn side(&self) -> Side {
        self.record.side
    }

    /// Root or issuing.
    pub fn tier(&self) -> Tier {
        self.record.tier
    }

    /// Whether it is this one of the inventory.
    pub fn has_id(&self, id: AuthorityId) -> bool {
        self.record.id == id
    }

    /// Its number in the inventory.
    pub fn id(&self) -> AuthorityId {
        self.record.id
    }
}

impl Authority {
    /// Opens the store in the folder `root`.
    pub fn open(root: &Path, clock: Arc<dyn Clock>) -> Result<Self, IssueError> {
        let layout = Layout::new(root);
        if !is_there(&layout.database())? && !is_there(&layout.database_url())? {
            return Err(IssueError::NotInitialised { path: root.to_owned() });
        }
        let store: Box<dyn Store> = Box::new(open_database(&layout)?);
        let issuers = issuers_of(&*store)?;
        let kind = kind_of(&*store, &issuers)?;
        let signers = signers_of(&*store)?;
        let random = Arc::new(OperatingSystem);
        let threads = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        Ok(Self { layout, kind, store, issuers, signers, clock, random, passphrase: None, threads })
    }

    /// Opens the inventory anew when the connection to it is gone, as after a restart of the database server; whether it was.
    pub(crate) fn reconnect(&mut self) -> Result<bool, IssueError> {
        let is_lost = self.store.is_lost();
        if is_lost {
            self.store = Box::new(open_database(&self.layout)?);
        }
        Ok(is_lost)
    }

    /// Takes in what other processes did to the authorities; keys that are open stay open.
    pub(crate) fn refresh(&mut self) -> Result<(), IssueError> {
        let is_same = |now: &[AuthorityRecord], known: &[Issuer]| {
            now.len() == known.len()
                && now.iter().zip(known).all(|(now, known)| {
                    now.id == known.record.id && now.certificate == known.record.certificate
                })
        };
        self.signers = signers_of(&*self.store)?;
        if is_same(&self.store.authorities()?, &self.issuers) {
            for issuer in &mut self.issuers {
                issuer.is_foreign = issuer.is_foreign && self.store.is_foreign(&issuer.record.name)?;
            }
            return Ok(());
        }
        let mut issuers = issuers_of(&*self.store)?;
        for issuer in &mut issuers {
            let known = self.issuers.iter_mut().find(|known| known.certificate == issuer.certificate);
            issuer.key = known.and_then(|known| known.key.take());
        }
        self.issuers = issuers;
        Ok(())
    }

    /// Whether this is a test store: what it issues is marked, may be weak, and is short-lived.
    pub fn is_test(&self) -> bool {
        self.kind == StoreKind::Test
    }

    /// Refuses what only a test store does. `asked` is the option, as the command line has it.
    pub fn require_test(&self, asked: impl Into<String>) -> Result<(), IssueError> {
        match self.kind {
            StoreKind::Test => Ok(()),
            StoreKind::Production => {
                Err(IssueError::TestStoreOnly { asked: asked.into(), path: self.layout.root().to_owned() })
            }
        }
    }

    /// Gives the passphrase of the authorities' keys; they are opened when they are first needed.
    pub fn unlock(&mut self, passphrase: Passphrase) {
        self.passphrase = Some(passphrase);
    }

    /// Whether this passphrase opens any of the authorities' keys that are here.
    pub fn is_opened_by(&self, passphrase: &Passphrase) -> bool {
        if let Some(known) = &self.passphrase {
            return known == passphrase;
        }
        self.issuers.iter().any(|issuer| {
            let text = std::fs::read_to_string(self.key_path(issuer.name())).map(Zeroizing::new);
            text.is_ok_and(|text| {
                AuthorityKey::from_pem(&text, None, self.kind).is_err()
                    && AuthorityKey::from_pem(&text, Some(passphrase), self.kind).is_ok()
            })
        })
    }

    /// Whether the keys of these authorities are encrypted. No other key is looked at: a root's may be elsewhere.
    pub fn needs_passphrase(&self, ids: &[AuthorityId]) -> Result<bool, IssueError> {
        for issuer in self.issuers.iter().filter(|issuer| ids.contains(&issuer.id())) {
            if self.is_in_token(issuer.name()) {
                return Ok(true); // it has a PIN
            }
            let path = self.key_path(issuer.name());
            if key::is_encrypted_file(&path).map_err(|source| FileError::new("read", &path, source))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A root with an authority below it whose key file is not here: it is kept offline, as it should be.
    pub(crate) fn is_offline(&self, issuer: &Issuer) -> bool {
        issuer.tier() == Tier::Root
            && !issuer.is_foreign
            && self.has_issuing_tier(issuer.side())
            && !self.key_path(issuer.name()).exists()
            && !self.is_in_token(issuer.name())
    }

    fn has_issuing_tier(&self, side: Side) -> bool {
        self.issuers
            .iter()
            .any(|other| other.side() == side && other.tier() == Tier::Issuing && !other.is_foreign)
    }

    /// Where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The time, as this authority sees it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// All authorities, roots first.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The authority that signs certificates on this side.
    pub fn issuer_for(&self, side: Side) -> Result<&Issuer, IssueError> {
        let chosen = self.signers.iter().find(|(known, _)| *known == side).map(|(_, name)| name.as_str());
        let on_side = || self.issuers.iter().filter(|issuer| issuer.side() == side && !issuer.is_foreign);
        chosen
            .and_then(|name| on_side().find(|issuer| issuer.name() == name))
            // The first, an issuing authority where there is one: what is added signs when it is told to.
            .or_else(|| on_side().min_by_key(|issuer| issuer.tier() == Tier::Root))
            .ok_or_else(|| IssueError::Authority {
                name: side.as_str().to_owned(),
                why: "there is none".to_owned(),
            })
    }

    /// Certificates in the inventory.
    pub fn find(&self, query: &Query) -> Result<Vec<CertificateRecord>, IssueError> {
        Ok(self.store.find(query)?)
    }

    /// Certificates known by a MAC address, else a device serial number, else a host name, else a certificate serial number.
    ///
    /// The first kind that matches anything decides, and all of that kind are given.
    pub fn select(&self, selector: &str) -> Result<Vec<CertificateRecord>, IssueError> {
        let selector = selector.trim();
        let mut queries = Vec::new();
        if let Ok(mac) = policies::MacAddress::parse(selector) {
            queries.push(Query::Name(Kind::Device, mac.to_string()));
        }
        queries.push(Query::DeviceSerial(selector.to_owned()));
        queries.push(Query::Name(Kind::Server, selector.to_ascii_lowercase()));
        queries.push(Query::Name(Kind::Generic, selector.to_owned()));
        queries.push(Query::Name(Kind::Authority, selector.to_owned()));
        queries.push(Query::Name(Kind::Responder, selector.to_owned()));
        if let Some(serial) = certs::Serial::parse_hex(selector) {
            queries.push(Query::Serial(serial.as_bytes().to_vec()));
        }
        if let Ok(word) = Selector::parse(&[selector], self.now())
            && let Some(fingerprint) = word.fingerprint()
        {
            queries.push(Query::Fingerprint(fingerprint));
        }
        // What was begun and given up is shown only when there is nothing else.
        let mut given_up = Vec::new();
        for query in queries {
            let found = self.store.find(&query)?;
            if found.iter().any(|record| record.state == State::Issued) {
                return Ok(found);
            }
            if given_up.is_empty() {
                given_up = found;
            }
        }
        if !given_up.is_empty() {
            return Ok(given_up);
        }
        Err(IssueError::NotFound { selector: selector.to_owned() })
    }

    /// Whether the authority's key is in a token, whose name is kept in its place.
    fn is_in_token(&self, name: &str) -> bool {
        !self.key_path(name).exists() && self.uri_path(name).exists()
    }

    fn uri_path(&self, name: &str) -> PathBuf {
        self.layout.authority(name).join("key.uri")
    }

    fn key_path(&self, name: &str) -> PathBuf {
        self.layout.authority(name).join("key.pem")
    }

    /// Takes the store for writing, and brings to an end what a killed process left.
    fn lock(&mut self) -> Result<StoreLock, IssueError> {
        let lock = StoreLock::acquire(&self.layout.lock())?.with(self.store.keep_out()?);
        self.converge()?;
        self.write_log()?;
        Ok(lock)
    }

    /// Goes on from the present time although the store was last written at a later one: the operator says that the
    /// clock was wrong then. Does nothing when the clock is not behind.
    pub fn accept_clock(&mut self) -> Result<(), IssueError> {
        let _lock = self.lock()?;
        let now = self.clock.now();
        match self.plausible_now() {
            Err(IssueError::ClockBehind { last, .. }) if now >= EARLIEST => {
                let detail = serde_json::json!({ "later": last.to_string() });
                Ok(self.store.note(&AuditEvent { at: now, event: "clock", detail })?)
            }
            other => other.map(|_plausible| ()),
        }
    }

    /// The time, when it can be true (CA E4).
    fn plausible_now(&self) -> Result<Timestamp, IssueError> {
        let now = self.clock.now();
        let last = self.store.last_audit()?.unwrap_or(EARLIEST).max(EARLIEST);
        if now.plus_seconds(CLOCK_SLACK) < last {
            return Err(IssueError::ClockBehind { now, last });
        }
        Ok(now)
    }

    /// What an authority signs lists with, and certificates that have nothing old about them.
    fn signer(&mut self, id: AuthorityId) -> Result<Arc<dyn Signer>, IssueError> {
        Ok(self.key(id)?.signer()?)
    }

    /// What an authority signs a certificate with that is made as old as this.
    fn signer_for(&mut self, id: AuthorityId, legacy: Legacy) -> Result<Arc<dyn Signer>, IssueError> {
        Ok(self.key(id)?.signer_for(legacy)?)
    }

    /// The key of an authority, opened once.
    fn key(&mut self, id: AuthorityId) -> Result<&AuthorityKey, IssueError> {
        let position = self.issuers.iter().position(|issuer| issuer.id() == id).ok_or_else(|| {
            IssueError::Authority { name: format!("number {}", id.0), why: "there is none".to_owned() }
        })?;
        self.check_is_own(&self.issuers[position])?;
        let name = self.issuers[position].name();
        let in_token = self.is_in_token(name);
        let path = if in_token { self.uri_path(name) } else { self.key_path(name) };
        let issuer = &mut self.issuers[position];
        if issuer.key.is_none() {
            let text = std::fs::read_to_string(&path)
                .map(Zeroizing::new)
                .map_err(|source| FileError::new("read", &path, source))?;
            let key = match in_token {
                true => AuthorityKey::from_uri(&text, self.passphrase.as_ref())?,
                false => AuthorityKey::from_pem(&text, self.passphrase.as_ref(), self.kind)?,
            };
            if key.public_key_der()? != issuer.certificate.public_key().spki_der() {
                return Err(IssueError::KeyMismatch { authority: issuer.name().to_owned(), path });
            }
            issuer.key = Some(key);
        }
        Ok(issuer.key.as_ref().expect("it was put there by the lines above"))
    }

    /// Checks that these authorities' keys can be opened, before any work is done with them.
    pub fn check_keys(&mut self, ids: &[AuthorityId]) -> Result<(), IssueError> {
        ids.iter().try_for_each(|id| self.signer(*id).map(|_key| ()))
    }
}

/// Whether there is such a file; a folder that may not be looked into is no answer.
fn is_there(path: &Path) -> Result<bool, FileError> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match std::fs::metadata(path) {
        Ok(found) => Ok(found.is_file()),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(false),
        Err(source) => Err(FileError::new("read", path, source)),
    }
}

/// Who signs on each side, where the operator said so.
fn signers_of(store: &dyn Store) -> Result<Vec<(Side, String)>, IssueError> {
    let mut signers = Vec::new();
    for side in [Side::Client, Side::Server] {
        signers.extend(store.setting(&hierarchy::setting(side))?.map(|name| (side, name)));
    }
    Ok(signers)
}

/// The authorities of a store, with their certificates read.
fn issuers_of(store: &dyn Store) -> Result<Vec<Issuer>, IssueError> {
    store
        .authorities()?
        .into_iter()
        .map(|record| {
            let certificate =
                Certificate::parse(&record.certificate).map_err(|error| IssueError::Authority {
                    name: record.name.clone(),
                    why: format!("its certificate is damaged: {error}"),
                })?;
            let is_foreign = store.is_foreign(&record.name)?;
            Ok(Issuer { record, certificate, key: None, is_foreign })
        })
        .collect()
}

/// The inventory: on a server when the folder says so, else in the folder.
fn open_database(layout: &Layout) -> Result<SqlStore, IssueError> {
    let path = layout.database_url();
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let url = PostgresUrl::parse(&text, layout.root())
                .map_err(|source| IssueError::DatabaseUrl { path, source })?;
            Ok(SqlStore::postgres(&url)?)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(SqlStore::sqlite(&layout.database())?)
        }
        Err(source) => Err(FileError::new("read", &path, source).into()),
    }
}

/// Whether the store is for tests: it says so, and its roots say it to everybody else.
fn kind_of(store: &dyn Store, issuers: &[Issuer]) -> Result<StoreKind, IssueError> {
    let damaged = |what: &str| Err(StoreError::Damaged { what: what.to_owned() }.into());
    match store.setting("test")?.as_deref() {
        Some("no") => Ok(StoreKind::Production),
        Some("yes") if issuers.iter().all(|issuer| is_marked(&issuer.certificate)) => Ok(StoreKind::Test),
        Some("yes") => damaged("it says that it is for tests, but an authority's name does not"),
        Some(_) | None => damaged("it does not say whether it is for tests"),
    }
}

/// Whether an authority's name says that it is for tests.
pub(crate) fn is_marked(certificate: &Certificate) -> bool {
    certificate
        .subject()
        .values_of(&certs::oid::ORGANIZATIONAL_UNIT)
        .any(|unit| unit.text().is_ok_and(|text| text == TEST_UNIT))
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("root", &self.layout.root()).finish_non_exhaustive()
    }
}
