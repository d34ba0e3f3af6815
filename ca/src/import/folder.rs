//! The folders of `openssl ca` and of easy-rsa: where the authority's certificate, key, lists and index lie.

use std::path::{Path, PathBuf};

use certs::{Certificate, RevocationList};

use super::files::{self, read_bundle};
use super::index::{self, IndexLine};
use super::{Place, Remark, certificate_files};
use crate::store::FileError;

/// Where the authority's own certificate usually lies.
const CERTIFICATES: [&str; 10] = [
    "cacert.pem",
    "ca.crt",
    "ca.pem",
    "ca-cert.pem",
    "ca.cert.pem",
    "certs/cacert.pem",
    "certs/ca.crt",
    "certs/ca.cert.pem",
    "certs/ca-cert.pem",
    "certs/intermediate.cert.pem",
];

/// Where its private key usually lies.
const KEYS: [&str; 7] = [
    "private/cakey.pem",
    "private/ca.key",
    "private/ca.key.pem",
    "private/ca-key.pem",
    "private/intermediate.key.pem",
    "cakey.pem",
    "ca.key",
];

/// Where its newest revocation list usually lies.
const LISTS: [&str; 6] =
    ["crl.pem", "ca.crl", "crl/crl.pem", "crl/ca.crl.pem", "crl/ca.crl", "crl/intermediate.crl.pem"];

/// Folders with certificates that were issued: one that is not the authority's own work there is a fault.
const ISSUED: [&str; 6] = ["newcerts", "certs_by_serial", "issued", "revoked", "renewed", "expired"];

/// A folder with whatever certificates were of use.
const ANY: &str = "certs";

/// Most octets of a list that is read beside the index.
const LIST: u64 = 256 * 1024 * 1024;

/// A certificate's file, and whether only the authority's own certificates belong there.
#[derive(Debug, Clone)]
pub(crate) struct IssuedFile {
    pub(crate) path: PathBuf,
    pub(crate) own_only: bool,
}

/// What lies in an authority's folder.
#[derive(Debug)]
pub(crate) struct CaFolder {
    pub(crate) certificate: Certificate,
    pub(crate) place: Place,
    pub(crate) key: Option<PathBuf>,
    pub(crate) index: PathBuf,
    pub(crate) lines: Vec<IndexLine>,
    pub(crate) list: Option<(RevocationList, Place)>,
    /// What `crlnumber` says, as it stands there.
    pub(crate) next_list: Option<(String, Place)>,
    pub(crate) files: Vec<IssuedFile>,
}

/// The folder that has the index: the one named, or `pki` in an easy-rsa folder.
fn base(folder: &Path) -> Option<PathBuf> {
    [folder.to_owned(), folder.join("pki")].into_iter().find(|base| base.join("index.txt").exists())
}

/// Whether the folder is that of an authority, with an index.
pub(crate) fn is_ca_folder(folder: &Path) -> bool {
    base(folder).is_some()
}

/// Why an authority's folder cannot be read, and what to do.
pub(crate) type Unusable = (String, String);

impl CaFolder {
    /// Reads everything but the certificates that were issued, which may be many. A certificate or list named by the
    /// operator is taken instead of the usual one.
    pub(crate) fn read(
        folder: &Path,
        certificate: Option<&Path>,
        list: Option<&Path>,
        remarks: &mut Vec<Remark>,
    ) -> Result<Self, Unusable> {
        let base = base(folder).ok_or_else(|| {
            (format!("{} has no index.txt", folder.display()), "name the folder of openssl ca".to_owned())
        })?;
        let (certificate, place) = own_certificate(&base, certificate)?;
        let index = base.join("index.txt");
        if !index.is_file() {
            return Err((format!("{} is no plain file", index.display()), "look at it".to_owned()));
        }
        let unreadable =
            |error: FileError| (crate::printer::with_causes(&error), "look at its permissions".to_owned());
        let lines = index::read(&index, remarks).map_err(unreadable)?;
        let list = own_list(&base, list, &certificate, remarks)?;
        let next_list = number(&base.join("crlnumber"), remarks);
        let key = KEYS.iter().map(|name| base.join(name)).find(|path| path.is_file());
        let files = issued_files(&base, remarks);
        Ok(Self { certificate, place, key, index, lines, list, next_list, files })
    }
}

