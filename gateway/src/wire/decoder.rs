//! Both directions of one connection, item by item.

use std::sync::Arc;

use policies::{CipherSuite, TlsVersion};

use super::message::{Message, ServerHello};
use super::opener::Opener;
use super::record::{Record, Records, content};
use super::{Secrets, Side};

/// The largest handshake message that is put together; no chain that a gateway takes is larger.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// Something that one side said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// Who said it.
    pub from: Side,
    /// The version in the header of its record; none of an SSLv2-format hello.
    pub record: Option<TlsVersion>,
    /// It came encrypted.
    pub encrypted: bool,
    /// What it is.
    pub what: What,
}

/// What somebody said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// An alert.
    Alert {
        /// 1 is a warning, 2 is fatal.
        level: u8,
        /// Which (RFC 8446 §6).
        description: u8,
    },
    /// So many bytes of HTTP.
    ApplicationData(usize),
    /// From here on this side encrypts; at TLS 1.3 it means nothing.
    ChangeCipherSpec,
    /// The direction ended in the middle of a record or message, with so many bytes of it.
    CutShort(usize),
    /// A handshake message.
    Handshake {
        /// What it says.
        message: Message,
        /// Its bytes, with its header.
        size: usize,
    },
    /// So many bytes that are no TLS; this direction is not read any further.
    NotTls(usize),
    /// A record that is not opened here: its content type and bytes.
    Sealed {
        /// The content type; at TLS 1.3 always that of application data.
        content: u8,
        /// Bytes on the wire.
        size: usize,
    },
    /// A Finished message that is not opened here, with its bytes on the wire: the first that a side encrypts is always
    /// that (RFC 5246 §7.4.9).
    SealedFinished(usize),
}

/// Reads both directions of one connection.
#[derive(Debug)]
pub struct Decoder {
    client: Direction,
    server: Direction,
    agreed: Agreed,
    secrets: Arc<Secrets>,
}

/// What the hellos said.
#[derive(Debug, Default)]
struct Agreed {
    version: Option<TlsVersion>,
    suite: Option<CipherSuite>,
    client_random: Vec<u8>,
    server_random: Vec<u8>,
}

#[derive(Debug)]
struct Direction {
    records: Records,
    /// Handshake bytes that are not yet a whole message.
    message: Vec<u8>,
    /// This side encrypts.
    protected: bool,
    /// Its Finished has come.
    finished: bool,
    opener: Option<Opener>,
    /// What came last was no TLS.
    given_up: bool,
}

impl Direction {
    const fn new(side: Side) -> Self {
        Self {
            records: Records::new(matches!(side, Side::Client)),
            message: Vec::new(),
            protected: false,
            finished: false,
            opener: None,
            given_up: false,
        }
    }
}

impl Decoder {
    /// A connection that begins. `secrets` are those of this one connection; without any, what is encrypted stays so.
    #[must_use]
    pub fn new(secrets: Arc<Secrets>) -> Self {
        Self {
            client: Direction::new(Side::Client),
            server: Direction::new(Side::Server),
            agreed: Agreed::default(),
            secrets,
        }
    }

    /// Reads what one side sent.
    pub fn feed(&mut self, from: Side, bytes: &[u8]) -> Vec<Item> {
        let mut items = Vec::new();
        if self.side(from).given_up {
            if !bytes.is_empty() {
                items.push(Item { from, record: None, encrypted: false, what: What::NotTls(bytes.len()) });
            }
            return items;
        }
        self.side(from).records.push(bytes);
        loop {
            match self.side(from).records.take() {
                Ok(Some(record)) => self.record(from, record, &mut items),
                Ok(None) => return items,
                Err(_) => {
                    let size = self.side(from).records.waiting();
                    self.give_up(from, size, &mut items);
                }
            }
            if self.side(from).given_up {
                return items;
            }
        }
    }

    /// One side ended its direction.
    pub fn end(&mut self, from: Side) -> Option<Item> {
        let direction = self.side(from);
        let left = direction.records.waiting() + direction.message.len();
        direction.records = Records::new(false);
        direction.message = Vec::new();
        (left > 0 && !direction.given_up).then_some(Item {
            from,
            record: None,
            encrypted: false,
            what: What::CutShort(left),
        })
    }

