//! A folder of one test.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// A temporary folder, gone when dropped. Every user may read it, since Apache's workers run as one of their own.
#[derive(Debug)]
pub struct WorkDir(TempDir);

impl WorkDir {
    /// An empty one.
    ///
    /// # Panics
    /// The system has no room for it.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("provision-test-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The full path of a file in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file, and the folders above it.
    ///
    /// # Panics
    /// The system refuses.
    #[expect(
        clippy::disallowed_methods,
        reason = "some tests want the reader to see a file grow, and none minds"
    )]
    pub fn write(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// Writes a file that only its owner may read: a private key.
    ///
    /// # Panics
    /// The system refuses.
    pub fn write_private(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(name, contents);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Puts a file in place of another in one step, as an operator's tools do.
    ///
    /// # Panics
    /// The system refuses.
    pub fn replace(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
        // Beside the folder that may be watched, not in it.
        let new = self.write(".replacing", contents);
        fs::rename(new, self.join(name)).unwrap();
    }
}

impl Default for WorkDir {
    fn default() -> Self {
        Self::new()
    }
}
