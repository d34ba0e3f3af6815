//! `root request`, `root sign-batch`, `root accept`, `root forget`, `authority add --from-batch`

use std::path::Path;

use certs::Fingerprint;
use serde_json::{Value, json};

use super::{CommandError, Context};
use crate::authority::{AnswerOutcome, BatchRequest, NewIssuing};
use crate::batch::Batch;
use crate::cli::{AcceptArgs, ForgetArgs, RootCommand, RootRequestArgs, SignBatchArgs};
use crate::error::IssueError;
use crate::import::read_secret;
use crate::printer::with_causes;
use crate::server_name::ServerName;

pub(super) fn run(context: &Context<'_>, command: &RootCommand) -> Result<(), CommandError> {
    match command {
        RootCommand::Request(arguments) => request(context, arguments),
        RootCommand::SignBatch(arguments) => sign(context, arguments),
        RootCommand::Accept(arguments) => accept(context, arguments),
        RootCommand::Forget(arguments) => forget(context, arguments),
    }
}

fn request(context: &Context<'_>, arguments: &RootRequestArgs) -> Result<(), CommandError> {
    let RootRequestArgs { folder, root, issuing, key, permit, renew, cross_sign, days, crl, crl_days } =
        arguments;
    if !issuing && renew.is_empty() && cross_sign.is_empty() && !crl {
        return Err(CommandError::misuse(
            "nothing is asked for",
            Some("say `--issuing`, `--renew NAME`, `--cross-sign FILE` or `--crl`"),
        ));
    }
    let permit = permit.iter().map(|name| ServerName::host(name)).collect::<Result<_, _>>()?;
    let authority = context.open()?;
    let side = authority.issuers().iter().find(|one| one.name() == root).map(|one| one.side());
    let side = side.ok_or_else(|| IssueError::NotFound { selector: root.clone() })?;
    let mut ids = vec![authority.issuer_for(side)?.id()];
    for name in renew {
        let found = authority.issuers().iter().find(|one| one.name() == name).map(|one| one.id());
        ids.push(found.ok_or_else(|| IssueError::NotFound { selector: name.clone() })?);
    }
    let mut authority = context.unlock(authority, &ids)?;
    let wanted = BatchRequest {
        root: root.clone(),
        issuing: issuing.then_some(NewIssuing { key: *key, permit }),
        renew: renew.clone(),
        cross_sign: cross_sign.clone(),
        days: *days,
        list_days: crl.then_some(*crl_days),
    };
    let made = authority.request_batch(&wanted, folder)?;
    let value = json!({
        "folder": folder.display().to_string(),
        "items": made.items,
        "signer": made.signer.to_string(),
        "signer_file": made.signer_file.display().to_string(),
    });
    context.printer.result(&value, || {
        let mut text = format!("folder  {}\n", folder.display());
        for item in &made.items {
            text.push_str(&format!("asks    {item}\n"));
        }
        text + &format!("signer  {}\n", made.signer)
    });
    context.printer.hint(format!(
        "carry the folder to the root, and the first time {} too: provision-ca root accept batch-signer.pem",
        made.signer_file.display()
    ));
    Ok(())
}

