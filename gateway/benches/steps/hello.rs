//! What reading the ClientHello ourselves adds to a full handshake of today.
//!
//! The hello is one that rustls makes. The handshake beside it is the server's half of a TLS 1.3 one with RSA 2048 on
//! both sides: the modern engine with the settings of a host, the judge inside it, over a pipe in memory. So it has no
//! system calls, no request and no audit record, and is the smallest thing that the reading can be compared with.

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use certs::testing::{Authority, Issued, KeyKind};
use certs::{ChainVerifier, Timestamp, TrustAnchor, TrustEntry, oid};
use gateway::client_hello::{self, Greeting, facts};
use gateway::config::ClientAuth;
use gateway::handshake::Replayed;
use gateway::peer::Judge;
use gateway::tls::client_verifier::ClientVerifier;
use gateway::tls::credentials::Credentials;
use gateway::tls::modern;
use gateway::tls::offer::{self, Choice};
use gateway::tls::tickets::Tickets;
use policies::{Admission, AdmissionEntry, DenyList, IdentityProfile, ProfileSet, TlsRules};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::callgrind::{counted, counted_future, inside};

type Error = Box<dyn std::error::Error>;

const NAME: &str = "prov.example.com";
const CALLS: u64 = 2_000;
const HANDSHAKES: u64 = 200;

/// The steps that every connection pays, by the names that `perform` knows.
const STEPS: [(&str, &str); 4] = [
    ("hello-read", "read, reassemble and parse"),
    ("hello-facts", "names, JA3 and JA4 for the record"),
    ("hello-choose", "choose the engine, policy `guide`"),
    ("hello-replay", "give the bytes to the engine"),
];

/// The rows of the table, and the share of a handshake that they come to.
pub(crate) fn rows() -> Result<Vec<(String, String)>, Error> {
    let handshake = inside("handshake", HANDSHAKES)?;
    let mut rows = vec![(
        "the server's half of a full handshake, TLS 1.3, RSA 2048 both sides".to_owned(),
        handshake.to_string(),
    )];
    for (suffix, what) in [("", "client hello"), ("-hybrid", "client hello with a hybrid key share")] {
        let size = hello(&client(suffix)?)?.len();
        let mut sum = 0;
        for (step, does) in STEPS {
            let figure = inside(&format!("{step}{suffix}"), CALLS)?;
            sum += figure;
            rows.push((format!("{what}, {size} octets: {does}"), figure.to_string()));
        }
        // In hundredths of a percent: whole numbers all the way.
        let share = sum * 10_000 / handshake;
        let share = format!("{sum} ({}.{:02} % of the handshake)", share / 100, share % 100);
        rows.push((format!("{what}, {size} octets: together"), share));
    }
    Ok(rows)
}

/// Does a step so many times; `false` if it is none of these.
pub(crate) fn perform(step: &str, calls: u64) -> Result<bool, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if step == "handshake" {
        runtime.block_on(handshakes(calls))?;
        return Ok(true);
    }
    let Some(step) = step.strip_prefix("hello-") else { return Ok(false) };
    let (step, suffix) = step.strip_suffix("-hybrid").map_or((step, ""), |step| (step, "-hybrid"));
    let bytes = hello(&client(suffix)?)?;
    runtime.block_on(steps(step, calls, &bytes))?;
    Ok(true)
}

