//! What was issued, to whom, and what became of it: the inventory behind one trait.

mod backend;
mod database_url;
mod files;
mod import;
mod layout;
mod lifecycle;
mod lock;
mod log;
mod postgres;
mod publication;
mod schema;
mod search;
mod sql;
mod sqlite;

use std::path::PathBuf;

use certs::{Timestamp, Validity};

pub use backend::Exclusion;
pub use database_url::{PostgresUrl, UrlError};
pub use files::FileError;
pub(crate) use files::{
    folder_of, remove_tree, set_mode, sync_folder, write_by_way_of, write_later, write_new, write_replacing,
};
pub use import::{AdoptedAuthority, ImportStep, ImportedCertificate, Imports};
pub use layout::Layout;
pub(crate) use layout::{crl_name, make_folder};
pub use lifecycle::Lifecycle;
pub use lock::LockError;
pub(crate) use lock::StoreLock;
pub use log::{AuditLog, Checkpoint, LogEntry};
pub use publication::{Publication, PublicationStore, RevocationMark, RevocationMarks, Shard, ShardNumber};
pub use search::{Page, Search, Tally};
pub use sql::SqlStore;
pub(crate) use sql::import::foreign as foreign_setting;
pub(crate) use sql::{Rebuilding, Salvaged, ServerInventory};

/// The number of a certificate's row; it means nothing outside its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(pub(crate) i64);

/// The number of an authority's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuthorityId(pub(crate) i64);

/// Which of the guide's two trees an authority belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Side {
    /// Signs the devices' client certificates.
    Client,
    /// Signs the provisioning servers' certificates.
    Server,
}

/// Where in its tree an authority stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Tier {
    /// Below a root; signs certificates.
    Issuing,
    /// The trust anchor.
    Root,
}

/// One authority of the store.
#[derive(Debug, Clone)]
pub struct AuthorityRecord {
    /// Its row.
    pub id: AuthorityId,
    /// Its name: `server-root`, `client-root`, `server-issuing`, `client-issuing`.
    pub name: String,
    /// The tree.
    pub side: Side,
    /// Its place.
    pub tier: Tier,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An authority's own.
    Authority,
    /// One device's client certificate.
    Device,
    /// The client certificate that units without their own share.
    Generic,
    /// An OCSP responder's.
    Responder,
    /// A provisioning server's.
    Server,
}

/// How far a certificate got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Begun and never finished; its serial number is never used again.
    Abandoned,
    /// The serial number is taken, nothing is signed yet.
    Intent,
    /// Signed and stored.
    Issued,
}

/// Why a certificate was revoked (RFC 5280 §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
#[value(rename_all = "camelCase")]
pub enum RevocationReason {
    /// Nothing is said.
    Unspecified,
    /// The private key may be in other hands.
    KeyCompromise,
    /// The authority's private key may be in other hands.
    #[value(name = "cACompromise")]
    CaCompromise,
    /// The name changed, the device went to another owner.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// The device is out of service.
    CessationOfOperation,
    /// Suspended for the time being.
    CertificateHold,
    /// A right was taken away.
    PrivilegeWithdrawn,
    /// The attribute authority's key may be in other hands.
    #[value(name = "aACompromise")]
    AaCompromise,
}

/// That and when a certificate was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// The first time it was.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// What a new certificate is known by, before it exists.
#[derive(Debug, Clone)]
pub struct Intent {
    /// Who signs.
    pub authority: AuthorityId,
    /// Content octets of the serial number.
    pub serial: Vec<u8>,
    /// What it is for.
    pub kind: Kind,
    /// Host name, MAC address, `ciscogeneric` or the authority's name.
    pub name: String,
    /// The device's product.
    pub product: Option<String>,
    /// The device's serial number.
    pub device_serial: Option<String>,
    /// SHA-256 of the `SubjectPublicKeyInfo`.
    pub public_key: [u8; 32],
    /// From when until when.
    pub validity: Validity,
    /// When the number was taken.
    pub at: Timestamp,
    /// Where its files go, below the store's folder.
    pub folder: PathBuf,
    /// The list it is put on when it is revoked, beside the complete one; it stands in the certificate (CA F4, G1).
    pub shard: Option<ShardNumber>,
}

