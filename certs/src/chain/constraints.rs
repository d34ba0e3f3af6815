//! Judging one whole path, from the anchor down to the leaf (RFC 5280 §6.1.3–6.1.5), all but signatures.

use super::ChainError;
use super::names::{Budget, Violation};
use super::policies::PolicyState;
use super::tolerances::Exceptions;
use crate::certificate::{Certificate, Version};
use crate::extension::KeyUsage;
use crate::oid::{self, Oid};
use crate::trust_store::{Purpose, TrustEntry};
use crate::validity::Timestamp;

/// What the certificate at depth 0 is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// It signed a CRL.
    CrlIssuer,
    /// It was presented by a peer.
    EndEntity,
}

/// Checks everything that does not need a signature or a list. `path` goes from the leaf to the anchor.
pub(super) fn check_path(
    path: &[&Certificate],
    trust: &TrustEntry,
    target: Target,
    now: Timestamp,
) -> Result<Exceptions, ChainError> {
    let mut exceptions = Exceptions::default();
    let anchor_depth = path.len().saturating_sub(1);
    let mut policies = PolicyState::new(anchor_depth);
    let tolerances = trust.tolerances.in_force(now);
    for (depth, certificate) in path.iter().enumerate().rev() {
        tolerances.check_key(certificate, depth, &mut exceptions)?;
        if depth < anchor_depth {
            tolerances.check_validity(certificate, depth, now, &mut exceptions)?;
            let directly_issued = depth == 0 && anchor_depth == 1;
            tolerances.check_version(certificate, depth, directly_issued, &mut exceptions)?;
            tolerances.check_signature(certificate, depth, &mut exceptions)?;
        }
        if let Some(oid) = certificate.unknown_critical_extension() {
            return Err(ChainError::UnknownCriticalExtension { depth, oid });
        }
        check_profile(certificate, depth)?;
        if depth < anchor_depth {
            let no_policy = |_| ChainError::InvalidPolicy { depth };
            let self_issued = certificate.is_self_issued();
            policies.process(certificate.policies(), self_issued, depth == 0).map_err(no_policy)?;
            if depth > 0 {
                policies.prepare(certificate.policies(), self_issued).map_err(no_policy)?;
            }
        }
        if depth > 0 {
            check_issuer(path, depth, trust.purpose, target)?;
        }
    }
    check_names(path)?;
    let Some(leaf) = path.first() else { return Err(ChainError::Empty) };
    policies.finish(leaf.policies()).map_err(|_| ChainError::InvalidPolicy { depth: 0 })?;
    match target {
        Target::CrlIssuer => check_usage(leaf, 0, KeyUsage::CRL_SIGN)?,
        Target::EndEntity => check_end_entity(leaf, trust)?,
    }
    Ok(exceptions)
}

/// What RFC 5280 §4.2 says issuers must never do, and a verifier could misread.
fn check_profile(certificate: &Certificate, depth: usize) -> Result<(), ChainError> {
    let criticality = |oid: &Oid| {
        certificate
            .extensions()
            .iter()
            .find(|extension| extension.oid == *oid)
            .map(|extension| extension.critical)
    };
    let is_authority = certificate.basic_constraints().is_some_and(|constraints| constraints.ca);
    let nameless = certificate.subject().is_empty();
    let broken = [
        (criticality(&oid::AUTHORITY_KEY_IDENTIFIER) == Some(true), "authorityKeyIdentifier is critical"),
        (criticality(&oid::SUBJECT_KEY_IDENTIFIER) == Some(true), "subjectKeyIdentifier is critical"),
        (criticality(&oid::NAME_CONSTRAINTS) == Some(false), "nameConstraints is not critical"),
        (
            certificate.name_constraints().is_some() && !is_authority,
            "nameConstraints without being an authority",
        ),
        (criticality(&oid::POLICY_CONSTRAINTS) == Some(false), "policyConstraints is not critical"),
        (nameless && is_authority, "an authority without a name"),
        (
            nameless && criticality(&oid::SUBJECT_ALTERNATIVE_NAME) == Some(false),
            "subjectAltName stands for an empty subject and is not critical",
        ),
    ];
    let rule = broken.into_iter().find(|(broken, _)| *broken).map(|(_, rule)| rule);
    rule.map_or(Ok(()), |rule| Err(ChainError::NotConforming { depth, rule }))
}

/// Dates alone, for a path that was checked before. An anchor is trusted because the operator says so, and RFC 5280
/// §6.1.1 (d) gives it no dates.
pub(super) fn check_dates(
    path: &[Certificate],
    trust: &TrustEntry,
    now: Timestamp,
) -> Result<(), ChainError> {
    let mut exceptions = Exceptions::default();
    let tolerances = trust.tolerances.in_force(now);
    let below_anchor = path.split_last().map_or(path, |(_, below)| below);
    below_anchor.iter().enumerate().rev().try_for_each(|(depth, certificate)| {
        tolerances.check_validity(certificate, depth, now, &mut exceptions)
    })
}

