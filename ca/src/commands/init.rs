//! `init`

use std::sync::Arc;

use serde_json::json;

use super::{CommandError, Context, facts};
use crate::authority::{Authority, FoundOptions};
use crate::cli::InitArgs;
use crate::error::IssueError;
use crate::passphrase::Whose;
use crate::store::Tier;
use crate::subject::text_warnings;

pub(super) fn run(context: &Context<'_>, arguments: &InitArgs) -> Result<(), CommandError> {
    let InitArgs { name, shape, key, days, no_passphrase } = arguments;
    let root = &context.cli.store;
    if root.join("ca.sqlite").exists() {
        return Err(IssueError::AlreadyFounded { path: root.clone() }.into());
    }
    let passphrase = if *no_passphrase {
        context
            .printer
            .warning("the authorities' keys are kept in the clear: who copies them can issue certificates");
        None
    } else {
        Some(context.passphrase_source().fresh(Whose::Authorities)?)
    };
    for warning in text_warnings("name", name) {
        context.printer.warning(warning);
    }
    let options = FoundOptions { name: name.clone(), shape: *shape, key: *key, days: *days };
    let authority = Authority::found(root, &options, passphrase.as_ref(), Arc::clone(&context.clock))?;
    let issuers: Vec<_> = authority
        .issuers()
        .iter()
        .map(|issuer| {
            let mut value = facts(issuer.certificate());
            value["name"] = json!(issuer.name());
            value
        })
        .collect();
    let trust = authority.layout().trust();
    context.printer.result(
        &json!({ "store": root.display().to_string(), "shape": shape.as_str(), "authorities": issuers }),
        || {
            let mut text = format!("made the authorities of {name} in {}\n", root.display());
            for issuer in authority.issuers() {
                let end = issuer.certificate().validity().not_after;
                text.push_str(&format!("  {:<14}  until {end}\n", issuer.name()));
                if issuer.tier() == Tier::Root {
                    text.push_str(&format!(
                        "  {:<14}  {}\n",
                        "",
                        trust.join(format!("{}.pem", issuer.name())).display()
                    ));
                }
            }
            text
        },
    );
    context.printer.hint(
        "next: provision-ca server issue FQDN, then provision-ca device issue, then provision-ca crl publish",
    );
    Ok(())
}
