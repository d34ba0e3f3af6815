//! The legacy engine: OpenSSL for phones that speak TLS 1.0 to 1.2 with the suites of their maker's table.
//!
//! OpenSSL does the cryptography and nothing else. Which client gets here is decided by [`offer`](super::offer); the
//! chain is judged by the same [`Judge`] as everywhere, from OpenSSL's own hook inside the handshake, so that a refused
//! phone gets the alert that fits. OpenSSL's verification, its certificate store, its security levels and the system's
//! configuration file take no part.
//!
//! Sessions are resumed by their identifier, from a store of [`MAX_SESSIONS`] per host. There are no tickets: one of
//! OpenSSL's holds the client's own certificate alone, and a resumed chain must be judged whole (SEC-41). A session in
//! the store keeps all that was presented, some 7 KiB for a phone's one certificate; a longer chain than fits a ticket of
//! the modern engine is not kept (SEC-45), nor is a session whose client signed with SHA-1, which is allowed anew each
//! time, nor one that was refused when it came back.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use openssl::bn::BigNum;
use openssl::dh::Dh;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::provider::Provider;
use openssl::ssl::{
    AlpnError, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslRef,
    SslSessionCacheMode, SslVerifyMode, SslVersion, cipher_name,
};
use openssl::stack::{Stack, StackRef};
use openssl::x509::{X509, X509Name};
use policies::{CipherSuite, Group, Reason, SignatureScheme, TlsRules, TlsVersion};
use rustls::AlertDescription;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use super::client_verifier::alert_for;
use crate::clock;
use crate::config::{ClientAuth, HostConfig};
use crate::peer::{Judge, Peer, Refusal};

pub mod client;
mod failure;
mod ffi;

pub use self::failure::Failure;

/// How long after its first handshake a session can be resumed, in seconds; as long as a ticket of the modern engine.
pub const SESSION_LIFETIME: u32 = super::tickets::LIFETIME;

/// How many sessions are kept for each host on each listener; the oldest goes first.
pub const MAX_SESSIONS: i32 = 8192;

/// One virtual host's side of every handshake on one listener, with its store of sessions. Cheap to clone.
#[derive(Clone)]
pub struct LegacyTls {
    context: SslContext,
    fingerprint: [u8; 32],
}

impl std::fmt::Debug for LegacyTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LegacyTls(..)")
    }
}

impl LegacyTls {
    /// Sets a host up. What `previous` had is kept, sessions included, where nothing has changed.
    ///
    /// # Errors
    /// What OpenSSL says of a key, a certificate or the policy.
    pub fn new(rules: &TlsRules, host: &HostConfig, previous: Option<&Self>) -> Result<Self, ErrorStack> {
        let fingerprint = fingerprint(rules, host);
        if let Some(same) = previous.filter(|previous| previous.fingerprint == fingerprint) {
            return Ok(same.clone());
        }
        start()?;
        let mut context = SslContextBuilder::new(SslMethod::tls_server())?;
        // Weak is what this engine is for; what is too weak, the policy and the trust entry say.
        context.set_security_level(0);
        context.set_options(
            SslOptions::CIPHER_SERVER_PREFERENCE
                | SslOptions::NO_COMPRESSION
                | SslOptions::NO_RENEGOTIATION
                | SslOptions::NO_TICKET
                // Empty records against BEAST confuse old stacks, Apache leaves them out too; and nobody chooses what
                // a profile store sends.
                | SslOptions::DONT_INSERT_EMPTY_FRAGMENTS,
        );
        context.set_mode(
            SslMode::RELEASE_BUFFERS
                | SslMode::NO_AUTO_CHAIN
                // A write that found the socket full is repeated from a buffer that may have moved and grown.
                | SslMode::ENABLE_PARTIAL_WRITE
                | SslMode::ACCEPT_MOVING_WRITE_BUFFER,
        );
        set_policy(&mut context, rules)?;
        set_credentials(&mut context, host)?;
        let mut asked = SslVerifyMode::PEER;
        if host.client_auth == ClientAuth::Required {
            asked |= SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        }
        context.set_verify(asked);
        let mut names = Stack::new()?;
        for name in &host.ca_names {
            names.push(X509Name::from_der(name.der())?)?;
        }
        context.set_client_ca_list(names);
        // The same answers as the modern engine's: a client that knows only other protocols is told so.
        context.set_alpn_select_callback(|_, offered| {
            const OURS: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];
            let mut rest = offered;
            let mut known = None;
            while let Some((length, behind)) = rest.split_first() {
                let (name, behind) =
                    behind.split_at_checked(usize::from(*length)).ok_or(AlpnError::ALERT_FATAL)?;
                known = known.or_else(|| OURS.contains(&name).then_some(name));
                rest = behind;
            }
            known.ok_or(AlpnError::ALERT_FATAL)
        });
        context.set_session_cache_mode(SslSessionCacheMode::SERVER);
        context.set_session_cache_size(MAX_SESSIONS);
        context.set_session_id_context(&fingerprint)?;
        ffi::set_session_lifetime(&mut context, SESSION_LIFETIME);
        ffi::install::<Attached>(&mut context);
        Ok(Self { context: context.build(), fingerprint })
    }
}

