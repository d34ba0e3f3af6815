//! TLS policies: which versions, cipher suites, groups and signature algorithms a listener offers.
//!
//! A policy is a TOML file; shipped are `modern` (TLS 1.2 and 1.3), `guide` (with the suites of the phones' guide, from
//! TLS 1.0 up) and `guide-no-rc4`. All names are those of the IANA registries, in either letter case, and
//! an unknown one is a mistake with the nearest known name as a hint.
//!
//! ```toml
//! versions = ["TLSv1.2", "TLSv1.3"]               # TLSv1, TLSv1.1, TLSv1.2, TLSv1.3; SSLv3 never
//! suites   = ["TLS_AES_128_GCM_SHA256", …]        # in the server's order: the first that both sides share is taken
//! groups   = ["x25519", "secp256r1"]              # for ECDHE and TLS 1.3; the client's order decides
//! signature-algorithms = ["rsa_pss_rsae_sha256"]  # what either side may sign the handshake with
//! dh-bits  = 2048                                 # for DHE suites: 1024 to 8192, 2048 unless said
//! ```
//!
//! `signature-algorithms` governs TLS 1.2 and 1.3. TLS 1.0 and 1.1 leave no choice: they sign with MD5 and SHA-1
//! together (RFC 4346 §7.4.3), so a policy that lists those versions accepts that.

mod names;
mod registry;
mod suites;

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

pub use names::{CipherSuite, Group, SignatureScheme, TlsVersion, UnknownName};

use crate::document::{Diagnostic, Document, Located, Table};
use crate::shipped;

/// A TLS policy, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsRules {
    name: Arc<str>,
    versions: Vec<TlsVersion>,
    suites: Vec<CipherSuite>,
    groups: Vec<Group>,
    signature_algorithms: Vec<SignatureScheme>,
    dh_bits: u32,
}

impl TlsRules {
    /// The shipped policy of that name, if there is one.
    pub fn shipped(name: &str) -> Option<Self> {
        shipped::parse(shipped::TLS, name, Self::parse)
    }

    /// The names of the shipped policies.
    pub fn shipped_names() -> impl Iterator<Item = &'static str> {
        shipped::names(shipped::TLS)
    }

    /// Reads a policy file. The policy is named after the file, without folder and `.toml`.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let document = Document::parse(file, text)?;
        let rules = Self::read(&document.root(), file);
        // A reader that answered `None` has noted why.
        document.finish().and_then(|_| rules.ok_or_else(Vec::new))
    }

    /// The policy's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The versions it allows, oldest first.
    pub fn versions(&self) -> &[TlsVersion] {
        &self.versions
    }

    /// The cipher suites it allows, the preferred first.
    pub fn suites(&self) -> &[CipherSuite] {
        &self.suites
    }

    /// The key exchange groups it allows.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// What either side may sign a TLS 1.2 or 1.3 handshake with.
    pub fn signature_algorithms(&self) -> &[SignatureScheme] {
        &self.signature_algorithms
    }

    /// The size in bits of the Diffie-Hellman numbers for DHE suites.
    pub fn dh_bits(&self) -> u32 {
        self.dh_bits
    }

    /// Whether it allows anything that the modern engine cannot serve.
    pub fn needs_legacy_engine(&self) -> bool {
        self.versions.iter().any(|version| !version.is_modern())
            || self.suites.iter().any(|suite| !suite.is_modern())
            || self.signature_algorithms.iter().any(|scheme| scheme.is_weak())
    }

    fn read(root: &Table<'_, '_>, file: &str) -> Option<Self> {
        let versions = named(root, "versions", TlsVersion::from_name);
        let suites = named(root, "suites", CipherSuite::from_name);
        let groups = named(root, "groups", Group::from_name);
        let signature_algorithms = named(root, "signature-algorithms", SignatureScheme::from_name);
        let dh_bits = root.optional_integer("dh-bits", 1024..=8192);

        for scheme in signature_algorithms.iter().flatten().filter(|scheme| !scheme.value.is_served()) {
            let message = format!("{} is served by no engine of this gateway", scheme.value);
            root.document().error(&scheme.place, message);
        }
        // Before anything is given up, so that no mistake hides another.
        check_versions(root, versions.as_deref().unwrap_or_default());
        let (versions, suites) = (versions?, suites?);
        check_suites(root, &versions, &suites);
        if let Some(bits) = &dh_bits
            && !suites.iter().any(|suite| suite.value.uses_dhe())
        {
            root.document().error(&bits.place, "no DHE suite is listed that it could serve");
        }
        let mut versions = plain(versions);
        versions.sort_unstable();
        Some(Self {
            name: shipped::stem(file),
            versions,
            suites: plain(suites),
            groups: plain(groups?),
            signature_algorithms: plain(signature_algorithms?),
            dh_bits: dh_bits.and_then(|bits| u32::try_from(bits.value).ok()).unwrap_or(2048),
        })
    }
}

