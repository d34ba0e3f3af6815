//! A time as an operator writes it: how long ago, a day, or a time to the second.

use std::str::FromStr;
use std::time::Duration;

use certs::Timestamp;
use policies::document::parse_duration;

use crate::audit::moment::Moment;

/// The end of a period that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePoint {
    /// So long before now.
    Ago(Duration),
    /// A time.
    At(Moment),
    /// A day in UTC, by its first second.
    Day(Timestamp),
}

/// A text that is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write how long ago (90m, 2h, 3d, 1w), a day (2026-11-23) or a time in UTC (2026-11-23T02:25:11Z)")]
pub struct NotATimePoint;

impl TimePoint {
    /// The first moment of a period that begins so.
    #[must_use]
    pub fn beginning(self, now: Moment) -> Moment {
        match self {
            Self::Ago(ago) => now.before(ago),
            Self::At(moment) => moment,
            Self::Day(first) => first.into(),
        }
    }

    /// The first moment after a period that ends so: a day belongs to it whole.
    #[must_use]
    pub fn end(self, now: Moment) -> Moment {
        match self {
            Self::Ago(_) | Self::At(_) => self.beginning(now),
            Self::Day(first) => first.plus_seconds(86_400).into(),
        }
    }
}

impl FromStr for TimePoint {
    type Err = NotATimePoint;

    fn from_str(text: &str) -> Result<Self, NotATimePoint> {
        let text = text.trim();
        if let Ok(ago) = parse_duration(text) {
            return Ok(Self::Ago(ago));
        }
        if text.len() == 10 {
            let first = Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"));
            return first.map(Self::Day).ok_or(NotATimePoint);
        }
        Moment::parse(&text.replace(' ', "T")).map(Self::At).ok_or(NotATimePoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(text: &str) -> String {
        let now = Moment::parse("2026-11-23T02:25:11Z").unwrap();
        text.parse::<TimePoint>().unwrap().beginning(now).timestamp().to_string()
    }

    #[test]
    fn a_time_is_how_long_ago_a_day_or_a_second() {
        assert_eq!(beginning("2h"), "2026-11-23T00:25:11Z");
        assert_eq!(beginning("3d"), "2026-11-20T02:25:11Z");
        assert_eq!(beginning("90m"), "2026-11-23T00:55:11Z");
        assert_eq!(beginning("1w"), "2026-11-16T02:25:11Z");
        assert_eq!(beginning("2026-11-20"), "2026-11-20T00:00:00Z");
        assert_eq!(beginning("2026-11-20T10:00:00+02:00"), "2026-11-20T08:00:00Z");
        assert_eq!(beginning("2026-11-20 10:00:00Z"), "2026-11-20T10:00:00Z");
    }

    #[test]
    fn a_day_is_in_a_period_whole() {
        let now = Moment::default();
        let day: TimePoint = "2026-11-20".parse().unwrap();
        assert_eq!(day.end(now).timestamp().to_string(), "2026-11-21T00:00:00Z");
        let time: TimePoint = "2026-11-20T00:00:00Z".parse().unwrap();
        assert_eq!(time.end(now), time.beginning(now));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in
            ["", "2", "h", "yesterday", "2026-13-01", "2026-11-20T10:00", "-2h", "2026-11-20T10:00:00"]
        {
            assert_eq!(wrong.parse::<TimePoint>(), Err(NotATimePoint), "{wrong}");
        }
    }
}
