//! Labelled facts, kept in order for a person and by name for a program.

use certs::DistinguishedName;
use serde_json::{Map, Value, json};

/// What there is to say about one thing.
#[derive(Debug)]
pub(crate) struct Facts {
    kind: &'static str,
    rows: Vec<(&'static str, Value)>,
}

impl Facts {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, rows: Vec::new() }
    }

    /// Adds a fact; an empty or absent one is left out.
    pub(crate) fn add(&mut self, label: &'static str, value: Value) {
        if !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()) {
            self.rows.push((label, value));
        }
    }

    pub(crate) fn text(&mut self, label: &'static str, text: impl Into<String>) {
        self.add(label, Value::String(text.into()));
    }

    pub(crate) fn list(&mut self, label: &'static str, texts: Vec<String>) {
        self.add(label, json!(texts));
    }

    /// A name, one attribute a line, each with its OID.
    pub(crate) fn name(&mut self, label: &'static str, name: &DistinguishedName) {
        let attributes: Vec<Value> = name
            .attributes()
            .map(|attribute| {
                let oid = attribute.oid().to_string();
                let value = match attribute.text() {
                    Ok(text) => text.into_owned(),
                    Err(error) => format!("({error})"),
                };
                let mut entry = json!({ "attribute": attribute_name(&oid), "oid": oid, "value": value });
                if attribute.is_multi_valued() {
                    entry["multi_valued"] = json!(true);
                }
                entry
            })
            .collect();
        if attributes.is_empty() {
            self.text(label, "(empty)");
        } else {
            self.add(label, Value::Array(attributes));
        }
    }

    /// For programs: labels with `_` for spaces.
    pub(crate) fn to_json(&self, source: &str) -> Value {
        let mut map = Map::new();
        map.insert("file".to_owned(), json!(source));
        map.insert("what".to_owned(), json!(self.kind));
        for (label, value) in &self.rows {
            map.insert(label.replace(' ', "_"), value.clone());
        }
        Value::Object(map)
    }

    /// For people. Text out of certificates is escaped: it may be hostile to a terminal.
    pub(crate) fn to_text(&self, source: &str) -> String {
        let mut out = format!("{source}: {}\n", self.kind);
        for (label, value) in &self.rows {
            for (index, line) in lines(value).into_iter().enumerate() {
                let label = if index == 0 { label } else { "" };
                out.push_str(&format!("  {label:<11}  {line}\n"));
            }
        }
        out
    }
}

fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(lines).collect(),
        Value::Object(entry) => {
            let get = |key| entry.get(key).and_then(Value::as_str).unwrap_or_default();
            let name = format!("{} ({})", get("attribute"), get("oid"));
            let multi = if entry.contains_key("multi_valued") { "  [one of several in its RDN]" } else { "" };
            vec![format!("{name:<34} {}{multi}", escape(get("value")))]
        }
        Value::String(text) => vec![escape(text)],
        Value::Null | Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
    }
}

fn escape(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = character.is_control() || ('\u{202a}'..='\u{202e}').contains(&character);
            if escaped { character.escape_default().collect::<Vec<_>>() } else { vec![character] }
        })
        .collect()
}

/// The standard's name of an attribute type (RFC 4519).
fn attribute_name(oid: &str) -> &str {
    match oid {
        "2.5.4.3" => "commonName",
        "2.5.4.4" => "surname",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "countryName",
        "2.5.4.7" => "localityName",
        "2.5.4.8" => "stateOrProvinceName",
        "2.5.4.9" => "streetAddress",
        "2.5.4.10" => "organizationName",
        "2.5.4.11" => "organizationalUnitName",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.41" => "name",
        "2.5.4.42" => "givenName",
        "2.5.4.43" => "initials",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "0.9.2342.19200300.100.1.1" => "userId",
        "0.9.2342.19200300.100.1.25" => "domainComponent",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => "attribute",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_certificate_cannot_move_the_cursor() {
        assert_eq!(escape("a\u{1b}[2Jb\u{202e}c\0"), "a\\u{1b}[2Jb\\u{202e}c\\u{0}");
    }
}
