//! `[[host]]`: one name under which phones are served.

use std::sync::Arc;

use certs::{Certificate, ChainVerifier, DistinguishedName, KeyUsage, Timestamp, oid};
use policies::{
    Admission, RequestRules,
    document::{Item, Located, Place, Table},
};
use sha2::{Digest as _, Sha256};

use super::{
    Limits, backend, certificates,
    credentials::{self, ServerCredentials},
    files::Files,
    name::HostName,
    trust::{self, Trust, TrustConfig},
};
use crate::{
    backend::BackendConfig,
    rewrite::{HeaderConfig, IssuerFields, Preset, Separator},
};

/// One host: its names, its certificate, whom it trusts and where it forwards to.
#[derive(Debug)]
pub struct HostConfig {
    /// The names it answers to; never empty.
    pub names: Vec<HostName>,
    /// Its certificates with their keys; never empty. More than one when it has keys of several kinds.
    pub credentials: Vec<ServerCredentials>,
    /// Whether a phone without certificate gets as far as the rules.
    pub client_auth: ClientAuth,
    /// Where permitted requests go.
    pub backend: BackendConfig,
    /// What the backend is told of the phone.
    pub headers: HeaderConfig,
    /// Who may ask for what.
    pub rules: Arc<RequestRules>,
    /// Verifies chains.
    pub verifier: Arc<ChainVerifier>,
    /// Tells who a verified chain is.
    pub admission: Arc<Admission>,
    /// The trust entries as configured, in the verifier's order.
    pub trust: Vec<TrustConfig>,
    /// The authorities named to clients in the handshake; empty names none.
    pub ca_names: Vec<DistinguishedName>,
    /// A hash over names, client authentication and anchors: while it and the listener's TLS policy stay, sessions resume.
    pub fingerprint: [u8; 32],
    first_name: Arc<str>,
}

/// Whether phones must present a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are asked; one that is presented must be good, and without one the rules for `anonymous` apply.
    Optional,
    /// The handshake fails without one.
    Required,
}

impl ClientAuth {
    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

impl HostConfig {
    /// The first name, for records and messages.
    #[must_use]
    pub const fn first_name(&self) -> &Arc<str> {
        &self.first_name
    }

