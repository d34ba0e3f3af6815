//! curl as a device.

use std::{net::SocketAddr, path::PathBuf, process::Command};

use crate::{
    expect::Peer,
    gateway::HOST,
    pki::{Authority, Credentials},
    process,
    workdir::WorkDir,
};

/// curl with its files in a folder of its own.
#[derive(Debug)]
pub struct Curl {
    folder: WorkDir,
    address: SocketAddr,
    arguments: Vec<String>,
    by_address: bool,
}

/// What curl got.
#[derive(Debug)]
pub struct Got {
    /// The status; 0 without an answer.
    pub status: u16,
    /// The body.
    pub body: String,
    /// curl's exit code.
    pub code: Option<i32>,
    /// curl's message.
    pub message: String,
}

impl Curl {
    /// curl asking a server whose certificate `root` issued.
    pub fn new(address: SocketAddr, root: &Authority) -> Self {
        Self::trusting(address, &root.pem())
    }

    /// The same with the root's certificate in PEM.
    pub fn trusting(address: SocketAddr, root: &str) -> Self {
        let folder = WorkDir::new();
        let root = folder.write("root.pem", root);
        let arguments = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--cacert"];
        let arguments = arguments.into_iter().map(str::to_owned).chain([text(root)]).collect();
        Self { folder, address, arguments, by_address: false }
    }

    /// With a client certificate.
    #[must_use]
    pub fn presenting(self, credentials: &Credentials) -> Self {
        let (chain, key) = credentials.write(&self.folder, "client");
        let (chain, key) = (text(chain), text(key));
        self.with(&["--cert", &chain, "--key", &key])
    }

    /// With further arguments.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// By IP address, so that it sends no server name.
    #[must_use]
    pub fn without_server_name(mut self) -> Self {
        self.by_address = true;
        // The certificate names no address; a phone that asks by address does not look either.
        self.with(&["--insecure"])
    }

    /// Asks for these targets, on one connection if it can; one answer each.
    pub fn get(&self, targets: &[&str]) -> Vec<Got> {
        let port = self.address.port();
        let mut command: Command = Peer::Curl.command();
        for (index, target) in targets.iter().enumerate() {
            if index > 0 {
                command.arg("--next");
            }
            command.args(&self.arguments).arg("--write-out").arg("\u{1}%{http_code}\u{2}");
            if self.by_address {
                command.arg("--header").arg(format!("Host: {HOST}"));
                command.arg(format!("https://{}{target}", self.address));
            } else {
                command.arg("--resolve").arg(format!("{HOST}:{port}:{}", self.address.ip()));
                command.arg(format!("https://{HOST}:{port}{target}"));
            }
        }
        let finished = process::run(&mut command, b"");
        let answers: Vec<_> = finished
            .out
            .split('\u{2}')
            .filter_map(|answer| answer.split_once('\u{1}'))
            .map(|(body, status)| Got {
                status: status.parse().unwrap_or(0),
                body: body.to_owned(),
                code: finished.code,
                message: finished.err.clone(),
            })
            .collect();
        assert_eq!(answers.len(), targets.len(), "curl: {}", finished.err);
        answers
    }

    /// Asks for one target.
    ///
    /// # Panics
    /// Never: one target has one answer.
    pub fn get_one(&self, target: &str) -> Got {
        self.get(&[target]).pop().unwrap()
    }
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}
