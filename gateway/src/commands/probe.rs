//! `probe`: be a phone, and see what a server offers, what it shows, and what a family of phones would say to it.
//!
//! Versions and suites are found with hellos written byte for byte (`hello`, `scan`), so that suites are asked for that no
//! library speaks any more. The whole handshake, with the phone's certificate, is rustls's or OpenSSL's (`session`); what
//! came by is read by the same decoder as in `trace`.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use certs::{Certificate, Timestamp};
use policies::TlsVersion;
use rustls_pki_types::ServerName;
use zeroize::Zeroizing;

use self::family::{Evidence, Family};
use self::hello::{Extensions, Offer};
use self::name::NameFacts;
use self::report::{Findings, Report};
use self::scan::{Flight, Spoken, Target, Until};
use self::session::{Credentials, Session, Wish};
use super::presented::{PresentedError, presented};
use super::{Outcome, Streams};
use crate::config::credentials::{self, KeyError, PrivateKey};
use crate::{cli, printer};

pub mod family;
mod hello;
mod http;
mod name;
mod report;
mod scan;
mod session;
mod tap;

/// Why nothing was probed.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error(transparent)]
    Certificate(#[from] PresentedError),
    #[error("{server} cannot be reached")]
    Connect {
        server: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("the key file {path} gives no key")]
    Key {
        path: String,
        #[source]
        source: KeyError,
    },
    #[error("the {what} file {path} cannot be read")]
    KeyFile {
        what: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("the environment variable {0} is not set")]
    PassphraseUnset(String),
    #[error("\"{0}\" is no path of a URL")]
    Path(String),
    #[error("\"{0}\" is no host name")]
    ServerName(String),
    #[error("\"{0}\" is no server")]
    Target(String),
    #[error("\"{0}\" is no length of time")]
    Timeout(String),
    #[error("{0} has no address")]
    Unresolved(String),
}

impl ProbeError {
    const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Certificate(error) => error.hint(),
            Self::Connect { .. } => Some("is the server running, and is it the right port?"),
            Self::Key { source: KeyError::PassphraseMissing, .. } => Some(
                "--passphrase-file FILE reads the passphrase from a file, --passphrase-env NAME from a variable",
            ),
            Self::Key { source, .. } => source.hint(),
            Self::Path(_) => Some("such as /000e08abcdef.cfg"),
            Self::Target(_) => Some("such as prov.example.com:443 or 192.0.2.7:8443"),
            Self::Timeout(_) => Some("such as 5s"),
            Self::Unresolved(_) => Some("give the address, and the name as --server-name"),
            Self::KeyFile { .. } | Self::PassphraseUnset(_) | Self::ServerName(_) => None,
        }
    }

    /// Whether the command line is at fault.
    const fn is_misuse(&self) -> bool {
        matches!(self, Self::Path(_) | Self::ServerName(_) | Self::Target(_) | Self::Timeout(_))
    }
}

/// Probes a server as of `now`. Done when it speaks TLS, and lets the phone in whose certificate is given.
///
/// # Errors
/// When a stream is closed.
pub fn probe(arguments: &cli::Probe, now: Timestamp, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let question = match Question::read(arguments) {
        Ok(question) => question,
        Err(error) => {
            printer::error(streams.err, &error, error.hint())?;
            return Ok(if error.is_misuse() { Outcome::Misuse } else { Outcome::Refused });
        }
    };
    let report = question.answer(now);
    if arguments.json {
        serde_json::to_writer_pretty(&mut *streams.out, &report)?;
        writeln!(streams.out)?;
    } else {
        report.write(streams.out)?;
    }
    Ok(if report.is_good() { Outcome::Done } else { Outcome::Refused })
}

/// What is asked, checked; the server has been reached once.
struct Question {
    target: Target,
    /// What stands in `Host`.
    host: String,
    credentials: Option<Credentials>,
    path: Option<String>,
    family: Option<Family>,
}