/// Versions, suites, groups, signature algorithms and the size of Diffie-Hellman numbers.
fn set_policy(context: &mut SslContextBuilder, rules: &TlsRules) -> Result<(), ErrorStack> {
    // TLS 1.3 is named although no client that offers it gets here: a server that speaks it marks each older handshake
    // with the sentinel against downgrades (RFC 8446 §4.1.3), whichever engine serves it.
    let versions: Vec<SslVersion> = rules.versions().iter().copied().filter_map(version).collect();
    context.set_min_proto_version(versions.first().copied())?;
    context.set_max_proto_version(versions.last().copied())?;
    let groups: Vec<&str> = rules.groups().iter().copied().filter_map(group).collect();
    let named = |is_tls13: bool| {
        let suites = rules.suites().iter().filter(|suite| suite.is_tls13() == is_tls13);
        // Without a group of its own here, OpenSSL would take any.
        let suites = suites.filter(|suite| !groups.is_empty() || !suite.uses_ecdhe());
        suites.map(|suite| suite.name()).collect::<Vec<_>>()
    };
    let older: Vec<&str> = named(false).iter().map(|name| cipher_name(name)).collect();
    context.set_cipher_list(&older.join(":"))?;
    let tls13 = named(true);
    if !tls13.is_empty() {
        context.set_ciphersuites(&tls13.join(":"))?;
    }
    // OpenSSL takes a client's EC key only on a curve of this list. The policy's stand first and are what is agreed on:
    // a client that shares none of them does not get here.
    let curves = ["P-256", "P-384", "P-521"].into_iter().filter(|curve| !groups.contains(curve));
    context.set_groups_list(&groups.iter().copied().chain(curves).collect::<Vec<_>>().join(":"))?;
    let mut algorithms: Vec<_> = rules.signature_algorithms().iter().map(|scheme| scheme.name()).collect();
    context.set_sigalgs_list(&algorithms.join(":"))?;
    // What clients are asked for. SHA-1 stands last, whatever the policy has: a TLS 1.2 client that names no algorithm
    // means it, and OpenSSL serves no such client otherwise, not even where nobody signs. Whether such a signature is
    // taken is the trust entry's to say ([`Hooks::accepts_proof`](ffi::Hooks::accepts_proof)).
    for scheme in [SignatureScheme::RSA_PKCS1_SHA1, SignatureScheme::ECDSA_SHA1] {
        if !rules.signature_algorithms().contains(&scheme) {
            algorithms.push(scheme.name());
        }
    }
    ffi::set_client_signature_algorithms(context, &algorithms.join(":"))?;
    if rules.suites().iter().any(|suite| suite.uses_dhe()) {
        let prime = match rules.dh_bits() {
            0..=1024 => BigNum::get_rfc2409_prime_1024()?,
            1025..=1536 => BigNum::get_rfc3526_prime_1536()?,
            1537..=2048 => BigNum::get_rfc3526_prime_2048()?,
            2049..=3072 => BigNum::get_rfc3526_prime_3072()?,
            3073..=4096 => BigNum::get_rfc3526_prime_4096()?,
            4097..=6144 => BigNum::get_rfc3526_prime_6144()?,
            6145.. => BigNum::get_rfc3526_prime_8192()?,
        };
        context.set_tmp_dh(&*Dh::from_pqg(prime, None, BigNum::from_u32(2)?)?)?;
    }
    Ok(())
}

