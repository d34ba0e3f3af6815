//! `provision-ca`: arguments to exit code.

use std::process::ExitCode;
use std::sync::Arc;

use ca::SystemClock;
use ca::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("PROVISION_CA_LOG"))
        .with_writer(std::io::stderr)
        .init();
    ca::commands::run(&Cli::parse(), Arc::new(SystemClock))
}
