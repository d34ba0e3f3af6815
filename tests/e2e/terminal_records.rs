//! Whatever a client does, its connection leaves exactly one record of its end: a property over random clients.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use harness::{
    client::Client,
    expect::{DEADLINE, eventually, now},
    gateway::{Gateway, HOST, PROFILE, Scene, phone_template},
    hello::Hello,
    pki::{Authority, Credentials, Template},
};
use proptest::{prelude::*, test_runner::TestRunner};
use socket2::SockRef;

/// What one client does with its one connection.
#[derive(Clone, Debug)]
enum Act {
    /// Connects and goes, politely or with a reset.
    Go { reset: bool },
    /// Connects and says nothing until it is closed.
    Silence,
    /// Bytes that are no client hello.
    Garbage(Vec<u8>),
    /// A part of a sound hello.
    PartOfHello { octets: usize, reset: bool },
    /// A whole hello, and then it goes.
    Hello { reset: bool },
    /// A hello with nothing that the gateway speaks.
    Old,
    /// A hello for a host that is not there.
    Elsewhere,
    /// A handshake without a certificate.
    NoCertificate,
    /// A handshake with a certificate that is refused.
    Refused { expired: bool },
    /// A sound handshake and no request; waits for the gateway's patience to end, or goes.
    NoRequest { waits: bool },
    /// A sound handshake, and a head that is none, or half of one.
    BadHead { whole: bool },
    /// So many requests, allowed and forbidden in turn.
    Requests { count: usize, ending: Ending },
}

/// How a connection with requests ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// The client closes.
    Closed,
    /// It asks for the end with the last request.
    Asked,
    /// It sends a bad head.
    BadHead,
    /// It waits until the gateway's patience ends.
    Idle,
    /// It sends a request and resets the connection before it has the answer.
    Reset,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let ending = prop_oneof![
        Just(Ending::Closed),
        Just(Ending::Asked),
        Just(Ending::BadHead),
        Just(Ending::Idle),
        Just(Ending::Reset)
    ];
    let act = prop_oneof![
        1 => any::<bool>().prop_map(|reset| Act::Go { reset }),
        1 => Just(Act::Silence),
        1 => proptest::collection::vec(any::<u8>(), 1..200).prop_map(Act::Garbage),
        1 => Just(Act::Garbage(b"GET / HTTP/1.1\r\n\r\n".to_vec())),
        1 => (1_usize..100, any::<bool>()).prop_map(|(octets, reset)| Act::PartOfHello { octets, reset }),
        1 => any::<bool>().prop_map(|reset| Act::Hello { reset }),
        1 => Just(Act::Old),
        1 => Just(Act::Elsewhere),
        1 => Just(Act::NoCertificate),
        1 => any::<bool>().prop_map(|expired| Act::Refused { expired }),
        1 => any::<bool>().prop_map(|waits| Act::NoRequest { waits }),
        1 => any::<bool>().prop_map(|whole| Act::BadHead { whole }),
        4 => (1_usize..5, ending).prop_map(|(count, ending)| Act::Requests { count, ending }),
    ];
    proptest::collection::vec(act, 1..60)
}

struct Clients {
    address: SocketAddr,
    phone: Client,
    stranger: Client,
    foreign: Client,
    expired: Client,
}

impl Clients {
    fn act(&self, act: &Act) {
        match act {
            Act::Go { reset } => leave(self.connect(), *reset),
            Act::Silence => wait_for_end(self.connect()),
            Act::Garbage(bytes) => self.say(bytes, false),
            Act::PartOfHello { octets, reset } => {
                let hello = Hello::tls12(HOST).records();
                self.say(&hello[..(*octets).min(hello.len() - 1)], *reset);
            }
            Act::Hello { reset } => self.say(&Hello::tls12(HOST).records(), *reset),
            Act::Old => self.say(&Hello { version: 0x0301, ..Hello::tls12(HOST) }.records(), false),
            Act::Elsewhere => self.say(&Hello::tls12("elsewhere.example.com").records(), false),
            Act::NoCertificate => drop(self.stranger.get(PROFILE)),
            Act::Refused { expired } => {
                drop(if *expired { &self.expired } else { &self.foreign }.get(PROFILE));
            }
            Act::NoRequest { waits } => {
                if let Ok(mut connection) = self.phone.connect()
                    && *waits
                {
                    let _ = connection.read_to_end();
                }
            }
            Act::BadHead { whole } => {
                if let Ok(mut connection) = self.phone.connect() {
                    let head: &[u8] =
                        if *whole { b"GET / NOTHING\r\n\r\n" } else { b"GET /x HTTP/1.1\r\nHo" };
                    let _ = connection.write(head);
                    let _ = connection.read_to_end();
                }
            }
            Act::Requests { count, ending } => self.requests(*count, *ending),
        }
    }

