//! The delegated OCSP responder of an authority: made, renewed, opened (RFC 6960 §4.2.2.2; CA G7).

use std::fs;
use std::path::PathBuf;

use certs::{Certificate, Fingerprint, KeyAlgorithm, Timestamp};
use zeroize::Zeroizing;

use super::place::Flush;
use super::{Authority, Issued, SubjectKey};
use crate::error::IssueError;
use crate::key::{self, KeyType, PrivateKey};
use crate::legacy::{Legacy, TEST_PREFIX, TEST_UNIT};
use crate::lint::{Rules, prepare};
use crate::ocsp::{Inventory, Responder, Status};
use crate::profile::{Profile, validity_for};
use crate::serial::SerialNumber;
use crate::store::{
    AuditEvent, AuthorityId, CertificateRecord, FileError, Finished, Intent, Kind, Query, State, StoreError,
    remove_tree,
};
use crate::subject::{AttributeType, SubjectName};
use crate::template::Template;

/// Days a responder's certificate lasts unless said otherwise: nobody asks whether it is revoked.
pub const RESPONDER_DAYS: u32 = 14;

impl Authority {
    /// Makes an authority's OCSP responder, key and certificate, in the place of the one before. The key is encrypted with the
    /// passphrase of the authorities' keys, where those are.
    pub fn issue_responder(&mut self, name: &str, days: u32) -> Result<Issued, IssueError> {
        let issuer = self.named(name)?;
        let (id, issuer) = (issuer.id(), issuer.certificate.clone());
        let key_type = match issuer.public_key().algorithm() {
            KeyAlgorithm::Ec { .. } => KeyType::P256,
            // Whoever reads the authority's signatures reads these.
            KeyAlgorithm::Ed25519 | KeyAlgorithm::Other { .. } | KeyAlgorithm::Rsa { .. } => KeyType::Rsa2048,
        };
        let key = SubjectKey::generate(key_type, self.passphrase.as_ref(), &*self.random)?;
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        self.check_may_sign(id, now)?;
        let signer = self.signer(id)?;
        let mut validity = validity_for(now, days);
        validity.not_after = validity.not_after.min(issuer.validity().not_after);
        let folder = self.layout.responder(name);
        let intent = Intent {
            authority: id,
            serial: SerialNumber::generate(&*self.random)?.as_bytes().to_vec(),
            kind: Kind::Responder,
            name: responder_name(name),
            product: None,
            device_serial: None,
            public_key: *Fingerprint::of(&key.public_key).as_bytes(),
            validity,
            at: now,
            folder: self.layout.relative(&folder),
            shard: None,
        };
        let row = self.reserve_one(&intent)?;
        let profile = Profile::Responder;
        let template = Template {
            version: certs::Version::V3,
            serial: intent.serial.clone(),
            signature_algorithm: signer.algorithm(),
            issuer: issuer.subject().der().to_vec(),
            validity,
            subject: self.responder_subject(name)?.to_der(),
            public_key: key.public_key.clone(),
            extensions: profile.extensions(&key.public_key, issuer.subject_key_identifier(), &[])?,
        };
        let rules = if self.is_test() { Rules::Test(Legacy::default()) } else { Rules::Production };
        let made = self
            .shelf()
            .stage_key(row, &key, Flush::Each)
            .and_then(|()| prepare(template, profile, rules, Some(&issuer))?.issue(&*signer));
        let certificate = match made {
            Ok(certificate) => certificate,
            Err(error) => {
                self.shelf().unstage(row)?;
                self.store.abandon(&[row])?;
                return Err(error);
            }
        };
        let detail = self.facts_of(&intent, &certificate);
        let audit = AuditEvent { at: now, event: "issue", detail };
        self.store.finish(&[Finished {
            id: row,
            certificate: certificate.der().to_vec(),
            audit,
            supersedes: None,
        }])?;
        let record =
            CertificateRecord { id: row, state: State::Issued, intent, certificate: None, revocation: None };
        // Its key is of no use any more, and keeping one every week would fill the folder.
        remove_tree(&folder)?;
        self.shelf().place(&record, &certificate, Flush::Each)?;
        Ok(Issued { certificate, folder, is_new: true, superseded: None })
    }

