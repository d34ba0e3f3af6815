//! Holds what a client offers against what a host can serve, before any engine is started: the engine to use,
//! or a refusal that names the offer.

use policies::{CipherSuite, Reason, TlsRules, TlsVersion};
use rustls::{AlertDescription, SignatureScheme};

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

/// Chooses the engine.
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
) -> Result<Engine, OfferRefused> {
    let version = [TLS13, TLS12]
        .into_iter()
        .find(|version| rules.versions().contains(version) && hello.offers_version(*version))
        .ok_or_else(|| OfferRefused {
            reason: Reason::VersionNotSupported,
            detail: format!(
                "the client offers {}; this listener speaks {}",
                names(hello.versions().iter().map(|version| version.name())),
                names(rules.versions().iter().map(|version| version.name())),
            ),
            alert: AlertDescription::ProtocolVersion,
        })?;

    if hello.suites.contains(&CipherSuite(FALLBACK))
        && rules.versions().iter().any(|known| *known > version && !hello.offers_version(*known))
    {
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

    // RFC 7507 §3: a client that says it fell back did so without need, or somebody made it.
    let fell_back = hello.suites.iter().any(|suite| suite.0 == FALLBACK);
    if fell_back && rules.versions().iter().any(|ours| ours.0 > version.0) {
        return Err(OfferRefused {
            reason: Reason::InappropriateFallback,
            detail: format!(
                "the client says it fell back to {}, and this listener speaks more",
                version.name()
            ),
            alert: AlertDescription::InappropriateFallback,
        });
    }

    let servable = |suite: &CipherSuite| {
        rules.suites().contains(suite)
            && modern::suite(*suite).is_some_and(|known| {
                known.version().version == rustls_version(version)
                    && (version == TLS13
                        || credentials.algorithms().any(|key| known.usable_for_signature_algorithm(key)))
            })
    };
    if !hello.suites.iter().any(servable) {
        return Err(no_shared_suite(hello, rules));
    }
    if !hello.groups.iter().any(|group| rules.groups().contains(group)) {
        return Err(OfferRefused {
            reason: Reason::NoSharedGroup,
            detail: format!(
                "the client offers the groups {}; this listener speaks {}",
                names(hello.groups.iter().map(|group| group.name())),
                names(rules.groups().iter().map(|group| group.name())),
            ),
            alert: AlertDescription::HandshakeFailure,
        });
    }
    let offered: Vec<SignatureScheme> = hello
        .signature_algorithms
        .iter()
        .flatten()
        // RFC 8446 §4.2.3: the PKCS #1 v1.5 schemes are for certificates only in TLS 1.3.
        .filter(|scheme| version != TLS13 || !matches!(scheme.0, 0x0401 | 0x0501 | 0x0601 | 0x0201))
        .map(|scheme| SignatureScheme::from(scheme.0))
        .collect();
    if !credentials.can_sign(&offered) {
        let list = hello.signature_algorithms.as_deref().unwrap_or_default();
        return Err(OfferRefused {
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
        });
    }
    Ok(Engine::Modern)
}

const TLS13: TlsVersion = TlsVersion(0x0304);
const TLS12: TlsVersion = TlsVersion(0x0303);

fn rustls_version(version: TlsVersion) -> rustls::ProtocolVersion {
    rustls::ProtocolVersion::from(version.0)
}

fn no_shared_suite(hello: &ClientHello, rules: &TlsRules) -> OfferRefused {
    let offered: Vec<CipherSuite> = hello
        .suites
        .iter()
        .copied()
        .filter(|suite| !is_grease(suite.0) && !matches!(suite.0, EMPTY_RENEGOTIATION_INFO | FALLBACK))
        .collect();
    let reason = if !offered.is_empty() && offered.iter().all(|suite| suite.is_export()) {
        Reason::ExportOnly
    } else {
        Reason::NoSharedSuite
    };
    OfferRefused {
        reason,
        detail: format!(
            "the client offers {}; this listener speaks {}",
            names(offered.iter().map(|suite| suite.name())),
            names(rules.suites().iter().map(|suite| suite.name())),
        ),
        alert: AlertDescription::HandshakeFailure,
    }
}

/// The two signalling values that are no suites (RFC 5746 §3.3, RFC 7507 §2).
const EMPTY_RENEGOTIATION_INFO: u16 = 0x00ff;
const FALLBACK: u16 = 0x5600;

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
