//! What happens to the fleet, and what must come of it.

mod backend;
mod crl;
mod hostile;
mod power_cut;
mod restart;
mod rollover;
mod steady;

use std::time::Duration;

use crate::cli::Scenario;
use crate::error::FleetError;
use crate::finding::Findings;
use crate::world::World;

/// Until the gateway has written its last records (200 ms) and closed its last connections.
const SETTLED: Duration = Duration::from_millis(400);
/// Beyond a phone's own times: what a loaded machine may take.
const MARGIN: Duration = Duration::from_secs(30);

/// Runs a scenario; the calls are in the world's log.
pub(crate) async fn run(world: &mut World, scenario: &Scenario) -> Result<Findings, FleetError> {
    world.begin();
    let findings = match scenario {
        Scenario::Steady(arguments) => steady::run(world, arguments).await,
        Scenario::PowerCut(arguments) => power_cut::run(world, arguments).await,
        Scenario::Restart(_) => restart::run(world).await,
        Scenario::Crl(arguments) => crl::run(world, arguments).await,
        Scenario::Rollover(_) => rollover::run(world).await,
        Scenario::Backend(_) => backend::run(world).await,
        Scenario::Hostile(arguments) => hostile::run(world, arguments).await,
    }?;
    tokio::time::sleep(SETTLED).await;
    Ok(findings)
}

/// In how long each phone must have called once more.
fn one_round(world: &World) -> Duration {
    world.schedule.longest_silence() + MARGIN
}
