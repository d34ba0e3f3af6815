//! From serial number to files, for many certificates at once, on all cores.
//!
//! A batch goes through in parts. For each part the serial numbers are taken in one transaction; threads then keep the keys,
//! build, lint, sign, read back and write the files of one certificate after another; what they made is flushed to the disk
//! together, finished in the inventory in one transaction, and moved into place. While one part is flushed and finished, the
//! threads are at the next: the disk and the cores do not wait for each other. The steps of each single certificate are always
//! in the same order (CA I1), and the audit log has the certificates in the order they were asked for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use certs::{Certificate, Fingerprint, Timestamp, Validity};
use serde_json::json;

use crate::authority::facts::facts;
use crate::authority::leaf::{Issued, LeafRequest};
use crate::authority::mass::event;
use crate::authority::place::{Flush, Shelf};
use crate::authority::publication::Pointing;
use crate::authority::{Authority, Issuer};
use crate::error::IssueError;
use crate::legacy::Legacy;
use crate::lint::{Rules, prepare};
use crate::random::RandomSource;
use crate::serial::{SerialNumber, hex};
use crate::signer::Signer;
use crate::store::{
    AuditEvent, AuthorityId, CertificateRecord, Finished, Intent, RecordId, Revocation, RevocationReason,
    Side, State, Store, StoreError, Superseded, make_folder, sync_folder,
};
use crate::template::Template;

/// Certificates that are finished in one transaction: many, so that the disk is asked seldom; few, so that there is more to
/// sign while it answers.
const PART: usize = 512;

/// The fewest, unless there are no more. The last parts are smaller and smaller: while the last of all is finished, nobody signs.
const SMALL: usize = 64;

/// Parts that are with the threads at most: one that is waited for, and one to go on with.
const PARTS: usize = 2;

/// Certificates that a thread makes before it hands them in: at each one threads would wake one another for nothing.
const GROUP: usize = 8;

/// A request that is granted.
pub(super) struct Accepted {
    /// Its place among all requests.
    pub(super) index: usize,
    pub(super) leaf: Box<LeafRequest>,
    pub(super) validity: Validity,
}

/// What the certificates of one side, made equally old, have in common.
pub(super) struct Desk {
    side: Side,
    legacy: Legacy,
    authority: AuthorityId,
    signer: Arc<dyn Signer>,
    rules: Rules,
    pointing: Pointing,
}

impl Desk {
    pub(super) fn is_for(&self, leaf: &LeafRequest) -> bool {
        self.side == leaf.side && self.legacy == leaf.legacy
    }
}

/// What became of the request at this place.
pub(super) type Outcome = (usize, Result<Issued, IssueError>);

impl Authority {
    /// What signs on this side.
    pub(super) fn desk(&mut self, side: Side, legacy: Legacy) -> Result<Desk, IssueError> {
        let authority = self.issuer_for(side)?.id();
        let signer = self.signer_for(authority, legacy)?;
        let rules = if self.is_test() { Rules::Test(legacy) } else { Rules::Production };
        Ok(Desk { side, legacy, authority, signer, rules, pointing: self.pointing(authority)? })
    }

    /// Makes many certificates on at most so many threads; on as many as there are cores unless this is said.
    pub fn use_threads(&mut self, threads: NonZero<usize>) {
        self.threads = threads;
    }

