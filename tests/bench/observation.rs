//! What a server took while something happened to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use harness::cpu;

use crate::error::BenchError;
use crate::server::Server;

/// Between two looks at a server's memory.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a server took.
pub(crate) struct Observation<T> {
    /// What came of what happened.
    pub(crate) value: T,
    /// CPU time of the server, until it had come to rest again.
    pub(crate) cpu: Duration,
    /// CPU time of this program.
    pub(crate) generator: Duration,
    /// The most memory of the server, in bytes beyond what it had before.
    pub(crate) grown: u64,
}

/// Lets something happen to a server that is at rest.
pub(crate) fn observe<T>(
    server: &Server,
    what: impl FnOnce() -> Result<T, BenchError>,
) -> Result<Observation<T>, BenchError> {
    server.comes_to_rest()?;
    let (memory_before, cpu_before) = (server.memory()?, server.cpu()?);
    let own = || cpu::of_process(std::process::id());
    let own_before = own();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak = memory_before;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(server.memory().unwrap_or_default());
                thread::sleep(LOOK_EVERY);
            }
            peak
        });
        let happened = what();
        // Before the thread that looks has ended: what it took would be lost.
        let generator = own().saturating_sub(own_before);
        let rested = server.comes_to_rest();
        over.store(true, Ordering::Relaxed);
        let peak = peak.join().unwrap_or_default();
        let value = happened?;
        rested?;
        let cpu = server.cpu()?.saturating_sub(cpu_before);
        Ok(Observation { value, cpu, generator, grown: peak.saturating_sub(memory_before) })
    })
}
