//! What issuing costs beside the bare work of the keys, and beside `openssl ca` doing the same; how long a lookup takes.
//!
//! `cargo run --release -p provision-ca --example figures -- --help` says what can be measured. Every ratio comes from one run, in
//! which the two sides take turns. The issuer has RSA 2048. Each measurement has a store of its own; all are removed at the
//! end, for ext4 passes over the places of files that were removed within the last six minutes, which can double the work of
//! whoever makes new ones. Where such were removed, another part of the disk is measured by `TMPDIR=FOLDER`, a new folder
//! directly below `/`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot be made has failed")]

mod inventory;
mod keys;
mod openssl;
mod requests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ca::{Authority, FoundOptions, SystemClock};
use clap::Parser;

/// Measures; what is not asked for is left out.
#[derive(Parser)]
struct Arguments {
    /// Certificates with new RSA-2048 keys, beside as many bare keys: about 42 seconds for a thousand, twice.
    #[arg(long, default_value_t = 0, value_name = "N")]
    keys: usize,

    /// Certificates from ready requests with P-256 keys, beside the issuer's bare signatures.
    #[arg(long, default_value_t = 0, value_name = "N")]
    requests: usize,

    /// The same from requests with RSA-2048 keys, which take 42 seconds a thousand to make first.
    #[arg(long, default_value_t = 0, value_name = "N")]
    rsa_requests: usize,

    /// Certificates in the inventory in which one is looked up by its MAC address.
    #[arg(long, default_value_t = 0, value_name = "N")]
    rows: usize,

    /// Lines of a list whose devices all have their certificates: how much memory a run over it takes.
    #[arg(long, default_value_t = 0, value_name = "N")]
    lines: usize,

    /// Certificates that `openssl ca` issues from ready requests, revokes, and looks up, beside the same done here.
    #[arg(long, default_value_t = 0, value_name = "N")]
    openssl: usize,
}

fn main() {
    let arguments = Arguments::parse();
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    if arguments.lines > 0 {
        inventory::lines(place, arguments.lines); // the first: what others took would count
    }
    if arguments.keys > 0 {
        keys::measure(place, arguments.keys);
    }
    if arguments.requests > 0 {
        requests::measure(place, arguments.requests, requests::Of::P256);
    }
    if arguments.rsa_requests > 0 {
        requests::measure(place, arguments.rsa_requests, requests::Of::Rsa2048);
    }
    if arguments.rows > 0 {
        inventory::lookup(place, arguments.rows);
    }
    if arguments.openssl > 0 {
        openssl::measure(place, arguments.openssl);
    }
}

/// A new store.
fn store(place: &Path, name: &str) -> PathBuf {
    let root = place.join(name);
    drop(Authority::found(&root, &FoundOptions::default(), None, Arc::new(SystemClock)).unwrap());
    root
}

/// The program with these words, in this process.
fn program(store: &Path, words: &[&str]) {
    let words = [&["provision-ca", "--store", store.to_str().unwrap()], words].concat();
    let cli = ca::cli::Cli::parse_from(words);
    assert_eq!(ca::commands::run(&cli, Arc::new(SystemClock)), ExitCode::SUCCESS);
}

fn issue(store: &Path, list: &Path) {
    program(store, &["device", "issue", "--csv", list.to_str().unwrap()]);
}

#[expect(clippy::disallowed_methods, reason = "an input of the measurement")]
fn write(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::write(path, text).unwrap();
}

/// Time by the clock, and time of the processor in all threads of this process.
#[derive(Clone, Copy, Default)]
struct Spent {
    wall: Duration,
    cpu: Duration,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

fn spent(work: impl FnOnce()) -> Spent {
    let (begun, cpu) = (Instant::now(), cpu());
    work();
    Spent { wall: begun.elapsed(), cpu: self::cpu() - cpu }
}

/// User and system time of this process, threads that ended included: what getrusage gives.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

/// The most memory that this process had so far, in MB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    size.trim().strip_suffix(" kB").unwrap().parse::<f64>().unwrap() / 1024.0
}

/// So many a second.
fn rate(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / time.as_secs_f64()
}

fn cores() -> usize {
    std::thread::available_parallelism().unwrap().get()
}
