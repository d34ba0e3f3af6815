//! Whether the server's certificate names the host as phones want it, and whether the name leads to the server: the guide's
//! rule of CN, slash, wildcard and DNS.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use certs::{Certificate, oid};
use serde::Serialize;

/// The name and the certificate, side by side.
#[derive(Clone, Debug, Serialize)]
pub(super) struct NameFacts {
    /// The name a phone would have in its Profile_Rule, if one is known.
    pub(super) name: Option<String>,
    /// The certificate's common names as they stand there.
    pub(super) common_names: Vec<String>,
    /// The DNS names of its subjectAltName.
    pub(super) dns_names: Vec<String>,
    /// The host that the common name names: what stands before a slash.
    pub(super) common_name_host: Option<String>,
    /// One of them has a star.
    pub(super) wildcard: bool,
    /// The name is the common name's host.
    pub(super) in_common_name: bool,
    /// The name is a DNS name of the subjectAltName, without a star.
    pub(super) in_dns_names: bool,
    /// What this machine's resolver says the name's addresses are; empty where there is none.
    pub(super) addresses: Vec<IpAddr>,
    /// The server's address is among them.
    pub(super) leads_here: bool,
}

impl NameFacts {
    /// Looks the name up and compares.
    pub(super) fn find(name: Option<&str>, server: SocketAddr, certificate: Option<&Certificate>) -> Self {
        let addresses: Vec<IpAddr> = match name {
            Some(name) => (name, server.port())
                .to_socket_addrs()
                .into_iter()
                .flatten()
                .map(|found| found.ip())
                .collect(),
            None => Vec::new(),
        };
        Self::compare(name, server.ip(), addresses, certificate)
    }

    fn compare(
        name: Option<&str>,
        server: IpAddr,
        addresses: Vec<IpAddr>,
        certificate: Option<&Certificate>,
    ) -> Self {
        let subject = certificate.map(Certificate::subject);
        let common_names: Vec<String> = subject
            .into_iter()
            .flat_map(|subject| subject.values_of(&oid::COMMON_NAME))
            .filter_map(|attribute| attribute.text().ok().map(|text| text.to_string()))
            .collect();
        let alternative = certificate.and_then(Certificate::subject_alternative_names);
        let dns_names: Vec<String> =
            alternative.into_iter().flat_map(|names| names.dns_names()).map(str::to_owned).collect();
        let host = common_names.last().map(|common| before_slash(common).to_owned());
        let same = |found: &str| name.is_some_and(|name| found.eq_ignore_ascii_case(name));
        Self {
            wildcard: host.iter().chain(&dns_names).any(|found| found.contains('*')),
            in_common_name: host.as_deref().is_some_and(same),
            in_dns_names: dns_names.iter().any(|found| same(found)),
            leads_here: addresses.iter().any(|address| address.to_canonical() == server.to_canonical()),
            name: name.map(str::to_owned),
            common_names,
            dns_names,
            common_name_host: host,
            addresses,
        }
    }
}

/// GUIDE: text after a `/` is ignored, so `prof.voice.com/info@voice.com` names `prof.voice.com`.
fn before_slash(common_name: &str) -> &str {
    common_name.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use certs::testing::Pki;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn facts(common_name: &str, san: &[&str], name: Option<&str>, addresses: &[IpAddr]) -> NameFacts {
        let issued = Pki::new().leaf().attribute(oid::COMMON_NAME, common_name).dns_names(san).issue();
        NameFacts::compare(name, HERE, addresses.to_vec(), Some(issued.certificate()))
    }

    #[test]
    fn the_common_name_counts_up_to_its_slash_and_in_either_case() {
        for common in ["sprov.callme.com", "SPROV.callme.com", "sprov.callme.com/mailto:admin@telco.net"] {
            assert!(facts(common, &["other.example.com"], Some("sprov.callme.com"), &[HERE]).in_common_name);
        }
        let found = facts("other.callme.com", &["sprov.callme.com"], Some("sprov.callme.com"), &[HERE]);
        assert!(!found.in_common_name && found.in_dns_names && found.leads_here, "{found:?}");
        assert!(!facts("sprov.callme.com.evil.org", &["a.b"], Some("sprov.callme.com"), &[]).in_common_name);
    }

    #[test]
    fn a_star_names_nobody() {
        let found = facts("*.callme.com", &["*.callme.com"], Some("sprov.callme.com"), &[HERE]);
        assert!(found.wildcard && !found.in_common_name && !found.in_dns_names, "{found:?}");
    }

    #[test]
    fn the_address_must_be_among_those_of_the_name() {
        let elsewhere = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));
        assert!(facts("a.b", &["a.b"], Some("a.b"), &[elsewhere, HERE]).leads_here);
        assert!(!facts("a.b", &["a.b"], Some("a.b"), &[elsewhere]).leads_here);
        assert!(!facts("a.b", &["a.b"], None, &[]).leads_here);
    }
}
