//! The extensions that say what a certificate may be used for (RFC 5280 §4.2).

use std::fmt;

use crate::der::{self, Element, Reader, tag};
use crate::general_name::GeneralName;
use crate::name::DistinguishedName;
use crate::oid::{self, Oid};

/// Any extension, known or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// What it is.
    pub oid: Oid,
    /// Whether whoever does not understand it must refuse the certificate.
    pub critical: bool,
    /// The DER inside its OCTET STRING.
    pub value: Box<[u8]>,
}

impl Extension {
    /// Most extensions of one object: finding repeated ones takes time that grows with the square.
    pub(crate) const MAX: usize = 64;

    /// Reads an `Extensions` sequence. Empty ones and repeated extensions are refused.
    pub(crate) fn read_all(extensions: &Element<'_>) -> der::Result<Box<[Self]>> {
        let mut reader = extensions.reader();
        let mut list: Vec<Self> = Vec::with_capacity(10);
        if reader.is_empty() {
            return extensions.invalid("empty list of extensions");
        }
        while !reader.is_empty() {
            let mut fields = reader.sequence("an extension")?;
            let oid =
                Oid::from_element(&fields.expect(tag::OBJECT_IDENTIFIER, "the identifier of an extension")?)?;
            let critical = fields.default_false()?;
            let value = fields.expect(tag::OCTET_STRING, "the value of an extension")?;
            fields.finish()?;
            if list.len() == Self::MAX {
                return extensions.invalid("list of very many extensions");
            }
            list.push(Self { oid, critical, value: value.value.into() });
        }
        Ok(list.into())
    }

    /// The first extension that stands twice.
    pub(crate) fn duplicate(extensions: &[Self]) -> Option<Oid> {
        let mut rest = extensions;
        while let [first, others @ ..] = rest {
            if others.iter().any(|other| other.oid == first.oid) {
                return Some(first.oid);
            }
            rest = others;
        }
        None
    }
}

/// Whether a certificate may issue others (RFC 5280 §4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether it is a certificate authority.
    pub ca: bool,
    /// How many intermediates may follow below it, not counting self-issued ones.
    pub path_length: Option<u32>,
}

impl BasicConstraints {
    pub(crate) fn parse(value: &[u8]) -> der::Result<Self> {
        let mut outer = Reader::new(value);
        let mut fields = outer.sequence("basic constraints")?;
        outer.finish()?;
        let ca = fields.default_false()?;
        let path_length = match fields.peek_tag() {
            Some(_) => Some(fields.small_integer("a path length")?),
            None => None,
        };
        fields.finish().map(|()| Self { ca, path_length })
    }
}

/// What the key may do (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// Sign in protocols such as TLS.
    pub const DIGITAL_SIGNATURE: Self = Self(0x8000);
    /// Sign commitments.
    pub const CONTENT_COMMITMENT: Self = Self(0x4000);
    /// Receive encrypted keys (RSA key exchange).
    pub const KEY_ENCIPHERMENT: Self = Self(0x2000);
    /// Receive encrypted data.
    pub const DATA_ENCIPHERMENT: Self = Self(0x1000);
    /// Agree on keys.
    pub const KEY_AGREEMENT: Self = Self(0x0800);
    /// Sign certificates.
    pub const KEY_CERT_SIGN: Self = Self(0x0400);
    /// Sign CRLs.
    pub const CRL_SIGN: Self = Self(0x0200);
    /// Key agreement for encryption only.
    pub const ENCIPHER_ONLY: Self = Self(0x0100);
    /// Key agreement for decryption only.
    pub const DECIPHER_ONLY: Self = Self(0x0080);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::DIGITAL_SIGNATURE, "digitalSignature"),
        (Self::CONTENT_COMMITMENT, "contentCommitment"),
        (Self::KEY_ENCIPHERMENT, "keyEncipherment"),
        (Self::DATA_ENCIPHERMENT, "dataEncipherment"),
        (Self::KEY_AGREEMENT, "keyAgreement"),
        (Self::KEY_CERT_SIGN, "keyCertSign"),
        (Self::CRL_SIGN, "cRLSign"),
        (Self::ENCIPHER_ONLY, "encipherOnly"),
        (Self::DECIPHER_ONLY, "decipherOnly"),
    ];

    pub(crate) fn parse(value: &[u8]) -> der::Result<Self> {
        let mut reader = Reader::new(value);
        let bits = reader.expect(tag::BIT_STRING, "key usage")?;
        reader.finish()?;
        der::named_bits(&bits).map(Self)
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of these uses are allowed.
    pub fn allows(self, uses: Self) -> bool {
        self.0 & uses.0 == uses.0
    }

    /// The names of the allowed uses, as RFC 5280 spells them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(usage, _)| self.allows(*usage)).map(|(_, name)| name)
    }
}

