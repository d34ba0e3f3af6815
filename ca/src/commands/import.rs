//! `import`

mod account;
mod folder;
mod loose;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use certs::{Certificate, Curve, Fingerprint, KeyAlgorithm, RevocationList, Serial, Timestamp};

use super::{CommandError, Context};
use crate::authority::{
    Adopted, Adoption, Arrival, Authority, CertificateImport, ImportContent, LastList, check_import,
};
use crate::cli::ImportArgs;
use crate::error::IssueError;
use crate::import::{ImportError, Place, Remark, is_ca_folder, printable, read_secret};
use crate::key::{KeyError, PrivateKey};
use crate::passphrase::PassphraseSource;
use crate::printer::with_causes;
use crate::store::{Revocation, RevocationReason, Side};

use account::Account;

/// Certificates that are taken in in one transaction.
const CHUNK: usize = 500;

pub(super) fn run(context: &Context<'_>, arguments: &ImportArgs) -> Result<(), CommandError> {
    let folders = arguments.paths.iter().filter(|path| is_ca_folder(path)).count();
    if arguments.paths.len() > 1 && folders > 0 {
        return Err(CommandError::misuse(
            "the folder of an authority is imported by itself",
            Some("run the command once for each path"),
        ));
    }
    if folders == 0 && arguments.ca_cert.is_some() {
        return Err(CommandError::misuse(
            "`--ca-cert` is for the folder of an authority, and there is no index.txt here",
            Some("name the certificate as a PATH"),
        ));
    }
    let authority = context.open()?;
    let mut work = Work {
        context,
        arguments,
        authority,
        account: Account::begin(context, arguments)?,
        seen: HashMap::new(),
        waiting: Vec::new(),
    };
    match arguments.paths.first() {
        Some(folder) if folders > 0 => folder::import(&mut work, folder)?,
        Some(_) | None => loose::import(&mut work)?,
    }
    let Work { authority, account, .. } = work;
    account.end(context, &authority, arguments.dry_run)
}

/// An import while it goes on.
struct Work<'a> {
    context: &'a Context<'a>,
    arguments: &'a ImportArgs,
    authority: Authority,
    account: Account,
    /// The serial numbers of one issuer that were met, and where.
    seen: HashMap<Serial, (Fingerprint, Place)>,
    waiting: Vec<CertificateImport>,
}

