use certs::testing::Pki;

use super::*;
use crate::config::tests::{Fixture, SOUND};

fn run(fixture: &Fixture, text: &str, json: bool) -> (Outcome, String, String) {
    run_within(fixture, text, json, u64::MAX)
}

fn run_within(fixture: &Fixture, text: &str, json: bool, open_files: u64) -> (Outcome, String, String) {
    fixture.write("gateway.toml", text);
    let arguments = cli::Check { config: fixture.path("gateway.toml"), json };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut streams = Streams { out: &mut out, err: &mut err };
    let outcome = check_within(&arguments, Pki::NOW, open_files, &mut streams).unwrap();
    let folder = format!("{}/", fixture.path("").display().to_string().trim_end_matches('/'));
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(&folder, "");
    (outcome, text(out), text(err))
}

#[test]
fn a_sound_configuration_is_pictured_whole() {
    let fixture = Fixture::new();
    let (outcome, out, err) = run(&fixture, SOUND, false);
    assert_eq!((outcome, err.as_str()), (Outcome::Done, ""));
    let anchor = fixture.pki.root().certificate();
    for expected in [
        "Listener 127.0.0.1:8443\n",
        "  TLS policy      modern\n",
        "Host prov.example.com\n",
        "  certificate     server/chain.pem\n",
        "    key           P-256\n",
        "  phones          must present a certificate\n",
        "  trust           root\n",
        "    anchor\n      subject     CN=Test Client Root\n",
        &format!("      valid until {} (", anchor.validity().not_after),
        &format!("      SHA-256     {}\n", anchor.fingerprint()),
        "    identity      cisco-small-business\n",
        "    revocation    checked; where no CRL is usable: deny; where it is out of date: deny\n",
        "      CRL         CN=Test Client Root\n",
        "                  number 07, next update ",
        "revoked: 0, trust/crls/root.crl\n",
        "    deny list     deny.txt, entries: 1\n",
        "  rules           ",
        "1. \"own profile\" allows GET, HEAD for device:",
        "  backend         http://127.0.0.1:8080\n",
        "  headers         guide; SSL-Client-I-DN-OU, -L and -S are the phone's\n",
        "  handshake-timeout         10s\n",
        "  connections-per-address   off\n",
        "  handshakes                256\n",
        "  file            audit.jsonl\n",
        "gateway.toml: no mistakes\n",
    ] {
        assert!(out.contains(expected), "{expected:?} is missing:\n{out}");
    }
}

#[test]
fn what_listens_beside_is_in_the_picture_and_the_token_is_not() {
    let fixture = Fixture::new();
    let token = "0123456789abcdef0123456789abcdef";
    fixture.write_key("admin.token", token);
    let text = SOUND.replace(
        "[audit]\nfile = \"audit.jsonl\"",
        "[audit]\n[[audit.sink]]\nkind = \"database\"\nurl = \"sqlite:audit.db\"",
    );
    let beside = "[admin]\naddress = \"127.0.0.1:9444\"\ntoken-file = \"admin.token\"\n\n[phone-syslog]\naddress = \"0.0.0.0:514\"\n\
                  networks = [\"192.0.2.0/24\", \"2001:db8::/32\"]\nmessages-per-address = 7\n";
    let (_, out, err) = run(&fixture, &format!("{text}\n{beside}"), false);
    for expected in [
        "Admin 127.0.0.1:9444\n  speaks          plain HTTP\n  names           localhost, 127.0.0.1\n",
        "  metrics         need the token\n  pages           sqlite:audit.db\n",
        "Phones' syslog 0.0.0.0:514, UDP\n  networks        192.0.2.0/24, 2001:db8::/32\n",
        "  takes           7 messages a second from one address, 2000 from all\n",
    ] {
        assert!(out.contains(expected), "{expected:?} is missing:\n{out}{err}");
    }
    let (_, json, _) = run(&fixture, &format!("{text}\n{beside}"), true);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["phone_syslog"]["messages_per_address"], 7);
    assert_eq!(json["admin"]["metrics_open"], false);
    assert!(!json.to_string().contains(token));
    let (_, without, _) = run(&fixture, SOUND, false);
    assert!(!without.contains("Admin") && !without.contains("syslog"), "{without}");
}

