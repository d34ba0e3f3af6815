//! HTTP/1.1 as the phones speak it: `GET`, answers with a length, in chunks, or until the end of the connection.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::HOST;
use crate::call::Failure;
use crate::tls::{Wire, of_io};

/// More than any profile here; an answer that goes on is broken.
const MOST: usize = 64 << 20;

/// What a phone asks.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) target: &'a str,
    pub(crate) user_agent: &'a str,
    /// User and password in base64, after they were asked for.
    pub(crate) authorization: Option<&'a str>,
    /// Asks for the connection to be closed after the answer.
    pub(crate) close: bool,
}

/// What it gets.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Whether the connection takes another request.
    pub(crate) keeps: bool,
}

/// A connection, with what was read too far.
pub(crate) struct Connection {
    wire: Box<dyn Wire>,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(wire: Box<dyn Wire>) -> Self {
        Self { wire, read: Vec::new() }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn get(&mut self, request: &Request<'_>) -> Result<Response, Failure> {
        let mut text = format!(
            "GET {} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: {}\r\n",
            request.target, request.user_agent
        );
        if let Some(authorization) = request.authorization {
            let _ = write!(text, "Authorization: Basic {authorization}\r\n");
        }
        if request.close {
            text.push_str("Connection: close\r\n");
        }
        text.push_str("Accept: */*\r\n\r\n");
        // A refusal may have come already: then it is what counts, not that nobody reads us any more.
        let sent = self.send(text.as_bytes()).await;
        match self.answer().await {
            Err(Failure::Closed) => Err(sent.err().unwrap_or(Failure::Closed)),
            answered => answered,
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.wire.write_all(bytes).await.map_err(|error| of_io(&error))?;
        self.wire.flush().await.map_err(|error| of_io(&error))
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        // The gateway may be gone already.
        let _ = self.wire.shutdown().await;
    }

    /// Reads until the peer ends the connection; gives whatever else it says.
    pub(crate) async fn rest(&mut self) -> Result<usize, Failure> {
        while self.more().await? {}
        Ok(self.read.len())
    }

    async fn answer(&mut self) -> Result<Response, Failure> {
        let end = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end;
            }
            if !self.more().await? {
                return Err(Failure::Closed);
            }
        };
        let head = Head::parse(self.read.get(..end).unwrap_or_default())?;
        self.read.drain(..end + 4);
        let body = match head.framing {
            Framing::Length(length) => self.exactly(length).await?,
            Framing::Chunks => self.chunks().await?,
            Framing::ToEnd => {
                self.rest().await?;
                std::mem::take(&mut self.read)
            }
        };
        let keeps = head.keeps && head.framing != Framing::ToEnd;
        Ok(Response { status: head.status, location: head.location, body, keeps })
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        while self.read.len() < length {
            if !self.more().await? {
                return Err(Failure::Closed);
            }
        }
        Ok(self.read.drain(..length).collect())
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size =
                usize::from_str_radix(size, 16).map_err(|_| Failure::NotHttp("a chunk without size"))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(size).await?);
            self.line().await?;
        }
    }

    async fn line(&mut self) -> Result<String, Failure> {
        let end = loop {
            if let Some(end) = find(&self.read, b"\r\n") {
                break end;
            }
            if !self.more().await? {
                return Err(Failure::Closed);
            }
        };
        let line: Vec<u8> = self.read.drain(..end + 2).take(end).collect();
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Reads some more; `false` at the end.
    async fn more(&mut self) -> Result<bool, Failure> {
        if self.read.len() > MOST {
            return Err(Failure::NotHttp("an answer without end"));
        }
        self.read.reserve(4096);
        let read = self.wire.read_buf(&mut self.read).await.map_err(|error| of_io(&error))?;
        Ok(read > 0)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Framing {
    Length(usize),
    Chunks,
    ToEnd,
}

#[derive(Debug, Eq, PartialEq)]
struct Head {
    status: u16,
    location: Option<String>,
    framing: Framing,
    keeps: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .ok_or(Failure::NotHttp("no status line"))?;
        let mut head =
            Self { status, location: None, framing: Framing::ToEnd, keeps: !first.starts_with("HTTP/1.0") };
        if matches!(status, 204 | 304) {
            head.framing = Framing::Length(0);
        }
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "location" => head.location = Some(value.to_owned()),
                "content-length" => {
                    let length = value.parse().map_err(|_| Failure::NotHttp("a length that is no number"))?;
                    head.framing = Framing::Length(length);
                }
                "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => {
                    head.framing = Framing::Chunks
                }
                "connection" if value.eq_ignore_ascii_case("close") => head.keeps = false,
                _ => {}
            }
        }
        Ok(head)
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answers(bytes: &'static [u8]) -> (Result<Response, Failure>, Vec<u8>) {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(bytes).await.unwrap();
        let mut asked = vec![0; 1024];
        let request = Request { target: "/a", user_agent: "b", authorization: None, close: true };
        let mut connection = Connection::new(Box::new(ours));
        let answer = async {
            let count = theirs.read(&mut asked).await.unwrap();
            asked.truncate(count);
            drop(theirs);
            asked
        };
        tokio::join!(connection.get(&request), answer)
    }

    #[tokio::test]
    async fn a_body_is_read_as_it_is_framed() {
        let cases: [(&[u8], bool); 3] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", true),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x\r\ni\r\n0\r\n\r\n", true),
            (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi", false),
        ];
        for (bytes, keeps) in cases {
            let (response, asked) = answers(bytes).await;
            let response = response.unwrap();
            assert_eq!(
                (response.status, response.body.as_slice(), response.keeps),
                (200, b"hi".as_slice(), keeps)
            );
            assert!(asked.starts_with(b"GET /a HTTP/1.1\r\n"), "{asked:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_ends_early_is_no_answer() {
        for bytes in [b"".as_slice(), b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"] {
            assert_eq!(answers(bytes).await.0.unwrap_err(), Failure::Closed);
        }
        assert!(matches!(answers(b"SSH-2.0\r\n\r\n").await.0.unwrap_err(), Failure::NotHttp(_)));
    }
}
