//! `audit`, `store`, `backup`

use serde_json::json;

use super::{CommandError, Context};
use crate::authority::Authority;
use crate::cli::{AuditCommand, AuditVerifyArgs, BackupArgs, StoreCommand, StoreRebuildArgs};
use crate::store::Side;

pub(super) fn audit(context: &Context<'_>, command: &AuditCommand) -> Result<(), CommandError> {
    match command {
        AuditCommand::Verify(arguments) => verify(context, arguments),
        AuditCommand::Sign => sign(context),
    }
}

fn verify(context: &Context<'_>, arguments: &AuditVerifyArgs) -> Result<(), CommandError> {
    let authority = context.open()?;
    let report = authority.verify_log(arguments.against.as_deref())?;
    let value = json!({
        "entries": report.entries,
        "signatures": report.checkpoints,
        "unsigned": report.unsigned,
        "complaints": report.complaints,
    });
    context.printer.result(&value, || {
        format!(
            "entries    {}\nsignatures {}\nunsigned   {}\n",
            report.entries, report.checkpoints, report.unsigned
        )
    });
    if report.unsigned > 0 && report.complaints.is_empty() {
        context.printer.hint("the newest entries are not signed yet: provision-ca audit sign");
    }
    complain("the audit log is not whole", &report.complaints)
}

fn sign(context: &Context<'_>) -> Result<(), CommandError> {
    let mut authority = context.open_to_issue(Side::Client)?;
    let id = authority.issuer_for(Side::Client)?.id();
    let checkpoint = authority.sign_log(id)?;
    let sequence = checkpoint.as_ref().map(|one| one.sequence);
    context.printer.result(&json!({ "signed": sequence }), || {
        sequence.map(|sequence| format!("signed until entry {sequence}\n")).unwrap_or_default()
    });
    Ok(())
}

pub(super) fn store(context: &Context<'_>, command: &StoreCommand) -> Result<(), CommandError> {
    match command {
        StoreCommand::Check => {
            let report = context.open()?.check_store()?;
            let value = json!({
                "certificates": report.certificates,
                "files": report.files,
                "complaints": report.complaints,
            });
            context.printer.result(&value, || {
                format!("certificates {}\nfiles        {}\n", report.certificates, report.files)
            });
            complain("the store is not whole", &report.complaints)
        }
        StoreCommand::Rebuild(arguments) => rebuild(context, arguments),
    }
}

fn rebuild(context: &Context<'_>, arguments: &StoreRebuildArgs) -> Result<(), CommandError> {
    let rebuilt = Authority::rebuild(&context.cli.store, &arguments.files, &context.clock)?;
    let value = json!({
        "entries": rebuilt.entries,
        "beyond": rebuilt.beyond,
        "certificates": rebuilt.certificates,
        "without_file": rebuilt.without_file,
        "without_shard": rebuilt.without_shard,
        "revoked": rebuilt.revoked,
        "unknown": rebuilt.unknown,
        "aside": rebuilt.aside,
    });
    context.printer.result(&value, || {
        format!(
            "entries      {}\ncertificates {}\nrevoked      {}\n",
            rebuilt.entries, rebuilt.certificates, rebuilt.revoked
        )
    });
    if let Some(aside) = &rebuilt.aside {
        context.printer.note(format!("the inventory that was there is now {aside}"));
    }
    if rebuilt.beyond > 0 {
        context.printer.note(format!(
            "the last {} entries of the log were not in audit.log, and come from the inventory that was there",
            rebuilt.beyond
        ));
    }
    if rebuilt.without_file > 0 {
        context.printer.warning(format!(
            "the files of {} certificates are not here: they can be revoked, and neither shown whole nor renewed",
            rebuilt.without_file
        ));
        context.printer.hint("with the files of other hosts, or of a backup: store rebuild --files DIR");
    }
    if rebuilt.without_shard > 0 {
        context.printer.warning(format!(
            "of {} of them nothing tells the list they name: revoked, they stand on the complete list alone",
            rebuilt.without_shard
        ));
    }
    for (event, count) in &rebuilt.unknown {
        context.printer.warning(format!(
            "the log has {count} entries {event:?}, of which this program knows nothing: what they did is not in the inventory"
        ));
    }
    context.printer.hint("next: provision-ca store check, then provision-ca crl publish");
    Ok(())
}

fn complain(what: &str, complaints: &[String]) -> Result<(), CommandError> {
    if complaints.is_empty() {
        return Ok(());
    }
    let message = format!("{what}\n  {}", complaints.join("\n  "));
    Err(CommandError::failed(
        message,
        Some("compare with a backup and with a copy of audit.log kept elsewhere"),
    ))
}

pub(super) fn backup(context: &Context<'_>, arguments: &BackupArgs) -> Result<(), CommandError> {
    let mut authority = context.open()?;
    let copied = authority.back_up(&arguments.target)?;
    let path = arguments.target.display().to_string();
    context
        .printer
        .result(&json!({ "folder": path, "files": copied.files, "octets": copied.octets }), || {
            format!("folder {path}\nfiles  {}\nsize   {} kB\n", copied.files, copied.octets / 1000)
        });
    Ok(())
}
