//! `authority list`, `authority add`, `authority use`

use serde_json::json;

use super::{CommandError, Context, facts};
use crate::authority::{AddAuthority, Authority};
use crate::cli::{AuthorityAddArgs, AuthorityCommand, AuthorityUseArgs};
use crate::server_name::ServerName;
use crate::store::{Side, Tier};

pub(super) fn run(context: &Context<'_>, command: &AuthorityCommand) -> Result<(), CommandError> {
    match command {
        AuthorityCommand::List => report(context, &context.open()?),
        AuthorityCommand::Add(AuthorityAddArgs { from_batch: Some(folder), .. }) => {
            super::root::take(context, folder)
        }
        AuthorityCommand::Add(AuthorityAddArgs { side, tier, key, days, permit, from_batch: None }) => {
            let side = side.as_ref().ok_or_else(|| CommandError::misuse("`--side` is missing", None))?;
            if *side == Side::Client && !permit.is_empty() {
                return Err(CommandError::misuse(
                    "`--permit` is for authorities of servers: phones' certificates name no hosts",
                    None,
                ));
            }
            let permit = permit.iter().map(|name| ServerName::host(name)).collect::<Result<_, _>>()?;
            let request = AddAuthority { side: *side, tier: *tier, key: *key, days: *days, permit };
            let authority = context.open()?;
            let ids = authority.adders(&request)?;
            let mut authority = context.unlock(authority, &ids)?;
            let name = authority.add_authority(&request)?;
            report(context, &authority)?;
            if *tier == Tier::Root {
                let file = authority.layout().trust().join(format!("{name}.pem"));
                context.printer.hint(format!("let everybody trust {} beside the others", file.display()));
            }
            context.printer.hint(format!("then: provision-ca authority use {name}"));
            Ok(())
        }
        AuthorityCommand::Use(AuthorityUseArgs { name }) => {
            let mut authority = context.open()?;
            authority.use_authority(name)?;
            report(context, &authority)
        }
    }
}

fn report(context: &Context<'_>, authority: &Authority) -> Result<(), CommandError> {
    let mut signers = Vec::new();
    for side in [Side::Client, Side::Server] {
        signers.push(authority.issuer_for(side)?.id());
    }
    let values: Vec<_> = authority
        .issuers()
        .iter()
        .map(|issuer| {
            let mut value = facts(issuer.certificate());
            value["name"] = json!(issuer.name());
            value["side"] = json!(issuer.side().as_str());
            value["tier"] = json!(issuer.tier().as_str());
            value["signs"] = json!(signers.contains(&issuer.id()));
            if issuer.is_foreign() {
                value["foreign"] = json!(true);
            }
            value
        })
        .collect();
    context.printer.result(&json!({ "authorities": values }), || {
        authority
            .issuers()
            .iter()
            .map(|issuer| {
                let end = issuer.certificate().validity().not_after;
                let signs = match (signers.contains(&issuer.id()), issuer.is_foreign()) {
                    (true, _) => "  signs",
                    (false, true) => "  its key is elsewhere",
                    (false, false) => "",
                };
                format!("{:<18}  until {end}{signs}\n", issuer.name())
            })
            .collect()
    });
    Ok(())
}
