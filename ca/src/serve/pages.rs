//! Everything there is to fetch, in memory: each path with its content.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use certs::{Certificate, Fingerprint, RevocationList, Timestamp};
use tracing::warn;

use crate::authority::Authority;
use crate::store::{Side, Tier};

/// Media types of RFC 2585 §4 and RFC 8555 §7.4.2.
const LIST: &str = "application/pkix-crl";
const CERTIFICATE: &str = "application/pkix-cert";
const PEM: &str = "application/x-pem-file";

/// What lies under a path.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) body: Bytes,
    pub(super) media_type: &'static str,
    /// A strong entity tag, in its quotes.
    pub(super) tag: String,
    /// When it began to be so.
    pub(super) modified: Timestamp,
    /// When something else may be there, for a list.
    pub(super) until: Option<Timestamp>,
}

impl Page {
    fn new(body: Vec<u8>, media_type: &'static str, modified: Timestamp, until: Option<Timestamp>) -> Self {
        let tag: String = Fingerprint::of(&body).to_string().chars().take(32).collect();
        Self { body: body.into(), media_type, tag: format!("\"{tag}\""), modified, until }
    }
}

/// All paths with their pages.
#[derive(Debug, Default)]
pub(super) struct Pages(BTreeMap<String, Page>);

impl Pages {
    pub(super) fn get(&self, path: &str) -> Option<&Page> {
        self.0.get(path)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// What tells one state of a file from another: every list is a new file under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: u64,
    length: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            file: found.ino(),
            length: found.len(),
            seconds: found.mtime(),
            nanoseconds: found.mtime_nsec(),
        })
    }
}

/// Reads the lists again when their files have changed.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    lists: HashMap<PathBuf, (Stamp, Option<Page>)>,
    /// The authorities' certificates in the pages that were made last: one may get another.
    authorities: Vec<Fingerprint>,
}

impl Shelf {
    /// The pages as they are to be now, or nothing when none has changed since the last call.
    pub(super) fn renew(&mut self, authority: &Authority) -> Option<Pages> {
        let stamps: Vec<_> = list_files(&authority.layout().crls())
            .into_iter()
            .filter_map(|path| Stamp::of(&path).map(|stamp| (path, stamp)))
            .collect();
        let issuers = authority.issuers().iter().filter(|issuer| !issuer.is_foreign());
        let authorities: Vec<_> = issuers.map(|issuer| issuer.certificate().fingerprint()).collect();
        let is_same = !self.lists.is_empty()
            && authorities == self.authorities
            && stamps.len() == self.lists.len()
            && stamps.iter().all(|(path, stamp)| self.lists.get(path).is_some_and(|known| known.0 == *stamp));
        if is_same {
            return None;
        }
        self.authorities = authorities;
        let mut known = std::mem::take(&mut self.lists);
        for (path, stamp) in stamps {
            let page = match known.remove(&path) {
                Some((earlier, page)) if earlier == stamp => page,
                Some(_) | None => read_list(&path),
            };
            self.lists.insert(path, (stamp, page));
        }
        let mut pages = certificates(authority);
        for (path, (_, page)) in &self.lists {
            if let (Some(name), Some(page)) = (path.file_name().and_then(|name| name.to_str()), page) {
                pages.insert(format!("/crl/{name}"), page.clone());
            }
        }
        Some(Pages(pages))
    }
}

/// The lists that lie in the folder, made here or brought from where the keys are.
fn list_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_list = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".crl") && !name.starts_with('.')
    };
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(is_list).collect()
}

/// The list as DER: what is fetched over HTTP (RFC 2585 §3).
fn read_list(path: &Path) -> Option<Page> {
    let list = match fs::read(path) {
        Ok(text) => RevocationList::parse(&text),
        Err(error) => {
            warn!(file = %path.display(), %error, "a revocation list cannot be read");
            return None;
        }
    };
    match list {
        Ok(list) => Some(Page::new(list.der().to_vec(), LIST, list.this_update(), list.next_update())),
        Err(error) => {
            warn!(file = %path.display(), %error, "this is no revocation list");
            None
        }
    }
}

/// The authorities' certificates one by one, and the roots of each side in one file, as phones fetch them
/// (`Custom_CA_Rule`).
fn certificates(authority: &Authority) -> BTreeMap<String, Page> {
    let mut pages = BTreeMap::new();
    let since = |certificate: &Certificate| certificate.validity().not_before;
    for issuer in authority.issuers().iter().filter(|issuer| !issuer.is_foreign()) {
        let certificate = issuer.certificate();
        let name = issuer.name();
        let der = Page::new(certificate.der().to_vec(), CERTIFICATE, since(certificate), None);
        let pem = Page::new(certificate.to_pem().into_bytes(), PEM, since(certificate), None);
        pages.insert(format!("/ca/{name}.der"), der);
        pages.insert(format!("/ca/{name}.pem"), pem);
    }
    for side in [Side::Client, Side::Server] {
        let roots: Vec<_> = authority
            .issuers()
            .iter()
            .filter(|issuer| issuer.side() == side && issuer.tier() == Tier::Root && !issuer.is_foreign())
            .map(|issuer| issuer.certificate())
            .collect();
        let text: String = roots.iter().map(|root| root.to_pem()).collect();
        if let Some(newest) = roots.iter().map(|root| since(root)).max() {
            let page = Page::new(text.into_bytes(), PEM, newest, None);
            pages.insert(format!("/ca/{}-trust.pem", side.as_str()), page);
        }
    }
    pages
}
