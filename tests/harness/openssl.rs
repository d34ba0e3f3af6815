//! `openssl` as a device and as a judge of certificates.

use std::{net::SocketAddr, path::PathBuf, process::Command};

use crate::{
    expect::Peer,
    gateway::HOST,
    pki::{Authority, Credentials},
    process::{self, Finished},
    workdir::WorkDir,
};

/// `openssl s_client` with its files in a folder of its own.
#[derive(Debug)]
pub struct SClient {
    folder: WorkDir,
    address: SocketAddr,
    arguments: Vec<String>,
}

impl SClient {
    /// A client of a server whose certificate `root` issued; it sends the server name.
    pub fn new(address: SocketAddr, root: &Authority) -> Self {
        let folder = WorkDir::new();
        let root = text(folder.write("root.pem", root.pem()));
        let client = Self { folder, address, arguments: Vec::new() };
        client.with(&["-CAfile", &root, "-verify_return_error", "-servername", HOST])
    }

    /// With a client certificate, its intermediates included.
    #[must_use]
    pub fn presenting(self, credentials: &Credentials) -> Self {
        let (chain, key) = credentials.write(&self.folder, "client");
        let (chain, key) = (text(chain), text(key));
        self.with(&["-cert", &chain, "-cert_chain", &chain, "-key", &key])
    }

    /// With further arguments.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Without the server name.
    #[must_use]
    pub fn without_server_name(mut self) -> Self {
        let at = self.arguments.iter().position(|argument| argument == "-servername").unwrap();
        self.arguments.drain(at..at + 2);
        self.with(&["-noservername"])
    }

    /// A file in the client's folder, to keep a session in.
    pub fn file(&self, name: &str) -> String {
        text(self.folder.join(name))
    }

    /// One GET on one connection; what `s_client` printed, the answer in it.
    pub fn get(&self, target: &str) -> Finished {
        self.say(&format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"))
    }

    /// Any text on one connection.
    pub fn say(&self, text: &str) -> Finished {
        let mut command: Command = Peer::Openssl.command();
        command
            .arg("s_client")
            .arg("-connect")
            .arg(self.address.to_string())
            .arg("-ign_eof")
            .args(&self.arguments);
        process::run(&mut command, text.as_bytes())
    }
}

/// Runs any `openssl` command.
pub fn run(arguments: &[&str]) -> Finished {
    process::run(Peer::Openssl.command().args(arguments), b"")
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}
