//! Signing what a batch asks for, where the root's key is: everything is judged before the key is touched, and twice is once.

use std::fs;
use std::path::Path;

use certs::{
    Certificate, CertificationRequest, Fingerprint, Hash, KeyAlgorithm, SignatureAlgorithm, Timestamp,
    Validity,
};
use der::asn1::OctetString;
use serde_json::{Value, json};
use x509_cert::ext::Extension;

use crate::authority::place::Flush;
use crate::authority::publish::{Life, ListDays};
use crate::authority::{Authority, SubjectKey};
use crate::batch::{Action, Batch, BatchError, FORMAT, Item, Wanted, write};
use crate::error::IssueError;
use crate::import::printable;
use crate::key::armour;
use crate::lint::{Rules, prepare};
use crate::profile::constraints::{NAME_CONSTRAINTS, name_constraints};
use crate::profile::{Profile, validity_for};
use crate::serial::SerialNumber;
use crate::signer::identifier;
use crate::store::{
    AuditEvent, AuthorityId, CertificateRecord, Finished, Intent, Kind, Query, Revocation, State,
    make_folder, write_by_way_of,
};
use crate::template::Template;

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

/// What one thing needs, when nothing speaks against it.
enum Due {
    Certificate(Box<CertificateDue>),
    List { days: u32, revoked: Vec<(CertificateRecord, Revocation)> },
    There(Vec<u8>),
}

/// A certificate to sign.
struct CertificateDue {
    name: String,
    subject: Vec<u8>,
    public_key: Vec<u8>,
    validity: Validity,
    path_length: u8,
    constraints: Option<Extension>,
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

    /// What one item asks for in words, and what it needs or why it is refused. An error of the store alone is an error.
    fn judge_item(
        &self,
        batch: &Batch,
        item: &Item,
        root: AuthorityId,
        now: Timestamp,
    ) -> Result<(String, Result<Due, IssueError>), IssueError> {
        let short = || {
            format!("{} {}", action(&item.value), printable(item.value["name"].as_str().unwrap_or_default()))
        };
        let wanted = match Wanted::parse(&item.value) {
            Ok(wanted) => wanted,
            Err(error) => return Ok((short(), Err(error.into()))),
        };
        if let Err(error) = &item.content {
            return Ok((short(), Err(error.clone().into())));
        }
        let words;
        let due = match &wanted {
            Wanted::List { days, revoked } => {
                words = list_words(*days, revoked, now);
                self.judge_list(batch, item, root, *days, revoked, now)
            }
            Wanted::Certificate { .. } => {
                let content = item.content.as_deref().unwrap_or_default();
                match crate::request::verified(content) {
                    Err(error) => return Ok((short(), Err(error.into()))),
                    Ok(request) => {
                        words = certificate_words(&wanted, &request, now);
                        self.judge_certificate(batch, item, root, &wanted, &request, now)
                    }
                }
            }
        };
        match due {
            Err(IssueError::Store(error)) => Err(error.into()),
            due => Ok((words, due)),
        }
    }

    fn judge_list(
        &self,
        batch: &Batch,
        item: &Item,
        root: AuthorityId,
        days: u32,
        revoked: &[(certs::Serial, Revocation)],
        now: Timestamp,
    ) -> Result<Due, IssueError> {
        if let Ok(list) = fs::read(self.answer_folder(batch, item.number).join("list.pem")) {
            return Ok(Due::There(list));
        }
        let not_after = self.issuer(root)?.certificate.validity().not_after;
        let next_update = now.plus_seconds(i64::from(days) * 86_400);
        if next_update > not_after {
            return Err(BatchError::ListOutlives { next_update, not_after }.into());
        }
        let mut records = Vec::new();
        for (serial, revocation) in revoked {
            let record = self.store.by_serial(root, serial.as_bytes())?;
            let record = record.filter(|record| record.state == State::Issued);
            let record = record.ok_or_else(|| BatchError::RevokesUnknown { serial: serial.to_string() })?;
            if record.intent.name == self.issuer(root)?.name() {
                return Err(IssueError::RootRevocation { name: record.intent.name });
            }
            records.push((record, Revocation { at: revocation.at.min(now), ..*revocation }));
        }
        Ok(Due::List { days, revoked: records })
    }

