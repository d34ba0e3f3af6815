//! Asking an offline root, from the host that is online: keys made here, requests signed, all in one folder.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use certs::{CertificationRequest, Fingerprint};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::lasting;
use crate::authority::Authority;
use crate::authority::found::{FoundOptions, authority_name, subject};
use crate::batch::{Action, BatchError, FORMAT, check_room, is_finished_with, revocation_value, write};
use crate::error::IssueError;
use crate::import::read_bounded;
use crate::key::{KeyType, PrivateKey, armour};
use crate::request::authority_request;
use crate::server_name::ServerName;
use crate::store::{
    AuditEvent, FileError, Side, Tier, make_folder, remove_tree, sync_folder, write_by_way_of, write_new,
};

/// What is asked of a root.
#[derive(Debug)]
pub struct BatchRequest {
    /// The root's name in the store.
    pub root: String,
    /// A new issuing authority.
    pub issuing: Option<NewIssuing>,
    /// New dates for these issuing authorities.
    pub renew: Vec<String>,
    /// Certificates for other authorities: the files of their requests.
    pub cross_sign: Vec<PathBuf>,
    /// Days all these last; as long as the root without them.
    pub days: Option<u32>,
    /// The root's revocation list, good for so many days.
    pub list_days: Option<u32>,
}

/// A new issuing authority.
#[derive(Debug)]
pub struct NewIssuing {
    /// The kind of its key, which is made here and stays here.
    pub key: KeyType,
    /// The only domains whose hosts it may certify; any without.
    pub permit: Vec<ServerName>,
}

/// Lies beside a key that waits, until the folder for the root is finished, and names that folder: from then on it may be on
/// its way.
const BEGUN: &str = "begun";

/// Most octets of a path.
const MOST_PATH: u64 = 4096;

/// Most issuing authorities of one side.
const MOST_ISSUING: u32 = 10_000;

/// A key that waits for a root's answer, and its request.
struct Waiting {
    name: String,
    request: Vec<u8>,
    folder: PathBuf,
}

/// A folder for the root.
#[derive(Debug)]
pub struct BatchRequested {
    /// SHA-256 of the key that signed it.
    pub signer: Fingerprint,
    /// That key's public half, for the root's operator.
    pub signer_file: PathBuf,
    /// What is asked for.
    pub items: Vec<String>,
}

impl Authority {
    /// Writes what is asked of a root into a folder, signed. New keys are kept in `requests/root` until the answer comes.
    ///
    /// # Errors
    /// Something cannot be asked for, or not be written; then there is no folder.
    pub fn request_batch(
        &mut self,
        request: &BatchRequest,
        folder: &Path,
    ) -> Result<BatchRequested, IssueError> {
        let _lock = self.lock()?;
        self.refresh()?;
        let now = self.plausible_now()?;
        check_room(folder)?;
        let root = self.named(&request.root)?;
        let (id, side, certificate) = (root.id(), root.side(), root.certificate.clone());
        if root.tier() != Tier::Root {
            let why = "it is no root: name the root that is to sign".to_owned();
            return Err(IssueError::Authority { name: request.root.clone(), why });
        }
        let mut files = Vec::new();
        let mut items = Vec::new();
        let mut words = Vec::new();
        let mut add =
            |action: Action, name: &str, request: Vec<u8>, days: Option<u32>, permit: &[ServerName]| {
                let file = format!("{}-{name}.csr", files.len() + 1);
                let content = armour("CERTIFICATE REQUEST", &request).into_bytes();
                let permit: Vec<String> = permit.iter().map(ToString::to_string).collect();
                items.push(json!({
                    "action": action.as_str(), "name": name, "file": file, "days": days, "path_length": 0,
                    "permit": permit, "sha256": Fingerprint::of(&content).to_string(),
                }));
                words.push(format!("{} {name}", action.as_str()));
                files.push((file, content));
            };
        let sealed = self.sealing(side)?;
        let mut begun = None;
        if let Some(NewIssuing { key, permit }) = &request.issuing {
            self.forget_finished()?;
            let waiting = self.new_issuing(side, *key, sealed, folder)?;
            add(Action::Issue, &waiting.name, waiting.request, request.days, permit);
            begun = Some(waiting.folder);
        }
        for name in &request.renew {
            let issuer = self.named(name)?;
            let is_below = issuer.certificate.issuer().equals(certificate.subject());
            if issuer.tier() == Tier::Root || !is_below {
                let why = format!("{} did not issue it", request.root);
                return Err(IssueError::Authority { name: name.clone(), why });
            }
            let until = issuer.certificate.validity().not_after;
            let not_after = lasting(request.days, &certificate, now).not_after;
            if not_after <= until {
                return Err(BatchError::NoLater { name: name.clone(), until, not_after }.into());
            }
            let (id, subject) = (issuer.id(), issuer.certificate.subject().der().to_vec());
            let key = issuer.certificate.public_key().spki_der().to_vec();
            let der = authority_request(&subject, &key, &*self.signer(id)?)?;
            add(Action::Renew, name, der, request.days, &[]);
        }
        for (number, path) in (1_u32..).zip(&request.cross_sign) {
            let asked = crate::request::verified(&crate::request::read_file(path)?)?;
            add(Action::CrossSign, &format!("cross-{number}"), asked.der().to_vec(), request.days, &[]);
        }
        if let Some(days) = request.list_days {
            let revoked = self.store.revoked(id, None, now)?;
            let revoked: Vec<Value> =
                revoked.iter().map(|entry| revocation_value(&entry.serial, entry.revocation)).collect();
            words.push(format!("crl, {} revoked", revoked.len()));
            items.push(json!({ "action": "crl", "days": days, "revoked": revoked }));
        }
        if items.is_empty() {
            return Err(BatchError::Wanted { why: "nothing is asked for".to_owned() }.into());
        }
        let (key, signer_file) = self.batch_key(sealed)?;
        let signer = Fingerprint::of(&key.public_key_der());
        let manifest = json!({
            "format": FORMAT,
            "kind": "request",
            "at": now.to_string(),
            "root": certificate.fingerprint().to_string(),
            "root_name": request.root,
            "signer": signer.to_string(),
            "items": items,
        });
        let manifest = format!("{manifest:#}\n").into_bytes();
        let signature = key.sign(&manifest)?;
        let detail =
            json!({ "asked": request.root, "batch": Fingerprint::of(&manifest).to_string(), "items": words });
        self.store.note(&AuditEvent { at: now, event: "batch", detail })?;
        write(folder, &files, &manifest, &signature)?;
        if let Some(waiting) = begun {
            unmark(&waiting)?;
        }
        self.write_log()?;
        Ok(BatchRequested { signer, signer_file, items: words })
    }

