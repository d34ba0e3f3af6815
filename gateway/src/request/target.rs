//! The request target, normalised once: what the rules judge is byte for byte what the backend gets (SEC-67).
//!
//! | In the path | What happens |
//! | --- | --- |
//! | `%41` and other escaped letters, digits, `-`, `.`, `_`, `~` | decoded (RFC 3986 §6.2.2.2) |
//! | other escapes | kept, digits in upper case (RFC 3986 §6.2.2.1) |
//! | `%2F`, `%5C`, `%25`, `%00`–`%1F`, `%7F` | refused: backends disagree on what they mean |
//! | `//` | one slash, as Apache's `MergeSlashes` and nginx's `merge_slashes` have it |
//! | a segment `.` or `..`, written or escaped | refused: no phone sends one |
//! | `;` | refused: some backends cut the path there, and others do not |
//! | `\`, `"`, `<`, `>`, `^`, `` ` ``, `{`, `\|`, `}`, control bytes, bytes past ASCII | refused (not in RFC 3986 §3.3) |
//!
//! The query is kept as sent, an empty one (`/reflect.pl?`) too, and checked: complete escapes, none of them `%00`, and no
//! byte that a backend may read as something else. A fragment is no part of a request; the parser beneath drops it, so
//! neither the rules nor the backend see one.

use std::borrow::Cow;

use http::uri::PathAndQuery;

/// Why a request target is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// A byte that the path or the query may not hold.
    #[error("byte 0x{0:02x} is not allowed in a request target")]
    Byte(u8),
    /// A segment `.` or `..`.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `%` not followed by two hexadecimal digits.
    #[error("an escape is incomplete")]
    Escape,
    /// An escape that backends read differently: a slash, a backslash, a percent sign or a control byte.
    #[error("the escape %{0:02X} is not allowed")]
    EscapedByte(u8),
    /// Neither a path nor an http(s) URL: `*`, or `host:port`.
    #[error("the target is neither a path nor an http URL")]
    Form,
    /// `;`, where backends disagree whether the path ends.
    #[error("the path has a parameter")]
    Parameter,
}

/// The normalised form of `target`; nothing is copied when it is in that form already.
pub(super) fn normalise(target: &PathAndQuery) -> Result<Option<PathAndQuery>, TargetError> {
    if let Some(query) = target.query() {
        check_query(query.as_bytes())?;
    }
    match normalise_path(target.path())? {
        Cow::Borrowed(_) => Ok(None),
        Cow::Owned(mut text) => {
            if let Some(query) = target.query() {
                text.push('?');
                text.push_str(query);
            }
            PathAndQuery::try_from(text).map(Some).map_err(|_| TargetError::Form)
        }
    }
}

fn normalise_path(path: &str) -> Result<Cow<'_, str>, TargetError> {
    if is_normal(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    if !path.starts_with('/') {
        return Err(TargetError::Form);
    }
    let mut normal = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => push_escape(&mut normal, bytes.next(), bytes.next())?,
            b'/' if normal.ends_with('/') => {}
            b';' => return Err(TargetError::Parameter),
            byte if PATH.holds(byte) => normal.push(char::from(byte)),
            byte => return Err(TargetError::Byte(byte)),
        }
    }
    if normal.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(TargetError::DotSegment);
    }
    if normal == path { Ok(Cow::Borrowed(path)) } else { Ok(Cow::Owned(normal)) }
}

/// Whether nothing needs to be decided: plain bytes, no escape, no segment that is empty or begins with a dot.
fn is_normal(path: &[u8]) -> bool {
    let mut before = 0;
    path.first() == Some(&b'/')
        && path.iter().all(|&byte| {
            let plain = PATH.holds(byte) && !(before == b'/' && (byte == b'/' || byte == b'.'));
            before = byte;
            plain
        })
}

fn push_escape(normal: &mut String, high: Option<u8>, low: Option<u8>) -> Result<(), TargetError> {
    let byte = escaped(high, low)?;
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => normal.push(char::from(byte)),
        b'/' | b'\\' | b'%' | 0..=0x1f | 0x7f => return Err(TargetError::EscapedByte(byte)),
        _ => {
            normal.push('%');
            for nibble in [byte >> 4, byte & 15] {
                normal.extend(char::from_digit(nibble.into(), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    Ok(())
}

fn check_query(query: &[u8]) -> Result<(), TargetError> {
    let mut bytes = query.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                if escaped(bytes.next(), bytes.next())? == 0 {
                    return Err(TargetError::EscapedByte(0));
                }
            }
            byte if QUERY.holds(byte) => {}
            byte => return Err(TargetError::Byte(byte)),
        }
    }
    Ok(())
}

/// The byte that `%` and these two digits stand for.
pub(crate) fn escaped(high: Option<u8>, low: Option<u8>) -> Result<u8, TargetError> {
    let digit = |byte: Option<u8>| match byte {
        Some(byte @ b'0'..=b'9') => Ok(byte - b'0'),
        Some(byte @ b'a'..=b'f') => Ok(byte - b'a' + 10),
        Some(byte @ b'A'..=b'F') => Ok(byte - b'A' + 10),
        Some(_) | None => Err(TargetError::Escape),
    };
    Ok(digit(high)? << 4 | digit(low)?)
}

/// A set of ASCII bytes.
struct ByteSet([bool; 256]);

impl ByteSet {
    const fn of(signs: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            set[byte] = (b'0' <= byte_at(byte) && byte_at(byte) <= b'9')
                || (b'A' <= byte_at(byte) && byte_at(byte) <= b'Z')
                || (b'a' <= byte_at(byte) && byte_at(byte) <= b'z');
            byte += 1;
        }
        let mut at = 0;
        while at < signs.len() {
            set[widen(signs[at])] = true;
            at += 1;
        }
        Self(set)
    }

    fn holds(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }
}

