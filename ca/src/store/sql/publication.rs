//! Shards and revocation lists.

use certs::Timestamp;

use super::{SqlStore, append_audit, finish_one, insert_authority, insert_intent};
use crate::store::backend::{Backend, Row, Value, values};
use crate::store::{
    AuditEvent, AuthorityId, AuthorityRecord, CrlRecord, Intent, Publication, PublicationStore, Revocation,
    RevocationMark, RevocationMarks, RevocationReason, RevokedEntry, Shard, ShardNumber, StoreError,
};

/// The complete list, in the column that holds a shard's number; shards begin with 1.
const COMPLETE: i64 = 0;

impl PublicationStore for SqlStore {
    fn add_authority(
        &mut self,
        authority: &AuthorityRecord,
        intent: &Intent,
        certificate: &[u8],
        audit: &AuditEvent,
    ) -> Result<(), StoreError> {
        self.write(|backend| {
            insert_authority(backend, authority)?;
            let id = insert_intent(backend, intent)?;
            finish_one(backend, id, certificate)?;
            append_audit(backend, audit)
        })
    }

    fn set_setting(&mut self, name: &str, value: &str, audit: &AuditEvent) -> Result<(), StoreError> {
        self.write(|backend| {
            backend.execute(
                "INSERT INTO setting (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                values![name, value],
            )?;
            append_audit(backend, audit)
        })
    }

    fn remove_setting(&mut self, name: &str, audit: &AuditEvent) -> Result<bool, StoreError> {
        self.write(|backend| {
            let removed = backend.execute("DELETE FROM setting WHERE name = ?1", values![name])? > 0;
            if removed {
                append_audit(backend, audit)?;
            }
            Ok(removed)
        })
    }

    fn publication(&self, authority: AuthorityId) -> Result<Option<Publication>, StoreError> {
        let row = self.backend.borrow_mut().row(
            "SELECT url, ocsp, complete_list FROM publication WHERE authority = ?1",
            values![authority.0],
        )?;
        row.map(|row| {
            let (ocsp, complete_list) = (row.integer(1)? != 0, row.integer(2)? != 0);
            Ok(Publication { url: row.text(0)?, ocsp, complete_list })
        })
        .transpose()
    }

    fn shards(&self, authority: AuthorityId) -> Result<Vec<Shard>, StoreError> {
        self.backend.borrow_mut().rows(
            "SELECT shard, uri, is_open FROM shard WHERE authority = ?1 ORDER BY shard",
            values![authority.0],
            |row| {
                let number = shard(row, 0)?
                    .ok_or_else(|| StoreError::Damaged { what: "a shard has no number".to_owned() })?;
                Ok(Shard { number, uri: row.text(1)?, is_open: row.integer(2)? != 0 })
            },
        )
    }

    fn set_publication(
        &mut self,
        authority: AuthorityId,
        publication: Option<&Publication>,
        open: &[Shard],
        audit: &AuditEvent,
    ) -> Result<(), StoreError> {
        self.write(|backend| {
            backend.execute("DELETE FROM publication WHERE authority = ?1", values![authority.0])?;
            if let Some(Publication { url, ocsp, complete_list }) = publication {
                backend.execute(
                    "INSERT INTO publication (authority, url, ocsp, complete_list) VALUES (?1, ?2, ?3, ?4)",
                    values![authority.0, url, *ocsp, *complete_list],
                )?;
            }
            backend.execute("UPDATE shard SET is_open = 0 WHERE authority = ?1", values![authority.0])?;
            for shard in open {
                backend.execute(
                    "INSERT INTO shard (authority, shard, uri, is_open) VALUES (?1, ?2, ?3, 1)
                     ON CONFLICT (authority, shard) DO UPDATE SET is_open = 1",
                    values![authority.0, i64::from(shard.number.0), &shard.uri],
                )?;
            }
            append_audit(backend, audit)
        })
    }

    fn last_end(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
    ) -> Result<Option<Timestamp>, StoreError> {
        // An authority's own certificate may be on a list above it, never on its own; nobody looks for a responder's.
        let of = |condition: &str| {
            format!(
                "SELECT c.not_after FROM certificate c JOIN authority a ON a.id = c.authority
                 WHERE c.authority = ?1 AND c.shard {condition} AND c.state <> 'abandoned'
                   AND c.kind <> 'responder' AND NOT (c.kind = 'authority' AND c.name = a.name)
                 ORDER BY c.not_after DESC LIMIT 1"
            )
        };
        let mut backend = self.backend.borrow_mut();
        let row = match shard {
            None => backend.row(&of("IS NULL"), values![authority.0]),
            Some(shard) => backend.row(&of("= ?2"), values![authority.0, i64::from(shard.0)]),
        }?;
        row.map(|row| row.integer(0).map(Timestamp::from_unix)).transpose()
    }

