//! The pages for people: the fleet at a glance, one phone's story, search, records, reasons, and the live tail.
//!
//! | path | what it shows |
//! | --- | --- |
//! | `/` | counts and charts of a period: `?since=24h`, `7d` or `30d` |
//! | `/search?q=…` | a phone by MAC address, serial number or product; a request by its identifier |
//! | `/device/000e08abcdef` | one phone: what is known, what to look at, what happened |
//! | `/records?reason=…` | records by reason, outcome, time, host and network |
//! | `/reasons`, `/reasons/expired` | what the codes mean, and what to do |
//! | `/expiring`, `/changes` | whose certificates end, and what is new |
//! | `/live` | records as they come |
//!
//! All is drawn here, as HTML and SVG; the only script is the live tail's. Each page asks the database a bounded number of
//! questions, each with a bounded answer, under one deadline.

mod changes;
mod chart;
mod device;
mod entry;
mod expiry;
mod fleet;
mod layout;
mod live;
mod period;
mod reasons;
mod records;
mod search;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use maud::{Markup, html};
use policies::{MacAddress, Reason};
use tokio::sync::Mutex;

use self::fleet::Fleet;
use self::layout::{Refresh, page};
use self::period::Period;
use super::answer;
use super::archive::{Archive, Away};
use crate::audit::entry::Outcome;
use crate::audit::moment::Moment;
use crate::audit::query::RecordId;
use crate::audit::{AuditDatabase, DatabaseError, DatabaseUrl};
use crate::server::Gateway;

/// How long a drawing of the fleet is shown to others who ask.
const FRESH: Duration = Duration::from_secs(3);

/// The pages of one configuration.
pub(super) struct Pages {
    archive: Option<Archive>,
    /// The fleet by period, as it was drawn last. Whoever asks while it is being drawn waits for that drawing.
    fleet: [Mutex<Option<Drawing>>; 3],
}

/// What was drawn, and when.
type Drawing = (Instant, Arc<Markup>);

/// What is asked for.
pub(super) struct Asked<'a> {
    path: &'a str,
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    now: Moment,
}

/// Why there is no page, beside an archive that gives no answer.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Away(#[from] Away),
    #[error("there is no audit database")]
    NoDatabase,
    #[error("there is no such page")]
    NotFound,
    #[error("this {0} is none that is known here")]
    Value(&'static str),
}

/// A page before its frame is around it.
struct Content {
    title: String,
    here: &'static str,
    asked: String,
    refresh: Refresh,
    status: StatusCode,
    body: Markup,
}

impl Content {
    fn new(title: impl Into<String>, here: &'static str, body: Markup) -> Self {
        let (title, asked) = (title.into(), String::new());
        Self { title, here, asked, refresh: Refresh::Never, status: StatusCode::OK, body }
    }
}

/// What an address leads to.
enum Found {
    Page(Content),
    Fragment(Markup),
    Elsewhere(String),
}

impl<'a> Asked<'a> {
    pub(super) fn new(path: &'a str, query: Option<&'a str>, now: Moment) -> Self {
        let fields = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).take(20).collect();
        Self { path, fields, now }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }

    fn before(&self) -> Result<Option<RecordId>, Refused> {
        self.record("before")
    }

    fn record(&self, name: &'static str) -> Result<Option<RecordId>, Refused> {
        let Some(text) = self.field(name) else { return Ok(None) };
        text.parse().map(|number| Some(RecordId::from_number(number))).map_err(|_| Refused::Value("record"))
    }

    fn outcome(&self) -> Result<Option<Outcome>, Refused> {
        let word = self.field("outcome").filter(|word| !word.is_empty());
        word.map(|word| Outcome::from_word(word).ok_or(Refused::Value("outcome"))).transpose()
    }
}

impl Pages {
    /// Pages of this database, or pages that say that there is none.
    pub(super) fn new(database: Option<DatabaseUrl>) -> Self {
        Self { archive: database.map(Archive::new), fleet: Default::default() }
    }

    /// The page that is asked for; one that says why there is none otherwise.
    pub(super) async fn answer(&self, gateway: &Gateway, asked: &Asked<'_>) -> Response<Full<Bytes>> {
        match self.find(gateway, asked).await {
            Ok(Found::Page(content)) => framed(&content),
            Ok(Found::Fragment(markup)) => answer::html(StatusCode::OK, markup.into_string()),
            Ok(Found::Elsewhere(address)) => answer::see_other(&address, None),
            Err(refused) => framed(&self.explain(gateway, &refused)),
        }
    }

    async fn find(&self, gateway: &Gateway, asked: &Asked<'_>) -> Result<Found, Refused> {
        let now = asked.now;
        Ok(Found::Page(match asked.path {
            "/" => self.fleet(gateway, asked).await?,
            "/search" => return self.search(asked).await,
            "/records" => {
                let choice = records::Choice::read(asked)?;
                let filter = choice.filter(now);
                let found = self.ask(move |database| database.records(&filter, records::PAGE + 1)).await?;
                Content::new("Records", "/records", choice.show(&found, now))
            }
            "/reasons" => Content::new("Reasons", "/reasons", reasons::list()),
            "/expiring" => {
                let within = asked.field("within").unwrap_or("90d").to_owned();
                let before = expiry::before(&within, now).ok_or(Refused::Value("time"))?;
                let found = self.ask(move |database| database.expiring(before, expiry::MOST)).await?;
                Content::new("Certificates that end", "/expiring", expiry::list(&found, &within, now))
            }
            "/changes" => {
                let since = Period::Month.start(now);
                let ask = move |database: &mut AuditDatabase| {
                    database.changes(since, changes::NETWORKS, changes::MOST)
                };
                Content::new("Changes", "/changes", changes::show(&self.ask(ask).await?, now))
            }
            "/live" => {
                let outcome = asked.outcome()?;
                let tail = self.ask(move |database| live::Tail::ask(database, outcome, None)).await?;
                let content = Content::new("Live", "/live", tail.show(outcome, now));
                Content { refresh: Refresh::Live, ..content }
            }
            "/live/records" => {
                let (outcome, after) = (asked.outcome()?, asked.record("after")?);
                let after = after.ok_or(Refused::Value("record"))?;
                let tail = self.ask(move |database| live::Tail::ask(database, outcome, Some(after))).await?;
                return Ok(Found::Fragment(tail.fragment(now)));
            }
            path => match path.strip_prefix("/device/").map(MacAddress::parse) {
                Some(Ok(mac)) => self.device(asked, mac).await?,
                Some(Err(_)) => return Err(Refused::Value("MAC address")),
                None => match path.strip_prefix("/reasons/") {
                    Some(code) => self.reason(code, now).await?,
                    None => return Err(Refused::NotFound),
                },
            },
        }))
    }

