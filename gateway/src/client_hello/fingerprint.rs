//! JA3 and JA4: short names for "what kind of TLS stack is this", as other tools compute them, so that an
//! operator can look one up or count by it.

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::message::{ALPN, ClientHello, SERVER_NAME, is_grease};

/// JA3: `md5(version,suites,extensions,groups,point formats)`, decimal, GREASE left out.
pub fn ja3(hello: &ClientHello) -> String {
    let mut text = hello.legacy_version.0.to_string();
    push_joined(&mut text, hello.suites.iter().map(|suite| suite.0));
    push_joined(&mut text, hello.extensions.iter().copied());
    push_joined(&mut text, hello.groups.iter().map(|group| group.0));
    push_joined(&mut text, hello.point_formats.iter().map(|format| u16::from(*format)));
    hex(&Md5::digest(text), 16)
}

/// JA4 of a hello over TCP: `t13d1516h2_8daaf6152771_e5627efa2ab1`.
pub fn ja4(hello: &ClientHello) -> String {
    let mut suites: Vec<u16> =
        hello.suites.iter().map(|suite| suite.0).filter(|value| !is_grease(*value)).collect();
    let mut extensions: Vec<u16> =
        hello.extensions.iter().copied().filter(|value| !is_grease(*value)).collect();
    let version = match hello.versions().first().map(|version| version.0) {
        Some(0x0304) => "13",
        Some(0x0303) => "12",
        Some(0x0302) => "11",
        Some(0x0301) => "10",
        Some(0x0300) => "s3",
        _ => "00",
    };
    let server_name = if hello.extensions.contains(&SERVER_NAME) { 'd' } else { 'i' };
    let (first, last) = alpn_ends(hello);
    let mut text = format!(
        "t{version}{server_name}{:02}{:02}{first}{last}_",
        suites.len().min(99),
        extensions.len().min(99)
    );

    suites.sort_unstable();
    text.push_str(&truncated_sha256(&hex_list(&suites)));
    text.push('_');

    extensions.retain(|number| *number != SERVER_NAME && *number != ALPN);
    extensions.sort_unstable();
    let mut list = hex_list(&extensions);
    if let Some(schemes) = &hello.signature_algorithms
        && !list.is_empty()
    {
        let schemes: Vec<u16> =
            schemes.iter().map(|scheme| scheme.0).filter(|value| !is_grease(*value)).collect();
        if !schemes.is_empty() {
            list.push('_');
            list.push_str(&hex_list(&schemes));
        }
    }
    text.push_str(&truncated_sha256(&list));
    text
}

/// The first and last character of the first protocol; hexadecimal where one is not alphanumeric.
fn alpn_ends(hello: &ClientHello) -> (char, char) {
    let Some(protocol) = hello.alpn.first() else { return ('0', '0') };
    let (Some(first), Some(last)) = (protocol.first(), protocol.last()) else { return ('0', '0') };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return (char::from(*first), char::from(*last));
    }
    (digit(u16::from(first >> 4)), digit(u16::from(last & 0x0f)))
}

fn push_joined(text: &mut String, values: impl Iterator<Item = u16>) {
    text.push(',');
    let mut separator = "";
    for value in values.filter(|value| !is_grease(*value)) {
        text.push_str(separator);
        push_decimal(text, value);
        separator = "-";
    }
}

/// Digit by digit: every connection pays for some forty numbers, and formatting costs ten times as much.
fn push_decimal(text: &mut String, value: u16) {
    let mut power = 10_000;
    while power > 1 && value < power {
        power /= 10;
    }
    while power > 0 {
        text.push(digit(value / power % 10));
        power /= 10;
    }
}

fn digit(value: u16) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

fn push_hex(text: &mut String, byte: u8) {
    text.push(digit(u16::from(byte >> 4)));
    text.push(digit(u16::from(byte & 0x0f)));
}

fn hex_list(values: &[u16]) -> String {
    let mut text = String::with_capacity(values.len() * 5);
    for value in values {
        if !text.is_empty() {
            text.push(',');
        }
        value.to_be_bytes().into_iter().for_each(|byte| push_hex(&mut text, byte));
    }
    text
}

fn truncated_sha256(text: &str) -> String {
    if text.is_empty() {
        return "000000000000".to_owned();
    }
    hex(&Sha256::digest(text), 6)
}

fn hex(digest: &[u8], bytes: usize) -> String {
    let mut text = String::with_capacity(bytes * 2);
    digest.iter().take(bytes).for_each(|byte| push_hex(&mut text, *byte));
    text
}

#[cfg(test)]
mod tests {
    use policies::{CipherSuite, Group, SignatureScheme, TlsVersion};

    use super::*;
    use crate::client_hello::message::Format;

    fn chrome() -> ClientHello {
        // The worked example of JA4's own technical description.
        ClientHello {
            legacy_version: TlsVersion(0x0303),
            supported_versions: vec![TlsVersion(0x2a2a), TlsVersion(0x0304), TlsVersion(0x0303)],
            suites: [
                0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
                0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
            ]
            .map(CipherSuite)
            .to_vec(),
            extensions: vec![
                0x1a1a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023,
                0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015,
            ],
            server_name: Some("example.com".into()),
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            groups: [0x1a1a, 0x001d, 0x0017, 0x0018].map(Group).to_vec(),
            point_formats: vec![0],
            signature_algorithms: Some(
                [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]
                    .map(SignatureScheme)
                    .to_vec(),
            ),
            format: Format::Tls,
        }
    }

    #[test]
    fn ja4_agrees_with_the_published_vector() {
        assert_eq!(ja4(&chrome()), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn ja3_agrees_with_the_published_vector() {
        // The example of JA3's own description: 769,47–53–5–10–49161–49162–49171–49172–50–56–19–4,0–10–11,23–24–25,0
        let hello = ClientHello {
            legacy_version: TlsVersion(769),
            supported_versions: Vec::new(),
            suites: [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4].map(CipherSuite).to_vec(),
            extensions: vec![0, 10, 11],
            server_name: None,
            alpn: Vec::new(),
            groups: [23, 24, 25].map(Group).to_vec(),
            point_formats: vec![0],
            signature_algorithms: None,
            format: Format::Tls,
        };
        assert_eq!(ja3(&hello), "ada70206e40642a3e4461f35503241d5");
    }

    #[test]
    fn numbers_are_written_as_formatting_would() {
        for value in (0..=u16::MAX).step_by(7).chain([9, 10, 99, 100, 999, 1000, 9999, 10_000, u16::MAX]) {
            let mut text = String::new();
            push_decimal(&mut text, value);
            assert_eq!(text, value.to_string());
            assert_eq!(hex_list(&[value, 1]), format!("{value:04x},0001"));
        }
    }

    #[test]
    fn ja4_of_a_hello_without_extensions_has_zeroes() {
        let hello = ClientHello {
            supported_versions: Vec::new(),
            extensions: Vec::new(),
            alpn: Vec::new(),
            signature_algorithms: None,
            legacy_version: TlsVersion(0x0301),
            suites: vec![CipherSuite(0x002f)],
            ..chrome()
        };
        assert!(ja4(&hello).starts_with("t10i010000_"), "{}", ja4(&hello));
        assert!(ja4(&hello).ends_with("_000000000000"), "{}", ja4(&hello));
    }
}
