//! Revoking certificates and publishing revocation lists (CA group G).

use std::path::PathBuf;

use certs::{RevocationList, Timestamp};
use serde_json::json;

use super::{Authority, Issuer};
use crate::crl::{self, CrlContent};
use crate::error::IssueError;
use crate::key::armour;
use crate::serial::hex;
use crate::store::{
    AuditEvent, AuthorityId, CertificateRecord, CrlRecord, Kind, RecordId, Revocation, RevocationReason,
    Tier, make_folder, write_by_way_of,
};

/// Days a revocation list counts unless said otherwise; publish the next one well before.
pub const CRL_DAYS: u32 = 30;

/// Days the list of a root counts that signs nothing but the authority below it: its key is kept offline, and fetching it
/// every month would end that.
pub const ROOT_CRL_DAYS: u32 = 365;

/// How long lists count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListDays {
    /// The lists of authorities that sign phones or servers.
    pub issuing: u32,
    /// The lists of roots that sign nothing but the authority below them.
    pub root: u32,
}

impl Default for ListDays {
    fn default() -> Self {
        Self { issuing: CRL_DAYS, root: ROOT_CRL_DAYS }
    }
}

/// A certificate that is revoked now.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The certificate.
    pub record: CertificateRecord,
    /// That, when and why; the first date stays when it was revoked before.
    pub revocation: Revocation,
    /// Whether it was revoked before.
    pub already: bool,
}

/// A list that was published.
#[derive(Debug, Clone)]
pub struct Published {
    /// Whose.
    pub authority: String,
    /// Where it lies, PEM.
    pub path: PathBuf,
    /// The list, DER.
    pub der: Vec<u8>,
    /// Its number.
    pub number: i64,
    /// How many entries it has.
    pub entries: usize,
    /// Until when it counts.
    pub next_update: Timestamp,
}

impl Authority {
    /// Revokes one certificate. Twice is once: the first date stays, the reason changes only to keyCompromise.
    ///
    /// Nobody learns of it before [`publish_crls`](Self::publish_crls). No key is needed.
    pub fn revoke(&mut self, id: RecordId, reason: RevocationReason) -> Result<Revoked, IssueError> {
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let record = self
            .store
            .certificate(id)?
            .filter(|record| record.certificate.is_some())
            .ok_or_else(|| IssueError::NotFound { selector: format!("row {}", id.0) })?;
        let is_root = record.intent.kind == Kind::Authority
            && self
                .issuers
                .iter()
                .any(|one| one.id() == record.intent.authority && one.name() == record.intent.name);
        if is_root {
            return Err(IssueError::RootRevocation { name: record.intent.name });
        }
        let audit = AuditEvent {
            at: now,
            event: "revoke",
            detail: json!({
                "kind": record.intent.kind.as_str(),
                "name": record.intent.name,
                "serial": hex(&record.intent.serial),
                "reason": reason.as_str(),
            }),
        };
        let already = record.revocation.is_some();
        let revocation = self.store.revoke(id, Revocation { at: now, reason }, &audit)?;
        Ok(Revoked { record, revocation, already })
    }

    /// Publishes the list of every authority whose key is here, or of the one named.
    ///
    /// Only a root that keeps its key offline is passed over, and only when it is not named.
    pub fn publish_crls(&mut self, only: Option<&str>, days: ListDays) -> Result<Vec<Published>, IssueError> {
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let ids = self.list_signers(only)?;
        self.check_keys(&ids)?;
        ids.into_iter().map(|id| self.publish(id, now, days)).collect()
    }

    /// The authorities whose lists [`publish_crls`](Self::publish_crls) makes.
    pub fn list_signers(&self, only: Option<&str>) -> Result<Vec<AuthorityId>, IssueError> {
        let wanted = |one: &&Issuer| match only {
            Some(name) => name == one.name(),
            None => !self.is_offline(one),
        };
        let ids: Vec<AuthorityId> = self.issuers.iter().filter(wanted).map(Issuer::id).collect();
        match only {
            Some(name) if ids.is_empty() => Err(IssueError::NotFound { selector: name.to_owned() }),
            Some(_) | None => Ok(ids),
        }
    }

    /// The roots whose lists are left as they are because their keys are not here, each with the end of its list.
    pub fn offline_roots(&self) -> Result<Vec<(&Issuer, Option<Timestamp>)>, IssueError> {
        self.issuers
            .iter()
            .filter(|one| self.is_offline(one))
            .map(|one| Ok((one, self.store.last_crl(one.id())?.map(|list| list.next_update))))
            .collect()
    }

    /// The number of the list that lies where others read it; nought if there is none that can be read.
    fn number_on_disk(&self, id: AuthorityId) -> i64 {
        let issuer = self.issuers.iter().find(|issuer| issuer.id() == id);
        issuer
            .and_then(|issuer| std::fs::read(self.layout.crl(issuer.name())).ok())
            .and_then(|text| RevocationList::parse(&text).ok())
            .and_then(|list| list.number())
            .and_then(|number| {
                let (high, low) = number.as_bytes().split_last_chunk::<8>()?;
                high.iter().all(|octet| *octet == 0).then(|| i64::from_be_bytes(*low))
            })
            .unwrap_or(0)
    }

    fn publish(&mut self, id: AuthorityId, now: Timestamp, days: ListDays) -> Result<Published, IssueError> {
        let signer = self.signer(id)?;
        let last = self.store.last_crl(id)?;
        // An expired certificate stays on one list that was made, and could be read, after its end (G3).
        let published = self.store.last_published_crl(id)?;
        let since = published.map_or(Timestamp::from_unix(0), |list| list.this_update.min(now));
        let entries = self.store.revoked(id, since)?;
        // Seconds since 1970, and the file, keep the number rising even if an old copy of the store is restored (G2).
        let number =
            last.map_or(0, |last| last.number).max(self.number_on_disk(id)).saturating_add(1).max(now.unix());
        let issuer = self
            .issuers
            .iter()
            .find(|issuer| issuer.id() == id)
            .ok_or_else(|| IssueError::NotFound { selector: format!("authority {}", id.0) })?;
        let above = issuer.tier() == Tier::Root && self.has_issuing_tier(issuer.side());
        let days = if above { days.root } else { days.issuing };
        let mut next_update = now.plus_seconds(i64::from(days) * 86_400);
        if self.is_test() {
            next_update = next_update.min(issuer.certificate().validity().not_after);
        }
        let crl = CrlRecord { authority: id, number, this_update: now, next_update };
        let name = issuer.name().to_owned();
        let audit = AuditEvent {
            at: now,
            event: "crl",
            detail: json!({ "authority": name, "number": number, "entries": entries.len(), "next_update": next_update.to_string() }),
        };
        let content = CrlContent {
            issuer: issuer.certificate(),
            number,
            this_update: now,
            next_update,
            entries: &entries,
        };
        let der = crl::sign(&content, &*signer)?;
        let path = self.layout.crl(&name);
        let pem = armour("X509 CRL", &der);
        self.store.reserve_crl(&crl, &audit)?;
        make_folder(&self.layout.crls(), 0o755)?;
        make_folder(&self.layout.pending(), 0o700)?;
        write_by_way_of(&self.layout.pending(), &path, pem.as_bytes(), 0o644)?;
        self.store.crl_published(&crl)?;
        Ok(Published { authority: name, path, der, number, entries: entries.len(), next_update })
    }
}
