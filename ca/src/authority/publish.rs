//! Publishing revocation lists: a complete one of each authority, and those of its shards (CA group G).

use std::fs;
use std::path::PathBuf;

use certs::{RevocationList, Timestamp};
use serde_json::json;

use super::{Authority, Issuer};
use crate::crl::{self, CrlContent};
use crate::error::IssueError;
use crate::key::armour;
use crate::store::{
    AuditEvent, AuthorityId, CrlRecord, FileError, RevocationMarks, ShardNumber, Tier, make_folder,
    sync_folder, write_by_way_of,
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

/// A list that was published.
#[derive(Debug, Clone)]
pub struct Published {
    /// Whose.
    pub authority: String,
    /// Which of its shards; none for the complete list.
    pub shard: Option<ShardNumber>,
    /// The URI that certificates of the shard name, and the list too.
    pub uri: Option<String>,
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

/// A list that an authority has to keep up to date.
#[derive(Debug, Clone)]
pub struct DueList {
    /// Whose.
    pub authority: AuthorityId,
    /// Its name.
    pub name: String,
    /// Which of its shards; none for the complete list.
    pub shard: Option<ShardNumber>,
    /// The URI that stands in it.
    pub uri: Option<String>,
    /// Where it lies, PEM.
    pub path: PathBuf,
    /// The newest that others could read.
    pub published: Option<CrlRecord>,
}

impl DueList {
    /// When half of the list's life is gone, and the next is due (CA G4); long ago when there is none.
    pub fn due(&self) -> Timestamp {
        self.published.as_ref().map_or(Timestamp::from_unix(0), |list| {
            let life = list.next_update.unix().saturating_sub(list.this_update.unix());
            list.this_update.plus_seconds(life / 2)
        })
    }

    /// `current`, `due`, `expired` or `missing`.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match &self.published {
            None => "missing",
            Some(list) if now > list.next_update => "expired",
            Some(_) if now >= self.due() => "due",
            Some(_) => "current",
        }
    }
}

impl Authority {
    /// Publishes the lists of every authority whose key is here, or of the one named.
    ///
    /// Only a root that keeps its key offline is passed over, and only when it is not named. A file of a list that no
    /// certificate needs any more is removed.
    pub fn publish_crls(&mut self, only: Option<&str>, days: ListDays) -> Result<Vec<Published>, IssueError> {
        let ids = self.list_signers(only)?;
        self.publish_lists(&ids, Life::Days(days), |_all| true)
    }

    /// Publishes those lists of one authority that are chosen.
    pub fn publish_some(
        &mut self,
        id: AuthorityId,
        days: ListDays,
        chosen: impl Fn(&DueList) -> bool,
    ) -> Result<Vec<Published>, IssueError> {
        self.publish_lists(&[id], Life::Days(days), chosen)
    }

    /// Publishes the last lists of an authority that retires: they count until its own end, so that its key can be
    /// destroyed (CA G4).
    pub fn publish_last_crls(&mut self, name: &str) -> Result<Vec<Published>, IssueError> {
        let ids = self.list_signers(Some(name))?;
        self.publish_lists(&ids, Life::UntilTheEnd, |_all| true)
    }

    fn publish_lists(
        &mut self,
        ids: &[AuthorityId],
        life: Life,
        chosen: impl Fn(&DueList) -> bool,
    ) -> Result<Vec<Published>, IssueError> {
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        self.check_keys(ids)?;
        self.place_roots()?;
        let mut published = Vec::new();
        for id in ids.iter().copied() {
            // What is due is asked before: a list made for the last time stays until the next are made.
            let due = self.due_lists(id, now)?;
            for list in due.iter().filter(|list| chosen(list)) {
                published.push(self.publish(list, now, life)?);
            }
            self.remove_needless(id, &due)?;
            self.checkpoint(id, now)?;
        }
        self.write_log()?;
        Ok(published)
    }

    /// The authorities whose lists [`publish_crls`](Self::publish_crls) makes.
    pub fn list_signers(&self, only: Option<&str>) -> Result<Vec<AuthorityId>, IssueError> {
        let wanted = |one: &&Issuer| match only {
            Some(name) => name == one.name(),
            None => !one.is_foreign() && !self.is_offline(one),
        };
        let ids: Vec<AuthorityId> = self.issuers.iter().filter(wanted).map(Issuer::id).collect();
        for one in self.issuers.iter().filter(|one| ids.contains(&one.id())) {
            self.check_is_own(one)?;
        }
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
            .map(|one| Ok((one, self.store.last_crl(one.id(), None)?.map(|list| list.next_update))))
            .collect()
    }

    /// The lists that an authority has to keep up to date: the complete one, and each shard that is open or has a
    /// certificate on it.
    ///
    /// A shard is needed until its last certificate was on a list made after that certificate's end (CA G3). The
    /// complete list is needed as long as a certificate names no shard; where the operator wants it, always.
    pub fn due_lists(&self, id: AuthorityId, now: Timestamp) -> Result<Vec<DueList>, IssueError> {
        let Some(issuer) = self.issuers.iter().find(|issuer| issuer.id() == id) else {
            return Err(IssueError::NotFound { selector: format!("authority {}", id.0) });
        };
        if issuer.is_foreign() {
            return Ok(Vec::new()); // its lists are made where its key is
        }
        let shards = self.store.shards(id)?;
        let is_sharded = shards.iter().any(|shard| shard.is_open);
        let wants_complete = !is_sharded || self.store.publication(id)?.is_none_or(|one| one.complete_list);
        let mut lists = Vec::new();
        let complete = (None, None, wants_complete);
        let others = shards.into_iter().map(|shard| (Some(shard.number), Some(shard.uri), shard.is_open));
        for (shard, uri, is_wanted) in std::iter::once(complete).chain(others) {
            let published = self.store.last_published_crl(id, shard)?;
            let since = since(published.as_ref(), now);
            if is_wanted || self.store.last_end(id, shard)?.is_some_and(|end| end >= since) {
                let (name, path) = (issuer.name().to_owned(), self.layout.crl(issuer.name(), shard));
                lists.push(DueList { authority: id, name, shard, uri, path, published });
            }
        }
        Ok(lists)
    }

