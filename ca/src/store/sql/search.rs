//! Selectors as SQL. Every value of theirs is bound, none becomes part of a statement.

use certs::Timestamp;

use super::{COLUMNS, SqlStore, record};
use crate::selector::{Condition, DateField, Order, Pattern, Selector, SerialPattern, Status, Term, Word};
use crate::store::backend::Value;
use crate::store::{CertificateRecord, Kind, Page, RecordId, Search, StoreError, Tally};

impl Search for SqlStore {
    fn page(
        &self,
        selector: &Selector,
        now: Timestamp,
        page: Page,
    ) -> Result<Vec<CertificateRecord>, StoreError> {
        let Page { after, until, limit } = page;
        let mut query = Query::of(selector, now);
        query.bound(after, until);
        let limit = query.place(i64::from(limit));
        let statement = format!("SELECT {COLUMNS} WHERE {} ORDER BY c.id LIMIT {limit}", query.text());
        self.backend.borrow_mut().rows(&statement, &query.values, record)
    }

    fn tally(
        &self,
        selector: &Selector,
        now: Timestamp,
        until: Option<RecordId>,
    ) -> Result<Vec<Tally>, StoreError> {
        let mut query = Query::of(selector, now);
        query.bound(None, until);
        let statement = format!(
            "SELECT c.kind, c.product, count(*) FROM certificate c LEFT JOIN revocation r ON r.certificate = c.id
             WHERE {} GROUP BY c.kind, c.product ORDER BY 3 DESC, 1, 2",
            query.text()
        );
        self.backend.borrow_mut().rows(&statement, &query.values, |row| {
            Ok(Tally {
                kind: row.word(0, Kind::from_word)?,
                product: row.optional_text(1)?,
                count: u64::try_from(row.integer(2)?).unwrap_or(0),
            })
        })
    }

    fn last_row(&self) -> Result<Option<RecordId>, StoreError> {
        let row = self.backend.borrow_mut().row("SELECT max(id) FROM certificate", &[])?;
        Ok(row.map(|row| row.optional_integer(0)).transpose()?.flatten().map(RecordId))
    }
}

/// Conditions in the making, and the values for their places.
struct Query {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Query {
    fn of(selector: &Selector, now: Timestamp) -> Self {
        let mut query = Self { conditions: Vec::new(), values: Vec::new() };
        for Condition { negated, term } in &selector.conditions {
            let condition = query.term(term, now);
            query.conditions.push(if *negated {
                // NULL, the answer about what is not there, is no yes either.
                format!("NOT coalesce(({condition}), FALSE)")
            } else {
                format!("({condition})")
            });
        }
        query
    }

    fn bound(&mut self, after: Option<RecordId>, until: Option<RecordId>) {
        for (sign, id) in [(">", after), ("<=", until)] {
            if let Some(id) = id {
                let place = self.place(id.0);
                self.conditions.push(format!("c.id {sign} {place}"));
            }
        }
    }

    fn text(&self) -> String {
        if self.conditions.is_empty() { "TRUE".to_owned() } else { self.conditions.join(" AND ") }
    }

    /// The place of a value.
    fn place(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    fn places<T: Into<Value>>(&mut self, values: impl Iterator<Item = T>) -> String {
        values.map(|value| self.place(value)).collect::<Vec<_>>().join(", ")
    }

    fn term(&mut self, term: &Term, now: Timestamp) -> String {
        match term {
            Term::Fingerprint(fingerprints) => {
                format!("c.fingerprint IN ({})", self.places(fingerprints.iter()))
            }
            Term::Issuer(patterns) => {
                let names = self.any(patterns, |query, pattern| query.like("a.name", pattern));
                format!("c.authority IN (SELECT a.id FROM authority a WHERE {names})")
            }
            Term::Kind(kinds) => {
                format!("c.kind IN ({})", self.places(kinds.iter().map(|kind| kind.as_str())))
            }
            Term::Latest => {
                "NOT EXISTS (SELECT 1 FROM certificate n WHERE n.name = c.name AND n.kind = c.kind
                AND n.state = 'issued' AND n.id > c.id)"
                    .to_owned()
            }
            Term::Mac(patterns) => {
                let macs = self.any(patterns, |query, pattern| query.beginning("c.name", pattern));
                format!("c.kind = 'device' AND ({macs})")
            }
            Term::Model(patterns) => self.any(patterns, |query, pattern| query.like("c.product", pattern)),
            Term::Name(patterns) => self.any(patterns, |query, pattern| {
                let lower = Pattern(pattern.0.to_lowercase());
                query.beginning("c.name", &lower)
            }),
            Term::Reason(reasons) => {
                format!("r.reason IN ({})", self.places(reasons.iter().map(|reason| reason.as_str())))
            }
            Term::Serial(serials) => self.any(serials, Self::serial),
            Term::Status(statuses) => self.any(statuses, |query, status| query.status(*status, now)),
            Term::Time(field, order, time) => {
                let column = match field {
                    DateField::Expires => "c.not_after",
                    DateField::Issued => "c.reserved_at",
                    DateField::Revoked => "r.revoked_at",
                    DateField::Starts => "c.not_before",
                };
                let sign = match order {
                    Order::AtOrAfter => ">=",
                    Order::AtOrBefore => "<=",
                };
                format!("{column} {sign} {}", self.place(time.unix()))
            }
            Term::Word(word) => self.word(word),
        }
    }

