//! Text forms of names, byte for byte as OpenSSL's, since Apache and nginx hand those to backends.

use std::fmt::Write as _;

use super::{Attribute, DistinguishedName};

/// What becomes of bytes beyond 7 bits in RFC 2253 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond7Bit {
    /// `\C3\AB`, as nginx writes them
    Escaped,
    /// raw UTF-8, as Apache writes it
    Kept,
}

pub(super) fn rfc2253(name: &DistinguishedName, beyond: Beyond7Bit) -> String {
    let mut text = String::with_capacity(name.der().len() + 16);
    let mut previous = None;
    for attribute in name.attributes().rev() {
        match previous {
            None => {}
            Some(rdn) if rdn == attribute.rdn() => text.push('+'),
            Some(_) => text.push(','),
        }
        previous = Some(attribute.rdn());
        write_pair(&mut text, attribute, beyond);
    }
    text
}

/// A type without a name, and a value that is no text, are written in hexadecimal, as RFC 4514 §2.4 has it.
fn write_pair(text: &mut String, attribute: &Attribute, beyond: Beyond7Bit) {
    match attribute.oid().short_name() {
        Some(name) => text.push_str(name),
        None => {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}", attribute.oid());
        }
    }
    text.push('=');
    match attribute.text() {
        Ok(value) if attribute.oid().short_name().is_some() => write_value(text, &value, beyond),
        Ok(_) | Err(_) => {
            text.push('#');
            attribute.encoded().iter().for_each(|byte| push_hex(text, *byte));
        }
    }
}

fn write_value(text: &mut String, value: &str, beyond: Beyond7Bit) {
    let last = value.chars().count().saturating_sub(1);
    for (index, c) in value.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => {
                text.push('\\');
                text.push(c);
            }
            ' ' if index == 0 || index == last => text.push_str("\\ "),
            '#' if index == 0 => text.push_str("\\#"),
            '\0'..='\x1f' | '\x7f' => push_escaped(text, c),
            _ if c.is_ascii() || beyond == Beyond7Bit::Kept => text.push(c),
            _ => push_escaped(text, c),
        }
    }
}

fn push_escaped(text: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        text.push('\\');
        push_hex(text, byte);
    }
}

/// `X509_NAME_oneline` shows the bytes as they are encoded, whatever the string type.
pub(super) fn one_line(name: &DistinguishedName) -> String {
    let mut text = String::with_capacity(name.der().len() + 16);
    let mut previous = None;
    for attribute in name.attributes() {
        text.push(if previous == Some(attribute.rdn()) { '+' } else { '/' });
        previous = Some(attribute.rdn());
        match attribute.oid().short_name() {
            Some(short) => text.push_str(short),
            None => {
                // Writing to a String cannot fail.
                let _ = write!(text, "{}", attribute.oid());
            }
        }
        text.push('=');
        for byte in attribute.bytes() {
            match byte {
                b'/' | b'+' => {
                    text.push('\\');
                    text.push(char::from(*byte));
                }
                b' '..=b'~' => text.push(char::from(*byte)),
                _ => {
                    text.push_str("\\x");
                    push_hex(&mut text, *byte);
                }
            }
        }
    }
    text
}

fn push_hex(text: &mut String, byte: u8) {
    for nibble in [byte >> 4, byte & 0x0f] {
        text.extend(char::from_digit(u32::from(nibble), 16).map(|digit| digit.to_ascii_uppercase()));
    }
}
