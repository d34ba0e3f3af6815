//! `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
//!
//! The chain is the path we verified, not what the client sent (SEC-11), without the leaf (§2.3) and without the anchor, which
//! the backend would have to know by itself anyway.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certs::{Certificate, VerifiedChain};
use http::header::HeaderName;

use super::peer_fields::Fields;

pub(super) fn set(fields: &mut Fields, chain: Option<&VerifiedChain>) {
    let Some(chain) = chain else { return };
    fields.set(HeaderName::from_static("client-cert"), &byte_sequence(chain.leaf()));
    if let [_leaf, intermediates @ .., _anchor] = chain.path() {
        let list: Vec<_> = intermediates.iter().map(byte_sequence).collect();
        fields.set(HeaderName::from_static("client-cert-chain"), &list.join(", "));
    }
}

/// RFC 8941 §3.3.5.
fn byte_sequence(certificate: &Certificate) -> String {
    format!(":{}:", STANDARD.encode(certificate.der()))
}
