//! `crl publish`

use certs::RevocationList;
use serde_json::json;

use super::{CommandError, Context, check_output};
use crate::authority::{ListDays, Published};
use crate::cli::{CrlCommand, CrlPublishArgs};
use crate::key::armour;
use crate::store::{Side, write_replacing};

pub(super) fn run(context: &Context<'_>, command: &CrlCommand) -> Result<(), CommandError> {
    let CrlCommand::Publish(CrlPublishArgs { authority: only, out, der, days, root_days }) = command;
    if let Some(out) = out {
        check_output(out, |earlier| RevocationList::parse(earlier).is_ok())?;
    }
    let mut authority = context.open_to_publish(only.as_deref())?;
    let published = authority.publish_crls(only.as_deref(), ListDays { issuing: *days, root: *root_days })?;
    if let Some(out) = out {
        let wanted = match only {
            Some(name) => name.clone(),
            None => authority.issuer_for(Side::Client)?.name().to_owned(),
        };
        if let Some(list) = published.iter().find(|list| list.authority == wanted) {
            let content = if *der { list.der.clone() } else { armour("X509 CRL", &list.der).into_bytes() };
            write_replacing(out, &content, 0o644)?;
            context.printer.note(format!("the list of {wanted} is also in {}", out.display()));
        }
    }
    let lists: Vec<_> = published.iter().map(value).collect();
    context.printer.result(&json!({ "lists": lists }), || text(&published));
    context.printer.hint(format!("publish again within {} days", (days / 2).max(1)));
    Ok(())
}

pub(super) fn value(list: &Published) -> serde_json::Value {
    json!({
        "authority": list.authority,
        "file": list.path.display().to_string(),
        "number": list.number,
        "entries": list.entries,
        "next_update": list.next_update.to_string(),
    })
}

pub(super) fn text(published: &[Published]) -> String {
    published
        .iter()
        .map(|list| {
            let Published { authority, path, entries, next_update, number: _, der: _ } = list;
            format!(
                "{authority}\n  entries {entries}\n  until   {next_update}\n  file    {}\n",
                path.display()
            )
        })
        .collect()
}
