//! `[audit]` and its sinks.

use std::time::Duration;

use super::fixture::{Fixture, SOUND};
use crate::audit::database::Retention;
use crate::audit::{Destination, Facility, Keep, OnRepetition, Rotation, SyslogFormat, WhenFull};
use crate::config::{AuditConfig, SinkKind};

/// The sound configuration with other sinks; they begin in line 20.
fn with(sinks: &str) -> String {
    format!("{}{sinks}", SOUND.split_once("[audit]").unwrap().0)
}

fn read(fixture: &Fixture, sinks: &str) -> AuditConfig {
    fixture.load(&with(sinks)).unwrap().audit.unwrap()
}

const EVERY_KIND: &str = r#"[audit]
gateway = "gw-1"
repeated = "record"

[[audit.sink]]
kind = "file"
file = "audit.jsonl"
rotate-size = "100MiB"
rotate-age = "1d"
keep-files = 30
keep = "90d"
keep-size = "10GiB"
compress = false
queue = "1MiB"
when-full = "refuse"

[[audit.sink]]
kind = "syslog"
to = "udp:logs.example.com"
facility = "authpriv"
app-name = "phones"
format = "cee"
max-message = "1400B"

[[audit.sink]]
kind = "syslog"
to = "tls:[2001:db8::1]:7000"
ca = "trust/root.pem"
server-name = "logs.example.com"
certificate = "server/chain.pem"
private-key = "server/key.pem"

[[audit.sink]]
kind = "syslog"
to = "unix:/dev/log"

[[audit.sink]]
kind = "stdout"

[[audit.sink]]
kind = "database"
url = "sqlite:audit.db"
keep = "90d"
keep-size = "20GiB"
"#;

#[test]
fn every_kind_of_sink_is_read_with_its_own_queue_and_answer_to_a_full_one() {
    let fixture = Fixture::new();
    let AuditConfig { gateway, on_repetition, sinks } = read(&fixture, EVERY_KIND);
    assert_eq!((gateway.as_str(), on_repetition), ("gw-1", OnRepetition::Record));
    assert_eq!(sinks.len(), 6);
    let rotation = Rotation {
        size: Some(100 << 20),
        age: Some(Duration::from_secs(86_400)),
        keep: Keep { files: Some(30), age: Some(Duration::from_secs(90 * 86_400)), size: Some(10 << 30) },
        compress: false,
    };
    let file = SinkKind::File { path: fixture.path("audit.jsonl"), rotation: Some(rotation) };
    assert_eq!((&sinks[0].kind, sinks[0].queue, sinks[0].when_full), (&file, 1 << 20, WhenFull::Refuse));
    let SinkKind::Syslog(udp) = &sinks[1].kind else { panic!("{sinks:?}") };
    assert_eq!(udp.to, Destination::Udp("logs.example.com:514".to_owned(), 1400));
    assert_eq!((udp.message.facility, udp.message.format), (Facility::AuthPriv, SyslogFormat::Cee));
    assert_eq!((udp.message.app_name.as_str(), udp.message.host_name.as_str()), ("phones", "gw-1"));
    assert_eq!((sinks[1].queue, sinks[1].when_full), (8 << 20, WhenFull::DropAndCount));
    let SinkKind::Syslog(tls) = &sinks[2].kind else { panic!("{sinks:?}") };
    assert_eq!(tls.to.to_string(), "tls:[2001:db8::1]:7000");
    assert_eq!(sinks[3].name(), "syslog unix:/dev/log");
    assert_eq!(sinks[4].kind, SinkKind::Stdout);
    let SinkKind::Database { url, retention } = &sinks[5].kind else { panic!("{sinks:?}") };
    assert_eq!(url.to_string(), format!("sqlite:{}", fixture.path("audit.db").display()));
    let kept = Retention { keep: Some(Duration::from_secs(90 * 86_400)), keep_size: Some(20 << 30) };
    assert_eq!(*retention, kept);
    let again = read(&fixture, EVERY_KIND);
    assert_eq!(again, read(&fixture, EVERY_KIND), "a reload without a change keeps the sinks");
    assert!(again.writes_to_stdout() && again.database().is_some());
}

#[test]
fn the_short_form_is_one_file_and_sinks_may_stand_beside_it() {
    let fixture = Fixture::new();
    let short = read(&fixture, "[audit]\nfile = \"a.jsonl\"\nwhen-full = \"refuse\"\n");
    assert_eq!((short.sinks.len(), short.sinks[0].when_full), (1, WhenFull::Refuse));
    assert!(!short.gateway.is_empty() && short.on_repetition == OnRepetition::Count);
    let both = "[audit]\nfile = \"a.jsonl\"\n[[audit.sink]]\nkind = \"stdout\"\n";
    assert_eq!(read(&fixture, both).sinks.len(), 2);
    let rotated = "[[audit.sink]]\nkind = \"file\"\nfile = \"a.jsonl\"\nrotate-age = \"1d\"\n";
    let SinkKind::File { rotation: Some(rotation), .. } = &read(&fixture, rotated).sinks[0].kind else {
        panic!("a rotated file")
    };
    assert!(rotation.compress, "unless told otherwise");
}

