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
mod open;
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
use std::path::PathBuf;
use std::sync::Arc;

use certs::{Certificate, Timestamp};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::error::IssueError;
use crate::key;
use crate::legacy::Legacy;
use crate::passphrase::Passphrase;
use crate::random::RandomSource;
use crate::selector::Selector;
use crate::signer::Signer;
use crate::store::{
    AuditEvent, AuthorityId, AuthorityRecord, CertificateRecord, FileError, Kind, Layout, Query, Side, State,
    Store, StoreLock, Tier,
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
pub(crate) use open::is_marked;
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

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("root", &self.layout.root()).finish_non_exhaustive()
    }
}