impl Question {
    fn read(arguments: &cli::Probe) -> Result<Self, ProbeError> {
        let cli::Probe {
            server,
            certificate,
            key,
            passphrase_file,
            passphrase_env,
            server_name,
            family,
            path,
            timeout,
            json: _,
        } = arguments;
        let timeout = policies::document::parse_duration(timeout)
            .ok()
            .filter(|timeout| (Duration::from_millis(10)..=Duration::from_secs(300)).contains(timeout))
            .ok_or_else(|| ProbeError::Timeout(timeout.clone()))?;
        let (host, port) = host_and_port(server).ok_or_else(|| ProbeError::Target(server.clone()))?;
        let found = (host.as_str(), port).to_socket_addrs();
        let addresses: Vec<SocketAddr> = found.map_err(|_| ProbeError::Unresolved(host.clone()))?.collect();
        let named = (host.parse::<IpAddr>().is_err()).then(|| host.clone());
        let server_name = server_name.clone().or(named).map(|name| name.to_ascii_lowercase());
        if let Some(name) = &server_name
            && !matches!(ServerName::try_from(name.as_str()), Ok(ServerName::DnsName(_)))
        {
            return Err(ProbeError::ServerName(name.clone()));
        }
        if let Some(path) = path
            && !(path.starts_with('/') && path.bytes().all(|byte| (0x21..0x7f).contains(&byte)))
        {
            return Err(ProbeError::Path(path.clone()));
        }
        let credentials = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let passphrase = read_passphrase(passphrase_file.as_deref(), passphrase_env.as_deref())?;
                let key = read_key(key, passphrase.as_ref().map(|text| text.as_slice()))?;
                Some(Credentials { chain: presented(certificate)?, key })
            }
            _ => None,
        };
        let shown_host = host.clone();
        let shown = server_name.clone().unwrap_or(host);
        let host = if port == 443 { shown } else { format!("{shown}:{port}") };
        let mut reached = Err(ProbeError::Unresolved(shown_host));
        for address in addresses {
            let target = Target { address, server_name: server_name.clone(), timeout };
            reached = match target.connect() {
                Ok(_) => Ok(target),
                Err(source) => Err(ProbeError::Connect { server: address, source }),
            };
            if reached.is_ok() {
                break;
            }
        }
        let target = reached?;
        Ok(Self { target, host, credentials, path: path.clone(), family: *family })
    }

    fn answer(&self, now: Timestamp) -> Report {
        let target = &self.target;
        let spoken: Vec<Spoken> = std::thread::scope(|scope| {
            let asked: Vec<_> =
                scan::VERSIONS.iter().map(|version| scope.spawn(|| scan::spoken(target, *version))).collect();
            asked.into_iter().filter_map(|one| one.join().ok()).collect()
        });
        let flights = self.flights(&spoken);
        let (session, not_probed) = self.whole_handshake(&spoken);
        let mut chains: Vec<Vec<Vec<u8>>> = Vec::new();
        let of_session = session.as_ref().map(|session| session.chain.clone());
        for chain in of_session.into_iter().chain(flights.iter().map(|flight| flight.chain.clone())) {
            if !chain.is_empty() && !chains.iter().any(|known| known.first() == chain.first()) {
                chains.push(chain);
            }
        }
        let parsed: Vec<Certificate> =
            chains.first().into_iter().flatten().filter_map(|der| Certificate::parse(der).ok()).collect();
        let names = NameFacts::find(target.server_name.as_deref(), target.address, parsed.first());
        let evidence = Evidence { target, spoken: &spoken, names: &names, chain: &parsed, now };
        let families: Vec<Family> = match self.family {
            Some(family) => vec![family],
            None => Family::ALL.to_vec(),
        };
        let verdicts = families.into_iter().map(|family| family.judge(&evidence)).collect();
        Report::new(Findings {
            target,
            spoken: &spoken,
            flights: &flights,
            chains: &chains,
            session: session.as_ref(),
            credentials: self.credentials.as_ref(),
            asked_for_family: self.family.is_some(),
            names,
            verdicts,
            not_probed,
            now,
        })
    }

    /// The server's first flight, in the clear, at the newest version before TLS 1.3 for each kind of certificate it has, and
    /// at the oldest, where other engines and other ways to resume may be at work.
    fn flights(&self, spoken: &[Spoken]) -> Vec<Flight> {
        let older = spoken.iter().rev().filter(|spoken| spoken.version < TlsVersion::TLS1_3);
        let Some((version, suites)) =
            older.filter_map(|spoken| Some((spoken.version, spoken.suites.as_ref().ok()?))).next()
        else {
            return Vec::new();
        };
        let (of_ec, of_rsa): (Vec<_>, Vec<_>) = suites.iter().partition(|suite| suite.needs_ec_certificate());
        let kinds = [of_rsa, of_ec].into_iter().filter(|suites| !suites.is_empty());
        let server_name = self.target.server_name.as_deref();
        let ask = |version, suites: Vec<_>| {
            let offer = Offer { version, suites: &suites, server_name, extensions: Extensions::Usual };
            self.target.ask(&offer, Until::Done).ok()
        };
        let newest: Vec<Flight> = kinds.filter_map(|suites| ask(version, suites)).collect();
        let oldest = spoken
            .iter()
            .filter(|spoken| spoken.version < version)
            .find_map(|spoken| ask(spoken.version, spoken.suites.clone().ok()?));
        newest.into_iter().chain(oldest).collect()
    }

    /// One whole handshake as the family would make it, or as today's phones do; and what could not be tried.
    fn whole_handshake(&self, spoken: &[Spoken]) -> (Option<Session>, Vec<String>) {
        let wish =
            Wish { credentials: self.credentials.as_ref(), host: &self.host, path: self.path.as_deref() };
        let takes = |version: TlsVersion| {
            spoken
                .iter()
                .find(|spoken| spoken.version == version)
                .and_then(|spoken| spoken.suites.as_ref().ok())
        };
        let modern = [TlsVersion::TLS1_2, TlsVersion::TLS1_3]
            .into_iter()
            .filter_map(takes)
            .any(|suites| suites.iter().any(|suite| suite.is_modern()));
        let any = spoken.iter().any(|spoken| spoken.suites.is_ok() && spoken.version > hello::SSL3);
        if !any {
            return (None, Vec::new());
        }
        if modern && self.family != Some(Family::Spa) {
            // What rustls cannot use, a key of 1024 bits for one, OpenSSL takes.
            if let Ok(session) = session::modern(&self.target, &wish) {
                return (Some(session), Vec::new());
            }
        }
        self.with_openssl(&wish)
    }

    #[cfg(feature = "legacy-tls")]
    fn with_openssl(&self, wish: &Wish<'_>) -> (Option<Session>, Vec<String>) {
        let session = match self.family {
            Some(Family::Spa) => {
                let suites: Vec<_> = scan::TABLE.iter().copied().filter(|suite| !suite.is_export()).collect();
                let unnamed = Target { server_name: None, ..self.target.clone() };
                session::legacy(&unnamed, wish, TlsVersion::TLS1_0, Some(&suites))
            }
            _ => session::legacy(&self.target, wish, TlsVersion::TLS1_3, None),
        };
        (Some(session), Vec::new())
    }

    #[cfg(not(feature = "legacy-tls"))]
    fn with_openssl(&self, _: &Wish<'_>) -> (Option<Session>, Vec<String>) {
        let missing = "a whole handshake as old phones make it, and with it the verdict on the certificate, the answer and \
                       resumption: this program was built without OpenSSL (--no-default-features)";
        (None, vec![missing.to_owned()])
    }
}

