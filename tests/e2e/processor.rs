//! Which way RSA signatures are made: the gateway's choice, or whoever sets the variable.

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use harness::binary;
use harness::gateway::{AS_FOUND, Gateway, HOST, PROCESSOR, Scene};
use harness::old_stack::{self, Job, Outcome};
use harness::pki::{Key, KeyKind, Template};
use harness::process::{self, Finished, Process};

use crate::verdict::admitted;

/// What the gateway sets when AVX2 is faster; and where it serves old phones as well.
const WITHOUT_BMI1: &str = ":~0x8";
const WITHOUT_ADX: &str = ":~0x80000:~0:~0:~0";

/// A scene whose server has an RSA 2048 key, which alone it matters for, and listens by this policy.
fn scene(tls: &str) -> Scene {
    let mut scene = Scene::new();
    let server = scene.server_authority.issue_for(Key::new(KeyKind::Rsa2048), &Template::server(&[HOST]));
    server.write(&scene.folder, "server");
    tls.clone_into(&mut scene.config.listeners[0].tls);
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

/// The value that the log says it was started again with.
fn started_again_with(gateway: &Gateway) -> Option<String> {
    let said = "the program starts once more, in the same process, with OPENSSL_ia32cap=";
    let log = gateway.process.log();
    let line = log.iter().find_map(|line| line.split_once(said))?.1;
    line.split_whitespace().next().map(str::to_owned)
}

/// With both of RSA's signature schemes; and old phones, by whose suite the gateway decrypts, where it serves them.
fn serves(scene: &Scene, gateway: &Gateway) {
    admitted(gateway, &scene.client(gateway, &scene.phone()).tls12());
    admitted(gateway, &scene.client(gateway, &scene.phone()).tls13());
    if scene.config.listeners[0].tls == "guide" && old_stack::is_present("processor: old phones") {
        let files = old_stack::files(&scene.folder, "old-phone", &scene.phone());
        let job = Job::new(gateway.address(), "tls1", "AES128-SHA").presenting(&files);
        let outcomes = old_stack::run(&[job]);
        assert!(outcomes.iter().all(Outcome::is_served), "{outcomes:?}");
        assert_eq!(gateway.audit.next().text("engine"), "legacy");
    }
}

#[test]
fn without_the_variable_the_gateway_chooses_and_says_so_when_it_starts_again() {
    for (tls, value) in [("modern", WITHOUT_BMI1), ("guide", WITHOUT_ADX)] {
        let scene = scene(tls);
        let gateway = scene.start_told(None);
        serves(&scene, &gateway);
        let config = scene.folder.join("gateway.toml");
        let arguments = [binary::gateway().as_path(), "run".as_ref(), "--config".as_ref(), config.as_path()]
            .map(|argument| argument.to_str().unwrap().to_owned());
        assert_eq!(entries(&gateway, "cmdline"), arguments, "as if it had been started so at once");
        // Whether it does depends on this processor.
        let again = started_again_with(&gateway);
        if again.is_none() {
            eprintln!(
                "skipped: a gateway that starts once more: AVX2 is not the faster way on this processor"
            );
        }
        assert!(again.is_none() || again.as_deref() == Some(value), "{again:?}");
        assert_eq!(told(&gateway), again);
    }
}

#[test]
fn who_sets_the_variable_decides() {
    for (tls, value) in [("modern", WITHOUT_BMI1), ("guide", WITHOUT_ADX), ("guide", AS_FOUND)] {
        let scene = scene(tls);
        let gateway = scene.start_told(Some(value));
        serves(&scene, &gateway);
        assert_eq!(told(&gateway).as_deref(), Some(value));
        assert_eq!(started_again_with(&gateway), None);
    }
}

/// A gateway that reads its configuration from a named pipe, and the pipe's other end: it waits for whoever writes there, and that
/// waits for it.
fn reading_from_a_pipe(scene: &Scene, processor: Option<&str>) -> (Process, fs::File) {
    let config = scene.folder.join("gateway.toml");
    assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
    let mut command = Command::new(binary::gateway());
    command.args(["run", "--config"]).arg(&config);
    match processor {
        Some(value) => command.env(PROCESSOR, value),
        None => command.env_remove(PROCESSOR),
    };
    let mut process = Process::start(&mut command);
    let id = process.id();
    process.wait_for("a process that hears SIGHUP", || hears_hang_up(id));
    let text = fs::File::options().write(true).open(&config).unwrap();
    (process, text)
}

/// A second start would find nothing in it, and wait.
#[test]
fn a_configuration_from_a_pipe_is_read_once() {
    let scene = scene("modern");
    let (mut process, mut text) = reading_from_a_pipe(&scene, None);
    text.write_all(scene.config.text().as_bytes()).unwrap();
    drop(text);
    process.wait_for_line("ready");
}

/// A hook that has the certificate read again does not ask how long the gateway has been running.
#[test]
fn a_hang_up_while_the_configuration_is_read_for_the_first_time_ends_nothing() {
    let scene = scene("modern");
    let (mut process, mut text) = reading_from_a_pipe(&scene, Some(AS_FOUND));
    process.signal("HUP");
    // What it is to read then is a file.
    scene.write_config();
    text.write_all(scene.config.text().as_bytes()).unwrap();
    drop(text);
    process.wait_for_line("ready");
    process.wait_for_log("configuration reloaded");
}

/// Whether the first bit is set in the mask of signals that the process catches.
fn hears_hang_up(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 1 == 1
}

#[test]
fn a_gateway_without_rsa_2048_keys_has_nothing_to_choose() {
    let scene = Scene::new();
    let gateway = scene.start_told(None);
    serves(&scene, &gateway);
    assert_eq!((told(&gateway), started_again_with(&gateway)), (None, None));
}

/// What the gateway asks of its other half.
#[test]
fn the_time_of_a_signature_is_told_in_nanoseconds_for_each_line() {
    for value in [AS_FOUND, WITHOUT_BMI1, WITHOUT_ADX] {
        let mut command = Command::new(binary::gateway());
        let Finished { code, out, err } =
            process::run(command.arg("signature-times").env(PROCESSOR, value), b"\n\n");
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let times: Vec<_> = out.lines().map(|line| Duration::from_nanos(line.parse().unwrap())).collect();
        assert_eq!(times.len(), 2, "{out}");
        assert!(times.iter().all(|time| *time > Duration::from_micros(20)), "{times:?}");
    }
}
