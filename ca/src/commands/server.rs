//! `server csr` and `server issue`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use zeroize::Zeroizing;

use super::{CommandError, Context, report_issued};
use crate::authority::{SERVER_DAYS, ServerRequest, SubjectKey};
use crate::cli::{CsrArgs, ServerCommand, ServerIssueArgs};
use crate::error::IssueError;
use crate::key::PrivateKey;
use crate::key_policy::KeyBlocklist;
use crate::random::OperatingSystem;
use crate::request::{NewRequest, ServerRequestContent, read_file};
use crate::resolve;
use crate::server_name::ServerName;
use crate::store::{FileError, Layout, Side, folder_of, make_folder, sync_folder, write_new};
use crate::subject::{AttributeType, NameError, SubjectName};

pub(super) fn run(context: &Context<'_>, command: &ServerCommand) -> Result<(), CommandError> {
    match command {
        ServerCommand::Csr(arguments) => csr(context, arguments),
        ServerCommand::Issue(arguments) => issue(context, arguments),
    }
}

fn issue(context: &Context<'_>, arguments: &ServerIssueArgs) -> Result<(), CommandError> {
    let ServerIssueArgs { fqdn, csr, san, days, key, protection, force, key_blocklist } = arguments;
    let mut names = Vec::new();
    let request = match csr {
        Some(path) => {
            let content = ServerRequestContent::read(&read_file(path)?)?;
            KeyBlocklist::read(key_blocklist.as_deref())?.check(&content.public_key)?;
            names.extend(content.names.iter().cloned());
            Some(content)
        }
        None => None,
    };
    if let Some(fqdn) = fqdn {
        names.push(ServerName::from_common_name(fqdn)?);
    }
    add_names(&mut names, san)?;
    let mut authority = context.open_to_issue(Side::Server)?;
    let key = match &request {
        Some(content) => {
            for ignored in &content.ignored {
                context.printer.warning(format!("the request also asks for {ignored}; it is left out"));
            }
            SubjectKey::from_request(content)
        }
        None => SubjectKey::generate(
            *key,
            context.leaf_passphrase(protection, Some(&authority))?.as_ref(),
            &OperatingSystem,
        )?,
    };
    let what = names.first().map(ToString::to_string).unwrap_or_default();
    let validity = Some(authority.period(Side::Server, *days, SERVER_DAYS)?);
    let issued = authority.issue_server(ServerRequest { names, key, validity, replace: *force })?;
    report_issued(context, &what, &issued);
    if let Some(warning) = resolve::warning(&what) {
        context.printer.warning(warning);
    }
    Ok(())
}

fn add_names(names: &mut Vec<ServerName>, more: &[String]) -> Result<(), NameError> {
    for text in more {
        let name = ServerName::parse(text)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(())
}

fn csr(context: &Context<'_>, arguments: &CsrArgs) -> Result<(), CommandError> {
    let CsrArgs { fqdn, san, organization, country, out, key_out, zip, key, protection } = arguments;
    let host = ServerName::host(fqdn)?;
    let mut names = vec![host.clone()];
    add_names(&mut names, san)?;
    let mut attributes = Vec::new();
    attributes.extend(country.iter().map(|country| (AttributeType::Country, country.clone())));
    attributes
        .extend(organization.iter().map(|organization| (AttributeType::Organization, organization.clone())));
    attributes.push((AttributeType::CommonName, host.to_string()));
    let subject = SubjectName::new(attributes)?;

    let folder = Layout::new(&context.cli.store).request(&host.to_string());
    let out = out.clone().unwrap_or_else(|| folder.join("provserver.csr"));
    let key_out = key_out.clone().unwrap_or_else(|| folder.join("privkey.pem"));
    let zip_out = zip.then(|| out.with_extension("zip"));
    for path in [Some(&out), Some(&key_out), zip_out.as_ref()].into_iter().flatten() {
        if path.exists() {
            return Err(CommandError::failed(
                format!("{} exists already", path.display()),
                Some(
                    "a key in use must not be lost: move it away, or name other files with `--out` and `--key-out`",
                ),
            ));
        }
    }
    let private = PrivateKey::generate(*key)?;
    let key_pem = match context.leaf_passphrase(protection, context.open().ok().as_ref())? {
        Some(passphrase) => Zeroizing::new(private.to_encrypted_pem(&passphrase, &OperatingSystem)?),
        None => private.to_pem(),
    };
    let request = NewRequest::sign(&subject, &names, &private)?;
    if out.starts_with(&folder) || key_out.starts_with(&folder) {
        make_folder(&context.cli.store, 0o755)?;
        make_folder(&folder, 0o700)?;
    }
    let mut files = vec![
        NewFile { path: key_out.clone(), content: Zeroizing::new(key_pem.as_bytes().to_vec()), mode: 0o600 },
        NewFile { path: out.clone(), content: Zeroizing::new(request.pem.clone().into_bytes()), mode: 0o644 },
    ];
    if let Some(path) = &zip_out {
        let inner = out
            .file_name()
            .map_or_else(|| "provserver.csr".into(), |name| name.to_string_lossy().into_owned());
        let content = request.zipped(&inner).map_err(|source| FileError::new("zip", path, source))?;
        files.push(NewFile { path: path.clone(), content: Zeroizing::new(content), mode: 0o644 });
    }
    write_all(&files)?;

    let mut value = json!({
        "subject": subject.to_string(),
        "request": out.display().to_string(),
        "key": key_out.display().to_string(),
    });
    if let Some(path) = &zip_out {
        value["zip"] = json!(path.display().to_string());
    }
    context.printer.result(&value, || {
        let mut text = format!("{host}\n  request {}\n  key     {}\n", out.display(), key_out.display());
        if let Some(path) = &zip_out {
            text.push_str(&format!("  zip     {}\n", path.display()));
        }
        text
    });
    context.printer.hint("send the request only; the key stays here");
    Ok(())
}

struct NewFile {
    path: PathBuf,
    content: Zeroizing<Vec<u8>>,
    mode: u32,
}

/// All files or none.
fn write_all(files: &[NewFile]) -> Result<(), IssueError> {
    let mut written: Vec<&Path> = Vec::new();
    for file in files {
        if let Err(error) = write_new(&file.path, &file.content, file.mode) {
            for path in written {
                let _gone = std::fs::remove_file(path);
            }
            return Err(error.into());
        }
        written.push(&file.path);
    }
    let folders: BTreeSet<&Path> = files.iter().map(|file| folder_of(&file.path)).collect();
    for folder in folders {
        sync_folder(folder)?;
    }
    Ok(())
}
