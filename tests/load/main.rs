//! Server CPU time per operation beside nginx and HAProxy: same certificates, same backend, one run, rounds
//! interleaved, medians compared as ratios.
//!
//! ```text
//! cargo build --release --workspace && cargo run --release -p provision-tests --bin load
//! ```
//!
//! `--server-key p256` gives every server a P-256 certificate instead of an RSA 2048 one; `--rounds`, `--operations`
//! and `--only WORDS` choose how much is measured.
//!
//! Everything is on in the gateway: verification, admission with a revocation list, authorisation by path,
//! header rewriting, an audit record for each request. nginx and HAProxy verify the same chain, set the same
//! identity fields, write their access log, and proxy to the same nginx with kept connections.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

mod client;
mod cpu;
mod floor;
mod peers;
mod report;

use client::{Client, Resumption, Version};
use peers::Fleet;
use report::Table;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| {
        arguments.iter().position(|one| one == flag).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let rounds: usize = value("--rounds").map_or(Ok(9), |text| text.parse())?;
    let operations: usize = value("--operations").map_or(Ok(320), |text| text.parse())?;
    let only = value("--only");
    let binaries = std::env::current_exe()?.parent().map(Path::to_path_buf).ok_or("no folder of binaries")?;
    let folder = tempfile::tempdir()?;
    let server_key = value("--server-key").unwrap_or_else(|| "rsa2048".to_owned());
    let fleet = Fleet::start(folder.path(), &binaries, &server_key)?;

    let scenarios: [(&str, Scenario); 5] = [
        ("full handshake + GET, TLS 1.3", Scenario::Handshakes(Version::Tls13, Resumption::Never)),
        ("full handshake + GET, TLS 1.2", Scenario::Handshakes(Version::Tls12, Resumption::Never)),
        ("resumed handshake + GET, TLS 1.3", Scenario::Handshakes(Version::Tls13, Resumption::Always)),
        ("resumed handshake + GET, TLS 1.2", Scenario::Handshakes(Version::Tls12, Resumption::Always)),
        ("GET 8 KiB on a kept connection", Scenario::Kept),
    ];
    let mut table = Table::new(fleet.names());
    for (name, scenario) in scenarios {
        if only.as_ref().is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        table.add(name, measure(&fleet, scenario, rounds, operations)?);
    }
    writeln!(io::stdout(), "{}", table.markdown())?;
    let floor = floor::asymmetric_work(fleet.credentials(), 501)?;
    writeln!(
        io::stdout(),
        "asymmetric work of one full handshake alone, RSA 2048 on both sides: {} µs",
        floor.as_micros()
    )?;
    Ok(())
}

#[derive(Clone, Copy)]
enum Scenario {
    Handshakes(Version, Resumption),
    Kept,
}

/// CPU time per operation of each server, one value a round.
fn measure(
    fleet: &Fleet,
    scenario: Scenario,
    rounds: usize,
    operations: usize,
) -> Result<Vec<Vec<Duration>>, Box<dyn std::error::Error>> {
    let mut figures = vec![Vec::new(); fleet.servers().len()];
    // The first round warms caches, pools and branch predictors, and is not counted.
    for round in 0..=rounds {
        for (at, server) in fleet.servers().iter().enumerate() {
            let client = Client::new(fleet.credentials(), server.address);
            let (run, operations): (Box<dyn Fn() -> io::Result<()>>, usize) = match scenario {
                Scenario::Handshakes(version, resumption) => {
                    let tls = client.tls(version, resumption)?;
                    (Box::new(move || client.handshakes(&tls, operations)), operations)
                }
                Scenario::Kept => {
                    let operations = operations * 10;
                    (Box::new(move || client.kept(operations)), operations)
                }
            };
            let before = cpu::of_tree(server.process())?;
            run()?;
            let spent = cpu::of_tree(server.process())?.saturating_sub(before);
            if round > 0
                && let Some(column) = figures.get_mut(at)
            {
                column.push(spent / u32::try_from(operations)?);
            }
        }
    }
    Ok(figures)
}
