//! Issuing: judge, take a serial number, keep the key, build, lint, sign, read back, store, hand out (CA I1).

use std::collections::HashSet;
use std::path::PathBuf;

use certs::{Certificate, Fingerprint, Timestamp, Validity};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Authority, DEVICE_DAYS, SERVER_DAYS};
use crate::device::{DeviceIdentity, GENERIC_NAME, MacAttribute, generic_subject};
use crate::error::IssueError;
use crate::key::{KeyError, KeyType, PrivateKey};
use crate::lint::prepare;
use crate::passphrase::Passphrase;
use crate::profile::{Profile, validity_for};
use crate::random::RandomSource;
use crate::request::ServerRequestContent;
use crate::serial::{SerialNumber, hex};
use crate::server_name::ServerName;
use crate::store::{
    AuditEvent, CertificateRecord, Finished, Intent, Kind, Query, RecordId, RevocationReason, Side,
    StoreError,
};
use crate::subject::{AttributeType, NameError, SubjectName};
use crate::template::Template;

/// The key a certificate is for.
#[derive(Debug)]
pub struct SubjectKey {
    public_key: Vec<u8>,
    private_pem: Option<Zeroizing<String>>,
}

impl SubjectKey {
    /// Makes a new key; its PEM is encrypted when a passphrase is given. Takes a while: do it before taking any lock.
    pub fn generate(
        key_type: KeyType,
        passphrase: Option<&Passphrase>,
        random: &dyn RandomSource,
    ) -> Result<Self, KeyError> {
        let key = PrivateKey::generate(key_type)?;
        let private_pem = match passphrase {
            Some(passphrase) => Zeroizing::new(key.to_encrypted_pem(passphrase, random)?),
            None => key.to_pem(),
        };
        Ok(Self { public_key: key.public_key_der(), private_pem: Some(private_pem) })
    }

    /// The key of a certification request; its private half stays where it is.
    pub fn from_request(request: &ServerRequestContent) -> Self {
        Self { public_key: request.public_key.clone(), private_pem: None }
    }
}

/// A server certificate to issue.
#[derive(Debug)]
pub struct ServerRequest {
    /// The host names, the one for the common name first.
    pub names: Vec<ServerName>,
    /// The server's key.
    pub key: SubjectKey,
    /// From when until when; [`SERVER_DAYS`] from now when absent.
    pub validity: Option<Validity>,
    /// Issue even if there is a valid certificate, and move its files to `superseded`.
    pub replace: bool,
}

/// A device certificate to issue.
#[derive(Debug)]
pub struct DeviceRequest {
    /// The device.
    pub identity: DeviceIdentity,
    /// Which attribute carries the MAC address.
    pub mac_attribute: MacAttribute,
    /// The device's key.
    pub key: SubjectKey,
    /// From when until when; [`DEVICE_DAYS`] from now when absent.
    pub validity: Option<Validity>,
    /// Issue even if there is a valid certificate, and move its files to `superseded`.
    pub replace: bool,
}

/// A generic certificate to issue.
#[derive(Debug)]
pub struct GenericRequest {
    /// Which attribute carries what is a MAC address elsewhere.
    pub mac_attribute: MacAttribute,
    /// The shared key.
    pub key: SubjectKey,
    /// From when until when; [`DEVICE_DAYS`] from now when absent.
    pub validity: Option<Validity>,
    /// Issue even if there is a valid certificate, and move its files to `superseded`.
    pub replace: bool,
}

/// A certificate in the store, with its files in place.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: Certificate,
    /// Where `cert.pem`, `chain.pem` and, unless it came from a request, `key.pem` lie.
    pub folder: PathBuf,
    /// Whether it was made just now; if not, the same one was there already and nothing was done.
    pub is_new: bool,
    /// Where the files went that it replaced.
    pub superseded: Option<PathBuf>,
}

/// How a device stands in the inventory.
#[derive(Debug)]
pub enum Standing {
    /// Nothing stands in the way of a certificate.
    Free,
    /// It has this valid certificate.
    Issued(Box<CertificateRecord>),
    /// Its MAC address or serial number belongs to another.
    Taken(Box<IssueError>),
}

