//! Name constraints (RFC 5280 §4.2.1.10): the subtrees that an authority may, and may not, name.

use crate::certificate::Certificate;
use crate::der::{self, Element, Reader, tag};
use crate::general_name::GeneralName;
use crate::name::DistinguishedName;
use crate::oid;

/// The nameConstraints extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameConstraints {
    permitted: Box<[GeneralName]>,
    excluded: Box<[GeneralName]>,
}

/// Comparisons left. A certificate with thousands of names below one with thousands of subtrees would take seconds.
#[derive(Debug)]
pub(super) struct Budget(u32);

impl Budget {
    pub(super) const COMPARISONS: u32 = 250_000;

    pub(super) fn new() -> Self {
        Self(Self::COMPARISONS)
    }

    fn spend(&mut self) -> Result<(), Violation> {
        self.0 = self.0.checked_sub(1).ok_or(Violation::TooManyComparisons)?;
        Ok(())
    }
}

/// Why a certificate's names do not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Violation {
    /// This name is excluded, or not permitted, or of a kind that cannot be judged.
    Name(String),
    /// The comparison was given up.
    TooManyComparisons,
}

impl NameConstraints {
    pub(crate) fn parse(value: &[u8]) -> der::Result<Self> {
        let mut outer = Reader::new(value);
        let mut fields = outer.sequence("name constraints")?;
        outer.finish()?;
        if fields.is_empty() {
            return fields.fail(der::DerProblem::Invalid("empty name constraints"));
        }
        let permitted = fields.optional(tag::context_constructed(0))?;
        let excluded = fields.optional(tag::context_constructed(1))?;
        fields.finish()?;
        Ok(Self { permitted: read_subtrees(permitted)?, excluded: read_subtrees(excluded)? })
    }

    /// Checks every name of a certificate: its subject, the e-mail addresses in it, and its alternative names.
    pub(super) fn check(&self, certificate: &Certificate, budget: &mut Budget) -> Result<(), Violation> {
        let subject = certificate.subject();
        if !subject.is_empty() {
            self.check_name(&GeneralName::Directory(subject.clone()), budget)?;
        }
        // RFC 5280 asks this only of certificates without alternative names; an address is an address in any.
        for attribute in subject.values_of(&oid::EMAIL) {
            let address = attribute.text().map_err(|_| Violation::Name(subject.to_string()))?;
            self.check_name(&GeneralName::Email(address.into()), budget)?;
        }
        let alternatives = certificate.subject_alternative_names();
        alternatives
            .into_iter()
            .flat_map(|names| names.names())
            .try_for_each(|name| self.check_name(name, budget))
    }

    fn check_name(&self, name: &GeneralName, budget: &mut Budget) -> Result<(), Violation> {
        let refused = || Err(Violation::Name(name.to_string()));
        for base in &self.excluded {
            budget.spend()?;
            if matches(name, base, Side::Excluded).is_some_and(|matches| matches != Match::Outside) {
                return refused();
            }
        }
        let mut restricted = false;
        for base in &self.permitted {
            budget.spend()?;
            match matches(name, base, Side::Permitted) {
                Some(Match::Within) => return Ok(()),
                Some(Match::Outside | Match::CannotTell) => restricted = true,
                None => {}
            }
        }
        if restricted { refused() } else { Ok(()) }
    }
}

impl Certificate {
    /// The first name of a certificate below this authority that the authority's name constraints do not allow
    /// (RFC 5280 §4.2.1.10). Without such constraints all names are allowed.
    #[must_use]
    pub fn name_not_permitted(&self, below: &Self) -> Option<String> {
        match self.name_constraints()?.check(below, &mut Budget::new()) {
            Ok(()) => None,
            Err(Violation::Name(name)) => Some(name),
            Err(Violation::TooManyComparisons) => Some(below.subject().to_string()),
        }
    }
}

/// Subtrees with the only distances that RFC 5280 allows: from 0, without end.
fn read_subtrees(outer: Option<Element<'_>>) -> der::Result<Box<[GeneralName]>> {
    let Some(outer) = outer else { return Ok(Box::default()) };
    let mut reader = outer.reader();
    let mut subtrees = Vec::new();
    if reader.is_empty() {
        return outer.invalid("empty list of subtrees");
    }
    while !reader.is_empty() {
        let mut fields = reader.sequence("a subtree")?;
        let base = fields.any()?;
        fields.finish()?;
        let subtree = GeneralName::from_element(&base)?;
        if let GeneralName::Ip(bytes) = &subtree
            && !is_network(bytes)
        {
            return base.invalid("IP network");
        }
        subtrees.push(subtree);
    }
    Ok(subtrees.into())
}