    /// Makes the key of a new issuing authority and its request; one that a killed command made, and whose folder for the root
    /// was never finished, is taken up again.
    fn new_issuing(
        &self,
        side: Side,
        key: KeyType,
        sealed: bool,
        folder: &Path,
    ) -> Result<Waiting, IssueError> {
        let target = std::path::absolute(folder).map_err(|source| FileError::new("find", folder, source))?;
        let waiting: Vec<String> = fs::read_dir(self.layout.asked())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        for one in &waiting {
            let name = one.rsplit_once('.').map(|(name, _print)| name).unwrap_or_default();
            let folder = self.layout.asked().join(one);
            let is_of_side = (1..=MOST_ISSUING).any(|one| authority_name(side, Tier::Issuing, one) == name);
            if !is_of_side || self.named(name).is_ok() || !folder.join(BEGUN).is_file() {
                continue;
            }
            if let Some(request) = self.begun(&folder, key)? {
                // By way of a folder that is cleared: beside the key a kill leaves nothing half-written.
                make_folder(&self.layout.pending(), 0o700)?;
                let mark = folder.join(BEGUN);
                write_by_way_of(&self.layout.pending(), &mark, target.as_os_str().as_bytes(), 0o600)?;
                return Ok(Waiting { name: name.to_owned(), request, folder });
            }
        }
        let is_free = |ordinal: u32| {
            let name = authority_name(side, Tier::Issuing, ordinal);
            self.named(&name).is_err()
                && !waiting.iter().any(|one| one.rsplit_once('.').is_some_and(|(one, _)| one == name))
        };
        let ordinal = (1..MOST_ISSUING).find(|ordinal| is_free(*ordinal)).unwrap_or(MOST_ISSUING);
        let name = authority_name(side, Tier::Issuing, ordinal);
        let operator = self.store.setting("name")?.unwrap_or_default();
        let subject = subject(
            &FoundOptions { name: operator, ..FoundOptions::default() },
            side,
            Tier::Issuing,
            ordinal,
        )?;
        let key = PrivateKey::generate(key)?;
        let public = key.public_key_der();
        let request = authority_request(&subject.to_der(), &public, &key)?;
        let staged = self.layout.pending().join(format!("asked-{name}"));
        remove_tree(&staged)?;
        make_folder(&staged, 0o700)?;
        write_new(&staged.join("key.pem"), self.sealed_pem(&key, sealed)?.as_bytes(), 0o600)?;
        write_new(&staged.join("request.csr"), armour("CERTIFICATE REQUEST", &request).as_bytes(), 0o600)?;
        write_new(&staged.join(BEGUN), target.as_os_str().as_bytes(), 0o600)?;
        sync_folder(&staged)?;
        let asked = self.layout.asked();
        make_folder(&asked, 0o700)?;
        // Whatever is lost, the key is not: the folder for the root may be on its way.
        for folder in [asked.parent().unwrap_or(&asked), self.layout.root()] {
            sync_folder(folder)?;
        }
        let print: String = Fingerprint::of(&public).to_string().chars().take(16).collect();
        let target = asked.join(format!("{name}.{print}"));
        fs::rename(&staged, &target).map_err(|source| FileError::new("rename", &staged, source))?;
        sync_folder(&asked)?;
        Ok(Waiting { name, request, folder: target })
    }

