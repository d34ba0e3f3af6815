//! Issuing: judge, take a serial number, keep the key, build, lint, sign, read back, store, hand out (CA I1).

use std::collections::HashSet;

use certs::{Certificate, Fingerprint, PublicKey, Timestamp, Validity};
use serde_json::{Value, json};

use super::leaf::{DeviceRequest, GenericRequest, Issued, Judged, LeafRequest, LeafSubject, ServerRequest};
use super::mass::event;
use super::place::Flush;
use super::{Authority, DEVICE_DAYS, Issuer, SERVER_DAYS};
use crate::device::{GENERIC_NAME, generic_subject};
use crate::error::IssueError;
use crate::legacy::{Legacy, is_short};
use crate::lint::{Rules, prepare};
use crate::profile::Profile;
use crate::serial::{SerialNumber, hex};
use crate::server_name::ServerName;
use crate::store::{
    AuditEvent, CertificateRecord, Finished, Intent, Kind, RecordId, Revocation, RevocationReason, Side,
    StoreError, Superseded,
};
use crate::subject::{AttributeType, NameError, SubjectName};
use crate::template::Template;

impl Authority {
    /// Issues a server certificate, signed on the server side.
    pub fn issue_server(&mut self, request: ServerRequest) -> Result<Issued, IssueError> {
        let ServerRequest { names, key, validity, replace } = request;
        let Some(ServerName::Dns(host)) = names.first() else {
            return Err(NameError::Empty { field: "host name" }.into());
        };
        let host = host.clone();
        for (index, name) in names.iter().enumerate() {
            if names.iter().take(index).any(|earlier| earlier == name) {
                return Err(NameError::Repeated { field: format!("name {name}") }.into());
            }
        }
        let leaf = LeafRequest {
            kind: Kind::Server,
            side: Side::Server,
            profile: Profile::Server,
            subject: LeafSubject::New(SubjectName::new(vec![(AttributeType::CommonName, host.clone())])?),
            folder: self.layout.relative(&self.layout.server(&host)),
            name: host,
            product: None,
            device_serial: None,
            names,
            key,
            validity,
            days: SERVER_DAYS,
            replace,
            legacy: Legacy::default(),
            succeeds: None,
        };
        self.issue_one(leaf)
    }

    /// Issues one device certificate, signed on the client side.
    pub fn issue_device(&mut self, request: DeviceRequest) -> Result<Issued, IssueError> {
        self.issue_device_twin(request, Legacy::default())
    }

    /// The same, made as old units carry it. Only test stores do that.
    pub fn issue_device_twin(
        &mut self,
        request: DeviceRequest,
        legacy: Legacy,
    ) -> Result<Issued, IssueError> {
        let leaf = self.device_leaf(request, legacy)?;
        self.issue_one(leaf)
    }

    /// Issues many device certificates in few transactions; each has its own outcome, in the order given.
    pub fn issue_devices(
        &mut self,
        requests: Vec<DeviceRequest>,
    ) -> Result<Vec<Result<Issued, IssueError>>, IssueError> {
        self.issue_device_twins(requests, Legacy::default())
    }

    /// The same, made as old units carry them. Only test stores do that.
    pub fn issue_device_twins(
        &mut self,
        requests: Vec<DeviceRequest>,
        legacy: Legacy,
    ) -> Result<Vec<Result<Issued, IssueError>>, IssueError> {
        let mut leaves = Vec::with_capacity(requests.len());
        for request in requests {
            leaves.push(self.device_leaf(request, legacy)?);
        }
        self.issue_batch(leaves)
    }

    /// Issues the client certificate that units without one of their own share.
    pub fn issue_generic(&mut self, request: GenericRequest) -> Result<Issued, IssueError> {
        self.issue_generic_twin(request, Legacy::default())
    }

    /// The same, made as old units carry it. Only test stores do that.
    pub fn issue_generic_twin(
        &mut self,
        request: GenericRequest,
        legacy: Legacy,
    ) -> Result<Issued, IssueError> {
        let GenericRequest { mac_attribute, key, validity, replace } = request;
        let leaf = LeafRequest {
            kind: Kind::Generic,
            side: Side::Client,
            profile: Profile::Device,
            name: GENERIC_NAME.to_owned(),
            product: None,
            device_serial: None,
            subject: LeafSubject::New(generic_subject(mac_attribute)),
            names: Vec::new(),
            key,
            validity,
            days: DEVICE_DAYS,
            replace,
            legacy,
            folder: self.layout.relative(&self.layout.device(GENERIC_NAME)),
            succeeds: None,
        };
        self.issue_one(leaf)
    }

