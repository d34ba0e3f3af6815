//! `list`

use serde_json::json;

use super::mass::{Chunks, choose_any};
use super::{CommandError, Context};
use crate::cli::ListArgs;
use crate::selector::{Status, Term};
use crate::serial::hex;
use crate::store::CertificateRecord;

/// What stands above the columns.
const HEAD: [&str; 6] = ["STATUS", "KIND", "NAME", "MODEL", "UNTIL", "SERIAL"];

pub(super) fn run(context: &Context<'_>, arguments: &ListArgs) -> Result<(), CommandError> {
    let ListArgs { selector, status, kind } = arguments;
    let authority = context.open()?;
    let mut words = selector.clone();
    words.extend(status.iter().map(|status| format!("status={status}")));
    words.extend(kind.iter().map(|kind| format!("kind={kind}")));
    let selector = choose_any(&authority, &words)?.and_by_default(Term::Status(vec![
        Status::Expired,
        Status::Revoked,
        Status::Valid,
    ]));
    let now = authority.now();
    let mut widths = HEAD.map(str::len);
    let mut is_first = true;
    let mut chunks = Chunks::new(&selector, None);
    let mut listing = context.printer.listing("certificates");
    loop {
        let records = chunks.next(&authority)?;
        if records.is_empty() && !is_first {
            break;
        }
        let rows: Vec<_> = records.iter().map(|record| row(record, record.status(now))).collect();
        // The first page decides how wide the columns are; they only grow.
        widen(&mut widths, &rows);
        if is_first {
            listing.text(&line(&HEAD.map(str::to_owned), &widths));
        }
        for (record, row) in records.iter().zip(&rows) {
            listing.item(&value(record, record.status(now)), &line(row, &widths));
        }
        is_first = false;
        if records.is_empty() || listing.is_closed() {
            break;
        }
    }
    listing.end();
    Ok(())
}

pub(super) fn row(record: &CertificateRecord, status: &str) -> [String; 6] {
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

/// A heading and columns as wide as their widest cell.
pub(super) fn table(rows: &[[String; 6]]) -> String {
    let mut widths = HEAD.map(str::len);
    widen(&mut widths, rows);
    let head = line(&HEAD.map(str::to_owned), &widths);
    std::iter::once(head).chain(rows.iter().map(|row| line(row, &widths))).collect()
}

fn widen(widths: &mut [usize; 6], rows: &[[String; 6]]) {
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
}

fn line(row: &[String; 6], widths: &[usize; 6]) -> String {
    let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
    format!("{}\n", line.trim_end())
}
