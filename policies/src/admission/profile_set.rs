//! The identity profiles of a trust entry.

use certs::DistinguishedName;

use crate::decision::Denial;
use crate::identity::IdentityProfile;
use crate::principal::Principal;
use crate::reason::Reason;

/// The identity profiles of a trust entry, in the order they are tried: at least one, none twice, and an operator profile
/// only by itself, so that a phone's certificate that is malformed never becomes an operator's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProfileSet(Vec<IdentityProfile>);

/// Why profiles cannot stand together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProfileSetError {
    /// No profile at all.
    #[error("no identity profile: nobody would be recognised")]
    Empty,
    /// An operator profile beside another.
    #[error("\"{name}\" recognises every subject and must stand alone in its trust entry")]
    OperatorNotAlone {
        /// The operator profile.
        name: String,
    },
    /// The same name twice.
    #[error("\"{name}\" is listed twice")]
    Repeated {
        /// The name.
        name: String,
    },
}

impl ProfileSet {
    /// Checks that the profiles can stand together.
    pub fn new(profiles: Vec<IdentityProfile>) -> Result<Self, ProfileSetError> {
        if profiles.is_empty() {
            return Err(ProfileSetError::Empty);
        }
        let name = |profile: &IdentityProfile| profile.name().to_string();
        if let Some(operator) = profiles.iter().find(|profile| profile.is_operator() && profiles.len() > 1) {
            return Err(ProfileSetError::OperatorNotAlone { name: name(operator) });
        }
        for (index, profile) in profiles.iter().enumerate() {
            if profiles.iter().take(index).any(|earlier| earlier.name() == profile.name()) {
                return Err(ProfileSetError::Repeated { name: name(profile) });
            }
        }
        Ok(Self(profiles))
    }

    /// The profiles, in order.
    pub fn profiles(&self) -> &[IdentityProfile] {
        &self.0
    }

    /// Who the subject is, under the first profile that recognises its shape. One that recognises but refuses ends the
    /// search.
    pub fn identify(&self, subject: &DistinguishedName) -> Result<Principal, Denial> {
        match self.0.iter().find(|profile| profile.recognises(subject)) {
            Some(profile) => profile.identify(subject),
            None => {
                let names: Vec<_> = self.0.iter().map(|profile| &**profile.name()).collect();
                let detail = format!("the subject has not the shape of {}", names.join(" or "));
                Err(Denial::new(Reason::IdentityNotRecognised, detail))
            }
        }
    }
}
