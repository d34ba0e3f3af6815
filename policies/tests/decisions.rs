//! The decision tables of `tests/cases`, judged with real certificates.

#![allow(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::collections::HashMap;

use certs::testing::{CertificateBuilder, Pki};
use certs::{DistinguishedName, Oid, oid};
use policies::document::{Document, Item, Table};
use policies::{IdentityProfile, Principal, ProfileSet, RequestFacts, RequestRules};

const IDENTITY: &str = include_str!("cases/identity.toml");
const REQUESTS: &str = include_str!("cases/requests.toml");

#[test]
fn identities_are_as_the_table_says() {
    let document = Document::parse("identity.toml", IDENTITY).unwrap();
    let root = document.root();
    let mut failed = Vec::new();
    let cases = root.tables("case");
    assert!(cases.len() > 40);
    for case in cases {
        let name = case.string("name").unwrap().value;
        let profiles = texts(&case, "profiles");
        let subject = subject(&texts(&case, "subject"));
        let wanted = wanted_identity(&case);
        let found = match set(&profiles).identify(&subject) {
            Ok(principal) => Ok(describe(&principal, wanted.as_ref().ok())),
            Err(denial) => Err(denial.reason.as_str().to_owned()),
        };
        if found != wanted {
            failed.push(format!("{name}: {found:?}, not {wanted:?}"));
        }
    }
    root.finish();
    document.finish().unwrap();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn requests_are_judged_as_the_table_says() {
    let document = Document::parse("requests.toml", REQUESTS).unwrap();
    let root = document.root();
    let principals = principals(&root.table("principals").unwrap());
    let mut failed = Vec::new();
    let mut count = 0;
    for group in root.tables("group") {
        let rules = RequestRules::shipped(&group.string("rules").unwrap().value).unwrap();
        let role = group.string("as").unwrap().value;
        let wanted = match (group.optional_string("by"), group.optional_string("refused")) {
            (Some(rule), None) => Ok(rule.value),
            (None, Some(reason)) => Err(reason.value),
            both => panic!("{both:?}"),
        };
        for asks in texts(&group, "asks") {
            count += 1;
            let found = match rules.authorize(&principals[&role], &facts(&asks)) {
                Ok(permit) => Ok(permit.rule.to_string()),
                Err(denial) => Err(denial.reason.as_str().to_owned()),
            };
            if found != wanted {
                failed.push(format!("{} {role} {asks}: {found:?}, not {wanted:?}", rules.name()));
            }
        }
    }
    root.finish();
    document.finish().unwrap();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(count > 90, "{count}");
}

/// What a case wants: the facts it names of the principal, or a reason.
fn wanted_identity(case: &Table<'_, '_>) -> Result<Vec<(String, String)>, String> {
    if let Some(reason) = case.optional_string("refused") {
        return Err(reason.value);
    }
    let keys = ["gives", "product", "serial", "mac", "mac-attribute"];
    let named = keys.into_iter().filter_map(|key| Some((key.to_owned(), case.optional_string(key)?.value)));
    Ok(named.collect())
}

/// The facts of a principal that a case names.
fn describe(principal: &Principal, wanted: Option<&Vec<(String, String)>>) -> Vec<(String, String)> {
    let device = principal.device();
    let all = [
        ("gives", Some(principal.kind().to_owned())),
        ("product", device.and_then(|d| d.product()).map(str::to_owned)),
        ("serial", device.and_then(|d| d.serial()).map(str::to_owned)),
        ("mac", device.and_then(|d| d.mac()).map(|mac| mac.to_string())),
        ("mac-attribute", device.and_then(|d| d.mac_attribute()).map(str::to_owned)),
    ];
    let named = |key: &str| wanted.is_none_or(|wanted| wanted.iter().any(|(name, _)| name == key));
    all.into_iter()
        .filter(|(key, _)| named(key))
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

fn principals(table: &Table<'_, '_>) -> HashMap<String, Principal> {
    let mut principals = HashMap::from([("anonymous".to_owned(), Principal::Anonymous)]);
    for key in ["guide", "mic", "snom", "generic", "operator", "odd"] {
        let written = texts(table, key);
        let (profile, attributes) = written.split_first().unwrap();
        let principal = set(std::slice::from_ref(profile)).identify(&subject(attributes)).unwrap();
        principals.insert(key.to_owned(), principal);
    }
    principals
}

fn set(profiles: &[String]) -> ProfileSet {
    ProfileSet::new(profiles.iter().map(|name| IdentityProfile::shipped(name).unwrap()).collect()).unwrap()
}

/// The subject of a real certificate with these attributes.
fn subject(attributes: &[String]) -> DistinguishedName {
    let add = |leaf: CertificateBuilder, written: &String| {
        let rdn: Vec<(Oid, &str)> = written.split(" + ").map(attribute).collect();
        match rdn.as_slice() {
            [(oid, value)] => leaf.attribute(*oid, value),
            several => leaf.multi_valued(several),
        }
    };
    let leaf = attributes.iter().fold(Pki::new().leaf().without_subject(), add);
    leaf.issue().certificate().subject().clone()
}

fn attribute(written: &str) -> (Oid, &str) {
    let (name, value) = written.split_once('=').unwrap();
    let oid = match name {
        "CN" => oid::COMMON_NAME,
        "L" => oid::LOCALITY,
        "O" => oid::ORGANIZATION,
        "OU" => oid::ORGANIZATIONAL_UNIT,
        "ST" => oid::STATE,
        "UID" => oid::USER_ID,
        "serialNumber" => oid::SERIAL_NUMBER,
        "surname" => oid::SURNAME,
        other => panic!("{other}"),
    };
    (oid, value)
}

fn facts(asks: &str) -> RequestFacts<'_> {
    let (method, target) = asks.split_once(' ').unwrap();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    RequestFacts { method, path, query, user_agent: None }
}

fn texts(table: &Table<'_, '_>, key: &'static str) -> Vec<String> {
    let items = table.optional_items(key).unwrap();
    let text = |item: Item<'_, '_>| match item {
        Item::String(text) => text.value,
        Item::Table(_) | Item::Other(_) => panic!("a list of strings"),
    };
    items.into_iter().map(text).collect()
}
