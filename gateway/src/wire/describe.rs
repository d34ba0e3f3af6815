//! What was said, in names and values for a person and for programs.

use std::fmt::Display;

use certs::{DistinguishedName, Timestamp};
use policies::{Group, SignatureScheme};

use super::certificate::CertificateFacts;
use super::decoder::{Item, What};
use super::message::{
    CertificateRequest, ClientHelloFields, Extension, Message, ServerHello, ServerKeyExchange,
};
use super::names;
use super::record::content;
use crate::client_hello::{Format, fingerprint};

/// A name and its value.
pub type Line = (&'static str, String);

/// More of a list than a person reads is counted.
const MOST: usize = 96;

/// What an item is, in a few words.
#[must_use]
pub fn title(item: &Item) -> String {
    match &item.what {
        What::Alert { level: 1, description } => format!("Alert, warning: {}", names::alert(*description)),
        What::Alert { description, .. } => format!("Alert: {}", names::alert(*description)),
        What::ApplicationData(size) => format!("application data, {}", bytes(*size)),
        What::ChangeCipherSpec => "ChangeCipherSpec".to_owned(),
        What::CutShort(size) => format!("the end, in the middle of a message ({} of it came)", bytes(*size)),
        What::Handshake { message, size } => format!("{}, {}", message.name(), bytes(*size)),
        What::NotTls(size) => format!("{} that are no TLS", bytes(*size)),
        What::Sealed { content: content::HANDSHAKE, size } => {
            format!("an encrypted handshake message, {}", bytes(*size))
        }
        What::Sealed { content: content::ALERT, size } => format!("an encrypted alert, {}", bytes(*size)),
        What::SealedFinished(size) => format!("Finished, encrypted, {}", bytes(*size)),
        What::Sealed { size, .. } => format!("a record that cannot be opened, {}", bytes(*size)),
    }
}

/// What stands in it, line by line, certificates judged as of `now`.
#[must_use]
pub fn lines(item: &Item, now: Timestamp) -> Vec<Line> {
    match &item.what {
        What::Alert { description, .. } => vec![("meaning", names::alert_meaning(*description).to_owned())],
        What::Handshake { message, .. } => {
            let mut lines = of_message(message, now);
            if let (Message::ClientHello(_), Some(version)) = (message, item.record) {
                lines.insert(0, ("record version", version.to_string()));
            }
            lines
        }
        What::ApplicationData(_)
        | What::ChangeCipherSpec
        | What::CutShort(_)
        | What::NotTls(_)
        | What::Sealed { .. }
        | What::SealedFinished(_) => Vec::new(),
    }
}

fn of_message(message: &Message, now: Timestamp) -> Vec<Line> {
    match message {
        Message::Certificate(chain) => certificates(chain, now),
        Message::CertificateRequest(request) => of_request(request),
        Message::CertificateVerify { scheme, signature } => {
            vec![("signed with", signed_with(*scheme)), ("signature", bytes(*signature))]
        }
        Message::ClientHello(fields) => of_client_hello(fields),
        Message::EncryptedExtensions(extensions) if extensions.is_empty() => Vec::new(),
        Message::EncryptedExtensions(extensions) => vec![("extensions", extension_list(extensions))],
        Message::Malformed { why, .. } => vec![("malformed", why.clone())],
        Message::NewSessionTicket { lifetime, size } => {
            vec![("ticket", format!("{}, good for {lifetime} seconds", bytes(*size)))]
        }
        Message::Other { kind, .. } => vec![("type", kind.to_string())],
        Message::ServerHello(hello) => of_server_hello(hello),
        Message::ServerKeyExchange(exchange) => of_key_exchange(exchange),
        Message::CertificateStatus(_)
        | Message::ClientKeyExchange(_)
        | Message::Finished(_)
        | Message::HelloRequest
        | Message::KeyUpdate
        | Message::ServerHelloDone => Vec::new(),
    }
}

fn of_client_hello(fields: &ClientHelloFields) -> Vec<Line> {
    let ClientHelloFields { hello, random, session_id, compression, extensions } = fields;
    let mut lines = Vec::new();
    if hello.format == Format::Sslv2 {
        lines.push(("format", "as SSLv2 has it, of stacks before 2010".to_owned()));
    }
    lines.push(("version", hello.legacy_version.to_string()));
    if !hello.supported_versions.is_empty() {
        lines.push(("versions", list(&hello.supported_versions)));
    }
    lines.push(("random", hex(random)));
    lines.push(("session ID", if session_id.is_empty() { "none".to_owned() } else { hex(session_id) }));
    lines.push(("cipher suites", list(&hello.suites)));
    if !compression.iter().all(|method| *method == 0) {
        lines.push(("compression", hex(compression)));
    }
    let name = match &hello.server_name {
        Some(name) => name.to_string(),
        None => "none".to_owned(),
    };
    lines.push(("server name", name));
    if !hello.groups.is_empty() {
        lines.push(("groups", list(&hello.groups)));
    }
    let shares = key_shares(extensions);
    if !shares.is_empty() {
        lines.push(("key shares", list(&shares)));
    }
    match &hello.signature_algorithms {
        Some(schemes) => lines.push(("signatures", list(schemes))),
        None if hello.format == Format::Tls => {
            lines.push(("signatures", "no signature_algorithms".to_owned()));
        }
        None => {}
    }
    if !hello.alpn.is_empty() {
        let names: Vec<_> =
            hello.alpn.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        lines.push(("ALPN", list(&names)));
    }
    if extensions.is_empty() {
        lines.push(("extensions", "none".to_owned()));
    } else {
        lines.push(("extensions", extension_list(extensions)));
    }
    lines.push(("JA4", fingerprint::ja4(hello)));
    lines
}

/// The groups of a key_share extension of a client (RFC 8446 §4.2.8).
fn key_shares(extensions: &[Extension]) -> Vec<Group> {
    let Some((_, data)) = extensions.iter().find(|(number, _)| *number == 51) else { return Vec::new() };
    let mut rest = data.get(2..).unwrap_or_default();
    let mut groups = Vec::new();
    while let Some((&[group_high, group_low, high, low], behind)) = rest.split_first_chunk::<4>() {
        groups.push(Group(u16::from_be_bytes([group_high, group_low])));
        rest = behind.get(usize::from(u16::from_be_bytes([high, low]))..).unwrap_or_default();
    }
    groups
}

fn of_server_hello(hello: &ServerHello) -> Vec<Line> {
    let ServerHello { version, random, session_id, suite, compression, extensions, retry: _ } = hello;
    let mut lines = vec![
        ("version", version.to_string()),
        ("random", hex(random)),
        ("session ID", if session_id.is_empty() { "none".to_owned() } else { hex(session_id) }),
        ("cipher suite", suite.to_string()),
    ];
    if *compression != 0 {
        lines.push(("compression", compression.to_string()));
    }
    let share = extensions.iter().find(|(number, _)| *number == 51).map(|(_, data)| data.as_slice());
    if let Some([high, low, ..]) = share {
        lines.push(("group", Group(u16::from_be_bytes([*high, *low])).to_string()));
    }
    if !extensions.is_empty() {
        lines.push(("extensions", extension_list(extensions)));
    }
    lines
}

fn of_request(request: &CertificateRequest) -> Vec<Line> {
    let CertificateRequest { types, schemes, authorities, authorities_size } = request;
    let mut lines = Vec::new();
    if !types.is_empty() {
        let types: Vec<_> = types.iter().map(|kind| names::certificate_type(*kind)).collect();
        lines.push(("kinds", list(&types)));
    }
    if !schemes.is_empty() {
        lines.push(("signatures", list(schemes)));
    }
    lines.push(("authorities", format!("{}, {}", authorities.len(), bytes(*authorities_size))));
    lines.extend(authorities.iter().take(MOST).map(|name| ("authority", authority(name))));
    if authorities.len() > MOST {
        lines.push(("", format!("… {} more", authorities.len() - MOST)));
    }
    lines
}

/// An authority's name, from its DER.
#[must_use]
pub fn authority(der: &[u8]) -> String {
    match DistinguishedName::parse(der) {
        Ok(name) if name.is_empty() => "the empty name".to_owned(),
        Ok(name) => name.to_rfc4514(),
        Err(error) => format!("{} that are no name: {error}", bytes(der.len())),
    }
}

fn of_key_exchange(exchange: &ServerKeyExchange) -> Vec<Line> {
    let ServerKeyExchange { group, dh_bits, scheme, size: _ } = exchange;
    let mut lines = Vec::new();
    if let Some(group) = group {
        lines.push(("group", group.to_string()));
    }
    if let Some(bits) = dh_bits {
        lines.push(("prime", format!("{bits} bits")));
    }
    if group.is_some() || dh_bits.is_some() {
        lines.push(("signed with", signed_with(*scheme)));
    }
    lines
}

/// The facts of each certificate of a chain.
fn certificates(chain: &[Vec<u8>], now: Timestamp) -> Vec<Line> {
    if chain.is_empty() {
        return vec![("certificates", "none".to_owned())];
    }
    let mut lines = Vec::new();
    for (depth, der) in chain.iter().enumerate() {
        lines.push(("certificate", depth.to_string()));
        lines.extend(CertificateFacts::of(der, now).lines());
    }
    lines
}

/// A signature's algorithm; before TLS 1.2 there was no choice (RFC 4346 §7.4.3).
fn signed_with(scheme: Option<SignatureScheme>) -> String {
    match scheme {
        Some(scheme) => scheme.to_string(),
        None => "MD5 and SHA-1 together with RSA, or SHA-1 with another key, as before TLS 1.2".to_owned(),
    }
}

fn extension_list(extensions: &[Extension]) -> String {
    let named: Vec<String> = extensions
        .iter()
        .map(|(number, data)| match data.len() {
            0 => names::extension(*number),
            size => format!("{} ({size})", names::extension(*number)),
        })
        .collect();
    list(&named)
}

/// At most [`MOST`] of them, with how many more there are.
fn list<T: Display>(values: &[T]) -> String {
    let shown: Vec<String> = values.iter().take(MOST).map(ToString::to_string).collect();
    let more = values.len().saturating_sub(MOST);
    match more {
        0 => shown.join(", "),
        more => format!("{}, … {more} more", shown.join(", ")),
    }
}

/// Bytes in words.
#[must_use]
pub fn bytes(count: usize) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