    const fn side(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn give_up(&mut self, from: Side, size: usize, items: &mut Vec<Item>) {
        let direction = self.side(from);
        direction.given_up = true;
        direction.message = Vec::new();
        direction.records = Records::new(false);
        items.push(Item { from, record: None, encrypted: false, what: What::NotTls(size) });
    }

    fn record(&mut self, from: Side, record: Record, items: &mut Vec<Item>) {
        let (kind, number, payload) = match record {
            Record::Sslv2Hello(body) => {
                let message = Message::read_sslv2(&body);
                self.note(from, &message);
                let what = What::Handshake { message, size: body.len() };
                items.push(Item { from, record: None, encrypted: false, what });
                return;
            }
            Record::Tls { content, version, payload } => (content, version, payload),
        };
        let version = Some(TlsVersion(number));
        let item = |encrypted, what| Item { from, record: version, encrypted, what };
        let is_tls13 = self.agreed.version == Some(TlsVersion::TLS1_3);
        if kind == content::CHANGE_CIPHER_SPEC && (is_tls13 || !self.side(from).protected) {
            items.push(item(false, What::ChangeCipherSpec));
            if !is_tls13 {
                self.side(from).protected = true;
                self.side(from).opener = self.tls12_opener(from);
            }
            return;
        }
        let encrypted = match is_tls13 {
            true => kind == content::APPLICATION_DATA,
            false => self.side(from).protected,
        };
        if !encrypted {
            return self.plain(from, version, false, kind, &payload, items);
        }
        let opened = self.side(from).opener.as_mut().and_then(|opener| opener.open(kind, number, &payload));
        match opened {
            Some((kind, bytes)) => self.plain(from, version, true, kind, &bytes, items),
            None if kind == content::APPLICATION_DATA && !is_tls13 => {
                items.push(item(true, What::ApplicationData(payload.len())));
            }
            None if kind == content::HANDSHAKE && !self.side(from).finished => {
                self.side(from).finished = true;
                items.push(item(true, What::SealedFinished(payload.len())));
            }
            None => items.push(item(true, What::Sealed { content: kind, size: payload.len() })),
        }
    }

    fn plain(
        &mut self,
        from: Side,
        record: Option<TlsVersion>,
        encrypted: bool,
        kind: u8,
        bytes: &[u8],
        items: &mut Vec<Item>,
    ) {
        match kind {
            content::HANDSHAKE => {
                self.side(from).message.extend_from_slice(bytes);
                self.messages(from, record, encrypted, items);
            }
            content::ALERT => {
                let what = match *bytes {
                    [level, description] => What::Alert { level, description },
                    _ => What::Sealed { content: kind, size: bytes.len() },
                };
                items.push(Item { from, record, encrypted, what });
            }
            content::APPLICATION_DATA => {
                items.push(Item { from, record, encrypted, what: What::ApplicationData(bytes.len()) });
            }
            _ => items.push(Item {
                from,
                record,
                encrypted,
                what: What::Sealed { content: kind, size: bytes.len() },
            }),
        }
    }

    /// The whole messages of a direction's handshake bytes.
    fn messages(&mut self, from: Side, record: Option<TlsVersion>, encrypted: bool, items: &mut Vec<Item>) {
        loop {
            let Some((header, body)) = self.side(from).message.split_first_chunk::<4>() else { return };
            let [kind, high, middle, low] = *header;
            let length = u32::from_be_bytes([0, high, middle, low]);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > MAX_MESSAGE {
                let size = 4 + body.len();
                return self.give_up(from, size, items);
            }
            let Some(body) = body.get(..length).map(<[u8]>::to_vec) else { return };
            self.side(from).message.drain(..4 + length);
            let version = self.agreed.version.unwrap_or(TlsVersion(0));
            let suite = self.agreed.suite.unwrap_or(CipherSuite(0));
            let message = Message::read(kind, &body, version, suite);
            self.note(from, &message);
            items.push(Item { from, record, encrypted, what: What::Handshake { message, size: 4 + length } });
        }
    }

    /// Keeps what later messages are read with.
    fn note(&mut self, from: Side, message: &Message) {
        match (from, message) {
            (Side::Client, Message::ClientHello(fields)) => {
                self.agreed.client_random.clone_from(&fields.random);
            }
            (Side::Server, Message::ServerHello(hello)) if !hello.retry => self.agree(hello),
            (_, Message::Finished(_)) if self.agreed.version != Some(TlsVersion::TLS1_3) => {
                self.side(from).finished = true;
            }
            (_, Message::Finished(_)) if self.agreed.version == Some(TlsVersion::TLS1_3) => {
                let label = match from {
                    Side::Client => "CLIENT_TRAFFIC_SECRET_0",
                    Side::Server => "SERVER_TRAFFIC_SECRET_0",
                };
                self.side(from).opener = self.tls13_opener(label);
            }
            (_, Message::KeyUpdate) => {
                if let Some(opener) = &mut self.side(from).opener {
                    opener.update();
                }
            }
            _ => {}
        }
    }

    fn agree(&mut self, hello: &ServerHello) {
        self.agreed.version = Some(hello.version);
        self.agreed.suite = Some(hello.suite);
        self.agreed.server_random = hello.random.to_vec();
        if hello.version == TlsVersion::TLS1_3 {
            self.client.opener = self.tls13_opener("CLIENT_HANDSHAKE_TRAFFIC_SECRET");
            self.server.opener = self.tls13_opener("SERVER_HANDSHAKE_TRAFFIC_SECRET");
        }
    }

    fn tls13_opener(&self, label: &str) -> Option<Opener> {
        Opener::tls13(self.agreed.suite?, &self.secrets.find(label)?)
    }

    fn tls12_opener(&self, from: Side) -> Option<Opener> {
        if self.agreed.version != Some(TlsVersion::TLS1_2) {
            return None;
        }
        let master = self.secrets.find("CLIENT_RANDOM")?;
        let Agreed { client_random, server_random, .. } = &self.agreed;
        Opener::tls12(self.agreed.suite?, &master, client_random, server_random, from)
    }
}

#[cfg(test)]
mod tests;
