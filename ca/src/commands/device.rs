//! `device issue` and `device generic`

use certs::Validity;

use super::{CommandError, Context, bulk, legacy, report_issued};
use crate::authority::{Authority, DEVICE_DAYS, DeviceRequest, GenericRequest, SubjectKey};
use crate::cli::{DeviceCommand, DeviceIssueArgs, DeviceOptions, GenericArgs};
use crate::device::DeviceIdentity;
use crate::key::{KeyError, KeyType};
use crate::key_policy::KeyBlocklist;
use crate::legacy::Legacy;
use crate::passphrase::Passphrase;
use crate::random::OperatingSystem;
use crate::request::{DeviceRequestContent, read_file};
use crate::store::Side;

pub(super) fn run(context: &Context<'_>, command: &DeviceCommand) -> Result<(), CommandError> {
    match command {
        DeviceCommand::Issue(arguments) => issue(context, arguments),
        DeviceCommand::Generic(arguments) => generic(context, arguments),
    }
}

fn issue(context: &Context<'_>, arguments: &DeviceIssueArgs) -> Result<(), CommandError> {
    let DeviceIssueArgs { model, serial, mac, csv, csr, key_blocklist, options, .. } = arguments;
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
    let (mut authority, old) = open(context, options)?;
    let what = identity.subject(options.mac_attribute)?.to_string();
    let key = match csr {
        None => Sealing::of(context, arguments, &authority)?.make_key(options, old)?,
        Some(path) => {
            let request = DeviceRequestContent::read(&read_file(path)?)?;
            KeyBlocklist::read(key_blocklist.as_deref())?.check(&request.public_key)?;
            for ignored in &request.ignored {
                context.printer.note(format!("the request also asks for {ignored}: not used"));
            }
            SubjectKey::from_device_request(&request)
        }
    };
    let request = DeviceRequest {
        identity,
        mac_attribute: options.mac_attribute,
        key,
        validity: Some(validity(&authority, options)?),
        replace: options.force,
    };
    let issued = authority.issue_device_twin(request, old)?;
    report_issued(context, &what, &issued);
    Ok(())
}

fn generic(context: &Context<'_>, arguments: &GenericArgs) -> Result<(), CommandError> {
    let options = &arguments.options;
    let (mut authority, old) = open(context, options)?;
    let request = GenericRequest {
        mac_attribute: options.mac_attribute,
        key: key(context, options, old, &authority)?,
        validity: Some(validity(&authority, options)?),
        replace: options.force,
    };
    let issued = authority.issue_generic_twin(request, old)?;
    report_issued(context, "OU=cisco.com, L=ciscogeneric, S=ciscogeneric", &issued);
    Ok(())
}

/// The store, with its key at hand, when it does what is asked: old certificates come from test stores alone.
fn open(context: &Context<'_>, options: &DeviceOptions) -> Result<(Authority, Legacy), CommandError> {
    let authority = context.open()?;
    let old = check(context, options, &authority)?;
    let id = authority.issuer_for(Side::Client)?.id();
    Ok((context.unlock(authority, &[id])?, old))
}

/// How old the certificates are to be made, when this store does that; asked before anything is made.
pub(super) fn check(
    context: &Context<'_>,
    options: &DeviceOptions,
    authority: &Authority,
) -> Result<Legacy, CommandError> {
    let old = legacy(context, &options.legacy);
    if !old.is_none() {
        authority.require_test(format!("`--legacy {old}`"))?;
    }
    if options.expired.is_some() {
        authority.require_test("`--expired`")?;
    }
    if old.rsa_1024 && options.key != KeyType::Rsa2048 {
        return Err(CommandError::misuse(
            "`--legacy rsa-1024` says what key the certificate has",
            Some("leave `--key` out"),
        ));
    }
    Ok(old)
}

/// From when until when, as the options say or as is usual in this store.
pub(super) fn validity(authority: &Authority, options: &DeviceOptions) -> Result<Validity, CommandError> {
    Ok(match options.expired {
        Some(ago) => authority.expired_period(ago, options.days, DEVICE_DAYS)?,
        None => authority.period(Side::Client, options.days, DEVICE_DAYS)?,
    })
}

/// What becomes of new private keys: they lie as they are, under a passphrase, or sealed to whoever they are handed to.
pub(super) enum Sealing {
    Passphrase(Option<Passphrase>),
    Recipient(age::x25519::Recipient),
}

impl Sealing {
    pub(super) fn of(
        context: &Context<'_>,
        arguments: &DeviceIssueArgs,
        authority: &Authority,
    ) -> Result<Self, CommandError> {
        match &arguments.seal_to {
            None => {
                Ok(Self::Passphrase(context.leaf_passphrase(&arguments.options.protection, Some(authority))?))
            }
            Some(text) => text.parse().map(Self::Recipient).map_err(|why: &str| {
                CommandError::misuse(
                    format!("{text:?} is no recipient: {why}"),
                    Some("`age-keygen` makes one: its public key begins with age1"),
                )
            }),
        }
    }

    pub(super) fn make_key(&self, options: &DeviceOptions, old: Legacy) -> Result<SubjectKey, KeyError> {
        match self {
            Self::Passphrase(passphrase) => make_key(options, old, passphrase.as_ref()),
            Self::Recipient(recipient) => make_key(options, old, None)?.sealed_to(recipient),
        }
    }
}

/// A new key of the kind that the options say.
pub(super) fn make_key(
    options: &DeviceOptions,
    old: Legacy,
    passphrase: Option<&Passphrase>,
) -> Result<SubjectKey, KeyError> {
    if old.rsa_1024 {
        SubjectKey::generate_short(passphrase, &OperatingSystem)
    } else {
        SubjectKey::generate(options.key, passphrase, &OperatingSystem)
    }
}

fn key(
    context: &Context<'_>,
    options: &DeviceOptions,
    old: Legacy,
    authority: &Authority,
) -> Result<SubjectKey, CommandError> {
    let passphrase = context.leaf_passphrase(&options.protection, Some(authority))?;
    Ok(make_key(options, old, passphrase.as_ref())?)
}
