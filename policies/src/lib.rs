//! What is acceptable, and to whom: the judgements of the provisioning gateway, and the files they are written in.
//!
//! `certs` says what a certificate is; this crate says what follows from it; the programs enforce and record. There is no
//! I/O, clock, environment or async here: texts and facts are arguments, so every decision can be replayed in a test.
//!
//! | question | asked of | answer |
//! | --- | --- | --- |
//! | May this handshake be so? | [`TlsRules`] | versions, suites, groups, signature algorithms |
//! | Who is it? | [`Admission`], with [`IdentityProfile`]s and a [`DenyList`] | a [`Principal`], or a [`Denial`] |
//! | May they have this? | [`RequestRules`] | a [`Permit`], or a [`Denial`] |
//! | Why? | [`explain`] | each step in a line |
//!
//! Policies are TOML files: shipped ones in `policies/shipped`, an operator's own in the same form. The module
//! documentation of [`tls`], [`identity`], [`requests`] and [`pattern`] is their reference. [`document`] reads them, and the
//! gateway's configuration too, and reports every mistake with its place.
//!
//! ```
//! use certs::testing::Pki;
//! use policies::{Admission, AdmissionEntry, DenyList, IdentityProfile, ProfileSet, RequestFacts, RequestRules};
//!
//! # let pki = Pki::new();
//! # let chain = pki.verified(&pki.device().issue());
//! let profiles = ProfileSet::new(vec![IdentityProfile::shipped("cisco-small-business").unwrap()])?;
//! let entry = AdmissionEntry { profiles, ouis: Vec::new(), deny: DenyList::empty().into() };
//! let principal = Admission::new(vec![entry]).admit(&chain)?; // a chain that a `certs::ChainVerifier` verified
//! assert_eq!(principal.device().unwrap().product(), Some("CP-8841-3PCC"));
//!
//! let rules = RequestRules::shipped("own-profile").unwrap();
//! let facts = RequestFacts { method: "GET", path: "/000e08abcdef.cfg", query: None, user_agent: None };
//! assert_eq!(&*rules.authorize(&principal, &facts)?.rule, "own profile");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
#![doc = include_str!("reason/table.md")]

pub mod admission;
pub mod decision;
pub mod document;
pub mod explain;
pub mod identity;
pub mod mac;
pub mod pattern;
pub mod principal;
pub mod reason;
pub mod requests;
mod shipped;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tls;

pub use admission::{Admission, AdmissionEntry, DenyList, ProfileSet, ProfileSetError};
pub use decision::{Denial, Permit};
pub use document::{Diagnostic, Severity};
pub use identity::{AttributeType, IdentityProfile};
pub use mac::{MacAddress, MacError};
pub use pattern::TemplateError;
pub use principal::{Device, Generic, Operator, Principal, Role};
pub use reason::{Fault, Reason, Stage};
pub use requests::{Mode, RequestFacts, RequestRules, UserAgentRule, user_agent_contradicts};
pub use tls::{CipherSuite, Group, SignatureScheme, TlsRules, TlsVersion, UnknownName};
