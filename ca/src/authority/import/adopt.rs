//! An authority that another program made: with its key it goes on here, without it is looked at alone.

use std::path::{Path, PathBuf};

use certs::{Certificate, Fingerprint, Timestamp};
use serde_json::json;
use zeroize::Zeroizing;

use super::is_signed_by;
use crate::authority::found::authority_name;
use crate::authority::hierarchy::setting;
use crate::authority::keys::{AuthorityKey, Kept};
use crate::authority::{Authority, Issuer};
use crate::batch::BatchError;
use crate::error::IssueError;
use crate::import::ImportError;
use crate::key::token::TokenKey;
use crate::key::{PrivateKey, Token};
use crate::serial::hex;
use crate::store::{
    AdoptedAuthority, AuditEvent, AuthorityId, AuthorityRecord, CrlRecord, Intent, Kind, RecordId, Side,
    Tier, make_folder, write_by_way_of,
};

/// An authority to take in.
#[derive(Debug)]
pub struct Adoption {
    /// Its certificate.
    pub certificate: Certificate,
    /// In which tree it stands; looked at when the store does not have it yet.
    pub side: Option<Side>,
    /// Its private key, and where it was read; without it the authority signs nothing here.
    pub key: Option<(PrivateKey, PathBuf)>,
    /// What is known of the last list that was published elsewhere.
    pub last_list: Option<LastList>,
}

/// The last list that was published elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastList {
    /// The highest number that was, or may have been, used.
    pub number: i64,
    /// Its dates, when the list itself is there.
    pub dates: Option<(Timestamp, Timestamp)>,
}

/// An authority that is in the store now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// What it is called here.
    pub name: String,
    /// How it came.
    pub arrival: Arrival,
    /// Whether its key is elsewhere.
    pub is_foreign: bool,
}

/// How an authority came into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It was there.
    Already,
    /// Its certificate was there, and its key is now.
    Key,
    /// It is new.
    New,
}

impl Arrival {
    /// One word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Already => "already",
            Self::Key => "key",
            Self::New => "new",
        }
    }
}

/// How a key is kept.
enum Keeping {
    Clear,
    Sealed,
    Token(Token),
}

/// What is going to be done.
struct Plan {
    name: String,
    side: Side,
    tier: Tier,
    /// Who issued it: one of the store, or itself.
    above: Option<AuthorityId>,
}

