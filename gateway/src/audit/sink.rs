//! Where audit lines end up.

mod database;
mod file;
mod rotation;
mod stdout;
mod syslog;

use std::io;
use std::time::Duration;

pub use self::database::DatabaseSink;
pub use self::file::FileSink;
pub use self::rotation::{Keep, Rotation};
pub use self::stdout::StdoutSink;
pub use self::syslog::{
    Destination, Facility, Message, SyslogConfig, SyslogFormat, SyslogHeader, SyslogSink, SyslogTls,
};

/// Takes whole lines from its writer's thread. It may block; only that thread waits.
pub trait AuditSink: Send + 'static {
    /// Writes some of `lines` and says how many bytes. What was not written comes again, from that byte on.
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

    /// How long records gather before they are written. A file has them within 200 ms.
    fn gather(&self) -> Duration {
        Duration::from_millis(20)
    }

    /// Whether [`tick`](Self::tick) wants to be called.
    fn has_ticks(&self) -> bool {
        false
    }

    /// Called about once a second, for work that is not writing: it must be short.
    fn tick(&mut self) {}
}

impl<S: AuditSink + ?Sized> AuditSink for Box<S> {
    fn append(&mut self, lines: &[u8]) -> io::Result<usize> {
        (**self).append(lines)
    }

    fn reopen(&mut self) -> io::Result<()> {
        (**self).reopen()
    }

    fn finish(&mut self) -> io::Result<()> {
        (**self).finish()
    }

    fn gather(&self) -> Duration {
        (**self).gather()
    }

    fn has_ticks(&self) -> bool {
        (**self).has_ticks()
    }

    fn tick(&mut self) {
        (**self).tick();
    }
}

/// What happens when a sink does not keep up and its queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Records are lost and counted, and the gap itself is recorded. Phones never wait.
    DropAndCount,
    /// Nothing is lost: new connections and requests wait a second for room and are refused then.
    Refuse,
}

impl WhenFull {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::DropAndCount, Self::Refuse];

    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DropAndCount => "drop-and-count",
            Self::Refuse => "refuse",
        }
    }
}
