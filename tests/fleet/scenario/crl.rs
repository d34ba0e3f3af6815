//! Some phones' certificates are taken back: they are refused from then on, the others notice nothing.

use std::collections::BTreeSet;

use super::{SETTLED, one_round};
use crate::cli;
use crate::crew::{Crew, failures, in_words, told};
use crate::device::Age;
use crate::error::FleetError;
use crate::finding::Findings;
use crate::phone::Until;
use crate::schedule::Start;
use crate::world::World;

pub(super) async fn run(world: &mut World, arguments: &cli::Crl) -> Result<Findings, FleetError> {
    let (round, count) = (one_round(world), world.phones.len());
    let share = usize::from(arguments.revoke);
    // One more whenever the share has grown by a whole phone; one at least.
    let is_chosen = |phone: &usize| (phone + 1) * share / 100 > phone * share / 100;
    let mut revoked: BTreeSet<_> = (0..count).filter(is_chosen).collect();
    if revoked.is_empty() {
        revoked.insert(0);
    }
    let others = (0..count).filter(|phone| !revoked.contains(phone));

    let mut findings = Findings::default();
    let crew = Crew::start(world, Start::Running, Until::Stopped);
    crew.each_has(0..count, world.log.now(), round, "every phone to be served", |call| call.is_served())
        .await?;

    for phone in revoked.iter().filter_map(|number| world.phones.get(*number)) {
        let issuer = match phone.device.product.age {
            Age::Modern => Some(&world.authority),
            Age::Old => world.old_authority.as_ref(),
        };
        issuer.unwrap_or(&world.authority).revoke(&phone.device.mac)?;
    }
    let reloads = world.gateway()?.reloads();
    let pushed_at = world.log.now();
    findings.moment(pushed_at, "CRL published");
    world.authority.publish()?;
    if let Some(old) = &world.old_authority {
        old.publish()?;
    }
    // By itself: it watches the folder.
    world.gateway()?.reloaded_after(reloads).await?;
    let since = world.log.now();
    findings.moment(since, "in force");
    findings.figure("from publishing the list until it is in force", (since - pushed_at).as_secs_f64(), "s");
    let refused = "every phone with a revoked certificate to be refused";
    crew.each_has(revoked.iter().copied(), since, round, refused, |call| !call.is_served()).await?;
    crew.each_has(others, since, round, "every other phone to be served", |call| call.is_served()).await?;
    crew.stop().await;
    tokio::time::sleep(SETTLED).await;

    let calls = world.log.all();
    let is_revoked = |phone: Option<usize>| phone.is_some_and(|phone| revoked.contains(&phone));
    let after = calls.iter().filter(|call| call.began >= since && is_revoked(call.phone()));
    let served = after.clone().filter(|call| call.is_served()).count();
    findings.promise(
        "a phone with a revoked certificate is not served from then on",
        served == 0,
        format!(
            "{served} of {} calls were served; the rest: {}",
            after.clone().count(),
            in_words(&failures(after))
        ),
    );
    let named = revoked
        .iter()
        .filter_map(|number| world.phones.get(*number))
        .filter(|phone| world.records().of_phone(&phone.device.mac, "revoked").1 > 0)
        .count();
    findings.promise(
        "the record of each says `revoked`",
        named == revoked.len(),
        format!("{named} of {}", revoked.len()),
    );
    let disturbed = failures(calls.iter().filter(|call| !is_revoked(call.phone())));
    findings.promise("the other phones notice nothing", disturbed.is_empty(), told(&disturbed));
    Ok(findings)
}