impl fmt::Display for KeyUsage {
    /// The uses, separated by commas.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            out.write_str(if index == 0 { "" } else { ", " })?;
            out.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for KeyUsage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KeyUsage({self})")
    }
}

/// The purposes the key is for (RFC 5280 §4.2.1.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedKeyUsage(Box<[Oid]>);

impl ExtendedKeyUsage {
    pub(crate) fn parse(value: &[u8]) -> der::Result<Self> {
        let mut outer = Reader::new(value);
        let mut reader = outer.sequence("extended key usage")?;
        outer.finish()?;
        let mut purposes = Vec::new();
        if reader.is_empty() {
            return reader.fail(der::DerProblem::Invalid("empty list of purposes"));
        }
        while !reader.is_empty() {
            purposes.push(Oid::from_element(&reader.expect(tag::OBJECT_IDENTIFIER, "a purpose")?)?);
        }
        Ok(Self(purposes.into()))
    }

    /// The purposes as listed.
    pub fn purposes(&self) -> &[Oid] {
        &self.0
    }

    /// Whether this very purpose is listed; `anyExtendedKeyUsage` does not stand for it.
    pub fn lists(&self, purpose: &Oid) -> bool {
        self.0.contains(purpose)
    }

    /// Whether the purpose is listed, or `anyExtendedKeyUsage` is.
    pub fn allows(&self, purpose: &Oid) -> bool {
        self.lists(purpose) || self.lists(&oid::ANY_EXTENDED_KEY_USAGE)
    }
}

/// Which key of the issuer signed (RFC 5280 §4.2.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityKeyIdentifier {
    /// The subject key identifier of the issuer's certificate.
    pub key_identifier: Option<Box<[u8]>>,
    /// The name of the issuer's issuer.
    pub issuer: Box<[GeneralName]>,
    /// The serial number of the issuer's certificate, as in DER.
    pub serial: Option<Box<[u8]>>,
}

impl AuthorityKeyIdentifier {
    pub(crate) fn parse(value: &[u8]) -> der::Result<Self> {
        let mut outer = Reader::new(value);
        let mut fields = outer.sequence("authority key identifier")?;
        outer.finish()?;
        let key_identifier = fields.optional(tag::context(0))?.map(|element| element.value.into());
        let issuer = match fields.optional(tag::context_constructed(1))? {
            Some(names) => GeneralName::read_all(&mut names.reader())?,
            None => Box::default(),
        };
        let serial = fields.optional(tag::context(2))?.map(|element| element.value.into());
        fields.finish().map(|()| Self { key_identifier, issuer, serial })
    }
}

/// The contents of a subjectKeyIdentifier extension.
pub(crate) fn parse_subject_key_identifier(value: &[u8]) -> der::Result<Box<[u8]>> {
    let mut reader = Reader::new(value);
    let identifier = reader.expect(tag::OCTET_STRING, "subject key identifier")?;
    reader.finish().map(|()| identifier.value.into())
}

/// Where CRLs that cover a certificate are found (RFC 5280 §4.2.1.13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistributionPoint {
    /// The point's names; a name relative to the issuer is resolved by [`DistributionPointName::names`].
    pub name: Option<DistributionPointName>,
    /// Whether the CRL covers only some reasons for revocation.
    pub only_some_reasons: bool,
    /// Who signs the CRL, when not the certificate's issuer.
    pub crl_issuer: Box<[GeneralName]>,
}

/// The name of a distribution point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DistributionPointName {
    /// Names of any kind, mostly URIs.
    Full(Box<[GeneralName]>),
    /// A relative distinguished name to be put behind the CRL issuer's name, as the DER of a SET.
    RelativeToIssuer(Box<[u8]>),
}

