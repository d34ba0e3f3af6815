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
    let mut canonical = Vec::with_capacity(256);
    for rdn in rdns {
        measured(&mut canonical, |set| match rdn {
            [attribute] => measured(set, |bytes| write_attribute(bytes, attribute)),
            attributes => {
                let mut sorted: Vec<Vec<u8>> = attributes
                    .iter()
                    .map(|attribute| {
                        let mut bytes = Vec::new();
                        write_attribute(&mut bytes, attribute);
                        bytes
                    })
                    .collect();
                sorted.sort_unstable();
                for attribute in &sorted {
                    measured(set, |bytes| bytes.extend_from_slice(attribute));
                }
            }
        });
    }
    canonical.into()
}

fn write_attribute(bytes: &mut Vec<u8>, attribute: &Attribute) {
    measured(bytes, |bytes| bytes.extend_from_slice(attribute.oid().as_bytes()));
    if let Ok(text) = attribute.text() {
        bytes.push(TEXT);
        write_folded(bytes, &text);
    } else {
        bytes.push(NO_TEXT);
        bytes.extend_from_slice(attribute.encoded());
    }
}

/// Writes a part after its length.
fn measured(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.extend_from_slice(&0_usize.to_be_bytes());
    let content = bytes.len();
    write(bytes);
    let length = (bytes.len() - content).to_be_bytes();
    if let Some(place) = bytes.get_mut(start..content) {
        place.copy_from_slice(&length);
    }
}

/// Writes the characters that count: lower case, words separated by single spaces.
fn write_folded(bytes: &mut Vec<u8>, text: &str) {
    let words = text.split(|c: char| c.is_ascii_whitespace()).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            bytes.push(b' ');
        }
        if word.is_ascii() {
            bytes.extend(word.bytes().map(|byte| byte.to_ascii_lowercase()));
        } else {
            let lower = word.chars().flat_map(char::to_lowercase);
            lower.for_each(|c| bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()));
        }
    }
}
