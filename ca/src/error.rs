//! Why nothing was issued, revoked or published.

use std::path::PathBuf;

use certs::Timestamp;

use crate::authority::PublicationError;
use crate::batch::BatchError;
use crate::crl::CrlError;
use crate::import::ImportError;
use crate::key::KeyError;
use crate::key_policy::BlocklistError;
use crate::mirror::MirrorError;
use crate::passphrase::PassphraseError;
use crate::random::RandomError;
use crate::request::RequestError;
use crate::store::{FileError, LockError, StoreError, UrlError};
use crate::subject::NameError;

/// An authority did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The name has a certificate already that says something else.
    #[error("{name} already has a valid certificate, {serial}, until {not_after}: {difference}")]
    AlreadyIssued {
        /// Host name or MAC address.
        name: String,
        /// The certificate's serial number.
        serial: String,
        /// Its end.
        not_after: Timestamp,
        /// What differs.
        difference: String,
    },
    /// The authority may not sign this (CA C1, C2).
    #[error("authority {name} cannot sign: {why}")]
    Authority {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
    /// A copy of the store goes into a folder of its own.
    #[error("{} exists already, and a backup is a new folder", path.display())]
    BackupThere {
        /// What is there.
        path: PathBuf,
    },
    /// A folder for an offline root, or its answer, is refused.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A key is blocked, or the list of blocked keys cannot be read (CA B6).
    #[error(transparent)]
    Blocklist(#[from] BlocklistError),
    /// The clock shows a time that cannot be (CA E4).
    #[error("the system clock shows {now}, but the store was last written {last}")]
    ClockBehind {
        /// What it shows.
        now: Timestamp,
        /// A time that has been.
        last: Timestamp,
    },
    /// A list could not be made.
    #[error(transparent)]
    Crl(#[from] CrlError),
    /// The store's folder names a database that cannot be understood.
    #[error("{} names no database", path.display())]
    DatabaseUrl {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: UrlError,
    },
    /// Another device has this serial number.
    #[error("device serial number {serial} belongs to {mac}, which has a valid certificate")]
    DeviceSerialTaken {
        /// The serial number.
        serial: String,
        /// Whose it is.
        mac: String,
    },
    /// There is a store here already.
    #[error("{} holds a certificate authority already", path.display())]
    AlreadyFounded {
        /// The folder.
        path: PathBuf,
    },
    /// A store that was nearly made, by a command that was killed, is to be completed as something else.
    #[error("an unfinished certificate authority is in {}, made with {difference}", path.display())]
    UnfinishedDiffers {
        /// The folder.
        path: PathBuf,
        /// What was said then.
        difference: String,
    },
    /// A file or folder is where a new store would put its own.
    #[error("{} is in the way of a new certificate authority", path.display())]
    InTheWay {
        /// It.
        path: PathBuf,
    },
    /// The bytes could not be written; a fault of this program.
    #[error("cannot encode the certificate")]
    Encoding(#[from] der::Error),
    /// A folder or file is there that would be overwritten.
    #[error("{} exists already", path.display())]
    Exists {
        /// The folder or file.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A private key could not be made or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key file does not belong to its certificate.
    #[error("the private key {} does not belong to the certificate of {authority}", path.display())]
    KeyMismatch {
        /// Whose certificate.
        authority: String,
        /// The key file.
        path: PathBuf,
    },
    /// The public key is in use elsewhere (CA B7).
    #[error("the public key is that of {owner}; every device and server needs its own")]
    KeyTaken {
        /// Whose it is.
        owner: String,
    },
    /// Whoever issued it revokes it, and its key is elsewhere.
    #[error(
        "{name}, certificate {serial}, was issued by {issuer}, whose key is not in the store: nobody would learn of it"
    )]
    ForeignRevocation {
        /// Host name, MAC address or subject.
        name: String,
        /// The certificate's serial number.
        serial: String,
        /// Who issued it.
        issuer: String,
    },
    /// Something could not be taken in.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// What was made is not what was meant; it was not handed out.
    #[error("the certificate failed its checks: {}", complaints.join("; "))]
    Lint {
        /// Every complaint.
        complaints: Vec<String>,
    },
    /// Another process holds the store.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A chain cannot be mirrored.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A name cannot stand in a certificate.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Nothing in the store is known by this.
    #[error("nothing in the store is known as {selector:?}")]
    NotFound {
        /// What was asked for.
        selector: String,
    },
    /// The store failed at a certificate before this one, and nothing was made of this.
    #[error("not reached, because the store failed before")]
    NotReached,
    /// This certificate has no successor.
    #[error("{name}, certificate {serial}: {why}")]
    NotRenewable {
        /// Host name or MAC address.
        name: String,
        /// The certificate's serial number.
        serial: String,
        /// Why.
        why: String,
    },
    /// No store here.
    #[error("{} holds no certificate authority", path.display())]
    NotInitialised {
        /// The folder.
        path: PathBuf,
    },
    /// The certificate would outlive its issuer (CA C4).
    #[error("the certificate would end {not_after}, after its issuer, which ends {issuer}")]
    OutlivesIssuer {
        /// The certificate's end.
        not_after: Timestamp,
        /// The issuer's.
        issuer: Timestamp,
    },
    /// No passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// An authority cannot publish so.
    #[error(transparent)]
    Publication(#[from] PublicationError),
    /// The random generator failed.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A certification request cannot be used.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A root cannot be put on its own list (CA C7).
    #[error("{name} is a root: nobody can revoke it, take it out of the trust stores instead")]
    RootRevocation {
        /// Which.
        name: String,
    },
    /// The inventory could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was asked for belongs in a test store, and this is none.
    #[error("{asked} is for test stores only, and {} is a production store", path.display())]
    TestStoreOnly {
        /// The option.
        asked: String,
        /// The store's folder.
        path: PathBuf,
    },
    /// A period that cannot be (CA R7, E1).
    #[error("a certificate from {not_before} to {not_after} is not possible")]
    Validity {
        /// Its beginning.
        not_before: Timestamp,
        /// Its end.
        not_after: Timestamp,
    },
}

impl IssueError {
    /// What the operator can do about it, when we know.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::AlreadyFounded { .. } => Some("`--store DIR` makes another one elsewhere".to_owned()),
            Self::UnfinishedDiffers { .. } => {
                Some("say the same now, or remove that folder and begin anew".to_owned())
            }
            Self::InTheWay { .. } => {
                Some("move it away, or name another folder with `--store DIR`".to_owned())
            }
            Self::AlreadyIssued { .. } => {
                Some("`--force` issues a new one and keeps the old files under `superseded`".to_owned())
            }
            Self::ClockBehind { .. } => {
                Some("set the clock right (NTP); if it is right now and was ahead then, say `--clock-is-right` once".to_owned())
            }
            Self::Crl(error) => error.hint(),
            Self::DeviceSerialTaken { mac, .. } => Some(format!(
                "check the two numbers; if the device was replaced, `provision-ca revoke {mac}` first"
            )),
            Self::Exists { .. } => Some(
                "`--force` moves what is there to `superseded` first; or choose another place".to_owned(),
            ),
            Self::ForeignRevocation { .. } => Some(
                "have that authority revoke it and import its list; to shut it out at once, write it into the gateway's deny file"
                    .to_owned(),
            ),
            Self::BackupThere { .. } => {
                Some("name one that is not there yet: provision-ca backup /mnt/backup/ca-$(date +%F)".to_owned())
            }
            Self::Batch(error) => Some(error.remedy().to_owned()),
            Self::Import(error) => Some(error.remedy().to_owned()),
            Self::Key(error) => match error {
                KeyError::WantsPassphrase => {
                    Some("`--passphrase-file FILE` or `--passphrase-env NAME`".to_owned())
                }
                KeyError::OldEncryption => {
                    Some("convert it: openssl pkcs8 -topk8 -in OLD -out NEW".to_owned())
                }
                KeyError::TooCostly(_) => Some(
                    "if the key is yours, encrypt it again: openssl pkcs8 -topk8 -in OLD -out NEW".to_owned(),
                ),
                KeyError::Algorithm(_) => Some(
                    "sha1 and md5 need authorities with RSA keys: `init --test --key rsa2048`".to_owned(),
                ),
                KeyError::Token(error) => error.hint().map(str::to_owned),
                KeyError::EncryptionUnsupported(_)
                | KeyError::Generation
                | KeyError::PublicKeyOnly
                | KeyError::Rejected
                | KeyError::Random(_)
                | KeyError::Sealing
                | KeyError::Signing
                | KeyError::Unrecognised { .. }
                | KeyError::WrongPassphrase => None,
            },
            Self::KeyTaken { .. } => {
                Some("make a new key and a new request on the machine itself".to_owned())
            }
            Self::Lock(LockError::Held { .. }) | Self::Store(StoreError::OtherHost { .. }) => {
                Some("wait for the other command to end, then run this one again".to_owned())
            }
            Self::Mirror(error) => error.hint().map(str::to_owned),
            Self::Name(NameError::Wildcard { .. }) => Some(
                "issue one certificate per host name; more names of one host go in with `--san`".to_owned(),
            ),
            Self::Name(NameError::Mac { .. }) => {
                Some("the address is on the label of the phone, as 00:0E:08:AB:CD:EF".to_owned())
            }
            Self::NotFound { .. } => Some("`provision-ca list` shows everything issued".to_owned()),
            Self::NotInitialised { .. } => {
                Some("`provision-ca init` makes one; `--store DIR` names another folder".to_owned())
            }
            Self::OutlivesIssuer { .. } => Some("choose fewer days with `--days`".to_owned()),
            Self::Passphrase(PassphraseError::NoTerminal) => Some(
                "`--passphrase-file FILE`, `--passphrase-env NAME`, or `--no-passphrase` at `init`"
                    .to_owned(),
            ),
            Self::Passphrase(PassphraseError::Shared) => Some(
                "it lies wherever such a key is used: choose another, with `--key-passphrase-file` or `--key-passphrase-env`"
                    .to_owned(),
            ),
            Self::Publication(error) => error.hint(),
            Self::Request(error) => error.hint(),
            Self::Store(StoreError::Database(error)) if is_forbidden(error) => Some(
                "run it as the user whom the store belongs to, who must be able to write to its folder too".to_owned(),
            ),
            // No connection, no such user, no such database; what else a server says is no matter of these.
            Self::Store(StoreError::Server(error))
                if error.code().is_none_or(|code| ["28", "3D"].iter().any(|class| code.code().starts_with(class))) => Some(
                "see that the server named in `database.url`, or after `--database`, runs, lets this user in, and with sslmode=verify-full has a certificate for its host name from the authority in sslrootcert"
                    .to_owned(),
            ),
            Self::TestStoreOnly { .. } => Some(
                "`provision-ca --store DIR init --test` makes a test store, whose certificates are marked and end within 90 days"
                    .to_owned(),
            ),
            Self::Authority { .. }
            | Self::Blocklist(_)
            | Self::DatabaseUrl { .. }
            | Self::Encoding(_)
            | Self::File(_)
            | Self::KeyMismatch { .. }
            | Self::Lint { .. }
            | Self::Lock(LockError::File(_))
            | Self::Name(_)
            | Self::NotReached
            | Self::NotRenewable { .. }
            | Self::Passphrase(_)
            | Self::Random(_)
            | Self::RootRevocation { .. }
            | Self::Store(_)
            | Self::Validity { .. } => None,
        }
    }
}

/// Whether the system does not let this user read or write the inventory's file.
fn is_forbidden(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
    matches!(error.sqlite_error_code(), Some(CannotOpen | PermissionDenied | ReadOnly))
}
