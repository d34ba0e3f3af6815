//! Request rules: which principal may use which method on which path.
//!
//! Rules are data; the first that matches decides, and when none matches the request is denied.
//!
//! ```toml
//! mode       = "enforce"          # or "observe": rule denials of devices and operators are recorded and waived
//! user-agent = "ignored"          # or "must-not-contradict", or "must-agree" with the certificate
//!
//! [[rule]]
//! name  = "own profile"           # in audit records
//! allow = ["GET", "HEAD"]         # or deny = [methods]
//! path  = ["/{mac}.cfg", "/config?mac={mac}"]    # templates: see below
//! for   = ["device"]              # device (the default), generic, operator, anonymous
//! ```
//!
//! A rule matches when role (`for`), method and one of its paths all match. Templates have named parts that stand for the
//! device's own values: `{mac}`, `{serial}`, `{product}`, `{psn}`, and `{*}` for any remainder; [`pattern`](crate::pattern)
//! has the details. `anonymous` is only where no certificate was presented: one that fails verification is always refused.
//!
//! `observe` waives what a rule says of a known device or operator, never who somebody is (SEC-22): a request without a
//! certificate, or with one that many phones share, gets what a rule names for it and nothing more.
//!
//! `user-agent` adds a cross-check for devices and never grants anything: with `must-not-contradict` a permitted request
//! is denied when its User-Agent names another product, serial number or MAC address than the certificate; with
//! `must-agree` also when it names none.
//!
//! Two sets are shipped: `any-device` (any path for any identified device) and `own-profile`.

mod methods;
mod read;
mod user_agent;

use std::borrow::Cow;
use std::sync::Arc;

use methods::Methods;
use user_agent::Agreement;
pub use user_agent::user_agent_contradicts;

use crate::decision::{Denial, Permit};
use crate::document::{Diagnostic, Document};
use crate::pattern::{Template, Values};
use crate::principal::{Principal, Role};
use crate::reason::Reason;
use crate::shipped;

/// Request rules, checked and ready to be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestRules {
    name: Arc<str>,
    mode: Mode,
    user_agent: UserAgentRule,
    rules: Vec<Rule>,
    /// What a permit names as its rule when none matched and the denial was waived.
    no_rule: Arc<str>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestFacts<'r> {
    /// The method, in the letter case of the request.
    pub method: &'r str,
    /// The path, normalised: the one that will be forwarded (SEC-67).
    pub path: &'r str,
    /// What stands after the first `?`, if there is one; as it will be forwarded.
    pub query: Option<&'r str>,
    /// The User-Agent field, if there is one.
    pub user_agent: Option<&'r str>,
}

/// Whether rule denials bite.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// A denied request is refused.
    Enforce,
    /// A denied request of a device or an operator is let through and the denial recorded, to try rules on a live fleet.
    /// Anonymous and generic requests are denied as always: what they lack is an identity, and that is never waived.
    Observe,
}

/// What is asked of the User-Agent field of a device's request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UserAgentRule {
    /// Nothing.
    Ignored,
    /// It names no other device than the certificate does.
    MustNotContradict,
    /// It names the device that the certificate names.
    MustAgree,
}

/// One rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) effect: Effect,
    pub(crate) methods: Methods,
    pub(crate) roles: Vec<Role>,
    pub(crate) templates: Vec<Template>,
    pub(crate) line: usize,
}

/// What a matching rule does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

impl RequestRules {
    /// The shipped rules of that name, if there are such.
    pub fn shipped(name: &str) -> Option<Self> {
        shipped::parse(shipped::REQUESTS, name, Self::parse)
    }

    /// The names of the shipped rule sets.
    pub fn shipped_names() -> impl Iterator<Item = &'static str> {
        shipped::names(shipped::REQUESTS)
    }

    /// Reads a rule file. The set is named after the file, without folder and `.toml`.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let document = Document::parse(file, text)?;
        let rules = Self::read(&document.root(), file);
        // A reader that answered `None` has noted why.
        document.finish().and_then(|_| rules.ok_or_else(Vec::new))
    }

    /// The name of the set.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether denials bite.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What is asked of the User-Agent field.
    pub fn user_agent(&self) -> UserAgentRule {
        self.user_agent
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule at all; a file without rules is refused, so there always is one.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Decides a request. Every request passes here, so it allocates nothing, permitted or denied: templates were compiled
    /// when the file was read, matching compares bytes, and rule names are shared.
    pub fn authorize(&self, principal: &Principal, facts: &RequestFacts<'_>) -> Result<Permit, Denial> {
        let (rule, verdict) = self.judge(principal, facts);
        match (verdict, self.mode) {
            (Ok(()), _) => Ok(Permit { rule: self.rule_name(rule), waived: None }),
            (Err(denial), Mode::Observe) if is_identified(principal) => {
                Ok(Permit { rule: self.rule_name(rule), waived: Some(denial) })
            }
            (Err(denial), Mode::Enforce | Mode::Observe) => Err(denial),
        }
    }

    /// The rule that decides, and what it decides, before `mode` is considered.
    pub(crate) fn judge(
        &self,
        principal: &Principal,
        facts: &RequestFacts<'_>,
    ) -> (Option<&Rule>, Result<(), Denial>) {
        let values = Values::of(principal);
        let Some(rule) = self.rules.iter().find(|rule| rule.matches(principal.role(), &values, facts)) else {
            return (None, Err(Denial::new(Reason::NoRuleMatched, "no rule covers this request")));
        };
        let denial = match rule.effect {
            Effect::Allow => self.check_user_agent(principal, facts.user_agent),
            Effect::Deny => Some(Denial::new(Reason::DeniedByRule, "the rule denies it")),
        };
        (Some(rule), denial.map_or(Ok(()), |denial| Err(denial.by_rule(Arc::clone(&rule.name)))))
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    fn rule_name(&self, rule: Option<&Rule>) -> Arc<str> {
        Arc::clone(rule.map_or(&self.no_rule, |rule| &rule.name))
    }

    fn check_user_agent(&self, principal: &Principal, user_agent: Option<&str>) -> Option<Denial> {
        let device = principal.device()?;
        let silence_is_fine = match self.user_agent {
            UserAgentRule::Ignored => return None,
            UserAgentRule::MustNotContradict => true,
            UserAgentRule::MustAgree => false,
        };
        let detail: Cow<'static, str> =
            match user_agent.map_or(Agreement::Silent, |field| user_agent::compare(field, device)) {
                Agreement::Agrees => return None,
                Agreement::Silent if silence_is_fine => return None,
                Agreement::Silent => "the User-Agent names no device".into(),
                Agreement::OtherProduct => "the User-Agent names another product".into(),
                Agreement::OtherDevice => "the User-Agent names another serial number or MAC address".into(),
            };
        Some(Denial::new(Reason::UserAgentMismatch, detail))
    }
}

/// Whether the principal is somebody in particular.
fn is_identified(principal: &Principal) -> bool {
    match principal {
        Principal::Device(_) | Principal::Operator(_) => true,
        Principal::Anonymous | Principal::Generic(_) => false,
    }
}

impl Rule {
    fn matches(&self, role: Role, values: &Values<'_>, facts: &RequestFacts<'_>) -> bool {
        self.roles.contains(&role)
            && self.methods.contains(facts.method)
            && self.templates.iter().any(|template| template.matches(values, facts.path, facts.query))
    }
}

#[cfg(test)]
mod tests;
