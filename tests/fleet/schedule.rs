//! When a phone calls: the resync parameters of the guide, with time compressed.

use std::time::Duration;

use crate::random::Random;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Over how long phones with `Resync_At` spread their calls.
const AT_SPREAD: Duration = Duration::from_secs(600);

/// The parameters of a phone's profile that say when it calls. Times are the phone's; `speed` of its seconds pass in
/// one of ours.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// `Resync_Random_Delay`.
    pub(crate) random_delay: Duration,
    /// `Resync_Periodic`.
    pub(crate) periodic: Duration,
    /// `Resync_At`, since midnight; takes the place of `Resync_Periodic`.
    pub(crate) at: Option<Duration>,
    /// `Resync_Error_Retry_Delay`.
    pub(crate) error_retry_delay: Duration,
    /// `Resync_Fails_On_FNF`.
    pub(crate) fails_on_not_found: bool,
    pub(crate) speed: f64,
}

/// How a phone begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Start {
    /// It was switched on just now (`Resync_On_Reset`).
    Boot,
    /// It has been running for long: its first call falls anywhere in its period.
    Running,
}

impl Schedule {
    /// How long until the first call, in our time. A run begins at midnight.
    pub(crate) fn first(&self, start: Start, random: &mut Random) -> Duration {
        match (start, self.at) {
            (Start::Boot, _) => self.real(random.before(self.random_delay)),
            (Start::Running, None) => self.real(random.before(self.periodic)),
            (Start::Running, Some(_)) => self.after_success(Duration::ZERO, random),
        }
    }

    /// How long until the call after a good one that ended at `now`, in our time.
    pub(crate) fn after_success(&self, now: Duration, random: &mut Random) -> Duration {
        let Some(at) = self.at else { return self.real(self.periodic) };
        let since_midnight =
            Duration::from_secs_f64(now.mul_f64(self.speed).as_secs_f64() % DAY.as_secs_f64());
        // A call of today's window is followed by tomorrow's.
        let until = match since_midnight < at {
            true => at - since_midnight,
            false => at + DAY - since_midnight,
        };
        self.real(until + random.before(AT_SPREAD))
    }

    /// How long until the call after one that failed, in our time.
    pub(crate) fn after_failure(&self) -> Duration {
        self.real(self.error_retry_delay)
    }

    /// The longest a phone may be silent, in our time.
    pub(crate) fn longest_silence(&self) -> Duration {
        let usual = if self.at.is_some() { DAY + AT_SPREAD } else { self.periodic };
        self.real(usual.max(self.error_retry_delay) + self.random_delay)
    }

    /// Our time for so much of the phone's.
    pub(crate) fn real(&self, time: Duration) -> Duration {
        time.div_f64(self.speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule {
            random_delay: Duration::from_secs(2),
            periodic: Duration::from_secs(3600),
            at: None,
            error_retry_delay: Duration::from_secs(600),
            fails_on_not_found: true,
            speed: 60.0,
        }
    }

    #[test]
    fn an_hour_of_the_phone_is_a_minute_of_ours_at_a_speed_of_sixty() {
        let (schedule, mut random) = (schedule(), Random::new(1, 1));
        assert_eq!(schedule.after_success(Duration::from_secs(9), &mut random), Duration::from_secs(60));
        assert_eq!(schedule.after_failure(), Duration::from_secs(10));
        assert!(schedule.first(Start::Boot, &mut random) < Duration::from_secs(2) / 60);
        assert!(schedule.first(Start::Running, &mut random) < Duration::from_secs(60));
    }

    #[test]
    fn a_time_of_day_comes_once_a_day_within_ten_minutes() {
        let three = Duration::from_secs(3 * 3600);
        let schedule = Schedule { at: Some(three), ..schedule() };
        let mut random = Random::new(1, 1);
        let window = schedule.real(three)..schedule.real(three + AT_SPREAD);
        let first = schedule.first(Start::Running, &mut random);
        assert!(window.contains(&first), "{first:?}");
        let second = first + schedule.after_success(first, &mut random);
        let day = schedule.real(DAY);
        assert!((window.start + day..window.end + day).contains(&second), "{second:?}");
    }
}
