//! What a monitoring system asks for: how many handshakes and requests ended how, and how long they took.
//!
//! Counting must not make the connections of two cores wait for each other, so each thread counts for itself, behind a lock that
//! nobody else takes but whoever reads the metrics, and [`Metrics::counts`] adds the threads up. A label has only values that the
//! configuration, the TLS registry or the list of reasons bounds: never a device, an address or a path (SEC-64).

mod counts;
mod exposition;
mod families;
mod histogram;
mod process;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use self::counts::{Client, Counts, Handshake, Request};
pub use self::exposition::Format;
pub use self::families::write;
pub use self::histogram::Histogram;

/// The counts since the start.
#[derive(Debug)]
pub struct Metrics {
    /// Tells the counts of one gateway from another's in the same process.
    number: u64,
    threads: Mutex<Vec<Arc<Mutex<Counts>>>>,
}

/// The counts of this thread, and whose they are.
type Own = (u64, Arc<Mutex<Counts>>);

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

impl Default for Metrics {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), threads: Mutex::default() }
    }
}

impl Metrics {
    /// Counts a handshake that came to an end, good or bad, and how long it took from the connection's first moment.
    pub fn handshake(&self, handshake: Handshake, took: Duration) {
        self.count(|counts| counts.handshake(handshake, took));
    }

    /// Counts a client that was let in.
    pub fn client(&self, client: Client) {
        self.count(|counts| counts.client(client));
    }

    /// Counts a request, the octets of its answer's body, and how long it took from its head to the answer's last octet.
    pub fn request(&self, request: Request, octets: u64, took: Duration) {
        self.count(|counts| counts.request(request, octets, took));
    }

    /// Counts a request whose head was refused or never came whole: how long it took, nobody knows.
    pub fn refused_head(&self, request: Request) {
        self.count(|counts| counts.refused_head(request));
    }

    /// All threads' counts together.
    pub fn counts(&self) -> Counts {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = Counts::default();
        for thread in threads.iter() {
            sum.add(&thread.lock().unwrap_or_else(PoisonError::into_inner));
        }
        sum
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        OWN.with_borrow_mut(|own| {
            let (_, counts) = match own {
                Some(own) if own.0 == self.number => own,
                Some(_) | None => own.insert(self.new_thread()),
            };
            count(&mut counts.lock().unwrap_or_else(PoisonError::into_inner));
        });
    }

    fn new_thread(&self) -> Own {
        let counts = Arc::<Mutex<Counts>>::default();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        // What a thread left that is gone, or that counted for another gateway in between, is kept in one place.
        let (mut kept, gone): (Vec<_>, Vec<_>) =
            threads.drain(..).partition(|thread| Arc::strong_count(thread) > 1);
        if !gone.is_empty() {
            let mut sum = Counts::default();
            for thread in gone {
                sum.add(&thread.lock().unwrap_or_else(PoisonError::into_inner));
            }
            kept.push(Arc::new(Mutex::new(sum)));
        }
        kept.push(Arc::clone(&counts));
        *threads = kept;
        (self.number, counts)
    }
}

#[cfg(test)]
mod tests {
    use policies::Reason;

    use super::*;

    fn refused(reason: Reason) -> Handshake {
        Handshake { engine: Some("modern"), version: None, suite: None, resumed: false, reason: Some(reason) }
    }

    #[test]
    fn threads_that_come_and_go_lose_no_count() {
        let metrics = Metrics::default();
        for _ in 0..5 {
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..7 {
                            metrics.handshake(refused(Reason::Expired), Duration::from_millis(3));
                        }
                    });
                }
            });
        }
        assert_eq!(metrics.counts().handshakes().collect::<Vec<_>>(), [(&refused(Reason::Expired), 105)]);
        assert!(metrics.threads.lock().unwrap().len() <= 4, "what is over is kept together");
    }

    #[test]
    fn two_gateways_of_one_process_count_apart() {
        let (one, other) = (Metrics::default(), Metrics::default());
        one.handshake(refused(Reason::Expired), Duration::ZERO);
        other.handshake(refused(Reason::Revoked), Duration::ZERO);
        one.handshake(refused(Reason::Expired), Duration::ZERO);
        assert_eq!(one.counts().handshakes().collect::<Vec<_>>(), [(&refused(Reason::Expired), 2)]);
        assert_eq!(other.counts().handshakes().collect::<Vec<_>>(), [(&refused(Reason::Revoked), 1)]);
    }
}
