//! Loose certificates: files and folders, PEM or DER.

use std::collections::HashSet;

use certs::{Certificate, Fingerprint, RevocationList};

use super::{Work, last_list, revocation};
use crate::authority::{Adoption, CertificateImport, ImportContent, IssuerFound, is_signed_by};
use crate::commands::CommandError;
use crate::import::{ImportError, Place, Remark, certificate_files, may_sign, read_bundle, read_list};
use crate::key::PrivateKey;

/// Most certificates of one command, all of which are in memory.
const MOST: usize = 500_000;

/// Certificates by their issuers.
type ByIssuer = Vec<(Certificate, Vec<(Certificate, Place)>)>;

pub(super) fn import(work: &mut Work<'_>) -> Result<(), CommandError> {
    let list = match &work.arguments.crl {
        None => None,
        Some(path) => Some((
            read_list(path).map_err(|why| {
                CommandError::failed(
                    format!("{}: {why}", path.display()),
                    Some("name the newest list that was published"),
                )
            })?,
            Place::file(path),
        )),
    };
    let (authorities, others) = read(work)?;
    let would_be = adopt(work, authorities, list.as_ref().map(|(list, _)| list))?;
    for (issuer, certificates) in group(work, others, &would_be) {
        work.seen.clear();
        let list = list.as_ref().map(|(list, _)| list).filter(|list| is_list_of(list, &issuer));
        for (certificate, place) in certificates {
            let revoked = list.and_then(|list| list.contains(certificate.serial())).map(revocation);
            let content = ImportContent::Whole(certificate);
            work.add(&issuer, CertificateImport { place, content, revocation: revoked })?;
        }
        work.write(&issuer)?;
    }
    match list {
        Some((list, place)) => entries(work, &list, &place, &would_be),
        None => Ok(()),
    }
}

fn is_list_of(list: &RevocationList, issuer: &Certificate) -> bool {
    list.issuer().equals(issuer.subject()) && list.verify_signature(issuer.public_key()).is_ok()
}

/// Everything that the list says is revoked, whether its certificate came with it, is in the store, or is nowhere.
fn entries(
    work: &mut Work<'_>,
    list: &RevocationList,
    place: &Place,
    would_be: &[Certificate],
) -> Result<(), CommandError> {
    let in_store = work.authority.issuers().iter().map(crate::authority::Issuer::certificate);
    let Some(issuer) = in_store.chain(would_be).find(|issuer| is_list_of(list, issuer)).cloned() else {
        let what = "no authority of the store signed this revocation list";
        let remedy = "import its authority's certificate first: provision-ca import CA.pem --side client";
        work.account.tell(work.context, Remark::refused(place.clone(), what, remedy));
        return Ok(());
    };
    work.seen.clear();
    work.add_entries(&issuer, list, place, None)
}

/// All certificates of the paths, authorities' apart; each once.
#[expect(clippy::type_complexity, reason = "two lists, used once")]
fn read(work: &mut Work<'_>) -> Result<(Vec<(Certificate, Place)>, Vec<(Certificate, Place)>), CommandError> {
    let (mut authorities, mut others) = (Vec::new(), Vec::new());
    let mut seen: HashSet<Fingerprint> = HashSet::new();
    for path in &work.arguments.paths {
        let mut remarks = Vec::new();
        let is_folder = path.is_dir();
        let files = if is_folder { certificate_files(path, &mut remarks) } else { vec![path.clone()] };
        for file in files {
            let before = remarks.len();
            let bundle = read_bundle(&file, &mut remarks);
            if is_folder && bundle.certificates.is_empty() && !is_named_so(&file) {
                remarks.truncate(before); // a text or an image among them is no fault
                continue;
            }
            if bundle.certificates.is_empty() && remarks.len() == before {
                let what = if bundle.has_key {
                    "it holds a private key and no certificate"
                } else {
                    "it holds no certificate"
                };
                remarks.push(Remark::refused(
                    Place::file(&file),
                    what,
                    "name files with certificates, PEM or DER",
                ));
            }
            for (certificate, place) in bundle.certificates {
                if !seen.insert(certificate.fingerprint()) {
                    continue;
                }
                if seen.len() > MOST {
                    return Err(CommandError::failed(
                        format!("there are more than {MOST} certificates"),
                        Some("import them in parts"),
                    ));
                }
                if may_sign(&certificate) {
                    authorities.push((certificate, place));
                } else {
                    others.push((certificate, place));
                }
            }
        }
        work.account.tell_all(work.context, remarks);
    }
    Ok((authorities, others))
}

