use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::{Instant, UNIX_EPOCH},
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MEBIBYTE: usize = 1 << 20;
const LIMIT: Duration = Duration::from_secs(10);

fn clock() -> SystemTime {
    UNIX_EPOCH + Duration::new(1_795_400_711, 42_000)
}

fn ids() -> ConnectionIds {
    ConnectionIds::starting_at(clock())
}

fn bare_facts() -> ConnectionFacts {
    ConnectionFacts::new(
        ids().next(),
        "[2001:db8::7]:40000".parse().unwrap(),
        "0.0.0.0:8443".parse().unwrap(),
    )
}

fn full_facts() -> ConnectionFacts {
    ConnectionFacts {
        host: Some("prov.example.com".into()),
        engine: Some("modern"),
        hello: Some(HelloFacts {
            versions: vec!["TLSv1.3".into(), "0x7a7a".into()],
            suites: vec!["TLS_AES_128_GCM_SHA256".into()],
            sni: Some(b"prov.example.com".to_vec()),
            format: Some("sslv2"),
            extensions: vec![0, 10, 65_281],
            groups: vec!["x25519".into()],
            signature_algorithms: vec!["rsa_pss_rsae_sha256".into()],
            alpn: vec![b"http/1.1".to_vec()],
            ja3: Some("ada70206e40642a3e4461f35503241d5".to_owned()),
            ja4: Some("t13d1516h2_8daaf6152771_02713d6af862".to_owned()),
        }),
        tls: Some(TlsFacts {
            version: "TLSv1.3".into(),
            suite: "TLS_AES_128_GCM_SHA256".into(),
            resumed: true,
        }),
        certificate: Some(CertificateFacts {
            subject: "SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC".to_owned(),
            issuer: "CN=Client Root".to_owned(),
            serial: "0ABC".to_owned(),
            sha256: "ab".repeat(32),
            key_sha256: "cd".repeat(32),
            not_after: "2046-11-23T02:25:11Z".to_owned(),
            depth: 2,
        }),
        exceptions: vec!["sha1", "expired"],
        device: Some(DeviceFacts {
            kind: "device",
            product: Some("CP-8841-3PCC".into()),
            serial: Some("88012BA01234".into()),
            mac: Some("000e08abcdef".to_owned()),
            profile: Some("cisco-small-business".into()),
        }),
        ..bare_facts()
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

#[test]
fn a_request_record_has_every_member_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let auditor = Auditor::to_file(&path, MEBIBYTE, clock).unwrap();
    let facts = full_facts();
    let request = facts.connection.request(1);
    auditor.record(&AuditRecord {
        alert: Some("received close_notify"),
        method: Some("GET"),
        path: Some(b"/000e08abcdef.cfg?x=\"1\""),
        status: Some(502),
        bytes: Some(0),
        rule: Some("own profile"),
        decision: Some(Decision::Permit),
        reason: Some("backend_unreachable"),
        detail: Some("connection refused"),
        backend: Some("http://127.0.0.1:8080"),
        ..AuditRecord::new(&facts.fragment(), Event::Request(request), Duration::from_micros(1234))
    });
    auditor.close(LIMIT).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        lines(&text),
        [json!({
            "v": 1, "time": "2026-11-23T02:25:11.000042Z", "event": "request",
            "connection": facts.connection.to_string(), "request": request.to_string(),
            "peer": "[2001:db8::7]:40000", "listener": "0.0.0.0:8443", "host": "prov.example.com", "engine": "modern",
            "hello": {
                "versions": ["TLSv1.3", "0x7a7a"], "suites": ["TLS_AES_128_GCM_SHA256"],
                "sni": "prov.example.com", "format": "sslv2", "ja4": "t13d1516h2_8daaf6152771_02713d6af862",
                "extensions": [0, 10, 65_281], "groups": ["x25519"],
                "signature_algorithms": ["rsa_pss_rsae_sha256"], "alpn": ["http/1.1"],
                "ja3": "ada70206e40642a3e4461f35503241d5",
            },
            "tls": { "version": "TLSv1.3", "suite": "TLS_AES_128_GCM_SHA256", "resumed": true },
            "alert": "received close_notify",
            "certificate": {
                "subject": "SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC", "issuer": "CN=Client Root", "serial": "0ABC",
                "sha256": "ab".repeat(32), "key_sha256": "cd".repeat(32), "not_after": "2046-11-23T02:25:11Z", "depth": 2,
            },
            "exceptions": ["sha1", "expired"],
            "device": {
                "kind": "device", "product": "CP-8841-3PCC", "serial": "88012BA01234", "mac": "000e08abcdef",
                "profile": "cisco-small-business",
            },
            "method": "GET", "path": "/000e08abcdef.cfg?x=\"1\"", "status": 502, "bytes": 0,
            "rule": "own profile", "decision": "permit", "reason": "backend_unreachable", "detail": "connection refused",
            "duration_us": 1234, "backend": "http://127.0.0.1:8080",
        })]
    );
    assert!(
        text.starts_with(r#"{"v":1,"time":"2026-11-23T02:25:11.000042Z","event":"request","connection":""#)
    );
}

#[test]
fn the_first_record_of_a_connection_tells_the_whole_hello_and_the_others_what_a_phone_is_known_by() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let auditor = Auditor::to_file(&path, MEBIBYTE, clock).unwrap();
    let (facts, without_hello) = (full_facts(), bare_facts().fragment());
    let (id, fragment) = (facts.connection, facts.fragment());
    let mut forgotten = facts;
    forgotten.forget_the_written();
    let after = forgotten.fragment_after(&fragment);
    let closed = Event::Closed { requests: 2, ended: "done" };
    for (facts, event) in [
        (&fragment, Event::Request(id.request(1))),
        (&fragment, Event::Request(id.request(2))),
        (&after, Event::Request(id.request(3))),
        (&fragment, closed),
        (&fragment, Event::Connection),
        (&without_hello, closed),
    ] {
        auditor.record(&AuditRecord::new(facts, event, Duration::ZERO));
    }
    auditor.close(LIMIT).unwrap();
    let hellos: Vec<_> =
        lines(&fs::read_to_string(&path).unwrap()).into_iter().map(|line| line["hello"].clone()).collect();
    let short = json!({
        "versions": ["TLSv1.3", "0x7a7a"], "suites": ["TLS_AES_128_GCM_SHA256"], "sni": "prov.example.com",
        "format": "sslv2", "ja4": "t13d1516h2_8daaf6152771_02713d6af862",
    });
    assert_eq!(hellos[1], short);
    assert_eq!(hellos[2], short, "judged again after a pause");
    assert_eq!(hellos[3], short);
    assert_eq!(hellos[0], hellos[4]);
    assert_eq!(hellos[0]["groups"], json!(["x25519"]));
    assert_eq!(hellos[5], serde_json::Value::Null);
}

