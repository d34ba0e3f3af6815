//! The power comes back: every phone calls at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::client::THREADS;
use crate::error::BenchError;
use crate::observation::observe;
use crate::peers::Peers;
use crate::phone::{Calls, Ended, Phone};
use crate::server::Server;

/// The name of the rows.
pub(crate) const ROW: &str = "power cut";

/// How long a phone waits for its profile.
const PATIENCE: Duration = Duration::from_secs(60);
/// Phones that call a few at a time first, to know what one costs the server; and before them, uncounted.
const ALONE: usize = 320;
const WARM_UP: usize = 64;

/// What came of it at one server.
pub(crate) struct PowerCut {
    pub(crate) calls: Calls,
    /// From the first call until the last phone was served or had given up.
    pub(crate) over_after: Duration,
    /// CPU time of the server.
    pub(crate) cpu: Duration,
    /// CPU time of the server for one phone of those that called a few at a time.
    pub(crate) one: Duration,
    /// CPU time of the phones.
    pub(crate) generator: Duration,
    /// The most memory of the server, in bytes beyond what it had before.
    pub(crate) grown: u64,
}

impl PowerCut {
    /// CPU time of the server as a multiple of what so many phones would have taken a few at a time.
    pub(crate) fn dearer(&self, phones: usize) -> f64 {
        let phones = f64::from(u32::try_from(phones).unwrap_or(u32::MAX));
        self.cpu.as_secs_f64() / (self.one.as_secs_f64() * phones)
    }
}

/// At each server in turn, which is started anew.
pub(crate) fn measure(
    peers: &mut Peers,
    phones: &[Arc<Phone>],
    runtime: &Runtime,
) -> Result<Vec<PowerCut>, BenchError> {
    peers.servers_mut().iter_mut().map(|server| at(server, phones, runtime)).collect()
}

fn at(server: &mut Server, phones: &[Arc<Phone>], runtime: &Runtime) -> Result<PowerCut, BenchError> {
    server.restart()?;
    let few = |count: usize| {
        let chosen: Vec<_> = phones.iter().cycle().take(count).cloned().collect();
        let calls = runtime.block_on(call(server, &chosen, THREADS));
        match (calls.lost, calls.refusals()) {
            (0, None) => Ok(()),
            (lost, refusals) => {
                let refusals = refusals.unwrap_or_default();
                Err(server.failed(format!("does not serve a few phones: {lost} lost, refused: {refusals}")))
            }
        }
    };
    few(WARM_UP)?;
    let alone = observe(server, || few(ALONE))?;
    let crowd = observe(server, || {
        let began = Instant::now();
        let calls = runtime.block_on(call(server, phones, phones.len()));
        Ok((calls, began.elapsed()))
    })?;
    let (calls, over_after) = crowd.value;
    Ok(PowerCut {
        calls,
        over_after,
        cpu: crowd.cpu,
        one: alone.cpu / u32::try_from(ALONE).unwrap_or(u32::MAX),
        generator: crowd.generator,
        grown: crowd.grown,
    })
}

/// Has each of these phones call once, so many at a time.
async fn call(server: &Server, phones: &[Arc<Phone>], at_once: usize) -> Calls {
    let (address, mut calls, mut tasks) = (server.address(), Calls::default(), JoinSet::new());
    for phone in phones {
        if tasks.len() >= at_once
            && let Some(ended) = tasks.join_next().await
        {
            calls.add(ended.unwrap_or(Ended::Lost));
        }
        let phone = Arc::clone(phone);
        tasks.spawn(async move { phone.call(address, PATIENCE).await });
    }
    for ended in tasks.join_all().await {
        calls.add(ended);
    }
    calls
}
