//! Distinguished names as this authority writes them: by OID, one attribute per RDN, in the order given (CA D1–D4).

use std::fmt;

use der::asn1::{Any, ObjectIdentifier, SetOfVec};
use der::{Encode, Tag};
use unicode_normalization::is_nfc;
use x509_cert::attr::AttributeTypeAndValue;

/// An attribute type that a subject of ours may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttributeType {
    /// `CN`, 2.5.4.3.
    CommonName,
    /// `C`, 2.5.4.6: two capital letters.
    Country,
    /// `L`, 2.5.4.7: where a device certificate has its serial number.
    Locality,
    /// `O`, 2.5.4.10.
    Organization,
    /// `OU`, 2.5.4.11: where a device certificate has its product.
    OrganizationalUnit,
    /// `serialNumber`, 2.5.4.5: where a factory's device certificate has product and serial number.
    SerialNumber,
    /// `ST`, 2.5.4.8.
    State,
    /// `SN` in OpenSSL's words, `S` in Apache's, 2.5.4.4: where a device certificate has its MAC address.
    Surname,
}

impl AttributeType {
    /// The object identifier, dotted.
    pub fn oid(self) -> &'static str {
        match self {
            Self::CommonName => "2.5.4.3",
            Self::Country => "2.5.4.6",
            Self::Locality => "2.5.4.7",
            Self::Organization => "2.5.4.10",
            Self::OrganizationalUnit => "2.5.4.11",
            Self::SerialNumber => "2.5.4.5",
            Self::State => "2.5.4.8",
            Self::Surname => "2.5.4.4",
        }
    }

    /// The standard's name of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommonName => "commonName",
            Self::Country => "countryName",
            Self::Locality => "localityName",
            Self::Organization => "organizationName",
            Self::OrganizationalUnit => "organizationalUnitName",
            Self::SerialNumber => "serialNumber",
            Self::State => "stateOrProvinceName",
            Self::Surname => "surname",
        }
    }

    /// The upper bound in characters (RFC 5280 appendix A).
    fn longest(self) -> usize {
        match self {
            Self::CommonName | Self::Organization | Self::OrganizationalUnit | Self::SerialNumber => 64,
            Self::Country => 2,
            Self::Locality | Self::State => 128,
            Self::Surname => 64, // the standard allows 32768 (ub-name); a MAC address has 12
        }
    }
}

/// A name that cannot stand in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A country that is not two capital letters.
    #[error("{value:?} is no country: two capital letters are needed, such as DK")]
    Country {
        /// What was given.
        value: String,
    },
    /// The value is empty.
    #[error("the {field} is empty")]
    Empty {
        /// Which field.
        field: &'static str,
    },
    /// The value has characters that nothing prints.
    #[error("the {field} {value:?} has a control character, or a space at its beginning or end")]
    Forbidden {
        /// Which field.
        field: &'static str,
        /// What was given.
        value: String,
    },
    /// No host can have this name.
    #[error("{value:?} is no host name: {why}")]
    HostName {
        /// What was given.
        value: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Not a MAC address, or one that no device has.
    #[error("{value:?} is not the MAC address of a device: {why}")]
    Mac {
        /// What was given.
        value: String,
        /// What is wrong.
        why: String,
    },
    /// The same text can be written in other code points, which compare as another name.
    #[error("the {field} {value:?} is not in Unicode's normal form C")]
    NotNormal {
        /// Which field.
        field: &'static str,
        /// What was given.
        value: String,
    },
    /// A name or type occurs twice.
    #[error("the {field} occurs twice")]
    Repeated {
        /// Which field.
        field: String,
    },
    /// The value is too long.
    #[error("the {field} {value:?} has {length} characters, {longest} are allowed")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// What was given.
        value: String,
        /// How many characters it has.
        length: usize,
        /// How many it may have.
        longest: usize,
    },
    /// A name with `*`.
    #[error("{value:?} is a wildcard: phones do not accept wildcard certificates")]
    Wildcard {
        /// What was given.
        value: String,
    },
}

/// A distinguished name that keeps every rule of CA group D.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectName(Vec<(AttributeType, String)>);

impl SubjectName {
    /// Checks the attributes and keeps their order. A type given twice is refused, never dropped (CA R2).
    pub fn new(attributes: Vec<(AttributeType, String)>) -> Result<Self, NameError> {
        for (index, (kind, value)) in attributes.iter().enumerate() {
            check(*kind, value)?;
            if attributes.iter().take(index).any(|(earlier, _)| earlier == kind) {
                return Err(NameError::Repeated { field: kind.as_str().to_owned() });
            }
        }
        Ok(Self(attributes))
    }

    /// The DER `Name`.
    pub fn to_der(&self) -> Vec<u8> {
        self.encode().expect("checked values of at most 128 characters encode")
    }

    fn encode(&self) -> der::Result<Vec<u8>> {
        let mut rdns = Vec::with_capacity(self.0.len());
        for (kind, value) in &self.0 {
            let tag = if is_printable_string(value) { Tag::PrintableString } else { Tag::Utf8String };
            let attribute = AttributeTypeAndValue {
                oid: ObjectIdentifier::new(kind.oid()).map_err(|_invalid| der::ErrorKind::Failed)?,
                value: Any::new(tag, value.as_bytes())?,
            };
            let mut rdn = SetOfVec::new();
            rdn.insert(attribute)?;
            rdns.push(rdn);
        }
        rdns.to_der()
    }
}

