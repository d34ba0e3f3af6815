//! One mistake each, beside the sound configuration that differs in nothing else.

use std::{fs, os::unix::fs::PermissionsExt as _};

use certs::testing::{KeyKind, Pki};

use super::*;

mod admin;
mod audit;
mod fixture;
mod keys;
mod mistakes;
mod phone_syslog;
mod warnings;

pub(crate) use fixture::{Fixture, SOUND};

#[test]
fn a_sound_configuration_is_read_as_it_is_written() {
    let fixture = Fixture::new();
    let config = fixture.load(SOUND).expect("it is sound");
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:8443");
    assert_eq!(config.listeners[0].tls.name().as_ref(), "modern");
    let host = &config.hosts[0];
    assert_eq!(host.first_name().as_ref(), "prov.example.com");
    assert_eq!(host.client_auth, ClientAuth::Required);
    assert_eq!(host.credentials[0].chain.len(), 1);
    assert_eq!(&*host.trust[0].name, "root");
    assert_eq!(
        host.trust[0].identities.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
        ["cisco-small-business"]
    );
    assert_eq!(host.trust[0].deny.as_ref().map(|(_, count)| *count), Some(1));
    assert_eq!(host.trust[0].lists.as_ref().map(Vec::len), Some(1));
    assert_eq!(host.ca_names.len(), 1);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.names.select(Some("PROV.example.com")), Some(0));
    assert_eq!(config.names.select(None), None);
    assert_eq!(config.warnings, []);
    let file = SinkKind::File { path: fixture.path("audit.jsonl"), rotation: None };
    assert_eq!(config.audit.unwrap().sinks.iter().map(|sink| sink.kind.clone()).collect::<Vec<_>>(), [file]);
}

#[test]
fn every_path_is_taken_from_the_folder_of_the_file() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("profiles")).unwrap();
    for (backend, expected) in
        [("directory:profiles", "profiles"), ("unix:run/apache.sock", "run/apache.sock")]
    {
        let config = fixture.load(&SOUND.replace("http://127.0.0.1:8080", backend)).expect("it is sound");
        let target = format!("{:?}", config.hosts[0].backend.target);
        assert!(target.contains(fixture.path(expected).to_str().unwrap()), "{target}");
    }
    let absolute = SOUND.replace("\"server/chain.pem\"", &format!("{:?}", fixture.path("server/chain.pem")));
    assert!(fixture.load(&absolute).is_ok());
}

#[test]
fn what_programs_replace_is_watched_and_what_people_edit_is_not() {
    let fixture = Fixture::new();
    let config = fixture.load(SOUND).expect("it is sound");
    let watched = ["server/chain.pem", "server/key.pem", "trust/root.pem", "trust/crls", "deny.txt"];
    let watched = watched.map(|file| fixture.path(file));
    assert_eq!(config.watched, watched);
}

#[test]
fn a_host_may_have_a_second_certificate_of_another_kind() {
    let fixture = Fixture::new();
    let rsa = fixture.server.server("prov.example.com").key(KeyKind::Rsa2048).issue();
    fixture.write("server/rsa-chain.pem", rsa.chain_pem());
    fixture.write_key("server/rsa-key.pem", rsa.key_pem());
    let text = SOUND.replace(
        "[[host.trust]]",
        "[[host.further-certificate]]\ncertificate = \"server/rsa-chain.pem\"\nprivate-key = \"server/rsa-key.pem\"\n\n[[host.trust]]",
    );
    let config = fixture.load(&text).expect("it is sound");
    assert_eq!(config.hosts[0].credentials.len(), 2);
}

