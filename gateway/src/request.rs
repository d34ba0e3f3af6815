//! An HTTP request as the rules judge it: [`Inbound`], with one normalised target and a host that agrees with the
//! connection's. What could be read in two ways is refused here, before any rule (SEC-66, SEC-67).
//!
//! hyper beneath refuses what is no HTTP at all (bare CR, folded lines, differing lengths, `Transfer-Encoding` in
//! HTTP/1.0); where both `Transfer-Encoding` and `Content-Length` came it drops the length and closes after the answer
//! (RFC 9112 §6.3). [`Inbound::new`] checks the same again on what is left, so that nothing rests on one parser.

use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{HeaderMap, Method, Request, Version};
use hyper::body::Incoming;
use policies::{Reason, RequestFacts};

pub use self::body::{BodyLimits, RequestBody, RequestBodyError};
pub use self::host::HostError;
pub use self::target::TargetError;

pub(crate) use self::body::Progress;

mod body;
mod host;
pub(crate) mod target;

/// A request whose target is normalised and whose host is the one this connection serves.
#[derive(Debug)]
pub struct Inbound<B = Incoming> {
    parts: Parts,
    body: B,
}

impl<B> Inbound<B> {
    /// Checks and normalises `request`. `is_served` says whether a host name (lower case, without port and last dot)
    /// may be asked for on this connection; it is not called for an HTTP/1.0 request without `Host`.
    ///
    /// # Errors
    ///
    /// A request that two programs could read differently, whose host belongs to another `[[host]]`, or whose declared
    /// body is larger than `limits` allow.
    pub fn new(
        request: Request<B>,
        limits: &BodyLimits,
        is_served: impl FnOnce(&str) -> bool,
    ) -> Result<Self, RequestError> {
        let (mut parts, body) = request.into_parts();
        if !matches!(parts.version, Version::HTTP_10 | Version::HTTP_11) {
            return Err(RequestError::Version);
        }
        if parts.method == Method::CONNECT || parts.method == Method::TRACE {
            return Err(RequestError::Method(parts.method));
        }
        check_framing(&parts, limits)?;
        check_expectation(&parts)?;
        check_host(&parts, is_served)?;
        normalise_target(&mut parts.uri)?;
        Ok(Self { parts, body })
    }

    /// The normalised target: what is judged and what is forwarded.
    #[must_use]
    pub fn target(&self) -> &PathAndQuery {
        self.parts.uri.path_and_query().expect("`new` sets the target")
    }

    /// The request method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The fields as the device sent them: nothing here may be believed.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// What the request rules look at.
    #[must_use]
    pub fn facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            method: self.parts.method.as_str(),
            path: self.parts.uri.path(),
            query: self.parts.uri.query(),
            user_agent: self
                .parts
                .headers
                .get(http::header::USER_AGENT)
                .and_then(|value| value.to_str().ok()),
        }
    }

    pub(crate) fn into_parts(self) -> (Parts, B) {
        (self.parts, self.body)
    }
}

/// The one expectation there is (RFC 9110 §10.1.1); HTTP/1.0 has none, and the field is ignored there.
fn check_expectation(parts: &Parts) -> Result<(), RequestError> {
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if parts.version == Version::HTTP_10 || parts.headers.get_all(EXPECT).iter().all(known) {
        Ok(())
    } else {
        Err(RequestError::Expectation)
    }
}

/// Message framing that only one reading fits (RFC 9112 §6.1, §6.3; SEC-66).
fn check_framing(parts: &Parts, limits: &BodyLimits) -> Result<(), RequestError> {
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if lengths.next().is_some() || codings.next().is_some() || (length.is_some() && coding.is_some()) {
        return Err(RequestError::Framing);
    }
    if let Some(coding) = coding
        && (parts.version == Version::HTTP_10 || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(RequestError::Framing);
    }
    let Some(length) = length else { return Ok(()) };
    if !length.as_bytes().iter().all(u8::is_ascii_digit) {
        return Err(RequestError::Framing);
    }
    let declared = length.to_str().ok().and_then(|text| text.parse().ok()).ok_or(RequestError::Framing)?;
    if declared > limits.bytes {
        return Err(RequestError::BodyTooLarge { declared, limit: limits.bytes });
    }
    Ok(())
}

