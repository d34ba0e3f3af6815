//! `X-Forwarded-Client-Cert`, as Envoy writes it.
//!
//! Readers of this field disagree on what a backslash inside quotes means, so no value of ours holds one: a name with a
//! character that RFC 4514 escapes goes out with hexadecimal values (`2.5.4.10=#0C...`, RFC 4514 §2.4), which every reader
//! takes as it stands. Alternative names that would need quoting are left out (SEC-08).

use std::fmt::Write as _;

use certs::{Attribute, DistinguishedName, VerifiedChain};
use http::header::HeaderName;

use super::peer_fields::Fields;

pub(super) fn set(fields: &mut Fields, chain: Option<&VerifiedChain>, with_certificate: bool) {
    let Some(chain) = chain else { return };
    let leaf = chain.leaf();
    let mut element = format!("Hash={}", leaf.fingerprint());
    if with_certificate {
        element.push_str(";Cert=\"");
        push_percent_encoded(&mut element, &leaf.to_pem());
        element.push('"');
    }
    element.push_str(";Subject=\"");
    element.push_str(&quotable(leaf.subject()));
    element.push('"');
    if let Some(names) = leaf.subject_alternative_names() {
        let uris = names.uris().map(|uri| ("URI", uri));
        for (key, value) in uris.chain(names.dns_names().map(|dns| ("DNS", dns))) {
            if value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;=\\".contains(&byte)) {
                element.extend([";", key, "=", value]);
            }
        }
    }
    fields.set(HeaderName::from_static("x-forwarded-client-cert"), &element);
}

/// RFC 2253 text without backslash and quote.
fn quotable(name: &DistinguishedName) -> String {
    let text = name.to_rfc2253_utf8();
    if !text.contains(['\\', '"']) {
        return text;
    }
    let rdn =
        |attributes: &[Attribute]| attributes.iter().rev().map(hexadecimal).collect::<Vec<_>>().join("+");
    name.rdns().rev().map(rdn).collect::<Vec<_>>().join(",")
}

/// `2.5.4.10=#0C0161`: the value's DER.
fn hexadecimal(attribute: &Attribute) -> String {
    let value = attribute.bytes();
    let mut text = format!("{}=#{:02X}", attribute.oid(), attribute.tag());
    let push = |text: &mut String, byte: u8| {
        let written = write!(text, "{byte:02X}");
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    };
    for byte in der_length(value.len()) {
        push(&mut text, byte);
    }
    for byte in value {
        push(&mut text, *byte);
    }
    text
}

/// X.690 §10.1.
fn der_length(length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => vec![short],
        _ => {
            let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            let count = u8::try_from(bytes.len()).unwrap_or(u8::MAX >> 1);
            [vec![0x80 | count], bytes].concat()
        }
    }
}

/// As Envoy does: everything but RFC 3986's unreserved characters.
fn push_percent_encoded(element: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            element.push(char::from(byte));
        } else {
            let written = write!(element, "%{byte:02X}");
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_lengths_as_der() {
        assert_eq!(der_length(0x7f), [0x7f]);
        assert_eq!(der_length(0x80), [0x81, 0x80]);
        assert_eq!(der_length(0x1234), [0x82, 0x12, 0x34]);
    }

    #[test]
    fn encodes_all_but_unreserved_characters() {
        let mut text = String::new();
        push_percent_encoded(&mut text, "a-b=\n+/");
        assert_eq!(text, "a-b%3D%0A%2B%2F");
    }
}
