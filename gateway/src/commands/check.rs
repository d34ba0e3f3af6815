//! `check`: every mistake of a configuration with its line, or what each host will do.

use std::io;

use certs::Timestamp;

use self::picture::Picture;
use super::{Outcome, Streams};
use crate::{cli, config::Config, printer};

mod picture;
mod text;

/// Checks the configuration as of `now` and says what is wrong with it or what it means.
///
/// # Errors
/// When a stream is closed.
pub fn check(arguments: &cli::Check, now: Timestamp, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    match Config::load(&arguments.config, now) {
        Ok(config) => {
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
