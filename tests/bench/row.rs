//! The rows of CPU time per operation, and how one is measured.

use std::io;
use std::time::Duration;

use certs::KeyAlgorithm;
use harness::cpu;

use crate::bound::Bound;
use crate::client::{self, Client, LegacyVersion, Phone, Resumption, Version};
use crate::error::BenchError;
use crate::floor;
use crate::peers::{HAPROXY, NGINX, Peers};
use crate::server_key::ServerKey;

/// A row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    /// What the gateway may take with RSA 2048 keys on both sides.
    pub(crate) bound: Option<Bound>,
}

pub(crate) const ROWS: [Row; 9] = [
    Row {
        name: "full handshake + GET, TLS 1.3",
        work: Work::FULL,
        bound: Some(Bound::times_peer(0.30, NGINX, Some(0.25))),
    },
    Row {
        name: "full handshake + GET, TLS 1.2",
        work: Work::Handshake(Phone::Modern(Version::Tls12), Resumption::Never),
        bound: Some(Bound::times_peer(0.65, NGINX, Some(0.55))),
    },
    Row {
        name: "resumed handshake + GET, TLS 1.3",
        work: Work::Handshake(Phone::Modern(Version::Tls13), Resumption::Always),
        bound: Some(Bound::times_peer(0.35, NGINX, Some(0.25))),
    },
    Row {
        name: "resumed handshake + GET, TLS 1.2",
        work: Work::Handshake(Phone::Modern(Version::Tls12), Resumption::Always),
        bound: Some(Bound::times_peer(0.55, HAPROXY, Some(0.40))),
    },
    Row {
        name: "GET 8 KiB on a kept connection",
        work: Work::Profile,
        bound: Some(Bound::times_peer(1.15, HAPROXY, Some(0.80))),
    },
    Row {
        name: "GET 256 KiB on a kept connection",
        work: Work::LargeProfile,
        bound: Some(Bound::times_peer(1.0, NGINX, None)),
    },
    Row { name: "POST 2 KiB on a kept connection", work: Work::Report, bound: None },
    Row {
        name: "full legacy handshake + GET, TLS 1.2, AES128-SHA",
        work: Work::Handshake(Phone::Legacy(LegacyVersion::Tls12), Resumption::Never),
        bound: None,
    },
    Row {
        name: "full legacy handshake + GET, TLS 1.0, AES128-SHA",
        work: Work::Handshake(Phone::Legacy(LegacyVersion::Tls10), Resumption::Never),
        bound: None,
    },
];

/// What the phones do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Work {
    /// A handshake and a `GET` of 8 KiB.
    Handshake(Phone, Resumption),
    /// `GET` of 256 KiB on a kept connection.
    LargeProfile,
    /// `GET` of 8 KiB on a kept connection.
    Profile,
    /// `POST` of 2 KiB on a kept connection.
    Report,
}

impl Work {
    /// A full TLS 1.3 handshake.
    pub(crate) const FULL: Self = Self::Handshake(Phone::Modern(Version::Tls13), Resumption::Never);

    fn phone(self) -> Phone {
        match self {
            Self::Handshake(phone, _) => phone,
            Self::LargeProfile | Self::Profile | Self::Report => Phone::Modern(Version::Tls13),
        }
    }

    pub(crate) fn is_possible(self, server_key: ServerKey) -> bool {
        match self.phone() {
            Phone::Legacy(_) => server_key.serves_legacy(),
            Phone::Modern(_) => true,
        }
    }

    /// How many of these are done where so many handshakes would be: about as long a time.
    fn operations(self, handshakes: u32) -> u32 {
        match self {
            Self::Handshake(..) => handshakes,
            Self::LargeProfile => handshakes * 2,
            Self::Profile | Self::Report => handshakes * 10,
        }
    }

    /// Whether the bare server has its like.
    fn has_bare(self, server_key: ServerKey) -> bool {
        self == Self::FULL && server_key == ServerKey::Rsa2048
    }
}

/// How a row is measured.
pub(crate) struct Measurement<'a> {
    pub(crate) peers: &'a Peers,
    pub(crate) server_key: ServerKey,
    pub(crate) rounds: u32,
    pub(crate) operations: u32,
}

/// What came of a row, one entry a server.
pub(crate) struct Measured {
    /// CPU time per operation, one value a round.
    pub(crate) figures: Vec<Vec<Duration>>,
    /// The key in the certificate that the server showed.
    pub(crate) shown: Vec<KeyAlgorithm>,
    /// CPU time of the bare server in the same rounds, where the work has its like there.
    pub(crate) bare: Vec<Duration>,
    /// CPU time of the asymmetric work alone in the same rounds, likewise.
    pub(crate) asymmetric_work: Vec<Duration>,
}

impl Measurement<'_> {
    pub(crate) fn of(&self, work: Work) -> Result<Measured, BenchError> {
        let Self { peers, server_key, rounds, operations } = *self;
        let phone = work.phone();
        let expected = server_key.shown_to(phone);
        let operations = work.operations(operations);
        let count = usize::try_from(operations).unwrap_or(usize::MAX);
        let mut figures = vec![Vec::new(); peers.servers().len()];
        let (mut shown, mut bare, mut asymmetric_work) = (Vec::new(), Vec::new(), Vec::new());
        // The first round warms caches, pools and branch predictors, and is not counted.
        for round in 0..=rounds {
            for (server, column) in peers.servers().iter().zip(&mut figures) {
                let client = Client::new(peers.credentials(), server.address_for(phone)?);
                let failed = |error: io::Error| server.failed(format!("does not serve: {error}"));
                if round == 0 {
                    let tls = client.tls(phone, Resumption::Never, expected).map_err(failed)?;
                    shown.push(client.shown(&tls).map_err(failed)?);
                }
                let run: Box<dyn Fn() -> io::Result<()>> = match work {
                    Work::Handshake(phone, resumption) => {
                        let tls = client.tls(phone, resumption, expected).map_err(failed)?;
                        Box::new(move || client.handshakes(&tls, count))
                    }
                    Work::LargeProfile => {
                        Box::new(move || client.kept(&peers.credentials().large_profile, count))
                    }
                    Work::Profile => Box::new(move || client.kept(&peers.credentials().profile, count)),
                    Work::Report => Box::new(move || client.kept(&peers.credentials().report, count)),
                };
                let before = server.cpu()?;
                run().map_err(failed)?;
                let spent = server.cpu()?.saturating_sub(before);
                if round > 0 {
                    column.push(spent / operations);
                }
            }
            if work.has_bare(server_key) {
                let cpu = || cpu::of_tree(peers.bare().process());
                let exchange = || {
                    let before = cpu()?;
                    peers.bare().exchanges(client::THREADS, count)?;
                    io::Result::Ok(cpu()?.saturating_sub(before))
                };
                let spent = exchange().map_err(BenchError::io("the bare server does not serve"))?;
                let work = peers.asymmetric_work(floor::ROUNDS);
                let work = work.map_err(BenchError::io("the asymmetric work cannot be measured"))?;
                if round > 0 {
                    bare.push(spent / operations);
                    asymmetric_work.push(work);
                }
            }
        }
        Ok(Measured { figures, shown, bare, asymmetric_work })
    }
}