    fn judge_certificate(
        &self,
        batch: &Batch,
        item: &Item,
        root: AuthorityId,
        wanted: &Wanted,
        request: &CertificationRequest,
        now: Timestamp,
    ) -> Result<Due, IssueError> {
        let Wanted::Certificate { action, name, days, path_length, permit } = wanted else {
            return Err(BatchError::Wanted { why: "it asks for no certificate".to_owned() }.into());
        };
        let public_key = request.public_key().spki_der().to_vec();
        let folder = self.layout.relative(&self.answer_folder(batch, item.number));
        let known = self.store.find(&Query::PublicKey(*Fingerprint::of(&public_key).as_bytes()))?;
        let there =
            known.iter().find(|record| record.intent.folder == folder && record.state == State::Issued);
        if let Some(der) = there.and_then(|record| record.certificate.as_deref()) {
            return Ok(Due::There(certs::pem::encode(certs::pem::CERTIFICATE, der).into_bytes()));
        }
        let issuer = &self.issuer(root)?.certificate;
        self.check_subject(*action, name, request, &known)?;
        let allowed = issuer.basic_constraints().and_then(|one| one.path_length);
        if allowed.is_some_and(|allowed| u32::from(*path_length) >= allowed) {
            let allowed = match allowed {
                Some(0) | None => "none below it".to_owned(),
                Some(most) => format!("at most {}", most - 1),
            };
            return Err(BatchError::PathLength { wanted: u64::from(*path_length), allowed }.into());
        }
        let validity = validity_for(now, *days);
        if validity.not_after > issuer.validity().not_after {
            let (not_after, root) = (validity.not_after, issuer.validity().not_after);
            return Err(BatchError::Outlives { not_after, root }.into());
        }
        let inherited =
            issuer.extensions().iter().find(|one| one.oid.to_string() == NAME_CONSTRAINTS.to_string());
        let constraints = match (inherited, permit.is_empty()) {
            (Some(_), false) => {
                let why = "the root's own name constraints hold, and others are asked for".to_owned();
                return Err(BatchError::Name { why }.into());
            }
            (Some(found), true) => Some(Extension {
                extn_id: NAME_CONSTRAINTS,
                critical: true,
                extn_value: OctetString::new(&*found.value)?,
            }),
            (None, true) => None,
            (None, false) => Some(name_constraints(permit)?),
        };
        let due = CertificateDue {
            name: name.clone(),
            subject: request.subject().der().to_vec(),
            public_key,
            validity,
            path_length: *path_length,
            constraints,
        };
        // Every check of the certificate itself, under a placeholder: the root's key is not touched (CA I1).
        let algorithm = match issuer.public_key().algorithm() {
            KeyAlgorithm::Ec { curve: certs::Curve::P384 } => SignatureAlgorithm::Ecdsa(Hash::Sha384),
            KeyAlgorithm::Ec { .. } => SignatureAlgorithm::Ecdsa(Hash::Sha256),
            KeyAlgorithm::Ed25519 | KeyAlgorithm::Other { .. } | KeyAlgorithm::Rsa { .. } => {
                SignatureAlgorithm::RsaPkcs1(Hash::Sha256)
            }
        };
        let algorithm = identifier(algorithm).ok_or(crate::key::KeyError::Algorithm(algorithm))?;
        let serial = SerialNumber::generate(&*self.random)?.as_bytes().to_vec();
        let profile = Profile::Authority { path_length: *path_length };
        prepare(due.template(issuer, serial, algorithm)?, profile, Rules::Production, Some(issuer))?;
        Ok(Due::Certificate(Box::new(due)))
    }

