//! `/device/000e08abcdef`: one phone's story, newest first.

use maud::{Markup, html};
use policies::MacAddress;

use super::changes;
use super::entry::{self, Naming};
use super::text::{Told, ago, day, number, when};
use crate::audit::entry::MacSource;
use crate::audit::moment::Moment;
use crate::audit::query::{
    Change, DeviceStatus, Filter, PhonesSay, PresentedCertificate, RecordId, Sighting, SightingKind,
    StoredRecord,
};
use crate::audit::{AuditDatabase, DatabaseError};

/// Records on one page.
pub(super) const PAGE: u32 = 50;

/// What the database says of one MAC address.
#[derive(Debug)]
pub(super) struct Story {
    mac: MacAddress,
    status: Option<DeviceStatus>,
    certificates: Vec<PresentedCertificate>,
    sightings: Vec<Sighting>,
    records: Vec<StoredRecord>,
    /// What the phone says of itself in the time of these records.
    said: Vec<StoredRecord>,
    before: Option<RecordId>,
}

impl Story {
    pub(super) fn ask(
        database: &mut AuditDatabase,
        mac: MacAddress,
        before: Option<RecordId>,
    ) -> Result<Self, DatabaseError> {
        let filter = |said| Filter { mac: Some(mac), before, said, ..Filter::default() };
        // One more than is shown tells whether there is another page.
        let records = database.records(&filter(PhonesSay::LeftOut), PAGE + 1)?;
        // Apart, so that no number of messages that anybody may send leaves out what happened.
        let mut said = database.records(&filter(PhonesSay::Only), PAGE)?;
        let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
        if records.len() > page {
            let oldest = records.get(page - 1).map(|record| record.id);
            said.retain(|message| Some(message.id) > oldest);
        }
        Ok(Self {
            mac,
            status: database.device(mac)?,
            certificates: database.certificates(mac)?,
            sightings: database.sightings(mac)?,
            records,
            said,
            before,
        })
    }

    /// Whether nothing is known of it.
    pub(super) fn is_unknown(&self) -> bool {
        self.status.is_none() && self.records.is_empty() && self.said.is_empty() && self.before.is_none()
    }

    pub(super) fn show(&self, now: Moment) -> Markup {
        let Self { mac, status, certificates, sightings, records, said, before } = self;
        let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let mut told: Vec<&StoredRecord> = records.iter().take(page).chain(said).collect();
        told.sort_by_key(|record| std::cmp::Reverse(record.id));
        html! {
            @match status {
                Some(status) => {
                    (facts(status, now))
                    (noted(&Change::of_device_lately(status, certificates, sightings), now))
                }
                None => {
                    p.claim { "No phone has ever shown a certificate with this address. What there is are requests for its files, or what syslog messages say." }
                }
            }
            section {
                h2 { "What happened" }
                p.quiet { "Newest first. What a refused certificate, a path or a syslog message only claims is marked." }
                @if told.is_empty() { p { "No more records." } }
                (entry::list(told, Naming::Own, now))
                @if said.len() >= page { p.quiet {
                    "More of what the phone says: " code { "provision-gateway audit --mac " (mac) " --event said" }
                } }
                nav.pages aria-label="Older and newer records" {
                    @if before.is_some() { a href=(format!("/device/{mac}")) { "Newest" } " " }
                    @if records.len() > page { @if let Some(last) = records.get(page - 1) {
                        a rel="next" href=(format!("/device/{mac}?before={}", last.id.number())) { "Older" }
                    } }
                }
            }
            @if !certificates.is_empty() { (certificate_table(certificates, now)) }
            @if !sightings.is_empty() { (sighting_tables(sightings, now)) }
        }
    }
}