#[test]
fn facts_that_are_not_known_are_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let auditor = Auditor::to_file(&path, MEBIBYTE, clock).unwrap();
    let facts = bare_facts();
    auditor.record(&AuditRecord {
        reason: Some("hello_timeout"),
        decision: Some(Decision::Deny),
        ..AuditRecord::new(&facts.fragment(), Event::Connection, Duration::from_secs(10))
    });
    auditor.close(LIMIT).unwrap();
    assert_eq!(
        lines(&fs::read_to_string(&path).unwrap()),
        [json!({
            "v": 1, "time": "2026-11-23T02:25:11.000042Z", "event": "connection", "connection": facts.connection.to_string(),
            "peer": "[2001:db8::7]:40000", "listener": "0.0.0.0:8443", "decision": "deny", "reason": "hello_timeout",
            "duration_us": 10_000_000,
        })]
    );
}

#[test]
fn a_new_file_is_not_for_others_and_an_old_one_is_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let facts = bare_facts().fragment();
    for _ in 0..2 {
        let auditor = Auditor::to_file(&path, MEBIBYTE, clock).unwrap();
        auditor.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
        auditor.close(LIMIT).unwrap();
    }
    assert_eq!(lines(&fs::read_to_string(&path).unwrap()).len(), 2);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o007, 0);
}

#[test]
fn a_line_that_a_crash_cut_short_does_not_swallow_the_next_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    File::create(&path).unwrap().write_all(b"{\"v\":1,\"time\":\"2026-").unwrap();
    let auditor = Auditor::to_file(&path, MEBIBYTE, clock).unwrap();
    auditor.record(&AuditRecord::new(&bare_facts().fragment(), Event::Connection, Duration::ZERO));
    auditor.close(LIMIT).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(lines(text.split_once('\n').expect("the torn line was ended").1).len(), 1);
}

#[test]
fn after_the_file_was_moved_away_a_reopen_starts_a_new_one_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let moved = folder.path().join("audit.jsonl.1");
    let auditor = Auditor::to_file(&path, MEBIBYTE, clock).unwrap();
    let facts = bare_facts().fragment();
    for round in 0..100 {
        if round == 50 {
            fs::rename(&path, &moved).unwrap();
            auditor.reopen();
        }
        auditor.record(&AuditRecord::new(&facts, Event::Connection, Duration::from_micros(round)));
    }
    auditor.close(LIMIT).unwrap();
    let mut durations: Vec<u64> = [&moved, &path]
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| lines(&text))
        .map(|line| line["duration_us"].as_u64().expect("each has a duration"))
        .collect();
    durations.sort_unstable();
    assert_eq!(durations, (0..100).collect::<Vec<_>>());
    assert!(path.exists(), "the new file is there");
}

