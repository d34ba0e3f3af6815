//! What the gateway costs beside nginx, HAProxy and Apache: same certificates, same store, one run, rounds interleaved,
//! medians compared as ratios.
//!
//! ```text
//! cargo build --release --workspace && cargo run --release -p provision-tests --bin bench
//! ```
//!
//! Everything is on in the gateway: verification, admission with a revocation list, authorisation by path, header
//! rewriting, an audit record for each request. The others verify the same chain with the same revocation lists, set the
//! same identity fields, write their access log, and proxy to the same nginx with kept connections. In every handshake the
//! phone looks whether it was resumed or not as the row says, and whether the certificate that it was shown is the one
//! that fits it.
//!
//! Old phones call at an address of their own, where the same processes speak as weakly as those need: the gateway by
//! its policy `guide`, the others by OpenSSL's security level 0. Without an RSA certificate there is none. Old phones do
//! full handshakes only.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

mod bare;
mod cli;
mod client;
mod error;
mod floor;
mod idle;
mod peers;
mod report;
mod request;
mod row;
mod server;
mod server_key;

use clap::Parser as _;
use cli::Cli;
use error::BenchError;
use harness::open_files;
use peers::Peers;
use report::Table;
use row::{Measurement, ROWS};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((bare::COMMAND, arguments)) =
        arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return match bare::serve(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Standard output or error is closed: then nobody reads it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Says what went wrong, with every cause, and what to do about it.
fn complain(error: &BenchError) {
    let mut text = format!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    let _ = writeln!(io::stderr(), "{text}");
    if let Some(hint) = error.hint() {
        let _ = writeln!(io::stderr(), "hint: {hint}");
    }
}

fn run(cli: &Cli) -> Result<(), BenchError> {
    open_files::raise_limit();
    let program = std::env::current_exe().map_err(BenchError::io("this program cannot be found"))?;
    let binaries = program.parent().unwrap_or_else(|| Path::new("."));
    let folder = tempfile::tempdir().map_err(BenchError::io("no temporary folder"))?;
    peers::open_to_all(folder.path()).map_err(BenchError::io("the temporary folder"))?;
    let mut peers = Peers::start(folder.path(), binaries, cli.server_key)?;

    let mut table = Table::new(peers.names());
    for row in ROWS {
        if !cli.wants(row.name) || !row.work.is_possible(cli.server_key) {
            continue;
        }
        let measurement = Measurement {
            peers: &peers,
            server_key: cli.server_key,
            rounds: cli.rounds(),
            operations: cli.operations(),
        };
        let measured = measurement.of(row.work)?;
        table.add(row.name, measured.figures);
        table.note(row.name, &measured.shown);
        if !measured.bare.is_empty() {
            table.bare(row.name, measured.bare);
        }
        if row.work == row::Work::LargeProfile {
            table.throughput(row.name, request::LARGE_PROFILE);
        }
    }
    say(&table.markdown())?;
    if cli.wants(idle::ROW) {
        let names = peers.names();
        for (name, idle) in names.iter().zip(idle::measure(&mut peers, cli.idle())?) {
            let kib = Duration::from_micros(idle.each).as_secs_f64() * 1e6 / 1024.0;
            say(&format!("{}, {name}: {kib:.1} KiB ({} closed meanwhile)", idle::ROW, idle.closed))?;
        }
    }
    let floor =
        floor::asymmetric_work(peers.credentials(), 501).map_err(BenchError::io("the asymmetric work"))?;
    say(&format!(
        "asymmetric work of one full handshake alone, RSA 2048 on both sides: {} µs",
        floor.as_micros()
    ))
}

fn say(text: &str) -> Result<(), BenchError> {
    writeln!(io::stdout(), "{text}").map_err(BenchError::io("standard output is closed"))
}
