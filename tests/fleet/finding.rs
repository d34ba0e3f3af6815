//! What a scenario finds: whether its promises held, moments worth marking, further figures.

use std::time::Duration;

use serde::Serialize;

/// A promise of a scenario, and whether it held.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Promise {
    /// What must hold, as a sentence.
    pub(crate) promise: String,
    pub(crate) held: bool,
    /// What was found.
    pub(crate) found: String,
}

/// A moment of the run, to be marked in the plot.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub(crate) at: Duration,
    pub(crate) what: String,
}

/// A line of the table that only this scenario has.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// What a scenario found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) promises: Vec<Promise>,
    pub(crate) moments: Vec<Moment>,
    pub(crate) figures: Vec<Figure>,
}

impl Findings {
    pub(crate) fn promise(&mut self, promise: impl Into<String>, held: bool, found: impl Into<String>) {
        self.promises.push(Promise { promise: promise.into(), held, found: found.into() });
    }

    pub(crate) fn moment(&mut self, at: Duration, what: impl Into<String>) {
        self.moments.push(Moment { at, what: what.into() });
    }

    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { name: name.into(), value, unit });
    }

    pub(crate) fn all_held(&self) -> bool {
        self.promises.iter().all(|promise| promise.held)
    }
}