    /// From serial number to files; the lock is held.
    ///
    /// # Errors
    /// What concerns the store, when nothing was finished before. Else it is the outcome of what was not.
    pub(super) fn make(
        &mut self,
        desks: &[Desk],
        accepted: Vec<Accepted>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>, IssueError> {
        if accepted.is_empty() {
            return Ok(Vec::new());
        }
        let flush = if accepted.len() == 1 { Flush::Each } else { Flush::Together };
        let threads = self.threads.get().min(accepted.len());
        let mut remaining: BTreeSet<usize> = accepted.iter().map(|one| one.index).collect();
        let mut work = Work {
            store: &mut *self.store,
            random: &*self.random,
            shelf: Shelf { layout: &self.layout, issuers: &self.issuers },
            desks,
            flush,
            now,
            homes: BTreeSet::new(),
            outcomes: Vec::with_capacity(accepted.len()),
        };
        let worked = work.begin().and_then(|()| match flush {
            Flush::Each => work.alone(accepted),
            Flush::Together => work.on_threads(accepted, threads),
        });
        let ended = worked.and_then(|()| work.end());
        let mut outcomes = work.outcomes;
        if let Err(failure) = ended {
            for (index, _) in &outcomes {
                remaining.remove(index);
            }
            let mut remaining = remaining.into_iter();
            match remaining.next() {
                Some(first) if !outcomes.is_empty() => outcomes.push((first, Err(failure))),
                Some(_) | None => return Err(failure),
            }
            outcomes.extend(remaining.map(|index| (index, Err(IssueError::NotReached))));
        }
        Ok(outcomes)
    }
}

/// A certificate on its way.
struct Job<'a> {
    desk: &'a Desk,
    accepted: Accepted,
    intent: Intent,
    id: RecordId,
}

/// A job and what came of it.
type Done<'a> = (Job<'a>, Result<Certificate, IssueError>);

/// Jobs that one thread does, with their place among all groups.
type Group<'a> = (usize, Vec<Job<'a>>);
type DoneGroup<'a> = (usize, Vec<Done<'a>>);

/// What a batch works with, and what it did so far.
struct Work<'a> {
    store: &'a mut dyn Store,
    random: &'a dyn RandomSource,
    shelf: Shelf<'a>,
    desks: &'a [Desk],
    flush: Flush,
    now: Timestamp,
    /// Folders in which others were moved.
    homes: BTreeSet<PathBuf>,
    outcomes: Vec<Outcome>,
}

impl<'a> Work<'a> {
    fn begin(&self) -> Result<(), IssueError> {
        self.shelf.prepare()
    }

    /// What was moved into place stays there, also when the power fails.
    fn end(&self) -> Result<(), IssueError> {
        if self.flush == Flush::Together {
            self.homes.iter().try_for_each(|home| sync_folder(home))?;
        }
        Ok(())
    }

    /// A single certificate, made here.
    fn alone(&mut self, accepted: Vec<Accepted>) -> Result<(), IssueError> {
        let jobs = self.reserve(accepted)?;
        let (shelf, flush) = (self.shelf, self.flush);
        let done = jobs.into_iter().map(|job| {
            let made = job.make(shelf, flush);
            (job, made)
        });
        self.settle(done.collect())
    }

    fn on_threads(&mut self, accepted: Vec<Accepted>, threads: usize) -> Result<(), IssueError> {
        let (give, take) = channel();
        let (hand_in, ready) = channel();
        let (take, stop) = (Mutex::new(take), AtomicBool::new(false));
        let (shelf, flush) = (self.shelf, self.flush);
        thread::scope(|scope| {
            for _ in 0..threads {
                let hand_in = hand_in.clone();
                let (take, stop) = (&take, &stop);
                scope.spawn(move || labour(take, &hand_in, stop, shelf, flush));
            }
            drop(hand_in);
            let directed = self.direct(accepted, threads, &give, &ready);
            stop.store(true, Ordering::Relaxed);
            drop(give);
            directed
        })
    }

    /// Gives parts to the threads and takes back what they made of them, in order.
    fn direct(
        &mut self,
        accepted: Vec<Accepted>,
        threads: usize,
        give: &Sender<Group<'a>>,
        ready: &Receiver<DoneGroup<'a>>,
    ) -> Result<(), IssueError> {
        let mut accepted = accepted.into_iter().peekable();
        // Of each part so many groups are to come back.
        let mut parts = VecDeque::new();
        let (mut given, mut next) = (0, 0);
        let mut out_of_turn = BTreeMap::new();
        loop {
            while parts.len() < PARTS && accepted.peek().is_some() {
                let before = given;
                let part = accepted.len().div_ceil(3).clamp(SMALL, PART);
                let jobs = self.reserve(accepted.by_ref().take(part).collect())?;
                let size = (jobs.len() / (4 * threads)).clamp(1, GROUP);
                let mut jobs = jobs.into_iter().peekable();
                while jobs.peek().is_some() {
                    let group = jobs.by_ref().take(size).collect();
                    give.send((given, group)).map_err(|_gone| thread_is_gone())?;
                    given += 1;
                }
                parts.push_back(given - before);
            }
            let Some(groups) = parts.pop_front() else { return Ok(()) };
            let mut part = Vec::with_capacity(PART);
            for turn in next..next + groups {
                while !out_of_turn.contains_key(&turn) {
                    let (number, done) = ready.recv().map_err(|_gone| thread_is_gone())?;
                    out_of_turn.insert(number, done);
                }
                part.extend(out_of_turn.remove(&turn).unwrap_or_default());
            }
            next += groups;
            self.settle(part)?;
        }
    }

