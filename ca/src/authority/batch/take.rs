//! Taking a root's answer back, on the host that is online.

use std::path::{Path, PathBuf};

use certs::{Certificate, RevocationList};
use serde_json::json;

use crate::authority::import::is_signed_by;
use crate::authority::{Adoption, Arrival, Authority, CertificateImport, ImportContent, ImportOutcome};
use crate::batch::{Batch, BatchError, Item};
use crate::error::IssueError;
use crate::import::Place;
use crate::key::armour;
use crate::serial::hex;
use crate::store::{
    AuditEvent, AuthorityId, CrlRecord, FileError, Intent, Kind, make_folder, remove_tree, write_by_way_of,
    write_replacing,
};

/// What came of one item of an answer.
#[derive(Debug)]
pub struct Taken {
    /// Its number in the batch.
    pub number: u64,
    /// What it is, for a person to read.
    pub words: String,
    /// What became of it: one word, or why it was not taken.
    pub outcome: Result<&'static str, IssueError>,
}

impl Authority {
    /// The authority beside which new keys are kept, whose passphrase an answer's keys have.
    ///
    /// # Errors
    /// The answer is not signed by a root of this store.
    pub fn answer_keeper(&self, answer: &Batch) -> Result<AuthorityId, IssueError> {
        let root = self.answering_root(answer)?;
        let side = self.issuers.iter().find(|one| one.id() == root).map(super::super::Issuer::side);
        side.map_or(Ok(root), |side| self.issuer_for(side).map(super::super::Issuer::id))
    }

    /// Takes a root's answer back: new authorities with the keys that wait for them, new dates, cross certificates, and the
    /// root's list. Twice is once.
    ///
    /// # Errors
    /// The answer as a whole is refused; then nothing was taken.
    pub fn take_answer(&mut self, answer: &Batch, folder: &Path) -> Result<Vec<Taken>, IssueError> {
        self.refresh()?;
        let id = self.answering_root(answer)?;
        let mut taken = Vec::new();
        for item in &answer.items {
            let number = item.value["number"].as_u64().unwrap_or(0);
            let action = item.value["action"].as_str().unwrap_or("?");
            let name = item.value["name"].as_str().unwrap_or_default();
            let words = crate::import::printable(&format!("{action} {name}")).trim_end().to_owned();
            let outcome = match item.value["refused"].as_str() {
                Some(why) => {
                    let why = format!("the root refused it: {}", crate::import::printable(why));
                    Err(BatchError::Wanted { why }.into())
                }
                None => self.take_item(item, action, id, folder),
            };
            taken.push(Taken { number, words, outcome });
        }
        Ok(taken)
    }

    /// The root that signed an answer.
    fn answering_root(&self, answer: &Batch) -> Result<AuthorityId, IssueError> {
        let id = self.root_of(answer)?;
        let root = self.issuers.iter().find(|one| one.id() == id);
        match root {
            Some(root) if answer.is_signed_by(root.certificate.public_key()) => Ok(id),
            Some(root) => Err(BatchError::NotTheRoots { root: root.name().to_owned() }.into()),
            None => Err(IssueError::NotFound { selector: format!("authority {}", id.0) }),
        }
    }

