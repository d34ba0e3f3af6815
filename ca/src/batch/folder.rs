//! Writing a folder that may lie on a stick: whole, or known as unfinished and written anew.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{BatchError, MANIFEST, SIGNATURE};
use crate::error::IssueError;
use crate::import::read_bounded;
use crate::store::{FileError, folder_of, make_folder, sync_folder, write_replacing};

/// Lies in a folder from before its first file until after its last, and names them: what a killed command left can so be told
/// from what somebody else put there.
const UNFINISHED: &str = ".unfinished";

/// The first line of that file.
const HEADING: &str = "provision-ca root batch, unfinished";

/// Most octets of that file: the names of the most items, each of a hundred octets at most.
const MOST_NAMES: u64 = 128 * 1024;

/// How files begin that a killed process was just writing.
const WRITING: &str = ".writing-";

/// What is where a folder is to be written.
enum Room {
    /// Nothing, or an empty folder.
    Free,
    /// What a killed command left: these files, and the mark.
    Left(Vec<PathBuf>),
    /// The folder of this very manifest, and in it files that a killed command was just writing.
    Same(Vec<PathBuf>),
}

/// Whether a folder can be written there.
///
/// # Errors
/// Something else is there.
pub(crate) fn check_room(folder: &Path) -> Result<(), IssueError> {
    look(folder, None).map(drop)
}

/// Writes a folder: the files first, the signature last, so that one without it is not finished. One of the same batch is
/// written over, what a killed command left is written anew, and anything else is left alone.
///
/// # Errors
/// Something else is there, or it cannot be written.
pub(crate) fn write(
    folder: &Path,
    files: &[(String, Vec<u8>)],
    manifest: &[u8],
    signature: &[u8],
) -> Result<(), IssueError> {
    let mark = folder.join(UNFINISHED);
    match look(folder, Some(manifest))? {
        Room::Free => {
            make_folder(folder, 0o755)?;
            sync_folder(folder_of(folder))?;
        }
        Room::Left(left) | Room::Same(left) => left.iter().try_for_each(|path| remove(path))?,
    }
    let mut names = HEADING.to_owned();
    for (name, _) in files {
        names.push('\n');
        names.push_str(name);
    }
    write_replacing(&mark, names.as_bytes(), 0o644)?;
    for (name, octets) in files {
        write_replacing(&folder.join(name), octets, 0o644)?;
    }
    write_replacing(&folder.join(MANIFEST), manifest, 0o644)?;
    write_replacing(&folder.join(SIGNATURE), signature, 0o644)?;
    remove(&mark)?;
    Ok(sync_folder(folder)?)
}

fn look(folder: &Path, manifest: Option<&[u8]>) -> Result<Room, IssueError> {
    let in_the_way = || BatchError::InTheWay { path: folder.to_owned() }.into();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Room::Free),
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Err(in_the_way()),
        Err(source) => return Err(FileError::new("read", folder, source).into()),
    };
    let mut found = Vec::new();
    for entry in entries {
        found.push(entry.map_err(|source| FileError::new("read", folder, source))?.file_name());
    }
    if found.is_empty() {
        return Ok(Room::Free);
    }
    let most = manifest.and_then(|manifest| u64::try_from(manifest.len()).ok()).unwrap_or(0);
    if manifest.is_some() && read_bounded(&folder.join(MANIFEST), most).ok().as_deref() == manifest {
        found.retain(is_being_written);
        return Ok(Room::Same(found.iter().map(|name| folder.join(name)).collect()));
    }
    // Only a name that begins as ours do is there before the mark is.
    let names = read_bounded(&folder.join(UNFINISHED), MOST_NAMES).unwrap_or_default();
    let names = String::from_utf8(names).unwrap_or_default();
    let mut names = names.lines();
    let is_marked = names.next() == Some(HEADING);
    let names: Vec<OsString> = names.map(OsString::from).collect();
    let is_ours = |name: &OsString| {
        let of_a_batch = name == UNFINISHED || name == MANIFEST || name == SIGNATURE || names.contains(name);
        is_being_written(name) || is_marked && of_a_batch
    };
    if !found.iter().all(is_ours) {
        return Err(in_the_way());
    }
    // The mark goes last: killed here, the next one knows the folder still.
    found.retain(|name| name != UNFINISHED);
    Ok(Room::Left(found.iter().map(|name| folder.join(name)).collect()))
}

