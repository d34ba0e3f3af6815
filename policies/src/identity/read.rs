//! From a profile file to an [`IdentityProfile`].

use std::sync::Arc;

use super::attribute::NameError;
use super::{AttributeType, Cut, Field, IdentityProfile, Kind, Shape};
use crate::document::{Located, Table};
use crate::shipped;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum For {
    Device,
    Operator,
}

impl IdentityProfile {
    pub(super) fn read(root: &Table<'_, '_>, file: &str) -> Option<Self> {
        let description = root.optional_string("description");
        let words = [("device", For::Device), ("operator", For::Operator)];
        let kind = match root.optional_word("principal", &words).map_or(For::Device, |word| word.value) {
            For::Operator => Kind::Operator, // whatever else the file says is an unknown key
            For::Device => Kind::Device(Box::new(read_shape(root)?)),
        };
        Some(Self {
            name: shipped::stem(file),
            description: Arc::from(description.map(|text| text.value).unwrap_or_default()),
            kind,
        })
    }
}

fn read_shape(root: &Table<'_, '_>) -> Option<Shape> {
    let recognise = root.table("recognise");
    let present = recognise.as_ref().and_then(|table| read_types(table, table.strings("present")));
    let absent = recognise
        .as_ref()
        .map(|table| read_types(table, table.optional_strings("absent").or(Some(Vec::new()))));
    let product = root.optional_table("product").map(|table| read_field(&table));
    let serial = root.optional_table("serial").map(|table| read_field(&table));
    let mac = root.optional_table("mac").map(|table| read_field(&table));
    let generic = root.optional_table("generic").and_then(|table| table.strings("values"));
    if serial.is_none() && mac.is_none() {
        let message = "the profile has neither [mac] nor [serial], so it could tell no device from another";
        root.document().error(root.place(), message);
        return None;
    }
    Some(Shape {
        present: present?,
        absent: absent??,
        // The outer `None` is an absent table, the inner a wrong one.
        product: product.map_or(Some(None), |field| field.map(Some))?,
        serial: serial.map_or(Some(None), |field| field.map(Some))?,
        mac: mac.map_or(Some(None), |field| field.map(Some))?,
        generic: generic.unwrap_or_default().into_iter().map(|word| word.value).collect(),
    })
}

fn read_field(table: &Table<'_, '_>) -> Option<Field> {
    let attributes = read_types(table, table.strings("attributes"));
    let after = table.optional_string("after");
    let word = table.optional_string("word");
    let optional = table.optional_boolean("optional");
    for text in [&after, &word].into_iter().flatten().filter(|text| text.value.is_empty()) {
        table.document().error(&text.place, "the text is empty");
    }
    let cut = match (after, word) {
        (None, None) => Cut::Whole,
        (Some(text), None) => Cut::After(text.value),
        (None, Some(text)) => Cut::Word(text.value),
        (Some(_), Some(text)) => {
            table.document().error(&text.place, "either `after` or `word` can be said, not both");
            return None;
        }
    };
    Some(Field { attributes: attributes?, cut, optional: optional.is_some_and(|optional| optional.value) })
}

fn read_types(table: &Table<'_, '_>, written: Option<Vec<Located<String>>>) -> Option<Vec<AttributeType>> {
    let read = |name: &Located<String>| match AttributeType::from_name(&name.value) {
        Ok(kind) => Some(kind),
        Err(error) => {
            let message = format!("unknown attribute \"{}\"", name.value.escape_debug());
            let hint = match error {
                NameError::Ambiguous => {
                    "programs disagree about it: write surname, stateOrProvinceName or serialNumber"
                        .to_owned()
                }
                NameError::Unknown { nearest: Some(nearest) } => format!("did you mean \"{nearest}\"?"),
                NameError::Unknown { nearest: None } => {
                    "write a name such as commonName, or a dotted OID".to_owned()
                }
            };
            table.document().error_with_hint(&name.place, message, hint);
            None
        }
    };
    let types: Vec<_> = written?.iter().map(read).collect();
    types.into_iter().collect()
}