fn facts(status: &DeviceStatus, now: Moment) -> Markup {
    let certificate = status.certificate.as_ref();
    html! {
        @if !status.proven {
            p.claim role="note" {
                "This phone has never proven itself here. What follows is what refused certificates claim; anybody can write one."
            }
        }
        dl.facts {
            dt { "last success" } dd {
                @match status.last_success { Some(time) => (when(time, now)), None => "never" }
            }
            dt { "last refusal or failure" } dd {
                @match &status.last_refusal {
                    Some(refusal) => {
                        (when(refusal.time, now)) " "
                        @if let Some(reason) = &refusal.reason {
                            @match policies::Reason::from_code(reason) {
                                Some(reason) => (entry::reason_link(reason)),
                                None => (Told(reason)),
                            }
                        }
                        @match refusal.source {
                            MacSource::Device => {}
                            MacSource::Certificate | MacSource::Path | MacSource::Syslog => " (claimed, not proven)",
                        }
                    }
                    None => "never",
                }
            }
            @if let Some(product) = &status.product { dt { "product" } dd { (Told(product)) } }
            @if let Some(serial) = &status.serial { dt { "serial number" } dd { (Told(serial)) } }
            @if let Some(agent) = &status.user_agent { dt { "model and firmware, as it says" } dd { (Told(agent)) } }
            @if let Some(certificate) = certificate {
                dt { "certificate" } dd {
                    @match certificate.not_after {
                        Some(end) if end < now.timestamp() => { strong { "ended " (day(end)) } " (" (ago(end.into(), now)) ")" }
                        Some(end) => { "until " (day(end)) " (" (ago(end.into(), now)) ")" }
                        None => "its end is not recorded",
                    }
                    ", issued by " (Told(&certificate.issuer))
                }
            }
            @if let Some(peer) = &status.peer { dt { "came last from" } dd { (Told(peer)) } }
            @if let Some(host) = &status.host { dt { "asked" } dd { (Told(host)) } }
            dt { "first seen" } dd { (when(status.first_seen, now)) }
            dt { "last seen" } dd { (when(status.last_seen, now)) }
            dt { "records" } dd #total { (number(status.records)) }
        }
    }
}

fn noted(changes: &[Change], now: Moment) -> Markup {
    html! {
        @if !changes.is_empty() {
            section {
                h2 { "What to look at" }
                ul.flags { @for change in changes {
                    li class=(if change.deserves_a_look() { "alarm" } else { "normal" }) { (changes::told(change, now)) }
                } }
            }
        }
    }
}

fn certificate_table(certificates: &[PresentedCertificate], now: Moment) -> Markup {
    html! {
        section {
            h2 { "Certificates that were shown" }
            table.fold {
                caption.quiet { "Last shown first" }
                thead { tr {
                    th scope="col" { "serial number" } th scope="col" { "issuer" } th scope="col" { "ends" } th scope="col" { "accepted" }
                    th scope="col" { "first shown" } th scope="col" { "last shown" } th.n scope="col" { "connections" }
                } }
                tbody { @for one in certificates { tr {
                    th scope="row" { (Told(&one.serial)) }
                    td data-label="issuer" { (Told(&one.issuer)) }
                    td data-label="ends" { @if let Some(end) = one.not_after { (day(end)) } }
                    td data-label="accepted" { @if one.proven { "yes" } @else { "never: only a claim" } }
                    td data-label="first shown" { (when(one.first_seen, now)) }
                    td data-label="last shown" { (when(one.last_seen, now)) }
                    td.n data-label="connections" { (number(one.count)) }
                } } }
            }
        }
    }
}

fn sighting_tables(sightings: &[Sighting], now: Moment) -> Markup {
    let of = |kind| sightings.iter().filter(move |one| one.kind == kind);
    let table = |title: &str, kind| {
        html! {
            section {
                h2 { (title) }
                table.fold {
                    caption.quiet { "Last seen first; only where the phone had proven itself" }
                    thead { tr {
                        th scope="col" { "value" } th scope="col" { "first" } th scope="col" { "last" } th.n scope="col" { "records" }
                    } }
                    tbody { @for one in of(kind) { tr {
                        th scope="row" { (Told(&one.value)) }
                        td data-label="first" { (when(one.first_seen, now)) }
                        td data-label="last" { (when(one.last_seen, now)) }
                        td.n data-label="records" { (number(one.count)) }
                    } } }
                }
            }
        }
    };
    html! {
        @if of(SightingKind::UserAgent).next().is_some() { (table("Firmware, as it says itself", SightingKind::UserAgent)) }
        @if of(SightingKind::Network).next().is_some() { (table("Networks it came from", SightingKind::Network)) }
    }
}
