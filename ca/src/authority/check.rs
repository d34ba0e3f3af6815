//! Whether the inventory, the files and the audit log agree.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use certs::{Certificate, Fingerprint, PublicKey, Serial};

use super::Authority;
use crate::error::IssueError;
use crate::selector::Selector;
use crate::serial::hex;
use crate::store::{CertificateRecord, FileError, Kind, Page, State};

/// Rows looked at at a time.
const PAGE: u32 = 1000;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct StoreReport {
    /// Certificates in the inventory.
    pub certificates: u64,
    /// Certificates in folders.
    pub files: u64,
    /// What is wrong.
    pub complaints: Vec<String>,
}

impl Authority {
    /// Looks at everything: the database, every certificate against its row and its issuer, the files, and the log.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn check_store(&mut self) -> Result<StoreReport, IssueError> {
        let _lock = self.lock()?;
        let mut report = StoreReport { complaints: self.store.complaints()?, ..StoreReport::default() };
        let mut logged = self.logged()?;
        let mut known: HashSet<[u8; 32]> = HashSet::new();
        let mut without_file: HashSet<Vec<u8>> = HashSet::new();
        let everything = Selector::default();
        let mut after = None;
        loop {
            let records = self.page(&everything, Page { after, until: None, limit: PAGE })?;
            let Some(last) = records.last() else { break };
            after = Some(last.id);
            for record in records.iter().filter(|record| record.state == State::Issued) {
                report.certificates += 1;
                let name = format!("certificate {} of {}", hex(&record.intent.serial), record.intent.name);
                let Some(der) = record.certificate.as_deref() else {
                    // After `store rebuild` where the file was handed over and removed.
                    without_file.insert(record.intent.serial.clone());
                    continue;
                };
                let print = *Fingerprint::of(der).as_bytes();
                known.insert(print);
                if record.intent.kind != Kind::Authority && logged.remove(&print).is_none() {
                    report
                        .complaints
                        .push(format!("{name} is in the inventory, and the log tells of no such issue"));
                }
                if let Err(why) = self.check_record(record, der) {
                    report.complaints.push(format!("{name}: {why}"));
                }
            }
        }
        for (print, _) in logged.iter().filter(|(_, serial)| !without_file.contains(*serial)) {
            report.complaints.push(format!(
                "the log tells of a certificate that the inventory does not have: SHA-256 {}",
                hex(print)
            ));
        }
        for part in ["devices", "server", "superseded"] {
            self.check_folder(&self.layout.root().join(part), &known, &mut report)?;
        }
        for issuer in &self.issuers {
            let folder = self.layout.root().join(super::import::IMPORTED).join(issuer.name());
            self.check_folder(&folder, &known, &mut report)?;
        }
        let log = self.verify_log(None)?;
        report
            .complaints
            .extend(log.complaints.into_iter().map(|complaint| format!("the audit log: {complaint}")));
        Ok(report)
    }

    /// The fingerprints of all certificates that the log tells of, each with the serial number.
    fn logged(&self) -> Result<HashMap<[u8; 32], Vec<u8>>, IssueError> {
        let mut logged = HashMap::new();
        let mut last = 0;
        loop {
            let entries = self.store.entries(last, PAGE)?;
            let Some(newest) = entries.last() else { return Ok(logged) };
            last = newest.sequence;
            for entry in entries.iter().filter(|entry| matches!(entry.event.as_str(), "issue" | "import")) {
                let detail: serde_json::Value = serde_json::from_str(&entry.detail).unwrap_or_default();
                let is_leaf = detail["kind"].as_str() != Some(Kind::Authority.as_str());
                let print = detail["sha256"].as_str().and_then(digest).filter(|_| is_leaf);
                let serial = detail["serial"].as_str().and_then(Serial::parse_hex);
                let serial = serial.map(|serial| serial.as_bytes().to_vec()).unwrap_or_default();
                logged.extend(print.map(|print| (print, serial)));
            }
        }
    }

    fn check_record(&self, record: &CertificateRecord, der: &[u8]) -> Result<(), String> {
        let certificate = Certificate::parse(der).map_err(|error| format!("it cannot be read: {error}"))?;
        let intent = &record.intent;
        let same = [
            (certificate.serial().as_bytes() == intent.serial, "serial number"),
            (certificate.validity() == intent.validity, "dates"),
            (
                *Fingerprint::of(certificate.public_key().spki_der()).as_bytes() == intent.public_key,
                "public key",
            ),
        ];
        if let Some((_, what)) = same.iter().find(|(same, _)| !same) {
            return Err(format!("it has another {what} than its row"));
        }
        let Some(issuer) = self.issuers.iter().find(|issuer| issuer.id() == intent.authority) else {
            return Err("its authority is not in the inventory".to_owned());
        };
        let key: &PublicKey = issuer.certificate().public_key();
        certificate
            .signature_algorithm()
            .verify(key, certificate.tbs(), certificate.signature())
            .map_err(|_error| format!("{} did not sign it", issuer.name()))
    }

    fn check_folder(
        &self,
        folder: &Path,
        known: &HashSet<[u8; 32]>,
        report: &mut StoreReport,
    ) -> Result<(), IssueError> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(FileError::new("read", folder, source).into()),
        };
        for entry in entries {
            let path =
                entry.map_err(|source| FileError::new("read", folder, source))?.path().join("cert.pem");
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            report.files += 1;
            match Certificate::parse_pem(&text) {
                Err(error) => report.complaints.push(format!("{}: {error}", path.display())),
                Ok(certificate) if !known.contains(certificate.fingerprint().as_bytes()) => {
                    report.complaints.push(format!("{} is not in the inventory", path.display()));
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

/// SHA-256 in hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (index, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(octets)
}
