//! A value whose kind the caller decides.

use toml::de::DeValue;

use super::{Located, Place, Table};

/// A value of a list or a free table whose kind the caller decides.
#[derive(Debug)]
pub enum Item<'d, 't> {
    /// A string.
    String(Located<String>),
    /// A table.
    Table(Table<'d, 't>),
    /// Anything else, with its kind in words ("an integer").
    Other(Located<&'static str>),
}

impl Item<'_, '_> {
    /// Where it stands.
    pub fn place(&self) -> &Place {
        match self {
            Item::String(text) => &text.place,
            Item::Table(table) => table.place(),
            Item::Other(kind) => &kind.place,
        }
    }
}

/// The kind of a value, in words.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
