//! Times, and the validity period of a certificate.

use std::fmt;

use crate::der::{self, Element, Reader, tag};

const DAY: i64 = 86_400;

/// Seconds since 1970-01-01 00:00:00 UTC. Displays as RFC 3339, `2026-11-23T02:25:11Z`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From seconds since the Unix epoch.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the Unix epoch.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// So many seconds later, or earlier when negative; stops at the ends of `i64`.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Reads `2026-11-23T02:25:11Z`, also with fractions (dropped) and an offset such as `+01:00`.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
        let [year, month, day] = fields(date, '-')?;
        let [hour, minute, second] = fields(time, ':')?;
        let fraction =
            rest.strip_prefix('.').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        let zone = fraction.unwrap_or(rest);
        let offset = if zone.eq_ignore_ascii_case("z") {
            0
        } else {
            let (sign, magnitude) = zone.split_at_checked(1)?;
            let (hours, minutes) = magnitude.split_once(':')?;
            let seconds = number(hours.as_bytes())? * 3600 + number(minutes.as_bytes())? * 60;
            match sign {
                "+" => seconds,
                "-" => -seconds,
                _ => return None,
            }
        };
        Some(civil(year, month, day, hour, minute, second)?.plus_seconds(-offset))
    }

    /// Year, month, day, hour, minute and second, in UTC.
    pub fn civil(self) -> (i64, i64, i64, i64, i64, i64) {
        let days = self.0.div_euclid(DAY);
        let second = self.0.rem_euclid(DAY);
        // After Howard Hinnant's `civil_from_days`; years begin in March.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, month, day, second / 3600, second / 60 % 60, second % 60)
    }

    /// A UTCTime or GeneralizedTime in the one form that RFC 5280 §4.1.2.5 allows: seconds, `Z`, no fraction.
    pub(crate) fn from_element(element: &Element<'_>) -> der::Result<Self> {
        let (year, rest) = match (element.tag, element.value.len()) {
            (tag::UTC_TIME, 13) => {
                let (year, rest) = element.value.split_at(2);
                (number(year).map(|year| if year < 50 { 2000 + year } else { 1900 + year }), rest)
            }
            (tag::GENERALIZED_TIME, 15) => {
                let (year, rest) = element.value.split_at(4);
                (number(year), rest)
            }
            (_, _) => return element.invalid("time"),
        };
        let parse = || {
            let digits = rest.strip_suffix(b"Z")?;
            let mut pairs = digits.chunks_exact(2).map(number);
            let mut next = || pairs.next().flatten();
            civil(year?, next()?, next()?, next()?, next()?, next()?)
        };
        parse().map_or_else(|| element.invalid("time"), Ok)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> der::Result<Self> {
        Self::from_element(&reader.any()?)
    }
}

fn fields(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| number(part.as_bytes()));
    let fields = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(fields)
}

fn number(digits: &[u8]) -> Option<i64> {
    let plain = !digits.is_empty() && digits.len() <= 4 && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// The time at these fields, `None` when the calendar has no such second.
fn civil(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<Timestamp> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(Timestamp(days * DAY + hour * 3600 + minute * 60 + second))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second) = self.civil();
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// When a certificate is valid; both ends belong to the period (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Validity {
    /// The first valid second.
    pub not_before: Timestamp,
    /// The last valid second.
    pub not_after: Timestamp,
}

impl Validity {
    /// Whether the period holds this time.
    pub fn contains(&self, time: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, text: &str) -> Vec<u8> {
        let mut encoded = vec![tag, u8::try_from(text.len()).unwrap()];
        encoded.extend(text.bytes());
        encoded
    }

    fn read(tag: u8, text: &str) -> Option<String> {
        Timestamp::read(&mut Reader::new(&element(tag, text))).ok().map(|time| time.to_string())
    }

    #[test]
    fn reads_both_kinds_of_time() {
        assert_eq!(read(tag::UTC_TIME, "261123022511Z").unwrap(), "2026-11-23T02:25:11Z");
        assert_eq!(read(tag::UTC_TIME, "491231235959Z").unwrap(), "2049-12-31T23:59:59Z");
        assert_eq!(read(tag::UTC_TIME, "500101000000Z").unwrap(), "1950-01-01T00:00:00Z");
        assert_eq!(read(tag::GENERALIZED_TIME, "99991231235959Z").unwrap(), "9999-12-31T23:59:59Z");
        assert_eq!(read(tag::GENERALIZED_TIME, "20000229000000Z").unwrap(), "2000-02-29T00:00:00Z");
    }

    #[test]
    fn refuses_other_forms_and_days_that_never_were() {
        for text in [
            "2611230225Z",
            "261123022511+0000",
            "261323022511Z",
            "261100022511Z",
            "261123242511Z",
            "26112302251 Z",
        ] {
            assert_eq!(read(tag::UTC_TIME, text), None, "{text}");
        }
        for text in ["20261123022511.5Z", "20260229000000Z", "21000229000000Z", "20261123022511"] {
            assert_eq!(read(tag::GENERALIZED_TIME, text), None, "{text}");
        }
    }

    #[test]
    fn rfc3339_goes_there_and_back() {
        for text in
            ["1970-01-01T00:00:00Z", "2026-11-23T02:25:11Z", "1950-02-28T23:59:59Z", "9999-12-31T23:59:59Z"]
        {
            assert_eq!(Timestamp::parse_rfc3339(text).unwrap().to_string(), text);
        }
        assert_eq!(Timestamp::parse_rfc3339("1970-01-01T01:00:00.25+01:00"), Some(Timestamp::from_unix(0)));
        for text in ["", "1970-01-01", "1970-13-01T00:00:00Z", "1970-01-01T00:00:00", "1970-01-01T00:00:60Z"]
        {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text}");
        }
    }
}
