//! The names a provisioning server may have (CA D5, D7).

use std::fmt;
use std::net::IpAddr;

use crate::subject::NameError;

/// A host name in lower case, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// A DNS name.
    Dns(String),
    /// An IP address; only as an additional name, phones ask for a host by name.
    Ip(IpAddr),
}

impl ServerName {
    /// A host name or an IP address.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.parse() {
            Ok(address) => Ok(Self::Ip(address)),
            Err(_) => Self::host(text),
        }
    }

    /// A host name: letters, digits and hyphens between dots, no wildcard.
    pub fn host(text: &str) -> Result<Self, NameError> {
        check_host(text)?;
        Ok(Self::Dns(text.to_ascii_lowercase()))
    }

    /// The host in a common name, where text after a `/` is ignored, as the phones' guide has it.
    pub fn from_common_name(text: &str) -> Result<Self, NameError> {
        Self::host(text.split('/').next().unwrap_or_default())
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => write!(f, "{address}"),
        }
    }
}

/// RFC 1123 §2.1 and RFC 1035 §2.3.4.
fn check_host(text: &str) -> Result<(), NameError> {
    let refuse = |why| Err(NameError::HostName { value: text.to_owned(), why });
    if text.contains('*') {
        return Err(NameError::Wildcard { value: text.to_owned() });
    }
    if text.is_empty() {
        return Err(NameError::Empty { field: "host name" });
    }
    if text.len() > 253 {
        return refuse("more than 253 characters");
    }
    if text.ends_with('.') {
        return refuse("a certificate names a host without the last dot");
    }
    if text.parse::<IpAddr>().is_ok() {
        return refuse("it is an address, and phones check the name");
    }
    for label in text.split('.') {
        if label.is_empty() {
            return refuse("an empty part between dots");
        }
        if label.len() > 63 {
            return refuse("a part with more than 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return refuse("a part that begins or ends with a hyphen");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return refuse("only letters, digits and hyphens between dots");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d5_takes_host_names_and_only_those() {
        for good in [
            "prov.example.com",
            "localhost",
            "PROV.example.COM",
            "1x.example",
            &format!("{}.com", "a".repeat(63)),
        ] {
            assert!(ServerName::host(good).is_ok(), "{good}");
        }
        let long_label = format!("{}.com", "a".repeat(64));
        let long_name = vec!["a".repeat(63); 4].join(".");
        for bad in [
            "",
            "a..b",
            ".a",
            "a.",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a b",
            "a\0.b",
            "ü.de",
            "10.0.0.1",
            &long_label,
            &long_name,
        ] {
            assert!(ServerName::host(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn d7_a_wildcard_is_refused_with_the_reason() {
        let error = ServerName::host("*.example.com").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#""*.example.com" is a wildcard: phones do not accept wildcard certificates"#
        );
    }

    #[test]
    fn d7_text_after_a_slash_in_a_common_name_is_ignored() {
        for name in ["pv.telco.net/mailto:admin@telco.net", "pv.telco.net/info@voice.com", "pv.telco.net"] {
            assert_eq!(ServerName::from_common_name(name).unwrap().to_string(), "pv.telco.net");
        }
    }
}
