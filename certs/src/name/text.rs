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
    // Nearly every value stands for itself, and is written as a whole.
    let stands_for_itself = |byte: &u8| {
        matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';')
    };
    if value.as_bytes().iter().all(stands_for_itself)
        && !value.starts_with([' ', '#'])
        && !value.ends_with(' ')
    {
        text.push_str(value);
        return;
    }
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

#[cfg(test)]
mod tests {
    //! The golden vectors of SECURITY.md, measured with OpenSSL 3.0.19.

    use crate::oid::{COMMON_NAME, LOCALITY, ORGANIZATION, ORGANIZATIONAL_UNIT, Oid, SERIAL_NUMBER, SURNAME};
    use crate::testing::{CertificateBuilder, Pki};

    #[track_caller]
    fn check(
        subject: impl Fn(CertificateBuilder) -> CertificateBuilder,
        apache: &str,
        nginx: &str,
        one_line: &str,
    ) {
        let certificate = subject(Pki::new().leaf()).issue().certificate;
        let name = certificate.subject();
        assert_eq!(name.to_rfc2253_utf8(), apache, "as Apache writes it");
        assert_eq!(name.to_rfc2253(), nginx, "as nginx writes it");
        assert_eq!(name.to_one_line(), one_line, "in one line");
    }

    fn common_name(text: &str) -> impl Fn(CertificateBuilder) -> CertificateBuilder {
        let text = text.to_owned();
        move |leaf| leaf.attribute(COMMON_NAME, &text)
    }

    #[test]
    fn a_phone() {
        let subject = |leaf: CertificateBuilder| {
            leaf.attribute(ORGANIZATIONAL_UNIT, "SPA-962")
                .attribute(LOCALITY, "88012BA01234")
                .attribute(SURNAME, "000e08abcdef")
        };
        let rfc2253 = "SN=000e08abcdef,L=88012BA01234,OU=SPA-962";
        check(subject, rfc2253, rfc2253, "/OU=SPA-962/L=88012BA01234/SN=000e08abcdef");
    }

    #[test]
    fn repeated_attributes_keep_their_order() {
        let subject =
            |leaf: CertificateBuilder| leaf.attribute(COMMON_NAME, "first").attribute(COMMON_NAME, "second");
        check(subject, "CN=second,CN=first", "CN=second,CN=first", "/CN=first/CN=second");
    }

    #[test]
    fn multi_valued_names_are_joined_by_plus() {
        let subject = |leaf: CertificateBuilder| {
            leaf.multi_valued(&[(COMMON_NAME, "64167f000001"), (SERIAL_NUMBER, "64167F000001")])
                .attribute(ORGANIZATION, "Acme")
        };
        let rfc2253 = "O=Acme,serialNumber=64167F000001+CN=64167f000001";
        check(subject, rfc2253, rfc2253, "/CN=64167f000001+serialNumber=64167F000001/O=Acme");
    }

    #[test]
    fn values_cannot_add_attributes() {
        let subject = |leaf: CertificateBuilder| {
            leaf.attribute(ORGANIZATION, "x,CN=admin").attribute(COMMON_NAME, "phone")
        };
        check(subject, r"CN=phone,O=x\,CN=admin", r"CN=phone,O=x\,CN=admin", "/O=x,CN=admin/CN=phone");
        let subject = |leaf: CertificateBuilder| {
            leaf.attribute(ORGANIZATION, "x/CN=admin").attribute(COMMON_NAME, "phone")
        };
        check(subject, "CN=phone,O=x/CN=admin", "CN=phone,O=x/CN=admin", r"/O=x\/CN=admin/CN=phone");
    }

    #[test]
    fn control_characters_and_nul_are_escaped() {
        // SEC-07
        let rfc2253 = r"CN=admin\0D\0AX-Admin: 1";
        check(common_name("admin\r\nX-Admin: 1"), rfc2253, rfc2253, r"/CN=admin\x0D\x0AX-Admin: 1");
        check(common_name("admin\0.evil"), r"CN=admin\00.evil", r"CN=admin\00.evil", r"/CN=admin\x00.evil");
    }

    #[test]
    fn special_characters_are_escaped_and_the_equals_sign_is_not() {
        let rfc2253 = r#"CN=a\"\;Subject=\"CN=admin\;=\<\>\+#\\"#;
        let one_line = r#"/CN=a";Subject="CN=admin;=<>\+#\"#;
        check(common_name(r#"a";Subject="CN=admin;=<>+#\"#), rfc2253, rfc2253, one_line);
    }

    #[test]
    fn spaces_at_the_ends_are_escaped() {
        check(common_name(" #x "), r"CN=\ #x\ ", r"CN=\ #x\ ", "/CN= #x ");
        check(common_name("#x"), r"CN=\#x", r"CN=\#x", "/CN=#x");
    }

    #[test]
    fn characters_beyond_ascii_are_raw_for_apache_and_escaped_for_nginx() {
        check(common_name("Zoë Ł"), "CN=Zoë Ł", r"CN=Zo\C3\AB \C5\81", r"/CN=Zo\xC3\xAB \xC5\x81");
        let bmp = |leaf: CertificateBuilder| leaf.bmp_attribute(COMMON_NAME, "Zoë");
        check(bmp, "CN=Zoë", r"CN=Zo\C3\AB", r"/CN=\x00Z\x00o\x00\xEB");
    }

    #[test]
    fn unknown_types_are_shown_as_der() {
        let unknown = Oid::parse("1.3.6.1.4.1.99999.1").unwrap();
        let subject = |leaf: CertificateBuilder| leaf.attribute(unknown, "zz").attribute(COMMON_NAME, "p");
        let rfc2253 = "CN=p,1.3.6.1.4.1.99999.1=#0C027A7A";
        check(subject, rfc2253, rfc2253, "/1.3.6.1.4.1.99999.1=zz/CN=p");
    }

    #[test]
    fn what_is_no_text_is_shown_as_der() {
        let subject = |leaf: CertificateBuilder| leaf.raw_attribute(COMMON_NAME, 0x0c, &[0xff]);
        check(subject, "CN=#0C01FF", "CN=#0C01FF", r"/CN=\xFF");
    }
}
