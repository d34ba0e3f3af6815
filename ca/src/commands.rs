//! What each command does; one file each.

mod authority;
mod bulk;
mod crl;
mod device;
mod expiring;
mod export;
mod import;
mod init;
mod inspect;
mod list;
mod mass;
mod mirror;
mod ocsp;
mod plan;
mod publication;
mod renew;
mod revoke;
mod root;
mod serve;
mod server;
mod show;
mod unhold;
mod upkeep;
mod verify;

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use certs::Certificate;
use serde_json::json;

use crate::authority::{Authority, Issued};
use crate::cli::{Cli, Command, KeyProtection, PassphraseArgs};
use crate::clock::Clock;
use crate::error::IssueError;
use crate::legacy::{Legacy, LegacyTrait};
use crate::passphrase::{Passphrase, PassphraseError, PassphraseSource, Whose};
use crate::printer::Printer;
use crate::serial::hex;
use crate::store::{AuthorityId, Side};

/// A command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The authority refused or failed.
    #[error(transparent)]
    Issue(IssueError),
    /// The command line asks for something impossible.
    #[error("{message}")]
    Misuse { message: String, hint: Option<String> },
    /// Something else failed.
    #[error("{message}")]
    Failed { message: String, hint: Option<String> },
}

impl<E: Into<IssueError>> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self::Issue(error.into())
    }
}

impl CommandError {
    fn failed(message: impl Into<String>, hint: Option<&str>) -> Self {
        Self::Failed { message: message.into(), hint: hint.map(str::to_owned) }
    }

    fn misuse(message: impl Into<String>, hint: Option<&str>) -> Self {
        Self::Misuse { message: message.into(), hint: hint.map(str::to_owned) }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Issue(error) => error.hint(),
            Self::Misuse { hint, .. } | Self::Failed { hint, .. } => hint.clone(),
        }
    }

    /// 1 refused or failed, 2 misuse.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Issue(_) | Self::Failed { .. } => ExitCode::from(1),
            Self::Misuse { .. } => ExitCode::from(2),
        }
    }
}

/// What every command is given.
struct Context<'a> {
    cli: &'a Cli,
    clock: Arc<dyn Clock>,
    printer: Printer,
}

/// Runs the command and says what came of it.
pub fn run(cli: &Cli, clock: Arc<dyn Clock>) -> ExitCode {
    let printer = Printer::new(cli.json);
    let context = Context { cli, clock, printer };
    let outcome = match &cli.command {
        Command::Init(arguments) => init::run(&context, arguments),
        Command::Server(command) => server::run(&context, command),
        Command::Device(command) => device::run(&context, command),
        Command::Renew(arguments) => renew::renew(&context, arguments),
        Command::Rekey(arguments) => renew::rekey(&context, arguments),
        Command::Reissue(arguments) => renew::reissue(&context, arguments),
        Command::Revoke(arguments) => revoke::run(&context, arguments),
        Command::Unhold(arguments) => unhold::run(&context, arguments),
        Command::Expiring(arguments) => expiring::run(&context, arguments),
        Command::Export(arguments) => export::run(&context, arguments),
        Command::Crl(command) => crl::run(&context, command),
        Command::Publication(command) => publication::run(&context, command),
        Command::Serve(arguments) => serve::run(&context, arguments),
        Command::Authority(command) => authority::run(&context, command),
        Command::Ocsp(command) => ocsp::run(&context, command),
        Command::Root(command) => root::run(&context, command),
        Command::Import(arguments) => import::run(&context, arguments),
        Command::List(arguments) => list::run(&context, arguments),
        Command::Show(arguments) => show::run(&context, arguments),
        Command::Inspect(arguments) => inspect::run(&context, arguments),
        Command::Verify(arguments) => verify::run(&context, arguments),
        Command::Mirror(arguments) => mirror::run(&context, arguments),
        Command::Audit(command) => upkeep::audit(&context, command),
        Command::Store(command) => upkeep::store(&context, command),
        Command::Plan(arguments) => plan::run(&context, arguments),
        Command::Backup(arguments) => upkeep::backup(&context, arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer.error(&error);
            if let Some(hint) = error.hint() {
                printer.hint(hint);
            }
            error.exit_code()
        }
    }
}

