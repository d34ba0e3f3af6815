//! Where audit lines end up.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Takes whole lines from the writer thread. It may block; only the writer waits.
pub trait AuditSink: Send + 'static {
    /// Writes some of `lines` and says how many bytes.
    ///
    /// # Errors
    /// When nothing could be written; the writer keeps the lines and tries again.
    fn append(&mut self, lines: &[u8]) -> io::Result<usize>;

    /// Opens the destination anew, after it was moved away.
    ///
    /// # Errors
    /// When that fails; the sink goes on with what it had.
    fn reopen(&mut self) -> io::Result<()>;

    /// Makes what was written durable, at the end.
    ///
    /// # Errors
    /// When the medium refuses.
    fn finish(&mut self) -> io::Result<()>;
}

/// A JSON Lines file, always appended to.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    file: File,
}

impl FileSink {
    /// Opens or makes the file. A new one may be read by its owner and group only: it tells who owns which phone.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)? })
    }
}

impl AuditSink for FileSink {
    fn append(&mut self, lines: &[u8]) -> io::Result<usize> {
        match self.file.write(lines) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            other => other,
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.file.metadata()?.is_file() { self.file.sync_data() } else { Ok(()) }
    }
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
