//! Who a device is: product, serial number and MAC address, and how its subject says so (CA D6).

use std::fmt;

use policies::MacAddress;

use crate::subject::{AttributeType, NameError, SubjectName, text_warnings};

/// The attribute that carries the MAC address.
///
/// `S` in the phones' guide is surname to Apache and stateOrProvinceName to others; surname is what the guide's Apache reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum MacAttribute {
    /// stateOrProvinceName, 2.5.4.8.
    State,
    /// surname, 2.5.4.4.
    #[default]
    Surname,
}

/// One device: what its certificate is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceIdentity {
    product: String,
    serial: String,
    mac: MacAddress,
}

impl DeviceIdentity {
    /// Checks the three values. The MAC address may be spelled in any usual way.
    pub fn parse(product: &str, serial: &str, mac: &str) -> Result<Self, NameError> {
        let mac = parse_mac(mac)?;
        let identity = Self { product: product.to_owned(), serial: serial.to_owned(), mac };
        identity.subject(MacAttribute::Surname)?;
        Ok(identity)
    }

    /// The product, as `CP-8841-3PCC`.
    pub fn product(&self) -> &str {
        &self.product
    }

    /// The serial number.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The MAC address.
    pub fn mac(&self) -> MacAddress {
        self.mac
    }

    /// The subject in the guide's order: OU, L, S.
    pub fn subject(&self, mac_attribute: MacAttribute) -> Result<SubjectName, NameError> {
        subject(&self.product, &self.serial, &self.mac.to_string(), mac_attribute)
    }

    /// What is unusual about the values, though allowed.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !KNOWN_PRODUCTS.iter().any(|prefix| self.product.starts_with(prefix)) {
            warnings.push(format!(
                "model {:?} is of no family known here (they begin {})",
                self.product,
                KNOWN_PRODUCTS.join(", ")
            ));
        }
        for (field, value) in [("model", &self.product), ("serial number", &self.serial)] {
            warnings.extend(text_warnings(field, value));
            if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte)) {
                warnings.push(format!(
                    "{field} {value:?} has characters that no path rule of the gateway can match"
                ));
            }
        }
        warnings
    }
}

impl fmt::Display for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.product, self.serial, self.mac)
    }
}

/// The subject of the certificate that units without one of their own share.
pub(crate) fn generic_subject(mac_attribute: MacAttribute) -> SubjectName {
    subject("cisco.com", GENERIC_NAME, GENERIC_NAME, mac_attribute)
        .expect("three short words of letters and a dot")
}

/// How the generic certificate is called in the store and on disk.
pub(crate) const GENERIC_NAME: &str = "ciscogeneric";

const KNOWN_PRODUCTS: [&str; 6] = ["CP-", "SPA", "ATA", "DP-", "PAP2", "WRP"];

/// A MAC address in any usual spelling, of a kind that a device can have.
pub(crate) fn parse_mac(text: &str) -> Result<MacAddress, NameError> {
    let refused = |why: String| NameError::Mac { value: text.to_owned(), why };
    let mac = MacAddress::parse(text.trim()).map_err(|error| refused(error.to_string()))?;
    if mac.is_zero() {
        return Err(refused("it is all zeros".to_owned()));
    }
    if mac.is_broadcast() {
        return Err(refused("it is the broadcast address".to_owned()));
    }
    if mac.is_multicast() {
        return Err(refused("it is a multicast address (its first octet is odd)".to_owned()));
    }
    Ok(mac)
}

fn subject(
    product: &str,
    serial: &str,
    mac: &str,
    mac_attribute: MacAttribute,
) -> Result<SubjectName, NameError> {
    let carrier = match mac_attribute {
        MacAttribute::State => AttributeType::State,
        MacAttribute::Surname => AttributeType::Surname,
    };
    SubjectName::new(vec![
        (AttributeType::OrganizationalUnit, product.to_owned()),
        (AttributeType::Locality, serial.to_owned()),
        (carrier, mac.to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(text: &str) -> Result<DeviceIdentity, NameError> {
        DeviceIdentity::parse("CP-8841-3PCC", "88012BA01234", text)
    }

    #[test]
    fn d6_every_spelling_of_a_mac_gives_twelve_lower_case_digits() {
        for text in ["000E08ABCDEF", "00:0e:08:ab:cd:ef", "00-0E-08-AB-CD-EF", "000e.08ab.cdef"] {
            let subject = mac(text).unwrap().subject(MacAttribute::Surname).unwrap();
            assert_eq!(subject.to_string(), "OU=CP-8841-3PCC, L=88012BA01234, S=000e08abcdef");
        }
    }

    #[test]
    fn d6_refuses_macs_that_no_device_has() {
        for (text, why) in [
            ("000000000000", "zeros"),
            ("ffffffffffff", "broadcast"),
            ("01005e000001", "multicast"),
            ("000e08abcde", ""),
        ] {
            let error = mac(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(mac("000e08abcdef").is_ok());
    }

    #[test]
    fn d6_an_unknown_model_is_a_warning() {
        assert_eq!(mac("000e08abcdef").unwrap().warnings(), Vec::<String>::new());
        let other = DeviceIdentity::parse("cp-8841", "1", "000e08abcdef").unwrap();
        assert_eq!(other.warnings().len(), 1);
    }
}
