//! Handshake messages as data (RFC 8446 §4, RFC 5246 §7.4, RFC 4346 §7.4).

use policies::{CipherSuite, Group, SignatureScheme, TlsVersion};

use super::cursor::{Cursor, Cut};
use crate::client_hello::{ClientHello, HelloSyntaxError};

/// Handshake types (IANA, "TLS HandshakeType").
pub mod kind {
    /// hello_request
    pub const HELLO_REQUEST: u8 = 0;
    /// client_hello
    pub const CLIENT_HELLO: u8 = 1;
    /// server_hello
    pub const SERVER_HELLO: u8 = 2;
    /// new_session_ticket
    pub const NEW_SESSION_TICKET: u8 = 4;
    /// encrypted_extensions
    pub const ENCRYPTED_EXTENSIONS: u8 = 8;
    /// certificate
    pub const CERTIFICATE: u8 = 11;
    /// server_key_exchange
    pub const SERVER_KEY_EXCHANGE: u8 = 12;
    /// certificate_request
    pub const CERTIFICATE_REQUEST: u8 = 13;
    /// server_hello_done
    pub const SERVER_HELLO_DONE: u8 = 14;
    /// certificate_verify
    pub const CERTIFICATE_VERIFY: u8 = 15;
    /// client_key_exchange
    pub const CLIENT_KEY_EXCHANGE: u8 = 16;
    /// finished
    pub const FINISHED: u8 = 20;
    /// certificate_status
    pub const CERTIFICATE_STATUS: u8 = 22;
    /// key_update
    pub const KEY_UPDATE: u8 = 24;
}

/// More certificates than any chain has are not read.
const MOST_CERTIFICATES: usize = 64;
/// More authorities than 64 KiB of names can hold are not read.
const MOST_AUTHORITIES: usize = 4096;
/// As in the client hello's own reader.
const MOST_EXTENSIONS: usize = 128;

/// An extension: its number and its content.
pub type Extension = (u16, Vec<u8>);

/// One handshake message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// Certificate: DER, the sender's own first; empty where it has none.
    Certificate(Vec<Vec<u8>>),
    /// CertificateRequest
    CertificateRequest(CertificateRequest),
    /// CertificateStatus, with its size.
    CertificateStatus(usize),
    /// CertificateVerify
    CertificateVerify {
        /// What was signed with; none before TLS 1.2, which signs MD5 and SHA-1 together.
        scheme: Option<SignatureScheme>,
        /// Bytes of the signature.
        signature: usize,
    },
    /// ClientHello
    ClientHello(Box<ClientHelloFields>),
    /// ClientKeyExchange, with its size.
    ClientKeyExchange(usize),
    /// EncryptedExtensions
    EncryptedExtensions(Vec<Extension>),
    /// Finished, with its size.
    Finished(usize),
    /// HelloRequest
    HelloRequest,
    /// KeyUpdate
    KeyUpdate,
    /// A message that cannot be read.
    Malformed {
        /// Its type.
        kind: u8,
        /// Its bytes.
        size: usize,
        /// Why.
        why: String,
    },
    /// NewSessionTicket
    NewSessionTicket {
        /// How long it may be used, in seconds.
        lifetime: u32,
        /// Bytes of the ticket.
        size: usize,
    },
    /// A message of a type that is not read here.
    Other {
        /// Its type.
        kind: u8,
        /// Its bytes.
        size: usize,
    },
    /// ServerHello, or a HelloRetryRequest
    ServerHello(ServerHello),
    /// ServerHelloDone
    ServerHelloDone,
    /// ServerKeyExchange
    ServerKeyExchange(ServerKeyExchange),
}

/// What a ClientHello has beside what [`ClientHello`] keeps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientHelloFields {
    /// What it offers.
    pub hello: ClientHello,
    /// `random`; an SSLv2-format hello's challenge.
    pub random: Vec<u8>,
    /// `legacy_session_id`
    pub session_id: Vec<u8>,
    /// `legacy_compression_methods`
    pub compression: Vec<u8>,
    /// The extensions with their content.
    pub extensions: Vec<Extension>,
}

