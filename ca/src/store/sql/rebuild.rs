//! An empty inventory filled with what was found elsewhere, and put in the place of the one that was lost.

use std::path::Path;

use super::log::{checkpoints, copy_rows, entries, tables};
use super::{SqlStore, append_audit, finish_one, insert_authority, insert_intent, next_number};
use crate::store::backend::{Backend, Exclusion, values};
use crate::store::postgres::Postgres;
use crate::store::sqlite::Sqlite;
use crate::store::{
    AuditEvent, AuthorityId, AuthorityRecord, Checkpoint, CrlRecord, Intent, LogEntry, PostgresUrl,
    Publication, Revocation, Shard, StoreError,
};

/// Entries of the log read at a time.
const PAGE: u32 = 1000;

/// Everything an inventory holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rebuilding {
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) authorities: Vec<AuthorityRecord>,
    /// Certificates, with their DER where it is known.
    pub(crate) certificates: Vec<(Intent, Option<Vec<u8>>)>,
    /// Revocations, by the position of the certificate.
    pub(crate) revocations: Vec<(usize, Revocation)>,
    /// Lists, and whether others could read them.
    pub(crate) lists: Vec<(CrlRecord, bool)>,
    pub(crate) publications: Vec<(AuthorityId, Publication)>,
    pub(crate) shards: Vec<(AuthorityId, Shard)>,
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) audit: Option<AuditEvent>,
}

impl SqlStore {
    /// Fills this inventory, which must be empty, in one transaction.
    pub(crate) fn rebuild(&mut self, content: &Rebuilding) -> Result<(), StoreError> {
        self.write(|backend| {
            for (name, value) in &content.settings {
                backend.execute(
                    "INSERT INTO setting (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    values![name, value],
                )?;
            }
            for authority in &content.authorities {
                insert_authority(backend, authority)?;
            }
            let mut ids = Vec::with_capacity(content.certificates.len());
            for (intent, der) in &content.certificates {
                let id = insert_intent(backend, intent)?;
                ids.push(id);
                match der {
                    Some(der) => finish_one(backend, id, der)?,
                    None => {
                        backend.execute("UPDATE certificate SET state = 'issued' WHERE id = ?1", values![id.0])?;
                    }
                }
            }
            for (position, revocation) in &content.revocations {
                let Some(id) = ids.get(*position) else { continue };
                backend.execute(
                    "INSERT INTO revocation (certificate, authority, serial, not_after, revoked_at, reason, shard)
                     SELECT id, authority, serial, not_after, CAST(?2 AS BIGINT), CAST(?3 AS TEXT), shard
                     FROM certificate WHERE id = ?1",
                    values![id.0, revocation.at.unix(), revocation.reason.as_str()],
                )?;
            }
            for (authority, Publication { url, ocsp, complete_list }) in &content.publications {
                backend.execute(
                    "INSERT INTO publication (authority, url, ocsp, complete_list) VALUES (?1, ?2, ?3, ?4)",
                    values![authority.0, url, *ocsp, *complete_list],
                )?;
            }
            for (authority, Shard { number, uri, is_open }) in &content.shards {
                backend.execute(
                    "INSERT INTO shard (authority, shard, uri, is_open) VALUES (?1, ?2, ?3, ?4)",
                    values![authority.0, i64::from(number.0), uri, *is_open],
                )?;
            }
            for (list, published) in &content.lists {
                backend.execute(
                    "INSERT INTO revocation_list (authority, shard, number, this_update, next_update, published)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (authority, shard, number) DO NOTHING",
                    values![
                        list.authority.0,
                        list.shard.map_or(0, |shard| i64::from(shard.0)),
                        list.number,
                        list.this_update.unix(),
                        list.next_update.unix(),
                        *published,
                    ],
                )?;
            }
            for LogEntry { sequence, at, event, detail, previous, hash } in &content.entries {
                backend.execute(
                    "INSERT INTO audit (sequence, at, event, detail, previous, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    values![*sequence, at.unix(), event, detail, previous, hash],
                )?;
            }
            for Checkpoint { sequence, at, hash, authority, signature } in &content.checkpoints {
                backend.execute(
                    "INSERT INTO checkpoint (sequence, at, hash, authority, signature) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (sequence) DO NOTHING",
                    values![*sequence, at.unix(), hash, authority, signature],
                )?;
            }
            content.audit.iter().try_for_each(|audit| append_audit(backend, audit))
        })
    }
}

/// What an inventory that is to be replaced still tells of the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Salvaged {
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) checkpoints: Vec<Checkpoint>,
}

impl SqlStore {
    /// The log of a file behind the entry `after`; nothing where it is damaged.
    pub(crate) fn salvage(path: &Path, after: i64) -> Salvaged {
        Sqlite::open(path).map(|mut file| salvage(&mut file, after)).unwrap_or_default()
    }
}

fn salvage(backend: &mut dyn Backend, after: i64) -> Salvaged {
    let mut salvaged = Salvaged::default();
    let mut last = after;
    while let Ok(page) = entries(backend, last, PAGE)
        && let Some(newest) = page.last()
    {
        last = newest.sequence;
        salvaged.entries.extend(page);
    }
    salvaged.checkpoints = checkpoints(backend).unwrap_or_default();
    salvaged
}

/// The inventory on a server, whatever state it is in.
#[derive(Debug)]
pub(crate) struct ServerInventory(Postgres);

impl ServerInventory {
    /// Connects, and does nothing else.
    pub(crate) fn open(url: &PostgresUrl) -> Result<Self, StoreError> {
        Ok(Self(Postgres::open(url)?))
    }

    /// Keeps other hosts out until what is given back is dropped.
    pub(crate) fn keep_out(&mut self) -> Result<Option<Box<dyn Exclusion>>, StoreError> {
        self.0.keep_out()
    }

    /// The log behind the entry `after`; nothing where it is damaged.
    pub(crate) fn salvage(&mut self, after: i64) -> Salvaged {
        salvage(&mut self.0, after)
    }

    /// Puts the inventory of a file in its place. What was there, if anything was, moves into a new schema of this name, or one
    /// that begins with it, which is given back. All of it happens, or nothing.
    pub(crate) fn replace(&mut self, file: &Path, schema: &str) -> Result<Option<String>, StoreError> {
        let mut file = Sqlite::open(file)?;
        let tables = tables(&mut file)?;
        self.0.begin()?;
        let replaced = (|| {
            let names = tables.iter().map(|table| table.name.as_str());
            let moved = self.0.set_aside(names, schema)?;
            self.0.make_tables()?;
            copy_rows(&tables, &mut file, &mut self.0)?;
            next_number(&mut self.0)?;
            Ok(moved)
        })();
        match replaced {
            Ok(moved) => self.0.commit().map(|()| moved),
            Err(error) => {
                self.0.roll_back();
                Err(error)
            }
        }
    }
}
