//! Putting finished files where they belong, in one step each, and clearing up after a kill (CA I1).
//!
//! A certificate's files are gathered in `pending/ROW`, flushed, and then renamed into place as a folder. Until its row says
//! `issued`, such a folder is rubbish; from then on it is completed, by whoever next takes the lock.

use std::fs;
use std::path::{Path, PathBuf};

use certs::Certificate;

use super::{Authority, Issuer, SubjectKey};
use crate::error::IssueError;
use crate::serial::hex;
use crate::store::{
    AuthorityId, CertificateRecord, FileError, Layout, Query, RecordId, State, Tier, make_folder,
    remove_tree, sync_folder, write_later, write_new,
};

/// When what is written reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    /// Each file with its writing.
    Each,
    /// All files of a batch when the batch is written.
    Together,
}

impl Flush {
    fn write(self, path: &Path, content: &[u8]) -> Result<(), IssueError> {
        match self {
            Self::Each => write_new(path, content, 0o600)?,
            Self::Together => write_later(path, content, 0o600)?,
        }
        Ok(())
    }

    fn folder(self, folder: &Path) -> Result<(), IssueError> {
        match self {
            Self::Each => Ok(sync_folder(folder)?),
            Self::Together => Ok(()),
        }
    }
}

/// Where files go. Several threads use it at once, each for certificates of its own.
#[derive(Clone, Copy)]
pub(super) struct Shelf<'a> {
    pub(super) layout: &'a Layout,
    pub(super) issuers: &'a [Issuer],
}

impl Shelf<'_> {
    fn pending_folder(&self, id: RecordId) -> PathBuf {
        self.layout.pending().join(id.0.to_string())
    }

    /// Makes the folder in which files are gathered.
    pub(super) fn prepare(&self) -> Result<(), IssueError> {
        Ok(make_folder(&self.layout.pending(), 0o700)?)
    }

    /// Keeps a new private key before anything is signed for it, so that a kill never leaves a certificate without key.
    pub(super) fn stage_key(&self, id: RecordId, key: &SubjectKey, flush: Flush) -> Result<(), IssueError> {
        let folder = self.pending_folder(id);
        make_folder(&folder, 0o700)?;
        if let Some(key) = &key.private_pem {
            flush.write(&folder.join("key.pem"), key.as_bytes())?;
        }
        if let Some(sealed) = &key.sealed {
            flush.write(&folder.join("key.pem.age"), sealed)?;
        }
        flush.folder(&folder)?;
        flush.folder(&self.layout.pending())
    }

    /// Puts the certificate and its chain beside the key. Until the inventory has it, they are rubbish.
    pub(super) fn stage_certificate(
        &self,
        id: RecordId,
        issuer: AuthorityId,
        certificate: &Certificate,
        flush: Flush,
    ) -> Result<(), IssueError> {
        let staged = self.pending_folder(id);
        let own = certificate.to_pem();
        flush.write(&staged.join("cert.pem"), own.as_bytes())?;
        let above = self.above(issuer).map(|issuer| issuer.certificate.to_pem()).unwrap_or_default();
        flush.write(&staged.join("chain.pem"), (own + &above).as_bytes())?;
        flush.folder(&staged)
    }

    /// Flushes everything that was written below the store's folder, at once: for a batch much cheaper than file by file.
    pub(super) fn flush_all(&self) -> Result<(), IssueError> {
        let root = self.layout.root();
        let folder = fs::File::open(root).map_err(|source| FileError::new("flush", root, source))?;
        rustix::fs::syncfs(&folder).map_err(|error| FileError::new("flush", root, error.into()).into())
    }

    /// Takes back what was begun for a certificate that will not be.
    pub(super) fn unstage(&self, id: RecordId) -> Result<(), IssueError> {
        Ok(remove_tree(&self.pending_folder(id))?)
    }

    /// Moves the files of an issued certificate into their home, which is there; gives the folder that had to make way.
    pub(super) fn move_in(
        &self,
        record: &CertificateRecord,
        flush: Flush,
    ) -> Result<Option<PathBuf>, IssueError> {
        let target = self.layout.root().join(&record.intent.folder);
        let staged = self.pending_folder(record.id);
        let superseded = match fs::rename(&staged, &target) {
            Ok(()) => None,
            Err(error) if is_occupied(&error) => {
                let superseded = self.supersede(&target)?;
                rename(&staged, &target)?;
                Some(superseded)
            }
            Err(source) => return Err(FileError::new("rename", &staged, source).into()),
        };
        flush.folder(&self.home(record))?;
        Ok(superseded)
    }

    /// The folder in which the certificate's own folder lies.
    pub(super) fn home(&self, record: &CertificateRecord) -> PathBuf {
        let target = self.layout.root().join(&record.intent.folder);
        target.parent().unwrap_or_else(|| self.layout.root()).to_owned()
    }

    /// Completes the files of an issued certificate and moves them into place.
    pub(super) fn place(
        &self,
        record: &CertificateRecord,
        certificate: &Certificate,
        flush: Flush,
    ) -> Result<Option<PathBuf>, IssueError> {
        let staged = self.pending_folder(record.id);
        for name in ["cert.pem", "chain.pem"] {
            remove_file(&staged.join(name))?; // half-written, perhaps, by a process that was killed
        }
        self.stage_certificate(record.id, record.intent.authority, certificate, flush)?;
        make_folder(&self.home(record), 0o700)?;
        self.move_in(record, flush)
    }

    /// The issuing authority that belongs into the chain; no root.
    fn above(&self, issuer: AuthorityId) -> Option<&Issuer> {
        self.issuers.iter().find(|one| one.id() == issuer).filter(|one| one.tier() == Tier::Issuing)
    }

    /// Moves a folder out of the way, under the serial number of the certificate in it.
    pub(super) fn supersede(&self, target: &Path) -> Result<PathBuf, IssueError> {
        let serial = fs::read_to_string(target.join("cert.pem"))
            .ok()
            .and_then(|text| Certificate::parse_pem(&text).ok())
            .map_or_else(|| "unknown".to_owned(), |certificate| hex(certificate.serial().as_bytes()));
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let base = self.layout.superseded();
        make_folder(&base, 0o700)?;
        let free = (0_u32..)
            .map(
                |turn| if turn == 0 { format!("{name}-{serial}") } else { format!("{name}-{serial}.{turn}") },
            )
            .map(|name| base.join(name))
            .find(|path| !path.exists())
            .expect("a folder has fewer than four thousand million entries");
        rename(target, &free)?;
        Ok(free)
    }
}