impl DistributionPointName {
    /// Reads a `[0] DistributionPointName`.
    pub(crate) fn read(outer: &Element<'_>) -> der::Result<Self> {
        let mut reader = outer.reader();
        let choice = reader.any()?;
        reader.finish()?;
        match choice.tag {
            0xa0 => GeneralName::read_all(&mut choice.reader()).map(Self::Full),
            0xa1 => {
                let mut encoded = choice.encoded.to_vec();
                if let Some(first) = encoded.first_mut() {
                    *first = tag::SET;
                }
                Ok(Self::RelativeToIssuer(encoded.into()))
            }
            _ => choice.invalid("name of a distribution point"),
        }
    }

    /// The names in full. `issuer` is the name that a relative one continues.
    pub fn names(&self, issuer: &DistinguishedName) -> Vec<GeneralName> {
        match self {
            Self::Full(names) => names.to_vec(),
            Self::RelativeToIssuer(rdn) => {
                issuer.with_rdn(rdn).map(GeneralName::Directory).into_iter().collect()
            }
        }
    }
}

impl DistributionPoint {
    pub(crate) fn parse_all(value: &[u8]) -> der::Result<Box<[Self]>> {
        let mut outer = Reader::new(value);
        let mut reader = outer.sequence("CRL distribution points")?;
        outer.finish()?;
        let mut points = Vec::new();
        if reader.is_empty() {
            return reader.fail(der::DerProblem::Invalid("empty list of distribution points"));
        }
        while !reader.is_empty() {
            let mut fields = reader.sequence("a distribution point")?;
            let name = match fields.optional(tag::context_constructed(0))? {
                Some(name) => Some(DistributionPointName::read(&name)?),
                None => None,
            };
            let only_some_reasons = fields.optional(tag::context(1))?.is_some();
            let crl_issuer = match fields.optional(tag::context_constructed(2))? {
                Some(names) => GeneralName::read_all(&mut names.reader())?,
                None => Box::default(),
            };
            fields.finish()?;
            points.push(Self { name, only_some_reasons, crl_issuer });
        }
        Ok(points.into())
    }

    /// The URIs of the point.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        let names = match &self.name {
            Some(DistributionPointName::Full(names)) => &**names,
            Some(DistributionPointName::RelativeToIssuer(_)) | None => &[],
        };
        names.iter().filter_map(|name| if let GeneralName::Uri(uri) = name { Some(&**uri) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_key_usage_and_refuses_stray_padding() {
        let usage = KeyUsage::parse(&[0x03, 0x02, 0x01, 0x06]).unwrap();
        assert!(usage.allows(KeyUsage::KEY_CERT_SIGN) && usage.allows(KeyUsage::CRL_SIGN));
        assert!(!usage.allows(KeyUsage::DIGITAL_SIGNATURE));
        assert_eq!(usage.to_string(), "keyCertSign, cRLSign");
        assert!(KeyUsage::parse(&[0x03, 0x02, 0x02, 0x06]).is_err(), "a bit within the padding");
        assert!(KeyUsage::parse(&[0x03, 0x02, 0x08, 0x00]).is_err());
        assert!(KeyUsage::parse(&[0x03, 0x00]).is_err());
    }

    #[test]
    fn reads_basic_constraints() {
        let read = BasicConstraints::parse;
        assert_eq!(read(&[0x30, 0x00]), Ok(BasicConstraints { ca: false, path_length: None }));
        let ca = BasicConstraints { ca: true, path_length: Some(0) };
        assert_eq!(read(&[0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00]), Ok(ca));
        assert!(read(&[0x30, 0x03, 0x01, 0x01, 0x01]).is_err(), "TRUE is 0xff in DER");
        assert!(read(&[0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0xff]).is_err(), "a negative length");
    }

    #[test]
    fn refuses_empty_lists() {
        // CA.md B9
        assert!(ExtendedKeyUsage::parse(&[0x30, 0x00]).is_err());
        assert!(DistributionPoint::parse_all(&[0x30, 0x00]).is_err());
        assert!(crate::SubjectAltNames::parse(&[0x30, 0x00]).is_err());
    }
}
