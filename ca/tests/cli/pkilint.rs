//! pkilint, and OpenSSL at its strictest, find nothing to complain of in anything made (CA I10, E1).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use ca::{
    Authority, DeviceIdentity, DeviceRequest, FixedClock, FoundOptions, KeyType, ListDays, MacAttribute,
    OperatingSystem, PostgresUrl, PublicationRequest, RevocationReason, ServerName, ServerRequest, Shape,
    SubjectKey,
};
use certs::{Timestamp, Validity};

use crate::serve::Server;
use crate::stores::{Inventory, On, postgresql_is_here};
use crate::support::{Workplace, openssl_is_here};

/// The folder of pkilint's programs.
const PROGRAMS: &str = "PROVISION_PKILINT";

/// Where pkilint is; with `REQUIRE_PEERS=1` it must be.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn pkilint(test: &str) -> Option<PathBuf> {
    let programs =
        std::env::var_os(PROGRAMS).map(PathBuf::from).filter(|path| path.join("lint_crl").exists());
    let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(programs.is_some() || !required, "{test} needs pkilint ({PROGRAMS}), and REQUIRE_PEERS=1 is set");
    if programs.is_none() {
        eprintln!("skipped: {test} needs pkilint (tests/run installs it and sets {PROGRAMS})");
    }
    programs
}

/// One file to judge, and how.
#[derive(Clone)]
struct Artefact {
    program: &'static str,
    options: &'static [&'static str],
    path: PathBuf,
}

impl Artefact {
    fn certificate(path: PathBuf) -> Self {
        Self { program: "lint_pkix_cert", options: &[], path }
    }

    fn list(path: PathBuf) -> Self {
        Self { program: "lint_crl", options: &["-t", "CRL", "-p", "PKIX"], path }
    }

    fn response(path: PathBuf) -> Self {
        Self { program: "lint_ocsp_response", options: &[], path }
    }
}

