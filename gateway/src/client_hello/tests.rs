//! SEC-34: however a hello is cut, the decision is the same; whatever is no hello is refused, never guessed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use policies::{CipherSuite, TlsVersion};
use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::*;

/// Gives its bytes in the given steps, then ends.
struct Dribble {
    bytes: Vec<u8>,
    at: usize,
    step: usize,
}

impl AsyncRead for Dribble {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let end = (self.at + self.step).min(self.bytes.len()).min(self.at + into.remaining());
        into.put_slice(&self.bytes[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

fn read_in_steps(bytes: &[u8], step: usize) -> Result<Greeting, HelloError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut stream = Dribble { bytes: bytes.to_vec(), at: 0, step };
        read(&mut stream, Instant::now() + Duration::from_secs(30)).await
    })
}

fn extension(number: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

fn server_name(name: &str) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap();
    let mut data = (length + 3).to_be_bytes().to_vec();
    data.push(0);
    data.extend(length.to_be_bytes());
    data.extend(name.as_bytes());
    extension(0, &data)
}

fn body(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 6, 0x13, 0x01, 0xc0, 0x2f, 0x0a, 0x0a]);
    body.extend([1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    body
}

fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut message = vec![1, length[1], length[2], length[3]];
    message.extend(body);
    message
}

fn records(message: &[u8], fragment: usize) -> Vec<u8> {
    message
        .chunks(fragment)
        .flat_map(|part| {
            let length = u16::try_from(part.len()).unwrap().to_be_bytes();
            [&[22, 3, 1, length[0], length[1]][..], part].concat()
        })
        .collect()
}

fn sample() -> Vec<u8> {
    let mut extensions = server_name("Prov.Example.COM");
    extensions.extend(extension(43, &[4, 3, 4, 3, 3]));
    extensions.extend(extension(10, &[0, 4, 0, 29, 0, 23]));
    extensions.extend(extension(13, &[0, 4, 8, 4, 4, 1]));
    extensions.extend(extension(16, b"\x00\x09\x08http/1.1"));
    message(&body(&extensions))
}

#[test]
fn sec_34_a_hello_cut_at_every_byte_and_split_over_records_reads_the_same() {
    let message = sample();
    let whole = read_in_steps(&records(&message, 1 << 14), 1 << 16).unwrap().hello;
    assert_eq!(whole.server_name.as_deref(), Some("prov.example.com"));
    assert_eq!(whole.versions(), [TlsVersion(0x0304), TlsVersion(0x0303)]);
    assert_eq!(whole.suites[..2], [CipherSuite(0x1301), CipherSuite(0xc02f)]);
    for fragment in 1..message.len() {
        for step in [1, 3, 1 << 16] {
            let wire = records(&message, fragment);
            let greeting = read_in_steps(&wire, step).unwrap();
            assert_eq!(greeting.hello, whole, "fragments of {fragment}, reads of {step}");
            assert_eq!(greeting.bytes, wire, "the bytes are kept for replay");
        }
    }
    let wire = records(&message, 1 << 14);
    for cut in 0..wire.len() {
        let error = read_in_steps(&wire[..cut], 1 << 16).unwrap_err();
        assert!(matches!(error, HelloError::ClientGone { received } if received == cut), "{cut}: {error:?}");
    }
}

#[test]
fn refuses_a_hello_above_64_kib_and_reads_one_just_below() {
    let padding = |size: usize| {
        let data = vec![0; size];
        message(&body(&extension(21, &data)))
    };
    assert!(read_in_steps(&records(&padding(60_000), 1 << 14), 1000).is_ok());
    let mut endless = vec![1, 0, 0xff, 0xff];
    endless.extend(vec![0; MAX_HELLO]);
    let error = read_in_steps(&records(&endless, 100), 1000).unwrap_err();
    assert!(matches!(error, HelloError::TooLarge), "{error:?}");
    let mut announced = vec![1, 1, 0, 1];
    announced.extend([0; 10]);
    let error = read_in_steps(&records(&announced, 100), 1000).unwrap_err();
    assert!(matches!(error, HelloError::TooLarge), "{error:?}");
}

#[test]
fn refuses_plain_http_by_name() {
    for (text, expected) in [("GET / HTTP/1.0\r\n\r\n", true), ("POST /x", true), ("SSH-2.0-x", false)] {
        let error = read_in_steps(text.as_bytes(), 1 << 16).unwrap_err();
        assert!(matches!(error, HelloError::NotTls { http } if http == expected), "{text}: {error:?}");
    }
}

#[test]
fn refuses_a_repeated_extension_and_stray_bytes() {
    let twice = [server_name("a.example"), server_name("a.example")].concat();
    let error = read_in_steps(&records(&message(&body(&twice)), 1 << 14), 1 << 16).unwrap_err();
    assert!(matches!(error, HelloError::Malformed(HelloSyntaxError::RepeatedExtension(0))), "{error:?}");
    assert!(read_in_steps(&records(&message(&body(&server_name("a.example"))), 1 << 14), 1 << 16).is_ok());

    let mut stray = sample();
    stray.push(0);
    let error = read_in_steps(&records(&stray, 1 << 14), 1 << 16).unwrap_err();
    assert!(matches!(error, HelloError::Malformed(HelloSyntaxError::TrailingBytes(1))), "{error:?}");
}

#[test]
fn refuses_a_server_name_that_is_no_host_name_and_ignores_an_address() {
    for bad in ["a\0b.example", "a..example", "", "ä.example", "a b"] {
        let error =
            read_in_steps(&records(&message(&body(&server_name(bad))), 1 << 14), 1 << 16).unwrap_err();
        assert!(matches!(error, HelloError::Malformed(HelloSyntaxError::ServerName)), "{bad}: {error:?}");
    }
    let greeting =
        read_in_steps(&records(&message(&body(&server_name("192.0.2.1"))), 1 << 14), 1 << 16).unwrap();
    assert_eq!(greeting.hello.server_name, None);
}

#[test]
fn reads_the_sslv2_format_hello_of_an_old_phone() {
    let specs = [0, 0, 0x39, 0, 0, 0x2f, 1, 0, 0x80];
    let mut body = vec![1, 3, 1, 0, 9, 0, 0, 0, 16];
    body.extend(specs);
    body.extend([9; 16]);
    let mut wire = vec![0x80, u8::try_from(body.len()).unwrap()];
    wire.extend(&body);
    for step in 1..wire.len() {
        let hello = read_in_steps(&wire, step).unwrap().hello;
        assert_eq!(hello.format, Format::Sslv2);
        assert_eq!(hello.suites, [CipherSuite(0x39), CipherSuite(0x2f)]);
        assert_eq!(hello.versions(), [TlsVersion(0x0301), TlsVersion(0x0300)]);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..600), step in 1usize..50) {
        let _ = read_in_steps(&bytes, step);
        let _ = ClientHello::parse(&bytes);
        let _ = ClientHello::parse_sslv2(&bytes);
    }

    #[test]
    fn a_hello_with_one_octet_changed_never_panics(at in 0usize..150, value in any::<u8>()) {
        let mut message = sample();
        let at = at % message.len();
        message[at] = value;
        if let Ok(greeting) = read_in_steps(&records(&message, 40), 7) {
            fingerprint::ja3(&greeting.hello);
            fingerprint::ja4(&greeting.hello);
        }
    }
}