fn version(version: TlsVersion) -> Option<SslVersion> {
    match version {
        TlsVersion::TLS1_0 => Some(SslVersion::TLS1),
        TlsVersion::TLS1_1 => Some(SslVersion::TLS1_1),
        TlsVersion::TLS1_2 => Some(SslVersion::TLS1_2),
        TlsVersion::TLS1_3 => Some(SslVersion::TLS1_3),
        _ => None,
    }
}

/// OpenSSL's name of a group; those it lacks here are served by the modern engine or not at all.
fn group(group: Group) -> Option<&'static str> {
    match group.0 {
        23 => Some("P-256"),
        24 => Some("P-384"),
        25 => Some("P-521"),
        29 => Some("X25519"),
        30 => Some("X448"),
        _ => None,
    }
}

fn set_credentials(context: &mut SslContextBuilder, host: &HostConfig) -> Result<(), ErrorStack> {
    for pair in &host.credentials {
        let (leaf, others) = pair.chain.split_first().ok_or_else(ErrorStack::get)?;
        context.set_certificate(&*X509::from_der(leaf.der())?)?;
        for other in others {
            ffi::add_to_chain(context, &X509::from_der(other.der())?)?;
        }
        context.set_private_key(&*PKey::private_key_from_der(pair.key.secret_der())?)?;
    }
    Ok(())
}

/// All that a context is made of.
fn fingerprint(rules: &TlsRules, host: &HostConfig) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    };
    add(format!("{rules:?}").as_bytes());
    add(&host.fingerprint);
    for pair in &host.credentials {
        add(b"credentials");
        pair.chain.iter().for_each(|certificate| add(certificate.der()));
    }
    add(b"authorities");
    host.ca_names.iter().for_each(|name| add(name.der()));
    hash.finalize().into()
}

/// Loads OpenSSL's algorithms once for the program; RC4 stands in the legacy provider.
fn start() -> Result<(), ErrorStack> {
    static PROVIDERS: OnceLock<Result<[Provider; 2], ErrorStack>> = OnceLock::new();
    let load = || {
        ffi::start_without_configuration_file();
        Ok([Provider::load(None, "default")?, Provider::load(None, "legacy")?])
    };
    PROVIDERS.get_or_init(load).as_ref().map(|_| ()).map_err(Clone::clone)
}

/// What one handshake came to.
#[derive(Debug)]
pub struct Handshaken<S> {
    /// How it failed, if it did.
    pub outcome: Result<(), Failure>,
    /// The stream; after a failure good for nothing but reading away what the client still sends.
    pub stream: SslStream<S>,
    /// What was judged in it; `None` without a certificate and on resumption.
    pub verdict: Option<Result<Peer, Refusal>>,
}

/// Runs the handshake. The caller bounds its time.
///
/// `only`: the one suite to serve, where OpenSSL by itself would begin with one that this client cannot finish.
///
/// # Errors
/// OpenSSL had no memory for the connection.
pub async fn handshake<S>(
    tls: &LegacyTls,
    only: Option<CipherSuite>,
    judge: &Arc<Judge>,
    stream: S,
) -> Result<Handshaken<S>, ErrorStack>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut ssl = Ssl::new(&tls.context)?;
    if let Some(suite) = only {
        ssl.set_cipher_list(cipher_name(&suite.name()))?;
    }
    let attached = Attached(Mutex::new(State { judge: Some(Arc::clone(judge)), ..State::default() }));
    ssl.set_ex_data(index()?, attached);
    let mut stream = SslStream::new(ssl, stream)?;
    let accepted = Pin::new(&mut stream).accept().await;
    // The judge goes with the handshake: it holds the revocation lists, and a connection may outlive many of them.
    let state = attached_to(stream.ssl()).map(|mut state| std::mem::take(&mut *state)).unwrap_or_default();
    let outcome = accepted.map_err(|error| failure::classify(&error, &state));
    if let (Ok(()), Some(Ok(peer))) = (&outcome, &state.verdict)
        && !may_be_kept(peer)
    {
        forget_session(stream.ssl());
    }
    Ok(Handshaken { outcome, stream, verdict: state.verdict })
}