    /// Reads one `[[host]]`.
    pub(super) fn read(
        table: &Table<'_, '_>,
        files: &Files<'_, '_>,
        limits: &Limits,
        now: Timestamp,
    ) -> Option<(Self, Vec<Located<HostName>>)> {
        let names = read_names(table);
        let credentials = read_credentials(table, files);
        let auth_words = [ClientAuth::Required, ClientAuth::Optional].map(|choice| (choice.as_str(), choice));
        let client_auth = table.word("client-auth", &auth_words).map(|found| found.value);
        let backend = backend::read(table, files, limits.backend);
        let headers = read_headers(table);
        let rules = table.string("rules").and_then(|text| {
            let (shipped, parse) = (RequestRules::shipped, RequestRules::parse);
            files.shipped_or_file(&text, "rule set", RequestRules::shipped_names(), shipped, parse)
        });
        let trust = read_trust(table, files, now);
        let ca_names = read_ca_names(table, files, trust.as_deref().unwrap_or_default());

        let (names, credentials, client_auth, backend) = (names?, credentials?, client_auth?, backend?);
        let (headers, rules, trust, ca_names) = (headers?, rules?, trust?, ca_names?);
        for pair in &credentials {
            check_certificate(table, pair, &names, now);
        }
        let (mut configs, mut entries, mut admissions) = (Vec::new(), Vec::new(), Vec::new());
        for Trust { config, entry, admission } in trust {
            configs.push(config);
            entries.push(entry);
            admissions.push(admission);
        }
        let verifier = match ChainVerifier::new(entries) {
            Ok(verifier) => Arc::new(verifier),
            Err(error) => {
                table.document().error(&table.place_of("trust"), certificates::Causes(&error).to_string());
                return None;
            }
        };
        let first_name = names.first().map(|name| name.value.to_text())?;
        let host = Self {
            fingerprint: fingerprint(&names, client_auth, &configs),
            names: names.iter().map(|name| name.value.clone()).collect(),
            credentials,
            client_auth,
            backend,
            headers,
            rules: Arc::new(rules),
            verifier,
            admission: Arc::new(Admission::new(admissions)),
            trust: configs,
            ca_names,
            first_name,
        };
        Some((host, names))
    }
}

fn read_names(table: &Table<'_, '_>) -> Option<Vec<Located<HostName>>> {
    let written = table.strings("names")?;
    let names: Vec<_> = written
        .into_iter()
        .map(|text| match HostName::parse(&text.value) {
            Ok(name) => Some(Located { value: name, place: text.place }),
            Err(error) => {
                let message = format!("\"{}\" {error}", text.value.escape_debug());
                let hint =
                    "a name such as \"prov.example.com\", \"*.example.com\", or \"*\" for any name and none";
                table.document().error_with_hint(&text.place, message, hint);
                None
            }
        })
        .collect();
    names.into_iter().collect()
}

/// The host's own pair, and any `[[host.further-certificate]]` (an EC key beside an RSA one).
fn read_credentials(table: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<Vec<ServerCredentials>> {
    let mut pairs = vec![ServerCredentials::read(table, files, credentials::HOST)];
    for further in table.tables("further-certificate") {
        pairs.push(ServerCredentials::read(&further, files, credentials::HOST));
    }
    pairs.into_iter().collect()
}

fn read_headers(table: &Table<'_, '_>) -> Option<HeaderConfig> {
    let presets = match table.optional_strings("headers") {
        Some(written) => {
            let words = Preset::ALL.map(Preset::as_str);
            let read = |word: &Located<String>| {
                let preset = Preset::ALL.into_iter().find(|preset| preset.as_str() == word.value);
                if preset.is_none() {
                    table.unknown_word(word, "header preset", words);
                }
                preset
            };
            let presets: Vec<_> = written.iter().map(read).collect();
            presets.into_iter().collect::<Option<Vec<_>>>()?
        }
        None if table.has("headers") => return None,
        None => Vec::new(),
    };
    let issuer_words = [("guide", IssuerFields::Guide), ("mod_ssl", IssuerFields::ModSsl)];
    let issuer_fields = table.optional_word("issuer-fields", &issuer_words);
    let separator =
        table.optional_word("header-separator", &[("-", Separator::Dash), ("_", Separator::Underscore)]);
    let certificate = table.optional_boolean("header-certificate");
    if (issuer_fields.is_none() && table.has("issuer-fields"))
        || (separator.is_none() && table.has("header-separator"))
    {
        return None;
    }
    if let Some(issuer_fields) = &issuer_fields
        && !presets.contains(&Preset::Guide)
    {
        let message = "only the `guide` headers have issuer fields";
        table.document().error_with_hint(&issuer_fields.place, message, "headers = [\"guide\"]");
        return None;
    }
    Some(HeaderConfig {
        presets,
        issuer_fields: issuer_fields.map_or(IssuerFields::Guide, |found| found.value),
        separator: separator.map_or(Separator::Dash, |found| found.value),
        certificate: certificate.is_some_and(|found| found.value),
    })
}

fn read_trust(table: &Table<'_, '_>, files: &Files<'_, '_>, now: Timestamp) -> Option<Vec<Trust>> {
    let tables = table.tables("trust");
    if tables.is_empty() {
        if !table.has("trust") {
            let hint = "a [[host.trust]] with `anchors` and `identity` says whose phones are let in";
            table.document().error_with_hint(table.place(), "this host trusts nobody", hint);
        }
        return None;
    }
    let read: Vec<_> = tables.iter().map(|table| trust::read(table, files, now)).collect();
    let entries = read.into_iter().collect::<Option<Vec<_>>>()?;
    let mut seen: Vec<(&Certificate, &Place)> = Vec::new();
    let mut sound = true;
    for entry in &entries {
        for anchor in &entry.config.anchors {
            let same = |(other, place): &&(&Certificate, &Place)| {
                *place != &entry.config.place
                    && other.subject().equals(anchor.subject())
                    && other.public_key() == anchor.public_key()
            };
            if let Some((_, place)) = seen.iter().find(same) {
                sound = false;
                let message = format!(
                    "anchor {} stands in the trust entry of line {} too",
                    anchor.subject().to_rfc4514(),
                    place.line
                );
                let hint = "one anchor belongs to one entry; its `identity` may list several profiles";
                table.document().error_with_hint(&entry.config.place, message, hint);
            }
            seen.push((anchor, &entry.config.place));
        }
    }
    sound.then_some(entries)
}

/// A CertificateRequest above this may not fit a phone's memory; `check` says so.
const MANY_CA_NAMES: usize = 4 * 1024;
/// The length field has two bytes (RFC 8446 §4.2.4).
const TOO_MANY_CA_NAMES: usize = 65_535;

/// `ca-names`: `all` (the default), `none`, or a list of certificate files whose subjects are named (SEC-53).
fn read_ca_names(
    table: &Table<'_, '_>,
    files: &Files<'_, '_>,
    trust: &[Trust],
) -> Option<Vec<DistinguishedName>> {
    let subjects = |certificates: &[Certificate]| {
        let mut names: Vec<DistinguishedName> = Vec::new();
        for certificate in certificates {
            if !names.contains(certificate.subject()) {
                names.push(certificate.subject().clone());
            }
        }
        names
    };
    let anchors = || trust.iter().flat_map(|trust| &trust.config.anchors).cloned().collect::<Vec<_>>();
    let names = match table.optional_item("ca-names") {
        None => subjects(&anchors()),
        Some(Item::String(word)) => match word.value.as_str() {
            "all" => subjects(&anchors()),
            "none" => Vec::new(),
            _ => {
                table.unknown_word(&word, "choice", ["all", "none"]);
                return None;
            }
        },
        Some(Item::Table(_) | Item::Other(_)) => {
            let files_named = table.optional_strings("ca-names")?;
            if files_named.is_empty() {
                let hint = "ca-names = \"none\" names no authority";
                table.document().error_with_hint(&table.place_of("ca-names"), "the list is empty", hint);
                return None;
            }
            let read = |path: &Located<String>| certificates::read(files, "certificate file", path);
            let read: Vec<_> = files_named.iter().map(read).collect();
            subjects(&read.into_iter().collect::<Option<Vec<_>>>()?.concat())
        }
    };
    let size: usize = names.iter().map(|name| name.der().len() + 2).sum();
    let place = table.place_of("ca-names");
    let hint = "ca-names = \"none\", or a list of files with the few that phones need to see";
    if size > TOO_MANY_CA_NAMES {
        let message = format!(
            "the names of {} authorities take {size} bytes; a handshake has room for 65535",
            names.len()
        );
        table.document().error_with_hint(&place, message, hint);
        return None;
    }
    if size > MANY_CA_NAMES {
        let message = format!("the names of {} authorities in each handshake take {size} bytes", names.len());
        table.document().warning(&place, message, Some(hint.to_owned()));
    }
    Some(names)
}

const SOON: i64 = 30 * 86_400;

/// Warns of a server certificate that phones will not accept, or not for long.
fn check_certificate(
    table: &Table<'_, '_>,
    pair: &ServerCredentials,
    names: &[Located<HostName>],
    now: Timestamp,
) {
    let Some(leaf) = pair.leaf() else { return };
    let place = table.place_of("certificate");
    let warn = |message: String, hint: Option<&str>| {
        let message = format!("certificate {}: {message}", pair.file.display());
        table.document().warning(&place, message, hint.map(str::to_owned));
    };
    let validity = leaf.validity();
    if validity.not_before > now {
        warn(format!("not valid before {}", validity.not_before), None);
    } else if validity.not_after < now {
        warn(format!("expired {}", validity.not_after), Some("phones refuse it"));
    } else if validity.not_after < now.plus_seconds(SOON) {
        let days = (validity.not_after.unix() - now.unix()) / 86_400;
        warn(format!("expires in {days} days, {}", validity.not_after), None);
    }
    if let Some(usage) = leaf.key_usage()
        && !usage.allows(KeyUsage::DIGITAL_SIGNATURE)
    {
        warn(
            "its key usage lacks digitalSignature".to_owned(),
            Some("TLS 1.2 and 1.3 cannot be served with it"),
        );
    }
    if let Some(usage) = leaf.extended_key_usage()
        && !usage.allows(&oid::SERVER_AUTH)
    {
        warn("its extended key usage lacks serverAuth".to_owned(), Some("phones refuse it as a server's"));
    }
    if leaf.basic_constraints().is_some_and(|constraints| constraints.ca) {
        warn("it is a certificate authority's own".to_owned(), Some("phones refuse it as a server's"));
    }
    let certified = certified_names(leaf);
    if certified.iter().any(|name| name.starts_with("*.")) {
        warn("it has a wildcard name".to_owned(), Some("many phones accept no wildcards"));
    }
    for name in names {
        let covered = match &name.value {
            HostName::Any => true,
            HostName::Exact(name) => certified.iter().any(|certified| covers(certified, name)),
            HostName::Wildcard(rest) => {
                certified.iter().any(|certified| certified.strip_prefix("*.") == Some(rest))
            }
        };
        if !covered {
            let listed = if certified.is_empty() { "none".to_owned() } else { certified.join(", ") };
            warn(
                format!("it is not for {}; its names are: {listed}", name.value),
                Some("phones refuse it under that name"),
            );
        }
    }
}

/// The DNS names of the certificate, or its common name when it has no alternative names; in lower case. Text after a `/` in a
/// common name is ignored, as the phones do.
fn certified_names(leaf: &Certificate) -> Vec<String> {
    if let Some(names) = leaf.subject_alternative_names() {
        return names.dns_names().map(str::to_ascii_lowercase).collect();
    }
    let common_names = leaf.subject().values_of(&oid::COMMON_NAME).filter_map(|name| name.text().ok());
    common_names.map(|name| name.split('/').next().unwrap_or_default().to_ascii_lowercase()).collect()
}

fn covers(certified: &str, name: &str) -> bool {
    match certified.strip_prefix("*.") {
        Some(parent) => name.split_once('.').is_some_and(|(_, rest)| rest == parent),
        None => certified == name,
    }
}

fn fingerprint(names: &[Located<HostName>], client_auth: ClientAuth, trust: &[TrustConfig]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        // The length keeps two lists from running into each other.
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    };
    let mut names: Vec<_> = names.iter().map(|name| name.value.to_text()).collect();
    names.sort();
    for name in names {
        add(name.as_bytes());
    }
    add(b"client-auth");
    add(client_auth.as_str().as_bytes());
    for entry in trust {
        add(b"trust");
        let mut anchors: Vec<_> = entry.anchors.iter().map(Certificate::der).collect();
        anchors.sort_unstable();
        for anchor in anchors {
            add(anchor);
        }
    }
    hash.finalize().into()
}
