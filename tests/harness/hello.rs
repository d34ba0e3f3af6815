//! Client hellos byte for byte, for what no TLS library would send.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
};

use crate::expect::DEADLINE;

/// A client hello to be. Empty lists leave their extension out.
#[derive(Clone, Debug)]
pub struct Hello {
    /// `legacy_version`.
    pub version: u16,
    /// `supported_versions`.
    pub versions: Vec<u16>,
    /// Cipher suites.
    pub suites: Vec<u16>,
    /// `supported_groups`.
    pub groups: Vec<u16>,
    /// `signature_algorithms`.
    pub signature_algorithms: Vec<u16>,
    /// `server_name`.
    pub server_name: Option<Vec<u8>>,
    /// Bytes of an extension of no meaning (0xfafa), to make it large.
    pub padding: usize,
}

impl Hello {
    /// What a TLS 1.2 client of today sends.
    pub fn tls12(server_name: &str) -> Self {
        Self {
            version: 0x0303,
            versions: Vec::new(),
            suites: vec![0xc02b, 0xc02f, 0xc02c, 0xc030],
            groups: vec![0x001d, 0x0017],
            signature_algorithms: vec![0x0403, 0x0804, 0x0401],
            server_name: Some(server_name.as_bytes().to_vec()),
            padding: 0,
        }
    }

    /// The handshake message.
    ///
    /// # Panics
    /// A list is longer than its length field can say.
    pub fn message(&self) -> Vec<u8> {
        let Self { version, versions, suites, groups, signature_algorithms, server_name, padding } = self;
        let mut extensions = Vec::new();
        let mut add = |number: u16, contents: Vec<u8>| {
            extensions.extend(number.to_be_bytes());
            extensions.extend(with_length(contents));
        };
        if let Some(name) = server_name {
            add(0, with_length([vec![0], with_length(name.clone())].concat()));
        }
        if !groups.is_empty() {
            add(10, with_length(numbers(groups)));
            add(11, vec![1, 0]);
        }
        if !signature_algorithms.is_empty() {
            add(13, with_length(numbers(signature_algorithms)));
        }
        if !versions.is_empty() {
            let versions = numbers(versions);
            add(43, [vec![u8::try_from(versions.len()).unwrap()], versions].concat());
        }
        if versions.contains(&0x0304) {
            // An X25519 share: any 32 bytes are a point.
            let share = [vec![0, 0x1d], with_length(vec![9; 32])].concat();
            add(51, with_length(share));
        }
        if *padding > 0 {
            add(0xfafa, vec![0; *padding]);
        }
        let mut body = version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.push(0);
        body.extend(with_length(numbers(suites)));
        body.extend([1, 0]);
        if !extensions.is_empty() {
            body.extend(with_length(extensions));
        }
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [vec![1, length[1], length[2], length[3]], body].concat()
    }

    /// The message in records of at most 16 KiB.
    pub fn records(&self) -> Vec<u8> {
        self.message().chunks(1 << 14).flat_map(record).collect()
    }
}

/// A handshake record.
pub fn record(payload: &[u8]) -> Vec<u8> {
    [vec![22, 3, 1], with_length(payload.to_vec())].concat()
}

/// The client hello record `bytes` as two records, the first with `cut` bytes of the message.
pub fn split_over_records(bytes: &[u8], cut: usize) -> Vec<u8> {
    let (first, second) = bytes[5..].split_at(cut);
    [record(first), record(second)].concat()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn with_length(contents: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
    [length.to_vec(), contents].concat()
}

/// What a server answered to bytes that began no connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// An alert, by its number.
    Alert(u8),
    /// Some other TLS record, by its type.
    Record(u8),
    /// The end of the connection.
    End,
    /// A reset.
    Reset,
}

/// Sends bytes as they are and reads the first record of the answer; `end` also ends our direction.
///
/// # Panics
/// The server cannot be reached, or keeps silent until the deadline.
pub fn exchange(address: SocketAddr, bytes: &[u8], end: bool) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    // The server may close while we write: what it said before is read all the same.
    let _ = stream.write_all(bytes);
    if end {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = [0; 7];
    let mut read = 0;
    while read < answer.len() {
        match stream.read(&mut answer[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Answer::Reset,
            Err(error) => panic!("the server neither answered nor closed: {error}"),
        }
    }
    match (read, answer) {
        (0, _) => Answer::End,
        (7, [21, _, _, 0, 2, _, description]) => Answer::Alert(description),
        (_, [kind, ..]) => Answer::Record(kind),
    }
}
