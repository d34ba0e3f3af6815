//! Folders that are carried between the host that is online and the one that keeps a root's key.
//!
//! A folder holds files, `manifest.json`, which names each with its SHA-256 and says what is wanted of it, and
//! `manifest.sig`, a signature over the manifest's octets: of a request by a key that the root's operator has accepted, of an
//! answer by the root itself. `openssl dgst -sha256 -verify KEY -signature manifest.sig manifest.json` checks it too. The
//! manifest begins with `{`, as no certificate and no list does, so a signature over it is good for nothing else.

mod error;
mod folder;
mod wanted;

use std::path::Path;

use certs::{Fingerprint, PublicKey};
use serde_json::Value;

pub use error::BatchError;
pub(crate) use folder::{check_room, is_finished_with, write};
pub(crate) use wanted::{Action, Wanted, revocation_value};

use crate::import::read_bounded;
use crate::signer::signature_of;

/// What is in the folder, in signed words.
pub(crate) const MANIFEST: &str = "manifest.json";

/// The signature over it.
pub(crate) const SIGNATURE: &str = "manifest.sig";

/// The first words of every manifest.
pub(crate) const FORMAT: &str = "provision-ca root batch 1";

/// Most octets of a manifest, of a file of a request, of a list in an answer, and of a signature.
const MOST_MANIFEST: u64 = 1 << 20;
const MOST_FILE: u64 = 16 << 20;
const MOST_SIGNATURE: u64 = 4096;

/// Most octets of all files of a folder together: they are in memory at once.
const MOST_TOGETHER: u64 = 64 << 20;

/// Most things that one batch asks for.
const MOST_ITEMS: usize = 1000;

/// A folder whose manifest was read; whether its signature is good is another question.
#[derive(Debug)]
pub struct Batch {
    /// SHA-256 of the manifest: what the batch is known by.
    pub(crate) id: String,
    pub(crate) manifest: Value,
    octets: Vec<u8>,
    signature: Vec<u8>,
    pub(crate) items: Vec<Item>,
}

/// One thing in a folder.
#[derive(Debug)]
pub(crate) struct Item {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) file: Option<String>,
    /// The manifest's own words on it.
    pub(crate) value: Value,
    /// The file, whose SHA-256 is the manifest's; empty where there is none.
    pub(crate) content: Result<Vec<u8>, BatchError>,
}

impl Batch {
    /// Reads a folder, as `kind` says a request or an answer. Files that are missing, too large or not as the manifest has
    /// them are told with the item they belong to.
    ///
    /// # Errors
    /// The manifest cannot be read.
    pub fn read(folder: &Path, kind: &'static str) -> Result<Self, BatchError> {
        let read = |name: &str, most| {
            let path = folder.join(name);
            read_bounded(&path, most).map_err(|(why, _)| match folder::is_unfinished(folder) {
                true => BatchError::Unfinished { path: folder.to_owned() },
                false => BatchError::Unreadable { path, why },
            })
        };
        let octets = read(MANIFEST, MOST_MANIFEST)?;
        let signature = read(SIGNATURE, MOST_SIGNATURE)?;
        let bad = |why: &str| BatchError::Manifest { path: folder.join(MANIFEST), why: why.to_owned() };
        let manifest: Value = serde_json::from_slice(&octets).map_err(|error| bad(&error.to_string()))?;
        if manifest["format"].as_str() != Some(FORMAT) {
            return Err(bad(&format!("it does not say {FORMAT:?}")));
        }
        if manifest["kind"].as_str() != Some(kind) {
            return Err(bad(&format!("it is no {kind}")));
        }
        let values = manifest["items"].as_array().ok_or_else(|| bad("it has no items"))?;
        if values.len() > MOST_ITEMS {
            return Err(bad(&format!("it has more than {MOST_ITEMS} items")));
        }
        let mut room = MOST_TOGETHER;
        let items = (1..)
            .zip(values)
            .map(|(number, value)| {
                let file = value["file"].as_str().map(str::to_owned);
                let content = file.as_ref().map_or(Ok(Vec::new()), |file| {
                    let content = content(folder, file, value, room.min(MOST_FILE));
                    let length = content.as_ref().map_or(0, Vec::len);
                    room = room.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
                    content
                });
                Item { number, file, value: value.clone(), content }
            })
            .collect();
        let id = Fingerprint::of(&octets).to_string();
        Ok(Self { id, manifest, octets, signature, items })
    }

    /// Whether this key signed the manifest.
    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        signature_of(key.algorithm())
            .is_some_and(|algorithm| algorithm.verify(key, &self.octets, &self.signature).is_ok())
    }
}

fn content(folder: &Path, file: &str, value: &Value, most: u64) -> Result<Vec<u8>, BatchError> {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "._-".contains(one);
    if file.len() > 100 || file.starts_with('.') || file.is_empty() || !file.chars().all(is_plain) {
        return Err(BatchError::FileName {
            name: file.chars().filter(|one| !one.is_control()).take(100).collect(),
        });
    }
    let path = folder.join(file);
    let octets =
        read_bounded(&path, most).map_err(|(why, _)| BatchError::Unreadable { path: path.clone(), why })?;
    if value["sha256"].as_str() != Some(Fingerprint::of(&octets).to_string().as_str()) {
        return Err(BatchError::Changed { path });
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::write_new;

    #[test]
    fn a_folder_takes_a_bounded_amount_of_memory_before_anybody_is_known_to_have_signed_it() {
        let folder = tempfile::tempdir().unwrap();
        let large = vec![b'a'; 15 << 20];
        write_new(&folder.path().join("large"), &large, 0o600).unwrap();
        let item =
            json!({ "action": "issue", "file": "large", "sha256": Fingerprint::of(&large).to_string() });
        let manifest = json!({ "format": FORMAT, "kind": "request", "items": vec![item; 1000] });
        write_new(&folder.path().join(MANIFEST), manifest.to_string().as_bytes(), 0o600).unwrap();
        write_new(&folder.path().join(SIGNATURE), b"x", 0o600).unwrap();
        let batch = Batch::read(folder.path(), "request").unwrap();
        let read = batch.items.iter().filter(|item| item.content.is_ok()).count();
        assert_eq!(read, 4, "the rest is told with each item");
        assert!(matches!(batch.items[4].content, Err(BatchError::Unreadable { .. })));
    }
}
