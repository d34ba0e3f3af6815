//! A certificate in words.

use certs::{Certificate, Extension, Timestamp, Version};
use policies::{IdentityProfile, Principal};
use serde_json::json;

use super::facts::Facts;
use super::judgement::{Judgement, key_text, signature_text};
use crate::authority::is_marked;
use crate::mirror::is_twin;
use crate::serial::hex;

pub(super) fn describe(certificate: &Certificate, now: Timestamp) -> Facts {
    let mut facts = Facts::new("certificate");
    facts.name("subject", certificate.subject());
    if certificate.is_self_issued() {
        facts.text("issuer", "itself");
    } else {
        facts.name("issuer", certificate.issuer());
    }
    facts.text("serial", certificate.serial().to_string());
    let validity = certificate.validity();
    facts.text("from", validity.not_before.to_string());
    facts.text("until", format!("{} ({})", validity.not_after, standing(certificate, now)));
    facts.text("key", key_text(certificate.public_key()));
    facts.text("signature", signature_text(certificate.signature_algorithm()));
    facts.text("version", certificate.version().number().to_string());
    extensions(&mut facts, certificate);
    if is_marked(certificate) || is_twin(certificate) {
        facts.text("test", "yes: it says of itself that it is not for production");
    }
    facts.text("sha256", certificate.fingerprint().to_string());
    // A root of version 1 cannot say that it is one.
    let is_old_root = certificate.version() == Version::V1 && certificate.is_self_issued();
    if !is_old_root && !certificate.basic_constraints().is_some_and(|constraints| constraints.ca) {
        facts.list("device", identities(certificate));
    }
    let judgement = Judgement::of(certificate, now);
    facts.text("modern", judgement.modern());
    facts.text("guide", judgement.guide());
    facts
}

fn standing(certificate: &Certificate, now: Timestamp) -> String {
    let validity = certificate.validity();
    let days = |seconds: i64| seconds / 86_400;
    if now < validity.not_before {
        format!("not valid for another {} days", days(validity.not_before.unix() - now.unix()))
    } else if now > validity.not_after {
        format!("expired {} days ago", days(now.unix() - validity.not_after.unix()))
    } else {
        format!("{} days left", days(validity.not_after.unix() - now.unix()))
    }
}

fn extensions(facts: &mut Facts, certificate: &Certificate) {
    let authority = match certificate.basic_constraints() {
        Some(constraints) if constraints.ca => match constraints.path_length {
            Some(length) => format!("yes, at most {length} more below it"),
            None => "yes".to_owned(),
        },
        Some(_) => "no".to_owned(),
        None => "not stated".to_owned(),
    };
    facts.text("authority", authority);
    if let Some(usage) = certificate.key_usage() {
        facts.list("key usage", vec![usage.names().collect::<Vec<_>>().join(", ")]);
    }
    if let Some(usage) = certificate.extended_key_usage() {
        facts.list("purposes", usage.purposes().iter().map(|oid| purpose_name(&oid.to_string())).collect());
    }
    if let Some(names) = certificate.subject_alternative_names() {
        facts.list("names", names.names().map(ToString::to_string).collect());
    }
    facts.add("key id", json!(certificate.subject_key_identifier().map(hex)));
    let issuer_key = certificate.authority_key_identifier().and_then(|one| one.key_identifier.as_deref());
    facts.add("issuer key", json!(issuer_key.map(hex)));
    let shown = ["2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.35", "2.5.29.37"];
    let others: Vec<String> = certificate
        .extensions()
        .iter()
        .filter(|extension| !shown.contains(&extension.oid.to_string().as_str()))
        .map(extension_name)
        .collect();
    facts.list("also", others);
}

/// An extension by name, and whether it is critical.
pub(crate) fn extension_name(extension: &Extension) -> String {
    let oid = extension.oid.to_string();
    let name = match oid.as_str() {
        "2.5.29.14" => "subject key identifier",
        "2.5.29.15" => "key usage",
        "2.5.29.16" => "private key usage period",
        "2.5.29.17" => "subject alternative names",
        "2.5.29.19" => "basic constraints",
        "2.5.29.30" => "name constraints",
        "2.5.29.31" => "CRL distribution points",
        "2.5.29.32" => "certificate policies",
        "2.5.29.33" => "policy mappings",
        "2.5.29.35" => "authority key identifier",
        "2.5.29.36" => "policy constraints",
        "2.5.29.37" => "extended key usage",
        "2.5.29.54" => "inhibit anyPolicy",
        "1.3.6.1.4.1.32473.90.1" => "mark of a test twin",
        "1.3.6.1.5.5.7.1.1" => "authority information access",
        "2.16.840.1.113730.1.1" => "Netscape certificate type",
        "2.16.840.1.113730.1.13" => "Netscape comment",
        _ => "extension",
    };
    let critical = if extension.critical { ", critical" } else { "" };
    format!("{name} ({oid}{critical})")
}

fn purpose_name(oid: &str) -> String {
    let name = match oid {
        "1.3.6.1.5.5.7.3.1" => "TLS server",
        "1.3.6.1.5.5.7.3.2" => "TLS client",
        "1.3.6.1.5.5.7.3.3" => "code signing",
        "1.3.6.1.5.5.7.3.4" => "e-mail",
        "1.3.6.1.5.5.7.3.8" => "time stamping",
        "1.3.6.1.5.5.7.3.9" => "OCSP signing",
        "2.5.29.37.0" => "any",
        _ => return oid.to_owned(),
    };
    format!("{name} ({oid})")
}

/// The device under every shipped profile that knows the subject's shape. The one for operators knows every shape and
/// says nothing.
fn identities(certificate: &Certificate) -> Vec<String> {
    IdentityProfile::shipped_names()
        .filter_map(IdentityProfile::shipped)
        .filter(|profile| !profile.is_operator() && profile.recognises(certificate.subject()))
        .map(|profile| {
            let name = profile.name();
            match profile.identify(certificate.subject()) {
                Ok(Principal::Device(device)) => {
                    let mut parts = Vec::new();
                    parts.extend(device.product().map(|product| format!("product {product}")));
                    parts.extend(device.serial().map(|serial| format!("serial number {serial}")));
                    if let Some(mac) = device.mac() {
                        let attribute = device.mac_attribute().unwrap_or("subject");
                        parts.push(format!("MAC {mac} (in {attribute})"));
                    }
                    format!("{name}: {}", parts.join(", "))
                }
                Ok(Principal::Generic(_)) => format!("{name}: generic, shared by many phones, no identity"),
                Ok(Principal::Operator(_) | Principal::Anonymous) => format!("{name}: no device"),
                Err(denial) => format!("{name}: refused, {} ({})", denial.detail, denial.reason.as_str()),
            }
        })
        .collect()
}
