//! Pieces of sentences: times, spans of time, numbers of things, MAC addresses.

use certs::Timestamp;
use policies::MacAddress;

use crate::audit::moment::Moment;

/// A moment to the second.
pub(super) fn second(moment: Moment) -> String {
    moment.timestamp().to_string()
}

/// The day of a time.
pub(super) fn day(time: Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}

/// A MAC address as it is read out and printed on the unit.
pub(super) fn pairs(mac: MacAddress) -> String {
    mac.bytes().map(|byte| format!("{byte:02x}")).join(":")
}

/// `1 record`, `2 records`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn series<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [before @ .., last] => {
            let before: Vec<&str> = before.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", before.join(", "), last.as_ref())
        }
    }
}

/// A span of time in its largest unit, rounded down.
fn span(seconds: i64) -> String {
    const UNITS: &[(i64, &str, &str)] = &[
        (365 * 86_400, "year", "years"),
        (30 * 86_400, "month", "months"),
        (86_400, "day", "days"),
        (3600, "hour", "hours"),
        (60, "minute", "minutes"),
        (1, "second", "seconds"),
    ];
    let seconds = seconds.max(0);
    // Two of a unit before it is used: "18 months" tells more than "1 year".
    let unit = UNITS.iter().find(|(length, _, _)| seconds >= 2 * length).unwrap_or(&(1, "second", "seconds"));
    let (length, one, many) = unit;
    count(seconds.unsigned_abs() / length.unsigned_abs(), one, many)
}

/// `3 days ago`, or `just now`.
pub(super) fn ago(moment: Moment, now: Moment) -> String {
    let seconds = now.timestamp().unix().saturating_sub(moment.timestamp().unix());
    if seconds < 2 { "just now".to_owned() } else { format!("{} ago", span(seconds)) }
}

/// The end of a certificate: `ends 2030-01-01, in 3 years`, `ended 2020-01-01, 6 years ago`.
pub(super) fn end(not_after: Timestamp, now: Moment) -> String {
    let left = not_after.unix().saturating_sub(now.timestamp().unix());
    if left >= 0 {
        format!("ends {}, in {}", day(not_after), span(left))
    } else {
        format!("ended {}, {} ago", day(not_after), span(left.saturating_neg()))
    }
}

/// The time left of a certificate, for a table: `3 months`, `ended`.
pub(super) fn left(not_after: Timestamp, now: Moment) -> String {
    let left = not_after.unix().saturating_sub(now.timestamp().unix());
    if left >= 0 { format!("in {}", span(left)) } else { "ended".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_a_unit_that_says_enough() {
        for (seconds, told) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7199, "119 minutes"),
            (7200, "2 hours"),
            (40 * 86_400, "40 days"),
            (61 * 86_400, "2 months"),
            (500 * 86_400, "16 months"),
            (800 * 86_400, "2 years"),
        ] {
            assert_eq!(span(seconds), told);
        }
        let now = Moment::from_micros(10_000_000);
        assert_eq!(ago(Moment::from_micros(20_000_000), now), "just now", "another machine's clock");
        assert_eq!(end(Timestamp::from_unix(10), now), "ends 1970-01-01, in 0 seconds");
    }

    #[test]
    fn series_are_joined_as_in_a_sentence() {
        assert_eq!(series(&["a", "b", "c"]), "a, b and c");
        assert_eq!((series(&["a", "b"]), series(&["a"])), ("a and b".to_owned(), "a".to_owned()));
        assert_eq!(series::<&str>(&[]), "");
    }
}
