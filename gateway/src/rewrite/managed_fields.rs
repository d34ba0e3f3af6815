//! The names that only we may set. They are deleted from every request and every answer, whatever presets a host has.
//!
//! CGI and its relatives fold `-`, `.` and more to `_`, so names are compared after lower-casing and folding every byte
//! that is no letter or digit (SEC-02).

/// Names that begin so are managed.
const FAMILIES: [&str; 4] = ["device_", "ssl_", "x_forwarded_", "x_ssl_"];

/// These names are managed.
const NAMES: [&str; 14] = [
    "client_cert",
    "client_cert_chain",
    "forwarded",
    "macaddress",
    // Not ours, but some backends let these three change the path or the method after they were judged (SEC-67),
    "x_http_method",
    "x_http_method_override",
    "x_method_override",
    "x_original_url",
    "x_rewrite_url",
    // and CGI takes this one for the address of an outgoing proxy (CVE-2016-5385).
    "proxy",
    "x_real_ip",
    "x_request_id",
    "x_forwarded",
    "x_client_cert",
];

/// Whether `name` is one that only we may set, in any spelling.
#[must_use]
pub fn is_managed(name: &str) -> bool {
    let bytes = name.as_bytes();
    // Most names are decided by their first letter.
    match bytes.first().map(u8::to_ascii_lowercase) {
        Some(b'c' | b'd' | b'f' | b'm' | b'p' | b's' | b'x') => {
            FAMILIES
                .iter()
                .any(|family| bytes.get(..family.len()).is_some_and(|start| folds_to(start, family)))
                || NAMES.iter().any(|managed| folds_to(bytes, managed))
        }
        Some(_) | None => false,
    }
}

/// Names that say where a message ends, whom it is for or who sends it. Spelled exactly so, other steps deal with them.
const PLAIN: [&str; 15] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Whether `name` is not one of those that frame or address a message, but becomes one when signs are folded, as CGI and some
/// servers do: `Transfer_Encoding`, `Content.Length`, `Host_`. No phone sends such a field, and two parsers read it differently.
#[must_use]
pub(super) fn is_look_alike(name: &str) -> bool {
    let bytes = name.as_bytes();
    let sign = |byte: &u8| !byte.is_ascii_alphanumeric();
    // Almost every name is spelled with letters, digits and `-` between them: it folds to itself.
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    if bytes.iter().all(plain) && !bytes.first().is_some_and(sign) && !bytes.last().is_some_and(sign) {
        return false;
    }
    let Some(start) = bytes.iter().position(|byte| !sign(byte)) else { return true };
    let end = bytes.iter().rposition(|byte| !sign(byte)).map_or(bytes.len(), |last| last + 1);
    let core = bytes.get(start..end).unwrap_or(bytes);
    let same = |plain: &str| {
        core.len() == plain.len()
            && core.iter().zip(plain.bytes()).all(|(byte, plain)| {
                if plain == b'-' { sign(byte) } else { byte.eq_ignore_ascii_case(&plain) }
            })
            && !name.eq_ignore_ascii_case(plain)
    };
    let proxy = b"proxy";
    let of_proxy = core.get(..proxy.len()).is_some_and(|head| head.eq_ignore_ascii_case(proxy))
        && core.get(proxy.len()).is_some_and(|after| sign(after) && (*after != b'-' || start > 0));
    of_proxy || PLAIN.into_iter().any(same)
}

/// Whether `name` is `folded` after lower-casing and folding.
fn folds_to(name: &[u8], folded: &str) -> bool {
    name.len() == folded.len()
        && name.iter().zip(folded.bytes()).all(|(byte, folded)| {
            let byte = if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'_' };
            byte == folded
        })
}