    fn device_leaf(&self, request: DeviceRequest, legacy: Legacy) -> Result<LeafRequest, IssueError> {
        let DeviceRequest { identity, mac_attribute, key, validity, replace } = request;
        let mac = identity.mac().to_string();
        Ok(LeafRequest {
            kind: Kind::Device,
            side: Side::Client,
            profile: Profile::Device,
            subject: LeafSubject::New(identity.subject(mac_attribute)?),
            folder: self.layout.relative(&self.layout.device(&mac)),
            name: mac,
            product: Some(identity.product().to_owned()),
            device_serial: Some(identity.serial().to_owned()),
            names: Vec::new(),
            key,
            validity,
            days: DEVICE_DAYS,
            replace,
            legacy,
            succeeds: None,
        })
    }

    fn issue_one(&mut self, leaf: LeafRequest) -> Result<Issued, IssueError> {
        self.issue_batch(vec![leaf])?
            .pop()
            .unwrap_or_else(|| Err(StoreError::Damaged { what: "an outcome is missing".to_owned() }.into()))
    }

    pub(super) fn issue_batch(
        &mut self,
        leaves: Vec<LeafRequest>,
    ) -> Result<Vec<Result<Issued, IssueError>>, IssueError> {
        for leaf in &leaves {
            self.check_age(leaf)?;
        }
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        for leaf in &leaves {
            let id = self.issuer_for(leaf.side)?.id();
            // A wrong passphrase, or a key that cannot sign so, stops everything before anything is written.
            self.signer_for(id, leaf.legacy)?;
        }
        let mut outcomes: Vec<Option<Result<Issued, IssueError>>> = Vec::with_capacity(leaves.len());
        let mut accepted: Vec<(usize, Box<LeafRequest>, Validity)> = Vec::new();
        let mut in_batch = HashSet::new();
        for leaf in leaves {
            let key = (leaf.kind, leaf.name.clone());
            let outcome = if in_batch.contains(&key) {
                Some(Err(NameError::Repeated { field: format!("device {}", leaf.name) }.into()))
            } else {
                match self.judge(leaf, now) {
                    Ok(Judged::There(record)) => Some(self.there(&record)),
                    Ok(Judged::Issue(leaf, validity)) => {
                        in_batch.insert(key);
                        accepted.push((outcomes.len(), leaf, validity));
                        None
                    }
                    Err(error) => Some(Err(error)),
                }
            };
            outcomes.push(outcome);
        }
        let signed_by =
            accepted.first().map(|(_, leaf, _)| self.issuer_for(leaf.side).map(Issuer::id)).transpose()?;
        for (index, outcome) in self.make(accepted, now)? {
            outcomes[index] = Some(outcome);
        }
        if let Some(id) = signed_by {
            self.checkpoint(id, now)?;
            self.write_log()?;
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Old certificates are made in test stores alone, with keys that fit.
    fn check_age(&self, leaf: &LeafRequest) -> Result<(), IssueError> {
        if !leaf.legacy.is_none() {
            self.require_test(format!("`--legacy {}`", leaf.legacy))?;
        }
        let key = PublicKey::from_spki_der(&leaf.key.public_key).map(|key| key.algorithm());
        if key.is_ok_and(is_short) {
            self.require_test("a key of less than 2048 bits")?;
        }
        Ok(())
    }

    fn there(&self, record: &CertificateRecord) -> Result<Issued, IssueError> {
        let certificate = Certificate::parse(record.certificate.as_deref().unwrap_or_default())
            .map_err(|error| StoreError::Damaged { what: error.to_string() })?;
        let folder = self.layout.root().join(&record.intent.folder);
        Ok(Issued { certificate, folder, is_new: false, superseded: None })
    }

    /// From serial number to files; the lock is held.
    #[expect(clippy::type_complexity, reason = "an index and its outcome, used once")]
    fn make(
        &mut self,
        accepted: Vec<(usize, Box<LeafRequest>, Validity)>,
        now: Timestamp,
    ) -> Result<Vec<(usize, Result<Issued, IssueError>)>, IssueError> {
        if accepted.is_empty() {
            return Ok(Vec::new());
        }
        let (intents, ids) = self.reserve(&accepted, now)?;
        let flush = if accepted.len() == 1 { Flush::Each } else { Flush::Together };
        let mut outcomes = Vec::new();
        let mut finished = Vec::new();
        let mut to_place = Vec::new();
        let mut failed = Vec::new();
        for (((index, leaf, _), intent), id) in accepted.iter().zip(intents).zip(ids) {
            match self.stage_key(id, &leaf.key, flush).and_then(|()| self.sign(leaf, &intent)) {
                Ok(certificate) => {
                    let audit = audit(leaf, self.facts_of(&intent, &certificate), now);
                    let supersedes = superseded(leaf, &intent, now);
                    finished.push(Finished {
                        id,
                        certificate: certificate.der().to_vec(),
                        audit,
                        supersedes,
                    });
                    let record = CertificateRecord {
                        id,
                        state: crate::store::State::Issued,
                        intent,
                        certificate: None,
                        revocation: None,
                    };
                    to_place.push((*index, record, certificate));
                }
                Err(error) => {
                    failed.push(id);
                    outcomes.push((*index, Err(error)));
                }
            }
        }
        for id in &failed {
            self.unstage(*id)?;
        }
        if !failed.is_empty() {
            self.store.abandon(&failed)?;
        }
        if flush == Flush::Together {
            self.flush_all()?; // every key lies safely before the inventory says that its certificate is issued
        }
        self.store.finish(&finished)?;
        for (index, record, certificate) in to_place {
            let folder = self.layout.root().join(&record.intent.folder);
            let outcome = self.place(&record, &certificate, flush).map(|superseded| Issued {
                certificate,
                folder,
                is_new: true,
                superseded,
            });
            outcomes.push((index, outcome));
        }
        if flush == Flush::Together {
            self.flush_all()?;
        }
        Ok(outcomes)
    }

    /// Writes one intent.
    pub(super) fn reserve_one(&mut self, intent: &Intent) -> Result<RecordId, IssueError> {
        self.store
            .reserve(std::slice::from_ref(intent))?
            .pop()
            .ok_or_else(|| StoreError::Damaged { what: "a new row has no number".to_owned() }.into())
    }

    /// Writes the intents; a serial number that is taken is drawn again (CA A2).
    fn reserve(
        &mut self,
        accepted: &[(usize, Box<LeafRequest>, Validity)],
        now: Timestamp,
    ) -> Result<(Vec<Intent>, Vec<RecordId>), IssueError> {
        let mut last = StoreError::SerialTaken;
        for _ in 0..3 {
            let intents = accepted
                .iter()
                .map(|(_, leaf, validity)| self.intent(leaf, *validity, now))
                .collect::<Result<Vec<_>, _>>()?;
            match self.store.reserve(&intents) {
                Ok(ids) => return Ok((intents, ids)),
                Err(StoreError::SerialTaken) => last = StoreError::SerialTaken,
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.into())
    }

    fn intent(&self, leaf: &LeafRequest, validity: Validity, now: Timestamp) -> Result<Intent, IssueError> {
        Ok(Intent {
            authority: self.issuer_for(leaf.side)?.id(),
            serial: SerialNumber::generate(&*self.random)?.as_bytes().to_vec(),
            kind: leaf.kind,
            name: leaf.name.clone(),
            product: leaf.product.clone(),
            device_serial: leaf.device_serial.clone(),
            public_key: *Fingerprint::of(&leaf.key.public_key).as_bytes(),
            validity,
            at: now,
            folder: leaf.folder.clone(),
            shard: self.draw_shard(leaf)?,
        })
    }

    fn sign(&mut self, leaf: &LeafRequest, intent: &Intent) -> Result<Certificate, IssueError> {
        let signer = self.signer_for(intent.authority, leaf.legacy)?;
        let issuer = self.issuer_for(leaf.side)?.certificate();
        let rules = if self.is_test() { Rules::Test(leaf.legacy) } else { Rules::Production };
        let extensions = if leaf.legacy.x509_v1 {
            Vec::new()
        } else {
            let issuer_key = issuer.subject_key_identifier();
            let mut extensions = leaf.profile.extensions(&leaf.key.public_key, issuer_key, &leaf.names)?;
            extensions.extend(self.pointers(intent)?.extensions()?);
            extensions
        };
        let template = Template {
            version: rules.version(),
            serial: intent.serial.clone(),
            signature_algorithm: signer.algorithm(),
            issuer: issuer.subject().der().to_vec(),
            validity: intent.validity,
            subject: leaf.subject.to_der(),
            public_key: leaf.key.public_key.clone(),
            extensions,
        };
        prepare(template, leaf.profile, rules, Some(issuer))?.issue(&*signer)
    }
}

/// What ends with this certificate.
fn superseded(leaf: &LeafRequest, intent: &Intent, now: Timestamp) -> Option<Superseded> {
    let old = &leaf.succeeds.as_ref().filter(|succession| succession.ends)?.record;
    let reason = RevocationReason::Superseded;
    let mut audit = event(old, "revoke", now, Some(reason));
    audit.detail["by"] = json!(hex(&intent.serial));
    Some(Superseded { id: old.id, revocation: Revocation { at: now, reason }, audit })
}

fn audit(leaf: &LeafRequest, mut detail: Value, now: Timestamp) -> AuditEvent {
    detail["subject"] = json!(leaf.subject.to_string());
    detail["replace"] = json!(leaf.replace);
    if !leaf.legacy.is_none() {
        detail["legacy"] = json!(leaf.legacy.to_string());
    }
    AuditEvent { at: now, event: "issue", detail }
}
