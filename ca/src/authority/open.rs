//! Opening a store: its inventory, its authorities, and what others have done to them since.

use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use certs::Certificate;

use super::{Authority, Issuer, hierarchy, keys::StoreKind};
use crate::clock::Clock;
use crate::error::IssueError;
use crate::legacy::TEST_UNIT;
use crate::random::OperatingSystem;
use crate::store::{AuthorityRecord, FileError, Layout, PostgresUrl, Side, SqlStore, Store, StoreError};

impl Authority {
    /// Opens the store in the folder `root`.
    pub fn open(root: &Path, clock: Arc<dyn Clock>) -> Result<Self, IssueError> {
        let layout = Layout::new(root);
        if !is_there(&layout.database())? && !is_there(&layout.database_url())? {
            return Err(IssueError::NotInitialised { path: root.to_owned() });
        }
        let store: Box<dyn Store> = Box::new(open_database(&layout)?);
        let issuers = issuers_of(&*store)?;
        let kind = kind_of(&*store, &issuers)?;
        let signers = signers_of(&*store)?;
        let random = Arc::new(OperatingSystem);
        let threads = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        Ok(Self { layout, kind, store, issuers, signers, clock, random, passphrase: None, threads })
    }

    /// Opens the inventory anew when the connection to it is gone, as after a restart of the database server; whether it was.
    pub(crate) fn reconnect(&mut self) -> Result<bool, IssueError> {
        let is_lost = self.store.is_lost();
        if is_lost {
            self.store = Box::new(open_database(&self.layout)?);
        }
        Ok(is_lost)
    }

    /// Takes in what other processes did to the authorities; keys that are open stay open.
    pub(crate) fn refresh(&mut self) -> Result<(), IssueError> {
        let is_same = |now: &[AuthorityRecord], known: &[Issuer]| {
            now.len() == known.len()
                && now.iter().zip(known).all(|(now, known)| {
                    now.id == known.record.id && now.certificate == known.record.certificate
                })
        };
        self.signers = signers_of(&*self.store)?;
        if is_same(&self.store.authorities()?, &self.issuers) {
            for issuer in &mut self.issuers {
                issuer.is_foreign = issuer.is_foreign && self.store.is_foreign(&issuer.record.name)?;
            }
            return Ok(());
        }
        let mut issuers = issuers_of(&*self.store)?;
        for issuer in &mut issuers {
            let known = self.issuers.iter_mut().find(|known| known.certificate == issuer.certificate);
            issuer.key = known.and_then(|known| known.key.take());
        }
        self.issuers = issuers;
        Ok(())
    }
}

/// Whether there is such a file; a folder that may not be looked into is no answer.
fn is_there(path: &Path) -> Result<bool, FileError> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match std::fs::metadata(path) {
        Ok(found) => Ok(found.is_file()),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(false),
        Err(source) => Err(FileError::new("read", path, source)),
    }
}

/// Who signs on each side, where the operator said so.
fn signers_of(store: &dyn Store) -> Result<Vec<(Side, String)>, IssueError> {
    let mut signers = Vec::new();
    for side in [Side::Client, Side::Server] {
        signers.extend(store.setting(&hierarchy::setting(side))?.map(|name| (side, name)));
    }
    Ok(signers)
}

/// The authorities of a store, with their certificates read.
fn issuers_of(store: &dyn Store) -> Result<Vec<Issuer>, IssueError> {
    store
        .authorities()?
        .into_iter()
        .map(|record| {
            let certificate =
                Certificate::parse(&record.certificate).map_err(|error| IssueError::Authority {
                    name: record.name.clone(),
                    why: format!("its certificate is damaged: {error}"),
                })?;
            let is_foreign = store.is_foreign(&record.name)?;
            Ok(Issuer { record, certificate, key: None, is_foreign })
        })
        .collect()
}

/// The inventory: on a server when the folder says so, else in the folder.
pub(super) fn open_database(layout: &Layout) -> Result<SqlStore, IssueError> {
    let path = layout.database_url();
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let url = PostgresUrl::parse(&text, layout.root())
                .map_err(|source| IssueError::DatabaseUrl { path, source })?;
            Ok(SqlStore::postgres(&url)?)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(SqlStore::sqlite(&layout.database())?)
        }
        Err(source) => Err(FileError::new("read", &path, source).into()),
    }
}

/// Whether the store is for tests: it says so, and its roots say it to everybody else.
fn kind_of(store: &dyn Store, issuers: &[Issuer]) -> Result<StoreKind, IssueError> {
    let damaged = |what: &str| Err(StoreError::Damaged { what: what.to_owned() }.into());
    match store.setting("test")?.as_deref() {
        Some("no") => Ok(StoreKind::Production),
        Some("yes") if issuers.iter().all(|issuer| is_marked(&issuer.certificate)) => Ok(StoreKind::Test),
        Some("yes") => damaged("it says that it is for tests, but an authority's name does not"),
        Some(_) | None => damaged("it does not say whether it is for tests"),
    }
}

/// Whether an authority's name says that it is for tests.
pub(crate) fn is_marked(certificate: &Certificate) -> bool {
    certificate
        .subject()
        .values_of(&certs::oid::ORGANIZATIONAL_UNIT)
        .any(|unit| unit.text().is_ok_and(|text| text == TEST_UNIT))
}
