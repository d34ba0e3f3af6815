//! Forgers, MAC scanners, slow connections and strangers among the phones.

use std::sync::Arc;
use std::time::Duration;

use harness::authority::Kind;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::one_round;
use crate::attack::Attacker;
use crate::call::{Call, Caller};
use crate::cli;
use crate::crew::{Crew, failures, in_words, told};
use crate::device::{Age, Device};
use crate::error::FleetError;
use crate::finding::Findings;
use crate::percentile::Percentiles;
use crate::phone::Until;
use crate::random::Random;
use crate::schedule::Start;
use crate::world::World;

/// What honest calls may take longer in any case, however short they were: the hostile share computes on the same
/// processors.
const ALLOWANCE: f64 = 100.0;
/// Both halves last so many rounds of the phones' calls.
const ROUNDS: u32 = 3;

const KINDS: [(Caller, &str); 4] = [
    (Caller::Forger, "forgers"),
    (Caller::Scanner, "MAC scanners"),
    (Caller::Slowloris, "slow clients"),
    (Caller::Stranger, "strangers"),
];

pub(super) async fn run(world: &mut World, arguments: &cli::Hostile) -> Result<Findings, FleetError> {
    let count = world.phones.len();
    let hostile = (count * usize::from(arguments.share)).div_ceil(100).max(KINDS.len() * 2);
    let attackers = attackers(world, hostile)?;
    let long = world.schedule.longest_silence() * ROUNDS;

    let mut findings = Findings::default();
    // What was made meanwhile does not count.
    world.begin();
    let crew = Crew::start(world, Start::Running, Until::Stopped);
    tokio::time::sleep(long).await;
    let began = world.log.now();
    findings.moment(began, format!("{hostile} hostile clients"));
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for (number, attacker) in attackers.into_iter().enumerate() {
        let random = Random::new(world.seed, count + number);
        tasks.spawn(attacker.attack(Arc::clone(&world.log), random, stopped.clone()));
    }
    tokio::time::sleep(long).await;
    crew.each_has(0..count, began, one_round(world), "every phone to be served", |call| call.is_served())
        .await?;
    let ended = world.log.now();
    stop.send_replace(true);
    // Each ends at its next pause.
    tasks.join_all().await;
    crew.stop().await;

    let calls = world.log.all();
    hostile_calls(&mut findings, &calls, ended - began);
    let honest = |from, to| {
        calls.iter().filter(move |call| call.phone().is_some() && call.began >= from && call.began < to)
    };
    let disturbed = failures(honest(Duration::ZERO, Duration::MAX));
    findings.promise("no honest phone is refused", disturbed.is_empty(), told(&disturbed));
    let times = |from, to| Percentiles::of(honest(from, to).map(|call| call.ended - call.began));
    let (without, with) = (times(Duration::ZERO, began), times(began, ended));
    findings.figure("a phone's whole call without them, p99", without.p99, "ms");
    findings.figure("a phone's whole call among them, p99", with.p99, "ms");
    let bound = without.p99 * arguments.bound + ALLOWANCE;
    findings.promise(
        format!("an honest phone's p99 is at most {} times what it was, and {ALLOWANCE} ms", arguments.bound),
        with.p99 <= bound,
        format!("{:.1} ms before, {:.1} ms among them, bound {bound:.1} ms", without.p99, with.p99),
    );
    Ok(findings)
}

fn hostile_calls(findings: &mut Findings, calls: &[Call], long: Duration) {
    let mut all = 0;
    for (caller, name) in KINDS {
        let of_kind = || calls.iter().filter(move |call| call.caller == caller);
        let (count, served) = (of_kind().count(), of_kind().filter(|call| call.is_served()).count());
        all += count;
        let others: Vec<_> =
            of_kind().flat_map(|call| &call.statuses).filter(|status| **status < 400).collect();
        findings.promise(
            format!("no {name} are served"),
            served == 0 && others.is_empty() && count > 0,
            format!("{count} attempts, {served} served; {}", in_words(&failures(of_kind()))),
        );
    }
    let all = f64::from(u32::try_from(all).unwrap_or(u32::MAX));
    findings.figure("hostile attempts", all / long.as_secs_f64(), "per second");
}

/// As many hostile clients, the kinds by turns.
fn attackers(world: &World, count: usize) -> Result<Vec<Attacker>, FleetError> {
    // The right name, another key; certificates for the identities of real phones.
    let forgery = world.further_authority("forged", "Fleet")?;
    let chosen = |phone: &&Device| phone.product.age == Age::Modern;
    let copied: Vec<_> =
        world.phones.iter().map(|phone| &phone.device).filter(chosen).take(count.div_ceil(4)).collect();
    let stolen = Device::beyond(world.phones.len(), count.div_ceil(4) + count.div_ceil(8));
    let key = world.device_key.as_str();
    let copied = if copied.is_empty() { stolen.iter().collect() } else { copied };
    forgery.issue_devices(&Device::list(copied.iter().copied()), key, Kind::Modern)?;
    world.authority.issue_devices(&Device::list(&stolen), key, Kind::Modern)?;

    let victims: Vec<_> = world.phones.iter().map(|phone| phone.device.mac.clone()).collect();
    let victims = Arc::new(victims);
    let (mut copied, mut stolen) = (copied.iter().cycle(), stolen.iter().cycle());
    let mut attackers = Vec::with_capacity(count);
    for number in 0..count {
        let Some((caller, _)) = KINDS.get(number % KINDS.len()) else { continue };
        let stack = match caller {
            Caller::Forger => copied.next().map(|device| forgery.device(&device.mac)),
            Caller::Scanner => stolen.next().map(|device| world.authority.device(&device.mac)),
            // Every other one gets as far as its request.
            Caller::Slowloris if number / KINDS.len() % 2 == 1 => {
                stolen.next().map(|device| world.authority.device(&device.mac))
            }
            Caller::Slowloris | Caller::Stranger | Caller::Phone(_) => None,
        };
        let stack = match (stack, caller) {
            (Some(folder), _) => Some(world.trust.stack(Age::Modern, &folder)?),
            (None, Caller::Stranger) => Some(world.trust.stranger()?),
            (None, _) => None,
        };
        let gateway = world.target.address();
        attackers.push(Attacker { caller: *caller, stack, gateway, victims: Arc::clone(&victims) });
    }
    Ok(attackers)
}
