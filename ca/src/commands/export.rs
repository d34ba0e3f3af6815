//! `export`

use std::path::{Path, PathBuf};

use certs::Certificate;
use p12_keystore::{KeyStore, KeyStoreEntry, PrivateKeyChain};
use serde_json::json;

use super::mass::{Chunks, choose, nothing};
use super::{CommandError, Context};
use crate::authority::Authority;
use crate::cli::{ExportArgs, ExportFormat};
use crate::error::IssueError;
use crate::key::{KeyError, PrivateKey};
use crate::passphrase::{Passphrase, PassphraseSource, Whose};
use crate::selector::{Status, Term};
use crate::serial::hex;
use crate::store::{CertificateRecord, FileError, StoreError, make_folder, sync_folder, write_new};

/// Rounds that make a PKCS #12 passphrase costly to guess; phones and Windows take as long for one as we do.
const ROUNDS: u32 = 100_000;

pub(super) fn run(context: &Context<'_>, arguments: &ExportArgs) -> Result<(), CommandError> {
    let ExportArgs { selector: words, format, out, .. } = arguments;
    let authority = context.open()?;
    let chosen = choose(&authority, words)?;
    let selector = chosen.and_by_default(Term::Status(vec![Status::Valid])).and_by_default(Term::Latest);
    let count: u64 = authority.tally(&selector, None)?.iter().map(|one| one.count).sum();
    if count == 0 {
        return Err(nothing(words));
    }
    let secrets = Secrets::of(arguments)?;
    let prints = out.as_os_str() == "-";
    if prints && *format != ExportFormat::Pem {
        return Err(CommandError::misuse("only PEM can be printed", Some("name a file with `--out`")));
    }
    let in_folder = count > 1 || out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/");
    if in_folder && !prints {
        make_folder(out, 0o700)?;
    }
    let mut written: Vec<String> = Vec::new();
    let mut chunks = Chunks::new(&selector, None);
    loop {
        let records = chunks.next(&authority)?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            let content = content(&authority, record, *format, &secrets)?;
            if prints {
                context.printer.text(&String::from_utf8_lossy(&content));
                continue;
            }
            let path = if in_folder { file_in(out, record, *format) } else { out.clone() };
            write_new(&path, &content, 0o600)?;
            written.push(path.display().to_string());
        }
    }
    if prints {
        return Ok(());
    }
    if in_folder {
        sync_folder(out)?;
    }
    context.printer.result(&json!({ "files": written }), || {
        written.iter().map(|file| format!("file  {file}\n")).collect()
    });
    Ok(())
}

/// The passphrases that a command line names.
struct Secrets {
    p12: Option<Passphrase>,
    keys: Option<Passphrase>,
}

impl Secrets {
    fn of(arguments: &ExportArgs) -> Result<Self, CommandError> {
        let ExportArgs {
            format,
            p12_passphrase_file,
            p12_passphrase_env,
            key_passphrase_file,
            key_passphrase_env,
            ..
        } = arguments;
        if *format != ExportFormat::P12 {
            return Ok(Self { p12: None, keys: None });
        }
        let source = PassphraseSource::of(p12_passphrase_file.as_deref(), p12_passphrase_env.as_deref());
        let keys = match (key_passphrase_file, key_passphrase_env) {
            (None, None) => None,
            (file, name) => Some(PassphraseSource::of(file.as_deref(), name.as_deref()).existing()?),
        };
        Ok(Self { p12: Some(source.fresh(Whose::Leaves)?), keys })
    }
}

fn file_in(folder: &Path, record: &CertificateRecord, format: ExportFormat) -> PathBuf {
    let ending = match format {
        ExportFormat::Der => "cer",
        ExportFormat::P12 => "p12",
        ExportFormat::Pem => "pem",
    };
    // What was imported may have any name, and none leads out of the folder; the serial number tells those of one name apart.
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "-_.:".contains(one);
    let name: String =
        record.intent.name.chars().map(|one| if is_plain(one) { one } else { '_' }).take(100).collect();
    folder.join(format!("{}-{}.{ending}", name.trim_start_matches('.'), hex(&record.intent.serial)))
}

fn content(
    authority: &Authority,
    record: &CertificateRecord,
    format: ExportFormat,
    secrets: &Secrets,
) -> Result<Vec<u8>, CommandError> {
    let Some(der) = record.certificate.as_deref() else {
        return Err(CommandError::failed(
            format!(
                "the certificate {} of {} is known by its number alone: its file was lost, or never came",
                hex(&record.intent.serial),
                record.intent.name
            ),
            Some("leave it out, as with name!=NAME; or import the file, where it is found"),
        ));
    };
    let certificate = Certificate::parse(der)
        .map_err(|error| IssueError::Store(StoreError::Damaged { what: error.to_string() }))?;
    match format {
        ExportFormat::Der => Ok(der.to_vec()),
        ExportFormat::Pem => {
            let chain = authority.chain(record, &certificate);
            Ok(chain.iter().map(Certificate::to_pem).collect::<String>().into_bytes())
        }
        ExportFormat::P12 => p12(authority, record, &certificate, secrets),
    }
}

fn p12(
    authority: &Authority,
    record: &CertificateRecord,
    certificate: &Certificate,
    secrets: &Secrets,
) -> Result<Vec<u8>, CommandError> {
    let name = &record.intent.name;
    let path = authority.layout().root().join(&record.intent.folder).join("key.pem");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => zeroize::Zeroizing::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CommandError::failed(
                format!("the private key of {name} is not here: it came with a request"),
                Some("`--format pem` exports the certificate and its chain"),
            ));
        }
        Err(source) => return Err(FileError::new("read", &path, source).into()),
    };
    let key = PrivateKey::from_pem(&text, secrets.keys.as_ref()).map_err(|error| {
        if matches!(error, KeyError::WantsPassphrase) {
            CommandError::failed(
                format!("the private key of {name} is encrypted"),
                Some("`--key-passphrase-file FILE` or `--key-passphrase-env NAME`"),
            )
        } else {
            error.into()
        }
    })?;
    if key.public_key_der() != certificate.public_key().spki_der() {
        return Err(IssueError::KeyMismatch { authority: name.clone(), path }.into());
    }
    let failed = |error: p12_keystore::error::Error| {
        CommandError::failed(format!("the PKCS #12 file of {name} cannot be made: {error}"), None)
    };
    let plain = key.to_pem();
    let der = pem::parse(plain.as_bytes())
        .map_err(|error| CommandError::failed(format!("the private key of {name}: {error}"), None))?;
    let mut der = zeroize::Zeroizing::new(der.into_contents());
    let private = p12_keystore::PrivateKey::from_der(&der).map_err(failed)?;
    zeroize::Zeroize::zeroize(&mut *der);
    let chain = authority
        .chain(record, certificate)
        .iter()
        .map(|one| p12_keystore::Certificate::from_der(one.der()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let mut store = KeyStore::new();
    let id = certificate.fingerprint().as_bytes().get(..20).unwrap_or_default().to_vec();
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(id, private, chain)));
    let passphrase = secrets.p12.as_ref().map(Passphrase::as_bytes).unwrap_or_default();
    let passphrase = std::str::from_utf8(passphrase)
        .map_err(|_not_text| CommandError::failed("the PKCS #12 passphrase is not text", None))?;
    store.writer(passphrase).encryption_iterations(ROUNDS).mac_iterations(ROUNDS).write().map_err(failed)
}
