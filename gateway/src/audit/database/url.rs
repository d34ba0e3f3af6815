//! Where the audit database is: `sqlite:audit.db` or `postgres://user@host/name`.

use std::fmt;
use std::path::{Path, PathBuf};

use postgres::Config;
use rustls_pki_types::CertificateDer;

/// An audit database's address. `Debug` and `Display` leave a password out.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A database on a PostgreSQL server.
    Postgres(Box<PostgresUrl>),
}

/// A database on a PostgreSQL server.
#[derive(Clone)]
pub struct PostgresUrl {
    config: Config,
    /// What `config` was read from, to tell two of them apart.
    address: String,
    sslrootcert: Option<PathBuf>,
    encrypted: bool,
    roots: Option<Vec<CertificateDer<'static>>>,
}

/// Why a text is no database address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// PostgreSQL's own rules.
    #[error("not a PostgreSQL address")]
    Postgres(#[source] postgres::Error),
    /// It begins with neither of the two schemes.
    #[error("write sqlite:FILE or postgres://USER@HOST/NAME")]
    Scheme,
    /// The mode of encryption has no meaning here.
    #[error(
        "sslmode {0}: write disable, or verify-full with sslrootcert=FILE, the authority of the server's certificate"
    )]
    SslMode(String),
}

impl DatabaseUrl {
    /// Reads an address. A relative file name stands beside `folder`; a bare file name is an SQLite file.
    ///
    /// Encryption is asked for as with PostgreSQL's own programs, `?sslmode=verify-full&sslrootcert=FILE`; the certificates of that
    /// file are then to be handed in with [`PostgresUrl::with_roots`].
    ///
    /// # Errors
    /// It is neither form.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, UrlError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(UrlError::Scheme) } else { Ok(Self::Sqlite(folder.join(path))) };
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(UrlError::Scheme);
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let mut kept = Vec::new();
        let mut sslrootcert = None;
        let mut encrypted = false;
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("sslrootcert", file)) => sslrootcert = Some(folder.join(file)),
                Some(("sslmode", "disable")) => {}
                Some(("sslmode", "verify-full")) => encrypted = true,
                Some(("sslmode", other)) => return Err(UrlError::SslMode(other.to_owned())),
                Some(_) | None => kept.push(part),
            }
        }
        if encrypted != sslrootcert.is_some() {
            let mode = if encrypted { "verify-full without sslrootcert" } else { "missing" };
            return Err(UrlError::SslMode(mode.to_owned()));
        }
        let address = format!("{address}?{}", kept.join("&"));
        let config = address.parse().map_err(UrlError::Postgres)?;
        let url = PostgresUrl { config, address, sslrootcert, encrypted, roots: None };
        Ok(Self::Postgres(Box::new(url)))
    }
}

impl PostgresUrl {
    /// The file of the authorities that may have certified the server, where the connection is to be encrypted.
    #[must_use]
    pub fn root_file(&self) -> Option<&Path> {
        self.sslrootcert.as_deref()
    }

    /// Encrypts the connection, and lets these authorities vouch for the server.
    #[must_use]
    pub fn with_roots(mut self, roots: Vec<CertificateDer<'static>>) -> Self {
        self.roots = Some(roots);
        self
    }

    /// Logs in with this password, which then need not stand in the address.
    #[must_use]
    pub fn with_password(mut self, password: &[u8]) -> Self {
        self.config.password(password);
        self
    }

    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// The authorities, empty when they were forgotten: then nobody is trusted.
    pub(super) fn roots(&self) -> Option<&[CertificateDer<'static>]> {
        self.encrypted.then(|| self.roots.as_deref().unwrap_or_default())
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &Self) -> bool {
        let Self { config, address, sslrootcert, encrypted, roots } = self;
        *address == other.address
            && config.get_password() == other.config.get_password()
            && *sslrootcert == other.sslrootcert
            && *encrypted == other.encrypted
            && *roots == other.roots
    }
}

impl Eq for PostgresUrl {}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            Self::Postgres(url) => {
                let config = &url.config;
                formatter.write_str("postgres://")?;
                if let Some(user) = config.get_user() {
                    write!(formatter, "{user}@")?;
                }
                for (index, host) in config.get_hosts().iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    match host {
                        postgres::config::Host::Tcp(name) => write!(formatter, "{comma}{name}")?,
                        postgres::config::Host::Unix(path) => write!(formatter, "{comma}{}", path.display())?,
                    }
                    if let Some(port) = config.get_ports().get(index).or_else(|| config.get_ports().first()) {
                        write!(formatter, ":{port}")?;
                    }
                }
                write!(formatter, "/{}", config.get_dbname().unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", DatabaseUrl::Postgres(Box::new(self.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseUrl, UrlError> {
        DatabaseUrl::parse(text, Path::new("/etc/provision"))
    }

    #[test]
    fn a_file_stands_beside_the_configuration() {
        assert_eq!(parse("sqlite:audit.db").unwrap().to_string(), "sqlite:/etc/provision/audit.db");
        assert_eq!(parse("sqlite:/var/audit.db").unwrap().to_string(), "sqlite:/var/audit.db");
        assert_eq!(parse("sqlite:///var/audit.db").unwrap().to_string(), "sqlite:/var/audit.db");
        for wrong in ["", "audit.db", "sqlite:", "mysql://x/y"] {
            assert!(matches!(parse(wrong), Err(UrlError::Scheme)), "{wrong}");
        }
    }

    #[test]
    fn sec_65_a_password_is_not_shown() {
        let url = parse("postgres://audit:s3cret@db.example.com:5433/audit?connect_timeout=3").unwrap();
        assert_eq!(url.to_string(), "postgres://audit@db.example.com:5433/audit");
        assert!(!format!("{url:?}").contains("s3cret"));
    }

    #[test]
    fn encryption_needs_an_authority_and_is_never_half_done() {
        let url = parse("postgresql://a@db/audit?sslmode=verify-full&sslrootcert=db-ca.pem").unwrap();
        let DatabaseUrl::Postgres(url) = url else { panic!("a server") };
        assert_eq!(url.root_file(), Some(Path::new("/etc/provision/db-ca.pem")));
        assert_eq!(url.roots(), Some(&[][..]), "until they are read, nobody is trusted");
        for wrong in ["sslmode=require", "sslmode=prefer", "sslmode=verify-full", "sslrootcert=x.pem"] {
            assert!(
                matches!(parse(&format!("postgres://a@db/audit?{wrong}")), Err(UrlError::SslMode(_))),
                "{wrong}"
            );
        }
        let DatabaseUrl::Postgres(plain) = parse("postgres://a@db/audit?sslmode=disable").unwrap() else {
            panic!("a server")
        };
        assert_eq!(plain.roots(), None);
    }
}
