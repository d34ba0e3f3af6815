//! The audit database on a PostgreSQL server, for several gateways together.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type};
use postgres::{Client, Config, NoTls, config::SslMode};
use rustls_pki_types::CertificateDer;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DatabaseError;
use super::backend::{Backend, Insert, Value};
use super::schema::{self, Dialect};
use crate::audit::database::PostgresUrl;

const DIALECT: Dialect = Dialect { id: "BIGINT NOT NULL PRIMARY KEY", bytes: "BYTEA", without_rowid: "" };
/// The lock that keeps the transactions of several gateways apart: their records then get ascending numbers in the order in which
/// they become visible, so that whoever follows them misses none. The number spells "audit".
const LOCK: &str = "SELECT pg_advisory_xact_lock(418498275700)";
/// A server that does not answer is given up after this.
const CONNECT: Duration = Duration::from_secs(5);
/// A statement takes milliseconds; this ends one that hangs.
const STATEMENT: Duration = Duration::from_secs(30);
/// Records at each end of the table whose size is measured.
const SAMPLE: u32 = 200;
/// What the two tables' pages and their indexes take for a record besides its columns, in octets: measured, of phones' records.
const INDEXED: u32 = 350;
/// Values in one statement; the protocol allows 65 535.
const MOST_VALUES: usize = 20_000;

