//! The decoder against a real TLS library in memory, and against anything.

use std::io::{Read as _, Write as _};

use certs::testing::{Issued, Pki};
use policies::{TlsRules, TlsVersion};
use proptest::prelude::*;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite,
    SupportedProtocolVersion,
};

use super::*;
use crate::tls::modern;

const NAME: &str = "prov.example.com";

fn credentials(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = vec![CertificateDer::from(issued.certificate().der().to_vec())];
    (chain, PrivatePkcs8KeyDer::from(issued.key_der().to_vec()).into())
}

fn deliver<Data>(
    connection: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<Data>>,
    mut bytes: &[u8],
) {
    while !bytes.is_empty() {
        assert!(connection.read_tls(&mut bytes).unwrap() > 0, "{} bytes are not taken", bytes.len());
        connection.process_new_packets().unwrap();
    }
}

struct Pair {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    secrets: Arc<Secrets>,
}

impl Pair {
    fn new(version: &'static SupportedProtocolVersion, suite: SupportedCipherSuite) -> Self {
        let pki = Pki::new();
        let (server, phone) = (pki.server(NAME).issue(), pki.device().issue());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(pki.root().certificate().der().to_vec())).unwrap();
        let roots = Arc::new(roots);
        let provider = aws_lc_rs::default_provider();
        let provider = Arc::new(rustls::crypto::CryptoProvider { cipher_suites: vec![suite], ..provider });
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .unwrap();
        let (chain, key) = credentials(&server);
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        let secrets = Arc::<Secrets>::default();
        server.key_log = Arc::<Secrets>::clone(&secrets);
        let (chain, key) = credentials(&phone);
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        Self { client: Arc::new(client), server: Arc::new(server), secrets }
    }

    /// One connection with a request and an answer; what the decoder made of it.
    fn converse(&self) -> Vec<Item> {
        self.secrets.clear();
        let mut client =
            ClientConnection::new(Arc::clone(&self.client), ServerName::try_from(NAME).unwrap()).unwrap();
        let mut server = ServerConnection::new(Arc::clone(&self.server)).unwrap();
        let mut decoder = Decoder::new(Arc::clone(&self.secrets));
        let mut items = Vec::new();
        let (mut asked, mut answered, mut renewed, mut closed) = (false, false, false, false);
        let mut round = 0;
        loop {
            round += 1;
            assert!(
                round < 40,
                "{:?} {asked} {answered} {renewed} {closed} {} {}",
                names(&items),
                client.is_handshaking(),
                server.is_handshaking()
            );
            let mut to_server = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut to_server).unwrap();
            }
            // As `trace` does: what the client sent is read once the server has had it.
            deliver(&mut server, &to_server);
            items.extend(decoder.feed(Side::Client, &to_server));
            let mut to_client = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut to_client).unwrap();
            }
            items.extend(decoder.feed(Side::Server, &to_client));
            deliver(&mut client, &to_client);
            if !to_server.is_empty() || !to_client.is_empty() || client.is_handshaking() {
                let mut request = [0; 16];
                if !answered && server.reader().read(&mut request).is_ok_and(|read| read > 0) {
                    answered = true;
                    server.writer().write_all(b"200").unwrap();
                }
                continue;
            }
            if !asked {
                asked = true;
                client.writer().write_all(b"GET /").unwrap();
            } else if !renewed && client.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3) {
                renewed = true;
                client.refresh_traffic_keys().unwrap();
                client.writer().write_all(b"more").unwrap();
            } else if !closed {
                closed = true;
                client.send_close_notify();
            } else {
                return items;
            }
        }
    }
}

