//! From text to conditions.

use certs::{Serial, Timestamp};
use policies::MacAddress;

use super::{
    Condition, DateField, Order, Pattern, Selector, SelectorError, SerialPattern, Status, Term, Word,
};
use crate::store::{Kind, RevocationReason};

/// Seconds in an hour.
const HOUR: i64 = 3600;

/// The longest span that is understood, in days: beyond it dates end.
const MOST_DAYS: i64 = 366_000;

pub(super) fn selector<S: AsRef<str>>(arguments: &[S], now: Timestamp) -> Result<Selector, SelectorError> {
    let mut conditions = Vec::new();
    for argument in arguments {
        for term in split(argument.as_ref())? {
            conditions.push(condition(&term, now)?);
        }
    }
    Ok(Selector { conditions })
}

/// At white space that is not between quotation marks.
fn split(argument: &str) -> Result<Vec<String>, SelectorError> {
    let mut terms = Vec::new();
    let mut term = String::new();
    let mut quoted = false;
    for character in argument.chars() {
        match character {
            '"' => quoted = !quoted,
            space if space.is_whitespace() && !quoted => terms.extend(Some(std::mem::take(&mut term))),
            other => term.push(other),
        }
    }
    if quoted {
        return Err(SelectorError::Quotation { term: argument.to_owned() });
    }
    terms.push(term);
    terms.retain(|term| !term.is_empty());
    Ok(terms)
}

/// What stands between key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Equal,
    Less,
    More,
    NotEqual,
}

fn condition(text: &str, now: Timestamp) -> Result<Condition, SelectorError> {
    let Some(position) = text.find(['=', '<', '>', '!']) else {
        return Ok(Condition { negated: false, term: Term::Word(word(text)) });
    };
    let (key, rest) = text.split_at(position);
    let (sign, length) = match rest.as_bytes() {
        [b'!', b'=', ..] => (Sign::NotEqual, 2),
        [b'<', b'=', ..] => (Sign::Less, 2),
        [b'>', b'=', ..] => (Sign::More, 2),
        [b'<', ..] => (Sign::Less, 1),
        [b'>', ..] => (Sign::More, 1),
        [b'=', ..] => (Sign::Equal, 1),
        _ => {
            return Err(SelectorError::Sign {
                key: key.to_owned(),
                sign: "!".to_owned(),
                expected: "write != for \"is not\"",
            });
        }
    };
    let (written, value) = rest.split_at(length);
    let key = key.to_ascii_lowercase();
    let date = match key.as_str() {
        "expires" => Some(DateField::Expires),
        "starts" => Some(DateField::Starts),
        "issued" => Some(DateField::Issued),
        "revoked" => Some(DateField::Revoked),
        _ => None,
    };
    let refuse = |expected| Err(SelectorError::Sign { key: key.clone(), sign: written.to_owned(), expected });
    let negated = match (date, sign) {
        (Some(field), Sign::Less | Sign::More) => {
            return Ok(Condition { negated: false, term: time(&key, field, sign, value, now)? });
        }
        (Some(_), Sign::Equal | Sign::NotEqual) => return refuse("dates are compared with < and >"),
        (None, Sign::Less | Sign::More) => {
            // An unknown key is the likelier mistake.
            let known = values_of(&key, value).map(drop);
            return match known {
                Err(error @ SelectorError::Key { .. }) => Err(error),
                Ok(()) | Err(_) => refuse("only dates are compared with < and >; use = or !="),
            };
        }
        (None, Sign::Equal) => false,
        (None, Sign::NotEqual) => true,
    };
    let (opposite, term) = values_of(&key, value)?;
    Ok(Condition { negated: negated != opposite, term })
}

