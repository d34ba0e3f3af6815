//! Server CPU time per operation beside nginx and HAProxy: same certificates, same backend, one run, rounds
//! interleaved, medians compared as ratios.
//!
//! ```text
//! cargo build --release --workspace && cargo run --release -p provision-tests --bin load
//! ```
//!
//! `--server-key p256` gives every server a P-256 certificate instead of an RSA 2048 one, `--server-key both` one of each
//! for the same name; `--rounds`, `--operations` and `--only WORDS` choose how much is measured.
//!
//! Everything is on in the gateway: verification, admission with a revocation list, authorisation by path,
//! header rewriting, an audit record for each request. nginx and HAProxy verify the same chain, set the same
//! identity fields, write their access log, and proxy to the same nginx with kept connections. In every handshake the
//! phone looks whether it was resumed or not as the row says, and whether the certificate that it was shown is the one
//! that fits it.
//!
//! Old phones call at an address of their own, where the same processes speak as weakly as those need: the gateway by
//! its policy `guide`, nginx and HAProxy by OpenSSL's security level 0. Without an RSA certificate there is none.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

mod bare;
mod client;
mod floor;
mod peers;
mod report;
mod server_key;

use certs::KeyAlgorithm;
use client::{Client, LegacyVersion, Phone, Resumption, Version};
use harness::cpu;
use peers::Fleet;
use report::Table;
use server_key::ServerKey;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((bare::COMMAND, arguments)) =
        arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return bare::serve(arguments);
    }
    let value = |flag: &str| {
        arguments.iter().position(|one| one == flag).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let rounds: usize = value("--rounds").map_or(Ok(9), |text| text.parse())?;
    let operations: usize = value("--operations").map_or(Ok(320), |text| text.parse())?;
    let only = value("--only");
    let binaries = std::env::current_exe()?.parent().map(Path::to_path_buf).ok_or("no folder of binaries")?;
    let folder = tempfile::tempdir()?;
    let server_key: ServerKey = value("--server-key").map_or(Ok(ServerKey::Rsa2048), |text| text.parse())?;
    let fleet = Fleet::start(folder.path(), &binaries, server_key)?;

    let mut table = Table::new(fleet.names());
    for (name, scenario) in SCENARIOS {
        if only.as_ref().is_some_and(|wanted| !name.contains(wanted)) || !scenario.is_possible(server_key) {
            continue;
        }
        let measured = Measurement { fleet: &fleet, server_key, rounds, operations }.of(scenario)?;
        table.add(name, measured.figures);
        table.note(name, &measured.shown);
        if !measured.bare.is_empty() {
            table.bare(name, measured.bare);
        }
    }
    writeln!(io::stdout(), "{}", table.markdown())?;
    let floor = floor::asymmetric_work(fleet.credentials(), 501)?;
    writeln!(
        io::stdout(),
        "asymmetric work of one full handshake alone, RSA 2048 on both sides: {} µs",
        floor.as_micros()
    )?;
    Ok(())
}

const SCENARIOS: [(&str, Scenario); 7] = [
    ("full handshake + GET, TLS 1.3", Scenario::modern(Version::Tls13, Resumption::Never)),
    ("full handshake + GET, TLS 1.2", Scenario::modern(Version::Tls12, Resumption::Never)),
    ("resumed handshake + GET, TLS 1.3", Scenario::modern(Version::Tls13, Resumption::Always)),
    ("resumed handshake + GET, TLS 1.2", Scenario::modern(Version::Tls12, Resumption::Always)),
    ("GET 8 KiB on a kept connection", Scenario::Kept),
    ("full legacy handshake + GET, TLS 1.2, AES128-SHA", Scenario::legacy(LegacyVersion::Tls12)),
    ("full legacy handshake + GET, TLS 1.0, AES128-SHA", Scenario::legacy(LegacyVersion::Tls10)),
];

#[derive(Clone, Copy)]
enum Scenario {
    Handshakes(Phone, Resumption),
    Kept,
}

impl Scenario {
    const fn modern(version: Version, resumption: Resumption) -> Self {
        Self::Handshakes(Phone::Modern(version), resumption)
    }

    const fn legacy(version: LegacyVersion) -> Self {
        Self::Handshakes(Phone::Legacy(version), Resumption::Never)
    }

    fn phone(self) -> Phone {
        match self {
            Self::Handshakes(phone, _) => phone,
            Self::Kept => Phone::Modern(Version::Tls13),
        }
    }

    fn is_possible(self, server_key: ServerKey) -> bool {
        match self.phone() {
            Phone::Legacy(_) => server_key.serves_legacy(),
            Phone::Modern(_) => true,
        }
    }
}

struct Measurement<'a> {
    fleet: &'a Fleet,
    server_key: ServerKey,
    rounds: usize,
    operations: usize,
}

/// What came of a scenario, one entry a server.
struct Measured {
    /// CPU time per operation, one value a round.
    figures: Vec<Vec<Duration>>,
    /// The key in the certificate that the server showed.
    shown: Vec<KeyAlgorithm>,
    /// CPU time of the bare server in the same rounds, where the scenario has its like there.
    bare: Vec<Duration>,
}

impl Measurement<'_> {
    fn of(&self, scenario: Scenario) -> Result<Measured, Box<dyn std::error::Error>> {
        let Self { fleet, server_key, rounds, operations } = *self;
        let phone = scenario.phone();
        let expected = server_key.shown_to(phone);
        let mut figures = vec![Vec::new(); fleet.servers().len()];
        let (mut shown, mut bare) = (Vec::new(), Vec::new());
        let has_bare =
            matches!(scenario, Scenario::Handshakes(Phone::Modern(Version::Tls13), Resumption::Never))
                && server_key == ServerKey::Rsa2048;
        // The first round warms caches, pools and branch predictors, and is not counted.
        for round in 0..=rounds {
            for (server, column) in fleet.servers().iter().zip(&mut figures) {
                let client = Client::new(fleet.credentials(), server.address_for(phone)?);
                if round == 0 {
                    shown.push(client.shown(&client.tls(phone, Resumption::Never, expected)?)?);
                }
                let (run, operations): (Box<dyn Fn() -> io::Result<()>>, usize) = match scenario {
                    Scenario::Handshakes(phone, resumption) => {
                        let tls = client.tls(phone, resumption, expected)?;
                        (Box::new(move || client.handshakes(&tls, operations)), operations)
                    }
                    Scenario::Kept => {
                        let operations = operations * 10;
                        (Box::new(move || client.kept(operations)), operations)
                    }
                };
                let before = cpu::of_tree(server.process())?;
                run().map_err(|error| format!("{}: {error}", server.name))?;
                let spent = cpu::of_tree(server.process())?.saturating_sub(before);
                if round > 0 {
                    column.push(spent / u32::try_from(operations)?);
                }
            }
            if has_bare {
                let before = cpu::of_tree(fleet.bare().process())?;
                fleet.bare().exchanges(client::THREADS, operations)?;
                let spent = cpu::of_tree(fleet.bare().process())?.saturating_sub(before);
                if round > 0 {
                    bare.push(spent / u32::try_from(operations)?);
                }
            }
        }
        Ok(Measured { figures, shown, bare })
    }
}