#[expect(clippy::as_conversions, reason = "`From` is not const; every caller passes less than 128")]
const fn byte_at(index: usize) -> u8 {
    index as u8
}

#[expect(clippy::as_conversions, reason = "`From` is not const; widening loses nothing")]
const fn widen(byte: u8) -> usize {
    byte as usize
}

/// RFC 3986 §3.3 `pchar` without `%` and `;`, and the slash.
static PATH: ByteSet = ByteSet::of(b"-._~!$&'()*+,=:@/");
/// RFC 3986 §3.4, and the signs that browsers and phones leave unescaped in a query.
static QUERY: ByteSet = ByteSet::of(b"-._~!$&'()*+,=:@/?;[]{}|^");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(target: &str) -> Result<String, TargetError> {
        let target = PathAndQuery::try_from(target).expect("test target");
        Ok(normalise(&target)?.unwrap_or(target).to_string())
    }

    #[test]
    fn keeps_what_phones_ask_for() {
        for target in [
            "/",
            "/CP-8841-3PCC.cfg",
            "/cisco/000e08abcdef.cfg",
            "/CP-7841-3PCC_000e08abcdef.cfg",
            "/config?cisco000E08ABCDEF",
            "/config?mac=00:0e:08:ab:cd:ef",
            "/cgi-bin/reflect.pl?",
            "/prov/x~y/00:0e:08:ab:cd:ef.cfg",
            "/a.b/.well-known/x",
            "/a%20b",
            "/dir/",
        ] {
            assert_eq!(normal(target).as_deref(), Ok(target));
        }
    }

    #[test]
    fn sec_67_decodes_what_needs_no_escape_and_merges_slashes() {
        for (sent, forwarded) in [
            ("/%63isco/%30%30.cfg", "/cisco/00.cfg"),
            ("/a%2dB%2E%5f%7e", "/a-B._~"),
            ("//a///b//", "/a/b/"),
            ("/a%c3%ab", "/a%C3%AB"),
            ("/a%3b?x=%3b", "/a%3B?x=%3b"),
            ("/%2ehidden", "/.hidden"),
        ] {
            assert_eq!(normal(sent).as_deref(), Ok(forwarded), "{sent}");
        }
    }

    #[test]
    fn sec_67_refuses_what_backends_read_differently() {
        for (sent, error) in [
            ("/a%2Fb", TargetError::EscapedByte(b'/')),
            ("/a%2fb", TargetError::EscapedByte(b'/')),
            ("/a%5cb", TargetError::EscapedByte(b'\\')),
            ("/a%00b", TargetError::EscapedByte(0)),
            ("/a%0d%0ab", TargetError::EscapedByte(b'\r')),
            ("/a%7fb", TargetError::EscapedByte(0x7f)),
            ("/a%252e%252e/b", TargetError::EscapedByte(b'%')),
            ("/a/../b", TargetError::DotSegment),
            ("/a/..", TargetError::DotSegment),
            ("/a/./b", TargetError::DotSegment),
            ("/a/%2e%2E/b", TargetError::DotSegment),
            ("/a/.%2e/b", TargetError::DotSegment),
            ("/a//..//b", TargetError::DotSegment),
            ("/..;/b", TargetError::Parameter),
            ("/a;jsessionid=1", TargetError::Parameter),
            ("/a%", TargetError::Escape),
            ("/a%4", TargetError::Escape),
            ("/a%4g", TargetError::Escape),
            ("/a%u0041", TargetError::Escape),
            ("/a\"b", TargetError::Byte(b'"')),
            ("/a{mac}", TargetError::Byte(b'{')),
            ("/a|b", TargetError::Byte(b'|')),
            ("/a?b=%00", TargetError::EscapedByte(0)),
            ("/a?b=%zz", TargetError::Escape),
            ("/a?b=\\", TargetError::Byte(b'\\')),
            ("*", TargetError::Form),
        ] {
            assert_eq!(normal(sent), Err(error), "{sent}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_target_stays_as_it_is(path in "/[ -~]{0,40}") {
            if let Ok(target) = PathAndQuery::try_from(path.as_str())
                && let Ok(once) = normalise(&target)
            {
                let once = once.unwrap_or(target);
                prop_assert_eq!(normalise(&once), Ok(None));
                prop_assert!(once.path().split('/').all(|part| part != "." && part != ".."));
                prop_assert!(!once.path().contains("//"));
            }
        }

        #[test]
        fn every_spelling_of_a_path_is_judged_and_forwarded_alike(escapes in proptest::collection::vec(any::<bool>(), 22)) {
            let plain = "/cisco/000e08abcdef.cfg";
            let spelled: String = plain
                .bytes()
                .zip(escapes.into_iter().chain(std::iter::repeat(false)))
                .map(|(byte, escape)| match byte {
                    b'/' => "/".to_owned(),
                    byte if escape => format!("%{byte:02x}"),
                    byte => char::from(byte).to_string(),
                })
                .collect();
            prop_assert_eq!(normal(&spelled), Ok(plain.to_owned()));
        }
    }
}