    async fn fleet(&self, gateway: &Gateway, asked: &Asked<'_>) -> Result<Content, Refused> {
        let period = match asked.field("since") {
            Some(word) => Period::from_word(word).ok_or(Refused::Value("period"))?,
            None => Period::Day,
        };
        let drawn = self.drawn(period, asked.now).await?;
        let body = html! { (fleet::now(gateway)) (*drawn) };
        Ok(Content::new("The fleet", "/", body))
    }

    /// The fleet as it is, or as it was a moment ago.
    async fn drawn(&self, period: Period, now: Moment) -> Result<Arc<Markup>, Refused> {
        let Some(kept) = self.fleet.get(period.index()) else { return Err(Refused::NotFound) };
        let mut kept = kept.lock().await;
        if let Some((at, drawn)) = &*kept
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(drawn));
        }
        let fleet = self.ask(move |database| Fleet::ask(database, period, now)).await?;
        let drawn = Arc::new(fleet.show(period, now));
        *kept = Some((Instant::now(), Arc::clone(&drawn)));
        Ok(drawn)
    }

    async fn search(&self, asked: &Asked<'_>) -> Result<Found, Refused> {
        let typed: String =
            asked.field("q").unwrap_or_default().trim().chars().take(search::LONGEST).collect();
        if typed.is_empty() {
            return Ok(Found::Elsewhere("/".to_owned()));
        }
        let wanted = search::Wanted::read(&typed);
        if let search::Wanted::Phone(mac) = wanted {
            return Ok(Found::Elsewhere(format!("/device/{mac}")));
        }
        let found = self.ask(move |database| search::Found::ask(database, &wanted)).await?;
        if let Some(mac) = found.only() {
            return Ok(Found::Elsewhere(format!("/device/{mac}")));
        }
        let content = Content::new(format!("Search for {typed}"), "/search", found.show(asked.now));
        Ok(Found::Page(Content { asked: typed, ..content }))
    }

    async fn device(&self, asked: &Asked<'_>, mac: MacAddress) -> Result<Content, Refused> {
        let before = asked.before()?;
        let story = self.ask(move |database| device::Story::ask(database, mac, before)).await?;
        let title = format!("Phone {}", mac.colon());
        if story.is_unknown() {
            let content = Content::new(title, "/device", search::nothing());
            return Ok(Content { status: StatusCode::NOT_FOUND, asked: mac.to_string(), ..content });
        }
        Ok(Content::new(title, "/device", story.show(asked.now)))
    }

    async fn reason(&self, code: &str, now: Moment) -> Result<Content, Refused> {
        let reason = Reason::from_code(code).ok_or(Refused::Value("reason"))?;
        let mut body = reasons::explanation(reason);
        if self.archive.is_some() {
            let counts = self.ask(move |database| reasons::counts(database, reason, now)).await;
            // What it means is told all the same where the database is away.
            if let Ok(points) = counts {
                body = html! { (body) (reasons::chart(&points, now)) };
            }
        }
        Ok(Content::new(reason.as_str(), "/reasons", body))
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&mut AuditDatabase) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, Refused> {
        let Some(archive) = &self.archive else { return Err(Refused::NoDatabase) };
        Ok(archive.ask(question).await?)
    }

    fn explain(&self, gateway: &Gateway, refused: &Refused) -> Content {
        let told = |status, title: &str, body| Content { status, ..Content::new(title, "", body) };
        match refused {
            Refused::Away(away) => {
                tracing::warn!(error = %crate::config::certificates::Causes(away), "the audit database did not answer the page");
                let url = self.archive.as_ref().map(Archive::url);
                let body =
                    html! { @if let Some(url) = url { (layout::away(away, url)) } (fleet::now(gateway)) };
                told(StatusCode::SERVICE_UNAVAILABLE, "No answer", body)
            }
            // Not an error: nobody has asked for a database yet.
            Refused::NoDatabase => {
                told(StatusCode::OK, "The fleet", html! { (layout::no_database()) (fleet::now(gateway)) })
            }
            Refused::NotFound => told(
                StatusCode::NOT_FOUND,
                "There is no such page",
                html! { p { a href="/" { "The fleet at a glance" } } },
            ),
            Refused::Value(what) => told(
                StatusCode::BAD_REQUEST,
                &format!("This {what} is none that is known here"),
                html! {
                    p { "Go back and choose another." }
                },
            ),
        }
    }
}

fn framed(content: &Content) -> Response<Full<Bytes>> {
    let Content { title, here, asked, refresh, status, body } = content;
    answer::html(*status, page(title, here, asked, *refresh, body).into_string())
}
