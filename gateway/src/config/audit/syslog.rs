//! `[[audit.sink]]` with `kind = "syslog"`.

use std::sync::Arc;

use policies::document::{Located, Table};
use rustls_pki_types::{CertificateDer, ServerName};
use sha2::{Digest as _, Sha256};

use super::read_name;
use crate::audit::{Destination, Facility, Message, SyslogConfig, SyslogFormat, SyslogHeader, SyslogTls};
use crate::backend::BackendTls;
use crate::config::certificates::{self, Causes};
use crate::config::credentials::{self, ServerCredentials};
use crate::config::files::Files;

const EXAMPLES: &str = "one of: udp:HOST:PORT, tcp:HOST:PORT, tls:HOST:PORT, unix:/dev/log";
/// What every receiver takes, RFC 5424 §6.1, and the longest datagram there is.
const LENGTHS: std::ops::RangeInclusive<u64> = 480..=65_000;
/// What receivers should take, RFC 5424 §6.1.
const LENGTH: u64 = 2048;

pub(super) fn read(table: &Table<'_, '_>, files: &Files<'_, '_>, gateway: &str) -> Option<SyslogConfig> {
    let facilities: Vec<_> = Facility::ALL.iter().map(|facility| (facility.as_str(), *facility)).collect();
    let formats: Vec<_> = SyslogFormat::ALL.iter().map(|format| (format.as_str(), *format)).collect();
    let headers: Vec<_> = SyslogHeader::ALL.iter().map(|header| (header.as_str(), *header)).collect();
    let header = table.optional_word("header", &headers);
    let to = table.string("to");
    let local = to.as_ref().is_some_and(|to| to.value.starts_with("unix:"));
    if let Some(header) = header.as_ref().filter(|header| header.value == SyslogHeader::Local && !local) {
        files.document().error(&header.place, "only a unix: socket takes this header");
    }
    // What the usual receivers behind /dev/log understand, and what all others do.
    let usual = if local { SyslogHeader::Local } else { SyslogHeader::Rfc5424 };
    let message = Message {
        header: header.map_or(usual, |header| header.value),
        facility: table.optional_word("facility", &facilities).map_or(Facility::Local0, |found| found.value),
        app_name: read_name(table, "app-name").unwrap_or_else(|| "provision-gateway".to_owned()),
        host_name: gateway.to_owned(),
        format: table.optional_word("format", &formats).map_or(SyslogFormat::Json, |found| found.value),
        structured_id: read_structured_id(table).unwrap_or_else(|| "audit@32473".to_owned()),
    };
    let to = read_destination(table, files, &to?)?;
    Some(SyslogConfig { to, message })
}

/// RFC 5424 §6.3.2.
fn read_structured_id(table: &Table<'_, '_>) -> Option<String> {
    let id = table.optional_string("structured-id")?;
    let name = |text: &str| {
        (1..=32).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"'))
    };
    let number = id.value.split_once('@').map(|(_, number)| number);
    let numbered = number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    if name(&id.value) && numbered {
        return Some(id.value);
    }
    let hint = "NAME@NUMBER, with your private enterprise number, such as \"audit@32473\"";
    table.document().error_with_hint(&id.place, "this is no name of structured data", hint);
    None
}

fn read_destination(
    table: &Table<'_, '_>,
    files: &Files<'_, '_>,
    to: &Located<String>,
) -> Option<Destination> {
    let (scheme, rest) = to.value.split_once(':').unwrap_or((to.value.as_str(), ""));
    for (key, schemes) in [
        ("max-message", "udp"),
        ("ca", "tls"),
        ("certificate", "tls"),
        ("private-key", "tls"),
        ("private-key-passphrase-file", "tls"),
        ("server-name", "tls"),
    ] {
        if scheme != schemes && table.has(key) {
            let message = format!("this key is for {schemes}: only");
            table.document().error(&table.place_of(key), message);
        }
    }
    match scheme {
        "unix" if rest.strip_prefix("//").unwrap_or(rest).starts_with('/') => {
            Some(Destination::Local(rest.strip_prefix("//").unwrap_or(rest).into()))
        }
        "unix" => {
            let message = format!(
                "\"{}\" is no syslog receiver: the socket's whole path is needed",
                to.value.escape_debug()
            );
            files.document().error_with_hint(&to.place, message, "unix:/dev/log");
            None
        }
        "udp" => {
            let most = table.optional_size("max-message", LENGTHS).map_or(LENGTH, |found| found.value);
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            Some(Destination::Udp(address(rest, "514", to, files)?.1, most))
        }
        "tcp" => Some(Destination::Tcp(address(rest, "514", to, files)?.1)),
        // RFC 5425 §4.1.
        "tls" => {
            let (host, address) = address(rest, "6514", to, files)?;
            Some(Destination::Tls(address, read_tls(table, files, to, &host)?))
        }
        _ => {
            let message = format!("\"{}\" is no syslog receiver", to.value.escape_debug());
            files.document().error_with_hint(&to.place, message, EXAMPLES);
            None
        }
    }
}

/// Host, and host with port.
fn address(
    rest: &str,
    default_port: &str,
    to: &Located<String>,
    files: &Files<'_, '_>,
) -> Option<(String, String)> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let authority = rest.parse::<http::uri::Authority>().ok();
    let sound = authority.filter(|authority| !authority.host().is_empty() && !rest.contains('@'));
    let Some(authority) = sound else {
        let message = format!("\"{}\" is no host with a port", rest.escape_debug());
        files.document().error_with_hint(&to.place, message, EXAMPLES);
        return None;
    };
    let host = authority.host();
    let port = authority.port().map_or_else(|| default_port.to_owned(), |port| port.as_str().to_owned());
    Some((host.trim_matches(['[', ']']).to_owned(), format!("{host}:{port}")))
}

fn read_tls(
    table: &Table<'_, '_>,
    files: &Files<'_, '_>,
    to: &Located<String>,
    host: &str,
) -> Option<SyslogTls> {
    let has_client = table.has("certificate") || table.has("private-key");
    let client =
        if has_client { Some(ServerCredentials::read(table, files, credentials::HOST)?) } else { None };
    let name = table.optional_string("server-name");
    let name = name.unwrap_or_else(|| Located { value: host.to_owned(), place: to.place.clone() });
    let Some(ca) = table.optional_string("ca") else {
        let hint = "ca = FILE names the authorities that may have issued the receiver's certificate";
        files.document().error_with_hint(&to.place, "a tls: receiver needs `ca`", hint);
        return None;
    };
    let Ok(server) = ServerName::try_from(name.value.clone()) else {
        files.document().error(&name.place, "this is no name a certificate can have");
        return None;
    };
    let anchors = certificates::read(files, "syslog CA file", &ca)?;
    let der = |certificate: &certs::Certificate| CertificateDer::from(certificate.der().to_vec());
    let mut identity = Sha256::new();
    for certificate in anchors.iter().chain(client.iter().flat_map(|client| &client.chain)) {
        identity.update(certificate.der());
    }
    let client = client.map(|pair| (pair.chain.iter().map(der).collect(), pair.key.clone_key()));
    match BackendTls::new(anchors.iter().map(der), client) {
        Ok(tls) => Some(SyslogTls {
            name: server,
            config: Arc::clone(&tls.config()),
            identity: identity.finalize().into(),
        }),
        Err(error) => {
            files.document().error(&ca.place, Causes(&error).to_string());
            None
        }
    }
}
