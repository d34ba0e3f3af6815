//! `keep-size` on a server, whose files never shrink.

use super::*;

/// A record as phones make them.
fn served(number: i64) -> String {
    format!(
        r#""event":"request","connection":"{number:016x}","request":"{number:016x}-1","peer":"192.0.2.7:1","host":"prov.example.com","engine":"modern","tls":{{"version":"TLSv1.3","suite":"TLS_AES_128_GCM_SHA256","resumed":false}},"hello":{{"sni":"prov.example.com","ja4":"t13d1516h2_8daaf6152771_02713d6af862"}},"certificate":{{"subject":"CN=000e08abcdef","issuer":"CN=Device Root","serial":"0A","sha256":"{0}","key_sha256":"{0}","not_after":"2030-01-01T00:00:00Z"}},"device":{{"kind":"device","product":"CP-8841-3PCC","serial":"FCH1","mac":"000e08abcdef"}},"method":"GET","path":"/000e08abcdef.cfg","user_agent":"Cisco-CP-8841-3PCC/12.0.3","status":200,"decision":"permit","rule":"own profile""#,
        "ab".repeat(32)
    )
}

#[test]
fn records_above_the_size_go_oldest_first_also_where_room_that_was_freed_is_kept() {
    let Some(server) = Server::shared() else { return };
    let mut database = AuditDatabase::open(&server.fresh_url()).unwrap();
    for number in 1..=10 {
        let records: Vec<String> = (0..400).map(|at| served(number * 400 + at)).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        database.append(batch(number), lines(1_795_400_000 + number * 1000, &records).as_bytes()).unwrap();
    }
    let full = database.backend().size().unwrap();
    let files = "SELECT CAST(pg_total_relation_size('audit_record') + pg_total_relation_size('audit_line') + \
                 pg_total_relation_size('audit_tally') AS BIGINT)";
    let on_disk = |database: &mut AuditDatabase| {
        let bytes = database.backend().value(files, &[]).unwrap().unwrap().integer().unwrap();
        u64::try_from(bytes).unwrap()
    };
    let first = on_disk(&mut database);
    assert!((first * 3 / 4..=first * 4 / 3).contains(&full), "measured {full}, and new files have {first}");

    let now = Moment::from_micros(1_795_421_000_000_000);
    let retention = Retention { keep: None, keep_size: Some(full / 2) };
    let mut calls = 0;
    while database.prune(retention, now, 200).unwrap() > 0 {
        calls += 1;
    }
    assert!((9..=12).contains(&calls), "{calls} of 20 parts");
    // The server cleans up; what it may use again is not counted as records, and nothing more goes.
    database.run_for_tests("VACUUM audit_record").unwrap();
    database.run_for_tests("VACUUM audit_line").unwrap();
    assert!(on_disk(&mut database) > full * 3 / 4, "its files keep their size");
    assert_eq!(database.prune(retention, now, 200).unwrap(), 0);
    let records = database.records(&Filter::default(), 10_000).unwrap();
    assert!(records.len() > 1500, "{}", records.len());
    assert_eq!(records[0].id.number(), 4000, "the newest are kept");
}
