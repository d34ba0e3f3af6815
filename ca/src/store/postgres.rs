//! The inventory on a PostgreSQL server, for several hosts that share one certificate authority (CA I7).

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{FromSql, IsNull, ToSql, Type};
use postgres::{Client, NoTls, Statement};

use super::StoreError;
use super::backend::{Backend, Exclusion, Row, Value};
use super::database_url::PostgresUrl;
use super::schema::STEPS;

/// Keeps the transactions of several hosts apart; the number spells "ca-tx".
const TRANSACTION: &str = "SELECT pg_advisory_xact_lock(427858670968)";

/// Keeps whole commands of several hosts apart; the number spells "ca-op".
const COMMAND: i64 = 427_858_669_424;

/// A server that does not answer is given up after this.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a command waits for that of another host, as it does for another process of its own.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open connection.
pub(super) struct Postgres {
    client: Client,
    statements: HashMap<String, Statement>,
    /// A connection of its own holds the lock: it lasts longer than a transaction, and goes with the process.
    locker: Arc<Mutex<Client>>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl Postgres {
    pub(super) fn open(url: &PostgresUrl) -> Result<Self, StoreError> {
        let mut locker = connect(url)?;
        // A host that hangs does not let the others wait for ever; whoever set another time in the address is obeyed.
        let unset: bool = locker.query_one("SELECT current_setting('lock_timeout') = '0'", &[])?.get(0);
        if unset {
            locker.batch_execute(&format!("SET lock_timeout = {}", PATIENCE.as_millis()))?;
        }
        Ok(Self { client: connect(url)?, statements: HashMap::new(), locker: Arc::new(Mutex::new(locker)) })
    }

    /// The statement, made ready once.
    fn statement(&mut self, text: &str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.get(text) {
            return Ok(statement.clone());
        }
        // PostgreSQL writes `$1` where SQLite writes `?1`. No statement of ours has a question mark otherwise.
        let statement = self.client.prepare(&text.replace('?', "$"))?;
        self.statements.insert(text.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Makes the tables, or brings them up to date, within the transaction that was begun; the format found.
    pub(super) fn make_tables(&mut self) -> Result<i64, StoreError> {
        let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
        self.client
            .batch_execute("CREATE TABLE IF NOT EXISTS provision_ca (format BIGINT NOT NULL PRIMARY KEY)")?;
        let found = self.format()?;
        if found > known {
            return Err(StoreError::TooNew { found, known });
        }
        for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            self.client.batch_execute(&spell(step))?;
        }
        if found < known {
            self.client.execute("INSERT INTO provision_ca (format) VALUES ($1)", &[&known])?;
        }
        Ok(found)
    }

    /// Moves those of the tables that are there into a new schema of this name, or one that begins with it, within the
    /// transaction that was begun; its name, when there were any.
    pub(super) fn set_aside<'a>(
        &mut self,
        tables: impl Iterator<Item = &'a str>,
        schema: &str,
    ) -> Result<Option<String>, StoreError> {
        // They were made ready for the tables that move.
        self.statements.clear();
        let mut moved = None;
        for table in tables.chain(["provision_ca"]) {
            let row = self.client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])?;
            if !row.get::<_, bool>(0) {
                continue;
            }
            let schema = match moved {
                Some(schema) => schema,
                None => self.new_schema(schema)?,
            };
            self.client.batch_execute(&format!("ALTER TABLE {table} SET SCHEMA {schema}"))?;
            moved = Some(schema);
        }
        Ok(moved)
    }

    fn new_schema(&mut self, name: &str) -> Result<String, StoreError> {
        let mut schema = name.to_owned();
        for number in 2.. {
            let row = self.client.query_one("SELECT to_regnamespace($1) IS NULL", &[&schema])?;
            if row.get(0) {
                break;
            }
            schema = format!("{name}_{number}");
        }
        self.client.batch_execute(&format!("CREATE SCHEMA {schema}"))?;
        Ok(schema)
    }

    fn format(&mut self) -> Result<i64, StoreError> {
        Ok(self.client.query_one("SELECT coalesce(max(format), 0) FROM provision_ca", &[])?.get(0))
    }
}

fn connect(url: &PostgresUrl) -> Result<Client, StoreError> {
    let mut config = url.config().clone();
    config.application_name("provision-ca");
    config.connect_timeout(CONNECT);
    config.keepalives_idle(Duration::from_secs(30));
    Ok(match url.tls()? {
        None => config.connect(NoTls)?,
        Some(tls) => {
            config.ssl_mode(postgres::config::SslMode::Require);
            config.connect(tls)?
        }
    })
}

