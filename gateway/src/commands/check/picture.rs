//! What a configuration comes to, as data.

use std::path::Path;
use std::time::Duration;

use certs::{Certificate, OnExpired, OnUnknown, Revocation, Timestamp, Tolerances};
use policies::{
    document::{Diagnostic, Severity},
    requests::Mode,
};
use serde::Serialize;

use super::beside::{Admin, PhoneSyslog};
use crate::{
    audit::Rotation,
    backend::BackendTarget,
    config::{
        Config, HostConfig, ListenerConfig, LoadedList, ServerCredentials, SinkConfig, SinkKind, TrustConfig,
    },
    rewrite::{IssuerFields, Preset, Separator},
};

/// A configuration's effect.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    pub(super) file: String,
    pub(super) sound: bool,
    pub(super) listeners: Vec<Listener>,
    pub(super) hosts: Vec<Host>,
    pub(super) serves_without_server_name: bool,
    pub(super) limits: Vec<Limit>,
    pub(super) audit: Vec<Audit>,
    pub(super) admin: Option<Admin>,
    pub(super) phone_syslog: Option<PhoneSyslog>,
    pub(super) warnings: Vec<Note>,
}

#[derive(Debug, Serialize)]
pub(super) struct Listener {
    pub(super) address: String,
    pub(super) tls: String,
    pub(super) versions: Vec<String>,
    pub(super) suites: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) signature_algorithms: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Host {
    pub(super) names: Vec<String>,
    pub(super) certificates: Vec<ServerCertificate>,
    pub(super) client_auth: &'static str,
    pub(super) trust: Vec<Trust>,
    pub(super) ca_names: Vec<String>,
    pub(super) rules: String,
    /// What they say, in lines for a person.
    pub(super) rules_text: Vec<String>,
    pub(super) observe_only: bool,
    pub(super) backend: String,
    pub(super) headers: Vec<&'static str>,
    pub(super) issuer_fields: Option<&'static str>,
    pub(super) header_separator: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct ServerCertificate {
    pub(super) file: String,
    pub(super) key: String,
    pub(super) names: Vec<String>,
    #[serde(flatten)]
    pub(super) certificate: CertificateFacts,
    pub(super) chain: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct CertificateFacts {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) not_after: String,
    pub(super) days_left: i64,
    pub(super) sha256: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Trust {
    pub(super) name: String,
    pub(super) anchors: Vec<CertificateFacts>,
    pub(super) intermediates: Vec<CertificateFacts>,
    pub(super) identity: Vec<String>,
    pub(super) ouis: Vec<String>,
    pub(super) allow: Vec<String>,
    pub(super) until: Option<String>,
    pub(super) require_eku: bool,
    pub(super) revocation: Option<Checked>,
    pub(super) deny: Option<Deny>,
}

/// How revocation is checked; absent when it is not.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    pub(super) crl_unknown: &'static str,
    pub(super) crl_expired: &'static str,
    pub(super) crls: Vec<Crl>,
}

#[derive(Debug, Serialize)]
pub(super) struct Crl {
    pub(super) file: String,
    pub(super) issuer: String,
    pub(super) number: Option<String>,
    pub(super) this_update: String,
    pub(super) next_update: Option<String>,
    pub(super) current: bool,
    pub(super) revoked: usize,
    pub(super) unusable: Option<String>,
    /// Whether it is of one of the entry's authorities.
    pub(super) of_entry: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Deny {
    pub(super) file: String,
    pub(super) entries: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Limit {
    pub(super) key: &'static str,
    pub(super) value: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Audit {
    pub(super) kind: &'static str,
    /// Where it leads; the path of a file.
    pub(super) to: String,
    /// What is kept, and for how long, in words; empty where nothing is said of it.
    pub(super) keeps: String,
    pub(super) queue_bytes: usize,
    pub(super) when_full: &'static str,
}

impl Audit {
    fn of(sink: &SinkConfig) -> Self {
        let (kind, to, keeps) = match &sink.kind {
            SinkKind::Database { url, retention } => {
                ("database", url.to_string(), bounds(&[], retention.keep, retention.keep_size))
            }
            SinkKind::File { path, rotation } => {
                let rotated = rotation.map(|Rotation { size, age, keep, compress }| {
                    let rotated = format!("rotated {}", bounds(&[], age, size).replace("for", "after"));
                    let files = keep.files.map(|files| format!("{files} files"));
                    let kept = bounds(files.as_slice(), keep.age, keep.size);
                    let compressed = if compress { ", compressed" } else { "" };
                    let kept = if kept.is_empty() { kept } else { format!(", kept {kept}") };
                    format!("{rotated}{compressed}{kept}")
                });
                ("file", path.display().to_string(), rotated.unwrap_or_default())
            }
            SinkKind::Stdout => ("stdout", String::new(), String::new()),
            SinkKind::Syslog(config) => ("syslog", config.to.to_string(), String::new()),
        };
        Self { kind, to, keeps, queue_bytes: sink.queue, when_full: sink.when_full.as_str() }
    }
}

fn bounds(first: &[String], age: Option<Duration>, size: Option<u64>) -> String {
    let hours = |age: Duration| match age.as_secs() {
        seconds if seconds % 86_400 == 0 => format!("for {} days", seconds / 86_400),
        seconds => format!("for {} minutes", seconds / 60),
    };
    let size = size.map(|size| format!("up to {} KiB", size / 1024));
    let bounds: Vec<String> = first.iter().cloned().chain(age.map(hours)).chain(size).collect();
    bounds.join(", ")
}

/// A mistake or warning.
#[derive(Debug, Serialize)]
pub(super) struct Note {
    file: String,
    line: usize,
    column: usize,
    key: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// The answer for a configuration with mistakes.
#[derive(Debug, Serialize)]
pub(super) struct Mistakes {
    file: String,
    sound: bool,
    errors: Vec<Note>,
    warnings: Vec<Note>,
}

/// Mistakes and warnings, apart.
pub(super) fn mistakes(file: &Path, found: &[Diagnostic]) -> Mistakes {
    let of = |severity| found.iter().filter(|one| one.severity == severity).map(Note::of).collect();
    Mistakes {
        file: file.display().to_string(),
        sound: false,
        errors: of(Severity::Error),
        warnings: of(Severity::Warning),
    }
}

impl Note {
    fn of(diagnostic: &Diagnostic) -> Self {
        let Diagnostic { file, line, column, key, message, hint, severity: _ } = diagnostic.clone();
        Self { file, line, column, key, message, hint }
    }
}

impl Picture {
    /// The effect of `config` as of `now`.
    pub(super) fn of(config: &Config, now: Timestamp) -> Self {
        Self {
            file: config.source.display().to_string(),
            sound: true,
            listeners: config.listeners.iter().map(Listener::of).collect(),
            hosts: config.hosts.iter().map(|host| Host::of(host, now)).collect(),
            serves_without_server_name: config.names.select(None).is_some(),
            limits: config.limits.entries().into_iter().map(|(key, value)| Limit { key, value }).collect(),
            audit: config.audit.iter().flat_map(|audit| &audit.sinks).map(Audit::of).collect(),
            admin: config.admin.as_deref().map(Admin::of),
            phone_syslog: config.phone_syslog.as_deref().map(PhoneSyslog::of),
            warnings: config.warnings.iter().map(Note::of).collect(),
        }
    }
}

impl Listener {
    fn of(listener: &ListenerConfig) -> Self {
        let ListenerConfig { address, tls } = listener;
        let algorithms = tls.signature_algorithms();
        Self {
            address: address.to_string(),
            tls: tls.name().to_string(),
            versions: tls.versions().iter().map(|version| version.name().into_owned()).collect(),
            suites: tls.suites().iter().map(|suite| suite.name().into_owned()).collect(),
            groups: tls.groups().iter().map(|group| group.name().into_owned()).collect(),
            signature_algorithms: algorithms.iter().map(|scheme| scheme.name().into_owned()).collect(),
        }
    }
}

impl Host {
    fn of(host: &HostConfig, now: Timestamp) -> Self {
        let presets = &host.headers.presets;
        let issuer_fields = match host.headers.issuer_fields {
            IssuerFields::Guide => "guide",
            IssuerFields::ModSsl => "mod_ssl",
        };
        Self {
            names: host.names.iter().map(ToString::to_string).collect(),
            certificates: host
                .credentials
                .iter()
                .filter_map(|pair| ServerCertificate::of(pair, now))
                .collect(),
            client_auth: host.client_auth.as_str(),
            trust: host.trust.iter().map(|entry| Trust::of(entry, now)).collect(),
            ca_names: host.ca_names.iter().map(certs::DistinguishedName::to_rfc4514).collect(),
            rules: host.rules.name().to_string(),
            rules_text: policies::explain::request_rules(&host.rules),
            observe_only: host.rules.mode() == Mode::Observe,
            backend: backend(&host.backend.target),
            headers: presets.iter().map(|preset| preset.as_str()).collect(),
            issuer_fields: presets.contains(&Preset::Guide).then_some(issuer_fields),
            header_separator: match host.headers.separator {
                Separator::Dash => "-",
                Separator::Underscore => "_",
            },
        }
    }
}

/// A backend as the configuration writes it.
pub(in crate::commands) fn backend(target: &BackendTarget) -> String {
    match target {
        BackendTarget::Directory(folder) => format!("directory:{}", folder.display()),
        BackendTarget::Http(authority) => format!("http://{authority}"),
        BackendTarget::Https { authority, tls: _ } => format!("https://{authority}"),
        BackendTarget::Unix(path) => format!("unix:{}", path.display()),
    }
}

impl ServerCertificate {
    fn of(pair: &ServerCredentials, now: Timestamp) -> Option<Self> {
        let leaf = pair.leaf()?;
        let names = leaf.subject_alternative_names();
        Some(Self {
            file: pair.file.display().to_string(),
            key: leaf.public_key().algorithm().to_string(),
            names: names.into_iter().flat_map(|names| names.dns_names()).map(str::to_owned).collect(),
            certificate: CertificateFacts::of(leaf, now),
            chain: pair.chain.iter().skip(1).map(|one| one.subject().to_rfc4514()).collect(),
        })
    }
}

impl CertificateFacts {
    fn of(certificate: &Certificate, now: Timestamp) -> Self {
        let not_after = certificate.validity().not_after;
        Self {
            subject: certificate.subject().to_rfc4514(),
            issuer: certificate.issuer().to_rfc4514(),
            not_after: not_after.to_string(),
            days_left: not_after.unix().saturating_sub(now.unix()).div_euclid(86_400),
            sha256: certificate.fingerprint().to_string(),
        }
    }
}

impl Trust {
    fn of(entry: &TrustConfig, now: Timestamp) -> Self {
        let facts = |certificates: &[Certificate]| {
            certificates.iter().map(|certificate| CertificateFacts::of(certificate, now)).collect()
        };
        let deny = entry.deny.as_ref();
        Self {
            name: entry.name.to_string(),
            anchors: facts(&entry.anchors),
            intermediates: facts(&entry.intermediates),
            identity: entry.identities.iter().map(ToString::to_string).collect(),
            ouis: entry.ouis.iter().map(|[a, b, c]| format!("{a:02x}:{b:02x}:{c:02x}")).collect(),
            allow: allowed(&entry.tolerances),
            until: entry.until.map(|until| until.to_string()),
            require_eku: entry.require_eku,
            revocation: checked(entry, now),
            deny: deny.map(|(file, entries)| Deny { file: file.display().to_string(), entries: *entries }),
        }
    }
}

fn allowed(tolerances: &Tolerances) -> Vec<String> {
    let Tolerances { sha1, md5, rsa_1024, x509_v1, expired, until: _ } = tolerances;
    let mut allowed: Vec<String> =
        [(sha1, "sha1"), (md5, "md5"), (rsa_1024, "rsa-1024"), (x509_v1, "x509-v1")]
            .into_iter()
            .filter(|(set, _)| **set)
            .map(|(_, name)| name.to_owned())
            .collect();
    if let Some(seconds) = expired {
        allowed.push(format!("expired for up to {} days", seconds / 86_400));
    }
    allowed
}

fn checked(entry: &TrustConfig, now: Timestamp) -> Option<Checked> {
    let Revocation::Checked { lists: _, unknown, expired } = &entry.revocation else { return None };
    let authorities = || entry.anchors.iter().chain(&entry.intermediates);
    let crl = |loaded: &LoadedList| {
        let list = &loaded.list;
        Crl {
            file: loaded.file.display().to_string(),
            issuer: list.issuer().to_rfc4514(),
            number: list.number().map(|number| number.to_string()),
            this_update: list.this_update().to_string(),
            next_update: list.next_update().map(|next| next.to_string()),
            current: loaded.is_current(now),
            revoked: list.len(),
            unusable: loaded.unusable.clone(),
            of_entry: authorities().any(|authority| authority.subject().equals(list.issuer())),
        }
    };
    Some(Checked {
        crl_unknown: match unknown {
            OnUnknown::Deny => "deny",
            OnUnknown::Allow => "allow",
        },
        crl_expired: match expired {
            OnExpired::Deny => "deny",
            OnExpired::Allow => "allow",
        },
        crls: entry.lists.iter().flatten().map(crl).collect(),
    })
}
