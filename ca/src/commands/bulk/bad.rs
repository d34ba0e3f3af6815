//! Lines that cannot be used: all are counted, the first are told.

use std::path::Path;

use super::MOST;
use crate::commands::CommandError;
use crate::device_list::{BadLine, Repeated, short};

/// What is wrong with a list. A million bad lines take 4 MB.
#[derive(Debug, Default)]
pub(super) struct BadLines {
    /// The first, with what is wrong with them.
    first: Vec<BadLine>,
    /// All.
    lines: Vec<u32>,
    /// Whether those of the present chunk are told.
    is_telling: bool,
    /// More that repeat others.
    repeated: usize,
}

impl BadLines {
    /// Goes on to the next lines: those of one chunk come in no order, and are told all or none.
    pub(super) fn begin_chunk(&mut self) {
        self.is_telling = self.first.len() < MOST;
    }

    pub(super) fn add(&mut self, line: u64, message: impl FnOnce() -> String) {
        self.lines.push(short(line));
        if self.is_telling {
            self.first.push(BadLine { line, message: message() });
        }
    }

    /// Adds lines that have what others have, unless something else is wrong with them; they are in the list's order.
    pub(super) fn add_repeated(&mut self, repeated: Vec<Repeated>) {
        self.lines.sort_unstable();
        for one in repeated {
            if self.lines.binary_search(&one.line).is_err() {
                if self.repeated < MOST {
                    self.first.push(one.told());
                }
                self.repeated += 1;
            }
        }
    }

    /// The refusal of the list, when there are any.
    pub(super) fn told(mut self, list: &Path) -> Option<CommandError> {
        let list = list.display();
        let count = self.lines.len() + self.repeated;
        let mut message = match count {
            0 => return None,
            1 => format!("a line of {list} cannot be used, nothing was issued"),
            _ => format!("{count} lines of {list} cannot be used, nothing was issued"),
        };
        self.first.sort_by_key(|one| one.line);
        for BadLine { line, message: why } in self.first.iter().take(MOST) {
            message.push_str(&format!("\n  line {line}: {why}"));
        }
        if count > MOST {
            message.push_str(&format!("\n  and {} more", count - MOST));
        }
        Some(CommandError::failed(message, Some("correct these lines and run the command again")))
    }
}