    fn any<T>(&mut self, values: &[T], one: impl Fn(&mut Self, &T) -> String) -> String {
        values.iter().map(|value| one(self, value)).collect::<Vec<_>>().join(" OR ")
    }

    fn status(&mut self, status: Status, now: Timestamp) -> String {
        match status {
            Status::Abandoned => "c.state <> 'issued'".to_owned(),
            Status::Expired => {
                let now = self.place(now.unix());
                format!("c.state = 'issued' AND r.certificate IS NULL AND c.not_after < {now}")
            }
            Status::Held => "r.reason = 'certificateHold'".to_owned(),
            Status::Revoked => "r.certificate IS NOT NULL".to_owned(),
            Status::Valid => {
                let now = self.place(now.unix());
                format!("c.state = 'issued' AND r.certificate IS NULL AND c.not_after >= {now}")
            }
        }
    }

    fn serial(&mut self, serial: &SerialPattern) -> String {
        let device = match serial.device.exact() {
            Some(exact) => {
                let (as_it_is, upper) = (self.place(exact), self.place(exact.to_uppercase()));
                format!("c.device_serial IN ({as_it_is}, {upper})")
            }
            None => self.like("c.device_serial", &serial.device),
        };
        match &serial.certificate {
            Some(octets) => format!("c.serial = {} OR {device}", self.place(octets)),
            None => device,
        }
    }

    fn word(&mut self, word: &Word) -> String {
        let Word { text, mac, serial, fingerprint } = word;
        let mut names = vec![text.clone(), text.to_lowercase()];
        names.extend(mac.clone());
        let mut any = vec![
            format!("c.name IN ({})", self.places(names.into_iter())),
            format!("c.device_serial IN ({})", self.places([text.clone(), text.to_uppercase()].into_iter())),
        ];
        if let Some(serial) = serial {
            any.push(format!("c.serial = {}", self.place(serial)));
        }
        if let Some(fingerprint) = fingerprint {
            any.push(format!("c.fingerprint = {}", self.place(fingerprint)));
        }
        any.join(" OR ")
    }

    /// A comparison that an index serves: names are kept in lower case.
    fn beginning(&mut self, column: &str, pattern: &Pattern) -> String {
        if let Some(exact) = pattern.exact() {
            return format!("{column} = {}", self.place(exact));
        }
        match pattern.prefix().filter(|prefix| !prefix.is_empty()) {
            Some(prefix) => {
                // Nothing that begins so is behind the prefix with the last of all characters.
                let (first, last) = (self.place(prefix), self.place(format!("{prefix}\u{10ffff}")));
                format!("{column} >= {first} AND {column} < {last}")
            }
            None => self.like(column, pattern),
        }
    }

    /// A comparison without regard to upper and lower case.
    fn like(&mut self, column: &str, pattern: &Pattern) -> String {
        let lower = pattern.0.to_lowercase();
        if pattern.exact().is_some() {
            return format!("lower({column}) = {}", self.place(lower));
        }
        let mut escaped = String::new();
        for character in lower.chars() {
            match character {
                '*' => escaped.push('%'),
                '%' | '_' | '\\' => escaped.extend(['\\', character]),
                other => escaped.push(other),
            }
        }
        format!("lower({column}) LIKE {} ESCAPE '\\'", self.place(escaped))
    }
}
