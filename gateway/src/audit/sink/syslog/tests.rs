use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::*;

const LINE: &str = r#"{"v":1,"time":"2026-11-23T02:25:11.000042Z","event":"connection","peer":"192.0.2.7:4000","hello":{"suites":["TLS_AES_128_GCM_SHA256"],"ja4":"t13d"},"certificate":{"subject":"CN=\"a]b\\c\u001b","issuer":"CN=x","serial":"1","sha256":"ab","not_after":"2030-01-01T00:00:00Z"},"decision":"deny","reason":"expired","detail":"certificate 0\nexpired"}"#;

fn message(format: SyslogFormat) -> Message {
    Message {
        header: SyslogHeader::Rfc5424,
        facility: Facility::Local3,
        app_name: "provision-gateway".to_owned(),
        host_name: "gw1".to_owned(),
        format,
        structured_id: "audit@32473".to_owned(),
    }
}

fn written(format: SyslogFormat, line: &str, most: usize) -> String {
    let mut out = Vec::new();
    message(format).write(&Entry::parse(line.as_bytes()).unwrap(), line.as_bytes(), most, &mut out);
    String::from_utf8(out).unwrap().replace(&std::process::id().to_string(), "PID")
}

fn sink(to: Destination) -> SyslogSink {
    SyslogSink::new(SyslogConfig { to, message: message(SyslogFormat::Json) })
}

#[test]
fn a_message_has_the_header_of_rfc_5424_and_the_records_json() {
    let head = "<157>1 2026-11-23T02:25:11.000042Z gw1 provision-gateway PID connection - ";
    assert_eq!(written(SyslogFormat::Json, LINE, usize::MAX), format!("{head}{LINE}"));
    assert_eq!(written(SyslogFormat::Cee, LINE, usize::MAX), format!("{head}@cee: {LINE}"));
}

#[test]
fn a_message_for_the_local_socket_begins_as_programs_always_did() {
    let local = Message { header: SyslogHeader::Local, ..message(SyslogFormat::Json) };
    let line = LINE.replace("-23T02", "-03T02");
    let mut out = Vec::new();
    local.write(&Entry::parse(line.as_bytes()).unwrap(), line.as_bytes(), usize::MAX, &mut out);
    let head = format!("<157>Nov  3 02:25:11 provision-gateway[{}]: ", std::process::id());
    assert_eq!(String::from_utf8(out).unwrap(), format!("{head}{line}"));
}

