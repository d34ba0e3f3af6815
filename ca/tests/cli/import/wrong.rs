//! What is wrong in a folder that is imported.

use super::*;

on_both_stores! {
    everything_wrong_in_a_folder_is_told_with_its_file_and_line_and_the_rest_is_taken_in,
}

fn everything_wrong_in_a_folder_is_told_with_its_file_and_line_and_the_rest_is_taken_in(on: On) {
    if !openssl_is_here(
        "everything_wrong_in_a_folder_is_told_with_its_file_and_line_and_the_rest_is_taken_in",
    ) {
        return;
    }
    let here = store(on);
    filled(&here, "1000");
    // A file of another authority by the same name, one that was changed, one that is too large, one that is none.
    let other = Workplace::new();
    filled(&other, "1000");
    here.write("old/newcerts/A0.pem", other.read("old/newcerts/F0.pem"));
    here.write("old/newcerts/A1.pem", {
        let mut der = certs::Certificate::parse_pem(here.read("old/newcerts/F3.pem")).unwrap().der().to_vec();
        *der.last_mut().unwrap() ^= 1;
        certs::pem::encode(certs::pem::CERTIFICATE, &der)
    });
    here.write("old/newcerts/A2.pem", vec![b'x'; 65 << 20]);
    here.write("old/newcerts/A3.pem", "-----BEGIN CERTIFICATE-----\nnonsense!\n-----END CERTIFICATE-----\n");
    std::fs::create_dir(here.path("old/newcerts/A4.pem")).unwrap();
    // A line without a file and a file without a line; lines that make no sense; a number twice.
    std::fs::remove_file(here.path("old/newcerts/F5.pem")).unwrap();
    let index = here.read("old/index.txt");
    let mut lines: Vec<&str> = index.lines().filter(|line| !line.contains("\tF4\t")).collect();
    let repeated = lines[0].replace("V\t", "R\t").replace("\t\t", "\t240101120000Z,superseded\t");
    lines.extend(["no line at all", "V\t991301000000Z\t\tEE\tunknown\t/CN=a", &repeated]);
    here.write("old/index.txt", lines.join("\n") + "\n");

    let said = here.run(&IMPORT);
    let told = said.refused();
    for (place, what) in [
        ("old/newcerts/A0.pem:1", "the signature is not that authority's"),
        ("old/newcerts/A1.pem:1", "the signature is not that authority's"),
        ("old/newcerts/A2.pem", "at most 67108864 are read"),
        ("old/newcerts/A3.pem:1", "the block is not base64"),
        ("old/index.txt:7", "six fields"),
        ("old/index.txt:8", "the second field is no date"),
        ("old/index.txt:1", "serial number F0 stands on line 9 too"),
        ("old/index.txt:5", "there is no file of certificate F5"),
        ("old/newcerts/F4.pem:1", "it is not in the index: taken in as valid"),
    ] {
        let line = told.lines().find(|line| line.contains(&format!("{place}: "))).unwrap_or_default();
        assert!(line.contains(what), "{place} {what}: {told}");
    }
    assert!(told.contains("hint: "), "{told}");
    assert!(told.contains("7 things were left out"), "{told}");
    let all = here.run(&["list", "issuer=client-root-2", "kind!=authority"]).done();
    assert_eq!(all.lines().count() - 1, 7, "{all}");
    assert!(
        here.run(&["show", "000e08000000"]).done().contains("revoked"),
        "of two lines the one that says revoked"
    );
    // Known by its number alone, it can be revoked; found again, it is whole.
    here.run(&["revoke", "F5"]).done();
    here.run(&["store", "check"]).done();
    std::fs::copy(here.path("one.crt"), here.path("x")).unwrap();
    let log = here.read("provision-ca/audit.log");
    assert!(log.contains("\"source\":\"old/index.txt:5\""), "{log}");

    // Wrong keys and passphrases leave nothing behind.
    for (arguments, expected) in [
        (&["--ca-key", "one.key"][..], "does not belong to the certificate"),
        (&["--ca-key", "nowhere.pem"], "cannot be read"),
        (&["--ca-key", "old/private"], "it is no plain file"),
        (&["--ca-passphrase-file", "new.txt"], "wrong passphrase"),
        (&["--ca-cert", "one.key"], "holds no certificate"),
        (&["--ca-cert", "one.crt"], "does not belong to the certificate"),
        (&["--crl", "one.crt"], "this is no revocation list"),
        (&["--passphrase-file", OLD], "wrong passphrase"),
    ] {
        let there = store(On::Sqlite);
        filled(&there, "1000");
        let mut import = vec!["import", "old", "--side", "client"];
        for (option, value) in [("--ca-passphrase-file", OLD), ("--passphrase-file", "new.txt")] {
            if arguments[0] != option {
                import.extend([option, value]);
            }
        }
        import.extend(arguments);
        let told = there.run(&import).refused();
        assert!(told.contains(expected), "{arguments:?}: {told}");
        assert!(told.contains("hint: ") || expected == "wrong passphrase", "{arguments:?}: {told}");
        assert_eq!(there.run(&["authority", "list"]).done().lines().count(), 2);
        assert!(
            !there.path("provision-ca/imported").exists()
                && !there.path("provision-ca/authorities/client-root-2").exists()
        );
    }
    let unsided = store(On::Sqlite);
    filled(&unsided, "FFFFFFFFFFFFFFFFFF");
    let told = unsided.run(&[&["import", "old"], &IMPORT[4..]].concat()).refused();
    assert!(told.contains("too large to go on from"), "{told}");
    unsided.write("old/crlnumber", "1001\n");
    std::fs::remove_file(unsided.path("old/crl.pem")).unwrap();
    let told = unsided.run(&[&["import", "old"], &IMPORT[4..]].concat()).refused();
    assert!(told.contains("`--side client` or `--side server`"), "{told}");
    let test = Workplace::new();
    test.run(&["init", "--test", "--no-passphrase", "--key", "p256"]).done();
    filled(&test, "1000");
    let told = test.run(&IMPORT[..6]).refused();
    assert!(told.contains("is a test store"), "{told}");
}
