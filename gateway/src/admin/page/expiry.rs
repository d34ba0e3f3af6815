//! When certificates end: month by month on the first page, phone by phone on `/expiring`.

use std::collections::BTreeMap;

use certs::Timestamp;
use maud::{Markup, html};

use super::chart::{Columns, Part, total};
use super::text::{Told, ago, day, number};
use crate::audit::moment::Moment;
use crate::audit::query::{DeviceStatus, ExpiryCount};

/// Months that a chart shows, this one and those that follow.
const MONTHS: i64 = 24;
/// Issuers that have a colour of their own.
const COLOURS: [&str; 4] = ["first", "second", "third", "fourth"];
/// Phones on one page.
pub(super) const MOST: u32 = 200;
const DAY: i64 = 86_400;

/// Choices of how far `/expiring` looks ahead: the word, days, and a name.
pub(super) const AHEAD: [(&str, i64, &str); 4] =
    [("30d", 30, "30 days"), ("90d", 90, "90 days"), ("180d", 180, "180 days"), ("365d", 365, "a year")];

/// The time before which certificates end, of a word.
pub(super) fn before(word: &str, now: Moment) -> Option<Timestamp> {
    let (_, days, _) = AHEAD.into_iter().find(|(known, ..)| *known == word)?;
    Some(now.timestamp().plus_seconds(days * DAY))
}

/// How many phones' certificates end in which month, by issuer.
pub(super) fn chart(counts: &[ExpiryCount], now: Moment) -> Markup {
    let (year, month, ..) = now.timestamp().civil();
    let number_of = |(year, month): (i64, i64)| year.saturating_mul(12).saturating_add(month - 1);
    let first = number_of((year, month));
    let mut by_issuer = BTreeMap::<&str, u64>::new();
    for count in counts {
        let sum = by_issuer.entry(&count.issuer).or_default();
        *sum = sum.saturating_add(count.devices);
    }
    let mut issuers: Vec<(&str, u64)> = by_issuer.into_iter().collect();
    issuers.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let named = issuers.iter().take(COLOURS.len()).map(|(name, _)| *name).collect::<Vec<_>>();
    let mut parts: Vec<Part> = named
        .iter()
        .zip(COLOURS)
        .map(|(name, class)| Part { name: (*name).to_owned(), class, counts: Vec::new() })
        .collect();
    if issuers.len() > COLOURS.len() {
        parts.push(Part { name: "other issuers".to_owned(), class: "lost", counts: Vec::new() });
    }
    // Ended before this month; then month by month; then whatever ends later.
    let columns = usize::try_from(MONTHS + 2).unwrap_or(0);
    for part in &mut parts {
        part.counts = vec![0; columns];
    }
    for count in counts {
        let column = usize::try_from((number_of(count.month) - first).clamp(-1, MONTHS) + 1).unwrap_or(0);
        let issuer = named.iter().position(|name| *name == count.issuer).unwrap_or(COLOURS.len());
        if let Some(sum) = parts.get_mut(issuer).and_then(|part| part.counts.get_mut(column)) {
            *sum = sum.saturating_add(count.devices);
        }
    }
    let label =
        |month: i64| format!("{:02}/{:02}", month.rem_euclid(12) + 1, month.div_euclid(12).rem_euclid(100));
    let labels = std::iter::once("ended".to_owned())
        .chain((0..MONTHS).map(|ahead| label(first + ahead)))
        .chain(std::iter::once("later".to_owned()))
        .collect();
    let phones = total(counts.iter().map(|count| count.devices));
    html! {
        @if counts.is_empty() { p { "No phone has proven itself with a certificate yet." } } @else {
            (Columns { id: "expiry", title: "Phones by the end of their certificate and its issuer".to_owned(), labels, parts }.draw())
            p { (number(phones)) " phones. " a href="/expiring?within=90d" { "Which end next" } "." }
        }
    }
}

/// The phones whose certificates end first.
pub(super) fn list(devices: &[DeviceStatus], within: &str, now: Moment) -> Markup {
    html! {
        nav.periods aria-label="How far ahead" {
            ul { @for (word, _, name) in AHEAD {
                li { a href=(format!("/expiring?within={word}")) aria-current=[(word == within).then_some("true")] { (name) } }
            } }
        }
        @if devices.is_empty() { p { "None of the phones that were seen." } } @else {
            p { "What counts is the certificate that a phone presented last." }
            table.fold #expiring {
                caption.quiet { "Phones by the end of their certificate, first to end first" }
                thead { tr {
                    th scope="col" { "phone" } th scope="col" { "ends" } th scope="col" { "product" } th scope="col" { "issuer" }
                    th scope="col" { "last seen" }
                } }
                tbody { @for device in devices {
                    @let certificate = device.certificate.as_ref();
                    tr {
                        th scope="row" {
                            a href=(format!("/device/{}", device.mac)) { (device.mac.colon()) }
                            @if !device.proven { " (claimed)" }
                        }
                        td data-label="ends" { @if let Some(end) = certificate.and_then(|certificate| certificate.not_after) {
                            (day(end)) " (" (ago(end.into(), now)) ")"
                        } }
                        td data-label="product" { @if let Some(product) = &device.product { (Told(product)) } }
                        td data-label="issuer" { @if let Some(certificate) = certificate { (Told(&certificate.issuer)) } }
                        td data-label="last seen" { (super::text::when(device.last_seen, now)) }
                    }
                } }
            }
            @if devices.len() >= usize::try_from(MOST).unwrap_or(usize::MAX) { p.note { "These are the first " (MOST) "." } }
        }
    }
}