    /// Takes away the files of lists that nobody needs: a list that is never renewed looks like one that ran out.
    fn remove_needless(&self, id: AuthorityId, due: &[DueList]) -> Result<(), IssueError> {
        let shards = self.store.shards(id)?;
        let Some(issuer) = self.issuers.iter().find(|issuer| issuer.id() == id) else { return Ok(()) };
        let all = std::iter::once(None).chain(shards.iter().map(|shard| Some(shard.number)));
        let needless = all
            .map(|shard| self.layout.crl(issuer.name(), shard))
            .filter(|path| due.iter().all(|list| list.path != *path));
        let mut removed = false;
        for path in needless {
            match fs::remove_file(&path) {
                Ok(()) => removed = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(FileError::new("remove", &path, source).into()),
            }
        }
        if removed {
            sync_folder(&self.layout.crls())?;
        }
        Ok(())
    }

    /// What is revoked, in short.
    pub(crate) fn revocation_marks(&self, id: AuthorityId) -> Result<RevocationMarks, IssueError> {
        Ok(self.store.revocation_marks(id)?)
    }

    /// The number of the last entry of the audit log.
    pub(crate) fn audit_sequence(&self) -> Result<i64, IssueError> {
        Ok(self.store.audit_sequence()?)
    }

    pub(super) fn publish(
        &mut self,
        list: &DueList,
        now: Timestamp,
        life: Life,
    ) -> Result<Published, IssueError> {
        let DueList { authority: id, name, shard, uri, path, published } = list;
        let (id, shard) = (*id, *shard);
        let signer = self.signer(id)?;
        let last = self.store.last_crl(id, shard)?;
        let entries = self.store.revoked(id, shard, since(published.as_ref(), now))?;
        // Seconds since 1970, and the file, keep the number rising even if an old copy of the store is restored (G2).
        let number =
            last.map_or(0, |last| last.number).max(number_on_disk(path)).saturating_add(1).max(now.unix());
        let issuer = self
            .issuers
            .iter()
            .find(|issuer| issuer.id() == id)
            .ok_or_else(|| IssueError::NotFound { selector: format!("authority {}", id.0) })?;
        let end = issuer.certificate().validity().not_after;
        let next_update = match life {
            Life::UntilTheEnd => end,
            Life::Days(days) => {
                let signs = self.issuer_for(issuer.side()).is_ok_and(|signer| signer.id() == id);
                let above = issuer.tier() == Tier::Root && self.has_issuing_tier(issuer.side()) && !signs;
                let days = if above { days.root } else { days.issuing };
                let next_update = now.plus_seconds(i64::from(days) * 86_400);
                if self.is_test() { next_update.min(end) } else { next_update }
            }
        };
        let crl = CrlRecord { authority: id, shard, number, this_update: now, next_update };
        let mut detail = json!({ "authority": name, "number": number, "entries": entries.len(), "next_update": next_update.to_string() });
        if let Some(shard) = shard {
            detail["shard"] = json!(shard.0);
        }
        let audit = AuditEvent { at: now, event: "crl", detail };
        let content = CrlContent {
            issuer: issuer.certificate(),
            number,
            this_update: now,
            next_update,
            point: uri.as_deref(),
            entries: &entries,
        };
        let der = crl::sign(&content, &*signer)?;
        let pem = armour("X509 CRL", &der);
        self.store.reserve_crl(&crl, &audit)?;
        make_folder(&self.layout.crls(), 0o755)?;
        make_folder(&self.layout.pending(), 0o700)?;
        write_by_way_of(&self.layout.pending(), path, pem.as_bytes(), 0o644)?;
        self.store.crl_published(&crl)?;
        let (authority, uri, path) = (name.clone(), uri.clone(), path.clone());
        Ok(Published { authority, shard, uri, path, der, number, entries: entries.len(), next_update })
    }
}

/// How long the lists count that are made now.
#[derive(Debug, Clone, Copy)]
pub(super) enum Life {
    Days(ListDays),
    UntilTheEnd,
}

/// An expired certificate stays on one list that was made, and could be read, after its end (CA G3).
fn since(published: Option<&CrlRecord>, now: Timestamp) -> Timestamp {
    published.map_or(Timestamp::from_unix(0), |list| list.this_update.min(now))
}

/// The number of the list that lies where others read it; nought if there is none that can be read.
fn number_on_disk(path: &std::path::Path) -> i64 {
    fs::read(path)
        .ok()
        .and_then(|text| RevocationList::parse(&text).ok())
        .and_then(|list| number_of(&list))
        .unwrap_or(0)
}

/// The number of a list, when it is one that we could have given.
pub(super) fn number_of(list: &RevocationList) -> Option<i64> {
    let number = list.number()?;
    let octets = number.as_bytes();
    let low = octets.iter().rev().take(8).rev().fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
    let high = octets.len().saturating_sub(8);
    octets.iter().take(high).all(|octet| *octet == 0).then(|| i64::try_from(low).ok()).flatten()
}
