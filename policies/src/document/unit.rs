//! Values with units, as an operator writes them: `"10s"`, `"64KiB"`, `2029-12-31`.

use std::fmt;
use std::time::Duration;

/// Why a text is no duration or size.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnitError {
    /// It does not begin with a whole number.
    #[error("not a whole number followed by a unit")]
    Number,
    /// The number is too large.
    #[error("too large")]
    TooLarge,
    /// The unit is missing or unknown.
    #[error("unknown unit")]
    Unit,
}

/// Units of time. A year is 365 days: a grace period needs no calendar.
const TIMES: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 7 * 86_400_000),
    ("y", 365 * 86_400_000),
];

/// Units of size: `k`-units count in 1000, `Ki`-units in 1024.
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads `500ms`, `10s`, `2m`, `1h`, `30d`, `2w` or `3y` (a year is 365 days). A bare `0` needs no unit.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    parse(text, TIMES).map(Duration::from_millis)
}

/// Reads `512B`, `64KiB`, `1MB` (1000 × 1000), `1MiB` (1024 × 1024), `2GB` … as bytes. A bare number is bytes.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_err(|_| UnitError::TooLarge);
    }
    parse(text, SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err(UnitError::Number);
    }
    let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or(UnitError::Unit)?;
    number.checked_mul(*factor).ok_or(UnitError::TooLarge)
}

/// A duration the way it is written in a file, for messages: the largest unit that divides it.
pub(super) fn duration_text(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    // Weeks and years are for writing, not for reading.
    let unit = TIMES.iter().take(5).rev().find(|(_, factor)| millis % factor == 0 && millis >= *factor);
    unit.map_or_else(|| "0s".to_owned(), |(name, factor)| format!("{}{name}", millis / factor))
}

/// A size the way it is written in a file, for messages.
pub(super) fn size_text(bytes: u64) -> String {
    let unit =
        SIZES.iter().rev().take(3).find(|(_, factor)| bytes.is_multiple_of(*factor) && bytes >= *factor);
    unit.map_or_else(|| format!("{bytes}B"), |(name, factor)| format!("{}{name}", bytes / factor))
}

/// A day of the calendar, written `2029-12-31` without quotes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Date {
    /// Year, 1970 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
}

impl Date {
    /// Seconds from the Unix epoch to the beginning of the day, in UTC.
    pub fn unix_start(self) -> i64 {
        // Days from the civil calendar, counted in eras of 400 years that begin on 1 March.
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        (era * 146_097 + day_of_era - 719_468) * 86_400
    }

    /// Seconds from the Unix epoch to the last second of the day, in UTC: what `until = 2029-12-31` means.
    pub fn unix_end(self) -> i64 {
        self.unix_start() + 86_399
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit_of_time() {
        let seconds = |text| parse_duration(text).map(|d| d.as_secs_f64());
        assert_eq!(seconds("500ms"), Ok(0.5));
        assert_eq!(seconds("10s"), Ok(10.0));
        assert_eq!(seconds("2 m"), Ok(120.0));
        assert_eq!(seconds("1h"), Ok(3600.0));
        assert_eq!(seconds("30d"), Ok(2_592_000.0));
        assert_eq!(seconds("2w"), Ok(1_209_600.0));
        assert_eq!(seconds("3y"), Ok(94_608_000.0));
        assert_eq!(seconds("0"), Ok(0.0));
    }

    #[test]
    fn refuses_a_duration_without_number_or_unit() {
        assert_eq!(parse_duration("10"), Err(UnitError::Unit));
        assert_eq!(parse_duration("s"), Err(UnitError::Number));
        assert_eq!(parse_duration("-1s"), Err(UnitError::Number));
        assert_eq!(parse_duration("1.5s"), Err(UnitError::Unit));
        assert_eq!(parse_duration("10S"), Err(UnitError::Unit));
        assert_eq!(parse_duration("99999999999999999999s"), Err(UnitError::TooLarge));
        assert_eq!(parse_duration("9999999999999999y"), Err(UnitError::TooLarge));
    }

    #[test]
    fn reads_sizes_in_thousands_and_in_1024s() {
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("1MB"), Ok(1_000_000));
        assert_eq!(parse_size("512"), Ok(512));
        assert_eq!(parse_size("1 GiB"), Ok(1 << 30));
        assert_eq!(parse_size("64kib"), Err(UnitError::Unit));
        assert_eq!(parse_size(""), Err(UnitError::Number));
        assert_eq!(parse_size("99999999999999999999"), Err(UnitError::TooLarge));
    }

    #[test]
    fn writes_values_as_they_are_written_in_files() {
        assert_eq!(duration_text(Duration::from_secs(120)), "2m");
        assert_eq!(duration_text(Duration::from_millis(1500)), "1500ms");
        assert_eq!(duration_text(Duration::ZERO), "0s");
        assert_eq!(size_text(65_536), "64KiB");
        assert_eq!(size_text(1000), "1000B");
    }

    #[test]
    fn counts_days_as_the_calendar_does() {
        let date = |year, month, day| Date { year, month, day };
        assert_eq!(date(1970, 1, 1).unix_start(), 0);
        assert_eq!(date(2000, 2, 29).unix_start(), 951_782_400);
        assert_eq!(date(2029, 12, 31).unix_end(), 1_893_455_999);
        assert_eq!(date(2029, 5, 14).to_string(), "2029-05-14");
    }
}
