//! How far back a page looks.

use certs::Timestamp;

use crate::audit::moment::Moment;

/// How far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Period {
    /// 24 hours, hour by hour.
    Day,
    /// Seven days, in quarters of a day.
    Week,
    /// Thirty days, day by day.
    Month,
}

impl Period {
    pub(super) const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The word in an address.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// For people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Day => "24 hours",
            Self::Week => "7 days",
            Self::Month => "30 days",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == word)
    }

    /// Its place in [`Self::ALL`].
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Day => 0,
            Self::Week => 1,
            Self::Month => 2,
        }
    }

    /// Columns of a chart, and the seconds each is wide.
    const fn columns(self) -> (i64, i64) {
        match self {
            Self::Day => (24, 3600),
            Self::Week => (28, 6 * 3600),
            Self::Month => (30, 86_400),
        }
    }

    /// Seconds of one column of a chart: whole hours.
    pub(super) fn step(self) -> u32 {
        u32::try_from(self.columns().1).unwrap_or(3600)
    }

    /// When the columns begin, the last one being now's. The first is the beginning of the period: whole hours are counted
    /// without reading records.
    pub(super) fn starts(self, now: Moment) -> Vec<Moment> {
        let (count, step) = self.columns();
        let second = now.timestamp().unix();
        let last = second - second.rem_euclid(step);
        let at = |before: i64| Moment::from(Timestamp::from_unix(last - before * step));
        (0..count).rev().map(at).collect()
    }

    /// When it begins.
    pub(super) fn start(self, now: Moment) -> Moment {
        self.starts(now).first().copied().unwrap_or(now)
    }

    /// What stands below a column.
    pub(super) fn label(self, start: Moment) -> String {
        let (_, month, day, hour, ..) = start.timestamp().civil();
        match self {
            Self::Day => format!("{hour:02}:00"),
            Self::Week => format!("{day:02}.{month:02}. {hour:02}h"),
            Self::Month => format!("{day:02}.{month:02}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_whole_hours_and_end_with_now() {
        let now = Moment::from(Timestamp::from_unix(1_795_400_000));
        for period in Period::ALL {
            let starts = period.starts(now);
            let step = i64::from(period.step()) * 1_000_000;
            assert!(starts.iter().all(|start| start.micros() % step == 0), "{period:?}");
            let last = *starts.last().unwrap();
            assert!(last <= now && now.micros() - last.micros() < step, "{period:?}");
            assert!(starts.windows(2).all(|pair| pair[1].micros() - pair[0].micros() == step));
            assert_eq!(Period::from_word(period.as_str()), Some(period));
            assert_eq!(Period::ALL[period.index()], period);
        }
        assert_eq!(Period::Day.label(Period::Day.start(now)), "03:00");
        assert_eq!(Period::from_word("1y"), None);
    }
}
