//! The listener for people and monitoring systems, apart from the one for phones: metrics, health, and who may see them.
//!
//! | path | what it gives | who may |
//! | --- | --- | --- |
//! | `/health/live` | 200 while the process answers | anybody |
//! | `/health/ready` | 200 while new phones are served, else 503 and why not | anybody |
//! | `/metrics` | Prometheus's text format or OpenMetrics, as the `Accept` field asks | the token, or anybody with `metrics = "open"` |
//! | `/login`, `/logout` | a form for the token, and the way out | anybody |
//! | anything else | the [pages](page) for people | the token |
//!
//! It changes nothing. Whoever asks for it under a name that is not its own (as a page of another site does that had its name
//! changed to our address) gets 421, save for the health answers.

mod access;
mod answer;
mod archive;
mod page;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use self::access::{Access, Verdict};
use self::answer::{html, text};
use self::page::{Asked, Pages};
use crate::config::{AdminConfig, MetricsAccess};
use crate::server::{Gateway, ServerError};
use crate::{clock, metrics};

/// Connections at once: people and monitoring systems are few.
const CONNECTIONS: usize = 64;
/// How long a handshake, a request's head or a form may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may last: browsers and monitoring systems make another one without being told.
const LONGEST: Duration = Duration::from_secs(60);
/// A form with a token in it, in octets.
const LARGEST_FORM: usize = 4096;

const STYLE: &str = include_str!("admin/page/style.css");
const SCRIPT: &str = include_str!("admin/page/live.js");
const ICON: &str = include_str!("admin/page/icon.svg");

/// What every connection of the listener shares.
#[derive(Debug)]
pub(crate) struct Admin {
    gateway: Arc<Gateway>,
    settings: ArcSwap<Settings>,
    access: Access,
}

/// What a reload replaces.
pub(crate) struct Settings {
    config: Arc<AdminConfig>,
    tls: Option<TlsAcceptor>,
    pages: Pages,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Settings").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Settings {
    /// # Errors
    /// The TLS library does not take the certificate or key.
    pub(crate) fn new(config: Arc<AdminConfig>) -> Result<Self, rustls::Error> {
        let tls = match &config.credentials {
            Some(pair) => {
                let chain = pair.chain.iter().map(|one| one.der().to_vec().into()).collect();
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let mut tls = rustls::ServerConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()?
                    .with_no_client_auth()
                    .with_single_cert(chain, pair.key.clone_key())?;
                tls.alpn_protocols = vec![b"http/1.1".to_vec()];
                Some(TlsAcceptor::from(Arc::new(tls)))
            }
            None => None,
        };
        let pages = Pages::new(config.database.clone());
        Ok(Self { config, tls, pages })
    }
}

impl Admin {
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn new(gateway: Arc<Gateway>, settings: Settings) -> Result<Arc<Self>, ServerError> {
        let access = Access::new().map_err(|_| ServerError::Random)?;
        Ok(Arc::new(Self { gateway, settings: ArcSwap::from_pointee(settings), access }))
    }