    /// Whose name and key it is (CA B7).
    fn check_subject(
        &self,
        action: Action,
        name: &str,
        request: &CertificationRequest,
        known: &[CertificateRecord],
    ) -> Result<(), IssueError> {
        let subject = request.subject();
        let refuse_name = |why: String| Err(BatchError::Name { why }.into());
        let texts = subject.attributes().map(|one| one.text());
        if subject.is_empty()
            || texts.into_iter().any(|text| text.is_ok_and(|text| text.chars().any(char::is_control)))
        {
            return refuse_name("the subject is empty or has control characters".to_owned());
        }
        let is_same = |record: &CertificateRecord| {
            let certificate = record.certificate.as_deref().and_then(|der| Certificate::parse(der).ok());
            record.intent.kind == Kind::Authority
                && record.revocation.is_none()
                && certificate.is_some_and(|one| one.subject().equals(subject))
        };
        let stranger = known.iter().find(|record| record.state == State::Issued && !is_same(record));
        if let Some(owner) = stranger {
            let what = format!("the key is that of {} {}", owner.intent.kind.as_str(), owner.intent.name);
            let revoked = if owner.revocation.is_some() { ", which is revoked" } else { "" };
            return Err(BatchError::Key { why: what + revoked }.into());
        }
        let has_key = known.iter().any(is_same);
        match action {
            Action::Issue if has_key => {
                let why = "the key has a certificate of this root already, and a new authority is asked for";
                return Err(BatchError::Key { why: why.to_owned() }.into());
            }
            Action::Renew if !has_key => {
                let why = "new dates are asked for, and no certificate of this name and key is known here";
                return Err(BatchError::Key { why: why.to_owned() }.into());
            }
            Action::CrossSign | Action::Issue | Action::Renew => {}
        }
        let same_name = self.issuers.iter().find(|one| one.certificate.subject().equals(subject));
        let key = request.public_key().spki_der();
        if let Some(other) = same_name.filter(|one| one.certificate.public_key().spki_der() != key) {
            return refuse_name(format!("{} has this name: {}", other.name(), subject.to_rfc4514()));
        }
        // One called like an authority of the store would be taken for it.
        let taken = self.issuers.iter().find(|one| one.name() == name);
        if taken.is_some_and(|one| one.certificate.public_key().spki_der() != key) {
            return refuse_name(format!("{name} is another authority's name in this store"));
        }
        Ok(())
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

impl CertificateDue {
    fn template(
        &self,
        issuer: &Certificate,
        serial: Vec<u8>,
        signature_algorithm: x509_cert::spki::AlgorithmIdentifierOwned,
    ) -> Result<Template, IssueError> {
        let profile = Profile::Authority { path_length: self.path_length };
        let mut extensions = profile.extensions(&self.public_key, issuer.subject_key_identifier(), &[])?;
        extensions.extend(self.constraints.clone());
        Ok(Template {
            version: certs::Version::V3,
            serial,
            signature_algorithm,
            issuer: issuer.subject().der().to_vec(),
            validity: self.validity,
            subject: self.subject.clone(),
            public_key: self.public_key.clone(),
            extensions,
        })
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

fn certificate_words(wanted: &Wanted, request: &CertificationRequest, now: Timestamp) -> String {
    let Wanted::Certificate { action, name, days, path_length, permit } = wanted else {
        return String::new();
    };
    let what = match action {
        Action::CrossSign => "a cross certificate for",
        Action::Issue => "a certificate for the new authority",
        Action::Renew => "new dates for the authority",
    };
    let below = match path_length {
        0 => "no authority below it".to_owned(),
        1 => "one authority below it on a path".to_owned(),
        more => format!("{more} authorities below it on a path"),
    };
    let subject = printable(&request.subject().to_rfc4514());
    let key = request.public_key();
    let mut words = format!(
        "{what} {name}, {subject}\n     key {}, SHA-256 {}\n     {below}, until {}",
        key.algorithm(),
        key.fingerprint(),
        validity_for(now, *days).not_after
    );
    if !permit.is_empty() {
        let hosts: Vec<String> = permit.iter().map(ToString::to_string).collect();
        words.push_str(&format!("\n     for hosts of {} alone", hosts.join(", ")));
    }
    words
}

fn list_words(days: u32, revoked: &[(certs::Serial, Revocation)], now: Timestamp) -> String {
    let until = now.plus_seconds(i64::from(days) * 86_400);
    let mut words = format!("the root's revocation list, until {until}");
    for (serial, Revocation { at, reason }) in revoked {
        words.push_str(&format!("\n     revoked: certificate {serial}, {at}, {}", reason.as_str()));
    }
    words
}
