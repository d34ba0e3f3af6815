//! Fills an audit database with plausible records, to measure answers with: a fleet that fetches its profiles day by day, with the
//! refusals that a real one has.
//!
//! ```sh
//! cargo run --release -p provision-tests --example fill_audit -- sqlite:million.db 1000000 10000
//! time provision-gateway audit device 000e08000123 --database million.db
//! ```

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;

use gateway::audit::database::BatchId;
use gateway::audit::{AuditDatabase, DatabaseUrl};
use harness::year;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: fill_audit URL [RECORDS [DEVICES]]")?;
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (records, devices) = (number(1_000_000)?, number(10_000)?.max(1));
    let mut database = AuditDatabase::open(&DatabaseUrl::parse(&url, Path::new(""))?)?;
    for (number, lines) in (1..).zip(year::batches(records, devices)) {
        let id = BatchId { gateway: "example", process: "fill_audit", number };
        database.append(id, lines.as_bytes())?;
    }
    writeln!(io::stderr(), "{records} records of {devices} devices")?;
    Ok(())
}