impl Authority {
    /// Takes in an authority that another program made. It signs nothing before
    /// [`use_authority`](Self::use_authority), and its lists go on with higher numbers.
    ///
    /// With `dry_run` it is only judged.
    ///
    /// # Errors
    /// It cannot be used for what it is meant for; then nothing was changed.
    pub fn adopt(&mut self, adoption: &Adoption, dry_run: bool) -> Result<Adopted, IssueError> {
        if self.is_test() {
            return Err(ImportError::TestStore { path: self.layout.root().to_owned() }.into());
        }
        let _lock = self.lock()?;
        self.refresh()?;
        let now = self.plausible_now()?;
        self.check_key(adoption)?;
        let Adoption { certificate, key, .. } = adoption;
        let known = self.issuers.iter().position(|issuer| issuer.certificate == *certificate);
        if let Some(position) = known {
            return self.adopt_again(position, adoption, now, dry_run);
        }
        let plan = self.plan(adoption)?;
        let is_foreign = key.is_none();
        let adopted = Adopted { name: plan.name.clone(), arrival: Arrival::New, is_foreign };
        let keeping = key.as_ref().map(|(key, _)| self.keeping(plan.side, Some(key))).transpose()?;
        if dry_run {
            return Ok(adopted);
        }
        // Who signs now goes on signing: an authority that comes from elsewhere waits until it is told to.
        self.settle_signer(plan.side, now)?;
        let next = self.issuers.iter().map(|issuer| issuer.id().0).max().unwrap_or(0).saturating_add(1);
        let id = AuthorityId(next);
        let kept = match key.as_ref().zip(keeping.as_ref()) {
            None => None,
            Some(((key, _), keeping)) => Some(self.keep(&plan.name, key, keeping)?),
        };
        self.place_authority(&plan.name, kept.as_ref(), &certificate.to_pem())?;
        let above = plan.above.unwrap_or(id);
        let intent = intent(certificate, above, &plan.name, now);
        let known_as = self.row_of(above, certificate)?;
        let last_list = adoption.last_list.map(|list| record(id, list, now));
        let mut detail = json!({
            "authority": plan.name,
            "imported": true,
            "sha256": certificate.fingerprint().to_string(),
            "serial": hex(certificate.serial().as_bytes()),
            "subject": certificate.subject().to_rfc4514(),
        });
        if is_foreign {
            detail["foreign"] = json!(true);
        }
        if let Some(list) = &adoption.last_list {
            detail["crl_number"] = json!(list.number);
        }
        let authority = AuthorityRecord {
            id,
            name: plan.name.clone(),
            side: plan.side,
            tier: plan.tier,
            certificate: certificate.der().to_vec(),
        };
        let audit = AuditEvent { at: now, event: "authority", detail };
        let adopted_row =
            AdoptedAuthority { authority: authority.clone(), intent, known_as, is_foreign, last_list, audit };
        self.store.adopt(&adopted_row)?;
        self.issuers.push(Issuer {
            record: authority,
            certificate: certificate.clone(),
            key: None,
            is_foreign,
        });
        self.place_roots()?;
        self.write_log()?;
        Ok(adopted)
    }

