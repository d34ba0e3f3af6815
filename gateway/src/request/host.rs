//! The name in a `Host` field or an absolute target (RFC 9110 §7.2).

use std::borrow::Cow;

/// What is wrong with a request's host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HostError {
    /// An absolute target names another host than the `Host` field.
    #[error("the target and the Host field name different hosts")]
    Contradicted,
    /// Not a host name or address with an optional port.
    #[error("the Host field is not a host name")]
    Invalid,
    /// HTTP/1.1 requires a `Host` field.
    #[error("the Host field is missing")]
    Missing,
    /// More than one `Host` field.
    #[error("there is more than one Host field")]
    Repeated,
}

/// The host of `host[:port]` in lower case, without the port and a last dot; brackets of an IPv6 address stay.
pub(super) fn name(authority: &str) -> Result<Cow<'_, str>, HostError> {
    let (host, port) = split_port(authority)?;
    if port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostError::Invalid);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let valid = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    if !valid {
        return Err(HostError::Invalid);
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Ok(Cow::Owned(host.to_ascii_lowercase()))
    } else {
        Ok(Cow::Borrowed(host))
    }
}

fn split_port(authority: &str) -> Result<(&str, &str), HostError> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(HostError::Invalid)? + 1;
        let (host, rest) = authority.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None if rest.is_empty() => Ok((host, "")),
            None => Err(HostError::Invalid),
        };
    }
    Ok(authority.split_once(':').unwrap_or((authority, "")))
}

/// Letters, digits, `-` and `_` in parts between single dots, 253 bytes at most.
fn is_name(host: &str) -> bool {
    host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sec_33_compares_names_without_case_port_and_last_dot() {
        for (authority, expected) in [
            ("prov.example.com", "prov.example.com"),
            ("Prov.Example.COM:8443", "prov.example.com"),
            ("prov.example.com.", "prov.example.com"),
            ("prov.example.com.:443", "prov.example.com"),
            ("192.0.2.1:443", "192.0.2.1"),
            ("[2001:DB8::1]:443", "[2001:db8::1]"),
            ("localhost:", "localhost"),
        ] {
            assert_eq!(name(authority).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn refuses_what_is_no_host() {
        for authority in [
            "",
            ":443",
            ".",
            "a..b",
            "a b",
            "user@host",
            "host/path",
            "a:b:c",
            "host:99999999",
            "[::1",
            "[zz]",
            "[::1]x",
            "h\u{f6}st",
            "a,b",
        ] {
            assert_eq!(name(authority), Err(HostError::Invalid), "{authority}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_lower_case_and_has_no_port(authority in "[a-zA-Z0-9.:\\[\\]_@/-]{0,40}") {
            if let Ok(name) = name(&authority) {
                prop_assert!(!name.is_empty() && name.bytes().all(|byte| !byte.is_ascii_uppercase()));
                prop_assert!(name.starts_with('[') || !name.contains(':'));
                prop_assert_eq!(super::name(&name), Ok(Cow::Borrowed(&*name)));
            }
        }

        #[test]
        fn no_text_makes_it_panic(authority in any::<String>()) {
            let _ = name(&authority);
        }
    }
}
