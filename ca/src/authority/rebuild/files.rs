//! The certificates that lie in folders.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use certs::Certificate;

use crate::store::FileError;

/// A certificate's file.
pub(super) struct Found {
    pub(super) certificate: Certificate,
    /// The folder it lies in, below its store's.
    pub(super) folder: PathBuf,
}

/// Every certificate below these stores' folders, by its SHA-256. Where several have one, the first counts.
pub(super) fn find<'a>(roots: impl Iterator<Item = &'a Path>) -> Result<HashMap<[u8; 32], Found>, FileError> {
    let mut found = HashMap::new();
    for root in roots {
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
                    let print = *certificate.fingerprint().as_bytes();
                    let folder = folder.strip_prefix(root).unwrap_or(&folder).to_owned();
                    found.entry(print).or_insert(Found { certificate, folder });
                }
            }
        }
    }
    Ok(found)
}
