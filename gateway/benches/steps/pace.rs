//! Keeps a gateway and those who talk to it in step.
//!
//! What a gateway does depends on what has arrived when it looks. So the others send only while its runtime sleeps, and then
//! wait until it has done everything there was to do and sleeps again: each run is the same as the last.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Longer than anything takes even under valgrind; then the bench has a fault and ends.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a runtime of one thread is doing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace(Arc<(Mutex<Sleep>, Condvar)>);

#[derive(Debug, Default)]
struct Sleep {
    asleep: bool,
    /// How often it went to sleep.
    times: u64,
}

impl Pace {
    /// A runtime that is watched.
    pub(crate) fn runtime(&self) -> io::Result<Runtime> {
        let (falls_asleep, wakes) = (self.clone(), self.clone());
        Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || {
                let mut sleep = falls_asleep.lock();
                sleep.asleep = true;
                sleep.times += 1;
                drop(sleep);
                falls_asleep.0.1.notify_all();
            })
            .on_thread_unpark(move || wakes.lock().asleep = false)
            .build()
    }

    /// Waits until the runtime sleeps and gives how often it has.
    pub(crate) fn asleep(&self) -> io::Result<u64> {
        self.asleep_after(0)
    }

    /// Does what wakes the runtime, while it sleeps, and waits until it sleeps again.
    pub(crate) fn wake<T>(&self, with: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let before = self.asleep()?;
        let done = with()?;
        self.asleep_after(before)?;
        Ok(done)
    }

    fn asleep_after(&self, before: u64) -> io::Result<u64> {
        let awake = |sleep: &mut Sleep| !sleep.asleep || sleep.times <= before;
        let waited = self.0.1.wait_timeout_while(self.lock(), PATIENCE, awake);
        let (sleep, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the gateway did not come to rest"));
        }
        Ok(sleep.times)
    }

    fn lock(&self) -> MutexGuard<'_, Sleep> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket to a runtime, written to in step with it.
#[derive(Debug)]
pub(crate) struct Paced {
    pub(crate) socket: TcpStream,
    pub(crate) pace: Pace,
}

impl Read for Paced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let socket = &mut self.socket;
        self.pace.wake(|| socket.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = &mut self.socket;
        self.pace.wake(|| socket.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
