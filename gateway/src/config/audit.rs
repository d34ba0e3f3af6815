//! `[audit]`: where the records go.

use std::path::PathBuf;

use policies::document::Table;

use super::files::Files;

/// Where audit records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditConfig {
    /// The JSON Lines file.
    pub file: PathBuf,
    /// Bytes of records that wait for the file at most.
    pub queue: usize,
    /// What happens to records that find the queue full.
    pub when_full: WhenFull,
}

/// What happens when the audit queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The record is lost and counted, and the gap itself is recorded.
    DropAndCount,
}

impl WhenFull {
    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DropAndCount => "drop-and-count",
        }
    }
}

/// Some ten thousand records: a second and more at the rate of a whole region calling at once.
const QUEUE: u64 = 8 << 20;

impl AuditConfig {
    /// Reads `[audit]`.
    pub(super) fn read(table: &Table<'_, '_>, files: &Files<'_, '_>) -> Option<Self> {
        let queue = table.optional_size("queue", 64 << 10..=1 << 30).map_or(QUEUE, |found| found.value);
        let words = [WhenFull::DropAndCount].map(|choice| (choice.as_str(), choice));
        let when_full =
            table.optional_word("when-full", &words).map_or(WhenFull::DropAndCount, |found| found.value);
        let file = table.string("file")?;
        let path = files.resolve(&file.value);
        let folder_exists =
            path.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir());
        if file.value.is_empty() || path.is_dir() {
            files.document().error(&file.place, format!("{} is a folder, a file is needed", path.display()));
        } else if !folder_exists {
            let folder = path.parent().unwrap_or(&path).display();
            files.document().error(&file.place, format!("there is no folder {folder} for the audit file"));
        }
        Some(Self { file: path, queue: usize::try_from(queue).unwrap_or(usize::MAX), when_full })
    }
}
