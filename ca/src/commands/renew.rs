//! `renew`, `rekey`, `reissue`

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::mass::{CHUNK, Chunks, Item, Items, choose, foretell, nothing};
use super::{CommandError, Context};
use crate::authority::{Authority, Renewal, RenewalRequest, SubjectKey};
use crate::cli::{ReissueArgs, RekeyArgs, RenewArgs, SuccessorOptions};
use crate::key::{KeyError, KeyType};
use crate::passphrase::Passphrase;
use crate::random::OperatingSystem;
use crate::selector::{Selector, Status, Term};
use crate::serial::hex;
use crate::store::{AuthorityId, CertificateRecord, Side};

/// Certificates whose keys are made and then used in one transaction.
const KEYS: usize = 64;

/// What is done to each.
enum Verb {
    Rekey { key: KeyType, jobs: usize, passphrase: Option<Passphrase>, days: Option<u32> },
    Reissue,
    Renew { days: Option<u32> },
}

impl Verb {
    fn word(&self) -> &'static str {
        match self {
            Self::Rekey { .. } => "rekey",
            Self::Reissue => "reissue",
            Self::Renew { .. } => "renew",
        }
    }

    fn done(&self) -> &'static str {
        match self {
            Self::Rekey { .. } => "rekeyed",
            Self::Reissue => "reissued",
            Self::Renew { .. } => "renewed",
        }
    }
}

pub(super) fn renew(context: &Context<'_>, arguments: &RenewArgs) -> Result<(), CommandError> {
    let RenewArgs { days, successor } = arguments;
    run(context, successor, |_authority| Ok(Verb::Renew { days: *days }))
}

pub(super) fn reissue(context: &Context<'_>, arguments: &ReissueArgs) -> Result<(), CommandError> {
    run(context, &arguments.successor, |_authority| Ok(Verb::Reissue))
}

pub(super) fn rekey(context: &Context<'_>, arguments: &RekeyArgs) -> Result<(), CommandError> {
    let RekeyArgs { days, key, jobs, protection, successor } = arguments;
    run(context, successor, |authority| {
        let jobs = jobs.map_or_else(|| thread::available_parallelism().map_or(1, NonZero::get), usize::from);
        let passphrase = context.leaf_passphrase(protection, Some(authority))?;
        Ok(Verb::Rekey { key: *key, jobs, passphrase, days: *days })
    })
}

fn run(
    context: &Context<'_>,
    options: &SuccessorOptions,
    verb: impl FnOnce(&Authority) -> Result<Verb, CommandError>,
) -> Result<(), CommandError> {
    let SuccessorOptions { selector: arguments, keep_old, mass } = options;
    let authority = context.open()?;
    let verb = verb(&authority)?;
    let selector = meant(choose(&authority, arguments)?, &verb);
    let work = format!("{} {}", verb.word(), arguments.join(" "));
    let begun = authority.work_in_progress(&work)?;
    let tally = authority.tally(&selector, begun)?;
    if tally.is_empty() && begun.is_none() && !mass.dry_run {
        return Err(nothing(arguments));
    }
    if mass.dry_run {
        return foretell(context, &authority, verb.word(), &selector, &[]);
    }
    let mut ids: Vec<AuthorityId> = Vec::new();
    for one in &tally {
        let side = if one.kind == crate::store::Kind::Server { Side::Server } else { Side::Client };
        let id = authority.issuer_for(side)?.id();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let mut authority = context.unlock(authority, &ids)?;

    // What this work issues itself is no part of it; interrupted, it ends where it would have ended.
    let until = match begun {
        Some(until) => {
            context.printer.note("this goes on where it was interrupted");
            Some(until)
        }
        None => authority.last_row()?,
    };
    let mut items = Items::begin(context, mass)?;
    authority.note_work(&work, until)?;
    let mut chunks = Chunks::new(&selector, until);
    loop {
        let records = chunks.next(&authority)?;
        if records.is_empty() {
            break;
        }
        for part in records.chunks(KEYS.min(usize::try_from(CHUNK).unwrap_or(KEYS))) {
            work_on(context, &mut authority, &verb, part, *keep_old, &mut items)?;
        }
    }
    authority.note_work(&work, None)?;
    if items.count() == 0 {
        context.printer.note("nothing was left to do");
    }
    items.end(context, &[])?;
    if !keep_old {
        context
            .printer
            .hint("the certificates before are revoked; others learn of it from: provision-ca crl publish");
    }
    Ok(())
}

/// The newest certificate of each, and unless the operator says otherwise none that is revoked.
fn meant(selector: Selector, verb: &Verb) -> Selector {
    let is_word = selector.word().is_some();
    let selector = selector.leaves().and(Term::Latest);
    match verb {
        // A word names one device; what stands in the way is said about that one.
        Verb::Rekey { .. } | Verb::Reissue | Verb::Renew { .. } if is_word => {
            selector.and_by_default(Term::Status(vec![Status::Valid, Status::Expired, Status::Revoked]))
        }
        Verb::Rekey { .. } | Verb::Renew { .. } => {
            selector.and_by_default(Term::Status(vec![Status::Valid, Status::Expired]))
        }
        Verb::Reissue => selector.and_by_default(Term::Status(vec![Status::Valid])),
    }
}

fn work_on(
    context: &Context<'_>,
    authority: &mut Authority,
    verb: &Verb,
    records: &[CertificateRecord],
    keep_old: bool,
    items: &mut Items,
) -> Result<(), CommandError> {
    let renewals: Vec<Renewal> = match verb {
        Verb::Reissue => records.iter().map(|_| Renewal::Reissue).collect(),
        Verb::Renew { .. } => records.iter().map(|_| Renewal::Renew).collect(),
        Verb::Rekey { key, jobs, passphrase, .. } => {
            make_keys(records.len(), *key, *jobs, passphrase.as_ref())?
                .into_iter()
                .map(Renewal::Rekey)
                .collect()
        }
    };
    let days = match verb {
        Verb::Reissue => None,
        Verb::Rekey { days, .. } | Verb::Renew { days } => *days,
    };
    let requests = records
        .iter()
        .zip(renewals)
        .map(|(record, renewal)| RenewalRequest { record: record.clone(), renewal, days, keep_old })
        .collect();
    for (record, outcome) in records.iter().zip(authority.renew_all(requests)?) {
        let item = match outcome {
            Ok(issued) => Item {
                record,
                status: verb.done(),
                successor: Some(hex(issued.certificate.serial().as_bytes())),
                until: Some(issued.certificate.validity().not_after.to_string()),
                error: None,
            },
            Err(error) => Item {
                record,
                status: "failed",
                successor: None,
                until: None,
                error: Some(error.to_string()),
            },
        };
        items.add(context, &item)?;
    }
    Ok(())
}

/// Makes keys on `jobs` threads.
fn make_keys(
    count: usize,
    kind: KeyType,
    jobs: usize,
    passphrase: Option<&Passphrase>,
) -> Result<Vec<SubjectKey>, KeyError> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.min(count))
            .map(|_| {
                scope.spawn(|| {
                    let mut keys = Vec::new();
                    while next.fetch_add(1, Ordering::Relaxed) < count {
                        keys.push(SubjectKey::generate(kind, passphrase, &OperatingSystem)?);
                    }
                    Ok(keys)
                })
            })
            .collect();
        let mut keys = Vec::with_capacity(count);
        for worker in workers {
            keys.extend(worker.join().unwrap_or(Err(KeyError::Generation))?);
        }
        Ok(keys)
    })
}
