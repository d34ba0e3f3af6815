//! `show`

use certs::Certificate;
use serde_json::json;

use super::list::value;
use super::{CommandError, Context};
use crate::authority::Authority;
use crate::cli::ShowArgs;
use crate::legacy::Legacy;
use crate::serial::hex;
use crate::store::CertificateRecord;

pub(super) fn run(context: &Context<'_>, arguments: &ShowArgs) -> Result<(), CommandError> {
    let authority = context.open()?;
    let records = authority.select(&arguments.selector)?;
    let shown: Vec<_> = records.iter().map(|record| describe(&authority, record)).collect();
    let values: Vec<_> = shown.iter().map(|(value, _)| value).collect();
    context
        .printer
        .result(&json!({ "certificates": values }), || shown.iter().map(|(_, text)| text.as_str()).collect());
    Ok(())
}

fn describe(authority: &Authority, record: &CertificateRecord) -> (serde_json::Value, String) {
    let intent = &record.intent;
    let status = record.status(authority.now());
    let issuer = authority
        .issuers()
        .iter()
        .find(|issuer| issuer.has_id(intent.authority))
        .map_or("?", |one| one.name());
    let mut value = value(record, status);
    value["issuer"] = json!(issuer);
    let mut lines = vec![("kind", intent.kind.as_str().to_owned()), ("status", status.to_owned())];
    if let (Some(product), Some(serial)) = (&intent.product, &intent.device_serial) {
        lines.push(("model", product.clone()));
        lines.push(("device", serial.clone()));
    }
    lines.push(("serial", hex(&intent.serial)));
    lines.push(("issuer", issuer.to_owned()));
    if let Some(certificate) = record.certificate.as_deref().and_then(|der| Certificate::parse(der).ok()) {
        let subject = certificate.subject().to_rfc4514();
        let sha256 = certificate.fingerprint().to_string();
        value["subject"] = json!(subject);
        value["sha256"] = json!(sha256);
        value["pem"] = json!(certificate.to_pem());
        lines.push(("subject", subject));
        lines.push(("sha256", sha256));
        let old = Legacy::found_in(&certificate);
        if !old.is_none() {
            value["legacy"] = json!(old.traits().map(|one| one.as_str()).collect::<Vec<_>>());
            lines.push(("legacy", format!("{old}: made as old phones carry it, for tests")));
        }
    }
    lines.push(("from", intent.validity.not_before.to_string()));
    lines.push(("until", intent.validity.not_after.to_string()));
    if let Some(revocation) = &record.revocation {
        lines.push(("revoked", format!("{} ({})", revocation.at, revocation.reason.as_str())));
    }
    lines.push(("folder", authority.layout().root().join(&intent.folder).display().to_string()));
    let text: String = lines.iter().map(|(label, content)| format!("  {label:<7} {content}\n")).collect();
    (value, format!("{}\n{text}", intent.name))
}
