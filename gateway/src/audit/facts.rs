//! What is known of one connection, and its JSON, written once and pasted into the record of every request.

use std::{borrow::Cow, net::SocketAddr, ops::Range, sync::Arc};

use crate::audit::{ConnectionId, json::Object};

/// What is known of a connection when a record is made. What is not known yet stays `None` and is absent from the record.
///
/// What is told once and then forgotten is boxed: the rest stays for as long as the connection lives.
#[derive(Debug, Clone)]
pub struct ConnectionFacts {
    /// Its identifier.
    pub connection: ConnectionId,
    /// The device's address.
    pub peer: SocketAddr,
    /// Our address.
    pub listener: SocketAddr,
    /// The first name of the virtual host that was selected.
    pub host: Option<Arc<str>>,
    /// The TLS engine: `modern` or `legacy`.
    pub engine: Option<&'static str>,
    /// What the client hello offered.
    pub hello: Option<Box<HelloFacts>>,
    /// What was agreed.
    pub tls: Option<TlsFacts>,
    /// The device's certificate, also when it was refused.
    pub certificate: Option<Box<CertificateFacts>>,
    /// The exceptions that were needed to accept the chain, by name (`sha1`, `expired`, …).
    pub exceptions: Vec<&'static str>,
    /// Who the device is.
    pub device: Option<Box<DeviceFacts>>,
}

/// What the client hello offered.
#[derive(Debug, Clone, Default)]
pub struct HelloFacts {
    /// The protocol versions, by name.
    pub versions: Vec<Cow<'static, str>>,
    /// The cipher suites by IANA name, in the client's order.
    pub suites: Vec<Cow<'static, str>>,
    /// The server name as sent; it may be anything.
    pub sni: Option<Vec<u8>>,
    /// `sslv2` for a hello framed as SSLv2 does; absent for TLS records.
    pub format: Option<&'static str>,
    /// The numbers of its extensions, in the client's order.
    pub extensions: Vec<u16>,
    /// The key exchange groups, by name.
    pub groups: Vec<Cow<'static, str>>,
    /// The signature algorithms, by name.
    pub signature_algorithms: Vec<Cow<'static, str>>,
    /// The application protocols as sent; they may be anything.
    pub alpn: Vec<Vec<u8>>,
    /// The JA3 fingerprint.
    pub ja3: Option<String>,
    /// The JA4 fingerprint.
    pub ja4: Option<String>,
}

/// What was agreed in the handshake.
#[derive(Debug, Clone)]
pub struct TlsFacts {
    /// The protocol version, by name.
    pub version: Cow<'static, str>,
    /// The cipher suite, by IANA name.
    pub suite: Cow<'static, str>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

/// The device's certificate, as presented.
#[derive(Debug, Clone)]
pub struct CertificateFacts {
    /// Its subject, RFC 4514 text.
    pub subject: String,
    /// Its issuer, RFC 4514 text.
    pub issuer: String,
    /// Its serial number in upper-case hex.
    pub serial: String,
    /// SHA-256 of its DER in lower-case hex.
    pub sha256: String,
    /// SHA-256 of its public key (subjectPublicKeyInfo) in lower-case hex: the same after a renewal with the same key.
    pub key_sha256: String,
    /// The end of its validity, RFC 3339.
    pub not_after: String,
    /// How many certificates the device presented, its own among them.
    pub depth: usize,
}

/// Who the device is, after admission.
#[derive(Debug, Clone)]
pub struct DeviceFacts {
    /// `device`, `generic`, `operator` or `anonymous`.
    pub kind: &'static str,
    /// Its product name.
    pub product: Option<Arc<str>>,
    /// Its serial number.
    pub serial: Option<Arc<str>>,
    /// Its MAC address, 12 lower-case hex digits.
    pub mac: Option<String>,
    /// The identity profile that recognised it.
    pub profile: Option<Arc<str>>,
}

impl ConnectionFacts {
    /// The facts of a connection of which nothing but its addresses is known.
    #[must_use]
    pub const fn new(connection: ConnectionId, peer: SocketAddr, listener: SocketAddr) -> Self {
        Self {
            connection,
            peer,
            listener,
            host: None,
            engine: None,
            hello: None,
            tls: None,
            certificate: None,
            exceptions: Vec::new(),
            device: None,
        }
    }

    /// Writes the facts as JSON members, once, for all records of the connection.
    #[must_use]
    pub fn fragment(&self) -> ConnectionFragment {
        self.written(None)
    }

    /// The same after [`forget_the_written`](Self::forget_the_written) and a new judgement: the hello as it is told there.
    #[must_use]
    pub fn fragment_after(&self, before: &ConnectionFragment) -> ConnectionFragment {
        self.written(Some(before))
    }

    /// Forgets what a [`fragment`](Self::fragment) tells and a new judgement would tell anew: for as long as the connection
    /// lives, it need not be there twice.
    pub fn forget_the_written(&mut self) {
        self.hello = None;
        self.certificate = None;
        self.exceptions = Vec::new();
        self.device = None;
    }

