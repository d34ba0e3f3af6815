//! Certificates that another program issued, with what became of them.

use std::fs;
use std::path::{Path, PathBuf};

use certs::{Certificate, Fingerprint, Serial, Timestamp, Validity};
use serde_json::json;

use super::{IMPORTED, is_signed_by};
use crate::authority::Authority;
use crate::error::IssueError;
use crate::import::{ImportError, Place, Recogniser, known_by_subject};
use crate::serial::hex;
use crate::store::{
    AuditEvent, AuthorityId, CertificateRecord, FileError, ImportStep, ImportedCertificate, Intent, Kind,
    Revocation, RevocationReason, ShardNumber, State, make_folder, write_later,
};

/// A certificate to take in.
#[derive(Debug, Clone)]
pub struct CertificateImport {
    /// Where it was found.
    pub place: Place,
    /// It, or what is known of it.
    pub content: ImportContent,
    /// That it is revoked.
    pub revocation: Option<Revocation>,
}

/// How much of a certificate is there.
#[derive(Debug, Clone)]
pub enum ImportContent {
    /// It is not there: it can be revoked, and neither shown nor renewed.
    SerialAlone {
        /// Its serial number.
        serial: Serial,
        /// Its end.
        not_after: Timestamp,
        /// Its subject, as an index has it.
        subject: String,
    },
    /// All of it.
    Whole(Certificate),
}

impl ImportContent {
    /// Its serial number.
    pub fn serial(&self) -> &Serial {
        match self {
            Self::SerialAlone { serial, .. } => serial,
            Self::Whole(certificate) => certificate.serial(),
        }
    }
}

/// What became of one.
#[derive(Debug)]
pub enum ImportOutcome {
    /// It was there, as it is now.
    Already,
    /// Its serial number was there, and now it is whole.
    Completed,
    /// It is new in the inventory.
    Imported,
    /// It was left out.
    Refused(ImportError),
    /// It was there, and is revoked now.
    Revoked,
}

impl Authority {
    /// Takes in certificates of one issuer, in one transaction; each has its own outcome, in the order given. No serial
    /// number may be among them twice.
    ///
    /// With `dry_run` they are only judged; then the issuer need not be in the store yet.
    ///
    /// # Errors
    /// The issuer is not in the store, or the store cannot be written; then none is taken in.
    pub fn import_certificates(
        &mut self,
        issuer: &Certificate,
        items: &[CertificateImport],
        dry_run: bool,
    ) -> Result<Vec<ImportOutcome>, IssueError> {
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let own = self.issuers.iter().find(|known| known.certificate == *issuer);
        let own = own.map(|known| (known.id(), known.name().to_owned()));
        if own.is_none() && !dry_run {
            return Err(IssueError::NotFound { selector: issuer.subject().to_rfc4514() });
        }
        let (id, name) = own.unwrap_or_else(|| (AuthorityId(0), "the new authority".to_owned()));
        let recogniser = Recogniser::new();
        let mut outcomes = Vec::with_capacity(items.len());
        let mut steps = Vec::new();
        for item in items {
            let judged = match check(issuer, item) {
                Err(refused) => Err(refused),
                Ok(()) => self.judge_import(issuer, id, &name, item, &recogniser, now)?,
            };
            outcomes.push(match judged {
                Ok(None) => ImportOutcome::Already,
                Ok(Some((outcome, more))) => {
                    steps.extend(more);
                    outcome
                }
                Err(refused) => ImportOutcome::Refused(refused),
            });
        }
        if dry_run || steps.is_empty() {
            return Ok(outcomes);
        }
        self.write_imported(&steps)?;
        self.store.import_all(&steps)?;
        self.write_log()?;
        Ok(outcomes)
    }

