//! The inventory as tables, in whichever database they are.

pub(super) mod import;
mod lifecycle;
mod log;
mod publication;
mod rebuild;
mod search;

use std::cell::RefCell;
use std::path::Path;

use certs::{Fingerprint, Timestamp, Validity};

use super::backend::{Backend, Exclusion, Row, Value, values};
use super::database_url::PostgresUrl;
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::{
    AuditEvent, AuthorityId, AuthorityRecord, CertificateRecord, CrlRecord, Finished, Intent, Kind, Query,
    RecordId, Revocation, RevocationReason, Side, State, Store, StoreError, Superseded, Tier,
};

pub(super) use log::{LogEnd, append_audit};
pub(crate) use rebuild::{Rebuilding, Salvaged, ServerInventory};

/// A [`Store`] in a database.
#[derive(Debug)]
pub struct SqlStore {
    pub(super) backend: RefCell<Box<dyn Backend>>,
}

impl SqlStore {
    /// Opens the SQLite database at `path`, making or upgrading its tables.
    pub fn sqlite(path: &Path) -> Result<Self, StoreError> {
        Self::with(Box::new(Sqlite::open(path)?))
    }

    /// Opens the database on a PostgreSQL server, making or upgrading its tables.
    pub fn postgres(url: &PostgresUrl) -> Result<Self, StoreError> {
        Self::with(Box::new(Postgres::open(url)?))
    }

    /// Moves an inventory from an SQLite file into an empty database on a PostgreSQL server. Killed and called again, it
    /// finds what it did.
    ///
    /// # Errors
    /// There is another store in that database.
    pub(crate) fn move_to(path: &Path, url: &PostgresUrl) -> Result<(), StoreError> {
        let mut file = Sqlite::open(path)?;
        let source = Self::with(Box::new(Sqlite::open(path)?))?;
        let target = Self::postgres(url)?;
        let (ours, theirs) = (source.authorities()?, target.authorities()?);
        if !theirs.is_empty() {
            let same = ours.len() == theirs.len()
                && ours.iter().zip(&theirs).all(|(one, other)| one.certificate == other.certificate);
            return if same { Ok(()) } else { Err(StoreError::InUse) };
        }
        let tables = log::tables(&mut file)?;
        log::copy_tables(&tables, &mut file, &mut **target.backend.borrow_mut())?;
        next_number(&mut **target.backend.borrow_mut())
    }

    pub(super) fn with(mut backend: Box<dyn Backend>) -> Result<Self, StoreError> {
        backend.upgrade()?;
        let mut store = Self { backend: RefCell::new(backend) };
        while store.add_fingerprints()? {}
        Ok(store)
    }

    /// Gives certificates of an earlier format their fingerprints, some at a time; whether there were any without.
    fn add_fingerprints(&mut self) -> Result<bool, StoreError> {
        let rows = self.backend.get_mut().rows(
            "SELECT id, certificate FROM certificate WHERE fingerprint IS NULL AND certificate IS NOT NULL LIMIT 1000",
            &[],
            |row| Ok((row.integer(0)?, row.bytes(1)?)),
        )?;
        if rows.is_empty() {
            return Ok(false);
        }
        self.write(|backend| {
            for (id, certificate) in &rows {
                backend.execute(
                    "UPDATE certificate SET fingerprint = ?2 WHERE id = ?1",
                    values![*id, Fingerprint::of(certificate).as_bytes()],
                )?;
            }
            Ok(true)
        })
    }

    /// Does all of `work` in one transaction, or nothing of it.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Backend) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let backend = self.backend.get_mut();
        backend.begin()?;
        match work(&mut **backend).and_then(|done| backend.commit().map(|()| done)) {
            Ok(done) => Ok(done),
            Err(error) => {
                backend.roll_back();
                Err(error)
            }
        }
    }

    /// Writes everything a fresh store begins with, at once.
    pub(crate) fn found(
        &mut self,
        settings: &[(&str, String)],
        authorities: &[AuthorityRecord],
        certificates: &[(Intent, Vec<u8>)],
        crls: &[CrlRecord],
        audit: &AuditEvent,
    ) -> Result<(), StoreError> {
        self.write(|backend| {
            for (name, value) in settings {
                backend.execute(
                    "INSERT INTO setting (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    values![*name, value],
                )?;
            }
            for authority in authorities {
                insert_authority(backend, authority)?;
            }
            for (intent, certificate) in certificates {
                let id = insert_intent(backend, intent)?;
                finish_one(backend, id, certificate)?;
            }
            for crl in crls {
                publication::insert_crl(backend, crl)?;
                // Its file is there before the store is.
                backend.execute("UPDATE revocation_list SET published = 1", &[])?;
            }
            append_audit(backend, audit)
        })
    }

    /// Moves everything out of the write-ahead log, so that the file alone is the database.
    pub(crate) fn settle(self) -> Result<(), StoreError> {
        self.backend.into_inner().settle()
    }

    pub(super) fn select(
        &self,
        condition: &str,
        values: &[Value],
    ) -> Result<Vec<CertificateRecord>, StoreError> {
        let statement = format!("SELECT {COLUMNS} {condition} ORDER BY c.id");
        self.backend.borrow_mut().rows(&statement, values, record)
    }
}

