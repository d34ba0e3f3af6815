//! Where an authority publishes: the URIs that stand in new certificates, and the shard each is put on (CA F4, F5, G1).

use http::Uri;
use http::uri::Scheme;
use serde_json::json;

use super::{Authority, Issuer};
use crate::error::IssueError;
use crate::profile::pointers::Pointers;
use crate::random::{RandomError, RandomSource};
use crate::store::{AuditEvent, AuthorityId, Publication, Shard, ShardNumber, StoreError, crl_name};

/// Most shards that are open at a time.
pub const MAX_SHARDS: u32 = 1024;

/// Longest URL under which lists are published, in octets: it stands in every certificate.
const MAX_URL: usize = 200;

/// What a publication is to be.
#[derive(Debug, Clone)]
pub struct PublicationRequest {
    /// Under which http URL `provision-ca serve` is reached from outside.
    pub url: String,
    /// How many shards new certificates are spread over; 1 to [`MAX_SHARDS`].
    pub shards: u32,
    /// Whether new certificates name the OCSP responder.
    pub ocsp: bool,
    /// Whether the list of everything revoked is published beside the shards.
    pub complete_list: bool,
}

/// How an authority publishes now.
#[derive(Debug, Clone)]
pub struct PublicationSetting {
    /// Whose.
    pub authority: String,
    /// What new certificates say; nothing when there is none.
    pub publication: Option<Publication>,
    /// Its shards, those closed too.
    pub shards: Vec<Shard>,
}

/// A publication that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicationError {
    /// The number of shards.
    #[error("{found} shards are not possible, 1 to {MAX_SHARDS} are")]
    Shards {
        /// What was asked for.
        found: u32,
    },
    /// The URL.
    #[error("{url:?} cannot stand in certificates: {why}")]
    Url {
        /// It.
        url: String,
        /// Why not.
        why: &'static str,
    },
}

impl PublicationError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Shards { .. } => None,
            Self::Url { .. } => Some(
                "give the address where `provision-ca serve` is reached, as http://pki.example.com"
                    .to_owned(),
            ),
        }
    }
}

impl Authority {
    /// Sets where an authority publishes from now on; certificates issued before keep what they say, and the lists they
    /// name are published as before. No key is needed.
    pub fn set_publication(&mut self, name: &str, request: &PublicationRequest) -> Result<(), IssueError> {
        let PublicationRequest { url, shards, ocsp, complete_list } = request;
        if !(1..=MAX_SHARDS).contains(shards) {
            return Err(PublicationError::Shards { found: *shards }.into());
        }
        let url = checked_url(url)?;
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let issuer = self.named(name)?;
        self.check_is_own(issuer)?;
        let id = issuer.id();
        let open = open_shards(&self.store.shards(id)?, &url, name, *shards);
        let detail = json!({ "authority": name, "url": url, "shards": shards, "ocsp": ocsp, "complete_list": complete_list });
        let publication = Publication { url, ocsp: *ocsp, complete_list: *complete_list };
        let audit = AuditEvent { at: now, event: "publication", detail };
        Ok(self.store.set_publication(id, Some(&publication), &open, &audit)?)
    }

    /// New certificates of an authority say nothing of lists any more.
    pub fn clear_publication(&mut self, name: &str) -> Result<(), IssueError> {
        let _lock = self.lock()?;
        let now = self.plausible_now()?;
        let id = self.named(name)?.id();
        let audit =
            AuditEvent { at: now, event: "publication", detail: json!({ "authority": name, "url": null }) };
        Ok(self.store.set_publication(id, None, &[], &audit)?)
    }

    /// How every authority publishes.
    pub fn publications(&self) -> Result<Vec<PublicationSetting>, IssueError> {
        self.issuers
            .iter()
            .map(|issuer| {
                Ok(PublicationSetting {
                    authority: issuer.name().to_owned(),
                    publication: self.store.publication(issuer.id())?,
                    shards: self.store.shards(issuer.id())?,
                })
            })
            .collect()
    }

    /// The authority of this name.
    pub(super) fn named(&self, name: &str) -> Result<&Issuer, IssueError> {
        self.issuers
            .iter()
            .find(|issuer| issuer.name() == name)
            .ok_or_else(|| IssueError::NotFound { selector: name.to_owned() })
    }

    /// What new certificates of this authority say of lists, issuer and OCSP.
    pub(super) fn pointing(&self, id: AuthorityId) -> Result<Pointing, IssueError> {
        let name = self.issuers.iter().find(|issuer| issuer.id() == id).map(Issuer::name).unwrap_or_default();
        let publication = self.store.publication(id)?;
        Ok(Pointing { name: name.to_owned(), publication, shards: self.store.shards(id)? })
    }
}

/// What an authority's new certificates say of lists, issuer and OCSP: read once for all of a batch.
pub(super) struct Pointing {
    name: String,
    publication: Option<Publication>,
    shards: Vec<Shard>,
}