impl Context<'_> {
    /// The store, for reading.
    fn open(&self) -> Result<Authority, CommandError> {
        let mut authority = Authority::open(&self.cli.store, Arc::clone(&self.clock))?;
        if self.cli.clock_is_right {
            authority.accept_clock()?;
        }
        Ok(authority)
    }

    /// The store, with the key at hand that signs on this side.
    fn open_to_issue(&self, side: Side) -> Result<Authority, CommandError> {
        let authority = self.open()?;
        let id = authority.issuer_for(side)?.id();
        self.unlock(authority, &[id])
    }

    /// The store, with the keys at hand that sign the lists, or the one named.
    fn open_to_publish(&self, only: Option<&str>) -> Result<Authority, CommandError> {
        let authority = self.open()?;
        if only.is_none() {
            for (root, until) in authority.offline_roots()? {
                let until = until.map(|until| format!(", good until {until}")).unwrap_or_default();
                let name = root.name();
                self.printer.warning(format!(
                    "the key of {name} is not here: its list stays as it is{until} (`crl publish --authority {name}` where the key is)"
                ));
            }
        }
        let ids = authority.list_signers(only)?;
        self.unlock(authority, &ids)
    }

    fn unlock(&self, mut authority: Authority, ids: &[AuthorityId]) -> Result<Authority, CommandError> {
        if authority.needs_passphrase(ids)? {
            authority.unlock(self.passphrase_source().existing()?);
        }
        authority.check_keys(ids)?;
        Ok(authority)
    }

    fn passphrase_source(&self) -> PassphraseSource {
        let PassphraseArgs { passphrase_file, passphrase_env } = &self.cli.passphrase;
        PassphraseSource::of(passphrase_file.as_deref(), passphrase_env.as_deref())
    }

    /// The passphrase for new keys of servers and phones, when they are to be encrypted. It lies on every machine that
    /// uses such a key, so it must not open the authorities' keys.
    fn leaf_passphrase(
        &self,
        protection: &KeyProtection,
        authority: Option<&Authority>,
    ) -> Result<Option<Passphrase>, CommandError> {
        let KeyProtection { encrypt_keys, key_passphrase_file, key_passphrase_env } = protection;
        if !encrypt_keys {
            return Ok(None);
        }
        let source = PassphraseSource::of(key_passphrase_file.as_deref(), key_passphrase_env.as_deref());
        let passphrase = source.fresh(Whose::Leaves)?;
        match authority {
            Some(authority) if authority.is_opened_by(&passphrase) => Err(PassphraseError::Shared.into()),
            Some(_) | None => Ok(Some(passphrase)),
        }
    }
}

/// The traits of old units that were asked for. A certificate has one signature, so of two hashes one is left.
fn legacy(context: &Context<'_>, traits: &[LegacyTrait]) -> Legacy {
    if traits.contains(&LegacyTrait::Sha1) && traits.contains(&LegacyTrait::Md5) {
        context.printer.warning("a certificate has one signature: md5 is taken, not sha1");
    }
    Legacy::of(traits)
}

/// Refuses an output file that could not be written, before any work is done for it, and one that would overwrite
/// anything but an earlier output of the same kind.
fn check_output(path: &Path, is_ours: impl FnOnce(&[u8]) -> bool) -> Result<(), CommandError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(CommandError::failed(format!("there is no folder {}", folder.display()), None));
    }
    if path.is_dir() {
        return Err(CommandError::failed(format!("{} is a folder, a file is needed", path.display()), None));
    }
    if path.exists() && !read_input(path).is_ok_and(|earlier| is_ours(&earlier)) {
        return Err(CommandError::failed(
            format!("{} exists already and is something else", path.display()),
            Some("name another file"),
        ));
    }
    Ok(())
}

/// Most octets of a file that is looked at as a whole: a revocation list of five million entries.
const MOST: u64 = 256 * 1024 * 1024;

/// Reads a file that an operator names, or what comes through a pipe, and no more of it than any honest one has (CA I9).
fn read_input(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    std::fs::File::open(path)?.take(MOST + 1).read_to_end(&mut contents)?;
    if u64::try_from(contents.len()).is_ok_and(|length| length > MOST) {
        let why = format!("it has more than {MOST} octets, which nothing has that is looked at here");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    Ok(contents)
}

/// What a certificate is, in a word or two of JSON each.
fn facts(certificate: &Certificate) -> serde_json::Value {
    json!({
        "subject": certificate.subject().to_rfc4514(),
        "serial": hex(certificate.serial().as_bytes()),
        "not_before": certificate.validity().not_before.to_string(),
        "not_after": certificate.validity().not_after.to_string(),
        "sha256": certificate.fingerprint().to_string(),
    })
}

/// Tells of a certificate that was issued, or was there.
fn report_issued(context: &Context<'_>, what: &str, issued: &Issued) {
    let printer = context.printer;
    if !issued.is_new {
        printer.note(format!("{what} has this certificate already; nothing was made (`--force` renews it)"));
    }
    if let Some(superseded) = &issued.superseded {
        printer.note(format!("the files it had before are now in {}", superseded.display()));
        printer.hint("the certificate before this one stays valid until it is revoked");
    }
    let mut value = facts(&issued.certificate);
    let files: Vec<String> = ["cert.pem", "chain.pem", "key.pem", "key.pem.age"]
        .iter()
        .map(|name| issued.folder.join(name))
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    value["new"] = json!(issued.is_new);
    value["files"] = json!(files);
    if let Some(superseded) = &issued.superseded {
        value["superseded"] = json!(superseded.display().to_string());
    }
    printer.result(&value, || {
        let mut text = format!(
            "{what}\n  serial  {}\n  until   {}\n",
            hex(issued.certificate.serial().as_bytes()),
            issued.certificate.validity().not_after
        );
        for file in &files {
            text.push_str(&format!("  file    {file}\n"));
        }
        text
    });
}
