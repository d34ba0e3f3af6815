//! A folder of profiles.
//!
//! GET and HEAD of regular files, with ranges and conditions (RFC 9110 §13, §14). There is no listing and no index file.
//! A name that begins with a dot is not served, and neither is a file that a symbolic link puts outside the folder.
//!
//! Profiles are small, and after a power cut every phone wants one: a small file asked for whole is found and read in one
//! visit to the blocking threads. Ranges, conditions and large files are tower-http's.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tower_http::services::ServeFile;

use crate::request::target;
use crate::respond::Body;

/// The largest file that is read in one piece.
const SMALL: u64 = 128 * 1024;

/// Files looked for at once. A folder on a file server that hangs holds a thread for each, and the gateway's other work
/// needs some too; the rest wait in order under their deadline.
const LOOKS: usize = 64;

/// A folder whose files are served.
#[derive(Debug)]
pub(crate) struct Directory {
    folder: PathBuf,
    /// Until the answer's head is there.
    deadline: Duration,
    places: Arc<Semaphore>,
}

/// What asking for a file gives.
pub(crate) enum Served {
    File(Response<Body>),
    /// The status of an answer without a file.
    Status(StatusCode),
}

impl Directory {
    pub(super) fn new(folder: PathBuf, deadline: Duration) -> Self {
        Self { folder, deadline, places: Arc::new(Semaphore::new(LOOKS)) }
    }

    /// Answers `request`, whose path is normalised.
    ///
    /// # Errors
    ///
    /// The folder or a file in it cannot be read, or not in time ([`io::ErrorKind::TimedOut`]).
    pub(crate) async fn serve(&self, request: Request<()>) -> io::Result<Served> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Ok(Served::Status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let Some(path) = relative(request.uri().path()) else {
            return Ok(Served::Status(StatusCode::NOT_FOUND));
        };
        let answer = tokio::time::timeout(self.deadline, self.look(path, request));
        answer.await.unwrap_or_else(|_| {
            let message = format!("no file was read within {} ms", self.deadline.as_millis());
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        })
    }

    async fn look(&self, path: PathBuf, request: Request<()>) -> io::Result<Served> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
        let folder = self.folder.clone();
        let wanted = Wanted::of(&request);
        let found = tokio::task::spawn_blocking(move || {
            let found = find(&folder, &path, wanted);
            // Kept until the thread is free, even when nobody waits for it any more.
            drop(place);
            found
        });
        match found.await.map_err(io::Error::other)?? {
            Found::Nothing => Ok(Served::Status(StatusCode::NOT_FOUND)),
            Found::Path(file) => {
                Ok(Served::File(ServeFile::new(file).try_call(request).await?.map(Body::file)))
            }
            Found::Small(small) => Ok(Served::File(small.into_response())),
        }
    }
}

/// How much of a file is wanted.
#[derive(Clone, Copy)]
enum Wanted {
    /// Only what its answer's head says.
    Head,
    /// A part of it, or all on a condition.
    Part,
    /// All of it.
    Whole,
}

impl Wanted {
    fn of(request: &Request<()>) -> Self {
        let selecting = [
            header::RANGE,
            header::IF_RANGE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            header::IF_UNMODIFIED_SINCE,
        ];
        match request.method() {
            _ if selecting.iter().any(|name| request.headers().contains_key(name)) => Self::Part,
            &Method::HEAD => Self::Head,
            _ => Self::Whole,
        }
    }
}

/// What stands at a path.
enum Found {
    Nothing,
    /// A file to be served piece by piece.
    Path(PathBuf),
    Small(Small),
}

/// A small file, read.
struct Small {
    content_type: String,
    modified: Option<SystemTime>,
    length: u64,
    bytes: Bytes,
}

impl Small {
    fn into_response(self) -> Response<Body> {
        let mut headers = HeaderMap::with_capacity(8);
        let text = |text: String| HeaderValue::try_from(text).ok();
        headers.extend(text(self.content_type).map(|value| (header::CONTENT_TYPE, value)));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let modified = self.modified.map(httpdate::fmt_http_date).and_then(text);
        headers.extend(modified.map(|value| (header::LAST_MODIFIED, value)));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.length));
        let mut response = Response::new(Body::full(self.bytes));
        *response.headers_mut() = headers;
        response
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