    /// Writes the intents; a serial number that is taken is drawn again (CA A2).
    fn reserve(&mut self, accepted: Vec<Accepted>) -> Result<Vec<Job<'a>>, IssueError> {
        let mut last = StoreError::SerialTaken;
        for _ in 0..3 {
            let intents =
                accepted.iter().map(|one| self.intent(one)).collect::<Result<Vec<_>, IssueError>>()?;
            match self.store.reserve(&intents) {
                Ok(ids) => {
                    let jobs = accepted.into_iter().zip(intents).zip(ids);
                    return jobs
                        .map(|((accepted, intent), id)| {
                            Ok(Job { desk: self.desk(&accepted.leaf)?, accepted, intent, id })
                        })
                        .collect();
                }
                Err(StoreError::SerialTaken) => last = StoreError::SerialTaken,
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.into())
    }

    fn desk(&self, leaf: &LeafRequest) -> Result<&'a Desk, IssueError> {
        let desk = self.desks.iter().find(|desk| desk.is_for(leaf));
        desk.ok_or_else(|| StoreError::Damaged { what: "nobody signs on this side".to_owned() }.into())
    }

    fn intent(&self, Accepted { leaf, validity, .. }: &Accepted) -> Result<Intent, IssueError> {
        let desk = self.desk(leaf)?;
        Ok(Intent {
            authority: desk.authority,
            serial: SerialNumber::generate(self.random)?.as_bytes().to_vec(),
            kind: leaf.kind,
            name: leaf.name.clone(),
            product: leaf.product.clone(),
            device_serial: leaf.device_serial.clone(),
            public_key: *Fingerprint::of(&leaf.key.public_key).as_bytes(),
            validity: *validity,
            at: self.now,
            folder: leaf.folder.clone(),
            // A certificate of version 1 has no extension that could name the list.
            shard: if leaf.legacy.x509_v1 { None } else { desk.pointing.draw_shard(self.random)? },
        })
    }

    /// Finishes what was made in the inventory, and hands it out; takes back what could not be made.
    fn settle(&mut self, part: Vec<Done<'a>>) -> Result<(), IssueError> {
        let (mut finished, mut to_place, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for (job, made) in part {
            match made {
                Ok(certificate) => {
                    finished.push(Finished {
                        id: job.id,
                        certificate: certificate.der().to_vec(),
                        audit: audit(&job, self.shelf.issuers, &certificate, self.now),
                        supersedes: superseded(&job, self.now),
                    });
                    to_place.push((job, certificate));
                }
                Err(error) => {
                    self.shelf.unstage(job.id)?;
                    failed.push(job.id);
                    self.outcomes.push((job.accepted.index, Err(error)));
                }
            }
        }
        if !failed.is_empty() {
            self.store.abandon(&failed)?;
        }
        if self.flush == Flush::Together && !to_place.is_empty() {
            // Every key and every certificate lies safely before the inventory says that there is one: a process that is
            // killed from here on, or a power cut, leaves only the moving to be done.
            self.shelf.flush_all()?;
        }
        self.store.finish(&finished)?;
        for (job, certificate) in to_place {
            let outcome = self.hand_out(job.id, job.intent, certificate);
            self.outcomes.push((job.accepted.index, outcome));
        }
        Ok(())
    }

    fn hand_out(
        &mut self,
        id: RecordId,
        intent: Intent,
        certificate: Certificate,
    ) -> Result<Issued, IssueError> {
        let record =
            CertificateRecord { id, state: State::Issued, intent, certificate: None, revocation: None };
        let home = self.shelf.home(&record);
        if !self.homes.contains(&home) {
            make_folder(&home, 0o700)?;
            self.homes.insert(home);
        }
        let superseded = self.shelf.move_in(&record, self.flush)?;
        if superseded.is_some() {
            self.homes.insert(self.shelf.layout.superseded());
        }
        let folder = self.shelf.layout.root().join(&record.intent.folder);
        Ok(Issued { certificate, folder, is_new: true, superseded })
    }
}

