//! What names a key in a token: a PKCS #11 URI (RFC 7512), kept in the authority's folder in the key's place.

use std::fmt;
use std::path::Path;

use super::{Token, TokenError};

/// Longest label of a token, in octets: PKCS #11 has room for no more.
const LABEL: usize = 32;

/// A key in a token, by label and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyUri {
    pub(crate) token: Token,
    /// The key's label.
    pub(crate) object: String,
    pub(crate) id: Vec<u8>,
}

impl Token {
    /// A token by its label.
    ///
    /// # Errors
    /// A label that no token can have.
    pub fn new(module: &Path, label: &str) -> Result<Self, TokenError> {
        if label.is_empty()
            || label.len() > LABEL
            || label.trim() != label
            || label.chars().any(char::is_control)
        {
            return Err(TokenError::NoLabel { label: label.to_owned() });
        }
        Ok(Self { module: module.to_owned(), label: label.to_owned() })
    }
}

impl KeyUri {
    /// Reads what [`Display`](fmt::Display) writes; attributes may stand in any order, and each once.
    pub(crate) fn parse(text: &str) -> Result<Self, TokenError> {
        let uri = text.trim();
        let wrong = |why| TokenError::Uri { uri: uri.chars().take(200).collect(), why };
        let rest = uri.strip_prefix("pkcs11:").ok_or_else(|| wrong("it does not begin with pkcs11:"))?;
        let (path, query) = rest.split_once('?').ok_or_else(|| wrong("it names no module"))?;
        let (mut token, mut object, mut id, mut module) = (None, None, None, None);
        for (part, in_path) in
            path.split(';').map(|one| (one, true)).chain(query.split('&').map(|one| (one, false)))
        {
            let (name, value) = part.split_once('=').ok_or_else(|| wrong("a part has no value"))?;
            let value = decoded(value).ok_or_else(|| wrong("a value is not encoded as it should be"))?;
            let place = match (name, in_path) {
                ("token", true) => &mut token,
                ("object", true) => &mut object,
                ("id", true) => &mut id,
                ("module-path", false) => &mut module,
                ("type", true) if value == b"private" => continue,
                _ => return Err(wrong("it has a part that is not known here")),
            };
            if place.replace(value).is_some() {
                return Err(wrong("a part occurs twice"));
            }
        }
        let word = |value: Option<Vec<u8>>, why| {
            value.and_then(|value| String::from_utf8(value).ok()).ok_or_else(|| wrong(why))
        };
        let module = word(module, "it names no module")?;
        let token = Token::new(Path::new(&module), &word(token, "it names no token")?)?;
        let object = word(object, "it names no object")?;
        let id = id.filter(|id| !id.is_empty()).ok_or_else(|| wrong("it has no id"))?;
        Ok(Self { token, object, id })
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token: Token { module, label }, object, id } = self;
        let module = module.to_string_lossy();
        write!(
            f,
            "pkcs11:token={};object={};id={};type=private?module-path={}",
            encoded(label.as_bytes(), false),
            encoded(object.as_bytes(), false),
            encoded(id, true),
            encoded(module.as_bytes(), false)
        )
    }
}

fn encoded(octets: &[u8], wholly: bool) -> String {
    octets
        .iter()
        .map(|octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' if !wholly => {
                char::from(*octet).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            out.push(octet);
            continue;
        }
        let mut digit = || char::from(octets.next()?).to_digit(16);
        out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let token = Token::new(Path::new("/usr/lib/a b/lib;x.so"), "Example Telco & Søn").unwrap();
        let uri = KeyUri { token, object: "client-root".to_owned(), id: vec![0, 0xff, b';'] };
        let text = uri.to_string();
        assert!(
            text.starts_with(
                "pkcs11:token=Example%20Telco%20%26%20S%C3%B8n;object=client-root;id=%00%FF%3B;"
            )
        );
        assert_eq!(KeyUri::parse(&format!("{text}\n")).unwrap(), uri);
    }

    #[test]
    fn h4_what_does_not_name_label_and_id_is_refused() {
        for text in [
            "",
            "-----BEGIN PRIVATE KEY-----",
            "pkcs11:",
            "pkcs11:token=a;object=b;id=%01",
            "pkcs11:token=a;object=b?module-path=/m.so",
            "pkcs11:token=a;object=b;id=?module-path=/m.so",
            "pkcs11:token=a;id=%01?module-path=/m.so",
            "pkcs11:object=b;id=%01?module-path=/m.so",
            "pkcs11:token=a;token=b;object=b;id=%01?module-path=/m.so",
            "pkcs11:token=a;object=b;id=%0?module-path=/m.so",
            "pkcs11:token=a;object=b;id=%01?module-path=/m.so&pin-value=1234",
            "pkcs11:token=a;object=b;id=%01;type=public?module-path=/m.so",
        ] {
            assert!(matches!(KeyUri::parse(text), Err(TokenError::Uri { .. })), "{text}");
        }
        for label in ["", " a", "a ", "a\n", &"a".repeat(33)] {
            assert!(Token::new(Path::new("/m.so"), label).is_err(), "{label:?}");
        }
    }
}
