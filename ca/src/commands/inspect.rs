//! `inspect`

use serde_json::json;

use super::{CommandError, Context, read_input};
use crate::cli::InspectArgs;
use crate::inspect::{Item, read, relate};
use crate::passphrase::PassphraseSource;

pub(super) fn run(context: &Context<'_>, arguments: &InspectArgs) -> Result<(), CommandError> {
    let passphrase = match context.passphrase_source() {
        PassphraseSource::Prompt => None, // a closed key is worth a line, not a question
        source @ (PassphraseSource::File(_) | PassphraseSource::Environment(_)) => Some(source.existing()?),
    };
    let now = context.clock.now();
    let mut items: Vec<Item> = Vec::new();
    let mut unread = 0_usize;
    for path in &arguments.files {
        let contents = match read_input(path) {
            Ok(contents) => contents,
            Err(error) => {
                context.printer.failure(path, &error);
                unread += 1;
                continue;
            }
        };
        match read(path, &contents, passphrase.as_ref(), now) {
            Ok(found) => items.extend(found),
            Err(error) => {
                context.printer.failure(path, &error);
                unread += 1;
            }
        }
    }
    relate(&mut items);
    let values: Vec<_> = items.iter().map(|item| item.facts.to_json(&item.source)).collect();
    context.printer.result(&json!({ "items": values }), || {
        items.iter().map(|item| item.facts.to_text(&item.source)).collect::<Vec<_>>().join("\n")
    });
    if unread == 0 {
        return Ok(());
    }
    Err(CommandError::failed(format!("{unread} of {} files could not be read", arguments.files.len()), None))
}