fn names(items: &[Item]) -> Vec<String> {
    let side = |item: &Item| if item.from == Side::Client { ">" } else { "<" };
    let words = |item: &Item| match &item.what {
        What::Handshake { message, .. } => message.name().to_owned(),
        What::Alert { description, .. } => format!("alert {description}"),
        What::ApplicationData(size) => format!("data {size}"),
        What::ChangeCipherSpec => "CCS".to_owned(),
        other @ (What::CutShort(_) | What::NotTls(_) | What::Sealed { .. } | What::SealedFinished(_)) => {
            format!("{other:?}")
        }
    };
    items.iter().map(|item| format!("{}{}", side(item), words(item))).collect()
}

#[test]
fn opens_every_message_of_tls_1_3_with_every_suite() {
    for number in [0x1301, 0x1302, 0x1303] {
        let pair = Pair::new(&rustls::version::TLS13, modern::suite(CipherSuite(number)).unwrap());
        let full = names(&pair.converse());
        assert_eq!(
            full[..14],
            [
                ">ClientHello",
                "<ServerHello",
                "<CCS",
                "<EncryptedExtensions",
                "<CertificateRequest",
                "<Certificate",
                "<CertificateVerify",
                "<Finished",
                ">CCS",
                ">Certificate",
                ">CertificateVerify",
                ">Finished",
                "<NewSessionTicket",
                "<NewSessionTicket",
            ],
            "{full:?}"
        );
        assert_eq!(full[14..], [">data 5", "<data 3", ">KeyUpdate", ">data 4", ">alert 0"], "{full:?}");
        let resumed = names(&pair.converse());
        assert!(!resumed.iter().any(|name| name.ends_with("Certificate")), "{resumed:?}");
        assert!(resumed.contains(&"<Finished".to_owned()) && resumed.contains(&">alert 0".to_owned()));
    }
}

#[test]
fn opens_the_encrypted_messages_of_tls_1_2_with_every_suite() {
    let rules = TlsRules::shipped("modern").unwrap();
    let mut seen = 0;
    for suite in rules.suites().iter().filter(|suite| suite.serves(TlsVersion::TLS1_2)) {
        // The certificates of this test have EC keys.
        let Some(suite) = modern::suite(*suite).filter(|_| suite.needs_ec_certificate()) else { continue };
        seen += 1;
        let pair = Pair::new(&rustls::version::TLS12, suite);
        let full = names(&pair.converse());
        assert_eq!(
            full[..13],
            [
                ">ClientHello",
                "<ServerHello",
                "<Certificate",
                "<ServerKeyExchange",
                "<CertificateRequest",
                "<ServerHelloDone",
                ">Certificate",
                ">ClientKeyExchange",
                ">CertificateVerify",
                ">CCS",
                ">Finished",
                "<CCS",
                "<Finished",
            ],
            "{full:?}"
        );
        assert_eq!(full[13..], [">data 5", "<data 3", ">alert 0"], "{full:?}");
    }
    assert_eq!(seen, 3);
}

#[test]
fn without_secrets_the_same_connection_stays_closed() {
    let mut pair = Pair::new(&rustls::version::TLS13, modern::suite(CipherSuite(0x1301)).unwrap());
    pair.secrets = Arc::default();
    let items = pair.converse();
    assert_eq!(names(&items)[..3], [">ClientHello", "<ServerHello", "<CCS"]);
    let sealed = |item: &Item| matches!(item.what, What::Sealed { .. } | What::ChangeCipherSpec);
    assert!(items[3..].iter().all(sealed), "{items:?}");
}

#[test]
fn an_sslv2_format_hello_and_what_is_no_tls_are_told_apart() {
    let mut decoder = Decoder::new(Arc::default());
    let mut hello = vec![0x80, 9 + 3 + 16, 1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 0x2f];
    hello.extend([7; 16]);
    let items = decoder.feed(Side::Client, &hello);
    assert_eq!(names(&items), [">ClientHello"]);
    let mut decoder = Decoder::new(Arc::default());
    let items = decoder.feed(Side::Client, b"GET / HTTP/1.1\r\n");
    assert_eq!(items[0].what, What::NotTls(16));
    assert_eq!(decoder.feed(Side::Client, b"more")[0].what, What::NotTls(4));
    assert!(decoder.end(Side::Client).is_none());
}

