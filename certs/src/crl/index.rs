//! Finding an entry by serial number among millions: an open-addressing table of offsets into the DER.

use std::hash::{BuildHasher as _, RandomState};

use crate::der::Reader;
use crate::serial::Serial;

/// Offsets of entries, found by the serial number that stands first in each.
#[derive(Default)]
pub(super) struct SerialIndex {
    offsets: Vec<u32>,
    /// Slots hold an offset plus one; 0 is free. Twice as many as entries, a power of two.
    slots: Box<[u32]>,
    hasher: RandomState,
}

impl SerialIndex {
    /// Notes an entry. `false` when the offset is beyond what an index can hold.
    pub(super) fn push(&mut self, offset: usize) -> bool {
        match u32::try_from(offset) {
            Ok(offset) if offset < u32::MAX => {
                self.offsets.push(offset);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Where each entry begins, in the list's order.
    pub(super) fn offsets(&self) -> impl Iterator<Item = usize> {
        self.offsets.iter().filter_map(|offset| usize::try_from(*offset).ok())
    }

    /// Makes the table, after every entry was pushed. Of entries with one serial number it holds the first, so that
    /// a list of nothing else takes no longer.
    pub(super) fn build(&mut self, der: &[u8]) {
        if self.offsets.is_empty() {
            return;
        }
        let mut slots = vec![0; (self.offsets.len() * 2).next_power_of_two()].into_boxed_slice();
        for &offset in &self.offsets {
            let Some(serial) = serial_at(der, offset) else { continue };
            for slot in probe(&self.hasher, slots.len(), serial) {
                let Some(slot) = slots.get_mut(slot) else { break };
                match u32::checked_sub(*slot, 1) {
                    None => *slot = offset + 1,
                    Some(other) if serial_at(der, other) == Some(serial) => {}
                    Some(_) => continue,
                }
                break;
            }
        }
        self.slots = slots;
        self.offsets.shrink_to_fit();
    }

    /// The offset of the first entry with this serial number.
    pub(super) fn find(&self, der: &[u8], serial: &[u8]) -> Option<usize> {
        for slot in probe(&self.hasher, self.slots.len(), serial) {
            let offset = self.slots.get(slot)?.checked_sub(1)?;
            if serial_at(der, offset) == Some(serial) {
                return usize::try_from(offset).ok();
            }
        }
        None
    }
}

/// The slots to look at, one after another from the one that the hash names.
fn probe(hasher: &RandomState, slots: usize, serial: &[u8]) -> impl Iterator<Item = usize> + use<> {
    let mask = slots.wrapping_sub(1);
    let [_, _, _, _, low @ ..] = hasher.hash_one(serial).to_be_bytes();
    let start = usize::try_from(u32::from_be_bytes(low)).unwrap_or(0);
    (0..slots).map(move |step| start.wrapping_add(step) & mask)
}

fn serial_at(der: &[u8], offset: u32) -> Option<&[u8]> {
    let entry = der.get(usize::try_from(offset).ok()?..)?;
    let mut fields = Reader::new(entry).sequence("an entry").ok()?;
    Serial::read(&mut fields).ok()
}