impl fmt::Display for SubjectName {
    /// As the phones' guide prints it: `OU=CP-8841-3PCC, L=88012BA01234, S=000e08abcdef`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, value)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            let short = match kind {
                AttributeType::CommonName => "CN",
                AttributeType::Country => "C",
                AttributeType::Locality => "L",
                AttributeType::Organization => "O",
                AttributeType::OrganizationalUnit => "OU",
                AttributeType::SerialNumber => "serialNumber",
                AttributeType::State => "ST",
                AttributeType::Surname => "S",
            };
            write!(f, "{short}={value}")?;
        }
        Ok(())
    }
}

fn check(kind: AttributeType, value: &str) -> Result<(), NameError> {
    let field = kind.as_str();
    if value.is_empty() {
        return Err(NameError::Empty { field });
    }
    if kind == AttributeType::Country
        && !(value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_uppercase()))
    {
        return Err(NameError::Country { value: value.to_owned() });
    }
    let length = value.chars().count();
    if length > kind.longest() {
        return Err(NameError::TooLong { field, value: value.to_owned(), length, longest: kind.longest() });
    }
    if value.trim() != value || value.chars().any(is_unprintable) {
        return Err(NameError::Forbidden { field, value: value.to_owned() });
    }
    if !is_nfc(value) {
        return Err(NameError::NotNormal { field, value: value.to_owned() });
    }
    Ok(())
}

/// What looks as if a program had garbled the value on its way here, though a name may say so (CA D2).
pub(crate) fn text_warnings(field: &str, value: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let entity = value.split('&').skip(1).filter_map(|rest| rest.split_once(';')).any(|(word, _)| {
        let word = word.strip_prefix('#').unwrap_or(word);
        !word.is_empty() && word.len() <= 8 && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if entity {
        warnings.push(format!("{field} {value:?} has an HTML entity; write the character itself"));
    }
    // UTF-8 read as Latin-1: the first octet of two shows as Ã or Â, the second as something from 80 to BF.
    let characters: Vec<char> = value.chars().collect();
    if characters
        .windows(2)
        .any(|pair| matches!(pair, ['\u{c2}' | '\u{c3}', '\u{80}'..='\u{bf}' | '\u{2013}'..='\u{2122}']))
    {
        warnings.push(format!("{field} {value:?} looks like UTF-8 that was read as Latin-1"));
    }
    warnings
}

/// Controls, and the invisible characters that make one name look like another.
fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffd}')
}

/// Whether every character is in ASN.1's PrintableString (X.680 §41.4).
fn is_printable_string(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kind: AttributeType, value: &str) -> Result<SubjectName, NameError> {
        SubjectName::new(vec![(kind, value.to_owned())])
    }

    #[test]
    fn d1_lengths_count_characters_and_stop_at_the_bound() {
        assert!(one(AttributeType::CommonName, &"å".repeat(64)).is_ok());
        assert!(matches!(
            one(AttributeType::CommonName, &"å".repeat(65)),
            Err(NameError::TooLong { length: 65, longest: 64, .. })
        ));
        assert!(one(AttributeType::Locality, &"x".repeat(128)).is_ok());
        assert!(one(AttributeType::Locality, &"x".repeat(129)).is_err());
        assert_eq!(
            one(AttributeType::OrganizationalUnit, ""),
            Err(NameError::Empty { field: "organizationalUnitName" })
        );
        assert!(one(AttributeType::Country, "DK").is_ok());
        assert!(one(AttributeType::Country, "Denmark").is_err());
        assert!(one(AttributeType::Country, "dk").is_err());
    }

    #[test]
    fn d2_refuses_controls_and_edge_spaces_r8() {
        for bad in ["a\nb", "a\0b", " a", "a ", "a\u{200b}b"] {
            assert!(
                matches!(one(AttributeType::CommonName, bad), Err(NameError::Forbidden { .. })),
                "{bad:?}"
            );
        }
        assert!(one(AttributeType::CommonName, "a b").is_ok());
    }

    #[test]
    fn d2_refuses_what_is_not_in_normal_form_c() {
        let refused = one(AttributeType::CommonName, "A\u{30a}");
        assert!(matches!(refused, Err(NameError::NotNormal { .. })), "{refused:?}");
        assert!(one(AttributeType::CommonName, "\u{c5}").is_ok());
    }

    #[test]
    fn d2_html_entities_and_garbled_utf8_are_warnings() {
        for garbled in ["B&amp;W", "M&#252;ller", "MÃ¼ller", "SÃ¸ren"] {
            assert_eq!(text_warnings("name", garbled).len(), 1, "{garbled}");
        }
        for good in ["B&W", "Müller", "Søren; & Co", "ÃO"] {
            assert_eq!(text_warnings("name", good), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn r2_a_repeated_type_is_refused_not_dropped() {
        let twice = vec![
            (AttributeType::OrganizationalUnit, "a".to_owned()),
            (AttributeType::OrganizationalUnit, "b".to_owned()),
        ];
        assert!(matches!(SubjectName::new(twice), Err(NameError::Repeated { .. })));
    }

    #[test]
    fn d3_printable_where_it_can_be_and_utf8_elsewhere() {
        assert_eq!(one(AttributeType::CommonName, "ab").unwrap().to_der()[11], 0x13);
        assert_eq!(one(AttributeType::CommonName, "a_").unwrap().to_der()[11], 0x0c);
    }
}
