//! The step that replaces what a request says of its sender by what we know (SEC-01 to SEC-11).
//!
//! [`rewrite`] drops, in this order, the fields meant for this hop and every field with a managed name, in any spelling; then
//! ours are set, which were written once for the connection ([`PeerFields`]). A field for something the principal does
//! not have is absent, never empty. Request trailer fields never reach a backend at all.
//!
//! | Preset | Fields |
//! | --- | --- |
//! | `guide` | `SSL-Client-…`, `SSL-Protocol`, … with the values of Apache's mod_ssl variables ([`guide`]) |
//! | `broadworks` | `macaddress` |
//! | `rfc9440` | `Client-Cert`, `Client-Cert-Chain` |
//! | `xfcc` | `X-Forwarded-Client-Cert`, as Envoy writes it |
//! | `device` | `Device-Kind`, `Device-Product`, `Device-Serial`, `Device-MAC` |
//!
//! Managed are all names that begin `SSL-`, `X-SSL-`, `Device-` or `X-Forwarded-`, and `Client-Cert`, `Client-Cert-Chain`,
//! `Forwarded`, `macaddress`, `X-Real-IP`, `X-Request-Id`, and a few that some backends let change what was judged
//! (`X-Original-URL`, `X-HTTP-Method-Override`, `Proxy`), with any sign in place of `-`.
//!
//! Always set: `Forwarded`, `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Real-IP` and `X-Request-Id`.
//! `Host` passes unchanged.

use std::sync::Arc;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Response};
use policies::{Permit, Reason};

use crate::authorize::Permitted;
use crate::request::Inbound;

use self::managed_fields::is_look_alike;
pub use self::managed_fields::is_managed;
pub use self::peer_fields::{PeerFacts, PeerFields};

mod broadworks;
mod device;
mod forwarded;
pub mod guide;
mod hop_by_hop;
mod managed_fields;
mod openssl_names;
mod peer_fields;
mod rfc9440;
mod xfcc;

/// What a host's backend is told about the client: `headers` and its companions in the configuration.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HeaderConfig {
    /// Which families of fields are set.
    pub presets: Vec<Preset>,
    /// Whose values `SSL-Client-I-DN-OU`, `-L` and `-S` carry.
    pub issuer_fields: IssuerFields,
    /// How the names of `guide` and `device` are spelled.
    pub separator: Separator,
    /// Whether `guide` and `xfcc` carry the whole certificate too.
    pub certificate: bool,
}

/// A family of fields.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Preset {
    /// `macaddress`.
    Broadworks,
    /// `Device-Kind`, `Device-Product`, `Device-Serial`, `Device-MAC`.
    Device,
    /// Apache's names, as the phones' guide uses them.
    Guide,
    /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
    Rfc9440,
    /// `X-Forwarded-Client-Cert`.
    Xfcc,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 5] = [Self::Guide, Self::Broadworks, Self::Rfc9440, Self::Xfcc, Self::Device];

    /// Its name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broadworks => "broadworks",
            Self::Device => "device",
            Self::Guide => "guide",
            Self::Rfc9440 => "rfc9440",
            Self::Xfcc => "xfcc",
        }
    }
}

/// Whose values `SSL-Client-I-DN-OU`, `-L` and `-S` carry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IssuerFields {
    /// The device's product, serial number and MAC, as a backend written from the phones' guide expects.
    #[default]
    Guide,
    /// The issuer's, as in Apache.
    ModSsl,
}

/// The sign between the words of a name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Separator {
    /// `SSL-Client-Verify`; Apache and nginx drop fields with `_`.
    #[default]
    Dash,
    /// `SSL_Client_Verify`.
    Underscore,
}

/// A permitted request without anything its sender said of itself, with what we know instead.
#[derive(Debug)]
pub struct Outbound<B> {
    method: Method,
    target: PathAndQuery,
    /// What is left of the request's own fields.
    kept: Vec<(HeaderName, HeaderValue)>,
    fields: Arc<PeerFields>,
    request_id: HeaderValue,
    permit: Permit,
    body: B,
}

