//! What is in a file: certificates, requests, revocation lists and keys, explained to a person.

mod certificate;
mod facts;
mod judgement;

use std::path::Path;

use certs::{Certificate, CertificationRequest, ParseError, PublicKey, RevocationList, Timestamp, pem};
use serde_json::json;
use zeroize::Zeroizing;

pub(crate) use certificate::extension_name;
pub(crate) use facts::Facts;

use crate::key::foreign::{self, ForeignKey};
use crate::key::{KeyError, PrivateKey};
use crate::passphrase::Passphrase;

/// One thing found in a file.
pub(crate) struct Item {
    /// The file, and the line when it has several things.
    pub(crate) source: String,
    /// Everything there is to say.
    pub(crate) facts: Facts,
    content: Content,
}

enum Content {
    Certificate(Certificate),
    List(Box<RevocationList>),
    /// Something with a public key: a request, a private or public key.
    Key(Vec<u8>),
    /// A private key that stayed closed.
    Closed,
}

/// What could not be explained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InspectError {
    #[error("nothing that this program knows: neither certificate, request, revocation list nor key")]
    Unrecognised,
    #[error("the text is damaged")]
    Pem(#[source] ParseError),
    #[error("line {line}: {label} is nothing that this program knows")]
    Label { line: usize, label: String },
    #[error("line {line}: damaged {what}")]
    Damaged {
        line: usize,
        what: &'static str,
        #[source]
        source: ParseError,
    },
    #[error("line {line}: the private key cannot be read")]
    Key {
        line: usize,
        #[source]
        source: KeyError,
    },
}

/// Reads everything in one file, PEM or DER.
pub(crate) fn read(
    path: &Path,
    contents: &[u8],
    passphrase: Option<&Passphrase>,
    now: Timestamp,
) -> Result<Vec<Item>, InspectError> {
    let file = path.display().to_string();
    if !contents.windows(11).any(|window| window == b"-----BEGIN ") {
        return der(file, contents, passphrase, now).map(|item| vec![item]);
    }
    let blocks = pem::blocks(contents).map_err(InspectError::Pem)?;
    let alone = blocks.len() == 1;
    blocks
        .into_iter()
        .filter(|block| block.label != "EC PARAMETERS")
        .map(|block| {
            let source = if alone { file.clone() } else { format!("{file}, line {}", block.line) };
            from_block(
                source,
                &block.label,
                &Zeroizing::new(block.contents),
                block.line,
                contents,
                passphrase,
                now,
            )
        })
        .collect()
}

fn from_block(
    source: String,
    label: &str,
    der: &[u8],
    line: usize,
    whole: &[u8],
    passphrase: Option<&Passphrase>,
    now: Timestamp,
) -> Result<Item, InspectError> {
    let damaged = |what| move |source| InspectError::Damaged { line, what, source };
    match label {
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => CertificationRequest::parse(der)
            .map(|request| request_item(source, &request))
            .map_err(damaged("request")),
        "X509 CRL" => RevocationList::parse(der)
            .map(|list| list_item(source, list, now))
            .map_err(damaged("revocation list")),
        "PUBLIC KEY" => PublicKey::from_spki_der(der)
            .map(|key| public_key_item(source, &key))
            .map_err(damaged("public key")),
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
            let text = String::from_utf8_lossy(whole);
            let old = text.contains("Proc-Type: 4,ENCRYPTED").then_some(KeyError::OldEncryption);
            let read = old.map_or_else(|| PrivateKey::from_der(der, passphrase), Err);
            private_key_item(source, label, read, der, passphrase)
                .map_err(|source| InspectError::Key { line, source })
        }
        label if pem::is_certificate(label) => Certificate::parse(der)
            .map(|certificate| certificate_item(source, certificate, now))
            .map_err(damaged("certificate")),
        label => Err(InspectError::Label { line, label: label.to_owned() }),
    }
}

fn der(
    source: String,
    der: &[u8],
    passphrase: Option<&Passphrase>,
    now: Timestamp,
) -> Result<Item, InspectError> {
    if let Ok(certificate) = Certificate::parse(der) {
        return Ok(certificate_item(source, certificate, now));
    }
    if let Ok(list) = RevocationList::parse(der) {
        return Ok(list_item(source, list, now));
    }
    match CertificationRequest::parse(der) {
        Ok(request) => return Ok(request_item(source, &request)),
        Err(error @ ParseError::ProofOfPossession) => {
            return Err(InspectError::Damaged { line: 1, what: "request", source: error });
        }
        Err(_) => {}
    }
    let read = PrivateKey::from_der(der, passphrase);
    if !matches!(read, Err(KeyError::Rejected)) || foreign::read(der, passphrase).is_some() {
        return private_key_item(source, "DER", read, der, passphrase)
            .map_err(|source| InspectError::Key { line: 1, source });
    }
    PublicKey::from_spki_der(der)
        .map(|key| public_key_item(source, &key))
        .map_err(|_unknown| InspectError::Unrecognised)
}

