//! What a selector matches.

use certs::Timestamp;

use super::{CertificateRecord, Kind, RecordId, StoreError};
use crate::selector::Selector;

/// How many certificates of one kind and model there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The kind.
    pub kind: Kind,
    /// The model, of devices.
    pub product: Option<String>,
    /// How many.
    pub count: u64,
}

/// Which rows of the inventory, page by page, so that a million need no more room than a thousand.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Only rows after this one.
    pub after: Option<RecordId>,
    /// Only rows up to this one.
    pub until: Option<RecordId>,
    /// At most so many.
    pub limit: u32,
}

/// Looking for certificates.
pub trait Search {
    /// The next certificates that match, oldest first.
    fn page(
        &self,
        selector: &Selector,
        now: Timestamp,
        page: Page,
    ) -> Result<Vec<CertificateRecord>, StoreError>;

    /// How many match, by kind and model.
    fn tally(
        &self,
        selector: &Selector,
        now: Timestamp,
        until: Option<RecordId>,
    ) -> Result<Vec<Tally>, StoreError>;

    /// The newest row.
    fn last_row(&self) -> Result<Option<RecordId>, StoreError>;
}