/// The term for a key and its values, and whether its opposite is meant.
fn values_of(key: &str, value: &str) -> Result<(bool, Term), SelectorError> {
    let wrong = |value: &str, expected: &str| SelectorError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
        expected: expected.to_owned(),
    };
    let patterns =
        || each(value, |one| Some(Pattern(one.to_owned()))).ok_or_else(|| wrong(value, "a text is needed"));
    let term = match key {
        "fingerprint" => Term::Fingerprint(
            each(value, fingerprint)
                .ok_or_else(|| wrong(value, "a SHA-256 fingerprint has 64 hexadecimal digits"))?,
        ),
        "issuer" => Term::Issuer(patterns()?),
        "kind" => Term::Kind(
            each(value, Kind::from_word)
                .ok_or_else(|| wrong(value, "device, generic, server or authority"))?,
        ),
        "latest" => {
            return match value {
                "yes" => Ok((false, Term::Latest)),
                "no" => Ok((true, Term::Latest)),
                _ => Err(wrong(value, "yes or no")),
            };
        }
        "mac" => Term::Mac(
            each(value, mac)
                .ok_or_else(|| wrong(value, "twelve hexadecimal digits, or some with a * as in 000e08*"))?,
        ),
        "model" => Term::Model(patterns()?),
        "name" => Term::Name(patterns()?),
        "reason" => {
            let reason = |one: &str| <RevocationReason as clap::ValueEnum>::from_str(one, true).ok();
            Term::Reason(
                each(value, reason).ok_or_else(|| wrong(value, "a reason as `revoke --help` lists them"))?,
            )
        }
        "serial" => Term::Serial(
            each(value, |one| {
                let device = Pattern(one.to_owned());
                let certificate = Serial::parse_hex(one).map(|serial| serial.as_bytes().to_vec());
                Some(SerialPattern { device, certificate })
            })
            .ok_or_else(|| wrong(value, "a serial number is needed"))?,
        ),
        "status" => Term::Status(
            each(value, |one| match one {
                "abandoned" => Some(Status::Abandoned),
                "expired" => Some(Status::Expired),
                "held" => Some(Status::Held),
                "revoked" => Some(Status::Revoked),
                "valid" => Some(Status::Valid),
                _ => None,
            })
            .ok_or_else(|| wrong(value, "valid, expired, revoked, held or abandoned"))?,
        ),
        _ => return Err(SelectorError::Key { key: key.to_owned() }),
    };
    Ok((false, term))
}

/// Values with commas between; none of them may be empty.
fn each<T>(value: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    value.split(',').map(|one| if one.is_empty() { None } else { read(one) }).collect()
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|character| *character != ':').collect();
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut octets = [0; 32];
    for (index, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(octets)
}

fn mac(text: &str) -> Option<Pattern> {
    if let Ok(mac) = MacAddress::parse(text) {
        return Some(Pattern(mac.to_string()));
    }
    let digits: String =
        text.chars().filter(|character| !":.-".contains(*character)).collect::<String>().to_ascii_lowercase();
    let fits = digits.contains('*')
        && digits.chars().all(|character| character == '*' || character.is_ascii_hexdigit())
        && digits.chars().filter(|character| *character != '*').count() < 12;
    fits.then_some(Pattern(digits))
}

fn word(text: &str) -> Word {
    Word {
        mac: MacAddress::parse(text).ok().map(|mac| mac.to_string()),
        serial: Serial::parse_hex(text).map(|serial| serial.as_bytes().to_vec()),
        fingerprint: fingerprint(text),
        text: text.to_owned(),
    }
}

/// A time as RFC 3339 has it, a day, or a span: from now on for what expires, back from now for what was.
fn time(key: &str, field: DateField, sign: Sign, value: &str, now: Timestamp) -> Result<Term, SelectorError> {
    let before = if sign == Sign::Less { Order::AtOrBefore } else { Order::AtOrAfter };
    let after = if sign == Sign::Less { Order::AtOrAfter } else { Order::AtOrBefore };
    if let Some(seconds) = span(value) {
        return Ok(match field {
            DateField::Expires => Term::Time(field, before, now.plus_seconds(seconds)),
            // Issued less than a week ago is issued after the time a week ago.
            DateField::Issued | DateField::Revoked | DateField::Starts => {
                Term::Time(field, after, now.plus_seconds(-seconds))
            }
        });
    }
    let day = format!("{value}T00:00:00Z");
    match Timestamp::parse_rfc3339(value).or_else(|| Timestamp::parse_rfc3339(&day)) {
        Some(time) => Ok(Term::Time(field, before, time)),
        None => Err(SelectorError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            expected: "a span as 90d, 12h, 6w or 2y, or a date as 2027-01-31, is needed".to_owned(),
        }),
    }
}

