//! Reading the files a configuration names.

use std::{
    cell::{Cell, RefCell},
    ffi::OsStr,
    fs::{self, File, Metadata},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use policies::document::{Diagnostic, Document, Located, Place, nearest};

/// The largest file that is read. The CRLs of a phone maker stay well below it.
const LARGEST: u64 = 64 << 20;

/// Reads files relative to the folder of the configuration file, and keeps the list of those to watch.
#[derive(Debug)]
pub(super) struct Files<'d, 't> {
    document: &'d Document<'t>,
    folder: PathBuf,
    watched: RefCell<Vec<PathBuf>>,
    /// Whether one was a pipe or the like, which is there once.
    only_once: Cell<bool>,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) metadata: Metadata,
}

impl<'d, 't> Files<'d, 't> {
    /// Files named in `document`, which stands at `source`.
    pub(super) fn beside(source: &Path, document: &'d Document<'t>) -> Self {
        let folder = source.parent().unwrap_or_else(|| Path::new("")).to_owned();
        Self { document, folder, watched: RefCell::default(), only_once: Cell::new(false) }
    }

    /// A path of the configuration, from its folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Reads a file that is edited with the configuration: rules, policies. A change takes effect when asked for.
    pub(super) fn read(&self, what: &str, path: &Located<String>) -> Option<Contents> {
        self.read_path(what, &self.resolve(&path.value), &path.place)
    }

    /// Reads a file that programs replace (a certificate, a CRL, a deny list), whose change is noticed.
    pub(super) fn read_watched(&self, what: &str, path: &Located<String>) -> Option<Contents> {
        let resolved = self.resolve(&path.value);
        self.watch(&resolved);
        self.read_path(what, &resolved, &path.place)
    }

    /// Reads a file under its resolved path; a mistake is noted at the place that led there.
    pub(super) fn read_path(&self, what: &str, path: &Path, place: &Place) -> Option<Contents> {
        let found = read(path);
        if found.as_ref().is_ok_and(|(_, metadata)| !metadata.is_file()) {
            self.only_once.set(true);
        }
        match found {
            Ok((bytes, _)) if bytes.trim_ascii().is_empty() => {
                self.document.error(place, format!("{what} {} is empty", path.display()));
                None
            }
            Ok((bytes, metadata)) => Some(Contents { path: path.to_owned(), bytes, metadata }),
            Err(error) => {
                self.document
                    .error(place, format!("{what} {} cannot be read: {}", path.display(), plain(&error)));
                None
            }
        }
    }

    /// The files of a folder in order of their names. Hidden ones and those that editors and downloads leave behind
    /// (`root.crl~`, `root.crl.tmp`) are left out.
    pub(super) fn list(&self, what: &str, folder: &Path, place: &Place) -> Option<Vec<PathBuf>> {
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        match entries {
            Ok(entries) => {
                let hidden = |path: &Path| {
                    path.file_name().map(OsStr::as_encoded_bytes).is_none_or(|name| {
                        name.starts_with(b".") || name.ends_with(b"~") || name.ends_with(b".tmp")
                    })
                };
                let mut paths: Vec<_> =
                    entries.into_iter().map(|entry| entry.path()).filter(|path| !hidden(path)).collect();
                paths.sort();
                Some(paths)
            }
            Err(error) => {
                let folder = folder.display();
                self.document.error(place, format!("{what} {folder} cannot be read: {}", plain(&error)));
                None
            }
        }
    }

    /// A policy by its shipped name, or from a file.
    pub(super) fn shipped_or_file<P>(
        &self,
        text: &Located<String>,
        what: &str,
        names: impl Iterator<Item = &'static str>,
        shipped: impl FnOnce(&str) -> Option<P>,
        parse: impl FnOnce(&str, &str) -> Result<P, Vec<Diagnostic>>,
    ) -> Option<P> {
        if let Some(policy) = shipped(&text.value) {
            return Some(policy);
        }
        let path = self.resolve(&text.value);
        if !path.exists() && !text.value.contains(['/', '.']) {
            let names: Vec<_> = names.collect();
            let hint = match nearest(&text.value, names.iter().copied()) {
                Some(name) => format!("did you mean \"{name}\"?"),
                None => format!("shipped are {}; anything else is a file", names.join(", ")),
            };
            let message =
                format!("there is no shipped {what} \"{}\" and no such file", text.value.escape_debug());
            self.document.error_with_hint(&text.place, message, hint);
            return None;
        }
        let contents = self.read(what, text)?;
        match parse(&contents.path.display().to_string(), self.text(what, text, &contents)?) {
            Ok(policy) => Some(policy),
            Err(found) => {
                self.document.extend(found);
                None
            }
        }
    }

    /// A file's contents as UTF-8.
    pub(super) fn text<'c>(
        &self,
        what: &str,
        named: &Located<String>,
        contents: &'c Contents,
    ) -> Option<&'c str> {
        let text = std::str::from_utf8(&contents.bytes);
        if let Err(error) = text {
            let before = contents.bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            let message = format!("{what} {} line {line} is not UTF-8 text", contents.path.display());
            self.document.error(&named.place, message);
        }
        text.ok()
    }

    /// Has a change of this file or folder lead to a reload.
    pub(super) fn watch(&self, path: &Path) {
        let mut watched = self.watched.borrow_mut();
        if !watched.iter().any(|known| known == path) {
            watched.push(path.to_owned());
        }
    }

    /// The document the files are named in.
    pub(super) const fn document(&self) -> &'d Document<'t> {
        self.document
    }

    /// Whether all that were read so far can be read again.
    pub(super) fn can_be_read_again(&self) -> bool {
        !self.only_once.get()
    }

    /// The files and folders whose change leads to a reload.
    pub(super) fn into_watched(self) -> Vec<PathBuf> {
        self.watched.into_inner()
    }
}

/// Reads a file of at most [`LARGEST`] bytes.
pub(super) fn read(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 MiB"));
    }
    Ok((bytes, metadata))
}

/// An I/O error without the number that only a programmer wants.
pub(super) fn plain(error: &io::Error) -> String {
    let words = [
        (io::ErrorKind::NotFound, "there is no such file"),
        (io::ErrorKind::PermissionDenied, "permission denied"),
        (io::ErrorKind::IsADirectory, "it is a folder"),
        (io::ErrorKind::NotADirectory, "part of its path is a file"),
    ];
    let known = words.into_iter().find(|(kind, _)| *kind == error.kind());
    known.map_or_else(|| error.to_string(), |(_, words)| words.to_owned())
}
