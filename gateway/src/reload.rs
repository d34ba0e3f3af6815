//! When to read the configuration again: on SIGHUP, and when one of its files changed and then stood still.
//!
//! The files are looked at twice a second by size and modification time; a change counts once both stood still
//! for a second, so that a list that is being copied is not read half-way.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// How often the files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long size and time must have stood still.
const STILL_FOR: Duration = Duration::from_secs(1);

/// What of each file would change with its content; `None` for a file that is not there.
type Look = BTreeMap<PathBuf, Option<Marks>>;

/// Size, modification time, and what tells a file that was moved into another's place with its old time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marks {
    size: u64,
    modified: SystemTime,
    /// Seconds and nanoseconds since 1970 of the last change to the file or its name.
    changed: (i64, i64),
    inode: u64,
}

impl Marks {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// Watches the files of a configuration.
#[derive(Debug)]
pub struct Watch {
    files: Vec<PathBuf>,
    loaded: Look,
    seen: Look,
    changed_at: Option<Instant>,
}

impl Watch {
    /// Begins with the files as they are now, which were read at `loaded_at` or moments later. A folder stands for
    /// the files in it. Files that changed about then may have changed after they were read, and count as changed.
    pub fn new(files: &[PathBuf], loaded_at: SystemTime) -> Self {
        let seen = look(files);
        let read_at = loaded_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let just_then =
            |marks: &Marks| u64::try_from(marks.changed.0).is_ok_and(|changed| changed >= read_at);
        let doubtful = seen.values().flatten().any(just_then);
        let (loaded, changed_at) =
            if doubtful { (Look::new(), Some(Instant::now())) } else { (seen.clone(), None) };
        Self { files: files.to_vec(), loaded, seen, changed_at }
    }

    /// Whether these are not the files it watches.
    pub fn is_of_others(&self, files: &[PathBuf]) -> bool {
        self.files != files
    }

    /// Looks again; `true` once a change has settled. The change then counts as taken.
    pub fn settled_change(&mut self, now: Instant) -> bool {
        let seen = look(&self.files);
        if seen != self.seen {
            self.seen = seen;
            self.changed_at = Some(now);
            return false;
        }
        let Some(changed_at) = self.changed_at else { return false };
        if now < changed_at + STILL_FOR {
            return false;
        }
        self.changed_at = None;
        let changed = self.loaded != self.seen;
        self.loaded.clone_from(&self.seen);
        changed
    }
}

fn look(files: &[PathBuf]) -> Look {
    let mut seen = Look::new();
    for file in files {
        let Ok(metadata) = std::fs::metadata(file) else {
            seen.insert(file.clone(), None);
            continue;
        };
        if metadata.is_dir() {
            look_into(file, &mut seen);
        }
        seen.insert(file.clone(), Some(Marks::of(&metadata)));
    }
    seen
}

fn look_into(folder: &Path, seen: &mut Look) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // `metadata` of the path follows symbolic links, as reading the file does.
        if let Ok(metadata) = std::fs::metadata(entry.path()) {
            seen.insert(entry.path(), Some(Marks::of(&metadata)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_stood_still_for_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let deny = folder.path().join("deny.txt");
        put(&deny, "one\n");
        let files = [deny.clone()];
        let start = Instant::now();
        let mut watch = Watch::new(&files, later());
        assert!(!watch.settled_change(start));
        put(&deny, "one\ntwo\n");
        assert!(!watch.settled_change(start), "just changed");
        assert!(!watch.settled_change(start + Duration::from_millis(900)));
        put(&deny, "one\ntwo\nthree\n");
        assert!(!watch.settled_change(start + Duration::from_millis(1100)), "changed again");
        assert!(!watch.settled_change(start + Duration::from_millis(2000)));
        assert!(watch.settled_change(start + Duration::from_millis(2100)));
        assert!(!watch.settled_change(start + Duration::from_secs(9)), "taken once");
    }

    #[test]
    fn a_file_that_comes_or_goes_in_a_watched_folder_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().to_path_buf()];
        let start = Instant::now();
        let mut watch = Watch::new(&files, later());
        put(&folder.path().join("new.crl"), "x");
        assert!(!watch.settled_change(start));
        assert!(watch.settled_change(start + Duration::from_secs(1)));
        std::fs::remove_file(folder.path().join("new.crl")).unwrap();
        assert!(!watch.settled_change(start + Duration::from_secs(2)));
        assert!(watch.settled_change(start + Duration::from_secs(3)));
    }

    #[test]
    fn a_file_that_changed_while_it_was_read_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let deny = folder.path().join("deny.txt");
        put(&deny, "one\n");
        let files = [deny];
        let start = Instant::now();
        let mut doubtful = Watch::new(&files, SystemTime::UNIX_EPOCH);
        assert!(doubtful.settled_change(start + Duration::from_secs(3)));
        assert!(!doubtful.settled_change(start + Duration::from_secs(9)), "once");
        let mut sure = Watch::new(&files, later());
        assert!(!sure.settled_change(start + Duration::from_secs(3)));
    }

    /// Files made in a test are older than this.
    fn later() -> SystemTime {
        crate::clock::system() + Duration::from_secs(60)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fn put(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }
}