/// What a server chose.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerHello {
    /// The version, from `supported_versions` where that is there.
    pub version: TlsVersion,
    /// `random`
    pub random: [u8; 32],
    /// `session_id`
    pub session_id: Vec<u8>,
    /// The suite.
    pub suite: CipherSuite,
    /// The compression method.
    pub compression: u8,
    /// The extensions with their content.
    pub extensions: Vec<Extension>,
    /// It asks for another ClientHello (RFC 8446 §4.1.4).
    pub retry: bool,
}

/// What a server wants of a client's certificate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CertificateRequest {
    /// `certificate_types`, before TLS 1.3.
    pub types: Vec<u8>,
    /// Signature algorithms, from TLS 1.2 on.
    pub schemes: Vec<SignatureScheme>,
    /// The authorities' names, DER.
    pub authorities: Vec<Vec<u8>>,
    /// Bytes of the list of authorities.
    pub authorities_size: usize,
}

/// A server's share of an ephemeral key exchange.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerKeyExchange {
    /// The curve, of ECDHE.
    pub group: Option<Group>,
    /// The size of the prime in bits, of DHE.
    pub dh_bits: Option<usize>,
    /// What it is signed with, from TLS 1.2 on.
    pub scheme: Option<SignatureScheme>,
    /// Bytes of the message.
    pub size: usize,
}

/// RFC 8446 §4.1.3: the random of a HelloRetryRequest.
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Why a message is none.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Cut(#[from] Cut),
    #[error(transparent)]
    Hello(#[from] HelloSyntaxError),
}

impl Message {
    /// Reads a message's body. `version` and `suite` are what was agreed before it; zero while nothing is.
    #[must_use]
    pub fn read(kind: u8, body: &[u8], version: TlsVersion, suite: CipherSuite) -> Self {
        let read = match kind {
            kind::HELLO_REQUEST => Ok(Self::HelloRequest),
            kind::CLIENT_HELLO => client_hello(body),
            kind::SERVER_HELLO => server_hello(body).map_err(Into::into),
            kind::NEW_SESSION_TICKET => ticket(body, version).map_err(Into::into),
            kind::ENCRYPTED_EXTENSIONS => {
                extensions(&mut Cursor::new(body)).map(Self::EncryptedExtensions).map_err(Into::into)
            }
            kind::CERTIFICATE => certificate(body, version).map_err(Into::into),
            kind::SERVER_KEY_EXCHANGE => key_exchange(body, version, suite).map_err(Into::into),
            kind::CERTIFICATE_REQUEST => request(body, version).map_err(Into::into),
            kind::SERVER_HELLO_DONE => Ok(Self::ServerHelloDone),
            kind::CERTIFICATE_VERIFY => proof(body, version).map_err(Into::into),
            kind::CLIENT_KEY_EXCHANGE => Ok(Self::ClientKeyExchange(body.len())),
            kind::FINISHED => Ok(Self::Finished(body.len())),
            kind::CERTIFICATE_STATUS => Ok(Self::CertificateStatus(body.len())),
            kind::KEY_UPDATE => Ok(Self::KeyUpdate),
            kind => Ok(Self::Other { kind, size: body.len() }),
        };
        read.unwrap_or_else(|why: Unreadable| Self::Malformed {
            kind,
            size: body.len(),
            why: why.to_string(),
        })
    }

    /// Reads an SSLv2-format hello.
    #[must_use]
    pub fn read_sslv2(body: &[u8]) -> Self {
        let read = || -> Result<Self, Unreadable> {
            let hello = ClientHello::parse_sslv2(body)?;
            let mut cursor = Cursor::new(body);
            cursor.take(3, "version")?;
            let specs = cursor.u16("cipher_spec_length")?;
            let session = cursor.u16("session_id_length")?;
            let challenge = cursor.u16("challenge_length")?;
            cursor.take(usize::from(specs), "cipher_specs")?;
            Ok(Self::ClientHello(Box::new(ClientHelloFields {
                hello,
                session_id: cursor.take(usize::from(session), "session_id")?.to_vec(),
                random: cursor.take(usize::from(challenge), "challenge")?.to_vec(),
                compression: Vec::new(),
                extensions: Vec::new(),
            })))
        };
        read().unwrap_or_else(|why| Self::Malformed {
            kind: kind::CLIENT_HELLO,
            size: body.len(),
            why: why.to_string(),
        })
    }

    /// The name of the message.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ServerHello(ServerHello { retry: true, .. }) => "HelloRetryRequest",
            Self::Malformed { kind, .. } | Self::Other { kind, .. } => super::names::handshake_type(*kind),
            Self::Certificate(_) => "Certificate",
            Self::CertificateRequest(_) => "CertificateRequest",
            Self::CertificateStatus(_) => "CertificateStatus",
            Self::CertificateVerify { .. } => "CertificateVerify",
            Self::ClientHello(_) => "ClientHello",
            Self::ClientKeyExchange(_) => "ClientKeyExchange",
            Self::EncryptedExtensions(_) => "EncryptedExtensions",
            Self::Finished(_) => "Finished",
            Self::HelloRequest => "HelloRequest",
            Self::KeyUpdate => "KeyUpdate",
            Self::NewSessionTicket { .. } => "NewSessionTicket",
            Self::ServerHello(_) => "ServerHello",
            Self::ServerHelloDone => "ServerHelloDone",
            Self::ServerKeyExchange(_) => "ServerKeyExchange",
        }
    }
}

