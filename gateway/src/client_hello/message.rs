//! The ClientHello as data: what a client offered, parsed from the handshake message (RFC 8446 §4.1.2,
//! RFC 5246 §7.4.1.2) or from the SSLv2-format hello of very old stacks (RFC 5246 appendix E.2).

use std::sync::Arc;

use policies::{CipherSuite, Group, SignatureScheme, TlsVersion};

/// What the client offered. Nothing here is believed, only matched and recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientHello {
    /// `legacy_version`: the highest version of a client that sends no `supported_versions`.
    pub legacy_version: TlsVersion,
    /// The `supported_versions` extension, in the client's order; empty where it was absent.
    pub supported_versions: Vec<TlsVersion>,
    /// Cipher suites in the client's order, GREASE and signalling values included.
    pub suites: Vec<CipherSuite>,
    /// Extension numbers in the order they came.
    pub extensions: Vec<u16>,
    /// The `server_name` host name, lower-cased, without a trailing dot (RFC 6066 §3).
    pub server_name: Option<Arc<str>>,
    /// Application protocols in the client's order (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
    /// `supported_groups`, in the client's order (RFC 8446 §4.2.7).
    pub groups: Vec<Group>,
    /// `ec_point_formats` (RFC 8422 §5.1.2); part of JA3.
    pub point_formats: Vec<u8>,
    /// `signature_algorithms`; `None` where the extension was absent (RFC 8446 §4.2.3).
    pub signature_algorithms: Option<Vec<SignatureScheme>>,
    /// How the hello was framed.
    pub format: Format,
}

/// The framing a hello came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TLS records (RFC 8446 §5.1).
    Tls,
    /// The SSLv2-format hello that OpenSSL 0.9.x sends (RFC 5246 appendix E.2).
    Sslv2,
}