/// Exactly one valid `Host` (RFC 9112 §3.2), which an absolute target repeats, and which this connection serves.
fn check_host(parts: &Parts, is_served: impl FnOnce(&str) -> bool) -> Result<(), RequestError> {
    let mut fields = parts.headers.get_all(HOST).iter();
    let Some(field) = fields.next() else {
        // HTTP/1.0 has no Host; a device that sends an absolute target names one all the same.
        return match (parts.version, parts.uri.authority()) {
            (Version::HTTP_10, None) => Ok(()),
            (Version::HTTP_10, Some(authority)) => serves(authority.as_str(), is_served),
            _ => Err(HostError::Missing.into()),
        };
    };
    if fields.next().is_some() {
        return Err(HostError::Repeated.into());
    }
    let field = field.to_str().map_err(|_| HostError::Invalid)?;
    if let Some(authority) = parts.uri.authority()
        && !authority.as_str().eq_ignore_ascii_case(field)
    {
        return Err(HostError::Contradicted.into());
    }
    serves(field, is_served)
}

fn serves(authority: &str, is_served: impl FnOnce(&str) -> bool) -> Result<(), RequestError> {
    let name = host::name(authority)?;
    if is_served(&name) { Ok(()) } else { Err(RequestError::Misdirected { host: name.into_owned() }) }
}

fn normalise_target(uri: &mut Uri) -> Result<(), TargetError> {
    let absolute = match (uri.scheme(), uri.authority()) {
        (None, None) => false,
        (Some(scheme), Some(_)) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => true,
        _ => return Err(TargetError::Form),
    };
    let target = uri.path_and_query().ok_or(TargetError::Form)?;
    let normal = target::normalise(target)?;
    if absolute || normal.is_some() {
        *uri = Uri::from(normal.unwrap_or_else(|| target.clone()));
    }
    Ok(())
}

/// Why a request is refused before any rule sees it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// The declared body is larger than the limit.
    #[error("the request declares a body of {declared} bytes, more than {limit}")]
    BodyTooLarge {
        /// `Content-Length`, in bytes.
        declared: u64,
        /// The largest body accepted, in bytes.
        limit: u64,
    },
    /// An `Expect` other than `100-continue`.
    #[error("the request expects what no server does")]
    Expectation,
    /// `Content-Length` and `Transfer-Encoding` leave more than one reading.
    #[error("the length of the request can be read in more than one way")]
    Framing,
    /// `Host` is missing, repeated, malformed or contradicted by the target.
    #[error(transparent)]
    Host(#[from] HostError),
    /// `CONNECT` and `TRACE` are not for a gateway.
    #[error("method {0} is not served")]
    Method(Method),
    /// The host belongs to another `[[host]]`, whose TLS and trust settings this connection did not pass (SEC-33).
    #[error("host {host} is another host's name")]
    Misdirected {
        /// The name asked for.
        host: String,
    },
    /// The target cannot be normalised.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("only HTTP/1.0 and HTTP/1.1 are served")]
    Version,
}

impl RequestError {
    /// The stable reason code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::BodyTooLarge { .. } => Reason::BodyTooLarge,
            Self::Expectation => Reason::ExpectationFailed,
            Self::Framing | Self::Method(_) | Self::Version => Reason::BadRequest,
            Self::Host(_) => Reason::BadHost,
            Self::Misdirected { .. } => Reason::Misdirected,
            Self::Target(_) => Reason::BadTarget,
        }
    }
}

#[cfg(test)]
mod tests;