    fn revoked(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
        since: Timestamp,
    ) -> Result<Vec<RevokedEntry>, StoreError> {
        let of = |condition: &str| {
            format!(
                "SELECT serial, revoked_at, reason FROM revocation
                 WHERE authority = ?1 AND not_after >= ?2 {condition} ORDER BY revoked_at, serial"
            )
        };
        let read = |row: &Row| {
            let at = Timestamp::from_unix(row.integer(1)?);
            let reason = row.word(2, RevocationReason::from_word)?;
            Ok(RevokedEntry { serial: row.bytes(0)?, revocation: Revocation { at, reason } })
        };
        let (authority, since) = (authority.0, since.unix());
        let mut backend = self.backend.borrow_mut();
        match shard {
            None => backend.rows(&of(""), values![authority, since], read),
            Some(shard) => {
                backend.rows(&of("AND shard = ?3"), values![authority, since, i64::from(shard.0)], read)
            }
        }
    }

    fn revocation_marks(&self, authority: AuthorityId) -> Result<RevocationMarks, StoreError> {
        let marks = self.backend.borrow_mut().rows(
            "SELECT shard, count(*), CAST(sum(revoked_at) AS BIGINT),
                    CAST(sum(CASE WHEN reason = 'keyCompromise' THEN 1 ELSE 0 END) AS BIGINT)
             FROM revocation WHERE authority = ?1 GROUP BY shard",
            values![authority.0],
            |row| {
                let (count, times, compromised) = (row.integer(1)?, row.integer(2)?, row.integer(3)?);
                Ok((shard(row, 0)?, RevocationMark { count, times, compromised }))
            },
        )?;
        Ok(RevocationMarks(marks.into_iter().collect()))
    }

    fn audit_sequence(&self) -> Result<i64, StoreError> {
        let row = self.backend.borrow_mut().row("SELECT coalesce(max(sequence), 0) FROM audit", &[])?;
        row.map_or(Ok(0), |row| row.integer(0))
    }

    fn last_crl(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
    ) -> Result<Option<CrlRecord>, StoreError> {
        self.newest_crl(authority, shard, false)
    }

    fn last_published_crl(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
    ) -> Result<Option<CrlRecord>, StoreError> {
        self.newest_crl(authority, shard, true)
    }

    fn crl_published(&mut self, crl: &CrlRecord) -> Result<(), StoreError> {
        self.write(|backend| {
            backend.execute(
                "UPDATE revocation_list SET published = 1 WHERE authority = ?1 AND shard = ?2 AND number = ?3",
                values![crl.authority.0, column(crl.shard), crl.number],
            )?;
            Ok(())
        })
    }

    fn reserve_crl(&mut self, crl: &CrlRecord, audit: &AuditEvent) -> Result<(), StoreError> {
        self.write(|backend| {
            insert_crl(backend, crl)?;
            append_audit(backend, audit)
        })
    }
}

impl SqlStore {
    fn newest_crl(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
        published: bool,
    ) -> Result<Option<CrlRecord>, StoreError> {
        let row = self.backend.borrow_mut().row(
            "SELECT number, this_update, next_update FROM revocation_list
             WHERE authority = ?1 AND shard = ?2 AND published >= ?3 ORDER BY number DESC LIMIT 1",
            values![authority.0, column(shard), published],
        )?;
        row.map(|row| {
            Ok(CrlRecord {
                authority,
                shard,
                number: row.integer(0)?,
                this_update: Timestamp::from_unix(row.integer(1)?),
                next_update: Timestamp::from_unix(row.integer(2)?),
            })
        })
        .transpose()
    }
}

pub(super) fn insert_crl(backend: &mut dyn Backend, crl: &CrlRecord) -> Result<(), StoreError> {
    backend.execute(
        "INSERT INTO revocation_list (authority, shard, number, this_update, next_update)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        values![
            crl.authority.0,
            column(crl.shard),
            crl.number,
            crl.this_update.unix(),
            crl.next_update.unix()
        ],
    )?;
    Ok(())
}

/// The shard in a column that may be empty.
pub(super) fn shard(row: &Row, column: usize) -> Result<Option<ShardNumber>, StoreError> {
    row.optional_integer(column)?
        .map(|number| {
            u32::try_from(number)
                .map(ShardNumber)
                .map_err(|_range| StoreError::Damaged { what: format!("shard {number} is out of range") })
        })
        .transpose()
}

/// The shard for a column that may be empty.
pub(super) fn value(shard: Option<ShardNumber>) -> Value {
    shard.map_or(Value::Null, |shard| Value::Integer(i64::from(shard.0)))
}

fn column(shard: Option<ShardNumber>) -> i64 {
    shard.map_or(COMPLETE, |shard| i64::from(shard.0))
}
