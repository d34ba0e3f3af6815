//! Holds what a client offers against what a host can serve, before any engine is started: the engine to use,
//! or a refusal that names the offer.

use policies::{CipherSuite, Reason, SignatureScheme, TlsRules, TlsVersion};
use rustls::AlertDescription;
#[cfg(feature = "legacy-tls")]
use rustls::SignatureAlgorithm;

use super::Engine;
use super::credentials::Credentials;
use super::modern;
use crate::client_hello::ClientHello;
use crate::client_hello::message::is_grease;

/// Why no engine can serve this client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferRefused {
    /// The stable code.
    pub reason: Reason,
    /// What was offered and what would have been accepted.
    pub detail: String,
    /// The alert to send (RFC 8446 §6.2).
    pub alert: AlertDescription,
}

/// Who serves a client, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// OpenSSL.
    #[cfg(feature = "legacy-tls")]
    Legacy {
        /// The one suite to serve, where OpenSSL by itself would begin with one that this client cannot finish.
        only: Option<CipherSuite>,
    },
    /// rustls.
    Modern,
}

impl Choice {
    /// The engine.
    pub fn engine(self) -> Engine {
        match self {
            #[cfg(feature = "legacy-tls")]
            Self::Legacy { .. } => Engine::Legacy,
            Self::Modern => Engine::Modern,
        }
    }
}

/// Chooses the engine: the modern one when version, suite, group and signature algorithm all meet what rustls and the
/// policy have; else the legacy one when the policy has something for it; else nobody.
///
/// A client that offers TLS 1.3 is judged by its TLS 1.3 offer alone, because that is the version every engine
/// then selects (RFC 8446 §4.2.1).
///
/// # Errors
/// The first of version, cipher suite, group and signature algorithm on which the two sides do not meet.
pub fn choose(
    hello: &ClientHello,
    rules: &TlsRules,
    credentials: &Credentials,
) -> Result<Choice, OfferRefused> {
    let version =
        rules.versions().iter().rev().copied().find(|version| hello.offers_version(*version)).ok_or_else(
            || OfferRefused {
                reason: Reason::VersionNotSupported,
                detail: format!(
                    "the client offers {}; this listener speaks {}",
                    names(hello.versions().iter().map(|version| version.name())),
                    names(rules.versions().iter().map(|version| version.name())),
                ),
                alert: AlertDescription::ProtocolVersion,
            },
        )?;

    // RFC 7507 §3: a client that says it fell back did so without need, or somebody made it.
    if hello.suites.contains(&CipherSuite::FALLBACK_SCSV) && rules.versions().last() > Some(&version) {
        return Err(OfferRefused {
            reason: Reason::InappropriateFallback,
            detail: format!(
                "the client retried with {} as if this listener knew nothing newer; it speaks {}",
                version.name(),
                names(rules.versions().iter().map(|version| version.name())),
            ),
            alert: AlertDescription::InappropriateFallback,
        });
    }

    let modern = match version.is_modern() {
        true => match modern(hello, rules, credentials, version) {
            Ok(()) => return Ok(Choice::Modern),
            Err(refused) => Some(refused),
        },
        false => None,
    };
    #[cfg(feature = "legacy-tls")]
    if version < TlsVersion::TLS1_3 && rules.needs_legacy_engine() {
        return legacy(hello, rules, credentials, version).map(|only| Choice::Legacy { only });
    }
    // A policy with older versions is refused on load where no engine speaks them.
    Err(modern.unwrap_or_else(|| no_shared_suite(hello, rules)))
}

/// Whether rustls can serve this client.
fn modern(
    hello: &ClientHello,
    rules: &TlsRules,
    credentials: &Credentials,
    version: TlsVersion,
) -> Result<(), OfferRefused> {
    let is_tls13 = version == TlsVersion::TLS1_3;
    let servable = |suite: &CipherSuite| {
        rules.suites().contains(suite)
            && modern::suite(*suite).is_some_and(|known| {
                suite.serves(version)
                    && (is_tls13
                        || credentials.algorithms().any(|key| known.usable_for_signature_algorithm(key)))
            })
    };
    if !hello.suites.iter().any(servable) {
        return Err(no_shared_suite(hello, rules));
    }
    if !hello.groups.iter().any(|group| rules.groups().contains(group)) {
        return Err(no_shared_group(hello, rules));
    }
    let offered = hello.signature_algorithms.as_deref().unwrap_or_default().iter().copied();
    // RFC 8446 §4.2.3: the PKCS #1 v1.5 schemes are for certificates only in TLS 1.3.
    let offered =
        offered.filter(|scheme| !is_tls13 || !matches!(scheme.0, 0x0401 | 0x0501 | 0x0601 | 0x0201));
    if can_sign(credentials, offered) { Ok(()) } else { Err(no_shared_signature_algorithm(hello)) }
}