/// Why the bytes are no ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HelloSyntaxError {
    /// A length points outside the message, or the message ends early.
    #[error("the client hello ends early or a length in it is wrong ({0})")]
    Truncated(&'static str),
    /// Bytes follow the last field.
    #[error("{0} stray bytes follow the client hello")]
    TrailingBytes(usize),
    /// An extension stands twice (RFC 8446 §4.2).
    #[error("extension {0} stands twice")]
    RepeatedExtension(u16),
    /// The server name is not a host name (RFC 6066 §3).
    #[error("the server name is not a host name")]
    ServerName,
    /// The field breaks a rule of its definition.
    #[error("the field {0} is malformed")]
    Field(&'static str),
}

impl ClientHello {
    /// Parses the body of a ClientHello handshake message (without its four-byte header).
    ///
    /// # Errors
    /// Whatever breaks the syntax; unknown extensions, suites and versions are no error.
    pub fn parse(body: &[u8]) -> Result<Self, HelloSyntaxError> {
        let mut cursor = Cursor { rest: body };
        let legacy_version = TlsVersion(cursor.u16("legacy_version")?);
        cursor.take(32, "random")?;
        let session_id = cursor.vector8("session_id")?;
        if session_id.len() > 32 {
            return Err(HelloSyntaxError::Field("session_id"));
        }
        let suites: Vec<CipherSuite> =
            u16_list(cursor.vector16("cipher_suites")?, "cipher_suites")?.map(CipherSuite).collect();
        if suites.is_empty() {
            return Err(HelloSyntaxError::Field("cipher_suites"));
        }
        if cursor.vector8("compression_methods")?.is_empty() {
            return Err(HelloSyntaxError::Field("compression_methods"));
        }
        let mut hello = Self {
            legacy_version,
            supported_versions: Vec::new(),
            suites,
            extensions: Vec::new(),
            server_name: None,
            alpn: Vec::new(),
            groups: Vec::new(),
            point_formats: Vec::new(),
            signature_algorithms: None,
            format: Format::Tls,
        };
        // SSL 3.0 and early TLS 1.0 clients send no extensions block at all (RFC 5246 §7.4.1.2).
        if cursor.rest.is_empty() {
            return Ok(hello);
        }
        let mut extensions = Cursor { rest: cursor.vector16("extensions")? };
        if !cursor.rest.is_empty() {
            return Err(HelloSyntaxError::TrailingBytes(cursor.rest.len()));
        }
        while !extensions.rest.is_empty() {
            let number = extensions.u16("extension type")?;
            let data = extensions.vector16("extension data")?;
            if hello.extensions.contains(&number) {
                return Err(HelloSyntaxError::RepeatedExtension(number));
            }
            // A real client sends two dozen; the bound keeps the search above cheap for a hostile one.
            if hello.extensions.len() == 128 {
                return Err(HelloSyntaxError::Field("extensions"));
            }
            hello.extensions.push(number);
            hello.read_extension(number, data)?;
        }
        Ok(hello)
    }

    fn read_extension(&mut self, number: u16, data: &[u8]) -> Result<(), HelloSyntaxError> {
        let mut cursor = Cursor { rest: data };
        match number {
            SERVER_NAME => {
                let mut names = Cursor { rest: cursor.vector16("server_name")? };
                while !names.rest.is_empty() {
                    let kind = names.u8("server_name")?;
                    let name = names.vector16("server_name")?;
                    if kind == 0 {
                        if self.server_name.is_some() {
                            return Err(HelloSyntaxError::ServerName);
                        }
                        self.server_name = host_name(name)?;
                    }
                }
            }
            SUPPORTED_GROUPS => {
                let list = cursor.vector16("supported_groups")?;
                self.groups = u16_list(list, "supported_groups")?.map(Group).collect();
            }
            POINT_FORMATS => self.point_formats = cursor.vector8("ec_point_formats")?.to_vec(),
            SIGNATURE_ALGORITHMS => {
                let list = cursor.vector16("signature_algorithms")?;
                self.signature_algorithms =
                    Some(u16_list(list, "signature_algorithms")?.map(SignatureScheme).collect());
            }
            ALPN => {
                let mut names = Cursor { rest: cursor.vector16("alpn")? };
                while !names.rest.is_empty() {
                    let name = names.vector8("alpn")?;
                    if name.is_empty() {
                        return Err(HelloSyntaxError::Field("alpn"));
                    }
                    self.alpn.push(name.to_vec());
                }
            }
            SUPPORTED_VERSIONS => {
                let list = cursor.vector8("supported_versions")?;
                self.supported_versions = u16_list(list, "supported_versions")?.map(TlsVersion).collect();
            }
            _ => return Ok(()),
        }
        if cursor.rest.is_empty() { Ok(()) } else { Err(HelloSyntaxError::TrailingBytes(cursor.rest.len())) }
    }

    /// Parses an SSLv2-format hello, without its two length bytes (RFC 5246 appendix E.2).
    ///
    /// # Errors
    /// Whatever breaks the syntax, and a challenge or session ID outside the appendix' bounds.
    pub fn parse_sslv2(body: &[u8]) -> Result<Self, HelloSyntaxError> {
        let mut cursor = Cursor { rest: body };
        if cursor.u8("msg_type")? != 1 {
            return Err(HelloSyntaxError::Field("msg_type"));
        }
        let legacy_version = TlsVersion(cursor.u16("version")?);
        let specs_length = usize::from(cursor.u16("cipher_spec_length")?);
        let session_length = usize::from(cursor.u16("session_id_length")?);
        let challenge_length = usize::from(cursor.u16("challenge_length")?);
        if specs_length == 0 || !specs_length.is_multiple_of(3) {
            return Err(HelloSyntaxError::Field("cipher_specs"));
        }
        let specs = cursor.take(specs_length, "cipher_specs")?;
        cursor.take(session_length, "session_id")?;
        cursor.take(challenge_length, "challenge")?;
        if !(16..=32).contains(&challenge_length) {
            return Err(HelloSyntaxError::Field("challenge"));
        }
        if !cursor.rest.is_empty() {
            return Err(HelloSyntaxError::TrailingBytes(cursor.rest.len()));
        }
        // Three-byte kinds that begin with zero are TLS suites; the others are SSLv2's own and mean nothing here.
        let suites = specs
            .chunks_exact(3)
            .filter(|spec| spec.first() == Some(&0))
            .filter_map(|spec| Some(CipherSuite(u16::from_be_bytes([*spec.get(1)?, *spec.get(2)?]))))
            .collect();
        Ok(Self {
            legacy_version,
            supported_versions: Vec::new(),
            suites,
            extensions: Vec::new(),
            server_name: None,
            alpn: Vec::new(),
            groups: Vec::new(),
            point_formats: Vec::new(),
            signature_algorithms: None,
            format: Format::Sslv2,
        })
    }

    /// The versions on offer, newest first, GREASE left out: `supported_versions`, or everything up to
    /// `legacy_version` (TLS 1.0 at the least) where the extension is absent.
    pub fn versions(&self) -> Vec<TlsVersion> {
        let mut versions: Vec<TlsVersion> = if self.extensions.contains(&SUPPORTED_VERSIONS) {
            self.supported_versions.iter().copied().filter(|version| !is_grease(version.0)).collect()
        } else {
            [0x0300, 0x0301, 0x0302, 0x0303]
                .into_iter()
                .filter(|version| *version <= self.legacy_version.0)
                .map(TlsVersion)
                .collect()
        };
        versions.sort_by_key(|version| std::cmp::Reverse(version.0));
        versions.dedup();
        versions
    }

    /// Whether the client offers this version.
    pub fn offers_version(&self, version: TlsVersion) -> bool {
        if self.extensions.contains(&SUPPORTED_VERSIONS) {
            self.supported_versions.contains(&version)
        } else {
            version.0 <= self.legacy_version.0.min(0x0303)
        }
    }
}

/// Whether this is one of the values of RFC 8701, sent only to see that servers ignore them.
pub fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

pub(super) const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
pub(super) const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// RFC 6066 §3: ASCII, no trailing dot; an IP literal is not allowed and counts as no name, because phones
/// configured with an address send it and nothing is gained by refusing them.
fn host_name(bytes: &[u8]) -> Result<Option<Arc<str>>, HelloSyntaxError> {
    let text = std::str::from_utf8(bytes).map_err(|_| HelloSyntaxError::ServerName)?;
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Ok(None);
    }
    let sound = !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        });
    if sound { Ok(Some(name.to_ascii_lowercase().into())) } else { Err(HelloSyntaxError::ServerName) }
}

fn u16_list<'a>(
    bytes: &'a [u8],
    field: &'static str,
) -> Result<impl Iterator<Item = u16> + 'a, HelloSyntaxError> {
    if !bytes.len().is_multiple_of(2) {
        return Err(HelloSyntaxError::Field(field));
    }
    Ok(bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)))
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], HelloSyntaxError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(HelloSyntaxError::Truncated(field))?;
        self.rest = rest;
        Ok(taken)
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, HelloSyntaxError> {
        let (first, rest) = self.rest.split_first().ok_or(HelloSyntaxError::Truncated(field))?;
        self.rest = rest;
        Ok(*first)
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, HelloSyntaxError> {
        let (pair, rest) = self.rest.split_first_chunk::<2>().ok_or(HelloSyntaxError::Truncated(field))?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*pair))
    }

    fn vector8(&mut self, field: &'static str) -> Result<&'a [u8], HelloSyntaxError> {
        let length = self.u8(field)?;
        self.take(usize::from(length), field)
    }

    fn vector16(&mut self, field: &'static str) -> Result<&'a [u8], HelloSyntaxError> {
        let length = self.u16(field)?;
        self.take(usize::from(length), field)
    }
}
