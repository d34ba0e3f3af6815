//! What the log tells of authorities and certificates that came from elsewhere, and of an offline root's batches.

use std::path::Path;

use certs::{Certificate, Fingerprint, Timestamp, Validity};
use serde_json::Value;

use super::{Replay, damaged, digest, serial_of, shard_of};
use crate::authority::batch::accepted;
use crate::authority::import::IMPORTED;
use crate::error::IssueError;
use crate::key::armour;
use crate::serial::hex;
use crate::store::{
    AuthorityId, CrlRecord, Intent, Kind, LogEntry, Revocation, RevocationReason, foreign_setting,
};

impl Replay<'_> {
    /// What the log says of an authority beside that it was added; whether there is nothing more to do about it.
    pub(super) fn later(&mut self, entry: &LogEntry, facts: &Value) -> Result<bool, IssueError> {
        let name = facts["authority"].as_str().unwrap_or_default();
        if facts["foreign"].as_bool() == Some(true) {
            self.set(&foreign_setting(name), "yes");
        }
        if facts["key"].as_str() == Some("arrived") {
            let setting = foreign_setting(name);
            self.making.settings.retain(|(known, _)| *known != setting);
            return Ok(true);
        }
        if let Some(print) = facts["renewed"].as_str().and_then(digest) {
            self.renewed(entry, name, print)?;
            return Ok(true);
        }
        Ok(facts["sha256"].is_null())
    }

    /// The last list that was published elsewhere: the next has a higher number (CA G2).
    pub(super) fn list_elsewhere(&mut self, entry: &LogEntry, facts: &Value) {
        let authority = facts["authority"].as_str().and_then(|name| self.named(name));
        if let Some((authority, number)) = authority.zip(facts["crl_number"].as_i64()) {
            let (this_update, next_update) = (entry.at, entry.at);
            self.lists.push(CrlRecord { authority, shard: None, number, this_update, next_update });
        }
    }

    /// An authority's new certificate, and the row of the one before, which lies among what was superseded.
    fn renewed(&mut self, entry: &LogEntry, name: &str, print: [u8; 32]) -> Result<(), IssueError> {
        let known = self.making.authorities.iter().position(|one| one.name == name);
        let position = known.ok_or_else(|| damaged(&format!("the log renews an authority {name:?}")))?;
        let current = self.making.authorities[position].certificate.clone();
        let is_current = *Fingerprint::of(&current).as_bytes() == print;
        let mut certificates: Vec<Certificate> = Vec::new();
        if let Some(found) = self.found.get(&print) {
            certificates.push(found.certificate.clone());
        }
        let key = Certificate::parse(&current).map_err(|error| damaged(&error.to_string()))?;
        let before = self.found.values().filter(|found| found.folder.starts_with("superseded"));
        certificates.extend(before.map(|found| found.certificate.clone()).filter(|one| {
            one.public_key().spki_der() == key.public_key().spki_der() && one.subject() == key.subject()
        }));
        for certificate in certificates {
            let Some(issuer) = self.issuer_of(&certificate) else { continue };
            if self.row_of(issuer, certificate.serial().as_bytes()).is_some() {
                continue;
            }
            let folder = Path::new("authorities").join(name);
            let intent = self.intent(&certificate, issuer, Kind::Authority, name, folder, entry.at);
            self.push(intent, Some(certificate.der().to_vec()));
        }
        if !is_current && let Some(found) = self.found.get(&print) {
            self.making.authorities[position].certificate = found.certificate.der().to_vec();
        }
        Ok(())
    }

    /// A certificate that was imported.
    pub(super) fn import(&mut self, entry: &LogEntry, facts: &Value) -> Result<(), IssueError> {
        let serial = serial_of(facts).ok_or_else(|| damaged("the log tells of an import without number"))?;
        let bad = |what: &str| {
            damaged(&format!("the log says of the imported certificate {} no {what}", hex(&serial)))
        };
        let name = facts["name"].as_str().ok_or_else(|| bad("name"))?.to_owned();
        let kind = facts["kind"].as_str().and_then(Kind::from_word).ok_or_else(|| bad("kind"))?;
        let issuer = facts["authority"].as_str().unwrap_or_default();
        let authority = self.named(issuer).ok_or_else(|| bad("authority that is here"))?;
        let time = |key: &str| facts[key].as_str().and_then(Timestamp::parse_rfc3339);
        let text = |key: &str| facts[key].as_str().map(str::to_owned);
        let found = facts["sha256"].as_str().and_then(digest).and_then(|print| self.found.get(&print));
        let certificate = found.map(|found| &found.certificate);
        if certificate.is_some_and(|one| self.issuer_of(one) != Some(authority)) {
            return Err(bad("issuer that is here"));
        }
        let public_key = |one: &Certificate| *Fingerprint::of(one.public_key().spki_der()).as_bytes();
        let intent = Intent {
            authority,
            serial: serial.clone(),
            kind,
            name,
            product: text("product"),
            device_serial: text("device_serial"),
            public_key: certificate
                .map(public_key)
                .or_else(|| facts["public_key"].as_str().and_then(digest))
                .unwrap_or_default(),
            validity: Validity {
                not_before: time("not_before").unwrap_or(entry.at),
                not_after: time("not_after").ok_or_else(|| bad("end"))?,
            },
            at: entry.at,
            folder: Path::new(IMPORTED).join(issuer).join(hex(&serial)),
            shard: shard_of(facts),
        };
        let der = certificate.map(|one| one.der().to_vec());
        let position = match self.row_of(authority, &serial) {
            // Known by its number alone, it was completed later; an authority's own is there already.
            Some(position) => {
                if let Some(known) =
                    self.making.certificates.get_mut(position).filter(|known| known.1.is_none())
                {
                    *known = (intent, der);
                }
                position
            }
            None => self.push(intent, der),
        };
        let reason = facts["reason"].as_str().and_then(RevocationReason::from_word);
        if let Some((at, reason)) = time("revoked_at").zip(reason) {
            self.revocations.entry(position).or_insert(Revocation { at, reason });
        }
        Ok(())
    }

    /// Whose requests an offline root signs.
    pub(super) fn batch(&mut self, facts: &Value) {
        let print = |value: &Value| value.as_str().and_then(|text| text.parse::<Fingerprint>().ok());
        if let Some((print, key)) = print(&facts["accepted"]).zip(facts["key"].as_str()) {
            let octets: Option<Vec<u8>> = key
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect();
            if let Some(octets) = octets {
                self.set(&accepted(&print), &armour("PUBLIC KEY", &octets));
            }
        }
        if let Some(print) = print(&facts["forgotten"]) {
            self.making.settings.retain(|(known, _)| *known != accepted(&print));
        }
    }

    /// Where the certificate of this authority with this number is.
    pub(super) fn row_of(&self, authority: AuthorityId, serial: &[u8]) -> Option<usize> {
        let rows = self.rows.get(serial)?.iter().copied();
        rows.rev()
            .find(|row| self.making.certificates.get(*row).is_some_and(|one| one.0.authority == authority))
    }

    pub(super) fn push(&mut self, intent: Intent, der: Option<Vec<u8>>) -> usize {
        let position = self.making.certificates.len();
        self.rows.entry(intent.serial.clone()).or_default().push(position);
        self.making.certificates.push((intent, der));
        position
    }
}
