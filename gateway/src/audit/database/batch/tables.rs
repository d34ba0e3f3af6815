//! What a batch adds to each table, and what becomes of a row that is there.

use super::super::backend::Insert;

pub(super) const RECORDS: Insert = Insert {
    table: "audit_record",
    columns: &[
        "id",
        "time",
        "gateway",
        "event",
        "subject",
        "outcome",
        "weight",
        "connection",
        "request",
        "peer",
        "host",
        "engine",
        "tls_version",
        "suite",
        "sni",
        "ja4",
        "resumed",
        "decision",
        "reason",
        "rule",
        "method",
        "path",
        "status",
        "bytes",
        "duration_us",
        "kind",
        "product",
        "serial",
        "mac",
        "mac_source",
        "subject_name",
        "issuer",
        "certificate_serial",
        "sha256",
        "key_sha256",
        "not_after",
        "exceptions",
        "user_agent",
        "said_mac",
    ],
    on_conflict: "",
};
pub(super) const LINES: Insert = Insert { table: "audit_line", columns: &["id", "line"], on_conflict: "" };
pub(super) const TALLIES: Insert = Insert {
    table: "audit_tally",
    columns: &[
        "hour",
        "subject",
        "dimension",
        "value",
        "outcome",
        "gateway",
        "count",
        "first_seen",
        "last_seen",
    ],
    on_conflict: "ON CONFLICT (dimension, subject, hour, value, outcome, gateway) DO UPDATE SET \
        count = audit_tally.count + excluded.count, \
        first_seen = CASE WHEN excluded.first_seen < audit_tally.first_seen THEN excluded.first_seen ELSE audit_tally.first_seen END, \
        last_seen = CASE WHEN excluded.last_seen > audit_tally.last_seen THEN excluded.last_seen ELSE audit_tally.last_seen END",
};
/// Whether a row tells what is so now: what the device proved replaces what was claimed, and the later the earlier. Gateways that
/// share a database do not write in the order of time.
macro_rules! is_current {
    () => {
        "(excluded.proven > audit_device.proven OR (excluded.proven = audit_device.proven \
         AND excluded.current_at >= COALESCE(audit_device.current_at, 0)))"
    };
}
/// Takes a fact from the row that tells what is so now, where it tells it.
macro_rules! current {
    ($column:literal) => {
        concat!(
            $column,
            " = CASE WHEN ",
            is_current!(),
            " THEN COALESCE(excluded.",
            $column,
            ", audit_device.",
            $column,
            ") ELSE audit_device.",
            $column,
            " END, "
        )
    };
}
/// The same of a certificate's facts, which belong together.
macro_rules! certified {
    ($column:literal) => {
        concat!(
            $column,
            " = CASE WHEN ",
            is_current!(),
            " AND excluded.sha256 IS NOT NULL THEN excluded.",
            $column,
            " ELSE audit_device.",
            $column,
            " END, "
        )
    };
}
/// Takes what belongs to the later of two times.
macro_rules! later {
    ($column:literal, $time:literal) => {
        concat!(
            $column,
            " = CASE WHEN excluded.",
            $time,
            " >= COALESCE(audit_device.",
            $time,
            ", excluded.",
            $time,
            ") THEN excluded.",
            $column,
            " ELSE audit_device.",
            $column,
            " END, "
        )
    };
}
pub(super) const DEVICES: Insert = Insert {
    table: "audit_device",
    columns: &[
        "mac",
        "proven",
        "product",
        "serial",
        "first_seen",
        "last_seen",
        "last_success",
        "last_refusal",
        "refusal_reason",
        "refusal_source",
        "subject_name",
        "issuer",
        "certificate_serial",
        "sha256",
        "key_sha256",
        "not_after",
        "user_agent",
        "peer",
        "host",
        "records",
        "current_at",
    ],
    on_conflict: concat!(
        "ON CONFLICT (mac) DO UPDATE SET \
         first_seen = CASE WHEN excluded.first_seen < audit_device.first_seen THEN excluded.first_seen ELSE audit_device.first_seen END, \
         last_seen = CASE WHEN excluded.last_seen > audit_device.last_seen THEN excluded.last_seen ELSE audit_device.last_seen END, ",
        later!("last_success", "last_success"),
        later!("refusal_reason", "last_refusal"),
        later!("refusal_source", "last_refusal"),
        later!("last_refusal", "last_refusal"),
        current!("product"),
        current!("serial"),
        current!("user_agent"),
        current!("peer"),
        current!("host"),
        certified!("subject_name"),
        certified!("issuer"),
        certified!("certificate_serial"),
        certified!("key_sha256"),
        certified!("not_after"),
        certified!("sha256"),
        "current_at = CASE WHEN ",
        is_current!(),
        " THEN excluded.current_at ELSE audit_device.current_at END, \
         records = audit_device.records + excluded.records, \
         proven = CASE WHEN excluded.proven > audit_device.proven THEN excluded.proven ELSE audit_device.proven END"
    ),
};
pub(super) const CERTIFICATES: Insert = Insert {
    table: "audit_certificate",
    columns: &[
        "mac",
        "sha256",
        "key_sha256",
        "issuer",
        "serial",
        "not_after",
        "proven",
        "first_seen",
        "last_seen",
        "count",
    ],
    on_conflict: "ON CONFLICT (mac, sha256) DO UPDATE SET \
        proven = CASE WHEN excluded.proven > audit_certificate.proven THEN excluded.proven ELSE audit_certificate.proven END, \
        first_seen = CASE WHEN excluded.first_seen < audit_certificate.first_seen THEN excluded.first_seen ELSE audit_certificate.first_seen END, \
        last_seen = CASE WHEN excluded.last_seen > audit_certificate.last_seen THEN excluded.last_seen ELSE audit_certificate.last_seen END, \
        count = audit_certificate.count + excluded.count",
};
pub(super) const SIGHTINGS: Insert = Insert {
    table: "audit_sighting",
    columns: &["mac", "kind", "value", "first_seen", "last_seen", "count"],
    on_conflict: "ON CONFLICT (mac, kind, value) DO UPDATE SET \
        first_seen = CASE WHEN excluded.first_seen < audit_sighting.first_seen THEN excluded.first_seen ELSE audit_sighting.first_seen END, \
        last_seen = CASE WHEN excluded.last_seen > audit_sighting.last_seen THEN excluded.last_seen ELSE audit_sighting.last_seen END, \
        count = audit_sighting.count + excluded.count",
};