/// Whether the session of a full handshake may stay in the store.
fn may_be_kept(peer: &Peer) -> bool {
    let certificates = peer.chain().map(|chain| chain.presented().certificates()).unwrap_or_default();
    let size: usize = certificates.iter().map(|certificate| certificate.der().len()).sum();
    size <= super::tickets::MAX_SESSION && !peer.is_proven_by_sha1()
}

/// Takes a connection's session out of the store: the next handshake of this client is a full one.
pub fn forget_session(ssl: &SslRef) {
    ffi::forget_session(ssl);
}

/// What was agreed: version and suite.
pub fn agreed(ssl: &SslRef) -> (TlsVersion, CipherSuite) {
    let version = match ssl.version2() {
        Some(SslVersion::TLS1) => TlsVersion::TLS1_0,
        Some(SslVersion::TLS1_1) => TlsVersion::TLS1_1,
        Some(SslVersion::TLS1_2) => TlsVersion::TLS1_2,
        Some(SslVersion::TLS1_3) => TlsVersion::TLS1_3,
        Some(_) | None => TlsVersion(0),
    };
    let suite = ssl.current_cipher().map_or(0, |cipher| u16::from_be_bytes(cipher.protocol_id()));
    (version, CipherSuite(suite))
}

/// The chain of the session, the client's own certificate first, as DER; empty where none was presented.
///
/// # Errors
/// OpenSSL had no memory.
pub fn presented(ssl: &SslRef) -> Result<Vec<Vec<u8>>, ErrorStack> {
    let Some(leaf) = ssl.peer_certificate() else { return Ok(Vec::new()) };
    // On the server's side OpenSSL's chain begins behind the client's own certificate.
    let others = ssl.peer_cert_chain().into_iter().flatten();
    std::iter::once(leaf.to_der()).chain(others.map(|other| other.to_der())).collect()
}

/// What this program knows of a handshake under way, kept with OpenSSL's own state of it.
struct Attached(Mutex<State>);

#[derive(Default)]
struct State {
    judge: Option<Arc<Judge>>,
    verdict: Option<Result<Peer, Refusal>>,
    /// The last alert: whether it was sent, and which.
    alert: Option<(bool, AlertDescription)>,
    /// The client proved its key with a hash that its trust entry does not allow.
    weak_proof: bool,
}

fn index() -> Result<Index<Ssl, Attached>, ErrorStack> {
    static INDEX: OnceLock<Result<Index<Ssl, Attached>, ErrorStack>> = OnceLock::new();
    INDEX.get_or_init(Ssl::new_ex_index).clone()
}

fn attached_to(ssl: &SslRef) -> Option<std::sync::MutexGuard<'_, State>> {
    let attached = ssl.ex_data(index().ok()?)?;
    Some(attached.0.lock().unwrap_or_else(PoisonError::into_inner))
}

impl ffi::Hooks for Attached {
    fn judge(ssl: &SslRef, presented: &StackRef<X509>) -> Result<(), i32> {
        let internal_error = || failure::number_of(AlertDescription::InternalError);
        let mut state = attached_to(ssl).ok_or_else(internal_error)?;
        let judge = state.judge.clone().ok_or_else(internal_error)?;
        let chain: Result<Vec<Vec<u8>>, ErrorStack> = presented.iter().map(|one| one.to_der()).collect();
        let chain = chain.map_err(|_| internal_error())?;
        let verdict = judge.judge_der(chain.iter().map(Vec::as_slice), clock::now());
        let answer = match &verdict {
            Ok(_) => Ok(()),
            Err(refusal) => Err(failure::number_of(alert_for(refusal.reason))),
        };
        state.verdict = Some(verdict);
        answer
    }

    fn accepts_proof(ssl: &SslRef, hash: Nid) -> bool {
        if hash != Nid::SHA1 {
            return true;
        }
        let Some(mut state) = attached_to(ssl) else { return false };
        let State { judge, verdict, .. } = &mut *state;
        let accepted = match (judge, verdict) {
            (Some(judge), Some(Ok(peer))) => judge.accept_sha1_proof(peer, clock::now()),
            _ => false,
        };
        state.weak_proof = !accepted;
        accepted
    }

    fn alert(ssl: &SslRef, sent: bool, description: u8) {
        if let Some(mut state) = attached_to(ssl) {
            state.alert = Some((sent, AlertDescription::from(description)));
        }
    }
}

#[cfg(test)]
mod tests;
