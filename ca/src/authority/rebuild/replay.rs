//! The log's entries, one after another, and what they make of an empty inventory.

mod imported;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use certs::{Certificate, Fingerprint, RevocationList, Serial, Timestamp, Validity};
use serde_json::Value;

use super::files::Found;
use super::read::{Log, digest};
use super::{Rebuilt, count, damaged};
use crate::authority::publication::open_shards;
use crate::authority::{hierarchy, publish};
use crate::error::IssueError;
use crate::serial::hex;
use crate::store::{
    AuthorityId, AuthorityRecord, CrlRecord, FileError, Intent, Kind, Layout, LogEntry, Publication,
    Rebuilding, Revocation, RevocationReason, Shard, ShardNumber, Side, Tier,
};

/// The inventory that the log and the files tell of.
pub(super) fn replay(
    layout: &Layout,
    log: &Log,
    found: &HashMap<[u8; 32], Found>,
) -> Result<(Rebuilding, Rebuilt), IssueError> {
    let mut replay = Replay {
        layout,
        found,
        making: Rebuilding::default(),
        rows: HashMap::new(),
        revocations: BTreeMap::new(),
        publications: BTreeMap::new(),
        shards: BTreeMap::new(),
        lists: Vec::new(),
        rebuilt: Rebuilt { entries: count(log.entries.len()), ..Rebuilt::default() },
    };
    if log.entries.first().is_none_or(|first| first.event != "init") {
        return Err(damaged("the log does not tell of its founding"));
    }
    for entry in &log.entries {
        let facts = serde_json::from_str(&entry.detail).unwrap_or_default();
        replay.event(entry, &facts)?;
    }
    let (mut making, rebuilt) = replay.end()?;
    making.entries = log.entries.clone();
    making.checkpoints = log.checkpoints.clone();
    Ok((making, rebuilt))
}

struct Replay<'a> {
    layout: &'a Layout,
    found: &'a HashMap<[u8; 32], Found>,
    making: Rebuilding,
    /// Where in the inventory in the making certificates are, by their serial numbers: authorities of different makers
    /// number alike.
    rows: HashMap<Vec<u8>, Vec<usize>>,
    revocations: BTreeMap<usize, Revocation>,
    publications: BTreeMap<AuthorityId, Publication>,
    shards: BTreeMap<AuthorityId, Vec<Shard>>,
    lists: Vec<CrlRecord>,
    rebuilt: Rebuilt,
}

