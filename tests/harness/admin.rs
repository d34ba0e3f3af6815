//! Asking a gateway's admin listener over plain HTTP, byte by byte.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use crate::http::{self, Head};

/// The token that [`table`] writes of.
pub const TOKEN: &str = "5f1d7a84db98ac12f2a0c7ad45d52a1e86b4e9bb6aef6c7d";

/// `[admin]` on a free port, and its token's file, which is to be written with mode 0600 as `admin.token`.
pub fn table() -> String {
    "[admin]\naddress = \"127.0.0.1:0\"\ntoken-file = \"admin.token\"".to_owned()
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, for its fields.
    pub head: Head,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A field's value, if it is there once.
    pub fn field(&self, name: &str) -> Option<&str> {
        http::field(&self.head.fields, name)
    }
}

/// Sends a request with these lines after its first, and a body, and reads the answer.
///
/// # Panics
/// There is none.
pub fn ask(address: SocketAddr, first_line: &str, lines: &[&str], body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let has_host = lines.iter().any(|line| line.to_ascii_lowercase().starts_with("host:"));
    let host = if has_host { String::new() } else { format!("Host: {address}\r\n") };
    let fields: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{first_line} HTTP/1.1\r\n{host}{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let head = http::read_head(&mut stream).unwrap().expect("an answer");
    let mut body = String::new();
    stream.read_to_string(&mut body).unwrap();
    let status = head.first_line.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body }
}

/// GET with the token.
///
/// # Panics
/// There is no answer.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path}"), &[&format!("Authorization: Bearer {TOKEN}")], "")
}
