//! What two certificates have in common and what not: read from the certificates, not from what was meant.

use certs::{Certificate, Extension};
use serde_json::json;

use super::{MARKER, key_text};
use crate::inspect::extension_name;
use crate::serial::hex;

/// One thing in which a twin is not its original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What.
    pub(crate) field: String,
    /// As the original has it.
    pub(crate) original: String,
    /// As the twin has it.
    pub(crate) twin: String,
}

impl Difference {
    /// For programs.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        json!({ "field": self.field, "original": self.original, "twin": self.twin })
    }
}

/// Everything in which they differ, in the order of the certificate's fields.
pub(super) fn between(original: &Certificate, twin: &Certificate) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |field: &str, same: bool, texts: [String; 2]| {
        if !same {
            let [original, twin] = texts;
            found.push(Difference { field: field.to_owned(), original, twin });
        }
    };
    let both = |text: fn(&Certificate) -> String| [text(original), text(twin)];
    compare("version", original.version() == twin.version(), both(|one| one.version().number().to_string()));
    compare("serial number", original.serial() == twin.serial(), both(|one| hex(one.serial().as_bytes())));
    compare(
        "signature algorithm",
        original.signature_algorithm() == twin.signature_algorithm(),
        both(|one| one.signature_algorithm().to_string()),
    );
    compare("issuer", original.issuer().der() == twin.issuer().der(), both(|one| one.issuer().to_rfc4514()));
    let (before, after) = (original.validity(), twin.validity());
    compare("from", before.not_before == after.not_before, both(|one| one.validity().not_before.to_string()));
    compare("until", before.not_after == after.not_after, both(|one| one.validity().not_after.to_string()));
    let length = |one: &Certificate| one.validity().not_after.unix() - one.validity().not_before.unix();
    compare(
        "length of life",
        length(original) == length(twin),
        [original, twin].map(|one| format!("{} days", length(one) / 86_400)),
    );
    compare(
        "subject",
        original.subject().der() == twin.subject().der(),
        both(|one| one.subject().to_rfc4514()),
    );
    let new_key = original.public_key() == twin.public_key();
    let [old, mut new] = both(key_text);
    new.push_str(", another key");
    compare("key", new_key, [old, new]);
    extensions(original, twin, &mut found);
    if original.signature() != twin.signature() {
        found.push(Difference {
            field: "signature".to_owned(),
            original: format!("{}, by its issuer", original.signature_algorithm()),
            twin: format!("{}, by the twin of its issuer", twin.signature_algorithm()),
        });
    }
    found
}

fn extensions(original: &Certificate, twin: &Certificate, found: &mut Vec<Difference>) {
    let (before, after) = (original.extensions(), twin.extensions());
    for index in 0..before.len().max(after.len()) {
        let (one, other) = (before.get(index), after.get(index));
        let same = |one: &Extension, other: &Extension| {
            (one.oid, one.critical, &one.value) == (other.oid, other.critical, &other.value)
        };
        if one.zip(other).is_some_and(|(one, other)| same(one, other)) {
            continue;
        }
        let name = one.or(other).map(extension_name).unwrap_or_default();
        found.push(Difference { field: name, original: value(one, original), twin: value(other, twin) });
    }
}

/// Key identifiers and the mark as they are read, others in hexadecimal.
fn value(extension: Option<&Extension>, certificate: &Certificate) -> String {
    let Some(extension) = extension else { return "none".to_owned() };
    let oid = extension.oid.to_string();
    match oid.as_str() {
        "2.5.29.14" => certificate.subject_key_identifier().map(hex).unwrap_or_default(),
        "2.5.29.35" => {
            let named = certificate.authority_key_identifier();
            let key = named.and_then(|one| one.key_identifier.as_deref()).map(hex).unwrap_or_default();
            match named.and_then(|one| one.serial.as_deref()) {
                Some(serial) => format!("{key} with serial number {}", hex(serial)),
                None => key,
            }
        }
        _ if oid == MARKER.to_string() => super::MARKER_TEXT.to_owned(),
        _ => hex(&extension.value),
    }
}
