//! Admission: from a verified chain to the principal it speaks for.
//!
//! Each trust entry of a host has its own identity profiles, OUIs and deny list: an anchor vouches only for what it was
//! bound to (SEC-23). Admission is asked inside the handshake, again after it, and once more on a kept connection after
//! every reload; it is a function of the chain and nothing else, so it can be asked as often as needed.

mod deny_list;
mod profile_set;

use std::sync::Arc;

use certs::{Certificate, VerifiedChain};

pub use deny_list::DenyList;
pub use profile_set::{ProfileSet, ProfileSetError};

use crate::decision::Denial;
use crate::principal::Principal;
use crate::reason::Reason;

/// Who is admitted to a host.
#[derive(Clone, Debug)]
pub struct Admission {
    entries: Vec<AdmissionEntry>,
}

/// Whom one trust entry's anchors vouch for.
#[derive(Clone, Debug)]
pub struct AdmissionEntry {
    /// The identity profiles, in the order they are tried.
    pub profiles: ProfileSet,
    /// If any are named, only MAC addresses that begin with one of them; what has no MAC address is not admitted then.
    pub ouis: Vec<[u8; 3]>,
    /// Who is refused all the same.
    pub deny: Arc<DenyList>,
}

impl Admission {
    /// The entries stand in the order of the [`ChainVerifier`](certs::ChainVerifier)'s trust entries.
    pub fn new(entries: Vec<AdmissionEntry>) -> Self {
        Self { entries }
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[AdmissionEntry] {
        &self.entries
    }

    /// Whom the chain speaks for, if they are welcome. The chain must have been made by the verifier whose trust entries
    /// these entries belong to.
    pub fn admit(&self, chain: &VerifiedChain) -> Result<Principal, Denial> {
        let entry = self.entries.get(chain.entry()).ok_or_else(|| {
            Denial::new(Reason::IdentityNotRecognised, "the trust entry has no identity profiles")
        })?;
        // The issuer is the next certificate of the path; a leaf that is its own anchor issued itself.
        let issuer = chain.path().get(1).unwrap_or_else(|| chain.leaf());
        entry.admit(chain.leaf(), issuer)
    }
}

impl AdmissionEntry {
    /// Whom a leaf issued by `issuer` speaks for. Says nothing about whether it is genuine.
    pub(crate) fn admit(&self, leaf: &Certificate, issuer: &Certificate) -> Result<Principal, Denial> {
        if let Some(line) = self.deny.finds_certificate(leaf, issuer) {
            return Err(Denial::new(Reason::DeniedByList, line));
        }
        let principal = self.profiles.identify(leaf.subject())?;
        self.check_oui(&principal)?;
        match self.deny.finds_principal(&principal) {
            Some(line) => Err(Denial::new(Reason::DeniedByList, line)),
            None => Ok(principal),
        }
    }

    fn check_oui(&self, principal: &Principal) -> Result<(), Denial> {
        if self.ouis.is_empty() {
            return Ok(());
        }
        match principal.device().and_then(|device| device.mac()) {
            Some(mac) if self.ouis.contains(&mac.oui()) => Ok(()),
            Some(mac) => {
                let detail = format!("{mac} begins with none of the OUIs of this trust entry");
                Err(Denial::new(Reason::OuiNotAccepted, detail))
            }
            None => {
                let detail =
                    "the certificate names no MAC address, and this trust entry is limited to some OUIs";
                Err(Denial::new(Reason::OuiNotAccepted, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests;
