//! A flood of connections that say nothing, or a hello and nothing more, while some phones want to be served.
//!
//! Both come at times that do not depend on the server: so many connections each second from a thousand addresses, and
//! among them, from other addresses, so many phones. Every server meets the same. A connection of the flood stays until
//! the server ends it. Half of them send a sound TLS 1.3 hello, for which the server computes its signature.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use harness::hello::Hello;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::error::BenchError;
use crate::observation::observe;
use crate::peers::{HOST, Peers};
use crate::phone::{Calls, Phone, connect_from};
use crate::server::Server;

/// The name of the rows.
pub(crate) const ROW: &str = "flood";

/// Connections of the flood each second.
pub(crate) const CONNECTIONS: u32 = 400;
/// Phones each second.
pub(crate) const PHONES: u32 = 20;
/// Addresses that the flood comes from, from 127.1.0.1 on.
const ADDRESSES: u32 = 1000;
const FIRST_ADDRESS: u32 = 0x7f01_0001;
/// How long a phone waits for its profile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What came of it at one server.
pub(crate) struct Flood {
    /// How the phones fared.
    pub(crate) calls: Calls,
    /// CPU time of the server, for phones and flood together.
    pub(crate) cpu: Duration,
    /// The most memory of the server, in bytes beyond what it had before.
    pub(crate) grown: u64,
}

impl Flood {
    /// CPU time of the server for each phone that was served.
    pub(crate) fn cpu_each(&self) -> Option<Duration> {
        let served = u32::try_from(self.calls.served.len()).ok()?;
        self.cpu.checked_div(served)
    }
}

/// So many seconds of flood at each server in turn, which is started anew.
pub(crate) fn measure(
    peers: &mut Peers,
    phones: &[Arc<Phone>],
    seconds: u32,
    runtime: &Runtime,
) -> Result<Vec<Flood>, BenchError> {
    let hello = hello();
    let at = |server: &mut Server| {
        server.restart()?;
        let address = server.address();
        let found = observe(server, || Ok(runtime.block_on(flood(address, phones, seconds, &hello))))?;
        Ok(Flood { calls: found.value, cpu: found.cpu, grown: found.grown })
    };
    peers.servers_mut().iter_mut().map(at).collect()
}

/// What a TLS 1.3 client of today sends first.
fn hello() -> Arc<[u8]> {
    let mut hello = Hello::tls12(HOST);
    hello.versions = vec![0x0304, 0x0303];
    hello.suites.splice(0..0, [0x1301, 0x1302, 0x1303]);
    hello.records().into()
}

async fn flood(server: SocketAddr, phones: &[Arc<Phone>], seconds: u32, hello: &Arc<[u8]>) -> Calls {
    let began = Instant::now();
    // The flood ends with this, and its connections with it.
    let mut drops = JoinSet::new();
    for number in 0..CONNECTIONS * seconds {
        let at = began + Duration::from_secs(1) * number / CONNECTIONS;
        let address = Ipv4Addr::from_bits(FIRST_ADDRESS + number % ADDRESSES);
        let says = (number % 2 == 1).then(|| Arc::clone(hello));
        drops.spawn(async move {
            sleep_until(at).await;
            // Whatever becomes of it is the server's affair.
            let _ = drop_of(address, server, says).await;
        });
    }
    let (mut calls, mut callers) = (Calls::default(), JoinSet::new());
    for (number, phone) in (0..PHONES * seconds).zip(phones.iter().cycle()) {
        let at = began + Duration::from_secs(1) * number / PHONES;
        let phone = Arc::clone(phone);
        callers.spawn(async move {
            sleep_until(at).await;
            phone.call(server, PATIENCE).await
        });
    }
    for ended in callers.join_all().await {
        calls.add(ended);
    }
    calls
}

/// One connection of the flood, until the server ends it.
async fn drop_of(address: Ipv4Addr, server: SocketAddr, says: Option<Arc<[u8]>>) -> std::io::Result<()> {
    let mut stream = connect_from(address, server).await?;
    if let Some(bytes) = says {
        stream.write_all(&bytes).await?;
    }
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
