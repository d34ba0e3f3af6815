//! Certificates from ready requests beside the bare signatures of the issuer's key.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use ca::{KeyType, NewRequest, PrivateKey, SubjectName};

use crate::{cores, cpu, issue, peak, rate, spent, store, write};

/// How long bare signatures are counted, before and again after.
const SIGNING: Duration = Duration::from_secs(3);

/// What kind of key the requests have.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    P256,
    Rsa2048,
}

pub(crate) fn measure(place: &Path, count: usize, of: Of) {
    let (name, key_type) = match of {
        Of::P256 => ("P-256", KeyType::P256),
        Of::Rsa2048 => ("RSA-2048", KeyType::Rsa2048),
    };
    let store = store(place, &format!("from-{name}"));
    let list = place.join(format!("{name}.jsonl"));
    let mut text = String::new();
    for (number, request) in requests(count, key_type).into_iter().enumerate() {
        let (serial, mac) = (format!("R{number:07}"), format!("000e09{number:06x}"));
        let line =
            serde_json::json!({ "model": "CP-8841-3PCC", "serial": serial, "mac": mac, "csr": request });
        writeln!(text, "{line}").unwrap();
    }
    write(&list, text);
    let key = store.join("authorities/client-root/key.pem");
    let before = (signatures(&key, 1), signatures(&key, cores()));
    let whole = spent(|| issue(&store, &list));
    let after = (signatures(&key, 1), signatures(&key, cores()));
    let mean = |one: (f64, f64), other: (f64, f64)| ((one.0 + other.0) / 2.0, (one.1 + other.1) / 2.0);
    let ((one, signature), (all, _)) = (mean(before.0, after.0), mean(before.1, after.1));
    let rate = rate(count, whole.wall);
    let each = 1e6 / self::rate(count, whole.cpu);
    println!(
        "{count} certificates from requests with {name} keys in {:.2} s ({:.2} s of CPU): {rate:.0} a second\n\
         at most {:.0} MB of memory, requests included\n\
         bare signatures of the RSA-2048 issuer: {one:.0} a second on one core, {all:.0} on all {}: {:.0} % and {:.0} %\n\
         CPU of a certificate {each:.0} µs, of a bare signature {signature:.0} µs: {:.0} % (a busy machine changes this least)",
        whole.wall.as_secs_f64(),
        whole.cpu.as_secs_f64(),
        peak(),
        cores(),
        100.0 * rate / one,
        100.0 * rate / all,
        100.0 * signature / each,
    );
}

/// So many requests, PEM, made on all cores.
pub(crate) fn requests(count: usize, key_type: KeyType) -> Vec<String> {
    let name = SubjectName::new(vec![(ca::AttributeType::CommonName, "phone".to_owned())]).unwrap();
    let host = ca::ServerName::host("phone.example.com").unwrap();
    let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    let key = PrivateKey::generate(key_type).unwrap();
                    let request = NewRequest::sign(&name, std::slice::from_ref(&host), &key).unwrap().pem;
                    made.lock().unwrap().push(request);
                }
            });
        }
    });
    made.into_inner().unwrap()
}

/// Signatures a second with this key, each thread with its own copy of it, and the microseconds of CPU that one takes.
fn signatures(path: &PathBuf, threads: usize) -> (f64, f64) {
    let pem = std::fs::read_to_string(path).unwrap();
    let der = pem::parse(pem.as_bytes()).unwrap();
    let signed = AtomicUsize::new(0);
    let (begun, cpu) = (Instant::now(), cpu());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let issuer = KeyPair::from_pkcs8(der.contents()).unwrap();
                let random = aws_lc_rs::rand::SystemRandom::new();
                let mut signature = vec![0; issuer.public_modulus_len()];
                while begun.elapsed() < SIGNING {
                    issuer.sign(&RSA_PKCS1_SHA256, &random, &[7; 600], &mut signature).unwrap();
                    signed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let signed = signed.into_inner();
    (rate(signed, begun.elapsed()), 1e6 / rate(signed, self::cpu() - cpu))
}
