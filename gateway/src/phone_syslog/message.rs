//! Reading one datagram.
//!
//! Phones write, after whatever header, `$PN $MAC -- Requesting resync $SCHEME://$SERVIP:$PORT$PATH`, `… -- Successful resync URL`
//! (newer ones with `-- $ERR` behind it) and `… -- Resync failed: $ERR`, and the same of an upgrade: Cisco's `Log_Resync_Request_Msg`,
//! `Log_Resync_Success_Msg`, `Log_Resync_Failure_Msg` and `Log_Upgrade_…`. The header may be RFC 3164's, RFC 5424's, a bare `<174>` or
//! none: what stands right before the dashes is the address, and before that the product, so no header needs to be understood.

use std::borrow::Cow;
use std::net::IpAddr;

use policies::MacAddress;

use crate::audit::{Progress, Said, Task, without_secrets};

/// Octets of a datagram that is read; RFC 5424 §6.1 asks receivers for 2048.
pub(crate) const LONGEST: usize = 2048;
/// Octets that are kept of an address or an error.
const LONGEST_TEXT: usize = 512;
/// Octets that are kept of a product.
const LONGEST_PRODUCT: usize = 64;

const PHRASES: [(&str, Task, Progress); 6] = [
    ("requesting resync", Task::Resync, Progress::Requesting),
    ("successful resync", Task::Resync, Progress::Successful),
    ("resync failed", Task::Resync, Progress::Failed),
    ("requesting upgrade", Task::Upgrade, Progress::Requesting),
    ("successful upgrade", Task::Upgrade, Progress::Successful),
    ("upgrade failed", Task::Upgrade, Progress::Failed),
];

/// What a datagram says; `None` where it is no such message, or names no device.
pub(super) fn parse(datagram: &[u8]) -> Option<Said> {
    let text = String::from_utf8_lossy(datagram);
    let (before, task, progress, rest) = split(&text)?;
    let mut words = before.split_whitespace().rev();
    let mac = device(words.next()?)?;
    let product = words.next().and_then(product);
    let (url, error) = match progress {
        Progress::Requesting | Progress::Successful => with_url(rest),
        Progress::Failed => (None, text_of(rest.trim_start().trim_start_matches(':'))),
    };
    Some(Said { mac, product, task, progress, url, error })
}

/// What stands before the dashes and behind the phrase.
fn split(text: &str) -> Option<(&str, Task, Progress, &str)> {
    // ASCII letters only change, so that places in both are the same.
    let lower = text.to_ascii_lowercase();
    PHRASES.into_iter().find_map(|(phrase, task, progress)| {
        lower.match_indices(phrase).find_map(|(at, _)| {
            let before = text.get(..at)?.trim_end();
            let dashless = before.trim_end_matches(is_dash);
            let rest = text.get(at + phrase.len()..)?;
            let is_whole = rest.chars().next().is_none_or(|next| !next.is_alphanumeric());
            (dashless.len() < before.len() && is_whole).then_some((dashless.trim_end(), task, progress, rest))
        })
    })
}

/// The manuals' typesetting made dashes of some hyphens, and they were copied into phones' configurations.
const fn is_dash(character: char) -> bool {
    matches!(character, '-' | '\u{2010}'..='\u{2015}')
}

fn device(word: &str) -> Option<MacAddress> {
    MacAddress::parse(without_priority(word)).ok().filter(|mac| mac.is_device())
}

fn product(word: &str) -> Option<String> {
    let word = without_priority(word);
    // The word of a header: its version, a time, an address, a tag.
    let is_none = word.len() > LONGEST_PRODUCT
        || !word.chars().any(char::is_alphabetic)
        || word.contains([':', '[', ']', '<', '>', '"', '='])
        || word.parse::<IpAddr>().is_ok();
    (!is_none).then(|| word.to_owned())
}

/// A word without the `<174>` that may stand before it (RFC 3164 §4.1.1).
fn without_priority(word: &str) -> &str {
    let inner = word.strip_prefix('<').and_then(|word| word.split_once('>'));
    match inner {
        Some((number, rest)) if number.len() <= 3 && number.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        Some(_) | None => word,
    }
}

/// `URL`, or `URL -- ERROR`.
fn with_url(rest: &str) -> (Option<String>, Option<String>) {
    let rest = rest.trim_start();
    let (url, error) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let error = error.trim_start().trim_start_matches(is_dash);
    (text_of(url), text_of(error))
}

