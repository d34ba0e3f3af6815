//! What the kernel says of this process, under the names that Prometheus's own libraries use.

use super::exposition::{Exposition, Kind};

/// Writes memory, descriptors and CPU time; nothing where there is no `/proc`.
pub(super) fn write(out: &mut Exposition) {
    if let Some(pages) = std::fs::read_to_string("/proc/self/statm").ok().and_then(|text| resident(&text)) {
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        out.family("process_resident_memory_bytes", Kind::Gauge, "Resident memory size in bytes.");
        out.sample(&[], pages.saturating_mul(page));
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        out.family("process_open_fds", Kind::Gauge, "Number of open file descriptors.");
        // The folder itself is open while it is read.
        out.sample(&[], open.count().saturating_sub(1));
    }
    if let Some(ticks) = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| cpu_ticks(&text)) {
        let a_second = f64::from(u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100));
        out.family(
            "process_cpu_seconds_total",
            Kind::Counter,
            "Total user and system CPU time spent in seconds.",
        );
        out.sample(&[], f64::from(u32::try_from(ticks).unwrap_or(u32::MAX)) / a_second);
    }
}

/// The second number: pages that are in memory.
fn resident(statm: &str) -> Option<u64> {
    statm.split_whitespace().nth(1)?.parse().ok()
}

/// User and system time. The program's name, in parentheses, may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(resident("5000 1234 800 1 0 300 0\n"), Some(1234));
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 9 1 2";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!((resident(""), cpu_ticks("")), (None, None));
    }
}
