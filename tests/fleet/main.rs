//! Many simulated phones against the real gateway: each with its own certificate from `provision-ca`, its product's
//! User-Agent, TLS stack and request sequence, and the retries and resync times of the phones' guide.
//!
//! ```text
//! cargo build --release --workspace && cargo run --release -p provision-tests --bin fleet -- power-cut --phones 5000
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `cli` | the command line |
//! | `world`, `gateway`, `backend`, `file` | what a run needs, and the programs under test |
//! | `device`, `schedule`, `random` | what a phone is, and when it calls |
//! | `phone`, `answer`, `tls`, `http` | a phone's call |
//! | `attack` | hostile clients |
//! | `crew`, `call` | phones at work, and the record of their calls |
//! | `scenario` | what happens to the fleet, and what must come of it |
//! | `refusals`, `percentile`, `series`, `finding` | from records to figures |
//! | `report`, `plot` | table, JSON, SVG |

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use harness::open_files;
use tokio::signal::unix::{SignalKind, signal};

mod answer;
mod attack;
mod backend;
mod call;
mod cli;
mod crew;
mod device;
mod error;
mod file;
mod finding;
mod gateway;
mod http;
mod percentile;
mod phone;
mod plot;
mod random;
mod refusals;
mod report;
mod scenario;
mod schedule;
mod series;
#[cfg(test)]
mod tests;
mod tls;
mod world;

use cli::{Cli, Scenario};
use error::FleetError;
use report::Report;
use world::World;

/// The provisioning server's name in its certificate and in every request.
const HOST: &str = "prov.example.com";

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Standard output or error is closed: then nobody reads it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match command(&cli.scenario) {
        Ok(broken) if broken.is_empty() => ExitCode::SUCCESS,
        Ok(broken) => {
            for sentence in broken {
                let _ = writeln!(io::stderr(), "error: {sentence}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a scenario and writes its results; gives the promises that did not hold.
fn command(scenario: &Scenario) -> Result<Vec<String>, FleetError> {
    let program = std::env::current_exe().map_err(FleetError::io("this program cannot be found"))?;
    let binaries = program.parent().unwrap_or_else(|| Path::new("."));
    let runtime = runtime()?;
    let report = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(FleetError::io("no signals"))?;
        tokio::select! {
            report = run(scenario, binaries) => report,
            _ = tokio::signal::ctrl_c() => Err(FleetError::Interrupted),
            _ = terminate.recv() => Err(FleetError::Interrupted),
        }
    })?;
    let common = scenario.common();
    let json = serde_json::to_string_pretty(&report).map_err(|error| FleetError::Io {
        what: "the results cannot be written as JSON".to_owned(),
        source: error.into(),
    })? + "\n";
    let out = &common.out;
    std::fs::create_dir_all(out).map_err(FleetError::io(out.display().to_string()))?;
    file::put(&out.join("results.json"), json.as_bytes())?;
    file::put(&out.join("served-per-second.svg"), plot::draw(&report).as_bytes())?;
    let text = if common.json { json } else { report.table() };
    io::stdout().write_all(text.as_bytes()).map_err(FleetError::io("standard output is closed"))?;
    Ok(report.broken())
}

fn runtime() -> Result<tokio::runtime::Runtime, FleetError> {
    open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(FleetError::io("the phones have no threads"))
}

/// Sets everything up and lets it happen; all of it has ended when this returns.
async fn run(scenario: &Scenario, binaries: &Path) -> Result<Report, FleetError> {
    let mut world = World::prepare(scenario, binaries).await?;
    let findings = scenario::run(&mut world, scenario).await?;
    Ok(Report::new(&world, scenario, findings))
}
