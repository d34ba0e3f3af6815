//! The certificate authority for provisioning phones: a library, and the program `provision-ca` on top of it.
//!
//! It makes the two authorities of the phones' guide — a *server root* that signs the provisioning servers'
//! certificates and a *client root* that signs the devices' — keeps an inventory of all it issued, revokes, and
//! publishes revocation lists. Everything lies in one folder, see [`Layout`].
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use ca::{Authority, DeviceIdentity, DeviceRequest, FoundOptions, KeyType, MacAttribute, OperatingSystem, SubjectKey, SystemClock};
//!
//! # let folder = tempfile::tempdir()?;
//! # let root = folder.path().join("provision-ca");
//! let options = FoundOptions { name: "Example Telco".to_owned(), key: KeyType::P256, ..FoundOptions::default() };
//! let mut authority = Authority::found(&root, &options, None, Arc::new(SystemClock))?;
//!
//! let issued = authority.issue_device(DeviceRequest {
//!     identity: DeviceIdentity::parse("CP-8841-3PCC", "88012BA01234", "00:0E:08:AB:CD:EF")?,
//!     mac_attribute: MacAttribute::Surname,
//!     key: SubjectKey::generate(KeyType::P256, None, &OperatingSystem)?,
//!     validity: None,
//!     replace: false,
//! })?;
//! assert!(issued.folder.ends_with("devices/000e08abcdef"));
//! assert!(issued.folder.join("chain.pem").is_file());
//! # Ok(())
//! # }
//! ```
//!
//! # How a certificate comes to be
//!
//! The request is judged; a serial number is drawn and written down with the intent; the new key is kept; the
//! certificate is built and checked under a placeholder for the signature; the real key signs; a second parser
//! (`certs`) reads the result and every field is compared with the intent; certificate and audit record are stored in one
//! transaction; then the files are moved into place. Killed between any two steps, the next command that writes ends or
//! clears away what was begun.
//!
//! # What many certificates cost
//!
//! A batch is made on all cores, in parts (`authority/issue/batch.rs`): while the disk takes one part, the next is signed. The store
//! is locked for a batch and free between two; how large one is follows from how long the last one took, so that others wait
//! about two seconds at most, also for a slow token. `examples/figures` measures it. Profiles (`perf record -g`, and `strace -f -c`
//! for the calls) of 2000 certificates from requests led to these changes, the dearest finding first:
//!
//! - SQLite planned each question anew: the partial index on unfinished rows makes it look at the bound values, and every other
//!   value is a new plan. That was three fifths of the time in which a list is judged. `SQLITE_DBCONFIG_ENABLE_QPSG` ends it.
//! - One thread did everything but the checking of requests. Now threads keep the keys, sign, read back and write the files; one
//!   has the database.
//! - Each question locked and unlocked the database file, 22 calls for each certificate: the questions of a batch are asked in
//!   one read transaction. Where every line has a request they are asked once less, for the authority compares by itself.
//! - Certificate and chain were written after the inventory had the certificate, and flushed a second time. Now they lie beside
//!   the key before: one flush of the file system for a part, and one of the folder for a batch.
//! - The publication, its shards, the key's path and the end of the log were looked up for each certificate; now once for a batch.
//! - After signing every rule was looked at a second time, though the signed part is compared byte for byte with what was judged:
//!   now the second parser reads, the fields are compared with the intent, and the signature is verified, no more.
//! - Small factors of an RSA key are looked for with one long division for several primes.
//! - Lists are read by a thread of their own, also when they are judged, and a line is remembered in 28 octets instead of 48. With
//!   many repeated lines the search for them took the square of their number.
//!
//! What was looked for and not found: a signature of a throw-away key (the lint never made one: it looks at the signed part under a
//! placeholder); much time in flushing (4 % when it was done in turn with signing). What remains beside the signature, in order:
//! making folder and files (the kernel), verifying the request, SQLite, the memory allocator. On ext4 making files is several times
//! dearer within five minutes of removing many, whose inodes it passes over one by one: measure in a folder where nothing was
//! removed.
//!
//! # Test stores and twins
//!
//! Old units carry what nobody should make any more: SHA-1 and MD5, 1024 bits, version 1. To try a gateway with the like, a
//! store can be founded for tests ([`FoundOptions::for_tests`]); its authorities' names say so, everything in it is
//! short-lived, and it alone issues as [`Legacy`] says. `mirror` makes twins of real chains, with keys of their own and
//! marked. Their keys are the only ones that the crate `rsa` uses, and they sign nothing for the network.
//!
//! Numbers such as CA B7 in comments and tests name the requirements on certificate authorities that are kept there: A
//! serial numbers, B requests, C authorities, D names, E time, F extensions, G revocation, H keys and files, I the cycle
//! above; R faults seen in other software.
//!
//! Certificates are built with the types of `der` and `x509-cert`, not with a certificate-making library: the bytes to be
//! signed exist before any key is touched, the issuer's name and the public key stay byte for byte what they were, and
//! the measured faults of rcgen (R1 to R17) have no place to occur.

