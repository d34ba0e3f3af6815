//! Reading HTTP/1.1 messages as bytes, strictly enough to see what really was sent.

use std::io::{self, Read};

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in order.
    pub fields: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a field, if it is there once.
    ///
    /// # Panics
    /// It is there more than once.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A message's head.
#[derive(Clone, Debug)]
pub struct Head {
    /// Request line or status line.
    pub first_line: String,
    /// Names in lower case, in order.
    pub fields: Vec<(String, String)>,
    /// The bytes as received, the empty line included.
    pub raw: Vec<u8>,
}

/// Reads a head; `None` if the stream ends before its first byte.
///
/// # Errors
/// The stream's, or the end inside a head.
pub fn read_head(stream: &mut impl Read) -> io::Result<Option<Head>> {
    let mut raw = Vec::new();
    let mut byte = [0];
    while !raw.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            if raw.is_empty() {
                return Ok(None);
            }
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        raw.push(byte[0]);
    }
    let text: String =
        String::from_utf8(raw.clone()).unwrap_or_else(|_| raw.iter().map(|byte| char::from(*byte)).collect());
    let mut lines = text.split("\r\n");
    let first_line = lines.next().unwrap_or_default().to_owned();
    let fields = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Some(Head { first_line, fields, raw }))
}

/// A field's value, if it is there once.
///
/// # Panics
/// It is there more than once.
pub fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let mut found = fields.iter().filter(|(found, _)| *found == name);
    let value = found.next().map(|(_, value)| value.as_str());
    assert!(found.next().is_none(), "{name} is there more than once");
    value
}

/// Reads a response to a request of this method.
///
/// # Errors
/// The stream's, or an answer that is none; the end before the first byte is `Ok(None)`.
pub fn read_response(stream: &mut impl Read, method: &str) -> io::Result<Option<Response>> {
    loop {
        let Some(head) = read_head(stream)? else { return Ok(None) };
        let status = head.first_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 =
            status.ok_or_else(|| io::Error::other(format!("no status line: {}", head.first_line)))?;
        if (100..200).contains(&status) {
            continue;
        }
        let body = if method == "HEAD" || status == 204 || status == 304 {
            Vec::new()
        } else {
            read_body(stream, &head.fields, true)?.bytes
        };
        return Ok(Some(Response { status, fields: head.fields, body }));
    }
}

/// A message's body.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Without chunk framing.
    pub bytes: Vec<u8>,
    /// The lines after the last chunk.
    pub trailers: Vec<String>,
}

/// Reads a body as the fields frame it; `to_end` says what holds without framing: until the stream ends, or nothing.
///
/// # Errors
/// The stream's, or broken framing.
pub fn read_body(stream: &mut impl Read, fields: &[(String, String)], to_end: bool) -> io::Result<Body> {
    if field(fields, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return read_chunks(stream);
    }
    let mut body = Vec::new();
    if let Some(length) = field(fields, "content-length") {
        let length: u64 = length.parse().map_err(io::Error::other)?;
        let read = stream.take(length).read_to_end(&mut body)?;
        if u64::try_from(read).unwrap() != length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body ended early"));
        }
    } else if to_end {
        stream.read_to_end(&mut body)?;
    }
    Ok(Body { bytes: body, trailers: Vec::new() })
}

fn read_chunks(stream: &mut impl Read) -> io::Result<Body> {
    let mut body = Vec::new();
    loop {
        let size = read_line(stream)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size == 0 {
            let mut trailers = Vec::new();
            loop {
                let line = read_line(stream)?;
                if line.is_empty() {
                    return Ok(Body { bytes: body, trailers });
                }
                trailers.push(line);
            }
        }
        let read = stream.take(size).read_to_end(&mut body)?;
        if u64::try_from(read).unwrap() != size || !read_line(stream)?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a chunk ended early"));
        }
    }
}

fn read_line(stream: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    Ok(String::from_utf8_lossy(&line).into_owned())
}