/// Strips `permitted` and joins it with the connection's `fields`. `request_id` becomes `X-Request-Id`.
///
/// # Errors
///
/// The request and our fields do not fit into one head together: it must not go out without them (SEC-09).
pub fn rewrite<B>(
    permitted: Permitted<Inbound<B>>,
    fields: &Arc<PeerFields>,
    request_id: HeaderValue,
) -> Result<Outbound<B>, RewriteError> {
    let permit = permitted.permit().clone();
    let (parts, body) = permitted.into_inner().into_parts();
    let target = parts.uri.into_parts().path_and_query.ok_or(RewriteError::NoTarget)?;
    let kept = strip(parts.headers);
    if kept.len() + fields.headers().len() > MAX_FIELDS {
        return Err(RewriteError::TooManyFields { count: kept.len() });
    }
    Ok(Outbound { method: parts.method, target, kept, fields: Arc::clone(fields), request_id, permit, body })
}

/// Few enough for any backend, and far below what a header map can hold (32 768).
const MAX_FIELDS: usize = 400;

/// The fields of a request that reach the backend as they are.
fn strip(headers: HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let nominated = hop_by_hop::Nominated::of(&headers);
    let mut kept: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(headers.len());
    let mut passes = false;
    for (name, value) in headers {
        // The map gives a name only with the first of its values.
        let name = match (name, kept.last()) {
            (Some(name), _) => {
                passes = !hop_by_hop::ends_here(&name)
                    && !nominated.holds(&name)
                    && !is_managed(name.as_str())
                    && !is_look_alike(name.as_str());
                name
            }
            (None, Some((last, _))) if passes => HeaderName::clone(last),
            (None, _) => continue,
        };
        if passes {
            kept.push((name, value));
        }
    }
    kept
}

/// Removes from a backend's answer what is meant for this hop alone, and every managed name (SEC-68).
pub(crate) fn clean_response<B>(response: &mut Response<B>) {
    let headers = response.headers_mut();
    let nominated = hop_by_hop::Nominated::of(headers);
    let passes = |name: &HeaderName| {
        !hop_by_hop::ends_here(name) && !nominated.holds(name) && !is_managed(name.as_str())
    };
    if !headers.keys().all(passes) {
        let foreign: Vec<_> = headers.keys().filter(|name| !passes(name)).cloned().collect();
        for name in foreign {
            headers.remove(name);
        }
    }
    *response.version_mut() = http::Version::HTTP_11;
}

impl<B> Outbound<B> {
    /// The rule that permitted it.
    #[must_use]
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The head for an HTTP backend. `host` stands in where the device sent no `Host` (HTTP/1.0).
    #[must_use]
    pub fn request(&self, host: &HeaderValue) -> Request<()> {
        let mut headers = self.fields.headers().clone();
        headers.reserve(self.kept.len() + 3);
        let mut named = false;
        for (name, value) in &self.kept {
            if *name == HOST {
                named = true;
                headers.insert(&forwarded::X_FORWARDED_HOST, value.clone());
            }
            headers.append(name, value.clone());
        }
        if !named {
            headers.insert(HOST, host.clone());
        }
        headers.insert(&X_REQUEST_ID, self.request_id.clone());
        self.head(headers)
    }

    /// The head for a folder of files: what selects a file, a range or a condition.
    pub(crate) fn file_request(&self) -> Request<()> {
        self.head(self.kept.iter().cloned().collect())
    }

    fn head(&self, headers: HeaderMap) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(self.target.clone());
        *request.headers_mut() = headers;
        request
    }

    /// The request's id as text.
    pub(crate) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    pub(crate) fn split_body(self) -> (Outbound<()>, B) {
        let Self { method, target, kept, fields, request_id, permit, body } = self;
        (Outbound { method, target, kept, fields, request_id, permit, body: () }, body)
    }
}

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Why a request cannot carry our fields; it is then not forwarded at all.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RewriteError {
    /// The request has no target; [`Inbound`] always has one.
    #[error("the request has no target")]
    NoTarget,
    /// The identity fields are larger than a backend can be expected to take.
    #[error("the identity fields would take {size} bytes, more than {limit}")]
    TooLarge {
        /// Names and values together, in bytes.
        size: usize,
        /// The most that is sent, in bytes.
        limit: usize,
    },
    /// The request's own fields leave no room for ours.
    #[error("the request has {count} fields, which leaves no room for ours")]
    TooManyFields {
        /// Fields left after stripping.
        count: usize,
    },
    /// A value holds a control byte that should have been escaped.
    #[error("a value for {field} holds a control byte")]
    Unprintable {
        /// The field's name.
        field: HeaderName,
    },
}

impl RewriteError {
    /// The stable reason code.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        Reason::IdentityFieldsFailed
    }
}

#[cfg(test)]
mod tests;