/// Whether a file's name says that it is a certificate.
fn is_named_so(path: &std::path::Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    matches!(end.as_str(), "crt" | "cer" | "der")
}

/// Takes in authorities, each after the one above it; in a dry run, those that would be are given back.
fn adopt(
    work: &mut Work<'_>,
    mut waiting: Vec<(Certificate, Place)>,
    list: Option<&RevocationList>,
) -> Result<Vec<Certificate>, CommandError> {
    let mut key = None;
    if let Some(path) = &work.arguments.ca_key {
        match work.read_key(path) {
            Ok((private, path)) => {
                let public = private.public_key_der();
                if !waiting.iter().any(|(one, _)| one.public_key().spki_der() == public) {
                    return Err(CommandError::failed(
                        format!(
                            "the private key {} belongs to none of the authorities' certificates",
                            path.display()
                        ),
                        Some("name the authority's certificate too: provision-ca import CA.pem --ca-key KEY"),
                    ));
                }
                key = Some((private, path, public));
            }
            Err(remark) => {
                work.account.tell(work.context, remark);
                return Ok(Vec::new());
            }
        }
    }
    let mut would_be: Vec<Certificate> = Vec::new();
    while !waiting.is_empty() {
        let count = waiting.len();
        let mut later = Vec::new();
        for (certificate, place) in waiting {
            let above = || certificate.issuer();
            let is_root = certificate.is_self_issued();
            let known =
                matches!(work.authority.issuer_of(&certificate), IssuerFound::Proved(_) | IssuerFound::Named);
            let is_there = work.known(&certificate).is_some();
            if !is_root && !known && !is_there {
                if would_be.iter().any(|one| one.subject().equals(above()) && is_signed_by(&certificate, one))
                {
                    work.context.printer.note(format!("{place}: an authority below one that would be new"));
                    would_be.push(certificate);
                } else {
                    later.push((certificate, place));
                }
                continue;
            }
            let own_key = key
                .take_if(|(_, _, public)| certificate.public_key().spki_der() == *public)
                .map(|(private, path, _)| (private, path));
            if adopt_one(work, &certificate, &place, own_key, list)? && work.arguments.dry_run {
                would_be.push(certificate);
            }
        }
        if later.len() == count {
            for (certificate, place) in later {
                let error = ImportError::IssuerUnknown { issuer: certificate.issuer().to_rfc4514() };
                work.account.tell(work.context, Remark::refused(place, error.to_string(), error.remedy()));
            }
            break;
        }
        waiting = later;
    }
    Ok(would_be)
}

fn adopt_one(
    work: &mut Work<'_>,
    certificate: &Certificate,
    place: &Place,
    key: Option<(PrivateKey, std::path::PathBuf)>,
    list: Option<&RevocationList>,
) -> Result<bool, CommandError> {
    let list = list.filter(|list| is_list_of(list, certificate));
    let last_list = match last_list(list, None) {
        Ok(last) => last,
        Err(_) if key.is_none() => None,
        Err(error) => {
            work.account
                .tell(work.context, Remark::refused(place.clone(), error.to_string(), error.remedy()));
            return Ok(false);
        }
    };
    let adoption = Adoption { certificate: certificate.clone(), side: work.arguments.side, key, last_list };
    Ok(work.adopt(&adoption, place)?.is_some())
}

/// The certificates by who issued them; those of nobody here are refused.
fn group(work: &mut Work<'_>, certificates: Vec<(Certificate, Place)>, would_be: &[Certificate]) -> ByIssuer {
    let mut groups: ByIssuer = Vec::new();
    for (certificate, place) in certificates {
        let issuer = || certificate.issuer().to_rfc4514();
        let signer = |one: &&Certificate| {
            one.subject().equals(certificate.issuer()) && is_signed_by(&certificate, one)
        };
        let found = match work.authority.issuer_of(&certificate) {
            IssuerFound::Proved(issuer) => Ok(issuer.clone()),
            IssuerFound::Named => Err(ImportError::BadSignature { issuer: issuer() }),
            IssuerFound::Unknown => would_be
                .iter()
                .find(signer)
                .cloned()
                .ok_or_else(|| ImportError::IssuerUnknown { issuer: issuer() }),
        };
        match found {
            Ok(issuer) => match groups.iter_mut().find(|(known, _)| *known == issuer) {
                Some((_, members)) => members.push((certificate, place)),
                None => groups.push((issuer, vec![(certificate, place)])),
            },
            Err(error) => {
                work.account.tell(work.context, Remark::refused(place, error.to_string(), error.remedy()));
            }
        }
    }
    groups
}
