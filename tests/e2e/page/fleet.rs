//! A fleet's records, as gateways would have written them in the last days: enough of each kind to see on a page.

use std::fmt::Write as _;

use certs::Timestamp;
use gateway::audit::{AuditDatabase, database::BatchId, moment::Moment};
use harness::expect::now;
use serde_json::json;

/// What somebody may write into a certificate, a path or a User-Agent.
pub(crate) const HOSTILE: [&str; 5] = [
    "<script>alert('pwned')</script><img src=x onerror=alert(1)>",
    "\"><b onmouseover=\"alert(1)\" title='x'>&lt;b&gt;",
    "safe\u{202e}gpj.exe\u{200b}\u{7}\u{1b}[31m",
    "</title></style></textarea></code></pre></bdi><iframe src=//evil.example>",
    "{{7*7}}${7*7}<!--",
];

/// Records of a fleet.
pub(crate) struct Story {
    text: String,
    count: u64,
}

impl Story {
    /// Writes two days of a fleet of forty phones, with some that deserve a look.
    pub(crate) fn write(database: &mut AuditDatabase) {
        let mut story = Self { text: String::new(), count: 0 };
        for hour in (0..48).rev() {
            story.hour(hour);
        }
        story.renewed();
        story.copied();
        story.said();
        let appended = database.append(Self::batch(1), story.text.as_bytes()).unwrap();
        assert_eq!((appended.records, appended.unreadable), (story.count, 0));
    }

    /// Writes records whose every text was made to do harm.
    pub(crate) fn write_hostile(database: &mut AuditDatabase) {
        let mut story = Self { text: String::new(), count: 0 };
        story.hostile();
        assert_eq!(database.append(Self::batch(2), story.text.as_bytes()).unwrap().records, story.count);
    }

    /// Writes one more record, of this moment.
    pub(crate) fn append(database: &mut AuditDatabase, number: i64, members: &str) {
        let time = Timestamp::from_unix(now());
        let line = format!("{{\"v\":1,\"time\":\"{time}\",{members}}}\n");
        assert_eq!(database.append(Self::batch(number), line.as_bytes()).unwrap().records, 1);
    }

    /// The beginning of the hour that was so many hours ago.
    pub(crate) fn hours_ago(hours: i64) -> Moment {
        Timestamp::from_unix(now() - now() % 3600 - hours * 3600).into()
    }