    /// Puts new settings in force for the next connections and requests.
    pub(crate) fn replace(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Serves until the task is ended.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, peer) = crate::accept::next(&listener).await;
            let admin = Arc::clone(&self);
            tokio::spawn(async move {
                let tls = admin.settings.load().tls.clone();
                let served = match tls {
                    Some(acceptor) => match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => admin.connection(stream, peer).await,
                        Ok(Err(error)) => Err(error.into()),
                        Err(late) => Err(late.into()),
                    },
                    None => admin.connection(stream, peer).await,
                };
                if let Err(error) = served {
                    tracing::debug!(client.addr = %peer, %error, "admin connection failed");
                }
                drop(place);
            });
        }
    }

    async fn connection(
        self: Arc<Self>,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
        peer: SocketAddr,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let service = service_fn(move |request| {
            let admin = Arc::clone(&self);
            async move { Ok::<_, Infallible>(admin.answer(request, peer).await) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(16 * 1024);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        // Whoever asks and does not read the answer would hold its place for ever: a connection that has been there for so long
        // is closed when it has answered, and in any case.
        if let Ok(ended) = tokio::time::timeout(LONGEST, connection.as_mut()).await {
            return Ok(ended?);
        }
        connection.as_mut().graceful_shutdown();
        Ok(tokio::time::timeout(PATIENCE, connection).await??)
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let settings = self.settings.load_full();
        let config = &settings.config;
        let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
        let path = request.uri().path().to_owned();
        match (path.as_str(), is_reading) {
            ("/health/live", true) => return text(StatusCode::OK, "live\n"),
            ("/health/ready", true) => return self.readiness(),
            _ => {}
        }
        if !is_named(config, &request) {
            let told = "this is not the name of the admin listener; see `names` of [admin]\n";
            return text(StatusCode::MISDIRECTED_REQUEST, told);
        }
        match (path.as_str(), request.method()) {
            ("/login", &Method::GET | &Method::HEAD) => return html(StatusCode::OK, answer::login(None)),
            ("/login", &Method::POST) => return self.login(request, &settings, peer).await,
            ("/style.css", _) if is_reading => return answer::of_type(StatusCode::OK, "text/css", STYLE),
            ("/icon.svg" | "/favicon.ico", _) if is_reading => {
                return answer::of_type(StatusCode::OK, "image/svg+xml", ICON);
            }
            ("/logout", &Method::POST) => return answer::see_other("/login", Some(&Access::no_cookie())),
            ("/metrics", _) if is_reading && config.metrics == MetricsAccess::Open => {
                return self.metrics(&request);
            }
            _ => {}
        }
        match self.access.judge(&config.token, request.headers(), peer.ip(), clock::now()) {
            Verdict::Allowed => {}
            Verdict::Wait(seconds) => return answer::too_many(seconds),
            Verdict::Wrong | Verdict::Unknown => {
                let wants_page = accepts_html(&request) && is_reading;
                return if wants_page { answer::see_other("/login", None) } else { answer::unauthorized() };
            }
        }
        match (path.as_str(), is_reading) {
            ("/metrics", true) => self.metrics(&request),
            ("/live.js", true) => answer::of_type(StatusCode::OK, "text/javascript", SCRIPT),
            (path, true) => {
                let asked = Asked::new(path, request.uri().query(), clock::system().into());
                settings.pages.answer(&self.gateway, &asked).await
            }
            (_, false) => text(StatusCode::METHOD_NOT_ALLOWED, "this listener changes nothing\n"),
        }
    }

    /// 503 with the reasons while new phones are not served as they should be.
    fn readiness(&self) -> Response<Full<Bytes>> {
        if self.gateway.is_stopping() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "not ready: the gateway is being stopped\n");
        }
        text(StatusCode::OK, "ready\n")
    }

    fn metrics(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
        let format = metrics::Format::accepted(accept);
        let mut response = text(StatusCode::OK, metrics::write(&self.gateway, format));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        response
    }

    async fn login(
        &self,
        request: Request<Incoming>,
        settings: &Settings,
        peer: SocketAddr,
    ) -> Response<Full<Bytes>> {
        let body = Limited::new(request.into_body(), LARGEST_FORM).collect();
        let Ok(Ok(body)) = tokio::time::timeout(PATIENCE, body).await else {
            return text(StatusCode::BAD_REQUEST, "the form did not arrive\n");
        };
        let body = body.to_bytes();
        let mut fields = form_urlencoded::parse(&body);
        let shown = fields.find(|(name, _)| name == "token").map(|(_, value)| value).unwrap_or_default();
        let token = &settings.config.token;
        match self.access.try_token(token, shown.trim(), peer.ip(), Instant::now()) {
            Verdict::Allowed => {
                let cookie = self.access.cookie(token, settings.tls.is_some(), clock::now());
                answer::see_other("/", Some(&cookie))
            }
            Verdict::Wait(seconds) => answer::too_many(seconds),
            Verdict::Wrong | Verdict::Unknown => {
                html(StatusCode::FORBIDDEN, answer::login(Some("This is not the token of the token file.")))
            }
        }
    }
}

/// Whether the request asks for us by one of our names: a page of another site whose name was made to lead here does not.
fn is_named(config: &AdminConfig, request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(authority) = http::uri::Authority::try_from(host.as_bytes()) else { return false };
    let asked_for = request.uri().authority().unwrap_or(&authority);
    let is_ours = |host: &str| config.names.iter().any(|name| name.eq_ignore_ascii_case(host));
    is_ours(authority.host()) && is_ours(asked_for.host())
}

fn accepts_html(request: &Request<Incoming>) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Why the listener for people could not be set up.
pub(crate) fn tls_error(error: rustls::Error) -> ServerError {
    ServerError::AdminTls(io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::audit::Auditor;
    use crate::config::tests::{Fixture, SOUND};
    use crate::site::Site;

    #[tokio::test(start_paused = true)]
    async fn who_asks_and_does_not_read_gives_its_place_back() {
        let fixture = Fixture::new();
        fixture.write_key("admin.token", "0123456789abcdef0123456789abcdef");
        let text = format!("{SOUND}\n[admin]\naddress = \"127.0.0.1:9444\"\ntoken-file = \"admin.token\"\n");
        let config = fixture.load(&text).unwrap();
        let site = Site::new(&config, None).unwrap();
        let settings = Settings::new(config.admin.clone().unwrap()).unwrap();
        let gateway = Gateway::new(site, Auditor::disabled(clock::system));
        let admin = Admin::new(gateway, settings).unwrap();
        let (mut client, server) = tokio::io::duplex(1024);
        let began = Instant::now();
        let served = tokio::spawn(admin.connection(server, ([127, 0, 0, 1], 4000).into()));
        client.write_all(b"GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert!(served.await.unwrap().is_err(), "the answer was never taken");
        assert!(began.elapsed() <= LONGEST + PATIENCE + PATIENCE);
        drop(client);
    }
}
