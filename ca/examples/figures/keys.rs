//! Certificates with keys beside the keys alone.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rsa::{KeyPair, KeySize};

use crate::{Spent, cores, issue, spent, store, write};

/// Rounds in which the two take turns, so that a busy minute of the machine falls on both.
const ROUNDS: usize = 20;

pub(crate) fn measure(place: &Path, count: usize) {
    let store = store(place, "keys");
    let round = count.div_ceil(ROUNDS);
    let (mut bare, mut whole) = (Spent::default(), Spent::default());
    let (mut made, mut number) = (0, 0);
    while made < count {
        let size = round.min(count - made);
        let list = list(place, made, size);
        let mut turns: [&mut dyn FnMut(); 2] =
            [&mut || bare += spent(|| keys(size)), &mut || whole += spent(|| issue(&store, &list))];
        turns.rotate_left(number % 2);
        turns.into_iter().for_each(|turn| turn());
        made += size;
        number += 1;
        println!("{made} of {count} RSA-2048 keys: {}", compared(bare, whole));
    }
}

fn compared(bare: Spent, whole: Spent) -> String {
    format!(
        "alone {:.1} s ({:.1} s of CPU), with certificates {:.1} s ({:.1} s of CPU): ratio {:.3} by the clock, {:.3} by CPU",
        bare.wall.as_secs_f64(),
        bare.cpu.as_secs_f64(),
        whole.wall.as_secs_f64(),
        whole.cpu.as_secs_f64(),
        whole.wall.as_secs_f64() / bare.wall.as_secs_f64(),
        whole.cpu.as_secs_f64() / bare.cpu.as_secs_f64(),
    )
}

/// As many keys, on all cores.
fn keys(count: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    KeyPair::generate(KeySize::Rsa2048).unwrap();
                }
            });
        }
    });
}

fn list(place: &Path, first: usize, count: usize) -> std::path::PathBuf {
    let mut list = "model,serial,mac\n".to_owned();
    for number in first..first + count {
        writeln!(list, "CP-8841-3PCC,K{number:07},000e08{number:06x}").unwrap();
    }
    let path = place.join(format!("keys-{first}.csv"));
    write(&path, list);
    path
}
