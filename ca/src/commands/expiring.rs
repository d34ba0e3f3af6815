//! `expiring`

use serde_json::json;

use super::list::{row, table, value};
use super::mass::{Chunks, choose_any};
use super::{CommandError, Context};
use crate::cli::ExpiringArgs;
use crate::selector::{DateField, Order, Status, Term};

pub(super) fn run(context: &Context<'_>, arguments: &ExpiringArgs) -> Result<(), CommandError> {
    let ExpiringArgs { within, selector } = arguments;
    let authority = context.open()?;
    let now = authority.now();
    let soon = Term::Time(DateField::Expires, Order::AtOrBefore, now.plus_seconds(within.0));
    let selector = choose_any(&authority, selector)?
        .and(soon)
        .and_by_default(Term::Status(vec![Status::Valid]))
        .and_by_default(Term::Latest);
    let mut found = Vec::new();
    let mut chunks = Chunks::new(&selector, None);
    loop {
        let mut records = chunks.next(&authority)?;
        if records.is_empty() {
            break;
        }
        for record in &mut records {
            record.certificate = None; // not shown, and of a million too much to keep
        }
        found.extend(records);
    }
    found.sort_by_key(|record| record.intent.validity.not_after);
    let values: Vec<_> = found.iter().map(|record| value(record, record.status(now))).collect();
    context.printer.result(&json!({ "certificates": values }), || {
        table(&found.iter().map(|record| row(record, record.status(now))).collect::<Vec<_>>())
    });
    if found.is_empty() {
        context.printer.note("nothing ends that soon");
    } else {
        context.printer.hint("`provision-ca renew` with the same selector gives new dates");
    }
    Ok(())
}
