//! Identity profiles: where a certificate's subject says which device it is.
//!
//! Attributes are taken one by one, by OID, from the DER-encoded subject, never out of a printed name (SEC-14). A profile
//! is a TOML file; four are shipped (`cisco-small-business`, `cisco-mic`, `cn-mac`, `operator`), and an operator's own has
//! the same form:
//!
//! ```toml
//! description = "Phones of our own authority"   # for people
//!
//! [recognise]                          # the shape: this profile and no later one judges a subject that …
//! present = ["commonName", "organizationName"]  # … has all of these attributes
//! absent  = ["serialNumber"]                    # … and none of these
//!
//! [product]                            # each of product, serial and mac may be left out, but not both of the last
//! attributes = ["description"]         # the attribute it stands in; of several the first that is there
//! word     = "PID:"                    # only the word that begins so, without it ("PID:CP-8861 SN:x": CP-8861)
//! optional = true                      # may be missing
//!
//! [mac]
//! attributes = ["commonName"]
//! after    = "-SEP"                    # only what follows this text, which must be there exactly once
//!
//! [generic]
//! values = ["generic"]                 # in place of serial and MAC: a certificate that many phones share
//! ```
//!
//! Attributes are named as in RFC 4519 (`commonName`, `surname`, `stateOrProvinceName`, `serialNumber` …) or by dotted OID;
//! `S` and `SN` are refused because programs disagree about what they mean. A file with `principal = "operator"` and
//! nothing else recognises every subject as an operator's.
//!
//! A profile refuses a subject of its shape when a wanted attribute is missing, empty, longer than 256 bytes or has
//! control characters (`identity_malformed`), has a NUL (`nul_in_name`, SEC-15), stands there twice or in a multi-valued
//! RDN (`repeated_attribute`, SEC-16), is wrongly encoded (`invalid_encoding`, SEC-17), or when the MAC address is none a
//! device can have (`invalid_mac`, SEC-21). Values are data: wildcards and templates in them mean nothing (SEC-19, 25).

mod attribute;
mod read;
mod subject;

use std::sync::Arc;

use certs::DistinguishedName;

pub use attribute::AttributeType;

use crate::decision::Denial;
use crate::document::{Diagnostic, Document};
use crate::principal::{Device, Generic, Operator, Principal};
use crate::reason::Reason;
use crate::shipped;
use subject::Found;

/// Where a subject names its device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityProfile {
    name: Arc<str>,
    description: Arc<str>,
    kind: Kind,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    Device(Box<Shape>),
    Operator,
}

/// What a device profile looks at.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Shape {
    present: Vec<AttributeType>,
    absent: Vec<AttributeType>,
    product: Option<Field>,
    serial: Option<Field>,
    mac: Option<Field>,
    generic: Vec<String>,
}

/// Where one value stands.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Field {
    attributes: Vec<AttributeType>,
    cut: Cut,
    optional: bool,
}

/// Which part of the attribute is the value.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Cut {
    Whole,
    /// What follows this text.
    After(String),
    /// The word that begins with this text, without it.
    Word(String),
}

impl IdentityProfile {
    /// The shipped profile of that name, if there is one.
    pub fn shipped(name: &str) -> Option<Self> {
        shipped::parse(shipped::IDENTITY, name, Self::parse)
    }