/// What [`record`] reads, and from where.
pub(super) const COLUMNS: &str =
    "c.id, c.authority, c.serial, c.state, c.kind, c.name, c.product, c.device_serial, c.public_key,
     c.not_before, c.not_after, c.reserved_at, c.folder, c.certificate, r.revoked_at, r.reason, c.shard
     FROM certificate c LEFT JOIN revocation r ON r.certificate = c.id";

impl Store for SqlStore {
    fn keep_out(&self) -> Result<Option<Box<dyn Exclusion>>, StoreError> {
        self.backend.borrow_mut().keep_out()
    }

    fn is_lost(&self) -> bool {
        self.backend.borrow().is_lost()
    }

    fn authorities(&self) -> Result<Vec<AuthorityRecord>, StoreError> {
        self.backend.borrow_mut().rows(
            "SELECT id, name, side, tier, certificate FROM authority ORDER BY id",
            &[],
            |row| {
                Ok(AuthorityRecord {
                    id: AuthorityId(row.integer(0)?),
                    name: row.text(1)?,
                    side: row.word(2, Side::from_word)?,
                    tier: row.word(3, Tier::from_word)?,
                    certificate: row.bytes(4)?,
                })
            },
        )
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row =
            self.backend.borrow_mut().row("SELECT value FROM setting WHERE name = ?1", values![name])?;
        row.map(|row| row.text(0)).transpose()
    }

    fn begin_reading(&self) -> Result<(), StoreError> {
        self.backend.borrow_mut().begin_reading()
    }

    fn end_reading(&self) {
        self.backend.borrow_mut().end_reading();
    }

    fn reserve(&mut self, intents: &[Intent]) -> Result<Vec<RecordId>, StoreError> {
        self.write(|backend| intents.iter().map(|intent| insert_intent(backend, intent)).collect())
    }

    fn finish(&mut self, finished: &[Finished]) -> Result<(), StoreError> {
        self.write(|backend| {
            let mut log = LogEnd::of(backend)?;
            for one in finished {
                finish_one(backend, one.id, &one.certificate)?;
                log.append(backend, &one.audit)?;
                if let Some(Superseded { id, revocation, audit }) = &one.supersedes {
                    revoke_one(backend, &mut log, *id, *revocation, audit)?;
                }
            }
            Ok(())
        })
    }

    fn abandon(&mut self, ids: &[RecordId]) -> Result<(), StoreError> {
        self.write(|backend| {
            for id in ids {
                backend.execute(
                    "UPDATE certificate SET state = 'abandoned' WHERE id = ?1 AND state = 'intent'",
                    values![id.0],
                )?;
            }
            Ok(())
        })
    }

    fn certificate(&self, id: RecordId) -> Result<Option<CertificateRecord>, StoreError> {
        Ok(self.select("WHERE c.id = ?1", values![id.0])?.into_iter().next())
    }

    fn find(&self, query: &Query) -> Result<Vec<CertificateRecord>, StoreError> {
        match query {
            Query::All => self.select("", &[]),
            Query::DeviceSerial(serial) => self.select("WHERE c.device_serial = ?1", values![serial]),
            Query::Fingerprint(fingerprint) => self.select("WHERE c.fingerprint = ?1", values![fingerprint]),
            Query::Name(kind, name) => {
                self.select("WHERE c.name = ?1 AND c.kind = ?2", values![name, kind.as_str()])
            }
            Query::PublicKey(key) => self.select("WHERE c.public_key = ?1", values![key]),
            Query::Serial(serial) => self.select("WHERE c.serial = ?1", values![serial]),
            Query::Unfinished => self.select("WHERE c.state = 'intent'", &[]),
        }
    }

    fn revoke(
        &mut self,
        id: RecordId,
        revocation: Revocation,
        audit: &AuditEvent,
    ) -> Result<Revocation, StoreError> {
        self.write(|backend| {
            let mut log = LogEnd::of(backend)?;
            revoke_one(backend, &mut log, id, revocation, audit)
        })
    }

    fn note(&mut self, audit: &AuditEvent) -> Result<(), StoreError> {
        self.write(|backend| append_audit(backend, audit))
    }

    fn last_audit(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = self.backend.borrow_mut().row(
            "SELECT max(at) FROM audit
             WHERE sequence >= coalesce((SELECT max(sequence) FROM audit WHERE event = 'clock'), 0)",
            &[],
        )?;
        let at = row.map(|row| row.optional_integer(0)).transpose()?.flatten();
        Ok(at.map(Timestamp::from_unix))
    }
}

