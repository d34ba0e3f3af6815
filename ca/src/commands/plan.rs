//! `plan`: time and room that a fleet takes, from a short calibration on this machine.

use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{CommandError, Context};
use crate::authority::{Authority, DeviceRequest, FoundOptions, ListDays, SubjectKey};
use crate::cli::{Percent, PlanArgs};
use crate::device::{DeviceIdentity, MacAttribute};
use crate::key::{KeyError, KeyType};
use crate::random::OperatingSystem;
use crate::store::{FileError, Kind, Query, RevocationReason};

/// How long keys are made to see how long one takes.
const KEYS: Duration = Duration::from_secs(3);

/// Certificates in one transaction, as `device issue --csv` has them, and how many transactions.
const BATCH: u32 = 256;
const BATCHES: u32 = 3;

/// What one device costs here.
struct Cost {
    /// Seconds for a key, when all cores make keys.
    key: f64,
    /// Seconds for everything else, in one thread.
    certificate: f64,
    /// Octets in the store.
    disk: f64,
    /// Octets in a list when it is revoked, and of a list without entries.
    entry: f64,
    list: f64,
}

pub(super) fn run(context: &Context<'_>, arguments: &PlanArgs) -> Result<(), CommandError> {
    let PlanArgs { devices, key, issuer_key, revoked: Percent(revoked), shards } = arguments;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let cost = calibrate(context, *key, *issuer_key, cores)?;
    let count = f64::from(*devices);
    // Keys are made on all cores; the thread that signs takes its time from one of them.
    let width = f64::from(u32::try_from(cores).unwrap_or(u32::MAX));
    let with_keys = count * (cost.key + cost.certificate / width);
    let from_requests = count * cost.certificate;
    let entries = count * revoked / 100.0;
    let lists = f64::from(*shards).mul_add(cost.list, entries * cost.entry);
    let value = json!({
        "devices": devices,
        "key": key.as_str(),
        "cores": cores,
        "keys_per_second": 1.0 / cost.key,
        "certificates_per_second": 1.0 / cost.certificate,
        "seconds_with_keys": with_keys,
        "seconds_from_requests": from_requests,
        "disk_octets": count * cost.disk,
        "revoked": entries.round(),
        "list_octets": lists,
        "octets_of_one_list": lists / f64::from(*shards),
    });
    context.printer.result(&value, || {
        format!(
            "{devices} devices with {key} keys, issuer {issuer_key}, {cores} cores\n\
             keys           {:.1} a second\n\
             certificates   {:.0} a second, without the keys\n\
             time           {}, or {} from ready requests\n\
             disk           {}\n\
             lists          {} for {:.0} revoked, in {shards} of {}\n",
            1.0 / cost.key,
            1.0 / cost.certificate,
            span(with_keys),
            span(from_requests),
            size(count * cost.disk),
            size(lists),
            entries,
            size(lists / f64::from(*shards)),
        )
    });
    Ok(())
}

fn calibrate(
    context: &Context<'_>,
    key: KeyType,
    issuer: KeyType,
    cores: usize,
) -> Result<Cost, CommandError> {
    let seconds_a_key = keys(key, cores)?;
    // On the disk that the store is on, or will be.
    let beside =
        context.cli.store.parent().filter(|parent| parent.is_dir()).unwrap_or_else(|| Path::new("."));
    let place = tempfile::Builder::new()
        .prefix(".provision-ca-plan-")
        .tempdir_in(beside)
        .map_err(|source| FileError::new("write below", beside, source))?;
    let root = place.path().join("store");
    let options = FoundOptions { key: issuer, ..FoundOptions::default() };
    let mut authority = Authority::found(&root, &options, None, Arc::clone(&context.clock))?;
    let empty = list_size(&mut authority)?;
    let before = disk(place.path());
    let mut spent = Duration::ZERO;
    for batch in 0..BATCHES {
        let mut requests = Vec::new();
        for number in 0..BATCH {
            let number = batch * BATCH + number;
            let identity = DeviceIdentity::parse(
                "CP-8841-3PCC",
                &format!("PLAN{number}"),
                &format!("02000000{number:04x}"),
            )?;
            requests.push(DeviceRequest {
                identity,
                mac_attribute: MacAttribute::Surname,
                key: SubjectKey::generate(KeyType::P256, None, &OperatingSystem)?,
                validity: None,
                replace: false,
            });
        }
        let begun = Instant::now();
        for issued in authority.issue_devices(requests)? {
            issued?;
        }
        spent += begun.elapsed();
    }
    let made = f64::from(BATCH * BATCHES);
    let grown = disk(place.path()).saturating_sub(before);
    // The keys here were small ones.
    let larger = match key {
        KeyType::P256 => 0.0,
        KeyType::Rsa2048 => 1_500.0 + 2.0 * 300.0 + 300.0,
        KeyType::Rsa3072 => 2_300.0 + 2.0 * 480.0 + 480.0,
        KeyType::Rsa4096 => 3_100.0 + 2.0 * 650.0 + 650.0,
    };
    let records =
        authority.find(&Query::All)?.into_iter().filter(|one| one.intent.kind == Kind::Device).collect();
    authority.revoke_all(records, RevocationReason::Superseded)?;
    let full = list_size(&mut authority)?;
    Ok(Cost {
        key: seconds_a_key,
        certificate: spent.as_secs_f64() / made,
        disk: number(grown) / made + larger,
        entry: number(full.saturating_sub(empty)) / made,
        list: number(empty),
    })
}

/// Seconds for a key while all cores make keys.
fn keys(key: KeyType, cores: usize) -> Result<f64, CommandError> {
    let made = AtomicU32::new(0);
    let begun = Instant::now();
    let failed = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    while begun.elapsed() < KEYS {
                        SubjectKey::generate(key, None, &OperatingSystem)?;
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), KeyError>(())
                })
            })
            .collect();
        workers.into_iter().find_map(|worker| worker.join().unwrap_or(Err(KeyError::Generation)).err())
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    Ok(begun.elapsed().as_secs_f64() / f64::from(made.load(Ordering::Relaxed).max(1)))
}

fn list_size(authority: &mut Authority) -> Result<u64, CommandError> {
    let published = authority.publish_crls(Some("client-root"), ListDays::default())?;
    let octets = published.iter().map(|list| list.der.len()).sum::<usize>();
    Ok(u64::try_from(octets).unwrap_or(u64::MAX))
}

/// Octets that a folder takes on the disk, its files' ends too.
fn disk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => {
                disk(&entry.path()) + std::os::unix::fs::MetadataExt::blocks(&found) * 512
            }
            Ok(found) => std::os::unix::fs::MetadataExt::blocks(&found) * 512,
            Err(_gone) => 0,
        })
        .sum()
}

/// As exactly as a plan needs.
fn number(octets: u64) -> f64 {
    f64::from(u32::try_from(octets).unwrap_or(u32::MAX))
}

fn span(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else if seconds < 7200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

fn size(octets: f64) -> String {
    if octets < 1e6 {
        format!("{:.0} kB", octets / 1e3)
    } else if octets < 1e9 {
        format!("{:.1} MB", octets / 1e6)
    } else {
        format!("{:.1} GB", octets / 1e9)
    }
}
