//! What a batch of records tells of one device.

use std::collections::BTreeMap;
use std::net::IpAddr;

use policies::MacAddress;

use super::backend::Value;
use crate::audit::entry::{Entry, EntryEvent, MacSource, Outcome, Subject};
use crate::audit::moment::Moment;

/// What the batch tells of one MAC address.
#[derive(Debug, Default)]
pub(super) struct Seen<'a> {
    pub(super) proven: bool,
    first: Option<Moment>,
    last: Option<Moment>,
    success: Option<Moment>,
    refusal: Option<(Moment, &'a Entry, bool)>,
    /// The last record that the device proved itself in, or else the last one.
    latest: Option<&'a Entry>,
    certified: Option<&'a Entry>,
    user_agent: Option<&'a str>,
    product: Option<&'a str>,
    serial: Option<&'a str>,
    host: Option<&'a str>,
    records: u64,
    pub(super) certificates: BTreeMap<&'a str, SeenCertificate<'a>>,
    pub(super) sightings: BTreeMap<(&'static str, String), (Moment, Moment, u64)>,
}

#[derive(Debug)]
pub(super) struct SeenCertificate<'a> {
    entry: &'a Entry,
    pub(super) proven: bool,
    first: Moment,
    last: Moment,
    count: u64,
}

impl<'a> Seen<'a> {
    pub(super) fn add(&mut self, entry: &'a Entry, proven: bool) {
        self.records += entry.weight();
        self.first = Some(self.first.map_or(entry.time, |first| first.min(entry.time)));
        self.last = Some(self.last.map_or(entry.time, |last| last.max(entry.time)));
        match entry.outcome() {
            // The profile store may have answered that there is no such file: the phone got nothing.
            Outcome::Served
                if entry.event == EntryEvent::Request && entry.status.is_none_or(|status| status < 400) =>
            {
                self.success = self.success.max(Some(entry.time));
            }
            Outcome::Refused | Outcome::Failed
                if self.refusal.as_ref().is_none_or(|(last, ..)| *last <= entry.time) =>
            {
                self.refusal = Some((entry.time, entry, proven));
            }
            Outcome::Refused | Outcome::Failed => {}
            Outcome::Served | Outcome::Lost | Outcome::Said => {}
        }
        if let Some(certificate) = &entry.certificate {
            let seen = self.certificates.entry(&certificate.sha256).or_insert(SeenCertificate {
                entry,
                proven,
                first: entry.time,
                last: entry.time,
                count: 0,
            });
            seen.proven |= proven;
            seen.first = seen.first.min(entry.time);
            seen.last = seen.last.max(entry.time);
            // A connection is one presentation, however many requests follow.
            seen.count += u64::from(entry.subject() == Subject::Connection);
        }
        if proven || !self.proven {
            if proven && !self.proven {
                (self.latest, self.certified, self.user_agent, self.host) = (None, None, None, None);
            }
            // Threads do not hand over their records quite in the order of time.
            let is_later = self.latest.is_none_or(|latest| latest.time <= entry.time);
            take(&mut self.certified, entry.certificate.as_ref().map(|_| entry), is_later);
            take(&mut self.user_agent, entry.user_agent.as_deref(), is_later);
            take(&mut self.host, entry.host.as_deref(), is_later);
            take(&mut self.latest, Some(entry), is_later);
        }
        self.proven |= proven;
        if proven {
            let device = entry.device.as_ref();
            self.product = device.and_then(|device| device.product.as_deref()).or(self.product);
            self.serial = device.and_then(|device| device.serial.as_deref()).or(self.serial);
            let agent = entry.user_agent.clone().map(|agent| ("user_agent", agent));
            let network = entry.peer_address().map(|peer| ("network", network_of(peer)));
            for key in [agent, network].into_iter().flatten() {
                let seen = self.sightings.entry(key).or_insert((entry.time, entry.time, 0));
                (seen.0, seen.1) = (seen.0.min(entry.time), seen.1.max(entry.time));
                seen.2 += 1;
            }
        }
    }

    pub(super) fn device(&self, mac: MacAddress) -> Vec<Value> {
        let certificate = self.certified.and_then(|entry| entry.certificate.as_ref());
        let peer = self.latest.and_then(Entry::peer_address).map(|peer| peer.to_string());
        let refusal = self.refusal.as_ref();
        let source = |proven: bool| if proven { MacSource::Device } else { MacSource::Certificate };
        let time = |time: Option<Moment>| time.map(Moment::micros);
        vec![
            (&mac.to_string()).into(),
            self.proven.into(),
            self.product.into(),
            self.serial.into(),
            time(self.first).into(),
            time(self.last).into(),
            time(self.success).into(),
            refusal.map(|(time, _, _)| time.micros()).into(),
            refusal.and_then(|(_, entry, _)| entry.reason.as_ref()).into(),
            refusal.map(|(_, _, proven)| source(*proven).as_str()).into(),
            certificate.map(|certificate| &certificate.subject).into(),
            certificate.map(|certificate| &certificate.issuer).into(),
            certificate.map(|certificate| &certificate.serial).into(),
            certificate.map(|certificate| &certificate.sha256).into(),
            certificate.and_then(|certificate| certificate.key_sha256.as_ref()).into(),
            certificate.and_then(|certificate| certificate.expires()).map(|end| end.unix()).into(),
            self.user_agent.into(),
            peer.as_ref().into(),
            self.host.into(),
            self.records.into(),
            time(self.latest.map(|entry| entry.time)).into(),
        ]
    }

    pub(super) fn certificate_rows(&self, mac: MacAddress) -> impl Iterator<Item = Vec<Value>> {
        self.certificates.iter().filter_map(move |(sha256, seen)| {
            let certificate = seen.entry.certificate.as_ref()?;
            Some(vec![
                (&mac.to_string()).into(),
                (*sha256).into(),
                certificate.key_sha256.as_ref().into(),
                (&certificate.issuer).into(),
                (&certificate.serial).into(),
                certificate.expires().map(|end| end.unix()).into(),
                seen.proven.into(),
                seen.first.micros().into(),
                seen.last.micros().into(),
                seen.count.into(),
            ])
        })
    }

    pub(super) fn sighting_rows(&self, mac: MacAddress) -> impl Iterator<Item = Vec<Value>> {
        self.sightings.iter().map(move |((kind, value), (first, last, count))| {
            let mac = mac.to_string();
            vec![
                (&mac).into(),
                (*kind).into(),
                value.into(),
                first.micros().into(),
                last.micros().into(),
                (*count).into(),
            ]
        })
    }
}

/// Takes a fact where it is there and later, or the first.
fn take<T>(known: &mut Option<T>, found: Option<T>, is_later: bool) {
    if found.is_some() && (is_later || known.is_none()) {
        *known = found;
    }
}

/// The network an address lies in, as sites are numbered: /24, or /48 of IPv6.
fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}
