//! The picture of a configuration, for a person.

use std::io::{self, Write};

use super::beside::{Admin, PhoneSyslog};
use super::picture::{CertificateFacts, Crl, Host, Listener, Picture, ServerCertificate, Trust};
use crate::printer::Printable;

/// Writes the picture.
pub(super) fn write(out: &mut dyn Write, picture: &Picture) -> io::Result<()> {
    for listener in &picture.listeners {
        write_listener(out, listener)?;
    }
    for host in &picture.hosts {
        write_host(out, host)?;
    }
    if !picture.serves_without_server_name {
        writeln!(out, "Phones that send no server name are refused: no host has the name \"*\".")?;
        writeln!(out)?;
    }
    writeln!(out, "Limits")?;
    for limit in &picture.limits {
        writeln!(out, "  {:<26}{}", limit.key, limit.value)?;
    }
    writeln!(out)?;
    writeln!(out, "Audit")?;
    for audit in &picture.audit {
        line(out, 2, audit.kind, &audit.to)?;
        if !audit.keeps.is_empty() {
            line(out, 4, "keeps", &audit.keeps)?;
        }
        let queue = format!("{} KiB; when full: {}", audit.queue_bytes / 1024, audit.when_full);
        line(out, 4, "queue", &queue)?;
    }
    if picture.audit.is_empty() {
        writeln!(out, "  nothing is recorded")?;
    }
    writeln!(out)?;
    if let Some(admin) = &picture.admin {
        write_admin(out, admin)?;
    }
    if let Some(phone_syslog) = &picture.phone_syslog {
        write_phone_syslog(out, phone_syslog)?;
    }
    match picture.warnings.len() {
        0 => writeln!(out, "{}: no mistakes", Printable(&picture.file)),
        1 => writeln!(out, "{}: no mistakes, 1 warning", Printable(&picture.file)),
        count => writeln!(out, "{}: no mistakes, {count} warnings", Printable(&picture.file)),
    }
}

fn write_admin(out: &mut dyn Write, admin: &Admin) -> io::Result<()> {
    let Admin { address, encrypted, names, metrics_open, database } = admin;
    writeln!(out, "Admin {address}")?;
    line(out, 2, "speaks", if *encrypted { "HTTPS" } else { "plain HTTP" })?;
    line(out, 2, "names", &names.join(", "))?;
    line(out, 2, "metrics", if *metrics_open { "open to whoever can connect" } else { "need the token" })?;
    line(out, 2, "pages", database.as_deref().unwrap_or("of no audit database"))?;
    writeln!(out)
}

fn write_phone_syslog(out: &mut dyn Write, phone_syslog: &PhoneSyslog) -> io::Result<()> {
    let PhoneSyslog { address, networks, messages_per_address, messages } = phone_syslog;
    writeln!(out, "Phones' syslog {address}, UDP")?;
    line(out, 2, "networks", &networks.join(", "))?;
    let limits = format!("{messages_per_address} messages a second from one address, {messages} from all");
    line(out, 2, "takes", &limits)?;
    writeln!(out)
}

fn write_listener(out: &mut dyn Write, listener: &Listener) -> io::Result<()> {
    writeln!(out, "Listener {}", listener.address)?;
    line(out, 2, "TLS policy", &listener.tls)?;
    line(out, 2, "versions", &listener.versions.join(", "))?;
    lines(out, 2, "cipher suites", &listener.suites)?;
    line(out, 2, "groups", &listener.groups.join(", "))?;
    lines(out, 2, "signatures", &listener.signature_algorithms)?;
    writeln!(out)
}

fn write_host(out: &mut dyn Write, host: &Host) -> io::Result<()> {
    writeln!(out, "Host {}", host.names.join(", "))?;
    if host.names.iter().any(|name| name == "*") {
        line(out, 2, "also serves", "any other server name, and phones that send none")?;
    }
    for certificate in &host.certificates {
        write_certificate(out, certificate)?;
    }
    let phones = match host.client_auth {
        "required" => "must present a certificate",
        _ => "may come without a certificate; one they present must be good",
    };
    line(out, 2, "phones", phones)?;
    for trust in &host.trust {
        write_trust(out, trust)?;
    }
    match host.ca_names.len() {
        0 => line(out, 2, "CA names", "none are sent in the handshake")?,
        _ => lines(out, 2, "CA names", &host.ca_names)?,
    }
    lines(out, 2, "rules", &host.rules_text)?;
    line(out, 2, "backend", &host.backend)?;
    let headers = match (host.headers.is_empty(), host.issuer_fields) {
        (true, _) => "none that identify the phone".to_owned(),
        (false, None) => host.headers.join(", "),
        (false, Some(whose)) => {
            let whose = if whose == "guide" { "the phone's" } else { "the issuer's" };
            format!("{}; SSL-Client-I-DN-OU, -L and -S are {whose}", host.headers.join(", "))
        }
    };
    line(out, 2, "headers", &headers)?;
    if host.header_separator == "_" {
        line(out, 2, "", "spelled with _, which Apache and nginx drop unless told otherwise")?;
    }
    writeln!(out)
}

