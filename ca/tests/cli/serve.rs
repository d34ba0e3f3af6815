//! `serve`: what a client fetches, what it costs a hostile one, and what the lists do in the meantime (CA G4).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::stores::{On, on_both_stores};
use crate::support::{Workplace, openssl_is_here};

on_both_stores! {
    lists_and_certificates_are_served_with_their_types_and_conditions,
    g4_what_other_processes_revoke_and_publish_is_served_without_being_told,
    a_server_that_cannot_begin_says_why,
}

/// Longest wait for what is to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server, ended on drop.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(here: &Workplace, more: &[&str]) -> Self {
        let arguments = [&["serve", "--listen", "127.0.0.1:0"], more].concat();
        let mut child =
            here.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on http://") else {
            let _ended = child.kill();
            panic!("{line:?}: {:?}", child.wait_with_output());
        };
        let address = address.to_owned();
        Self { child, address }
    }

    /// One request in these words, and the answer's head and body.
    pub(crate) fn send(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(format!("{head}\r\nHost: pki.example.com\r\nConnection: close\r\n").as_bytes())
            .unwrap();
        stream.write_all(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::of(&bytes)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1"), b"")
    }

    fn health(&self) -> serde_json::Value {
        serde_json::from_slice(&self.get("/health").body).unwrap()
    }

    /// Waits until the answer to a path is as it should be.
    pub(crate) fn eventually(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = self.get(path);
            if wanted(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{path}: {answer:?}");
            std::thread::yield_now();
        }
    }

    /// Tells it to end; gives its exit code and its log.
    fn end(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (status.code(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|part| part == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn list(&self) -> certs::RevocationList {
        assert_eq!(self.status, 200, "{}", self.head);
        certs::RevocationList::parse(&self.body).unwrap()
    }
}

fn phone(here: &Workplace, mac: &str) {
    let arguments =
        ["device", "issue", "--model", "CP-8841-3PCC", "--key", "p256", "--serial", mac, "--mac", mac];
    here.run(&arguments).done();
}

fn sharded(on: On) -> Workplace {
    let here = Workplace::on(on, &[]);
    let set = ["publication", "set", "http://pki.example.com", "--authority", "client-root"];
    here.run(&[&set[..], &["--shards", "2"]].concat()).done();
    here
}

fn lists_and_certificates_are_served_with_their_types_and_conditions(on: On) {
    let here = sharded(on);
    let server = Server::start(&here, &[]);
    let answer = server.get("/crl/client-root.1.crl");
    assert_eq!(answer.field("content-type"), Some("application/pkix-crl"));
    assert!(answer.field("cache-control").unwrap().contains("max-age=3600"));
    let list = answer.list();
    assert_eq!(answer.body.first(), Some(&0x30), "DER");
    assert!(list.is_usable() && list.is_empty());
    let tag = answer.field("etag").unwrap();
    let modified = answer.field("last-modified").unwrap();
    for (condition, status) in [
        (format!("If-None-Match: {tag}"), 304),
        (format!("If-None-Match: \"x\", W/{tag}"), 304),
        ("If-None-Match: *".to_owned(), 304),
        ("If-None-Match: \"x\"".to_owned(), 200),
        (format!("If-Modified-Since: {modified}"), 304),
        ("If-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT".to_owned(), 200),
        ("If-Modified-Since: yesterday".to_owned(), 200),
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {modified}"), 200),
    ] {
        let again = server.send(&format!("GET /crl/client-root.1.crl HTTP/1.1\r\n{condition}"), b"");
        assert_eq!(again.status, status, "{condition}");
        assert_eq!(again.body.is_empty(), status == 304, "{condition}");
        assert_eq!(again.field("etag"), Some(tag));
    }
    let head = server.send("HEAD /crl/client-root.1.crl HTTP/1.1", b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.field("content-length"), Some(answer.body.len().to_string().as_str()));
    let root = here.read("provision-ca/trust/client-root.pem");
    assert_eq!(server.get("/ca/client-root.pem").body, root.as_bytes());
    let trust = server.get("/ca/server-trust.pem");
    assert_eq!(trust.body, here.read("provision-ca/trust/server-root.pem").as_bytes());
    let der = server.get("/ca/client-root.der");
    assert_eq!(der.field("content-type"), Some("application/pkix-cert"));
    assert_eq!(der.body, pem::parse(root).unwrap().into_contents());
    let paths = String::from_utf8(server.get("/").body).unwrap();
    for path in paths.lines() {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert!(paths.contains("/crl/client-root.2.crl\n"), "{paths}");
}

#[test]
fn what_is_not_published_is_not_there() {
    let here = sharded(On::Sqlite);
    let server = Server::start(&here, &["--no-publish"]);
    for path in [
        "/crl/../ca.sqlite",
        "/crl/..%2f..%2fauthorities/client-root/key.pem",
        "/authorities/client-root/key.pem",
        "//crl/client-root.crl",
        "/crl/client-root.crl/",
        "/CRL/client-root.crl",
        "/crl/",
        "/crl/client-root.1.crl",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.get("/crl/client-root.crl?x=1").status, 200, "a query is nothing to it");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "X"] {
        let answer = server.send(&format!("{method} /crl/client-root.crl HTTP/1.1"), b"");
        assert!([400, 405].contains(&answer.status), "{method}: {answer:?}");
    }
    // A shard was never made, so clients that need it cannot rely on this server.
    let health = server.get("/health");
    assert_eq!(health.status, 503);
    assert_eq!(server.health()["status"], "degraded");
}

fn g4_what_other_processes_revoke_and_publish_is_served_without_being_told(on: On) {
    let here = sharded(on);
    let server = Server::start(&here, &[]);
    assert_eq!(server.get("/health").status, 200);
    for mac in ["000e08abcd00", "000e08abcd01"] {
        phone(&here, mac);
    }
    let certificate = |mac: &str| {
        let text = here.read(&format!("provision-ca/devices/{mac}/cert.pem"));
        certs::Certificate::parse_pem(text).unwrap()
    };
    let revoked = certificate("000e08abcd00");
    let point = revoked.crl_distribution_points()[0].uris().next().unwrap().to_owned();
    let path = point.strip_prefix("http://pki.example.com").unwrap();
    let before = server.get(path).list();
    here.run(&["revoke", "000e08abcd00", "--reason", "keyCompromise"]).done();
    for path in [path, "/crl/client-root.crl"] {
        let answer = server.eventually(path, |answer| !answer.list().is_empty());
        assert!(answer.list().contains(revoked.serial()).is_some());
    }
    assert!(server.get(path).list().number() > before.number());
    // Of the shards, only the one that has changed was made again.
    let other = if path.ends_with(".1.crl") { "/crl/client-root.2.crl" } else { "/crl/client-root.1.crl" };
    let number = |path: &str| server.get(path).list().number();
    let other_before = number(other);
    // The reason alone changes: the list is made again.
    let of_reason = |answer: &Answer| answer.list().contains(revoked.serial()).unwrap().reason;
    phone(&here, "000e08abcd02");
    here.run(&["crl", "publish", "--authority", "client-root"]).done();
    server.eventually(other, |answer| answer.list().number() > other_before);
    assert_eq!(of_reason(&server.get(path)), Some(certs::RevocationReason::KeyCompromise));
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("SIGTERM") && log.contains("published"), "{log}");
}

#[test]
fn hostile_clients_cost_a_place_for_a_while_and_no_more() {
    let here = sharded(On::Sqlite);
    let server = Server::start(&here, &["--connections-per-address", "3"]);
    let mut idle: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    for stream in &mut idle {
        stream.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
    }
    // The fourth of one address is turned away at once; when one leaves, it is served.
    let begun = Instant::now();
    loop {
        let mut fourth = TcpStream::connect(&server.address).unwrap();
        let _refused = fourth.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut got = Vec::new();
        let _reset = fourth.read_to_end(&mut got);
        if got.is_empty() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody is turned away");
    }
    drop(idle.pop());
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let mut fourth = TcpStream::connect(&server.address).unwrap();
        let _refused = fourth.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut got = Vec::new();
        let _reset = fourth.read_to_end(&mut got);
        if got.starts_with(b"HTTP/1.1 200") {
            break;
        }
    }
    assert!(begun.elapsed() < PATIENCE, "a place that was left is taken again");
    // A head that never ends is answered and closed, by size or by time.
    let mut endless = idle.pop().unwrap();
    let mut sent = 0_usize;
    while sent < 1 << 20 && endless.write_all(&[b'a'; 4096]).is_ok() {
        sent += 4096;
    }
    endless.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    let _reset = endless.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
    let mut slow = idle.pop().unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    let _reset = slow.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "its time is up");
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(garbage).unwrap();
        let _half = stream.shutdown(std::net::Shutdown::Write);
        let mut got = Vec::new();
        let _reset = stream.read_to_end(&mut got);
        assert!(!got.starts_with(b"HTTP/1.1 200"), "{garbage:?}");
    }
    server.eventually("/health", |answer| answer.status == 200);
}

