//! Shards and revocation lists in SQLite.

use certs::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{SqliteStore, append_audit, word};
use crate::store::{
    AuditEvent, AuthorityId, CrlRecord, Publication, PublicationStore, Revocation, RevocationMark,
    RevocationMarks, RevocationReason, RevokedEntry, Shard, ShardNumber, StoreError,
};

/// The complete list, in the column that holds a shard's number; shards begin with 1.
const COMPLETE: u32 = 0;

impl PublicationStore for SqliteStore {
    fn publication(&self, authority: AuthorityId) -> Result<Option<Publication>, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT url, ocsp, complete_list FROM publication WHERE authority = ?1")?
            .query_row([authority.0], |row| {
                Ok(Publication { url: row.get(0)?, ocsp: row.get(1)?, complete_list: row.get(2)? })
            })
            .optional()?)
    }

    fn shards(&self, authority: AuthorityId) -> Result<Vec<Shard>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT shard, uri, is_open FROM shard WHERE authority = ?1 ORDER BY shard")?;
        let rows = statement.query_map([authority.0], |row| {
            Ok(Shard { number: ShardNumber(row.get(0)?), uri: row.get(1)?, is_open: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn set_publication(
        &mut self,
        authority: AuthorityId,
        publication: Option<&Publication>,
        open: &[Shard],
        audit: &AuditEvent,
    ) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        transaction.execute("DELETE FROM publication WHERE authority = ?1", [authority.0])?;
        if let Some(Publication { url, ocsp, complete_list }) = publication {
            transaction.execute(
                "INSERT INTO publication (authority, url, ocsp, complete_list) VALUES (?1, ?2, ?3, ?4)",
                params![authority.0, url, ocsp, complete_list],
            )?;
        }
        transaction.execute("UPDATE shard SET is_open = 0 WHERE authority = ?1", [authority.0])?;
        for shard in open {
            transaction.execute(
                "INSERT INTO shard (authority, shard, uri, is_open) VALUES (?1, ?2, ?3, 1)
                 ON CONFLICT (authority, shard) DO UPDATE SET is_open = 1",
                params![authority.0, shard.number.0, shard.uri],
            )?;
        }
        append_audit(&transaction, audit)?;
        transaction.commit()?;
        Ok(())
    }

    fn last_end(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
    ) -> Result<Option<Timestamp>, StoreError> {
        // An authority's own certificate may have a list above it, never its own.
        let end: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT c.not_after FROM certificate c JOIN authority a ON a.id = c.authority
                 WHERE c.authority = ?1 AND c.shard IS ?2 AND c.state <> 'abandoned'
                   AND NOT (c.kind = 'authority' AND c.name = a.name)
                 ORDER BY c.not_after DESC LIMIT 1",
            )?
            .query_row(params![authority.0, shard.map(|shard| shard.0)], |row| row.get(0))
            .optional()?;
        Ok(end.map(Timestamp::from_unix))
    }

    fn revoked(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
        since: Timestamp,
    ) -> Result<Vec<RevokedEntry>, StoreError> {
        let condition = if shard.is_some() { "AND shard = ?3" } else { "AND ?3 IS NULL" };
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT serial, revoked_at, reason FROM revocation
             WHERE authority = ?1 AND not_after >= ?2 {condition} ORDER BY revoked_at, serial"
        ))?;
        let mut rows = statement.query(params![authority.0, since.unix(), shard.map(|shard| shard.0)])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let at = Timestamp::from_unix(row.get(1)?);
            let reason = word(row, 2, RevocationReason::from_word)?;
            entries.push(RevokedEntry { serial: row.get(0)?, revocation: Revocation { at, reason } });
        }
        Ok(entries)
    }

    fn revocation_marks(&self, authority: AuthorityId) -> Result<RevocationMarks, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT shard, count(*), sum(revoked_at), sum(reason = 'keyCompromise') FROM revocation
             WHERE authority = ?1 GROUP BY shard",
        )?;
        let marks = statement.query_map([authority.0], |row| {
            let mark = RevocationMark { count: row.get(1)?, times: row.get(2)?, compromised: row.get(3)? };
            Ok((row.get::<_, Option<u32>>(0)?.map(ShardNumber), mark))
        })?;
        Ok(RevocationMarks(marks.collect::<Result<_, _>>()?))
    }

    fn audit_sequence(&self) -> Result<i64, StoreError> {
        Ok(self.connection.query_row("SELECT coalesce(max(sequence), 0) FROM audit", [], |row| row.get(0))?)
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
        self.connection.execute(
            "UPDATE crl SET published = 1 WHERE authority = ?1 AND shard = ?2 AND number = ?3",
            params![crl.authority.0, column(crl.shard), crl.number],
        )?;
        Ok(())
    }

    fn reserve_crl(&mut self, crl: &CrlRecord, audit: &AuditEvent) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        insert_crl(&transaction, crl)?;
        append_audit(&transaction, audit)?;
        transaction.commit()?;
        Ok(())
    }
}

impl SqliteStore {
    fn newest_crl(
        &self,
        authority: AuthorityId,
        shard: Option<ShardNumber>,
        published: bool,
    ) -> Result<Option<CrlRecord>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT number, this_update, next_update FROM crl
                 WHERE authority = ?1 AND shard = ?2 AND published >= ?3 ORDER BY number DESC LIMIT 1",
            )?
            .query_row(params![authority.0, column(shard), published], |row| {
                Ok(CrlRecord {
                    authority,
                    shard,
                    number: row.get(0)?,
                    this_update: Timestamp::from_unix(row.get(1)?),
                    next_update: Timestamp::from_unix(row.get(2)?),
                })
            })
            .optional()?)
    }
}

pub(super) fn insert_crl(transaction: &Transaction<'_>, crl: &CrlRecord) -> Result<(), StoreError> {
    transaction.execute(
        "INSERT INTO crl (authority, shard, number, this_update, next_update) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            crl.authority.0,
            column(crl.shard),
            crl.number,
            crl.this_update.unix(),
            crl.next_update.unix()
        ],
    )?;
    Ok(())
}

fn column(shard: Option<ShardNumber>) -> u32 {
    shard.map_or(COMPLETE, |shard| shard.0)
}
