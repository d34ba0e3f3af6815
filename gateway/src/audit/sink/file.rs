//! A JSON Lines file, always appended to, rotated by size or age where that is asked for.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tracing::warn;

use super::AuditSink;
use super::rotation::{Archivist, Rotation};

/// A JSON Lines file.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    file: File,
    rotating: Option<Rotating>,
}

#[derive(Debug)]
struct Rotating {
    rotation: Rotation,
    archivist: Archivist,
    clock: fn() -> SystemTime,
    /// Bytes in the file.
    size: u64,
    /// When its first record was written, as nearly as can be told.
    began: SystemTime,
    /// Whether the last write ended within a line, which must not be torn apart.
    within_line: bool,
    /// Whether the last attempt failed, and was reported.
    failing: bool,
}

impl FileSink {
    /// Opens or makes the file. A new one may be read by its owner and group only: it tells who owns which phone.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)?, rotating: None })
    }

    /// The same for a file that is rotated here, and not by another program.
    ///
    /// # Errors
    /// When the file cannot be opened, or no thread be started for the old ones.
    pub fn rotating(path: &Path, rotation: Rotation, clock: fn() -> SystemTime) -> io::Result<Self> {
        let archivist = Archivist::start(path, rotation.keep, rotation.compress, clock)?;
        let mut sink = Self::open(path)?;
        let metadata = sink.file.metadata()?;
        let rotating = Rotating {
            rotation,
            archivist,
            clock,
            size: metadata.len(),
            began: began(&metadata, clock),
            within_line: false,
            failing: false,
        };
        sink.rotating = Some(rotating);
        sink.rotate_if_due(0);
        Ok(sink)
    }

    /// Begins a new file when the present one is too old, or would become too large by `more` bytes.
    fn rotate_if_due(&mut self, more: usize) {
        let Some(rotating) = &mut self.rotating else { return };
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        let too_large = rotating.rotation.size.is_some_and(|most| rotating.size.saturating_add(more) > most);
        let now = (rotating.clock)();
        let age = now.duration_since(rotating.began).unwrap_or_default();
        let too_old = rotating.rotation.age.is_some_and(|most| age >= most);
        if rotating.size == 0 || rotating.within_line || !(too_large || too_old) {
            return;
        }
        match move_away(&self.path, now).and_then(|moved| Ok((moved, open(&self.path)?))) {
            Ok((moved, file)) => {
                self.file = file;
                (rotating.size, rotating.began, rotating.failing) = (0, now, false);
                rotating.archivist.file_away(moved);
            }
            Err(error) => {
                // The old file goes on; a full disk is no reason to lose more.
                if !std::mem::replace(&mut rotating.failing, true) {
                    warn!(path = %self.path.display(), %error, "audit file cannot be rotated, going on with it");
                }
            }
        }
    }
}

impl AuditSink for FileSink {
    fn append(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.rotate_if_due(lines.len());
        // A file may be smaller than a batch: then the batch is divided, between lines.
        let room = self.rotating.as_ref().and_then(|rotating| {
            let room = rotating.rotation.size?.saturating_sub(rotating.size);
            usize::try_from(room).ok()
        });
        let part = match room {
            Some(room) if room < lines.len() => up_to_line(lines, room),
            Some(_) | None => lines,
        };
        let written = self.file.write(part)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if let Some(rotating) = &mut self.rotating {
            rotating.size += u64::try_from(written).unwrap_or(0);
            rotating.within_line = part.get(written - 1) != Some(&b'\n');
        }
        Ok(written)
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        if let Some(rotating) = &mut self.rotating {
            // It may be another file, which somebody else's rotation put there.
            let metadata = self.file.metadata()?;
            (rotating.size, rotating.began) = (metadata.len(), began(&metadata, rotating.clock));
            rotating.within_line = false;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.file.metadata()?.is_file() { self.file.sync_data() } else { Ok(()) }
    }

    fn has_ticks(&self) -> bool {
        self.rotating.as_ref().is_some_and(|rotating| rotating.rotation.age.is_some())
    }

    fn tick(&mut self) {
        self.rotate_if_due(0);
    }
}

/// When a file was begun. Where the file system does not know when it was made, it was the last write at the latest.
fn began(metadata: &Metadata, clock: fn() -> SystemTime) -> SystemTime {
    match metadata.len() {
        0 => clock(),
        _ => metadata.created().or_else(|_| metadata.modified()).unwrap_or_else(|_| clock()),
    }
}

/// The whole lines within the first `most` bytes, but one at least.
fn up_to_line(lines: &[u8], most: usize) -> &[u8] {
    let ends = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n');
    let first = || lines.iter().position(|byte| *byte == b'\n');
    match lines.get(..most).and_then(ends).or_else(first) {
        Some(end) => &lines[..=end],
        None => lines,
    }
}

/// Gives the file a name with the time in it: `audit.jsonl.20261123T022511Z`, and a number where that is taken.
fn move_away(path: &Path, now: SystemTime) -> io::Result<PathBuf> {
    let stamp = super::rotation::stamp(now);
    for number in 0..1000_u32 {
        let number = if number > 0 { format!("-{number}") } else { String::new() };
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{stamp}{number}"));
        let target = PathBuf::from(name);
        let mut compressed = target.clone().into_os_string();
        compressed.push(".gz");
        if !target.exists() && !Path::new(&compressed).exists() {
            fs::rename(path, &target)?;
            return Ok(target);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Opens for appending. A last line that a crash cut short is ended, so that the next record starts on its own line.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    if ends_within_a_line(path).unwrap_or(false) {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

fn ends_within_a_line(path: &Path) -> io::Result<bool> {
    let metadata = path.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests;
