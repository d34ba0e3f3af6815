//! One GET, as a phone asks, and what is answered.

use std::io::{self, Read, Write};

use serde::Serialize;

/// What a server answered.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The rest of the status line.
    pub(super) phrase: String,
    /// Bytes of the body that came, counted up to a megabyte.
    pub(super) bytes: usize,
}

const MOST_HEAD: usize = 64 * 1024;
const MOST_BODY: usize = 1 << 20;

/// Asks on an open connection. `None` where something came that is no HTTP, or nothing.
///
/// # Errors
/// The stream's.
pub(super) fn get(stream: &mut (impl Read + Write), host: &str, path: &str) -> io::Result<Option<Answer>> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: provision-gateway-probe/{}\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    // A refusal may be on its way while this is written: it is read below, and says more than a broken pipe.
    let written = stream.write_all(request.as_bytes()).and_then(|()| stream.flush());
    let mut came = Vec::new();
    let mut buffer = [0; 8192];
    let head = loop {
        if let Some(end) = came.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if came.len() > MOST_HEAD {
            return Ok(None);
        }
        match stream.read(&mut buffer) {
            Ok(0) => {
                written?;
                return Ok(None);
            }
            Ok(read) => came.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    let line = came.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    let mut words = line.splitn(3, ' ');
    let (Some(version), Some(status)) = (words.next(), words.next()) else { return Ok(None) };
    let (true, Ok(status)) = (version.starts_with("HTTP/1."), status.parse::<u16>()) else { return Ok(None) };
    let phrase = words.next().unwrap_or_default().chars().take(80).collect();
    let mut bytes = came.len() - (head + 4);
    // However the body ends, the answer is there.
    while bytes < MOST_BODY {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => bytes += read,
            _ => break,
        }
    }
    Ok(Some(Answer { status, phrase, bytes }))
}
