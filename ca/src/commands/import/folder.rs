//! The folder of an authority: `openssl ca` or easy-rsa.

use std::collections::HashMap;
use std::path::Path;

use certs::{Certificate, RevocationList, Serial};

use super::{Work, last_list, revocation};
use crate::authority::{Adoption, CertificateImport, ImportContent};
use crate::commands::CommandError;
use crate::import::{CaFolder, ImportError, IndexLine, Place, Remark, read_bundle};
use crate::store::Revocation;

/// What an authority that is left out means for the rest of its folder.
const NOTHING: &str = "nothing of this folder was taken in";

pub(super) fn import(work: &mut Work<'_>, folder: &Path) -> Result<(), CommandError> {
    let arguments = work.arguments;
    let mut remarks = Vec::new();
    let read = CaFolder::read(folder, arguments.ca_cert.as_deref(), arguments.crl.as_deref(), &mut remarks);
    let found = match read {
        Ok(found) => found,
        Err((what, remedy)) => return Err(CommandError::failed(what, Some(&remedy))),
    };
    work.account.tell_all(work.context, remarks);
    let Some(adoption) = adoption(work, &found)? else { return Ok(()) };
    if work.adopt(&adoption, &found.place)?.is_none() {
        work.context.printer.note(NOTHING);
        return Ok(());
    }
    let mut lines = by_serial(work, &found);
    for file in &found.files {
        let mut remarks = Vec::new();
        let bundle = read_bundle(&file.path, &mut remarks);
        work.account.tell_all(work.context, remarks);
        for (certificate, place) in bundle.certificates {
            if !file.own_only && !certificate.issuer().equals(found.certificate.subject()) {
                continue; // a chain or the like
            }
            one(work, &found, &mut lines, certificate, place)?;
        }
    }
    // Its own certificate is in the index of an authority that signed itself with `openssl ca -selfsign`.
    let own = lines.remove(found.certificate.serial()).filter(|_| found.certificate.is_self_issued());
    if let Some(own) = own.filter(|own| own.revocation.is_some()) {
        let error = ImportError::RevokedRoot;
        let place = Place::line(&found.index, own.line);
        work.account.tell(work.context, Remark::refused(place, error.to_string(), error.remedy()));
    }
    let mut rest: Vec<IndexLine> = lines.into_values().collect();
    rest.sort_by_key(|line| line.line);
    for line in rest {
        without_file(work, &found, line)?;
    }
    work.write(&found.certificate)?;
    if let Some((list, place)) = &found.list {
        work.add_entries(&found.certificate, list, place, Some("neither in the index nor in a file"))?;
    }
    Ok(())
}

/// What is known of the authority; nothing when it cannot be used.
fn adoption(work: &mut Work<'_>, found: &CaFolder) -> Result<Option<Adoption>, CommandError> {
    let arguments = work.arguments;
    let refuse = |work: &mut Work<'_>, remark| {
        work.account.tell(work.context, remark);
        work.context.printer.note(NOTHING);
    };
    let path = arguments.ca_key.as_ref().or(found.key.as_ref()).filter(|_| !arguments.certificate_only);
    let key = match path {
        // It was brought here before.
        Some(_) if work.has_key(&found.certificate) => None,
        Some(path) => match work.read_key(path) {
            Ok(key) => Some(key),
            Err(remark) => {
                refuse(work, remark);
                return Ok(None);
            }
        },
        None => {
            if !arguments.certificate_only && !work.has_key(&found.certificate) {
                let remark = Remark::warning(
                    found.place.clone(),
                    "there is no private key of the authority: it signs and publishes nothing here",
                    "if it is meant to, name the key: provision-ca import … --ca-key FILE",
                );
                work.account.tell(work.context, remark);
            }
            None
        }
    };
    let list = found.list.as_ref().map(|(list, _)| list);
    let last_list = match last_list(list, found.next_list.as_ref().map(|(digits, _)| digits.as_str())) {
        Ok(last) => last,
        Err(_) if key.is_none() => None,
        Err(error) => {
            let next = found.next_list.as_ref().map(|(_, place)| place);
            let place =
                next.or_else(|| found.list.as_ref().map(|(_, place)| place)).unwrap_or(&found.place).clone();
            refuse(work, Remark::refused(place, error.to_string(), error.remedy()));
            return Ok(None);
        }
    };
    let certificate = found.certificate.clone();
    Ok(Some(Adoption { certificate, side: arguments.side, key, last_list }))
}