    /// What is to be done about one whose signature is good; nothing when it is there.
    #[expect(clippy::type_complexity, reason = "an outcome and its steps, used once")]
    fn judge_import(
        &self,
        issuer: &Certificate,
        id: AuthorityId,
        name: &str,
        item: &CertificateImport,
        recogniser: &Recogniser,
        now: Timestamp,
    ) -> Result<Result<Option<(ImportOutcome, Vec<ImportStep>)>, ImportError>, IssueError> {
        let CertificateImport { place, content, revocation } = item;
        // A date that is yet to come would leave the certificate good until then.
        let revocation = revocation.map(|one| Revocation { at: one.at.min(now), ..one });
        if let ImportContent::Whole(certificate) = content
            && certificate == issuer
        {
            return Ok(if revocation.is_some() { Err(ImportError::RevokedRoot) } else { Ok(None) });
        }
        let record = self.store.by_serial(id, content.serial().as_bytes())?;
        let one = || -> Result<Box<ImportedCertificate>, IssueError> {
            let intent = self.imported_intent(id, name, content, recogniser, now)?;
            let certificate = match content {
                ImportContent::SerialAlone { .. } => None,
                ImportContent::Whole(certificate) => Some(certificate.der().to_vec()),
            };
            let audit = event(name, &intent, content, revocation, place, now);
            Ok(Box::new(ImportedCertificate { intent, certificate, revocation, audit }))
        };
        let Some(record) = record else {
            return Ok(Ok(Some((ImportOutcome::Imported, vec![ImportStep::Add(one()?)]))));
        };
        let mut steps = Vec::new();
        let mut outcome = None;
        match (content, record.certificate.as_deref()) {
            (ImportContent::Whole(certificate), Some(der)) if der != certificate.der() => {
                return Ok(Err(taken(name, &record)));
            }
            (ImportContent::Whole(_), None) if record.state != State::Issued => {
                return Ok(Err(taken(name, &record)));
            }
            (ImportContent::Whole(_), None) => {
                steps.push(ImportStep::Complete(record.id, one()?));
                outcome = Some(ImportOutcome::Completed);
            }
            (ImportContent::Whole(_), Some(_)) | (ImportContent::SerialAlone { .. }, _) => {}
        }
        if let Some(revocation) = revocation.filter(|new| changes(record.revocation, *new)) {
            let mut audit = crate::authority::mass::event(&record, "revoke", now, Some(revocation.reason));
            audit.detail["revoked_at"] = json!(revocation.at.to_string());
            audit.detail["source"] = json!(place.to_string());
            steps.push(ImportStep::Revoke(record.id, revocation, audit));
            outcome = Some(ImportOutcome::Revoked);
        }
        Ok(Ok(outcome.map(|outcome| (outcome, steps))))
    }

    fn imported_intent(
        &self,
        id: AuthorityId,
        name: &str,
        content: &ImportContent,
        recogniser: &Recogniser,
        now: Timestamp,
    ) -> Result<Intent, IssueError> {
        let serial = content.serial().as_bytes().to_vec();
        let (known, public_key, validity, shard) = match content {
            ImportContent::SerialAlone { not_after, subject, .. } => {
                let validity = Validity { not_before: now.min(*not_after), not_after: *not_after };
                (known_by_subject(subject), [0; 32], validity, None)
            }
            ImportContent::Whole(certificate) => {
                let key = *Fingerprint::of(certificate.public_key().spki_der()).as_bytes();
                let shard = self.shard_of(id, certificate)?;
                (recogniser.know(certificate), key, certificate.validity(), shard)
            }
        };
        let folder = Path::new(IMPORTED).join(name).join(hex(&serial));
        Ok(Intent {
            authority: id,
            serial,
            kind: known.kind,
            name: known.name,
            product: known.product,
            device_serial: known.device_serial,
            public_key,
            validity,
            at: now,
            folder,
            shard,
        })
    }

    /// The shard whose list the certificate names, when it is one of the store's own.
    fn shard_of(
        &self,
        id: AuthorityId,
        certificate: &Certificate,
    ) -> Result<Option<ShardNumber>, IssueError> {
        let points = certificate.crl_distribution_points();
        if points.is_empty() {
            return Ok(None);
        }
        let shards = self.store.shards(id)?;
        let mut uris = points.iter().flat_map(certs::DistributionPoint::uris);
        Ok(uris.find_map(|uri| shards.iter().find(|shard| shard.uri == uri)).map(|shard| shard.number))
    }