    fn written(&self, before: Option<&ConnectionFragment>) -> ConnectionFragment {
        let mut members = Vec::with_capacity(2048);
        let (hello, short_hello) = self.write(&mut Object::fragment(&mut members), before);
        ConnectionFragment { connection: self.connection, members: members.into(), hello, short_hello }
    }

    /// Returns where the hello is, and how much of it stands in every record.
    fn write(&self, out: &mut Object<'_>, before: Option<&ConnectionFragment>) -> (Range<usize>, usize) {
        let Self { connection: _, peer, listener, host, engine, hello, tls, certificate, exceptions, device } =
            self;
        out.display("peer", peer);
        out.display("listener", listener);
        if let Some(host) = host {
            out.text("host", host);
        }
        if let Some(engine) = engine {
            out.text("engine", engine);
        }
        let mut short_hello = 0;
        let hello = match (hello, before) {
            (Some(hello), _) => out.object("hello", |out| short_hello = hello.write(out)),
            (None, Some(before)) if !before.hello.is_empty() => {
                short_hello = before.short_hello;
                out.pasted("hello", before.members.get(before.hello.clone()).unwrap_or_default())
            }
            (None, Some(_) | None) => 0..0,
        };
        if let Some(tls) = tls {
            out.object("tls", |out| tls.write(out));
        }
        if let Some(certificate) = certificate {
            out.object("certificate", |out| certificate.write(out));
        }
        if !exceptions.is_empty() {
            out.texts("exceptions", exceptions);
        }
        if let Some(device) = device {
            out.object("device", |out| device.write(out));
        }
        (hello, short_hello)
    }
}

impl HelloFacts {
    /// What a phone is known by first. Returns how long that is; the rest stands in a connection's first record.
    fn write(&self, out: &mut Object<'_>) -> usize {
        let Self { versions, suites, sni, format, extensions, groups, signature_algorithms, alpn, ja3, ja4 } =
            self;
        out.texts("versions", versions);
        out.texts("suites", suites);
        if let Some(sni) = sni {
            out.bytes("sni", sni);
        }
        if let Some(format) = format {
            out.text("format", format);
        }
        if let Some(ja4) = ja4 {
            out.text("ja4", ja4);
        }
        let short = out.written();
        if !extensions.is_empty() {
            out.numbers("extensions", extensions);
        }
        if !groups.is_empty() {
            out.texts("groups", groups);
        }
        if !signature_algorithms.is_empty() {
            out.texts("signature_algorithms", signature_algorithms);
        }
        if !alpn.is_empty() {
            out.texts("alpn", alpn.iter().map(|name| String::from_utf8_lossy(name)));
        }
        if let Some(ja3) = ja3 {
            out.text("ja3", ja3);
        }
        short
    }
}

impl TlsFacts {
    fn write(&self, out: &mut Object<'_>) {
        let Self { version, suite, resumed } = self;
        out.text("version", version);
        out.text("suite", suite);
        out.boolean("resumed", *resumed);
    }
}

impl CertificateFacts {
    fn write(&self, out: &mut Object<'_>) {
        let Self { subject, issuer, serial, sha256, key_sha256, not_after, depth } = self;
        out.text("subject", subject);
        out.text("issuer", issuer);
        out.text("serial", serial);
        out.text("sha256", sha256);
        out.text("key_sha256", key_sha256);
        out.text("not_after", not_after);
        out.number("depth", u64::try_from(*depth).unwrap_or(u64::MAX));
    }
}

impl DeviceFacts {
    fn write(&self, out: &mut Object<'_>) {
        let Self { kind, product, serial, mac, profile } = self;
        out.text("kind", kind);
        if let Some(product) = product {
            out.text("product", product);
        }
        if let Some(serial) = serial {
            out.text("serial", serial);
        }
        if let Some(mac) = mac {
            out.text("mac", mac);
        }
        if let Some(profile) = profile {
            out.text("profile", profile);
        }
    }
}

/// A connection's facts as JSON members. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ConnectionFragment {
    connection: ConnectionId,
    members: Arc<[u8]>,
    /// Where among the members the hello's object is; empty where there is none.
    hello: Range<usize>,
    /// How many octets of that object stand in every record, the closing brace not counted.
    short_hello: usize,
}

impl ConnectionFragment {
    /// The connection it describes.
    #[must_use]
    pub const fn connection(&self) -> ConnectionId {
        self.connection
    }

    pub(super) fn members(&self) -> &[u8] {
        &self.members
    }

    /// The same for a connection whose first record is written: without what only that one tells.
    #[must_use]
    pub fn shortened(&self) -> Self {
        let [first, rest] = self.shorter_members();
        if rest.is_empty() {
            return self.clone();
        }
        let hello = self.hello.start..first.len() + 1;
        Self { members: first.iter().chain(rest).copied().collect(), hello, ..*self }
    }

    /// The members in two parts, without what a connection's first record tells of the hello and the others need not repeat.
    pub(super) fn shorter_members(&self) -> [&[u8]; 2] {
        let whole = || [self.members(), &[]];
        if self.hello.is_empty() {
            return whole();
        }
        let first = self.members.get(..self.hello.start + self.short_hello);
        let rest = self.members.get(self.hello.end - 1..);
        first.zip(rest).map_or_else(whole, |(first, rest)| [first, rest])
    }
}
