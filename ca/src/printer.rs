//! Output: data on stdout, everything else on stderr.

use std::error::Error;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;

/// Where a command's words go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    json: bool,
}

impl Printer {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// The result: as text made by `text`, or as JSON with `--json`.
    pub(crate) fn result(self, value: &serde_json::Value, text: impl FnOnce() -> String) {
        let mut out = if self.json { format!("{value:#}") } else { text() };
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        // A reader that went away (`| head`) is no failure of ours.
        let _closed = std::io::stdout().lock().write_all(out.as_bytes());
    }

    /// A result that a person reads in the error message instead.
    pub(crate) fn json_only(self, value: &serde_json::Value) {
        if self.json {
            self.result(value, String::new);
        }
    }

    /// Something worth knowing that is not the result.
    pub(crate) fn note(self, text: impl Display) {
        say("note", "1", &text);
    }

    /// Something that may be wrong.
    pub(crate) fn warning(self, text: impl Display) {
        say("warning", "33", &text);
    }

    /// What the operator may do next.
    pub(crate) fn hint(self, text: impl Display) {
        say("hint", "36", &text);
    }

    /// What went wrong, from the outermost level to its cause.
    pub(crate) fn error(self, error: &dyn Error) {
        say("error", "31", &with_causes(error));
    }

    /// What went wrong with one file of several.
    pub(crate) fn failure(self, path: &Path, error: &dyn Error) {
        say("error", "31", &format!("{}: {}", path.display(), with_causes(error)));
    }
}

/// An error and its causes in one line, from the outermost level in.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

fn say(word: &str, colour: &str, text: &dyn Display) {
    let mut stderr = std::io::stderr().lock();
    let coloured = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let _closed = if coloured {
        writeln!(stderr, "\u{1b}[{colour}m{word}:\u{1b}[0m {text}")
    } else {
        writeln!(stderr, "{word}: {text}")
    };
}
