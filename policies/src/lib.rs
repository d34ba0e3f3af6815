//! What is acceptable, and to whom: the judgements of the provisioning gateway and the shapes its authority follows.
//!
//! Being laid out; the map of this crate follows with its last module.

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
pub use requests::{Mode, RequestFacts, RequestRules, UserAgentRule};
pub use tls::{CipherSuite, Group, SignatureScheme, TlsRules, TlsVersion, UnknownName};
