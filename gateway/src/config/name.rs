//! The names a host answers to, and which host a name selects.

use std::{collections::HashMap, fmt, sync::Arc};

/// One of a host's `names`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostName {
    /// `*`: any name, or none at all.
    Any,
    /// A name in full.
    Exact(Arc<str>),
    /// `*.example.com`: exactly one label before the rest. Holds `example.com`.
    Wildcard(Arc<str>),
}

/// Why a text is no host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostNameError {
    /// An address: clients send no server name for one.
    #[error("is an address, and clients never send an address as server name")]
    Address,
    /// Not letters, digits and hyphens between single dots.
    #[error("is no host name")]
    Syntax,
    /// A port belongs to the listener.
    #[error("has a port, which belongs in the listener's address")]
    Port,
    /// `*` somewhere else than as the whole first label.
    #[error("has a * that is not the whole first label")]
    Wildcard,
}

impl HostName {
    /// Reads `prov.example.com`, `*.example.com` or `*`, in any case, with or without a last dot.
    ///
    /// # Errors
    /// What else it is.
    pub fn parse(text: &str) -> Result<Self, HostNameError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (wildcard, rest) = match name.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, name.as_str()),
        };
        if rest.contains('*') {
            return Err(HostNameError::Wildcard);
        }
        if rest.parse::<std::net::IpAddr>().is_ok() {
            return Err(HostNameError::Address);
        }
        if rest.contains(':') && !rest.contains('/') {
            return Err(HostNameError::Port);
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if name.len() > 253 || !rest.split('.').all(label) {
            return Err(HostNameError::Syntax);
        }
        Ok(if wildcard { Self::Wildcard(rest.into()) } else { Self::Exact(rest.into()) })
    }

    /// The server name as records and logs show it.
    #[must_use]
    pub fn to_text(&self) -> Arc<str> {
        match self {
            Self::Any => "*".into(),
            Self::Exact(name) => Arc::clone(name),
            Self::Wildcard(rest) => format!("*.{rest}").into(),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("*"),
            Self::Exact(name) => formatter.write_str(name),
            Self::Wildcard(rest) => write!(formatter, "*.{rest}"),
        }
    }
}

/// Selects a host by name: exact before wildcard before `*` (SEC-28). Gives the host's place in the configuration.
#[derive(Debug, Clone, Default)]
pub struct HostNames {
    exact: HashMap<Arc<str>, usize>,
    wildcard: HashMap<Arc<str>, usize>,
    any: Option<usize>,
}

impl HostNames {
    /// Adds a name of the host at `index`. Gives back the host that already has it.
    pub(super) fn insert(&mut self, name: &HostName, index: usize) -> Option<usize> {
        let before = match name {
            HostName::Any => self.any,
            HostName::Exact(name) => self.exact.get(name).copied(),
            HostName::Wildcard(rest) => self.wildcard.get(rest).copied(),
        };
        if before.is_none() {
            match name {
                HostName::Any => self.any = Some(index),
                HostName::Exact(name) => {
                    self.exact.insert(Arc::clone(name), index);
                }
                HostName::Wildcard(rest) => {
                    self.wildcard.insert(Arc::clone(rest), index);
                }
            }
        }
        before
    }

    /// The host that serves this server name, or clients that send none. Case and a last dot do not matter.
    #[must_use]
    pub fn select(&self, name: Option<&str>) -> Option<usize> {
        let Some(name) = name else { return self.any };
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.select_lower(&name.to_ascii_lowercase())
        } else {
            self.select_lower(name)
        }
    }

    /// The host whose wildcard, or whose `*`, would serve this name if it were not there.
    pub(super) fn covering(&self, name: &HostName) -> Option<usize> {
        match name {
            HostName::Any => None,
            HostName::Exact(name) => {
                let wildcard = name.split_once('.').and_then(|(_, rest)| self.wildcard.get(rest).copied());
                wildcard.or(self.any)
            }
            HostName::Wildcard(_) => self.any,
        }
    }

    fn select_lower(&self, name: &str) -> Option<usize> {
        let wildcard = || {
            let (label, rest) = name.split_once('.')?;
            if label.is_empty() { None } else { self.wildcard.get(rest).copied() }
        };
        self.exact.get(name).copied().or_else(wildcard).or(self.any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hosts: &[&[&str]]) -> HostNames {
        let mut names = HostNames::default();
        for (index, host) in hosts.iter().enumerate() {
            for name in *host {
                assert_eq!(names.insert(&HostName::parse(name).unwrap(), index), None);
            }
        }
        names
    }

    #[test]
    fn sec_28_exact_comes_before_wildcard_and_wildcard_before_any() {
        let names = names(&[&["*"], &["*.example.com"], &["prov.example.com"]]);
        assert_eq!(names.select(Some("prov.example.com")), Some(2));
        assert_eq!(names.select(Some("PROV.Example.com.")), Some(2));
        assert_eq!(names.select(Some("other.example.com")), Some(1));
        assert_eq!(names.select(Some("a.b.example.com")), Some(0), "a wildcard stands for one label");
        assert_eq!(names.select(Some("example.com")), Some(0));
        assert_eq!(names.select(Some(".example.com")), Some(0));
        assert_eq!(names.select(None), Some(0));
    }

    #[test]
    fn sec_35_without_a_star_a_client_without_server_name_gets_no_host() {
        let names = names(&[&["prov.example.com"]]);
        assert_eq!(names.select(None), None);
        assert_eq!(names.select(Some("192.0.2.7")), None);
        assert_eq!(names.select(Some("prov.example.com")), Some(0));
    }

    #[test]
    fn a_second_host_with_the_same_name_is_noticed() {
        let mut names = names(&[&["prov.example.com", "*.example.com", "*"]]);
        for name in ["PROV.example.com.", "*.EXAMPLE.com", "*"] {
            assert_eq!(names.insert(&HostName::parse(name).unwrap(), 1), Some(0));
        }
        assert_eq!(names.insert(&HostName::parse("prov2.example.com").unwrap(), 1), None);
    }

    #[test]
    fn what_is_no_host_name_is_refused_with_the_reason() {
        for (text, error) in [
            ("192.0.2.7", HostNameError::Address),
            ("::1", HostNameError::Address),
            ("prov.example.com:8443", HostNameError::Port),
            ("https://prov.example.com", HostNameError::Syntax),
            ("prov*.example.com", HostNameError::Wildcard),
            ("*.*.example.com", HostNameError::Wildcard),
            ("prov..example.com", HostNameError::Syntax),
            ("", HostNameError::Syntax),
            ("-prov.example.com", HostNameError::Syntax),
            ("prov.example.com/", HostNameError::Syntax),
            ("pröv.example.com", HostNameError::Syntax),
        ] {
            assert_eq!(HostName::parse(text), Err(error), "{text}");
        }
        assert_eq!(HostName::parse("localhost"), Ok(HostName::Exact("localhost".into())));
    }
}
