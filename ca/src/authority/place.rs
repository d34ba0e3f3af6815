//! Putting finished files where they belong, in one step each, and clearing up after a kill (CA I1).
//!
//! A certificate's files are gathered in `pending/ROW` and then renamed into place as a folder. Until its row says
//! `issued`, such a folder is rubbish; from then on it is completed, by whoever next takes the lock.

use std::fs;
use std::path::{Path, PathBuf};

use certs::Certificate;

use super::{Authority, SubjectKey};
use crate::error::IssueError;
use crate::serial::hex;
use crate::store::{
    CertificateRecord, FileError, Query, RecordId, State, Tier, make_folder, remove_tree, sync_folder,
    write_later, write_new,
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

impl Authority {
    fn pending_folder(&self, id: RecordId) -> PathBuf {
        self.layout.pending().join(id.0.to_string())
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

    /// Completes the files of an issued certificate and moves them into place; gives the folder that had to make way.
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
        flush.write(&staged.join("cert.pem"), certificate.to_pem().as_bytes())?;
        let chain: String = self.chain(record, certificate).iter().map(Certificate::to_pem).collect();
        flush.write(&staged.join("chain.pem"), chain.as_bytes())?;
        flush.folder(&staged)?;

        let target = self.layout.root().join(&record.intent.folder);
        let parent = target.parent().unwrap_or_else(|| self.layout.root());
        make_folder(parent, 0o700)?;
        let superseded = if target.exists() { Some(self.supersede(&target)?) } else { None };
        rename(&staged, &target)?;
        flush.folder(parent)?;
        Ok(superseded)
    }

    /// The certificate, then the issuing authority when there is one; no root.
    pub(crate) fn chain(&self, record: &CertificateRecord, certificate: &Certificate) -> Vec<Certificate> {
        let issuer = self.issuers.iter().find(|issuer| issuer.id() == record.intent.authority);
        std::iter::once(certificate.clone())
            .chain(
                issuer
                    .filter(|issuer| issuer.tier() == Tier::Issuing)
                    .map(|issuer| issuer.certificate.clone()),
            )
            .collect()
    }

    /// Moves a folder out of the way, under the serial number of the certificate in it.
    fn supersede(&self, target: &Path) -> Result<PathBuf, IssueError> {
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
                    self.place(&record, &certificate, Flush::Each)?;
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

fn rename(from: &Path, to: &Path) -> Result<(), IssueError> {
    Ok(fs::rename(from, to).map_err(|source| FileError::new("rename", from, source))?)
}
