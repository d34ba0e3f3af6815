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

    /// Text that is the result, whatever the form.
    pub(crate) fn text(self, text: &str) {
        let _closed = std::io::stdout().lock().write_all(text.as_bytes());
    }

    /// Text that is part of the result for people, and stands in the JSON elsewhere.
    pub(crate) fn text_only(self, text: &str) {
        if !self.json {
            self.text(text);
        }
    }

    /// A result of many parts, printed as they come: under one key of a JSON object, or as lines.
    pub(crate) fn listing(self, key: &str) -> Listing {
        Listing { json: self.json, key: key.to_owned(), count: 0, closed: false }
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

/// A result of many parts.
#[derive(Debug)]
pub(crate) struct Listing {
    json: bool,
    key: String,
    count: u64,
    closed: bool,
}

impl Listing {
    /// A line that is no part, a heading perhaps; not in JSON.
    pub(crate) fn text(&mut self, line: &str) {
        if !self.json {
            self.write(line);
        }
    }

    /// One part.
    pub(crate) fn item(&mut self, value: &serde_json::Value, line: &str) {
        if !self.json {
            self.write(line);
            return;
        }
        let before = if self.count == 0 { format!("{{\n  \"{}\": [\n", self.key) } else { ",\n".to_owned() };
        let indented = format!("{value:#}").replace('\n', "\n    ");
        self.write(&format!("{before}    {indented}"));
        self.count += 1;
    }

    /// Nothing follows.
    pub(crate) fn end(mut self) {
        if !self.json {
            return;
        }
        let end = if self.count == 0 {
            format!("{{\n  \"{}\": []\n}}\n", self.key)
        } else {
            "\n  ]\n}\n".to_owned()
        };
        self.write(&end);
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    fn write(&mut self, text: &str) {
        // A reader that went away (`| head`) is no failure of ours.
        self.closed |= std::io::stdout().lock().write_all(text.as_bytes()).is_err();
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
