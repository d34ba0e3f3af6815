//! What issuing costs beside the bare work of the keys, and how long a lookup among a million takes; each ratio from one run.
//!
//! `cargo run --release -p provision-ca --example figures -- 10000 10000 1000000`: certificates with RSA-2048 keys, certificates from
//! ready requests, certificates in the inventory that is searched. The issuer has RSA-2048.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot be made has failed")]

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use ca::{Authority, FoundOptions, KeyType, NewRequest, PrivateKey, SubjectName, SystemClock};
use clap::Parser;

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|word| word.parse().unwrap()).collect();
    let [keys, requests, rows] = numbers[..] else { panic!("figures KEYS REQUESTS ROWS") };
    let place = tempfile::tempdir().unwrap();
    let store = place.path().join("ca");
    let options = FoundOptions::default();
    drop(Authority::found(&store, &options, None, Arc::new(SystemClock)).unwrap());
    with_keys(&store, place.path(), keys);
    from_requests(&store, place.path(), requests);
    among_many(&store, rows);
}

fn run(store: &Path, list: &Path, more: &[&str]) -> Duration {
    let mut words = vec![
        "provision-ca",
        "--store",
        store.to_str().unwrap(),
        "device",
        "issue",
        "--csv",
        list.to_str().unwrap(),
    ];
    words.extend(more);
    let cli = ca::cli::Cli::parse_from(words);
    let begun = Instant::now();
    assert_eq!(ca::commands::run(&cli, Arc::new(SystemClock)), ExitCode::SUCCESS);
    begun.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "an input of the measurement")]
fn write(path: &Path, text: String) {
    std::fs::write(path, text).unwrap();
}

/// Certificates with keys beside the keys alone, on the same cores.
fn with_keys(store: &Path, place: &Path, count: usize) {
    if count == 0 {
        return;
    }
    let cores = std::thread::available_parallelism().unwrap().get();
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    KeyPair::generate(KeySize::Rsa2048).unwrap();
                }
            });
        }
    });
    let bare = begun.elapsed();
    let mut list = "model,serial,mac\n".to_owned();
    for number in 0..count {
        writeln!(list, "CP-8841-3PCC,K{number:07},000e08{number:06x}").unwrap();
    }
    let path = place.join("keys.csv");
    write(&path, list);
    let whole = run(store, &path, &[]);
    println!(
        "{count} RSA-2048 keys alone {bare:.1?}, certificates with keys {whole:.1?}: ratio {:.3}",
        whole.as_secs_f64() / bare.as_secs_f64()
    );
}

/// Certificates from ready requests beside the bare signatures of the issuer's key, on one core.
fn from_requests(store: &Path, place: &Path, count: usize) {
    if count == 0 {
        return;
    }
    let pem = std::fs::read_to_string(store.join("authorities/client-root/key.pem")).unwrap();
    let key = PrivateKey::from_pem(&pem, None).unwrap();
    drop(key);
    let issuer = KeyPair::from_pkcs8(pem::parse(pem.as_bytes()).unwrap().contents()).unwrap();
    assert!(issuer.as_der().is_ok());
    let random = aws_lc_rs::rand::SystemRandom::new();
    let mut signature = vec![0; issuer.public_modulus_len()];
    let begun = Instant::now();
    let mut signed = 0_u32;
    while begun.elapsed() < Duration::from_secs(5) {
        issuer.sign(&RSA_PKCS1_SHA256, &random, &[7; 600], &mut signature).unwrap();
        signed += 1;
    }
    let bare = f64::from(signed) / begun.elapsed().as_secs_f64();
    let name = SubjectName::new(vec![(ca::AttributeType::CommonName, "phone".to_owned())]).unwrap();
    let host = ca::ServerName::host("phone.example.com").unwrap();
    let mut list = String::new();
    for number in 0..count {
        let key = PrivateKey::generate(KeyType::P256).unwrap();
        let request = NewRequest::sign(&name, std::slice::from_ref(&host), &key).unwrap().pem;
        let (serial, mac) = (format!("R{number:07}"), format!("000e09{number:06x}"));
        let line =
            serde_json::json!({ "model": "CP-8841-3PCC", "serial": serial, "mac": mac, "csr": request });
        writeln!(list, "{line}").unwrap();
    }
    let path = place.join("requests.jsonl");
    write(&path, list);
    let whole = run(store, &path, &[]);
    let rate = f64::from(u32::try_from(count).unwrap()) / whole.as_secs_f64();
    println!(
        "bare signatures {bare:.0}/s, {count} certificates from requests in {whole:.1?}, {rate:.0}/s: {:.0} %",
        100.0 * rate / bare
    );
}

/// A lookup by MAC address when the inventory has so many rows more.
fn among_many(store: &Path, rows: usize) {
    if rows == 0 {
        return;
    }
    let database = rusqlite::Connection::open(store.join("ca.sqlite")).unwrap();
    let rows = i64::try_from(rows).unwrap();
    database
        .execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO certificate (authority, serial, state, kind, name, product, device_serial, public_key, not_before,
                                      not_after, reserved_at, folder, certificate, fingerprint)
             SELECT a.id, randomblob(16), 'issued', 'device', printf('02%010x', i), 'CP-8841-3PCC', 'M' || i, randomblob(32),
                    1700000000, 2300000000, 1700000000, 'devices/' || i, zeroblob(900), randomblob(32)
             FROM n, (SELECT min(id) AS id FROM authority) a",
            [rows],
        )
        .unwrap();
    drop(database);
    let authority = Authority::open(store, Arc::new(SystemClock)).unwrap();
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
