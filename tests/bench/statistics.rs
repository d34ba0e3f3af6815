//! From the figures of rounds to one figure.

use std::time::Duration;

/// The middle of some figures; of an even number of them, the greater of the two.
pub(crate) fn median<T: Copy + PartialOrd>(figures: &[T]) -> Option<T> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    sorted.get(sorted.len() / 2).copied()
}

/// How one server's figures compare with another's, round by round: what the machine did to one in a round, it did to the
/// other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Ratio {
    /// `ours` ÷ `theirs`; `None` without rounds, or where something took no time at all.
    pub(crate) fn of(ours: &[Duration], theirs: &[Duration]) -> Option<Self> {
        let ratio = |(one, other): (&Duration, &Duration)| one.as_secs_f64() / other.as_secs_f64();
        let mut ratios: Vec<f64> = ours.iter().zip(theirs).map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (*ratios.first()?, *ratios.last()?);
        let is_sound = least > 0.0 && most.is_finite();
        is_sound.then_some(Self { least, median: median(&ratios)?, most })
    }
}

/// The least figure that so many of a hundred do not exceed.
pub(crate) fn percentile(figures: &[Duration], percent: usize) -> Option<Duration> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(figures: &[u64]) -> Vec<Duration> {
        figures.iter().copied().map(Duration::from_micros).collect()
    }

    #[test]
    fn a_median_is_a_figure_that_occurred() {
        assert_eq!(median(&[5, 1, 3]), Some(3));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(3.0));
        assert_eq!(median::<u32>(&[]), None);
    }

    #[test]
    fn ratios_are_of_the_same_round_and_not_of_the_medians() {
        let found = Ratio::of(&micros(&[10, 40, 30]), &micros(&[20, 40, 90])).unwrap();
        assert_eq!(found.median, 0.5);
        assert!((found.least - 1.0 / 3.0).abs() < 1e-9 && (found.most - 1.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn a_server_that_took_no_time_was_not_measured() {
        assert_eq!(Ratio::of(&micros(&[10, 10]), &micros(&[20, 0])), None);
        assert_eq!(Ratio::of(&micros(&[0, 10]), &micros(&[20, 20])), None);
        assert_eq!(Ratio::of(&[], &[]), None);
        assert!(Ratio::of(&micros(&[10, 10]), &micros(&[20, 20])).is_some());
    }

    #[test]
    fn a_percentile_is_a_time_that_occurred() {
        let times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Some(Duration::from_millis(100)));
        assert_eq!(percentile(&times, 99), Some(Duration::from_millis(198)));
        assert_eq!(percentile(&times, 100), Some(Duration::from_millis(200)));
        assert_eq!(percentile(&[], 99), None);
    }
}
