//! One entry of a list (RFC 5280 §5.3).

use std::fmt;

use super::Unusable;
use crate::der::{self, Reader, tag};
use crate::oid::{self, Oid};
use crate::serial::Serial;
use crate::validity::Timestamp;

/// One revoked certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Since when.
    pub date: Timestamp,
    /// Why, when the list says.
    pub reason: Option<RevocationReason>,
}

/// Why a certificate was revoked (RFC 5280 §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// A key of an attribute authority was lost.
    AaCompromise,
    /// The subject's name or another fact changed.
    AffiliationChanged,
    /// The issuer's key was lost.
    CaCompromise,
    /// On hold; may come back.
    CertificateHold,
    /// No longer needed.
    CessationOfOperation,
    /// The subject's key was lost.
    KeyCompromise,
    /// A privilege ended.
    PrivilegeWithdrawn,
    /// Off the list again; only for delta lists, and read as revoked in any other.
    RemoveFromCrl,
    /// Replaced by another certificate.
    Superseded,
    /// No reason given.
    Unspecified,
}

impl RevocationReason {
    fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Unspecified,
            1 => Self::KeyCompromise,
            2 => Self::CaCompromise,
            3 => Self::AffiliationChanged,
            4 => Self::Superseded,
            5 => Self::CessationOfOperation,
            6 => Self::CertificateHold,
            8 => Self::RemoveFromCrl,
            9 => Self::PrivilegeWithdrawn,
            10 => Self::AaCompromise,
            _ => return None,
        })
    }

    /// As RFC 5280 spells it, `keyCompromise`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AaCompromise => "aACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::CaCompromise => "cACompromise",
            Self::CertificateHold => "certificateHold",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::KeyCompromise => "keyCompromise",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::RemoveFromCrl => "removeFromCRL",
            Self::Superseded => "superseded",
            Self::Unspecified => "unspecified",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One entry of revokedCertificates.
pub(super) struct Entry {
    pub(super) date: Timestamp,
    pub(super) reason: Option<RevocationReason>,
    pub(super) unusable: Option<Unusable>,
}

impl Entry {
    pub(super) fn read(fields: &mut Reader<'_>) -> der::Result<Self> {
        Serial::read(fields)?;
        let date = Timestamp::read(fields)?;
        let mut entry = Self { date, reason: None, unusable: None };
        if !fields.is_empty() {
            let mut extensions = fields.sequence("extensions of an entry")?;
            while !extensions.is_empty() {
                entry.read_extension(&mut extensions.sequence("an extension")?)?;
            }
        }
        fields.finish().map(|()| entry)
    }

    fn read_extension(&mut self, fields: &mut Reader<'_>) -> der::Result<()> {
        let oid =
            Oid::from_element(&fields.expect(tag::OBJECT_IDENTIFIER, "the identifier of an extension")?)?;
        let critical = fields.default_false()?;
        let value = fields.expect(tag::OCTET_STRING, "the value of an extension")?;
        fields.finish()?;
        match oid {
            oid::REASON_CODE => match read_reason(value.value) {
                Ok(reason) => self.reason = Some(reason),
                Err(_) => self.unusable = Some(Unusable::MalformedExtension { oid }),
            },
            oid::CERTIFICATE_ISSUER => self.unusable = Some(Unusable::Indirect),
            oid::INVALIDITY_DATE => {}
            oid if critical => self.unusable = Some(Unusable::UnknownCriticalExtension { oid }),
            _ => {}
        }
        Ok(())
    }
}

fn read_reason(value: &[u8]) -> der::Result<RevocationReason> {
    let mut reader = Reader::new(value);
    let code = reader.expect(tag::ENUMERATED, "a reason")?;
    reader.finish()?;
    RevocationReason::from_code(der::small_integer(&code)?).map_or_else(|| code.invalid("reason"), Ok)
}