/// RFC 5280 §6.1.4 k–n. An anchor of version 1 has no extensions to ask; one that a peer presents as its own
/// certificate has issued nothing but itself.
fn check_issuer(
    path: &[&Certificate],
    depth: usize,
    purpose: Purpose,
    target: Target,
) -> Result<(), ChainError> {
    let Some((issuer, below)) = path.get(depth).zip(path.get(..depth)) else { return Ok(()) };
    let is_anchor = depth + 1 == path.len();
    let only_itself = is_anchor && depth == 1 && below.first() == Some(issuer);
    if only_itself || (is_anchor && issuer.version() == Version::V1) {
        return Ok(());
    }
    let limit = match issuer.basic_constraints() {
        Some(constraints) if constraints.ca => constraints.path_length,
        Some(_) | None => return Err(ChainError::NotACertificateAuthority { depth }),
    };
    let intermediates = below.iter().skip(1).filter(|certificate| !certificate.is_self_issued()).count();
    if let Some(limit) = limit
        && u32::try_from(intermediates).is_ok_and(|intermediates| intermediates > limit)
    {
        return Err(ChainError::PathLength { depth, limit });
    }
    check_usage(issuer, depth, KeyUsage::KEY_CERT_SIGN)?;
    if is_anchor || target == Target::CrlIssuer {
        return Ok(());
    }
    check_purpose(issuer, depth, purpose)
}

fn check_usage(certificate: &Certificate, depth: usize, needed: KeyUsage) -> Result<(), ChainError> {
    match certificate.key_usage() {
        Some(usage) if !usage.allows(needed) => Err(ChainError::KeyUsage { depth, needed }),
        Some(_) | None => Ok(()),
    }
}

/// Whether the extKeyUsage, where there is one, has the purpose. `anyExtendedKeyUsage` does for an authority, as it
/// limits nothing below; a leaf must list its purpose itself, as RFC 5280 §4.2.1.12 lets a verifier require.
fn check_purpose(certificate: &Certificate, depth: usize, needed: Purpose) -> Result<(), ChainError> {
    let wanted = match needed {
        Purpose::Any => return Ok(()),
        Purpose::ClientAuth => oid::CLIENT_AUTH,
        Purpose::ServerAuth => oid::SERVER_AUTH,
    };
    let suits = certificate
        .extended_key_usage()
        .is_none_or(|usage| if depth == 0 { usage.lists(&wanted) } else { usage.allows(&wanted) });
    if suits { Ok(()) } else { Err(ChainError::ExtendedKeyUsage { depth, needed, present: true }) }
}

fn check_end_entity(leaf: &Certificate, trust: &TrustEntry) -> Result<(), ChainError> {
    let needed = trust.purpose;
    if needed == Purpose::ServerAuth {
        check_no_signing_without_authority(leaf)?;
    }
    if needed == Purpose::ClientAuth {
        if leaf.basic_constraints().is_some_and(|constraints| constraints.ca) {
            return Err(ChainError::LeafIsAuthority);
        }
        check_usage(leaf, 0, KeyUsage::DIGITAL_SIGNATURE)?;
    }
    check_purpose(leaf, 0, needed)?;
    if trust.require_eku && leaf.extended_key_usage().is_none() {
        return Err(ChainError::ExtendedKeyUsage { depth: 0, needed, present: false });
    }
    Ok(())
}

/// RFC 5280 §4.2.1.9. Vendors gave devices such certificates (SEC-57), which are harmless: without cA they issue
/// nothing. Servers have no such excuse.
fn check_no_signing_without_authority(leaf: &Certificate) -> Result<(), ChainError> {
    let signs = leaf.key_usage().is_some_and(|usage| usage.allows(KeyUsage::KEY_CERT_SIGN));
    let is_authority = leaf.basic_constraints().is_some_and(|constraints| constraints.ca);
    if signs && !is_authority {
        return Err(ChainError::NotConforming { depth: 0, rule: "keyCertSign without being an authority" });
    }
    Ok(())
}

/// RFC 5280 §6.1.3 b, c: self-issued certificates are free except at the end of the path.
fn check_names(path: &[&Certificate]) -> Result<(), ChainError> {
    let mut budget = Budget::new();
    for (issuer, authority) in path.iter().enumerate().skip(1) {
        let Some(constraints) = authority.name_constraints() else { continue };
        for (depth, certificate) in path.iter().enumerate().take(issuer) {
            if depth > 0 && certificate.is_self_issued() {
                continue;
            }
            constraints.check(certificate, &mut budget).map_err(|violation| match violation {
                Violation::Name(name) => ChainError::NameConstraints { depth, issuer, name },
                Violation::TooManyComparisons => ChainError::SearchExhausted { steps: Budget::COMPARISONS },
            })?;
        }
    }
    Ok(())
}
