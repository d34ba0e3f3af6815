//! Judging what a batch asks for, before the root's key is touched.

use std::fs;

use certs::{Certificate, CertificationRequest, Fingerprint, Hash, SignatureAlgorithm, Timestamp, Validity};
use der::asn1::OctetString;
use x509_cert::ext::Extension;

use super::action;
use crate::authority::Authority;
use crate::authority::batch::lasting;
use crate::batch::{Action, Batch, BatchError, Item, Wanted};
use crate::error::IssueError;
use crate::import::printable;
use crate::lint::{Rules, prepare};
use crate::profile::Profile;
use crate::profile::constraints::{NAME_CONSTRAINTS, name_constraints};
use crate::serial::SerialNumber;
use crate::signer::{identifier, signature_of};
use crate::store::{AuthorityId, CertificateRecord, Kind, Query, Revocation, State};
use crate::template::Template;

/// What one thing needs, when nothing speaks against it.
pub(super) enum Due {
    Certificate(Box<CertificateDue>),
    List { days: u32, revoked: Vec<(CertificateRecord, Revocation)> },
    There(Vec<u8>),
}

/// A certificate to sign.
pub(super) struct CertificateDue {
    pub(super) name: String,
    pub(super) subject: Vec<u8>,
    pub(super) public_key: Vec<u8>,
    pub(super) validity: Validity,
    pub(super) path_length: u8,
    pub(super) constraints: Option<Extension>,
}

impl Authority {
    /// What one item asks for in words, and what it needs or why it is refused. An error of the store alone is an error.
    pub(super) fn judge_item(
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
                        words = certificate_words(&wanted, &request, &self.issuer(root)?.certificate, now);
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
        let there = issued(&known).find(|record| record.intent.folder == folder);
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
        let validity = lasting(*days, issuer, now);
        if validity.not_after > issuer.validity().not_after {
            let (not_after, root) = (validity.not_after, issuer.validity().not_after);
            return Err(BatchError::Outlives { not_after, root }.into());
        }
        if *action == Action::Renew
            && let Some(until) = issued(&known).map(|one| one.intent.validity.not_after).max()
            && validity.not_after <= until
        {
            let (name, not_after) = (name.clone(), validity.not_after);
            return Err(BatchError::NoLater { name, until, not_after }.into());
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
        // A key of an unknown kind is told of when the root's key is opened.
        let algorithm = signature_of(issuer.public_key().algorithm());
        let algorithm = algorithm.unwrap_or(SignatureAlgorithm::RsaPkcs1(Hash::Sha256));
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
}

impl CertificateDue {
    pub(super) fn template(
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

/// Of these certificates those that were signed: what a killed command began and did not sign is no certificate.
fn issued(known: &[CertificateRecord]) -> impl Iterator<Item = &CertificateRecord> {
    known.iter().filter(|record| record.state == State::Issued)
}

fn certificate_words(
    wanted: &Wanted,
    request: &CertificationRequest,
    issuer: &Certificate,
    now: Timestamp,
) -> String {
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
        lasting(*days, issuer, now).not_after
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
