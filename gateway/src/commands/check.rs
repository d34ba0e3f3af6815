//! `check`: every mistake of a configuration with its line, or what each host will do.

use std::io;

use certs::Timestamp;
use policies::document::{Diagnostic, Severity};

use self::picture::Picture;
use super::{Outcome, Streams};
use crate::{cli, config::Config, descriptors, printer};

mod beside;
mod picture;
mod text;

/// Checks the configuration as of `now` and says what is wrong with it or what it means.
///
/// # Errors
/// When a stream is closed.
pub fn check(arguments: &cli::Check, now: Timestamp, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    // A limit that cannot be read or raised is for the start to report: it may be another one then.
    check_within(arguments, now, descriptors::raise().unwrap_or(u64::MAX), streams)
}

/// The same where `open_files` may be open at once.
fn check_within(
    arguments: &cli::Check,
    now: Timestamp,
    open_files: u64,
    streams: &mut Streams<'_>,
) -> io::Result<Outcome> {
    match Config::load(&arguments.config, now) {
        Ok(mut config) => {
            if let Some((message, hint)) = descriptors::shortage(&config.limits, open_files) {
                let found = Diagnostic::of_file(config.source.display().to_string(), message).with_hint(hint);
                config.warnings.push(Diagnostic { severity: Severity::Warning, ..found });
            }
            let picture = Picture::of(&config, now);
            if arguments.json {
                serde_json::to_writer_pretty(&mut *streams.out, &picture)?;
                writeln!(streams.out)?;
            } else {
                text::write(streams.out, &picture)?;
                printer::diagnostics(streams.err, &config.warnings)?;
            }
            Ok(Outcome::Done)
        }
        Err(found) => {
            if arguments.json {
                serde_json::to_writer_pretty(
                    &mut *streams.out,
                    &picture::mistakes(&arguments.config, &found),
                )?;
                writeln!(streams.out)?;
            } else {
                printer::diagnostics(streams.err, &found)?;
            }
            Ok(Outcome::Refused)
        }
    }
}

#[cfg(test)]
mod tests;
