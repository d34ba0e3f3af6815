//! A server as a process that can be started again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::{cpu, memory};

use crate::client::Phone;
use crate::error::BenchError;
use crate::interrupt;
use crate::peers::Addresses;
use crate::processor::Processor;

/// How long a server may take to start, to stop, or to come to rest.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A server is at rest when it takes less than this of a core (a hundredth), for as long as that three times in a row.
const REST: Duration = Duration::from_millis(120);
const AT_REST: Duration = Duration::from_millis(1);
/// It gives no more memory back when it did not give back a two-hundredth of it for so long.
const GIVES_BACK: Duration = Duration::from_secs(8);

/// How a server is started.
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) addresses: Addresses,
    /// Where its standard error goes.
    pub(crate) log: PathBuf,
    pub(crate) ready: Ready,
}

/// How it is known that a server is ready.
#[derive(Clone, Copy)]
pub(crate) enum Ready {
    /// It listens.
    Listens,
    /// It writes this line to standard output.
    Says(&'static str),
}

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    recipe: Recipe,
    process: Child,
}

impl Server {
    pub(crate) fn start(recipe: Recipe) -> Result<Self, BenchError> {
        let process = recipe.launch()?;
        Ok(Self { recipe, process })
    }

    /// Ends the process and starts another: nothing is left of what the last one did.
    pub(crate) fn restart(&mut self) -> Result<(), BenchError> {
        self.end();
        self.process = self.recipe.launch()?;
        Ok(())
    }

    pub(crate) fn name(&self) -> &'static str {
        self.recipe.name
    }

    /// Where phones of this kind call, if they are served at all.
    pub(crate) fn address_for(&self, phone: Phone) -> Result<SocketAddr, BenchError> {
        let address = self.recipe.addresses.of(phone);
        address.ok_or_else(|| self.failed("has no RSA certificate for old phones"))
    }

    /// Where phones of today call.
    pub(crate) fn address(&self) -> SocketAddr {
        self.recipe.addresses.modern
    }

    /// What it told its crypto library of the processor.
    pub(crate) fn processor(&self) -> io::Result<Processor> {
        Processor::of(self.process.id())
    }

    /// CPU time of its processes so far.
    pub(crate) fn cpu(&self) -> Result<Duration, BenchError> {
        cpu::of_tree(self.process.id()).map_err(BenchError::io("the CPU time cannot be read"))
    }

    /// Memory of its processes now, in bytes.
    pub(crate) fn memory(&self) -> Result<u64, BenchError> {
        memory::of_tree(self.process.id()).map_err(BenchError::io("the memory cannot be read"))
    }

    /// Waits until it has nothing to do any more.
    pub(crate) fn comes_to_rest(&self) -> Result<(), BenchError> {
        let (end, mut quiet, mut before) = (Instant::now() + PATIENCE, 0, self.cpu()?);
        while quiet < 3 && Instant::now() < end {
            thread::sleep(REST);
            let now = self.cpu()?;
            quiet = if now.saturating_sub(before) < AT_REST { quiet + 1 } else { 0 };
            before = now;
        }
        Ok(())
    }

    /// Its memory when it has nothing to do any more and gives nothing back any more.
    pub(crate) fn memory_at_rest(&self) -> Result<u64, BenchError> {
        self.comes_to_rest()?;
        let (mut least, mut since) = (self.memory()?, Instant::now());
        let end = since + PATIENCE;
        while since.elapsed() < GIVES_BACK && Instant::now() < end {
            thread::sleep(REST);
            let now = self.memory()?;
            if now < least - least / 200 {
                (least, since) = (now, Instant::now());
            }
        }
        self.memory()
    }

    /// An error that shows the end of its log.
    pub(crate) fn failed(&self, what: impl Into<String>) -> BenchError {
        self.recipe.failed(what)
    }

    fn end(&mut self) {
        // SIGTERM, so that a server ends its workers; then make sure.
        interrupt::end(self.process.id());
        let end = Instant::now() + PATIENCE;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(LOOK_EVERY);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Recipe {
    fn launch(&self) -> Result<Child, BenchError> {
        let log = File::options().create(true).append(true).open(&self.log);
        let mut process = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.map_err(BenchError::io(self.log.display().to_string()))?)
            // Apache ends its whole process group, which must not be ours.
            .process_group(0)
            .spawn()
            .map_err(BenchError::io(format!("{} cannot be run", self.program.display())))?;
        interrupt::add(process.id());
        match self.is_ready(&mut process) {
            Ok(()) => Ok(process),
            Err(error) => {
                interrupt::end(process.id());
                let _ = process.kill();
                let _ = process.wait();
                Err(error)
            }
        }
    }

    fn is_ready(&self, process: &mut Child) -> Result<(), BenchError> {
        match self.ready {
            Ready::Listens => {
                let end = Instant::now() + PATIENCE;
                while TcpStream::connect(self.addresses.modern).is_err() {
                    let ended = !matches!(process.try_wait(), Ok(None));
                    if ended || Instant::now() > end {
                        return Err(self.failed(format!("does not listen on {}", self.addresses.modern)));
                    }
                    thread::sleep(LOOK_EVERY);
                }
                Ok(())
            }
            Ready::Says(wanted) => {
                let said = process.stdout.take().map(BufReader::new);
                let found = said
                    .is_some_and(|lines| lines.lines().map_while(io::Result::ok).any(|line| line == wanted));
                found.then_some(()).ok_or_else(|| self.failed(format!("does not say `{wanted}`")))
            }
        }
    }

    fn failed(&self, what: impl Into<String>) -> BenchError {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(12).collect();
        let log = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        BenchError::Server { server: self.name, what: what.into(), log }
    }
}
