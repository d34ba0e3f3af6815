//! Object identifiers, and the ones the product knows by name.

use std::fmt;

use crate::der::{self, Element};

/// An OBJECT IDENTIFIER. Displays as dotted decimals.
///
/// It holds at most 39 encoded bytes: more than any in use needs, and few enough to copy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid {
    length: u8,
    bytes: [u8; Self::MAX],
}

impl Oid {
    const MAX: usize = 39;

    const fn known<const N: usize>(encoded: [u8; N]) -> Self {
        assert!(N <= Self::MAX);
        let mut bytes = [0; Self::MAX];
        let mut length = 0;
        let mut index = 0;
        while index < N {
            bytes[index] = encoded[index];
            index += 1;
            length += 1;
        }
        Self { length, bytes }
    }

    /// Reads dotted decimals such as `2.5.4.4`. `None` for anything else.
    pub fn parse(dotted: &str) -> Option<Self> {
        let mut arcs = dotted.split('.').map(parse_arc);
        let (first, second) = (arcs.next()??, arcs.next()??);
        if first > 2 || (first < 2 && second > 39) {
            return None;
        }
        let mut encoded = Vec::new();
        push_arc(&mut encoded, first.checked_mul(40)?.checked_add(second)?);
        for arc in arcs {
            push_arc(&mut encoded, arc?);
        }
        Self::from_bytes(&encoded)
    }

    /// The contents of the DER value, without tag and length.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// From the contents of a DER value. `None` when they are not minimal, not whole, or too long.
    pub(crate) fn from_bytes(encoded: &[u8]) -> Option<Self> {
        let whole = encoded.last().is_some_and(|last| last & 0x80 == 0);
        let mut starts = true;
        for byte in encoded {
            if starts && *byte == 0x80 {
                return None;
            }
            starts = byte & 0x80 == 0;
        }
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..encoded.len())?.copy_from_slice(encoded);
        whole.then_some(Self { length: u8::try_from(encoded.len()).ok()?, bytes })
    }

    pub(crate) fn from_element(element: &Element<'_>) -> der::Result<Self> {
        Self::from_bytes(element.value).map_or_else(|| element.invalid("OBJECT IDENTIFIER"), Ok)
    }

    /// The short name that OpenSSL prints for an attribute type, such as `CN`.
    pub fn short_name(&self) -> Option<&'static str> {
        SHORT_NAMES.iter().find(|(oid, _)| oid == self).map(|(_, name)| *name)
    }
}

fn parse_arc(text: &str) -> Option<u128> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn push_arc(encoded: &mut Vec<u8>, arc: u128) {
    let groups = (0..19).rev().map(|group| arc >> (group * 7)).skip_while(|rest| *rest == 0);
    let groups: Vec<u8> = groups.map(|rest| u8::try_from(rest & 0x7f).unwrap_or(0)).collect();
    let Some((last, others)) = groups.split_last() else { return encoded.push(0) };
    encoded.extend(others.iter().map(|group| group | 0x80));
    encoded.push(*last);
}

impl fmt::Display for Oid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut arc: u128 = 0;
        let mut first = true;
        for byte in self.as_bytes() {
            // An arc beyond 128 bits (2.25 UUIDs have exactly that many) wraps; it is only ever shown.
            arc = (arc << 7) | u128::from(byte & 0x7f);
            if byte & 0x80 != 0 {
                continue;
            }
            if first {
                let top = (arc / 40).min(2);
                write!(out, "{top}.{}", arc - top * 40)?;
            } else {
                write!(out, ".{arc}")?;
            }
            first = false;
            arc = 0;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Oid({self})")
    }
}

