//! Which way RSA signatures are made: the gateway's choice, or whoever sets the variable.

use std::fs;
use std::process::Command;
use std::time::Duration;

use harness::binary;
use harness::gateway::{AS_FOUND, Gateway, HOST, PROCESSOR, Scene};
use harness::pki::{Key, KeyKind, Template};
use harness::process::{self, Finished};

use crate::verdict::admitted;

/// What the gateway sets when AVX2 is faster.
const WITH_AVX2: &str = ":~0x8";

/// A scene whose server has an RSA 2048 key: only there it matters.
fn scene() -> Scene {
    let scene = Scene::new();
    let server = scene.server_authority.issue_for(Key::new(KeyKind::Rsa2048), &Template::server(&[HOST]));
    server.write(&scene.folder, "server");
    scene
}

/// The entries of one of the process's files in `/proc`, which end with zeros.
fn entries(gateway: &Gateway, file: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/{file}", gateway.process.id())).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// The variable's value in the process.
fn told(gateway: &Gateway) -> Option<String> {
    let assignment = format!("{PROCESSOR}=");
    entries(gateway, "environ").iter().find_map(|entry| entry.strip_prefix(&assignment).map(str::to_owned))
}

fn started_again(gateway: &Gateway) -> bool {
    gateway.process.log().iter().any(|line| line.contains("starting again with OPENSSL_ia32cap=:~0x8"))
}

/// With both versions and both of RSA's signature schemes that come with them.
fn serves(scene: &Scene, gateway: &Gateway) {
    admitted(gateway, &scene.client(gateway, &scene.phone()).tls12());
    admitted(gateway, &scene.client(gateway, &scene.phone()).tls13());
}

#[test]
fn without_the_variable_the_gateway_chooses_and_says_so_when_it_starts_again() {
    let scene = scene();
    let gateway = scene.start_told(None);
    serves(&scene, &gateway);
    let config = scene.folder.join("gateway.toml");
    let arguments = [binary::gateway().as_path(), "run".as_ref(), "--config".as_ref(), config.as_path()]
        .map(|argument| argument.to_str().unwrap().to_owned());
    assert_eq!(entries(&gateway, "cmdline"), arguments, "as if it had been started so at once");
    // Which it is depends on this processor.
    match started_again(&gateway) {
        true => assert_eq!(told(&gateway).as_deref(), Some(WITH_AVX2)),
        false => assert_eq!(told(&gateway), None),
    }
}

#[test]
fn who_sets_the_variable_decides() {
    let scene = scene();
    for value in [AS_FOUND, WITH_AVX2] {
        let gateway = scene.start_told(Some(value));
        serves(&scene, &gateway);
        assert_eq!(told(&gateway).as_deref(), Some(value));
        assert!(!started_again(&gateway));
    }
}

/// What the gateway asks of its other half.
#[test]
fn the_time_of_a_signature_is_told_in_nanoseconds_for_each_line() {
    for value in [AS_FOUND, WITH_AVX2] {
        let mut command = Command::new(binary::gateway());
        let Finished { code, out, err } =
            process::run(command.arg("signature-times").env(PROCESSOR, value), b"\n\n");
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let times: Vec<_> = out.lines().map(|line| Duration::from_nanos(line.parse().unwrap())).collect();
        assert_eq!(times.len(), 2, "{out}");
        assert!(times.iter().all(|time| *time > Duration::from_micros(20)), "{times:?}");
    }
}
