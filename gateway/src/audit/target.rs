//! The target of a request, as it may stand in a record: without what a query may hold and nobody else should read (SEC-65).

use std::borrow::Cow;

/// Parts of a parameter's name that say: its value is a secret.
const SECRET: [&str; 14] = [
    "pass", "pwd", "secret", "token", "key", "auth", "cred", "sess", "sig", "pin", "code", "hash", "cookie",
    "jwt",
];

/// The target with the values of such parameters replaced by `***`.
pub(crate) fn without_secrets(target: &[u8]) -> Cow<'_, [u8]> {
    let Some(question) = target.iter().position(|byte| *byte == b'?') else { return Cow::Borrowed(target) };
    let (path, query) = target.split_at(question + 1);
    let separator = |byte: &u8| matches!(byte, b'&' | b';');
    if !query.split(separator).any(is_secret) {
        return Cow::Borrowed(target);
    }
    let mut out = path.to_vec();
    for part in query.split_inclusive(separator) {
        let name = part.iter().position(|byte| *byte == b'=');
        match name.filter(|_| is_secret(part)) {
            Some(equals) => {
                out.extend_from_slice(&part[..=equals]);
                out.extend_from_slice(b"***");
                out.extend(part.last().filter(|byte| separator(byte)));
            }
            None => out.extend_from_slice(part),
        }
    }
    Cow::Owned(out)
}

fn is_secret(part: &[u8]) -> bool {
    let Some(equals) = part.iter().position(|byte| *byte == b'=') else { return false };
    let name = &part[..equals];
    // `p%61ssword` is `password`.
    let decoded = form_urlencoded::parse(name).next();
    let name = decoded.map_or_else(String::new, |(name, _)| name.to_ascii_lowercase());
    SECRET.iter().any(|secret| name.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(target: &str) -> String {
        String::from_utf8(without_secrets(target.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn sec_65_values_of_secret_parameters_are_not_shown() {
        for (target, expected) in [
            ("/config?password=s3cret", "/config?password=***"),
            ("/config?mac=000e08abcdef&PassWord=s3cret&x=1", "/config?mac=000e08abcdef&PassWord=***&x=1"),
            ("/config?p%61ssword=s3cret", "/config?p%61ssword=***"),
            ("/config?access_token=s=3;cret=1;api-key=s3cret", "/config?access_token=***;cret=1;api-key=***"),
            ("/config?a=1&token=", "/config?a=1&token=***"),
            ("/?token=a?b=c", "/?token=***"),
        ] {
            assert_eq!(shown(target), expected);
        }
    }

    #[test]
    fn what_tells_which_phone_asked_for_what_stays() {
        for target in [
            "/",
            "/000e08abcdef.cfg",
            "/config?mac=000e08abcdef&model=CP-8841&serial=FCH1&version=11.3",
            "/config?cisco000e08abcdef",
            "/config?",
            "/password/key=1",
            "/config?&&=x&",
        ] {
            assert_eq!(shown(target), target);
        }
    }
}
