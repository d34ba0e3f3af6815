//! Signing what a batch asks for, where the root's key is: everything is judged before the key is touched, and twice is once.

mod judge;

use std::path::Path;

use certs::{Certificate, Fingerprint, Timestamp};
use serde_json::{Value, json};

use self::judge::{CertificateDue, Due};
use crate::authority::place::Flush;
use crate::authority::publish::{Life, ListDays};
use crate::authority::{Authority, SubjectKey};
use crate::batch::{Batch, FORMAT, Item, write};
use crate::error::IssueError;
use crate::import::printable;
use crate::key::armour;
use crate::lint::{Rules, prepare};
use crate::profile::Profile;
use crate::serial::SerialNumber;
use crate::store::{
    AuditEvent, AuthorityId, CertificateRecord, Finished, Intent, Kind, State, make_folder, write_by_way_of,
};

/// What became of a batch.
#[derive(Debug)]
pub struct SignedBatch {
    /// The root's name in the store.
    pub root: String,
    /// SHA-256 of the accepted key that signed the batch.
    pub signer: Fingerprint,
    /// Each thing that was asked for.
    pub answers: Vec<BatchAnswer>,
}

/// What became of one thing that was asked for.
#[derive(Debug)]
pub struct BatchAnswer {
    /// Its number in the manifest, from 1.
    pub number: usize,
    /// What is asked for, for a person to read.
    pub words: String,
    /// What became of it.
    pub outcome: AnswerOutcome,
}

/// The outcome of one thing.
#[derive(Debug)]
pub enum AnswerOutcome {
    /// It was not signed.
    Refused(IssueError),
    /// It was signed just now; the file in the answer.
    Signed(String),
    /// It was signed before; the file in the answer.
    There(String),
    /// It would be signed.
    Would,
}

impl Authority {
    /// The root whose key a batch needs.
    ///
    /// # Errors
    /// It is not in the store, or the batch is signed by a key that was not accepted.
    pub fn batch_root(&self, batch: &Batch) -> Result<AuthorityId, IssueError> {
        self.check_signer(batch)?;
        self.root_of(batch)
    }

    /// Judges a batch, signs what nothing speaks against, and writes the answer. With `dry_run` it is only judged.
    ///
    /// A batch that is signed twice gets the same answers.
    ///
    /// # Errors
    /// The batch as a whole is refused: its signer, its root, the store. Then nothing is signed.
    pub fn sign_batch(
        &mut self,
        batch: &Batch,
        out: &Path,
        dry_run: bool,
    ) -> Result<SignedBatch, IssueError> {
        let _lock = self.lock()?;
        self.refresh()?;
        let now = self.plausible_now()?;
        let signer = self.check_signer(batch)?;
        let root = self.root_of(batch)?;
        self.check_may_sign(root, now)?;
        let name = self.issuer(root)?.name().to_owned();
        let mut judged = Vec::with_capacity(batch.items.len());
        for item in &batch.items {
            judged.push(self.judge_item(batch, item, root, now)?);
        }
        let mut answers = Vec::with_capacity(judged.len());
        let mut values = Vec::new();
        let mut files = Vec::new();
        if !dry_run {
            self.check_keys(&[root])?;
        }
        for (item, (words, due)) in batch.items.iter().zip(judged) {
            let number = item.number;
            let outcome = match due {
                Err(error) => {
                    let why = crate::printer::with_causes(&error);
                    values.push(json!({ "number": number, "action": action(&item.value), "refused": why }));
                    AnswerOutcome::Refused(error)
                }
                Ok(_) if dry_run => AnswerOutcome::Would,
                Ok(due) => {
                    let is_new = !matches!(due, Due::There(_));
                    let octets = self.carry_out(batch, number, root, due, now)?;
                    let file = answer_file(item, &name);
                    values.push(json!({
                        "number": number,
                        "action": action(&item.value),
                        "name": item.value["name"],
                        "file": file,
                        "sha256": Fingerprint::of(&octets).to_string(),
                    }));
                    files.push((file.clone(), octets));
                    if is_new { AnswerOutcome::Signed(file) } else { AnswerOutcome::There(file) }
                }
            };
            answers.push(BatchAnswer { number, words, outcome });
        }
        if !dry_run {
            let certificate = self.issuer(root)?.certificate.clone();
            let manifest = json!({
                "format": FORMAT,
                "kind": "answer",
                "batch": batch.id,
                "root": certificate.fingerprint().to_string(),
                "root_name": name,
                "items": values,
            });
            let manifest = format!("{manifest:#}\n").into_bytes();
            let signature = self.signer(root)?.sign(&manifest)?;
            write(out, &files, &manifest, &signature)?;
            self.checkpoint(root, now)?;
            self.write_log()?;
        }
        Ok(SignedBatch { root: name, signer, answers })
    }

