//! Calls per second over time.

use std::time::Duration;

use serde::Serialize;

use crate::call::Call;
use crate::finding::Moment;

/// At most about so many steps.
const STEPS: f64 = 60.0;

/// How many calls ended per second, step by step.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    /// How long a step is, in seconds.
    pub(crate) step: f64,
    /// Phones that were served, per second.
    pub(crate) served: Vec<f64>,
    /// Phones' calls that failed, per second.
    pub(crate) failed: Vec<f64>,
    /// Hostile attempts that ended, per second.
    pub(crate) hostile: Vec<f64>,
    pub(crate) moments: Vec<Mark>,
}

/// A moment worth marking.
#[derive(Debug, Serialize)]
pub(crate) struct Mark {
    pub(crate) second: f64,
    pub(crate) what: String,
}

impl Series {
    pub(crate) fn new(calls: &[Call], moments: &[Moment]) -> Self {
        let end =
            calls.iter().map(|call| call.ended).max().unwrap_or_default().max(Duration::from_millis(100));
        let step = step(end);
        let count = usize::try_from(end.as_nanos() / step.as_nanos()).unwrap_or_default() + 1;
        let mut counts = [vec![0_u32; count], vec![0; count], vec![0; count]];
        for call in calls {
            let at = usize::try_from(call.ended.as_nanos() / step.as_nanos()).unwrap_or_default();
            let of = match (call.phone(), call.is_served()) {
                (Some(_), true) => 0,
                (Some(_), false) => 1,
                (None, _) => 2,
            };
            if let Some(slot) = counts.get_mut(of).and_then(|counts| counts.get_mut(at)) {
                *slot += 1;
            }
        }
        let [served, failed, hostile] = counts
            .map(|counts| counts.into_iter().map(|count| f64::from(count) / step.as_secs_f64()).collect());
        let mark = |moment: &Moment| Mark { second: moment.at.as_secs_f64(), what: moment.what.clone() };
        Self {
            step: step.as_secs_f64(),
            served,
            failed,
            hostile,
            moments: moments.iter().map(mark).collect(),
        }
    }
}

/// The shortest of 0.1, 0.2, 0.5, 1, 2, 5, … seconds of which [`STEPS`] cover this time.
fn step(end: Duration) -> Duration {
    let least = end.div_f64(STEPS);
    let mut tenth = Duration::from_millis(100);
    loop {
        for factor in [1, 2, 5] {
            if tenth * factor >= least {
                return tenth * factor;
            }
        }
        tenth *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Caller, Failure};

    fn call(caller: Caller, ended: u64, failure: Option<Failure>) -> Call {
        let ended = Duration::from_millis(ended);
        let none = Duration::ZERO;
        Call {
            caller,
            began: none,
            ended,
            waits: Vec::new(),
            services: Vec::new(),
            statuses: Vec::new(),
            failure,
        }
    }

    #[test]
    fn calls_count_in_the_step_in_which_they_end() {
        let calls = [
            call(Caller::Phone(0), 10, None),
            call(Caller::Phone(1), 90, None),
            call(Caller::Phone(2), 110, Some(Failure::Closed)),
            call(Caller::Forger, 250, Some(Failure::Closed)),
        ];
        let series = Series::new(&calls, &[]);
        assert_eq!(series.step, 0.1);
        assert_eq!(series.served, [20.0, 0.0, 0.0]);
        assert_eq!(series.failed, [0.0, 10.0, 0.0]);
        assert_eq!(series.hostile, [0.0, 0.0, 10.0]);
    }

    #[test]
    fn a_longer_run_has_longer_steps() {
        assert_eq!(step(Duration::from_secs(6)), Duration::from_millis(100));
        assert_eq!(step(Duration::from_secs(12)), Duration::from_millis(200));
        assert_eq!(step(Duration::from_secs(60)), Duration::from_secs(1));
        assert_eq!(step(Duration::from_secs(601)), Duration::from_secs(20));
    }
}
