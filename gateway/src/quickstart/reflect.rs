//! A backend that answers as the guide's `reflect.pl`: with what it is told of the phone.

use std::{convert::Infallible, fmt::Write as _, fs, io, path::Path};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    task::JoinHandle,
};

use super::QuickstartError;

/// Serves on a socket file, which is made anew.
pub(super) fn on_socket(path: &Path) -> Result<JoinHandle<()>, QuickstartError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(QuickstartError::file(path)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(QuickstartError::file(path))?;
    Ok(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    }))
}

/// Serves on a port of the loopback address and says which.
pub(super) async fn on_port() -> io::Result<(u16, JoinHandle<()>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Ok((port, serving))
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let service = service_fn(|request: Request<Incoming>| async move {
        let answer = Full::new(Bytes::from(reflection(request.headers())));
        let mut response = Response::new(answer);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, http::HeaderValue::from_static("text/xml; charset=utf-8"));
        Ok::<_, Infallible>(response)
    });
    // A connection that breaks is the gateway's to report.
    let _ =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// The guide's answer, then every identity field the backend got, as comments.
fn reflection(headers: &HeaderMap) -> String {
    let field = |name: &str| headers.get(name).map(text).unwrap_or_default();
    let (product, serial, mac) =
        (field("ssl-client-i-dn-ou"), field("ssl-client-i-dn-l"), field("ssl-client-i-dn-s"));
    let mut answer =
        format!("<flat-profile><GPP_D>OU={product},\nL={serial},\nS={mac}\n</GPP_D></flat-profile>\n");
    for (name, value) in headers {
        let folded = name.as_str().replace('_', "-");
        if folded.starts_with("ssl-") || folded.starts_with("device-") || folded.starts_with("x-forwarded-") {
            let _ = writeln!(answer, "<!-- {name}: {} -->", text(value));
        }
    }
    answer
}

/// A value that can stand in XML text and in a comment.
fn text(value: &http::HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace("--", "-&#45;")
}