/// An address and a mask whose ones all come first.
fn is_network(bytes: &[u8]) -> bool {
    let (_, mask) = bytes.split_at(bytes.len() / 2);
    let mut ended = false;
    let contiguous = mask.iter().all(|byte| {
        let fits = if ended { *byte == 0 } else { byte.leading_ones() + byte.trailing_zeros() >= 8 };
        ended |= *byte != 0xff;
        fits
    });
    matches!(bytes.len(), 8 | 32) && contiguous
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    /// A name of the right kind that cannot be compared; neither permitted nor free of exclusion.
    CannotTell,
    Outside,
    Within,
}

impl From<bool> for Match {
    fn from(within: bool) -> Self {
        if within { Self::Within } else { Self::Outside }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Excluded,
    Permitted,
}

/// Compares names of one kind; names of different kinds say nothing about each other (SEC-18).
fn matches(name: &GeneralName, base: &GeneralName, side: Side) -> Option<Match> {
    Some(match (name, base) {
        (GeneralName::Directory(name), GeneralName::Directory(base)) => directory(name, base),
        (GeneralName::Dns(name), GeneralName::Dns(base)) => dns(name, base, side),
        (GeneralName::Email(name), GeneralName::Email(base)) => email(name, base),
        (GeneralName::Uri(name), GeneralName::Uri(base)) => uri(name, base),
        (GeneralName::Ip(address), GeneralName::Ip(network)) => ip(address, network),
        (GeneralName::Other { type_id, .. }, GeneralName::Other { type_id: base, .. }) => {
            if type_id == base {
                Match::CannotTell
            } else {
                return None;
            }
        }
        // RFC 5280 §4.2.1.10: a constraint on a kind of name that is not understood refuses such names.
        (GeneralName::X400(_), GeneralName::X400(_))
        | (GeneralName::EdiParty(_), GeneralName::EdiParty(_))
        | (GeneralName::RegisteredId(_), GeneralName::RegisteredId(_)) => Match::CannotTell,
        (_, _) => return None,
    })
}

fn directory(name: &DistinguishedName, base: &DistinguishedName) -> Match {
    name.is_within(base).into()
}

/// `example.com` holds itself and every name below it. A wildcard stands for all names it could match.
fn dns(name: &str, base: &str, side: Side) -> Match {
    if base.is_empty() {
        return Match::Within;
    }
    if !is_host(base) || !is_host(name.strip_prefix("*.").unwrap_or(name)) {
        return Match::CannotTell;
    }
    if below_or_equal(name, base) {
        return Match::Within;
    }
    // `*.example.com` could be `host.example.com`.
    let covers_base = side == Side::Excluded
        && name.strip_prefix("*.").is_some_and(|parent| {
            base.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
        });
    covers_base.into()
}

fn below_or_equal(name: &str, base: &str) -> bool {
    let Some(split) = name.len().checked_sub(base.len()) else { return false };
    let (head, tail) = name.split_at(split);
    tail.eq_ignore_ascii_case(base) && (head.is_empty() || head.ends_with('.'))
}

/// Labels of letters, digits, hyphens and underscores.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// `user@host` is one mailbox, `host` every mailbox there, `.domain` every mailbox at any host below.
fn email(address: &str, base: &str) -> Match {
    // A second @ may only stand in a quoted local part (RFC 5321 §4.1.2).
    let is_local = |local: &str| !local.is_empty() && (!local.contains('@') || local.starts_with('"'));
    let parts = address.rsplit_once('@').filter(|(local, host)| is_local(local) && is_host(host));
    let Some((local, host)) = parts else { return Match::CannotTell };
    match base.rsplit_once('@') {
        Some((base_local, base_host)) => (local == base_local && host.eq_ignore_ascii_case(base_host)).into(),
        None => host_matches(host, base),
    }
}

/// The constraint is on the host; a URI without a host that is a name cannot be judged.
fn uri(uri: &str, base: &str) -> Match {
    match host_of(uri) {
        Some(host) if is_host(host) && host.parse::<std::net::Ipv4Addr>().is_err() => {
            host_matches(host, base)
        }
        Some(_) | None => Match::CannotTell,
    }
}

/// `scheme://user@host:port/path` without all but the host.
fn host_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.starts_with('[') { None } else { host.split(':').next() }
}

