//! Why a decision falls as it does, step by step, in lines for a person; and what a policy says.
//!
//! The decisions are the same functions that serve requests: an explanation only tells what they looked at.
//!
//! ```
//! use policies::{Principal, RequestFacts, RequestRules, explain};
//!
//! let rules = RequestRules::shipped("own-profile").unwrap();
//! let facts = RequestFacts { method: "GET", path: "/init/a.xml", query: None, user_agent: None };
//! let explanation = explain::request(&rules, &Principal::Anonymous, &facts);
//! assert!(explanation.verdict.is_err());
//! assert_eq!(explanation.lines.last().unwrap(), "verdict: denied, no_rule_matched: no rule covers this request");
//! ```

mod policy;

use certs::VerifiedChain;

pub use policy::{identity_profile, request_rules, tls_rules};

use crate::admission::{Admission, AdmissionEntry};
use crate::decision::{Denial, Permit};
use crate::pattern::{Template, Values};
use crate::principal::Principal;
use crate::requests::{RequestFacts, RequestRules, Rule};

/// A decision and how it was reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explanation<T> {
    /// The steps, one line each; the last is the verdict.
    pub lines: Vec<String>,
    /// What was decided.
    pub verdict: Result<T, Denial>,
}

/// Whom a verified chain speaks for, and why.
pub fn admission(admission: &Admission, chain: &VerifiedChain) -> Explanation<Principal> {
    let mut lines = Vec::new();
    match admission.entries().get(chain.entry()) {
        Some(entry) => admission_steps(entry, chain, &mut lines),
        None => lines.push("the trust entry has no identity profiles".to_owned()),
    }
    let verdict = admission.admit(chain);
    lines.push(match &verdict {
        Ok(principal) => format!("verdict: admitted as {principal}"),
        Err(denial) => format!("verdict: refused, {}", one_line(denial)),
    });
    Explanation { lines, verdict }
}

/// Whether a principal may have what a request asks for, and which rule says so.
pub fn request(rules: &RequestRules, principal: &Principal, facts: &RequestFacts<'_>) -> Explanation<Permit> {
    let query = facts.query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut lines = vec![
        format!(
            "request: {} {}{}",
            facts.method.escape_debug(),
            facts.path.escape_debug(),
            query.escape_debug()
        ),
        format!("principal: {principal}"),
        format!("rules: {} ({} in all, the first that matches decides)", rules.name(), rules.len()),
    ];
    if let Some(user_agent) = facts.user_agent {
        lines.push(format!("user agent: {}", user_agent.escape_debug()));
    }
    let values = Values::of(principal);
    let (decided, _) = rules.judge(principal, facts);
    for (index, rule) in rules.rules().iter().enumerate() {
        let matches = decided.is_some_and(|decided| std::ptr::eq(decided, rule));
        let found = if matches { "matches" } else { "does not match" };
        lines.push(format!(
            "rule {} \"{}\" (line {}): {found}",
            index + 1,
            rule.name.escape_debug(),
            rule.line
        ));
        rule_steps(rule, principal, &values, facts, &mut lines);
        if matches {
            break;
        }
    }
    let verdict = rules.authorize(principal, facts);
    lines.push(match &verdict {
        Ok(Permit { rule, waived: None }) => {
            format!("verdict: permitted by rule \"{}\"", rule.escape_debug())
        }
        Ok(Permit { rule: _, waived: Some(denial) }) => {
            format!(
                "verdict: permitted only because the rules are in observe mode; else {}",
                one_line(denial)
            )
        }
        Err(denial) => format!("verdict: denied, {}", one_line(denial)),
    });
    Explanation { lines, verdict }
}

fn admission_steps(entry: &AdmissionEntry, chain: &VerifiedChain, lines: &mut Vec<String>) {
    let subject = chain.leaf().subject();
    lines.push(format!("subject: {}", subject.to_rfc4514()));
    let issuer = chain.path().get(1).unwrap_or_else(|| chain.leaf());
    for profile in entry.profiles.profiles() {
        if !profile.recognises(subject) {
            lines.push(format!("identity profile {}: the subject has another shape", profile.name()));
            continue;
        }
        lines.push(match profile.identify(subject) {
            Ok(principal) => format!("identity profile {}: {principal}", profile.name()),
            Err(denial) => format!("identity profile {}: refuses, {}", profile.name(), one_line(&denial)),
        });
        break;
    }
    if !entry.ouis.is_empty() {
        let ouis: Vec<_> = entry.ouis.iter().map(|[a, b, c]| format!("{a:02x}{b:02x}{c:02x}")).collect();
        lines.push(format!("only MAC addresses that begin with: {}", ouis.join(", ")));
    }
    let denied = entry.deny.finds_certificate(chain.leaf(), issuer).or_else(|| {
        let principal = entry.profiles.identify(subject).ok()?;
        entry.deny.finds_principal(&principal)
    });
    lines.push(match denied {
        Some(line) => format!("deny list: names it, \"{}\"", line.escape_debug()),
        None => format!("deny list: not among its {} entries", entry.deny.len()),
    });
}

fn rule_steps(
    rule: &Rule,
    principal: &Principal,
    values: &Values<'_>,
    facts: &RequestFacts<'_>,
    lines: &mut Vec<String>,
) {
    if !rule.roles.contains(&principal.role()) {
        let roles: Vec<_> = rule.roles.iter().map(|role| role.as_str()).collect();
        lines.push(format!("  it is for {}; this is {}", roles.join(", "), principal.kind()));
        return;
    }
    if !rule.methods.contains(facts.method) {
        lines.push(format!("  it covers {}; this is {}", rule.methods.list(), facts.method.escape_debug()));
        return;
    }
    for template in &rule.templates {
        let matches = template.matches(values, facts.path, facts.query);
        lines.push(format!(
            "  {}: {}",
            template.text(),
            template_step(template, values, principal, facts, matches)
        ));
        if matches {
            return;
        }
    }
}

fn template_step(
    template: &Template,
    values: &Values<'_>,
    principal: &Principal,
    facts: &RequestFacts<'_>,
    matches: bool,
) -> String {
    if matches {
        return "matches".to_owned();
    }
    match template.missing_part(values) {
        Some(part) => format!("the {} has no {{{part}}} that can stand in a path", principal.kind()),
        None if template.matches_path(values, facts.path) => {
            "the path matches, the query does not".to_owned()
        }
        None => "does not match".to_owned(),
    }
}

fn one_line(denial: &Denial) -> String {
    format!("{}: {}", denial.reason, denial.detail)
}

#[cfg(test)]
mod tests;
