//! What judging and rewriting one request costs, in instructions.
//!
//! `cargo bench -p provision-gateway --bench request` runs this program under valgrind with two counts of calls; the
//! difference, divided, is exact and the same on every run of one build. Without valgrind it prints times instead.
#![expect(clippy::print_stdout, reason = "the figures are this program's output")]

use std::hint::black_box;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use certs::testing::Pki;
use gateway::authorize::authorize;
use gateway::request::{BodyLimits, Inbound};
use gateway::rewrite::{HeaderConfig, PeerFacts, PeerFields, Preset, rewrite};
use http::{HeaderValue, Request};
use policies::{CipherSuite, Principal, RequestRules, TlsVersion, testing};

type Step = fn(&Fixture);

/// One step after another; the cost of a step is what it adds to the one before.
const STEPS: [(&str, Step); 5] = [
    ("request made", |fixture| drop(black_box(fixture.request()))),
    ("inbound", |fixture| drop(black_box(fixture.inbound()))),
    ("authorize", |fixture| drop(black_box(fixture.permitted()))),
    ("rewrite", |fixture| drop(black_box(fixture.outbound()))),
    ("head for the backend", |fixture| drop(black_box(fixture.outbound().request(&fixture.host)))),
];

const CALLS: [u32; 2] = [100, 1100];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, step, calls] = &arguments[..]
        && let Some((_, run)) = STEPS.iter().find(|(name, _)| name == step)
        && let Ok(calls) = calls.parse()
    {
        repeat(&Fixture::new(), *run, calls);
        return;
    }
    let mut before = 0;
    for (name, run) in STEPS {
        match instructions(name) {
            Some(total) => {
                println!("{name:24} {:6} instructions, {total:6} in all", total.saturating_sub(before));
                before = total;
            }
            None => println!("{name:24} {:6} ns in all (valgrind is not here)", nanoseconds(run)),
        }
    }
}

fn repeat(fixture: &Fixture, run: Step, calls: u32) {
    for _ in 0..calls {
        run(fixture);
    }
}

/// Instructions of one call of a step and those before it.
fn instructions(step: &str) -> Option<u64> {
    let [few, many] = CALLS.map(|calls| {
        let program = std::env::current_exe().ok()?;
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(program)
            .args([step, &calls.to_string()])
            .output()
            .ok()?;
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        report.split("Collected :").nth(1)?.split_whitespace().next()?.parse::<u64>().ok()
    });
    many?.checked_sub(few?)?.checked_div(u64::from(CALLS[1] - CALLS[0]))
}

fn nanoseconds(run: Step) -> u128 {
    let fixture = Fixture::new();
    let began = Instant::now();
    repeat(&fixture, run, 100_000);
    began.elapsed().as_nanos() / 100_000
}

/// The guide's device, asking for its profile as a phone does, from a host with the `guide` and `device` presets.
struct Fixture {
    principal: Principal,
    rules: RequestRules,
    fields: Arc<PeerFields>,
    limits: BodyLimits,
    id: HeaderValue,
    host: HeaderValue,
}

impl Fixture {
    fn new() -> Self {
        let pki = Pki::new();
        let chain = pki.verified(&pki.device().issue());
        let principal = testing::guide_device();
        let facts = PeerFacts {
            chain: Some(&chain),
            principal: &principal,
            version: TlsVersion(0x0304),
            suite: CipherSuite(0x1301),
            resumed: false,
            server_name: Some("prov.example.com"),
            client: IpAddr::from([192, 0, 2, 1]),
            now: Pki::NOW,
        };
        let config = HeaderConfig { presets: vec![Preset::Guide, Preset::Device], ..HeaderConfig::default() };
        let fields = PeerFields::new(&config, &facts).expect("a device's fields are small");
        Self {
            fields: Arc::new(fields),
            rules: RequestRules::shipped("own-profile").expect("it is shipped"),
            limits: BodyLimits::default(),
            id: HeaderValue::from_static("0123456789abcdef-1"),
            host: HeaderValue::from_static("127.0.0.1:8080"),
            principal,
        }
    }

    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = http::Uri::from_static("/cisco/CP-8841-3PCC/000e08abcdef.xml");
        let fields = request.headers_mut();
        fields.insert(http::header::HOST, HeaderValue::from_static("prov.example.com"));
        let user_agent = HeaderValue::from_static("Cisco-CP-8841-3PCC/11.0 (000e08abcdef)");
        fields.insert(http::header::USER_AGENT, user_agent);
        fields.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
        fields.insert(http::header::CONNECTION, HeaderValue::from_static("keep-alive"));
        request
    }

    fn inbound(&self) -> Inbound<()> {
        let is_served = |name: &str| name == "prov.example.com";
        Inbound::new(self.request(), &self.limits, is_served).expect("the request is sound")
    }

    fn permitted(&self) -> gateway::authorize::Permitted<Inbound<()>> {
        authorize(self.inbound(), &self.principal, &self.rules).expect("the device asks for its own profile")
    }

    fn outbound(&self) -> gateway::rewrite::Outbound<()> {
        rewrite(self.permitted(), &self.fields, self.id.clone()).expect("the request has room")
    }
}