    const fn batch(number: i64) -> BatchId<'static> {
        BatchId { gateway: "one", process: "p", number }
    }

    fn record(&mut self, ago: i64, members: &serde_json::Value) {
        let mut record = members.clone();
        record["v"] = 1.into();
        // Never after now, and in the order of time within the hour.
        record["time"] = Timestamp::from_unix(now() - ago).to_string().into();
        writeln!(self.text, "{record}").unwrap();
        self.count += 1;
    }

    fn hour(&mut self, hour: i64) {
        for phone in 0..40 {
            let busy = (8..18).contains(&(hour % 24));
            if !busy && phone % 3 != 0 && phone != 1 {
                continue;
            }
            let ago = hour * 3600 + 40 - phone;
            let id = format!("{:014x}{:02x}", hour, phone);
            let mut served = served(phone, &id);
            self.record(ago, &served);
            if phone % 7 == 1 {
                served["request"] = format!("{id}-2").into();
                served["path"] = "/other.cfg".into();
                served["decision"] = "deny".into();
                served["reason"] = "no_rule_matched".into();
                served["detail"] = "no rule matches GET /other.cfg".into();
                served["status"] = 403.into();
                self.record(ago, &served);
            }
            let mut closed = served.clone();
            for gone in
                ["request", "method", "path", "status", "decision", "reason", "detail", "rule", "user_agent"]
            {
                closed.as_object_mut().unwrap().remove(gone);
            }
            closed["event"] = "closed".into();
            closed["requests"] = 1.into();
            if phone % 11 == 0 {
                closed["exceptions"] = json!(["sha1", "expired"]);
            }
            self.record(ago, &closed);
        }
        let refused = json!({ "event": "connection", "connection": format!("{hour:016x}"), "peer": "203.0.113.9:40000", "engine": "modern",
            "hello": { "versions": ["TLSv1.0"], "suites": ["TLS_RSA_WITH_AES_128_CBC_SHA"], "ja4": "t10i1" }, "decision": "deny",
            "reason": "version_not_supported", "alert": "sent protocol_version" });
        self.record(hour * 3600, &refused);
        let mut expired = refused.clone();
        expired["certificate"] = certificate("000e08abcdfe", "Old Root", "old", "2020-01-01");
        expired["reason"] = "expired".into();
        expired["detail"] = "certificate 0 expired 2020-01-01T00:00:00Z".into();
        for _ in 0..=hour % 5 {
            self.record(hour * 3600, &expired);
        }
        if hour % 6 == 0 {
            let mut failed = served(4, "failed");
            failed["status"] = 504.into();
            failed["reason"] = "backend_timeout".into();
            self.record(hour * 3600, &failed);
        }
    }

    /// A phone whose certificate was renewed: it lasts longer than the one of its hours before, which is not seen again.
    fn renewed(&mut self) {
        let mut served = served(2, "0000000000000abc");
        served["certificate"] = certificate("000e08abcd02", "Device Root", "renewed", "2032-01-01");
        self.record(600, &served);
    }

    /// A phone whose key was copied to another, which is somewhere else.
    fn copied(&mut self) {
        for turn in 0..6_i64 {
            let mut served = served(3, "0000000000000abd");
            let key = if turn % 2 == 0 { "mine" } else { "theirs" };
            served["certificate"] = certificate("000e08abcd03", "Device Root", key, "2031-06-01");
            served["peer"] = format!("198.51.{}.4:5000", 100 + turn).into();
            served["user_agent"] = "cisco/CP-7841-3PCC (FCH9999)".into();
            self.record(500 - turn, &served);
        }
    }

    /// What a phone says of itself, between its connections.
    fn said(&mut self) {
        let url = "https://prov.example.com:443/000e08abcd01.cfg";
        for (ago, progress, error) in [
            (70, "requesting", None),
            (60, "successful", None),
            (50, "failed", Some("TCP connection timeout")),
        ] {
            let said = json!({ "mac": "000e08abcd01", "product": "CP-7841-3PCC", "task": "resync", "progress": progress, "url": url,
                "error": error });
            self.record(ago, &json!({ "event": "said", "peer": "192.0.2.1:5060", "said": said }));
        }
    }

    fn hostile(&mut self) {
        let long = "x".repeat(10_000);
        for (number, text) in HOSTILE.into_iter().chain([long.as_str()]).enumerate() {
            let mut served = served(0, "0000000000000abe");
            served["device"] = json!({ "kind": "device", "product": text, "serial": text, "mac": "000e08abcdee", "profile": text });
            served["certificate"] = certificate("000e08abcdee", text, text, "2030-01-01");
            for member in ["path", "user_agent", "rule", "detail", "host", "method"] {
                served[member] = text.into();
            }
            served["tls"] = json!({ "version": text, "suite": text, "resumed": false });
            served["exceptions"] = json!([text]);
            self.record(400 - i64::try_from(number).unwrap(), &served);
            served["decision"] = "deny".into();
            served["reason"] = text.into();
            self.record(300 - i64::try_from(number).unwrap(), &served);
            let mut refused = json!({ "event": "connection", "peer": text, "decision": "deny", "reason": "expired", "alert": text });
            refused["certificate"] = certificate("000e08abcdee", text, "claimed", text);
            self.record(200 - i64::try_from(number).unwrap(), &refused);
        }
    }
}

fn served(phone: i64, id: &str) -> serde_json::Value {
    let mac = format!("000e08abcd{phone:02x}");
    let (product, version) = match phone % 3 {
        0 => ("CP-8841-3PCC", "TLSv1.3"),
        1 => ("CP-7841-3PCC", "TLSv1.2"),
        _ => ("SPA504G", "TLSv1.0"),
    };
    let suite = if version == "TLSv1.3" { "TLS_AES_128_GCM_SHA256" } else { "TLS_RSA_WITH_AES_128_CBC_SHA" };
    let serial = format!("FCH{phone:04}");
    let issuer = if phone % 4 == 0 { "Old Device Root" } else { "Device Root" };
    json!({ "event": "request", "connection": id, "request": format!("{id}-1"), "peer": format!("192.0.2.{phone}:40000"),
        "host": "prov.example.com", "engine": "modern", "tls": { "version": version, "suite": suite, "resumed": false },
        "certificate": certificate(&mac, issuer, &format!("k{phone}"), &format!("20{}-{:02}-15", 27 + phone % 2, phone % 12 + 1)),
        "device": { "kind": "device", "product": product, "serial": serial, "mac": mac, "profile": "cisco-small-business" },
        "user_agent": format!("cisco/{product} ({serial})"), "method": "GET", "path": format!("/{mac}.cfg"), "status": 200, "bytes": 4711,
        "rule": "own profile", "decision": "permit", "duration_us": 900, "backend": "directory:profiles" })
}

fn certificate(mac: &str, issuer: &str, key: &str, until: &str) -> serde_json::Value {
    json!({ "subject": format!("SN={mac}"), "issuer": format!("CN={issuer}"), "serial": "0A0B", "sha256": format!("{mac}{key}{until}"),
        "key_sha256": key, "not_after": format!("{until}T00:00:00Z"), "depth": 1 })
}
