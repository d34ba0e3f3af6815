//! Attribute types by the names that identity profiles use.

use std::borrow::Cow;

use certs::{Oid, oid};

use crate::document::nearest;

/// A type of attribute of a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AttributeType {
    name: Cow<'static, str>,
    oid: Oid,
}

/// Names of RFC 4519 and PKCS #9.
const KNOWN: &[(&str, Oid)] = &[
    ("commonName", oid::COMMON_NAME),
    ("surname", oid::SURNAME),
    ("serialNumber", oid::SERIAL_NUMBER),
    ("countryName", oid::COUNTRY),
    ("localityName", oid::LOCALITY),
    ("stateOrProvinceName", oid::STATE),
    ("organizationName", oid::ORGANIZATION),
    ("organizationalUnitName", oid::ORGANIZATIONAL_UNIT),
    ("title", oid::TITLE),
    ("description", oid::DESCRIPTION),
    ("givenName", oid::GIVEN_NAME),
    ("initials", oid::INITIALS),
    ("dnQualifier", oid::DN_QUALIFIER),
    ("pseudonym", oid::PSEUDONYM),
    ("userId", oid::USER_ID),
    ("domainComponent", oid::DOMAIN_COMPONENT),
    ("emailAddress", oid::EMAIL),
];

/// Short names that mean one thing to everybody.
const SHORT: &[(&str, &str)] = &[
    ("CN", "commonName"),
    ("C", "countryName"),
    ("L", "localityName"),
    ("ST", "stateOrProvinceName"),
    ("O", "organizationName"),
    ("OU", "organizationalUnitName"),
    ("UID", "userId"),
    ("DC", "domainComponent"),
];

/// Why a text names no attribute type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum NameError {
    /// Programs disagree about what it means.
    Ambiguous,
    /// Nobody knows it.
    Unknown { nearest: Option<&'static str> },
}

impl AttributeType {
    /// Finds a type by name or dotted OID.
    pub(super) fn from_name(written: &str) -> Result<Self, NameError> {
        if matches!(written, "S" | "SN" | "s" | "sn") {
            return Err(NameError::Ambiguous);
        }
        let long = SHORT.iter().find(|(short, _)| *short == written).map_or(written, |(_, long)| *long);
        if let Some((name, oid)) = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(long)) {
            return Ok(Self { name: Cow::Borrowed(*name), oid: *oid });
        }
        match Oid::parse(written) {
            Some(oid) => Ok(Self::from(&oid)),
            None => {
                Err(NameError::Unknown { nearest: nearest(written, KNOWN.iter().map(|(name, _)| *name)) })
            }
        }
    }

    /// Its name, or its dotted OID where it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its object identifier.
    pub fn oid(&self) -> &Oid {
        &self.oid
    }
}

impl From<&Oid> for AttributeType {
    fn from(oid: &Oid) -> Self {
        let known = KNOWN.iter().find(|(_, known)| known == oid);
        let name = known.map_or_else(|| Cow::Owned(oid.to_string()), |(name, _)| Cow::Borrowed(*name));
        Self { name, oid: *oid }
    }
}
