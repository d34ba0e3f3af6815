//! `init`

use std::sync::Arc;

use serde_json::json;

use super::{CommandError, Context, facts, legacy};
use crate::authority::{Authority, FoundOptions};
use crate::cli::InitArgs;
use crate::error::IssueError;
use crate::key::{KeyError, KeyType, Token};
use crate::legacy::{Legacy, TEST_DAYS};
use crate::passphrase::Whose;
use crate::store::{PostgresUrl, Tier};
use crate::subject::text_warnings;

pub(super) fn run(context: &Context<'_>, arguments: &InitArgs) -> Result<(), CommandError> {
    let InitArgs {
        name,
        shape,
        key,
        days,
        test,
        legacy: traits,
        no_passphrase,
        database,
        pkcs11_module,
        pkcs11_token,
    } = arguments;
    let root = &context.cli.store;
    if root.join("ca.sqlite").exists() || root.join("database.url").exists() {
        return Err(IssueError::AlreadyFounded { path: root.clone() }.into());
    }
    let database =
        database.as_deref().map(|url| PostgresUrl::parse(url, root)).transpose().map_err(|error| {
            CommandError::misuse(
                error.to_string(),
                Some("for example: --database postgres://ca@db.example.com/ca"),
            )
        })?;
    let old = legacy(context, traits);
    let test = (*test || !traits.is_empty()).then_some(old);
    check_key(*key, old)?;
    let token = match (pkcs11_module, pkcs11_token) {
        (Some(module), Some(label)) => Some(Token::new(module, label).map_err(KeyError::from)?),
        (None | Some(_), None | Some(_)) => None,
    };
    let passphrase = if token.is_some() {
        Some(context.passphrase_source().existing()?) // a token has its PIN already
    } else if *no_passphrase {
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
    let usual = if test.is_some() { TEST_DAYS } else { FoundOptions::DAYS };
    let days = days.unwrap_or(usual);
    let options = FoundOptions { name: name.clone(), shape: *shape, key: *key, days, test, database, token };
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
    let legacy: Vec<_> = old.traits().map(|one| one.as_str()).collect();
    let what = if test.is_some() { "test authorities" } else { "authorities" };
    context.printer.result(
        &json!({
            "store": root.display().to_string(),
            "shape": shape.as_str(),
            "test": test.is_some(),
            "legacy": legacy,
            "authorities": issuers,
        }),
        || {
            let mut text = format!("made the {what} of {name} in {}\n", root.display());
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
    if test.is_some() {
        context
            .printer
            .note("this is a test store: its authorities are called TEST, and no phone may trust them");
    }
    context.printer.hint(
        "next: provision-ca server issue FQDN, then provision-ca device issue, then provision-ca crl publish",
    );
    Ok(())
}

/// The authorities' keys must be able to do what is asked.
fn check_key(key: KeyType, old: Legacy) -> Result<(), CommandError> {
    let misuse = |what: &str, hint: &str| Err(CommandError::misuse(what, Some(hint)));
    if old.rsa_1024 && key != KeyType::Rsa2048 {
        return misuse("`--legacy rsa-1024` says what keys the authorities have", "leave `--key` out");
    }
    if old.signs_weakly() && key == KeyType::P256 {
        return misuse("sha1 and md5 signatures need RSA keys", "leave `--key` out, or name an RSA key");
    }
    Ok(())
}