fn host_matches(host: &str, base: &str) -> Match {
    match base.strip_prefix('.') {
        _ if base.is_empty() => Match::Within,
        Some(domain) if is_host(domain) => (below_or_equal(host, domain) && host.len() > domain.len()).into(),
        None if is_host(base) => host.eq_ignore_ascii_case(base).into(),
        Some(_) | None => Match::CannotTell,
    }
}

fn ip(address: &[u8], network: &[u8]) -> Match {
    let (base, mask) = network.split_at(network.len() / 2);
    let same = |((address, base), mask): ((&u8, &u8), &u8)| address & mask == base & mask;
    (address.len() == base.len() && address.iter().zip(base).zip(mask).all(same)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(kind: fn(Box<str>) -> GeneralName, name: &str, base: &str) -> Option<Match> {
        matches(&kind(name.into()), &kind(base.into()), Side::Permitted)
    }

    #[test]
    fn dns_subtrees_hold_themselves_and_what_is_below() {
        let dns = |name, base| within(GeneralName::Dns, name, base);
        assert_eq!(dns("example.com", "example.com"), Some(Match::Within));
        assert_eq!(dns("a.EXAMPLE.com", "example.COM"), Some(Match::Within));
        assert_eq!(dns("*.example.com", "example.com"), Some(Match::Within));
        assert_eq!(dns("notexample.com", "example.com"), Some(Match::Outside));
        assert_eq!(dns("com", "example.com"), Some(Match::Outside));
        assert_eq!(dns("anything", ""), Some(Match::Within));
        assert_eq!(dns("a..com", "com"), Some(Match::CannotTell));
        let excluded = |name: &str, base: &str| {
            matches(&GeneralName::Dns(name.into()), &GeneralName::Dns(base.into()), Side::Excluded)
        };
        assert_eq!(excluded("*.example.com", "host.example.com"), Some(Match::Within));
        assert_eq!(excluded("*.example.com", "a.host.example.com"), Some(Match::Outside));
    }

    #[test]
    fn email_and_uri_constraints_are_hosts_or_domains() {
        let email = |name, base| within(GeneralName::Email, name, base);
        assert_eq!(email("a@example.com", "example.com"), Some(Match::Within));
        assert_eq!(email("a@host.example.com", "example.com"), Some(Match::Outside));
        assert_eq!(email("a@host.example.com", ".example.com"), Some(Match::Within));
        assert_eq!(email("a@example.com", ".example.com"), Some(Match::Outside));
        assert_eq!(email("A@example.com", "a@example.com"), Some(Match::Outside), "mailboxes have case");
        assert_eq!(email("a@EXAMPLE.com", "a@example.com"), Some(Match::Within), "hosts have none");
        assert_eq!(email("nobody", "example.com"), Some(Match::CannotTell));
        let uri = |name, base| within(GeneralName::Uri, name, base);
        assert_eq!(uri("https://u:p@host.example.com:8443/x", ".example.com"), Some(Match::Within));
        assert_eq!(uri("https://example.com", "example.com"), Some(Match::Within));
        assert_eq!(uri("https://host.example.com", "example.com"), Some(Match::Outside));
        assert_eq!(uri("https://192.0.2.1/", "example.com"), Some(Match::CannotTell));
        assert_eq!(uri("https://[2001:db8::1]/", "example.com"), Some(Match::CannotTell));
        assert_eq!(uri("urn:x:y", "example.com"), Some(Match::CannotTell));
    }

    #[test]
    fn networks_need_a_mask_of_leading_ones() {
        assert!(is_network(&[192, 0, 2, 0, 255, 255, 255, 0]));
        assert!(is_network(&[0; 8]) && is_network(&[0xff; 32]));
        assert!(!is_network(&[192, 0, 2, 0, 255, 0, 255, 0]));
        assert!(!is_network(&[192, 0, 2, 0, 255, 253, 0, 0]));
        assert!(!is_network(&[0; 9]) && !is_network(&[]));
        assert_eq!(ip(&[192, 0, 2, 7], &[192, 0, 2, 0, 255, 255, 255, 0]), Match::Within);
        assert_eq!(ip(&[192, 0, 3, 7], &[192, 0, 2, 0, 255, 255, 255, 0]), Match::Outside);
        assert_eq!(ip(&[0; 16], &[0; 8]), Match::Outside);
    }
}
