//! `publication set`, `publication show`, `publication clear`

use serde_json::json;

use super::{CommandError, Context};
use crate::authority::{Authority, PublicationRequest, PublicationSetting};
use crate::cli::{PublicationClearArgs, PublicationCommand, PublicationSetArgs};
use crate::store::Side;

pub(super) fn run(context: &Context<'_>, command: &PublicationCommand) -> Result<(), CommandError> {
    let mut authority = context.open()?;
    match command {
        PublicationCommand::Show => report(context, &authority),
        PublicationCommand::Set(PublicationSetArgs { url, authority: names, shards, ocsp, shards_only }) => {
            let request = PublicationRequest {
                url: url.clone(),
                shards: *shards,
                ocsp: *ocsp,
                complete_list: !shards_only,
            };
            for name in those(names, signers(&authority)?) {
                authority.set_publication(&name, &request)?;
            }
            report(context, &authority)?;
            context
                .printer
                .hint("it stands in certificates issued from now on; next: provision-ca crl publish");
            Ok(())
        }
        PublicationCommand::Clear(PublicationClearArgs { authority: names }) => {
            let own = authority.issuers().iter().filter(|issuer| !issuer.is_foreign());
            let all = own.map(|issuer| issuer.name().to_owned()).collect();
            for name in those(names, all) {
                authority.clear_publication(&name)?;
            }
            report(context, &authority)
        }
    }
}

pub(super) fn those(named: &[String], otherwise: Vec<String>) -> Vec<String> {
    if named.is_empty() { otherwise } else { named.to_vec() }
}

/// The authorities that sign phones and servers.
pub(super) fn signers(authority: &Authority) -> Result<Vec<String>, CommandError> {
    [Side::Client, Side::Server]
        .into_iter()
        .map(|side| Ok(authority.issuer_for(side)?.name().to_owned()))
        .collect()
}

fn report(context: &Context<'_>, authority: &Authority) -> Result<(), CommandError> {
    let settings = authority.publications()?;
    let values: Vec<_> = settings.iter().map(value).collect();
    context
        .printer
        .result(&json!({ "publications": values }), || settings.iter().map(text).collect::<String>());
    Ok(())
}

fn value(setting: &PublicationSetting) -> serde_json::Value {
    let PublicationSetting { authority, publication, shards } = setting;
    let shards: Vec<_> = shards
        .iter()
        .map(|shard| json!({ "shard": shard.number.0, "uri": shard.uri, "open": shard.is_open }))
        .collect();
    json!({
        "authority": authority,
        "url": publication.as_ref().map(|one| one.url.as_str()),
        "ocsp": publication.as_ref().is_some_and(|one| one.ocsp),
        "complete_list": publication.as_ref().is_none_or(|one| one.complete_list),
        "shards": shards,
    })
}

fn text(setting: &PublicationSetting) -> String {
    let PublicationSetting { authority, publication, shards } = setting;
    let Some(publication) = publication else {
        return format!("{authority}\n  certificates name no revocation list\n");
    };
    let open = shards.iter().filter(|shard| shard.is_open).count();
    let mut text = format!("{authority}\n  url     {}\n  shards  {open}", publication.url);
    if open < shards.len() {
        text.push_str(&format!(", and {} that take no new certificates", shards.len() - open));
    }
    text.push_str(if publication.ocsp { "\n  ocsp    yes\n" } else { "\n  ocsp    no\n" });
    if !publication.complete_list {
        text.push_str("  complete list only while a certificate needs it\n");
    }
    text
}
