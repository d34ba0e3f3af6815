//! The thread that keeps the lists fresh and the pages as the files are (CA G4).

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use certs::Timestamp;
use tracing::{error, info};

use super::Shared;
use super::health::Health;
use super::pages::Shelf;
use crate::authority::{Authority, DueList, ListDays, RESPONDER_DAYS};
use crate::error::IssueError;
use crate::ocsp::{Responder, Responders};
use crate::printer::with_causes;
use crate::store::{AuthorityId, RevocationMark, ShardNumber};

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// How often the store is asked what became of certificates.
const STORE_EVERY: Duration = Duration::from_secs(5);

/// How long to wait before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// The thread, and the way to end it.
pub(super) struct Keeper {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Makes one round, then starts the thread that makes the others.
    pub(super) fn start(
        authority: Authority,
        shared: Arc<Shared>,
        publish: Option<ListDays>,
    ) -> io::Result<Self> {
        let mut rounds = Rounds::new(authority, shared, publish);
        rounds.round();
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
                rounds.round();
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread; what it is writing is written first.
    pub(super) fn stop(self) {
        drop(self.stop);
        let _panicked = self.thread.join();
    }
}

/// A list by whose it is and which shard.
type Key = (AuthorityId, Option<ShardNumber>);

/// Whether so many quarters of a responder's life are gone, and another would last longer: none lasts longer than its authority,
/// which ends at `end`.
fn is_past(responder: &Responder, quarters: i64, end: Timestamp, now: Timestamp) -> bool {
    let validity = responder.certificate().validity();
    let life = validity.not_after.unix().saturating_sub(validity.not_before.unix());
    validity.not_after < end && now >= validity.not_before.plus_seconds(life.saturating_mul(quarters) / 4)
}

/// An authority whose certificates send their readers to a responder.
struct Answering {
    id: AuthorityId,
    name: String,
    /// Its end.
    end: Timestamp,
}

struct Rounds {
    authority: Authority,
    shared: Arc<Shared>,
    publish: Option<ListDays>,
    shelf: Shelf,
    /// What was revoked when a list was last made here.
    seen: HashMap<Key, RevocationMark>,
    /// The end of the audit log at the last look at what is revoked: without a new entry nothing has changed.
    sequence: Option<i64>,
    lists: Vec<DueList>,
    responders: Vec<Responder>,
    trouble: Vec<String>,
    next_look: Instant,
}

impl Rounds {
    fn new(authority: Authority, shared: Arc<Shared>, publish: Option<ListDays>) -> Self {
        Self {
            authority,
            shared,
            publish,
            shelf: Shelf::default(),
            seen: HashMap::new(),
            sequence: None,
            lists: Vec::new(),
            responders: Vec::new(),
            trouble: Vec::new(),
            next_look: Instant::now(),
        }
    }

    fn round(&mut self) {
        let begun = Instant::now();
        if begun >= self.next_look {
            let mut trouble = Vec::new();
            let mut looked = self.look(&mut trouble);
            // A database server that was restarted is asked once more, over a new connection.
            if looked.is_err() && self.authority.reconnect().is_ok_and(|was_lost| was_lost) {
                trouble.clear();
                looked = self.look(&mut trouble);
            }
            if let Err(error) = looked {
                trouble.push(with_causes(&error));
            }
            for text in trouble.iter().filter(|text| !self.trouble.contains(text)) {
                error!(trouble = %text, "the lists cannot be kept fresh");
            }
            self.next_look = begun + if trouble.is_empty() { STORE_EVERY } else { AGAIN };
            self.trouble = trouble;
            let health = Health { lists: self.lists.clone(), trouble: self.trouble.clone() };
            self.shared.health.store(Arc::new(health));
        }
        if let Some(pages) = self.shelf.renew(&self.authority) {
            self.shared.pages.store(Arc::new(pages));
        }
    }

