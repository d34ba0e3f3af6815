//! What the gateway may cost: the project's bounds, and whether they held.

use std::fmt;

/// More than so many times a bound is missed by far, whatever the machine did meanwhile: a run then fails. A quick run has
/// few rounds, in which a ratio moves by a fifth; a full one that is near its bound says "missed" and does not fail.
const BY_FAR: f64 = 1.5;

/// A bound on a figure of the gateway.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    /// At most so much.
    pub(crate) most: f64,
    /// Where we are going.
    pub(crate) goal: Option<f64>,
    pub(crate) unit: Unit,
}

/// What is bounded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    /// A number of phones.
    Count,
    /// Memory in KiB.
    Kibibytes,
    /// CPU time as a multiple of something, which the row says.
    Times,
    /// CPU time as a multiple of this peer's.
    TimesPeer(&'static str),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    MissedByFar,
}

impl Bound {
    pub(crate) const fn times_peer(most: f64, peer: &'static str, goal: Option<f64>) -> Self {
        Self { most, goal, unit: Unit::TimesPeer(peer) }
    }

    /// Not one.
    pub(crate) const NONE: Self = Self { most: 0.0, goal: None, unit: Unit::Count };

    pub(crate) fn judge(&self, found: f64) -> Verdict {
        if found <= self.most {
            Verdict::Met
        } else if found <= self.most * BY_FAR {
            Verdict::Missed
        } else {
            // What is no number was not measured.
            Verdict::MissedByFar
        }
    }

    /// The bound and how it fared, for a cell of the table.
    pub(crate) fn told(&self, found: f64) -> String {
        let mut text =
            format!("≤ {:.*}{}: {}", self.decimals(), self.most, self.of_what(), self.judge(found));
        if let Some(goal) = self.goal {
            let reached = if found <= goal { "reached" } else { "not yet" };
            text.push_str(&format!("; goal ≤ {goal:.*}: {reached}", self.decimals()));
        }
        text
    }

    fn decimals(&self) -> usize {
        match self.unit {
            Unit::Count | Unit::Kibibytes => 0,
            Unit::Times => 1,
            Unit::TimesPeer(_) => 2,
        }
    }

    fn of_what(&self) -> String {
        match self.unit {
            Unit::Count | Unit::Times => String::new(),
            Unit::Kibibytes => " KiB".to_owned(),
            Unit::TimesPeer(peer) => format!(" × {peer}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::MissedByFar => "missed by far",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_met_to_the_last_missed_above_it_and_by_far_above_half_as_much_again() {
        let bound = Bound::times_peer(0.5, "nginx", Some(0.25));
        let cases = [
            (0.25, "≤ 0.50 × nginx: met; goal ≤ 0.25: reached"),
            (0.5, "≤ 0.50 × nginx: met; goal ≤ 0.25: not yet"),
            (0.51, "≤ 0.50 × nginx: missed; goal ≤ 0.25: not yet"),
            (0.75, "≤ 0.50 × nginx: missed; goal ≤ 0.25: not yet"),
            (0.76, "≤ 0.50 × nginx: missed by far; goal ≤ 0.25: not yet"),
        ];
        for (found, told) in cases {
            assert_eq!(bound.told(found), told);
        }
        assert_eq!(bound.judge(f64::NAN), Verdict::MissedByFar);
    }

    #[test]
    fn of_what_must_not_be_a_single_one_is_too_much_by_far() {
        assert_eq!(Bound::NONE.told(0.0), "≤ 0: met");
        assert_eq!(Bound::NONE.judge(1.0), Verdict::MissedByFar);
    }
}
