//! Reading a TOML file so that a person can mend it.
//!
//! Every file this product reads (the gateway's configuration, TLS policies, identity profiles, request rules) goes
//! through this reader. It collects *every* mistake, each with file, line, column and key, and refuses keys it was
//! never asked for, with the nearest known one as a hint.
//!
//! ```
//! use policies::document::Document;
//! use std::time::Duration;
//!
//! let text = "name = \"lab\"\ntimeout = \"10s\"\n";
//! let document = Document::parse("lab.toml", text).unwrap();
//! let root = document.root();
//! let name = root.string("name"); // missing: a mistake, and `None`
//! let timeout = root.optional_duration("timeout", Duration::from_secs(1)..=Duration::from_secs(60));
//! root.finish(); // any other key in the file is a mistake
//! let warnings = document.finish().expect("no mistakes");
//!
//! assert!(warnings.is_empty());
//! assert_eq!(name.unwrap().value, "lab");
//! assert_eq!(timeout.unwrap().value, Duration::from_secs(10));
//! ```
//!
//! How to use it:
//!
//! - Ask a [`Table`] for each key it may hold. A reader returns `None` when the key is absent or its value is wrong;
//!   the mistake is already noted, so a caller reads on and stops once, at [`Document::finish`].
//! - `string(…)` and its like want the key; `optional_string(…)` do not.
//! - What a reader cannot know (a file that is not there, two keys that exclude each other) the caller notes with
//!   [`Document::error`] at the [`Place`] of the value.
//! - A table notes its unknown keys when it is finished or dropped: the keys it was asked for are the known ones.

mod diagnostic;
mod item;
mod nearest;
mod table;
mod unit;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use toml::de::DeTable;

pub use diagnostic::{Diagnostic, Severity};
pub use item::Item;
pub use nearest::nearest;
pub use table::Table;
pub use unit::{Date, UnitError, parse_duration, parse_size};

/// A TOML file that was understood as TOML, and the mistakes found in it since.
#[derive(Debug)]
pub struct Document<'t> {
    file: Arc<str>,
    /// Byte offset at which each line begins.
    line_starts: Vec<usize>,
    text: &'t str,
    root: DeTable<'t>,
    diagnostics: RefCell<Vec<Diagnostic>>,
}

/// Where a value stands: line and column count from 1, and the column counts characters.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The path of keys to it, as in `host[0].trust[1].anchors`; empty for the document itself.
    pub key: String,
}

/// A value and where it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands in its file.
    pub place: Place,
}

impl<T> Located<T> {
    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), place: self.place }
    }
}

impl<'t> Document<'t> {
    /// Reads `text`, which came from `file`. Text that is not TOML gives every syntax mistake in it.
    pub fn parse(file: &str, text: &'t str) -> Result<Self, Vec<Diagnostic>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut document = Self {
            file: Arc::from(file),
            line_starts: line_starts(text),
            text,
            root: DeTable::new(),
            diagnostics: RefCell::default(),
        };
        for error in errors {
            let place = document.place(error.span().unwrap_or_default(), String::new());
            document.error(&place, error.message());
        }
        if document.has_errors() {
            return Err(document.into_diagnostics());
        }
        document.root = root.into_inner();
        Ok(document)
    }

    /// The name the file was given.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The top of the document. Read it once: each reading notes the keys it was not asked for.
    pub fn root(&self) -> Table<'_, 't> {
        Table::new(self, &self.root, Place { line: 1, column: 1, key: String::new() })
    }

    /// Notes a mistake.
    pub fn error(&self, place: &Place, message: impl Into<String>) {
        self.note(place, Severity::Error, message.into(), None);
    }

    /// Notes a mistake whose remedy is known.
    pub fn error_with_hint(&self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        self.note(place, Severity::Error, message.into(), Some(hint.into()));
    }

    /// Notes something that works but deserves a look.
    pub fn warning(&self, place: &Place, message: impl Into<String>, hint: Option<String>) {
        self.note(place, Severity::Warning, message.into(), hint);
    }

    /// Takes over what was found in another file that this one names.
    pub fn extend(&self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        self.diagnostics.borrow_mut().extend(diagnostics);
    }

    /// Whether a mistake was noted so far. Warnings do not count.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.borrow().iter().any(Diagnostic::is_error)
    }

    /// The warnings, or everything that was noted when a mistake is among it; in the order of the file.
    pub fn finish(self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let failed = self.has_errors();
        let diagnostics = self.into_diagnostics();
        if failed { Err(diagnostics) } else { Ok(diagnostics) }
    }

    fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics.into_inner();
        // Stable: what was noted for one place stays in the order it was noted. Other files' notes keep together.
        let own = &*self.file;
        diagnostics.sort_by(|a, b| {
            let rank = |d: &Diagnostic| (d.file != own, d.file.clone(), d.line, d.column);
            rank(a).cmp(&rank(b))
        });
        diagnostics
    }

    fn note(&self, place: &Place, severity: Severity, message: String, hint: Option<String>) {
        self.diagnostics.borrow_mut().push(Diagnostic {
            file: self.file.to_string(),
            line: place.line,
            column: place.column,
            key: place.key.clone(),
            message,
            hint,
            severity,
        });
    }

    fn place(&self, span: Range<usize>, key: String) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= span.start);
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..span.start).unwrap_or("");
        Place { line: line.max(1), column: before.chars().count() + 1, key }
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// `host` and `trust` to `host.trust`; keys that need quotes get them.
fn join_key(parent: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let mut path = String::from(parent);
    if !path.is_empty() {
        path.push('.');
    }
    if bare {
        path.push_str(key);
    } else {
        // Writing to a String cannot fail.
        let _ = write!(path, "{key:?}");
    }
    path
}

#[cfg(test)]
mod tests;
