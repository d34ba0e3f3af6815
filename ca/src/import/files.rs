//! Files that others wrote: only plain ones are opened, and only so much of them is read.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use certs::{Certificate, ParseError, pem};
use zeroize::Zeroizing;

use super::{Place, Remark};
use crate::store::FileError;

/// Most octets of a file of certificates.
const BUNDLE: u64 = 64 * 1024 * 1024;

/// Most octets of a private key's file, or of one with a number.
const SECRET: u64 = 64 * 1024;

/// Most files of one folder.
const FILES: usize = 2_000_000;

/// How deep folders below a folder are looked into.
const DEEP: usize = 8;

/// The certificates of one file, each with where it stands.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    pub(crate) certificates: Vec<(Certificate, Place)>,
    /// Whether a private key is among what else is in it.
    pub(crate) has_key: bool,
}

/// Reads the certificates of a file, PEM or DER. What is broken in it is told; what is no certificate is passed over.
pub(crate) fn read_bundle(path: &Path, remarks: &mut Vec<Remark>) -> Bundle {
    let mut bundle = Bundle::default();
    let bytes = match read(path, BUNDLE) {
        Ok(bytes) => bytes,
        Err(why) => {
            remarks.push(Remark::refused(Place::file(path), why.0, why.1));
            return bundle;
        }
    };
    if bytes.first() == Some(&0x30) {
        match Certificate::parse(&bytes) {
            Ok(certificate) => bundle.certificates.push((certificate, Place::file(path))),
            Err(error) => remarks.push(broken(Place::file(path), &error)),
        }
        return bundle;
    }
    let blocks = match pem::blocks(&bytes) {
        Ok(blocks) => blocks,
        Err(ParseError::Pem { line, problem }) => {
            remarks.push(Remark::refused(Place::line(path, line), problem, "look for an undamaged copy"));
            return bundle;
        }
        Err(error) => {
            remarks.push(broken(Place::file(path), &error));
            return bundle;
        }
    };
    for block in blocks {
        bundle.has_key |= block.label.ends_with("PRIVATE KEY");
        if !pem::is_certificate(&block.label) {
            continue;
        }
        let place = Place::line(path, block.line);
        match Certificate::parse(&block.contents) {
            Ok(certificate) => bundle.certificates.push((certificate, place)),
            Err(error) => remarks.push(broken(place, &error)),
        }
    }
    bundle
}

fn broken(place: Place, error: &ParseError) -> Remark {
    let what = format!("this is no certificate that can be read: {}", crate::printer::with_causes(error));
    Remark::refused(place, what, "look for an undamaged copy, for example in a backup")
}

/// A small file whose text may be secret.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<String>, FileError> {
    let failed = |why: &str| FileError::new("read", path, std::io::Error::other(why.to_owned()));
    let bytes = read(path, SECRET).map(Zeroizing::new).map_err(|why| failed(&why.0))?;
    std::str::from_utf8(&bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_bytes| failed("it is no text"))
}

fn remedy(error: &std::io::Error) -> &'static str {
    if error.kind() == std::io::ErrorKind::NotFound {
        "look at how it is spelled, and at the folder you are in"
    } else {
        "look at its permissions"
    }
}

/// The content of a plain file of at most so many octets; else why not, and what to do.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, (String, &'static str)> {
    let failed = |error: std::io::Error| (format!("it cannot be read: {error}"), remedy(&error));
    let found = fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(("it is no plain file".to_owned(), "name a file"));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > most) {
        let what =
            format!("it has {} octets or more, and at most {most} are read", found.len().max(most + 1));
        return Err((what, "no honest file is that large; if it is yours, split it"));
    }
    Ok(bytes)
}

/// The files below a folder that may hold certificates, in the order of their names.
pub(crate) fn certificate_files(folder: &Path, remarks: &mut Vec<Remark>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                let what = format!("the folder cannot be read: {error}");
                remarks.push(Remark::refused(Place::file(&folder), what, remedy(&error)));
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            // What a link leads to is somewhere else, and may lead back here.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !hidden && depth < DEEP => folders.push((path, depth + 1)),
                Ok(kind) if kind.is_file() && !hidden => found.push(path),
                Ok(kind) if kind.is_symlink() && !hidden && path.is_file() => found.push(path),
                Ok(_) | Err(_) => {}
            }
            if found.len() > FILES {
                let what = format!("there are more than {FILES} files");
                remarks.push(Remark::refused(Place::file(&folder), what, "import the folder in parts"));
                found.truncate(FILES);
                return found;
            }
        }
    }
    found.sort();
    found
}
