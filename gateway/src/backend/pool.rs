//! Unused connections to one backend, kept for the next request.
//!
//! There is one stack per worker thread, taken from newest first, so that a worker neither waits for another nor warms a
//! connection that another's cache holds. An unused connection is polled by nobody: whether the backend has closed it is
//! found out when it is taken, and a task that lives only while connections are kept closes those kept too long.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// One stack for each of this many threads; further threads share.
const STACKS: usize = 16;

#[derive(Debug)]
pub(super) struct Pool<T> {
    stacks: [Mutex<VecDeque<Kept<T>>>; STACKS],
    /// The most connections in all stacks together.
    capacity: usize,
    /// How many there are.
    kept: AtomicUsize,
    kept_for: Duration,
    swept: AtomicBool,
}

#[derive(Debug)]
struct Kept<T> {
    connection: T,
    since: Instant,
}

impl<T: Send + 'static> Pool<T> {
    pub(super) fn new(capacity: usize, kept_for: Duration) -> Arc<Self> {
        Arc::new(Self {
            stacks: std::array::from_fn(|_| Mutex::new(VecDeque::new())),
            capacity,
            kept: AtomicUsize::new(0),
            kept_for,
            swept: AtomicBool::new(false),
        })
    }

    /// The connection used last on this thread, or else on any other.
    pub(super) fn take(&self) -> Option<T> {
        let own = own_stack();
        let others = (1..STACKS).map(|step| (own + step) % STACKS);
        std::iter::once(own).chain(others).find_map(|at| {
            let kept = self.stack(at).pop_back()?;
            self.kept.fetch_sub(1, Ordering::Relaxed);
            (kept.since.elapsed() < self.kept_for).then_some(kept.connection)
        })
    }

    /// Keeps `connection`, in place of this thread's oldest when there is no room.
    pub(super) fn keep(self: &Arc<Self>, connection: T) {
        if self.capacity == 0 {
            return;
        }
        let oldest = {
            let mut stack = self.stack(own_stack());
            stack.push_back(Kept { connection, since: Instant::now() });
            if self.kept.fetch_add(1, Ordering::Relaxed) < self.capacity {
                None
            } else {
                self.kept.fetch_sub(1, Ordering::Relaxed);
                stack.pop_front()
            }
        };
        drop(oldest); // outside the lock: closing a connection is a system call
        if !self.swept.swap(true, Ordering::AcqRel) {
            self.sweep();
        }
    }

    /// Closes what was kept too long, until nothing is kept.
    fn sweep(self: &Arc<Self>) {
        let (pool, period) = (Arc::downgrade(self), self.kept_for);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                let Some(pool) = Weak::upgrade(&pool) else { return };
                // Cleared first: a connection kept from here on either is seen below or starts a new sweep.
                pool.swept.store(false, Ordering::Release);
                let left: usize = (0..STACKS).map(|at| pool.close_old(at)).sum();
                if left == 0 || pool.swept.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        });
    }

    /// Closes the old connections of one stack and says how many are left.
    fn close_old(&self, at: usize) -> usize {
        let mut old = Vec::new();
        let mut stack = self.stack(at);
        while stack.front().is_some_and(|kept| kept.since.elapsed() >= self.kept_for) {
            old.extend(stack.pop_front());
        }
        self.kept.fetch_sub(old.len(), Ordering::Relaxed);
        stack.len()
    }

    fn stack(&self, at: usize) -> MutexGuard<'_, VecDeque<Kept<T>>> {
        // Nothing is left half done under this lock, so a panic elsewhere spoils nothing.
        self.stacks[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This thread's stack.
fn own_stack() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| {
        own.get().unwrap_or_else(|| {
            let at = THREADS.fetch_add(1, Ordering::Relaxed) % STACKS;
            own.set(Some(at));
            at
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn gives_the_connection_used_last() {
        let pool = Pool::new(8, SECOND);
        pool.keep(1);
        pool.keep(2);
        assert_eq!((pool.take(), pool.take(), pool.take()), (Some(2), Some(1), None));
    }

    #[tokio::test]
    async fn drops_the_oldest_when_full() {
        let pool = Pool::new(2, SECOND);
        (1..=3).for_each(|connection| pool.keep(connection));
        assert_eq!((pool.take(), pool.take(), pool.take()), (Some(3), Some(2), None));
    }

    #[tokio::test]
    async fn takes_what_another_thread_kept() {
        let pool = Pool::new(8, SECOND);
        let other = Arc::clone(&pool);
        tokio::task::spawn_blocking(move || other.keep(7)).await.unwrap();
        assert_eq!(pool.take(), Some(7));
    }

    #[tokio::test]
    async fn has_room_again_for_what_was_taken() {
        let pool = Pool::new(1, SECOND);
        for connection in 1..=3 {
            pool.keep(connection);
            assert_eq!(pool.take(), Some(connection));
        }
        let other = Arc::clone(&pool);
        pool.keep(1);
        tokio::task::spawn_blocking(move || other.keep(2)).await.unwrap();
        assert_eq!((pool.take(), pool.take()), (Some(1), None), "the capacity is that of all threads");
    }

    #[tokio::test]
    async fn keeps_none_when_told_so() {
        let pool = Pool::new(0, SECOND);
        pool.keep(1);
        assert_eq!(pool.take(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn closes_what_was_kept_too_long_without_being_asked() {
        let pool = Pool::new(8, SECOND);
        let connection = Arc::new(());
        pool.keep(Arc::clone(&connection));
        assert_eq!(Arc::strong_count(&connection), 2);
        tokio::time::sleep(SECOND * 2).await;
        assert_eq!(Arc::strong_count(&connection), 1);

        pool.keep(Arc::clone(&connection));
        tokio::time::sleep(SECOND * 2).await;
        assert_eq!(Arc::strong_count(&connection), 1, "a second sweep follows the first");
    }
}
