//! The report: one line for each line of the list, in its order, written as the work goes on.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::commands::CommandError;
use crate::device_list::ListedDevice;
use crate::store::{FileError, Layout, write_replacing};

/// The first line of every report.
pub(super) const HEADING: &str = "line,model,serial,mac,status,certificate,until,folder,error\n";

/// Failures that are kept to be printed.
const KEPT: usize = 100;

/// What became of one line of the list.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Already { serial: String, until: String },
    Failed(String),
    Issued { serial: String, until: String },
    NotReached,
}

/// The report while the work goes on: a killed run leaves what it did.
pub(super) struct Report {
    pub(super) path: PathBuf,
    layout: Layout,
    file: BufWriter<File>,
    /// Lines of the list that have theirs here.
    pub(super) lines: usize,
    pub(super) issued: u64,
    pub(super) already: u64,
    pub(super) failed: u64,
    pub(super) failures: Vec<String>,
}

impl Report {
    pub(super) fn begin(path: &Path, layout: &Layout) -> Result<Self, CommandError> {
        write_replacing(path, HEADING.as_bytes(), 0o644)?;
        let file = OpenOptions::new().append(true).open(path);
        let file = BufWriter::new(file.map_err(|source| FileError::new("write", path, source))?);
        Ok(Self {
            path: path.to_owned(),
            layout: layout.clone(),
            file,
            lines: 0,
            issued: 0,
            already: 0,
            failed: 0,
            failures: Vec::new(),
        })
    }

    pub(super) fn add(&mut self, device: &ListedDevice, outcome: &Outcome) -> Result<(), CommandError> {
        match outcome {
            Outcome::Issued { .. } => self.issued += 1,
            Outcome::Already { .. } => self.already += 1,
            Outcome::Failed(_) | Outcome::NotReached => {
                self.failed += 1;
                if self.failures.len() < KEPT {
                    let why = if let Outcome::Failed(error) = outcome { error } else { "not reached" };
                    self.failures.push(format!("line {}: {why}", device.line));
                }
            }
        }
        self.lines += 1;
        let line = line(device, outcome, &self.layout);
        self.file
            .write_all(line.as_bytes())
            .map_err(|source| FileError::new("write", &self.path, source).into())
    }

    pub(super) fn flush(&mut self) -> Result<(), CommandError> {
        self.file.flush().map_err(|source| FileError::new("write", &self.path, source).into())
    }

    pub(super) fn finish(&mut self) -> Result<(), CommandError> {
        self.flush()?;
        let synced = self.file.get_ref().sync_all();
        synced.map_err(|source| FileError::new("write", &self.path, source).into())
    }
}

fn line(device: &ListedDevice, outcome: &Outcome, layout: &Layout) -> String {
    let mac = device.identity.mac().to_string();
    let folder = layout.device(&mac).display().to_string();
    let (status, certificate, until, folder, error) = match outcome {
        Outcome::NotReached => ("not reached", "", "", "", ""),
        Outcome::Already { serial, until } => {
            ("already", serial.as_str(), until.as_str(), folder.as_str(), "")
        }
        Outcome::Failed(error) => ("failed", "", "", "", error.as_str()),
        Outcome::Issued { serial, until } => ("issued", serial.as_str(), until.as_str(), folder.as_str(), ""),
    };
    let line = device.line.to_string();
    let identity = &device.identity;
    let cells =
        [&line, identity.product(), identity.serial(), &mac, status, certificate, until, folder, error];
    cells.map(cell).join(",") + "\n"
}

/// A cell that no spreadsheet takes for a formula (CA I6), quoted where it must be.
pub(in crate::commands) fn cell(text: &str) -> String {
    let safe = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() };
    if safe.contains([',', '"', '\n', '\r']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn i6_no_cell_of_the_report_is_a_formula() {
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("@x"), "'@x");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("CP-8841-3PCC"), "CP-8841-3PCC");
    }
}
