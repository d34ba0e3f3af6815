//! Standard output as a sink: for containers, whose runtime collects it.

use std::io::{self, Write as _};

use super::AuditSink;

/// Writes JSON Lines to standard output, where nothing else is then written.
#[derive(Debug, Clone, Copy, Default)]
pub struct StdoutSink;

impl AuditSink for StdoutSink {
    fn append(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut out = io::stdout().lock();
        let written = out.write(lines)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        // Standard output keeps the part of a line that it has not passed on.
        out.flush()?;
        Ok(written)
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}
