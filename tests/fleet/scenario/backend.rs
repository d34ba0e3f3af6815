//! The profile store becomes slow, then silent, then dead, then well again.

use std::time::Duration;

use super::{SETTLED, one_round};
use crate::backend::Mood;
use crate::call::{Call, Failure};
use crate::crew::{Crew, failures, in_words, told};
use crate::error::FleetError;
use crate::finding::Findings;
use crate::phone::Until;
use crate::schedule::Start;
use crate::world::{BACKEND_PATIENCE, World};

pub(super) async fn run(world: &mut World) -> Result<Findings, FleetError> {
    let mut findings = Findings::default();
    let crew = Crew::start(world, Start::Running, Until::Stopped);
    served(world, &crew).await?;

    let slow = mood(world, &mut findings, Mood::Slow(BACKEND_PATIENCE / 3), "slow");
    served(world, &crew).await?;
    let silent = mood(world, &mut findings, Mood::Silent, "silent");
    answered(world, &crew, silent.made, 504, "every phone to get 504").await?;
    let dead = mood(world, &mut findings, Mood::Dead, "dead");
    answered(world, &crew, dead.made, 502, "every phone to get 502").await?;
    let well = mood(world, &mut findings, Mood::Well, "well again");
    let recovered = served(world, &crew).await;
    findings.promise(
        "every phone is served once the store is well again",
        recovered.is_ok(),
        recovered.err().map_or_else(|| "they were".to_owned(), |error| error.to_string()),
    );
    crew.stop().await;
    tokio::time::sleep(SETTLED).await;

    let calls = world.log.all();
    // A call that crosses from one into the next may end as in either.
    let within = |from: Turn, to: Turn| {
        calls.iter().filter(move |call| call.began >= from.made && call.ended <= to.told)
    };
    let before = failures(calls.iter().filter(|call| call.ended <= silent.told));
    findings.promise("a slow store costs time and nothing else", before.is_empty(), told(&before));
    let mut all_are = |status: u16, from, to, promise: &str| {
        let other = within(from, to).filter(|call| !has(call, status)).count();
        let found = format!("{}; {other} calls ended otherwise", in_words(&failures(within(from, to))));
        findings.promise(promise, other == 0, found);
    };
    all_are(504, silent, dead, "while the store is silent, phones get 504");
    all_are(502, dead, well, "while the store is dead, phones get 502");
    let after = failures(calls.iter().filter(|call| call.began >= well.made));
    findings.promise("afterwards no call fails", after.is_empty(), told(&after));
    let reasons = world.records().reasons();
    for reason in ["backend_timeout", "backend_unreachable"] {
        let count = reasons.get(reason).copied().unwrap_or_default();
        findings.promise(format!("records say `{reason}`"), count > 0, format!("{count} of them"));
    }
    let first =
        calls.iter().filter(|call| call.began >= dead.made && call.is_served()).map(|call| call.ended).min();
    if let Some(first) = first {
        findings.figure(
            "from the store's recovery to the first served call",
            first.saturating_sub(well.told).as_secs_f64(),
            "s",
        );
    }
    let slow_calls = within(slow, silent).flat_map(|call| call.services.iter().copied());
    let slowest = crate::percentile::Percentiles::of(slow_calls);
    findings.figure("service time while the store is slow, median", slowest.p50, "ms");
    Ok(findings)
}

/// When the store's mood changed: its thread may feel the new one, and phones may get their answers, at any time from
/// `told` on; from `made` on nobody finds the old one.
#[derive(Clone, Copy)]
struct Turn {
    told: Duration,
    made: Duration,
}

fn mood(world: &World, findings: &mut Findings, mood: Mood, name: &str) -> Turn {
    let told = world.log.now();
    world.backend.feel(mood);
    let made = world.log.now();
    findings.moment(made, name);
    Turn { told, made }
}

async fn served(world: &World, crew: &Crew) -> Result<(), FleetError> {
    let all = 0..world.phones.len();
    let what = "every phone to be served";
    crew.each_has(all, world.log.now(), one_round(world), what, |call| call.is_served()).await
}

async fn answered(
    world: &World,
    crew: &Crew,
    since: Duration,
    status: u16,
    what: &'static str,
) -> Result<(), FleetError> {
    crew.each_has(0..world.phones.len(), since, one_round(world), what, |call| has(call, status)).await
}

fn has(call: &Call, status: u16) -> bool {
    call.failure == Some(Failure::Status(status))
}
