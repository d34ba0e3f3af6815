//! Which audit database is asked: the one of `--database`, or the first of the configuration.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use certs::{ParseError, pem};
use policies::Diagnostic;

use crate::audit::database::UrlError;
use crate::audit::{AuditDatabase, DatabaseError, DatabaseUrl};
use crate::config::{AuditConfig, Config};
use crate::{cli, printer};

/// Why there is no database to ask.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("\"{address}\" is no database address")]
    Address {
        address: String,
        #[source]
        source: UrlError,
    },
    #[error("the configuration has mistakes")]
    Config(Vec<Diagnostic>),
    #[error("the audit database {database} cannot be asked")]
    Database {
        database: String,
        #[source]
        source: DatabaseError,
    },
    #[error("{} keeps its records in no database", .0.display())]
    NoDatabase(PathBuf),
    #[error("no audit database is named")]
    Nowhere,
    #[error("the file of authorities {} cannot be read", path.display())]
    Roots {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the file of authorities {} is no PEM file", path.display())]
    RootsPem {
        path: PathBuf,
        #[source]
        source: ParseError,
    },
}

/// Opens the database that is to be asked.
pub(super) fn open(arguments: &cli::Audit) -> Result<AuditDatabase, SourceError> {
    let url = match (&arguments.database, &arguments.config) {
        (Some(address), _) => address_of(address)?,
        (None, Some(config)) => {
            let audit = Config::load_audit(config).map_err(SourceError::Config)?;
            let url = audit.as_ref().and_then(AuditConfig::database);
            url.ok_or_else(|| SourceError::NoDatabase(config.clone()))?.clone()
        }
        (None, None) => return Err(SourceError::Nowhere),
    };
    AuditDatabase::open_to_read(&url)
        .map_err(|source| SourceError::Database { database: url.to_string(), source })
}

fn address_of(address: &str) -> Result<DatabaseUrl, SourceError> {
    let here = Path::new("");
    let is_file = !address.contains("://") && !address.starts_with("sqlite:") && !address.is_empty();
    if is_file {
        return Ok(DatabaseUrl::Sqlite(address.into()));
    }
    let url = DatabaseUrl::parse(address, here)
        .map_err(|source| SourceError::Address { address: address.to_owned(), source })?;
    let DatabaseUrl::Postgres(mut server) = url else { return Ok(url) };
    if let Some(path) = server.root_file().map(Path::to_owned) {
        let text =
            std::fs::read(&path).map_err(|source| SourceError::Roots { path: path.clone(), source })?;
        let blocks = pem::blocks(&text).map_err(|source| SourceError::RootsPem { path, source })?;
        let certificates = blocks.into_iter().filter(|block| pem::is_certificate(&block.label));
        *server = server.with_roots(certificates.map(|block| block.contents.into()).collect());
    }
    // As with PostgreSQL's own programs: on a command line everybody on the machine can read it.
    if let Some(password) = std::env::var_os("PGPASSWORD") {
        *server = server.with_password(password.as_encoded_bytes());
    }
    Ok(DatabaseUrl::Postgres(server))
}

impl SourceError {
    /// Says what is wrong and what to do.
    pub(super) fn write(&self, err: &mut dyn Write) -> io::Result<()> {
        if let Self::Config(mistakes) = self {
            return printer::diagnostics(err, mistakes);
        }
        printer::error(err, self, self.hint())?;
        if let Self::NoDatabase(_) = self {
            writeln!(err, "\n  [[audit.sink]]\n  kind = \"database\"\n  url = \"sqlite:audit.db\"")?;
        }
        Ok(())
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Database { source, .. } => database_hint(source),
            Self::NoDatabase(_) => Some("add these lines to it, and tell the gateway with SIGHUP:"),
            Self::Nowhere => Some("say --config FILE with the gateway's configuration, or --database FILE"),
            Self::Address { .. } | Self::Config(_) | Self::Roots { .. } | Self::RootsPem { .. } => None,
        }
    }
}

fn database_hint(error: &DatabaseError) -> Option<&'static str> {
    match error {
        DatabaseError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(
            "the gateway makes the file when it starts with a database sink; check the name and the folder",
        ),
        DatabaseError::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Some("ask as the user the gateway runs as: sudo -u provision provision-gateway audit …")
        }
        DatabaseError::NotAnAuditDatabase => Some(
            "the audit file with one JSON record a line is no database: name the `url` of the database sink",
        ),
        DatabaseError::Sqlite(_) => Some(
            "ask as the user the gateway runs as, who may also write beside the file: sudo -u provision provision-gateway audit …",
        ),
        DatabaseError::Postgres(_) => {
            Some("check that the server runs and lets this user in; a password is taken from PGPASSWORD")
        }
        DatabaseError::File { .. }
        | DatabaseError::Foreign { .. }
        | DatabaseError::Newer { .. }
        | DatabaseError::Older { .. }
        | DatabaseError::Transfer(_)
        | DatabaseError::Unexpected(_) => None,
    }
}
