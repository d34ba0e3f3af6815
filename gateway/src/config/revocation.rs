//! `crls`, `crl-unknown`, `crl-expired`: which certificates were taken back.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use certs::{Certificate, OnExpired, OnUnknown, Revocation, RevocationList, Timestamp, pem};
use policies::document::{Located, Place, Table};

use super::{
    certificates::{self, Causes, broken_armour, line_of, position},
    files::{Contents, Files},
};

/// A CRL and where it came from.
#[derive(Debug, Clone)]
pub struct LoadedList {
    /// Its file.
    pub file: PathBuf,
    /// The list.
    pub list: Arc<RevocationList>,
    /// Why it cannot be relied on: for what it says of itself, or because none of the entry's authorities signed it.
    pub unusable: Option<String>,
}

impl LoadedList {
    /// Whether its next update is still to come.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.list.next_update().is_some_and(|next| next >= now)
    }
}

/// The revocation keys of one trust entry.
pub(super) struct Lists {
    pub(super) loaded: Option<Vec<LoadedList>>,
    pub(super) revocation: Revocation,
}

/// Reads the keys. `None` when there is a mistake, which is then noted.
pub(super) fn read(table: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<Lists> {
    let unknown =
        table.optional_word("crl-unknown", &[("deny", OnUnknown::Deny), ("allow", OnUnknown::Allow)]);
    let expired =
        table.optional_word("crl-expired", &[("deny", OnExpired::Deny), ("allow", OnExpired::Allow)]);
    let Some(path) = table.optional_string("crls") else {
        for key in ["crl-unknown", "crl-expired"] {
            if table.has(key) && !table.has("crls") {
                let hint = "crls = FILE OR FOLDER turns revocation checking on";
                table.document().error_with_hint(
                    &table.place_of(key),
                    "without `crls` no revocation is checked",
                    hint,
                );
            }
        }
        return if table.has("crls") {
            None
        } else {
            Some(Lists { loaded: None, revocation: Revocation::NotChecked })
        };
    };
    let loaded = load(files, &path)?;
    let revocation = Revocation::Checked {
        lists: loaded.iter().map(|loaded| Arc::clone(&loaded.list)).collect(),
        unknown: unknown.map_or(OnUnknown::Deny, |found| found.value),
        expired: expired.map_or(OnExpired::Deny, |found| found.value),
    };
    Some(Lists { loaded: Some(loaded), revocation })
}

/// Every CRL of the file, or of every file in the folder.
fn load(files: &Files<'_, '_>, path: &Located<String>) -> Option<Vec<LoadedList>> {
    let resolved = files.resolve(&path.value);
    files.watch(&resolved);
    if !resolved.is_dir() {
        return load_file(files, &resolved, &path.place);
    }
    let paths = files.list("CRL folder", &resolved, &path.place)?;
    if paths.is_empty() {
        let message = format!("CRL folder {} is empty", resolved.display());
        let hint = "leave `crls` out to check no revocation, or publish a CRL: provision-ca crl publish";
        files.document().error_with_hint(&path.place, message, hint);
        return None;
    }
    let loaded: Vec<_> = paths.iter().map(|file| load_file(files, file, &path.place)).collect();
    Some(loaded.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

fn load_file(files: &Files<'_, '_>, path: &Path, place: &Place) -> Option<Vec<LoadedList>> {
    let contents = files.read_path("CRL file", path, place)?;
    match parse(&contents) {
        Ok(lists) => {
            let loaded = |list: RevocationList| LoadedList {
                file: path.to_owned(),
                unusable: list.unusable_reason().map(|reason| reason.to_string()),
                list: Arc::new(list),
            };
            Some(lists.into_iter().map(loaded).collect())
        }
        Err((line, problem)) => {
            files.document().error(place, format!("CRL file {}: {problem}", position(&contents, line)));
            None
        }
    }
}

fn parse(contents: &Contents) -> Result<Vec<RevocationList>, (Option<usize>, String)> {
    let bytes = &contents.bytes;
    let read = |der: &[u8], line| {
        RevocationList::parse(der).map_err(|error| (line, format!("no CRL: {}", Causes(&error))))
    };
    if !certificates::looks_like_pem(bytes) {
        return Ok(vec![read(bytes, None)?]);
    }
    broken_armour(bytes)?;
    let blocks = pem::blocks(bytes).map_err(|error| (line_of(&error), Causes(&error).to_string()))?;
    let mut lists = Vec::new();
    for block in blocks {
        if block.label != pem::X509_CRL {
            return Err((Some(block.line), format!("a {} stands where a CRL should", block.label)));
        }
        lists.push(read(&block.contents, Some(block.line))?);
    }
    if lists.is_empty() {
        return Err((None, "there is no CRL in it".to_owned()));
    }
    Ok(lists)
}

/// Finds the lists that none of the entry's authorities signed, and warns of what will refuse phones: a list that cannot be used,
/// one that is out of date, an authority without list.
pub(super) fn check(table: &Table<'_, '_>, lists: &mut Lists, authorities: &[&Certificate], now: Timestamp) {
    let Lists { loaded: Some(loaded), revocation: Revocation::Checked { unknown, expired, .. } } = lists
    else {
        return;
    };
    let place = table.place_of("crls");
    let warn = |message: String, hint: Option<&str>| {
        table.document().warning(&place, message, hint.map(str::to_owned))
    };
    for one in loaded.iter_mut() {
        let issuer = one.list.issuer().to_rfc4514();
        let mut named =
            authorities.iter().filter(|authority| authority.subject().equals(one.list.issuer())).peekable();
        if named.peek().is_some() && !named.any(|named| one.list.verify_signature(named.public_key()).is_ok())
        {
            one.unusable.get_or_insert_with(|| "its signature is not its issuer's".to_owned());
        }
        if let Some(reason) = &one.unusable {
            warn(format!("the CRL of {issuer} in {} is not usable: {reason}", one.file.display()), None);
        } else if !one.is_current(now) && *expired == OnExpired::Deny {
            let message = format!("the CRL of {issuer} in {} is out of date", one.file.display());
            warn(
                message,
                Some("every certificate of this issuer is refused until a new one is there (crl_expired)"),
            );
        }
    }
    for authority in authorities {
        let subject = authority.subject();
        let covered = loaded.iter().any(|one| one.unusable.is_none() && one.list.issuer().equals(subject));
        if !covered && *unknown == OnUnknown::Deny {
            warn(
                format!("there is no usable CRL of {}", subject.to_rfc4514()),
                Some(
                    "every certificate it issued is refused (revocation_unknown); crl-unknown = \"allow\" lets them in",
                ),
            );
        }
    }
}