    /// The files, before the inventory knows of them: killed in between, the next import writes them anew.
    fn write_imported(&self, steps: &[ImportStep]) -> Result<(), IssueError> {
        for step in steps {
            let (ImportStep::Add(one) | ImportStep::Complete(_, one)) = step else { continue };
            let Some(der) = &one.certificate else { continue };
            let folder: PathBuf = self.layout.root().join(&one.intent.folder);
            make_folder(&folder, 0o700)?;
            let path = folder.join("cert.pem");
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(FileError::new("remove", &path, error).into());
                }
                Ok(()) | Err(_) => {}
            }
            write_later(&path, certs::pem::encode(certs::pem::CERTIFICATE, der).as_bytes(), 0o600)?;
        }
        self.shelf().flush_all()
    }
}

/// Whether it is the issuer's work, and can be in its lists.
pub(crate) fn check(issuer: &Certificate, item: &CertificateImport) -> Result<(), ImportError> {
    if let ImportContent::Whole(certificate) = &item.content {
        let named = || certificate.issuer().to_rfc4514();
        if !certificate.issuer().equals(issuer.subject()) {
            return Err(ImportError::OtherIssuer { issuer: named() });
        }
        if !is_signed_by(certificate, issuer) {
            return Err(ImportError::BadSignature { issuer: named() });
        }
    }
    let serial = item.content.serial();
    let octets = serial.as_bytes();
    let magnitude = octets.strip_prefix(&[0]).unwrap_or(octets);
    if serial.is_negative() || magnitude.len() > 20 {
        return Err(ImportError::Serial { serial: serial.to_string() });
    }
    match item.revocation {
        Some(Revocation { at, .. }) if at.unix() < 0 => Err(ImportError::RevokedThen { at }),
        Some(_) | None => Ok(()),
    }
}

/// Whether a revocation is news: the first stays, and its reason changes to keyCompromise alone (CA G5).
fn changes(known: Option<Revocation>, new: Revocation) -> bool {
    match known {
        None => true,
        Some(known) => {
            new.reason == RevocationReason::KeyCompromise && known.reason != RevocationReason::KeyCompromise
        }
    }
}

fn taken(authority: &str, record: &CertificateRecord) -> ImportError {
    ImportError::SerialTaken {
        authority: authority.to_owned(),
        serial: hex(&record.intent.serial),
        other: format!("{} {}", record.intent.kind.as_str(), record.intent.name),
    }
}

/// What the log says of one: enough to make its row anew.
fn event(
    authority: &str,
    intent: &Intent,
    content: &ImportContent,
    revocation: Option<Revocation>,
    place: &Place,
    now: Timestamp,
) -> AuditEvent {
    let mut detail = json!({
        "authority": authority,
        "kind": intent.kind.as_str(),
        "name": intent.name,
        "serial": hex(&intent.serial),
        "not_before": intent.validity.not_before.to_string(),
        "not_after": intent.validity.not_after.to_string(),
        "source": place.to_string(),
    });
    if let ImportContent::Whole(certificate) = content {
        detail["sha256"] = json!(certificate.fingerprint().to_string());
        detail["subject"] = json!(certificate.subject().to_rfc4514());
        // Also when its file is gone, its key belongs to its owner (CA B7, I8).
        detail["public_key"] = json!(hex(&intent.public_key));
    }
    for (key, value) in [("product", &intent.product), ("device_serial", &intent.device_serial)] {
        if let Some(value) = value {
            detail[key] = json!(value);
        }
    }
    if let Some(shard) = intent.shard {
        detail["shard"] = json!(shard.0);
    }
    if let Some(Revocation { at, reason }) = revocation {
        detail["revoked_at"] = json!(at.to_string());
        detail["reason"] = json!(reason.as_str());
    }
    AuditEvent { at: now, event: "import", detail }
}

impl Authority {
    /// Where the successor of a certificate lies that another program issued: beside those issued here.
    pub(in crate::authority) fn successor_folder(&self, intent: &Intent) -> PathBuf {
        if !intent.folder.starts_with(IMPORTED) {
            return intent.folder.clone();
        }
        let folder = match intent.kind {
            Kind::Device => {
                policies::MacAddress::parse(&intent.name).ok().map(|mac| self.layout.device(&mac.to_string()))
            }
            Kind::Generic => Some(self.layout.device(&intent.name)),
            Kind::Server => crate::server_name::ServerName::host(&intent.name)
                .ok()
                .map(|_host| self.layout.server(&intent.name)),
            Kind::Authority | Kind::Responder => None,
        };
        folder.map_or_else(|| intent.folder.clone(), |folder| self.layout.relative(&folder))
    }
}