/// The regular file at `path` below `folder`, links resolved, unless a link leads out.
///
/// Whoever can write into the folder can change a link between this look and the reading: the folder's owner is trusted.
fn find(folder: &Path, path: &Path, wanted: Wanted) -> io::Result<Found> {
    let folder = folder.canonicalize().map_err(|error| at(folder, &error))?;
    let look = || {
        let file = folder.join(path).canonicalize()?;
        let metadata = file.metadata()?;
        if !file.starts_with(&folder) || !metadata.is_file() {
            return Ok(Found::Nothing);
        }
        let length = metadata.len();
        let bytes = match wanted {
            Wanted::Part => return Ok(Found::Path(file)),
            Wanted::Whole if length > SMALL => return Ok(Found::Path(file)),
            Wanted::Whole => match read(&file, length)? {
                Some(bytes) => bytes,
                None => return Ok(Found::Path(file)),
            },
            Wanted::Head => Bytes::new(),
        };
        let length = match wanted {
            Wanted::Head => length,
            Wanted::Part | Wanted::Whole => u64::try_from(bytes.len()).unwrap_or(length),
        };
        let content_type = mime_guess::from_path(&file).first_or_octet_stream().to_string();
        Ok(Found::Small(Small { content_type, modified: metadata.modified().ok(), length, bytes }))
    };
    look().or_else(
        |error| if is_absence(&error) { Ok(Found::Nothing) } else { Err(at(&folder.join(path), &error)) },
    )
}

/// The same error, with what it is about.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The file's bytes, as many as there are now; none if it has grown past [`SMALL`].
fn read(file: &Path, length: u64) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::with_capacity(usize::try_from(length.saturating_add(1)).unwrap_or_default());
    let read = File::open(file)?.take(SMALL + 1).read_to_end(&mut bytes)?;
    Ok(u64::try_from(read).is_ok_and(|read| read <= SMALL).then(|| bytes.into()))
}

