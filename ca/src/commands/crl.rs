//! `crl publish`, `crl show`

use certs::{RevocationList, Timestamp};
use serde_json::json;

use super::{CommandError, Context, check_output};
use crate::authority::{Authority, DueList, ListDays, Published};
use crate::cli::{CrlCommand, CrlPublishArgs};
use crate::error::IssueError;
use crate::key::armour;
use crate::store::{Side, write_replacing};

pub(super) fn run(context: &Context<'_>, command: &CrlCommand) -> Result<(), CommandError> {
    match command {
        CrlCommand::Publish(arguments) => publish(context, arguments),
        CrlCommand::Show => show(context),
    }
}

fn publish(context: &Context<'_>, arguments: &CrlPublishArgs) -> Result<(), CommandError> {
    let CrlPublishArgs { authority: only, out, der, days, root_days, last } = arguments;
    if let Some(out) = out {
        check_output(out, |earlier| RevocationList::parse(earlier).is_ok())?;
    }
    let mut authority = context.open_to_publish(only.as_deref())?;
    let published = match only {
        Some(name) if *last => authority.publish_last_crls(name)?,
        Some(_) | None => {
            authority.publish_crls(only.as_deref(), ListDays { issuing: *days, root: *root_days })?
        }
    };
    if let Some(out) = out {
        let wanted = match only {
            Some(name) => name.clone(),
            None => authority.issuer_for(Side::Client)?.name().to_owned(),
        };
        let complete = published.iter().find(|list| list.authority == wanted && list.shard.is_none());
        if complete.is_none() {
            context.printer.warning(format!(
                "{wanted} publishes shards alone: there is no complete list for {}",
                out.display()
            ));
        }
        if let Some(list) = complete {
            let content = if *der { list.der.clone() } else { armour("X509 CRL", &list.der).into_bytes() };
            write_replacing(out, &content, 0o644)?;
            context.printer.note(format!("the list of {wanted} is also in {}", out.display()));
        }
    }
    let lists: Vec<_> = published.iter().map(value).collect();
    context.printer.result(&json!({ "lists": lists }), || text(&published));
    if *last {
        context.printer.note("these are the last lists: they count until the authority's own end");
    } else {
        context.printer.hint(format!("publish again within {} days", (days / 2).max(1)));
    }
    Ok(())
}

fn show(context: &Context<'_>) -> Result<(), CommandError> {
    let authority = context.open()?;
    let now = authority.now();
    let lists = all(&authority, now)?;
    let values: Vec<_> = lists.iter().map(|list| state_value(list, now)).collect();
    context
        .printer
        .result(&json!({ "lists": values }), || lists.iter().map(|list| state_text(list, now)).collect());
    if lists.iter().any(|list| list.state(now) != "current") {
        context.printer.hint("provision-ca crl publish");
    }
    Ok(())
}

/// The lists of all authorities.
fn all(authority: &Authority, now: Timestamp) -> Result<Vec<DueList>, IssueError> {
    let mut lists = Vec::new();
    for issuer in authority.issuers() {
        lists.extend(authority.due_lists(issuer.id(), now)?);
    }
    Ok(lists)
}

/// How many entries the list has that lies where others read it.
fn entries(list: &DueList) -> Option<usize> {
    let bytes = std::fs::read(&list.path).ok()?;
    RevocationList::parse(&bytes).ok().map(|list| list.len())
}

fn state_value(list: &DueList, now: Timestamp) -> serde_json::Value {
    let mut value = json!({
        "authority": list.name,
        "shard": list.shard.map(|shard| shard.0),
        "uri": list.uri,
        "file": list.path.display().to_string(),
        "state": list.state(now),
        "entries": entries(list),
    });
    if let Some(published) = &list.published {
        value["number"] = json!(published.number);
        value["this_update"] = json!(published.this_update.to_string());
        value["due"] = json!(list.due().to_string());
        value["next_update"] = json!(published.next_update.to_string());
    }
    value
}

fn state_text(list: &DueList, now: Timestamp) -> String {
    let mut text = format!("{}\n  state   {}\n", title(&list.name, list.shard), list.state(now));
    if let Some(entries) = entries(list) {
        text.push_str(&format!("  entries {entries}\n"));
    }
    if let Some(published) = &list.published {
        let (due, until) = (list.due(), published.next_update);
        text.push_str(&format!("  number  {}\n  next    {due}\n  until   {until}\n", published.number));
    }
    if let Some(uri) = &list.uri {
        text.push_str(&format!("  uri     {uri}\n"));
    }
    text.push_str(&format!("  file    {}\n", list.path.display()));
    text
}

fn title(authority: &str, shard: Option<crate::store::ShardNumber>) -> String {
    shard.map_or_else(|| authority.to_owned(), |shard| format!("{authority}, shard {shard}"))
}

pub(super) fn value(list: &Published) -> serde_json::Value {
    let mut value = json!({
        "authority": list.authority,
        "file": list.path.display().to_string(),
        "number": list.number,
        "entries": list.entries,
        "next_update": list.next_update.to_string(),
    });
    if let (Some(shard), Some(uri)) = (list.shard, &list.uri) {
        value["shard"] = json!(shard.0);
        value["uri"] = json!(uri);
    }
    value
}

pub(super) fn text(published: &[Published]) -> String {
    published
        .iter()
        .map(|list| {
            let Published { authority, shard, path, entries, next_update, uri: _, number: _, der: _ } = list;
            format!(
                "{}\n  entries {entries}\n  until   {next_update}\n  file    {}\n",
                title(authority, *shard),
                path.display()
            )
        })
        .collect()
}
