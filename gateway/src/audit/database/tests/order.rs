//! Several gateways in one database, whose batches do not come in the order of time.

use policies::MacAddress;

use super::*;
use crate::audit::entry::MacSource;
use crate::audit::query::DeviceStatus;

const START: i64 = 1_795_400_000;

fn at(second: i64) -> Moment {
    Moment::from_micros((START + second) * 1_000_000 + 1)
}

/// A request of the phone with this certificate and firmware.
fn request(certificate: &str, firmware: &str, peer: &str, rest: &str) -> String {
    format!(
        r#""event":"request","peer":"{peer}:1","host":"prov","user_agent":"{firmware}","certificate":{{"subject":"CN=000e08abcdef","issuer":"CN={certificate}","serial":"1","sha256":"{certificate}","key_sha256":"k","not_after":"2030-01-01T00:00:00Z"}},"device":{{"kind":"device","product":"CP-8841","serial":"FCH1","mac":"000e08abcdef"}},{rest}"#
    )
}

const SERVED: &str = r#""status":200,"decision":"permit""#;

fn write(database: &mut AuditDatabase, gateway: &str, number: i64, records: &[(i64, &str)]) {
    let text: String = records.iter().map(|(second, record)| lines(START + second, &[record])).collect();
    let id = BatchId { gateway, process: "p", number };
    assert_eq!(database.append(id, text.as_bytes()).unwrap().unreadable, 0);
}

fn device(database: &mut AuditDatabase) -> DeviceStatus {
    database.device(MacAddress::parse("000e08abcdef").unwrap()).unwrap().unwrap()
}

#[test]
fn what_a_slower_gateway_writes_later_never_takes_a_device_back_in_time() {
    on_both(|database| {
        let denied = |reason: &str| format!(r#""status":403,"decision":"deny","reason":"{reason}""#);
        let new = request("new", "12.0", "192.0.2.9", SERVED);
        let refused = request("new", "12.0", "192.0.2.9", &denied("no_rule_matched"));
        write(database, "fast", 1, &[(100, &new), (90, &refused)]);
        let before = device(database);
        assert_eq!(
            (before.last_success, before.last_refusal.as_ref().unwrap().time),
            (Some(at(100)), at(90))
        );

        let old = request("old", "11.0", "192.0.2.7", SERVED);
        let earlier = request("old", "11.0", "192.0.2.7", &denied("outside_profile"));
        write(database, "slow", 1, &[(50, &old), (60, &earlier)]);
        let after = device(database);
        assert_eq!((after.first_seen, after.last_seen), (at(50), at(100)));
        assert_eq!(after.last_success, before.last_success);
        assert_eq!(after.last_refusal, before.last_refusal, "time and reason belong together");
        assert_eq!(after.user_agent.as_deref(), Some("12.0"));
        assert_eq!(after.peer.as_deref(), Some("192.0.2.9"));
        assert_eq!(after.certificate.as_ref().unwrap().sha256, "new");
        assert_eq!(after.records, 4);

        let latest = request("newer", "13.0", "192.0.2.11", &denied("method_not_allowed"));
        write(database, "slow", 2, &[(120, &latest)]);
        let after = device(database);
        assert_eq!(
            after.last_refusal.unwrap().reason.as_deref(),
            Some("method_not_allowed"),
            "the twin that is later"
        );
        assert_eq!((after.last_success, after.user_agent.as_deref()), (Some(at(100)), Some("13.0")));
        assert_eq!(after.certificate.unwrap().sha256, "newer");
    });
}

#[test]
fn a_stranger_who_is_later_holds_nothing_back_that_the_device_proves() {
    on_both(|database| {
        let forged = r#""event":"connection","peer":"203.0.113.1:1","decision":"deny","reason":"unknown_issuer","certificate":{"subject":"CN=000e08abcdef","issuer":"CN=Forger","serial":"1","sha256":"forged","not_after":"2040-01-01T00:00:00Z"}"#;
        write(database, "one", 1, &[(0, &request("old", "11.0", "192.0.2.7", SERVED))]);
        write(database, "two", 1, &[(500, forged)]);
        write(database, "one", 2, &[(130, &request("new", "12.0", "192.0.2.9", SERVED))]);
        let device = device(database);
        assert_eq!((device.last_seen, device.last_success), (at(500), Some(at(130))));
        assert_eq!(device.user_agent.as_deref(), Some("12.0"));
        assert_eq!(device.certificate.unwrap().sha256, "new");
        assert_eq!(device.last_refusal.unwrap().source, MacSource::Certificate);
    });
}

#[test]
fn records_of_one_batch_that_are_out_of_order_leave_the_latest() {
    on_both(|database| {
        let (new, old) =
            (request("new", "12.0", "192.0.2.9", SERVED), request("old", "11.0", "192.0.2.7", SERVED));
        write(database, "one", 1, &[(10, &new), (9, &old)]);
        let device = device(database);
        assert_eq!((device.last_success, device.user_agent.as_deref()), (Some(at(10)), Some("12.0")));
        assert_eq!(
            (device.peer.as_deref(), device.certificate.unwrap().sha256.as_str()),
            (Some("192.0.2.9"), "new")
        );
    });
}
