//! The commands that look and do not serve.

use std::io;

pub mod audit;
pub mod check;
pub mod explain;
mod presented;
pub mod probe;
pub mod reasons;
pub mod trace;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what was asked: exit status 0.
    Done,
    /// It found a mistake, or the answer is no: exit status 1.
    Refused,
    /// It was asked for what there is not: exit status 2.
    Misuse,
}

/// Where a command writes.
pub struct Streams<'a> {
    /// Data.
    pub out: &'a mut dyn io::Write,
    /// Everything else.
    pub err: &'a mut dyn io::Write,
}