fn is_being_written(name: &OsString) -> bool {
    name.to_string_lossy().starts_with(WRITING)
}

/// Whether a folder says that it is not whole.
pub(super) fn is_unfinished(folder: &Path) -> bool {
    folder.join(UNFINISHED).is_file()
}

/// Whether a folder was finished that has this file.
pub(crate) fn is_finished_with(folder: &Path, content: &[u8]) -> bool {
    let is_it = |entry: fs::DirEntry| {
        let most = u64::try_from(content.len()).unwrap_or(0);
        read_bounded(&entry.path(), most).is_ok_and(|found| found == content)
    };
    folder.join(SIGNATURE).is_file()
        && !is_unfinished(folder)
        && fs::read_dir(folder).into_iter().flatten().flatten().any(is_it)
}

fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(FileError::new("remove", path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<(String, Vec<u8>)> {
        vec![("1-a.csr".to_owned(), b"one".to_vec()), ("2-b.csr".to_owned(), b"two".to_vec())]
    }

    fn put(path: &Path, text: &str) {
        write_replacing(path, text.as_bytes(), 0o644).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_command_left_is_written_anew_wherever_it_was_killed() {
        let mark = format!("{HEADING}\n1-a.csr\n9-old.csr");
        let left: [&[(&str, &str)]; 5] = [
            &[],
            &[(".writing-x1", "half")],
            &[(UNFINISHED, &mark), (".writing-x1", "half")],
            &[(UNFINISHED, &mark), ("1-a.csr", "on"), ("9-old.csr", "x")],
            &[(UNFINISHED, &mark), ("1-a.csr", "one"), (MANIFEST, "{other}"), (SIGNATURE, "s")],
        ];
        for left in left {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in left {
                put(&folder.path().join(name), text);
            }
            check_room(folder.path()).unwrap();
            write(folder.path(), &files(), b"{}", b"s").unwrap();
            assert_eq!(names(folder.path()), ["1-a.csr", "2-b.csr", MANIFEST, SIGNATURE], "{left:?}");
        }
    }

    #[test]
    fn what_somebody_else_put_there_is_left_alone() {
        let mark = format!("{HEADING}\n1-a.csr");
        let theirs: [&[(&str, &str)]; 4] = [
            &[("1-a.csr", "mine")],
            &[(MANIFEST, "{other}")],
            &[(UNFINISHED, "a note of mine"), ("1-a.csr", "mine")],
            &[(UNFINISHED, &mark), ("1-a.csr", "one"), ("letter", "mine")],
        ];
        for theirs in theirs {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in theirs {
                put(&folder.path().join(name), text);
            }
            let before = names(folder.path());
            let refused = write(folder.path(), &files(), b"{}", b"s").unwrap_err();
            assert!(matches!(refused, IssueError::Batch(BatchError::InTheWay { .. })), "{theirs:?}");
            assert_eq!(names(folder.path()), before);
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        put(&file, "mine");
        assert!(check_room(&file).is_err());
    }

    #[test]
    fn the_same_batch_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &files(), b"{}", b"s").unwrap();
        put(&folder.path().join(".writing-x1"), "half");
        write(folder.path(), &files(), b"{}", b"t").unwrap();
        assert_eq!(fs::read(folder.path().join(SIGNATURE)).unwrap(), b"t");
        assert_eq!(names(folder.path()), ["1-a.csr", "2-b.csr", MANIFEST, SIGNATURE]);
        assert!(is_finished_with(folder.path(), b"two") && !is_finished_with(folder.path(), b"three"));
        assert!(check_room(folder.path()).is_err(), "a request is never written over");
    }
}