/// One thread of several: makes certificates until there are none to make.
fn labour<'a>(
    take: &Mutex<Receiver<Group<'a>>>,
    hand_in: &Sender<DoneGroup<'a>>,
    stop: &AtomicBool,
    shelf: Shelf<'_>,
    flush: Flush,
) {
    loop {
        let taken = take.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, jobs)) = taken else { return };
        let mut done = Vec::with_capacity(jobs.len());
        for job in jobs {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let made = job.make(shelf, flush);
            done.push((job, made));
        }
        if hand_in.send((number, done)).is_err() {
            return;
        }
    }
}

fn thread_is_gone() -> IssueError {
    StoreError::Damaged { what: "a thread that makes certificates has ended".to_owned() }.into()
}

impl Job<'_> {
    /// Keeps the key, makes the certificate, and writes its files where the next step finds them.
    fn make(&self, shelf: Shelf<'_>, flush: Flush) -> Result<Certificate, IssueError> {
        shelf.stage_key(self.id, &self.accepted.leaf.key, flush)?;
        let certificate = self.sign(shelf.issuers)?;
        shelf.stage_certificate(self.id, self.desk.authority, &certificate, flush)?;
        Ok(certificate)
    }

    fn sign(&self, issuers: &[Issuer]) -> Result<Certificate, IssueError> {
        let Self { desk, accepted: Accepted { leaf, .. }, intent, .. } = self;
        let issuer = issuers.iter().find(|issuer| issuer.id() == desk.authority);
        let issuer = issuer.map(Issuer::certificate).ok_or_else(|| IssueError::Authority {
            name: format!("number {}", desk.authority.0),
            why: "there is none".to_owned(),
        })?;
        let extensions = if leaf.legacy.x509_v1 {
            Vec::new()
        } else {
            let issuer_key = issuer.subject_key_identifier();
            let mut extensions = leaf.profile.extensions(&leaf.key.public_key, issuer_key, &leaf.names)?;
            extensions.extend(desk.pointing.pointers(intent.shard)?.extensions()?);
            extensions
        };
        let template = Template {
            version: desk.rules.version(),
            serial: intent.serial.clone(),
            signature_algorithm: desk.signer.algorithm(),
            issuer: issuer.subject().der().to_vec(),
            validity: intent.validity,
            subject: leaf.subject.to_der(),
            public_key: leaf.key.public_key.clone(),
            extensions,
        };
        prepare(template, leaf.profile, desk.rules, Some(issuer))?.issue(&*desk.signer)
    }
}

/// What ends with this certificate.
fn superseded(job: &Job<'_>, now: Timestamp) -> Option<Superseded> {
    let succession = job.accepted.leaf.succeeds.as_ref().filter(|succession| succession.ends)?;
    let reason = RevocationReason::Superseded;
    let mut audit = event(&succession.record, "revoke", now, Some(reason));
    audit.detail["by"] = json!(hex(&job.intent.serial));
    Some(Superseded { id: succession.record.id, revocation: Revocation { at: now, reason }, audit })
}

fn audit(job: &Job<'_>, issuers: &[Issuer], certificate: &Certificate, now: Timestamp) -> AuditEvent {
    let leaf = &job.accepted.leaf;
    let mut detail = facts(issuers, &job.intent, certificate);
    detail["subject"] = json!(leaf.subject.to_string());
    detail["replace"] = json!(leaf.replace);
    if !leaf.legacy.is_none() {
        detail["legacy"] = json!(leaf.legacy.to_string());
    }
    AuditEvent { at: now, event: "issue", detail }
}
