//! Hostile and broken-off beginnings leave nothing behind: no descriptor, no task, no memory.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use harness::{
    expect::{DEADLINE, Peer, all_present, eventually},
    gateway::{Gateway, HOST, PROFILE, Scene, phone_template},
    hello::{Hello, record},
    openssl::SClient,
    pki::{Key, KeyKind, Template},
};

/// Under the policy `guide`, with an RSA certificate, and as few places as a leak would soon fill.
fn scene() -> Scene {
    let mut scene = Scene::new();
    let server = scene.server_authority.issue_for(Key::new(KeyKind::Rsa2048), &Template::server(&[HOST]));
    scene.folder.replace("server-chain.pem", server.chain_pem());
    scene.folder.replace("server-key.pem", server.key_pem());
    scene.config.listeners[0].tls = "guide".to_owned();
    scene.config.limit("connections = 200");
    scene
}

fn descriptors(gateway: &Gateway) -> usize {
    fs::read_dir(format!("/proc/{}/fd", gateway.process.id())).unwrap().count()
}

/// Bytes of resident memory.
fn memory(gateway: &Gateway) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/statm", gateway.process.id())).unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Numbers that look random and are the same each time (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let table = vec![0x0039, 0x0035, 0x0033, 0x002f, 0x0005, 0x0004, 0x0062, 0x0060, 0x0003];
    let tls13 = Hello { versions: vec![0x0304, 0x0303], suites: vec![0x1301, 0xc02f], ..Hello::tls12(HOST) };
    let phone = Hello {
        version: 0x0301,
        suites: table.clone(),
        groups: Vec::new(),
        signature_algorithms: Vec::new(),
        server_name: None,
        ..Hello::tls12(HOST)
    };
    let specs: Vec<u8> =
        table.iter().flat_map(|suite: &u16| [&[0], &suite.to_be_bytes()[..]].concat()).collect();
    let body =
        [&[1, 3, 1, 0, u8::try_from(specs.len()).unwrap(), 0, 0, 0, 16], &specs[..], &[7; 16]].concat();
    let sslv2 = [&[0x80, u8::try_from(body.len()).unwrap()], &body[..]].concat();
    vec![
        Hello::tls12(HOST).records(),
        tls13.records(),
        phone.records(),
        sslv2,
        phone.message().chunks(7).flat_map(record).collect(),
    ]
}

fn mutated(numbers: &mut Numbers, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..1 + numbers.below(6) {
        let at = numbers.below(bytes.len());
        match numbers.below(5) {
            0 => bytes.truncate(at + 1),
            1 => bytes.insert(at, numbers.next().to_le_bytes()[0]),
            2 => {
                bytes.remove(at);
                if bytes.is_empty() {
                    bytes.push(22);
                }
            }
            3 => bytes[at] ^= 1 << numbers.below(8),
            _ => bytes[at] = numbers.next().to_le_bytes()[0],
        }
    }
    bytes
}

/// Says this and nothing more, and waits for the other end's.
fn say(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // The gateway may have closed by then; that is its right.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut sink = [0; 4096];
    while stream.read(&mut sink).is_ok_and(|read| read > 0) {}
}

/// How many hellos: a million in `tests/run`, a tenth of a hundredth of it where nothing is said.
fn mutations() -> usize {
    let said = std::env::var("PROVISION_MUTATIONS").ok().and_then(|text| text.parse().ok());
    said.unwrap_or(20_000)
}

#[test]
fn mutated_hellos_leave_nothing_behind() {
    let mut scene = scene();
    // What they offer is of no interest here, and a million records would fill the disk.
    scene.config.limit("handshake-timeout = \"5s\"");
    let gateway = scene.start();
    let open = descriptors(&gateway);
    let seeds = seeds();
    let all = mutations();
    let said = AtomicUsize::new(0);
    let run = |until: usize| {
        thread::scope(|scope| {
            for worker in 0..4_u64 {
                let (said, seeds, address) = (&said, &seeds, gateway.address());
                scope.spawn(move || {
                    let begun = u64::try_from(said.load(Ordering::Relaxed)).unwrap();
                    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ (worker << 40) ^ (begun + 1));
                    while said.fetch_add(1, Ordering::Relaxed) < until {
                        say(address, &mutated(&mut numbers, seeds));
                    }
                });
            }
        });
    };
    // The allocator and the queues first grow to what they need.
    run(all / 10);
    let used = memory(&gateway);
    run(all);
    eventually("every descriptor closed", || (descriptors(&gateway) <= open).then_some(()));
    let grown = memory(&gateway).saturating_sub(used);
    assert!(grown < 24 << 20, "{all} hellos left {grown} bytes behind");
    // Had a task been left, its place would be missing: the gateway still holds as many connections as it may.
    let held: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(gateway.address()).unwrap()).collect();
    eventually("all places taken", || (descriptors(&gateway) >= open + 200).then_some(()));
    drop(held);
    eventually("every descriptor closed", || (descriptors(&gateway) <= open).then_some(()));
}

/// Passes `records` of the client's records on, and then breaks off, with a reset or an orderly end.
fn cut_after(to: SocketAddr, records: usize, reset: bool) -> (SocketAddr, thread::JoinHandle<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let passed = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(to).unwrap();
        let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let back = thread::spawn(move || {
            let _ = std::io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let mut all = false;
        for number in 0.. {
            let mut header = [0; 5];
            if client.read_exact(&mut header).is_err() {
                all = true;
                break;
            }
            let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
            let _ = client.read_exact(&mut body);
            if number == records {
                // The half of a record is the worst place.
                let half = body.len() / 2;
                let _ = server.write_all(&[&header[..], &body[..half]].concat());
                break;
            }
            if server.write_all(&[&header[..], &body].concat()).is_err() {
                break;
            }
        }
        if reset {
            // Closed without waiting, the socket resets the connection; our own reading ends first.
            socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
            let _ = server.shutdown(Shutdown::Read);
        } else {
            let _ = server.shutdown(Shutdown::Write);
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = back.join();
        all
    });
    (address, passed)
}

#[test]
fn handshakes_cut_at_every_record_leave_nothing_behind() {
    if !all_present("handshakes_cut_at_every_record_leave_nothing_behind", &[Peer::Openssl]) {
        return;
    }
    let scene = scene();
    let gateway = scene.start();
    let phone = scene.client_authority.issue_for(Key::new(KeyKind::Rsa2048), &phone_template());
    let offers: [&[&str]; 4] = [
        &["-tls1_3"],
        &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "DHE-RSA-AES256-SHA:@SECLEVEL=0"],
        &["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"],
    ];
    let open = descriptors(&gateway);
    for offer in offers {
        for reset in [false, true] {
            for records in 0.. {
                let (address, passed) = cut_after(gateway.address(), records, reset);
                let client = SClient::new(address, &scene.server_authority).presenting(&phone).with(offer);
                let answer = client.get(PROFILE);
                let whole = passed.join().unwrap();
                if whole {
                    assert!(answer.out.contains("200 OK"), "{offer:?} after {records}: {answer:?}");
                    assert!(
                        records >= 3,
                        "{offer:?}: a handshake and a request are more than {records} records"
                    );
                    break;
                }
                assert!(!answer.out.contains("200 OK"), "{offer:?} cut after {records}");
            }
        }
    }
    eventually("every descriptor closed", || (descriptors(&gateway) <= open).then_some(()));
    let held: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(gateway.address()).unwrap()).collect();
    eventually("all places taken", || (descriptors(&gateway) >= open + 200).then_some(()));
    drop(held);
}
