//! The power comes back: every phone calls at once.

use std::time::Duration;

use super::{MARGIN, SETTLED};
use crate::cli::PowerCut;
use crate::crew::{Crew, failures, in_words, lost, told};
use crate::error::FleetError;
use crate::finding::Findings;
use crate::phone::{PATIENCE, Until};
use crate::schedule::Start;
use crate::world::{Target, World};

/// How much dearer a phone in the crowd may be than one alone.
const DEARER: f64 = 1.2;
/// With fewer phones the figure says more of the machine than of the gateway, and nothing is promised.
const CROWD: u32 = 500;
/// What the gateway may need for each phone that calls at once, and beside them.
const MEMORY_PER_PHONE: u64 = 64 << 10;
const MEMORY_BESIDE: u64 = 64 << 20;
const MIB: f64 = 1_048_576.0;

/// CPU time of the gateway for one phone that calls alone.
struct Alone {
    /// The handshake and nothing more.
    handshake: Duration,
    /// The whole call: the handshake, and each file.
    call: Duration,
}

pub(super) async fn run(world: &mut World, arguments: &PowerCut) -> Result<Findings, FleetError> {
    let alone = alone(world, usize::try_from(arguments.alone).unwrap_or(usize::MAX)).await?;
    let memory_before = memory(world);

    world.begin();
    let phones = u32::try_from(world.phones.len()).unwrap_or(u32::MAX);
    // Twenty phones a second is far below what one core does.
    let limit =
        world.schedule.real(world.schedule.random_delay) + MARGIN + Duration::from_millis(50) * phones;
    let mut crew = Crew::start(world, Start::Boot, Until::Served(limit));
    // A call that begins late may take its time; after that, whoever is still at it is lost.
    crew.ended_within(limit + PATIENCE).await;
    drop(crew);
    tokio::time::sleep(SETTLED).await;

    let mut findings = Findings::default();
    let calls = world.log.all();
    let lost = lost(world.phones.len(), &calls);
    findings.promise("no phone is lost", lost.is_empty(), format!("{} phones got no profile", lost.len()));
    let failed = failures(&calls);
    findings.promise("no phone is refused", failed.is_empty(), told(&failed));
    if let (Some(alone), Some(spent)) = (alone, world.usage().gateway) {
        cost(&mut findings, &alone, spent, phones);
    }
    if let Some(((peak, _), (_, before))) = memory(world).zip(memory_before) {
        let bound = before + MEMORY_BESIDE + MEMORY_PER_PHONE * u64::from(phones);
        let found = format!(
            "{:.0} MiB before, {:.0} MiB at most, bound {:.0} MiB",
            mib(before),
            mib(peak),
            mib(bound)
        );
        findings.promise(
            "the gateway's memory stays bounded (64 MiB and 64 KiB a phone)",
            peak <= bound,
            found,
        );
    }
    Ok(findings)
}

fn cost(findings: &mut Findings, alone: &Alone, spent: Duration, phones: u32) {
    let each = spent / phones.max(1);
    let ratio = each.as_secs_f64() / alone.call.as_secs_f64();
    findings.figure("gateway CPU, a handshake alone", micros(alone.handshake), "µs");
    findings.figure("gateway CPU, a phone's whole call alone", micros(alone.call), "µs");
    findings.figure("gateway CPU, a phone in the crowd", micros(each), "µs");
    findings.figure("crowd ÷ (phones × whole call alone)", ratio, "");
    findings.figure(
        "crowd ÷ (phones × handshake alone)",
        each.as_secs_f64() / alone.handshake.as_secs_f64(),
        "",
    );
    if phones >= CROWD {
        let promise = format!("a phone in the crowd costs at most {DEARER} times what it costs alone");
        findings.promise(promise, ratio <= DEARER, format!("{ratio:.2} times"));
    }
}

/// Lets some phones call one after another, and says what one costs the gateway.
async fn alone(world: &World, count: usize) -> Result<Option<Alone>, FleetError> {
    if world.target.cpu().is_none() {
        return Ok(None);
    }
    let step = (world.phones.len() / count).max(1);
    let chosen: Vec<_> = world.phones.iter().step_by(step).take(count).collect();
    // The first calls warm the gateway, and are not counted.
    for phone in chosen.iter().take(20) {
        phone.resync(&world.schedule, &world.log).await;
    }
    let mut costs = [Duration::ZERO; 2];
    for (whole, cost) in costs.iter_mut().enumerate() {
        tokio::time::sleep(SETTLED).await;
        let before = world.target.cpu().unwrap_or_default();
        for phone in &chosen {
            let call = match whole {
                0 => phone.handshake(&world.log).await,
                _ => phone.resync(&world.schedule, &world.log).await,
            };
            if call.failure.is_some() {
                return Err(FleetError::Gateway {
                    what: "does not serve a phone that calls alone",
                    log: in_words(&failures([&call])),
                });
            }
        }
        tokio::time::sleep(SETTLED).await;
        let spent = world.target.cpu().unwrap_or_default().saturating_sub(before);
        *cost = spent / u32::try_from(chosen.len()).unwrap_or(u32::MAX).max(1);
    }
    let [handshake, call] = costs;
    Ok(Some(Alone { handshake, call }))
}

/// The most memory so far, and the memory now.
fn memory(world: &World) -> Option<(u64, u64)> {
    match &world.target {
        Target::Own(gateway) => Some(gateway.memory()),
        Target::Other(_) => None,
    }
}

fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) * 1024.0 / MIB
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000_000.0
}
