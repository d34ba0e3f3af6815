//! Where an inventory on a PostgreSQL server is: `postgres://user@host/name`.

use std::fmt;
use std::path::{Path, PathBuf};

use postgres::Config;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{FileError, StoreError};

/// A database on a PostgreSQL server. `Debug` leaves a password out.
#[derive(Clone)]
pub struct PostgresUrl {
    config: Config,
    text: String,
    roots: Option<PathBuf>,
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresUrl").finish_non_exhaustive()
    }
}

/// Why a text is no database address.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// PostgreSQL's own rules.
    #[error("this is no PostgreSQL address")]
    Postgres(#[source] postgres::Error),
    /// It begins with another scheme.
    #[error("a database is named as postgres://USER@HOST/NAME")]
    Scheme,
    /// Encryption without a way to know the server, or the other way round.
    #[error(
        "write sslmode=verify-full together with sslrootcert=FILE, the authority of the server's certificate, or sslmode=disable"
    )]
    SslMode,
}

impl PostgresUrl {
    /// Reads an address. A relative file name stands below `folder`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, UrlError> {
        let text = text.trim();
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(UrlError::Scheme);
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let mut kept = Vec::new();
        let mut roots = None;
        let mut encrypted = false;
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("sslrootcert", file)) => roots = Some(folder.join(file)),
                Some(("sslmode", "disable")) => {}
                Some(("sslmode", "verify-full")) => encrypted = true,
                Some(("sslmode", _)) => return Err(UrlError::SslMode),
                Some(_) | None => kept.push(part),
            }
        }
        if encrypted != roots.is_some() {
            return Err(UrlError::SslMode);
        }
        let config = format!("{address}?{}", kept.join("&")).parse().map_err(UrlError::Postgres)?;
        Ok(Self { config, text: text.to_owned(), roots })
    }

    /// As it was written; a password in it too.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// What encrypts the connection, when it is to be encrypted.
    pub(super) fn tls(&self) -> Result<Option<MakeRustlsConnect>, StoreError> {
        let Some(path) = &self.roots else { return Ok(None) };
        let bad = |why: String| StoreError::ServerTrust { path: path.clone(), why };
        let bytes = std::fs::read(path).map_err(|source| FileError::new("read", path, source))?;
        let mut store = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&bytes) {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            store.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
        if store.is_empty() {
            return Err(bad("it holds no certificate".to_owned()));
        }
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(error.to_string()))?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Some(MakeRustlsConnect::new(tls)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_encrypted_with_a_known_authority_or_not_at_all() {
        let parse = |text: &str| PostgresUrl::parse(text, Path::new("/store"));
        assert!(parse("postgres://ca@db/ca").is_ok());
        let url = parse("postgresql://ca:secret@db/ca?sslmode=verify-full&sslrootcert=db.pem").unwrap();
        assert_eq!(url.roots.as_deref(), Some(Path::new("/store/db.pem")));
        assert!(!format!("{url:?}").contains("secret"));
        assert!(matches!(parse("postgres://ca@db/ca?sslmode=require"), Err(UrlError::SslMode)));
        assert!(matches!(parse("postgres://ca@db/ca?sslmode=verify-full"), Err(UrlError::SslMode)));
        assert!(matches!(parse("postgres://ca@db/ca?sslrootcert=x"), Err(UrlError::SslMode)));
        assert!(matches!(parse("mysql://ca@db/ca"), Err(UrlError::Scheme)));
        assert!(matches!(parse("postgres://ca@db:port/ca"), Err(UrlError::Postgres(_))));
    }
}
