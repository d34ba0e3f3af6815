//! What a phone says of itself, in its story.

use super::*;

fn said(rest: &str) -> String {
    format!(
        r#""event":"said","peer":"192.0.2.7:5060","said":{{"mac":"{MAC}","product":"CP-8841-3PCC","task":"resync",{rest}}}"#
    )
}

/// Three days of one phone: it says that it asks, is served, and says that it succeeded.
fn fill_with_messages(database: &mut AuditDatabase) {
    let mut text = String::new();
    for day in 20..23 {
        let url = r#""url":"https://prov.example.com:443/000e08abcdef.cfg""#;
        let id = format!("{day}");
        text.push_str(&lines(
            at(day, "06:00:00"),
            &[
                &said(&format!(r#""progress":"requesting",{url}"#)),
                &phone(&renewed(), &got(&id, 1, "/000e08abcdef.cfg", SERVED)),
                &said(&format!(r#""progress":"successful",{url}"#)),
            ],
        ));
    }
    text.push_str(&lines(
        at(23, "07:00:00"),
        &[&said(r#""progress":"failed","error":"TCP timeout\u001b[31m""#)],
    ));
    database.append(batch(1), text.as_bytes()).unwrap();
}

fn story(database: &mut AuditDatabase, arguments: &[&str]) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut streams = Streams { out: &mut out, err: &mut err };
    let command = ["audit", "device", MAC].iter().chain(arguments);
    let cli = crate::cli::Cli::try_parse_from(["provision-gateway"].iter().chain(command)).unwrap();
    let crate::cli::Command::Audit(asked) = cli.command else { panic!("another command") };
    let Some(crate::cli::AuditQuestion::Device(question)) = &asked.question else {
        panic!("another question")
    };
    super::super::device::device(question, asked.json, database, now(), &mut streams).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_the_phone_says_is_told_as_that_and_folds_apart_from_its_connections() {
    on_both(|database| {
        fill_with_messages(database);
        let text = story(database, &[]).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            text.contains("the phone says by syslog: the resync failed: TCP timeout\\u{1b}[31m."),
            "{text}"
        );
        assert!(
            text.contains(
                "the phone says by syslog: it asks for the resync from https://prov.example.com:443/000e08abcdef.cfg; \
                 the resync from https://prov.example.com:443/000e08abcdef.cfg succeeded. Anybody can send that: it proves nothing."
            ),
            "{text}"
        );
        assert_eq!(text.matches("3 times between").count(), 2, "its connections and its words: {text}");
        assert!(
            text.contains("Last success 2026-11-22T06:00:01Z"),
            "what it was served, not what it says: {text}"
        );
        let json: serde_json::Value = serde_json::from_str(&story(database, &["--json"])).unwrap();
        let events = json["events"].as_array().unwrap();
        assert_eq!(events[0]["known_by"], "syslog");
        assert_eq!(events[0]["steps"][0]["said"], "the resync failed: TCP timeout\u{1b}[31m");
        assert_eq!(events[0]["steps"][0]["outcome"], "said");
        assert_eq!(json["records"], 3);
    });
}