/// A text as it may stand in a record: without secrets, and not too long.
fn text_of(text: &str) -> Option<String> {
    let text = text.trim_matches(|character: char| character.is_whitespace() || character.is_control());
    if text.is_empty() {
        return None;
    }
    let words: Vec<Cow<'_, str>> = text.split(' ').map(safe).collect();
    let mut text = words.join(" ");
    if text.len() > LONGEST_TEXT {
        let end = (0..=LONGEST_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    Some(text)
}

/// An address without a password, and without the values of parameters that look like secrets (SEC-65).
fn safe(word: &str) -> Cow<'_, str> {
    let shown = match without_secrets(word.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(word),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    };
    let Some((scheme, rest)) = shown.split_once("://") else { return shown };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else { return shown };
    let behind = rest.get(user.len()..).unwrap_or_default();
    Cow::Owned(format!("{scheme}://***{behind}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const URL: &str = "https://prov.example.com:443/000e08abcdef.cfg";

    fn read(text: &str) -> Said {
        parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn what_phones_say_is_read_behind_any_header() {
        let plain = "CP-8841-3PCC 00:0e:08:ab:cd:ef -- Requesting resync https://prov.example.com:443/000e08abcdef.cfg";
        for text in [
            plain.to_owned(),
            format!("<174>{plain}"),
            format!("<174> {plain}\n"),
            format!("<174>Nov 26 02:17:52 {plain}\0"),
            format!("<174>Nov 26 02:17:52 192.0.2.7 {plain}"),
            format!("<174>Nov 26 02:17:52 SEP000E08ABCDEF voice: {plain}\r\n"),
            format!(
                "<174>1 2026-11-26T02:17:52.003Z phone.example.com voice 411 - [x@32473 a=\"b -- c\"] {plain}"
            ),
            format!("<174>1 - - - - - - \u{feff}{plain}"),
        ] {
            let said = read(&text);
            assert_eq!(said.mac.to_string(), "000e08abcdef", "{text}");
            assert_eq!((said.task, said.progress), (Task::Resync, Progress::Requesting), "{text}");
            assert_eq!((said.url.as_deref(), said.error), (Some(URL), None), "{text}");
            let product = said.product.unwrap();
            assert_eq!(product.trim_start_matches('\u{feff}'), "CP-8841-3PCC", "{text}");
        }
    }

    #[test]
    fn each_of_the_makers_messages_is_known() {
        let success = read(&format!("<6>SPA504G 000E08ABCDEF -- Successful resync {URL}"));
        assert_eq!((success.progress, success.url.as_deref()), (Progress::Successful, Some(URL)));
        let newer = read(&format!("CP-7841-3PCC 000e08abcdef \u{2013}- Successful resync {URL} -- OK"));
        assert_eq!((newer.url.as_deref(), newer.error.as_deref()), (Some(URL), Some("OK")));
        let failed = read("SPA504G 000e08abcdef -- Resync failed: TCP connection timeout");
        assert_eq!((failed.progress, failed.url), (Progress::Failed, None));
        assert_eq!(failed.error.as_deref(), Some("TCP connection timeout"));
        let lower = read("SPA504G 000e08abcdef -- resync failed: corrupt file");
        assert_eq!(lower.error.as_deref(), Some("corrupt file"));
        let upgrade = read(&format!("SPA504G 000e08abcdef -- Requesting upgrade {URL}"));
        assert_eq!((upgrade.task, upgrade.progress), (Task::Upgrade, Progress::Requesting));
        assert_eq!(read("SPA504G 000e08abcdef -- Upgrade failed: bad image").task, Task::Upgrade);
        assert_eq!(read("Nov 26 02:17:52 192.0.2.7 000e08abcdef -- Resync failed: x").product, None);
        assert_eq!(read("000e08abcdef -- Resync failed").error, None);
    }

    #[test]
    fn what_is_no_such_message_or_names_no_device_is_none() {
        for text in [
            "",
            "<174>",
            "<142>System started: ip@192.168.1.102, reboot reason:H0",
            "SPA504G 000e08abcdef Requesting resync https://x/",
            "SPA504G 000e08abcdef -- Requesting resyncing",
            "-- Requesting resync https://x/",
            "SPA504G -- Requesting resync https://x/",
            "SPA504G 000e08abcdef y -- Requesting resync https://x/",
            "SPA504G ffffffffffff -- Requesting resync https://x/",
            "SPA504G 000000000000 -- Requesting resync https://x/",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn sec_65_no_secret_of_an_address_is_kept() {
        let said = read("X1 000e08abcdef -- Requesting resync https://user:s3cret@h/p?password=s3cret&mac=1");
        assert_eq!(said.url.as_deref(), Some("https://***@h/p?password=***&mac=1"));
        let said =
            read("X1 000e08abcdef -- Resync failed: https://u:s3cret@h/ and http://h/?token=s3cret gone");
        let error = said.error.unwrap();
        assert_eq!(error, "https://***@h/ and http://h/?token=*** gone");
        assert_eq!(
            read(&format!("X1 000e08abcdef -- Resync failed: {}", "é".repeat(900)))
                .error
                .unwrap()
                .chars()
                .count(),
            257
        );
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_or_left_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..LONGEST)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_text_around_the_words_is_read_within_bounds(
            before in "\\PC{0,40}", separator in "[-\u{2013} ]{0,5}", phrase in 0_usize..6, after in "\\PC{0,900}"
        ) {
            let (words, ..) = PHRASES[phrase];
            if let Some(said) = parse(format!("{before} 000e08abcdef {separator}{words}{after}").as_bytes()) {
                prop_assert!(said.mac.is_device());
                for text in [said.url, said.error].into_iter().flatten() {
                    prop_assert!(text.len() <= LONGEST_TEXT + '…'.len_utf8());
                }
                prop_assert!(said.product.is_none_or(|product| product.len() <= LONGEST_PRODUCT));
            }
        }
    }
}