#[test]
fn sessions_survive_a_reload_until_names_client_authentication_or_anchors_change() {
    let fixture = Fixture::new();
    let fingerprint = |text: &str| fixture.load(text).expect("it is sound").hosts[0].fingerprint;
    let before = fingerprint(SOUND);
    assert_eq!(
        fingerprint(&SOUND.replace("own-profile", "any-device")),
        before,
        "rules are asked at each request"
    );
    assert_eq!(fingerprint(&SOUND.replace("deny = \"deny.txt\"\n", "")), before, "deny lists too");
    assert_ne!(
        fingerprint(&SOUND.replace("[\"prov.example.com\"]", "[\"prov.example.com\", \"*\"]")),
        before
    );
    assert_ne!(fingerprint(&SOUND.replace("\"required\"", "\"optional\"")), before);
    fixture.write("trust/root.pem", Pki::named("Other").root().certificate().to_pem());
    assert_ne!(fingerprint(SOUND), before);
}

#[test]
fn a_list_that_shrank_is_named_with_both_counts() {
    let fixture = Fixture::new();
    fixture.write("deny.txt", "mac 000e08000001\nmac 000e08000002\n");
    let old = fixture.load(SOUND).expect("it is sound");
    fixture.write("deny.txt", "mac 000e08000001\n");
    let new = fixture.load(SOUND).expect("it is sound");
    let shrunk: Vec<_> = new.shrunk_since(&old).map(|shrunk| shrunk.to_string()).collect();
    assert_eq!(
        shrunk,
        [format!("deny list {} shrank from 2 to 1 entries", fixture.path("deny.txt").display())]
    );
    assert_eq!(old.shrunk_since(&new).count(), 0, "growing is what lists do");
}

#[test]
fn a_list_that_is_read_no_more_counts_as_shrunk() {
    let fixture = Fixture::new();
    let other = Pki::named("Other");
    let serials = ["01", "02"].map(|serial| certs::Serial::parse_hex(serial).unwrap());
    let crl = serials.iter().fold(fixture.pki.root().crl(), |crl, serial| crl.revoke_serial(serial));
    fixture.write("trust/crls/a.crl", crl.to_pem());
    fixture.write("trust/crls/empty.crl", other.root().crl().to_pem());
    let old = fixture.load(SOUND).expect("it is sound");
    let shrunk = |text: &str| -> Vec<String> {
        let new = fixture.load(text).expect("it is sound");
        new.shrunk_since(&old).map(|shrunk| shrunk.to_string()).collect()
    };
    assert_eq!(shrunk(SOUND), Vec::<String>::new());
    fs::remove_file(fixture.path("trust/crls/a.crl")).unwrap();
    fs::remove_file(fixture.path("trust/crls/empty.crl")).unwrap();
    let gone = |kind: &str, file: &str, count: usize| {
        format!("{kind} {} is gone: its {count} entries count no more", fixture.path(file).display())
    };
    assert_eq!(shrunk(SOUND), [gone("CRL", "trust/crls/a.crl", 2)]);
    let without = SOUND.replace("deny = \"deny.txt\"\n", "");
    assert_eq!(shrunk(&without), [gone("deny list", "deny.txt", 1), gone("CRL", "trust/crls/a.crl", 2)]);
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let fixture = Fixture::new();
    let text = SOUND
        .replace("\"modern\"", "\"modem\"")
        .replace("\"required\"", "\"require\"")
        .replace("\"trust/root.pem\"", "\"trust/rot.pem\"")
        .replace("file = ", "path = ");
    let found = fixture.mistakes(&text);
    let lines: Vec<usize> = found.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [3, 9, 15, 20, 21], "{found:#?}");
}

#[test]
fn a_configuration_that_is_no_toml_says_where() {
    let fixture = Fixture::new();
    let found = fixture.mistakes(&SOUND.replace("[[listener]]", "[[listener]"));
    assert_eq!(found[0].line, 1, "{found:?}");
}

#[test]
fn a_missing_configuration_is_named() {
    let found = Config::load(Path::new("/nonexistent/gateway.toml"), Pki::NOW).unwrap_err();
    assert_eq!(found[0].to_string(), "/nonexistent/gateway.toml: cannot be read: there is no such file");
}