    /// Takes the mark from keys whose folder for the root was finished just before the command was killed.
    fn forget_finished(&self) -> Result<(), IssueError> {
        for entry in fs::read_dir(self.layout.asked()).into_iter().flatten().flatten() {
            let waiting = entry.path();
            let Ok(target) = read_bounded(&waiting.join(BEGUN), MOST_PATH) else { continue };
            let request = crate::request::read_file(&waiting.join("request.csr"))?;
            if is_finished_with(Path::new(OsStr::from_bytes(&target)), &request) {
                unmark(&waiting)?;
            }
        }
        Ok(())
    }

    /// The request of a key that waits, when the key is of this kind and can be opened.
    fn begun(&self, folder: &Path, wanted: KeyType) -> Result<Option<Vec<u8>>, IssueError> {
        let content = crate::request::read_file(&folder.join("request.csr"))?;
        let Ok(request) = CertificationRequest::parse_file(&content) else { return Ok(None) };
        let path = folder.join("key.pem");
        let text = fs::read_to_string(&path).map(Zeroizing::new);
        let text = text.map_err(|source| FileError::new("read", &path, source))?;
        let key = PrivateKey::from_pem(&text, self.passphrase.as_ref())?;
        let is_it = key.public_key_der() == request.public_key().spki_der()
            && request.public_key().algorithm() == wanted.algorithm();
        Ok(is_it.then(|| request.der().to_vec()))
    }

    fn sealed_pem(&self, key: &PrivateKey, sealed: bool) -> Result<Zeroizing<String>, IssueError> {
        match self.passphrase.as_ref().filter(|_| sealed) {
            Some(passphrase) => Ok(Zeroizing::new(key.to_encrypted_pem(passphrase, &*self.random)?)),
            None => Ok(key.to_pem()),
        }
    }

    /// The key that signs what is asked of roots, made when it is first needed.
    fn batch_key(&self, sealed: bool) -> Result<(PrivateKey, PathBuf), IssueError> {
        let root = self.layout.root();
        let (path, public) = (root.join("batch-key.pem"), root.join("batch-signer.pem"));
        let key = match fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => PrivateKey::from_pem(&text, self.passphrase.as_ref())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = PrivateKey::generate(KeyType::P256)?;
                make_folder(&self.layout.pending(), 0o700)?;
                let text = self.sealed_pem(&key, sealed)?;
                write_by_way_of(&self.layout.pending(), &path, text.as_bytes(), 0o600)?;
                key
            }
            Err(source) => return Err(FileError::new("read", &path, source).into()),
        };
        let text = armour("PUBLIC KEY", &key.public_key_der());
        if fs::read_to_string(&public).ok().as_deref() != Some(&text) {
            make_folder(&self.layout.pending(), 0o700)?;
            write_by_way_of(&self.layout.pending(), &public, text.as_bytes(), 0o644)?;
        }
        Ok((key, public))
    }

    /// The folder in which the key of this certificate waits.
    pub(super) fn waiting_folder(&self, public_key: &[u8]) -> Option<PathBuf> {
        let folders = fs::read_dir(self.layout.asked()).into_iter().flatten().flatten();
        folders.map(|entry| entry.path()).find(|folder| {
            let request = crate::request::read_file(&folder.join("request.csr")).unwrap_or_default();
            CertificationRequest::parse_file(&request)
                .is_ok_and(|request| request.public_key().spki_der() == public_key)
        })
    }

    /// The key that waits for this certificate, and its file.
    pub(super) fn waiting_key(&self, public_key: &[u8]) -> Result<Option<(PrivateKey, PathBuf)>, IssueError> {
        let Some(folder) = self.waiting_folder(public_key) else { return Ok(None) };
        let path = folder.join("key.pem");
        let text = fs::read_to_string(&path)
            .map(Zeroizing::new)
            .map_err(|source| FileError::new("read", &path, source))?;
        Ok(Some((PrivateKey::from_pem(&text, self.passphrase.as_ref())?, path)))
    }
}

/// From now on the key may be on its way to the root.
fn unmark(waiting: &Path) -> Result<(), FileError> {
    let mark = waiting.join(BEGUN);
    fs::remove_file(&mark).map_err(|source| FileError::new("remove", &mark, source))?;
    sync_folder(waiting)
}