pub(super) fn record(row: &Row) -> Result<CertificateRecord, StoreError> {
    let revocation = match row.optional_integer(14)? {
        None => None,
        Some(at) => Some(Revocation {
            at: Timestamp::from_unix(at),
            reason: row.word(15, RevocationReason::from_word)?,
        }),
    };
    Ok(CertificateRecord {
        id: RecordId(row.integer(0)?),
        state: row.word(3, State::from_word)?,
        intent: Intent {
            authority: AuthorityId(row.integer(1)?),
            serial: row.bytes(2)?,
            kind: row.word(4, Kind::from_word)?,
            name: row.text(5)?,
            product: row.optional_text(6)?,
            device_serial: row.optional_text(7)?,
            public_key: row.digest(8)?,
            validity: Validity {
                not_before: Timestamp::from_unix(row.integer(9)?),
                not_after: Timestamp::from_unix(row.integer(10)?),
            },
            at: Timestamp::from_unix(row.integer(11)?),
            folder: row.text(12)?.into(),
            shard: publication::shard(row, 16)?,
        },
        certificate: row.optional_bytes(13)?,
        revocation,
    })
}

/// After rows with numbers were copied to a server: the next one must get another.
fn next_number(server: &mut dyn Backend) -> Result<(), StoreError> {
    server.row(
        "SELECT setval(pg_get_serial_sequence('certificate', 'id'), coalesce(max(id), 0) + 1, FALSE) FROM certificate",
        &[],
    )?;
    Ok(())
}

fn insert_authority(backend: &mut dyn Backend, authority: &AuthorityRecord) -> Result<(), StoreError> {
    backend.execute(
        "INSERT INTO authority (id, name, side, tier, certificate) VALUES (?1, ?2, ?3, ?4, ?5)",
        values![
            authority.id.0,
            &authority.name,
            authority.side.as_str(),
            authority.tier.as_str(),
            &authority.certificate,
        ],
    )?;
    Ok(())
}

fn insert_intent(backend: &mut dyn Backend, intent: &Intent) -> Result<RecordId, StoreError> {
    let folder = intent
        .folder
        .to_str()
        .ok_or_else(|| StoreError::Damaged { what: format!("folder {:?} is not text", intent.folder) })?;
    let inserted = backend.insert(
        "INSERT INTO certificate (authority, serial, state, kind, name, product, device_serial, public_key,
                                  not_before, not_after, reserved_at, folder, shard)
         VALUES (?1, ?2, 'intent', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        values![
            intent.authority.0,
            &intent.serial,
            intent.kind.as_str(),
            &intent.name,
            &intent.product,
            &intent.device_serial,
            &intent.public_key,
            intent.validity.not_before.unix(),
            intent.validity.not_after.unix(),
            intent.at.unix(),
            folder,
            publication::value(intent.shard),
        ],
    );
    match inserted {
        Ok(id) => Ok(RecordId(id)),
        Err(error) if error.is_duplicate() => Err(StoreError::SerialTaken),
        Err(error) => Err(error),
    }
}

fn finish_one(backend: &mut dyn Backend, id: RecordId, certificate: &[u8]) -> Result<(), StoreError> {
    let changed = backend.execute(
        "UPDATE certificate SET state = 'issued', certificate = ?2, fingerprint = ?3
         WHERE id = ?1 AND state = 'intent'",
        values![id.0, certificate, Fingerprint::of(certificate).as_bytes()],
    )?;
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::Damaged { what: format!("row {} is no intent", id.0) })
    }
}

pub(super) fn revoke_one(
    backend: &mut dyn Backend,
    log: &mut LogEnd,
    id: RecordId,
    revocation: Revocation,
    audit: &AuditEvent,
) -> Result<Revocation, StoreError> {
    let earlier =
        backend.row("SELECT revoked_at, reason FROM revocation WHERE certificate = ?1", values![id.0])?;
    let Some(earlier) = earlier else {
        backend.execute(
            "INSERT INTO revocation (certificate, authority, serial, not_after, revoked_at, reason, shard)
             SELECT id, authority, serial, not_after, CAST(?2 AS BIGINT), CAST(?3 AS TEXT), shard
             FROM certificate WHERE id = ?1",
            values![id.0, revocation.at.unix(), revocation.reason.as_str()],
        )?;
        log.append(backend, audit)?;
        return Ok(revocation);
    };
    let at = Timestamp::from_unix(earlier.integer(0)?);
    let before = earlier.word(1, RevocationReason::from_word)?;
    if revocation.reason != RevocationReason::KeyCompromise || before == revocation.reason {
        return Ok(Revocation { at, reason: before });
    }
    backend.execute(
        "UPDATE revocation SET reason = ?2 WHERE certificate = ?1",
        values![id.0, revocation.reason.as_str()],
    )?;
    log.append(backend, audit)?;
    Ok(Revocation { at, reason: revocation.reason })
}

#[cfg(test)]
mod tests;
