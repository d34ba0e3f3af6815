//! More authorities beside the first: roots side by side, and the change from one to the next, with both trusted for a while
//! (CA C1, C2, G4).

use std::fs;

use certs::Timestamp;
use der::asn1::OctetString;
use serde_json::json;
use x509_cert::ext::Extension;

use super::found::{Above, FoundOptions, Position, Shape, authority, authority_name};
use super::keys::Kept;
use super::publish::{Life, ListDays};
use super::{Authority, Issuer};
use crate::error::IssueError;
use crate::key::token::KeyUri;
use crate::key::{self, KeyType, Token};
use crate::profile::constraints::{NAME_CONSTRAINTS, name_constraints};
use crate::server_name::ServerName;
use crate::store::{
    AuditEvent, AuthorityId, FileError, Side, Tier, make_folder, sync_folder, write_by_way_of, write_new,
};

/// An authority to add.
#[derive(Debug, Clone)]
pub struct AddAuthority {
    /// In which tree.
    pub side: Side,
    /// A root, or an issuing authority below the newest root whose key is here.
    pub tier: Tier,
    /// The kind of its key.
    pub key: KeyType,
    /// Days it lasts; one below a root ends with it.
    pub days: u32,
    /// The only domains whose hosts it may certify, and then no addresses; any without.
    pub permit: Vec<ServerName>,
}

impl Authority {
    /// Whose keys [`add_authority`](Self::add_authority) needs: the root's above, and where there is none, that of the
    /// authority beside, whose passphrase the new key gets.
    pub fn adders(&self, request: &AddAuthority) -> Result<Vec<AuthorityId>, IssueError> {
        Ok(match request.tier {
            Tier::Issuing => vec![self.root_above(request.side)?.id()],
            Tier::Root => vec![self.issuer_for(request.side)?.id()],
        })
    }

    /// Adds an authority. It signs nothing before [`use_authority`](Self::use_authority), so that those who are to trust it
    /// can be told first; its lists are published from now on. Its name is given back.
    pub fn add_authority(&mut self, request: &AddAuthority) -> Result<String, IssueError> {
        let AddAuthority { side, tier, .. } = *request;
        if self.is_test() {
            return Err(refused("a test store", "it has one authority of each kind"));
        }
        let _lock = self.lock()?;
        self.refresh()?;
        let now = self.plausible_now()?;
        let ids = self.adders(request)?;
        self.check_keys(&ids)?;
        let above = match tier {
            Tier::Root => None,
            Tier::Issuing => Some(self.check_above(side, now)?),
        };
        let constraints = self.constraints_for(request, above)?;
        let ordinal = (1..)
            .find(|ordinal| self.named(&authority_name(side, tier, *ordinal)).is_err())
            .unwrap_or(u32::MAX);
        let name = authority_name(side, tier, ordinal);
        let next = self.issuers.iter().map(|issuer| issuer.id().0).max().unwrap_or(0).saturating_add(1);
        let options = self.options_for(request, ids.first().copied())?;
        let sealed = self.needs_passphrase(&ids)?;
        let passphrase = if sealed { self.passphrase.clone() } else { None };
        let founded = {
            let issuer =
                above.and_then(|id| self.issuers.iter().find(|one| one.id() == id)).and_then(|one| {
                    Some(Above { id: one.id(), certificate: &one.certificate, key: one.key.as_ref()? })
                });
            let position = Position { side, tier, id: AuthorityId(next), ordinal, issuer, constraints };
            authority(&options, passphrase.as_ref(), &position, now, &*self.random)?
        };
        let kept = founded.key.kept(passphrase.as_ref(), &*self.random)?;
        self.place_authority(&name, Some(&kept), &founded.certificate.to_pem())?;
        let detail = json!({ "authority": name, "key": request.key.as_str(), "sha256": founded.certificate.fingerprint().to_string() });
        let audit = AuditEvent { at: now, event: "authority", detail };
        self.store.add_authority(&founded.record, &founded.intent, founded.certificate.der(), &audit)?;
        let id = founded.record.id;
        self.issuers.push(Issuer {
            record: founded.record,
            certificate: founded.certificate,
            key: Some(founded.key),
            is_foreign: false,
        });
        self.place_roots()?;
        for list in self.due_lists(id, now)? {
            self.publish(&list, now, Life::Days(ListDays::default()))?;
        }
        Ok(name)
    }

    /// Lets an authority sign the certificates of its side from now on; those of the one before stay valid.
    pub fn use_authority(&mut self, name: &str) -> Result<(), IssueError> {
        let _lock = self.lock()?;
        self.refresh()?;
        let now = self.plausible_now()?;
        let issuer = self.named(name)?;
        let (id, side, tier) = (issuer.id(), issuer.side(), issuer.tier());
        self.check_may_sign(id, now)?;
        if tier == Tier::Root && self.has_issuing_tier(side) {
            // CA C6: where there are issuing authorities, no root signs a phone's or a server's certificate.
            return Err(refused(name, "it is a root, and an issuing authority signs on this side"));
        }
        let audit = AuditEvent {
            at: now,
            event: "authority",
            detail: json!({ "authority": name, "signs": side.as_str() }),
        };
        self.store.set_setting(&setting(side), name, &audit)?;
        self.signers.retain(|(known, _)| *known != side);
        self.signers.push((side, name.to_owned()));
        Ok(())
    }