/// Seconds of `90d`, `12h`, `6w`, `2y`.
pub(crate) fn span(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'w' => 24 * 7,
        'y' => 24 * 365,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours = digits.parse::<i64>().ok()?.checked_mul(hours)?;
    (hours <= MOST_DAYS * 24).then_some(hours * HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::parse_rfc3339("2026-06-01T12:00:00Z").unwrap()
    }

    fn terms(text: &str) -> Vec<Condition> {
        selector(&[text], now()).unwrap().conditions
    }

    fn refused(text: &str) -> String {
        selector(&[text], now()).unwrap_err().to_string()
    }

    #[test]
    fn a_selector_is_read_from_one_argument_or_several() {
        let one = selector(&["model=CP-88* status=valid"], now()).unwrap();
        assert_eq!(one, selector(&["model=CP-88*", "status=valid"], now()).unwrap());
        assert_eq!(one.conditions.len(), 2);
        assert_eq!(terms("name=\"a b\"")[0].term, Term::Name(vec![Pattern("a b".to_owned())]));
        assert_eq!(terms("").len(), 0);
    }

    #[test]
    fn a_mac_is_known_in_every_spelling_and_by_its_beginning() {
        for text in
            ["mac=000E08ABCDEF", "mac=00:0e:08:ab:cd:ef", "mac=000e.08ab.cdef", "mac=00-0e-08-AB-CD-EF"]
        {
            assert_eq!(terms(text)[0].term, Term::Mac(vec![Pattern("000e08abcdef".to_owned())]), "{text}");
        }
        for text in ["mac=000e08*", "mac=00:0E:08:*"] {
            assert_eq!(terms(text)[0].term, Term::Mac(vec![Pattern("000e08*".to_owned())]), "{text}");
        }
        assert!(refused("mac=000e08").contains("twelve hexadecimal digits"));
        assert!(refused("mac=xyz*").contains("twelve hexadecimal digits"));
    }

    #[test]
    fn spans_count_from_now_on_or_back_from_now() {
        let expected = |field, order, seconds| Term::Time(field, order, now().plus_seconds(seconds));
        assert_eq!(
            terms("expires<90d")[0].term,
            expected(DateField::Expires, Order::AtOrBefore, 90 * 86_400)
        );
        assert_eq!(terms("expires>2w")[0].term, expected(DateField::Expires, Order::AtOrAfter, 14 * 86_400));
        assert_eq!(terms("issued<12h")[0].term, expected(DateField::Issued, Order::AtOrAfter, -12 * 3600));
        let day = Timestamp::parse_rfc3339("2027-01-31T00:00:00Z").unwrap();
        assert_eq!(
            terms("revoked<2027-01-31")[0].term,
            Term::Time(DateField::Revoked, Order::AtOrBefore, day)
        );
        for text in
            ["expires<90", "expires<d", "expires<-1d", "expires<99999999999999999999d", "expires<soon"]
        {
            assert!(refused(text).contains("a span as 90d"), "{text}");
        }
    }

    #[test]
    fn an_unknown_key_or_a_bad_value_names_what_goes() {
        assert!(refused("modle=x").contains("the keys are model, mac, serial"));
        assert!(refused("modle<x").contains("the keys are model, mac, serial"));
        assert!(refused("status=good").contains("valid, expired, revoked, held or abandoned"));
        assert!(refused("kind=phone").contains("device, generic, server or authority"));
        assert!(refused("model<5").contains("only dates"));
        assert!(refused("expires=5d").contains("compared with < and >"));
        assert!(refused("model=").contains("a text is needed"));
        assert!(refused("model=a,,b").contains("a text is needed"));
        assert!(refused("fingerprint=12").contains("64 hexadecimal digits"));
        assert!(refused("reason=boredom").contains("a reason"));
        assert!(refused("\"x").contains("quotation mark"));
        assert!(refused("latest=perhaps").contains("yes or no"));
        assert_eq!(selector::<&str>(&[], now()).unwrap(), Selector::default());
        assert!(matches!(Selector::parse_some::<&str>(&[], now()), Err(SelectorError::Empty)));
    }

    #[test]
    fn not_is_written_with_an_exclamation_mark() {
        assert!(terms("model!=CP-78*")[0].negated);
        assert!(terms("latest=no")[0].negated);
        assert!(!terms("latest!=no")[0].negated);
        assert!(refused("model!x").contains("!="));
    }

    #[test]
    fn random_text_never_panics() {
        proptest::proptest!(|(text in ".{0,60}")| {
            let _either = selector(&[text.as_str()], now());
        });
    }
}
