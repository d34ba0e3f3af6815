//! What a batch asks for.

use certs::{Serial, Timestamp};
use serde_json::{Value, json};

use super::BatchError;
use crate::serial::hex;
use crate::server_name::ServerName;
use crate::store::{Revocation, RevocationReason};

/// Most days of anything: a hundred years.
const MOST_DAYS: u64 = 36_500;

/// One thing that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A certificate for an authority, whose request is in the file.
    Certificate {
        action: Action,
        /// What it is called in the store.
        name: String,
        /// As long as the root without them.
        days: Option<u32>,
        path_length: u8,
        permit: Vec<ServerName>,
    },
    /// The root's revocation list, with these of its certificates on it too.
    List { days: u32, revoked: Vec<(Serial, Revocation)> },
}

/// What the certificate is to whoever asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Another authority's root, or one of its own making, gets a certificate of this root.
    CrossSign,
    /// An authority with a new key.
    Issue,
    /// New dates for an authority's key.
    Renew,
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CrossSign => "cross-sign",
            Self::Issue => "issue",
            Self::Renew => "renew",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::CrossSign, Self::Issue, Self::Renew].into_iter().find(|one| one.as_str() == word)
    }
}

impl Wanted {
    pub(crate) fn parse(value: &Value) -> Result<Self, BatchError> {
        let bad = |why: String| BatchError::Wanted { why };
        let days = || {
            let days = value["days"].as_u64().filter(|days| (1..=MOST_DAYS).contains(days));
            let days = days.and_then(|days| u32::try_from(days).ok());
            days.ok_or_else(|| bad(format!("days are 1 to {MOST_DAYS}, not {}", value["days"])))
        };
        let word = value["action"].as_str().unwrap_or_default();
        if word == "crl" {
            let revoked = value["revoked"].as_array().cloned().unwrap_or_default();
            let revoked = revoked.iter().map(revocation).collect::<Result<_, _>>()?;
            return Ok(Self::List { days: days()?, revoked });
        }
        let days = if value["days"].is_null() { None } else { Some(days()?) };
        let action = Action::from_word(word).ok_or_else(|| bad(format!("the action {word:?} is unknown")))?;
        let name = value["name"].as_str().unwrap_or_default().to_owned();
        let is_plain = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
            return Err(BatchError::Name {
                why: format!("{name:?} is no name of an authority: a to z, 0 to 9 and - are"),
            });
        }
        let wanted =
            value["path_length"].as_u64().ok_or_else(|| bad("there is no path length".to_owned()))?;
        let path_length = u8::try_from(wanted)
            .map_err(|_large| BatchError::PathLength { wanted, allowed: "less".to_owned() })?;
        let permit = value["permit"].as_array().cloned().unwrap_or_default();
        let permit = permit
            .iter()
            .map(|name| {
                ServerName::host(name.as_str().unwrap_or_default()).map_err(|error| bad(error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self::Certificate { action, name, days, path_length, permit })
    }
}

fn revocation(value: &Value) -> Result<(Serial, Revocation), BatchError> {
    let bad = || BatchError::Wanted { why: format!("{value} is no revocation") };
    let serial = value["serial"].as_str().and_then(Serial::parse_hex).ok_or_else(bad)?;
    let reason = value["reason"].as_str().and_then(RevocationReason::from_word).ok_or_else(bad)?;
    let at = value["at"]
        .as_str()
        .and_then(Timestamp::parse_rfc3339)
        .filter(|at| at.unix() >= 0)
        .ok_or_else(bad)?;
    Ok((serial, Revocation { at, reason }))
}

/// A revocation, as a manifest says it.
pub(crate) fn revocation_value(serial: &[u8], revocation: Revocation) -> Value {
    json!({ "serial": hex(serial), "reason": revocation.reason.as_str(), "at": revocation.at.to_string() })
}