fn read_key(path: &Path, passphrase: Option<&[u8]>) -> Result<PrivateKey, ProbeError> {
    let bytes = read_secret("key", path)?;
    PrivateKey::parse(&bytes, passphrase)
        .map_err(|source| ProbeError::Key { path: path.display().to_string(), source })
}

/// The passphrase of the key, if one is named.
fn read_passphrase(
    file: Option<&Path>,
    variable: Option<&str>,
) -> Result<Option<Zeroizing<Vec<u8>>>, ProbeError> {
    match (file, variable) {
        (Some(file), _) => {
            let bytes = read_secret("passphrase", file)?;
            Ok(Some(Zeroizing::new(credentials::first_line(&bytes).to_vec())))
        }
        (None, Some(name)) => match std::env::var_os(name) {
            Some(value) => Ok(Some(Zeroizing::new(value.into_encoded_bytes()))),
            None => Err(ProbeError::PassphraseUnset(name.to_owned())),
        },
        (None, None) => Ok(None),
    }
}

fn read_secret(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, ProbeError> {
    let read = std::fs::read(path).map(Zeroizing::new);
    read.map_err(|source| ProbeError::KeyFile { what, path: path.display().to_string(), source })
}

/// `host:port`, `[address]:port`, or a host alone, whose port is 443.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((address.ip().to_string(), address.port()));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_string(), 443));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
        None => (text, 443),
    };
    let sound = !host.is_empty() && !host.contains([':', '/', '@', ' ']);
    sound.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_a_port_and_the_port_is_443_unless_said() {
        for (text, host, port) in [
            ("prov.example.com:8443", "prov.example.com", 8443),
            ("prov.example.com", "prov.example.com", 443),
            ("192.0.2.7:8443", "192.0.2.7", 8443),
            ("[2001:db8::7]:8443", "2001:db8::7", 8443),
            ("2001:db8::7", "2001:db8::7", 443),
        ] {
            assert_eq!(host_and_port(text), Some((host.to_owned(), port)), "{text}");
        }
        for text in
            ["", ":443", "prov.example.com:0", "prov.example.com:https", "https://prov.example.com", "a b:1"]
        {
            assert_eq!(host_and_port(text), None, "{text}");
        }
    }
}
