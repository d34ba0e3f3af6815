//! Where everything lies below the store's folder.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::ShardNumber;
use super::files::{FileError, ensure_mode};

/// The paths of one store.
///
/// ```text
/// ca.sqlite                      the inventory                                   0600
/// database.url                   instead of it: the server it is on              0600
/// audit.log                      the audit log, one entry a line                 0600
/// authorities/NAME/{cert,key}.pem                                                0700, 0600
/// authorities/NAME/ocsp/{cert,chain,key}.pem   its OCSP responder                0700, 0600
/// trust/{server,client}-root.pem what others need to check certificates          0755, 0644
/// trust/crls/NAME{,.SHARD}.crl   revocation lists, PEM
/// server/FQDN/{cert,chain,key}.pem                                               0700, 0600
/// devices/MAC/{cert,chain,key}.pem; devices/ciscogeneric/
/// requests/FQDN/                 certification requests for an outside authority
/// requests/root/NAME/            keys that wait for an offline root's answer    0700, 0600
/// batches/BATCH/NUMBER/          what this store's root signed for others        0700, 0600
/// batch-key.pem, batch-signer.pem   what requests to a root are signed with      0600, 0644
/// superseded/                    what `--force` replaced
/// imported/NAME/SERIAL/cert.pem  what an authority issued before it was imported          0700, 0600
/// mirror/CHAIN/                  test twins of real certificates
/// pending/                       what is being made just now
/// ```
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The inventory.
    pub fn database(&self) -> PathBuf {
        self.root.join("ca.sqlite")
    }

    /// Where the inventory is when it is on a database server.
    pub fn database_url(&self) -> PathBuf {
        self.root.join("database.url")
    }

    /// The audit log, one entry a line.
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("audit.log")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// What an authority keeps.
    pub fn authority(&self, name: &str) -> PathBuf {
        self.root.join("authorities").join(name)
    }

    /// An authority's OCSP responder.
    pub fn responder(&self, authority: &str) -> PathBuf {
        self.authority(authority).join("ocsp")
    }

    /// What others need to check our certificates.
    pub fn trust(&self) -> PathBuf {
        self.root.join("trust")
    }

    /// An authority's revocation list: the complete one, or that of a shard.
    pub fn crl(&self, authority: &str, shard: Option<ShardNumber>) -> PathBuf {
        self.crls().join(crl_name(authority, shard))
    }

    /// All revocation lists.
    pub fn crls(&self) -> PathBuf {
        self.trust().join("crls")
    }

    /// A server's certificate, chain and key.
    pub fn server(&self, fqdn: &str) -> PathBuf {
        self.root.join("server").join(fqdn)
    }

    /// A device's certificate, chain and key; `name` is its MAC address or `ciscogeneric`.
    pub fn device(&self, name: &str) -> PathBuf {
        self.root.join("devices").join(name)
    }

    /// Requests for an outside authority.
    pub fn request(&self, fqdn: &str) -> PathBuf {
        self.root.join("requests").join(fqdn)
    }

    /// Test twins of a real chain.
    pub fn mirror(&self, chain: &str) -> PathBuf {
        self.root.join("mirror").join(chain)
    }

    /// What was signed for others, by batch and number.
    pub(crate) fn batches(&self) -> PathBuf {
        self.root.join("batches")
    }

    /// Keys that wait for a root's answer.
    pub(crate) fn asked(&self) -> PathBuf {
        self.root.join("requests").join("root")
    }

    pub(crate) fn pending(&self) -> PathBuf {
        self.root.join("pending")
    }

    pub(crate) fn superseded(&self) -> PathBuf {
        self.root.join("superseded")
    }

    /// A path below the root, as the inventory keeps it.
    pub(crate) fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).map_or_else(|_elsewhere| path.to_owned(), Path::to_owned)
    }
}

/// The file of a revocation list, here and in its URI.
pub(crate) fn crl_name(authority: &str, shard: Option<ShardNumber>) -> String {
    shard.map_or_else(|| format!("{authority}.crl"), |shard| format!("{authority}.{shard}.crl"))
}

/// Makes a folder and those above it, when they are missing, with these permission bits.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<(), FileError> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => ensure_mode(path, mode),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(source) => match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) if source.kind() == ErrorKind::NotFound && !parent.is_dir() => {
                make_folder(parent, mode)?;
                make_folder(path, mode)
            }
            Some(_) | None => Err(FileError::new("make the folder", path, source)),
        },
    }
}