fn sign(context: &Context<'_>, arguments: &SignBatchArgs) -> Result<(), CommandError> {
    let SignBatchArgs { input, output, dry_run } = arguments;
    let batch = Batch::read(input, "request")?;
    let mut authority = context.open()?;
    let root = authority.batch_root(&batch)?;
    if !dry_run {
        authority = context.unlock(authority, &[root])?;
    }
    let signed = authority.sign_batch(&batch, output, *dry_run)?;
    let mut refused = 0_u32;
    let mut values = Vec::new();
    let mut lines = Vec::new();
    for answer in &signed.answers {
        let (number, words) = (answer.number, &answer.words);
        let mut value = json!({ "number": number, "asked": words });
        let said = match &answer.outcome {
            AnswerOutcome::Refused(error) => {
                refused += 1;
                value["refused"] = json!(with_causes(error));
                format!("     refused: {}", with_causes(error))
            }
            AnswerOutcome::Signed(file) => {
                value["signed"] = json!(file);
                format!("     signed: {file}")
            }
            AnswerOutcome::There(file) => {
                value["already"] = json!(file);
                format!("     signed before: {file}")
            }
            AnswerOutcome::Would => "     would be signed".to_owned(),
        };
        values.push(value);
        lines.push(format!("{number:>3}. {words}\n{said}\n"));
    }
    let value = json!({
        "root": signed.root, "signer": signed.signer.to_string(), "dry_run": dry_run, "answers": values,
    });
    context
        .printer
        .result(&value, || format!("root    {}\nsigner  {}\n{}", signed.root, signed.signer, lines.concat()));
    for answer in &signed.answers {
        if let AnswerOutcome::Refused(error) = &answer.outcome
            && let Some(hint) = error.hint()
        {
            context.printer.hint(format!("{}: {hint}", answer.number));
        }
    }
    if !dry_run {
        context.printer.hint(format!(
            "carry {} back: provision-ca authority add --from-batch {}",
            output.display(),
            output.display()
        ));
    }
    if refused == 0 {
        return Ok(());
    }
    let message = format!("{refused} of {} things were refused", signed.answers.len());
    Err(CommandError::failed(message, None))
}

fn accept(context: &Context<'_>, arguments: &AcceptArgs) -> Result<(), CommandError> {
    let AcceptArgs { file, fingerprint } = arguments;
    let text = read_secret(file)?;
    let told = match fingerprint {
        None => None,
        Some(told) => {
            let print: Option<Fingerprint> = told.parse().ok();
            Some(print.ok_or_else(|| {
                CommandError::failed(
                    format!("{told:?} is no SHA-256: 64 hexadecimal digits are needed"),
                    Some("ask for the fingerprint once more: `root request` shows it"),
                )
            })?)
        }
    };
    let print = context.open()?.accept_signer(&text, told)?;
    context.printer.result(&json!({ "accepted": print.to_string() }), || format!("accepted  {print}\n"));
    if fingerprint.is_none() {
        context.printer.hint("let the other side read its fingerprint to you: `root request` shows it");
    }
    Ok(())
}

fn forget(context: &Context<'_>, arguments: &ForgetArgs) -> Result<(), CommandError> {
    let print: Fingerprint = arguments.fingerprint.parse().map_err(|_error| {
        CommandError::misuse("a SHA-256 of 64 hexadecimal digits is needed", Some("`root accept` showed it"))
    })?;
    if !context.open()?.forget_signer(&print)? {
        return Err(CommandError::failed(format!("the key {print} was not accepted"), None));
    }
    context.printer.result(&json!({ "forgotten": print.to_string() }), || format!("forgotten  {print}\n"));
    Ok(())
}

/// `authority add --from-batch`
pub(super) fn take(context: &Context<'_>, folder: &Path) -> Result<(), CommandError> {
    let answer = Batch::read(folder, "answer")?;
    let authority = context.open()?;
    let id = authority.answer_keeper(&answer)?;
    let mut authority = context.unlock(authority, &[id])?;
    let taken = authority.take_answer(&answer, folder)?;
    let values: Vec<Value> = taken
        .iter()
        .map(|one| match &one.outcome {
            Ok(word) => json!({ "number": one.number, "asked": one.words, "outcome": word }),
            Err(error) => json!({ "number": one.number, "asked": one.words, "refused": with_causes(error) }),
        })
        .collect();
    context.printer.result(&json!({ "taken": values }), || {
        taken
            .iter()
            .map(|one| match &one.outcome {
                Ok(word) => format!("{:>3}. {}: {word}\n", one.number, one.words),
                Err(error) => format!("{:>3}. {}: refused: {}\n", one.number, one.words, with_causes(error)),
            })
            .collect()
    });
    if taken.iter().any(|one| matches!(one.outcome, Ok("new")) && one.words.starts_with("issue")) {
        context.printer.hint("the new authority signs when it is told to: provision-ca authority list, then `authority use NAME`");
    }
    let refused = taken.iter().filter(|one| one.outcome.is_err()).count();
    if refused == 0 {
        return Ok(());
    }
    Err(CommandError::failed(
        format!("{refused} of {} things were not taken", taken.len()),
        Some("ask the root once more for what is missing: provision-ca root request"),
    ))
}
