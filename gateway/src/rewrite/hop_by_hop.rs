//! Fields that concern one connection and are never forwarded (RFC 9110 §7.6.1).

use http::HeaderMap;
use http::header::{self, HeaderName};

/// Whether a field of this name ends at this hop whatever `Connection` says.
///
/// `Expect` is among them: hyper answers 100-continue itself once the backend's connection asks for the body.
pub(super) fn ends_here(name: &HeaderName) -> bool {
    match *name {
        header::CONNECTION
        | header::EXPECT
        | header::PROXY_AUTHENTICATE
        | header::PROXY_AUTHORIZATION
        | header::TE
        | header::TRAILER
        | header::TRANSFER_ENCODING
        | header::UPGRADE => true,
        _ => matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings"),
    }
}

/// The further names that a message's `Connection` fields nominate.
#[derive(Debug, Default)]
pub(super) struct Nominated(Vec<String>);

impl Nominated {
    /// `Host` and the length cannot be nominated: without them the message would be another one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let names = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        let names = names.flat_map(|value| value.split(',')).map(str::trim).filter(|name| {
            let plain = ["", "close", "keep-alive", "host", "content-length"];
            !plain.iter().any(|plain| name.eq_ignore_ascii_case(plain))
        });
        Self(names.map(str::to_ascii_lowercase).collect())
    }

    pub(super) fn holds(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|nominated| nominated == name.as_str())
    }
}