/// One row of the inventory.
#[derive(Debug, Clone)]
pub struct CertificateRecord {
    /// Its row.
    pub id: RecordId,
    /// How far it got.
    pub state: State,
    /// What it was to be.
    pub intent: Intent,
    /// The certificate, DER, when issued.
    pub certificate: Option<Vec<u8>>,
    /// Whether it was revoked.
    pub revocation: Option<Revocation>,
}

impl CertificateRecord {
    /// Issued, not revoked, and not past its end.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.state == State::Issued && self.revocation.is_none() && now <= self.intent.validity.not_after
    }

    /// One word for what it is now: `valid`, `expired`, `revoked` or `abandoned`.
    pub fn status(&self, now: Timestamp) -> &'static str {
        match self.state {
            State::Abandoned | State::Intent => "abandoned",
            State::Issued if self.revocation.is_some() => "revoked",
            State::Issued if now > self.intent.validity.not_after => "expired",
            State::Issued => "valid",
        }
    }
}

/// A certificate that is in the store for good.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its intent's row.
    pub id: RecordId,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// What is written into the audit log with it.
    pub audit: AuditEvent,
    /// The certificate whose place it takes, which ends with it.
    pub supersedes: Option<Superseded>,
}

/// A certificate that ends because another took its place.
#[derive(Debug, Clone)]
pub struct Superseded {
    /// Its row.
    pub id: RecordId,
    /// When and why.
    pub revocation: Revocation,
    /// What is written into the audit log about it.
    pub audit: AuditEvent,
}

/// One entry of a revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedEntry {
    /// Content octets of the serial number.
    pub serial: Vec<u8>,
    /// That and when.
    pub revocation: Revocation,
}

/// A published revocation list.
#[derive(Debug, Clone)]
pub struct CrlRecord {
    /// Whose.
    pub authority: AuthorityId,
    /// Which of its shards; the complete list is none.
    pub shard: Option<ShardNumber>,
    /// Its number.
    pub number: i64,
    /// When it was made.
    pub this_update: Timestamp,
    /// Until when it counts.
    pub next_update: Timestamp,
}

/// One line of the audit log.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// What: `init`, `issue`, `revoke`, `crl`, `clock`.
    pub event: &'static str,
    /// The facts.
    pub detail: serde_json::Value,
}

