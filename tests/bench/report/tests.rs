use std::collections::BTreeMap;

use super::*;
use crate::phone::Calls;
use crate::row::ROWS;

const SERVERS: [&str; 3] = ["gateway", "nginx", "HAProxy"];

fn micros_of(figures: &[u64]) -> Vec<Duration> {
    figures.iter().copied().map(Duration::from_micros).collect()
}

fn measured(figures: &[&[u64]]) -> Measured {
    let rsa = KeyAlgorithm::Rsa { bits: 2048 };
    Measured {
        figures: figures.iter().map(|figures| micros_of(figures)).collect(),
        shown: vec![rsa; figures.len()],
        bare: Vec::new(),
        asymmetric_work: Vec::new(),
    }
}

fn report_of(row: &Row, figures: &[&[u64]], bound: Option<Bound>) -> Report {
    let mut report = Report::new(SERVERS.to_vec());
    report.operation(row, &measured(figures), bound);
    report
}

#[test]
fn a_row_has_medians_ratios_and_what_became_of_its_bound() {
    let [row, ..] = ROWS;
    let bound = Bound::times_peer(0.3, "nginx", Some(0.25));
    let report = report_of(&row, &[&[500, 520, 900], &[2000, 2000, 2000], &[1000, 1040, 1000]], Some(bound));
    let text = report.markdown();
    assert!(
        text.contains(
            "| full handshake + GET, TLS 1.3 | 520 µs | 2000 µs | 1000 µs | 0.26 | 0.50 | ≤ 0.30 × nginx: met; goal ≤ \
             0.25: not yet |"
        ),
        "{text}"
    );
    assert!(text.contains("gateway ÷ nginx 0.25 to 0.45, HAProxy 0.50 to 0.90"), "{text}");
    assert!(report.faults().is_empty());
}

#[test]
fn a_bound_missed_by_far_is_a_fault_and_one_missed_is_none() {
    let [row, ..] = ROWS;
    let bound = Some(Bound::times_peer(0.3, "nginx", None));
    let missed = report_of(&row, &[&[800], &[2000], &[2000]], bound);
    assert!(missed.markdown().contains("≤ 0.30 × nginx: missed |"));
    assert!(missed.faults().is_empty());
    let by_far = report_of(&row, &[&[1000], &[2000], &[2000]], bound);
    assert_eq!(by_far.faults(), ["full handshake + GET, TLS 1.3: 0.50, bound ≤ 0.30 × nginx: missed by far"]);
}

#[test]
fn where_the_physical_limit_is_known_it_stands_beside_the_bound_and_judges_in_its_place() {
    let [row, ..] = ROWS;
    let mut measured = measured(&[&[1000], &[2000], &[2000]]);
    measured.bare = micros_of(&[700]);
    for (work, faults) in [(600, 0), (300, 1)] {
        let mut report = Report::new(SERVERS.to_vec());
        measured.asymmetric_work = micros_of(&[work]);
        report.operation(&row, &measured, Some(Bound::times_peer(0.3, "nginx", None)));
        let text = report.markdown();
        assert!(text.contains("≤ 0.30 × nginx: missed by far; physical limit 0.35 |"), "{text}");
        assert_eq!(report.faults().len(), faults, "{:?}", report.faults());
    }
}

#[test]
fn a_server_that_did_not_do_the_same_is_a_fault() {
    let [row, ..] = ROWS;
    for (figures, fault) in [
        ([500, 0, 500], "full handshake + GET, TLS 1.3: gateway or nginx took no CPU time at all"),
        ([500, 500, 2], "full handshake + GET, TLS 1.3: gateway ÷ HAProxy is 250.00, which cannot be"),
    ] {
        let [gateway, nginx, haproxy] = figures;
        let report = report_of(&row, &[&[gateway], &[nginx], &[haproxy]], None);
        assert_eq!(report.faults(), [fault]);
    }
    assert!(report_of(&row, &[&[500], &[500], &[500]], None).faults().is_empty());
}