/// What all kinds have in common.
struct LeafRequest {
    kind: Kind,
    side: Side,
    profile: Profile,
    name: String,
    product: Option<String>,
    device_serial: Option<String>,
    subject: SubjectName,
    names: Vec<ServerName>,
    key: SubjectKey,
    validity: Option<Validity>,
    days: u32,
    replace: bool,
    folder: PathBuf,
}

/// What is to be done about a request.
enum Judged {
    Issue(Box<LeafRequest>, Validity),
    There(Box<CertificateRecord>),
}

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
            subject: SubjectName::new(vec![(AttributeType::CommonName, host.clone())])?,
            folder: self.layout.relative(&self.layout.server(&host)),
            name: host,
            product: None,
            device_serial: None,
            names,
            key,
            validity,
            days: SERVER_DAYS,
            replace,
        };
        self.issue_one(leaf)
    }

    /// Issues one device certificate, signed on the client side.
    pub fn issue_device(&mut self, request: DeviceRequest) -> Result<Issued, IssueError> {
        let leaf = self.device_leaf(request)?;
        self.issue_one(leaf)
    }

    /// Issues many device certificates in few transactions; each has its own outcome, in the order given.
    pub fn issue_devices(
        &mut self,
        requests: Vec<DeviceRequest>,
    ) -> Result<Vec<Result<Issued, IssueError>>, IssueError> {
        let mut leaves = Vec::with_capacity(requests.len());
        for request in requests {
            leaves.push(self.device_leaf(request)?);
        }
        self.issue_batch(leaves)
    }

    /// Issues the client certificate that units without one of their own share.
    pub fn issue_generic(&mut self, request: GenericRequest) -> Result<Issued, IssueError> {
        let GenericRequest { mac_attribute, key, validity, replace } = request;
        let leaf = LeafRequest {
            kind: Kind::Generic,
            side: Side::Client,
            profile: Profile::Device,
            name: GENERIC_NAME.to_owned(),
            product: None,
            device_serial: None,
            subject: generic_subject(mac_attribute),
            names: Vec::new(),
            key,
            validity,
            days: DEVICE_DAYS,
            replace,
            folder: self.layout.relative(&self.layout.device(GENERIC_NAME)),
        };
        self.issue_one(leaf)
    }

    /// Whether a certificate could be issued to this device now, judged by the inventory alone.
    pub fn device_standing(&self, identity: &DeviceIdentity, replace: bool) -> Result<Standing, IssueError> {
        let now = self.now();
        let mac = identity.mac().to_string();
        if !replace {
            let earlier = self.store.find(&Query::Name(Kind::Device, mac.clone()))?;
            if let Some(record) = earlier.into_iter().rfind(|record| record.is_active(now)) {
                let product = Some(identity.product().to_owned());
                let serial = Some(identity.serial().to_owned());
                return Ok(match other_device(&record, &product, &serial) {
                    None => Standing::Issued(Box::new(record)),
                    Some(difference) => Standing::Taken(Box::new(already(&record, difference))),
                });
            }
        }
        match self.serial_owner(identity.serial(), Some(identity.product()), &mac, now)? {
            Some(error) => Ok(Standing::Taken(Box::new(error))),
            None => Ok(Standing::Free),
        }
    }

    /// A device serial number belongs to one device of a product at a time: the other one's claim, if there is one.
    fn serial_owner(
        &self,
        serial: &str,
        product: Option<&str>,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<IssueError>, IssueError> {
        let others = self.store.find(&Query::DeviceSerial(serial.to_owned()))?;
        let other = others.into_iter().find(|record| {
            record.is_active(now) && record.intent.name != name && record.intent.product.as_deref() == product
        });
        Ok(other.map(|record| IssueError::DeviceSerialTaken {
            serial: serial.to_owned(),
            mac: record.intent.name,
        }))
    }

    fn device_leaf(&self, request: DeviceRequest) -> Result<LeafRequest, IssueError> {
        let DeviceRequest { identity, mac_attribute, key, validity, replace } = request;
        let mac = identity.mac().to_string();
        Ok(LeafRequest {
            kind: Kind::Device,
            side: Side::Client,
            profile: Profile::Device,
            subject: identity.subject(mac_attribute)?,
            folder: self.layout.relative(&self.layout.device(&mac)),
            name: mac,
            product: Some(identity.product().to_owned()),
            device_serial: Some(identity.serial().to_owned()),
            names: Vec::new(),
            key,
            validity,
            days: DEVICE_DAYS,
            replace,
        })
    }

    fn issue_one(&mut self, leaf: LeafRequest) -> Result<Issued, IssueError> {
        self.issue_batch(vec![leaf])?
            .pop()
            .unwrap_or_else(|| Err(StoreError::Damaged { what: "an outcome is missing".to_owned() }.into()))
    }

    fn issue_batch(
        &mut self,
        leaves: Vec<LeafRequest>,
    ) -> Result<Vec<Result<Issued, IssueError>>, IssueError> {
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        for leaf in &leaves {
            let id = self.issuer_for(leaf.side)?.id();
            self.signer(id)?; // a wrong passphrase stops everything before anything is written
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
        for (index, outcome) in self.make(accepted, now)? {
            outcomes[index] = Some(outcome);
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Whether the request may be granted, and whether it was already (CA B7, C1, C4, E1).
    fn judge(&self, leaf: LeafRequest, now: Timestamp) -> Result<Judged, IssueError> {
        let validity = leaf.validity.unwrap_or_else(|| validity_for(now, leaf.days));
        let earlier = self.store.find(&Query::Name(leaf.kind, leaf.name.clone()))?;
        if let Some(record) =
            earlier.into_iter().rfind(|record| record.is_active(now)).filter(|_| !leaf.replace)
        {
            return match difference(&record, &leaf) {
                None => Ok(Judged::There(Box::new(record))),
                Some(difference) => Err(already(&record, difference)),
            };
        }
        if let Some(serial) = &leaf.device_serial
            && let Some(taken) = self.serial_owner(serial, leaf.product.as_deref(), &leaf.name, now)?
        {
            return Err(taken);
        }
        self.check_key_is_free(&leaf)?;
        self.check_issuer(leaf.side, now)?;
        let issuer = self.issuer_for(leaf.side)?.certificate.validity();
        if validity.not_before >= validity.not_after || validity.not_before.unix() < 0 {
            return Err(IssueError::Validity {
                not_before: validity.not_before,
                not_after: validity.not_after,
            });
        }
        if validity.not_after > issuer.not_after {
            return Err(IssueError::OutlivesIssuer {
                not_after: validity.not_after,
                issuer: issuer.not_after,
            });
        }
        let target = self.layout.root().join(&leaf.folder);
        if target.exists() && !leaf.replace {
            return Err(IssueError::Exists { path: target });
        }
        Ok(Judged::Issue(Box::new(leaf), validity))
    }

    /// One key, one owner; and a key that was compromised never comes back (CA B7).
    fn check_key_is_free(&self, leaf: &LeafRequest) -> Result<(), IssueError> {
        let key = *Fingerprint::of(&leaf.key.public_key).as_bytes();
        for record in self.store.find(&Query::PublicKey(key))? {
            let compromised = record
                .revocation
                .is_some_and(|revocation| revocation.reason == RevocationReason::KeyCompromise);
            if compromised || record.intent.kind != leaf.kind || record.intent.name != leaf.name {
                let mut owner = format!("{} {}", record.intent.kind.as_str(), record.intent.name);
                if compromised {
                    owner.push_str(" (revoked for keyCompromise)");
                }
                return Err(IssueError::KeyTaken { owner });
            }
        }
        Ok(())
    }

    /// The authority is one, and may sign a leaf now (CA C1, C2).
    fn check_issuer(&self, side: Side, now: Timestamp) -> Result<(), IssueError> {
        let issuer = self.issuer_for(side)?;
        let certificate = &issuer.certificate;
        let refuse =
            |why: &str| Err(IssueError::Authority { name: issuer.name().to_owned(), why: why.to_owned() });
        if !certificate.basic_constraints().is_some_and(|constraints| constraints.ca) {
            return refuse("its certificate is no authority's");
        }
        if !certificate.key_usage().is_some_and(|usage| usage.names().any(|name| name == "keyCertSign")) {
            return refuse("its certificate does not allow signing certificates");
        }
        if !certificate.validity().contains(now) {
            return refuse("its certificate has expired or is not valid yet");
        }
        let own = self.store.find(&Query::Name(Kind::Authority, issuer.name().to_owned()))?;
        if own.iter().any(|record| record.revocation.is_some()) {
            return refuse("it is revoked");
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
        let mut outcomes = Vec::new();
        let mut finished = Vec::new();
        let mut to_place = Vec::new();
        let mut failed = Vec::new();
        for (((index, leaf, _), intent), id) in accepted.iter().zip(intents).zip(ids) {
            match self.stage_key(id, leaf.key.private_pem.as_ref()).and_then(|()| self.sign(leaf, &intent)) {
                Ok(certificate) => {
                    let audit = audit(leaf, &intent, &certificate, now);
                    finished.push(Finished { id, certificate: certificate.der().to_vec(), audit });
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
        self.store.finish(&finished)?;
        for (index, record, certificate) in to_place {
            let folder = self.layout.root().join(&record.intent.folder);
            let outcome = self.place(&record, &certificate).map(|superseded| Issued {
                certificate,
                folder,
                is_new: true,
                superseded,
            });
            outcomes.push((index, outcome));
        }
        Ok(outcomes)
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
        })
    }

    fn sign(&mut self, leaf: &LeafRequest, intent: &Intent) -> Result<Certificate, IssueError> {
        let signer = self.signer(intent.authority)?;
        let issuer = self.issuer_for(leaf.side)?.certificate();
        let template = Template {
            serial: intent.serial.clone(),
            signature_algorithm: signer.algorithm(),
            issuer: issuer.subject().der().to_vec(),
            validity: intent.validity,
            subject: leaf.subject.to_der(),
            public_key: leaf.key.public_key.clone(),
            extensions: leaf.profile.extensions(
                &leaf.key.public_key,
                issuer.subject_key_identifier(),
                &leaf.names,
            )?,
        };
        prepare(template, leaf.profile, Some(issuer))?.issue(&*signer)
    }
}

fn already(record: &CertificateRecord, difference: String) -> IssueError {
    IssueError::AlreadyIssued {
        name: record.intent.name.clone(),
        serial: hex(&record.intent.serial),
        not_after: record.intent.validity.not_after,
        difference,
    }
}

/// How the certificate's device differs from the one asked for.
fn other_device(
    record: &CertificateRecord,
    product: &Option<String>,
    serial: &Option<String>,
) -> Option<String> {
    let (has_product, has_serial) = (&record.intent.product, &record.intent.device_serial);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    (has_product != product || has_serial != serial)
        .then(|| format!("it says model {} and serial number {}", text(has_product), text(has_serial)))
}

/// What the request wants that the valid certificate does not say.
fn difference(record: &CertificateRecord, leaf: &LeafRequest) -> Option<String> {
    if let Some(difference) = other_device(record, &leaf.product, &leaf.device_serial) {
        return Some(difference);
    }
    if leaf.key.private_pem.is_none()
        && record.intent.public_key != *Fingerprint::of(&leaf.key.public_key).as_bytes()
    {
        return Some("it has another key than the request".to_owned());
    }
    if leaf.kind != Kind::Server {
        return None;
    }
    let certificate = Certificate::parse(record.certificate.as_deref()?).ok()?;
    let has: HashSet<String> = certificate
        .subject_alternative_names()
        .map(|names| {
            names
                .dns_names()
                .map(str::to_owned)
                .chain(names.ip_addresses().map(|ip| ip.to_string()))
                .collect()
        })
        .unwrap_or_default();
    let wants: HashSet<String> = leaf.names.iter().map(ToString::to_string).collect();
    (has != wants).then(|| "it has other names".to_owned())
}

fn audit(leaf: &LeafRequest, intent: &Intent, certificate: &Certificate, now: Timestamp) -> AuditEvent {
    AuditEvent {
        at: now,
        event: "issue",
        detail: json!({
            "kind": leaf.kind.as_str(),
            "name": leaf.name,
            "subject": leaf.subject.to_string(),
            "serial": hex(&intent.serial),
            "sha256": certificate.fingerprint().to_string(),
            "not_after": intent.validity.not_after.to_string(),
            "replace": leaf.replace,
        }),
    }
}
