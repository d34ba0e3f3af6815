//! How long things took, in buckets.

use std::time::Duration;

/// Counts durations by upper bounds that fit a handshake on a busy machine as well as a backend that hangs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many fell into each bucket, and last those above all bounds.
    buckets: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

/// Upper bounds, in milliseconds.
const BOUNDS: [u32; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 10_000];

impl Histogram {
    /// Counts one.
    pub fn observe(&mut self, took: Duration) {
        let at = BOUNDS.iter().position(|bound| took <= Duration::from_millis(u64::from(*bound)));
        if let Some(bucket) = self.buckets.get_mut(at.unwrap_or(BOUNDS.len())) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(took);
    }

    /// Adds what another counted.
    pub fn add(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Each upper bound in seconds with how many were at or below it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let sums = self.buckets.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        BOUNDS.iter().map(|bound| f64::from(*bound) / 1000.0).zip(sums)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All durations together.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_above_all_is_counted_too() {
        let mut histogram = Histogram::default();
        for milliseconds in [0, 1, 2, 10_000, 10_001] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let cumulative: Vec<_> = histogram.cumulative().collect();
        assert_eq!(cumulative.first(), Some(&(0.001, 2)));
        assert_eq!(cumulative.get(1), Some(&(0.002, 3)));
        assert_eq!(cumulative.last(), Some(&(10.0, 4)));
        assert_eq!((histogram.count(), histogram.sum()), (5, Duration::from_millis(20_004)));
    }
}