    /// The names of the shipped profiles.
    pub fn shipped_names() -> impl Iterator<Item = &'static str> {
        shipped::names(shipped::IDENTITY)
    }

    /// Reads a profile file. The profile is named after the file, without folder and `.toml`.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let document = Document::parse(file, text)?;
        let profile = Self::read(&document.root(), file);
        // A reader that answered `None` has noted why.
        document.finish().and_then(|_| profile.ok_or_else(Vec::new))
    }

    /// The profile's name, as in audit records.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it is for, in a sentence.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Whether it takes every subject for an operator's; such a profile stands alone in its trust entry.
    pub fn is_operator(&self) -> bool {
        match self.kind {
            Kind::Operator => true,
            Kind::Device(_) => false,
        }
    }

    /// Whether the subject has this profile's shape, so that this profile judges it and no later one.
    pub fn recognises(&self, subject: &DistinguishedName) -> bool {
        match &self.kind {
            Kind::Operator => true,
            Kind::Device(shape) => {
                let has = |kind: &AttributeType| subject.values_of(kind.oid()).next().is_some();
                shape.present.iter().all(has) && !shape.absent.iter().any(has)
            }
        }
    }

    /// Who the subject claims to be, under this profile. It says nothing about whether the certificate is genuine: a
    /// server takes its principals from [`Admission::admit`](crate::Admission::admit) alone.
    pub fn identify(&self, subject: &DistinguishedName) -> Result<Principal, Denial> {
        if !self.recognises(subject) {
            let detail = format!("the subject has not the shape of {}", self.name);
            return Err(Denial::new(Reason::IdentityNotRecognised, detail));
        }
        match &self.kind {
            Kind::Operator => Ok(Principal::Operator(Operator { profile: Arc::clone(&self.name) })),
            Kind::Device(shape) => shape.identify(subject, &self.name),
        }
    }
}

impl IdentityProfile {
    /// What the profile looks at, in lines for a person.
    pub(crate) fn steps(&self) -> Vec<String> {
        match &self.kind {
            Kind::Operator => vec!["  recognises every subject, as an operator's".to_owned()],
            Kind::Device(shape) => shape.steps(),
        }
    }
}

impl Shape {
    fn steps(&self) -> Vec<String> {
        let names = |types: &[AttributeType], between: &str| {
            types.iter().map(AttributeType::name).collect::<Vec<_>>().join(between)
        };
        let mut lines = vec![format!("  recognises a subject that has {}", names(&self.present, " and "))];
        if !self.absent.is_empty() {
            lines.push(format!("  and has no {}", names(&self.absent, " and no ")));
        }
        for (what, field) in
            [("product", &self.product), ("serial number", &self.serial), ("MAC address", &self.mac)]
        {
            let Some(field) = field else {
                lines.push(format!("  {what}: none"));
                continue;
            };
            let cut = match &field.cut {
                Cut::Whole => String::new(),
                Cut::After(mark) => format!(", what follows \"{mark}\""),
                Cut::Word(mark) => format!(", the word after \"{mark}\""),
            };
            let optional = if field.optional { ", if there is one" } else { "" };
            lines.push(format!("  {what}: {}{cut}{optional}", names(&field.attributes, " or else ")));
        }
        if !self.generic.is_empty() {
            lines.push(format!("  shared by many phones: {}", self.generic.join(", ")));
        }
        lines
    }

    fn identify(&self, subject: &DistinguishedName, profile: &Arc<str>) -> Result<Principal, Denial> {
        let product = subject::find(subject, self.product.as_ref(), "product")?;
        let serial = subject::find(subject, self.serial.as_ref(), "serial number")?;
        let mac = subject::find(subject, self.mac.as_ref(), "MAC address")?;

        let shared = |found: &Option<Found<'_>>| {
            found
                .as_ref()
                .map(|found| self.generic.iter().any(|word| word.eq_ignore_ascii_case(&found.value)))
        };
        // SEC-22: what is shared is nobody's identity, and a mixture is nobody's at all.
        match (shared(&serial), shared(&mac)) {
            (Some(true), Some(true) | None) | (None, Some(true)) => {
                return Ok(Principal::Generic(Generic { profile: Arc::clone(profile) }));
            }
            (Some(true), Some(false)) | (Some(false), Some(true)) => {
                let detail =
                    "one of serial number and MAC address is a shared certificate's, the other is not";
                return Err(Denial::new(Reason::IdentityMalformed, detail));
            }
            (Some(false) | None, Some(false) | None) => {}
        }

        let address = mac.as_ref().map(|found| subject::mac_address(subject, self.mac.as_ref(), found));
        Ok(Principal::Device(Device {
            product: product.map(|found| Arc::from(found.value)),
            serial: serial.map(|found| Arc::from(found.value)),
            mac: address.transpose()?,
            mac_attribute: mac.map(|found| Arc::from(found.attribute.name())),
            profile: Arc::clone(profile),
        }))
    }
}

#[cfg(test)]
mod tests;