    /// One that is there: its key may have come, and its old place may have published since.
    fn adopt_again(
        &mut self,
        position: usize,
        adoption: &Adoption,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<Adopted, IssueError> {
        let issuer = &self.issuers[position];
        let (id, name, side) = (issuer.id(), issuer.name().to_owned(), issuer.side());
        let mut adopted = Adopted { name, arrival: Arrival::Already, is_foreign: issuer.is_foreign };
        if let Some((key, _)) = adoption.key.as_ref().filter(|_| issuer.is_foreign) {
            let keeping = self.keeping(side, Some(key))?;
            adopted.arrival = Arrival::Key;
            adopted.is_foreign = false;
            if !dry_run {
                let (path, text) = match self.keep(&adopted.name, key, &keeping)? {
                    Kept::Pem(text) => (self.key_path(&adopted.name), text),
                    Kept::Uri(text) => (self.uri_path(&adopted.name), Zeroizing::new(text)),
                };
                make_folder(&self.layout.pending(), 0o700)?;
                write_by_way_of(&self.layout.pending(), &path, text.as_bytes(), 0o600)?;
                let detail = json!({ "authority": adopted.name, "key": "arrived" });
                self.store.key_arrived(&adopted.name, &AuditEvent { at: now, event: "authority", detail })?;
                self.issuers[position].is_foreign = false;
                self.place_roots()?;
            }
        }
        if let Some(list) = adoption.last_list {
            let last = self.store.last_crl(id, None)?.map_or(0, |last| last.number);
            if list.number > last && !dry_run {
                let detail = json!({ "authority": adopted.name, "crl_number": list.number });
                let audit = AuditEvent { at: now, event: "authority", detail };
                self.store.note_list(&record(id, list, now), &audit)?;
            }
        }
        self.write_log()?;
        Ok(adopted)
    }

    /// A key that is given must be the authority's, and must be of use here.
    fn check_key(&self, adoption: &Adoption) -> Result<(), IssueError> {
        let Adoption { certificate, key, .. } = adoption;
        let refuse = |why| Err(ImportError::NotAnAuthority { why }.into());
        let Some((key, path)) = key else { return Ok(()) };
        if key.public_key_der() != certificate.public_key().spki_der() {
            return Err(IssueError::KeyMismatch {
                authority: certificate.subject().to_rfc4514(),
                path: path.clone(),
            });
        }
        let uses: Option<Vec<&str>> = certificate.key_usage().map(|usage| usage.names().collect());
        if !certificate.basic_constraints().is_some_and(|one| one.ca) {
            return refuse("its certificate is no authority's (basicConstraints)");
        }
        if uses.as_ref().is_some_and(|uses| !uses.contains(&"keyCertSign")) {
            return refuse("its certificate does not allow signing certificates (keyUsage)");
        }
        if uses.as_ref().is_some_and(|uses| !uses.contains(&"cRLSign")) {
            return refuse("its certificate does not allow signing revocation lists (keyUsage)");
        }
        if certificate.subject_key_identifier().is_none() {
            return refuse("its certificate has no subject key identifier, which its lists have to name");
        }
        if certificate.subject().is_empty() {
            return refuse("its certificate has no subject, which everything it issues has to name");
        }
        Ok(())
    }

    /// How a new key of this side is kept: as the one beside is, whose passphrase or PIN is checked. A key that is to go into a
    /// token must be of a kind that does.
    fn keeping(&mut self, side: Side, key: Option<&PrivateKey>) -> Result<Keeping, IssueError> {
        let id = self.sealer(side)?;
        if let Some(token) = self.token_of(Some(id))? {
            key.map_or(Ok(()), TokenKey::takes).map_err(crate::key::KeyError::from)?;
            self.check_keys(&[id])?;
            return Ok(Keeping::Token(token));
        }
        if !self.needs_passphrase(&[id])? {
            return Ok(Keeping::Clear);
        }
        // All keys of a store have one passphrase: it is the one that opens the key beside.
        self.check_keys(&[id])?;
        Ok(Keeping::Sealed)
    }

    /// What is kept of a key; into a token it is put.
    fn keep(&self, name: &str, key: &PrivateKey, keeping: &Keeping) -> Result<Kept, IssueError> {
        let passphrase = self.passphrase.as_ref();
        Ok(match keeping {
            Keeping::Clear => Kept::Pem(key.to_pem()),
            Keeping::Sealed => {
                let passphrase = passphrase.ok_or(crate::key::KeyError::WantsPassphrase)?;
                Kept::Pem(Zeroizing::new(key.to_encrypted_pem(passphrase, &*self.random)?))
            }
            Keeping::Token(token) => {
                let key = AuthorityKey::import_into(token, name, key, passphrase)?;
                key.kept(passphrase, &*self.random)?
            }
        })
    }

    /// Whether a key of this side that is kept in a file is encrypted; what it needs for that is checked.
    ///
    /// # Errors
    /// The store keeps its keys in a token.
    pub(in crate::authority) fn sealing(&mut self, side: Side) -> Result<bool, IssueError> {
        match self.keeping(side, None)? {
            Keeping::Clear => Ok(false),
            Keeping::Sealed => Ok(true),
            Keeping::Token(_) => Err(BatchError::TokenStore.into()),
        }
    }

    fn plan(&self, adoption: &Adoption) -> Result<Plan, IssueError> {
        let Adoption { certificate, side, .. } = adoption;
        let same = self.issuers.iter().find(|issuer| {
            issuer.certificate.public_key().spki_der() == certificate.public_key().spki_der()
                && issuer.certificate.subject().equals(certificate.subject())
        });
        if let Some(issuer) = same {
            return Err(ImportError::AnotherCertificate { name: issuer.name().to_owned() }.into());
        }
        let bad = || ImportError::BadSignature { issuer: certificate.issuer().to_rfc4514() };
        let (tier, above) = if certificate.is_self_issued() {
            if !is_signed_by(certificate, certificate) {
                return Err(bad().into());
            }
            (Tier::Root, None)
        } else {
            let named: Vec<&Issuer> = self
                .issuers
                .iter()
                .filter(|issuer| issuer.certificate.subject().equals(certificate.issuer()))
                .collect();
            let signed = named.iter().find(|issuer| is_signed_by(certificate, &issuer.certificate));
            match signed {
                Some(issuer) => (Tier::Issuing, Some(issuer.id())),
                None if named.is_empty() => {
                    let issuer = certificate.issuer().to_rfc4514();
                    return Err(ImportError::IssuerUnknown { issuer }.into());
                }
                None => return Err(bad().into()),
            }
        };
        let inherited = above.and_then(|id| self.issuers.iter().find(|one| one.id() == id)).map(Issuer::side);
        let side = side.or(inherited).ok_or(ImportError::SideNeeded)?;
        let ordinal = (1..)
            .find(|ordinal| self.named(&authority_name(side, tier, *ordinal)).is_err())
            .unwrap_or(u32::MAX);
        Ok(Plan { name: authority_name(side, tier, ordinal), side, tier, above })
    }

    /// Says who signs on this side, where nobody has said it yet.
    fn settle_signer(&mut self, side: Side, now: Timestamp) -> Result<(), IssueError> {
        if self.signers.iter().any(|(known, _)| *known == side) {
            return Ok(());
        }
        let name = self.issuer_for(side)?.name().to_owned();
        let detail = json!({ "authority": name, "signs": side.as_str() });
        let audit = AuditEvent { at: now, event: "authority", detail };
        self.store.set_setting(&setting(side), &name, &audit)?;
        self.signers.push((side, name));
        Ok(())
    }

    /// The row that the authority's certificate has already, as one of those its issuer issued.
    fn row_of(&self, above: AuthorityId, certificate: &Certificate) -> Result<Option<RecordId>, IssueError> {
        let row = self.store.by_serial(above, certificate.serial().as_bytes())?;
        let Some(row) = row else { return Ok(None) };
        if row.certificate.as_deref() == Some(certificate.der()) {
            return Ok(Some(row.id));
        }
        Err(ImportError::SerialTaken {
            authority: certificate.issuer().to_rfc4514(),
            serial: hex(certificate.serial().as_bytes()),
            other: row.intent.name,
        }
        .into())
    }
}

fn intent(certificate: &Certificate, above: AuthorityId, name: &str, now: Timestamp) -> Intent {
    Intent {
        authority: above,
        serial: certificate.serial().as_bytes().to_vec(),
        kind: Kind::Authority,
        name: name.to_owned(),
        product: None,
        device_serial: None,
        public_key: *Fingerprint::of(certificate.public_key().spki_der()).as_bytes(),
        validity: certificate.validity(),
        at: now,
        folder: Path::new("authorities").join(name),
        shard: None,
    }
}

/// A list that was made elsewhere. It was not published here: the first list made here has everything that is revoked, also
/// what has expired since (CA G3).
fn record(authority: AuthorityId, list: LastList, now: Timestamp) -> CrlRecord {
    let (this_update, next_update) = list.dates.unwrap_or((now, now));
    CrlRecord { authority, shard: None, number: list.number, this_update, next_update }
}

impl Issuer {
    /// Whether its key is elsewhere, and this store only knows of it.
    pub fn is_foreign(&self) -> bool {
        self.is_foreign
    }
}

impl Authority {
    /// Refuses what an authority would have to sign whose key is elsewhere.
    pub(in crate::authority) fn check_is_own(&self, issuer: &Issuer) -> Result<(), IssueError> {
        if !issuer.is_foreign {
            return Ok(());
        }
        Err(IssueError::Authority {
            name: issuer.name().to_owned(),
            why: "its certificate alone is in the store, and not its key".to_owned(),
        })
    }

    /// With whose key a key is opened that is to be kept beside it.
    ///
    /// # Errors
    /// There is no authority on this side.
    pub(crate) fn sealer(&self, side: Side) -> Result<AuthorityId, IssueError> {
        self.issuer_for(side).map(Issuer::id)
    }
}