mod authority;
mod batch;
pub mod cli;
mod clock;
pub mod commands;
mod crl;
mod device;
mod device_list;
mod error;
mod import;
mod inspect;
mod key;
mod key_policy;
mod legacy;
mod lint;
mod log;
mod mirror;
#[cfg(test)]
mod mutations;
mod ocsp;
mod passphrase;
mod printer;
mod profile;
mod random;
mod request;
mod resolve;
mod selector;
mod serial;
mod serve;
mod server_name;
mod signer;
mod store;
mod subject;
mod template;

pub use authority::{
    AddAuthority, Adopted, Adoption, AnswerOutcome, Arrival, Authority, BatchAnswer, BatchRequest,
    BatchRequested, CRL_DAYS, CertificateImport, Copied, DEVICE_DAYS, DeviceRequest, DueList, FoundOptions,
    GenericRequest, ImportContent, ImportOutcome, Issued, Issuer, LastList, ListDays, LogReport, MAX_SHARDS,
    NewIssuing, PublicationError, PublicationRequest, PublicationSetting, Published, RESPONDER_DAYS,
    ROOT_CRL_DAYS, Rebuilt, Renewal, RenewalRequest, Revoked, SERVER_DAYS, ServerRequest, Shape, SignedBatch,
    Standing, StoreReport, SubjectKey, Taken, TouchedList,
};
pub use batch::{Batch, BatchError};
pub use clock::{Clock, FixedClock, SystemClock};
pub use crl::CrlError;
pub use device::{DeviceIdentity, MacAttribute};
pub use error::IssueError;
pub use import::{ImportError, Place};
pub use key::{KeyError, KeyType, PrivateKey, Token, TokenError, check_decryption_cost};
pub use key_policy::{BlocklistError, KeyBlocklist, WeakKey};
pub use legacy::{Legacy, LegacyTrait, TEST_DAYS};
pub use mirror::{MirrorError, TwinProfile};
pub use passphrase::{Passphrase, PassphraseError, PassphraseSource, Whose};
pub use profile::{Profile, validity_for};
pub use random::{OperatingSystem, RandomError, RandomSource};
pub use request::{DeviceRequestContent, NewRequest, RequestError, ServerRequestContent};
pub use selector::{Selector, SelectorError};
pub use serial::SerialNumber;
pub use serve::{CONNECTIONS, CONNECTIONS_PER_ADDRESS, ServeError, ServeOptions, serve};
pub use server_name::ServerName;
pub use store::{
    AdoptedAuthority, AuditEvent, AuditLog, AuthorityId, AuthorityRecord, CertificateRecord, Checkpoint,
    CrlRecord, Exclusion, FileError, Finished, ImportStep, ImportedCertificate, Imports, Intent, Kind,
    Layout, Lifecycle, LockError, LogEntry, Page, PostgresUrl, Publication, PublicationStore, Query,
    RecordId, Revocation, RevocationMark, RevocationMarks, RevocationReason, RevokedEntry, Search, Shard,
    ShardNumber, Side, SqlStore, State, Store, StoreError, Superseded, Tally, Tier, UrlError,
};
pub use subject::{AttributeType, NameError, SubjectName};
