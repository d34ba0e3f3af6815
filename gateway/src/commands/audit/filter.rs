//! From what an operator says to what the database is asked.

use crate::audit::moment::Moment;
use crate::audit::query::{Filter, PhonesSay};
use crate::cli;

/// The filter as of `now`.
pub(super) fn filter(asked: &cli::AuditFilter, now: Moment) -> Filter {
    let cli::AuditFilter { mac, since, until, reason, outcome, event, host, peer, ja4, connection, request } =
        asked;
    Filter {
        mac: *mac,
        since: since.map(|since| since.beginning(now)),
        until: until.map(|until| until.end(now)),
        reason: *reason,
        outcome: *outcome,
        event: *event,
        host: host.as_ref().map(|host| host.to_ascii_lowercase()),
        peer: *peer,
        ja4: ja4.clone(),
        connection: connection.clone(),
        request: request.clone(),
        said: PhonesSay::Included,
        before: None,
    }
}
