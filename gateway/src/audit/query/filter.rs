//! Single records: found by what they are about, or followed as they come.

use policies::{MacAddress, Reason};

use super::Cidr;
use crate::audit::database::{AuditDatabase, DatabaseError, Value};
use crate::audit::entry::{Entry, EntryEvent, NotAnEntry, Outcome};
use crate::audit::moment::Moment;

/// A record's place in the database: later records have higher ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(i64);

impl RecordId {
    /// As a number, to hand to a reader who comes back for more.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// From the number that was handed out.
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }
}

/// Whether what phones say of themselves by syslog is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PhonesSay {
    /// With everything else.
    #[default]
    Included,
    /// Not at all.
    LeftOut,
    /// Nothing else.
    Only,
}

/// Which records. What is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Of this MAC address: proven, or claimed by a refused certificate or a path.
    pub mac: Option<MacAddress>,
    /// Of this time or later.
    pub since: Option<Moment>,
    /// Before this time.
    pub until: Option<Moment>,
    /// Ended for this reason.
    pub reason: Option<Reason>,
    /// Ended in this way.
    pub outcome: Option<Outcome>,
    /// What they are of.
    pub event: Option<EntryEvent>,
    /// For this virtual host, by its first name.
    pub host: Option<String>,
    /// From this network.
    pub peer: Option<Cidr>,
    /// Of clients with this JA4 fingerprint.
    pub ja4: Option<String>,
    /// Of this connection; its identifier as in the record.
    pub connection: Option<String>,
    /// Of this request, as on the page that refused it.
    pub request: Option<String>,
    /// Whether what phones say of themselves is among them.
    pub said: PhonesSay,
    /// Earlier in the database than this one: the next page.
    pub before: Option<RecordId>,
}

/// A record, as the database gives it back.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRecord {
    /// Its place.
    pub id: RecordId,
    /// The gateway that wrote it.
    pub gateway: String,
    /// The JSON line, without its line feed.
    pub line: String,
}

impl StoredRecord {
    /// The record's facts.
    ///
    /// # Errors
    /// The line is no record: another hand wrote it.
    pub fn entry(&self) -> Result<Entry, NotAnEntry> {
        Entry::parse(self.line.as_bytes())
    }

    fn read(row: Vec<Value>) -> Result<Self, DatabaseError> {
        let [id, gateway, line] =
            <[Value; 3]>::try_from(row).map_err(|_| DatabaseError::Unexpected("rows of another width"))?;
        Ok(Self { id: RecordId(id.integer()?), gateway: gateway.text()?, line: line.text()? })
    }
}

impl Filter {
    /// The conditions, with places for the values from `?1` on.
    fn conditions(&self, peer_column: &str) -> (Vec<String>, Vec<Value>) {
        let Self {
            mac,
            since,
            until,
            reason,
            outcome,
            event,
            host,
            peer,
            ja4,
            connection,
            request,
            said,
            before,
        } = self;
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        let mut condition = |text: &str, value: Value| {
            values.push(value);
            conditions.push(format!("{text} ?{}", values.len()));
        };
        match (mac.map(|mac| mac.to_string()), said) {
            (None, PhonesSay::Included) => {}
            (None, PhonesSay::LeftOut) => condition("r.event <>", EntryEvent::Said.as_str().into()),
            (None, PhonesSay::Only) => condition("r.event =", EntryEvent::Said.as_str().into()),
            (Some(mac), PhonesSay::LeftOut) => condition("r.mac =", (&mac).into()),
            (Some(mac), PhonesSay::Only) => condition("r.said_mac =", (&mac).into()),
            // Of records that are gone through one by one; `records` has an index to use for each of the two.
            (Some(mac), PhonesSay::Included) => condition("COALESCE(r.mac, r.said_mac) =", (&mac).into()),
        }
        if let Some(since) = since {
            condition("r.time >=", since.micros().into());
        }
        if let Some(until) = until {
            condition("r.time <", until.micros().into());
        }
        if let Some(reason) = reason {
            condition("r.reason =", reason.as_str().into());
        }
        if let Some(outcome) = outcome {
            condition("r.outcome =", outcome.as_str().into());
        }
        if let Some(event) = event {
            condition("r.event =", event.as_str().into());
        }
        if let Some(host) = host {
            condition("r.host =", host.into());
        }
        if let Some(peer) = peer {
            let (first, last) = peer.bounds();
            condition(&format!("{peer_column} >="), first.into());
            condition(&format!("{peer_column} <="), last.into());
        }
        if let Some(ja4) = ja4 {
            condition("r.ja4 =", ja4.into());
        }
        if let Some(connection) = connection {
            condition("r.connection =", connection.into());
        }
        if let Some(request) = request {
            condition("r.request =", request.into());
            // The connection's index finds it.
            if let Some((connection, _)) = request.split_once('-') {
                condition("r.connection =", connection.into());
            }
        }
        if let Some(before) = before {
            condition("r.id <", before.0.into());
        }
        (conditions, values)
    }
}

