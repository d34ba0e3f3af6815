//! Files that are there whole or not at all, with the modes that keys need (CA H1).

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl FileError {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }

    /// What the system said.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Writes a file that must not exist yet, flushed to the disk, with exactly these permission bits.
pub(crate) fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let result =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
            let written = fill(&mut file, content, mode);
            if written.is_err() {
                let _unfinished = fs::remove_file(path);
            }
            written
        });
    result.map_err(|source| FileError::new("write", path, source))
}

/// The same without the flush, for whoever flushes many files at once.
pub(crate) fn write_later(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let result =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
            if !has_mode(&file.metadata()?, mode) {
                file.set_permissions(Permissions::from_mode(mode))?;
            }
            file.write_all(content)
        });
    result.map_err(|source| FileError::new("write", path, source))
}

/// Writes a file, or puts new content in its place in one step: a reader sees the old or the new, never half.
pub(crate) fn write_replacing(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    write_by_way_of(folder_of(path), path, content, mode)
}

/// The same, gathered in another folder of the same file system: nothing half-written ever lies beside the file, even
/// when the process is killed.
pub(crate) fn write_by_way_of(
    workshop: &Path,
    path: &Path,
    content: &[u8],
    mode: u32,
) -> Result<(), FileError> {
    let result =
        tempfile::Builder::new().prefix(".writing-").tempfile_in(workshop).and_then(|mut temporary| {
            fill(temporary.as_file_mut(), content, mode)?;
            temporary.persist(path).map_err(|error| error.error)?;
            Ok(())
        });
    result.map_err(|source| FileError::new("write", path, source))?;
    sync_folder(folder_of(path))
}

/// The folder a file lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Makes a new name in this folder survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .map_err(|source| FileError::new("flush", folder, source))
}

/// Sets permission bits.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), FileError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|source| FileError::new("set the permissions of", path, source))
}

/// Sets the permission bits of what was just made, when the process's mask left out some: asking is much cheaper than setting,
/// and a batch makes many.
pub(crate) fn ensure_mode(path: &Path, mode: u32) -> Result<(), FileError> {
    let found = fs::metadata(path).map_err(|source| FileError::new("read", path, source))?;
    if has_mode(&found, mode) { Ok(()) } else { set_mode(path, mode) }
}

fn has_mode(found: &fs::Metadata, mode: u32) -> bool {
    found.permissions().mode() & 0o7777 == mode
}

/// Removes a folder and what is in it, when it exists.
pub(crate) fn remove_tree(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(FileError::new("remove", path, source)),
    }
}

fn fill(file: &mut File, content: &[u8], mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h1_a_key_file_is_0600_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        write_new(&path, b"one", 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = write_new(&path, b"two", 0o600).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn replacing_leaves_nothing_else_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.crl");
        write_replacing(&path, b"one", 0o644).unwrap();
        write_replacing(&path, b"two", 0o644).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