impl Authority {
    pub(super) fn shelf(&self) -> Shelf<'_> {
        Shelf { layout: &self.layout, issuers: &self.issuers }
    }

    /// The certificate, then the issuing authority when there is one; no root.
    pub(crate) fn chain(&self, record: &CertificateRecord, certificate: &Certificate) -> Vec<Certificate> {
        let shelf = self.shelf();
        let above = shelf.above(record.intent.authority).map(|issuer| issuer.certificate.clone());
        std::iter::once(certificate.clone()).chain(above).collect()
    }

    /// Ends what a killed process left: issued certificates get their files, unfinished ones are given up.
    pub(super) fn converge(&mut self) -> Result<(), IssueError> {
        let unfinished: Vec<RecordId> =
            self.store.find(&Query::Unfinished)?.iter().map(|record| record.id).collect();
        if !unfinished.is_empty() {
            self.store.abandon(&unfinished)?;
        }
        let pending = self.layout.pending();
        let entries = match fs::read_dir(&pending) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(FileError::new("read", &pending, source).into()),
        };
        for entry in entries {
            let path = entry.map_err(|source| FileError::new("read", &pending, source))?.path();
            let id = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.parse().ok())
                .map(RecordId);
            let record = id.map(|id| self.store.certificate(id)).transpose()?.flatten();
            match record {
                Some(record) if record.state == State::Issued => {
                    let der = record.certificate.as_deref().unwrap_or_default();
                    let certificate =
                        Certificate::parse(der).map_err(|error| crate::store::StoreError::Damaged {
                            what: format!("certificate of row {}: {error}", record.id.0),
                        })?;
                    self.shelf().place(&record, &certificate, Flush::Each)?;
                }
                _ if path.is_dir() => remove_tree(&path)?,
                _ => remove_file(&path)?,
            }
        }
        Ok(())
    }
}

fn remove_file(path: &Path) -> Result<(), IssueError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error).into())
        }
        _ => Ok(()),
    }
}

/// Whether a folder could not be renamed because something that is no empty folder has the new name.
fn is_occupied(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | NotADirectory)
}

fn rename(from: &Path, to: &Path) -> Result<(), IssueError> {
    Ok(fs::rename(from, to).map_err(|source| FileError::new("rename", from, source))?)
}
