//! `openssl` as a device and as a judge of certificates.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use crate::{
    expect::{DEADLINE, Peer},
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
        process::run(&mut self.command(), text.as_bytes())
    }

    /// A connection that is kept.
    ///
    /// # Panics
    /// `openssl` does not start.
    pub fn connect(&self) -> Kept {
        let mut command = self.command();
        command.arg("-quiet").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let (sender, heard) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Kept { child, heard }
    }

    fn command(&self) -> Command {
        let mut command: Command = Peer::Openssl.command();
        command
            .arg("s_client")
            .arg("-connect")
            .arg(self.address.to_string())
            .arg("-ign_eof")
            .args(&self.arguments);
        command
    }
}

/// A connection of [`SClient`] on which one thing after another is said. `openssl` ends when it is dropped.
#[derive(Debug)]
pub struct Kept {
    child: Child,
    heard: Receiver<Vec<u8>>,
}

impl Kept {
    /// One GET; what comes until `end` is in it.
    ///
    /// # Panics
    /// That never comes.
    pub fn get(&mut self, target: &str, end: &str) -> String {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        self.child.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        while !text.contains(end) {
            match self.heard.recv_timeout(DEADLINE) {
                Ok(more) => text.push_str(&String::from_utf8_lossy(&more)),
                Err(error) => panic!("{error} before {end:?} in {text:?}"),
            }
        }
        text
    }

    /// Lets time go by in which nothing comes and the connection stays open.
    ///
    /// # Panics
    /// Something comes, or it ends.
    pub fn idle(&self, time: Duration) {
        assert_eq!(self.heard.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs any `openssl` command.
pub fn run(arguments: &[&str]) -> Finished {
    process::run(Peer::Openssl.command().args(arguments), b"")
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}
