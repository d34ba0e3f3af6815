//! The inventory in one SQLite file, written ahead and flushed to the disk with every transaction.

mod publication;

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use certs::{Timestamp, Validity};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::schema::STEPS;
use super::{
    AuditEvent, AuthorityId, AuthorityRecord, CertificateRecord, CrlRecord, Finished, Intent, Kind, Query,
    RecordId, Revocation, RevocationReason, ShardNumber, Side, State, Store, StoreError, Tier,
};

/// How long a transaction waits for another process's.
const BUSY: Duration = Duration::from_secs(30);

/// A [`Store`] in a file.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
}

impl SqliteStore {
    /// Opens the database at `path`, making or upgrading its tables.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        upgrade(&mut connection)?;
        Ok(Self { connection })
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
        let transaction = self.begin()?;
        for (name, value) in settings {
            transaction.execute(
                "INSERT INTO setting (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                params![name, value],
            )?;
        }
        for authority in authorities {
            transaction.execute(
                "INSERT INTO authority (id, name, side, tier, certificate) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    authority.id.0,
                    authority.name,
                    authority.side.as_str(),
                    authority.tier.as_str(),
                    authority.certificate
                ],
            )?;
        }
        for (intent, certificate) in certificates {
            let id = insert_intent(&transaction, intent)?;
            finish_one(&transaction, id, certificate)?;
        }
        for crl in crls {
            publication::insert_crl(&transaction, crl)?;
            transaction.execute("UPDATE crl SET published = 1", [])?; // its file is there before the store is
        }
        append_audit(&transaction, audit)?;
        transaction.commit()?;
        Ok(())
    }

    /// Moves everything out of the write-ahead log, so that the file alone is the database.
    pub(crate) fn settle(self) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "journal_mode", "DELETE")?;
        self.connection.close().map_err(|(_connection, error)| StoreError::Database(error))
    }

    fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }
}

impl Store for SqliteStore {
    fn authorities(&self) -> Result<Vec<AuthorityRecord>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, name, side, tier, certificate FROM authority ORDER BY id")?;
        let mut rows = statement.query([])?;
        let mut authorities = Vec::new();
        while let Some(row) = rows.next()? {
            authorities.push(AuthorityRecord {
                id: AuthorityId(row.get(0)?),
                name: row.get(1)?,
                side: word(row, 2, Side::from_word)?,
                tier: word(row, 3, Tier::from_word)?,
                certificate: row.get(4)?,
            });
        }
        Ok(authorities)
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self
            .connection
            .query_row("SELECT value FROM setting WHERE name = ?1", [name], |row| row.get(0))
            .optional()?)
    }

    fn reserve(&mut self, intents: &[Intent]) -> Result<Vec<RecordId>, StoreError> {
        let transaction = self.begin()?;
        let ids =
            intents.iter().map(|intent| insert_intent(&transaction, intent)).collect::<Result<_, _>>()?;
        transaction.commit()?;
        Ok(ids)
    }

    fn finish(&mut self, finished: &[Finished]) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        for one in finished {
            finish_one(&transaction, one.id, &one.certificate)?;
            append_audit(&transaction, &one.audit)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn abandon(&mut self, ids: &[RecordId]) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        for id in ids {
            transaction.execute(
                "UPDATE certificate SET state = 'abandoned' WHERE id = ?1 AND state = 'intent'",
                [id.0],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn certificate(&self, id: RecordId) -> Result<Option<CertificateRecord>, StoreError> {
        Ok(self.select("WHERE c.id = ?1", params![id.0])?.into_iter().next())
    }

    fn find(&self, query: &Query) -> Result<Vec<CertificateRecord>, StoreError> {
        match query {
            Query::All => self.select("", params![]),
            Query::DeviceSerial(serial) => self.select("WHERE c.device_serial = ?1", params![serial]),
            Query::Name(kind, name) => {
                self.select("WHERE c.name = ?1 AND c.kind = ?2", params![name, kind.as_str()])
            }
            Query::PublicKey(key) => self.select("WHERE c.public_key = ?1", params![key]),
            Query::Serial(serial) => self.select("WHERE c.serial = ?1", params![serial]),
            Query::Unfinished => self.select("WHERE c.state = 'intent'", params![]),
        }
    }

    fn revoke(
        &mut self,
        id: RecordId,
        revocation: Revocation,
        audit: &AuditEvent,
    ) -> Result<Revocation, StoreError> {
        let transaction = self.begin()?;
        let earlier = transaction
            .query_row("SELECT revoked_at, reason FROM revocation WHERE certificate = ?1", [id.0], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })
            .optional()?;
        let settled = match earlier {
            None => {
                transaction.execute(
                    "INSERT INTO revocation (certificate, authority, serial, not_after, revoked_at, reason, shard)
                     SELECT id, authority, serial, not_after, ?2, ?3, shard FROM certificate WHERE id = ?1",
                    params![id.0, revocation.at.unix(), revocation.reason.as_str()],
                )?;
                append_audit(&transaction, audit)?;
                revocation
            }
            Some((at, reason)) => {
                let at = Timestamp::from_unix(at);
                let before = RevocationReason::from_word(&reason).ok_or_else(|| unknown_word(&reason))?;
                if revocation.reason == RevocationReason::KeyCompromise && before != revocation.reason {
                    transaction.execute(
                        "UPDATE revocation SET reason = ?2 WHERE certificate = ?1",
                        params![id.0, revocation.reason.as_str()],
                    )?;
                    append_audit(&transaction, audit)?;
                    Revocation { at, reason: revocation.reason }
                } else {
                    Revocation { at, reason: before }
                }
            }
        };
        transaction.commit()?;
        Ok(settled)
    }

    fn note(&mut self, audit: &AuditEvent) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        append_audit(&transaction, audit)?;
        transaction.commit()?;
        Ok(())
    }

    fn last_audit(&self) -> Result<Option<Timestamp>, StoreError> {
        let at: Option<i64> = self.connection.query_row(
            "SELECT max(at) FROM audit
             WHERE sequence >= coalesce((SELECT max(sequence) FROM audit WHERE event = 'clock'), 0)",
            [],
            |row| row.get(0),
        )?;
        Ok(at.map(Timestamp::from_unix))
    }
}

