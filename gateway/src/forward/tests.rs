//! Whole requests, from a device's socket to a backend's: every step in order, over each kind of backend.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use certs::testing::Pki;
use http::{HeaderValue, Request};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use policies::{CipherSuite, RequestRules, TlsVersion, testing};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::authorize::authorize;
use crate::backend::{BackendConfig, BackendLimits, BackendTarget, BackendTls};
use crate::request::Inbound;
use crate::rewrite::{HeaderConfig, PeerFacts, PeerFields, Preset, rewrite};

/// A gateway that takes every client for the guide's device.
struct Gateway {
    fields: Arc<PeerFields>,
    rules: RequestRules,
    backend: Backend,
}

impl Gateway {
    async fn start(target: BackendTarget) -> SocketAddr {
        let pki = Pki::new();
        let chain = pki.verified(&pki.device().issue());
        let facts = PeerFacts {
            chain: Some(&chain),
            principal: &testing::guide_device(),
            version: TlsVersion(0x0304),
            suite: CipherSuite(0x1301),
            resumed: true,
            server_name: None,
            client: IpAddr::from([127, 0, 0, 1]),
            now: Pki::NOW,
        };
        let config = HeaderConfig { presets: vec![Preset::Guide, Preset::Device], ..HeaderConfig::default() };
        let gateway = Arc::new(Self {
            fields: Arc::new(PeerFields::new(&config, &facts).unwrap()),
            rules: RequestRules::shipped("own-profile").unwrap(),
            backend: Backend::new(&BackendConfig { target, limits: BackendLimits::default() }),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let gateway = Arc::clone(&gateway);
                let service = service_fn(move |request| {
                    let gateway = Arc::clone(&gateway);
                    async move { Ok::<_, Infallible>(gateway.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        address
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        self.try_answer(request)
            .await
            .unwrap_or_else(|reason| respond::refusal(reason, reason.as_str(), Afterwards::Close))
    }

    async fn try_answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Reason> {
        let limits = BodyLimits::default();
        let inbound = Inbound::new(request, &limits, |host| host == "prov.example.com")
            .map_err(|error| error.reason())?;
        let permitted =
            authorize(inbound, &testing::guide_device(), &self.rules).map_err(|denial| denial.reason)?;
        let id = HeaderValue::from_static("r1");
        let outbound = rewrite(permitted, &self.fields, id).map_err(|error| error.reason())?;
        forward(outbound, &self.backend, &limits).await.map_err(|error| error.reason())
    }
}

/// Sends a GET for `path` with these further lines, and reads until the gateway closes.
async fn get(gateway: SocketAddr, path: &str, fields: &str) -> String {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: prov.example.com\r\n{fields}Connection: close\r\n\r\n");
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Sends `request` and reads until the gateway closes.
async fn send(gateway: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A gateway that refuses may close before it has read all.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Answers each request on `stream` with its own head.
async fn mirror(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut head = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if head.ends_with(b"\r\n\r\n") {
            let answer =
                format!("HTTP/1.1 200 OK\r\nSSL-Client-Verify: x\r\nContent-Length: {}\r\n\r\n", head.len());
            if stream.write_all(&[answer.into_bytes(), std::mem::take(&mut head)].concat()).await.is_err() {
                return;
            }
        }
    }
}

async fn mirror_over_tcp() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            tokio::spawn(mirror(listener.accept().await.unwrap().0));
        }
    });
    address
}

const OWN: &str = "/000e08abcdef.cfg";

#[tokio::test]
async fn an_http_backend_sees_who_asks_and_nothing_forged() {
    let backend = mirror_over_tcp().await;
    let gateway = Gateway::start(BackendTarget::Http(backend.to_string().parse().unwrap())).await;
    let forged = "SSL-Client-S-DN-S: 64167f000001\r\nssl_client_s_dn_s: 64167f000001\r\nSSL-Client-SAN-DNS-0: x\r\nX-Mine: yes\r\n";
    let answer = get(gateway, OWN, forged).await;
    let (head, mirrored) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && !head.contains("ssl-client"), "SEC-68: {head}");
    for line in [
        "GET /000e08abcdef.cfg HTTP/1.1",
        "host: prov.example.com",
        "ssl-client-verify: SUCCESS",
        "ssl-client-s-dn-s: 000e08abcdef",
        "ssl-client-i-dn-ou: CP-8841-3PCC",
        "ssl-session-resumed: Resumed",
        "device-mac: 000e08abcdef",
        "x-request-id: r1",
        "x-mine: yes",
    ] {
        assert!(mirrored.lines().any(|sent| sent == line), "{line} in {mirrored}");
    }
    assert!(!mirrored.contains("64167f000001") && !mirrored.contains("san-dns"), "{mirrored}");
    assert_eq!(mirrored.matches("ssl-client-s-dn-s:").count(), 1);
}

#[tokio::test]
async fn another_devices_profile_is_refused_before_the_backend() {
    let backend = mirror_over_tcp().await;
    let gateway = Gateway::start(BackendTarget::Http(backend.to_string().parse().unwrap())).await;
    assert!(get(gateway, OWN, "").await.starts_with("HTTP/1.1 200 "));
    let answer = get(gateway, "/64167f000001.cfg", "").await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("request no_rule_matched\n"), "{answer}");
}

#[tokio::test]
async fn a_folder_serves_the_devices_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("000e08abcdef.cfg");
    #[expect(clippy::disallowed_methods, reason = "nobody reads the file meanwhile")]
    std::fs::write(path, "<flat-profile/>").unwrap();
    let gateway = Gateway::start(BackendTarget::Directory(folder.path().to_owned())).await;
    let answer = get(gateway, OWN, "").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n<flat-profile/>"),
        "{answer}"
    );
    assert!(answer.contains("content-length: 15\r\n"), "{answer}");
    let answer = get(gateway, OWN, "Range: bytes=1-4\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 206 ") && answer.ends_with("\r\n\r\nflat"), "{answer}");
    let answer = get(gateway, "/000e08abcdef.xml", "").await;
    assert!(
        answer.starts_with("HTTP/1.1 404 ") && answer.ends_with("404 Not Found\nrequest r1\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn says_what_happened_cause_by_cause() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = UpstreamError::Connect(crate::backend::ConnectError::Unreachable(
        TcpStream::connect(unused).await.unwrap_err(),
    ));
    assert_eq!(
        ForwardError::from(error).detail(),
        "the backend cannot be reached: Connection refused (os error 111)"
    );
}

