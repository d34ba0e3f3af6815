//! What a device did, connection by connection; those that went alike, one after the other, folded into one.

use std::collections::HashMap;
use std::time::Duration;

use crate::audit::entry::{Entry, EntryCertificate, EntryEvent, MacSource, Outcome};
use crate::audit::moment::Moment;

/// Addresses that are told of one visit.
const MOST_PEERS: usize = 5;

/// Messages of a phone that follow one another within this time are about one resync.
const ONE_RESYNC: Duration = Duration::from_secs(300);

/// A connection, or what the phone says of one resync; or several that went alike.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    /// How many.
    pub(super) times: u64,
    /// The first record of the first.
    pub(super) first: Moment,
    /// The last record of the last.
    pub(super) last: Moment,
    /// How it is known to be this device.
    pub(super) source: MacSource,
    /// Where from, the last first, without ports; at most a few.
    pub(super) peers: Vec<String>,
    /// The TLS version of the last.
    pub(super) version: Option<String>,
    /// The certificate of one that was refused.
    pub(super) claim: Option<EntryCertificate>,
    /// The exceptions that were needed.
    pub(super) exceptions: Vec<String>,
    /// What it asked for and how that ended, in order.
    pub(super) steps: Vec<Step>,
}

/// What ended in one way, as often as it did.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) outcome: Outcome,
    /// Method and path; `None` of the connection itself.
    pub(super) asked: Option<(String, String)>,
    /// What the phone says of itself.
    pub(super) said: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) reason: Option<String>,
    /// The words, bytes and alert of the last.
    pub(super) detail: Option<String>,
    pub(super) bytes: Option<u64>,
    pub(super) alert: Option<String>,
    pub(super) count: u64,
}

/// The visits that these records, newest first, tell of; newest first.
pub(super) fn visits(records: Vec<Entry>) -> Vec<Visit> {
    let mut visits: Vec<Visit> = Vec::new();
    // A connection is known by its identifier and, should a stranger have named the address on it before, by how.
    let mut at = HashMap::<(String, MacSource), usize>::new();
    for entry in records.into_iter().rev() {
        let Some((_, source)) = entry.mac() else { continue };
        // What was only counted is no part of the connection that it names: it stands for many others.
        let connection = entry.connection.clone().filter(|_| entry.event != EntryEvent::Repeated);
        let known = match source {
            MacSource::Syslog => visits
                .iter()
                .rposition(|visit| visit.is_said())
                .filter(|at| visits.get(*at).is_some_and(|visit| entry.time <= visit.last.after(ONE_RESYNC))),
            MacSource::Device | MacSource::Certificate | MacSource::Path => {
                connection.clone().and_then(|connection| at.get(&(connection, source)).copied())
            }
        };
        let index = known.unwrap_or(visits.len());
        if known.is_none() {
            if let Some(connection) = connection {
                at.insert((connection, source), index);
            }
            visits.push(Visit::new(&entry, source));
        }
        if let Some(visit) = visits.get_mut(index) {
            visit.add(entry);
        }
    }
    visits.retain(|visit| !visit.steps.is_empty());
    visits.sort_by_key(|visit| std::cmp::Reverse(visit.last));
    let mut folded: Vec<Visit> = Vec::new();
    for visit in visits {
        // What the phone says stands between its connections, and keeps none of them from being folded.
        let newer = folded.iter_mut().rfind(|newer| newer.is_said() == visit.is_said());
        match newer.filter(|newer| newer.went_like(&visit)) {
            Some(newer) => newer.fold(visit),
            None => folded.push(visit),
        }
    }
    folded
}

impl Visit {
    fn new(entry: &Entry, source: MacSource) -> Self {
        Self {
            times: entry.weight(),
            first: entry.first.unwrap_or(entry.time),
            last: entry.last.unwrap_or(entry.time),
            source,
            peers: Vec::new(),
            version: None,
            claim: None,
            exceptions: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn add(&mut self, entry: Entry) {
        self.first = self.first.min(entry.first.unwrap_or(entry.time));
        self.last = self.last.max(entry.last.unwrap_or(entry.time));
        let count = entry.weight();
        if let Some(peer) = entry.peer_address() {
            self.add_peer(peer.to_canonical().to_string());
        }
        let outcome = entry.outcome();
        let Entry { event, method, path, status, reason, detail, bytes, alert, said, .. } = entry;
        self.version = entry.tls.map(|tls| tls.version).or_else(|| self.version.take());
        if self.source == MacSource::Certificate {
            self.claim = entry.certificate.or_else(|| self.claim.take());
        }
        for exception in entry.exceptions {
            if !self.exceptions.contains(&exception) {
                self.exceptions.push(exception);
            }
        }
        let asked =
            (event == EntryEvent::Request).then(|| (method.unwrap_or_default(), path.unwrap_or_default()));
        // That a connection ended as connections do is no news.
        if asked.is_none() && reason.is_none() && outcome == Outcome::Served {
            return;
        }
        let said = said.map(|said| said.to_string());
        let step = Step { outcome, asked, said, status, reason, detail, bytes, alert, count };
        match self.steps.iter_mut().find(|known| known.is_like(&step)) {
            Some(known) => *known = Step { count: known.count.saturating_add(count), ..step },
            None => self.steps.push(step),
        }
    }

    fn add_peer(&mut self, peer: String) {
        if !self.peers.contains(&peer) && self.peers.len() < MOST_PEERS {
            self.peers.push(peer);
        }
    }

    /// Whether it is what the phone says of itself.
    pub(super) fn is_said(&self) -> bool {
        self.source == MacSource::Syslog
    }

    fn went_like(&self, other: &Self) -> bool {
        let certificate = |visit: &Self| visit.claim.as_ref().map(|claim| claim.sha256.clone());
        self.source == other.source
            && certificate(self) == certificate(other)
            && self.exceptions == other.exceptions
            && self.steps.len() == other.steps.len()
            && self.steps.iter().zip(&other.steps).all(|(one, other)| one.is_like(other))
    }

    /// Takes in one that went before and alike.
    fn fold(&mut self, earlier: Self) {
        self.times = self.times.saturating_add(earlier.times);
        self.first = self.first.min(earlier.first);
        for peer in earlier.peers {
            self.add_peer(peer);
        }
        for (step, earlier) in self.steps.iter_mut().zip(earlier.steps) {
            step.count = step.count.saturating_add(earlier.count);
        }
    }
}

impl Step {
    fn is_like(&self, other: &Self) -> bool {
        self.outcome == other.outcome
            && self.asked == other.asked
            && self.said == other.said
            && self.status == other.status
            && self.reason == other.reason
    }
}