impl Pointing {
    /// The shard a new certificate is put on, drawn at random and never changed.
    pub(super) fn draw_shard(&self, random: &dyn RandomSource) -> Result<Option<ShardNumber>, IssueError> {
        let open: Vec<&Shard> = self.shards.iter().filter(|shard| shard.is_open).collect();
        Ok(draw(open.len(), random)?.and_then(|index| open.get(index)).map(|shard| shard.number))
    }

    /// What a certificate on this shard says.
    pub(super) fn pointers(&self, shard: Option<ShardNumber>) -> Result<Pointers, IssueError> {
        let Some(Publication { url, ocsp, complete_list: _ }) = &self.publication else {
            return Ok(Pointers::default());
        };
        let list = match shard {
            None => None,
            Some(number) => Some(self.shard_uri(number)?),
        };
        Ok(Pointers {
            list,
            issuer: Some(format!("{url}/ca/{}.der", self.name)),
            ocsp: ocsp.then(|| format!("{url}/ocsp")),
        })
    }

    fn shard_uri(&self, number: ShardNumber) -> Result<String, IssueError> {
        let shard = self.shards.iter().find(|shard| shard.number == number);
        shard.map(|shard| shard.uri.clone()).ok_or_else(|| {
            StoreError::Damaged { what: format!("shard {number} of authority {} is missing", self.name) }
                .into()
        })
    }
}

/// The shards that new certificates are spread over when there are to be `count` below this URL, beside those that are known.
pub(super) fn open_shards(known: &[Shard], url: &str, authority: &str, count: u32) -> Vec<Shard> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let first_new = known.iter().map(|shard| shard.number.0).max().unwrap_or(0).saturating_add(1);
    // Shards of the same address are used again, so that a count that goes down and up again makes no new lists.
    let again = known.iter().filter(|shard| shard.uri == uri(url, authority, shard.number));
    let new = (first_new..=u32::MAX).map(ShardNumber).map(|number| (number, uri(url, authority, number)));
    again
        .map(|shard| (shard.number, shard.uri.clone()))
        .chain(new)
        .take(count)
        .map(|(number, uri)| Shard { number, uri, is_open: true })
        .collect()
}

/// What a shard's certificates and its list say.
fn uri(url: &str, authority: &str, number: ShardNumber) -> String {
    format!("{url}/crl/{}", crl_name(authority, Some(number)))
}

/// One of `count`, each as likely as the others; none of none.
fn draw(count: usize, random: &dyn RandomSource) -> Result<Option<usize>, RandomError> {
    let Some(count) = u32::try_from(count).ok().filter(|count| *count > 0) else { return Ok(None) };
    // What is above the last whole multiple is drawn again: else the first shards would fill sooner.
    let limit = u32::MAX - u32::MAX % count;
    loop {
        let mut octets = [0; 4];
        random.fill(&mut octets)?;
        let drawn = u32::from_be_bytes(octets);
        if drawn < limit {
            return Ok(usize::try_from(drawn % count).ok());
        }
    }
}

/// A URL that may stand in certificates, without the slash at its end.
fn checked_url(text: &str) -> Result<String, PublicationError> {
    let refused = |why| Err(PublicationError::Url { url: text.to_owned(), why });
    if text.len() > MAX_URL {
        return refused("it is longer than 200 characters");
    }
    if text.contains('#') {
        return refused("it has a fragment");
    }
    let Ok(uri) = text.parse::<Uri>() else { return refused("it is no URL") };
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return refused("it is no whole URL");
    };
    if *scheme != Scheme::HTTP {
        return refused("lists are fetched over http, for TLS would need one first (RFC 5280 §8)");
    }
    if authority.as_str().contains('@') {
        return refused("it has a user name");
    }
    if authority.host().is_empty() {
        return refused("it has no host");
    }
    if uri.query().is_some() {
        return refused("it has a query");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OperatingSystem;

    #[test]
    fn a_url_is_plain_http_with_a_host_and_nothing_behind_the_path() {
        for (text, checked) in [
            ("http://pki.example.com", "http://pki.example.com"),
            ("http://pki.example.com:8080/lists/", "http://pki.example.com:8080/lists"),
            ("http://[2001:db8::1]/", "http://[2001:db8::1]"),
        ] {
            assert_eq!(checked_url(text).as_deref(), Ok(checked));
        }
        for text in [
            "",
            "pki.example.com",
            "/crl",
            "https://pki.example.com",
            "ldap://pki.example.com",
            "http://",
            "http://user:secret@pki.example.com",
            "http://pki.example.com/?a=b",
            "http://pki.example.com/#a",
            "http://pki.example.com/a b",
            "http://blåbær.example/",
        ] {
            assert!(checked_url(text).is_err(), "{text}");
        }
        assert!(checked_url(&format!("http://{}.example", "a".repeat(200))).is_err());
    }

    #[test]
    fn shards_fill_evenly() {
        assert_eq!(draw(0, &OperatingSystem), Ok(None));
        let mut counts = [0_u32; 16];
        for _ in 0..16_000 {
            counts[draw(16, &OperatingSystem).unwrap().unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