    /// Writes what others need to trust a root, where it is missing.
    pub(super) fn place_roots(&self) -> Result<(), IssueError> {
        make_folder(&self.layout.pending(), 0o700)?;
        for issuer in self.issuers.iter().filter(|issuer| issuer.tier() == Tier::Root && !issuer.is_foreign) {
            let path = self.layout.trust().join(format!("{}.pem", issuer.name()));
            if !path.exists() {
                write_by_way_of(
                    &self.layout.pending(),
                    &path,
                    issuer.certificate.to_pem().as_bytes(),
                    0o644,
                )?;
            }
        }
        Ok(())
    }

    /// The newest root of a side whose key is here.
    fn root_above(&self, side: Side) -> Result<&Issuer, IssueError> {
        self.issuers
            .iter()
            .rfind(|issuer| {
                issuer.side() == side
                    && issuer.tier() == Tier::Root
                    && !issuer.is_foreign
                    && !self.is_offline(issuer)
            })
            .ok_or_else(|| refused(side.as_str(), "no root's key is here"))
    }

    /// The root that is to sign an issuing authority may (CA C1, C2).
    fn check_above(&self, side: Side, now: Timestamp) -> Result<AuthorityId, IssueError> {
        let root = self.root_above(side)?;
        self.check_may_sign(root.id(), now)?;
        let room = root.certificate.basic_constraints().and_then(|one| one.path_length);
        if room == Some(0) {
            return Err(refused(root.name(), "its certificate allows no authority below it"));
        }
        Ok(root.id())
    }

    /// What names the new authority may sign. One below a root is bound by the root's constraints, and says so itself, so that
    /// each certificate is checked against them before it is signed (CA C5).
    fn constraints_for(
        &self,
        request: &AddAuthority,
        above: Option<AuthorityId>,
    ) -> Result<Option<Extension>, IssueError> {
        let inherited = self
            .issuers
            .iter()
            .filter(|issuer| Some(issuer.id()) == above)
            .flat_map(|issuer| issuer.certificate.extensions())
            .find(|extension| extension.oid.to_string() == NAME_CONSTRAINTS.to_string());
        match (inherited, request.permit.is_empty()) {
            (Some(_), false) => {
                Err(refused("the root above", "its own name constraints hold, leave `--permit` out"))
            }
            (Some(found), true) => Ok(Some(Extension {
                extn_id: NAME_CONSTRAINTS,
                critical: true,
                extn_value: OctetString::new(&*found.value)?,
            })),
            (None, true) => Ok(None),
            (None, false) => Ok(Some(name_constraints(&request.permit)?)),
        }
    }

    fn options_for(
        &self,
        request: &AddAuthority,
        beside: Option<AuthorityId>,
    ) -> Result<FoundOptions, IssueError> {
        let name = self.store.setting("name")?.unwrap_or_default();
        let is_issuing = self.store.setting("shape")?.is_some_and(|shape| shape == Shape::Issuing.as_str());
        Ok(FoundOptions {
            name,
            shape: if is_issuing { Shape::Issuing } else { Shape::Flat },
            key: request.key,
            days: request.days,
            token: self.token_of(beside)?,
            ..FoundOptions::default()
        })
    }

    /// The token in which the key of this authority is, and the new one is to be.
    pub(super) fn token_of(&self, id: Option<AuthorityId>) -> Result<Option<Token>, IssueError> {
        let Some(issuer) = self.issuers.iter().find(|issuer| Some(issuer.id()) == id) else {
            return Ok(None);
        };
        if !self.is_in_token(issuer.name()) {
            return Ok(None);
        }
        let path = self.uri_path(issuer.name());
        let text = fs::read_to_string(&path).map_err(|source| FileError::new("read", &path, source))?;
        Ok(Some(KeyUri::parse(&text).map_err(key::KeyError::from)?.token))
    }

    /// Puts a new authority's files in their place in one step. A folder that no row of the inventory knows was left by a
    /// command that was killed, or by an inventory that was restored: then its key may have signed, so it is kept.
    pub(super) fn place_authority(
        &self,
        name: &str,
        kept: Option<&Kept>,
        certificate: &str,
    ) -> Result<(), IssueError> {
        let staged = self.layout.pending().join(name);
        make_folder(&staged, 0o700)?;
        match kept {
            Some(Kept::Pem(text)) => write_new(&staged.join("key.pem"), text.as_bytes(), 0o600)?,
            Some(Kept::Uri(text)) => write_new(&staged.join("key.uri"), text.as_bytes(), 0o600)?,
            None => {}
        }
        write_new(&staged.join("cert.pem"), certificate.as_bytes(), 0o600)?;
        sync_folder(&staged)?;
        let target = self.layout.authority(name);
        if target.exists() {
            let kept = self.shelf().supersede(&target)?;
            // Under another name, or `store check` would look for it in the inventory.
            let (from, to) = (kept.join("cert.pem"), kept.join("not-in-the-inventory.pem"));
            if from.exists() {
                fs::rename(&from, &to).map_err(|source| FileError::new("rename", &from, source))?;
            }
            sync_folder(&self.layout.superseded())?;
        }
        fs::rename(&staged, &target).map_err(|source| FileError::new("rename", &staged, source))?;
        Ok(sync_folder(&self.layout.root().join("authorities"))?)
    }
}

/// Under which name the store keeps who signs.
pub(super) fn setting(side: Side) -> String {
    format!("signer-{}", side.as_str())
}

fn refused(name: &str, why: &str) -> IssueError {
    IssueError::Authority { name: name.to_owned(), why: why.to_owned() }
}
