//! A folder of profiles.
//!
//! GET and HEAD of regular files, with ranges and conditions (RFC 9110 §13, §14). There is no listing and no index file.
//! A name that begins with a dot is not served, and neither is a file that a symbolic link puts outside the folder.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use http::{Method, Request, Response, StatusCode};
use tower_http::services::ServeFile;
use tower_http::services::fs::ServeFileSystemResponseBody;

use crate::request::target;

/// A folder whose files are served.
#[derive(Debug)]
pub(crate) struct Directory {
    folder: PathBuf,
}

/// What asking for a file gives.
pub(crate) enum Served {
    File(Response<ServeFileSystemResponseBody>),
    /// The status of an answer without a file.
    Status(StatusCode),
}

impl Directory {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Answers `request`, whose path is normalised.
    ///
    /// # Errors
    ///
    /// The folder or a file in it cannot be read.
    pub(crate) async fn serve(&self, request: Request<()>) -> io::Result<Served> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Ok(Served::Status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let Some(path) = relative(request.uri().path()) else {
            return Ok(Served::Status(StatusCode::NOT_FOUND));
        };
        let folder = self.folder.clone();
        let found =
            tokio::task::spawn_blocking(move || find(&folder, &path)).await.map_err(io::Error::other)?;
        match found {
            Ok(Some(file)) => Ok(Served::File(ServeFile::new(file).try_call(request).await?)),
            Ok(None) => Ok(Served::Status(StatusCode::NOT_FOUND)),
            Err(error) if is_absence(&error) => Ok(Served::Status(StatusCode::NOT_FOUND)),
            Err(error) => Err(error),
        }
    }
}

/// The file that `path` names below the folder, its escapes decoded; none for names that are not served.
fn relative(path: &str) -> Option<PathBuf> {
    let mut file = PathBuf::new();
    for segment in path.strip_prefix('/')?.split('/') {
        if segment.is_empty() || segment.starts_with('.') {
            return None;
        }
        file.push(decoded(segment)?);
    }
    Some(file)
}

fn decoded(segment: &str) -> Option<OsString> {
    let mut name = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'%' => target::escaped(bytes.next(), bytes.next()).ok()?,
            byte => byte,
        });
    }
    Some(OsString::from_vec(name))
}

/// The regular file at `path` below `folder`, links resolved, unless they lead out.
fn find(folder: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let folder = folder.canonicalize()?;
    let file = folder.join(path).canonicalize()?;
    Ok((file.starts_with(&folder) && file.metadata()?.is_file()).then_some(file))
}

/// Whether there is no such file, rather than one that cannot be read.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
}
