//! Lines as they are counted by people, and none without end.

use std::io::{self, Read};

/// The longest line that is read, in octets: model, serial number, MAC address and a request fit many times.
const LONGEST: usize = 64 * 1024;

/// Stops a reader at a line that no list has, before it fills the memory.
pub(super) struct Lines<R> {
    inner: R,
    length: usize,
}

impl<R> Lines<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, length: 0 }
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let fresh = buffer.get(..read).unwrap_or_default();
        self.length = match fresh.iter().rposition(|octet| *octet == b'\n') {
            Some(position) => read - position,
            None => self.length + read,
        };
        if self.length > LONGEST {
            let message = format!("a line is longer than {LONGEST} octets");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(read)
    }
}

/// Lets the CSV library count lines as people do. It counts line feeds, and that of `\r\n` and those of empty lines only with
/// the record that follows: so `\r\n` becomes `\n` here, and an empty line a record of nothing.
pub(super) struct Counted<R> {
    inner: R,
    /// What was changed and not yet handed on, and how much of it was.
    ready: Vec<u8>,
    handed: usize,
    /// Whether the last octet was `\r`, which may be the first half of a line's end.
    returned: bool,
    /// Whether a line begins here, outside of quotation marks.
    begins: bool,
    quoted: bool,
}

/// Octets that are changed at a time.
const CHUNK: usize = 8 * 1024;

impl<R> Counted<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, ready: Vec::new(), handed: 0, returned: false, begins: true, quoted: false }
    }

    fn take(&mut self, octet: u8) {
        if std::mem::take(&mut self.returned) && octet != b'\n' {
            self.put(b'\r');
        }
        match octet {
            b'\r' => self.returned = true,
            octet => self.put(octet),
        }
    }

    fn put(&mut self, octet: u8) {
        match octet {
            b'"' => self.quoted = !self.quoted,
            b'\n' if !self.quoted => {
                if self.begins {
                    self.ready.push(b' ');
                }
                self.begins = true;
                self.ready.push(b'\n');
                return;
            }
            _ => {}
        }
        self.begins = false;
        self.ready.push(octet);
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.handed == self.ready.len() {
            self.ready.clear();
            self.handed = 0;
            let mut chunk = [0; CHUNK];
            let read = self.inner.read(&mut chunk)?;
            if read == 0 {
                return Ok(0); // a last `\r` ends the last line, as the end of the file does
            }
            for octet in chunk.iter().take(read) {
                self.take(*octet);
            }
        }
        let left = self.ready.get(self.handed..).unwrap_or_default();
        let handed = left.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(left) {
            *to = *from;
        }
        self.handed += handed;
        Ok(handed)
    }
}
