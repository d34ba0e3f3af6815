use std::fs;

use super::*;

fn streams_of(run: impl FnOnce(&mut Streams<'_>) -> io::Result<Outcome>) -> (Outcome, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = run(&mut Streams { out: &mut out, err: &mut err }).unwrap();
    (outcome, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn arguments(dir: &Path, check: bool) -> cli::Quickstart {
    cli::Quickstart { dir: dir.to_owned(), listen: "127.0.0.1:8443".parse().unwrap(), check }
}

#[test]
fn every_phone_gets_what_it_should_and_again_in_a_folder_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demonstration");
    let (outcome, out, err) = streams_of(|streams| quickstart(&arguments(&dir, true), streams));
    assert_eq!(outcome, Outcome::Done, "{out}{err}");
    let key = fs::read(dir.join("ca/devices/000e08abcdef/key.pem")).unwrap();
    let (outcome, out, err) = streams_of(|streams| quickstart(&arguments(&dir, true), streams));
    assert_eq!(outcome, Outcome::Done, "{out}{err}");
    assert_eq!(fs::read(dir.join("ca/devices/000e08abcdef/key.pem")).unwrap(), key, "nothing is made twice");
}

#[test]
fn the_configuration_has_no_mistake_and_one_that_was_changed_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let listen = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let made = Demonstration::prepare(folder.path(), listen(8443)).unwrap();
    let config = Config::load(&made.config, crate::clock::now()).unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.listeners[0].address, listen(8443));

    let made = Demonstration::prepare(folder.path(), listen(9443)).unwrap();
    let config = Config::load(&made.config, crate::clock::now()).unwrap();
    assert_eq!(config.listeners[0].address, listen(9443), "--listen counts while the file is as it was made");

    let changed = fs::read_to_string(&made.config).unwrap() + "# mine\n";
    folder::write(&made.config, &changed).unwrap();
    Demonstration::prepare(folder.path(), listen(7443)).unwrap();
    assert_eq!(fs::read_to_string(&made.config).unwrap(), changed);
}

#[test]
fn a_port_that_is_taken_is_said_first_and_the_running_demonstration_keeps_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let socket = folder.path().join("reflect.sock");
    let _running = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let arguments = cli::Quickstart { dir: folder.path().to_owned(), listen, check: false };
    let (outcome, out, err) = streams_of(|streams| quickstart(&arguments, streams));
    assert_eq!((outcome, out.as_str()), (Outcome::Refused, ""));
    assert!(err.contains(&format!("cannot listen on {listen}")) && err.contains("--listen"), "{err}");
    assert!(std::os::unix::net::UnixStream::connect(&socket).is_ok());
}

#[test]
fn the_introduction_gives_lines_to_paste() {
    let demonstration = Demonstration { folder: "demo".into(), config: "demo/gateway.toml".into() };
    let (_, out, _) = streams_of(|streams| introduce(&demonstration, 8443, streams).map(|()| Outcome::Done));
    assert!(
        out.contains(
            "curl --cacert demo/ca/trust/server-root.pem --cert demo/ca/devices/000e08abcdef/chain.pem \
         --key demo/ca/devices/000e08abcdef/key.pem https://localhost:8443/000e08abcdef.cfg\n"
        ),
        "{out}"
    );
    for part in [
        "--header 'SSL-Client-S-DN-S: 000e08000002' https://reflect.localhost:8443/reflect.pl\n",
        "--cert demo/ca/devices/000e08000003/chain.pem",
        "--cert demo/ca/devices/000e08000004/chain.pem",
        "--cert demo/foreign-ca/devices/000e08abcdef/chain.pem",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
}

#[test]
fn every_file_that_the_introduction_names_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let demonstration = Demonstration::prepare(folder.path(), "127.0.0.1:8443".parse().unwrap()).unwrap();
    let (_, out, _) = streams_of(|streams| introduce(&demonstration, 8443, streams).map(|()| Outcome::Done));
    let files: Vec<&str> = out.split_whitespace().filter(|word| word.ends_with(".pem")).collect();
    assert_eq!(files.len(), 10 + 2 * 9, "{out}");
    for file in files {
        assert!(Path::new(file).is_file(), "{file}");
    }
}
