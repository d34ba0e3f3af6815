//! `ocsp issue`

use serde_json::json;

use super::publication::{signers, those};
use super::{CommandError, Context, facts};
use crate::cli::{OcspCommand, OcspIssueArgs};

pub(super) fn run(context: &Context<'_>, command: &OcspCommand) -> Result<(), CommandError> {
    let OcspCommand::Issue(OcspIssueArgs { authority: names, days }) = command;
    let authority = context.open()?;
    let names = those(names, signers(&authority)?);
    let mut ids = Vec::new();
    for name in &names {
        ids.extend(authority.list_signers(Some(name))?);
    }
    let mut authority = context.unlock(authority, &ids)?;
    let mut values = Vec::new();
    let mut text = String::new();
    for name in &names {
        let issued = authority.issue_responder(name, *days)?;
        let until = issued.certificate.validity().not_after;
        text.push_str(&format!("{name}\n  until   {until}\n  folder  {}\n", issued.folder.display()));
        let mut value = facts(&issued.certificate);
        value["authority"] = json!(name);
        value["folder"] = json!(issued.folder.display().to_string());
        values.push(value);
    }
    context.printer.result(&json!({ "responders": values }), || text);
    Ok(())
}
