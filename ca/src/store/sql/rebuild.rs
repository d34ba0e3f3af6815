//! An empty inventory filled with what was found elsewhere.

use super::{SqlStore, append_audit, finish_one, insert_authority, insert_intent};
use crate::store::backend::values;
use crate::store::{
    AuditEvent, AuthorityRecord, Checkpoint, CrlRecord, Intent, LogEntry, Revocation, StoreError,
};

/// Everything an inventory holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rebuilding {
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) authorities: Vec<AuthorityRecord>,
    /// Certificates, with their DER where it is known.
    pub(crate) certificates: Vec<(Intent, Option<Vec<u8>>)>,
    /// Revocations, by the position of the certificate.
    pub(crate) revocations: Vec<(usize, Revocation)>,
    pub(crate) lists: Vec<CrlRecord>,
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
                if let (Some(shard), Some(der)) = (intent.shard, der) {
                    let uri = certs::Certificate::parse(der).ok().and_then(|certificate| {
                        let mut points = certificate.crl_distribution_points().iter();
                        points.find_map(|point| point.uris().next().map(str::to_owned))
                    });
                    if let Some(uri) = uri {
                        backend.execute(
                            "INSERT INTO shard (authority, shard, uri, is_open) VALUES (?1, ?2, ?3, 0)
                             ON CONFLICT (authority, shard) DO NOTHING",
                            values![intent.authority.0, i64::from(shard.0), uri],
                        )?;
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
            for list in &content.lists {
                backend.execute(
                    "INSERT INTO revocation_list (authority, shard, number, this_update, next_update, published)
                     VALUES (?1, ?2, ?3, ?4, ?5, 1) ON CONFLICT (authority, shard, number) DO NOTHING",
                    values![
                        list.authority.0,
                        list.shard.map_or(0, |shard| i64::from(shard.0)),
                        list.number,
                        list.this_update.unix(),
                        list.next_update.unix(),
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
