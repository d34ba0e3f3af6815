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

mod bare;
mod bound;
mod cli;
mod client;
mod error;
mod flood;
mod floor;
mod idle;
mod interrupt;
mod observation;
mod peers;
mod phone;
mod power_cut;
mod processor;
mod report;
mod request;
mod row;
mod server;
mod server_key;
mod statistics;
mod table;

use clap::Parser as _;
use cli::Cli;
use error::BenchError;
use harness::open_files;
use peers::Peers;
use phone::Phone;
use report::Report;
use row::{Measurement, ROWS};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let part = match arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some((bare::COMMAND, arguments)) => Some(bare::serve(arguments)),
        Some((floor::COMMAND, arguments)) => Some(floor::serve(arguments)),
        Some(_) | None => None,
    };
    if let Some(done) = part {
        return if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Standard output or error is closed: then nobody reads it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let measured = run(&cli);
    // Whatever else failed or was measured then, this is why.
    let measured = if interrupt::came() { Err(BenchError::Interrupted) } else { measured };
    match measured {
        Ok(report) => tell(&report),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints what was measured.
fn tell(report: &Report) -> ExitCode {
    let written = io::stdout().write_all(report.markdown().as_bytes());
    for fault in report.faults() {
        let _ = writeln!(io::stderr(), "error: {fault}");
    }
    match (written, report.faults()) {
        (Ok(()), []) => ExitCode::SUCCESS,
        (Ok(()) | Err(_), _) => ExitCode::FAILURE,
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

/// Sets everything up and measures it; all of it has ended when this returns.
fn run(cli: &Cli) -> Result<Report, BenchError> {
    cli.check()?;
    open_files::raise_limit();
    interrupt::watch().map_err(BenchError::io("no signals"))?;
    let program = std::env::current_exe().map_err(BenchError::io("this program cannot be found"))?;
    let binaries = program.parent().unwrap_or_else(|| Path::new("."));
    let folder = tempfile::tempdir().map_err(BenchError::io("no temporary folder"))?;
    peers::open_to_all(folder.path()).map_err(BenchError::io("the temporary folder"))?;
    let mut peers = Peers::start(folder.path(), binaries, cli.server_key)?;
    let mut report = Report::new(peers.names());
    operations(cli, &peers, &mut report)?;
    if cli.wants(idle::ROW) {
        progress(idle::ROW);
        report.idle(&idle::measure(&mut peers, cli.idle())?, cli.idle());
    }
    crowds(cli, &mut peers, &mut report)?;
    if let Some(told) = peers.processor().told() {
        report.processor(&told);
    }
    Ok(report)
}

/// Says what comes next: the tables come last, and a full run takes its time.
fn progress(next: &str) {
    let _ = writeln!(io::stderr(), "measuring: {next}");
}

/// The rows of CPU time per operation.
fn operations(cli: &Cli, peers: &Peers, report: &mut Report) -> Result<(), BenchError> {
    let measurement =
        Measurement { peers, server_key: cli.server_key, rounds: cli.rounds(), operations: cli.operations() };
    for row in ROWS {
        if cli.wants(row.name) && row.work.is_possible(cli.server_key) {
            progress(row.name);
            let bound = row.bound.filter(|_| cli.server_key.is_bounded());
            report.operation(&row, &measurement.of(row.work)?, bound);
        }
    }
    Ok(())
}

/// The rows of many phones at once.
fn crowds(cli: &Cli, peers: &mut Peers, report: &mut Report) -> Result<(), BenchError> {
    let in_flood = cli.wants(flood::ROW).then(|| flood::PHONES * cli.flood());
    let in_power_cut = cli.wants(power_cut::ROW).then(|| cli.phones());
    let Some(most) = in_flood.max(in_power_cut) else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(BenchError::io("the phones have no threads"))?;
    progress("certificates for the phones");
    let phones = Phone::fleet(peers, most)?;
    if in_flood.is_some() {
        progress(flood::ROW);
        report.flood(&flood::measure(peers, &phones, cli.flood(), &runtime)?, cli.flood());
    }
    if let Some(count) = in_power_cut {
        progress(power_cut::ROW);
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(phones.len());
        let phones = phones.get(..count).unwrap_or_default();
        report.power_cut(&power_cut::measure(peers, phones, &runtime)?, count);
    }
    Ok(())
}