#[test]
fn the_severity_says_how_it_ended() {
    let priority = |members: &str| {
        let line = format!(r#"{{"time":"2026-11-23T02:25:11Z",{members}}}"#);
        written(SyslogFormat::Json, &line, usize::MAX).split_once('>').unwrap().0.to_owned()
    };
    assert_eq!(priority(r#""event":"gap","count":1"#), "<155");
    assert_eq!(priority(r#""event":"request","decision":"permit","reason":"backend_tls""#), "<156");
    assert_eq!(priority(r#""event":"request","decision":"deny","reason":"no_rule_matched""#), "<157");
    assert_eq!(priority(r#""event":"request","decision":"permit""#), "<158");
}

#[test]
fn sec_60_structured_data_escapes_what_a_peer_wrote() {
    let text = written(SyslogFormat::Structured, LINE, usize::MAX);
    let data = text.split_once("connection [").unwrap().1;
    assert_eq!(
        data,
        r#"audit@32473 peer="192.0.2.7:4000" ja4="t13d" subject="CN=\"a\]b\\c�" issuer="CN=x" sha256="ab" notAfter="2030-01-01T00:00:00Z" decision="deny" reason="expired"] certificate 0expired"#
    );
}

#[test]
fn a_record_too_long_for_a_datagram_loses_its_least_telling_parts_and_says_so() {
    let whole = written(SyslogFormat::Json, LINE, usize::MAX);
    // The process number has as many digits as it has.
    let length = whole.len() - "PID".len() + std::process::id().to_string().len();
    assert_eq!(written(SyslogFormat::Json, LINE, length), whole);
    let shorter = written(SyslogFormat::Json, LINE, length - 1);
    assert!(shorter.len() < whole.len());
    let json: Value = serde_json::from_str(shorter.split_once(" - ").unwrap().1).unwrap();
    assert_eq!((&json["shortened"], &json["reason"]), (&Value::Bool(true), &"expired".into()));
    assert_eq!(json["hello"], serde_json::json!({ "ja4": "t13d" }));
    assert_eq!(json["detail"], "certificate 0\nexpired", "still there");
    let long = LINE.replace("certificate 0", &"x".repeat(3000));
    let shortened = written(SyslogFormat::Json, &long, 480);
    assert!(shortened.len() <= 480, "{}", shortened.len());
    let json: Value = serde_json::from_str(shortened.split_once(" - ").unwrap().1).unwrap();
    assert_eq!(json["reason"], "expired");
}

#[test]
fn however_long_a_record_is_its_datagram_can_be_read() {
    let long = "x".repeat(2000);
    let line = format!(
        r#"{{"v":1,"time":"2026-11-23T02:25:11.000042Z","event":"request","connection":"006b0f0000000a01","request":"006b0f0000000a01-1","peer":"192.0.2.7:4000","host":"{long}","certificate":{{"subject":"{long}","issuer":"{long}","serial":"01","sha256":"{long}","not_after":"2030-01-01T00:00:00Z","depth":1}},"device":{{"kind":"device","product":"{long}","serial":"{long}"}},"method":"GET","path":"/{long}","rule":"{long}","decision":"deny","reason":"no_rule_matched","detail":"{long}","backend":"{long}"}}"#
    );
    for most in [480, 2048] {
        let told = written(SyslogFormat::Json, &line, most);
        assert!(told.len() <= most);
        let json: Value = serde_json::from_str(told.split_once(" - ").unwrap().1).unwrap();
        assert_eq!(
            (&json["reason"], &json["request"]),
            (&"no_rule_matched".into(), &"006b0f0000000a01-1".into())
        );
    }
    let told = written(SyslogFormat::Structured, &line, 2048);
    assert!(told.len() <= 2048);
    let (data, text) = told.rsplit_once("] ").unwrap();
    assert!(data.contains(" reason=\"no_rule_matched\"") && text.chars().all(|one| one == 'x'), "{told}");
}

fn three_lines() -> Vec<u8> {
    format!("{LINE}\n").repeat(3).into_bytes()
}

#[test]
fn udp_and_the_local_socket_take_one_datagram_for_each_record() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut sender = sink(Destination::Udp(receiver.local_addr().unwrap().to_string(), 2048));
    assert_eq!(sender.append(&three_lines()).unwrap(), three_lines().len());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let local = UnixDatagram::bind(&path).unwrap();
    assert_eq!(sink(Destination::Local(path)).append(&three_lines()).unwrap(), three_lines().len());
    for _ in 0..3 {
        let mut buffer = [0; 4096];
        let length = receiver.recv(&mut buffer).unwrap();
        assert!(buffer[..length].ends_with(LINE.as_bytes()));
        let length = local.recv(&mut buffer).unwrap();
        assert!(buffer[..length].ends_with(LINE.as_bytes()));
    }
}

#[test]
fn a_local_socket_of_streams_gets_messages_that_end_with_nul() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let listener = UnixListener::bind(&path).unwrap();
    let mut sender = sink(Destination::Local(path));
    sender.append(&three_lines()).unwrap();
    sender.finish().unwrap();
    let mut text = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut text).unwrap();
    assert_eq!(text.split(|byte| *byte == 0).filter(|part| part.ends_with(LINE.as_bytes())).count(), 3);
}

/// RFC 6587 §3.4.1.
fn unframed(mut text: &[u8]) -> Vec<String> {
    let mut messages = Vec::new();
    while !text.is_empty() {
        let space = text.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = str::from_utf8(&text[..space]).unwrap().parse().unwrap();
        let (message, rest) = text[space + 1..].split_at(length);
        messages.push(String::from_utf8(message.to_vec()).unwrap());
        text = rest;
    }
    messages
}

#[test]
fn tcp_messages_are_counted_in_octets_and_come_again_on_a_new_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = sink(Destination::Tcp(listener.local_addr().unwrap().to_string()));
    sender.append(&three_lines()).unwrap();
    let (mut first, _) = listener.accept().unwrap();
    let expected: Vec<u8> = three_lines();
    let mut text = vec![0; 8192];
    let mut length = 0;
    while unframed_length(&text[..length]) < 3 {
        length += first.read(&mut text[length..]).unwrap();
    }
    assert!(unframed(&text[..length]).iter().all(|message| message.ends_with(LINE)));
    drop(first);
    // The end of the connection is seen before the next batch is written into it.
    let taken = thread::spawn(move || {
        let mut text = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut text).unwrap();
        unframed(&text).len()
    });
    let mut written = 0;
    while written < expected.len() {
        written += sender.append(&expected[written..]).unwrap_or(0);
    }
    sender.finish().unwrap();
    assert_eq!(taken.join().unwrap(), 3);
}

fn unframed_length(text: &[u8]) -> usize {
    text.windows(LINE.len()).filter(|window| *window == LINE.as_bytes()).count()
}

#[test]
fn a_receiver_that_is_not_there_is_an_error_and_nothing_is_taken() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    for to in [Destination::Tcp(address), Destination::Local(folder.path().join("none"))] {
        assert!(sink(to).append(&three_lines()).is_err());
    }
}

#[test]
fn tls_encrypts_and_a_receiver_of_another_authority_gets_nothing() {
    let pki = certs::testing::Pki::named("Syslog");
    let server = pki.server("logs.example.com").issue();
    let key = rustls_pki_types::pem::PemObject::from_pem_slice(server.key_pem().as_bytes()).unwrap();
    let chain: Vec<rustls_pki_types::CertificateDer<'static>> =
        rustls_pki_types::pem::PemObject::pem_slice_iter(server.chain_pem().as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taken = thread::spawn(move || {
        let mut messages = Vec::new();
        for _ in 0..2 {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, listener.accept().unwrap().0);
            let mut text = Vec::new();
            let ended = stream.read_to_end(&mut text);
            messages.push(ended.map(|_| unframed(&text)).map_err(|error| error.to_string()));
            let _ = stream.flush();
        }
        messages
    });
    let trusting = |pki: &certs::testing::Pki| {
        let anchor = pki.root().certificate().der().to_vec().into();
        let tls = crate::backend::BackendTls::new([anchor], None).unwrap();
        let name = ServerName::try_from("logs.example.com").unwrap();
        let tls = SyslogTls { name, config: Arc::clone(&tls.config()), identity: [0; 32] };
        sink(Destination::Tls(address.clone(), tls))
    };
    let mut sender = trusting(&pki);
    sender.append(&three_lines()).unwrap();
    sender.finish().unwrap();
    assert!(trusting(&certs::testing::Pki::named("Other")).append(&three_lines()).is_err());
    let messages = taken.join().unwrap();
    assert_eq!(messages[0].as_ref().map(Vec::len), Ok(3), "and the end was announced");
    assert!(messages[1].is_err());
}

#[test]
fn a_record_that_is_too_long_for_the_local_socket_does_not_hold_up_those_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let receiver = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let mut transport = super::transport::Transport::connect(&Destination::Local(path)).unwrap();
    transport.send(&vec![b'x'; 8 << 20]).unwrap();
    transport.send(b"next").unwrap();
    let mut received = [0; 16];
    let length = receiver.recv(&mut received).unwrap();
    assert_eq!(&received[..length], b"next");
}
