//! The gateway reads its configuration again, then is stopped and started, while phones call.

use super::one_round;
use crate::call::Failure;
use crate::crew::{Crew, failures, told};
use crate::error::FleetError;
use crate::finding::Findings;
use crate::phone::Until;
use crate::schedule::Start;
use crate::world::World;

pub(super) async fn run(world: &mut World) -> Result<Findings, FleetError> {
    let (round, all) = (one_round(world), 0..world.phones.len());
    let mut findings = Findings::default();
    let crew = Crew::start(world, Start::Running, Until::Stopped);
    let served = "every phone to be served";
    crew.each_has(all.clone(), world.log.now(), round, served, |call| call.is_served()).await?;

    findings.moment(world.log.now(), "SIGHUP");
    world.gateway()?.hang_up().await?;
    crew.each_has(all.clone(), world.log.now(), round, served, |call| call.is_served()).await?;
    let failed = failures(&world.log.all());
    findings.promise("SIGHUP disturbs no call", failed.is_empty(), told(&failed));

    let stopped_at = world.log.now();
    findings.moment(stopped_at, "SIGTERM");
    world.gateway()?.terminate().await?;
    // Long enough for a quarter of the phones to find nobody there.
    tokio::time::sleep(world.schedule.real(world.schedule.periodic) / 4).await;
    world.gateway()?.launch().await?;
    let started_at = world.log.now();
    findings.moment(started_at, "started");
    let served_again = crew.each_has(all, started_at, round, served, |call| call.is_served()).await;
    findings.promise(
        "every phone is served after the restart",
        served_again.is_ok(),
        served_again.err().map_or_else(|| "they were".to_owned(), |error| error.to_string()),
    );
    crew.stop().await;

    let calls = world.log.all();
    let during = calls.iter().filter(|call| call.ended >= stopped_at && call.began < started_at);
    let refused = failures(during.filter(|call| !call.failure.as_ref().is_none_or(is_of_a_stop)));
    findings.promise(
        "stopping refuses nobody: a call is served or finds nobody there",
        refused.is_empty(),
        told(&refused),
    );
    let after = failures(calls.iter().filter(|call| call.began >= started_at));
    findings.promise("after the restart every call is served", after.is_empty(), told(&after));
    Ok(findings)
}

/// What a phone meets when the gateway stops listening or is not there.
fn is_of_a_stop(failure: &Failure) -> bool {
    match failure {
        Failure::Closed | Failure::ConnectionRefused | Failure::Reset => true,
        Failure::Alert(_)
        | Failure::Network(_)
        | Failure::NotHttp(_)
        | Failure::RunEnded
        | Failure::Status(_)
        | Failure::TimedOut
        | Failure::Tls(_)
        | Failure::WrongProfile => false,
    }
}