#[test]
fn the_physical_limit_is_compared_with_the_full_handshake() {
    let [row, ..] = ROWS;
    for (gateway, told, faults) in [
        ([900, 700, 1000], "gateway ÷ that: 1.80, from round to round 1.40 to 2.00 (≤ 1.9: met)", 0),
        (
            [1500, 1500, 1500],
            "gateway ÷ that: 3.00, from round to round 3.00 to 3.00 (≤ 1.9: missed by far)",
            1,
        ),
    ] {
        let mut measured = measured(&[&gateway, &[2000; 3], &[2000; 3]]);
        measured.asymmetric_work = micros_of(&[500; 3]);
        let mut report = Report::new(SERVERS.to_vec());
        report.operation(&row, &measured, None);
        let text = report.markdown();
        assert!(text.contains("take 500 µs with all cores busy"), "{text}");
        assert!(text.contains(told), "{text}");
        assert_eq!(report.faults().len(), faults);
    }
}

#[test]
fn connections_that_a_server_closed_are_a_fault() {
    let mut report = Report::new(SERVERS.to_vec());
    let idle = |kib: u64, closed| Idle { each: kib * 1024, closed };
    report.idle(&[idle(20, 0), idle(24, 3), idle(30, 0)], 2000);
    let text = report.markdown();
    let line =
        "| memory per idle connection | 20.0 KiB | 24.0 KiB | 30.0 KiB | ≤ 26 KiB: met; goal ≤ 15: not yet |";
    assert!(text.contains(line), "{text}");
    assert_eq!(report.faults(), ["memory per idle connection: nginx had closed 3 of 2000"]);
}

fn cut(served: usize, refused: usize, cpu: u64) -> PowerCut {
    let refused: BTreeMap<_, _> =
        std::iter::once(("connection reset".to_owned(), refused)).filter(|(_, count)| *count > 0).collect();
    PowerCut {
        calls: Calls { lost: 0, refused, served: vec![Duration::from_secs(1); served] },
        over_after: Duration::from_secs(3),
        cpu: Duration::from_millis(cpu),
        one: Duration::from_millis(1),
        generator: Duration::from_secs(2),
        grown: 8 << 20,
    }
}

#[test]
fn one_phone_refused_in_a_power_cut_is_a_fault_of_the_gateway_and_none_of_a_peer() {
    let mut report = Report::new(SERVERS.to_vec());
    report.power_cut(&[cut(500, 0, 550), cut(499, 1, 900), cut(500, 0, 500)], 500);
    assert!(report.faults().is_empty(), "{:?}", report.faults());
    let text = report.markdown();
    for line in [
        "| power cut of 500 phones: refused | 0 | 1 | 0 | ≤ 0: met |",
        "| power cut of 500 phones: all served after | 3.00 s | never | 3.00 s |  |",
        "GET) | 1.10 | 1.80 | 1.00 | ≤ 1.2: met |",
        "- power cut: refused by nginx: 1 × connection reset\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let mut report = Report::new(SERVERS.to_vec());
    report.power_cut(&[cut(499, 1, 550), cut(500, 0, 900), cut(500, 0, 500)], 500);
    assert_eq!(report.faults(), ["power cut of 500 phones: refused: 1.00, bound ≤ 0: missed by far"]);
}

#[test]
fn a_phone_that_the_gateway_does_not_serve_in_a_flood_is_a_fault() {
    let flood = |served, lost| Flood {
        calls: Calls { lost, refused: BTreeMap::new(), served: vec![Duration::from_millis(20); served] },
        cpu: Duration::from_secs(1),
        grown: 1 << 20,
    };
    let mut report = Report::new(SERVERS.to_vec());
    report.flood(&[flood(200, 0), flood(100, 100), flood(0, 200)], 10);
    assert!(report.faults().is_empty());
    let text = report.markdown();
    for line in [
        "| flood: phones served | 200 of 200 | 100 of 200 | 0 of 200 |  |",
        "| flood: server CPU for each served phone | 5000 µs | 10000 µs | – |  |",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let mut report = Report::new(SERVERS.to_vec());
    report.flood(&[flood(199, 1), flood(200, 0), flood(200, 0)], 10);
    assert_eq!(report.faults(), ["flood: the gateway did not serve 1 of 200 phones"]);
}
