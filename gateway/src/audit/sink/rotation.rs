//! What becomes of audit files that were rotated: compressed and, in the end, deleted, by a thread of its own.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use flate2::{Compression, write::GzEncoder};
use time::OffsetDateTime;
use tracing::warn;

/// When a file is rotated, and what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rotation {
    /// Before it becomes larger than so many bytes.
    pub size: Option<u64>,
    /// When it is so old.
    pub age: Option<Duration>,
    /// What is kept of the old files.
    pub keep: Keep,
    /// Whether old files are compressed with gzip.
    pub compress: bool,
}

/// Which rotated files are kept; without any bound, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// So many files at most.
    pub files: Option<u32>,
    /// None that was rotated longer ago.
    pub age: Option<Duration>,
    /// So many bytes together at most.
    pub size: Option<u64>,
}

/// How often old files are looked at without a new one.
const LOOK: Duration = Duration::from_secs(3600);

/// The thread that files old files away; it ends, with its work done, when this is dropped.
#[derive(Debug)]
pub(super) struct Archivist {
    files: Option<Sender<PathBuf>>,
    thread: Option<JoinHandle<()>>,
}

impl Archivist {
    /// Starts it, and has it look at what an earlier start left uncompressed.
    pub(super) fn start(
        path: &Path,
        keep: Keep,
        compress: bool,
        clock: fn() -> SystemTime,
    ) -> io::Result<Self> {
        let (files, rotated) = channel();
        let path = path.to_owned();
        let thread = thread::Builder::new()
            .name("audit-archive".to_owned())
            .spawn(move || archive(&path, keep, compress, clock, &rotated))?;
        Ok(Self { files: Some(files), thread: Some(thread) })
    }

    pub(super) fn file_away(&self, file: PathBuf) {
        if let Some(files) = &self.files {
            // It ends only with this sender.
            let _ = files.send(file);
        }
    }
}

impl Drop for Archivist {
    fn drop(&mut self) {
        self.files = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn archive(path: &Path, keep: Keep, compress: bool, clock: fn() -> SystemTime, rotated: &Receiver<PathBuf>) {
    loop {
        if compress {
            for (file, _) in old_files(path).into_iter().filter(|(file, _)| !is_compressed(file)) {
                if let Err(error) = gzip(&file) {
                    warn!(path = %file.display(), %error, "old audit file cannot be compressed");
                }
            }
        }
        for file in excess(old_files(path), keep, clock()) {
            if let Err(error) = fs::remove_file(&file) {
                warn!(path = %file.display(), %error, "old audit file cannot be deleted");
            }
        }
        match rotated.recv_timeout(LOOK) {
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Rotated files of `path` with their times, the newest first. Only names that a rotation gives are among them.
fn old_files(path: &Path) -> Vec<(PathBuf, String)> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(PathBuf, String)> = entries
        .filter_map(|entry| {
            let found = entry.file_name();
            let rest = found.to_str()?.strip_prefix(name)?.strip_prefix('.')?;
            let stamp = rest.strip_suffix(".gz").unwrap_or(rest);
            is_stamp(stamp).then(|| (folder.join(&found), stamp.to_owned()))
        })
        .collect();
    found.sort_by(|(_, a), (_, b)| order(b).cmp(&order(a)));
    found
}

fn is_compressed(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "gz")
}

/// Those that are to be deleted.
fn excess(files: Vec<(PathBuf, String)>, keep: Keep, now: SystemTime) -> Vec<PathBuf> {
    let Keep { files: most_files, age, size } = keep;
    let oldest = age.and_then(|age| now.checked_sub(age)).map(stamp);
    let most_files = most_files.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let mut bytes = 0_u64;
    let mut excess = Vec::new();
    for (index, (file, of)) in files.into_iter().enumerate() {
        bytes = bytes.saturating_add(file.metadata().map_or(0, |metadata| metadata.len()));
        let too_old = oldest.as_ref().is_some_and(|oldest| of.get(..oldest.len()) < Some(oldest));
        if index >= most_files || too_old || size.is_some_and(|most| bytes > most) {
            excess.push(file);
        }
    }
    excess
}

/// Compresses a file beside itself and deletes it. A crash in between leaves the original, and at worst the compressed file too.
fn gzip(file: &Path) -> io::Result<()> {
    let beside = |extension: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    let (unfinished, finished) = (beside(".gz.tmp"), beside(".gz"));
    let mut input = File::open(file)?;
    let out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&unfinished)?;
    let mut encoder = GzEncoder::new(out, Compression::default());
    let compressed = io::copy(&mut input, &mut encoder).and_then(|_| encoder.finish()).and_then(|out| {
        out.sync_data()?;
        fs::rename(&unfinished, &finished)
    });
    if let Err(error) = compressed {
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    fs::remove_file(file)
}

/// A time as it stands in the names of rotated files: `20261123T022511Z`.
pub(super) fn stamp(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}{:02}{day:02}T{hour:02}{minute:02}{second:02}Z", u8::from(month))
}

/// Whether this is a time as [`stamp`] writes it, with the number of a second file in one second after it.
fn is_stamp(text: &str) -> bool {
    let shape = |text: &str| {
        text.bytes().zip(b"00000000T000000Z").all(|(found, shape)| match shape {
            b'0' => found.is_ascii_digit(),
            other => found == *other,
        })
    };
    let number = |text: &str| {
        text.strip_prefix('-').is_some_and(|digits| {
            !digits.is_empty() && digits.len() < 5 && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let Some((time, rest)) = text.split_at_checked(16) else { return false };
    shape(time) && (rest.is_empty() || number(rest))
}

/// What sorts rotated files by time.
fn order(stamp: &str) -> (&str, u32) {
    let (time, number) = stamp.split_at_checked(16).unwrap_or((stamp, ""));
    (time, number.trim_start_matches('-').parse().unwrap_or(0))
}
