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
        let mut rounds = Rounds {
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
        };
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

/// Whether half of a responder's life is gone.
fn is_due(responder: &Responder, now: Timestamp) -> bool {
    let validity = responder.certificate().validity();
    let life = validity.not_after.unix().saturating_sub(validity.not_before.unix());
    now >= validity.not_before.plus_seconds(life / 2)
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
    fn round(&mut self) {
        let begun = Instant::now();
        if begun >= self.next_look {
            let mut trouble = Vec::new();
            if let Err(error) = self.look(&mut trouble) {
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
        let all: Vec<_> =
            self.authority.issuers().iter().map(|issuer| (issuer.id(), issuer.name().to_owned())).collect();
        let mut opened = Vec::new();
        for (id, name) in all {
            if !self.authority.wants_responder(id)? {
                continue;
            }
            let found = self.responder(id, &name, signers.contains(&id), now, trouble)?;
            if found.is_none() {
                trouble.push(format!(
                    "{name} has no OCSP responder: provision-ca ocsp issue --authority {name}"
                ));
            }
            opened.extend(found);
        }
        self.responders = opened;
        self.shared.responders.store(Arc::new(Responders::new(self.responders.clone())));
        Ok(())
    }

    fn responder(
        &mut self,
        id: AuthorityId,
        name: &str,
        may_make: bool,
        now: Timestamp,
        trouble: &mut Vec<String>,
    ) -> Result<Option<Responder>, IssueError> {
        // One that was opened, and lies there still, is good: opening an encrypted key takes a while.
        let known = self.responders.iter().find(|one| one.authority() == id && !is_due(one, now));
        if let Some(known) = known.filter(|known| self.authority.has_responder(name, known)) {
            return Ok(Some(known.clone()));
        }
        let found = self.authority.responder(id, now)?;
        if !may_make || found.as_ref().is_some_and(|one| !is_due(one, now)) {
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