impl AuditDatabase {
    /// The newest records that the filter lets through, newest first, at most `most`.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn records(&mut self, filter: &Filter, most: u32) -> Result<Vec<StoredRecord>, DatabaseError> {
        if filter.mac.is_none() || filter.said != PhonesSay::Included {
            return self.select(filter, None, most);
        }
        let mut records = Vec::new();
        for said in [PhonesSay::LeftOut, PhonesSay::Only] {
            records.extend(self.select(&Filter { said, ..filter.clone() }, None, most)?);
        }
        records.sort_by_key(|record| std::cmp::Reverse(record.id));
        records.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(records)
    }

    /// The records that came after one, oldest first, at most `most`: to follow them as they come.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn after(
        &mut self,
        last: RecordId,
        filter: &Filter,
        most: u32,
    ) -> Result<Vec<StoredRecord>, DatabaseError> {
        self.select(filter, Some(last), most)
    }

    /// The newest record's place; the first possible one in an empty database.
    ///
    /// # Errors
    /// The database cannot be asked now.
    pub fn newest(&mut self) -> Result<RecordId, DatabaseError> {
        let next = self.backend().value("SELECT value FROM audit_setting WHERE name = 'next_id'", &[])?;
        Ok(RecordId(next.unwrap_or(Value::Null).integer()? - 1))
    }

    /// Of a network with few records the index of addresses finds them all, to be sorted by time. Of one with very many, the
    /// newest are found sooner by going back in time.
    fn peer_column(&mut self, filter: &Filter) -> Result<String, DatabaseError> {
        const FEW: i64 = 20_000;
        let Some(peer) = filter.peer else { return Ok("r.peer".to_owned()) };
        let (first, last) = peer.bounds();
        let count =
            "SELECT count(*) FROM (SELECT 1 FROM audit_record WHERE peer >= ?1 AND peer <= ?2 LIMIT ?3) few";
        let found = self.backend().value(count, &[first.into(), last.into(), (FEW + 1).into()])?;
        let many = found.unwrap_or(Value::Null).integer()? > FEW;
        Ok(if many { self.backend().unindexed("r.peer") } else { "r.peer".to_owned() })
    }

    fn select(
        &mut self,
        filter: &Filter,
        after: Option<RecordId>,
        most: u32,
    ) -> Result<Vec<StoredRecord>, DatabaseError> {
        let peer_column = self.peer_column(filter)?;
        let (mut conditions, mut values) = filter.conditions(&peer_column);
        if let Some(RecordId(after)) = after {
            values.push(after.into());
            conditions.push(format!("r.id > ?{}", values.len()));
        }
        if conditions.is_empty() {
            conditions.push("1 = 1".to_owned());
        }
        values.push(i64::from(most).into());
        let order = if after.is_some() { "" } else { " DESC" };
        // The records are chosen before their lines are fetched: a line may lie on a disk page of its own.
        let statement = format!(
            "SELECT c.id, c.gateway, l.line FROM (SELECT r.id, r.gateway FROM audit_record r WHERE {} ORDER BY r.id{order} \
             LIMIT ?{}) c JOIN audit_line l ON l.id = c.id ORDER BY c.id{order}",
            conditions.join(" AND "),
            values.len()
        );
        self.backend().rows(&statement, &values)?.into_iter().map(StoredRecord::read).collect()
    }
}
