//! `unhold`

use super::mass::{Chunks, Item, Items, choose, foretell, nothing};
use super::{CommandError, Context};
use crate::cli::UnholdArgs;
use crate::selector::{Status, Term};

pub(super) fn run(context: &Context<'_>, arguments: &UnholdArgs) -> Result<(), CommandError> {
    let UnholdArgs { selector: words, mass } = arguments;
    let mut authority = context.open()?;
    let chosen = choose(&authority, words)?;
    if let Some(word) = chosen.word() {
        // Whoever names one device is told what became of it, whatever that is.
        let found = authority.select(word)?;
        if found.iter().all(|record| record.revocation.is_none()) {
            return Err(CommandError::failed(format!("{word} is not revoked"), None));
        }
    }
    let selector = chosen.clone().and(Term::Status(vec![Status::Held]));
    if mass.dry_run {
        return foretell(context, &authority, "unhold", &selector, &[]);
    }
    let until = authority.last_row()?;
    if authority.tally(&selector, until)?.is_empty() {
        let error = if authority.tally(&chosen, until)?.is_empty() {
            nothing(words)
        } else {
            CommandError::failed(
                format!("nothing that matches {:?} is on hold", words.join(" ")),
                Some("only certificateHold can be taken back; `rekey` or `reissue` gives a new certificate"),
            )
        };
        return Err(error);
    }
    let mut items = Items::begin(context, mass)?;
    let mut chunks = Chunks::new(&selector, until);
    loop {
        let records = chunks.next(&authority)?;
        if records.is_empty() {
            break;
        }
        let lifted = authority.unhold_all(&records)?;
        for (record, lifted) in records.iter().zip(lifted) {
            let status = if lifted { "valid again" } else { "not held" };
            items.add(context, &Item { record, status, successor: None, until: None, error: None })?;
        }
    }
    items.end(context, &[])?;
    context.printer.hint("others learn of it from the next list: provision-ca crl publish");
    Ok(())
}
