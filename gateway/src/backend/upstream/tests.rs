//! A device, the gateway's half between two sockets, and backends that behave and misbehave.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::backend::connector::Connector;
use crate::request::BodyLimits;
use crate::respond::{self, Afterwards, Body};

const SOON: Duration = Duration::from_millis(50);

/// Limits that no test waits for.
fn patient() -> BackendLimits {
    BackendLimits::default()
}

/// A backend whose nth connection is handled by `script(n, stream)`.
async fn backend<F>(script: impl Fn(usize, TcpStream) -> F + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(script(count.fetch_add(1, Ordering::SeqCst), stream));
        }
    });
    (address, accepted)
}

/// A backend that answers each request's head on each connection with `answer`.
async fn answering(answer: impl Into<Vec<u8>>) -> (SocketAddr, Arc<AtomicUsize>) {
    let answer = Arc::new(answer.into());
    backend(move |_, mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            while !read_head(&mut stream).await?.is_empty() {
                stream.write_all(&answer).await?;
            }
            Ok(())
        }
    })
    .await
}

/// Reads up to the empty line; nothing at the end of the stream.
async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(String::new()),
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8(head).unwrap())
}

/// The part of the gateway under test, listening.
async fn gateway(backend: SocketAddr, limits: BackendLimits, body_limits: BodyLimits) -> SocketAddr {
    let connector = Connector::tcp(&backend.to_string().parse().unwrap());
    let upstream = Arc::new(Upstream::new("the backend".into(), connector, limits));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let upstream = Arc::clone(&upstream);
            let service = service_fn(move |request: Request<Incoming>| {
                let upstream = Arc::clone(&upstream);
                async move {
                    let (parts, body) = request.into_parts();
                    let head = || {
                        let mut head = Request::new(());
                        *head.method_mut() = parts.method.clone();
                        *head.uri_mut() = parts.uri.clone();
                        head.headers_mut().insert("host", upstream.host().clone());
                        head
                    };
                    let answer = upstream.send(RequestBody::new(body, body_limits), head).await;
                    Ok::<_, Infallible>(match answer {
                        Ok(answer) => answer.map(Body::upstream),
                        Err(error) => {
                            respond::refusal(error.reason(), error.reason().as_str(), Afterwards::Close)
                        }
                    })
                }
            });
            tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// Sends `bytes` and reads until the gateway closes.
async fn ask(gateway: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    rest(stream).await
}

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

const GET: &str = "GET /a.cfg HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[track_caller]
fn assert_refused(answer: &str, status: u16, reason: Reason) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.ends_with(&format!("request {}\n", reason.as_str())), "{answer}");
}

#[tokio::test]
async fn brings_an_answer_back_and_keeps_the_connection() {
    let (backend, accepted) = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi").await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    for _ in 0..5 {
        let answer = ask(gateway, GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhi"), "{answer}");
        assert!(answer.contains("x-a: b\r\n") && answer.contains("content-length: 2\r\n"), "{answer}");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "one connection serves all");
}