#[tokio::test]
async fn a_folder_that_is_gone_is_the_backends_fault() {
    let gateway = Gateway::start(BackendTarget::Directory("/nonexistent".into())).await;
    let answer = get(gateway, OWN, "").await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.ends_with("backend_unreachable\n"), "{answer}");
}

#[tokio::test]
async fn a_unix_socket_is_a_backend_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backend.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            tokio::spawn(mirror(listener.accept().await.unwrap().0));
        }
    });
    let gateway = Gateway::start(BackendTarget::Unix(path)).await;
    let answer = get(gateway, OWN, "").await;
    assert!(answer.contains("device-mac: 000e08abcdef\r\n"), "{answer}");
    let nobody = Gateway::start(BackendTarget::Unix(folder.path().join("none.sock"))).await;
    let answer = get(nobody, OWN, "").await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.ends_with("backend_unreachable\n"), "{answer}");
}

fn chain_and_key(issued: &certs::testing::Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = issued.chain_der().into_iter().map(CertificateDer::from).collect();
    (chain, PrivateKeyDer::try_from(issued.key_der().to_vec()).unwrap())
}

fn anchor(pki: &Pki) -> [CertificateDer<'static>; 1] {
    [CertificateDer::from(pki.root().certificate().der().to_vec())]
}

/// A TLS backend for `localhost` that asks for a client certificate of its own authority.
async fn mirror_over_tls(pki: &Pki) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(anchor(pki));
    let clients =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let (chain, key) = chain_and_key(&pki.server("localhost").issue());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    mirror(stream).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_tls_backend_is_verified_and_shown_our_certificate() {
    let pki = Pki::new();
    let backend = mirror_over_tls(&pki).await;
    let ours = || Some(chain_and_key(&pki.device().issue()));
    let ask = async |host: &str, tls: BackendTls| {
        let authority = format!("{host}:{}", backend.port()).parse().unwrap();
        let gateway = Gateway::start(BackendTarget::Https { authority, tls }).await;
        get(gateway, OWN, "").await
    };
    let trusted = || BackendTls::new(anchor(&pki), ours()).unwrap();
    let answer = ask("localhost", trusted()).await;
    assert!(answer.contains("device-mac: 000e08abcdef\r\n"), "{answer}");

    let foreign = BackendTls::new(anchor(&Pki::named("Foreign")), ours()).unwrap();
    let refusals = [
        ("127.0.0.1", trusted(), "the name is not in the certificate"),
        ("localhost", foreign, "another authority"),
        ("localhost", BackendTls::new(anchor(&pki), None).unwrap(), "no certificate of ours"),
    ];
    for (host, tls, why) in refusals {
        let answer = ask(host, tls).await;
        let refused = answer.starts_with("HTTP/1.1 502 ") && answer.ends_with("request backend_tls\n");
        assert!(refused, "{why}: {answer}");
    }
    assert!(matches!(BackendTls::new([], None), Err(crate::backend::BackendTlsError::NoAnchor)), "SEC-26");
}

