//! Reading the ClientHello ourselves, and the handshake beside it.
//!
//! The hello is one that rustls makes. The handshake is the server's half of a TLS 1.3 one with RSA 2048 on both sides: the
//! modern engine with the settings of a host, the judge inside it, over a pipe in memory. So it has no system calls, no
//! request and no audit record, and is the smallest thing that the reading can be compared with.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use gateway::client_hello::{self, Greeting, facts};
use gateway::handshake::Replayed;
use gateway::tls::modern;
use gateway::tls::offer::{self, Choice};
use policies::TlsRules;
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::callgrind::{counted, counted_future};
use crate::fixture::{self, NAME};
use crate::scene::Scene;
use crate::{Error, Step};

pub(crate) const STEPS: [Step; 9] = [
    Step::new("hello-read", "read, reassemble and parse a client hello"),
    Step::new("hello-facts", "its names, JA3 and JA4 for the record"),
    Step::new("hello-choose", "choose the engine, policy `guide`"),
    Step::new("hello-replay", "give its bytes to the engine"),
    Step::new("hello-read-hybrid", "the same with a hybrid key share: read, reassemble and parse"),
    Step::new("hello-facts-hybrid", "its names, JA3 and JA4 for the record"),
    Step::new("hello-choose-hybrid", "choose the engine, policy `guide`"),
    Step::new("hello-replay-hybrid", "give its bytes to the engine"),
    Step::seldom("handshake", "the server's half of a full handshake, TLS 1.3, RSA 2048 both sides"),
];

/// Does a step so many times.
pub(crate) fn perform(step: &str, calls: u64) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if step == "handshake" {
        return runtime.block_on(handshakes(calls));
    }
    let (step, hybrid) = step.strip_suffix("-hybrid").map_or((step, false), |step| (step, true));
    let bytes = fixture::hello(hybrid)?;
    runtime.block_on(steps(step, calls, &bytes))
}

async fn steps(step: &str, calls: u64, bytes: &[u8]) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(3600);
    let Greeting { hello, .. } = client_hello::read(&mut &*bytes, deadline).await?;
    let rules = TlsRules::shipped("guide").ok_or("no such policy")?;
    let host = Scene::new()?.host()?;
    for _ in 0..calls {
        match step {
            "hello-read" => {
                drop(black_box(counted_future(client_hello::read(&mut &*bytes, deadline)).await?));
            }
            "hello-facts" => drop(black_box(counted(|| facts::of(&hello)))),
            "hello-choose" => {
                let choice = counted(|| offer::choose(&hello, &rules, host.credentials()));
                if choice.map_err(|refused| refused.detail)? != Choice::Modern {
                    return Err("not the modern engine".into());
                }
            }
            "hello-replay" => {
                // As the engine reads it, into a buffer that is there anyway.
                let (ahead, mut buffer) = (bytes.to_vec(), [0; 4096]);
                let read = counted_future(async {
                    Replayed::new(ahead, tokio::io::empty()).read(&mut buffer).await
                });
                if read.await? != bytes.len() {
                    return Err("not the whole hello".into());
                }
            }
            other => return Err(format!("no step {other}").into()),
        }
    }
    Ok(())
}

async fn handshakes(calls: u64) -> Result<(), Error> {
    let host = Scene::new()?.host()?;
    let server = host.modern().ok_or("nothing modern")?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client(&[kx_group::X25519])?));
    for _ in 0..calls {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (handshaken, connected) = tokio::join!(
            counted_future(modern::handshake(Arc::clone(server), near)),
            connector.connect(ServerName::try_from(NAME)?, far),
        );
        connected?;
        if let Err((error, _)) = handshaken.outcome {
            return Err(error.into());
        }
        if !matches!(handshaken.verdict, Some(Ok(_))) {
            return Err("no chain was judged".into());
        }
    }
    Ok(())
}

/// The bytes with which a client begins that offers everything rustls has, the hybrid group in front or not at all.
pub(crate) fn make(hybrid: bool) -> Result<Vec<u8>, Error> {
    let mut groups = vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    if hybrid {
        groups.insert(0, kx_group::X25519MLKEM768);
    }
    let config = client_of_versions(&groups, rustls::DEFAULT_VERSIONS)?;
    let mut connection = ClientConnection::new(Arc::new(config), ServerName::try_from(NAME)?)?;
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes)?;
    }
    Ok(bytes)
}

/// The device as a TLS 1.3 client that never resumes.
pub(crate) fn client(groups: &[&'static dyn SupportedKxGroup]) -> Result<ClientConfig, Error> {
    client_of_versions(groups, &[&rustls::version::TLS13])
}

fn client_of_versions(
    groups: &[&'static dyn SupportedKxGroup],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Result<ClientConfig, Error> {
    let provider = CryptoProvider { kx_groups: groups.to_vec(), ..aws_lc_rs::default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)?
        .with_root_certificates(fixture::roots()?)
        .with_client_auth_cert(fixture::device_chain()?, fixture::device_key()?)?;
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