async fn steps(step: &str, calls: u64, bytes: &[u8]) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(3600);
    let Greeting { hello, .. } = client_hello::read(&mut &*bytes, deadline).await?;
    let rules = TlsRules::shipped("guide").ok_or("no such policy")?;
    let server = Issuer::new()?.server();
    let credentials = credentials(&server, &rules)?;
    for _ in 0..calls {
        match step {
            "read" => drop(black_box(counted_future(client_hello::read(&mut &*bytes, deadline)).await?)),
            "facts" => drop(black_box(counted(|| facts::of(&hello)))),
            "choose" => {
                let choice = counted(|| offer::choose(&hello, &rules, &credentials));
                if choice.map_err(|refused| refused.detail)? != Choice::Modern {
                    return Err("not the modern engine".into());
                }
            }
            "replay" => {
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
    let issuer = Issuer::new()?;
    let (server, client) = (Arc::new(issuer.server_config()?), Arc::new(issuer.client_config()?));
    let connector = tokio_rustls::TlsConnector::from(client);
    for _ in 0..calls {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (handshaken, connected) = tokio::join!(
            counted_future(modern::handshake(Arc::clone(&server), near)),
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

/// The bytes with which a client begins.
fn hello(config: &Arc<ClientConfig>) -> Result<Vec<u8>, Error> {
    let mut connection = ClientConnection::new(Arc::clone(config), ServerName::try_from(NAME)?)?;
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes)?;
    }
    Ok(bytes)
}

/// A client as far as its hello goes: everything that rustls offers, the hybrid group in front or not at all.
fn client(suffix: &str) -> Result<Arc<ClientConfig>, Error> {
    let mut groups = vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    if suffix == "-hybrid" {
        groups.insert(0, kx_group::X25519MLKEM768);
    }
    let provider = CryptoProvider { kx_groups: groups, ..aws_lc_rs::default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Both sides' authority. One key serves it and both leaves, because finding an RSA key under callgrind takes long.
struct Issuer {
    root: Authority,
}

impl Issuer {
    // The handshake asks the real clock.
    const BEGIN: Timestamp = Timestamp::from_unix(1_577_836_800);
    const END: Timestamp = Timestamp::from_unix(4_102_444_800);

    fn new() -> Result<Self, Error> {
        let root = Authority::root("Bench Root").key(KeyKind::Rsa2048);
        Ok(Self { root: root.not_before(Self::BEGIN).not_after(Self::END).authority() })
    }

    fn server(&self) -> Issued {
        self.leaf(NAME).dns_names(&[NAME]).purposes(&[oid::SERVER_AUTH]).issue()
    }

    fn leaf(&self, name: &str) -> certs::testing::CertificateBuilder {
        let leaf = self.root.leaf().attribute(oid::COMMON_NAME, name).with_key(self.root.key());
        leaf.not_before(Self::BEGIN).not_after(Self::END)
    }

    /// As `site` makes it of a host's configuration.
    fn server_config(&self) -> Result<ServerConfig, Error> {
        let rules = TlsRules::shipped("guide").ok_or("no such policy")?;
        let anchor = TrustAnchor::new(self.root.certificate().clone());
        let verifier = ChainVerifier::new(vec![TrustEntry::new("devices", [anchor])])?;
        let profile = IdentityProfile::shipped("cisco-small-business").ok_or("no such profile")?;
        let admission = Admission::new(vec![AdmissionEntry {
            profiles: ProfileSet::new(vec![profile])?,
            ouis: Vec::new(),
            deny: Arc::new(DenyList::empty()),
        }]);
        let judge = Arc::new(Judge::new(Arc::new(verifier), Arc::new(admission), ClientAuth::Required));
        let verifier = Arc::new(ClientVerifier::new(
            judge,
            vec![rustls::DistinguishedName::from(self.root.certificate().subject().der().to_vec())],
            modern::provider(&rules).signature_verification_algorithms,
            modern::signature_schemes(&rules),
        ));
        let credentials = Arc::new(credentials(&self.server(), &rules)?);
        Ok(modern::server_config(&rules, credentials, verifier, Tickets::new()?)?.ok_or("nothing modern")?)
    }

    fn client_config(&self) -> Result<ClientConfig, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.root.certificate().der().to_vec()))?;
        let device = self
            .leaf("000e08abcdef")
            .attribute(oid::ORGANIZATIONAL_UNIT, "CP-8841-3PCC")
            .attribute(oid::LOCALITY, "88012BA01234")
            .attribute(oid::SURNAME, "000e08abcdef")
            .issue();
        let chain = device.chain_der().into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(device.key_der().to_vec()));
        let mut config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn credentials(server: &Issued, rules: &TlsRules) -> Result<Credentials, Error> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server.key_der().to_vec()));
    let chain = std::slice::from_ref(server.certificate());
    Credentials::new([(chain, &key)], &modern::signature_schemes(rules))
        .map_err(|error| io::Error::other(error).into())
}
