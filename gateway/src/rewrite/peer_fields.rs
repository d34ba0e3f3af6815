//! The fields we set, written once for a connection and a host.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use certs::{Timestamp, VerifiedChain};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use policies::{CipherSuite, Principal, TlsVersion};

use super::{
    HeaderConfig, Preset, RewriteError, Separator, broadworks, device, forwarded, guide, rfc9440, xfcc,
};

/// What is known of a connection's client.
#[derive(Clone, Copy, Debug)]
pub struct PeerFacts<'a> {
    /// The verified path; none where no certificate was presented.
    pub chain: Option<&'a VerifiedChain>,
    /// Whom the chain speaks for.
    pub principal: &'a Principal,
    /// The protocol version agreed on.
    pub version: TlsVersion,
    /// The cipher suite agreed on.
    pub suite: CipherSuite,
    /// Whether the session was resumed.
    pub resumed: bool,
    /// The server name the client sent.
    pub server_name: Option<&'a str>,
    /// The client's address.
    pub client: IpAddr,
    /// Now.
    pub now: Timestamp,
}

/// The fields that every request of one connection to one host carries.
#[derive(Clone, Debug)]
pub struct PeerFields {
    headers: HeaderMap,
}

impl PeerFields {
    /// The most bytes of names and values together: four fields as large as Apache takes (`LimitRequestFieldSize 8190`).
    pub const MAX_SIZE: usize = 32 * 1024;

    /// Writes the fields that `config` wants.
    ///
    /// # Errors
    ///
    /// They would be larger than [`MAX_SIZE`](Self::MAX_SIZE), or one cannot be written: nothing is cut short or left out
    /// (SEC-09).
    pub fn new(config: &HeaderConfig, facts: &PeerFacts<'_>) -> Result<Self, RewriteError> {
        let mut fields = Fields { headers: HeaderMap::with_capacity(48), size: 0, unprintable: None };
        forwarded::set(&mut fields, facts.client);
        for preset in &config.presets {
            match preset {
                Preset::Broadworks => broadworks::set(&mut fields, facts.principal.device()),
                Preset::Device => device::set(&mut fields, config.separator, facts.principal),
                Preset::Guide => guide::set(&mut fields, config, facts),
                Preset::Rfc9440 => rfc9440::set(&mut fields, facts.chain),
                Preset::Xfcc => xfcc::set(&mut fields, facts.chain, config.certificate),
            }
        }
        if fields.size > Self::MAX_SIZE {
            return Err(RewriteError::TooLarge { size: fields.size, limit: Self::MAX_SIZE });
        }
        match fields.unprintable {
            Some(field) => Err(RewriteError::Unprintable { field }),
            None => Ok(Self { headers: fields.headers }),
        }
    }

    /// The fields, each with one value (SEC-06).
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// Fields being written.
pub(super) struct Fields {
    headers: HeaderMap,
    size: usize,
    unprintable: Option<HeaderName>,
}

impl Fields {
    /// Sets one field; an empty value leaves it absent (SEC-04). Callers give printable text.
    pub(super) fn set(&mut self, name: HeaderName, value: &str) {
        if value.is_empty() {
            return;
        }
        self.size = self.size.saturating_add(name.as_str().len()).saturating_add(value.len());
        // Past the limit nothing is sent anyway, so nothing more is stored.
        if self.size > PeerFields::MAX_SIZE {
            return;
        }
        match HeaderValue::from_bytes(value.as_bytes()) {
            Ok(value) => {
                self.headers.insert(name, value);
            }
            Err(_) => self.unprintable = Some(name),
        }
    }
}

/// The field name for `dashed`, which is in lower case.
pub(super) fn name(separator: Separator, dashed: &'static str) -> HeaderName {
    match separator {
        Separator::Dash => HeaderName::from_static(dashed),
        Separator::Underscore => spelled(separator, dashed.to_owned()),
    }
}

/// The same for a name put together from words of ours and numbers.
pub(super) fn spelled(separator: Separator, dashed: String) -> HeaderName {
    let text = match separator {
        Separator::Dash => dashed,
        Separator::Underscore => dashed.replace('-', "_"),
    };
    HeaderName::try_from(text).expect("our words and digits make a field name")
}

/// `text` as OpenSSL's `ASN1_STRFLGS_ESC_CTRL` prints it for Apache: control bytes as `\0D`, a backslash doubled, the rest in
/// UTF-8. A first or last space, which a field value cannot hold, becomes `\20`. Reversible (SEC-07).
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let needs_escape = |character: char| character.is_ascii_control() || character == '\\';
    if !text.contains(needs_escape) && !text.starts_with(' ') && !text.ends_with(' ') {
        return Cow::Borrowed(text);
    }
    let mut printed = String::with_capacity(text.len() + 8);
    let last = text.len().saturating_sub(1);
    for (at, character) in text.char_indices() {
        match character {
            '\\' => printed.push_str("\\\\"),
            ' ' if at == 0 || at == last => printed.push_str("\\20"),
            control if control.is_ascii_control() => {
                let written = write!(printed, "\\{:02X}", u32::from(control));
                debug_assert!(written.is_ok(), "writing to a String cannot fail");
            }
            other => printed.push(other),
        }
    }
    Cow::Owned(printed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a backend does to get the text back.
    fn unescaped(printed: &str) -> String {
        let mut text = String::new();
        let mut characters = printed.chars();
        while let Some(character) = characters.next() {
            if character != '\\' {
                text.push(character);
                continue;
            }
            match characters.next().unwrap() {
                '\\' => text.push('\\'),
                high => {
                    let digits: String = [high, characters.next().unwrap()].into_iter().collect();
                    text.push(char::from(u8::from_str_radix(&digits, 16).unwrap()));
                }
            }
        }
        text
    }

    #[test]
    fn sec_07_prints_as_apache_does() {
        assert_eq!(printable("admin\r\nX-Admin: 1"), r"admin\0D\0AX-Admin: 1");
        assert_eq!(printable("Zoë Ł"), "Zoë Ł");
        assert_eq!(printable(r"a\b"), r"a\\b");
        assert_eq!(printable(" #x "), r"\20#x\20");
        assert_eq!(printable("\0"), r"\00");
    }

    proptest! {
        #[test]
        fn sec_07_a_printed_value_gives_the_text_back(text in any::<String>()) {
            let printed = printable(&text);
            prop_assert_eq!(unescaped(&printed), text.clone());
            let value = HeaderValue::from_bytes(printed.as_bytes()).unwrap();
            prop_assert!(value.as_bytes().iter().all(|byte| *byte >= b' ' && *byte != 0x7f));
            prop_assert_eq!(printed.trim_matches(' '), &*printed);
        }
    }
}
