//! Ordinary days: each phone calls at its times, and nothing else happens.

use std::time::Duration;

use crate::cli::Steady;
use crate::crew::{Crew, failures, lost, told};
use crate::error::FleetError;
use crate::finding::Findings;
use crate::phone::Until;
use crate::schedule::Start;
use crate::world::World;

pub(super) async fn run(world: &mut World, arguments: &Steady) -> Result<Findings, FleetError> {
    let long = world.schedule.real(Duration::from_secs_f64(arguments.hours * 3600.0));
    let crew = Crew::start(world, Start::Running, Until::Stopped);
    tokio::time::sleep(long).await;
    crew.stop().await;

    let calls = world.log.all();
    let mut findings = Findings::default();
    let failed = failures(&calls);
    findings.promise("every call is served", failed.is_empty(), told(&failed));
    // In a shorter run some phones' time does not come.
    if long >= world.schedule.longest_silence() {
        let lost = lost(world.phones.len(), &calls);
        let found = format!("{} phones were not", lost.len());
        findings.promise("every phone is served at least once", lost.is_empty(), found);
    }
    Ok(findings)
}
