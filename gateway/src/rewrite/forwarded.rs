//! Where a request came from: `Forwarded` (RFC 7239) and the older fields that backends read instead.

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderName};

use super::peer_fields::Fields;

pub(super) static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

pub(super) fn set(fields: &mut Fields, client: IpAddr) {
    // A listener on [::] sees IPv4 clients as ::ffff:192.0.2.1.
    let client = client.to_canonical();
    let node = match client {
        IpAddr::V4(address) => format!("for={address};proto=https"),
        IpAddr::V6(address) => format!("for=\"[{address}]\";proto=https"),
    };
    fields.set(FORWARDED, &node);
    fields.set(HeaderName::from_static("x-forwarded-for"), &client.to_string());
    fields.set(HeaderName::from_static("x-forwarded-proto"), "https");
    fields.set(HeaderName::from_static("x-real-ip"), &client.to_string());
}