/// The store could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A value in the store makes no sense.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// The database refused.
    #[error("the store's database failed")]
    Database(#[from] rusqlite::Error),
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The database holds another certificate authority.
    #[error("the database holds another certificate authority")]
    InUse,
    /// Another host works on the inventory, and does not end.
    #[error("the inventory is in use by another host: {owner}")]
    OtherHost {
        /// What the database server knows of it.
        owner: String,
    },
    /// The database server refused, or the connection to it failed.
    #[error("the store's database server failed")]
    Server(#[from] ::postgres::Error),
    /// The database server's authority cannot be used.
    #[error("{} cannot vouch for the database server: {why}", path.display())]
    ServerTrust {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A serial number is taken already (CA A2).
    #[error("the serial number is taken")]
    SerialTaken,
    /// A newer program wrote it.
    #[error("the store has format {found}, this program knows {known}")]
    TooNew {
        /// Its format.
        found: i64,
        /// Ours.
        known: i64,
    },
}

impl StoreError {
    /// Whether a row of the same key is there already.
    fn is_duplicate(&self) -> bool {
        match self {
            Self::Database(rusqlite::Error::SqliteFailure(failure, _)) => {
                failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
            }
            Self::Server(error) => error.code() == Some(&::postgres::error::SqlState::UNIQUE_VIOLATION),
            Self::Damaged { .. }
            | Self::Database(_)
            | Self::File(_)
            | Self::InUse
            | Self::OtherHost { .. }
            | Self::SerialTaken
            | Self::ServerTrust { .. }
            | Self::TooNew { .. } => false,
        }
    }
}

/// Which certificates are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// All of them, oldest first.
    All,
    /// Those of this device serial number.
    DeviceSerial(String),
    /// The one with this SHA-256 fingerprint.
    Fingerprint([u8; 32]),
    /// Those of this kind and name.
    Name(Kind, String),
    /// The one with this public key (SHA-256 of its `SubjectPublicKeyInfo`).
    PublicKey([u8; 32]),
    /// Those with this serial number, from any authority.
    Serial(Vec<u8>),
    /// Those begun and not finished.
    Unfinished,
}

/// The inventory. Every method that writes is one durable transaction.
pub trait Store: AuditLog + PublicationStore + Search + Lifecycle + Imports + Send {
    /// Keeps other hosts that share the inventory out until what is given back is dropped; a folder's own lock does the rest.
    fn keep_out(&self) -> Result<Option<Box<dyn Exclusion>>, StoreError>;

    /// Whether the connection to the inventory is gone, so that it must be opened anew.
    fn is_lost(&self) -> bool;

    /// The authorities, roots first.
    fn authorities(&self) -> Result<Vec<AuthorityRecord>, StoreError>;

    /// A value kept beside the inventory.
    fn setting(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Begins to ask many questions and to write nothing; they are answered quicker so. [`end_reading`](Self::end_reading)
    /// comes before anything is written.
    fn begin_reading(&self) -> Result<(), StoreError>;

    /// Ends what [`begin_reading`](Self::begin_reading) began.
    fn end_reading(&self);

    /// Takes the serial numbers before anything is signed (CA A2, I1).
    fn reserve(&mut self, intents: &[Intent]) -> Result<Vec<RecordId>, StoreError>;

    /// Keeps finished certificates together with their audit events (CA I3).
    fn finish(&mut self, finished: &[Finished]) -> Result<(), StoreError>;

    /// Marks intents that will never be finished.
    fn abandon(&mut self, ids: &[RecordId]) -> Result<(), StoreError>;

    /// One certificate by its row.
    fn certificate(&self, id: RecordId) -> Result<Option<CertificateRecord>, StoreError>;

    /// The certificates that match, oldest first.
    fn find(&self, query: &Query) -> Result<Vec<CertificateRecord>, StoreError>;

    /// Records a revocation. A second one keeps the first date, and changes the reason only to keyCompromise (CA G5).
    fn revoke(
        &mut self,
        id: RecordId,
        revocation: Revocation,
        audit: &AuditEvent,
    ) -> Result<Revocation, StoreError>;

    /// Writes an audit event that belongs to no certificate.
    fn note(&mut self, audit: &AuditEvent) -> Result<(), StoreError>;

    /// The latest time in the audit log since the clock was last said to be right (CA E4).
    fn last_audit(&self) -> Result<Option<Timestamp>, StoreError>;
}

/// Words for the columns that hold an enum.
macro_rules! words {
    ($type:ty { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// The word the store, the output and the command line use.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            pub(crate) fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(Side { Client => "client", Server => "server" });
words!(Tier { Issuing => "issuing", Root => "root" });
words!(Kind { Authority => "authority", Device => "device", Generic => "generic", Responder => "responder", Server => "server" });
words!(State { Abandoned => "abandoned", Intent => "intent", Issued => "issued" });
words!(RevocationReason {
    Unspecified => "unspecified",
    KeyCompromise => "keyCompromise",
    CaCompromise => "cACompromise",
    AffiliationChanged => "affiliationChanged",
    Superseded => "superseded",
    CessationOfOperation => "cessationOfOperation",
    CertificateHold => "certificateHold",
    PrivilegeWithdrawn => "privilegeWithdrawn",
    AaCompromise => "aACompromise",
});
