//! Alternative names (RFC 5280 §4.2.1.6).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::der::{self, Element, Reader, tag};
use crate::name::DistinguishedName;
use crate::oid::Oid;

/// One name of any kind. Kinds never match one another (SEC-18).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GeneralName {
    /// A distinguished name.
    Directory(DistinguishedName),
    /// A DNS name as written; a wildcard is plain text here (SEC-19).
    Dns(Box<str>),
    /// An e-mail address.
    Email(Box<str>),
    /// An EDI party name, as DER.
    EdiParty(Box<[u8]>),
    /// An IP address; in name constraints an address and a mask of the same length.
    Ip(Box<[u8]>),
    /// A name of a type that is named by OID.
    Other {
        /// What kind of name it is.
        type_id: Oid,
        /// The value, as DER.
        value: Box<[u8]>,
    },
    /// An object identifier.
    RegisteredId(Oid),
    /// A URI.
    Uri(Box<str>),
    /// An X.400 address, as DER.
    X400(Box<[u8]>),
}

impl GeneralName {
    pub(crate) fn from_element(element: &Element<'_>) -> der::Result<Self> {
        match element.tag {
            0xa0 => {
                let mut reader = element.reader();
                let type_id = Oid::from_element(&reader.expect(tag::OBJECT_IDENTIFIER, "a type of name")?)?;
                let value = reader.expect(tag::context_constructed(0), "the value of a name")?.value.into();
                reader.finish().map(|()| Self::Other { type_id, value })
            }
            0x81 => der::ia5(element).map(|text| Self::Email(text.into())),
            0x82 => der::ia5(element).map(|text| Self::Dns(text.into())),
            0xa3 => Ok(Self::X400(element.encoded.into())),
            0xa4 => {
                let mut reader = element.reader();
                let name = DistinguishedName::read(&mut reader)?;
                reader.finish().map(|()| Self::Directory(name))
            }
            0xa5 => Ok(Self::EdiParty(element.encoded.into())),
            0x86 => der::ia5(element).map(|text| Self::Uri(text.into())),
            0x87 => Ok(Self::Ip(element.value.into())),
            0x88 => Oid::from_element(element).map(Self::RegisteredId),
            _ => element.invalid("kind of name"),
        }
    }

    /// Every name of a GeneralNames value, which must not be empty.
    pub(crate) fn read_all(reader: &mut Reader<'_>) -> der::Result<Box<[Self]>> {
        let mut names = Vec::new();
        if reader.is_empty() {
            return reader.fail(der::DerProblem::Invalid("empty list of names"));
        }
        while !reader.is_empty() {
            names.push(Self::from_element(&reader.any()?)?);
        }
        Ok(names.into())
    }

    /// The address of an [`Ip`](Self::Ip) name of 4 or 16 bytes.
    pub fn ip_address(&self) -> Option<IpAddr> {
        let Self::Ip(bytes) = self else { return None };
        let four = <[u8; 4]>::try_from(&**bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
        let sixteen = || <[u8; 16]>::try_from(&**bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
        four.or_else(|_| sixteen()).ok()
    }
}

impl fmt::Display for GeneralName {
    /// `DNS:host`, `IP:192.0.2.1` and so on, as OpenSSL labels them. Control characters are escaped.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(name) => write!(out, "DirName:{name}"),
            Self::Dns(name) => write!(out, "DNS:{}", name.escape_debug()),
            Self::Email(address) => write!(out, "email:{}", address.escape_debug()),
            Self::EdiParty(_) => out.write_str("EdiPartyName"),
            Self::Ip(bytes) => match self.ip_address() {
                Some(address) => write!(out, "IP:{address}"),
                None => write!(out, "IP:{bytes:02x?}"),
            },
            Self::Other { type_id, .. } => write!(out, "othername:{type_id}"),
            Self::RegisteredId(oid) => write!(out, "RID:{oid}"),
            Self::Uri(uri) => write!(out, "URI:{}", uri.escape_debug()),
            Self::X400(_) => out.write_str("X400Name"),
        }
    }
}

/// The names of the subjectAltName extension.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SubjectAltNames(Box<[GeneralName]>);

impl SubjectAltNames {
    pub(crate) fn parse(value: &[u8]) -> der::Result<Self> {
        let mut outer = Reader::new(value);
        let mut reader = outer.sequence("a list of names")?;
        outer.finish()?;
        let offset_of = reader.clone();
        let names = GeneralName::read_all(&mut reader)?;
        let address_is_whole =
            |name: &GeneralName| !matches!(name, GeneralName::Ip(_)) || name.ip_address().is_some();
        if names.iter().all(address_is_whole) {
            Ok(Self(names))
        } else {
            offset_of.fail(der::DerProblem::Invalid("IP address"))
        }
    }

    /// Every name, in the order of the certificate.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &GeneralName> {
        self.0.iter()
    }

    /// The DNS names.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|name| if let GeneralName::Dns(name) = name { Some(&**name) } else { None })
    }

    /// The e-mail addresses.
    pub fn emails(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter_map(|name| if let GeneralName::Email(name) = name { Some(&**name) } else { None })
    }

    /// The URIs.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|name| if let GeneralName::Uri(name) = name { Some(&**name) } else { None })
    }

    /// The IP addresses.
    pub fn ip_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().filter_map(GeneralName::ip_address)
    }
}
