//! The real `provision-ca`, in a store of its own: the authorities and every certificate of a run.

use std::io;
use std::path::{Path, PathBuf};

use crate::parent_death;

/// A store of `provision-ca`.
#[derive(Clone, Debug)]
pub struct Authority {
    program: PathBuf,
    store: PathBuf,
    /// The provisioning server's name.
    host: String,
}

/// What its certificates are like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// As issued today.
    Modern,
    /// A test store, whose devices are as old phones are.
    Old,
}

/// Why the authority did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It refused.
    #[error("provision-ca {command} failed: {message}")]
    Failed {
        /// Its arguments.
        command: String,
        /// What it said.
        message: String,
    },
    /// A list of devices could not be written for it.
    #[error("{} cannot be written", .path.display())]
    List {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It could not be started.
    #[error("{} cannot be run; is it built?", .program.display())]
    Missing {
        /// Where it should be.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl Authority {
    /// The store in this folder, made if it is not there; `binaries` is the folder of the program, `host` the name of
    /// the server that is to get a certificate.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn open(
        binaries: &Path,
        store: &Path,
        host: &str,
        name: &str,
        kind: Kind,
    ) -> Result<Self, AuthorityError> {
        let authority =
            Self { program: binaries.join("provision-ca"), store: store.to_owned(), host: host.to_owned() };
        if !store.join("ca.sqlite").exists() {
            let mut arguments = vec!["init", "--name", name, "--no-passphrase", "--key", "rsa2048"];
            if kind == Kind::Old {
                arguments.push("--test");
            }
            authority.run(&arguments)?;
        }
        Ok(authority)
    }

    /// A server certificate for the provisioning host, unless it has one.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue_server(&self) -> Result<(), AuthorityError> {
        if self.server().join("chain.pem").exists() {
            return Ok(());
        }
        self.run(&["server", "issue", &self.host])
    }

    /// A new server certificate in place of the old, with this kind of key if one is named.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn renew_server(&self, key: Option<&str>) -> Result<(), AuthorityError> {
        let mut arguments = vec!["server", "issue", &self.host, "--force"];
        arguments.extend(key.iter().flat_map(|key| ["--key", key]));
        self.run(&arguments)
    }

    /// A certificate for each device of a list (lines as `provision-ca device issue --csv` takes them), with this kind
    /// of key. One that has its certificate already keeps it.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue_devices(&self, lines: &str, key: &str, kind: Kind) -> Result<(), AuthorityError> {
        if lines.is_empty() {
            return Ok(());
        }
        let path = self.store.join("devices.csv");
        write(&path, lines).map_err(|source| AuthorityError::List { path: path.clone(), source })?;
        let list = path.display().to_string();
        match kind {
            Kind::Modern => self.run(&["device", "issue", "--csv", &list, "--key", key]),
            Kind::Old => self.run(&["device", "issue", "--csv", &list, "--legacy", "sha1,rsa-1024"]),
        }
    }

    /// Takes a device's certificate back; [`Self::publish`] says so to others.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn revoke(&self, mac: &str) -> Result<(), AuthorityError> {
        self.run(&["revoke", mac, "--reason", "keyCompromise"])
    }

    /// Publishes the revocation lists.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn publish(&self) -> Result<(), AuthorityError> {
        self.run(&["crl", "publish"])
    }

    /// Its folder.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Where the `chain.pem` and `key.pem` of the device with this MAC address are.
    pub fn device(&self, mac: &str) -> PathBuf {
        self.store.join("devices").join(mac)
    }

    /// Where the server's `chain.pem` and `key.pem` are.
    pub fn server(&self) -> PathBuf {
        self.store.join("server").join(&self.host)
    }

    /// What phones check the server with.
    pub fn server_root(&self) -> PathBuf {
        self.store.join("trust/server-root.pem")
    }

    /// What the server checks phones with.
    pub fn client_root(&self) -> PathBuf {
        self.store.join("trust/client-root.pem")
    }

    /// The folder of the revocation lists.
    pub fn crls(&self) -> PathBuf {
        self.store.join("trust/crls")
    }

    fn run(&self, arguments: &[&str]) -> Result<(), AuthorityError> {
        let output = parent_death::command(&self.program)
            .arg("--store")
            .arg(&self.store)
            .args(arguments)
            .output()
            .map_err(|source| AuthorityError::Missing { program: self.program.clone(), source })?;
        if output.status.success() {
            return Ok(());
        }
        Err(AuthorityError::Failed {
            command: arguments.join(" "),
            message: String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "one program reads it, and is started after it was written")]
fn write(path: &Path, text: &str) -> io::Result<()> {
    std::fs::write(path, text)
}
