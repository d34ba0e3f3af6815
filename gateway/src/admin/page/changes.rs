//! What is new about phones: on the page of one, and of all on `/changes`.

use maud::{Markup, html};
use policies::MacAddress;

use super::text::{Told, day, when};
use crate::audit::moment::Moment;
use crate::audit::query::{Change, PresentedCertificate};

/// Of each kind, at most.
pub(super) const MOST: u32 = 50;
/// Networks from which a phone came, in a whole month, before it is listed.
pub(super) const NETWORKS: u32 = 6;

/// What is new in the last thirty days.
pub(super) fn show(changes: &[Change], now: Moment) -> Markup {
    let (odd, normal): (Vec<&Change>, Vec<&Change>) =
        changes.iter().partition(|change| change.deserves_a_look());
    let (new, renewed): (Vec<&Change>, Vec<&Change>) =
        normal.into_iter().partition(|change| matches!(change, Change::FirstSeen { .. }));
    let sections = [
        ("What to look at", "If nobody of yours did that, find out who.", "alarm", odd),
        ("Renewed certificates", "This is normal.", "normal", renewed),
        ("Seen for the first time", "New phones, or old ones with new addresses.", "normal", new),
    ];
    html! {
        p { "In the last 30 days, up to " (MOST) " of a kind; by what phones proved, never by what was only claimed." }
        @for (title, words, class, found) in sections {
            section {
                h2 { (title) }
                p.quiet { (words) }
                @if found.is_empty() { p { "None." } } @else {
                    ul.flags { @for change in found { li class=(class) { (phone(change.mac())) " " (told(change, now)) } } }
                }
            }
        }
    }
}

/// One change, in sentences.
pub(super) fn told(change: &Change, now: Moment) -> Markup {
    html! {
        @match change {
            Change::FirstSeen { mac: _, at } => { "turned up for the first time " (when(*at, now)) "." }
            Change::Certificate { mac: _, from, to } => (certificate(change, from, to, now)),
            Change::Networks { mac: _, networks } => {
                strong { "Many networks. " } "It came from " (networks.len()) ": "
                @for (at, network) in networks.iter().enumerate() { @if at > 0 { ", " } (Told(&network.value)) }
                ". A phone stands in one place; a copied key does not."
            }
            Change::UserAgent { mac: _, agreement, user_agent } => {
                strong { "Another phone's name. " }
                "Its User-Agent " (Told(&user_agent.value)) " contradicts its certificate"
                @if let Some(words) = agreement.contradiction() { ": " (words) }
                " (last " (when(user_agent.last_seen, now))
                "). A certificate was moved to another phone, or somebody configured the User-Agent, which newer firmware allows."
            }
        }
    }
}

fn certificate(
    change: &Change,
    from: &PresentedCertificate,
    to: &PresentedCertificate,
    now: Moment,
) -> Markup {
    let named = |one: &PresentedCertificate| {
        html! {
            (Told(&one.issuer)) " (serial number " (Told(&one.serial))
            @if let Some(end) = one.not_after { ", until " (day(end)) }
            ")"
        }
    };
    html! {
        @if change.is_renewal() { strong { "Renewed, which is normal. " } }
        @else if change.is_another_issuer() { strong { "Another issuer. " } }
        @else if change.is_another_key() == Some(true) { strong { "Another key. " } }
        @else { strong { "Another certificate. " } }
        "Since " (when(to.first_seen, now)) " its certificate is of " (named(to)) "; before, of " (named(from)) ". "
        @match change.is_another_key() {
            Some(true) => "It has another key. ",
            Some(false) => "It has the same key. ",
            None => {}
        }
        @if !change.is_renewal() {
            @if change.is_either_in_use() {
                "The one before was shown again " (when(from.last_seen, now)) ": two phones may have this identity, or a key was copied."
            } @else {
                "That is so when a phone was given a certificate of your own. If nobody did, find out who."
            }
        }
    }
}

fn phone(mac: MacAddress) -> Markup {
    html! { a href=(format!("/device/{mac}")) { (mac.colon()) } }
}