#[test]
fn a_password_is_read_from_its_file_and_shown_nowhere() {
    let fixture = Fixture::new();
    fixture.write_key("password", "s3cret\n");
    let sink = "[[audit.sink]]\nkind = \"database\"\nurl = \"postgres://audit@db/audit?sslmode=verify-full&sslrootcert=trust/root.pem\"\npassword-file = \"password\"\n";
    let audit = read(&fixture, sink);
    assert_eq!(audit.sinks[0].name(), "database postgres://audit@db:5432/audit");
    assert!(!format!("{audit:?}").contains("s3cret"));
    fixture.write_key("password", "other\n");
    assert_ne!(audit, read(&fixture, sink), "another password is another sink");
}

#[test]
fn each_mistake_in_a_sink_is_named_with_its_line() {
    let fixture = Fixture::new();
    for (sink, expected) in [
        ("kind = \"fiel\"\nx = 1", "21:8: `audit.sink[0].kind`: unknown word \"fiel\""),
        ("", "20:1: `audit.sink[0].kind`: missing"),
        ("kind = \"file\"", "20:1: `audit.sink[0].file`: missing"),
        ("kind = \"stdout\"\nfile = \"x\"", "22:1: `audit.sink[0].file`: unknown key"),
        ("kind = \"stdout\"\nwhen-full = \"wait\"", "22:13: `audit.sink[0].when-full`: unknown word"),
        (
            "kind = \"file\"\nfile = \"x\"\nkeep = \"9d\"",
            "23:8: `audit.sink[0].keep`: is for rotated files, and nothing rotates this one",
        ),
        (
            "kind = \"file\"\nfile = \"x\"\nrotate-size = \"1kB\"",
            "23:15: `audit.sink[0].rotate-size`: 1kB is out of range",
        ),
        ("kind = \"syslog\"", "20:1: `audit.sink[0].to`: missing"),
        ("kind = \"syslog\"\nto = \"logs\"", "22:6: `audit.sink[0].to`: \"logs\" is no syslog receiver"),
        (
            "kind = \"syslog\"\nto = \"unix:log\"",
            "22:6: `audit.sink[0].to`: \"unix:log\" is no syslog receiver",
        ),
        ("kind = \"syslog\"\nto = \"tcp:\"", "22:6: `audit.sink[0].to`: \"\" is no host with a port"),
        (
            "kind = \"syslog\"\nto = \"tcp:a\"\nheader = \"local\"",
            "23:10: `audit.sink[0].header`: only a unix: socket takes this header",
        ),
        ("kind = \"syslog\"\nto = \"tls:a\"", "22:6: `audit.sink[0].to`: a tls: receiver needs `ca`"),
        (
            "kind = \"syslog\"\nto = \"tcp:a\"\nca = \"x\"",
            "23:6: `audit.sink[0].ca`: this key is for tls: only",
        ),
        (
            "kind = \"syslog\"\nto = \"tcp:a\"\napp-name = \"a b\"",
            "23:12: `audit.sink[0].app-name`: a name is 1 to 48",
        ),
        (
            "kind = \"syslog\"\nto = \"tcp:a\"\nstructured-id = \"a\"",
            "23:17: `audit.sink[0].structured-id`: this is no name of structured data",
        ),
        (
            "kind = \"syslog\"\nto = \"udp:a\"\nmax-message = 100",
            "23:15: `audit.sink[0].max-message`: 100 is out of range",
        ),
        ("kind = \"database\"", "20:1: `audit.sink[0].url`: missing"),
        (
            "kind = \"database\"\nurl = \"mysql://x\"",
            "22:7: `audit.sink[0].url`: write sqlite:FILE or postgres://USER@HOST/NAME",
        ),
        (
            "kind = \"database\"\nurl = \"sqlite:none/audit.db\"",
            "22:7: `audit.sink[0].url`: there is no folder ~/none for the audit database",
        ),
        (
            "kind = \"database\"\nurl = \"postgres://a@b/c?sslmode=require\"",
            "22:7: `audit.sink[0].url`: sslmode require",
        ),
        (
            "kind = \"database\"\nurl = \"sqlite:a.db\"\npassword-file = \"deny.txt\"",
            "23:17: `audit.sink[0].password-file`: only a postgres:// database has a password",
        ),
        (
            "kind = \"stdout\"\n[[audit.sink]]\nkind = \"stdout\"",
            "22:1: `audit.sink[1]`: the sink of line 20 writes to the same place",
        ),
        (
            "kind = \"file\"\nfile = \"a.jsonl\"\n[[audit.sink]]\nkind = \"file\"\nfile = \"./a.jsonl\"",
            "23:1: `audit.sink[1]`: the sink of line 20 writes to the same place",
        ),
        (
            "kind = \"database\"\nurl = \"sqlite:a.db\"\n[[audit.sink]]\nkind = \"database\"\nurl = \"sqlite:./a.db\"",
            "23:1: `audit.sink[1]`: the sink of line 20 writes to the same place",
        ),
        (
            "kind = \"database\"\nurl = \"sqlite:.\"",
            "22:7: `audit.sink[0].url`: ~/. is a folder, a file is needed",
        ),
    ] {
        let found = fixture.only_mistake(&with(&format!("[[audit.sink]]\n{sink}\n")));
        assert!(found.starts_with(expected), "\n  found {found}\nexpected {expected}");
    }
}