/// The lines of the index by their serial numbers. Of two with one number the one that says revoked holds.
fn by_serial(work: &mut Work<'_>, found: &CaFolder) -> HashMap<Serial, IndexLine> {
    let mut lines: HashMap<Serial, IndexLine> = HashMap::new();
    for line in &found.lines {
        let Some(first) = lines.get_mut(&line.serial) else {
            lines.insert(line.serial.clone(), line.clone());
            continue;
        };
        let (kept, left) = if first.revocation.is_none() && line.revocation.is_some() {
            (line.line, std::mem::replace(first, line.clone()).line)
        } else {
            (first.line, line.line)
        };
        let what = format!("serial number {} stands on line {kept} too, which is taken", line.serial);
        let remedy = "an authority gives a number once: find out which line is right, and remove the other";
        work.account.tell(work.context, Remark::refused(Place::line(&found.index, left), what, remedy));
    }
    lines
}

/// A certificate with its file, and what index and list say of it.
fn one(
    work: &mut Work<'_>,
    found: &CaFolder,
    lines: &mut HashMap<Serial, IndexLine>,
    certificate: Certificate,
    place: Place,
) -> Result<(), CommandError> {
    if certificate == found.certificate {
        return Ok(());
    }
    let mut item =
        CertificateImport { place, content: ImportContent::Whole(certificate.clone()), revocation: None };
    if let Err(error) = crate::authority::check_import(&found.certificate, &item) {
        work.refuse(&item, &error);
        return Ok(());
    }
    let serial = certificate.serial();
    let is_first = !work.seen.contains_key(serial);
    // easy-rsa has each certificate twice, by its number and by its name.
    let Some(line) = lines.remove(serial) else {
        if is_first {
            item.revocation = listed(found.list.as_ref().map(|(list, _)| list), serial);
            let what = match item.revocation {
                None => "it is not in the index: taken in as valid",
                Some(_) => "it is not in the index, and on the revocation list: taken in as revoked",
            };
            let remedy = "if it was revoked: provision-ca revoke SERIAL";
            work.account.tell(work.context, Remark::warning(item.place.clone(), what, remedy));
        }
        return work.add(&found.certificate, item);
    };
    let index = Place::line(&found.index, line.line);
    let end = certificate.validity().not_after;
    if line.not_after != end {
        let what = format!(
            "it says that the certificate ends {}, which says {end} itself: that holds",
            line.not_after
        );
        work.account.tell(
            work.context,
            Remark::warning(index.clone(), what, "look whether the line is another certificate's"),
        );
    }
    item.revocation = line.revocation;
    if item.revocation.is_none()
        && let Some(revoked) = listed(found.list.as_ref().map(|(list, _)| list), serial)
    {
        item.revocation = Some(revoked);
        let what = "it does not say that the certificate is revoked, and the revocation list does: taken in as revoked";
        let remedy = "a revocation is not taken back; let the device have a new certificate";
        work.account.tell(work.context, Remark::warning(index, what, remedy));
    }
    work.add(&found.certificate, item)
}

fn listed(list: Option<&RevocationList>, serial: &Serial) -> Option<Revocation> {
    list?.contains(serial).map(revocation)
}

/// A line of the index whose certificate is nowhere.
fn without_file(work: &mut Work<'_>, found: &CaFolder, line: IndexLine) -> Result<(), CommandError> {
    if work.seen.contains_key(&line.serial) {
        return Ok(());
    }
    let place = Place::line(&found.index, line.line);
    let what = format!(
        "there is no file of certificate {}: it is kept by its number alone, can be revoked, and neither shown nor renewed",
        line.serial
    );
    let remedy = "if you find the file, put it into newcerts and import once more";
    work.account.tell(work.context, Remark::warning(place.clone(), what, remedy));
    work.seen.insert(line.serial.clone(), (found.certificate.fingerprint(), place.clone()));
    let revocation =
        line.revocation.or_else(|| listed(found.list.as_ref().map(|(list, _)| list), &line.serial));
    let content =
        ImportContent::SerialAlone { serial: line.serial, not_after: line.not_after, subject: line.subject };
    work.add(&found.certificate, CertificateImport { place, content, revocation })
}
