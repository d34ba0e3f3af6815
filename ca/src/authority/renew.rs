//! A new certificate for who has one: with the same key, another key, or the same end (CA A3).

use certs::{Certificate, GeneralName, Timestamp, Validity};
use zeroize::Zeroizing;

use super::leaf::{Issued, LeafRequest, LeafSubject, Renewal, RenewalRequest, SubjectKey, Succession};
use super::{Authority, DEVICE_DAYS, SERVER_DAYS};
use crate::error::IssueError;
use crate::legacy::Legacy;
use crate::profile::{Profile, validity_for};
use crate::serial::hex;
use crate::server_name::ServerName;
use crate::store::{CertificateRecord, Kind, Query, Side, State, StoreError};

/// Seconds in a day.
const DAY: i64 = 86_400;

impl Authority {
    /// Issues successors of certificates in few transactions; each has its own outcome, in the order given.
    ///
    /// A successor has the names of the one before, byte for byte, a serial number of its own (CA A3), and the extensions that the
    /// authority gives today. The one before ends with it, revoked as superseded, unless it is to be kept.
    ///
    /// # Errors
    /// What concerns the authority and not one certificate: clock, keys, store.
    pub fn renew_all(
        &mut self,
        requests: Vec<RenewalRequest>,
    ) -> Result<Vec<Result<Issued, IssueError>>, IssueError> {
        let now = self.now();
        let mut outcomes: Vec<Option<IssueError>> = Vec::with_capacity(requests.len());
        let mut leaves = Vec::with_capacity(requests.len());
        for request in requests {
            match self.successor(request, now) {
                Ok(leaf) => {
                    leaves.push(leaf);
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(error)),
            }
        }
        let mut issued = self.issue_batch(leaves)?.into_iter();
        outcomes
            .into_iter()
            .map(|refused| match refused {
                Some(error) => Ok(Err(error)),
                None => issued
                    .next()
                    .ok_or_else(|| StoreError::Damaged { what: "an outcome is missing".to_owned() }.into()),
            })
            .collect()
    }

    fn successor(&self, request: RenewalRequest, now: Timestamp) -> Result<LeafRequest, IssueError> {
        let RenewalRequest { record, renewal, days, keep_old } = request;
        let intent = &record.intent;
        let refuse = |why: &str| IssueError::NotRenewable {
            name: intent.name.clone(),
            serial: hex(&intent.serial),
            why: why.to_owned(),
        };
        let (side, profile, usual) = match intent.kind {
            Kind::Authority => return Err(refuse("it is an authority's own")),
            Kind::Responder => return Err(refuse("it is an OCSP responder's: `ocsp issue` makes the next")),
            Kind::Device | Kind::Generic => (Side::Client, Profile::Device, DEVICE_DAYS),
            Kind::Server => (Side::Server, Profile::Server, SERVER_DAYS),
        };
        let Some(der) = record.certificate.as_deref().filter(|_| record.state == State::Issued) else {
            return Err(refuse("it was never issued"));
        };
        let damaged = |what: String| IssueError::Store(StoreError::Damaged { what });
        let old = Certificate::parse(der).map_err(|error| damaged(error.to_string()))?;
        let is_renewal = matches!(renewal, Renewal::Renew);
        if is_renewal && let Some(revocation) = &record.revocation {
            let reason = revocation.reason.as_str();
            return Err(refuse(&format!("it is revoked ({reason}): `rekey` gives a new key")));
        }
        let mut names = Vec::new();
        for name in old.subject_alternative_names().into_iter().flat_map(certs::SubjectAltNames::names) {
            names.push(match (name, name.ip_address()) {
                (_, Some(address)) => ServerName::Ip(address),
                (GeneralName::Dns(host), None) => ServerName::host(host)?,
                (other, None) => {
                    return Err(refuse(&format!("it has the name {other}, which is not given any more")));
                }
            });
        }
        let had = old.validity();
        let validity = match (&renewal, days) {
            (Renewal::Reissue, None) => {
                if had.not_after <= now {
                    return Err(refuse("it has expired: `renew` gives a new end"));
                }
                Validity { not_before: validity_for(now, 1).not_before, not_after: had.not_after }
            }
            (Renewal::Reissue | Renewal::Rekey(_) | Renewal::Renew, Some(days)) => validity_for(now, days),
            (Renewal::Rekey(_) | Renewal::Renew, None) => {
                let days = (had.not_after.unix() - had.not_before.unix() + DAY) / DAY;
                validity_for(now, u32::try_from(days).unwrap_or(usual))
            }
        };
        let key = match renewal {
            Renewal::Rekey(key) => key,
            Renewal::Reissue | Renewal::Renew => SubjectKey {
                public_key: old.public_key().spki_der().to_vec(),
                private_pem: self.kept_key(&record, &old, "key.pem").and_then(text),
                sealed: self.kept_key(&record, &old, "key.pem.age").map(|bytes| bytes.to_vec()),
            },
        };
        let legacy = if self.is_test() { Legacy::found_in(&old) } else { Legacy::default() };
        let ends = !keep_old && record.is_active(now);
        Ok(LeafRequest {
            kind: intent.kind,
            side,
            profile,
            name: intent.name.clone(),
            product: intent.product.clone(),
            device_serial: intent.device_serial.clone(),
            subject: LeafSubject::Kept {
                der: old.subject().der().to_vec(),
                text: old.subject().to_rfc4514(),
            },
            names,
            key,
            validity: Some(validity),
            days: usual,
            replace: true,
            legacy,
            folder: self.successor_folder(intent),
            succeeds: Some(Box::new(Succession { record, ends })),
        })
    }

    /// The private key beside this certificate, as it lies there. A key that came with a request never was here.
    fn kept_key(
        &self,
        record: &CertificateRecord,
        certificate: &Certificate,
        name: &str,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let folder = self.layout.root().join(&record.intent.folder);
        let beside = std::fs::read_to_string(folder.join("cert.pem")).ok()?;
        let beside = Certificate::parse_pem(&beside).ok()?;
        if beside.public_key().spki_der() != certificate.public_key().spki_der() {
            return None; // the folder is another certificate's by now
        }
        std::fs::read(folder.join(name)).map(Zeroizing::new).ok()
    }

    /// Only the newest certificate has a successor: two who renew at once get one between them.
    pub(super) fn check_succession(&self, leaf: &LeafRequest) -> Result<(), IssueError> {
        let Some(succession) = &leaf.succeeds else { return Ok(()) };
        let old = &succession.record;
        let all = self.store.find(&Query::Name(leaf.kind, leaf.name.clone()))?;
        let newest = all.iter().rfind(|record| record.state == State::Issued);
        match newest {
            Some(newest) if newest.id == old.id => Ok(()),
            Some(_) | None => Err(IssueError::NotRenewable {
                name: old.intent.name.clone(),
                serial: hex(&old.intent.serial),
                why: "it has a newer one already".to_owned(),
            }),
        }
    }
}

fn text(bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<String>> {
    std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}
