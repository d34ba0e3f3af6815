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

mod burst;
mod record;

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
        hello: Some(Box::new(HelloFacts {
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
        })),
        tls: Some(TlsFacts {
            version: "TLSv1.3".into(),
            suite: "TLS_AES_128_GCM_SHA256".into(),
            resumed: true,
        }),
        certificate: Some(Box::new(CertificateFacts {
            subject: "SN=000e08abcdef,L=88012BA01234,OU=CP-8841-3PCC".to_owned(),
            issuer: "CN=Client Root".to_owned(),
            serial: "0ABC".to_owned(),
            sha256: "ab".repeat(32),
            key_sha256: "cd".repeat(32),
            not_after: "2046-11-23T02:25:11Z".to_owned(),
            depth: 2,
        })),
        exceptions: vec!["sha1", "expired"],
        device: Some(Box::new(DeviceFacts {
            kind: "device",
            product: Some("CP-8841-3PCC".into()),
            serial: Some("88012BA01234".into()),
            mac: Some("000e08abcdef".to_owned()),
            profile: Some("cisco-small-business".into()),
        })),
        ..bare_facts()
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
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
