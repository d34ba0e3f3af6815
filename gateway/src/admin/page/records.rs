//! `/records`: what happened, chosen by reason, outcome, time, host or network.

use maud::{Markup, html};
use policies::Reason;

use super::entry::{self, Naming};
use super::period::Period;
use super::text::Plain;
use super::{Asked, Refused};
use crate::audit::entry::Outcome;
use crate::audit::moment::Moment;
use crate::audit::query::{Filter, RecordId, StoredRecord};

/// Records on one page.
pub(super) const PAGE: u32 = 50;

/// What was chosen, as it stands in the address.
#[derive(Debug, Clone, Default)]
pub(super) struct Choice {
    reason: Option<Reason>,
    outcome: Option<Outcome>,
    since: Option<Period>,
    host: String,
    peer: String,
    connection: String,
    before: Option<RecordId>,
}

impl Choice {
    /// # Errors
    /// A value that is none.
    pub(super) fn read(asked: &Asked<'_>) -> Result<Self, Refused> {
        let word = |name: &'static str| asked.field(name).filter(|value| !value.is_empty());
        let choice = Self {
            reason: word("reason")
                .map(|code| Reason::from_code(code).ok_or(Refused::Value("reason")))
                .transpose()?,
            outcome: word("outcome")
                .map(|word| Outcome::from_word(word).ok_or(Refused::Value("outcome")))
                .transpose()?,
            since: word("since")
                .map(|word| Period::from_word(word).ok_or(Refused::Value("since")))
                .transpose()?,
            host: word("host").unwrap_or_default().to_owned(),
            peer: word("peer").unwrap_or_default().trim().to_owned(),
            connection: word("connection").unwrap_or_default().to_owned(),
            before: asked.before()?,
        };
        if !choice.peer.is_empty() && choice.peer.parse::<crate::audit::query::Cidr>().is_err() {
            return Err(Refused::Value("network"));
        }
        Ok(choice)
    }

    /// The same for the database.
    pub(super) fn filter(&self, now: Moment) -> Filter {
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        Filter {
            reason: self.reason,
            outcome: self.outcome,
            since: self.since.map(|since| since.start(now)),
            host: text(&self.host),
            peer: self.peer.parse().ok(),
            connection: text(&self.connection),
            before: self.before,
            ..Filter::default()
        }
    }

    pub(super) fn show(&self, records: &[StoredRecord], now: Moment) -> Markup {
        let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let shown = records.get(..page).unwrap_or(records);
        html! {
            (self.form())
            @if let Some(reason) = self.reason { p { (entry::reason_link(reason)) ": " (reason.meaning()) } }
            @if shown.is_empty() { p { "There are none." } }
            (entry::list(shown, Naming::Linked, now))
            nav.pages aria-label="Older and newer records" {
                @if self.before.is_some() { a href=(self.address(None)) { "Newest" } " " }
                @if records.len() > page { @if let Some(last) = shown.last() {
                    a rel="next" href=(self.address(Some(last.id))) { "Older" }
                } }
            }
        }
    }

    fn form(&self) -> Markup {
        let Self { reason: chosen, outcome: ended, since, host, peer, connection, before: _ } = self;
        html! {
            form.filter action="/records" {
                label { "Reason " select name="reason" {
                    option value="" { "any" }
                    @for reason in Reason::ALL { option value=(reason.as_str()) selected[*chosen == Some(*reason)] { (reason.as_str()) } }
                } }
                label { "Ended " select name="outcome" {
                    option value="" { "anyhow" }
                    @for outcome in Outcome::ALL { option value=(outcome.as_str()) selected[*ended == Some(*outcome)] { (outcome.as_str()) } }
                } }
                label { "Within " select name="since" {
                    option value="" { "all records" }
                    @for period in Period::ALL { option value=(period.as_str()) selected[*since == Some(period)] { (period.name()) } }
                } }
                label { "Host " input name="host" value=(Plain(host)) maxlength="253"; }
                label { "Network " input name="peer" value=(Plain(peer)) placeholder="192.0.2.0/24" maxlength="50"; }
                @if !connection.is_empty() { label { "Connection " input name="connection" value=(Plain(connection)) maxlength="16"; } }
                button { "Show" }
            }
        }
    }

    /// The address of this choice, before a record.
    fn address(&self, before: Option<RecordId>) -> String {
        let Self { reason, outcome, since, host, peer, connection, before: _ } = self;
        let mut fields = form_urlencoded::Serializer::for_suffix("/records?".to_owned(), "/records?".len());
        let fields = fields
            .extend_pairs(reason.map(|reason| ("reason", reason.as_str())))
            .extend_pairs(outcome.map(|outcome| ("outcome", outcome.as_str())))
            .extend_pairs(since.map(|since| ("since", since.as_str())));
        for (name, value) in [("host", host), ("peer", peer), ("connection", connection)] {
            if !value.is_empty() {
                fields.append_pair(name, value);
            }
        }
        if let Some(before) = before {
            fields.append_pair("before", &before.number().to_string());
        }
        fields.finish()
    }
}
