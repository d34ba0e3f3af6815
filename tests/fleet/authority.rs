//! The real `provision-ca`, in a store of its own: the authorities and every certificate of a run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::HOST;
use crate::device::Device;
use crate::error::FleetError;
use crate::file;

/// A store of `provision-ca`.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    program: PathBuf,
    store: PathBuf,
}

/// What its certificates are like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// As issued today.
    Modern,
    /// A test store, whose devices are as old phones are.
    Old,
}

impl Authority {
    /// The store in this folder, made if it is not there.
    pub(crate) fn open(binaries: &Path, store: &Path, name: &str, kind: Kind) -> Result<Self, FleetError> {
        let authority = Self { program: binaries.join("provision-ca"), store: store.to_owned() };
        if !store.join("ca.sqlite").exists() {
            let mut arguments = vec!["init", "--name", name, "--no-passphrase", "--key", "rsa2048"];
            if kind == Kind::Old {
                arguments.push("--test");
            }
            authority.run(&arguments)?;
        }
        Ok(authority)
    }

    /// A server certificate for the provisioning host, or a new one in place of the old.
    pub(crate) fn issue_server(&self, renew: bool) -> Result<(), FleetError> {
        if !renew && self.server().join("chain.pem").exists() {
            return Ok(());
        }
        let mut arguments = vec!["server", "issue", HOST];
        if renew {
            arguments.push("--force");
        }
        self.run(&arguments)
    }

    /// A certificate for each of these, of this kind of key. One that has its certificate already keeps it.
    pub(crate) fn issue_devices(&self, devices: &[&Device], key: &str, kind: Kind) -> Result<(), FleetError> {
        if devices.is_empty() {
            return Ok(());
        }
        let list = self.store.join("fleet.csv");
        let lines: String = devices.iter().map(|device| device.csv_line()).collect();
        file::put(&list, lines.as_bytes())?;
        let list = list.display().to_string();
        match kind {
            Kind::Modern => self.run(&["device", "issue", "--csv", &list, "--key", key]),
            Kind::Old => self.run(&["device", "issue", "--csv", &list, "--legacy", "sha1,rsa-1024"]),
        }
    }

    pub(crate) fn revoke(&self, device: &Device) -> Result<(), FleetError> {
        self.run(&["revoke", &device.mac, "--reason", "keyCompromise"])
    }

    pub(crate) fn publish(&self) -> Result<(), FleetError> {
        self.run(&["crl", "publish"])
    }

    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    /// Where a device's `chain.pem` and `key.pem` are.
    pub(crate) fn device(&self, device: &Device) -> PathBuf {
        self.store.join("devices").join(&device.mac)
    }

    /// Where the server's `chain.pem` and `key.pem` are.
    pub(crate) fn server(&self) -> PathBuf {
        self.store.join("server").join(HOST)
    }

    pub(crate) fn server_root(&self) -> PathBuf {
        self.store.join("trust/server-root.pem")
    }

    fn run(&self, arguments: &[&str]) -> Result<(), FleetError> {
        let output = Command::new(&self.program)
            .arg("--store")
            .arg(&self.store)
            .args(arguments)
            .output()
            .map_err(FleetError::io(format!("{} cannot be run; is it built?", self.program.display())))?;
        if output.status.success() {
            return Ok(());
        }
        Err(FleetError::Authority {
            command: arguments.join(" "),
            message: String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
        })
    }
}
