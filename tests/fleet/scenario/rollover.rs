//! The server gets a new certificate, and phones new ones from a new authority; then the old authority is removed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use harness::authority::Kind;

use super::{SETTLED, one_round};
use crate::crew::{Crew, failures, in_words, told};
use crate::device::{Age, Device};
use crate::error::FleetError;
use crate::file;
use crate::finding::Findings;
use crate::phone::{Phone, Until};
use crate::schedule::Start;
use crate::world::{World, trust_entry};

pub(super) async fn run(world: &mut World) -> Result<Findings, FleetError> {
    let (round, count) = (one_round(world), world.phones.len());
    let modern: Vec<_> =
        world.phones.iter().filter(|phone| phone.device.product.age == Age::Modern).cloned().collect();
    // Every other one moves; the rest keep what they have until it is worth nothing.
    let movers: Vec<_> = modern.iter().step_by(2).cloned().collect();
    let stayers: BTreeSet<_> = modern.iter().skip(1).step_by(2).map(|phone| phone.device.number).collect();
    let next = world.further_authority("next", "Fleet Next")?;
    let devices = Device::list(movers.iter().map(|phone| &phone.device));
    next.issue_devices(&devices, world.device_key.as_str(), Kind::Modern)?;
    next.publish()?;

    let mut findings = Findings::default();
    let served = "every phone to be served";
    let crew = Crew::start(world, Start::Running, Until::Stopped);
    crew.each_has(0..count, world.log.now(), round, served, |call| call.is_served()).await?;

    // The configuration first: the gateway looks after its certificates by itself.
    world.config.host().trust.push(trust_entry(&next, &[])?);
    let config = world.config.clone();
    world.gateway()?.write(&config)?;
    world.authority.renew_server(None)?;
    world.gateway()?.hang_up().await?;
    findings.moment(world.log.now(), "new root and server certificate");
    shows_the_new(world, movers.first(), &mut findings).await?;
    for phone in &movers {
        phone.renew(world.trust.stack(Age::Modern, &next.device(&phone.device.mac))?);
    }
    let since = world.log.now();
    findings.moment(since, "phones renewed");
    crew.each_has(0..count, since, round, served, |call| call.is_served()).await?;
    let disturbed = failures(&world.log.all());
    findings.promise(
        "while both roots are trusted, phones with old and with new certificates are served",
        disturbed.is_empty(),
        told(&disturbed),
    );

    world.config.host().trust.remove(0);
    let config = world.config.clone();
    world.gateway()?.write(&config)?;
    world.gateway()?.hang_up().await?;
    let since = world.log.now();
    findings.moment(since, "old root removed");
    let refused = "every phone that kept its old certificate to be refused";
    crew.each_has(stayers.iter().copied(), since, round, refused, |call| !call.is_served()).await?;
    let others = (0..count).filter(|phone| !stayers.contains(phone));
    crew.each_has(others, since, round, served, |call| call.is_served()).await?;
    crew.stop().await;
    tokio::time::sleep(SETTLED).await;

    let calls = world.log.all();
    let stayed = |phone: Option<usize>| phone.is_some_and(|phone| stayers.contains(&phone));
    let after = calls.iter().filter(|call| call.began >= since && stayed(call.phone()));
    let let_in = after.clone().filter(|call| call.is_served()).count();
    findings.promise(
        "once the old root is removed, its phones are refused",
        let_in == 0,
        format!(
            "{let_in} of {} calls were served; the rest: {}",
            after.clone().count(),
            in_words(&failures(after))
        ),
    );
    let named = modern
        .iter()
        .filter(|phone| stayers.contains(&phone.device.number))
        .filter(|phone| world.records().of_phone(&phone.device.mac, "unknown_issuer").1 > 0)
        .count();
    findings.promise(
        "the record of each says `unknown_issuer`",
        named == stayers.len(),
        format!("{named} of {}", stayers.len()),
    );
    let disturbed = failures(calls.iter().filter(|call| !stayed(call.phone())));
    findings.promise("the phones that moved notice nothing", disturbed.is_empty(), told(&disturbed));
    Ok(findings)
}

/// Whether phones are shown the new server certificate by now.
async fn shows_the_new(
    world: &World,
    phone: Option<&Arc<Phone>>,
    findings: &mut Findings,
) -> Result<(), FleetError> {
    let Some(phone) = phone else { return Ok(()) };
    let wanted = file::certificate(&world.authority.server().join("chain.pem"))?;
    // Two reloads may follow one another: ours, and the gateway's own when it sees the files change.
    let mut shown = None;
    for _ in 0..20 {
        shown = phone.shown_certificate().await;
        if shown.as_ref() == Some(&wanted) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let is_new = shown.as_ref() == Some(&wanted);
    findings.promise(
        "phones are shown the new server certificate",
        is_new,
        if is_new { "they are" } else { "they are shown another" },
    );
    Ok(())
}
