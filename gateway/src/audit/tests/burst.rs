//! Many records at once, and sinks that are slower or dead.

use super::*;

/// A sink that keeps what it gets, at its own speed.
#[derive(Clone, Default)]
struct Slow {
    got: std::sync::Arc<Mutex<Vec<u8>>>,
    pause: Duration,
    broken: bool,
}

impl AuditSink for Slow {
    fn append(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.broken {
            return Err(io::ErrorKind::StorageFull.into());
        }
        thread::sleep(self.pause);
        self.got.lock().unwrap().extend_from_slice(lines);
        Ok(lines.len())
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Slow {
    fn sink(&self, name: &str, queue: usize, when_full: WhenFull) -> Sink {
        Sink { name: name.to_owned(), sink: Box::new(self.clone()), queue, when_full }
    }

    /// Records that were kept, and records that gaps tell of.
    fn counts(&self) -> (u64, u64) {
        let text = String::from_utf8(self.got.lock().unwrap().clone()).unwrap();
        let (mut kept, mut lost) = (0, 0);
        for line in lines(&text) {
            match line["event"].as_str() {
                Some("gap") => lost += line["count"].as_u64().unwrap(),
                _ => kept += 1,
            }
        }
        (kept, lost)
    }
}

/// A burst of 100 000 records into two slow sinks and a dead one: the one that refuses loses none, of the others every one is
/// kept or counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_loses_nothing_where_it_is_refused_and_everything_lost_is_counted_elsewhere() {
    let slow = |milliseconds| Slow { pause: Duration::from_millis(milliseconds), ..Slow::default() };
    let (refusing, counting) = (slow(1), slow(40));
    let dead = Slow { broken: true, ..Slow::default() };
    let sinks = vec![
        refusing.sink("refusing", MEBIBYTE, WhenFull::Refuse),
        counting.sink("counting", 64 << 10, WhenFull::DropAndCount),
        dead.sink("dead", 64 << 10, WhenFull::DropAndCount),
    ];
    let auditor = Auditor::start(sinks, clock).unwrap();
    let facts = std::sync::Arc::new(full_facts().fragment());
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let (auditor, facts) = (auditor.clone(), std::sync::Arc::clone(&facts));
        tasks.push(tokio::spawn(async move {
            for _ in 0..5000 {
                assert!(auditor.has_room().await, "there is room again within a second");
                auditor.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
                tokio::task::yield_now().await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let most = auditor.sinks()[0].queued;
    assert!(most < 2 * MEBIBYTE, "{most}");
    let unwritten = auditor.close(LIMIT);
    assert!(matches!(unwritten, Err(Unwritten::Lost(_))), "the dead one's: {unwritten:?}");
    let status = auditor.sinks();
    assert_eq!((refusing.counts(), status[0].dropped), ((100_000, 0), 0));
    let (kept, lost) = counting.counts();
    assert_eq!(kept + lost, 100_000);
    assert!(lost > 0 && status[1].dropped == lost && !status[1].failing, "{kept} {lost}");
    let Err(Unwritten::Lost(of_dead)) = unwritten else { unreachable!() };
    assert_eq!(of_dead, 100_000);
    assert!(status[2].failing);
}

/// `when-full = "refuse"` with a sink that takes nothing: the wait is bounded, and over as soon as there is room.
#[tokio::test]
async fn without_room_it_is_a_second_and_then_no() {
    let (sink, order, received) = told(Order::Fail);
    let sinks = vec![Sink {
        name: "x".to_owned(),
        sink: Box::new(sink),
        queue: 64 << 10,
        when_full: WhenFull::Refuse,
    }];
    let auditor = Auditor::start(sinks, clock).unwrap();
    let facts = full_facts().fragment();
    let mut recorded = 0;
    assert!(!auditor.is_half_full());
    while !auditor.is_full() {
        auditor.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
        recorded += 1;
    }
    let began = Instant::now();
    assert!(!auditor.has_room().await && auditor.is_half_full());
    assert!((900..3000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    // What was under way is kept all the same.
    for _ in 0..100 {
        auditor.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
    }
    order.send(Order::Write).unwrap();
    assert!(auditor.has_room().await);
    assert!(!auditor.is_full());
    auditor.close(LIMIT).unwrap();
    assert!(!auditor.is_half_full());
    assert_eq!(lines(&all(&received)).len(), recorded + 100);
    assert_eq!(auditor.dropped(), 0);
}

/// A new configuration takes the place of one whose disk was full: what the old one could not write is not lost silently.
#[test]
fn what_an_auditor_left_unwritten_is_told_by_the_one_that_follows() {
    let broken = Slow { broken: true, ..Slow::default() };
    let old = Auditor::start(
        vec![
            broken.sink("disk", 64 << 10, WhenFull::DropAndCount),
            broken.sink("gone", 64 << 10, WhenFull::DropAndCount),
        ],
        clock,
    )
    .unwrap();
    let facts = bare_facts().fragment();
    for _ in 0..1000 {
        old.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
    }
    assert_eq!(old.close(LIMIT), Err(Unwritten::Lost(2000)));
    let (sound, other) = (Slow::default(), Slow::default());
    let sinks = vec![
        sound.sink("disk", 64 << 10, WhenFull::DropAndCount),
        other.sink("another", 64 << 10, WhenFull::DropAndCount),
    ];
    let new = Auditor::start(sinks, clock).unwrap();
    new.take_over(&old);
    new.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
    new.close(LIMIT).unwrap();
    assert_eq!(sound.counts(), (1, 1000));
    assert_eq!(other.counts(), (1, 0));
    let lost: Vec<u64> = new.sinks().iter().map(|sink| sink.dropped).collect();
    assert_eq!(lost, [1000, 0], "each one once");
}