#[tokio::test]
async fn sec_66_what_could_hide_a_second_request_reaches_no_backend() {
    let backend = mirror_over_tcp().await;
    let gateway = Gateway::start(BackendTarget::Http(backend.to_string().parse().unwrap())).await;
    let start = format!("GET {OWN} HTTP/1.1\r\nHost: prov.example.com\r\n");
    let end = "Connection: close\r\n\r\n";
    assert!(send(gateway, format!("{start}{end}").as_bytes()).await.starts_with("HTTP/1.1 200 "));
    for (what, lines) in [
        ("differing lengths", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("a list of lengths", "Content-Length: 5, 5\r\n"),
        ("a signed length", "Content-Length: +5\r\n"),
        ("a coding that is not chunked", "Transfer-Encoding: xchunked\r\n"),
        ("chunked before another coding", "Transfer-Encoding: chunked, gzip\r\n"),
        ("a coding before chunked", "Transfer-Encoding: gzip, chunked\r\n"),
        ("a folded line", "X-A: b\r\n c: d\r\n"),
        ("a space before the colon", "X-A : b\r\n"),
        ("an empty name", ": b\r\n"),
        ("a bare CR", "X-A: b\rX-B: c\r\n"),
        ("a NUL", "X-A: b\0c\r\n"),
        ("a second Host", "Host: other.example.com\r\n"),
    ] {
        let answer = send(gateway, format!("{start}{lines}{end}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
    }
    let old = format!("GET {OWN} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert!(send(gateway, old.as_bytes()).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn sec_66_a_length_beside_a_coding_is_dropped_and_the_connection_closed() {
    let backend = mirror_over_tcp().await;
    let gateway = Gateway::start(BackendTarget::Http(backend.to_string().parse().unwrap())).await;
    for lines in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    ] {
        let hidden = format!("GET {OWN} HTTP/1.1\r\nHost: prov.example.com\r\nX-Hidden: yes\r\n\r\n");
        let request = format!("GET {OWN} HTTP/1.1\r\nHost: prov.example.com\r\n{lines}\r\n0\r\n\r\n{hidden}");
        let answer = send(gateway, request.as_bytes()).await;
        assert!(!answer.to_ascii_lowercase().contains("x-hidden"), "{answer}");
        assert!(answer.matches("HTTP/1.1 200 OK").count() <= 1, "{answer}");
        assert!(!answer.contains("content-length: 3"), "{answer}");
    }
}