/// A sink that does as it is told, and tells what it got.
struct Told {
    orders: Receiver<Order>,
    told: Order,
    got: Sender<(Instant, Vec<u8>)>,
}

#[derive(Clone, Copy)]
enum Order {
    Write,
    WriteAtMost(usize),
    Fail,
}

impl AuditSink for Told {
    fn append(&mut self, lines: &[u8]) -> io::Result<usize> {
        if let Ok(order) = self.orders.try_recv() {
            self.told = order;
        }
        let count = match self.told {
            Order::Write => lines.len(),
            Order::WriteAtMost(most) => lines.len().min(most),
            Order::Fail => return Err(io::ErrorKind::StorageFull.into()),
        };
        let _ = self.got.send((Instant::now(), lines[..count].to_vec()));
        Ok(count)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let _ = self.got.send((Instant::now(), b"REOPENED\n".to_vec()));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Received = Receiver<(Instant, Vec<u8>)>;

fn told(first: Order) -> (Told, Sender<Order>, Received) {
    let (order, orders) = channel();
    let (got, received) = channel();
    (Told { orders, told: first, got }, order, received)
}

fn all(received: &Received) -> String {
    String::from_utf8(received.try_iter().flat_map(|(_, bytes)| bytes).collect()).unwrap()
}

#[test]
fn a_record_is_written_within_200_milliseconds() {
    let (sink, _order, received) = told(Order::Write);
    let auditor = Auditor::to_sink(sink, MEBIBYTE, clock).unwrap();
    let facts = full_facts().fragment();
    for _ in 0..5 {
        let recorded = Instant::now();
        auditor.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
        let (written, _) = received.recv_timeout(LIMIT).unwrap();
        assert!(written - recorded < Duration::from_millis(200), "took {:?}", written - recorded);
    }
}

#[test]
fn a_sink_that_takes_a_few_bytes_at_a_time_still_gets_whole_lines() {
    let (sink, _order, received) = told(Order::WriteAtMost(7));
    let auditor = Auditor::to_sink(sink, MEBIBYTE, clock).unwrap();
    let facts = full_facts().fragment();
    for _ in 0..20 {
        auditor.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
    }
    auditor.close(LIMIT).unwrap();
    assert_eq!(lines(&all(&received)).len(), 20);
}

#[test]
fn a_full_queue_never_blocks_and_the_gap_is_recorded_with_its_count_once_writing_works_again() {
    let (sink, order, received) = told(Order::Fail);
    let facts = full_facts().fragment();
    let mut line = Vec::new();
    AuditRecord::new(&facts, Event::Connection, Duration::ZERO).write(clock(), &mut line);
    let room = 10;
    let auditor = Auditor::to_sink(sink, line.len() * room, clock).unwrap();
    let sent = 1000;
    for _ in 0..sent {
        auditor.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
    }
    let dropped = auditor.dropped();
    assert!(
        dropped >= u64::try_from(sent - 2 * room).unwrap(),
        "at most one batch and one queue are kept, {dropped} were lost"
    );
    order.send(Order::Write).unwrap();
    auditor.close(LIMIT).unwrap();
    let written = lines(&all(&received));
    let gaps: Vec<&Value> = written.iter().filter(|line| line["event"] == "gap").collect();
    assert_eq!(gaps.iter().filter_map(|gap| gap["count"].as_u64()).sum::<u64>(), dropped);
    assert!(gaps.iter().all(|gap| gap["since"] == "2026-11-23T02:25:11.000042Z"));
    let kept = written.iter().filter(|line| line["event"] == "connection").count();
    assert_eq!(u64::try_from(kept).unwrap() + dropped, 1000, "each record is in the file or counted");
}

#[test]
fn a_line_that_was_cut_when_the_file_was_rotated_is_written_whole_into_the_new_one() {
    let (sink, order, received) = told(Order::WriteAtMost(10));
    let auditor = Auditor::to_sink(sink, MEBIBYTE, clock).unwrap();
    let facts = bare_facts().fragment();
    order.send(Order::WriteAtMost(10)).unwrap();
    order.send(Order::Fail).unwrap();
    auditor.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
    let (_, cut) = received.recv_timeout(LIMIT).unwrap();
    assert_eq!(cut.len(), 10);
    order.send(Order::Write).unwrap();
    auditor.reopen();
    auditor.close(LIMIT).unwrap();
    let rest = all(&received);
    let after = rest.split_once("REOPENED\n").expect("it was reopened").1;
    assert_eq!(lines(after).len(), 1);
}

#[test]
fn a_full_disk_is_reported_when_closing_and_never_holds_the_data_path_up() {
    let Ok(auditor) = Auditor::to_file(Path::new("/dev/full"), 64 * 1024, clock) else {
        return; // no such device here
    };
    let facts = full_facts().fragment();
    for _ in 0..500 {
        auditor.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
    }
    assert_eq!(auditor.close(LIMIT), Err(Unwritten::Lost(500)));
    assert!(auditor.failing());
}

#[test]
fn a_sink_that_never_returns_does_not_hold_the_shutdown_up() {
    struct Stuck(Mutex<Receiver<()>>);
    impl AuditSink for Stuck {
        fn append(&mut self, lines: &[u8]) -> io::Result<usize> {
            let _ = self.0.get_mut().unwrap().recv();
            Ok(lines.len())
        }
        fn reopen(&mut self) -> io::Result<()> {
            Ok(())
        }
        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (release, stuck) = channel();
    let auditor = Auditor::to_sink(Stuck(Mutex::new(stuck)), MEBIBYTE, clock).unwrap();
    auditor.record(&AuditRecord::new(&bare_facts().fragment(), Event::Connection, Duration::ZERO));
    let limit = Duration::from_millis(30);
    assert_eq!(auditor.close(limit), Err(Unwritten::TooSlow(limit)));
    drop(release);
    assert_eq!(auditor.close(LIMIT), Ok(()));
}

#[test]
fn records_after_the_close_are_counted() {
    let (sink, _order, _received) = told(Order::Write);
    let auditor = Auditor::to_sink(sink, MEBIBYTE, clock).unwrap();
    auditor.close(LIMIT).unwrap();
    auditor.record(&AuditRecord::new(&bare_facts().fragment(), Event::Connection, Duration::ZERO));
    assert_eq!(auditor.dropped(), 1);
}

#[test]
fn the_last_auditor_that_goes_ends_the_writer() {
    let (sink, _order, received) = told(Order::Write);
    let auditor = Auditor::to_sink(sink, MEBIBYTE, clock).unwrap();
    auditor.record(&AuditRecord::new(&bare_facts().fragment(), Event::Connection, Duration::ZERO));
    drop(auditor);
    assert!(received.recv_timeout(LIMIT).is_ok());
    assert!(received.recv_timeout(LIMIT).is_err(), "the sink is gone with its thread");
}

#[test]
fn an_auditor_without_a_file_takes_everything_and_keeps_nothing() {
    let auditor = Auditor::disabled(clock);
    auditor.record(&AuditRecord::new(&bare_facts().fragment(), Event::Connection, Duration::ZERO));
    auditor.reopen();
    assert_eq!((auditor.dropped(), auditor.failing(), auditor.close(LIMIT)), (0, false, Ok(())));
}

#[test]
fn many_threads_lose_nothing_while_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let auditor = Auditor::to_file(&path, 64 * MEBIBYTE, clock).unwrap();
    let facts = full_facts().fragment();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5000 {
                    auditor.record(&AuditRecord::new(&facts, Event::Connection, Duration::ZERO));
                }
            });
        }
    });
    auditor.close(LIMIT).unwrap();
    let mut text = String::new();
    File::open(&path).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(lines(&text).len(), 20_000);
    assert_eq!(auditor.dropped(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn sec_60_any_text_a_peer_sends_stays_inside_its_member_of_one_line(
        sni in proptest::collection::vec(any::<u8>(), 0..80),
        subject in "\\PC{0,60}|[\\x00-\\x{ff}]{0,60}",
        path in proptest::collection::vec(any::<u8>(), 0..80),
        product in "[\\x00-\\x{7f}]{0,20}",
    ) {
        let mut facts = full_facts();
        facts.hello.as_mut().unwrap().sni = Some(sni.clone());
        facts.certificate.as_mut().unwrap().subject = subject.clone();
        facts.device.as_mut().unwrap().product = Some(product.as_str().into());
        let mut line = Vec::new();
        AuditRecord { path: Some(&path), ..AuditRecord::new(&facts.fragment(), Event::Connection, Duration::ZERO) }
            .write(clock(), &mut line);
        prop_assert_eq!(line.iter().filter(|byte| **byte < 0x20).count(), 1, "only the line feed at the end");
        let value: Value = serde_json::from_slice(&line).unwrap();
        prop_assert_eq!(value["hello"]["sni"].as_str().unwrap(), String::from_utf8_lossy(&sni));
        prop_assert_eq!(value["certificate"]["subject"].as_str().unwrap(), subject);
        prop_assert_eq!(value["path"].as_str().unwrap(), String::from_utf8_lossy(&path));
        prop_assert_eq!(value["device"]["product"].as_str().unwrap(), product);
    }
}

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
