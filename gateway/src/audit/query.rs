//! The questions an audit database answers, and their answers.
//!
//! | question | asked with |
//! | --- | --- |
//! | which records? | [`AuditDatabase::records`] with a [`Filter`]; [`AuditDatabase::after`] for those that came since |
//! | how many, by what? | [`AuditDatabase::summary`], [`AuditDatabase::series`] |
//! | what of this phone? | [`AuditDatabase::device`], then its certificates, networks and User-Agents |
//! | which phones? | [`AuditDatabase::devices`], [`AuditDatabase::expiring`], [`AuditDatabase::changes`] |
//!
//! All of them block; none reads more than it was told to.

mod change;
mod cidr;
mod device;
mod filter;
mod summary;

pub use self::change::Change;
pub use self::cidr::{Cidr, NotACidr};
pub use self::device::{
    DeviceStatus, DevicesBy, ExpiryCount, PresentedCertificate, Refusal, Sighting, SightingKind,
};
pub use self::filter::{Filter, PhonesSay, RecordId, StoredRecord};
pub use self::summary::{By, Point, Tally};

#[cfg(doc)]
use crate::audit::AuditDatabase;

#[cfg(test)]
mod tests;
