//! `/live`: records as they come. The page's own script fetches those that came since; without scripts the browser loads the page
//! anew every few seconds.

use maud::{Markup, html};

use super::entry::{self, Naming};
use crate::audit::entry::Outcome;
use crate::audit::moment::Moment;
use crate::audit::query::{Filter, RecordId, StoredRecord};
use crate::audit::{AuditDatabase, DatabaseError};

/// Records that the page begins with.
const FIRST: u32 = 30;
/// Records that are fetched at once; whoever falls behind is shown the newest.
const MOST: u32 = 100;

/// The newest records and where the next will be.
#[derive(Debug)]
pub(super) struct Tail {
    last: RecordId,
    records: Vec<StoredRecord>,
}

impl Tail {
    /// The newest records, or those after one; newest first.
    pub(super) fn ask(
        database: &mut AuditDatabase,
        outcome: Option<Outcome>,
        after: Option<RecordId>,
    ) -> Result<Self, DatabaseError> {
        let filter = Filter { outcome, ..Filter::default() };
        let last = database.newest()?;
        let records = match after {
            // Going back from the newest ends at the one that is known, however many came in between.
            Some(after) if last > after => {
                let since = last.number().saturating_sub(i64::from(MOST)).max(after.number());
                let mut records = database.after(RecordId::from_number(since), &filter, MOST)?;
                records.reverse();
                records
            }
            Some(_) => Vec::new(),
            None => database.records(&filter, FIRST)?,
        };
        let newest = records.first().map_or(last, |first| first.id.max(last));
        Ok(Self { last: newest, records })
    }

    pub(super) fn show(&self, outcome: Option<Outcome>, now: Moment) -> Markup {
        let choice = |chosen: Option<Outcome>, address: &'static str, name: &'static str| {
            html! { li { a href=(address) aria-current=[(chosen == outcome).then_some("true")] { (name) } } }
        };
        html! {
            nav.periods aria-label="Which" { ul {
                (choice(None, "/live", "all"))
                (choice(Some(Outcome::Refused), "/live?outcome=refused", "refused"))
                (choice(Some(Outcome::Failed), "/live?outcome=failed", "failed"))
                (choice(Some(Outcome::Served), "/live?outcome=served", "served"))
            } }
            p #state role="status" { "New records appear here by themselves." }
            div #tail data-last=(self.last.number()) data-outcome=[outcome.map(Outcome::as_str)] {
                (entry::list(&self.records, Naming::Linked, now))
            }
        }
    }

    /// Only the new ones, for the script.
    pub(super) fn fragment(&self, now: Moment) -> Markup {
        html! {
            div data-last=(self.last.number()) {
                ol { @for record in &self.records { (entry::item(record, Naming::Linked, now)) } }
            }
        }
    }
}
