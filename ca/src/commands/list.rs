//! `list`

use serde_json::json;

use super::{CommandError, Context};
use crate::cli::ListArgs;
use crate::serial::hex;
use crate::store::{CertificateRecord, Query};

pub(super) fn run(context: &Context<'_>, arguments: &ListArgs) -> Result<(), CommandError> {
    let ListArgs { status, kind } = arguments;
    let authority = context.open()?;
    let now = authority.now();
    let mut records = authority.find(&Query::All)?;
    records.retain(|record| {
        let shown = match status {
            Some(status) => record.status(now) == status,
            None => record.status(now) != "abandoned",
        };
        shown && kind.as_ref().is_none_or(|kind| record.intent.kind.as_str() == kind)
    });
    let values: Vec<_> = records.iter().map(|record| value(record, record.status(now))).collect();
    context.printer.result(&json!({ "certificates": values }), || {
        let head = ["STATUS", "KIND", "NAME", "MODEL", "UNTIL", "SERIAL"].map(str::to_owned);
        let rows: Vec<[String; 6]> = std::iter::once(head)
            .chain(records.iter().map(|record| row(record, record.status(now))))
            .collect();
        table(&rows)
    });
    Ok(())
}

fn row(record: &CertificateRecord, status: &str) -> [String; 6] {
    let intent = &record.intent;
    [
        status.to_owned(),
        intent.kind.as_str().to_owned(),
        intent.name.clone(),
        intent.product.clone().unwrap_or_else(|| "-".to_owned()),
        intent.validity.not_after.to_string().chars().take(10).collect(),
        hex(&intent.serial),
    ]
}

/// One certificate of the inventory.
pub(super) fn value(record: &CertificateRecord, status: &str) -> serde_json::Value {
    let intent = &record.intent;
    let mut value = json!({
        "status": status,
        "kind": intent.kind.as_str(),
        "name": intent.name,
        "serial": hex(&intent.serial),
        "not_before": intent.validity.not_before.to_string(),
        "not_after": intent.validity.not_after.to_string(),
        "folder": intent.folder.display().to_string(),
    });
    if let Some(product) = &intent.product {
        value["product"] = json!(product);
    }
    if let Some(serial) = &intent.device_serial {
        value["device_serial"] = json!(serial);
    }
    if let Some(revocation) = &record.revocation {
        value["revoked_at"] = json!(revocation.at.to_string());
        value["reason"] = json!(revocation.reason.as_str());
    }
    value
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