impl Work<'_> {
    /// Puts a certificate with those that are written next. One that was met already is passed over, and another one of the
    /// same number refused.
    fn add(&mut self, issuer: &Certificate, item: CertificateImport) -> Result<(), CommandError> {
        if let Err(error) = check_import(issuer, &item) {
            self.refuse(&item, &error);
            return Ok(());
        }
        if let ImportContent::Whole(certificate) = &item.content {
            let print = certificate.fingerprint();
            match self.seen.get(certificate.serial()) {
                Some((known, _)) if *known == print => return Ok(()),
                Some((_, place)) => {
                    let error = ImportError::SerialTaken {
                        authority: printable(&issuer.subject().to_rfc4514()),
                        serial: certificate.serial().to_string(),
                        other: place.to_string(),
                    };
                    self.refuse(&item, &error);
                    return Ok(());
                }
                None => {
                    self.seen.insert(certificate.serial().clone(), (print, item.place.clone()));
                }
            }
        }
        if item.revocation.is_some_and(|one| one.at > self.authority.now()) {
            self.account.tell(
                self.context,
                Remark::warning(
                    item.place.clone(),
                    "it is said to be revoked at a time that is yet to come: taken as revoked now",
                    "look at the clock of the machine that wrote it",
                ),
            );
        }
        self.waiting.push(item);
        if self.waiting.len() >= CHUNK { self.write(issuer) } else { Ok(()) }
    }

    /// Writes those that wait.
    fn write(&mut self, issuer: &Certificate) -> Result<(), CommandError> {
        let items = std::mem::take(&mut self.waiting);
        if items.is_empty() {
            return Ok(());
        }
        let outcomes = self.authority.import_certificates(issuer, &items, self.arguments.dry_run)?;
        for (item, outcome) in items.iter().zip(&outcomes) {
            self.account.count(self.context, item, outcome)?;
        }
        self.account.flush()
    }

    fn refuse(&mut self, item: &CertificateImport, error: &ImportError) {
        let remark = Remark::refused(item.place.clone(), error.to_string(), error.remedy());
        self.account.tell(self.context, remark);
    }

    /// Takes in an authority; nothing is given back when it is refused.
    fn adopt(&mut self, adoption: &Adoption, place: &Place) -> Result<Option<Adopted>, CommandError> {
        if adoption.key.is_some()
            && let Some(side) = self.side_of(&adoption.certificate).or(adoption.side)
        {
            let opened = self.open_beside(side);
            if let Err(error) = opened {
                self.account.tell(self.context, remark_of(place.clone(), &error));
                return Ok(None);
            }
        }
        match self.authority.adopt(adoption, self.arguments.dry_run) {
            Ok(adopted) => {
                self.account.authority(&adopted);
                if adoption.key.is_some() && adopted.arrival != Arrival::Already {
                    self.tell_kind(adoption, &adopted.name, place);
                }
                let end = adoption.certificate.validity().not_after;
                if end < self.authority.now() {
                    let remark = Remark::warning(
                        place.clone(),
                        format!("the authority has expired, on {end}: it signs nothing any more"),
                        "its certificates stay listed; new ones come from another authority",
                    );
                    self.account.tell(self.context, remark);
                }
                Ok(Some(adopted))
            }
            Err(
                error @ (IssueError::Authority { .. }
                | IssueError::Import(_)
                | IssueError::Key(_)
                | IssueError::KeyMismatch { .. }),
            ) => {
                self.account.tell(self.context, remark_of(place.clone(), &error));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Says what a key cannot do that it is taken in with.
    fn tell_kind(&mut self, adoption: &Adoption, name: &str, place: &Place) {
        let kind = adoption.certificate.public_key().algorithm();
        if matches!(kind, KeyAlgorithm::Ed25519 | KeyAlgorithm::Ec { curve: Curve::P521 }) {
            let side = name.split('-').next().unwrap_or_default();
            let what = format!("its key is {kind}, whose signatures phones do not know");
            let remedy = format!(
                "it goes on with its lists; for new certificates: provision-ca authority add --side {side} --key rsa2048"
            );
            self.account.tell(self.context, Remark::warning(place.clone(), what, &remedy));
        }
    }

    /// Opens the key beside which a new one is kept: it is encrypted with the same passphrase.
    fn open_beside(&mut self, side: Side) -> Result<(), IssueError> {
        let ids = [self.authority.sealer(side)?];
        if self.authority.needs_passphrase(&ids)? {
            let passphrase = self.context.passphrase_source().existing()?;
            self.authority.unlock(passphrase);
        }
        self.authority.check_keys(&ids)
    }

    /// The side of an authority that is in the store already.
    fn side_of(&self, certificate: &Certificate) -> Option<Side> {
        self.known(certificate).map(crate::authority::Issuer::side)
    }

    fn known(&self, certificate: &Certificate) -> Option<&crate::authority::Issuer> {
        self.authority.issuers().iter().find(|issuer| issuer.certificate() == certificate)
    }

    /// Whether the store has this authority with its key, so that none is needed.
    fn has_key(&self, certificate: &Certificate) -> bool {
        self.known(certificate).is_some_and(|issuer| !issuer.is_foreign())
    }

    /// Reads an authority's private key.
    fn read_key(&self, path: &Path) -> Result<(PrivateKey, PathBuf), Remark> {
        let ImportArgs { ca_passphrase_file, ca_passphrase_env, .. } = self.arguments;
        let failed = |why: String, remedy: &str| Remark::refused(Place::file(path), why, remedy);
        let text = read_secret(path)
            .map_err(|error| failed(with_causes(&error), "run as a user who may read it"))?;
        let read = match PrivateKey::from_pem(&text, None) {
            Err(KeyError::WantsPassphrase) => {
                let source =
                    PassphraseSource::of(ca_passphrase_file.as_deref(), ca_passphrase_env.as_deref());
                let passphrase = source.of_key(path).map_err(|error| {
                    failed(
                        format!("the key is encrypted: {}", with_causes(&error)),
                        "give its passphrase with `--ca-passphrase-file FILE`",
                    )
                })?;
                PrivateKey::from_pem(&text, Some(&passphrase))
            }
            read => read,
        };
        read.map(|key| (key, path.to_owned())).map_err(|error| {
            let remedy = match IssueError::Key(KeyError::OldEncryption).hint() {
                Some(hint) if matches!(error, KeyError::OldEncryption) => hint,
                Some(_) | None if matches!(error, KeyError::WrongPassphrase) => {
                    "give the passphrase of the old key with `--ca-passphrase-file FILE`".to_owned()
                }
                Some(_) | None => {
                    "RSA with 2048 to 8192 bits, P-256, P-384, P-521 and Ed25519 are taken; else `--certificate-only`"
                        .to_owned()
                }
            };
            failed(with_causes(&error), &remedy)
        })
    }

    /// What a list of the issuer says is revoked and was not met otherwise.
    fn add_entries(
        &mut self,
        issuer: &Certificate,
        list: &RevocationList,
        place: &Place,
        note: Option<&str>,
    ) -> Result<(), CommandError> {
        for (serial, revoked) in list.entries() {
            if self.seen.contains_key(&serial) {
                continue;
            }
            self.seen.insert(serial.clone(), (list.fingerprint(), place.clone()));
            if let Some(note) = note {
                let what = format!(
                    "serial number {serial} is revoked here, and {note}: its revocation alone is kept"
                );
                let remedy =
                    "it stays in the lists until the authority's end; import the certificate, if you find it";
                self.account.tell(self.context, Remark::warning(place.clone(), what, remedy));
            }
            let content = ImportContent::SerialAlone {
                subject: format!("/serialNumber={serial}"),
                serial,
                // Its own end is unknown: no list may lose it before (CA G3).
                not_after: issuer.validity().not_after,
            };
            let item =
                CertificateImport { place: place.clone(), content, revocation: Some(revocation(revoked)) };
            self.add(issuer, item)?;
        }
        self.write(issuer)
    }
}

/// What a list says, in the store's words. `removeFromCRL` has no place in a whole list: revoked it is.
fn revocation(revoked: certs::Revoked) -> Revocation {
    let reason = revoked.reason.and_then(|reason| RevocationReason::from_word(reason.as_str()));
    Revocation { at: revoked.date, reason: reason.unwrap_or(RevocationReason::Unspecified) }
}

fn remark_of(place: Place, error: &IssueError) -> Remark {
    let remedy = if matches!(error, IssueError::KeyMismatch { .. }) {
        let name =
            "name the authority's own key with `--ca-key FILE`, and its certificate with `--ca-cert FILE`";
        Some(name.to_owned())
    } else {
        error.hint()
    };
    Remark { place, what: with_causes(error), remedy, refused: true }
}

/// The number in hexadecimal digits, when there is room for more after it.
fn list_number(digits: &str) -> Result<i64, ImportError> {
    let significant = digits.trim_start_matches('0');
    let number = if significant.is_empty() { Ok(0) } else { i64::from_str_radix(significant, 16) };
    match number {
        // So many lists more are never made.
        Ok(number) if number < i64::MAX / 2 => Ok(number),
        Ok(_) | Err(_) => Err(ImportError::ListNumber { number: digits.chars().take(40).collect() }),
    }
}

/// The highest number that the old place used, or may use for its next list.
fn last_list(list: Option<&RevocationList>, next: Option<&str>) -> Result<Option<LastList>, ImportError> {
    let number =
        list.and_then(RevocationList::number).map(|number| list_number(&number.to_string())).transpose()?;
    let next = next.map(list_number).transpose()?;
    let dates: Option<(Timestamp, Timestamp)> =
        list.and_then(|list| Some((list.this_update(), list.next_update()?)));
    Ok(number.max(next).map(|number| LastList { number, dates }))
}
