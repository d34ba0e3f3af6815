//! The phones at work: one task each, and waiting for what they get.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::call::{Call, Log};
use crate::error::FleetError;
use crate::phone::{PATIENCE, Until};
use crate::random::Random;
use crate::schedule::Start;
use crate::world::World;

/// The running tasks; they end at once when this is dropped.
pub(crate) struct Crew {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    log: Arc<Log>,
}

impl Crew {
    /// Sets every phone of the world to work.
    pub(crate) fn start(world: &World, start: Start, until: Until) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for phone in &world.phones {
            tasks.spawn(Arc::clone(phone).live(
                Arc::clone(&world.schedule),
                Arc::clone(&world.log),
                Random::new(world.seed, phone.device.number),
                start,
                until,
                stopped.clone(),
            ));
        }
        Self { tasks, stop, log: Arc::clone(&world.log) }
    }

    /// Waits until every phone has ended by itself; `false` if that takes longer than `limit`.
    pub(crate) async fn ended_within(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while let Ok(joined) = timeout_at(end, self.tasks.join_next()).await {
            if joined.is_none() {
                return true;
            }
        }
        false
    }

    /// Tells every phone to stop, and lets calls under way end.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        self.ended_within(PATIENCE * 2).await;
    }

    /// Waits until each of these phones has had a call that began after `since` and of which `wanted` holds.
    pub(crate) async fn each_has(
        &self,
        phones: impl IntoIterator<Item = usize>,
        since: Duration,
        limit: Duration,
        what: &'static str,
        wanted: impl Fn(&Call) -> bool,
    ) -> Result<(), FleetError> {
        let end = Instant::now() + limit;
        let mut missing: BTreeSet<_> = phones.into_iter().collect();
        let mut seen = 0;
        while !missing.is_empty() {
            let new = self.log.since(seen);
            seen += new.len();
            for call in new.iter().filter(|call| call.began >= since && wanted(call)) {
                call.phone().map(|phone| missing.remove(&phone));
            }
            if Instant::now() > end {
                return Err(FleetError::TimedOut { what, seconds: limit.as_secs() });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// The phones that were never served.
pub(crate) fn lost(phones: usize, calls: &[Call]) -> Vec<usize> {
    let served: BTreeSet<_> = calls.iter().filter(|call| call.is_served()).filter_map(Call::phone).collect();
    (0..phones).filter(|phone| !served.contains(phone)).collect()
}

/// How often calls failed, by how.
pub(crate) fn failures<'a>(calls: impl IntoIterator<Item = &'a Call>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for failure in calls.into_iter().filter_map(|call| call.failure.as_ref()) {
        *counts.entry(failure.to_string()).or_default() += 1;
    }
    counts
}

/// Counts as one line: `3 × status 403, 1 × connection reset`, or `none`.
pub(crate) fn in_words(counts: &BTreeMap<String, usize>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(what, count)| format!("{count} × {what}")).collect::<Vec<_>>().join(", ")
}

/// The same as what a promise finds.
pub(crate) fn told(counts: &BTreeMap<String, usize>) -> String {
    if counts.is_empty() { "no call failed".to_owned() } else { format!("failed: {}", in_words(counts)) }
}
