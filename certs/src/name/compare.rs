//! Comparison of names (RFC 5280 §7.1).
//!
//! Strings of any type are compared as text without regard to case, to spaces at either end, or to how many spaces
//! stand between words. What is not text is compared byte for byte. Attributes of one relative distinguished name have
//! no order.
//!
//! A name is folded once, when it is read, so that comparing it takes no longer than comparing its bytes.

use super::attribute::Attribute;

/// What stands before the text of a value, and before a value that is no text.
const TEXT: u8 = 1;
const NO_TEXT: u8 = 0;

/// The bytes that are equal for equal names. They begin with those of every name above: each part stands after its
/// length, so that none can be mistaken for the beginning of another.
pub(super) fn canonical<'a>(rdns: impl Iterator<Item = &'a [Attribute]>) -> Box<[u8]> {
    let mut canonical = Vec::new();
    for rdn in rdns {
        let mut attributes: Vec<Vec<u8>> = rdn.iter().map(canonical_attribute).collect();
        attributes.sort_unstable();
        let mut set = Vec::new();
        attributes.iter().for_each(|attribute| push(&mut set, attribute));
        push(&mut canonical, &set);
    }
    canonical.into()
}

fn canonical_attribute(attribute: &Attribute) -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, attribute.oid().as_bytes());
    if let Ok(text) = attribute.text() {
        let folded: String = folded(&text).collect();
        bytes.push(TEXT);
        bytes.extend_from_slice(folded.as_bytes());
    } else {
        bytes.push(NO_TEXT);
        bytes.extend_from_slice(attribute.encoded());
    }
    bytes
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&part.len().to_be_bytes());
    bytes.extend_from_slice(part);
}

/// The characters that count: lower case, words separated by single spaces.
fn folded(text: &str) -> impl Iterator<Item = char> {
    let words = text.split(|c: char| c == ' ' || c.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.enumerate().flat_map(|(index, word)| {
        let space = (index > 0).then_some(' ');
        space.into_iter().chain(word.chars().flat_map(char::to_lowercase))
    })
}
