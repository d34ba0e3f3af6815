//! What the log tells of authorities that came later, and of what was taken in from elsewhere.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use certs::{Certificate, Fingerprint, Timestamp, Validity};
use serde_json::Value;

use super::{Found, damaged, detail, digest, intent, issuer_of};
use crate::authority::hierarchy::setting;
use crate::authority::import::IMPORTED;
use crate::error::IssueError;
use crate::serial::hex;
use crate::store::{
    AuthorityId, AuthorityRecord, CrlRecord, FileError, Intent, Kind, Layout, LogEntry, Revocation,
    RevocationReason, ShardNumber, Side, Tier,
};

/// An authority by the name it has in the store, as `client-root` or `client-root-2`.
pub(super) fn authority(layout: &Layout, id: AuthorityId, name: &str) -> Result<AuthorityRecord, IssueError> {
    let mut parts = name.splitn(3, '-');
    let side = parts.next().and_then(Side::from_word);
    let tier = parts.next().and_then(Tier::from_word);
    let is_numbered = parts.next().is_none_or(|number| number.parse::<u32>().is_ok());
    let (Some(side), Some(tier), true) = (side, tier, is_numbered) else {
        return Err(damaged(&format!("the log tells of an authority {name:?}")));
    };
    let path = layout.authority(name).join("cert.pem");
    let text = fs::read_to_string(&path).map_err(|source| FileError::new("read", &path, source))?;
    let certificate = Certificate::parse_pem(text)
        .map_err(|error| IssueError::Authority { name: name.to_owned(), why: error.to_string() })?;
    let certificate = certificate.der().to_vec();
    Ok(AuthorityRecord { id, name: name.to_owned(), side, tier, certificate })
}

/// Adds the authorities that were added or imported after the founding, with the numbers they had.
pub(super) fn added(
    layout: &Layout,
    entries: &[LogEntry],
    authorities: &mut Vec<AuthorityRecord>,
) -> Result<(), IssueError> {
    for facts in entries.iter().filter(|entry| entry.event == "authority").map(detail) {
        let (Some(name), Some(_)) = (facts["authority"].as_str(), facts["sha256"].as_str()) else { continue };
        let next = authorities.iter().map(|one| one.id.0).max().unwrap_or(0).saturating_add(1);
        authorities.push(authority(layout, AuthorityId(next), name)?);
    }
    Ok(())
}

/// Who signs on each side, and whose key is elsewhere: the last word of the log on each.
pub(super) fn settings(entries: &[LogEntry]) -> Vec<(String, String)> {
    let mut settings: HashMap<String, String> = HashMap::new();
    for facts in entries.iter().filter(|entry| entry.event == "authority").map(detail) {
        let Some(name) = facts["authority"].as_str() else { continue };
        if let Some(side) = facts["signs"].as_str().and_then(Side::from_word) {
            settings.insert(setting(side), name.to_owned());
        }
        if facts["foreign"].as_bool() == Some(true) {
            settings.insert(format!("foreign: {name}"), "yes".to_owned());
        }
        if facts["key"].as_str() == Some("arrived") {
            settings.remove(&format!("foreign: {name}"));
        }
    }
    settings.into_iter().collect()
}

/// The last lists that were published elsewhere: the next have higher numbers (CA G2).
pub(super) fn lists(entries: &[LogEntry], authorities: &[AuthorityRecord]) -> Vec<CrlRecord> {
    let told = entries.iter().filter(|entry| entry.event == "authority");
    told.filter_map(|entry| {
        let facts = detail(entry);
        let name = facts["authority"].as_str()?;
        let authority = authorities.iter().find(|one| one.name == name)?.id;
        let number = facts["crl_number"].as_i64()?;
        // Nothing that has expired since was on a list made here: the next has everything (CA G3).
        let never = Timestamp::from_unix(0);
        Some(CrlRecord { authority, shard: None, number, this_update: never, next_update: never })
    })
    .collect()
}

/// A row, its certificate where there is one, and that it is revoked.
type Imported = (Intent, Option<Vec<u8>>, Option<Revocation>);

/// A certificate that was imported, with its file when that is still here, and what it was imported as.
pub(super) fn certificate(
    facts: &Value,
    serial: &[u8],
    at: Timestamp,
    authorities: &[AuthorityRecord],
    found: &HashMap<Fingerprint, Found>,
) -> Result<Imported, IssueError> {
    let bad =
        |what: &str| damaged(&format!("the log says of the imported certificate {} no {what}", hex(serial)));
    let name = facts["name"].as_str().ok_or_else(|| bad("name"))?;
    let kind = facts["kind"].as_str().and_then(Kind::from_word).ok_or_else(|| bad("kind"))?;
    let issuer = facts["authority"].as_str().unwrap_or_default();
    let issuer =
        authorities.iter().find(|one| one.name == issuer).ok_or_else(|| bad("authority that is here"))?;
    let time = |key: &str| facts[key].as_str().and_then(Timestamp::parse_rfc3339);
    let reason = facts["reason"].as_str().and_then(RevocationReason::from_word);
    let revocation = time("revoked_at").zip(reason).map(|(at, reason)| Revocation { at, reason });
    let folder = Path::new(IMPORTED).join(&issuer.name).join(hex(serial));
    let print = facts["sha256"].as_str().and_then(digest);
    let here = print.and_then(|print| found.iter().find(|(known, _)| *known.as_bytes() == print));
    let text = |key: &str| facts[key].as_str().map(str::to_owned);
    if let Some((_, Found { certificate, .. })) = here {
        if issuer_of(certificate, authorities) != Some(issuer.id) {
            return Err(bad("issuer that is here"));
        }
        let mut intent = intent(certificate, issuer.id, kind, name, folder, at);
        (intent.product, intent.device_serial) = (text("product"), text("device_serial"));
        // A list of somebody else's may have a name like those of ours.
        let shard = facts["shard"].as_u64().and_then(|shard| u32::try_from(shard).ok());
        intent.shard = shard.map(ShardNumber);
        return Ok((intent, Some(certificate.der().to_vec()), revocation));
    }
    let not_after = time("not_after").ok_or_else(|| bad("end"))?;
    let intent = Intent {
        authority: issuer.id,
        serial: serial.to_vec(),
        kind,
        name: name.to_owned(),
        product: text("product"),
        device_serial: text("device_serial"),
        public_key: [0; 32],
        validity: Validity { not_before: time("not_before").unwrap_or(at), not_after },
        at,
        folder,
        shard: None,
    };
    Ok((intent, None, revocation))
}
