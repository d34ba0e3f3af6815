//! Ctrl-C and SIGTERM end the servers too: they are in process groups of their own, which no signal of the terminal reaches.
//!
//! Once they are gone, whatever is measured fails, and the run ends as after any error: the temporary folder goes with it.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static SERVERS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Listens for signals from now on.
pub(crate) fn watch() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        let servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        // Within the lock: none is started after this that is not ended by it.
        INTERRUPTED.store(true, Ordering::SeqCst);
        servers.iter().copied().for_each(terminate_process);
    })?;
    Ok(())
}

/// Whether a signal came.
pub(crate) fn came() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// A server runs, to be ended by a signal.
pub(crate) fn add(process: u32) {
    let Ok(process) = i32::try_from(process) else { return };
    let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    servers.insert(process);
    if came() {
        terminate_process(process);
    }
}

/// Ends a server that was added; it is not waited for.
pub(crate) fn end(process: u32) {
    let Ok(process) = i32::try_from(process) else { return };
    let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    if servers.remove(&process) {
        terminate_process(process);
    }
}

fn terminate_process(process: i32) {
    if let Some(process) = Pid::from_raw(process) {
        // One that has ended already is found out by whoever waits for it.
        let _ = kill_process(process, Signal::TERM);
    }
}