fn a_server_that_cannot_begin_says_why(on: On) {
    let here = sharded(on);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = here.run(&["serve", "--listen", &address]).refused();
    assert!(refused.contains(&format!("error: cannot listen on {address}: ")), "{refused}");
    assert!(refused.contains("hint: choose another address"), "{refused}");
    std::fs::remove_file(here.path("provision-ca/authorities/client-root/key.pem")).unwrap();
    let refused = here.run(&["serve", "--listen", "127.0.0.1:0"]).refused();
    assert!(refused.contains("client-root/key.pem"), "{refused}");
    assert_eq!(Server::start(&here, &["--no-publish"]).get("/ca/client-root.pem").status, 200);
}

#[test]
fn g4_openssl_fetches_the_list_a_certificate_names() {
    if !openssl_is_here("g4_openssl_fetches_the_list_a_certificate_names") {
        return;
    }
    let here = Workplace::on(On::Sqlite, &[]);
    let server = Server::start(&here, &[]);
    let url = format!("http://{}", server.address);
    here.run(&["publication", "set", &url, "--authority", "client-root", "--shards", "2"]).done();
    phone(&here, "000e08abcd00");
    let chain = "provision-ca/devices/000e08abcd00/chain.pem";
    let judge = || {
        let root = "provision-ca/trust/client-root.pem";
        let options = ["verify", "-x509_strict", "-crl_check", "-extended_crl", "-crl_download"];
        here.openssl(&[&options[..], &["-CAfile", root, chain]].concat())
    };
    let text = here.read(chain);
    let certificate = certs::Certificate::parse_pem(text).unwrap();
    let point = certificate.crl_distribution_points()[0].uris().next().unwrap().to_owned();
    let path = point.strip_prefix(&url).unwrap();
    server.eventually(path, |answer| answer.status == 200);
    judge().done();
    here.run(&["revoke", "000e08abcd00"]).done();
    server.eventually(path, |answer| !answer.list().is_empty());
    assert!(judge().stderr.contains("certificate revoked"));
}
