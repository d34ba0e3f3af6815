//! Comparison of names (RFC 5280 §7.1).
//!
//! Strings of any type are compared as text without regard to case, to spaces at either end, or to how many spaces
//! stand between words. What is not text is compared byte for byte.

use super::attribute::Attribute;

/// Whether two relative distinguished names hold the same attributes, in any order.
pub(super) fn same_rdn(left: &[Attribute], right: &[Attribute]) -> bool {
    left.len() == right.len()
        && left.iter().all(|attribute| {
            let count =
                |rdn: &[Attribute]| rdn.iter().filter(|other| same_attribute(attribute, other)).count();
            count(left) == count(right)
        })
}

fn same_attribute(left: &Attribute, right: &Attribute) -> bool {
    if left.oid() != right.oid() {
        return false;
    }
    if left.encoded() == right.encoded() {
        return true;
    }
    match (left.text(), right.text()) {
        (Ok(left), Ok(right)) => folded(&left).eq(folded(&right)),
        (_, _) => false,
    }
}

/// The characters that count: lower case, words separated by single spaces.
fn folded(text: &str) -> impl Iterator<Item = char> {
    let words = text.split(|c: char| c == ' ' || c.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.enumerate().flat_map(|(index, word)| {
        let space = (index > 0).then_some(' ');
        space.into_iter().chain(word.chars().flat_map(char::to_lowercase))
    })
}
