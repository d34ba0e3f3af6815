//! A lookup by MAC address in a large inventory, and a run over a list of all that is in it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ca::{Authority, SystemClock};

use crate::{issue, peak, rate, spent, store};

pub(crate) fn lookup(place: &Path, rows: usize) {
    let store = store(place, "rows");
    fill(&store, rows);
    let rows = i64::try_from(rows).unwrap();
    let authority = Authority::open(&store, Arc::new(SystemClock)).unwrap();
    let mut times: Vec<Duration> = Vec::new();
    for step in 0..1000 {
        let mac = format!("02{:010x}", 1 + step * 7919 % rows);
        let begun = Instant::now();
        let found = authority.select(&mac).unwrap();
        times.push(begun.elapsed());
        assert_eq!(found.len(), 1);
    }
    times.sort_unstable();
    println!(
        "lookup by MAC address among {rows}: median {:.2?}, slowest of 1000 {:.2?}",
        times[500], times[999]
    );
}

/// The list is judged, issued again, and reported line by line, though there is nothing to make.
pub(crate) fn lines(place: &Path, count: usize) {
    let store = store(place, "lines");
    let path = place.join("lines.csv");
    let mut list = BufWriter::new(File::create(&path).unwrap());
    writeln!(list, "model,serial,mac").unwrap();
    for number in 1..=count {
        writeln!(list, "CP-8841-3PCC,M{number},02{number:010x}").unwrap();
    }
    list.into_inner().unwrap();
    fill(&store, count);
    let before = peak();
    let whole = spent(|| issue(&store, &path));
    println!(
        "{count} lines of devices that have their certificates: {:.1} s, {:.0} lines a second, at most {:.0} MB of memory \
         ({before:.0} MB before)",
        whole.wall.as_secs_f64(),
        rate(count, whole.wall),
        peak()
    );
}

/// Rows as issuing writes them, without the files.
fn fill(store: &Path, rows: usize) {
    let database = rusqlite::Connection::open(store.join("ca.sqlite")).unwrap();
    database
        .execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO certificate (authority, serial, state, kind, name, product, device_serial, public_key, not_before,
                                      not_after, reserved_at, folder, certificate, fingerprint)
             SELECT a.id, randomblob(16), 'issued', 'device', printf('02%010x', i), 'CP-8841-3PCC', 'M' || i, randomblob(32),
                    1700000000, 2300000000, 1700000000, 'devices/' || i, zeroblob(900), randomblob(32)
             FROM n, (SELECT id FROM authority WHERE name = 'client-root') a",
            [i64::try_from(rows).unwrap()],
        )
        .unwrap();
}
