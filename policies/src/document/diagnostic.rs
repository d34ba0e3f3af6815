//! One mistake or warning, for a person.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The file is not used.
    Error,
    /// The file is used, and someone should look.
    Warning,
}

/// A mistake or a warning, with where it stands. `Display` gives ``gateway.toml:12:3: `listener[0].tls`: message``; the
/// hint is for the printer's `hint:` line.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Diagnostic {
    /// The file as the caller named it.
    pub file: String,
    /// Line from 1; 0 when the whole file is meant (it cannot be read, say).
    pub line: usize,
    /// Column in characters from 1; 0 when the whole line or file is meant.
    pub column: usize,
    /// The path of keys; empty when no key is meant.
    pub key: String,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it, when we know.
    pub hint: Option<String>,
    /// Whether the file can still be used.
    pub severity: Severity,
}

impl Diagnostic {
    /// A mistake that concerns a whole file: it is missing, unreadable, empty.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of_line(file, 0, message)
    }

    /// A mistake in a line of a file that is not TOML.
    pub fn of_line(file: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line,
            column: 0,
            key: String::new(),
            message: message.into(),
            hint: None,
            severity: Severity::Error,
        }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it stops the file from being used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}