/// Whether there is no such file, rather than one that cannot be read.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use http_body_util::BodyExt as _;

    use super::*;

    /// A folder `profiles` with some files, beside a file that is not to be served.
    fn folder() -> (tempfile::TempDir, Directory) {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            #[expect(clippy::disallowed_methods, reason = "nobody reads the file meanwhile")]
            std::fs::write(path, text).unwrap();
        };
        write("profiles/000e08abcdef.cfg", "0123456789");
        write("profiles/cisco/a b.xml", "spaced");
        write("profiles/.htaccess", "hidden");
        write("profiles/.git/config", "hidden");
        write("profiles/index.html", "index");
        write("outside/secret", "secret");
        symlink("../outside/secret", root.path().join("profiles/link-out")).unwrap();
        symlink("../outside", root.path().join("profiles/folder-out")).unwrap();
        symlink("000e08abcdef.cfg", root.path().join("profiles/link-in")).unwrap();
        let directory = Directory::new(root.path().join("profiles"), Duration::from_secs(10));
        (root, directory)
    }

    async fn ask(directory: &Directory, method: &str, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        match directory.serve(request.body(()).unwrap()).await.unwrap() {
            Served::Status(status) => (status.as_u16(), String::new()),
            Served::File(response) => {
                let status = response.status().as_u16();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                (status, String::from_utf8(body.to_vec()).unwrap())
            }
        }
    }

    fn answer(status: u16, body: &str) -> (u16, String) {
        (status, body.to_owned())
    }

    #[tokio::test]
    async fn serves_files_below_the_folder() {
        let (_root, directory) = folder();
        for (path, body) in [
            ("/000e08abcdef.cfg", "0123456789"),
            ("/cisco/a%20b.xml", "spaced"),
            ("/link-in", "0123456789"),
            ("/000e08abcdef.cfg?query", "0123456789"),
        ] {
            assert_eq!(ask(&directory, "GET", path, &[]).await, answer(200, body), "{path}");
            assert_eq!(ask(&directory, "HEAD", path, &[]).await, answer(200, ""), "{path}");
        }
    }

    #[tokio::test]
    async fn a_small_file_read_at_once_has_the_fields_of_one_read_piece_by_piece() {
        let (root, directory) = folder();
        let large = "x".repeat(usize::try_from(SMALL).unwrap() + 1);
        #[expect(clippy::disallowed_methods, reason = "nobody reads the file meanwhile")]
        std::fs::write(root.path().join("profiles/large.cfg"), &large).unwrap();
        assert_eq!(ask(&directory, "GET", "/large.cfg", &[]).await, answer(200, &large));
        for path in ["/000e08abcdef.cfg", "/cisco/a%20b.xml", "/index.html"] {
            for method in ["GET", "HEAD"] {
                let request = || Request::builder().method(method).uri(path);
                let fields = async |request: Request<()>| match directory.serve(request).await.unwrap() {
                    Served::File(response) => response.headers().clone(),
                    Served::Status(status) => panic!("{status}"),
                };
                let whole = fields(request().body(()).unwrap()).await;
                let condition = request().header("If-Modified-Since", "Thu, 01 Jan 1970 00:00:01 GMT");
                assert_eq!(whole, fields(condition.body(()).unwrap()).await, "{method} {path}");
                assert_eq!(whole.len(), 4);
            }
        }
    }

    #[tokio::test]
    async fn lets_nobody_out_of_the_folder() {
        let (root, directory) = folder();
        let absolute = format!("/{}", root.path().join("outside/secret").display());
        let paths = [
            "/link-out",
            "/folder-out/secret",
            "/../outside/secret",
            "/%2e%2e/outside/secret",
            "/cisco/../../outside/secret",
            absolute.as_str(),
        ];
        for path in paths {
            assert_eq!(ask(&directory, "GET", path, &[]).await, answer(404, ""), "{path}");
        }
    }

    #[tokio::test]
    async fn has_no_listing_no_index_and_no_hidden_files() {
        let (_root, directory) = folder();
        for path in [
            "/",
            "/cisco",
            "/cisco/",
            "/.htaccess",
            "/.git/config",
            "/none",
            "/000e08abcdef.cfg/",
            "/000e08abcdef.cfg/x",
        ] {
            assert_eq!(ask(&directory, "GET", path, &[]).await, answer(404, ""), "{path}");
        }
        let long = format!("/{}", "x".repeat(5000));
        assert_eq!(ask(&directory, "GET", &long, &[]).await, answer(404, ""));
    }

    #[tokio::test]
    async fn answers_ranges_and_conditions() {
        let (_root, directory) = folder();
        let path = "/000e08abcdef.cfg";
        assert_eq!(ask(&directory, "GET", path, &[("Range", "bytes=2-4")]).await, answer(206, "234"));
        assert_eq!(ask(&directory, "GET", path, &[("Range", "bytes=50-")]).await.0, 416);
        let later = [("If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT")];
        assert_eq!(ask(&directory, "GET", path, &later).await, answer(304, ""));
        let earlier = [("If-Modified-Since", "Thu, 01 Jan 1970 00:00:01 GMT")];
        assert_eq!(ask(&directory, "GET", path, &earlier).await.0, 200);
    }

    #[tokio::test]
    async fn takes_no_uploads() {
        let (_root, directory) = folder();
        for method in ["POST", "PUT", "DELETE"] {
            assert_eq!(ask(&directory, method, "/000e08abcdef.cfg", &[]).await, answer(405, ""));
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_not_a_missing_file() {
        let directory = Directory::new("/nonexistent/folder".into(), Duration::from_secs(10));
        let request = Request::builder().uri("/a").body(()).unwrap();
        let Err(error) = directory.serve(request).await else { panic!("it was served") };
        assert!(error.to_string().starts_with("/nonexistent/folder: No such file"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_when_every_thread_waits_for_a_file_server_that_hangs() {
        let (_root, directory) = folder();
        let ask = async || {
            let request = Request::builder().uri("/000e08abcdef.cfg").body(()).unwrap();
            directory.serve(request).await.map(drop).map_err(|error| error.kind())
        };
        let all = u32::try_from(LOOKS).unwrap();
        let hanging = Arc::clone(&directory.places).acquire_many_owned(all).await.unwrap();
        assert_eq!(ask().await, Err(io::ErrorKind::TimedOut));
        drop(hanging);
        assert_eq!(directory.places.available_permits(), LOOKS);
    }

    #[tokio::test]
    async fn a_look_gives_its_place_back() {
        let (_root, directory) = folder();
        for _ in 0..2 * LOOKS {
            assert_eq!(ask(&directory, "GET", "/000e08abcdef.cfg", &[]).await.0, 200);
        }
        assert_eq!(directory.places.available_permits(), LOOKS);
    }

    #[tokio::test]
    async fn a_pipe_is_no_file_and_is_never_opened() {
        let (root, directory) = folder();
        let made = std::process::Command::new("mkfifo").arg(root.path().join("profiles/pipe")).status();
        assert!(made.unwrap().success());
        for fields in [&[][..], &[("Range", "bytes=0-1")]] {
            assert_eq!(ask(&directory, "GET", "/pipe", fields).await, answer(404, ""));
        }
    }
}
