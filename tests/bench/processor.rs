//! What the gateway told its crypto library of the processor: the limits beside it are measured with the same code.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::process::Command;

/// The environment variable that the libraries are told by (`OPENSSL_ia32cap(3)`). A value given to `bench` reaches all servers;
/// without one the gateway may choose one for itself.
const VARIABLE: &str = "OPENSSL_ia32cap";

/// The variable's value in a process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Processor(Option<OsString>);

impl Processor {
    /// As that process got it when its program was started last.
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let environment = fs::read(format!("/proc/{process}/environ"))?;
        let value = environment.split(|octet| *octet == 0).find_map(|entry| {
            let value = entry.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"=")?;
            Some(OsString::from_vec(value.to_vec()))
        });
        Ok(Self(value))
    }

    /// This program, to be started once more with the same value.
    pub(crate) fn this_program(&self) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        match &self.0 {
            Some(value) => command.env(VARIABLE, value),
            None => command.env_remove(VARIABLE),
        };
        Ok(command)
    }

    /// The variable as one sets it in a shell, where there is one.
    pub(crate) fn told(&self) -> Option<String> {
        self.0.as_ref().map(|value| format!("{VARIABLE}={}", value.to_string_lossy()))
    }
}