/// A step of [`STEPS`] in PostgreSQL's words.
fn spell(step: &str) -> String {
    let mut spelt = String::new();
    for line in step.lines() {
        // The two statements of several lines end alike.
        let line = line.replace(") STRICT, WITHOUT ROWID;", ");").replace(") STRICT;", ");");
        let line = line
            .replace(
                "id            INTEGER PRIMARY KEY",
                "id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
            )
            .replace(" INTEGER", " BIGINT")
            .replace(" BLOB", " BYTEA")
            // Texts are compared octet by octet, as SQLite does.
            .replace(" TEXT", " TEXT COLLATE \"C\"");
        spelt.push_str(&line);
        spelt.push('\n');
    }
    spelt
}

impl Backend for Postgres {
    fn upgrade(&mut self) -> Result<i64, StoreError> {
        self.begin()?;
        match self.make_tables() {
            Ok(found) => self.commit().map(|()| found),
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        Ok(self.client.batch_execute(&format!("BEGIN; {TRANSACTION}"))?)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(self.client.batch_execute("COMMIT")?)
    }

    fn roll_back(&mut self) {
        // It fails when the connection is gone, and the server has rolled back by itself.
        let _gone = self.client.batch_execute("ROLLBACK");
    }

    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, StoreError> {
        let statement = self.statement(statement)?;
        Ok(self.client.execute(&statement, &parameters(values))?)
    }

    fn insert(&mut self, statement: &str, values: &[Value]) -> Result<i64, StoreError> {
        let statement = self.statement(&format!("{statement} RETURNING id"))?;
        let row = self.client.query_one(&statement, &parameters(values))?;
        Row(vec![row.try_get(0)?]).integer(0)
    }

    fn query(
        &mut self,
        statement: &str,
        values: &[Value],
        each: &mut dyn FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let statement = self.statement(statement)?;
        let mut rows = self.client.query_raw(&statement, parameters(values))?;
        while let Some(row) = rows.next()? {
            let read = (0..row.len()).map(|column| row.try_get::<_, Value>(column));
            each(Row(read.collect::<Result<_, _>>()?))?;
        }
        Ok(())
    }

    fn keep_out(&mut self) -> Result<Option<Box<dyn Exclusion>>, StoreError> {
        let mut locker = self.locker.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = locker.execute("SELECT pg_advisory_lock($1)", &[&COMMAND]);
        match taken {
            Ok(_) => {
                drop(locker);
                Ok(Some(Box::new(Held(Arc::clone(&self.locker)))))
            }
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                Err(StoreError::OtherHost { owner: owner(&mut locker)? })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn is_lost(&self) -> bool {
        let locker = self.locker.lock().unwrap_or_else(PoisonError::into_inner);
        self.client.is_closed() || locker.is_closed()
    }

    fn check(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new()) // the server checks its pages itself
    }

    fn settle(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Who holds the lock of a command, as the server sees them.
fn owner(client: &mut Client) -> Result<String, StoreError> {
    // PostgreSQL keeps a number of 64 bits as two (pg_locks, "objsubid" 1).
    let row = client.query_opt(
        "SELECT coalesce(host(a.client_addr), 'a socket of the database server'), a.pid, a.backend_start::TEXT
         FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND (l.classid::BIGINT << 32) + l.objid::BIGINT = $1
         LIMIT 1",
        &[&COMMAND],
    )?;
    Ok(row.map_or_else(
        || "somebody who has just left".to_owned(),
        |row| {
            let (host, process, since): (String, i32, String) = (row.get(0), row.get(1), row.get(2));
            format!("a connection from {host} since {since}, process {process} of the database server")
        },
    ))
}

/// The lock of a command; given back when dropped.
struct Held(Arc<Mutex<Client>>);

impl fmt::Debug for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Held")
    }
}

impl Exclusion for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut locker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // It fails when the connection is gone, and the lock with it.
        let _gone = locker.execute("SELECT pg_advisory_unlock($1)", &[&COMMAND]);
    }
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| -> &(dyn ToSql + Sync) { value }).collect()
}

impl ToSql for Value {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Bytes(bytes) => bytes.as_slice().to_sql(of, out),
            Self::Integer(value) if *of == Type::INT4 => i32::try_from(*value)?.to_sql(of, out),
            Self::Integer(value) => value.to_sql(of, out),
            Self::Null => Ok(IsNull::Yes),
            Self::Text(text) => text.as_str().to_sql(of, out),
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