#[tokio::test]
async fn keeps_the_connection_after_a_long_chunked_answer_and_drops_its_trailer_fields() {
    let mut answer =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: SSL-Client-Verify\r\n\r\n".to_vec();
    for _ in 0..100 {
        answer.extend_from_slice(b"1000\r\n");
        answer.extend_from_slice(&[b'x'; 0x1000]);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\nSSL-Client-Verify: SUCCESS\r\n\r\n");
    let (backend, accepted) = answering(answer).await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    for _ in 0..3 {
        let request = "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: close\r\n\r\n";
        let answer = ask(gateway, request).await;
        assert_eq!(answer.matches('x').count(), 100 * 0x1000);
        assert!(!answer.contains("SUCCESS"), "SEC-68");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn serves_http_1_0_devices_from_a_chunked_answer() {
    let (backend, _) =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n").await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    let answer = ask(gateway, "GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\nhi"), "{answer}");
    assert!(!answer.contains("chunked"), "{answer}");
}

#[tokio::test]
async fn passes_the_length_of_a_head_answer_and_a_not_modified_one() {
    let (backend, accepted) = answering("HTTP/1.1 200 OK\r\nContent-Length: 8192\r\n\r\n").await;
    let head = gateway(backend, patient(), BodyLimits::default()).await;
    for _ in 0..2 {
        let answer = ask(head, "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        assert!(answer.contains("content-length: 8192\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    let (backend, accepted) = answering("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n").await;
    let unchanged = gateway(backend, patient(), BodyLimits::default()).await;
    for _ in 0..2 {
        let answer = ask(unchanged, GET).await;
        assert!(answer.starts_with("HTTP/1.1 304 ") && answer.contains("etag: \"a\"\r\n"), "{answer}");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn skips_interim_answers() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let (backend, _) = answering(answer).await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    let answer = ask(gateway, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("link"), "{answer}");
}

#[tokio::test]
async fn refuses_answers_that_are_not_http() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nX A: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        let (backend, _) = answering(garbage).await;
        let gateway = gateway(backend, patient(), BodyLimits::default()).await;
        assert_refused(&ask(gateway, GET).await, 502, Reason::BackendInvalidResponse);
    }
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(READ_BYTES));
    let (backend, _) = answering(huge).await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    assert_refused(&ask(gateway, GET).await, 502, Reason::BackendInvalidResponse);
}

#[tokio::test]
async fn says_that_the_backend_closed_before_and_amid_the_head() {
    for partial in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-"] {
        let (backend, accepted) = backend(move |_, mut stream| async move {
            read_head(&mut stream).await?;
            stream.write_all(partial.as_bytes()).await
        })
        .await;
        let gateway = gateway(backend, patient(), BodyLimits::default()).await;
        assert_refused(&ask(gateway, GET).await, 502, Reason::BackendClosed);
        assert_eq!(accepted.load(Ordering::SeqCst), 1, "a new connection is not tried twice");
    }
}

#[tokio::test]
async fn cuts_the_answer_off_when_the_backend_closes_amid_the_body() {
    let (backend, _) = backend(|_, mut stream| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await
    })
    .await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    // hyper drops what it has not sent yet, so nothing may come at all; what comes is visibly incomplete.
    let answer = ask(gateway, GET).await;
    let cut = answer.contains("content-length: 100\r\n") && answer.ends_with("half");
    assert!(answer.is_empty() || cut, "{answer}");
}

#[tokio::test]
async fn says_that_nobody_listens() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway = gateway(unused, patient(), BodyLimits::default()).await;
    assert_refused(&ask(gateway, GET).await, 502, Reason::BackendUnreachable);
}

#[tokio::test]
async fn gives_up_on_a_backend_that_never_answers() {
    let (backend, _) = backend(|_, mut stream| async move {
        read_head(&mut stream).await?;
        std::future::pending().await
    })
    .await;
    let gateway =
        gateway(backend, BackendLimits { response: SOON, ..patient() }, BodyLimits::default()).await;
    assert_refused(&ask(gateway, GET).await, 504, Reason::BackendTimeout);
}

#[tokio::test]
async fn gives_up_on_a_backend_that_stops_amid_the_body() {
    let (backend, _) = backend(|_, mut stream| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await?;
        std::future::pending().await
    })
    .await;
    let gateway = gateway(backend, BackendLimits { idle: SOON, ..patient() }, BodyLimits::default()).await;
    let answer = ask(gateway, GET).await;
    assert!(answer.ends_with("half"), "{answer}");
}

