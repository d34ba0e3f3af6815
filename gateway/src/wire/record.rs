//! Records (RFC 8446 §5.1, RFC 5246 §6.2.1), put together from what arrives.

/// Content types (IANA, "TLS ContentType").
pub mod content {
    /// change_cipher_spec
    pub const CHANGE_CIPHER_SPEC: u8 = 20;
    /// alert
    pub const ALERT: u8 = 21;
    /// handshake
    pub const HANDSHAKE: u8 = 22;
    /// application_data; at TLS 1.3 anything encrypted
    pub const APPLICATION_DATA: u8 = 23;
}

/// RFC 5246 §6.2.3: 2^14 and 2048 more for what encryption adds.
const MAX_PAYLOAD: usize = (1 << 14) + 2048;

/// One record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Record {
    /// A record of SSL 3.0 or later.
    Tls {
        /// Its content type.
        content: u8,
        /// The version in its header.
        version: u16,
        /// What it carries.
        payload: Vec<u8>,
    },
    /// The SSLv2-format hello of very old clients (RFC 5246 appendix E.2), without its length.
    Sslv2Hello(Vec<u8>),
}

/// What is no TLS any more; how many bytes of it have come.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("what is sent is no TLS")]
pub struct NotTls;

/// Cuts one direction's bytes into records.
#[derive(Debug)]
pub struct Records {
    buffer: Vec<u8>,
    /// Nothing has been read yet: an SSLv2-format hello may come.
    first: bool,
}

impl Records {
    /// The records of a client, whose first may be an SSLv2-format hello, or of a server.
    #[must_use]
    pub const fn new(of_client: bool) -> Self {
        Self { buffer: Vec::new(), first: of_client }
    }

    /// Adds what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that are not yet a whole record.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole record.
    ///
    /// # Errors
    /// What has come is no record.
    pub fn take(&mut self) -> Result<Option<Record>, NotTls> {
        if self.first
            && let [high, low, kind, ..] = *self.buffer.as_slice()
            && high & 0x80 != 0
        {
            if kind != 1 {
                return Err(NotTls);
            }
            let length = 2 + usize::from(u16::from_be_bytes([high & 0x7f, low]));
            let Some(body) = self.buffer.get(2..length) else { return Ok(None) };
            let hello = Record::Sslv2Hello(body.to_vec());
            self.buffer.drain(..length);
            self.first = false;
            return Ok(Some(hello));
        }
        let Some((header, body)) = self.buffer.split_first_chunk::<5>() else {
            return match self.buffer.as_slice() {
                [first, ..] if (20..=24).contains(first) || (self.first && first & 0x80 != 0) => Ok(None),
                [] => Ok(None),
                _ => Err(NotTls),
            };
        };
        let [content, major, minor, high, low] = *header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(20..=24).contains(&content) || major != 3 || length > MAX_PAYLOAD {
            return Err(NotTls);
        }
        let Some(payload) = body.get(..length) else { return Ok(None) };
        let record =
            Record::Tls { content, version: u16::from_be_bytes([major, minor]), payload: payload.to_vec() };
        self.buffer.drain(..5 + length);
        self.first = false;
        Ok(Some(record))
    }
}