impl ServerHello {
    /// Whether it has this extension.
    #[must_use]
    pub fn has(&self, number: u16) -> bool {
        self.extensions.iter().any(|(known, _)| *known == number)
    }
}

fn client_hello(body: &[u8]) -> Result<Message, Unreadable> {
    let hello = ClientHello::parse(body)?;
    let mut cursor = Cursor::new(body);
    cursor.take(2, "legacy_version")?;
    let random = cursor.take(32, "random")?.to_vec();
    let session_id = cursor.vector8("session_id")?.to_vec();
    cursor.vector16("cipher_suites")?;
    let compression = cursor.vector8("compression_methods")?.to_vec();
    let extensions = if cursor.rest.is_empty() { Vec::new() } else { extensions(&mut cursor)? };
    Ok(Message::ClientHello(Box::new(ClientHelloFields {
        hello,
        random,
        session_id,
        compression,
        extensions,
    })))
}

fn server_hello(body: &[u8]) -> Result<Message, Cut> {
    let mut cursor = Cursor::new(body);
    let legacy_version = cursor.u16("legacy_version")?;
    let random = cursor.array::<32>("random")?;
    let session_id = cursor.vector8("session_id")?.to_vec();
    let suite = CipherSuite(cursor.u16("cipher_suite")?);
    let compression = cursor.u8("compression_method")?;
    let extensions = if cursor.rest.is_empty() { Vec::new() } else { extensions(&mut cursor)? };
    let selected = extensions.iter().find(|(number, _)| *number == 43).map(|(_, data)| data.as_slice());
    let version = match selected {
        Some([high, low]) => u16::from_be_bytes([*high, *low]),
        Some(_) => return Err(Cut("supported_versions")),
        None => legacy_version,
    };
    Ok(Message::ServerHello(ServerHello {
        version: TlsVersion(version),
        retry: random == RETRY,
        random,
        session_id,
        suite,
        compression,
        extensions,
    }))
}

fn extensions(cursor: &mut Cursor<'_>) -> Result<Vec<Extension>, Cut> {
    let mut list = Cursor::new(cursor.vector16("extensions")?);
    let mut found = Vec::new();
    while !list.rest.is_empty() {
        if found.len() == MOST_EXTENSIONS {
            return Err(Cut("extensions"));
        }
        found.push((list.u16("extension type")?, list.vector16("extension data")?.to_vec()));
    }
    Ok(found)
}

fn ticket(body: &[u8], version: TlsVersion) -> Result<Message, Cut> {
    let mut cursor = Cursor::new(body);
    let lifetime = cursor.u32("ticket_lifetime")?;
    if version == TlsVersion::TLS1_3 {
        cursor.u32("ticket_age_add")?;
        cursor.vector8("ticket_nonce")?;
    }
    Ok(Message::NewSessionTicket { lifetime, size: cursor.vector16("ticket")?.len() })
}