/// An open connection, or the address to make the next one to.
pub(crate) struct Postgres {
    access: Access,
    config: Config,
    roots: Option<Vec<CertificateDer<'static>>>,
    client: Client,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration holds a password.
        formatter.debug_struct("Postgres").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Postgres {
    pub(crate) fn open(url: &PostgresUrl) -> Result<Self, DatabaseError> {
        Self::connect(url, Access::Write)
    }

    /// For reading only: the server itself refuses everything else.
    pub(crate) fn open_to_read(url: &PostgresUrl) -> Result<Self, DatabaseError> {
        Self::connect(url, Access::Read)
    }

    fn connect(url: &PostgresUrl, access: Access) -> Result<Self, DatabaseError> {
        let mut config = url.config().clone();
        config.application_name("provision-gateway");
        config.connect_timeout(CONNECT);
        config.keepalives_idle(Duration::from_secs(30));
        config.tcp_user_timeout(STATEMENT);
        let client = connect(&config, url.roots(), access)?;
        Ok(Self { access, config, roots: url.roots().map(<[_]>::to_vec), client })
    }
}

fn connect(
    config: &Config,
    roots: Option<&[CertificateDer<'static>]>,
    access: Access,
) -> Result<Client, DatabaseError> {
    let mut client = match roots {
        None => config.connect(NoTls)?,
        Some(roots) => {
            let mut store = rustls::RootCertStore::empty();
            store.add_parsable_certificates(roots.iter().cloned());
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            let tls = rustls::ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .map_err(|_| DatabaseError::Unexpected("no TLS version"))?
                .with_root_certificates(store)
                .with_no_client_auth();
            let mut config = config.clone();
            config.ssl_mode(SslMode::Require);
            config.connect(MakeRustlsConnect::new(tls))?
        }
    };
    client.batch_execute(&format!("SET statement_timeout = {}", STATEMENT.as_millis()))?;
    if access == Access::Read {
        client.batch_execute("SET default_transaction_read_only = on")?;
    }
    Ok(client)
}

impl Backend for Postgres {
    fn upgrade(&mut self) -> Result<(), DatabaseError> {
        let settings: bool =
            self.client.query_one("SELECT to_regclass('audit_setting') IS NOT NULL", &[])?.get(0);
        if self.access == Access::Read {
            if !settings {
                return Err(DatabaseError::NotAnAuditDatabase);
            }
            let found = version(&mut self.client)?;
            return match schema::steps_after(found)?.next() {
                Some(_) => Err(DatabaseError::Older { found }),
                None => Ok(()),
            };
        }
        if settings && schema::steps_after(version(&mut self.client)?)?.next().is_none() {
            return Ok(()); // also for a user that may only read
        }
        self.begin()?;
        let upgraded = (|| {
            self.client.batch_execute(schema::SETTINGS)?;
            // Another gateway may have done it while we waited for the lock.
            for (version, step) in schema::steps_after(version(&mut self.client)?)? {
                self.client.batch_execute(&DIALECT.spell(step))?;
                self.execute(schema::SET_VERSION, &[version.into()])?;
            }
            Ok(())
        })();
        match upgraded {
            Ok(()) => self.commit(),
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    fn begin(&mut self) -> Result<(), DatabaseError> {
        Ok(self.client.batch_execute(&format!("BEGIN; {LOCK}"))?)
    }

    fn commit(&mut self) -> Result<(), DatabaseError> {
        Ok(self.client.batch_execute("COMMIT")?)
    }

    fn roll_back(&mut self) {
        // It fails when the connection is gone, and the server has rolled back by itself.
        let _ = self.client.batch_execute("ROLLBACK");
    }

    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        Ok(self.client.execute(&numbered(statement), &parameters(values))?)
    }

    fn query(
        &mut self,
        statement: &str,
        values: &[Value],
        each: &mut dyn FnMut(Vec<Value>) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        for row in self.client.query(&numbered(statement), &parameters(values))? {
            let values: Result<Vec<Value>, _> =
                (0..row.len()).map(|column| row.try_get::<_, Value>(column)).collect();
            each(values?)?;
        }
        Ok(())
    }

    fn insert(&mut self, insert: &Insert, rows: &[Vec<Value>]) -> Result<(), DatabaseError> {
        if rows.is_empty() {
            return Ok(());
        }
        let Insert { table, columns, on_conflict } = insert;
        let names = columns.join(", ");
        if on_conflict.is_empty() {
            let mut copy = self.client.copy_in(&format!("COPY {table} ({names}) FROM STDIN"))?;
            let mut text = String::new();
            for row in rows {
                copy_row(&mut text, row);
                if text.len() > 1 << 16 {
                    copy.write_all(text.as_bytes())?;
                    text.clear();
                }
            }
            copy.write_all(text.as_bytes())?;
            copy.finish()?;
            return Ok(());
        }
        for chunk in rows.chunks((MOST_VALUES / columns.len()).max(1)) {
            let mut statement = format!("INSERT INTO {table} ({names}) VALUES ");
            for row in 0..chunk.len() {
                let places: Vec<String> =
                    (1..=columns.len()).map(|place| format!("${}", row * columns.len() + place)).collect();
                let comma = if row > 0 { ", " } else { "" };
                // Writing to a String cannot fail.
                let _ = write!(statement, "{comma}({})", places.join(", "));
            }
            statement.push(' ');
            statement.push_str(on_conflict);
            let values: Vec<&(dyn ToSql + Sync)> =
                chunk.iter().flatten().map(|value| -> &(dyn ToSql + Sync) { value }).collect();
            self.client.execute(&statement, &values)?;
        }
        Ok(())
    }

    fn unindexed(&self, column: &str) -> String {
        column.to_owned() // its statistics tell it
    }

    fn give_up_at(&mut self, time: Instant) -> Result<(), DatabaseError> {
        // Zero would mean no limit.
        let left = time.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        Ok(self.client.batch_execute(&format!("SET statement_timeout = {}", left.as_millis()))?)
    }

    /// Deleted records leave room that later ones take, and the tables never shrink: so it is the records that are measured, from
    /// the sizes of the newest and the oldest and how many there are, with what the indexes add. Their numbers have no gaps.
    fn size(&mut self) -> Result<u64, DatabaseError> {
        let statement = format!(
            "WITH sample AS (SELECT id FROM (SELECT id FROM audit_record ORDER BY id DESC LIMIT {SAMPLE}) newest \
             UNION SELECT id FROM (SELECT id FROM audit_record ORDER BY id LIMIT {SAMPLE}) oldest), \
             average AS (SELECT avg(pg_column_size(r.*) + pg_column_size(l.*)) AS bytes FROM sample \
             JOIN audit_record r USING (id) JOIN audit_line l USING (id)) \
             SELECT CAST((SELECT COALESCE(max(id) - min(id) + 1, 0) FROM audit_record) * (SELECT COALESCE(bytes, 0) + {INDEXED} \
             FROM average) + pg_total_relation_size('audit_tally') AS BIGINT)"
        );
        let size = self.client.query_one(&statement, &[])?.get::<_, Option<i64>>(0);
        Ok(size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0))
    }

    fn release(&mut self) -> Result<(), DatabaseError> {
        Ok(()) // the server's autovacuum does that
    }

    fn is_replaced(&self) -> bool {
        false // a server that was replaced has broken the connection
    }

    fn reconnect(&mut self) -> Result<(), DatabaseError> {
        if self.client.is_closed() || self.client.is_valid(Duration::from_secs(1)).is_err() {
            self.client = connect(&self.config, self.roots.as_deref(), self.access)?;
        }
        Ok(())
    }
}

fn version(client: &mut Client) -> Result<i64, DatabaseError> {
    Ok(client.query_opt(schema::VERSION, &[])?.map_or(0, |row| row.get(0)))
}

/// PostgreSQL writes `$1` where SQLite writes `?1`. No statement of ours has a question mark otherwise.
fn numbered(statement: &str) -> String {
    statement.replace('?', "$")
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| -> &(dyn ToSql + Sync) { value }).collect()
}

/// One row of `COPY`'s text format.
fn copy_row(out: &mut String, row: &[Value]) {
    for (column, value) in row.iter().enumerate() {
        if column > 0 {
            out.push('\t');
        }
        // Writing to a String cannot fail.
        let _ = match value {
            Value::Null => out.write_str("\\N"),
            Value::Integer(value) => write!(out, "{value}"),
            Value::Bytes(bytes) => {
                out.push_str("\\\\x");
                bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
            }
            Value::Text(text) => {
                for character in text.chars() {
                    match character {
                        '\\' => out.push_str("\\\\"),
                        '\n' => out.push_str("\\n"),
                        '\r' => out.push_str("\\r"),
                        '\t' => out.push_str("\\t"),
                        other => out.push(other),
                    }
                }
                Ok(())
            }
        };
    }
    out.push('\n');
}

impl ToSql for Value {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) if *of == Type::INT4 => i32::try_from(*value)?.to_sql(of, out),
            Self::Integer(value) => value.to_sql(of, out),
            Self::Text(text) => text.as_str().to_sql(of, out),
            Self::Bytes(bytes) => bytes.as_slice().to_sql(of, out),
        }
    }

    fn accepts(of: &Type) -> bool {
        matches!(*of, Type::INT4 | Type::INT8 | Type::TEXT | Type::VARCHAR | Type::BYTEA)
    }

    postgres::types::to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *of {
            Type::INT4 => Self::Integer(i64::from(i32::from_sql(of, raw)?)),
            Type::INT8 => Self::Integer(i64::from_sql(of, raw)?),
            Type::BYTEA => Self::Bytes(raw.to_vec()),
            _ => Self::Text(String::from_sql(of, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(of: &Type) -> bool {
        matches!(*of, Type::INT4 | Type::INT8 | Type::TEXT | Type::VARCHAR | Type::BYTEA)
    }
}
