//! What auditing costs a kept-alive request, against a gateway without it, in one run.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use harness::{
    client::{Client, Connection},
    cpu,
    gateway::{AUDIT, Gateway, Scene},
};

const ROUNDS: usize = 31;
const REQUESTS: u32 = 1500;
const TARGET: &str = "/000e08abcdef.cfg";

/// A backend that answers with 8 KiB, on kept connections.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 8192\r\n\r\n{}", "x".repeat(8192));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.set_nodelay(true);
            let answer = answer.clone();
            thread::spawn(move || {
                let mut request = [0; 16 << 10];
                // The gateway sends one request at a time, in one piece.
                while matches!(stream.read(&mut request), Ok(1..)) {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

struct Way {
    name: &'static str,
    gateway: Gateway,
    client: Client,
    connection: Connection,
    costs: Vec<Duration>,
    _scene: Scene,
}

impl Way {
    fn new(name: &'static str, audit: &str, backend: SocketAddr) -> Self {
        let mut scene = Scene::before(backend);
        scene.config.audit = audit.to_owned();
        // While the others have their turn, its connection waits.
        scene.config.limit("header-timeout = \"5m\"\nidle-timeout = \"10m\"");
        let gateway = scene.start();
        let client = scene.client(&gateway, &scene.phone());
        let connection = client.connect().unwrap();
        Self { name, gateway, client, connection, costs: Vec::new(), _scene: scene }
    }

    /// CPU time of the gateway for one request, over many, with what the writers do for them.
    fn round(&mut self) {
        let request = self.client.get_request(TARGET, &["User-Agent: Cisco/CP-8841-3PCC-11.3"]);
        let before = cpu::of_process(self.gateway.process.id());
        for _ in 0..REQUESTS {
            assert_eq!(self.connection.send(&request).status(), 200);
        }
        // The last batch is written within 200 ms.
        thread::sleep(Duration::from_millis(300));
        self.costs.push((cpu::of_process(self.gateway.process.id()) - before) / REQUESTS);
    }

    /// What this one took of what the two without a record took in the same round: the median over the rounds.
    fn of_off(&self, off: &Self, again: &Self) -> f64 {
        let rounds = self.costs.iter().zip(off.costs.iter().zip(&again.costs));
        let mut ratios: Vec<f64> =
            rounds.map(|(own, (one, other))| 2.0 * own.div_duration_f64(*one + *other)).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }

    fn median(&self) -> Duration {
        let mut costs = self.costs.clone();
        costs.sort_unstable();
        costs[costs.len() / 2]
    }
}

/// `cargo test --release -p provision-tests --test e2e audit_cost -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, of a release build"]
fn auditing_to_a_file_costs_at_most_5_percent_of_a_kept_alive_request() {
    let backend = backend();
    let mut ways = [
        Way::new("off", "", backend),
        Way::new("file", AUDIT, backend),
        Way::new("off again", "", backend),
        Way::new("database", "[[audit.sink]]\nkind = \"database\"\nurl = \"sqlite:audit.db\"", backend),
    ];
    ways.iter_mut().for_each(Way::round);
    ways.iter_mut().for_each(|way| way.costs.clear());
    for _ in 0..ROUNDS {
        ways.iter_mut().for_each(Way::round);
    }
    let ratios = ways.each_ref().map(|way| way.of_off(&ways[0], &ways[2]));
    for (way, ratio) in ways.iter().zip(ratios) {
        println!("{:<10} {:>10.2?} a request, {ratio:.3} of off", way.name, way.median());
    }
    assert!(ratios[1] <= 1.05, "{ratios:?}");
}