/// Whether OpenSSL can serve this client, at TLS 1.2 or older; gives the suite where it would not come to it by itself.
#[cfg(feature = "legacy-tls")]
fn legacy(
    hello: &ClientHello,
    rules: &TlsRules,
    credentials: &Credentials,
    version: TlsVersion,
) -> Result<Option<CipherSuite>, OfferRefused> {
    let has_key = |suite: CipherSuite| {
        credentials.algorithms().any(|key| (key == SignatureAlgorithm::RSA) != suite.needs_ec_certificate())
    };
    // OpenSSL takes the client that names no group for one that has none.
    let has_group = hello.groups.iter().any(|group| rules.groups().contains(group));
    let shared: Vec<CipherSuite> = (rules.suites().iter().copied())
        .filter(|suite| suite.serves(version) && hello.suites.contains(suite) && has_key(*suite))
        .collect();
    if shared.is_empty() {
        return Err(no_shared_suite(hello, rules));
    }
    let mut with_group = shared.iter().copied().filter(|suite| has_group || !suite.uses_ecdhe()).peekable();
    // What OpenSSL begins with.
    let Some(first) = with_group.peek().copied() else { return Err(no_shared_group(hello, rules)) };
    let served = with_group.find(|suite| version < TlsVersion::TLS1_2 || has_signature(hello, rules, *suite));
    match served {
        Some(suite) if suite == first => Ok(None),
        Some(suite) => Ok(Some(suite)),
        None => Err(no_shared_signature_algorithm(hello)),
    }
}

/// Whether client and policy share a signature algorithm for the key of this TLS 1.2 suite. OpenSSL asks for one also
/// where the client encrypts to our key and nobody signs. A client that names none means SHA-1 (RFC 5246 §7.4.1.4.1), and
/// then what we really sign with SHA-1 must be in the policy.
#[cfg(feature = "legacy-tls")]
fn has_signature(hello: &ClientHello, rules: &TlsRules, suite: CipherSuite) -> bool {
    let fits = |scheme: &SignatureScheme| {
        let is_ec = matches!(scheme.0, 0x0203 | 0x0403 | 0x0503 | 0x0603 | 0x0807);
        is_ec == suite.needs_ec_certificate()
    };
    let listed = |scheme: &SignatureScheme| rules.signature_algorithms().contains(scheme);
    match &hello.signature_algorithms {
        Some(offered) => offered.iter().any(|scheme| fits(scheme) && listed(scheme)),
        None => {
            suite.uses_rsa_key_exchange()
                || [SignatureScheme::RSA_PKCS1_SHA1, SignatureScheme::ECDSA_SHA1]
                    .iter()
                    .any(|scheme| fits(scheme) && listed(scheme))
        }
    }
}

fn can_sign(credentials: &Credentials, offered: impl Iterator<Item = SignatureScheme>) -> bool {
    let offered: Vec<rustls::SignatureScheme> =
        offered.map(|scheme| rustls::SignatureScheme::from(scheme.0)).collect();
    credentials.can_sign(&offered)
}

fn no_shared_group(hello: &ClientHello, rules: &TlsRules) -> OfferRefused {
    OfferRefused {
        reason: Reason::NoSharedGroup,
        detail: format!(
            "the client offers the groups {}; this listener speaks {}",
            names(hello.groups.iter().map(|group| group.name())),
            names(rules.groups().iter().map(|group| group.name())),
        ),
        alert: AlertDescription::HandshakeFailure,
    }
}

fn no_shared_signature_algorithm(hello: &ClientHello) -> OfferRefused {
    let list = hello.signature_algorithms.as_deref().unwrap_or_default();
    OfferRefused {
        reason: Reason::NoSharedSignatureAlgorithm,
        detail: if list.is_empty() {
            "the client offers no signature algorithms (no signature_algorithms extension)".to_owned()
        } else {
            format!(
                "the client offers the signature algorithms {}; none fits this host's key",
                names(list.iter().map(|scheme| scheme.name())),
            )
        },
        alert: AlertDescription::HandshakeFailure,
    }
}

fn no_shared_suite(hello: &ClientHello, rules: &TlsRules) -> OfferRefused {
    let offered: Vec<CipherSuite> =
        hello.suites.iter().copied().filter(|suite| !is_grease(suite.0) && !suite.is_signal()).collect();
    // RFC 5246 §7.2.2: insufficient_security says that it failed because ours are stronger.
    let (reason, alert) = if !offered.is_empty() && offered.iter().all(|suite| suite.is_export()) {
        (Reason::ExportOnly, AlertDescription::InsufficientSecurity)
    } else {
        (Reason::NoSharedSuite, AlertDescription::HandshakeFailure)
    };
    OfferRefused {
        reason,
        detail: format!(
            "the client offers {}; this listener speaks {}",
            names(offered.iter().map(|suite| suite.name())),
            names(rules.suites().iter().map(|suite| suite.name())),
        ),
        alert,
    }
}

/// At most sixteen names: a hostile hello holds thousands.
fn names<T: AsRef<str>>(list: impl Iterator<Item = T>) -> String {
    let mut text = String::new();
    for (at, name) in list.enumerate() {
        if at == 16 {
            text.push_str(", …");
            break;
        }
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(name.as_ref());
    }
    if text.is_empty() { "nothing".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
