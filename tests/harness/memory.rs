//! Memory of a process with its children, by the kernel's own accounting.

use std::{fs, io};

use crate::process_tree;

/// Resident memory of a process and its living descendants, in bytes. A page that several processes share counts once:
/// each has its part of it (`Pss` in `/proc/PID/smaps_rollup`). What the kernel keeps for sockets is not in it.
///
/// # Errors
/// `/proc` cannot be read.
pub fn of_tree(root: u32) -> io::Result<u64> {
    Ok(process_tree::members(root)?.into_iter().filter_map(of_process).sum())
}

/// Nothing if the process is gone.
fn of_process(process: u32) -> Option<u64> {
    proportional(&fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?)
}

fn proportional(rollup: &str) -> Option<u64> {
    let value = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = value.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proportional_share_is_read_and_not_its_parts() {
        let text =
            "55e0-7ffd ---p 00000000 00:00 0  [rollup]\nRss:  5000 kB\nPss:  1234 kB\nPss_Anon:  9 kB\n";
        assert_eq!(proportional(text), Some(1234 * 1024));
        assert_eq!(proportional("Rss: 5000 kB\n"), None);
    }

    #[test]
    fn memory_that_was_written_to_counts() {
        let before = of_tree(std::process::id()).unwrap();
        let large = vec![1_u8; 64 << 20];
        assert!(of_tree(std::process::id()).unwrap() >= before + (32 << 20));
        assert_eq!(large.last(), Some(&1));
    }
}