fn certificate_item(source: String, certificate: Certificate, now: Timestamp) -> Item {
    Item {
        source,
        facts: certificate::describe(&certificate, now),
        content: Content::Certificate(certificate),
    }
}

fn list_item(source: String, list: RevocationList, now: Timestamp) -> Item {
    let mut facts = Facts::new("certificate revocation list");
    facts.name("issuer", list.issuer());
    facts.add("number", json!(list.number().map(|number| number.to_string())));
    facts.text("made", list.this_update().to_string());
    let next = match list.next_update() {
        None => "not stated: software refuses such a list".to_owned(),
        Some(next) if next < now => {
            format!("{next} (past: whoever uses it refuses every certificate of this issuer)")
        }
        Some(next) => next.to_string(),
    };
    facts.text("next due", next);
    facts.add("entries", json!(list.len()));
    facts.text("signature", list.signature_algorithm().to_string());
    let usable = list.unusable_reason().map_or_else(|| "yes".to_owned(), |why| format!("no: {why}"));
    facts.text("usable", usable);
    Item { source, facts, content: Content::List(Box::new(list)) }
}

fn request_item(source: String, request: &CertificationRequest) -> Item {
    let mut facts = Facts::new("certification request");
    facts.name("subject", request.subject());
    facts.text("key", judgement::key_text(request.public_key()));
    facts.text("signature", format!("{}; made with its own key", request.signature_algorithm()));
    if let Some(names) = request.requested_names() {
        facts.list("names", names.names().map(ToString::to_string).collect());
    }
    let wanted: Vec<String> =
        request.requested_extensions().iter().map(certificate::extension_name).collect();
    if !wanted.is_empty() {
        facts.list("asks for", wanted);
    }
    let content = Content::Key(request.public_key().spki_der().to_vec());
    Item { source, facts, content }
}

fn private_key_item(
    source: String,
    label: &str,
    read: Result<PrivateKey, KeyError>,
    der: &[u8],
    passphrase: Option<&Passphrase>,
) -> Result<Item, KeyError> {
    let encrypted = label == "ENCRYPTED PRIVATE KEY" || matches!(read, Err(KeyError::WantsPassphrase));
    let mut facts = Facts::new("private key");
    facts.text("encrypted", if encrypted { "yes" } else { "no: who reads the file has the key" });
    let public = match read {
        Ok(key) => Some(key.public_key_der()),
        Err(KeyError::WantsPassphrase) => {
            facts.text("key", "closed: `--passphrase-file` or `--passphrase-env` opens it");
            None
        }
        Err(KeyError::Rejected) => match foreign::read(der, passphrase) {
            Some(ForeignKey::Rsa(public)) => Some(public),
            Some(ForeignKey::Other(oid)) => {
                facts.text("key", format!("of a kind this program does not use ({oid})"));
                None
            }
            None => return Err(KeyError::Rejected),
        },
        Err(error) => return Err(error),
    };
    if let Some(public) = public.as_deref().and_then(|der| PublicKey::from_spki_der(der).ok()) {
        facts.text("key", judgement::key_text(&public));
    }
    Ok(Item { source, facts, content: public.map_or(Content::Closed, Content::Key) })
}

fn public_key_item(source: String, key: &PublicKey) -> Item {
    let mut facts = Facts::new("public key");
    facts.text("key", judgement::key_text(key));
    Item { source, facts, content: Content::Key(key.spki_der().to_vec()) }
}

/// Says of every key which certificate it belongs to, and of every list who signed it.
pub(crate) fn relate(items: &mut [Item]) {
    let certificates: Vec<(String, Certificate)> = items
        .iter()
        .filter_map(|item| match &item.content {
            Content::Certificate(certificate) => Some((item.source.clone(), certificate.clone())),
            Content::List(_) | Content::Key(_) | Content::Closed => None,
        })
        .collect();
    if certificates.is_empty() {
        return;
    }
    for item in items {
        match &item.content {
            Content::Key(spki) => {
                let owners: Vec<&str> = certificates
                    .iter()
                    .filter(|(_, certificate)| certificate.public_key().spki_der() == spki)
                    .map(|(source, _)| source.as_str())
                    .collect();
                item.facts.add("belongs to", json!(owners));
                if owners.is_empty() {
                    item.facts.text("beware", "it belongs to none of the certificates given");
                }
            }
            Content::List(list) => {
                let issuer = certificates.iter().find(|(_, certificate)| {
                    certificate.subject().equals(list.issuer())
                        && list.verify_signature(certificate.public_key()).is_ok()
                });
                if let Some((source, _)) = issuer {
                    item.facts.text("signed by", source.clone());
                }
            }
            Content::Certificate(_) | Content::Closed => {}
        }
    }
}