fn own_certificate(base: &Path, named: Option<&Path>) -> Result<(Certificate, Place), Unusable> {
    let usual = || CERTIFICATES.iter().map(|name| base.join(name)).find(|path| path.is_file());
    let path = named.map(Path::to_owned).or_else(usual).ok_or_else(|| {
        let tried = CERTIFICATES.join(", ");
        (
            format!("{} has no certificate of the authority: none of {tried}", base.display()),
            "name it with `--ca-cert FILE`".to_owned(),
        )
    })?;
    let mut broken = Vec::new();
    let bundle = read_bundle(&path, &mut broken);
    match (bundle.certificates.into_iter().next(), broken.into_iter().next()) {
        (Some(first), _) => Ok(first),
        (None, Some(remark)) => {
            Err((format!("{}: {}", remark.place, remark.what), remark.remedy.unwrap_or_default()))
        }
        (None, None) => Err((
            format!("{} holds no certificate", path.display()),
            "name the authority's certificate with `--ca-cert FILE`".to_owned(),
        )),
    }
}

/// The newest list: one that the authority did not sign is not believed, and one that was named must be good.
fn own_list(
    base: &Path,
    named: Option<&Path>,
    authority: &Certificate,
    remarks: &mut Vec<Remark>,
) -> Result<Option<(RevocationList, Place)>, Unusable> {
    let usual = || LISTS.iter().map(|name| base.join(name)).find(|path| path.is_file());
    let Some(path) = named.map(Path::to_owned).or_else(usual) else { return Ok(None) };
    let place = Place::file(&path);
    let read = read_list(&path).and_then(|list| match list.verify_signature(authority.public_key()) {
        Ok(()) => Ok(list),
        Err(_) => Err("the authority did not sign this revocation list".to_owned()),
    });
    match read {
        Ok(list) => Ok(Some((list, place))),
        Err(why) if named.is_some() => {
            Err((format!("{place}: {why}"), "name the newest list that was published".to_owned()))
        }
        Err(why) => {
            let remedy = "without it what is revoked is known from the index alone; name the newest list with `--crl FILE`";
            remarks.push(Remark::warning(place, why, remedy));
            Ok(None)
        }
    }
}

/// Reads a revocation list, whoever signed it.
pub(crate) fn read_list(path: &Path) -> Result<RevocationList, String> {
    let bytes = files::read(path, LIST).map_err(|(why, _)| why)?;
    RevocationList::parse(&bytes)
        .map_err(|error| format!("this is no revocation list: {}", crate::printer::with_causes(&error)))
}

/// The digits of a file such as `crlnumber`; what is none is told.
fn number(path: &Path, remarks: &mut Vec<Remark>) -> Option<(String, Place)> {
    if !path.exists() {
        return None;
    }
    let place = Place::line(path, 1);
    let digits =
        files::read(path, 1024).ok().and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| {
            let digits = text.lines().next()?.trim().to_owned();
            let good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            good.then_some(digits)
        });
    match digits {
        Some(digits) => Some((digits, place)),
        None => {
            let remedy = "name the newest list with `--crl FILE`: its number is gone on from";
            remarks.push(Remark::warning(place, "there is no hexadecimal number in it", remedy));
            None
        }
    }
}

fn issued_files(base: &Path, remarks: &mut Vec<Remark>) -> Vec<IssuedFile> {
    let mut files = Vec::new();
    for (name, own_only) in ISSUED.iter().map(|name| (*name, true)).chain([(ANY, false)]) {
        let folder = base.join(name);
        if !folder.is_dir() {
            continue;
        }
        // Beside certificates there are requests and keys, in easy-rsa's folders of what was revoked.
        let certificates = certificate_files(&folder, remarks).into_iter().filter(|path| {
            let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
            matches!(end.as_str(), "pem" | "crt" | "cer" | "der")
        });
        files.extend(certificates.map(|path| IssuedFile { path, own_only }));
    }
    files
}
