//! `openssl ca` and its text database, beside the same work done here.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ca::KeyType;

use crate::{program, rate, requests, store, write};

/// Requests that one `openssl ca` gets: their names must fit into a command line.
const AT_ONCE: usize = 1000;

/// Certificates that OpenSSL revokes at most: one process each, which reads and writes the whole database.
const REVOKED: usize = 200;

const CONFIGURATION: &str = "\
[ca]
default_ca = here
[here]
dir = .
database = index.txt
new_certs_dir = certs
serial = serial
crlnumber = crlnumber
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 7300
default_crl_days = 7
unique_subject = no
policy = anything
x509_extensions = device
copy_extensions = none
[anything]
commonName = supplied
[device]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
";

pub(crate) fn measure(place: &Path, count: usize) {
    let there = Command::new("openssl").arg("version").output();
    let Some(version) = there.ok().filter(|output| output.status.success()) else {
        println!("openssl is not here: nothing to compare with");
        return;
    };
    let folder = place.join("openssl");
    std::fs::create_dir_all(folder.join("certs")).unwrap();
    write(&folder.join("ca.cnf"), CONFIGURATION);
    write(&folder.join("index.txt"), "");
    write(&folder.join("serial"), "4100000000000000000000000000000000000001\n");
    write(&folder.join("crlnumber"), "01\n");
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&folder, &[&new[..], &["-subj", "/CN=ca", "-days", "9000"]].concat());
    let requests = requests::requests(count, KeyType::P256);
    let mut list = String::new();
    for (number, request) in requests.iter().enumerate() {
        write(&folder.join(format!("{number}.csr")), request);
        let (serial, mac) = (format!("O{number:07}"), format!("000e0a{number:06x}"));
        let line =
            serde_json::json!({ "model": "CP-8841-3PCC", "serial": serial, "mac": mac, "csr": request });
        list.push_str(&format!("{line}\n"));
    }
    let path = place.join("openssl.jsonl");
    write(&path, list);
    println!("{}, {count} requests with P-256 keys, an issuer with RSA 2048", text(&version.stdout));

    let names: Vec<String> = (0..count).map(|number| format!("{number}.csr")).collect();
    let theirs = timed(|| {
        for names in names.chunks(AT_ONCE) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let ca = ["ca", "-config", "ca.cnf", "-batch", "-notext", "-infiles"];
            openssl(&folder, &[&ca[..], &names].concat());
        }
    });
    let store = store(place, "beside-openssl");
    let ours = timed(|| crate::issue(&store, &path));
    println!(
        "issued: openssl ca {:.0} a second, provision-ca {:.0} a second",
        rate(count, theirs),
        rate(count, ours)
    );

    let serials = serials(&folder);
    let revoked = count.min(REVOKED);
    let theirs = timed(|| {
        for serial in serials.iter().take(revoked) {
            let certificate = format!("certs/{serial}.pem");
            let ca = ["ca", "-config", "ca.cnf", "-revoke", &certificate, "-crl_reason", "keyCompromise"];
            openssl(&folder, &ca);
        }
    });
    let ours = timed(|| program(&store, &["revoke", "model=CP-8841*", "--reason", "keyCompromise"]));
    println!(
        "revoked: openssl ca {:.0} a second ({revoked} in {theirs:.1?}), provision-ca {:.0} a second ({count} in {ours:.1?})",
        rate(revoked, theirs),
        rate(count, ours)
    );

    let theirs = timed(|| openssl(&folder, &["ca", "-config", "ca.cnf", "-gencrl", "-out", "ca.crl"]));
    let ours = timed(|| program(&store, &["crl", "publish"]));
    println!("list made: openssl ca {theirs:.1?} (of {revoked}), provision-ca {ours:.1?} (of {count})");

    let serial = serials.last().unwrap();
    let theirs = timed(|| openssl(&folder, &["ca", "-config", "ca.cnf", "-status", serial]));
    let mac = format!("000e0a{:06x}", count - 1);
    let ours = timed(|| program(&store, &["show", &mac]));
    println!("one looked up among {count}: openssl ca {theirs:.1?}, provision-ca {ours:.1?}");
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn openssl(folder: &Path, words: &[&str]) {
    let mut command = Command::new("openssl");
    let output = command.current_dir(folder).args(words).stdin(Stdio::null()).output().unwrap();
    // `-status` says with its exit code how the certificate stands.
    let is_done = output.status.success() || words.contains(&"-status");
    assert!(is_done, "openssl {}: {}", words[0], text(&output.stderr));
}

/// The serial numbers in its database, in its order.
fn serials(folder: &Path) -> Vec<String> {
    let index = std::fs::read_to_string(folder.join("index.txt")).unwrap();
    index.lines().map(|line| line.split('\t').nth(3).unwrap().to_owned()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