macro_rules! known {
    ($($(#[$doc:meta])* $name:ident = [$($byte:expr),+];)+) => {
        $($(#[$doc])* pub const $name: Oid = Oid::known([$($byte),+]);)+
    };
}

known! {
    /// `CN`
    COMMON_NAME = [0x55, 4, 3];
    /// `SN`: a person's family name; where Cisco's small-business phones keep their MAC
    SURNAME = [0x55, 4, 4];
    /// `serialNumber` of a device; not the certificate's
    SERIAL_NUMBER = [0x55, 4, 5];
    /// `C`
    COUNTRY = [0x55, 4, 6];
    /// `L`
    LOCALITY = [0x55, 4, 7];
    /// `ST`
    STATE = [0x55, 4, 8];
    /// `street`
    STREET = [0x55, 4, 9];
    /// `O`
    ORGANIZATION = [0x55, 4, 10];
    /// `OU`
    ORGANIZATIONAL_UNIT = [0x55, 4, 11];
    /// `title`
    TITLE = [0x55, 4, 12];
    /// `description`
    DESCRIPTION = [0x55, 4, 13];
    /// `businessCategory`
    BUSINESS_CATEGORY = [0x55, 4, 15];
    /// `postalCode`
    POSTAL_CODE = [0x55, 4, 17];
    /// `name`
    NAME = [0x55, 4, 41];
    /// `GN`
    GIVEN_NAME = [0x55, 4, 42];
    /// `initials`
    INITIALS = [0x55, 4, 43];
    /// `generationQualifier`
    GENERATION_QUALIFIER = [0x55, 4, 44];
    /// `x500UniqueIdentifier`
    UNIQUE_IDENTIFIER = [0x55, 4, 45];
    /// `dnQualifier`
    DN_QUALIFIER = [0x55, 4, 46];
    /// `pseudonym`
    PSEUDONYM = [0x55, 4, 65];
    /// `organizationIdentifier`
    ORGANIZATION_IDENTIFIER = [0x55, 4, 97];
    /// `UID` (RFC 4519)
    USER_ID = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1];
    /// `DC` (RFC 4519)
    DOMAIN_COMPONENT = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
    /// `emailAddress` (PKCS #9)
    EMAIL = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
    /// `unstructuredName` (PKCS #9)
    UNSTRUCTURED_NAME = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 2];
    /// Extensions that a certification request asks for (PKCS #9)
    EXTENSION_REQUEST = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];

    /// RFC 5280 §4.2.1.2
    SUBJECT_KEY_IDENTIFIER = [0x55, 29, 14];
    /// RFC 5280 §4.2.1.3
    KEY_USAGE = [0x55, 29, 15];
    /// RFC 5280 §4.2.1.6
    SUBJECT_ALTERNATIVE_NAME = [0x55, 29, 17];
    /// RFC 5280 §4.2.1.7
    ISSUER_ALTERNATIVE_NAME = [0x55, 29, 18];
    /// RFC 5280 §4.2.1.9
    BASIC_CONSTRAINTS = [0x55, 29, 19];
    /// RFC 5280 §5.2.3
    CRL_NUMBER = [0x55, 29, 20];
    /// RFC 5280 §5.3.1
    REASON_CODE = [0x55, 29, 21];
    /// RFC 5280 §5.3.2
    INVALIDITY_DATE = [0x55, 29, 24];
    /// RFC 5280 §5.2.4
    DELTA_CRL_INDICATOR = [0x55, 29, 27];
    /// RFC 5280 §5.2.5
    ISSUING_DISTRIBUTION_POINT = [0x55, 29, 28];
    /// RFC 5280 §5.3.3
    CERTIFICATE_ISSUER = [0x55, 29, 29];
    /// RFC 5280 §4.2.1.10
    NAME_CONSTRAINTS = [0x55, 29, 30];
    /// RFC 5280 §4.2.1.13
    CRL_DISTRIBUTION_POINTS = [0x55, 29, 31];
    /// RFC 5280 §4.2.1.4
    CERTIFICATE_POLICIES = [0x55, 29, 32];
    /// RFC 5280 §4.2.1.4: matches every policy
    ANY_POLICY = [0x55, 29, 32, 0];
    /// RFC 5280 §4.2.1.5
    POLICY_MAPPINGS = [0x55, 29, 33];
    /// RFC 5280 §4.2.1.1
    AUTHORITY_KEY_IDENTIFIER = [0x55, 29, 35];
    /// RFC 5280 §4.2.1.11
    POLICY_CONSTRAINTS = [0x55, 29, 36];
    /// RFC 5280 §4.2.1.12
    EXTENDED_KEY_USAGE = [0x55, 29, 37];
    /// RFC 5280 §4.2.1.12: a key for every purpose
    ANY_EXTENDED_KEY_USAGE = [0x55, 29, 37, 0];
    /// RFC 5280 §4.2.1.15
    FRESHEST_CRL = [0x55, 29, 46];
    /// RFC 5280 §4.2.1.14
    INHIBIT_ANY_POLICY = [0x55, 29, 54];
    /// TLS servers
    SERVER_AUTH = [0x2b, 6, 1, 5, 5, 7, 3, 1];
    /// TLS clients
    CLIENT_AUTH = [0x2b, 6, 1, 5, 5, 7, 3, 2];
    /// Signed code
    CODE_SIGNING = [0x2b, 6, 1, 5, 5, 7, 3, 3];
    /// S/MIME
    EMAIL_PROTECTION = [0x2b, 6, 1, 5, 5, 7, 3, 4];
    /// Time stamps
    TIME_STAMPING = [0x2b, 6, 1, 5, 5, 7, 3, 8];
    /// OCSP responders
    OCSP_SIGNING = [0x2b, 6, 1, 5, 5, 7, 3, 9];

    /// RSA keys (RFC 8017)
    RSA_ENCRYPTION = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    /// RSA keys and signatures with PSS (RFC 4055)
    RSA_PSS = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
    /// MGF1 (RFC 8017)
    MGF1 = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8];
    /// RFC 8017
    MD5_WITH_RSA = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4];
    /// RFC 8017
    SHA1_WITH_RSA = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5];
    /// RFC 8017
    SHA256_WITH_RSA = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
    /// RFC 8017
    SHA384_WITH_RSA = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12];
    /// RFC 8017
    SHA512_WITH_RSA = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13];
    /// RFC 5758
    ECDSA_WITH_SHA1 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];
    /// RFC 5758
    ECDSA_WITH_SHA256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    /// RFC 5758
    ECDSA_WITH_SHA384 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
    /// RFC 5758
    ECDSA_WITH_SHA512 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4];
    /// RFC 8410
    ED25519 = [0x2b, 0x65, 0x70];
    /// Elliptic-curve keys (RFC 5480)
    EC_PUBLIC_KEY = [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    /// P-256
    SECP256R1 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    /// P-384
    SECP384R1 = [0x2b, 0x81, 0x04, 0, 0x22];
    /// P-521
    SECP521R1 = [0x2b, 0x81, 0x04, 0, 0x23];
    /// RFC 3279
    SHA1 = [0x2b, 0x0e, 3, 2, 0x1a];
    /// RFC 5754
    SHA256 = [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
    /// RFC 5754
    SHA384 = [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
    /// RFC 5754
    SHA512 = [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
}

/// What OpenSSL calls the attribute types it knows (`objects.txt`).
const SHORT_NAMES: &[(Oid, &str)] = &[
    (COMMON_NAME, "CN"),
    (SURNAME, "SN"),
    (SERIAL_NUMBER, "serialNumber"),
    (COUNTRY, "C"),
    (LOCALITY, "L"),
    (STATE, "ST"),
    (STREET, "street"),
    (ORGANIZATION, "O"),
    (ORGANIZATIONAL_UNIT, "OU"),
    (TITLE, "title"),
    (DESCRIPTION, "description"),
    (BUSINESS_CATEGORY, "businessCategory"),
    (Oid::known([0x55, 4, 16]), "postalAddress"),
    (POSTAL_CODE, "postalCode"),
    (Oid::known([0x55, 4, 18]), "postOfficeBox"),
    (Oid::known([0x55, 4, 20]), "telephoneNumber"),
    (NAME, "name"),
    (GIVEN_NAME, "GN"),
    (INITIALS, "initials"),
    (GENERATION_QUALIFIER, "generationQualifier"),
    (UNIQUE_IDENTIFIER, "x500UniqueIdentifier"),
    (DN_QUALIFIER, "dnQualifier"),
    (PSEUDONYM, "pseudonym"),
    (Oid::known([0x55, 4, 72]), "role"),
    (ORGANIZATION_IDENTIFIER, "organizationIdentifier"),
    (USER_ID, "UID"),
    (DOMAIN_COMPONENT, "DC"),
    (EMAIL, "emailAddress"),
    (UNSTRUCTURED_NAME, "unstructuredName"),
    (Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 8]), "unstructuredAddress"),
    (Oid::known([0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x3c, 2, 1, 1]), "jurisdictionL"),
    (Oid::known([0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x3c, 2, 1, 2]), "jurisdictionST"),
    (Oid::known([0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x3c, 2, 1, 3]), "jurisdictionC"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_text_goes_there_and_back() {
        for dotted in
            ["2.5.4.4", "1.3.6.1.4.1.99999.1", "0.9.2342.19200300.100.1.25", "2.999.0", "2.16.840.1.101.3"]
        {
            assert_eq!(Oid::parse(dotted).unwrap().to_string(), dotted);
        }
        assert_eq!(Oid::parse("2.5.4.4"), Some(SURNAME));
        assert_eq!(Oid::parse("0.9.2342.19200300.100.1.25"), Some(DOMAIN_COMPONENT));
        assert_eq!(Oid::parse("1.2.840.113549.1.9.1"), Some(EMAIL));
    }

    #[test]
    fn refuses_what_is_no_object_identifier() {
        for text in ["", "2", "3.1", "1.40", "2.5.", "2.5.04", "2.+5", "a.b", "2.5.4.4 "] {
            assert_eq!(Oid::parse(text), None, "{text}");
        }
        assert_eq!(Oid::from_bytes(&[0x55, 0x80, 0x01]), None, "an arc with a needless leading group");
        assert_eq!(Oid::from_bytes(&[0x55, 0x81]), None, "an arc without end");
        assert_eq!(Oid::from_bytes(&[]), None);
        assert_eq!(Oid::from_bytes(&[1; 64]), None);
    }
}
