//! One writer at a time on one store (CA I7).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::backend::Exclusion;
use super::files::FileError;

/// How long to wait for another writer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look: a bulk run leaves the store free for about so long between two batches.
const PAUSE: Duration = Duration::from_millis(2);

/// Held while files and rows are written; freed when dropped, and by the system when the process dies.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: File,
    _other_hosts: Option<Box<dyn Exclusion>>,
}

/// The store is in use.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody else holds it.
    #[error("the store {} is in use by {owner}", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote into it.
        owner: String,
    },
}

impl StoreLock {
    /// Waits for the lock, up to a minute.
    pub(crate) fn acquire(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::File(FileError::new("lock", path, source));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let mut owner = String::new();
                    let _unreadable = file.read_to_string(&mut owner);
                    return Err(LockError::Held { path: path.to_owned(), owner: owner.trim().to_owned() });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        let _only_for_the_message = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "process {}", std::process::id()));
        Ok(Self { _file: file, _other_hosts: None })
    }

    /// Also keeps out other hosts that share the inventory.
    pub(crate) fn with(self, other_hosts: Option<Box<dyn Exclusion>>) -> Self {
        Self { _other_hosts: other_hosts, ..self }
    }
}
