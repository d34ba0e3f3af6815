//! Certification requests put together octet by octet (RFC 2986), so that each can be wrong in one place.

use der::Encode;
use der::asn1::ObjectIdentifier;

use super::keys::Key;

/// One value with its tag and its length in the only way that DER has.
pub(super) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let length: Vec<u8> = length.into_iter().skip_while(|octet| *octet == 0).collect();
    match (length.as_slice(), content.len()) {
        ([], _) => out.push(0),
        ([short], 0..=127) => out.push(*short),
        (long, _) => {
            out.push(0x80 | u8::try_from(long.len()).unwrap());
            out.extend(long);
        }
    }
    out.extend(content);
    out
}

pub(super) fn oid(text: &str) -> Vec<u8> {
    ObjectIdentifier::new_unwrap(text).to_der().unwrap()
}

/// A positive integer.
pub(super) fn integer(octets: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if octets.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    tlv(2, &[sign, octets])
}

pub(super) fn bits(octets: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], octets])
}

/// A name of one attribute, with whatever octets as UTF-8.
pub(super) fn name(attribute: &str, text: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&tlv(0x31, &[&tlv(0x30, &[&oid(attribute), &tlv(0x0c, &[text])])])])
}

/// An extension, not critical.
pub(super) fn extension(id: &str, value: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&oid(id), &tlv(4, &[value])])
}

/// The attribute that asks for extensions.
pub(super) fn asking(extensions: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &[&oid("1.2.840.113549.1.9.14"), &tlv(0x31, &[&tlv(0x30, extensions)])])
}

/// What stands in a request.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) version: Vec<u8>,
    pub(super) subject: Vec<u8>,
    pub(super) public_key: Vec<u8>,
    pub(super) attributes: Vec<u8>,
}

impl Parts {
    /// As any phone or server would ask: one name, no extensions.
    pub(super) fn plain(host: &str, key: &Key) -> Self {
        Self {
            version: vec![2, 1, 0],
            subject: name("2.5.4.3", host.as_bytes()),
            public_key: key.public(),
            attributes: tlv(0xa0, &[]),
        }
    }

    /// With these attributes.
    pub(super) fn with(self, attributes: &[&[u8]]) -> Self {
        Self { attributes: tlv(0xa0, attributes), ..self }
    }

    /// With these extensions asked for.
    pub(super) fn asking(self, extensions: &[&[u8]]) -> Self {
        self.with(&[&asking(extensions)])
    }

    pub(super) fn info(&self) -> Vec<u8> {
        tlv(0x30, &[&self.version, &self.subject, &self.public_key, &self.attributes])
    }

    pub(super) fn signed(&self, key: &Key) -> Vec<u8> {
        signed(&self.info(), key)
    }
}

/// Whatever octets, signed as a request's first part.
pub(super) fn signed(info: &[u8], key: &Key) -> Vec<u8> {
    let (algorithm, signature) = key.sign(info);
    tlv(0x30, &[info, &algorithm, &bits(&signature)])
}

pub(super) fn to_pem(label: &str, der: &[u8]) -> Vec<u8> {
    pem::encode(&pem::Pem::new(label, der)).into_bytes()
}

/// The same octets with another where `from` stands.
pub(super) fn replaced(der: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let place = der.windows(from.len()).position(|window| window == from).unwrap();
    [&der[..place], to, &der[place + from.len()..]].concat()
}
