//! Taking a profile's values out of a subject.

use std::borrow::Cow;

use certs::{Attribute, DistinguishedName};

use super::{AttributeType, Cut, Field};
use crate::decision::Denial;
use crate::mac::MacAddress;
use crate::reason::Reason;

/// Longest value of use; X.520 bounds most names at 64 characters.
const LONGEST: usize = 256;

/// A value and the attribute it stood in.
#[derive(Debug)]
pub(super) struct Found<'p> {
    pub(super) value: String,
    pub(super) attribute: &'p AttributeType,
}

/// The value of a field; `None` when the profile has no such field or the subject lacks an optional one. `what` names it
/// for people.
pub(super) fn find<'p>(
    subject: &DistinguishedName,
    field: Option<&'p Field>,
    what: &str,
) -> Result<Option<Found<'p>>, Denial> {
    let Some(field) = field else {
        return Ok(None);
    };
    for attribute in &field.attributes {
        if let Some(text) = single(subject, attribute)? {
            let value = cut(&text, &field.cut).ok_or_else(|| {
                let detail = format!("{} has no {what}: \"{}\"", attribute.name(), text.escape_debug());
                Denial::new(Reason::IdentityMalformed, detail)
            })?;
            return Ok(Some(Found { value: value.to_owned(), attribute }));
        }
    }
    if field.optional {
        return Ok(None);
    }
    let names: Vec<_> = field.attributes.iter().map(AttributeType::name).collect();
    let detail = format!("the subject has no {what}: no {}", names.join(" and no "));
    Err(Denial::new(Reason::IdentityMalformed, detail))
}

/// The MAC address that was found, if a device can have it. Where two attributes of the field hold two addresses, the
/// subject can be read as two devices (SEC-16).
pub(super) fn mac_address(
    subject: &DistinguishedName,
    field: Option<&Field>,
    found: &Found<'_>,
) -> Result<MacAddress, Denial> {
    let name = found.attribute.name();
    let value = found.value.escape_debug();
    let mac = MacAddress::parse(&found.value)
        .map_err(|error| Denial::new(Reason::InvalidMac, format!("{name} \"{value}\": {error}")))?;
    if !mac.is_device() {
        let detail = format!("{name} \"{value}\" is no address that a device can have");
        return Err(Denial::new(Reason::InvalidMac, detail));
    }
    let Some(field) = field else {
        return Ok(mac);
    };
    for other in field.attributes.iter().filter(|other| *other != found.attribute) {
        let text = single(subject, other)?;
        let second = text.as_deref().and_then(|text| cut(text, &field.cut)).map(MacAddress::parse);
        if let Some(Ok(second)) = second
            && second != mac
        {
            let detail = format!("{name} holds {mac}, and {} holds {second}", other.name());
            return Err(Denial::new(Reason::RepeatedAttribute, detail));
        }
    }
    Ok(mac)
}

/// The only value of this type; `None` when there is none.
fn single<'n>(subject: &'n DistinguishedName, kind: &AttributeType) -> Result<Option<Cow<'n, str>>, Denial> {
    let refuse = |reason, what: &str| Err(Denial::new(reason, format!("{} {what}", kind.name())));
    let mut values = subject.values_of(kind.oid());
    let Some(attribute) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return refuse(Reason::RepeatedAttribute, "stands in the subject more than once");
    }
    if attribute.is_multi_valued() {
        return refuse(Reason::RepeatedAttribute, "shares its place in the subject with another attribute");
    }
    let Ok(text) = Attribute::text(attribute) else {
        return refuse(Reason::InvalidEncoding, "has bytes that its string type does not allow");
    };
    if text.contains('\0') {
        return refuse(Reason::NulInName, "contains a NUL character");
    }
    if text.is_empty() {
        return refuse(Reason::IdentityMalformed, "is empty");
    }
    if text.len() > LONGEST {
        return refuse(Reason::IdentityMalformed, "is longer than 256 bytes");
    }
    if text.chars().any(char::is_control) {
        return refuse(Reason::IdentityMalformed, "contains control characters");
    }
    Ok(Some(text))
}

/// The part of the text that is the value; `None` when it is not there, is there twice, or is empty.
fn cut<'t>(text: &'t str, cut: &Cut) -> Option<&'t str> {
    let value = match cut {
        Cut::Whole => text,
        Cut::After(mark) => {
            let (_, after) = text.split_once(mark.as_str())?;
            Some(after).filter(|after| !after.contains(mark.as_str()))?
        }
        Cut::Word(mark) => {
            let mut words = text.split(' ').filter_map(|word| word.strip_prefix(mark.as_str()));
            let first = words.next()?;
            if words.next().is_some() {
                return None;
            }
            first
        }
    };
    Some(value).filter(|value| !value.is_empty())
}
