//! Issuing: judge, take a serial number, keep the key, build, lint, sign, read back, store, hand out (CA I1).

mod batch;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use certs::{Certificate, Fingerprint, PublicKey};

use super::judge::Reading;
use super::leaf::{DeviceRequest, GenericRequest, Issued, Judged, LeafRequest, LeafSubject, ServerRequest};
use super::{Authority, DEVICE_DAYS, Issuer, SERVER_DAYS};
use crate::device::{GENERIC_NAME, generic_subject};
use crate::error::IssueError;
use crate::legacy::{Legacy, is_short};
use crate::profile::Profile;
use crate::server_name::ServerName;
use crate::store::{CertificateRecord, Intent, Kind, RecordId, Side, StoreError};
use crate::subject::{AttributeType, NameError, SubjectName};

use batch::{Accepted, Desk};

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
        let mut desks: Vec<Desk> = Vec::new();
        for leaf in &leaves {
            if !desks.iter().any(|desk| desk.is_for(leaf)) {
                // A wrong passphrase, or a key that cannot sign so, stops everything before anything is written.
                desks.push(self.desk(leaf.side, leaf.legacy)?);
            }
        }
        let mut outcomes: Vec<Option<Result<Issued, IssueError>>> = Vec::with_capacity(leaves.len());
        let mut accepted: Vec<Accepted> = Vec::new();
        let reading = Reading::begin(&*self.store)?;
        let mut names = HashSet::new();
        let mut keys: HashMap<[u8; 32], String> = HashMap::new();
        for leaf in leaves {
            let name = (leaf.kind, leaf.name.clone());
            let outcome = if names.contains(&name) {
                Some(Err(NameError::Repeated { field: format!("device {}", leaf.name) }.into()))
            } else {
                match self.judge(leaf, now) {
                    Ok(Judged::There(record)) => Some(self.there(&record)),
                    Ok(Judged::Issue(leaf, validity)) => {
                        let print = *Fingerprint::of(&leaf.key.public_key).as_bytes();
                        let owner = format!("{} {}", leaf.kind.as_str(), leaf.name);
                        match keys.entry(print) {
                            Entry::Occupied(first) => {
                                Some(Err(IssueError::KeyTaken { owner: first.get().clone() }))
                            }
                            Entry::Vacant(place) => {
                                place.insert(owner);
                                names.insert(name);
                                accepted.push(Accepted { index: outcomes.len(), leaf, validity });
                                None
                            }
                        }
                    }
                    Err(error) => Some(Err(error)),
                }
            };
            outcomes.push(outcome);
        }
        drop(reading);
        let signed_by =
            accepted.first().map(|one| self.issuer_for(one.leaf.side).map(Issuer::id)).transpose()?;
        for (index, outcome) in self.make(&desks, accepted, now)? {
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

    /// Writes one intent.
    pub(super) fn reserve_one(&mut self, intent: &Intent) -> Result<RecordId, IssueError> {
        self.store
            .reserve(std::slice::from_ref(intent))?
            .pop()
            .ok_or_else(|| StoreError::Damaged { what: "a new row has no number".to_owned() }.into())
    }
}