    fn issuer(&self, id: AuthorityId) -> Result<&crate::authority::Issuer, IssueError> {
        self.issuers
            .iter()
            .find(|issuer| issuer.id() == id)
            .ok_or_else(|| IssueError::NotFound { selector: format!("authority {}", id.0) })
    }

    /// Signs, keeps the answer, and gives it as a file.
    fn carry_out(
        &mut self,
        batch: &Batch,
        number: usize,
        root: AuthorityId,
        due: Due,
        now: Timestamp,
    ) -> Result<Vec<u8>, IssueError> {
        let folder = self.answer_folder(batch, number);
        match due {
            Due::There(octets) => Ok(octets),
            Due::Certificate(due) => {
                let certificate = self.sign_authority(&due, root, &folder, &batch.id, now)?;
                Ok(certificate.to_pem().into_bytes())
            }
            Due::List { days, revoked } => {
                for (record, revocation) in revoked {
                    let mut audit =
                        crate::authority::mass::event(&record, "revoke", now, Some(revocation.reason));
                    audit.detail["revoked_at"] = json!(revocation.at.to_string());
                    audit.detail["batch"] = json!(batch.id);
                    self.store.revoke(record.id, revocation, &audit)?;
                }
                let lists = self.due_lists(root, now)?;
                let complete = lists.into_iter().find(|list| list.shard.is_none()).ok_or_else(|| {
                    IssueError::NotFound { selector: "the root's complete revocation list".to_owned() }
                })?;
                let published =
                    self.publish(&complete, now, Life::Days(ListDays { issuing: days, root: days }))?;
                let pem = armour("X509 CRL", &published.der).into_bytes();
                make_folder(&folder, 0o700)?;
                write_by_way_of(&self.layout.pending(), &folder.join("list.pem"), &pem, 0o600)?;
                Ok(pem)
            }
        }
    }

    fn sign_authority(
        &mut self,
        due: &CertificateDue,
        root: AuthorityId,
        folder: &Path,
        batch: &str,
        now: Timestamp,
    ) -> Result<Certificate, IssueError> {
        let signer = self.signer(root)?;
        let issuer = self.issuer(root)?.certificate.clone();
        let intent = Intent {
            authority: root,
            serial: SerialNumber::generate(&*self.random)?.as_bytes().to_vec(),
            kind: Kind::Authority,
            name: due.name.clone(),
            product: None,
            device_serial: None,
            public_key: *Fingerprint::of(&due.public_key).as_bytes(),
            validity: due.validity,
            at: now,
            folder: self.layout.relative(folder),
            shard: None,
        };
        let row = self.reserve_one(&intent)?;
        let key = SubjectKey { public_key: due.public_key.clone(), private_pem: None, sealed: None };
        let profile = Profile::Authority { path_length: due.path_length };
        let template = due.template(&issuer, intent.serial.clone(), signer.algorithm())?;
        let made = self
            .shelf()
            .stage_key(row, &key, Flush::Each)
            .and_then(|()| prepare(template, profile, Rules::Production, Some(&issuer))?.issue(&*signer));
        let certificate = match made {
            Ok(certificate) => certificate,
            Err(error) => {
                self.shelf().unstage(row)?;
                self.store.abandon(&[row])?;
                return Err(error);
            }
        };
        let mut detail = self.facts_of(&intent, &certificate);
        detail["subject"] = json!(certificate.subject().to_rfc4514());
        detail["batch"] = json!(batch);
        let audit = AuditEvent { at: now, event: "issue", detail };
        self.store.finish(&[Finished {
            id: row,
            certificate: certificate.der().to_vec(),
            audit,
            supersedes: None,
        }])?;
        let record =
            CertificateRecord { id: row, state: State::Issued, intent, certificate: None, revocation: None };
        self.shelf().place(&record, &certificate, Flush::Each)?;
        Ok(certificate)
    }
}

fn action(value: &Value) -> String {
    printable(value["action"].as_str().unwrap_or("?"))
}

/// How the answer's file is called.
fn answer_file(item: &Item, root: &str) -> String {
    match item.value["name"].as_str() {
        Some(name) => format!("{}-{name}.pem", item.number),
        None => format!("{}-{root}.crl", item.number),
    }
}