/// The findings with the files they are of, from the quietest severity on.
fn findings(programs: &Path, artefacts: &[Artefact]) -> BTreeMap<String, BTreeSet<String>> {
    let queue = Mutex::new(artefacts.to_vec());
    let found: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(artefact) = queue.lock().unwrap().pop() else { return };
                    let Artefact { program, options, path } = artefact;
                    let output = Command::new(programs.join(program))
                        .args(["lint", "-s", "INFO", "-f", "JSON"])
                        .args(options)
                        .arg(&path)
                        .output()
                        .unwrap();
                    let text = String::from_utf8_lossy(&output.stdout).into_owned();
                    let value: serde_json::Value = serde_json::from_str(&text)
                        .unwrap_or_else(|error| panic!("{}: {error}: {text} {output:?}", path.display()));
                    for result in value["results"].as_array().unwrap() {
                        for one in result["finding_descriptions"].as_array().unwrap() {
                            let code = one["code"].as_str().unwrap().to_owned();
                            let place = format!("{}: {one}", path.display());
                            found.lock().unwrap().entry(code).or_default().insert(place);
                        }
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

fn waivers() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/pkilint-waivers.toml");
    let table: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let waivers = table["waiver"].as_array().unwrap();
    let text = |one: &toml::Value, key: &str| one[key].as_str().unwrap().to_owned();
    assert!(waivers.iter().all(|one| text(one, "reason").len() > 20), "each with its reason");
    waivers.iter().map(|one| text(one, "finding")).collect()
}

#[track_caller]
fn judge(programs: &Path, artefacts: &[Artefact]) {
    let (found, waived) = (findings(programs, artefacts), waivers());
    let unwaived: Vec<_> = found.iter().filter(|(code, _)| !waived.contains(*code)).collect();
    assert!(unwaived.is_empty(), "{unwaived:#?}");
    let needless: Vec<_> = waived.iter().filter(|code| !found.contains_key(*code)).collect();
    assert!(needless.is_empty(), "waived, and found nowhere: {needless:?}");
}

fn ends_with(here: &Workplace, folder: &str, end: &str) -> Vec<PathBuf> {
    here.files(folder).iter().filter(|file| file.ends_with(end)).map(|file| here.path(file)).collect()
}

/// An OCSP answer to what OpenSSL asks, written to a file.
fn response(here: &Workplace, server: &Server, issuer: &str, more: &[&str], out: &str) -> PathBuf {
    let authority = format!("provision-ca/authorities/{issuer}/cert.pem");
    let url = format!("http://{}/ocsp", server.address);
    let options = ["ocsp", "-noverify", "-issuer", &authority, "-url", &url, "-respout", out];
    here.openssl(&[&options[..], more].concat()).done();
    here.path(out)
}

#[test]
fn i10_pkilint_has_no_complaint_of_any_kind_of_key_and_shape() {
    let test = "i10_pkilint_has_no_complaint_of_any_kind_of_key_and_shape";
    let Some(programs) = pkilint(test) else { return };
    if !openssl_is_here(test) {
        return;
    }
    let mut artefacts = Vec::new();
    let mut places = Vec::new();
    // Two shapes and two kinds of key on each kind of store: what is judged takes no longer.
    let other = if postgresql_is_here(test) { On::Postgresql } else { On::Sqlite };
    for (on, shape, key) in [
        (On::Sqlite, "flat", "rsa2048"),
        (other, "issuing", "p256"),
        (other, "flat", "rsa3072"),
        (On::Sqlite, "issuing", "rsa4096"),
    ] {
        let here = Workplace::on(on, &["--shape", shape, "--key", key]);
        let leaf = if key == "p256" { "p256" } else { "rsa2048" };
        here.run(&["publication", "set", "http://pki.example.com", "--shards", "2", "--ocsp"]).done();
        let san = ["--san", "2001:db8::1", "--san", "192.0.2.7", "--san", "alt.example.com"];
        here.run(&[&["server", "issue", "prov.example.com", "--key", leaf][..], &san].concat()).done();
        for (mac, attribute) in [("000e08abcdef", "surname"), ("000e08abcdf0", "state")] {
            let phone =
                ["device", "issue", "--model", "CP-8841-3PCC", "--mac-attribute", attribute, "--key", leaf];
            here.run(&[&phone[..], &["--serial", mac, "--mac", mac]].concat()).done();
        }
        here.run(&["device", "generic", "--key", leaf]).done();
        here.run(&["revoke", "ciscogeneric", "--reason", "keyCompromise"]).done();
        here.run(&["revoke", "000e08abcdf0"]).done();
        let issuer = if shape == "issuing" { "client-issuing" } else { "client-root" };
        let server = Server::start(&here, &[]);
        let phone = "provision-ca/devices/000e08abcdef/cert.pem";
        let revoked = "provision-ca/devices/ciscogeneric/cert.pem";
        for (number, more) in [&["-cert", phone][..], &["-cert", revoked, "-serial", "0x77", "-no_nonce"]]
            .into_iter()
            .enumerate()
        {
            let out = format!("response{number}.der");
            artefacts.push(Artefact::response(response(&here, &server, issuer, more, &out)));
        }
        drop(server);
        artefacts
            .extend(ends_with(&here, "provision-ca", "/cert.pem").into_iter().map(Artefact::certificate));
        artefacts.extend(ends_with(&here, "provision-ca/trust/crls", ".crl").into_iter().map(Artefact::list));
        places.push(here);
    }
    assert!(artefacts.len() > 50, "{}", artefacts.len());
    judge(&programs, &artefacts);
}

#[test]
fn e1_i10_pkilint_and_openssl_have_no_complaint_of_any_date() {
    let test = "e1_i10_pkilint_and_openssl_have_no_complaint_of_any_date";
    let Some(programs) = pkilint(test) else { return };
    if !openssl_is_here(test) {
        return;
    }
    let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("ca");
    // Begun on a whole day, and an hour back, the authorities end in the last second there is.
    let begun = at("2049-11-30T01:00:00Z");
    let last = at("9999-12-31T23:59:59Z");
    let days = u32::try_from((last.unix() + 1 - at("2049-11-30T00:00:00Z").unix()) / 86_400).unwrap();
    // What a database makes of such dates is seen on the kind of store that keeps them in columns of a type.
    let inventory = Inventory::new(if postgresql_is_here(test) { On::Postgresql } else { On::Sqlite });
    let database = inventory.url().map(|url| PostgresUrl::parse(&url, &root).unwrap());
    let (shape, key) = (Shape::Issuing, KeyType::P256);
    let options = FoundOptions { shape, key, days, database, ..FoundOptions::default() };
    Authority::found(&root, &options, None, Arc::new(FixedClock(begun))).unwrap();
    let mut authority = Authority::open(&root, Arc::new(FixedClock(begun))).unwrap();
    for name in ["client-issuing", "server-issuing"] {
        let url = "http://pki.example.com".to_owned();
        let request = PublicationRequest { url, shards: 1, ocsp: true, complete_list: true };
        authority.set_publication(name, &request).unwrap();
    }
    let key = || SubjectKey::generate(KeyType::P256, None, &OperatingSystem).unwrap();
    let ends = ["2049-12-31T23:59:59Z", "2050-01-01T00:00:00Z", "9999-12-31T23:59:59Z"];
    for (number, end) in ends.iter().enumerate() {
        let validity = Some(Validity { not_before: begun, not_after: at(end) });
        let mac = format!("000e08abcd0{number}");
        let request = DeviceRequest {
            identity: DeviceIdentity::parse("CP-8841-3PCC", &mac, &mac).unwrap(),
            mac_attribute: MacAttribute::Surname,
            key: key(),
            validity,
            replace: false,
        };
        let issued = authority.issue_device(request).unwrap();
        assert_eq!(issued.certificate.validity().not_after, at(end));
        let names = vec![ServerName::host(&format!("prov{number}.example.com")).unwrap()];
        authority.issue_server(ServerRequest { names, key: key(), validity, replace: false }).unwrap();
    }
    let id = authority.select("000e08abcd02").unwrap()[0].id;
    authority.revoke(id, RevocationReason::Superseded).unwrap();
    let mut artefacts = Vec::new();
    // Lists of 2049 that end in 2050, and the last ones.
    let keep = |artefacts: &mut Vec<Artefact>, name: &str, der: &[u8]| {
        let path = folder.path().join(name);
        #[expect(clippy::disallowed_methods, reason = "an input of the judge, written before it reads")]
        std::fs::write(&path, der).unwrap();
        artefacts.push(Artefact::list(path));
    };
    for (number, days) in [(0, 31), (1, 32), (2, 365)] {
        for list in authority.publish_crls(None, ListDays { issuing: days, root: days }).unwrap() {
            let shard = list.shard.is_some();
            keep(&mut artefacts, &format!("{}-{shard}-{number}.crl", list.authority), &list.der);
        }
    }
    for list in authority.publish_last_crls("client-issuing").unwrap() {
        let shard = list.shard.is_some();
        assert_eq!(list.next_update, last);
        keep(&mut artefacts, &format!("last-{shard}.crl"), &list.der);
    }
    authority.issue_responder("client-issuing", 200).unwrap();
    let mut certificates = Vec::new();
    collect(&root, &mut certificates);
    assert_eq!(certificates.len(), 4 + 6 + 1);
    for path in &certificates {
        let text = std::fs::read_to_string(path).unwrap();
        let is_client = path.components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            part == "devices" || part.starts_with("client-")
        });
        let side = if is_client { "client" } else { "server" };
        let trust = root.join(format!("trust/{side}-root.pem"));
        let between = root.join(format!("authorities/{side}-issuing/cert.pem"));
        let end = certs::Certificate::parse_pem(text).unwrap().validity().not_after;
        // OpenSSL takes the last second itself for the first after the end.
        for time in [begun, end.plus_seconds(-1)] {
            let judged = Command::new("openssl")
                .args(["verify", "-x509_strict", "-check_ss_sig", "-attime", &time.unix().to_string()])
                .arg("-CAfile")
                .arg(&trust)
                .arg("-untrusted")
                .arg(&between)
                .arg(path)
                .output()
                .unwrap();
            assert!(judged.status.success(), "{}: {judged:?}", path.display());
        }
    }
    artefacts.extend(certificates.into_iter().map(Artefact::certificate));
    judge(&programs, &artefacts);
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.file_name().is_some_and(|name| name == "cert.pem") {
            found.push(path);
        }
    }
}
