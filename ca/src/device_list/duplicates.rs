//! Values that may stand in one line only, remembered in a few octets each: a million lines take 50 MB.

use aws_lc_rs::digest::{SHA256, digest};

use super::{BadLine, ListedDevice};

/// What was seen, and where.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    /// MAC addresses as numbers.
    macs: Vec<(u64, u32)>,
    /// Half the SHA-256 of model and serial number: of a million, two agree by chance once in 10^26 lists.
    serials: Vec<(u128, u32)>,
}

impl Duplicates {
    pub(crate) fn add(&mut self, device: &ListedDevice) {
        let line = u32::try_from(device.line).unwrap_or(u32::MAX);
        let identity = &device.identity;
        let mac = u64::from_str_radix(&identity.mac().to_string(), 16).unwrap_or(u64::MAX);
        self.macs.push((mac, line));
        let mut name = identity.product().as_bytes().to_vec();
        name.push(0);
        name.extend(identity.serial().as_bytes());
        let hash = digest(&SHA256, &name);
        let half = hash.as_ref().first_chunk::<16>().copied().unwrap_or_default();
        self.serials.push((u128::from_be_bytes(half), line));
    }

    /// Every line that repeats another one's value.
    pub(crate) fn find(mut self) -> Vec<BadLine> {
        let mut bad = Vec::new();
        self.macs.sort_unstable();
        for (line, first, mac) in repeated(&self.macs) {
            let message = format!("the MAC address {mac:012x} stands in line {first} already");
            bad.push(BadLine { line: line.into(), message });
        }
        self.serials.sort_unstable();
        for (line, first, _) in repeated(&self.serials) {
            let line = u64::from(line);
            if !bad.iter().any(|one| one.line == line) {
                let message = format!("the serial number stands in line {first} already, for the same model");
                bad.push(BadLine { line, message });
            }
        }
        bad
    }
}

/// Each later line of a value, and the first.
fn repeated<T: Copy + PartialEq>(sorted: &[(T, u32)]) -> Vec<(u32, u32, T)> {
    let mut found = Vec::new();
    let mut first: Option<(T, u32)> = None;
    for (value, line) in sorted.iter().copied() {
        match first {
            Some((known, at)) if known == value => found.push((line, at, value)),
            Some(_) | None => first = Some((value, line)),
        }
    }
    found
}
