//! `explain`: what would happen to one request of one phone, step by step.
//!
//! The steps are the same functions that serve: host selection, verification, admission, normalisation, rules, header fields.
//! Only the handshake is left out, and with it what depends on a connection.

use std::{io, net::IpAddr};

use certs::Timestamp;
use http::{Uri, uri::Scheme};

use self::report::Report;
use super::presented::{PresentedError, presented};
use super::{Outcome, Streams};
use crate::{cli, config::Config, printer};

mod report;
mod walk;

/// What is asked, checked.
#[derive(Debug)]
struct Question {
    /// What the phone presents, if anything: DER, its own certificate first.
    presented: Option<Vec<Vec<u8>>>,
    /// The host of the URL as it would be sent as server name; none for an address.
    server_name: Option<String>,
    /// The URL's authority, for `Host`.
    authority: String,
    /// Path and query.
    target: http::uri::PathAndQuery,
    method: http::Method,
    user_agent: Option<http::HeaderValue>,
    at: Timestamp,
}

/// Why a question cannot be answered.
#[derive(Debug, thiserror::Error)]
enum QuestionError {
    #[error(transparent)]
    Certificate(#[from] PresentedError),
    #[error("\"{0}\" is no request method")]
    Method(String),
    #[error("\"{0}\" is no time")]
    Time(String),
    #[error("\"{0}\" is no https URL with a host")]
    Url(String),
    #[error("the User-Agent cannot be sent in a request")]
    UserAgent,
}

impl QuestionError {
    const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Url(_) => Some("such as https://prov.example.com/000e08abcdef.cfg"),
            Self::Time(_) => Some("such as 2026-11-23T02:25:11Z"),
            Self::Certificate(error) => error.hint(),
            Self::Method(_) | Self::UserAgent => None,
        }
    }
}

/// Explains one request as of `now`, or of the time that is asked for. Done when it would be permitted.
///
/// # Errors
/// When a stream is closed.
pub fn explain(arguments: &cli::Explain, now: Timestamp, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let question = match Question::read(arguments, now) {
        Ok(question) => question,
        Err(error) => {
            printer::error(streams.err, &error, error.hint())?;
            return Ok(Outcome::Refused);
        }
    };
    let config = match Config::load(&arguments.config, question.at) {
        Ok(config) => config,
        Err(found) => {
            printer::diagnostics(streams.err, &found)?;
            return Ok(Outcome::Refused);
        }
    };
    let report = walk::walk(&config, &question);
    write(&report, arguments.json, streams)?;
    Ok(if report.permitted() { Outcome::Done } else { Outcome::Refused })
}

fn write(report: &Report, json: bool, streams: &mut Streams<'_>) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *streams.out, report)?;
        return writeln!(streams.out);
    }
    report.write(streams.out)
}

impl Question {
    fn read(arguments: &cli::Explain, now: Timestamp) -> Result<Self, QuestionError> {
        let cli::Explain { config: _, certificate, url, method, user_agent, at, json: _ } = arguments;
        let bad_url = || QuestionError::Url(url.clone());
        let uri: Uri = url.parse().map_err(|_| bad_url())?;
        let authority =
            uri.authority().filter(|authority| !authority.host().is_empty()).ok_or_else(bad_url)?;
        if uri.scheme() != Some(&Scheme::HTTPS) || authority.as_str().contains('@') {
            return Err(bad_url());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_address = host.parse::<IpAddr>().is_ok();
        Ok(Self {
            presented: certificate.as_deref().map(presented).transpose()?,
            server_name: (!is_address).then(|| host.to_ascii_lowercase()),
            authority: authority.to_string(),
            target: uri.path_and_query().cloned().ok_or_else(bad_url)?,
            method: method.parse().map_err(|_| QuestionError::Method(method.clone()))?,
            user_agent: match user_agent {
                Some(text) => Some(text.parse().map_err(|_| QuestionError::UserAgent)?),
                None => None,
            },
            at: match at {
                Some(text) => {
                    Timestamp::parse_rfc3339(text).ok_or_else(|| QuestionError::Time(text.clone()))?
                }
                None => now,
            },
        })
    }
}

#[cfg(test)]
mod tests;
