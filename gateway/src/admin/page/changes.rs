//! `/changes`: phones with something new about them.

use maud::{Markup, html};
use policies::MacAddress;

use super::text::{Told, day, when};
use crate::audit::entry::Moment;
use crate::audit::query::Change;

/// Of each kind, at most.
pub(super) const MOST: u32 = 50;
/// Networks from which a phone came before it is listed.
pub(super) const NETWORKS: u32 = 4;

/// What is new in the last thirty days.
pub(super) fn show(changes: &[Change], now: Moment) -> Markup {
    let of =
        |wanted: fn(&Change) -> bool| changes.iter().filter(move |change| wanted(change)).collect::<Vec<_>>();
    let is_certificate = |change: &Change| matches!(change, Change::Certificate { .. });
    let sections: [(&str, &str, Vec<&Change>); 5] = [
        (
            "Certificates to look at",
            "Another issuer than before, or two keys in use by turns. If nobody of yours did that, find out who.",
            of(|change| matches!(change, Change::Certificate { .. }) && change.deserves_a_look()),
        ),
        (
            "Many networks",
            "A phone stands in one place; one that came from many networks may be several with a copied key, or one behind addresses that change.",
            of(|change| matches!(change, Change::Networks { .. })),
        ),
        (
            "Another phone's name",
            "The User-Agent names another phone than the certificate: somebody configured it, or a certificate was moved.",
            of(|change| matches!(change, Change::UserAgent { .. })),
        ),
        (
            "Renewed certificates",
            "The same issuer, a newer certificate, the old one left behind: this is normal.",
            changes.iter().filter(|change| is_certificate(change) && !change.deserves_a_look()).collect(),
        ),
        (
            "Seen for the first time",
            "New phones, or old ones with new addresses.",
            of(|change| matches!(change, Change::FirstSeen { .. })),
        ),
    ];
    html! {
        p { "In the last 30 days, the newest first, up to " (MOST) " of a kind; by what phones proved, never by what was only claimed." }
        @for (title, words, found) in sections {
            section {
                h2 { (title) }
                p.quiet { (words) }
                @if found.is_empty() { p { "None." } } @else { ul { @for change in found { li { (told(change, now)) } } } }
            }
        }
    }
}

fn told(change: &Change, now: Moment) -> Markup {
    html! {
        @match change {
            Change::FirstSeen { mac, at } => { (phone(*mac)) ", " (when(*at, now)) }
            Change::Certificate { mac, from, to } => {
                (phone(*mac)) ", " (when(to.first_seen, now)) ": "
                @if from.issuer == to.issuer { "serial number " (Told(&from.serial)) " became " (Told(&to.serial)) ", both of " (Told(&to.issuer)) }
                @else { "issuer " (Told(&from.issuer)) " became " (Told(&to.issuer)) }
                @if let Some(end) = to.not_after { ", until " (day(end)) }
                @match change.is_another_key() { Some(true) => "; another key", Some(false) => "; the same key", None => {} }
                @if change.is_either_in_use() { "; the old one was shown again afterwards" }
            }
            Change::UserAgent { mac, user_agent, .. } => {
                (phone(*mac)) ", " (when(user_agent.last_seen, now)) ": " (Told(&user_agent.value))
            }
            Change::Networks { mac, networks } => {
                (phone(*mac)) ": "
                @for (at, network) in networks.iter().enumerate() { @if at > 0 { ", " } (Told(&network.value)) }
            }
        }
    }
}

fn phone(mac: MacAddress) -> Markup {
    html! { a href=(format!("/device/{mac}")) { (mac.colon()) } }
}
