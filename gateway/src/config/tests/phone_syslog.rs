//! `[phone-syslog]`: where phones' own messages are taken.

use super::*;

const DATABASE: &str = "[audit]\n[[audit.sink]]\nkind = \"database\"\nurl = \"sqlite:own.db\"";

/// The sound configuration, with an audit database, and this table with these lines.
fn with(lines: &str) -> String {
    format!("{}\n[phone-syslog]\n{lines}\n", SOUND.replace("[audit]\nfile = \"audit.jsonl\"", DATABASE))
}

const BOTH: &str = "address = \"127.0.0.1:5514\"\nnetworks = [\"192.0.2.0/24\", \"2001:db8::/32\"]";

#[test]
fn it_takes_messages_of_the_listed_networks() {
    let fixture = Fixture::new();
    assert_eq!(fixture.load(SOUND).unwrap().phone_syslog, None);
    let config = fixture.load(&with(BOTH)).unwrap();
    assert_eq!(config.warnings, []);
    let phone_syslog = config.phone_syslog.unwrap();
    assert_eq!(phone_syslog.address.to_string(), "127.0.0.1:5514");
    let takes =
        |address: &str| phone_syslog.networks.iter().any(|one| one.contains(address.parse().unwrap()));
    assert!(takes("192.0.2.7") && takes("::ffff:192.0.2.7") && takes("2001:db8:7::1"));
    assert!(!takes("192.0.3.7") && !takes("2001:db9::1"));
    let rates = format!("{BOTH}\nmessages-per-address = 1\nmessages = 100000");
    assert!(fixture.load(&with(&rates)).is_ok());
}

#[test]
fn a_mistake_in_it_is_named() {
    for (lines, expected) in [
        (
            BOTH.replace("127.0.0.1:5514", "here"),
            "`phone-syslog.address`: \"here\" is no address with a port",
        ),
        (BOTH.replace("192.0.2.0/24", "phones"), "`phone-syslog.networks[0]`: \"phones\" is no network"),
        (
            "address = \"127.0.0.1:0\"".to_owned(),
            "`phone-syslog.networks`: missing: the networks that phones' messages",
        ),
        ("address = \"127.0.0.1:0\"\nnetworks = []".to_owned(), "`phone-syslog.networks`: the list is empty"),
        (format!("{BOTH}\nmessages = 0"), "`phone-syslog.messages`: "),
        (format!("{BOTH}\nnetwork = \"192.0.2.0/24\""), "`phone-syslog.network`: "),
    ] {
        let found = Fixture::new().only_mistake(&with(&lines));
        assert!(found.contains(expected), "{found}\n{expected}");
    }
}

#[test]
fn messages_need_a_place_and_best_a_database() {
    let nowhere = with(BOTH).replace(DATABASE, "");
    let found = Fixture::new().only_mistake(&nowhere);
    assert!(found.contains("`phone-syslog`: what phones say is recorded nowhere without [audit]"), "{found}");
    let mistaken = with(BOTH).replace(DATABASE, "[[audit.sink]]\nkind = \"kafka\"");
    let found = Fixture::new().only_mistake(&mistaken);
    assert!(found.contains("`audit.sink[0].kind`"), "only what is wrong is told: {found}");
    let file = with(BOTH).replace(DATABASE, "[audit]\nfile = \"audit.jsonl\"");
    let warnings = Fixture::new().warnings(&file);
    assert!(warnings.len() == 1 && warnings[0].contains("in an audit database only"), "{warnings:?}");
}