fn certificate(body: &[u8], version: TlsVersion) -> Result<Message, Cut> {
    let mut cursor = Cursor::new(body);
    if version == TlsVersion::TLS1_3 {
        cursor.vector8("certificate_request_context")?;
    }
    let mut list = Cursor::new(cursor.vector24("certificate_list")?);
    let mut found = Vec::new();
    while !list.rest.is_empty() {
        if found.len() == MOST_CERTIFICATES {
            return Err(Cut("certificate_list"));
        }
        found.push(list.vector24("certificate")?.to_vec());
        if version == TlsVersion::TLS1_3 {
            list.vector16("extensions")?;
        }
    }
    Ok(Message::Certificate(found))
}

fn request(body: &[u8], version: TlsVersion) -> Result<Message, Cut> {
    let mut cursor = Cursor::new(body);
    if version == TlsVersion::TLS1_3 {
        const SIGNATURE_ALGORITHMS: u16 = 13;
        const CERTIFICATE_AUTHORITIES: u16 = 47;
        cursor.vector8("certificate_request_context")?;
        let mut request = CertificateRequest::default();
        for (number, data) in extensions(&mut cursor)? {
            let mut data = Cursor::new(&data);
            match number {
                SIGNATURE_ALGORITHMS => request.schemes = schemes(&mut data)?,
                CERTIFICATE_AUTHORITIES => request.name_authorities(data.vector16("authorities")?)?,
                _ => {}
            }
        }
        return Ok(Message::CertificateRequest(request));
    }
    let mut request = CertificateRequest {
        types: cursor.vector8("certificate_types")?.to_vec(),
        ..CertificateRequest::default()
    };
    if version >= TlsVersion::TLS1_2 {
        request.schemes = schemes(&mut cursor)?;
    }
    request.name_authorities(cursor.vector16("certificate_authorities")?)?;
    Ok(Message::CertificateRequest(request))
}

impl CertificateRequest {
    fn name_authorities(&mut self, list: &[u8]) -> Result<(), Cut> {
        self.authorities_size = list.len();
        let mut list = Cursor::new(list);
        while !list.rest.is_empty() {
            if self.authorities.len() == MOST_AUTHORITIES {
                return Err(Cut("certificate_authorities"));
            }
            self.authorities.push(list.vector16("certificate_authorities")?.to_vec());
        }
        Ok(())
    }
}

fn schemes(cursor: &mut Cursor<'_>) -> Result<Vec<SignatureScheme>, Cut> {
    Ok(cursor.numbers16("signature_algorithms")?.into_iter().map(SignatureScheme).collect())
}

fn proof(body: &[u8], version: TlsVersion) -> Result<Message, Cut> {
    let mut cursor = Cursor::new(body);
    let scheme = match version >= TlsVersion::TLS1_2 {
        true => Some(SignatureScheme(cursor.u16("algorithm")?)),
        false => None,
    };
    Ok(Message::CertificateVerify { scheme, signature: cursor.vector16("signature")?.len() })
}

fn key_exchange(body: &[u8], version: TlsVersion, suite: CipherSuite) -> Result<Message, Cut> {
    let mut cursor = Cursor::new(body);
    let mut exchange = ServerKeyExchange { group: None, dh_bits: None, scheme: None, size: body.len() };
    let signed = |cursor: &mut Cursor<'_>| match version == TlsVersion::TLS1_2 {
        true => cursor.u16("algorithm").map(|number| Some(SignatureScheme(number))),
        false => Ok(None),
    };
    if suite.uses_ecdhe() {
        // RFC 8422 §5.4: named_curve.
        if cursor.u8("curve_type")? == 3 {
            exchange.group = Some(Group(cursor.u16("namedcurve")?));
            cursor.vector8("public")?;
            exchange.scheme = signed(&mut cursor)?;
        }
    } else if suite.uses_dhe() {
        let prime = cursor.vector16("dh_p")?;
        let zeros = prime.iter().take_while(|byte| **byte == 0).count();
        let unused = prime.get(zeros).map_or(0, |byte| usize::try_from(byte.leading_zeros()).unwrap_or(0));
        exchange.dh_bits = Some(((prime.len() - zeros) * 8).saturating_sub(unused));
        cursor.vector16("dh_g")?;
        cursor.vector16("dh_Ys")?;
        exchange.scheme = signed(&mut cursor)?;
    }
    Ok(Message::ServerKeyExchange(exchange))
}
