//! The real `provision-gateway` as a process that can be restarted and watched.

use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use harness::gateway::Config;
use harness::{cpu, parent_death};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::error::FleetError;
use crate::file;

/// How long it may take to start, to stop or to reload.
const PATIENCE: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A gateway with its configuration; the process ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
    /// CPU time of the processes that have ended.
    spent: Duration,
    /// The most memory any of them had, in bytes.
    peak: u64,
}

impl Gateway {
    /// Writes the configuration below `folder` and starts the gateway.
    pub(crate) async fn start(
        binaries: &Path,
        folder: &Path,
        address: SocketAddr,
        config: &Config,
    ) -> Result<Self, FleetError> {
        let mut gateway = Self {
            program: binaries.join("provision-gateway"),
            folder: folder.to_owned(),
            address,
            child: None,
            spent: Duration::ZERO,
            peak: 0,
        };
        gateway.write(config)?;
        gateway.launch().await?;
        Ok(gateway)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a configuration in place of the one on disk; it holds from the next reload.
    pub(crate) fn write(&self, config: &Config) -> Result<(), FleetError> {
        file::put(&self.folder.join("gateway.toml"), config.text().as_bytes())
    }

    /// Starts the process again after [`Self::terminate`].
    pub(crate) async fn launch(&mut self) -> Result<(), FleetError> {
        let open = |name: &str| {
            let path = self.folder.join(name);
            OpenOptions::new().create(true).append(true).open(path).map_err(FleetError::io(name))
        };
        let ready_before = self.lines("gateway.out", "ready");
        let child = parent_death::command(&self.program)
            .args(["run", "--config"])
            .arg(self.folder.join("gateway.toml"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(open("gateway.out")?)
            .stderr(open("gateway.log")?)
            .spawn()
            .map_err(FleetError::io(format!("{} cannot be run; is it built?", self.program.display())))?;
        self.child = Some(child);
        let end = Instant::now() + PATIENCE;
        while self.lines("gateway.out", "ready") == ready_before {
            let ended = self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            if ended || Instant::now() > end {
                return Err(self.failed("does not start"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) async fn terminate(&mut self) -> Result<(), FleetError> {
        self.signal(Signal::TERM);
        let end = Instant::now() + PATIENCE;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let mut cpu = Duration::ZERO;
        loop {
            // Its last figures before it is gone.
            cpu = cpu.max(cpu::of_process(child.id()));
            self.peak = self.peak.max(memory(child.id(), "VmHWM"));
            match child.try_wait() {
                Ok(None) if Instant::now() < end => tokio::time::sleep(LOOK_EVERY).await,
                Ok(None) => {
                    self.child = Some(child);
                    return Err(self.failed("does not stop"));
                }
                Ok(Some(_)) | Err(_) => break,
            }
        }
        self.spent += cpu;
        Ok(())
    }

    /// Sends SIGHUP and waits until it has reloaded.
    pub(crate) async fn hang_up(&mut self) -> Result<(), FleetError> {
        let before = self.reloads();
        self.signal(Signal::HUP);
        self.reloaded_after(before).await
    }

    /// How many times it has reloaded its configuration.
    pub(crate) fn reloads(&self) -> usize {
        self.lines("gateway.log", "configuration reloaded")
    }

    /// Waits until it has reloaded once more, by itself or not.
    pub(crate) async fn reloaded_after(&mut self, before: usize) -> Result<(), FleetError> {
        let end = Instant::now() + PATIENCE;
        while self.reloads() == before {
            if Instant::now() > end {
                return Err(self.failed("does not reload"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// CPU time of all its processes so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.spent + self.child.as_ref().map_or(Duration::ZERO, |child| cpu::of_process(child.id()))
    }

    /// Memory in bytes: the most so far, and now.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let now = |field| self.child.as_ref().map_or(0, |child| memory(child.id(), field));
        (self.peak.max(now("VmHWM")), now("VmRSS"))
    }

    pub(crate) fn audit_file(&self) -> PathBuf {
        self.folder.join("audit.jsonl")
    }

    fn signal(&self, signal: Signal) {
        let pid =
            self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // One that has ended already is found out by whoever waits for it.
            let _ = kill_process(pid, signal);
        }
    }

    fn lines(&self, name: &str, text: &str) -> usize {
        let whole = fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        whole.lines().filter(|line| line.contains(text)).count()
    }

    fn failed(&self, what: &'static str) -> FleetError {
        let log = fs::read_to_string(self.folder.join("gateway.log")).unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(12).collect();
        FleetError::Gateway { what, log: last.into_iter().rev().collect::<Vec<_>>().join("\n") }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|line| {
        let value = line.strip_prefix(field)?.strip_prefix(':')?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    });
    kib.unwrap_or_default() * 1024
}