impl SqliteStore {
    fn select(
        &self,
        condition: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<CertificateRecord>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT c.id, c.authority, c.serial, c.state, c.kind, c.name, c.product, c.device_serial, c.public_key,
                    c.not_before, c.not_after, c.reserved_at, c.folder, c.certificate, r.revoked_at, r.reason, c.shard
             FROM certificate c LEFT JOIN revocation r ON r.certificate = c.id {condition} ORDER BY c.id"
        ))?;
        let mut rows = statement.query(parameters)?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            records.push(record(row)?);
        }
        Ok(records)
    }
}

fn record(row: &Row<'_>) -> Result<CertificateRecord, StoreError> {
    let revoked_at: Option<i64> = row.get(14)?;
    let revocation = match revoked_at {
        None => None,
        Some(at) => Some(Revocation {
            at: Timestamp::from_unix(at),
            reason: word(row, 15, RevocationReason::from_word)?,
        }),
    };
    let folder: String = row.get(12)?;
    Ok(CertificateRecord {
        id: RecordId(row.get(0)?),
        state: word(row, 3, State::from_word)?,
        intent: Intent {
            authority: AuthorityId(row.get(1)?),
            serial: row.get(2)?,
            kind: word(row, 4, Kind::from_word)?,
            name: row.get(5)?,
            product: row.get(6)?,
            device_serial: row.get(7)?,
            public_key: row.get(8)?,
            validity: Validity {
                not_before: Timestamp::from_unix(row.get(9)?),
                not_after: Timestamp::from_unix(row.get(10)?),
            },
            at: Timestamp::from_unix(row.get(11)?),
            folder: folder.into(),
            shard: row.get::<_, Option<u32>>(16)?.map(ShardNumber),
        },
        certificate: row.get(13)?,
        revocation,
    })
}

fn word<T>(row: &Row<'_>, column: usize, parse: fn(&str) -> Option<T>) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| unknown_word(&text))
}

fn unknown_word(text: &str) -> StoreError {
    StoreError::Damaged { what: format!("unknown word {text:?}") }
}

fn insert_intent(transaction: &Transaction<'_>, intent: &Intent) -> Result<RecordId, StoreError> {
    let folder = intent
        .folder
        .to_str()
        .ok_or_else(|| StoreError::Damaged { what: format!("folder {:?} is not text", intent.folder) })?;
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO certificate (authority, serial, state, kind, name, product, device_serial, public_key,
                                      not_before, not_after, reserved_at, folder, shard)
             VALUES (?1, ?2, 'intent', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            intent.authority.0,
            intent.serial,
            intent.kind.as_str(),
            intent.name,
            intent.product,
            intent.device_serial,
            intent.public_key,
            intent.validity.not_before.unix(),
            intent.validity.not_after.unix(),
            intent.at.unix(),
            folder,
            intent.shard.map(|shard| shard.0),
        ]);
    match inserted {
        Ok(_) => Ok(RecordId(transaction.last_insert_rowid())),
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE =>
        {
            Err(StoreError::SerialTaken)
        }
        Err(error) => Err(error.into()),
    }
}

fn finish_one(transaction: &Transaction<'_>, id: RecordId, certificate: &[u8]) -> Result<(), StoreError> {
    let changed = transaction
        .prepare_cached(
            "UPDATE certificate SET state = 'issued', certificate = ?2 WHERE id = ?1 AND state = 'intent'",
        )?
        .execute(params![id.0, certificate])?;
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::Damaged { what: format!("row {} is no intent", id.0) })
    }
}

/// Each entry holds the hash of the one before, so that a change in the middle shows.
fn append_audit(transaction: &Transaction<'_>, audit: &AuditEvent) -> Result<(), StoreError> {
    let last: Option<(i64, Vec<u8>)> = transaction
        .prepare_cached("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (sequence, previous) = last.map_or_else(|| (1, vec![0; 32]), |(sequence, hash)| (sequence + 1, hash));
    let detail = audit.detail.to_string();
    let mut content = previous.clone();
    content.extend(sequence.to_be_bytes());
    content.extend(audit.at.unix().to_be_bytes());
    content.extend(audit.event.as_bytes());
    content.push(0);
    content.extend(detail.as_bytes());
    let hash = digest(&SHA256, &content);
    transaction
        .prepare_cached(
            "INSERT INTO audit (sequence, at, event, detail, previous, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![sequence, audit.at.unix(), audit.event, detail, previous, hash.as_ref()])?;
    Ok(())
}

fn upgrade(connection: &mut Connection) -> Result<(), StoreError> {
    let known = i64::try_from(STEPS.len()).expect("there are a handful of steps");
    if format(connection)? == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = format(&transaction)?; // again: another process may have been quicker
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

fn format(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

#[cfg(test)]
mod tests;
