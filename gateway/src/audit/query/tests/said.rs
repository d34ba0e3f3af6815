//! What phones say of themselves by syslog, among what is known of them.

use super::*;

fn said(mac: &str, progress: &str) -> String {
    format!(
        r#""event":"said","peer":"192.0.2.7:5060","said":{{"mac":"{mac}","product":"CP-8841","task":"resync","progress":"{progress}","url":"https://prov/x.cfg"}}"#
    )
}

#[test]
fn it_is_found_by_the_address_it_names_and_moves_nothing_that_is_known() {
    on_both(|database| {
        told(database);
        let before = database.device(mac()).unwrap();
        let served = database.summary(By::All, Subject::Request, None).unwrap();
        let messages = [said("000e08abcdef", "requesting"), said("000e08abcdef", "successful")];
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        database.append(batch(2), lines(START + 60, &messages).as_bytes()).unwrap();
        assert_eq!(database.device(mac()).unwrap(), before, "no success, no new last time, no record more");
        assert_eq!(database.summary(By::All, Subject::Request, None).unwrap(), served);
        let counted = database.summary(By::All, Subject::Said, None).unwrap();
        assert_eq!(
            counted.iter().map(|tally| (tally.outcome, tally.count)).collect::<Vec<_>>(),
            [(Outcome::Said, 2)]
        );
        assert_eq!(database.sightings(mac()).unwrap().len(), 4, "and no network that it proved to be in");

        let mut events = |said| -> Vec<EntryEvent> {
            let filter = Filter { mac: Some(mac()), said, ..Filter::default() };
            let records = database.records(&filter, 3).unwrap();
            records.iter().map(|record| record.entry().unwrap().event).collect()
        };
        let (message, connection, closed) = (EntryEvent::Said, EntryEvent::Connection, EntryEvent::Closed);
        assert_eq!(events(PhonesSay::Included), [message, message, connection], "newest first, as they came");
        assert_eq!(events(PhonesSay::Only), [message, message]);
        assert_eq!(events(PhonesSay::LeftOut), [connection, closed, EntryEvent::Request]);
        let filter = Filter { mac: Some(mac()), event: Some(EntryEvent::Said), ..Filter::default() };
        assert_eq!(database.records(&filter, 9).unwrap().len(), 2);
        let followed =
            database.after(RecordId::from_number(5), &Filter { event: None, ..filter }, 9).unwrap();
        assert_eq!(followed.len(), 3, "a follower sees them too");
        let all = Filter { said: PhonesSay::LeftOut, ..Filter::default() };
        assert_eq!(database.records(&all, 100).unwrap().len(), 9);
    });
}

#[test]
fn an_address_that_only_messages_name_is_no_device() {
    on_both(|database| {
        database.append(batch(1), lines(START, &[&said("000e08000001", "failed")]).as_bytes()).unwrap();
        let stranger = MacAddress::parse("000e08000001").unwrap();
        assert_eq!(database.device(stranger).unwrap(), None);
        assert!(database.devices(None, DevicesBy::LastSeen, 10).unwrap().is_empty());
        let filter = Filter { mac: Some(stranger), ..Filter::default() };
        assert_eq!(database.records(&filter, 10).unwrap().len(), 1);
    });
}

#[test]
fn a_database_from_before_there_were_such_messages_is_brought_up_to_date() {
    on_both(|database| {
        told(database);
        for undo in [
            "DROP INDEX audit_record_said_mac",
            "ALTER TABLE audit_record DROP COLUMN said_mac",
            "ALTER TABLE audit_device DROP COLUMN current_at",
            "UPDATE audit_setting SET value = 1 WHERE name = 'schema_version'",
        ] {
            database.run_for_tests(undo).unwrap();
        }
        database.upgrade_for_tests().unwrap();
        database.append(batch(2), lines(START, &[&said("000e08abcdef", "failed")]).as_bytes()).unwrap();
        let filter = Filter { mac: Some(mac()), ..Filter::default() };
        assert_eq!(database.records(&filter, 10).unwrap().len(), 7);
    });
}
