//! Values that may stand in one line only, remembered in a few octets each: a million lines take 28 MB.

use aws_lc_rs::digest::{SHA256, digest};

use super::{BadLine, ListedDevice};

/// What was seen, and where.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    /// MAC addresses as numbers.
    macs: Vec<Seen<8>>,
    /// The first octets of the SHA-256 of model and serial number: of a million, two agree by chance in one of 10^17 lists.
    serials: Vec<Seen<12>>,
}

/// A value and its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen<const N: usize> {
    value: [u8; N],
    line: u32,
}

/// A line that has what an earlier one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Repeated {
    pub(crate) line: u32,
    what: What,
    first: u32,
}

/// What is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Mac(u64),
    Serial,
}

impl Repeated {
    /// Says it.
    pub(crate) fn told(&self) -> BadLine {
        let Self { line, what, first } = self;
        let message = match what {
            What::Mac(mac) => format!("the MAC address {mac:012x} stands in line {first} already"),
            What::Serial => {
                format!("the serial number stands in line {first} already, for the same model")
            }
        };
        BadLine { line: u64::from(*line), message }
    }
}

impl Duplicates {
    pub(crate) fn add(&mut self, device: &ListedDevice) {
        let line = short(device.line);
        let identity = &device.identity;
        let mac = u64::from_str_radix(&identity.mac().to_string(), 16).unwrap_or(u64::MAX);
        self.macs.push(Seen { value: mac.to_be_bytes(), line });
        let mut name = identity.product().as_bytes().to_vec();
        name.push(0);
        name.extend(identity.serial().as_bytes());
        let hash = digest(&SHA256, &name);
        let value = hash.as_ref().first_chunk().copied().unwrap_or_default();
        self.serials.push(Seen { value, line });
    }

    /// Every line that repeats another one's value, once, in the list's order.
    pub(crate) fn find(self) -> Vec<Repeated> {
        let mut found = Vec::new();
        repeated(self.macs, |value| What::Mac(u64::from_be_bytes(value)), &mut found);
        repeated(self.serials, |_hash| What::Serial, &mut found);
        found.sort_unstable();
        found.dedup_by_key(|one| one.line);
        found
    }
}

/// The number of a line in four octets.
pub(crate) fn short(line: u64) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// Each later line of a value, and the first.
fn repeated<const N: usize>(
    mut seen: Vec<Seen<N>>,
    what: impl Fn([u8; N]) -> What,
    found: &mut Vec<Repeated>,
) {
    seen.sort_unstable();
    let mut first: Option<Seen<N>> = None;
    for one in seen {
        match first {
            Some(known) if known.value == one.value => {
                found.push(Repeated { line: one.line, what: what(one.value), first: known.line });
            }
            Some(_) | None => first = Some(one),
        }
    }
}
