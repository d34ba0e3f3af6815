//! The offline root: what is asked of it in a folder, signed where its key is, and taken back.

mod request;
mod sign;
mod take;

pub use request::{BatchRequest, BatchRequested, NewIssuing};
pub use sign::{AnswerOutcome, BatchAnswer, SignedBatch};
pub use take::Taken;

use std::path::PathBuf;

use certs::{Certificate, Fingerprint, PublicKey, Timestamp, Validity};
use serde_json::json;

use super::Authority;
use crate::batch::{Batch, BatchError};
use crate::error::IssueError;
use crate::key::armour;
use crate::profile::validity_for;
use crate::store::{AuditEvent, AuthorityId, Tier};

/// Under which name the store keeps a key whose batches are signed here.
pub(super) fn accepted(print: &Fingerprint) -> String {
    format!("batch signer: {print}")
}

/// So many days from now, or as long as its issuer.
fn lasting(days: Option<u32>, issuer: &Certificate, now: Timestamp) -> Validity {
    match days {
        Some(days) => validity_for(now, days),
        None => Validity { not_after: issuer.validity().not_after, ..validity_for(now, 1) },
    }
}

impl Authority {
    /// Accepts batches that are signed by this key, a PEM `PUBLIC KEY`; its fingerprint is given back. Where a fingerprint was
    /// told by other means, it must be this key's.
    ///
    /// # Errors
    /// The text is not one public key, it is not the one that was told of, or the store cannot be written.
    pub fn accept_signer(&mut self, pem: &str, told: Option<Fingerprint>) -> Result<Fingerprint, IssueError> {
        let blocks = certs::pem::blocks(pem.as_bytes()).unwrap_or_default();
        // One block alone: of several, another could be read here than in the program that showed the fingerprint.
        let key = match blocks.as_slice() {
            [block] if block.label == "PUBLIC KEY" => PublicKey::from_spki_der(&block.contents).ok(),
            _ => None,
        };
        let key = key.ok_or(BatchError::NoSignerKey)?;
        let print = key.fingerprint();
        if let Some(told) = told.filter(|told| *told != print) {
            return Err(BatchError::OtherSigner { found: print, told }.into());
        }
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let audit = AuditEvent {
            at: now,
            event: "batch",
            detail: json!({ "accepted": print.to_string(), "key": crate::serial::hex(key.spki_der()) }),
        };
        self.store.set_setting(&accepted(&print), &armour("PUBLIC KEY", key.spki_der()), &audit)?;
        self.write_log()?;
        Ok(print)
    }

    /// Accepts no batches of this key any more; whether any were accepted.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn forget_signer(&mut self, print: &Fingerprint) -> Result<bool, IssueError> {
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let audit = AuditEvent { at: now, event: "batch", detail: json!({ "forgotten": print.to_string() }) };
        let was_there = self.store.remove_setting(&accepted(print), &audit)?;
        self.write_log()?;
        Ok(was_there)
    }

    /// The key that a batch says signed it, where it was accepted and did.
    fn check_signer(&self, batch: &Batch) -> Result<Fingerprint, IssueError> {
        let print = batch.manifest["signer"].as_str().and_then(|text| text.parse::<Fingerprint>().ok());
        let print = print.ok_or(BatchError::Signer)?;
        let Some(pem) = self.store.setting(&accepted(&print))? else { return Err(BatchError::Signer.into()) };
        let block = certs::pem::blocks(pem.as_bytes()).ok().and_then(|blocks| blocks.into_iter().next());
        let key = block.and_then(|block| PublicKey::from_spki_der(&block.contents).ok());
        match key {
            Some(key) if key.fingerprint() == print && batch.is_signed_by(&key) => Ok(print),
            Some(_) | None => Err(BatchError::Signer.into()),
        }
    }

    /// The root that a batch is for.
    fn root_of(&self, batch: &Batch) -> Result<AuthorityId, IssueError> {
        let print = batch.manifest["root"].as_str().unwrap_or_default();
        let found = self.issuers.iter().find(|issuer| {
            issuer.tier() == Tier::Root && issuer.certificate.fingerprint().to_string() == print
        });
        let printable =
            |value: &serde_json::Value| crate::import::printable(value.as_str().unwrap_or_default());
        found.map(super::Issuer::id).ok_or_else(|| {
            BatchError::UnknownRoot {
                name: printable(&batch.manifest["root_name"]),
                root: printable(&batch.manifest["root"]),
            }
            .into()
        })
    }

    /// Where the answer to one item is kept.
    fn answer_folder(&self, batch: &Batch, number: usize) -> PathBuf {
        let id: String = batch.id.chars().filter(char::is_ascii_hexdigit).take(32).collect();
        self.layout.batches().join(id).join(number.to_string())
    }
}
