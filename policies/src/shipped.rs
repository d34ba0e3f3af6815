//! The policy files that come with the product, and how files name policies.

use std::sync::Arc;

use crate::document::Diagnostic;

/// A policy's name and its file's text.
pub(crate) type Shipped = &'static [(&'static str, &'static str)];

/// TLS policies.
pub(crate) const TLS: Shipped = &[
    ("modern", include_str!("../shipped/tls/modern.toml")),
    ("guide", include_str!("../shipped/tls/guide.toml")),
    ("guide-no-rc4", include_str!("../shipped/tls/guide-no-rc4.toml")),
];

/// Request rules.
pub(crate) const REQUESTS: Shipped = &[
    ("any-device", include_str!("../shipped/requests/any-device.toml")),
    ("own-profile", include_str!("../shipped/requests/own-profile.toml")),
];

/// Identity profiles.
pub(crate) const IDENTITY: Shipped = &[
    ("cisco-small-business", include_str!("../shipped/identity/cisco-small-business.toml")),
    ("cisco-mic", include_str!("../shipped/identity/cisco-mic.toml")),
    ("cn-mac", include_str!("../shipped/identity/cn-mac.toml")),
    ("operator", include_str!("../shipped/identity/operator.toml")),
];

/// The names of a kind of shipped policies.
pub(crate) fn names(shipped: Shipped) -> impl Iterator<Item = &'static str> {
    shipped.iter().map(|(name, _)| *name)
}

/// Reads the shipped policy of that name.
pub(crate) fn parse<T>(
    shipped: Shipped,
    name: &str,
    parse: fn(&str, &str) -> Result<T, Vec<Diagnostic>>,
) -> Option<T> {
    let (name, text) = shipped.iter().find(|(shipped, _)| *shipped == name)?;
    // A test reads every shipped file, so this does not fail in a program that was tested.
    parse(name, text).ok()
}

/// The name of a policy: its file's, without folder and `.toml`.
pub(crate) fn stem(file: &str) -> Arc<str> {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    Arc::from(name.strip_suffix(".toml").unwrap_or(name))
}