/// A list of registered names, none twice.
fn named<T: Copy + Eq + Hash>(
    root: &Table<'_, '_>,
    key: &'static str,
    find: fn(&str) -> Result<T, UnknownName>,
) -> Option<Vec<Located<T>>> {
    let written = root.strings(key)?;
    let mut seen = HashSet::new();
    let found: Vec<Option<Located<T>>> = written
        .into_iter()
        .map(|name| match find(&name.value) {
            Ok(value) if !seen.insert(value) => {
                root.document().error(&name.place, format!("\"{}\" is listed twice", name.value));
                None
            }
            Ok(value) => Some(name.map(|_| value)),
            Err(error) => {
                match error.nearest {
                    Some(nearest) => root.document().error_with_hint(
                        &name.place,
                        error.to_string(),
                        format!("did you mean \"{nearest}\"?"),
                    ),
                    None => root.document().error(&name.place, error.to_string()),
                }
                None
            }
        })
        .collect();
    found.into_iter().collect()
}

fn plain<T>(located: Vec<Located<T>>) -> Vec<T> {
    located.into_iter().map(|value| value.value).collect()
}

fn check_versions(root: &Table<'_, '_>, versions: &[Located<TlsVersion>]) {
    for version in versions.iter().filter(|version| version.value < TlsVersion::TLS1_0) {
        let message = format!("{} is broken and never served", version.value);
        root.document().error_with_hint(&version.place, message, "the oldest version possible is TLSv1");
    }
}

fn check_suites(root: &Table<'_, '_>, versions: &[Located<TlsVersion>], suites: &[Located<CipherSuite>]) {
    let allows = |version| versions.iter().any(|v| v.value == version);
    for Located { value: suite, place } in suites {
        let why = if suite.is_signal() {
            Some("is a signal that clients send, not a cipher suite")
        } else if suite.is_export() {
            Some("can be broken by anyone and is never served")
        } else if suite.is_anonymous() {
            Some("shows no certificate, so no device could be known")
        } else if !suite.is_modern() && !suite.is_legacy() {
            Some("is served by no engine of this gateway")
        } else if suite.is_tls13() && !allows(TlsVersion::TLS1_3) {
            Some("needs TLSv1.3, which `versions` does not list")
        } else if !suite.is_tls13() && !suite.serves(TlsVersion::TLS1_1) && !allows(TlsVersion::TLS1_2) {
            Some("needs TLSv1.2, which `versions` does not list")
        } else if !suite.is_tls13() && versions.iter().all(|v| v.value == TlsVersion::TLS1_3) {
            Some("needs a version before TLSv1.3, and `versions` lists none")
        } else {
            None
        };
        if let Some(why) = why {
            root.document().error(place, format!("{suite} {why}"));
        }
    }
    for version in versions.iter().filter(|version| version.value >= TlsVersion::TLS1_0) {
        if !suites.iter().any(|suite| suite.value.serves(version.value)) {
            let message = format!("no suite of `suites` serves {}", version.value);
            root.document().error(&version.place, message);
        }
    }
}

#[cfg(test)]
mod tests;