impl Replay<'_> {
    fn event(&mut self, entry: &LogEntry, facts: &Value) -> Result<(), IssueError> {
        match entry.event.as_str() {
            "init" => self.init(entry, facts),
            "authority" => {
                self.authority(entry, facts)?;
                self.list_elsewhere(entry, facts);
                Ok(())
            }
            "import" => self.import(entry, facts),
            "batch" => {
                self.batch(facts);
                Ok(())
            }
            "publication" => self.publication(facts),
            "issue" => self.issue(entry, facts),
            "revoke" => {
                self.revoke(entry, facts);
                Ok(())
            }
            "unhold" => {
                if let Some(position) = self.row(facts) {
                    self.revocations.remove(&position);
                }
                Ok(())
            }
            "crl" => {
                self.list(entry, facts);
                Ok(())
            }
            "backup" | "clock" | "rebuild" => Ok(()),
            other => {
                *self.rebuilt.unknown.entry(other.to_owned()).or_default() += 1;
                Ok(())
            }
        }
    }

    fn init(&mut self, entry: &LogEntry, facts: &Value) -> Result<(), IssueError> {
        for name in ["name", "shape", "key", "legacy"] {
            self.set(name, facts[name].as_str().unwrap_or_default());
        }
        self.set("test", if facts["test"].as_bool() == Some(true) { "yes" } else { "no" });
        let mut names = Vec::new();
        for name in facts["authorities"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default().to_owned();
            self.read_authority(&name)?;
            names.push(name);
        }
        // Only now are all known of whom one may have signed the other.
        names.iter().try_for_each(|name| self.add_authority_row(name, entry.at))
    }

    fn authority(&mut self, entry: &LogEntry, facts: &Value) -> Result<(), IssueError> {
        let name = facts["authority"].as_str().unwrap_or_default().to_owned();
        if let Some(side) = facts["signs"].as_str().and_then(Side::from_word) {
            self.set(&hierarchy::setting(side), &name);
            return Ok(());
        }
        if self.later(entry, facts)? {
            return Ok(());
        }
        let record = self.read_authority(&name)?;
        let print = facts["sha256"].as_str().and_then(digest);
        if print != Some(*Fingerprint::of(&record.certificate).as_bytes()) {
            // It was renewed since, perhaps: the one before lies among what was superseded.
            let before = print.and_then(|print| self.found.get(&print));
            let before = before.map(|found| found.certificate.der().to_vec());
            let Some((last, before)) = self.making.authorities.last_mut().zip(before) else {
                return Err(damaged(&format!(
                    "the certificate in authorities/{name} is not the one the log tells of"
                )));
            };
            last.certificate = before;
        }
        self.add_authority_row(&name, entry.at)
    }

    fn publication(&mut self, facts: &Value) -> Result<(), IssueError> {
        let name = facts["authority"].as_str().unwrap_or_default();
        let id = self.named(name).ok_or_else(|| damaged(&format!("the log publishes for {name:?}")))?;
        let known = self.shards.remove(&id).unwrap_or_default();
        let Some(url) = facts["url"].as_str() else {
            self.publications.remove(&id);
            self.shards.insert(id, closed(known));
            return Ok(());
        };
        let shards = facts["shards"].as_u64().and_then(|shards| u32::try_from(shards).ok()).unwrap_or(1);
        let open = open_shards(&known, url, name, shards);
        let mut all = closed(known);
        all.retain(|shard| open.iter().all(|one| one.number != shard.number));
        all.extend(open);
        all.sort_by_key(|shard| shard.number);
        self.shards.insert(id, all);
        let is = |key: &str| facts[key].as_bool() == Some(true);
        let publication =
            Publication { url: url.to_owned(), ocsp: is("ocsp"), complete_list: is("complete_list") };
        self.publications.insert(id, publication);
        Ok(())
    }

    fn issue(&mut self, entry: &LogEntry, facts: &Value) -> Result<(), IssueError> {
        let serial =
            serial_of(facts).ok_or_else(|| damaged("the log tells of a certificate without number"))?;
        let bad = |what: &str| damaged(&format!("the log says of certificate {} no {what}", hex(&serial)));
        let name = facts["name"].as_str().unwrap_or_default();
        let kind = facts["kind"].as_str().and_then(Kind::from_word).ok_or_else(|| bad("kind"))?;
        let print = facts["sha256"].as_str().and_then(digest).ok_or_else(|| bad("fingerprint"))?;
        let told = facts["issuer"].as_str().and_then(|name| self.named(name));
        let (intent, der) = match self.found.get(&print) {
            Some(Found { certificate, folder }) => {
                let issuer = told.or_else(|| self.issuer_of(certificate));
                let authority = issuer.ok_or_else(|| bad("issuer that is here"))?;
                let folder = match folder.starts_with("superseded") {
                    true => usual_folder(kind, name),
                    false => folder.clone(),
                };
                let intent = self.intent(certificate, authority, kind, name, folder, entry.at);
                (intent, Some(certificate.der().to_vec()))
            }
            None => {
                let authority = told.or_else(|| self.usual_issuer(kind)).ok_or_else(|| bad("authority"))?;
                let time = |key: &str| facts[key].as_str().and_then(Timestamp::parse_rfc3339);
                let text = |key: &str| facts[key].as_str().map(str::to_owned);
                let intent = Intent {
                    authority,
                    serial: serial.clone(),
                    kind,
                    name: name.to_owned(),
                    product: text("product"),
                    device_serial: text("device_serial"),
                    public_key: facts["public_key"].as_str().and_then(digest).unwrap_or_default(),
                    validity: Validity {
                        not_before: time("not_before").unwrap_or(entry.at),
                        not_after: time("not_after").ok_or_else(|| bad("end"))?,
                    },
                    at: entry.at,
                    folder: usual_folder(kind, name),
                    shard: shard_of(facts),
                };
                // An older log told no issuer, and no shard either.
                if told.is_none() && self.shards.get(&authority).is_some_and(|shards| !shards.is_empty()) {
                    self.rebuilt.without_shard += 1;
                }
                (intent, None)
            }
        };
        self.push(intent, der);
        Ok(())
    }

    /// As the inventory does it: the first date stays, and the reason changes to keyCompromise alone (CA G5).
    fn revoke(&mut self, entry: &LogEntry, facts: &Value) {
        let reason = facts["reason"].as_str().and_then(RevocationReason::from_word);
        // What was revoked elsewhere was revoked then.
        let then = facts["revoked_at"].as_str().and_then(Timestamp::parse_rfc3339);
        let at = then.unwrap_or(entry.at);
        if let (Some(position), Some(reason)) = (self.row(facts), reason) {
            self.revocations
                .entry(position)
                .and_modify(|known| {
                    if reason == RevocationReason::KeyCompromise {
                        known.reason = reason;
                    }
                })
                .or_insert(Revocation { at, reason });
        }
    }

    fn list(&mut self, entry: &LogEntry, facts: &Value) {
        let next = facts["next_update"].as_str().and_then(Timestamp::parse_rfc3339);
        let authority = facts["authority"].as_str().and_then(|name| self.named(name));
        if let (Some(authority), Some(number), Some(next_update)) =
            (authority, facts["number"].as_i64(), next)
        {
            let (shard, this_update) = (shard_of(facts), entry.at);
            self.lists.push(CrlRecord { authority, shard, number, this_update, next_update });
        }
    }

    /// A list counts as published when the file that lies where others read it is it, or a later one.
    fn end(mut self) -> Result<(Rebuilding, Rebuilt), IssueError> {
        let mut lying: HashMap<(AuthorityId, Option<ShardNumber>), i64> = HashMap::new();
        for record in &self.making.authorities {
            let shards = self.shards.get(&record.id).into_iter().flatten().map(|shard| Some(shard.number));
            for shard in std::iter::once(None).chain(shards) {
                let file = fs::read(self.layout.crl(&record.name, shard));
                let Some(list) = file.ok().and_then(|text| RevocationList::parse(&text).ok()) else {
                    continue;
                };
                let (Some(number), Some(next_update)) = (publish::number_of(&list), list.next_update())
                else {
                    continue;
                };
                lying.insert((record.id, shard), number);
                let known =
                    |one: &CrlRecord| (one.authority, one.shard, one.number) == (record.id, shard, number);
                if !self.lists.iter().any(known) {
                    let this_update = list.this_update();
                    self.lists.push(CrlRecord {
                        authority: record.id,
                        shard,
                        number,
                        this_update,
                        next_update,
                    });
                }
            }
        }
        let lists = self.lists.into_iter().map(|list| {
            let published = lying.get(&(list.authority, list.shard)).is_some_and(|last| list.number <= *last);
            (list, published)
        });
        self.making.lists = lists.collect();
        let without = self.making.certificates.iter().filter(|(_, der)| der.is_none()).count();
        self.rebuilt.without_file = count(without);
        self.rebuilt.certificates = count(self.making.certificates.len());
        self.rebuilt.revoked = count(self.revocations.len());
        self.making.revocations = self.revocations.into_iter().collect();
        self.making.publications = self.publications.into_iter().collect();
        let shards = self.shards.into_iter();
        self.making.shards =
            shards.flat_map(|(id, shards)| shards.into_iter().map(move |shard| (id, shard))).collect();
        Ok((self.making, self.rebuilt))
    }

    fn set(&mut self, name: &str, value: &str) {
        self.making.settings.push((name.to_owned(), value.to_owned()));
    }

    fn named(&self, name: &str) -> Option<AuthorityId> {
        self.making.authorities.iter().find(|one| one.name == name).map(|one| one.id)
    }

    fn row(&self, facts: &Value) -> Option<usize> {
        let rows = self.rows.get(&serial_of(facts)?)?;
        let name = facts["name"].as_str().unwrap_or_default();
        let is_called =
            |row: &&usize| self.making.certificates.get(**row).is_some_and(|one| one.0.name == name);
        let (last, called) = (rows.last(), rows.iter().rfind(is_called));
        called.or(last).copied()
    }

    /// The next authority, with the number it had: they are numbered in the order in which they came.
    fn read_authority(&mut self, name: &str) -> Result<AuthorityRecord, IssueError> {
        let (side, tier) =
            side_and_tier(name).ok_or_else(|| damaged(&format!("the log tells of an authority {name:?}")))?;
        let path = self.layout.authority(name).join("cert.pem");
        // The key of one that was added may be on another host; its certificate is a root's, or lies here.
        let trusted = self.layout.trust().join(format!("{name}.pem"));
        let path = if path.exists() || !trusted.exists() { path } else { trusted };
        let text = fs::read_to_string(&path).map_err(|source| FileError::new("read", &path, source))?;
        let certificate = Certificate::parse_pem(text)
            .map_err(|error| IssueError::Authority { name: name.to_owned(), why: error.to_string() })?;
        let last = self.making.authorities.last().map_or(0, |last| last.id.0);
        let (id, name) = (AuthorityId(last + 1), name.to_owned());
        let record = AuthorityRecord { id, name, side, tier, certificate: certificate.der().to_vec() };
        self.making.authorities.push(record.clone());
        Ok(record)
    }

    fn add_authority_row(&mut self, name: &str, at: Timestamp) -> Result<(), IssueError> {
        let Some(record) = self.making.authorities.iter().find(|one| one.name == name).cloned() else {
            return Ok(());
        };
        let certificate =
            Certificate::parse(&record.certificate).map_err(|error| damaged(&error.to_string()))?;
        let issuer = self.issuer_of(&certificate).unwrap_or(record.id);
        let folder = usual_folder(Kind::Authority, name);
        let intent = self.intent(&certificate, issuer, Kind::Authority, name, folder, at);
        // Its issuer's import may have made its row already.
        let known = self.row_of(intent.authority, &intent.serial);
        match known.and_then(|row| self.making.certificates.get_mut(row)) {
            Some((known, _)) => (known.name, known.folder) = (intent.name, intent.folder),
            None => {
                self.push(intent, Some(record.certificate));
            }
        }
        Ok(())
    }

    /// Whose key signed a certificate.
    fn issuer_of(&self, certificate: &Certificate) -> Option<AuthorityId> {
        let signed = |authority: &&AuthorityRecord| {
            Certificate::parse(&authority.certificate).is_ok_and(|issuer| {
                let algorithm = certificate.signature_algorithm();
                algorithm.verify(issuer.public_key(), certificate.tbs(), certificate.signature()).is_ok()
            })
        };
        self.making.authorities.iter().find(signed).map(|authority| authority.id)
    }

    fn usual_issuer(&self, kind: Kind) -> Option<AuthorityId> {
        let side = if kind == Kind::Server { Side::Server } else { Side::Client };
        let mut on_side = self.making.authorities.iter().filter(|one| one.side == side);
        let first = on_side.clone().next();
        on_side.find(|one| one.tier == Tier::Issuing).or(first).map(|one| one.id)
    }

    fn intent(
        &self,
        certificate: &Certificate,
        authority: AuthorityId,
        kind: Kind,
        name: &str,
        folder: PathBuf,
        at: Timestamp,
    ) -> Intent {
        let value = |oid: &certs::Oid| {
            let mut values = certificate.subject().values_of(oid).filter(|_| kind == Kind::Device);
            values.next().and_then(|attribute| attribute.text().ok().map(|text| text.into_owned()))
        };
        let shards = self.shards.get(&authority).map(Vec::as_slice).unwrap_or_default();
        let shard = certificate
            .crl_distribution_points()
            .iter()
            .flat_map(certs::DistributionPoint::uris)
            .find_map(|uri| shards.iter().find(|shard| shard.uri == uri))
            .map(|shard| shard.number);
        Intent {
            authority,
            serial: certificate.serial().as_bytes().to_vec(),
            kind,
            name: name.to_owned(),
            product: value(&certs::oid::ORGANIZATIONAL_UNIT),
            device_serial: value(&certs::oid::LOCALITY),
            public_key: *Fingerprint::of(certificate.public_key().spki_der()).as_bytes(),
            validity: certificate.validity(),
            at,
            folder,
            shard,
        }
    }
}

fn closed(mut shards: Vec<Shard>) -> Vec<Shard> {
    shards.iter_mut().for_each(|shard| shard.is_open = false);
    shards
}

fn serial_of(facts: &Value) -> Option<Vec<u8>> {
    Some(facts["serial"].as_str().and_then(Serial::parse_hex)?.as_bytes().to_vec())
}

fn shard_of(facts: &Value) -> Option<ShardNumber> {
    facts["shard"].as_u64().and_then(|shard| u32::try_from(shard).ok()).map(ShardNumber)
}

/// `client-root`, or `client-root-2` when it was added.
fn side_and_tier(name: &str) -> Option<(Side, Tier)> {
    let (side, rest) = name.split_once('-')?;
    let tier = match rest.split_once('-') {
        Some((tier, number)) if number.parse::<u32>().is_ok() => tier,
        Some(_) => return None,
        None => rest,
    };
    Some((Side::from_word(side)?, Tier::from_word(tier)?))
}

fn usual_folder(kind: Kind, name: &str) -> PathBuf {
    match kind {
        Kind::Device | Kind::Generic => Path::new("devices").join(name),
        Kind::Server => Path::new("server").join(name),
        Kind::Authority | Kind::Responder => Path::new("authorities").join(name),
    }
}
