//! Whether a host name can be found from here: only ever a warning (CA D7).

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Names that are no host's by agreement (RFC 2606, RFC 6761): asking for them only takes time.
const RESERVED: [&str; 7] =
    ["example", "example.com", "example.net", "example.org", "invalid", "localhost", "test"];

/// What there is to warn of: phones look the name up, as this does.
pub(crate) fn warning(host: &str) -> Option<String> {
    if host.parse::<IpAddr>().is_ok() || is_reserved(host) {
        return None;
    }
    let (sender, answer) = channel();
    let name = host.to_owned();
    // Left behind when it takes too long; it holds nothing but the name.
    thread::spawn(move || {
        sender.send((name.as_str(), 443_u16).to_socket_addrs().is_ok_and(|mut found| found.next().is_some()))
    });
    match answer.recv_timeout(PATIENCE) {
        Ok(true) => None,
        Ok(false) => Some(format!("{host} does not resolve here; phones must find it by this name")),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Some(format!(
            "{host} did not resolve within {} seconds; phones must find it by this name",
            PATIENCE.as_secs()
        )),
    }
}

fn is_reserved(host: &str) -> bool {
    RESERVED
        .iter()
        .any(|name| host.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d7_names_that_nobody_has_are_not_asked_for() {
        for host in ["localhost", "prov.example.com", "a.test", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(warning(host), None, "{host}");
        }
        assert!(!is_reserved("myexample.com") && !is_reserved("localhost.telco.net"));
    }

    #[test]
    fn d7_a_name_that_does_not_resolve_is_a_warning() {
        // A label of 64 letters is no name, so the answer is no without asking anybody.
        let host = format!("{}.telco.net", "x".repeat(64));
        assert!(warning(&host).is_some_and(|text| text.contains("phones must find it by this name")));
    }
}