    /// Looks at the store: authorities, lists, what was revoked; and makes the lists that are wanted.
    fn look(&mut self, trouble: &mut Vec<String>) -> Result<(), IssueError> {
        self.authority.refresh()?;
        let now = self.authority.now();
        self.lists = self.all(now)?;
        self.renew_responders(now, trouble)?;
        let Some(days) = self.publish else { return Ok(()) };
        let sequence = self.authority.audit_sequence()?;
        let signers = self.authority.list_signers(None)?;
        let mut made = false;
        for id in signers {
            let marks = if self.sequence == Some(sequence) {
                None
            } else {
                Some(self.authority.revocation_marks(id)?)
            };
            let wanted: Vec<Key> = self
                .lists
                .iter()
                .filter(|list| list.authority == id)
                .filter(|list| {
                    let key = (id, list.shard);
                    let changed = marks
                        .as_ref()
                        .is_some_and(|marks| self.seen.get(&key) != Some(&marks.of(list.shard)));
                    changed || list.state(now) != "current"
                })
                .map(|list| (id, list.shard))
                .collect();
            if wanted.is_empty() {
                continue;
            }
            // Taken before the lists are made: what is revoked in between makes them once more, never once less.
            let marks = self.authority.revocation_marks(id)?;
            match self.authority.publish_some(id, days, |list| wanted.contains(&(id, list.shard))) {
                Ok(published) => {
                    made = true;
                    for list in &published {
                        let (name, entries, number) = (&list.authority, list.entries, list.number);
                        let shard = list.shard.map_or(0, |shard| shard.0);
                        info!(authority = %name, shard, number, entries, until = %list.next_update, "published");
                    }
                    self.seen.extend(wanted.iter().map(|key| (*key, marks.of(key.1))));
                }
                Err(error) => trouble.push(with_causes(&error)),
            }
        }
        if made {
            self.lists = self.all(now)?;
        }
        if trouble.is_empty() {
            self.sequence = Some(sequence);
        }
        Ok(())
    }

    /// Opens the responders that are there, and makes those that are missing or half of whose life is gone.
    fn renew_responders(&mut self, now: Timestamp, trouble: &mut Vec<String>) -> Result<(), IssueError> {
        let signers = if self.publish.is_some() { self.authority.list_signers(None)? } else { Vec::new() };
        let all: Vec<_> = self
            .authority
            .issuers()
            .iter()
            .map(|issuer| {
                let end = issuer.certificate().validity().not_after;
                Answering { id: issuer.id(), name: issuer.name().to_owned(), end }
            })
            .collect();
        let mut opened = Vec::new();
        for one in all {
            if !self.authority.wants_responder(one.id)? {
                continue;
            }
            let found = self.responder(&one, signers.contains(&one.id), now, trouble)?;
            let remedy = format!("provision-ca ocsp issue --authority {}", one.name);
            match &found {
                None => trouble.push(format!("{} has no OCSP responder: {remedy}", one.name)),
                // In time for the operator, where nobody else renews it.
                Some(found) if is_past(found, 3, one.end, now) => {
                    let until = found.certificate().validity().not_after;
                    trouble.push(format!("the OCSP responder of {} ends {until}: {remedy}", one.name));
                }
                Some(_) => {}
            }
            opened.extend(found);
        }
        self.responders = opened;
        self.shared.responders.store(Arc::new(Responders::new(self.responders.clone())));
        Ok(())
    }

    fn responder(
        &mut self,
        of: &Answering,
        may_make: bool,
        now: Timestamp,
        trouble: &mut Vec<String>,
    ) -> Result<Option<Responder>, IssueError> {
        let Answering { id, ref name, end } = *of;
        let is_due = |one: &Responder| is_past(one, 2, end, now);
        // One that was opened, and lies there still, is good: opening an encrypted key takes a while.
        let known = self
            .responders
            .iter()
            .find(|one| one.authority() == id && !is_due(one) && one.certificate().validity().contains(now));
        if let Some(known) = known.filter(|known| self.authority.has_responder(name, known)) {
            return Ok(Some(known.clone()));
        }
        let found = self.authority.responder(id, now)?;
        if !may_make || found.as_ref().is_some_and(|one| !is_due(one)) {
            return Ok(found);
        }
        match self.authority.issue_responder(name, RESPONDER_DAYS) {
            Ok(issued) => {
                let until = issued.certificate.validity().not_after;
                info!(authority = %name, %until, "made an OCSP responder");
                self.authority.responder(id, now)
            }
            Err(error) => {
                trouble.push(with_causes(&error));
                Ok(found)
            }
        }
    }

    fn all(&self, now: Timestamp) -> Result<Vec<DueList>, IssueError> {
        let mut lists = Vec::new();
        for issuer in self.authority.issuers() {
            lists.extend(self.authority.due_lists(issuer.id(), now)?);
        }
        Ok(lists)
    }
}

#[cfg(test)]
mod tests;
