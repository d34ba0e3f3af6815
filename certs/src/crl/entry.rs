//! One entry of a list (RFC 5280 §5.3).

use std::fmt;

use super::Unusable;
use crate::der::{self, Element, Reader, tag};
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

/// Most extensions of one entry: RFC 5280 knows three.
const MAX_EXTENSIONS: usize = 8;

/// One entry of revokedCertificates.
pub(super) struct Entry {
    pub(super) date: Timestamp,
    pub(super) reason: Option<RevocationReason>,
    pub(super) unusable: Option<Unusable>,
    pub(super) has_extensions: bool,
}

impl Entry {
    pub(super) fn read(fields: &mut Reader<'_>) -> der::Result<Self> {
        Serial::read(fields)?;
        let date = Timestamp::read(fields)?;
        let mut entry = Self { date, reason: None, unusable: None, has_extensions: false };
        if !fields.is_empty() {
            let extensions = fields.expect(tag::SEQUENCE, "extensions of an entry")?;
            entry.has_extensions = true;
            entry.read_extensions(&extensions)?;
        }
        fields.finish().map(|()| entry)
    }

    /// Lists hold millions of entries, so nothing is allocated for the few extensions of each.
    fn read_extensions(&mut self, list: &Element<'_>) -> der::Result<()> {
        let mut seen = [None; MAX_EXTENSIONS];
        let mut reader = list.reader();
        while !reader.is_empty() {
            let element = reader.expect(tag::SEQUENCE, "an extension")?;
            let oid = self.read_extension(&mut element.reader())?;
            if seen.contains(&Some(oid)) {
                return element.invalid("repeated extension of an entry");
            }
            match seen.iter_mut().find(|slot| slot.is_none()) {
                Some(slot) => *slot = Some(oid),
                None => return list.invalid("list of very many extensions"),
            }
        }
        Ok(())
    }

    fn read_extension(&mut self, fields: &mut Reader<'_>) -> der::Result<Oid> {
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
        Ok(oid)
    }
}

fn read_reason(value: &[u8]) -> der::Result<RevocationReason> {
    let mut reader = Reader::new(value);
    let code = reader.expect(tag::ENUMERATED, "a reason")?;
    reader.finish()?;
    RevocationReason::from_code(der::small_integer(&code)?).map_or_else(|| code.invalid("reason"), Ok)
}