#[test]
fn a_message_that_never_ends_is_given_up() {
    let mut decoder = Decoder::new(Arc::default());
    let items = decoder.feed(Side::Server, &[22, 3, 3, 0, 4, 11, 0xff, 0xff, 0xff]);
    assert_eq!(items[0].what, What::NotTls(4));
    let mut decoder = Decoder::new(Arc::default());
    assert!(decoder.feed(Side::Server, &[22, 3, 3, 0, 4, 11, 0, 0, 9]).is_empty(), "the twin of a fair size");
    assert_eq!(decoder.end(Side::Server).unwrap().what, What::CutShort(4));
}

/// What a client and a server said in one full connection, direction by direction.
fn recorded() -> (Vec<u8>, Vec<u8>) {
    let pair = Pair::new(&rustls::version::TLS12, modern::suite(CipherSuite(0xc02b)).unwrap());
    let mut client =
        ClientConnection::new(Arc::clone(&pair.client), ServerName::try_from(NAME).unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::clone(&pair.server)).unwrap();
    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    while client.is_handshaking() || server.is_handshaking() {
        let start = from_client.len();
        while client.wants_write() {
            client.write_tls(&mut from_client).unwrap();
        }
        deliver(&mut server, &from_client[start..]);
        let start = from_server.len();
        while server.wants_write() {
            server.write_tls(&mut from_server).unwrap();
        }
        deliver(&mut client, &from_server[start..]);
    }
    (from_client, from_server)
}

/// Decodes, describes and ends; nothing may panic, and what is kept is bounded.
fn survive(decoder: &mut Decoder, side: Side, bytes: &[u8]) -> Vec<Item> {
    let items = decoder.feed(side, bytes);
    for item in &items {
        let title = crate::wire::describe::title(item);
        assert!(title.len() < 200, "{title}");
        let _ = crate::wire::describe::lines(item, Pki::NOW);
    }
    assert!(decoder.side(side).message.len() <= MAX_MESSAGE + (1 << 15));
    items
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        parts in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..200)), 0..20),
    ) {
        let mut decoder = Decoder::new(Arc::default());
        for (of_client, bytes) in parts {
            survive(&mut decoder, if of_client { Side::Client } else { Side::Server }, &bytes);
        }
        decoder.end(Side::Client);
        decoder.end(Side::Server);
    }

    #[test]
    fn any_body_of_any_message_is_survived(kind in 0u8..30, version in 0x0300u16..0x0305, suite in any::<u16>(), body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let message = Message::read(kind, &body, TlsVersion(version), CipherSuite(suite));
        let what = What::Handshake { message, size: body.len() };
        let item = Item { from: Side::Server, record: None, encrypted: false, what };
        let _ = crate::wire::describe::lines(&item, Pki::NOW);
    }
}

#[test]
fn records_cut_anywhere_give_the_same_and_damaged_ones_are_survived() {
    let (client, server) = recorded();
    let mut decoder = Decoder::new(Arc::default());
    let whole = (decoder.feed(Side::Client, &client), decoder.feed(Side::Server, &server));
    assert!(names(&whole.1).contains(&"<CertificateRequest".to_owned()));
    for step in [1, 2, 3, 7, 100] {
        let mut decoder = Decoder::new(Arc::default());
        let mut read = |side, bytes: &[u8]| -> Vec<Item> {
            bytes.chunks(step).flat_map(|part| survive(&mut decoder, side, part)).collect()
        };
        assert_eq!((read(Side::Client, &client), read(Side::Server, &server)), whole, "{step}");
    }
    for at in 0..server.len() {
        for change in [0xff, 1] {
            let mut damaged = server.clone();
            damaged[at] ^= change;
            let mut decoder = Decoder::new(Arc::default());
            decoder.feed(Side::Client, &client);
            survive(&mut decoder, Side::Server, &damaged);
            decoder.end(Side::Server);
        }
    }
}
