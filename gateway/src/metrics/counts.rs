//! What is counted, and by which labels.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use policies::Reason;

use super::Histogram;

/// How a handshake ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handshake {
    /// `modern` or `legacy`; `None` before one was chosen.
    pub engine: Option<&'static str>,
    /// The version that was agreed, by name.
    pub version: Option<Cow<'static, str>>,
    /// The cipher suite that was agreed, by IANA name.
    pub suite: Option<Cow<'static, str>>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// Why it was refused; `None` for one that was good.
    pub reason: Option<Reason>,
}

/// A client that was let in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    /// The first name of its host.
    pub host: Arc<str>,
    /// The trust entry that vouched for it; `None` for one without a certificate.
    pub trust: Option<Arc<str>>,
    /// `device`, `generic`, `operator` or `anonymous`.
    pub kind: &'static str,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The first name of the host.
    pub host: Arc<str>,
    /// The rule that decided.
    pub rule: Option<Arc<str>>,
    /// What was answered; `None` when the client went before.
    pub status: Option<u16>,
    /// Why it was refused or failed.
    pub reason: Option<Reason>,
}

/// Counts of one thread, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    handshakes: BTreeMap<Handshake, u64>,
    handshake_times: BTreeMap<(Option<&'static str>, bool), Histogram>,
    clients: BTreeMap<Client, u64>,
    requests: BTreeMap<Request, u64>,
    request_times: BTreeMap<Arc<str>, Histogram>,
    octets: BTreeMap<Arc<str>, u64>,
}

impl Counts {
    pub(super) fn handshake(&mut self, handshake: Handshake, took: Duration) {
        if handshake.reason.is_none() {
            self.handshake_times.entry((handshake.engine, handshake.resumed)).or_default().observe(took);
        }
        *self.handshakes.entry(handshake).or_default() += 1;
    }

    pub(super) fn client(&mut self, client: Client) {
        *self.clients.entry(client).or_default() += 1;
    }

    pub(super) fn request(&mut self, request: Request, octets: u64, took: Duration) {
        match self.request_times.get_mut(&request.host) {
            Some(times) => times.observe(took),
            None => self.request_times.entry(Arc::clone(&request.host)).or_default().observe(took),
        }
        *self.octets.entry(Arc::clone(&request.host)).or_default() += octets;
        *self.requests.entry(request).or_default() += 1;
    }

    pub(super) fn refused_head(&mut self, request: Request) {
        *self.requests.entry(request).or_default() += 1;
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        let Self { handshakes, handshake_times, clients, requests, request_times, octets } = other;
        sum(&mut self.handshakes, handshakes);
        sum(&mut self.clients, clients);
        sum(&mut self.requests, requests);
        sum(&mut self.octets, octets);
        merge(&mut self.handshake_times, handshake_times);
        merge(&mut self.request_times, request_times);
    }

    /// Handshakes by how they ended.
    pub fn handshakes(&self) -> impl Iterator<Item = (&Handshake, u64)> {
        self.handshakes.iter().map(|(handshake, count)| (handshake, *count))
    }

    /// How long good handshakes took, by engine and whether a session was resumed.
    pub fn handshake_times(&self) -> impl Iterator<Item = (Option<&'static str>, bool, &Histogram)> {
        self.handshake_times.iter().map(|((engine, resumed), times)| (*engine, *resumed, times))
    }

    /// Clients that were let in.
    pub fn clients(&self) -> impl Iterator<Item = (&Client, u64)> {
        self.clients.iter().map(|(client, count)| (client, *count))
    }

    /// Requests by how they ended.
    pub fn requests(&self) -> impl Iterator<Item = (&Request, u64)> {
        self.requests.iter().map(|(request, count)| (request, *count))
    }

    /// How long requests took, by host.
    pub fn request_times(&self) -> impl Iterator<Item = (&str, &Histogram)> {
        self.request_times.iter().map(|(host, times)| (&**host, times))
    }

    /// Octets of answers' bodies, by host.
    pub fn octets(&self) -> impl Iterator<Item = (&str, u64)> {
        self.octets.iter().map(|(host, octets)| (&**host, *octets))
    }
}

fn sum<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(key.clone()).or_default() += count;
    }
}

fn merge<K: Ord + Clone>(into: &mut BTreeMap<K, Histogram>, from: &BTreeMap<K, Histogram>) {
    for (key, times) in from {
        into.entry(key.clone()).or_default().add(times);
    }
}
