//! Each scenario with a few phones and much compressed time, against the real programs.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use harness::binary;

use super::*;

/// Runs a command line; whatever it promises must hold.
fn holds(arguments: &str) -> Report {
    let line = std::iter::once("fleet").chain(arguments.split(' '));
    let cli = Cli::try_parse_from(line).unwrap();
    let runtime = runtime().unwrap();
    let report = runtime.block_on(run(&cli.scenario, &binaries())).unwrap();
    assert!(report.held, "{}\n{:#?}", report.table(), report.broken());
    assert!(plot::draw(&report).ends_with("</svg>\n"));
    report
}

/// Where the programs under test are, built if need be.
fn binaries() -> PathBuf {
    let gateway = binary::gateway();
    binary::ca();
    gateway.parent().map(Path::to_path_buf).unwrap()
}

#[test]
fn a_steady_day_serves_every_phone_at_its_times() {
    let report = holds("steady --phones 12 --old 25 --hours 6 --speed 3600");
    assert!(report.calls.served >= 12 * 4, "{}", report.table());
    assert_eq!(report.calls.made, report.calls.served);
    assert!(report.gateway_refusals.is_empty(), "{}", report.table());
    assert!(report.calls.statuses.keys().eq(&[200]), "{}", report.table());
}

#[test]
fn a_gateway_that_runs_already_is_called_with_its_own_stores_phones() {
    let store = tempfile::tempdir().unwrap();
    let line = format!("fleet steady --phones 2 --store {}", store.path().display());
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    let running = runtime().unwrap().block_on(World::prepare(&cli.scenario, &binaries())).unwrap();
    let (address, store) = (running.target.address(), store.path().join("main"));
    let report = holds(&format!(
        "steady --phones 4 --hours 2 --speed 3600 --connect {address} --store {}",
        store.display()
    ));
    assert!(report.gateway.cpu_seconds.is_none());
    assert!(report.calls.served >= 4, "{}", report.table());
}

#[test]
fn phones_with_a_time_of_day_call_once_a_day() {
    let report = holds("steady --phones 6 --hours 48 --speed 86400 --at 1200");
    assert_eq!(report.calls.served, 12, "{}", report.table());
}

#[test]
fn a_power_cut_loses_and_refuses_no_phone() {
    let report = holds("power-cut --phones 30 --old 20 --alone 30");
    assert_eq!((report.calls.made, report.calls.served, report.calls.phones_lost), (30, 30, 0));
    assert!(report.gateway.cpu_seconds.is_some_and(|seconds| seconds > 0.0));
}

#[test]
fn a_restart_leaves_no_phone_behind() {
    let report = holds("restart --phones 16 --old 25 --speed 3600");
    assert_eq!(report.calls.phones_lost, 0);
}

#[test]
fn a_published_list_shuts_out_whom_it_names_and_nobody_else() {
    let report = holds("crl --phones 20 --old 30 --revoke 20 --speed 3600");
    assert!(report.gateway_refusals.keys().eq(["revoked"]), "{}", report.table());
}

#[test]
fn certificates_roll_over_without_a_gap() {
    let report = holds("rollover --phones 12 --old 20 --speed 3600");
    assert!(report.gateway_refusals.contains_key("unknown_issuer"), "{}", report.table());
}

#[test]
fn a_store_that_fails_is_told_from_a_gateway_that_refuses() {
    let report = holds("backend --phones 10 --speed 3600");
    assert!([200, 502, 504].iter().all(|status| report.calls.statuses.contains_key(status)));
}

#[test]
fn hostile_clients_get_nothing_and_disturb_nobody() {
    let report = holds("hostile --phones 20 --share 60 --speed 3600 --bound 20");
    assert!(report.gateway_refusals.contains_key("no_rule_matched"), "{}", report.table());
}
