//! CPU time of a process with its children and all their threads, from the scheduler's own counters.

use std::time::Duration;
use std::{fs, io};

use crate::process_tree;

/// CPU time spent so far by a process and its living descendants.
///
/// # Errors
/// `/proc` cannot be read.
pub fn of_tree(root: u32) -> io::Result<Duration> {
    Ok(process_tree::members(root)?.into_iter().map(of_process).sum())
}

/// CPU time spent so far by the living threads of one process; nothing if it is gone.
pub fn of_process(process: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Duration::ZERO };
    threads
        .flatten()
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse().ok()
        })
        .map(Duration::from_nanos)
        .sum()
}
