//! `revoke`

use serde_json::json;

use super::crl::{text as crl_text, value as crl_value};
use super::{CommandError, Context};
use crate::authority::ListDays;
use crate::cli::RevokeArgs;
use crate::error::IssueError;
use crate::serial::hex;
use crate::store::{CertificateRecord, State};

pub(super) fn run(context: &Context<'_>, arguments: &RevokeArgs) -> Result<(), CommandError> {
    let RevokeArgs { selector, reason, publish } = arguments;
    let mut authority = if *publish { context.open_to_publish(None)? } else { context.open()? };
    let now = authority.now();
    let mut issued: Vec<CertificateRecord> =
        authority.select(selector)?.into_iter().filter(|record| record.state == State::Issued).collect();
    // A renewed device has several: the valid ones are meant; if none is, the last one.
    if issued.iter().any(|record| record.is_active(now)) {
        issued.retain(|record| record.is_active(now));
    } else {
        issued = issued.pop().into_iter().collect();
    }
    let Some(first) = issued.first() else {
        return Err(IssueError::NotFound { selector: selector.clone() }.into());
    };
    if issued.iter().any(|record| record.intent.name != first.intent.name) {
        let serials: Vec<_> = issued.iter().map(|record| hex(&record.intent.serial)).collect();
        return Err(CommandError::failed(
            format!("{selector:?} is several certificates: {}", serials.join(", ")),
            Some("name the one you mean by its certificate serial number"),
        ));
    }
    let mut values = Vec::new();
    let mut text = String::new();
    for record in issued {
        let serial = hex(&record.intent.serial);
        let revoked = authority.revoke(record.id, *reason)?;
        if revoked.already {
            context.printer.note(format!("{serial} was revoked before; the first date stays"));
        }
        let (at, reason) = (revoked.revocation.at, revoked.revocation.reason.as_str());
        text.push_str(&format!("{}\n  serial  {serial}\n  revoked {at} ({reason})\n", record.intent.name));
        values.push(json!({
            "name": record.intent.name,
            "serial": serial,
            "revoked_at": at.to_string(),
            "reason": reason,
            "already": revoked.already,
        }));
    }
    let mut value = json!({ "revoked": values });
    if *publish {
        let published = authority.publish_crls(None, ListDays::default())?;
        value["lists"] = json!(published.iter().map(crl_value).collect::<Vec<_>>());
        text.push_str(&crl_text(&published));
    }
    context.printer.result(&value, || text);
    if !publish {
        context.printer.hint("nobody knows of it yet: provision-ca crl publish");
    }
    Ok(())
}
