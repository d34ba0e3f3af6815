//! Phones that call once, each with a certificate and an address of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::authority::Kind;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::error::BenchError;
use crate::peers::{HOST, MODEL, Peers};
use crate::request::{Answer, Request};

/// Phones that share an address: none, as long as there are no more than fit below 127.2.0.0.
const FIRST_ADDRESS: u32 = 0x7f02_0001;

/// A phone with a P-256 key: the others' RSA keys take a tenth of a second each to make.
pub(crate) struct Phone {
    tls: Arc<ClientConfig>,
    profile: Request,
    address: Ipv4Addr,
}

/// How a call ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// No answer within the phone's patience.
    Lost,
    /// The server ended it, or answered something else than the profile.
    Refused(String),
    /// The whole profile came, so long after the phone began to connect.
    Served(Duration),
}

/// How many calls ended how.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Calls {
    pub(crate) lost: usize,
    pub(crate) refused: BTreeMap<String, usize>,
    /// How long each took that was served.
    pub(crate) served: Vec<Duration>,
}

impl Phone {
    /// So many phones; their certificates and profiles are made.
    pub(crate) fn fleet(peers: &Peers, count: u32) -> Result<Vec<Arc<Self>>, BenchError> {
        let macs: Vec<_> = (1..=count).map(|number| format!("000e08{number:06x}")).collect();
        let line = |(number, mac): (usize, &String)| format!("{MODEL},88012BB{number:05X},{mac}\n");
        let list: String = macs.iter().enumerate().map(line).collect();
        peers.authority().issue_devices(&list, "p256", Kind::Modern)?;
        let phone = |(number, mac): (u32, &String)| {
            peers.store().add(mac)?;
            Ok(Arc::new(Self {
                tls: Arc::new(tls(peers, mac)?),
                profile: Request::profile(mac),
                address: Ipv4Addr::from_bits(FIRST_ADDRESS + number),
            }))
        };
        (0..count).zip(&macs).map(phone).collect()
    }

    /// One connection for one request.
    pub(crate) async fn call(&self, server: SocketAddr, patience: Duration) -> Ended {
        let began = Instant::now();
        match timeout(patience, self.attempt(server)).await {
            Err(_) => Ended::Lost,
            Ok(Err(error)) => Ended::Refused(in_words(&error)),
            Ok(Ok(())) => Ended::Served(began.elapsed()),
        }
    }

    async fn attempt(&self, server: SocketAddr) -> io::Result<()> {
        let tcp = connect_from(self.address, server).await?;
        let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
        let mut stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?;
        stream.write_all(self.profile.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Answer::new(&self.profile);
        let mut buffer = [0; 4096];
        while !answer.is_whole() {
            let read = stream.read(&mut buffer).await?;
            answer.take(buffer.get(..read).unwrap_or_default())?;
        }
        // The server may have closed first.
        let _ = stream.shutdown().await;
        Ok(())
    }
}

/// A connection that comes from this address of the loopback network.
pub(crate) async fn connect_from(address: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.bind(SocketAddr::from((address, 0)))?;
    socket.connect(server).await
}

fn tls(peers: &Peers, mac: &str) -> Result<ClientConfig, BenchError> {
    let folder = peers.authority().device(mac);
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&chain).map_err(BenchError::pem(&chain))?.collect();
    let mut config = ClientConfig::builder()
        .with_root_certificates(Arc::clone(&peers.credentials().roots))
        .with_client_auth_cert(
        certificates.map_err(BenchError::pem(&chain))?,
        PrivateKeyDer::from_pem_file(&key).map_err(BenchError::pem(&key))?,
    )?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// A failure in few enough words that failures of a kind are told alike.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

impl Calls {
    pub(crate) fn add(&mut self, ended: Ended) {
        match ended {
            Ended::Lost => self.lost += 1,
            Ended::Refused(why) => *self.refused.entry(why).or_default() += 1,
            Ended::Served(took) => self.served.push(took),
        }
    }

    pub(crate) fn refused_count(&self) -> usize {
        self.refused.values().sum()
    }

    /// Why calls were refused, as one line; `None` if none was.
    pub(crate) fn refusals(&self) -> Option<String> {
        let told: Vec<_> = self.refused.iter().map(|(why, count)| format!("{count} × {why}")).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_how_they_ended() {
        let mut calls = Calls::default();
        let second = Duration::from_secs(1);
        let refused = |why: &str| Ended::Refused(why.to_owned());
        for ended in [Ended::Lost, refused("b"), Ended::Served(second), refused("a"), refused("b")] {
            calls.add(ended);
        }
        assert_eq!((calls.lost, calls.refused_count(), calls.served.as_slice()), (1, 3, [second].as_slice()));
        assert_eq!(calls.refusals().unwrap(), "1 × a, 2 × b");
        assert_eq!(Calls::default().refusals(), None);
    }
}
