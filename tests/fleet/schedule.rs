//! When a phone calls: the resync parameters of the guide, with time compressed.

use std::time::Duration;

use crate::random::Random;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The parameters of a phone's profile that say when it calls. Times are the phone's; `speed` of its seconds pass in
/// one of ours.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// `Resync_Random_Delay`.
    pub(crate) random_delay: Duration,
    /// `Resync_Periodic`.
    pub(crate) periodic: Duration,
    /// `Resync_At`; takes the place of `Resync_Periodic`.
    pub(crate) at: Option<At>,
    /// `Resync_Error_Retry_Delay`.
    pub(crate) error_retry_delay: Duration,
    /// `Resync_Fails_On_FNF`.
    pub(crate) fails_on_not_found: bool,
    pub(crate) speed: f64,
}

/// A daily time to call: each day anew anywhere in `[time, time + random_delay)`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct At {
    /// `Resync_At`, since midnight.
    pub(crate) time: Duration,
    /// `Resync_At_Random_Delay`; zero turns the spreading off.
    pub(crate) random_delay: Duration,
}

impl At {
    /// `Resync_At_Random_Delay` as phones take it: to the nearest whole minute.
    pub(crate) fn new(time: Duration, random_delay: Duration) -> Self {
        Self { time, random_delay: Duration::from_secs((random_delay.as_secs() + 30) / 60 * 60) }
    }
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
            (Start::Running, Some(at)) => self.daily(at, Duration::ZERO, random),
        }
    }

    /// How long until the call after a good one that ended at `now`, in our time.
    pub(crate) fn after_success(&self, now: Duration, random: &mut Random) -> Duration {
        match self.at {
            Some(at) => self.daily(at, now, random),
            None => self.real(self.periodic),
        }
    }

    /// How long until the call after one that failed at `now`, in our time. Its daily time comes all the same.
    pub(crate) fn after_failure(&self, now: Duration, random: &mut Random) -> Duration {
        let retry = self.real(self.error_retry_delay);
        match self.at {
            Some(at) => retry.min(self.daily(at, now, random)),
            None => retry,
        }
    }

    fn daily(&self, at: At, now: Duration, random: &mut Random) -> Duration {
        let since_midnight =
            Duration::from_secs_f64(now.mul_f64(self.speed).as_secs_f64() % DAY.as_secs_f64());
        // A call of today's window is followed by tomorrow's.
        let until = match since_midnight < at.time {
            true => at.time - since_midnight,
            false => at.time + DAY - since_midnight,
        };
        self.real(until + random.before(at.random_delay))
    }

    /// The longest a phone may be silent, in our time.
    pub(crate) fn longest_silence(&self) -> Duration {
        let usual = match self.at {
            Some(at) => DAY + at.random_delay,
            None => self.periodic.max(self.error_retry_delay),
        };
        self.real(usual + self.random_delay)
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
        assert_eq!(schedule.after_failure(Duration::from_secs(9), &mut random), Duration::from_secs(10));
        assert!(schedule.first(Start::Boot, &mut random) < Duration::from_secs(2) / 60);
        assert!(schedule.first(Start::Running, &mut random) < Duration::from_secs(60));
    }

    fn daily(hours: u64, random_delay: u64) -> Schedule {
        let at = At::new(Duration::from_secs(hours * 3600), Duration::from_secs(random_delay));
        Schedule { at: Some(at), ..schedule() }
    }

    #[test]
    fn a_time_of_day_comes_once_a_day_within_its_random_delay() {
        for (random_delay, spread) in [(600, 600), (120, 120), (89, 60), (90, 120)] {
            let schedule = daily(3, random_delay);
            let mut random = Random::new(1, 1);
            let begin = schedule.real(Duration::from_secs(3 * 3600));
            let window = begin..begin + schedule.real(Duration::from_secs(spread));
            let first = schedule.first(Start::Running, &mut random);
            assert!(window.contains(&first), "{first:?}");
            let second = first + schedule.after_success(first, &mut random);
            let day = schedule.real(DAY);
            assert!((window.start + day..window.end + day).contains(&second), "{second:?}");
        }
    }

    #[test]
    fn without_a_random_delay_every_phone_calls_at_the_very_minute() {
        let schedule = daily(3, 0);
        let first = |number| schedule.first(Start::Running, &mut Random::new(1, number));
        assert_eq!(first(1), schedule.real(Duration::from_secs(3 * 3600)));
        assert_eq!(first(1), first(2));
        assert_ne!(daily(3, 600).first(Start::Running, &mut Random::new(1, 1)), first(1));
    }

    #[test]
    fn the_daily_time_comes_also_while_a_failed_call_waits_to_be_made_again() {
        let schedule = Schedule { error_retry_delay: 20 * DAY, ..daily(3, 0) };
        let mut random = Random::new(1, 1);
        let at_two = schedule.real(Duration::from_secs(2 * 3600));
        assert_eq!(schedule.after_failure(at_two, &mut random), schedule.real(Duration::from_secs(3600)));
        let soon = Schedule { error_retry_delay: Duration::from_secs(600), ..schedule };
        assert_eq!(soon.after_failure(at_two, &mut random), soon.real(Duration::from_secs(600)));
    }
}
