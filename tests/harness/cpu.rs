//! CPU time of a process with its children and all their threads, from the scheduler's own counters.

use std::collections::HashMap;
use std::time::Duration;
use std::{fs, io};

/// CPU time spent so far by a process and its living descendants.
///
/// # Errors
/// `/proc` cannot be read.
pub fn of_tree(root: u32) -> io::Result<Duration> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(parent) = parent_of(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut total = Duration::ZERO;
    let mut queue = vec![root];
    while let Some(process) = queue.pop() {
        total += of_process(process);
        queue.extend(children.remove(&process).unwrap_or_default());
    }
    Ok(total)
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; the state and the parent follow the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
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