fn write_certificate(out: &mut dyn Write, certificate: &ServerCertificate) -> io::Result<()> {
    line(out, 2, "certificate", &certificate.file)?;
    write_facts(out, 4, &certificate.certificate)?;
    line(out, 4, "issuer", &certificate.certificate.issuer)?;
    line(out, 4, "names", &certificate.names.join(", "))?;
    line(out, 4, "key", &certificate.key)?;
    for issuer in &certificate.chain {
        line(out, 4, "followed by", issuer)?;
    }
    Ok(())
}

fn write_facts(out: &mut dyn Write, indent: usize, facts: &CertificateFacts) -> io::Result<()> {
    line(out, indent, "subject", &facts.subject)?;
    let left = match facts.days_left {
        days if days < 0 => "EXPIRED".to_owned(),
        1 => "1 day left".to_owned(),
        days => format!("{days} days left"),
    };
    line(out, indent, "valid until", &format!("{} ({left})", facts.not_after))?;
    line(out, indent, "SHA-256", &facts.sha256)
}

fn write_trust(out: &mut dyn Write, trust: &Trust) -> io::Result<()> {
    line(out, 2, "trust", &trust.name)?;
    for anchor in &trust.anchors {
        writeln!(out, "    anchor")?;
        write_facts(out, 6, anchor)?;
    }
    for intermediate in &trust.intermediates {
        writeln!(out, "    held intermediate")?;
        write_facts(out, 6, intermediate)?;
    }
    line(out, 4, "identity", &trust.identity.join(", "))?;
    if !trust.ouis.is_empty() {
        line(out, 4, "only MACs", &format!("that begin with {}", trust.ouis.join(", ")))?;
    }
    if !trust.allow.is_empty() {
        let until = trust.until.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
        line(out, 4, "tolerates", &format!("{}{until}", trust.allow.join(", ")))?;
    }
    if trust.require_eku {
        line(out, 4, "requires", "clientAuth in the certificate's extended key usage")?;
    }
    match &trust.revocation {
        None => line(out, 4, "revocation", "no revocation is checked")?,
        Some(checked) => {
            let policy = format!(
                "checked; where no CRL is usable: {}; where it is out of date: {}",
                checked.crl_unknown, checked.crl_expired
            );
            line(out, 4, "revocation", &policy)?;
            for crl in &checked.crls {
                write_crl(out, crl)?;
            }
        }
    }
    match &trust.deny {
        None => line(out, 4, "deny list", "none"),
        Some(deny) => line(out, 4, "deny list", &format!("{}, entries: {}", deny.file, deny.entries)),
    }
}

fn write_crl(out: &mut dyn Write, crl: &Crl) -> io::Result<()> {
    line(out, 4, "  CRL", &crl.issuer)?;
    let number = crl.number.as_ref().map(|number| format!("number {number}, ")).unwrap_or_default();
    let next = match (&crl.next_update, crl.current) {
        (Some(next), true) => format!("next update {next}"),
        (Some(next), false) => format!("OUT OF DATE since {next}"),
        (None, _) => "without a next update".to_owned(),
    };
    line(out, 4, "", &format!("{number}{next}, revoked: {}, {}", crl.revoked, crl.file))?;
    match &crl.unusable {
        Some(reason) => line(out, 4, "", &format!("NOT USABLE: {reason}")),
        None if crl.of_entry => Ok(()),
        None => line(
            out,
            4,
            "",
            "its authority is not held here: it counts for phones that send that authority's certificate below an anchor",
        ),
    }
}

/// One fact: indented, its name, its value.
fn line(out: &mut dyn Write, indent: usize, name: &str, value: &str) -> io::Result<()> {
    let width = 18 - indent;
    let text = format!("{:indent$}{name:<width$}{}", "", Printable(value));
    writeln!(out, "{}", text.trim_end())
}

/// A fact with several values, one below the other.
fn lines(out: &mut dyn Write, indent: usize, name: &str, values: &[String]) -> io::Result<()> {
    for (index, value) in values.iter().enumerate() {
        line(out, indent, if index == 0 { name } else { "" }, value)?;
    }
    Ok(())
}