    fn responder_subject(&self, name: &str) -> Result<SubjectName, IssueError> {
        let title = format!("OCSP responder of {name}");
        let mut attributes = Vec::new();
        if let Some(operator) = self.store.setting("name")? {
            attributes.push((AttributeType::Organization, operator));
        }
        if self.is_test() {
            attributes.push((AttributeType::OrganizationalUnit, TEST_UNIT.to_owned()));
            attributes.push((AttributeType::CommonName, format!("{TEST_PREFIX}{title}")));
        } else {
            attributes.push((AttributeType::CommonName, title));
        }
        Ok(SubjectName::new(attributes)?)
    }

    /// An authority's responder, when there is one whose certificate counts now.
    pub(crate) fn responder(&self, id: AuthorityId, now: Timestamp) -> Result<Option<Responder>, IssueError> {
        let Some(issuer) = self.issuers.iter().find(|issuer| issuer.id() == id) else { return Ok(None) };
        let folder = self.layout.responder(issuer.name());
        let Some(text) = read(folder.join("cert.pem"))? else { return Ok(None) };
        let damaged = |what: String| StoreError::Damaged { what: format!("{}: {what}", folder.display()) };
        let certificate = Certificate::parse_pem(&*text).map_err(|error| damaged(error.to_string()))?;
        let own = self.store.find(&Query::Serial(certificate.serial().as_bytes().to_vec()))?;
        let counts = own.iter().any(|record| {
            record.intent.authority == id && record.intent.kind == Kind::Responder && record.is_active(now)
        });
        if !counts || !certificate.validity().contains(now) {
            return Ok(None);
        }
        let path = folder.join("key.pem");
        let Some(text) = read(path.clone())? else { return Ok(None) };
        let key = PrivateKey::from_pem(&text, self.passphrase.as_ref())?;
        if key.public_key_der() != certificate.public_key().spki_der() {
            return Err(IssueError::KeyMismatch { authority: responder_name(issuer.name()), path });
        }
        let signer = std::sync::Arc::new(key);
        Ok(Some(Responder::new(id, issuer.certificate(), certificate, signer)?))
    }

    /// Whether a responder's key is encrypted.
    pub(crate) fn responders_need_passphrase(&self) -> Result<bool, IssueError> {
        for issuer in &self.issuers {
            let path = self.layout.responder(issuer.name()).join("key.pem");
            if path.exists()
                && key::is_encrypted_file(&path).map_err(|source| FileError::new("read", &path, source))?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this is the responder that lies in the authority's folder now.
    pub(crate) fn has_responder(&self, name: &str, responder: &Responder) -> bool {
        let text = fs::read_to_string(self.layout.responder(name).join("cert.pem")).unwrap_or_default();
        Certificate::parse_pem(text).is_ok_and(|found| found == *responder.certificate())
    }

    /// Whether new certificates of the authority send their readers to the responder, or it was made already.
    pub(crate) fn wants_responder(&self, id: AuthorityId) -> Result<bool, IssueError> {
        let Some(issuer) = self.issuers.iter().find(|issuer| issuer.id() == id) else { return Ok(false) };
        Ok(self.store.publication(id)?.is_some_and(|one| one.ocsp)
            || self.layout.responder(issuer.name()).join("cert.pem").exists())
    }
}

/// What the inventory calls an authority's responder.
fn responder_name(authority: &str) -> String {
    format!("{authority}-ocsp")
}

fn read(path: PathBuf) -> Result<Option<Zeroizing<String>>, FileError> {
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::new("read", &path, source)),
    }
}

impl Inventory for Authority {
    fn status(&self, authority: AuthorityId, serial: &[u8]) -> Result<Status, IssueError> {
        let found = self.store.find(&Query::Serial(serial.to_vec()))?;
        let issued = |record: &CertificateRecord| {
            record.intent.authority == authority && record.state == State::Issued
        };
        Ok(match found.into_iter().find(issued) {
            None => Status::Unknown,
            Some(CertificateRecord { revocation: Some(revocation), .. }) => Status::Revoked(revocation),
            Some(CertificateRecord { revocation: None, .. }) => Status::Good,
        })
    }
}