    fn take_item(
        &mut self,
        item: &Item,
        action: &str,
        root: AuthorityId,
        folder: &Path,
    ) -> Result<&'static str, IssueError> {
        let content = item.content.as_deref().map_err(|error| IssueError::from(error.clone()))?;
        let Some(issuer) = self.issuers.iter().find(|one| one.id() == root) else {
            return Err(IssueError::NotFound { selector: format!("authority {}", root.0) });
        };
        let (issuer, side) = (issuer.certificate.clone(), issuer.side());
        let path = folder.join(item.file.as_deref().unwrap_or_default());
        let bad = |why: String| IssueError::from(BatchError::Manifest { path: path.clone(), why });
        if action == "crl" {
            let list = RevocationList::parse(content).map_err(|error| bad(error.to_string()))?;
            return self.take_list(&list, root, &issuer, &path);
        }
        let certificate = Certificate::parse_pem(content).map_err(|error| bad(error.to_string()))?;
        if !is_signed_by(&certificate, &issuer) || !certificate.issuer().equals(issuer.subject()) {
            return Err(bad("the root did not sign this certificate".to_owned()));
        }
        let key = certificate.public_key().spki_der();
        let holder = self.issuers.iter().find(|one| one.certificate.public_key().spki_der() == key);
        match holder {
            Some(holder) if holder.certificate == certificate => {
                let (name, has_key) = (holder.name().to_owned(), !holder.is_foreign());
                self.complete(&name, has_key, &certificate)?;
                Ok("already")
            }
            Some(holder) if action == "renew" => {
                let id = holder.id();
                self.renew_authority(id, &certificate, root)
            }
            Some(_) | None if action == "cross-sign" => self.take_cross(&certificate, &issuer, &path),
            Some(_) => Err(bad("an authority of the store has this key already".to_owned())),
            None => {
                let (private, key_path) = self
                    .waiting_key(key)?
                    .ok_or_else(|| bad("no key of this store waits for this certificate".to_owned()))?;
                let asked: PathBuf = key_path.parent().map(Path::to_owned).unwrap_or_default();
                let key = Some((private, key_path));
                let adoption = Adoption { certificate, side: Some(side), key, last_list: None };
                let adopted = self.adopt(&adoption, false)?;
                // The key is in its place now, and one copy is enough.
                let _lock = self.lock()?;
                self.discard(&asked)?;
                Ok(match adopted.arrival {
                    Arrival::Already => "already",
                    Arrival::Key | Arrival::New => "new",
                })
            }
        }
    }

    /// Brings to its end what was killed after the inventory had it: the certificate's file is the one of the inventory, and the
    /// key is in its place alone.
    fn complete(&mut self, name: &str, has_key: bool, certificate: &Certificate) -> Result<(), IssueError> {
        let _lock = self.lock()?;
        self.place_certificate(name, certificate)?;
        match self.waiting_folder(certificate.public_key().spki_der()) {
            Some(asked) if has_key => self.discard(&asked),
            Some(_) | None => Ok(()),
        }
    }

    /// Removes a folder of a key that waited: in one step out of the way, so that a kill leaves no half of it.
    fn discard(&self, asked: &Path) -> Result<(), IssueError> {
        let name = asked.file_name().unwrap_or_default();
        make_folder(&self.layout.pending(), 0o700)?;
        let away = self.layout.pending().join(name);
        std::fs::rename(asked, &away).map_err(|source| FileError::new("rename", asked, source))?;
        Ok(remove_tree(&away)?)
    }

    /// Writes an authority's certificate into its folder, where it is not the one that lies there.
    fn place_certificate(&self, name: &str, certificate: &Certificate) -> Result<(), IssueError> {
        let path = self.layout.authority(name).join("cert.pem");
        let pem = certificate.to_pem();
        if std::fs::read_to_string(&path).is_ok_and(|there| there == pem) {
            return Ok(());
        }
        make_folder(&self.layout.authority(name), 0o700)?;
        make_folder(&self.layout.pending(), 0o700)?;
        Ok(write_by_way_of(&self.layout.pending(), &path, pem.as_bytes(), 0o600)?)
    }

    fn take_cross(
        &mut self,
        certificate: &Certificate,
        issuer: &Certificate,
        path: &Path,
    ) -> Result<&'static str, IssueError> {
        let content = ImportContent::Whole(certificate.clone());
        let item = CertificateImport { place: Place::file(path), content, revocation: None };
        let outcome = self.import_certificates(issuer, &[item], false)?.pop();
        match outcome {
            Some(ImportOutcome::Refused(error)) => Err(error.into()),
            Some(ImportOutcome::Already) | None => Ok("already"),
            Some(ImportOutcome::Completed | ImportOutcome::Imported | ImportOutcome::Revoked) => Ok("new"),
        }
    }

    /// Gives an authority its new certificate; what it signed before stays valid under either.
    fn renew_authority(
        &mut self,
        id: AuthorityId,
        certificate: &Certificate,
        root: AuthorityId,
    ) -> Result<&'static str, IssueError> {
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let Some(position) = self.issuers.iter().position(|one| one.id() == id) else {
            return Err(IssueError::NotFound { selector: format!("authority {}", id.0) });
        };
        let old = &self.issuers[position].certificate;
        let name = self.issuers[position].name().to_owned();
        if !old.subject().equals(certificate.subject()) {
            return Err(
                BatchError::Name { why: format!("{name} has another name in its certificate") }.into()
            );
        }
        let (until, not_after) = (old.validity().not_after, certificate.validity().not_after);
        if not_after <= until {
            let row = self.store.by_serial(root, certificate.serial().as_bytes())?;
            if row.is_some_and(|row| row.certificate.as_deref() == Some(certificate.der())) {
                return Ok("already"); // an older answer, taken once more
            }
            return Err(BatchError::NoLater { name, until, not_after }.into());
        }
        let folder = Path::new("authorities").join(&name);
        let intent = Intent {
            authority: root,
            serial: certificate.serial().as_bytes().to_vec(),
            kind: Kind::Authority,
            name: name.clone(),
            product: None,
            device_serial: None,
            public_key: *certs::Fingerprint::of(certificate.public_key().spki_der()).as_bytes(),
            validity: certificate.validity(),
            at: now,
            folder,
            shard: None,
        };
        // The one before stays, for those who have it, and for `store rebuild`.
        let before = self.layout.superseded().join(format!("{name}-{}", hex(old.serial().as_bytes())));
        make_folder(&before, 0o700)?;
        write_replacing(&before.join("cert.pem"), old.to_pem().as_bytes(), 0o600)?;
        let detail = json!({
            "authority": name, "renewed": certificate.fingerprint().to_string(), "serial": hex(&intent.serial),
        });
        let audit = AuditEvent { at: now, event: "authority", detail };
        self.store.renew_authority(id, &intent, certificate.der(), &audit)?;
        self.place_certificate(&name, certificate)?;
        self.issuers[position].certificate = certificate.clone();
        self.issuers[position].record.certificate = certificate.der().to_vec();
        self.write_log()?;
        Ok("renewed")
    }

    /// Puts the root's list where others read it, unless a newer one is there (CA G2).
    fn take_list(
        &mut self,
        list: &RevocationList,
        root: AuthorityId,
        issuer: &Certificate,
        path: &Path,
    ) -> Result<&'static str, IssueError> {
        let bad =
            |why: &str| IssueError::from(BatchError::Manifest { path: path.to_owned(), why: why.to_owned() });
        if !list.is_usable()
            || !list.issuer().equals(issuer.subject())
            || list.verify_signature(issuer.public_key()).is_err()
        {
            return Err(bad("this is no list of the root's"));
        }
        let number = list.number().and_then(|number| i64::from_str_radix(&number.to_string(), 16).ok());
        let (Some(number), Some(next_update)) = (number, list.next_update()) else {
            return Err(bad("its number is too large"));
        };
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let last = self.store.last_crl(root, None)?;
        let name = self.issuers.iter().find(|one| one.id() == root).map(|one| one.name().to_owned());
        let name = name.unwrap_or_default();
        let record =
            CrlRecord { authority: root, shard: None, number, this_update: list.this_update(), next_update };
        match last {
            Some(last) if last.number > number => {
                return Err(bad("a newer list of this root is here already"));
            }
            Some(last) if last.number == number => {}
            Some(_) | None => {
                let detail = json!({
                    "authority": name, "number": number, "entries": list.len(), "next_update": next_update.to_string(),
                });
                self.store.reserve_crl(&record, &AuditEvent { at: now, event: "crl", detail })?;
            }
        }
        let there = self.layout.crl(&name, None);
        let pem = armour("X509 CRL", list.der());
        let is_there = std::fs::read_to_string(&there).is_ok_and(|text| text == pem);
        make_folder(&self.layout.crls(), 0o755)?;
        make_folder(&self.layout.pending(), 0o700)?;
        write_by_way_of(&self.layout.pending(), &there, pem.as_bytes(), 0o644)?;
        self.store.crl_published(&record)?;
        self.write_log()?;
        Ok(if is_there { "already" } else { "published" })
    }
}
