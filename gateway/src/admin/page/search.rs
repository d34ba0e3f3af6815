//! `/search`: a phone by MAC address in any spelling or a part of it, by serial number or product; a request by the identifier on
//! the page that refused it.

use maud::{Markup, html};
use policies::MacAddress;

use super::entry::{self, Naming};
use super::text::{Told, when};
use crate::audit::moment::Moment;
use crate::audit::query::{DeviceStatus, DevicesBy, Filter, StoredRecord};
use crate::audit::{AuditDatabase, DatabaseError};

/// Phones that are listed at most.
const MOST: u32 = 50;
/// Characters of what is looked for.
pub(super) const LONGEST: usize = 100;

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A whole MAC address: the phone has a page.
    Phone(MacAddress),
    /// A connection's identifier, 16 hex digits.
    Connection(String),
    /// A request's, with `-` and its number behind it.
    Request(String),
    /// A part of something.
    Part(String),
}

impl Wanted {
    pub(super) fn read(text: &str) -> Self {
        let text = text.trim();
        if let Ok(mac) = MacAddress::parse(text) {
            return Self::Phone(mac);
        }
        let is_connection =
            |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.split_once('-') {
            Some((connection, number)) if is_connection(connection) && is_number(number) => {
                Self::Request(text.to_ascii_lowercase())
            }
            Some(_) => Self::Part(text.to_owned()),
            None if is_connection(text) => Self::Connection(text.to_ascii_lowercase()),
            None => Self::Part(text.to_owned()),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    Records(Vec<StoredRecord>),
    Phones(Vec<DeviceStatus>),
}

impl Found {
    pub(super) fn ask(database: &mut AuditDatabase, wanted: &Wanted) -> Result<Self, DatabaseError> {
        let records =
            |database: &mut AuditDatabase, filter| database.records(&filter, MOST).map(Self::Records);
        match wanted {
            Wanted::Request(request) => {
                records(database, Filter { request: Some(request.clone()), ..Filter::default() })
            }
            Wanted::Connection(connection) => {
                records(database, Filter { connection: Some(connection.clone()), ..Filter::default() })
            }
            Wanted::Phone(mac) => database.device(*mac).map(|one| Self::Phones(one.into_iter().collect())),
            Wanted::Part(part) => database.devices(Some(part), DevicesBy::LastSeen, MOST).map(Self::Phones),
        }
    }

    /// The page of the only phone that was found.
    pub(super) fn only(&self) -> Option<MacAddress> {
        match self {
            Self::Phones(phones) => match phones.as_slice() {
                [one] => Some(one.mac),
                _ => None,
            },
            Self::Records(_) => None,
        }
    }

    pub(super) fn show(&self, now: Moment) -> Markup {
        match self {
            Self::Records(records) if records.is_empty() => html! {
                p { "There is no such request or connection in these records. It may be too old, or of another gateway." }
            },
            Self::Records(records) => entry::list(records, Naming::Linked, now),
            Self::Phones(phones) if phones.is_empty() => nothing(),
            Self::Phones(phones) => html! {
                table.fold #phones {
                    caption.quiet { "Last seen first" }
                    thead { tr {
                        th scope="col" { "phone" } th scope="col" { "product" } th scope="col" { "serial number" }
                        th scope="col" { "last success" } th scope="col" { "last seen" }
                    } }
                    tbody { @for phone in phones { tr {
                        th scope="row" {
                            a href=(format!("/device/{}", phone.mac)) { (phone.mac.colon()) }
                            @if !phone.proven { " (claimed)" }
                        }
                        td data-label="product" { @if let Some(product) = &phone.product { (Told(product)) } }
                        td data-label="serial number" { @if let Some(serial) = &phone.serial { (Told(serial)) } }
                        td data-label="last success" { @match phone.last_success { Some(time) => (when(time, now)), None => "never" } }
                        td data-label="last seen" { (when(phone.last_seen, now)) }
                    } } }
                }
                @if phones.len() >= usize::try_from(MOST).unwrap_or(usize::MAX) { p.note { "These are the first " (MOST) ": type more of it." } }
            },
        }
    }
}

/// The words where nothing was found.
pub(super) fn nothing() -> Markup {
    html! {
        p { "Nothing was ever recorded of such a phone." }
        ul {
            li { "A phone that never reached the gateway leaves no record: look at its DNS, its route, and the address in its profile rule." }
            li { "One that was refused before it showed a certificate has no name yet: see " a href="/records?outcome=refused&since=24h" { "what was refused today" } "." }
            li { "MAC addresses may be written in any way: 000e08abcdef, 00:0E:08:AB:CD:EF, 000e.08ab.cdef, or a part." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_told_apart_by_its_shape() {
        let mac = MacAddress::parse("000e08abcdef").unwrap();
        for typed in ["000e08abcdef", " 00:0E:08:AB:CD:EF ", "00-0e-08-ab-cd-ef", "000e.08ab.cdef"] {
            assert_eq!(Wanted::read(typed), Wanted::Phone(mac), "{typed}");
        }
        assert_eq!(Wanted::read("006B0f0000000a01-3"), Wanted::Request("006b0f0000000a01-3".to_owned()));
        assert_eq!(Wanted::read("006b0f0000000a01"), Wanted::Connection("006b0f0000000a01".to_owned()));
        for typed in ["FCH2112DABC", "CP-8841", "abcdef", "006b0f0000000a01-x", ""] {
            assert_eq!(Wanted::read(typed), Wanted::Part(typed.to_owned()), "{typed}");
        }
    }
}