#[test]
fn it_says_when_no_revocation_is_checked_and_what_is_tolerated() {
    let fixture = Fixture::new();
    let text = SOUND
        .replace("crls = \"trust/crls\"", "allow = [\"sha1\", { expired = \"30d\" }]\nuntil = 2029-12-31");
    let (_, out, _) = run(&fixture, &text, false);
    assert!(out.contains("    revocation    no revocation is checked\n"), "{out}");
    assert!(out.contains("    tolerates     sha1, expired for up to 30 days, until 2029-12-31\n"), "{out}");
    let (_, out, _) = run(&fixture, SOUND, false);
    assert!(!out.contains("no revocation is checked") && !out.contains("tolerates"), "{out}");
}

#[test]
fn it_says_who_is_refused_for_sending_no_server_name() {
    let fixture = Fixture::new();
    let (_, out, _) = run(&fixture, SOUND, false);
    assert!(out.contains("Phones that send no server name are refused"), "{out}");
    let (_, out, _) =
        run(&fixture, &SOUND.replace("[\"prov.example.com\"]", "[\"prov.example.com\", \"*\"]"), false);
    assert!(
        out.contains("any other server name, and phones that send none") && !out.contains("are refused:"),
        "{out}"
    );
}

#[test]
fn a_crl_of_somebody_else_is_marked() {
    let fixture = Fixture::new();
    let (_, out, _) = run(&fixture, SOUND, false);
    assert!(!out.contains("its authority is not held here"), "{out}");
    fixture.write("trust/crls/other.crl", Pki::named("Other").root().crl().to_pem());
    let (_, out, _) = run(&fixture, SOUND, false);
    assert!(out.contains("its authority is not held here"), "{out}");
}

#[test]
fn a_crl_that_cannot_be_used_is_named_with_its_reason() {
    let fixture = Fixture::new();
    let forged = fixture.pki.root().crl().signed_by(Pki::named("Other").root());
    fixture.write("trust/crls/root.crl", forged.to_pem());
    let (outcome, out, err) = run(&fixture, SOUND, false);
    assert_eq!(outcome, Outcome::Done);
    assert!(out.contains("NOT USABLE: its signature is not its issuer's\n"), "{out}");
    assert!(out.ends_with("gateway.toml: no mistakes, 2 warnings\n"), "{out}");
    assert!(err.starts_with("warning: gateway.toml:17:8: "), "{err}");
}

#[test]
fn mistakes_go_to_the_error_stream_with_their_hints_and_nothing_is_pictured() {
    let fixture = Fixture::new();
    let (outcome, out, err) = run(&fixture, &SOUND.replace("\"required\"", "\"require\""), false);
    assert_eq!((outcome, out.as_str()), (Outcome::Refused, ""));
    assert_eq!(
        err,
        "error: gateway.toml:9:15: `host[0].client-auth`: unknown word \"require\"\nhint: did you mean \"required\"?\n"
    );
}

#[test]
fn both_answers_come_as_json_too() {
    let fixture = Fixture::new();
    let (_, out, _) = run(&fixture, SOUND, true);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&value["sound"], &value["hosts"][0]["trust"][0]["deny"]["entries"]),
        (&true.into(), &1.into())
    );
    let (outcome, out, _) = run(&fixture, &SOUND.replace("\"required\"", "\"require\""), true);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(outcome, Outcome::Refused);
    assert_eq!((&value["sound"], &value["errors"][0]["line"]), (&false.into(), &9.into()));
}

#[test]
fn more_connections_than_the_system_has_files_for_are_a_warning() {
    let fixture = Fixture::new();
    let needed = descriptors::needed(&crate::config::Limits::default());
    let (outcome, _, err) = run_within(&fixture, SOUND, false, needed);
    assert_eq!((outcome, err.as_str()), (Outcome::Done, ""));
    let (outcome, out, err) = run_within(&fixture, SOUND, false, needed - 1);
    assert_eq!(outcome, Outcome::Done);
    assert!(out.contains("no mistakes, 1 warning"), "{out}");
    assert!(err.contains("20000 connections need up to 40128 open files"), "{err}");
}
