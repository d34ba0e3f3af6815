//! From a rule file to [`RequestRules`].

use std::collections::HashSet;
use std::sync::Arc;

use super::methods::{InsertError, KNOWN};
use super::{Effect, Methods, Mode, RequestRules, Rule, UserAgentRule};
use crate::document::{Located, Table};
use crate::pattern::Template;
use crate::principal::Role;
use crate::shipped;

const MODES: &[(&str, Mode)] = &[("enforce", Mode::Enforce), ("observe", Mode::Observe)];

const USER_AGENT_RULES: &[(&str, UserAgentRule)] = &[
    ("ignored", UserAgentRule::Ignored),
    ("must-not-contradict", UserAgentRule::MustNotContradict),
    ("must-agree", UserAgentRule::MustAgree),
];

impl RequestRules {
    pub(super) fn read(root: &Table<'_, '_>, file: &str) -> Option<Self> {
        let mode = root.optional_word("mode", MODES);
        let user_agent = root.optional_word("user-agent", USER_AGENT_RULES);
        let tables = root.tables("rule");
        if tables.is_empty() && !root.has("rule") {
            root.document().error_with_hint(
                root.place(),
                "no [[rule]]: every request would be denied",
                "add a rule, or name a shipped set: any-device, own-profile",
            );
        }
        let mut names = HashSet::new();
        let rules: Vec<Option<Rule>> = tables.iter().map(|table| read_rule(table, &mut names)).collect();
        Some(Self {
            name: shipped::stem(file),
            mode: mode.map_or(Mode::Enforce, |mode| mode.value),
            user_agent: user_agent.map_or(UserAgentRule::Ignored, |rule| rule.value),
            rules: rules.into_iter().collect::<Option<_>>()?,
            no_rule: Arc::from("no rule"),
        })
    }
}

fn read_rule(table: &Table<'_, '_>, names: &mut HashSet<String>) -> Option<Rule> {
    let name = table.string("name");
    let methods = read_methods(table);
    let roles = read_roles(table);
    let templates = table.strings("path").and_then(|written| read_templates(table, &written));
    if let (Some(roles), Some(templates)) = (&roles, &templates) {
        check_roles(table, roles, templates);
    }
    if let Some(name) = &name {
        if name.value.trim().is_empty() {
            table.document().error(&name.place, "the name is empty");
        } else if !names.insert(name.value.clone()) {
            let message = format!("another rule is called \"{}\" already", name.value.escape_debug());
            table.document().error(&name.place, message);
        }
    }
    let (effect, methods) = methods?;
    Some(Rule {
        name: Arc::from(name?.value),
        effect,
        methods,
        roles: roles?,
        templates: templates?.into_iter().map(|template| template.value).collect(),
        line: table.place().line,
    })
}

fn read_methods(table: &Table<'_, '_>) -> Option<(Effect, Methods)> {
    let (effect, key) = match (table.has("allow"), table.has("deny")) {
        (true, false) => (Effect::Allow, "allow"),
        (false, true) => (Effect::Deny, "deny"),
        (true, true) => {
            let hint = "write two rules; the first that matches decides";
            table.document().error_with_hint(&table.place_of("deny"), "a rule either allows or denies", hint);
            return None;
        }
        (false, false) => {
            let hint = "add allow = [\"GET\", \"HEAD\"], say";
            let message = "the rule has neither `allow` nor `deny`";
            table.document().error_with_hint(table.place(), message, hint);
            return None;
        }
    };
    let mut methods = Methods::default();
    let mut complete = true;
    for written in table.strings(key)? {
        match methods.insert(&written.value) {
            Ok(()) => continue,
            Err(InsertError::Repeated) => {
                table.document().error(&written.place, format!("\"{}\" is listed twice", written.value));
            }
            Err(InsertError::Unknown) => table.unknown_word(&written, "method", KNOWN),
        }
        complete = false;
    }
    complete.then_some((effect, methods))
}

fn read_roles(table: &Table<'_, '_>) -> Option<Vec<Role>> {
    if !table.has("for") {
        return Some(vec![Role::Device]);
    }
    let words = Role::ALL.map(|role| (role.as_str(), role));
    let roles = table.optional_words("for", &words)?;
    Some(roles.into_iter().map(|role| role.value).collect())
}

fn read_templates(table: &Table<'_, '_>, written: &[Located<String>]) -> Option<Vec<Located<Template>>> {
    let read = |text: &Located<String>| match Template::parse(&text.value) {
        Ok(template) => Some(Located { value: template, place: text.place.clone() }),
        Err(error) => {
            match error.hint() {
                Some(hint) => table.document().error_with_hint(&text.place, error.to_string(), hint),
                None => table.document().error(&text.place, error.to_string()),
            }
            None
        }
    };
    let templates: Vec<_> = written.iter().map(read).collect();
    templates.into_iter().collect()
}

/// Only devices have values for named parts.
fn check_roles(table: &Table<'_, '_>, roles: &[Role], templates: &[Located<Template>]) {
    if roles.contains(&Role::Device) {
        return;
    }
    for template in templates.iter().filter(|template| template.value.needs_device()) {
        table.document().error_with_hint(
            &template.place,
            format!("\"{}\" never matches: only a device has values for its parts", template.value.text()),
            "add \"device\" to `for`, or write the path without {mac}, {serial}, {product} and {psn}",
        );
    }
}
