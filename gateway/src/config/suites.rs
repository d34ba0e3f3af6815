//! Whether a host's certificates can serve what the TLS policies of the listeners list.

use certs::{KeyAlgorithm, KeyUsage};
use policies::{
    CipherSuite,
    document::{Place, Table},
};

use super::{HostConfig, ListenerConfig};

/// Warns of every suite for old phones that no certificate of a host can serve: such a phone would be refused although
/// the policy lists its suite. Of the modern suites each client has several, and those for another kind of key are no
/// loss.
pub(super) fn warn_of_unserved<'a>(
    root: &Table<'_, '_>,
    listeners: &[ListenerConfig],
    hosts: impl Iterator<Item = (&'a HostConfig, usize)>,
) {
    for (host, line) in hosts {
        let place = Place { line, column: 1, key: "host".to_owned() };
        let mut seen = Vec::new();
        for listener in listeners {
            if seen.contains(&listener.tls.name()) {
                continue;
            }
            seen.push(listener.tls.name());
            let listed = || listener.tls.suites().iter().copied().filter(|suite| suite.is_legacy());
            for (cause, hint) in CAUSES {
                let unserved: Vec<CipherSuite> =
                    listed().filter(|suite| why_unserved(host, *suite) == Some(*cause)).collect();
                if unserved.is_empty() {
                    continue;
                }
                let names: Vec<_> = unserved.iter().map(|suite| suite.name()).collect();
                let message = format!(
                    "TLS policy \"{}\" lists what this host's certificate cannot serve, because {}: {}",
                    listener.tls.name(),
                    cause.text(),
                    names.join(", ")
                );
                root.document().warning(&place, message, Some((*hint).to_owned()));
            }
        }
    }
}

/// What a host lacks for a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// Its keyUsage is there and lacks digitalSignature (RFC 5280 §4.2.1.3).
    DigitalSignature,
    /// The client encrypts to the key, and keyUsage is there and lacks keyEncipherment.
    KeyEncipherment,
    /// None has a key of the suite's kind.
    Key,
}

const CAUSES: &[(Missing, &str)] = &[
    (
        Missing::Key,
        "add an RSA certificate: [[host.further-certificate]] with `certificate` and `private-key`",
    ),
    (
        Missing::KeyEncipherment,
        "`provision-ca server issue` makes certificates with it; of an outside authority, ask for it",
    ),
    (Missing::DigitalSignature, "`provision-ca server issue` makes certificates with it"),
];

impl Missing {
    fn text(self) -> &'static str {
        match self {
            Self::DigitalSignature => "its key usage lacks digitalSignature",
            Self::KeyEncipherment => "its key usage lacks keyEncipherment",
            Self::Key => "it has no key of their kind",
        }
    }
}

/// `None` when a certificate of the host serves the suite.
fn why_unserved(host: &HostConfig, suite: CipherSuite) -> Option<Missing> {
    let (needed, cause) = match suite.uses_rsa_key_exchange() {
        true => (KeyUsage::KEY_ENCIPHERMENT, Missing::KeyEncipherment),
        false => (KeyUsage::DIGITAL_SIGNATURE, Missing::DigitalSignature),
    };
    let mut found = Some(Missing::Key);
    for leaf in host.credentials.iter().filter_map(|pair| pair.leaf()) {
        let is_rsa = matches!(leaf.public_key().algorithm(), KeyAlgorithm::Rsa { .. });
        if is_rsa == suite.needs_ec_certificate() {
            continue;
        }
        if leaf.key_usage().is_none_or(|usage| usage.allows(needed)) {
            return None;
        }
        found = Some(cause);
    }
    found
}