    fn requests(&self, count: usize, ending: Ending) {
        let Ok(mut connection) = self.phone.connect() else { return };
        let request = |number: usize, lines: &[&str]| {
            let path = if number.is_multiple_of(2) { PROFILE } else { "/000e08abcdf0.cfg" };
            self.phone.get_request(path, lines)
        };
        for number in 0..count {
            let asked = matches!(ending, Ending::Asked) && number + 1 == count;
            let lines: &[&str] = if asked { &["Connection: close"] } else { &[] };
            let _ = connection.send(&request(number, lines));
        }
        match ending {
            Ending::Closed => {}
            Ending::Asked | Ending::Idle => drop(connection.read_to_end()),
            Ending::BadHead => drop(connection.send(b"\x01\x02\r\n\r\n")),
            Ending::Reset => {
                let _ = connection.write(&request(0, &[]));
                SockRef::from(connection.socket()).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    fn say(&self, bytes: &[u8], reset: bool) {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        leave(stream, reset);
    }
}

fn leave(stream: TcpStream, reset: bool) {
    if reset {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    } else {
        let _ = stream.shutdown(Shutdown::Write);
        wait_for_end(stream);
    }
}

fn wait_for_end(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn every_connection_leaves_exactly_one_record_of_its_end() {
    let mut scene = Scene::new();
    for limit in ["handshake-timeout = \"1s\"", "header-timeout = \"1s\"", "idle-timeout = \"1s\""] {
        scene.config.limit(limit);
    }
    // Hosts with a name alone, so that a hello can ask for another.
    scene.config.host().names.truncate(1);
    let phone = scene.phone();
    let foreign = Authority::root("Foreign Root").issue(&phone_template());
    let expired = scene.client_authority.issue(&Template { not_after: now() - 5, ..phone_template() });
    let config = ProptestConfig {
        cases: 6,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let property = |acts: Vec<Act>| -> Result<(), TestCaseError> {
        let mut gateway = scene.start();
        let client = |credentials: &Credentials| scene.client(&gateway, credentials).without_resumption();
        let clients = Clients {
            address: gateway.address(),
            phone: client(&phone),
            stranger: scene.stranger(&gateway),
            foreign: client(&foreign),
            expired: client(&expired),
        };
        let chunk = acts.len().div_ceil(4);
        thread::scope(|scope| {
            for acts in acts.chunks(chunk) {
                let clients = &clients;
                scope.spawn(move || acts.iter().for_each(|act| clients.act(act)));
            }
        });
        // A reset may arrive after everything else: the gateway must have taken it before it is stopped.
        let before = std::time::Instant::now();
        eventually("the open connections to end", || {
            // What was only counted is told at the end; ten of a kind are recorded before.
            (ends(&gateway).0.len() >= acts.len() || before.elapsed() > Duration::from_secs(3)).then_some(())
        });
        gateway.stop();
        let (ends, counted) = ends(&gateway);
        prop_assert!(ends.values().all(|count| *count == 1), "a connection with two ends: {ends:?}");
        let total = u64::try_from(ends.len()).unwrap() + counted;
        prop_assert_eq!(total, u64::try_from(acts.len()).unwrap());
        let requests = gateway.audit.all_records();
        for closed in requests.iter().filter(|record| record.text("event") == "closed") {
            let of_it = requests.iter().filter(|record| {
                record.text("event") == "request" && record.text("connection") == closed.text("connection")
            });
            let (mut count, mut bytes) = (0, 0);
            for request in of_it {
                count += 1;
                bytes += request.number("bytes").unwrap_or(0);
            }
            prop_assert_eq!((closed.number("requests"), closed.number("bytes")), (Some(count), Some(bytes)));
        }
        std::fs::remove_file(scene.folder.join("audit.jsonl")).unwrap();
        Ok(())
    };
    if let Err(failure) = TestRunner::new(config).run(&acts(), property) {
        panic!("{failure}");
    }
}

/// How many records of its end each connection has, and how many connections were only counted.
fn ends(gateway: &Gateway) -> (HashMap<String, usize>, u64) {
    let mut ends = HashMap::new();
    let mut counted = 0;
    for record in gateway.audit.all_records() {
        match record.text("event") {
            "connection" | "closed" => *ends.entry(record.text("connection").to_owned()).or_default() += 1,
            "repeated" => counted += record.number("count").unwrap(),
            _ => {}
        }
    }
    (ends, counted)
}
