//! Reading what other programs made: folders of `openssl ca` and of easy-rsa, and loose certificates.
//!
//! Nothing is written here, and nothing that stands in those files is believed: sizes, lines and counts are bounded, a file
//! that is no plain file is not opened, and whatever cannot be used is told with its file and line. Whether a certificate
//! belongs to its authority, and what becomes of it, [`Authority`](crate::Authority) decides.

mod error;
mod files;
mod folder;
mod index;
mod known;

use std::fmt;
use std::path::{Path, PathBuf};

pub use error::ImportError;
pub(crate) use files::{certificate_files, read as read_bounded, read_bundle, read_secret};
pub(crate) use folder::{CaFolder, is_ca_folder, read_list};
pub(crate) use index::IndexLine;
pub(crate) use known::{Recogniser, known_by_subject, may_sign, printable};

/// Where something stands: a file, and the line of it where that tells more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file or folder.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: Option<usize>,
}

impl Place {
    pub(crate) fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), line: None }
    }

    pub(crate) fn line(path: &Path, line: usize) -> Self {
        Self { path: path.to_owned(), line: Some(line) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = printable(&self.path.display().to_string());
        match self.line {
            None => f.write_str(&path),
            Some(line) => write!(f, "{path}:{line}"),
        }
    }
}

/// Something about one item that the operator is to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) place: Place,
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
    /// Whether the item was left out.
    pub(crate) refused: bool,
}

impl Remark {
    pub(crate) fn refused(place: Place, what: impl Into<String>, remedy: &str) -> Self {
        Self { place, what: what.into(), remedy: Some(remedy.to_owned()), refused: true }
    }

    pub(crate) fn warning(place: Place, what: impl Into<String>, remedy: &str) -> Self {
        Self { place, what: what.into(), remedy: Some(remedy.to_owned()), refused: false }
    }
}
