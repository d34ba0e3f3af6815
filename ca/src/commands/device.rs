//! `device issue` and `device generic`

use super::{CommandError, Context, bulk, report_issued};
use crate::authority::{Authority, DeviceRequest, GenericRequest, SubjectKey};
use crate::cli::{DeviceCommand, DeviceIssueArgs, DeviceOptions, GenericArgs};
use crate::device::DeviceIdentity;
use crate::profile::validity_for;
use crate::random::OperatingSystem;
use crate::store::Side;

pub(super) fn run(context: &Context<'_>, command: &DeviceCommand) -> Result<(), CommandError> {
    match command {
        DeviceCommand::Issue(arguments) => issue(context, arguments),
        DeviceCommand::Generic(arguments) => generic(context, arguments),
    }
}

fn issue(context: &Context<'_>, arguments: &DeviceIssueArgs) -> Result<(), CommandError> {
    let DeviceIssueArgs { model, serial, mac, csv, jobs: _, report: _, options } = arguments;
    if let Some(list) = csv {
        return bulk::run(context, arguments, list);
    }
    let (Some(model), Some(serial), Some(mac)) = (model, serial, mac) else {
        return Err(CommandError::misuse("--model, --serial and --mac are needed", None));
    };
    let identity = DeviceIdentity::parse(model, serial, mac)?;
    for warning in identity.warnings() {
        context.printer.warning(warning);
    }
    let mut authority = context.open_to_issue(Side::Client)?;
    let what = identity.subject(options.mac_attribute)?.to_string();
    let request = DeviceRequest {
        identity,
        mac_attribute: options.mac_attribute,
        key: key(context, options, &authority)?,
        validity: Some(validity_for(authority.now(), options.days)),
        replace: options.force,
    };
    let issued = authority.issue_device(request)?;
    report_issued(context, &what, &issued);
    Ok(())
}

fn generic(context: &Context<'_>, arguments: &GenericArgs) -> Result<(), CommandError> {
    let options = &arguments.options;
    let mut authority = context.open_to_issue(Side::Client)?;
    let request = GenericRequest {
        mac_attribute: options.mac_attribute,
        key: key(context, options, &authority)?,
        validity: Some(validity_for(authority.now(), options.days)),
        replace: options.force,
    };
    let issued = authority.issue_generic(request)?;
    report_issued(context, "OU=cisco.com, L=ciscogeneric, S=ciscogeneric", &issued);
    Ok(())
}

fn key(
    context: &Context<'_>,
    options: &DeviceOptions,
    authority: &Authority,
) -> Result<SubjectKey, CommandError> {
    let passphrase = context.leaf_passphrase(&options.protection, Some(authority))?;
    Ok(SubjectKey::generate(options.key, passphrase.as_ref(), &OperatingSystem)?)
}