/// Answers one request on each connection and closes it without having said so.
async fn forgetful() -> (SocketAddr, Arc<AtomicUsize>) {
    backend(|_, mut stream| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await?;
        // The next request arrives, and is answered with the end of the stream.
        read_head(&mut stream).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn repeats_a_get_when_the_kept_connection_was_closed() {
    let (backend, accepted) = forgetful().await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    for _ in 0..3 {
        assert!(ask(gateway, GET).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn never_repeats_a_post_that_may_have_been_acted_on() {
    let (backend, accepted) = forgetful().await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    assert!(ask(gateway, GET).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_refused(&ask(gateway, post).await, 502, Reason::BackendClosed);
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

/// Answers a request with its body, which ends with `.`.
async fn echo() -> (SocketAddr, Arc<AtomicUsize>) {
    backend(|_, mut stream| async move {
        loop {
            let head = read_head(&mut stream).await?;
            if head.is_empty() {
                return Ok(());
            }
            let mut body = Vec::new();
            let end: &[u8] = if head.contains("chunked") { b"0\r\n\r\n" } else { b"." };
            while !body.ends_with(end) {
                body.push(stream.read_u8().await?);
            }
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", head.len() + body.len());
            stream.write_all(answer.as_bytes()).await?;
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
        }
    })
    .await
}

#[tokio::test]
async fn carries_a_body_with_a_length_and_a_chunked_one() {
    let (backend, accepted) = echo().await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    let answer =
        ask(gateway, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabc.")
            .await;
    assert!(answer.ends_with("abc."), "{answer}");
    assert_eq!(answer.matches("content-length: 4\r\n").count(), 1, "{answer}");
    let chunked = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nabc.\r\n0\r\nSSL-Client-Verify: SUCCESS\r\n\r\n";
    let answer = ask(gateway, chunked).await;
    assert!(
        answer.contains("transfer-encoding: chunked\r\n") && answer.contains("4\r\nabc.\r\n0\r\n\r\n"),
        "{answer}"
    );
    assert!(!answer.contains("SUCCESS"), "SEC-03: {answer}");
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn asks_for_the_body_of_a_device_that_waits_for_100_continue() {
    let (backend, _) = echo().await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_head(&mut stream).await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc.").await.unwrap();
    assert!(rest(stream).await.ends_with("abc."));
}

#[tokio::test]
async fn refuses_a_chunked_body_one_byte_too_large() {
    let (backend, _) = echo().await;
    let gateway = gateway(backend, patient(), BodyLimits { bytes: 4, ..BodyLimits::default() }).await;
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    assert!(ask(gateway, &format!("{head}4\r\nabc.\r\n0\r\n\r\n")).await.starts_with("HTTP/1.1 200 "));
    assert_refused(&ask(gateway, &format!("{head}5\r\nabcd.\r\n0\r\n\r\n")).await, 413, Reason::BodyTooLarge);
}

#[tokio::test]
async fn refuses_a_body_that_comes_too_slowly() {
    let (backend, _) = echo().await;
    let limits = BodyLimits { rate: 1_000_000, grace: SOON, ..BodyLimits::default() };
    let gateway = gateway(backend, patient(), limits).await;
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: close\r\n\r\n";
    assert!(ask(gateway, &format!("{head}abc.")).await.starts_with("HTTP/1.1 200 "));
    assert_refused(&ask(gateway, &format!("{head}ab")).await, 408, Reason::BodyTooSlow);
}

#[tokio::test]
async fn a_slow_upload_does_not_count_against_the_backend() {
    let (backend, _) = echo().await;
    let gateway =
        gateway(backend, BackendLimits { response: SOON, ..patient() }, BodyLimits::default()).await;
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: close\r\n\r\nab")
        .await
        .unwrap();
    // The device itself takes four times the backend's time.
    let mut early = [0];
    assert!(timeout(SOON * 4, stream.read(&mut early)).await.is_err(), "no answer came early");
    stream.write_all(b"c.").await.unwrap();
    assert!(rest(stream).await.ends_with("abc."));
}

#[tokio::test]
async fn passes_an_answer_on_while_the_body_is_still_coming() {
    let (backend, _) = backend(|_, mut stream| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").await
    })
    .await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nstart").await.unwrap();
    let head = read_head(&mut stream).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
}

#[tokio::test]
async fn an_answer_larger_than_any_buffer_arrives_whole() {
    let body = "0123456789abcdef".repeat(64 * 1024);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (backend, accepted) = answering(answer).await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    for _ in 0..2 {
        assert!(ask(gateway, GET).await.ends_with(&body));
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let (backend, accepted) = backend(|_, mut stream| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhi").await
    })
    .await;
    let gateway = gateway(backend, patient(), BodyLimits::default()).await;
    for _ in 0..2 {
        assert!(ask(gateway, GET).await.contains("hi"));
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_with_a_coding_and_a_length_has_one_length_or_is_refused() {
    for fields in
        ["Content-Length: 1\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 1"]
    {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let (backend, _) = answering(answer).await;
        let gateway = gateway(backend, patient(), BodyLimits::default()).await;
        let answer = ask(gateway, GET).await;
        assert!(!answer.contains("content-length: 1\r\n"), "{answer}");
        assert!(answer.contains("hello") || answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
}
