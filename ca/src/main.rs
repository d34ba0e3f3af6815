//! `provision-ca`: arguments to exit code.

use std::process::ExitCode;
use std::sync::Arc;

use ca::SystemClock;
use ca::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    ca::commands::run(&Cli::parse(), Arc::new(SystemClock))
}
